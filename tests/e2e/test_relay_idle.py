"""A relay with nothing to do sleeps, whatever its collectors do: it wakes some times a second, to show
that it is alive and to look after its sockets."""

import os
import re
import socket
import time
import unittest

from harness import ENGINES, free_port, native, visitor, wait_until
from presence_relay import RelayCase

OBSERVED = 2.0  # seconds, at least
WAKES = 20  # a second, at most: five of the worker's, some of the main thread's


class Idle(RelayCase):
    def start_relay(self, *targets, engine="auto", hold="50"):
        to = [word for name, target in zip("ABC", targets) for word in ("--to", f"{name}={target}")]
        return self.relay(*to, "--receive", engine, "--hold", hold)

    @staticmethod
    def switches(relay):
        """How often its threads have gone to sleep so far."""
        total = 0
        for task in os.listdir(f"/proc/{relay.process.pid}/task"):
            with open(f"/proc/{relay.process.pid}/task/{task}/status") as status:
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])
        return total

    def check_sleeps(self, relay):
        """A busy machine can only make it wake less often."""
        before, begun = self.switches(relay), time.monotonic()
        time.sleep(OBSERVED)  # what is observed is that nothing happens
        wakes = self.switches(relay) - before
        self.assertLess(wakes, WAKES * (time.monotonic() - begun) + WAKES, "a second and its burst")
        self.assertGreater(wakes, 0)

    def test_collectors_are_up(self):
        collectors = [self.start_in(name) for name in "AB"]
        for engine in ENGINES:
            with self.subTest(engine=engine):
                relay = self.start_relay(*(one.address for one in collectors), engine=engine, hold="1")
                self.check_sleeps(relay)
                self.socket.sendto(native("idle.example", [visitor(1)]),
                                   ("127.0.0.1", relay.relay_port))
                wait_until(lambda: self.ctl("count", "idle.example",
                                            segment=collectors[0].segment)[0] == 0, "the visitor")
                self.check_sleeps(relay)
                self.assertEqual(relay.stop(), 0)

    def test_collectors_are_down(self):
        """Nobody listens there, or there is no route to it."""
        relay = self.start_relay(f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}", "192.0.2.1:9514",
                                 "[2001:db8::1]:9514")
        self.check_sleeps(relay)
        for number in range(100):
            self.socket.sendto(native("idle.example", [visitor(number)]),
                               ("127.0.0.1", relay.relay_port))
        self.check_sleeps(relay)
        self.assertEqual(relay.stop(), 0)

    def test_empty_datagrams(self):
        """They end an io_uring's receive, which begins anew."""
        relay = self.start_relay(f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
        for _ in range(300):
            self.socket.sendto(b"", ("127.0.0.1", relay.relay_port))
        wait_until(lambda: b"presence_relay_datagrams_received_total 300" in
                   relay.get("/metrics")[2], "all of them to be counted")
        self.check_sleeps(relay)
        self.assertEqual(relay.stop(), 0)


if __name__ == "__main__":
    unittest.main()
