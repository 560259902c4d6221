"""R7 and R9: what a relay has sent and a collector has not is known to the datagram, trains included.

Bursts fill buffers, an interface loses whole trains, and a forwarder repeats and reorders."""

import json
import os
import statistics
import sys
import time
import unittest

from bursts import BURSTS, Program
from harness import wait_until
from relay_targets import ATTEMPTS, FIGURES, ROUNDS, Targets
from test_loss import FORWARDER
from veth import ip, random_loss

SITE = "burst.example"
BURST = 50000  # heartbeats, each in a datagram of its own
SEED = int(os.environ.get("TEST_SEED", "20261202"), 0)


class Here:
    """A pair's part that Program needs: the senders are where the relay is."""

    prefix = ()


class Loss(Targets):
    pair = Here

    def setUp(self):
        super().setUp()
        self.sender = self.sender_to(self.device)
        self.bursts = 0

    def sender_to(self, relay):
        return Program(self, BURSTS, relay.address, SITE, "7", "0")

    def burst(self):
        """Send all at once, and wait until the relay has what its own socket did not drop."""
        sent = sum(map(int, self.sender.ask(BURST).split()[:2]))
        self.bursts += BURST

        count = self.device.value
        wait_until(lambda: count("streams_expected_total") >= sent, "the relay to know of all")
        # Only this stream has come: what is not lost is accepted, and what has heartbeats has one.
        lost = count("streams_expected_total") - count("streams_received_total")
        accepted = count("heartbeats_accepted_total")
        self.assertLessEqual(self.bursts - accepted, lost)
        return accepted

    def check(self, victim_loses):
        losses = self.check_accounts()
        print(f"datagrams and heartbeats lost on the way to each: {losses}; "
              f"{self.bursts - int(self.device.value('heartbeats_accepted_total'))} before the relay")
        if victim_loses is not None:
            self.assertEqual(losses[2][0] > 0, victim_loses)
        return losses

    def test_bursts(self):
        for _ in range(3):
            self.burst()
            self.check(None)

    def time_of_burst(self):
        """Returns how long it takes until one that works has all of it, or knows that it has not."""
        begin = time.monotonic()
        self.burst()

        def arrived():
            account = self.account(0)
            sent = account["datagrams"] + account["datagrams_failed"]
            return account["heartbeats_waiting"] == 0 and self.stream(0)["expected"] >= sent

        wait_until(arrived, "the burst to be counted")
        return time.monotonic() - begin

    def test_bursts_while_one_is_stopped(self):
        tried = []
        for _ in range(ATTEMPTS):
            calm, broken = [], []
            for _ in range(ROUNDS):
                calm.append(self.time_of_burst())
                self.collector.freeze()
                broken.append(self.time_of_burst())
                self.collector.thaw()
            self.check(None)
            tried.append((statistics.median(calm), statistics.median(broken)))
            if tried[-1][1] < 1.5 * tried[-1][0] + 0.05:
                print(f"a burst takes {tried[-1][0]:.2f} s, then {tried[-1][1]:.2f} s")
                return
        self.fail(f"bursts take longer while a collector is stopped: {tried}")

    def test_stopped(self):
        """A stopped collector's buffer takes some; trains that find it full are lost as a whole."""
        self.burst()
        packets = self.packets()
        before = self.account(2)["datagrams"]
        self.collector.freeze()
        wait_until(lambda: self.burst() and self.dropped() > 0, "the kernel to drop")
        self.assertLess(self.packets() - packets, self.account(2)["datagrams"] - before,
                        "the relay sends no trains")
        self.collector.thaw()
        lost, _ = self.check(True)[2]
        self.segment = self.collector.segment
        self.assertGreaterEqual(lost, self.stats()["socket_drops"])

    def packets(self):
        """Packets to the one that suffers: a train is one."""
        return ip("-statistics", "link", "show", self.spoke.near)[0]["stats64"]["tx"]["packets"]

    def dropped(self):
        """Of its socket's drops so far (proc_net_udp)."""
        with open(f"/proc/{self.collector.process.pid}/net/udp", encoding="ascii") as table:
            return sum(int(line.split()[12]) for line in list(table)[1:])

    def test_trains_that_get_lost(self):
        # What is lost before the first that arrives is unknown: let the sign of life be that.
        wait_until(lambda: self.stream(2), "the stream to be known")
        with random_loss(self.spoke.far, 0.2, prefix=self.spoke.prefix):
            for _ in range(3):
                self.burst()
        self.check(True)

    def test_repeated_and_reordered(self):
        """The forwarder's own account says what a collector can know."""
        print(f"TEST_SEED={SEED}")
        victim = self.collectors[2]
        host, port = victim.address.rsplit(":", 1)
        forwarder = Program(self, sys.executable, FORWARDER, host, port, str(SEED))
        address = f"{self.spokes[0].near_address}:{forwarder.read()}"
        relay = self.relay("--to", f"through={address}")
        sender = self.sender_to(relay)
        to = {"group": "through", "shard": "1", "target": address}
        for _ in range(40):
            sender.ask(2000)
        wait_until(lambda: relay.value("target_heartbeats_total", **to) == 80000,
                   "the relay to hand over all")
        self.assertEqual(forwarder.ask("calm"), "calm")

        def known():
            """The forwarder's account, once the collector has the same."""
            truth = json.loads(forwarder.ask("report"))
            streams = {stream["stream"]: stream for stream in self.json_of(2)["senders"]}
            return [each for each in truth if each["sent"] == 80000 and all(
                streams.get(each["stream"], {}).get(name) == each[name] for name in FIGURES)]

        truth, = wait_until(known, lambda: f"{forwarder.ask('report')}: {self.json_of(2)}")
        self.assertGreater(min(truth[name] for name in ("lost", "duplicates")), 0)
        self.assertEqual(self.counted(self.victim), truth["heartbeats"])
        print(f"{truth['sent'] - truth['heartbeats']} heartbeats of {truth['sent']} lost: {truth}")


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
