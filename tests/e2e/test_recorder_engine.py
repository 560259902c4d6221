"""presence-recorder --engine: samples of totals become minutes and peaks, in a database of their own."""

import os
import sqlite3
import subprocess

from engine import READER
from harness import DEADLINE, MINUTE, PRESENCE_RECORDER, wait_until
from side_by_side import main
from totals_recorder import COUNTRY, DAY, MANY, ROOM, SITE, SOURCE, RecorderCase


class Minutes(RecorderCase):
    def test_samples_become_minutes(self):
        """By a user who may only read, as docs/engine.md makes it."""
        values = (7, 40, 3, 12)
        self.write(values[0])
        self.engine.call(*READER)
        password = os.path.join(self.directory, "password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write("first\n")
        self.begin("--user", "reader", "--password-file", password, second=56)
        first = self.wait_stored()
        self.assertIn(" user=reader ", self.engine.call("CLIENT", "LIST"))
        for value in values:
            self.write(value)
            self.wait_sampled()
        self.end()
        everything = self.minutes()
        self.assertEqual(everything[first]["mean"], 14.0)
        self.assertEqual(min(minute["minimum"] for minute in everything.values()), 6)
        self.assertEqual(max(minute["maximum"] for minute in everything.values()), 80)
        for minute in everything.values():
            self.assertIn(minute["minimum"], [2 * value for value in values])
            self.assertLessEqual(minute["minimum"], minute["mean"])
            self.assertLessEqual(minute["mean"], minute["maximum"])
            self.assertLessEqual(1, minute["seconds"])
            self.assertLessEqual(minute["seconds"], 60)
            self.assertEqual((minute["warming"], minute["partial"], minute["heartbeats"]), (0, 0, None))
        for name, kind, most in (("/", ROOM, 80), ("/b", ROOM, 2), ("DE", COUNTRY, 80), ("news", SOURCE, 4)):
            with self.subTest(name=name):
                found = self.minutes(name=name, kind=kind)
                self.assertEqual(max(minute["maximum"] for minute in found.values()), most)
        for minute in self.minutes("many.example").values():
            self.assertEqual((minute["minimum"], minute["mean"], minute["maximum"]), (2 * MANY,) * 3)
        peaks = self.query("SELECT kind, site, name, count FROM peak JOIN scope ON scope.id = scope "
                           "ORDER BY count DESC, kind LIMIT 3")
        self.assertEqual(peaks, [(SITE, "many.example", "", 2 * MANY), (ROOM, "many.example", "/", 2 * MANY),
                                 (SITE, "a.example", "", 80)])
        self.assertEqual(self.query("SELECT began FROM boot"), [(0,)])
        self.assertIn(f"recording the totals of {self.engine.url} into {self.database}: ", self.output())

    def test_who_is_gone_is_nobody(self):
        self.write(5)
        first = self.begin()
        self.wait_chosen()
        for shard in (1, 2):
            self.shards.write("A", shard, 2, {300: {"many.example": {"": MANY}}})
        self.wait_sampled()
        self.end()
        for name, kind in (("", SITE), ("/", ROOM)):
            minutes = self.minutes(name=name, kind=kind)
            self.assertEqual(minutes[max(minutes)]["minimum"], 0)
            self.assertEqual(minutes[first]["maximum"], 10)

    def test_unknown_is_not_nobody(self):
        self.write(5)
        first = self.begin()
        self.wait_chosen()
        for shard in (1, 2):  # they may have refused the room, and the other site
            self.shards.write("A", shard, 2, {300: {"a.example": {"": 5, "?r": 1}}}, unknown=1)
        self.wait_sampled()
        self.end()
        self.assertEqual(self.minutes()[first]["minimum"], 10)
        self.assertEqual(self.minutes(name="/", kind=ROOM)[first]["minimum"], 10)
        self.assertEqual(self.minutes("many.example")[first]["minimum"], 2 * MANY)
        self.assertEqual(self.minutes(name="DE", kind=COUNTRY)[first]["minimum"], 0)

    def test_lower_bounds_are_marked(self):
        self.shards.write("A", 1, 1, {300: {"a.example": {"": 5}, "b.example": {"": 6, "?p": "n"}}})
        first = self.begin()
        self.wait_chosen()
        self.end()
        self.assertEqual((self.minutes()[first]["partial"], self.minutes("b.example")[first]["partial"]),
                         (0, 1))
        os.unlink(self.database)
        self.shards.write("A", 1, 1, {300: {"a.example": {"": 5}}}, warming=1)
        first = self.begin()
        self.wait_chosen()
        self.end()
        self.assertEqual((self.minutes()[first]["warming"], self.minutes()[first]["partial"]), (1, 0))

    def test_the_busiest_only(self):
        rooms = {f"r/{number:04}": 1000 - number for number in range(300)}
        self.shards.write("A", 1, 1, {300: {"a.example": {"": 5000, **rooms}}})
        self.begin()
        self.wait_chosen()
        self.end()
        found = {name for name, in self.query("SELECT name FROM scope WHERE kind = 1")}
        self.assertEqual(found, {f"/{number:04}" for number in range(100)})

    def test_days_have_their_peaks(self):
        self.write(30)
        self.begin(day=DAY - 10)
        first = self.query_after_midnight()
        self.write(20)
        self.wait_sampled()
        self.end()
        peaks = self.query("SELECT day, count, at / 86400 * 86400 FROM peak JOIN scope ON scope.id = scope "
                           "WHERE kind = 0 AND site = 'a.example' ORDER BY day")
        self.assertEqual(len(peaks), 2, peaks)
        self.assertEqual(peaks[0], (first, 60, first))
        self.assertEqual((peaks[1][0], peaks[1][2]), (first + DAY, first + DAY))

    def query_after_midnight(self):
        """Wait until the last minute of the day is stored, and return the day."""
        rows = wait_until(lambda: self.query("SELECT day FROM peak"), "a peak", deadline=MINUTE)
        return rows[0][0]

    def test_old_minutes_are_deleted(self):
        self.write(5)
        self.begin(second=56)
        first = self.wait_stored()
        self.end()
        connection = sqlite3.connect(self.database)
        connection.execute("UPDATE minute SET minute = minute - 3000 WHERE minute = ?", (first,))
        connection.commit()
        connection.close()
        self.begin("--retention", "1d", minute=first + 2)
        self.wait_chosen()
        self.end()
        self.assertNotIn(first - 3000, self.minutes())
        self.assertIn(first + 2, self.minutes())
        self.assertTrue(self.query("SELECT * FROM peak"))


class Usage(RecorderCase):
    def refused(self, status, *arguments):
        done = subprocess.run([PRESENCE_RECORDER, "--database", self.database, *arguments], text=True,
                              capture_output=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.stderr

    def test_databases_are_not_mixed(self):
        self.write(5)
        first = self.begin()
        self.wait_chosen()
        self.end()
        self.assertIn(first, self.minutes())
        self.start()
        text = self.refused(1, "--segment", self.segment, "--once")
        self.assertIn("it has the totals of groups (--engine), not one collector's counts; name another "
                      "with --database", text)
        os.unlink(self.database)
        subprocess.run([PRESENCE_RECORDER, "--segment", self.segment, "--database", self.database,
                        "--once"], check=True, stderr=subprocess.DEVNULL, timeout=DEADLINE)
        text = self.refused(1, "--engine", self.engine.url)
        self.assertIn("it has one collector's counts, not the totals of groups; name another with "
                      "--database", text)

    def test_wrong_usage(self):
        self.assertIn("--segment", self.refused(2, "--engine", self.engine.url, "--segment", "/x"))
        self.assertIn("--once", self.refused(2, "--engine", self.engine.url, "--once"))
        self.assertIn("--engine", self.refused(2, "--user", "reader"))
        self.assertIn("password", self.refused(2, "--engine", "redis://:secret@127.0.0.1"))
        text = self.refused(1, "--engine", self.engine.url, "--password-file",
                            os.path.join(self.directory, "missing"))
        self.assertIn("missing", text)


if __name__ == "__main__":
    main()
