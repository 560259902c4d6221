"""Streams through restarts and kills under load, in a full table and without one: what was received
counts once, and what was lost is known."""

import itertools
import os
import signal
import unittest

from harness import Case, native2, visitor, wait_until
from restart import BURST, SITE, Restart

SENDERS = 3
WORKERS = 2


def beat(stream, sequence):
    return native2((SITE, [visitor(sequence % 100)], {}), stream=stream, sequence=sequence)


def in_turn():
    """Each sender in turn sends ten of its stream."""
    for i in itertools.count():
        first = 10 * (i // SENDERS)
        yield [beat(1 + i % SENDERS, first + j + 1) for j in range(10)]


class StreamsCase(Case):
    def streams(self):
        """The streams that the segment has, by id."""
        return {int(each["stream"], 16): each for each in self.json("senders")["senders"]}

    def figures(self, stream):
        found = self.streams()[stream]
        return found["expected"], found["received"], found["duplicates"]

    def wait_all(self, number):
        wait_until(lambda: self.stats()["datagrams_received"] >= number,
                   lambda: f"{number} datagrams: {self.stats()}")


class Streams(StreamsCase):
    def test_restarts_keep_what_was_seen(self):
        for how in signal.SIGTERM, signal.SIGKILL:
            with self.subTest(how=how):
                collector = self.start()
                self.send(collector, *(beat(7, sequence) for sequence in range(1, 11)
                                       if sequence != 4))
                self.wait_all(9)
                collector.stop(how)
                collector = self.start()
                self.assertEqual(self.figures(7), (10, 9, 0))
                self.send(collector, beat(7, 1), beat(7, 10), beat(7, 4), beat(7, 4), beat(7, 12))
                self.wait_all(14)
                self.assertEqual(self.figures(7), (12, 11, 3))
                stats = self.stats()
                self.assertEqual((stats["streams_expected"], stats["streams_received"],
                                  stats["datagrams_rejected_duplicate"]), (12, 11, 3))
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)

    def test_a_full_table(self):
        """Streams without a place are counted, and only counted."""
        for room in 2, 0:
            with self.subTest(room=room):
                collector = self.start("--max-streams", str(room))
                self.send(collector, *(beat(stream, sequence) for stream in range(1, 5)
                                       for sequence in (1, 3, 3)))
                self.wait_all(12)
                stats = self.stats()
                self.assertEqual(
                    [stats[name] for name in ("streams_expected", "streams_received",
                                              "datagrams_rejected_duplicate", "streams_full")],
                    [3 * room, 2 * room, room, 3 * (4 - room)])
                self.assertEqual(stats["datagrams_accepted"], 12 - room)
                if room:
                    self.assertEqual(sorted(self.streams()), [1, 2])
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)


@unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes during a restart")
class UnderLoad(Restart, StreamsCase):
    def test_kills(self):
        """A kill loses what the workers had in hand, no more; no datagram is taken for another."""
        arguments = "--workers", str(WORKERS)
        collector = self.start_managed(*arguments)
        traffic = self.load(collector, in_turn())
        wait_until(lambda: len(self.streams()) == SENDERS, "all streams")
        kills = 0
        for how in signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL:
            before = sum(each["received"] for each in self.streams().values())
            wait_until(lambda: sum(each["received"] for each in self.streams().values()) >
                       before + 500, "datagrams")
            self.end(collector, how)
            kills += how == signal.SIGKILL
            collector = self.start_managed(*arguments)
        sent = traffic.sent
        wait_until(lambda: traffic.sent > sent + 100 * SENDERS, "datagrams after the last restart")
        traffic.stop()
        wait_until(lambda: sum(each["expected"] for each in self.streams().values()) == traffic.sent,
                   lambda: f"{traffic.sent} sent: {self.streams()}")
        for each in self.streams().values():
            self.assertEqual((each["duplicates"], each["lost"]),
                             (0, each["expected"] - each["received"]))
        lost = sum(each["lost"] for each in self.streams().values())
        self.assertLessEqual(lost, kills * WORKERS * BURST + self.stats()["socket_drops"])
        # What came last is known: none of it counts again.
        received = self.stats()["datagrams_received"]
        highest = {stream: each["expected"] for stream, each in self.streams().items()}
        again = [beat(stream, sequence) for stream, last in highest.items()
                 for sequence in range(last - 30, last + 1)]
        self.send(collector, *again)
        self.wait_all(received + len(again))
        self.assertEqual(self.stats()["datagrams_rejected_duplicate"], len(again))
        print(f"{traffic.sent} sent, {lost} lost by {kills} kills")
        self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
