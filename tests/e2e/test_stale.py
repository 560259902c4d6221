"""Zero is a measurement, silence is not: stale, warming and quiet counts, and gaps of any length.

Long gaps are tried in time namespaces, whose CLOCK_BOOTTIME is ahead of the machine's.
"""

import contextlib
import os
import random
import re
import signal
import socket
import time
import unittest

from harness import (
    CLOCK_OFFSET, DEADLINE, LISTENING, SOON, STARTING, STATE, Case, clock_ahead, free_port, native,
    read_time, visitor, wait_until,
)
from side_by_side import SideBySide

SITE = "a.example"
SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"


class ClockCase(SideBySide, Case):
    def people(self, collector, numbers, room=""):
        """Send one heartbeat each, and wait until they are counted."""
        before = self.stats()["datagrams_received"]
        self.send(collector, native(SITE, [visitor(number) for number in numbers], room=room))
        wait_until(lambda: self.stats()["datagrams_received"] > before, "the heartbeats to arrive")

    def end(self, collector, how=signal.SIGKILL):
        collector.process.send_signal(how)
        collector.process.wait(timeout=DEADLINE)

    def is_stale(self):
        """Check that the tick is over 3 s old, and no number is stale before."""
        status = self.json("status")
        self.assertEqual(status["stale"], status["as_of_age_s"] > 3, status)
        return status["stale"]

    def assert_warming(self, status, since):
        """Check that it warms until it has listened for the warm-up, since that time or less."""
        self.assertLessEqual(status["listening_for_s"], time.monotonic() - since + 1)
        self.assertEqual(status["warming"], status["listening_for_s"] < status["warm_up_s"])

    def assert_stale_everywhere(self, number, silent_since):
        """Check that every command shows the last number, says since when, and exits 3."""
        status, out, err = self.ctl("count", SITE)
        answer = self.json("count", SITE)
        self.assertEqual((status, out), (3, f"{number}\n"))
        self.assertEqual((answer["count"], answer["stale"]), (number, True))
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn("stale", err)
        # Not the same tick: the collector may have ticked between the two.
        for said in answer["as_of"], re.search(r" as of (\S+)$", err)[1]:
            as_of = read_time(said)
            self.assertLess(abs(as_of - silent_since), 10, said)
        for command in ("top", SITE), ("sites",), ("status",), ("stats",):
            with self.subTest(command=command):
                status, out, err = self.ctl(*command)
                self.assertEqual(status, 3, err)
                self.assertIn("stale", err)
        for command in ("count", "nobody.example"), ("seen", SITE, "nobody"):
            status, out, err = self.ctl(*command)
            self.assertEqual((status, out), (3, ""))  # 3 before 4: nothing is known
            self.assertIn("stale", err)
        answer = self.json("count", "nobody.example")
        self.assertEqual((answer["count"], answer["stale"]), (None, True))


