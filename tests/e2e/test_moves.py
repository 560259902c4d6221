"""Restarts with other settings, of another version, and on a damaged segment: what moves into the
new one is what it was, what does not starts anew, and the log says which."""

import json
import os
import random
import signal
import struct
import subprocess
import time
import unittest

from earlier_layout import HEADERS, make_earlier
from exporter import ExporterCase
from harness import (
    DEADLINE, PRESENCECTL, native, native2, program, visitor, wait_away_from_midnight, wait_until,
)
from side_by_side import AT_ONCE, SideBySide

SITE = "a.example"
SETTINGS = {"max-entries": 1000, "max-scopes": 16, "max-histories": 6, "events": 128,
            "max-window": 600, "max-streams": 8}
PEOPLE = 40

# What is changed, whether the counts move, what the log says.
CHANGES = (
    ({"max-scopes": 64}, True, r"replaced for --max-scopes 64 \(was 16\): everything moved$"),
    ({"max-scopes": 6}, True, r"--max-scopes 6 \(was 16\): everything moved$"),
    ({"max-scopes": 4}, False, r"--max-scopes 4 \(was 16\): .*counts start anew; "
                               r"no room for 1 scope$"),
    ({"max-histories": 60}, True, r"--max-histories 60 \(was 6\): everything moved$"),
    ({"max-histories": 1}, True, r"everything moved; no room for 4 histories$"),
    ({"max-histories": 0}, True, r"everything moved; no room for 5 histories$"),
    ({"events": 1024}, True, r"--events 1024 \(was 128\): everything moved$"),
    ({"events": 64}, True, r"--events 64 \(was 128\): everything moved$"),
    ({"events": 0}, True, r"everything moved; no room for \d+ events$"),
    ({"max-streams": 100}, True, r"replaced for --max-streams 100 \(was 8\): everything moved$"),
    ({"max-streams": 1}, True, r"everything moved; no room for 1 stream$"),
    ({"max-window": 3600}, True, r"--max-window 3600 \(was 600\): everything moved$"),
    ({"max-window": 300}, True, r"--max-window 300 \(was 600\): everything moved$"),
    ({"max-entries": 5000}, False,
     r"replaced for --max-entries 5000 \(was 1000\): histories, peaks, events, streams and counters "
     r"moved, counts start anew$"),
    ({"max-entries": 200}, False, r"--max-entries 200 \(was 1000\): .*counts start anew$"),
    ({"max-scopes": 64, "max-histories": 20, "events": 512, "max-window": 3600}, True,
     r"--max-scopes 64 .*--max-window 3600 .*--max-histories 20 .*--events 512 .*everything moved$"),
    ({"max-entries": 9000, "max-scopes": 20, "max-histories": 2, "events": 64,
      "max-window": 300}, False, r"--max-entries 9000 .*counts start anew; no room for"),
)


def section(data, number):
    """Offset and size of one of the segment's sections."""
    return struct.unpack_from("=QQ", data, 88 + 40 + 16 * number)


COUNTERS, ENTRIES, HEADS, RINGS, TABLE, ACTIVITIES, HISTORIES, MINUTES, EVENTS, STREAMS = range(10)


class MoveCase(SideBySide, ExporterCase):
    def setUp(self):
        super().setUp()
        wait_away_from_midnight()  # peaks are of the day

    def begin(self, changes=(), *arguments, **keywords):
        settings = {**SETTINGS, **dict(changes)}
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self.collector = self.start(*options, *arguments, small=False, **keywords)
        return self.collector

    def fill(self):
        """Everything that can move: five scopes, events, a peak, a minute, two streams."""
        people = [visitor(number) for number in range(PEOPLE)]
        self.send(self.collector,
                  native(SITE, people, room="/r", country="DE"),
                  native(SITE, people[:10], room="/s", source="news.example", kind=3),
                  native(SITE, people[30:], kind=2),
                  native(SITE, people[:2], kind=4, event="buy"),
                  native2(stream=1, sequence=5), native2(stream=2, sequence=7))
        self.wait_received(6)
        wait_until(lambda: (self.peak() or 0) >= PEOPLE - 10, "the peak")
        wait_until(lambda: self.json("history", SITE)["history"], "the history")

    @staticmethod
    def wait_next_second():
        """Wait until the collector's tick is a later one."""
        second = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) >= second + 1, "the next second")

    def peak(self, *place):
        answer = self.json("peak", *(place or (SITE,)))
        return answer["ever"] and answer["ever"]["count"]

    def events(self):
        return self.json("events", SITE, "--limit", "0")["events"]

    def counts(self):
        return {place: self.json("count", SITE, *place)["count"]
                for place in ((), ("/r",), ("/s",), ("--country", "DE"))}

    def replaced(self, by):
        """The line that the log has of a new segment."""
        lines = [line for line in by.output().splitlines() if "replaced" in line]
        self.assertEqual(len(lines), 2, by.output())
        return lines[0]

    def assert_verified(self):
        status, out, err = self.ctl("verify")
        self.assertEqual(status, 0, out + err)


