"""presence-recorder: history and peaks are stored for good, whichever program is killed.

Minutes pass in time namespaces, whose CLOCK_BOOTTIME is ahead of the machine's.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import (
    DEADLINE, MINUTE, PRESENCE_RECORDER, PRESENCECTL, Case, ahead_to, clock_ahead, native, own_mounts,
    program, visitor, wait_until,
)
from side_by_side import main

SITE = "example.com"


class RecorderCase(Case):
    def setUp(self):
        super().setUp()
        self.database = os.path.join(self.directory, "history.db")

    def begin(self, *arguments):
        self.collector = self.start("--warm-up", "0", *arguments)
        return self.collector

    def visit(self, numbers, room=""):
        self.send(self.collector, native(SITE, [visitor(number) for number in numbers], room=room))

    def command(self, *arguments):
        return [PRESENCE_RECORDER, "--segment", self.segment, "--database", self.database,
                *arguments]

    def record(self, *arguments):
        done = subprocess.run(self.command("--once", *arguments), capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def history(self, *arguments):
        database = ("--database", self.database) if os.path.exists(self.database) else ()
        return self.json("history", SITE, *arguments, *database)["history"]

    def query(self, sql):
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def wait_sampled(self, seconds=2):
        """The collector, and not the database, has samples of the running minute."""
        wait_until(lambda: any(minute["running"] and minute["seconds"] >= seconds
                               for minute in self.json("history", SITE)["history"]),
                   "samples in the running minute")

    def two_minutes(self, number):
        """Be present at the end of a minute and the beginning of the next."""
        self.visit(range(number))
        before = len(self.history())
        wait_until(lambda: len(self.history()) >= max(before, 1) + 1, "the next minute",
                   deadline=MINUTE)
        self.wait_sampled()


class Recorder(RecorderCase):
    def test_a_reboot(self):
        """History and peaks survive the loss of the segment."""
        with clock_ahead(ahead_to(55, 10)):
            self.begin()
            self.visit(range(7), room="/a")
            self.two_minutes(7)
            self.collector.stop()
            before = self.history()
            peak = self.json("peak", SITE)
            self.record()
        os.unlink(self.segment)
        status, out, err = self.ctl("history", SITE, "--json", "--database", self.database)
        self.assertEqual(status, 3)
        self.assertIn("cannot read the segment", err)
        after = self.history()
        for one, other in zip(before, after):
            for name in ("seconds", "minimum", "mean", "maximum", "heartbeats", "entries"):
                self.assertEqual(one[name], other[name])
        self.assertEqual(len(before), len(after))
        self.assertEqual(self.json("peak", SITE, "--database", self.database)["ever"],
                         peak["ever"])
        room = self.json("history", SITE, "/a", "--database", self.database)["history"]
        again = self.json("history", SITE.upper(), "//a/", "--database", self.database)
        self.assertEqual((again["room"], again["history"]), ("/a", room))
        self.assertEqual(max(minute["maximum"] for minute in room), 7)
        self.enterContext(clock_ahead(ahead_to(5)))  # another minute, which doesn't end here
        self.begin()
        self.visit(range(7))  # as many as before: the first of two equal peaks counts
        wait_until(lambda: self.json("history", SITE)["history"][-1:], "a sample")
        wait_until(lambda: self.json("peak", SITE)["ever"]["count"] == 7, "an equal peak")
        self.assertEqual(len(self.history()), len(before) + 1)
        answer = self.json("peak", SITE, "--database", self.database)
        self.assertEqual((answer["ever"], answer["since"]), (peak["ever"], peak["since"]))
        status, out, err = self.ctl("history", "nobody.example", "--database", self.database)
        self.assertEqual((status, out), (4, ""))

    def test_no_seam(self):
        """History is the same from the segment or from both, however often it was recorded."""
        with clock_ahead(ahead_to(55, 10)):
            self.begin()
            self.visit(range(5))
            self.record()
            self.two_minutes(5)
            self.record()
            self.record()
            self.collector.stop()
            alone = self.json("history", SITE)["history"]
            self.assertEqual(self.history(), alone)
            self.assertEqual(sum(minute["entries"] for minute in self.history()), 5)
            self.record()  # the running minute, too, as far as it came
            self.assertEqual(self.history(), alone)
            names = self.query("SELECT scope, boot, minute FROM minute")
            self.assertEqual(len(names), len(set(names)))

    def test_killed_in_any_order(self):
        """At most the running minute is lost, and none is counted twice."""
        heartbeats = 0
        for number, kill_recorder_first in enumerate((True, False)):
            with clock_ahead(ahead_to(55, 10 + 5 * number)):
                self.begin()
                with program(self.command(), stderr=subprocess.PIPE, text=True) as recorder:
                    self.assertIn("recording", recorder.stderr.readline())
                    self.two_minutes(4)
                    heartbeats += 4
                    victims = [recorder, self.collector.process]
                    for process in victims if kill_recorder_first else reversed(victims):
                        process.kill()
                        process.wait()
                    recorder.stderr.close()
        with clock_ahead(ahead_to(20, 40)):
            self.begin()
            self.record()
            history = self.history("--since", "1d")
            self.assertEqual(sum(minute["heartbeats"] for minute in history), heartbeats)
            self.collector.stop()
            os.unlink(self.segment)
            again = self.json("history", SITE, "--since", "1d", "--database",
                              self.database)["history"]
            self.assertEqual(sum(minute["heartbeats"] for minute in again), heartbeats)

    def test_the_segment_is_lost_right_after_a_kill(self):
        """Minutes that were over at the last recording can be read without any segment."""
        with clock_ahead(ahead_to(50, 10)):
            self.begin()
            self.visit(range(6))
            with program(self.command(), stderr=subprocess.PIPE, text=True) as recorder:
                self.assertIn("recording", recorder.stderr.readline())
                wait_until(lambda: self.query("SELECT count(*) FROM minute")[0][0],
                           "the minute to be recorded when it is over", deadline=MINUTE)
                recorder.kill()
                self.collector.process.kill()
                recorder.stderr.close()
            self.collector.process.wait()
            os.unlink(self.segment)
            history = self.json("history", SITE, "--database", self.database)["history"]
            self.assertEqual((len(history), history[0]["heartbeats"]), (1, 6))

    def test_it_waits_for_a_segment_and_ends_on_a_signal(self):
        with program(self.command(), stderr=subprocess.PIPE, text=True) as recorder:
            self.assertIn("cannot read the segment", recorder.stderr.readline())
            self.begin()
            self.visit(range(3))
            self.assertIn("recording", recorder.stderr.readline())
            self.wait_sampled(1)
            recorder.send_signal(signal.SIGTERM)
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0)
            recorder.stderr.close()
        self.assertEqual(self.query("SELECT max(maximum) FROM minute"), [(3,)])

    def test_a_segment_appears_just_before_it_ends(self):
        """It looks for the segment every few seconds, and once more when it is told to end."""
        with program(self.command(), stderr=subprocess.PIPE, text=True) as recorder:
            self.assertIn("cannot read the segment", recorder.stderr.readline())
            self.begin()
            self.visit(range(3))
            self.wait_sampled(1)
            recorder.send_signal(signal.SIGTERM)
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0)
            recorder.stderr.close()
        self.assertEqual(self.query("SELECT max(maximum) FROM minute"), [(3,)])

    def test_retention(self):
        with clock_ahead(ahead_to(10, 10)):
            self.begin()
            self.visit(range(3))
            self.wait_sampled(1)
            self.collector.stop()
            self.record()
        os.unlink(self.segment)
        with clock_ahead(ahead_to(10, 200)):
            self.begin()
            self.visit(range(2))
            self.wait_sampled(1)
            self.record("--retention", "1d")
            self.assertEqual(self.query("SELECT count(*) FROM minute"), [(2,)])
            self.record("--retention", "1h")
            self.assertEqual(self.query("SELECT max(maximum) FROM minute"), [(2,)])
        self.assertEqual(self.query("SELECT max(count) FROM peak"), [(3,)])


class Years(RecorderCase):
    def test_years_are_gathered_into_steps(self):
        """Two years of the database and the collector's last day, day by day."""
        self.begin()
        self.visit(range(3), room="/a")
        self.wait_sampled(1)
        self.record()
        now = int(time.time())
        connection = sqlite3.connect(self.database)
        scope, = connection.execute("SELECT id FROM scope WHERE kind = 0").fetchone()
        connection.execute("INSERT INTO boot VALUES (1000, ?, ?)", (bytes(16), now - 730 * 86400))
        connection.executemany(
            "INSERT INTO minute VALUES (?, 1000, ?, 60, ?, ?, ?, 10, 1, 2, 3, 4, 0)",
            ((scope, 90 * number, number % 50, number % 50 + 1, number % 50 + 2)
             for number in range(729 * 16)))
        connection.commit()
        connection.close()
        self.record()  # without --retention, which keeps them all
        answer = self.json("history", SITE, "--since", "800d", "--step", "1d", "--database",
                           self.database)
        days = answer["history"]
        self.assertIn(len(days), (730, 731))  # the first is of the boot's
        self.assertEqual([day["time"] for day in days], sorted({day["time"] for day in days}))
        for day in days[1:-2]:
            self.assertEqual((day["seconds"], day["heartbeats"], day["entries"]), (960, 160, 32))
        self.assertEqual(sum(day["pageviews"] for day in days[:-1]), 729 * 16)
        self.assertEqual((days[-1]["maximum"], days[-1]["running"]), (3, True))
        status, out, err = self.ctl("history", SITE, "--since", "800d", "--database", self.database)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("highest 51 in the 12 h from", out)

    def test_the_time_that_is_covered(self):
        """Days are missing in the beginning, and a clock was ahead; with and without a segment."""
        self.begin()
        self.visit(range(3), room="/a")
        self.wait_sampled(1)
        self.record()
        now = int(time.time())
        connection = sqlite3.connect(self.database)
        scope, = connection.execute("SELECT id FROM scope WHERE kind = 0").fetchone()
        for boot, began in (1000, now - 3 * 86400), (1001, now + 9000):
            connection.execute("INSERT INTO boot VALUES (?, ?, ?)", (boot, bytes([boot % 256] * 16),
                                                                     began))
            connection.executemany(
                "INSERT INTO minute VALUES (?, ?, ?, 60, 6, 7, 8, 10, 1, 2, 3, 4, 0)",
                ((scope, boot, number) for number in range(20)))
        connection.commit()
        connection.close()
        arguments = ("history", SITE, "--since", "30d", "--database", self.database)
        for alone in False, True:
            if alone:
                self.collector.stop()
                os.unlink(self.segment)
            for form in "--json", "--csv", "--table", "--step=1d":
                status, out, err = self.ctl(*arguments, form)
                self.assertEqual(status, 3 if alone else 0)
                self.assertRegex(out + err, r"3 d of 30 d: nothing is recorded from \S+Z to \S+Z\n")
                self.assertIn("left out 20 minutes of the database that are still to come", err)
                self.assertEqual("of the database alone, which ends at" in err, alone)
                self.assertNotIn("presence-recorder more", err)
            answer = self.json(*arguments)
            self.assertGreaterEqual(len(answer["history"]), 21)
            self.assertLessEqual(max(step["time"] for step in answer["history"]), answer["until"])
            self.assertEqual(answer["history"][0]["time"], answer["recorded_since"])

    def test_other_places_of_a_site(self):
        self.begin()
        self.send(self.collector, native(SITE, [visitor(1), visitor(2)], country="DE", source="s"))
        self.wait_sampled(1)
        self.collector.stop()
        self.record()
        os.unlink(self.segment)
        for place in ("--country", "de"), ("--source", "s"):
            arguments = (SITE, *place, "--database", self.database)
            self.assertEqual(self.json("peak", *arguments)["ever"]["count"], 2)
            self.assertEqual(self.json("history", *arguments)["history"][-1]["maximum"], 2)
            self.assertEqual(self.ctl("history", *arguments)[0], 3)


