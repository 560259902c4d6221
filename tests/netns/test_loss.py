"""R7: what senders of version 2 lose on the way is known to the datagram, whatever loses it.

The senders are libpresence's; between them and the collector is a veth pair. The truth comes from
the other end: from the senders' own totals, and from what a forwarder really forwarded."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest

from bursts import FIGURES, SITE, Outside, Program, Sender
from harness import DEADLINE, ENGINES, PRESENCE_SEND, bound_sockets, freeze, wait_until, waiting_bytes
from veth import INSIDE, V4, V4_OUTSIDE, ip, poll_in_thread, random_loss, receive_in_batches

FORWARDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forwarder.py")
LONG = bool(os.environ.get("TEST_LONG"))
SEED = int(os.environ.get("TEST_SEED", "20261130"), 0)
BURST = 50000  # datagrams
COUNTERS = {"datagrams_received": "datagrams", "datagrams_rejected_duplicate": "duplicates",
            "streams_expected": "expected", "streams_received": "received"}


class Bursts(Outside):
    def test_bursts(self):
        """As fast as the sender can, in trains and one by one."""
        for engine, options in itertools.product(ENGINES, ((), ("no-offload",))):
            with self.subTest(engine=engine, options=options):
                collector = self.collect("--receive", engine)
                sender = self.begin(options)
                for _ in range(10 if LONG else 1):
                    sender.burst(BURST)
                    self.check_goes_on(sender)
                sender.end()
                self.assertEqual(collector.stop(), 0)

    def test_stopped_collector(self):
        """The kernel drops whole trains: its own count of them is only a lower bound."""
        for engine, options in itertools.product(ENGINES, ((), ("no-offload",))):
            with self.subTest(engine=engine, options=options):
                collector = self.collect("--receive", engine)
                sender = self.begin(options)
                sender.burst(BURST)
                freeze(collector.process)
                begin = time.monotonic()
                wait_until(lambda: sender.burst(BURST) and self.dropped() > 0 and
                           time.monotonic() - begin > 1, "the kernel to drop, and a second to pass")
                collector.thaw()
                lost = self.check_goes_on(sender)
                self.assertGreaterEqual(lost, self.stats()["socket_drops"])
                self.assertGreater(lost, 0)
                sender.end()
                self.assertEqual(collector.stop(), 0)

    def dropped(self):
        return sum(int(fields[12]) for fields in bound_sockets(self.address))

    def test_restarted_collector(self):
        """What was sent while it was away is lost, and known."""
        collector = self.collect()
        sender = self.begin()
        self.assertEqual(collector.stop(), 0)
        sender.burst(1000)
        collector = self.start("--max-entries", "1000000", listen=self.address)
        sender.burst(1000)
        self.assertGreaterEqual(self.check_goes_on(sender), 1000)


class Veth(Outside):
    def test_random_loss(self):
        """Of packets: some of them are whole trains."""
        for options in (), ("no-offload",):
            with self.subTest(options=options):
                collector = self.collect()
                sender = self.begin(options)
                with random_loss(INSIDE, 0.1):
                    sender.burst(BURST)
                    self.assertGreater(self.check_goes_on(sender), 0)
                sender.end()
                self.assertEqual(collector.stop(), 0)

    def test_full_queue(self):
        """Where the veth is polled, and its queue of 256 packets runs over. The sender is told of
        some, and sends them again, or gives up."""
        receive_in_batches(INSIDE, True)
        poll_in_thread(INSIDE)
        for options in ("no-wait",), ("no-wait", "no-offload"), ():
            with self.subTest(options=options):
                collector = self.collect("--xdp", INSIDE)
                if self.json("status")["filter"] != "native":
                    self.skipTest("a veth without a filter is not polled")
                before = self.pair.lost()
                sender = self.begin(options)
                wait_until(lambda: sender.burst(BURST) and self.pair.lost() > before,
                           "the veth to lose something")
                lost = self.check_goes_on(sender)
                if options:  # what failed never arrives
                    self.assertGreaterEqual(lost, max(1, sender.totals()["failed"]))
                sender.end()
                self.assertEqual(collector.stop(), 0)


class Forwarded(Outside):
    """Datagrams are lost, repeated, delayed and reordered on their way."""

    def load(self, address, seed):
        """Start a load of many places."""
        process = subprocess.Popen(
            [*self.pair.prefix, PRESENCE_SEND, "--to", address, "--site", SITE, "--visitors",
             "50000", "--rooms", "40", "--countries", "9", "--sources", "3", "--rate", "30000",
             "--seed", str(seed), "--duration", "30" if LONG else "3"], stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, DEADLINE)
        return process

    def check_forwarded(self, seed, *arguments):
        collector = self.collect(*arguments)
        ip("link", "set", "lo", "up", prefix=self.pair.prefix)
        forwarder = Program(self, sys.executable, FORWARDER, V4, str(collector.port), str(seed))
        address = f"{V4_OUTSIDE}:{forwarder.read()}"
        generator = random.Random(seed)
        loads = [self.load(address, generator.randrange(1, 1000)) for _ in range(2)]
        # The same stream to two targets, as of one program; and one more.
        senders = [Sender(self, address, stream=stream, target=target)
                   for stream, target in ((2**64 - 1, 0), (2**64 - 1, 65535), (7, 1))]
        while any(load.poll() is None for load in loads):
            for sender in senders:
                sender.burst(generator.randrange(300))
            self.wait_for_collector(forwarder)
            time.sleep(0.02)  # not to fill the forwarder's queue
        self.assertEqual([load.returncode for load in loads], [0, 0])
        self.assertEqual(forwarder.ask("calm"), "calm")
        begin = time.monotonic()

        def known():
            truth = {(known["stream"], known["target"]): {name: known[name] for name in FIGURES}
                     for known in json.loads(forwarder.ask("report"))}
            total = {name: sum(figures[name] for figures in truth.values()) for name in FIGURES}
            stats = self.stats()
            same = truth == self.senders() and all(
                stats[counter] == total[name] for counter, name in COUNTERS.items())
            return (truth, total, stats) if same else None

        truth, total, stats = wait_until(known, lambda: f"{forwarder.ask('report')}, not "
                                         f"{self.senders()}: {self.stats()}")
        waited = time.monotonic() - begin
        self.assertEqual(len(truth), 5)
        for name in FIGURES:
            self.assertGreater(min(figures[name] for figures in truth.values()), 0, name)
        self.assertEqual((stats["socket_drops"], self.pair.lost()), (0, 0))
        print(f"TEST_SEED={seed}: {total}, known after {waited:.1f} s")
        for program in *senders, forwarder:
            program.end()
        self.assertEqual(collector.stop(), 0)

    def wait_for_collector(self, forwarder):
        """Stop the forwarder while the collector is behind: what a full socket drops after it would
        be unknown. Meanwhile the forwarder's own socket may drop, which is only more loss."""
        if max(waiting_bytes(self.address)) > 1 << 20:
            freeze(forwarder.process)
            wait_until(lambda: max(waiting_bytes(self.address)) == 0, "the collector to catch up")
            forwarder.process.send_signal(signal.SIGCONT)

    def test_forwarder(self):
        print(f"TEST_SEED={SEED}")
        for i, (engine, workers) in enumerate(itertools.product(ENGINES, (1, 3))):
            with self.subTest(engine=engine, workers=workers, TEST_SEED=SEED + i):
                self.check_forwarded(SEED + i, "--receive", engine, "--workers", str(workers))


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