class OtherSettings(MoveCase):
    def change(self, changes, moves, line, how):
        first = self.begin((), "--warm-up", "1")
        self.fill()
        wait_until(lambda: not self.json("count", SITE)["warming"], "the warm-up")
        before = self.counts(), self.stats(), self.events(), self.json("peak", SITE)
        minutes = self.json("history", SITE)["history"]
        first.process.send_signal(how)
        first.process.wait(timeout=DEADLINE)

        # Those that moved are not warming, the others will be for a while.
        second = self.begin(changes, "--warm-up", "1" if moves else "600")
        self.assertRegex(self.replaced(second), line)
        counts, stats, events, peak = before
        self.assertEqual(self.json("count", SITE)["warming"], not moves)
        shown = self.counts()
        if "max-scopes" in changes and not moves:
            self.assertEqual(shown[()], 0)
        else:
            self.assertEqual(shown, counts if moves else dict.fromkeys(counts, 0))
        self.assertEqual(self.stats(), stats)
        self.assertEqual(self.json("peak", SITE)["ever"], peak["ever"])
        self.assertEqual(self.json("peak", SITE)["today"], peak["today"])
        self.assert_verified()
        if changes.get("max-histories") != 0:
            again = self.json("history", SITE)["history"]
            self.assertEqual([minute["time"] for minute in again][:len(minutes)],
                             [minute["time"] for minute in minutes])
            # Whoever has not moved has not departed. The ten who left have, too, if they were uncounted
            # while a sample was taken.
            self.assertIn(sum(minute["departures"] for minute in again), (0, 10))
        if changes.get("events") != 0:
            again = self.events()
            self.assertEqual(again, events[-len(again):])
            self.assertGreaterEqual(len(again), min(len(events), changes.get("events", 128)))

        self.wait_next_second()  # a site has a few events in each
        self.send(second, native(SITE, [visitor(i) for i in range(5, PEOPLE + 10)]),
                  native2(stream=2, sequence=7), native2(stream=2, sequence=8))
        self.wait_received(stats["datagrams_received"] + 3)
        self.assertEqual(self.stats()["datagrams_rejected_duplicate"], 1)
        self.assertEqual(self.count(SITE), PEOPLE + 10 if moves else PEOPLE + 10 - 5)
        if changes.get("events") != 0:  # a few of those who entered are told of
            told = [event["sequence"] for event in self.events()]
            self.assertGreater(told[-1], events[-1]["sequence"])
            self.assertEqual(told, list(range(told[0], told[-1] + 1)))
        self.assert_verified()
        self.assertEqual(os.listdir(self.directory), ["segment"])
        self.assertEqual(second.stop(), 0)

    def test_each_change(self):
        self.check_side_by_side(OtherSettings.change, [
            (*change, signal.SIGTERM if number % 3 else signal.SIGKILL)
            for number, change in enumerate(CHANGES)])

    def test_there_and_back(self):
        """Nothing is lost by the way, through several restarts."""
        self.begin()
        self.fill()
        counts, stats = self.counts(), self.stats()
        for changes in ({"max-scopes": 99}, {"max-window": 3600}, {"events": 4096}, {}, {},
                        {"max-histories": 30}, {}):
            self.collector.stop()
            self.begin(changes)
            self.assertEqual((self.counts(), self.stats()), (counts, stats))
            self.assert_verified()

    def test_readers_go_on(self):
        """Whoever follows the events misses none and sees none twice; an exporter has the counts of
        the new segment."""
        self.begin()
        self.fill()
        exporter = self.export()
        first = self.events()[0]["sequence"]
        command = [PRESENCECTL, "events", "--follow", SITE, "--json", "--since", str(first),
                   "--segment", self.segment]
        sequences, wanted = [], len(self.events())
        with program(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                     text=True) as process, process.stdout:
            def follow(count):
                for _ in range(count):
                    sequences.append(json.loads(process.stdout.readline())["sequence"])

            follow(wanted)
            # Rings so long that the events of a second are not thinned out.
            for number, changes in enumerate(({"events": 4096}, {"events": 2048, "max-entries": 3000},
                                              {"events": 1024, "max-scopes": 7})):
                self.wait_up(exporter)
                self.collector.stop()
                self.begin(changes)
                self.send(self.collector, native(SITE, [visitor(500 + number)]))
                follow(1)
                wait_until(lambda: self.is_up(exporter) and self.value(
                    exporter, "presence_active_visitors", site=SITE, window="5m") == self.count(SITE),
                    "the exporter to have reopened")
        self.assertEqual(sequences, list(range(first, first + wanted + 3)))

    def test_killed_in_the_middle(self):
        """The old one is whole until the new one is: at no moment is anything lost."""
        size = {"max-entries": 4000000}  # takes some time to move
        self.begin(size)
        self.fill()
        counts, stats, events = self.counts(), self.stats(), self.events()
        self.collector.stop()
        scopes = 16
        for attempt in range(12):
            scopes += 1
            changes = {**size, "max-scopes": scopes}
            collector = self.begin(changes, wait=False)
            time.sleep(random.uniform(0, 0.12))  # anywhere: it need not be in the middle
            collector.process.kill()
            collector.process.wait(timeout=DEADLINE)
            with self.subTest(attempt=attempt, scopes=scopes):
                self.assertEqual((self.counts(), self.stats(), self.events()),
                                 (counts, stats, events))
        self.begin({**size, "max-scopes": scopes})
        self.assertEqual((self.counts(), self.stats(), self.events()), (counts, stats, events))
        self.assert_verified()

    def test_earlier_versions(self):
        """What versions before have left moves, too."""
        for version in HEADERS:
            with self.subTest(version=version):
                self.check_version(version)
                self.collector.stop()
                os.unlink(self.segment)

    def check_version(self, version):
        self.begin()
        self.fill()
        counts, events, peak = self.counts(), self.events(), self.peak()
        self.collector.stop()
        make_earlier(self.segment, version)
        self.begin()
        self.assertRegex(self.replaced(self.collector),
                         "replaced in this version's layout: everything moved$")
        self.assertEqual((self.counts(), self.events(), self.peak()), (counts, events, peak))
        self.assert_verified()

    def test_another_boot(self):
        self.begin()
        self.fill()
        self.collector.stop()
        with open(self.segment, "r+b") as file:
            file.seek(24)
            file.write(bytes(16))
        self.begin({"max-scopes": 50})
        self.assertRegex(self.replaced(self.collector), "nothing of the old one: .*earlier boot$")
        self.assertEqual(self.ctl("count", SITE)[0], 4)


