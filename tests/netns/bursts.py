"""Senders of libpresence between network namespaces, and the collector that they send to."""

import itertools
import os
import subprocess
import time

from harness import BUILD, DEADLINE, Case, wait_until
from veth import V4, Pair

BURSTS = os.path.join(BUILD, "tests/netns/bursts")
SITE = "loss.example"
FIGURES = ("datagrams", "heartbeats", "expected", "received", "lost", "duplicates")


class Program:
    """A program in the senders' namespace that answers lines on stdin by lines on stdout."""

    def __init__(self, test, *command):
        self.process = subprocess.Popen([*test.pair.prefix, *command], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        test.addCleanup(self.end)

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it ended with {self.process.wait(timeout=DEADLINE)}")
        return line.strip()

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        return self.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=DEADLINE)
        self.process.stdout.close()


class Sender(Program):
    """A sender of bursts, which is alive in between. All its datagrams are of one visitor."""

    numbers = itertools.count(1)

    def __init__(self, test, address, stream=None, target=0, options=()):
        self.stream = f"{stream or next(self.numbers):016x}"
        super().__init__(test, BURSTS, address, SITE, self.stream, str(target), *options)

    def burst(self, datagrams):
        """Returns how many it has sent since the start, those included that the kernel refused."""
        totals = self.totals(datagrams)
        return totals["datagrams"] + totals["failed"]

    def totals(self, datagrams=0):
        """Send a burst, and return libpresence's totals."""
        names = "datagrams", "failed", "heartbeats", "refused"
        return dict(zip(names, map(int, self.ask(datagrams).split()), strict=True))


class Outside(Case):
    """The collector, and senders of bursts in the other namespace."""

    def setUp(self):
        super().setUp()
        self.pair = Pair()
        self.pair.__enter__()
        self.addCleanup(self.pair.__exit__)

    def collect(self, *arguments, host=V4):
        os.path.exists(self.segment) and os.unlink(self.segment)
        collector = self.start("--max-entries", "1000000", *arguments, listen=f"{host}:0")
        self.address = f"{host}:{collector.port}"
        return collector

    def senders(self):
        """Return the figures of each stream, by its id and target."""
        return {(sender["stream"], sender["target"]): {name: sender[name] for name in FIGURES}
                for sender in self.json("senders")["senders"]}

    def figures_of(self, sender):
        return self.senders()[sender.stream, 0]

    def begin(self, options=(), **keywords):
        """Start a sender, and wait until its first datagram is there: the lowest is 1."""
        before = self.stats()["datagrams_received"]
        sender = Sender(self, self.address, options=options, **keywords)
        wait_until(lambda: sender.burst(1) and self.stats()["datagrams_received"] > before,
                   "the first datagram")
        wait_until(lambda: (sender.stream, 0) in self.senders(), "the stream to be known")
        self.assertEqual(self.figures_of(sender)["lost"], 0, "the machine is too busy to tell")
        return sender

    def check_goes_on(self, sender):
        """Check that the loss of the only stream is known, now that its sender goes on; returns it.

        Nothing but the stream's own empty datagrams is needed, of which there is one a second."""
        begin = time.monotonic()
        sent = sender.burst(0)
        wait_until(lambda: self.figures_of(sender)["expected"] >= sent,
                   lambda: f"number {sent}, or a later one: {self.senders()}")
        waited = time.monotonic() - begin
        seen = None

        def same():
            """Return the figures, if nothing was sent or received while they were read."""
            nonlocal seen
            seen = sender.burst(0), self.stats(), self.figures_of(sender)
            sent, stats, figures = seen
            quiet = sender.burst(0) == sent and self.stats() == stats
            # A late collector counts nothing either, while the last one is on its way.
            arrived = figures["expected"] >= sent
            return quiet and arrived and figures["datagrams"] == stats["datagrams_received"]

        wait_until(same, lambda: f"the counters to say what the stream does: {seen}")
        sent, stats, figures = seen
        received = stats["datagrams_received"] - stats["datagrams_rejected_duplicate"]
        self.assertEqual(figures["expected"], sent)
        self.assertEqual(figures["received"], received)
        self.assertEqual(figures["lost"], sent - received)
        self.assertEqual(figures["duplicates"], stats["datagrams_rejected_duplicate"])
        self.assertEqual((stats["streams_expected"], stats["streams_received"]), (sent, received))
        self.assert_accounted(stats)
        print(f"{sent} sent, {figures['lost']} lost, {figures['duplicates']} duplicates; "
              f"{stats['socket_drops']} dropped at the socket, {self.pair.lost()} by the veth; "
              f"known after {waited:.1f} s")
        return figures["lost"]