class Silence(ClockCase):
    def test_stopped(self):
        """It says so at once, and a restart is fresh at once."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        self.assertEqual(self.ctl("count", SITE), (0, "3\n", ""))
        self.end(collector, signal.SIGTERM)
        self.assert_stale_everywhere(3, time.time())
        self.assertIn("stopped", self.ctl("count", SITE)[2])
        status, _, err = self.ctl("verify")
        self.assertEqual(status, 3)
        self.assertIn("this is the comparison as of", err)
        self.start("--warm-up", "0")
        self.assertEqual(self.ctl("count", SITE), (0, "3\n", ""))

    def test_killed(self):
        """Readers notice by the age of the tick: over 3 s."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        self.end(collector)
        killed = time.time()
        wait_until(self.is_stale, "the tick to be over 3 s old")
        self.assert_stale_everywhere(3, killed)
        self.start("--warm-up", "0")
        self.assertEqual(self.ctl("count", SITE), (0, "3\n", ""))

    def test_frozen(self):
        """The same while it hangs. What came meanwhile is counted; after 10 s it warms again."""
        collectors = {}
        for name, warm_up in ("short", "1"), ("long", "4"):
            self.segment = os.path.join(self.directory, name)
            collectors[name] = self.start("--warm-up", warm_up)
            self.people(collectors[name], range(3))
        wait_until(lambda: not self.json("count", SITE)["warming"], "the warm-up to pass")
        for collector in collectors.values():
            collector.freeze()
        frozen = time.time()

        self.segment = os.path.join(self.directory, "short")
        wait_until(self.is_stale, "the tick to be over 3 s old")
        self.assert_stale_everywhere(3, frozen)
        collectors["short"].process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.ctl("count", SITE) == (0, "3\n", ""), "it to be fresh again")

        self.segment = os.path.join(self.directory, "long")
        wait_until(lambda: self.json("status")["as_of_age_s"] >= 11, "a gap of over 10 s")
        self.send(collectors["long"], native(SITE, [visitor(3)]))
        self.assert_stale_everywhere(3, frozen)
        thawed = time.monotonic()
        collectors["long"].process.send_signal(signal.SIGCONT)

        def fresh():
            status = self.json("status")
            return not status["stale"] and status

        self.assert_warming(wait_until(fresh, "it to be fresh again"), thawed)
        wait_until(lambda: self.ctl("count", SITE) == (0, "4\n", ""), "the warm-up to pass")

    def test_quiet_site(self):
        """A site's age shows when its edge is dead, and the number stays right."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))

        def quiet():
            answer = self.json("count", SITE)
            return answer["last_heartbeat_s"] >= 2 and answer

        answer = wait_until(quiet, "the age of the last heartbeat to grow")
        self.assertEqual((answer["count"], answer["stale"]), (3, False))
        self.assertGreaterEqual(self.json("sites")["sites"][0]["last_heartbeat_s"], 2)

        def heard():
            self.people(collector, [1])
            return self.json("count", SITE)["last_heartbeat_s"] < 2

        wait_until(heard, "the age of the last heartbeat to be small again")

    def test_warming_of_a_new_collector(self):
        collector = self.start("--warm-up", "3600")
        self.people(collector, range(3))
        status, out, err = self.ctl("count", SITE)
        self.assertEqual((status, out), (0, "3\n"))
        self.assertRegex(err, r"^presencectl: .*warming.*\n$")
        for command in ("count", SITE), ("top", SITE), ("sites",), ("status",):
            self.assertTrue(self.json(*command)["warming"], command)
        # These are exact.
        for command in ("seen", SITE, "00000000-0000-0000-0000-000000000001"), ("stats",), ("verify",):
            self.assertEqual(self.ctl(*command)[::2], (0, ""), command)
        self.end(collector)
        self.start("--warm-up", "2")
        wait_until(lambda: not self.json("count", SITE)["warming"], "the warm-up to pass")
        self.assertGreaterEqual(self.json("status")["listening_for_s"], 2)
        self.assertEqual(self.ctl("count", SITE), (0, "3\n", ""))

    def test_default_warm_up(self):
        self.start()
        self.assertEqual(self.json("status")["warm_up_s"], 90)

        def passed_and_left():
            said = re.search(r"listen (\d+) s ago; .* for another (\d+) s$", self.ctl("status")[2])
            return said and int(said[1]) and (int(said[1]), int(said[2]))

        self.assertEqual(sum(wait_until(passed_and_left, "a second of it to pass")), 90)


class Starting(ClockCase):
    def test_starting(self):
        """Exit 3, with the last number of the collector before."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        collector.freeze()
        self.write_header(STATE, STARTING)
        self.assert_stale_everywhere(3, time.time())
        for command in ("status",), ("count", SITE), ("count", "nobody.example"):
            self.assertIn("starting", self.ctl(*command)[2])
        self.assertEqual(self.json("status")["state"], "starting")
        self.write_header(STATE, LISTENING)
        collector.thaw()
        wait_until(lambda: self.ctl("status")[0] == 0, "it to be fresh again")

    def test_status_is_0_once_it_listens(self):
        """Exit 0 not before it listens: what is sent then arrives."""
        port = free_port(socket.SOCK_DGRAM)
        for again in range(2):  # a new segment, and one that is continued
            while True:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(("127.0.0.1", port))
                    collector = self.start(wait=False, listen=f"127.0.0.1:{port}")
                    end = time.monotonic() + 1
                    while time.monotonic() < end:
                        for command in ("status",), ("count", SITE):
                            self.assertIn(self.ctl(*command)[0], (1, 3))
                if collector.process.poll() is None:  # it waits 5 s: a busy machine may be late
                    break
            wait_until(lambda: self.ctl("status")[0] == 0, "it to listen")
            self.socket.sendto(native(SITE, [visitor(again)]), ("127.0.0.1", port))
            self.wait_received(again + 1)
            collector.stop()