class Damaged(MoveCase):
    """The daemon lives, says what was wrong, and counts anew."""

    def entry_of(self, data, name):
        """The offset of the entry with a name, and its index."""
        offset, size = section(data, ENTRIES)
        for index in range(size // 384):
            at = offset + 384 * index
            if data[at + 33] == len(name) and data[at + 34:at + 34 + len(name)] == name:
                return at, index
        raise AssertionError(f"no entry of {name}")

    def history_of(self, data, name):
        offset, size = section(data, HISTORIES)
        for at in range(offset, offset + size, 640 + 64 * 32):
            if data[at + 114] == len(name) and data[at + 368:at + 368 + len(name)] == name:
                return at
        raise AssertionError(f"no history of {name}")

    def damages(self, good):
        """(what, offset, bytes): each makes a sound segment one that no daemon can have left."""
        site, index = self.entry_of(good, SITE.encode())
        room, room_index = self.entry_of(good, b"/r")
        history = self.history_of(good, b"/r")
        ring = section(good, RINGS)[0] + 4608 * index
        room_activity = section(good, ACTIVITIES)[0] + 64 * room_index
        tick = struct.unpack_from("=Q", good, 336)[0]
        bucket = ring + 8 * (tick % 512)
        events, _ = section(good, EVENTS)
        minutes, _ = section(good, MINUTES)
        streams, _ = section(good, STREAMS)
        minute = next(at for at in range(minutes, len(good), 48) if any(good[at:at + 8]))
        return (
            ("a site's own index is out of range", site + 28, struct.pack("=I", 0xfffffff0)),
            ("a site's own index is another's", site + 28, struct.pack("=I", room_index)),
            ("a room's site is out of range", room + 28, struct.pack("=I", 1 << 20)),
            ("a room's site is itself", room + 28, struct.pack("=I", room_index)),
            ("a kind", room + 32, b"\xc8"),
            ("a name without length", room + 33, b"\0"),
            ("a name of no text", room + 34, b"\xff\xfe"),
            ("an upper-case site", site + 34, b"A"),
            ("a name's hash", room + 8, bytes(8)),
            ("a chain into nowhere", room + 24, struct.pack("=I", 0xffffffff)),
            ("a chain in a circle", room + 24, struct.pack("=I", room_index + 1)),
            ("a head out of range", section(good, HEADS)[0], struct.pack("=I", 9999) * 16),
            ("a heartbeat to come", room + 16, struct.pack("=Q", (1 << 64) - 1)),
            ("a count too large", bucket, struct.pack("=iI", 0x7fffffff, tick & 0xffffffff)),
            ("a count below 0", bucket, struct.pack("=iI", -0x80000000, tick & 0xffffffff)),
            ("a bucket to come", ring, struct.pack("=iI", 5, (tick // 512 + 9) * 512)),
            ("counts of all buckets", ring, struct.pack("=iI", 700, tick & 0xffffffff) * 512),
            ("a peak to come", room_activity + 40, struct.pack("=II", tick + 9999, 7)),
            ("a total", room_activity, struct.pack("=Q", 1 << 62)),
            ("a counter", section(good, COUNTERS)[0], struct.pack("=Q", 1 << 63)),
            ("a history's scope", history + 104, struct.pack("=I", 1 << 30)),
            ("a history's kind", history + 112, b"\x63"),
            ("a history's site", history + 113, b"\xff"),
            ("a history's name", history + 368, b"\n"),
            ("a history's sample to come", history + 40, struct.pack("=Q", 1 << 60)),
            ("a history's count", history + 108, struct.pack("=I", 0xffffffff)),
            ("a minute to come", minute, struct.pack("=Q", (1 << 60) | 0x101)),
            ("a minute's sum", minute + 8, struct.pack("=Q", 1 << 60)),
            ("events to come", events + 128, struct.pack("=Q", (1 << 64) - 1)),
            ("events that never began", events, struct.pack("=Q", (1 << 63))),
            ("an event's claim", events + 256, struct.pack("=Q", (1 << 63) - 1)),
            ("an event's number", events + 256 + 8, struct.pack("=Q", (1 << 64) - 2)),
            ("a table of words to come", section(good, TABLE)[0],
             struct.pack("=Q", 1 << 40 | (tick + 5000) & 0xfffff) * 64),
            ("a text without end", 368, b"x" * 16),
            ("samples to come", 576, struct.pack("=Q", tick + 99999)),
            ("listening since a future tick", 344, struct.pack("=Q", tick + 99999)),
            ("a day", 584, struct.pack("=q", -1)),
            ("a stream's time to come", streams + 48, struct.pack("=Q", tick + 99999)),
            ("a stream that received too much", streams + 56, struct.pack("=Q", 9)),
            ("a stream's numbers", streams + 80, struct.pack("=Q", 1 << 63)),
            ("a stream's address", streams + 19, b"\x05"),
        )

    def check(self, good, damages):
        for number, (what, offset, damage) in enumerate(damages):
            with self.subTest(what=what):
                os.path.exists(self.segment) and os.unlink(self.segment)
                with open(self.segment, "wb") as file:
                    file.write(good[:offset] + damage + good[offset + len(damage):])
                # With the same settings, or others.
                self.begin({"max-scopes": 20} if number % 4 == 0 else ())
                self.assertRegex(self.replaced(self.collector),
                                 r"replaced, with nothing of the old one: it was damaged \(.+\)$")
                self.assertEqual(self.ctl("count", SITE)[0], 4)
                self.assertEqual(self.stats()["datagrams_received"], 0)
                self.send(self.collector, native(SITE, [visitor(1), visitor(2)], room="/r"))
                self.wait_received(1)
                self.assertEqual((self.count(SITE), self.count(SITE, "/r")), (2, 2))
                self.assert_verified()
                self.assertEqual(self.collector.stop(), 0)

    def test_damaged_segments(self):
        self.begin()
        self.fill()
        self.collector.stop()
        with open(self.segment, "rb") as file:
            good = file.read()
        damages = self.damages(good)
        self.check_side_by_side(lambda test, part: test.check(good, damages[part::AT_ONCE]),
                                [(part,) for part in range(AT_ONCE)])

    def test_undamaged(self):
        """The same procedure without damage: it goes on."""
        self.begin()
        self.fill()
        counts = self.counts()
        self.collector.stop()
        with open(self.segment, "rb") as file:
            good = file.read()
        os.unlink(self.segment)
        with open(self.segment, "wb") as file:
            file.write(good)
        self.assertIn("attached", self.begin().output())
        self.assertEqual(self.counts(), counts)


if __name__ == "__main__":
    unittest.main()
