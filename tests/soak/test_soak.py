"""An hour at half of the highest rate: all counts are exact after each round, and nothing grows."""

import itertools
import json
import os
import signal
import statistics
import subprocess
import time
import unittest

from harness import DEADLINE, PRESENCECTL, wait_until
from library import Presence
from programs import CROWD, LEAVING, PLACE, RATE, SITE, TEXT, Programs, Readers, own

MINUTES = float(os.environ.get("SOAK_MINUTES") or 60)
LOAD_S = 40  # of a round
QUIET_S = 4  # without a datagram: what is sent then is told from the load by its ticks
TOUCHES = 50
TURNS = [(what, how) for how in (signal.SIGTERM, signal.SIGKILL)
         for what in ("presenced", "relay", "publisher", "web", "exporter", "recorder")]
MEMORY_SLACK, MEMORY_GROWTH = 512 * 1024, 1.02
LATENCY_SLACK, LATENCY_GROWTH = 500, 1.5  # microseconds


class Quiet:
    """A time in which only what the round's check sends is counted, and who reads it."""

    def __init__(self, reader):
        self.reader, self.begin = reader, int(time.clock_gettime(time.CLOCK_BOOTTIME))

    def window(self):
        """Of all that was sent in it. The load before ended four ticks earlier."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME)) - self.begin + 2

    def count(self, *scope):
        return self.reader.count(*scope, window=self.window())

    def wait_count(self, count, *scope):
        wait_until(lambda: self.count(*scope) == count,
                   lambda: f"{scope} to be {count}: it is {self.count(*scope)}")


@unittest.skipUnless(os.environ.get("TEST_LONG"), "takes an hour: TEST_LONG")
class Soak(Programs):
    def test_soak(self):
        self.start_all()
        self.readers_of = {"a": Presence(self, self.a.segment)}
        readers = Readers(self)
        readers.start()
        self.addCleanup(readers.over.set)
        self.samples, begin = [], time.monotonic()
        for number in itertools.count():
            self.samples.append(self.round(number))
            if time.monotonic() - begin > 60 * MINUTES:
                break
        readers.stop()
        print(f"{len(self.samples)} rounds, {sum(sample['sent'] for sample in self.samples):,} heartbeats, "
              f"{readers.reads:,} turns of readers")
        self.judge_latency()
        self.judge_memory()

    # ---- a round ----

    def round(self, number):
        """Load with a restart in it, then rest, and a check of all counts; returns what was measured."""
        edges = self.edges(number, LOAD_S)
        what, how = TURNS[number % len(TURNS)]
        self.restart(what, how)
        p99, lost = self.probe()
        sent = self.wait_sent(*edges)
        self.wait_quiet()
        drops = self.readers_of["a"].counter("socket_drops")
        self.check(number)
        sample = {"p99": p99, "lost": lost, "sent": sent, "drops": drops,
                  "own": {name: own(one.process) for name, one in self.steady.items()}}
        print(f"round {number}: {sent / LOAD_S:,.0f} heartbeats a second, {drops} dropped so far, p99 {p99} µs, "
              f"{lost} lost; {what} {how.name}; " + ", ".join(
                  f"{name} {memory >> 10} KB {descriptors} fd {threads} threads"
                  for name, (memory, descriptors, threads) in sample["own"].items()), flush=True)
        return sample

    def wait_quiet(self):
        """Wait until nothing is under way any more."""
        reader, last = self.readers_of["a"], [None, 0]

        def quiet():
            heartbeats = sum(reader.counter(name) for name in ("heartbeats_new", "heartbeats_refreshed"))
            if heartbeats != last[0]:
                last[:] = heartbeats, time.monotonic()
            return time.monotonic() - last[1] > QUIET_S

        wait_until(quiet, "the load to end")

    def check(self, number):
        """Send each visitor of this round once, some leave; all counts have to be exact. What a full
        buffer drops is sent again: nobody counts twice."""
        reader = self.readers_of["a"]
        quiet, in_b = Quiet(reader), Quiet(Presence(self, self.b.segment))
        leaving, touched = f"leave-{number}.example", f"touch-{number}.example"
        while True:
            drops = reader.counter("socket_drops")
            self.wait_sent(*self.edges(number, rate=RATE // 2))
            if reader.counter("socket_drops") == drops:
                break
        self.leave(leaving)
        self.touch(touched, TOUCHES)
        quiet.wait_count(CROWD, SITE)
        quiet.wait_count(PLACE, f"place-{number}.example")
        quiet.wait_count(LEAVING * 2 // 3, leaving)
        quiet.wait_count(LEAVING, leaving, "room", "/all")
        quiet.wait_count(TOUCHES, touched)
        for one in quiet, in_b:
            one.wait_count(TEXT, "text.example")
        rooms = reader.listing(SITE, "room", quiet.window())
        self.assertEqual(sum(rooms.values()), CROWD)
        self.check_engine(f"place-{number}.example", PLACE)

    def check_engine(self, site, count):
        """The engine's total becomes exact, too."""
        def total():
            done = subprocess.run([PRESENCECTL, "count", site, "--window", "300", "--json", "--engine",
                                   self.server.url], capture_output=True, text=True, timeout=DEADLINE)
            return json.loads(done.stdout)["count"] if done.stdout else done.stderr

        wait_until(lambda: total() == count, lambda: f"{count} on {site} by the engine: {total()}")

    # ---- the end ----

    def thirds(self):
        """The samples of the second and of the last third: in the first, everything grows."""
        third = len(self.samples) // 3
        return self.samples[third:2 * third], self.samples[-third:]

    def judge_latency(self):
        before, after = ([sample["p99"] for sample in third] for third in self.thirds())
        was, now = statistics.median(before), statistics.median(after)
        print(f"latency: p99 {was:.0f} µs in the second third, {now:.0f} µs in the last (medians)")
        self.assertLessEqual(now, was * LATENCY_GROWTH + LATENCY_SLACK, self.samples)

    def judge_memory(self):
        for name in self.steady:
            before, after = ([sample["own"][name] for sample in third] for third in self.thirds())
            was, now = (tuple(map(max, zip(*third))) for third in (before, after))
            print(f"{name}: {was[0] >> 10} KB, then {now[0] >> 10} KB; {was[1]} descriptors, then {now[1]}; "
                  f"{was[2]} threads, then {now[2]}")
            self.assertLessEqual(now[0], was[0] * MEMORY_GROWTH + MEMORY_SLACK, name)
            self.assertLessEqual(now[1], was[1] + 2, name)  # a reader may be in the middle of something
            self.assertLessEqual(now[2], was[2], name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