@unittest.skipIf(os.geteuid(), "needs root, for time namespaces")
class Namespaces(ClockCase):
    """Collector and reader see different clocks. Neither finds the other stale."""

    def readers(self):
        """Return the namespaces to read from."""
        yield contextlib.nullcontext()
        for ahead in 70, -70, 90000:
            yield clock_ahead(ahead, 999999999)

    def wait_fresh(self, number):
        """The collector of a busy machine may be late for a moment; another clock stays wrong."""
        def is_fresh():
            answer, status = self.json("count", SITE), self.json("status")
            as_of = read_time(answer["as_of"])
            return ((answer["count"], answer["stale"]) == (number, False) and
                    abs(as_of - time.time()) < 5 and status["as_of_age_s"] < 4 and
                    status["listening_for_s"] < 1000)

        wait_until(is_fresh, lambda: f"{number}, fresh: {self.json('count', SITE)}", SOON)

    def check(self, ahead, nanoseconds):
        with clock_ahead(ahead, nanoseconds) if ahead else contextlib.nullcontext():
            collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        for reader in self.readers():
            with reader:
                self.wait_fresh(3)
        self.end(collector)
        killed = time.monotonic()

        def read_late():
            """Read, which finds it stale by the tick's age. True if it began when it had to be."""
            age, stale = time.monotonic() - killed, self.is_stale()
            self.assertTrue(stale or age <= 4.1, age)
            return age > 4.1

        wait_until(read_late, "the tick to be over 3 s old")
        for reader in self.readers():
            with reader:
                self.assert_stale_everywhere(3, time.time() - (time.monotonic() - killed))

    def test_a_killed_collector_is_stale_in_every_namespace(self):
        self.check_side_by_side(
            Namespaces.check, ((0, 0), (70, 0), (-70, 500000000), (90000, 1)))


