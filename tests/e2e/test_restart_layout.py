"""Upgrades to another layout of the segment, and back, under load: the sockets are the same all the
time, and the segment moves, or is kept."""

import itertools
import os
import struct
import time
import unittest

from earlier_layout import HEADERS, make_earlier
from exporter import ExporterCase
from harness import native2, visitor, wait_until
from restart import SITE, Restart
from web import WebCase

VISITORS = 500
ENTRIES = "10000000" if os.environ.get("TEST_LONG") else "100000"


def heartbeats(senders):
    """Heartbeats of the same visitors, over and over: each sender in turn sends ten of its stream."""
    for i in itertools.count():
        first = 10 * (i // senders)
        yield [native2((SITE, [visitor((i + j) % VISITORS)], {}), stream=1 + i % senders,
                       sequence=first + j + 1) for j in range(10)]


@unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes during a restart")
class Layout(Restart, ExporterCase, WebCase):
    def version(self):
        with open(self.segment, "rb") as file:
            return struct.unpack_from("=H", file.read(10), 8)[0]

    def begin(self):
        """A load, and readers that go on: an exporter, and a stream of presence-web."""
        self.arguments = "--workers", "2", "--max-entries", ENTRIES
        self.collector = self.start_managed(*self.arguments)
        self.traffic = self.load(self.collector, heartbeats(3))
        wait_until(lambda: self.counted() and self.count(SITE) == VISITORS, "all visitors")
        self.exporter, self.web = self.export(), self.serve()
        self.wait_readers()

    def wait_readers(self):
        """Wait until each reader says that all visitors are there, now."""
        def is_fresh():
            answer = self.live(self.web, SITE)
            return answer["count"] == VISITORS and not answer["stale"]

        wait_until(lambda: self.is_up(self.exporter) and self.value(
            self.exporter, "presence_active_visitors", site=SITE, window="5m") == VISITORS,
            "the exporter to go on")
        wait_until(is_fresh, "presence-web to go on")

    def restart(self, version):
        """The collector ends, the segment becomes what another version left, and one starts."""
        cookies = self.manager.cookies()
        begin = time.monotonic()
        self.end(self.collector)
        make_earlier(self.segment, version)
        self.collector = self.start_managed(*self.arguments)
        took = time.monotonic() - begin
        self.assertEqual(self.manager.cookies(), cookies)
        print(f"{int(ENTRIES):,} entries, version {version}: {1000 * took:.0f} ms")

    def finish(self, counted=0):
        self.traffic.stop()
        stats = self.wait_received(self.traffic.sent - counted)
        self.assertEqual(self.not_empty(stats) + counted, self.traffic.sent)
        self.assertEqual(stats["socket_drops"], 0)
        self.assertEqual(self.collector.stop(), 0)
        return stats

    def test_upgrade(self):
        """Nothing is lost: counts, histories and counters stay, readers go on, and no stream misses
        a datagram."""
        self.begin()
        peak = wait_until(lambda: (peak := self.json("peak", SITE)["ever"]) and
                          peak["count"] == VISITORS and peak, "a sample of them")
        for version in sorted(HEADERS, reverse=True):
            self.restart(version)
            self.assertRegex(self.collector.output(), "in this version's layout: everything moved")
            self.assertEqual(self.count(SITE), VISITORS)
            self.wait_readers()
        self.assertEqual(self.json("peak", SITE)["ever"], peak)
        stats = self.finish()
        for name in "datagrams_accepted", "streams_expected", "streams_received":
            self.assertEqual(stats[name], self.traffic.sent, name)

    def test_downgrade(self):
        """Counts start anew, from what has waited on; the newer segment keeps another name."""
        self.begin()
        newer = os.stat(self.segment).st_ino
        cookies = self.manager.cookies()
        self.end(self.collector)
        counted = self.not_empty(self.stats())
        version = self.version()
        self.write_header((8, "=H"), 99)
        self.collector = self.start_managed(*self.arguments)
        kept = self.segment + ".newer"
        self.assertRegex(self.collector.output(),
                         f"replaced, with nothing of the old one: it is of a newer version; the "
                         f"old one is kept as {kept}\n")
        self.assertEqual((os.stat(kept).st_ino, self.manager.cookies()), (newer, cookies))
        self.wait_readers()
        self.finish(counted)
        # That version comes back, and the operator gives it what it left.
        os.rename(kept, self.segment)
        self.write_header((8, "=H"), version)
        self.collector = self.start_managed(*self.arguments)
        self.assertRegex(self.collector.output(), "attached")
        self.assertGreaterEqual(self.not_empty(self.stats()), counted)
        self.assertEqual(self.collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