class Database(RecorderCase):
    def test_it_is_wal_and_versioned_and_not_everybodys(self):
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        self.record()
        self.assertEqual(self.query("PRAGMA journal_mode"), [("wal",)])
        self.assertEqual(self.query("PRAGMA user_version"), [(1,)])
        self.assertEqual(os.stat(self.database).st_mode & 0o007, 0)

    def as_nobody(self, *arguments):
        """presencectl without any right to write. The segment is none of its business."""
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", os.path.abspath(PRESENCECTL), "history", SITE, "--json",
             "--segment", "/nowhere/segment", *arguments], cwd=self.directory, capture_output=True,
            text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 3, done.stderr)
        return json.loads(done.stdout)["history"]

    def copies(self):
        """Databases as people have them: (what, their files)."""
        copy = os.path.join(self.directory, "copy.db")
        shutil.copy(self.database, copy)
        yield "alone", {"copy.db"}, 3
        connection = sqlite3.connect(copy)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        yield "with a rollback journal", {"copy.db"}, 3
        connection = sqlite3.connect(copy)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE minute SET maximum = 17")
        connection.commit()
        yield "with a -wal file alone", {"copy.db", "copy.db-wal"}, 17
        connection.close()

    @unittest.skipIf(os.geteuid(), "needs root, to become another user")
    def test_copies_that_can_only_be_read(self):
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        self.record()
        os.chmod(self.directory, 0o755)
        for what, names, maximum in self.copies():
            with self.subTest(what=what):
                place = os.path.join(self.directory, "read only?100%#1")
                os.mkdir(place)
                for name in names:
                    shutil.move(os.path.join(self.directory, name), place)
                    os.chmod(os.path.join(place, name), 0o444)
                path = os.path.join(place, "copy.db")
                for mode in 0o555, 0o777:
                    os.chmod(place, mode)
                    for database in path, os.path.relpath(path, self.directory):
                        history = self.as_nobody("--database", database)
                        self.assertEqual(max(step["maximum"] for step in history), maximum)
                    if mode == 0o555 or "copy.db-wal" not in names:
                        self.assertEqual(set(os.listdir(place)), names)
                mounted = own_mounts(f'mount --bind "{place}" "{place}" && '
                                     f'mount -o remount,bind,ro "{place}" && exec "$@"')
                done = subprocess.run([*mounted, os.path.abspath(PRESENCECTL), "peak", SITE,
                                       "--database", path, "--segment", self.segment],
                                      capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                for name in names:
                    shutil.move(os.path.join(place, name), self.directory)
                    os.chmod(os.path.join(self.directory, name), 0o644)
                shutil.rmtree(place)

    def test_unusable_databases(self):
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        with open(self.database, "w") as file:
            file.write("no database\n" * 1000)
        for command in "history", "peak":
            status, out, err = self.ctl(command, SITE, "--database", self.database)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(f"{self.database}: file is not a database; it is not a database of "
                          "presence-recorder, or damaged: check --database", err)
        done = subprocess.run(self.command("--once"), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no database of presence-recorder", done.stderr)
        os.unlink(self.database)
        status, out, err = self.ctl("history", SITE, "--database", self.database)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("start presence-recorder", err)
        self.record()
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA user_version = 3")
        connection.close()
        status, out, err = self.ctl("peak", SITE, "--database", self.database)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("newer", err)

    @unittest.skipIf(os.geteuid(), "needs root, for mounts")
    def test_a_damaged_database_that_nobody_named(self):
        """At the default path it is reported, and the segment's history is shown."""
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        root, state = (os.path.join(self.directory, name) for name in ("root", "state"))
        os.makedirs(os.path.join(state, "presence"))
        os.mkdir(root)
        with open(os.path.join(state, "presence/history.db"), "w") as file:
            file.write("no database\n" * 1000)
        mounted = own_mounts(f"mount --rbind / {root} && mount --make-rprivate {root} && "
                             f"mount --bind {state} {root}/var/lib && exec chroot {root} \"$@\"")
        done = subprocess.run([*mounted, os.path.abspath(PRESENCECTL), "history", SITE, "--json",
                               "--segment", self.segment], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cannot read the database /var/lib/presence/history.db: file is not a database", done.stderr)
        self.assertEqual(json.loads(done.stdout)["history"][-1]["maximum"], 3)

    def test_usage(self):
        for arguments, pattern in (
            (["--retention", "soon"], "--retention"), (["--nope"], "--nope"), (["word"], "word"),
            (["--database"], "--database"),
        ):
            done = subprocess.run([PRESENCE_RECORDER, *arguments], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(pattern, done.stderr)
        done = subprocess.run([PRESENCE_RECORDER, "--help"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        done = subprocess.run(self.command("--once"), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot read the segment", done.stderr)
        done = subprocess.run([PRESENCE_RECORDER, "--database", "/nowhere/at/all.db"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, "presence-recorder: cannot open the database /nowhere/at/all.db: "
                         "unable to open database file (No such file or directory); check that its "
                         "directory exists and is writable\n")


if __name__ == "__main__":
    main()