@unittest.skipIf(os.geteuid(), "needs root, for time namespaces")
class Gaps(ClockCase):
    def counts(self, *windows):
        """Return the site's count in each window."""
        return [self.count(SITE, "--window", window) for window in windows]

    def assert_gone(self):
        """All visitors are out of every window: measured, so exit 4 and not 3."""
        for place in (SITE,), (SITE, "/x"):
            status, out, err = self.ctl("count", *place)
            self.assertEqual((status, out), (4, ""), err)
            self.assertIsNone(self.json("count", *place)["count"])
        self.assertEqual(self.json("sites")["sites"], [])

    def test_short_gaps_and_warming(self):
        """A restart within 10 s continues; a longer gap makes the number a lower bound again."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        for how, ahead, longer in (signal.SIGTERM, 4, False), (signal.SIGKILL, 4 + 12, True):
            ended = time.monotonic()
            self.end(collector, how)
            with clock_ahead(ahead):
                start = time.monotonic()
                collector = self.start("--warm-up", "4")
                # The gap is as much longer as the start of a busy machine takes.
                longer = longer or time.monotonic() - ended > 5 and "no daemon" in collector.output()
                status = self.json("status")
                if longer:
                    self.assert_warming(status, start)
                else:
                    self.assertGreaterEqual(status["listening_for_s"], ahead)
                    self.assertFalse(status["warming"], status)
                self.assertEqual("no daemon listened" in collector.output(), longer)
                answer = self.json("count", SITE)
                self.assertEqual((answer["count"], answer["stale"]), (3, False))
                self.assertGreaterEqual(answer["last_heartbeat_s"], ahead)

    def test_a_start_that_failed_is_no_listening(self):
        """Warming begins when the collector listens, not when it tries to."""
        impossible = ("--xdp", "nowhere", "--xdp-mode", "native")  # there is no such interface
        failed = self.start(*impossible, wait=False)
        self.assertEqual(failed.process.wait(timeout=DEADLINE), 1)
        with clock_ahead(8):
            start = time.monotonic()
            collector = self.start("--warm-up", "5")
            self.assert_warming(self.json("status"), start)
            self.people(collector, range(3))
            self.end(collector)
        with clock_ahead(5000):
            failed = self.start(*impossible, wait=False)
            self.assertEqual(failed.process.wait(timeout=DEADLINE), 1)
            start = time.monotonic()
            collector = self.start("--warm-up", "5")
            self.assert_warming(self.json("status"), start)
            self.assert_gone()

    def test_a_reader_after_a_long_silence(self):
        """Readers show the last number and since when, however long ago."""
        collector = self.start("--warm-up", "0")
        self.people(collector, range(3))
        offset = self.read_header(CLOCK_OFFSET)
        self.write_header(CLOCK_OFFSET, offset + 90000)
        self.assert_stale_everywhere(3, time.time() - 90000)
        self.assertEqual(self.ctl("seen", SITE, "00000000-0000-0000-0000-000000000001")[0], 3)
        self.write_header(CLOCK_OFFSET, offset - 90000)  # a future tick is stale
        status, out, err = self.ctl("count", SITE)
        self.assertEqual((status, out), (3, "3\n"), err)
        self.write_header(CLOCK_OFFSET, offset)
        self.assertEqual(self.ctl("count", SITE), (0, "3\n", ""))

    def test_gap_within_the_longest_window(self):
        """Windows that reach back over the gap still count who was there."""
        collector = self.start()
        self.people(collector, range(5), "/x")
        self.end(collector)
        with clock_ahead(400):
            collector = self.start()
            self.assertEqual(self.counts("5m", "8m", "10m", "1h"), [0, 5, 5, 5])
            status, out, err = self.ctl("count", SITE)
            self.assertEqual((status, out), (0, "0\n"))
            self.assertIn("quiet", err)
            self.assertEqual(self.json("count", SITE, "/x")["count"], 0)
            before = self.stats()
            self.people(collector, range(3, 7), "/x")
            stats = self.stats()
            # 3 and 4 were away for 300 s and more: all four enter.
            self.assertEqual(stats["heartbeats_new"] - before["heartbeats_new"], 4)
            self.assertEqual(self.counts("5m", "8m", "10m", "1h"), [4, 7, 7, 7])
            self.assertEqual(self.count(SITE, "/x", "--window", "1h"), 7)
            self.assertEqual(self.ctl("verify")[0], 0)

    def check(self, gap):
        first = self.start()
        self.people(first, range(5), "/x")
        self.end(first)
        with clock_ahead(gap):
            collector = self.start()
            self.assert_gone()
            self.assertTrue(self.json("status")["warming"])
            self.assertEqual(self.ctl("verify")[0], 0)
            before = self.stats()
            self.people(collector, range(2, 5), "/x")
            stats = self.stats()
            self.assertEqual(stats["heartbeats_new"] - before["heartbeats_new"], 3)
            self.assertEqual(self.counts("5m", "1h"), [3, 3])
            self.assertEqual(self.count(SITE, "/x"), 3)
            for number, known in (1, 4), (3, 0):
                uuid = f"00000000-0000-0000-0000-{number:012x}"
                self.assertEqual(self.ctl("seen", SITE, uuid)[0], known)
            self.assertEqual(self.ctl("verify")[0], 0)
            self.assertEqual(collector.stop(), 0)

    def test_gaps_of_any_length(self):
        """Also around 2^20 s, after which a word's tick looks the same as before."""
        week = 7 * 86400
        gaps = (3660, 3690, 3700, 86400, week, 2**19, 2**20 - 200, 2**20 - 1, 2**20, 2**20 + 2,
                4 * week, 2**21, 3 * 2**20 + 100, 400 * 86400)
        if SANITIZED:  # then a program takes long to start
            gaps = random.Random(SEED).sample(gaps, 5)
        with self.subTest(TEST_SEED=SEED):
            self.check_side_by_side(Gaps.check, [(gap,) for gap in gaps])

    def test_gap_after_gap(self):
        """The same segment, restarted over and over, once a week of its time."""
        for restart in range(4):
            with clock_ahead(restart * 7 * 86400):
                collector = self.start()
                if restart:
                    self.assert_gone()
                people = range(restart, restart + 4)
                self.people(collector, people, "/x")
                self.assertEqual((self.count(SITE), self.count(SITE, "/x")), (4, 4))
                self.assertEqual(self.stats()["heartbeats_new"], 4 * (restart + 1))
                self.assertEqual(self.ctl("verify")[0], 0)
                self.end(collector)


if __name__ == "__main__":
    unittest.main()
