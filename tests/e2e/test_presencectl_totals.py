"""presencectl history and peak with --engine: the totals that presence-recorder --engine stores, beside
the number of now."""

import csv
import io
import json
import os
import subprocess
import time
import unittest

from harness import DEADLINE, PRESENCE_RECORDER, PRESENCECTL
from totals_recorder import MANY, RecorderCase

SITE = "a.example"
TRAFFIC = ("heartbeats", "pageviews", "entries", "leaves", "departures")


class TotalsCase(RecorderCase):
    def run_ctl(self, *arguments, database=None, url=None):
        done = subprocess.run(
            [PRESENCECTL, "--engine", url or self.engine.url, "--database", database or self.database,
             *arguments], capture_output=True, text=True, timeout=DEADLINE,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PRESENCE_SEGMENT": "/nonexistent"})
        return done.returncode, done.stdout, done.stderr

    def load(self, *arguments):
        return json.loads(self.run_ctl(*arguments, "--json")[1])

    def record(self, count=5, **state):
        """Have a minute of totals stored, of twice the count."""
        self.write(count, **state)
        first = self.begin()
        self.wait_chosen()
        self.end()
        return first

    def assert_line(self, result, status, *patterns):
        got, out, err = result
        self.assertEqual((got, out), (status, ""), err)
        self.assertRegex(err, r"\Apresencectl: [^\n]+\n\Z")
        for pattern in patterns:
            self.assertIn(pattern, err)


class Totals(TotalsCase):
    def test_history(self):
        first = self.record()
        self.write(7)
        begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(first * 60))
        answer = self.load("history", SITE)
        self.assertEqual((answer["count"], answer["recorded_since"], answer["window_s"],
                          answer["stale"]), (14, begun, 300, False))
        minute = answer["history"][0]
        self.assertEqual({name: minute[name] for name in ("time", "minimum", "mean", "maximum",
                                                          "warming", "running", *TRAFFIC)},
                         {"time": begun, "minimum": 10, "mean": 10.0, "maximum": 10, "warming": False,
                          "running": False, **dict.fromkeys(TRAFFIC)})
        self.assertNotIn("partial", minute)
        status, out, err = self.run_ctl("history", SITE, "--table")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, rf"\n{begun} +10 +10\.0 +10 +- +- +- +- +-[ \n]")
        line = next(csv.DictReader(io.StringIO(self.run_ctl("history", SITE, "--csv")[1])))
        self.assertEqual([line[name] for name in ("site", "time", "maximum", "partial", *TRAFFIC)],
                         [SITE, begun, "10", "0", "", "", "", "", ""])
        status, out, err = self.run_ctl("history", SITE)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Aa\.example: 14 visitors in the last 5 min, as of ")
        self.assertRegex(out, rf"\nhighest 10 in the minute of {begun}, lowest 10, mean 10\.0\n\Z")

    def test_64_bits(self):
        self.record()
        answer = self.load("history", "many.example")
        self.assertEqual((answer["count"], answer["history"][0]["maximum"]), (2 * MANY, 2 * MANY))
        self.assertIn(f"highest {2 * MANY} in", self.run_ctl("history", "many.example")[1])
        self.assertEqual(self.load("peak", "many.example", "/")["ever"]["count"], 2 * MANY)
        self.assertRegex(self.run_ctl("peak", "many.example")[1], rf"\ntoday +{2 * MANY}  ")

    def test_peak(self):
        self.record(40)
        self.write(7)
        for place in (SITE,), (SITE, "/"), (SITE, "--country", "DE"):
            status, out, err = self.run_ctl("peak", *place)
            self.assertEqual((status, err), (0, ""))
            self.assertRegex(out, r"\n(today|ever) +80 ")
            answer = self.load("peak", *place)
            self.assertEqual((answer["ever"]["count"], answer["window_s"], answer["stale"]),
                             (80, 300, False))

    def test_marks(self):
        """What was partial stays marked, and what is partial now is said."""
        lossy = "00000000000000aa 0 0 1000 1000 100 0 0 0\n"
        self.record(streams=lossy)
        status, out, err = self.run_ctl("history", SITE, "--table")
        self.assertEqual(status, 0)
        self.assertRegex(out, r" partial *\n")
        self.assertRegex(err, r"\Apresencectl: partial: this is the history, a lower bound, [^\n]* stream "
                              r"00000000000000aa loses over 1 %[^\n]*\n\Z")
        self.assertEqual(self.load("history", SITE)["history"][0]["partial"], True)
        self.assertIn("partial: these are the peaks", self.run_ctl("peak", SITE)[2])

    def test_without_an_engine(self):
        """The database alone, which is said, and exit status 3; the same if no group is whole."""
        self.record()
        for command, pattern in ("history", r"\ncount|10"), ("peak", "10"):
            status, out, err = self.run_ctl(command, SITE, url="unix:/nonexistent")
            self.assertEqual(status, 3)
            self.assertRegex(out, pattern)
            self.assertRegex(err, r"\Apresencectl: cannot use the engine unix:/nonexistent: ")
        self.assertIn("this history is of the database alone, which ends at ",
                      self.run_ctl("history", SITE, url="unix:/nonexistent")[2])
        self.write(5, stale=1)
        for command in "history", "peak":
            status, out, err = self.run_ctl(command, SITE)
            self.assertEqual(status, 3)
            self.assertIn("stale: no group is whole", err)
            self.assertIn("[stale]", out)

    def test_a_recorder_that_is_gone(self):
        """The history ends minutes ago: it says so."""
        self.write(5)
        self.begin(minute=self.begun // 60 - 10)
        self.wait_chosen()
        self.end()
        status, out, err = self.run_ctl("history", SITE)
        self.assertEqual(status, 0)
        self.assertRegex(err, r"\Apresencectl: this history is of the database alone, which ends at \S+\n\Z")

    def test_nothing_of_it(self):
        self.record()
        for command in "history", "peak":
            self.assert_line(self.run_ctl(command, "nobody.example"), 4, "nobody: ")
            self.shards.write("A", 1, 2, {300: {"new.example": {"": 5}}})
            self.assert_line(self.run_ctl(command, "new.example"), 4, self.database, "new.example")
            self.assert_line(self.run_ctl(command, SITE, database=self.database + "x"), 1,
                             self.database + "x")
            self.write(5)

    def test_databases_are_not_mistaken(self):
        """A collector's is not that of groups, nor the other way round."""
        self.record()
        self.start()
        for command in "history", "peak":
            self.assert_line(self.ctl(command, SITE, "--database", self.database), 1, "--engine")
        own = os.path.join(self.directory, "own.db")
        subprocess.run([PRESENCE_RECORDER, "--segment", self.segment, "--database", own, "--once"],
                       check=True, stderr=subprocess.DEVNULL, timeout=DEADLINE)
        for command in "history", "peak":
            self.assert_line(self.run_ctl(command, SITE, database=own), 1, "of one collector")


if __name__ == "__main__":
    unittest.main()
