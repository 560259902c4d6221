"""presence-recorder whose database is moved, replaced, overwritten or restored while it runs."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import unittest

from documents import fenced
from harness import DEADLINE, PRESENCECTL, ahead_to, clock_ahead, program, wait_until
from test_recorder import RecorderCase


class Lost(RecorderCase):
    """The database changes behind the recorder's back."""

    def setUp(self):
        super().setUp()
        os.mkdir(os.path.join(self.directory, "state"))
        self.database = os.path.join(self.directory, "state", "history.db")

    def minutes(self):
        return self.query("SELECT count(*) FROM minute")[0][0]

    @contextlib.contextmanager
    def recording(self):
        """A recorder that runs, ten minutes after the segment's first minute. Yields its log, a
        function."""
        with clock_ahead(ahead_to(20, 10)):
            self.begin()
            self.visit(range(7))
            self.wait_sampled(1)
            self.collector.stop()
        with clock_ahead(ahead_to(5, 20)):
            self.begin()
            self.visit([1])
            self.wait_received(2)
            log = os.path.join(self.directory, "log")
            with open(log, "w") as file, program(self.command(), stderr=file) as recorder:
                def output():
                    with open(log) as file:
                        return file.read()

                wait_until(lambda: " at first" in output(), "the first recording")
                yield recorder, output

    def test_moved_replaced_and_overwritten(self):
        with self.recording() as (recorder, output):
            def wait_recorded(times):
                wait_until(lambda: output().count(" at first") == times, output)
                self.assertEqual(self.minutes(), 1)  # that of ten minutes ago

            wait_recorded(1)
            other = os.path.join(self.directory, "other.db")
            os.rename(self.database, other)
            wait_recorded(2)
            self.assertIn("was moved or deleted: opening it anew", output())
            connection = sqlite3.connect(other)  # what was moved is complete
            self.assertEqual(connection.execute("SELECT maximum FROM minute").fetchall(), [(7,)])
            connection.execute("UPDATE scope SET since = 4711")
            connection.commit()
            connection.close()
            os.rename(other, self.database)
            wait_recorded(3)
            self.assertIn("was replaced by another file", output())
            self.assertEqual(self.query("SELECT since FROM scope"), [(4711,)])
            with open(self.database, "w") as file:
                file.write("no database\n" * 1000)
            wait_until(lambda: ": file is not a database; " in output(), output)
            self.assertIn("was overwritten", output())
            shutil.rmtree(os.path.dirname(self.database))
            wait_until(lambda: "unable to open database file (No such file or directory); " in output(),
                       output)
            os.mkdir(os.path.dirname(self.database))
            wait_recorded(4)
            recorder.terminate()
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0)
            self.assertEqual(output().count("\n"), 9, output())
        self.assertEqual(self.minutes(), 2)

    def test_backup_and_restore(self):
        """As documented, while it runs."""
        path = os.path.join(self.directory, "bin")
        os.mkdir(path)
        os.symlink(os.path.abspath(PRESENCECTL), os.path.join(path, "presencectl"))
        backup = os.path.join(self.directory, "backup.db")

        def paste(text):
            text = text.replace("/var/lib/presence/history.db", self.database)
            done = subprocess.run(
                ["bash", "-euc", text.replace("/var/backups/presence-history.db", backup)],
                capture_output=True, text=True, timeout=DEADLINE,
                env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}",
                     "PRESENCE_SEGMENT": self.segment})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout

        self.assertIn("/var/lib/presence/history.db", fenced("sh restore"))
        with self.recording() as (recorder, _):
            self.assertIn("highest 7", paste(fenced("sh backup")))
            self.assertEqual(os.stat(backup).st_mode & 0o777, 0o640)
            connection = sqlite3.connect(backup)
            connection.execute("DELETE FROM minute")  # it is older than the collector's memory
            connection.execute("UPDATE scope SET since = 4711")
            connection.commit()
            connection.close()
            paste(fenced("sh restore"))
            self.assertEqual(self.query("SELECT since FROM scope"), [(4711,)])
            self.assertEqual(self.minutes(), 0)
            recorder.terminate()
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0)
        self.assertEqual(self.query("SELECT since FROM scope"), [(4711,)])
        self.assertEqual(self.query("SELECT maximum FROM minute ORDER BY minute")[0], (7,))


if __name__ == "__main__":
    unittest.main()
