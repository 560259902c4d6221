"""presence-recorder beside other programs that use its database, and in another user's directory."""

import contextlib
import os
import signal
import sqlite3
import unittest

from harness import DEADLINE, program, wait_until
from test_recorder import RecorderCase


class Shared(RecorderCase):
    @contextlib.contextmanager
    def recording(self):
        """A recorder that runs. Yields its log, a function. In the end it must have stayed with its
        database."""
        path = os.path.join(self.directory, "log")

        def output():
            with open(path) as file:
                return file.read()

        with open(path, "w") as file, program(self.command(), stderr=file) as recorder:
            yield output
            recorder.send_signal(signal.SIGTERM)  # it looks at the file once more, and records
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0, output())
        self.assertNotIn("anew", output())
        self.assertEqual(output().count(" at first"), 1, output())

    def other(self, sql):
        """Another program, which has run some SQL and holds the locks that it took."""
        connection = sqlite3.connect(self.database, isolation_level=None)
        self.addCleanup(connection.close)
        for statement in sql.split(";"):
            connection.execute(statement).fetchall()
        return connection

    def test_a_writer_in_the_way(self):
        """It commits, and then keeps the recorder from writing."""
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        self.collector.stop()
        self.record()
        os.rename(self.segment, self.segment + "-later")
        with self.recording() as output:
            wait_until(lambda: "cannot read the segment" in output(), output)
            writer = self.other("UPDATE scope SET since = 4711; DELETE FROM minute;"
                                "PRAGMA wal_checkpoint(PASSIVE); BEGIN IMMEDIATE")
            os.rename(self.segment + "-later", self.segment)
            wait_until(lambda: "database is locked; another program holds it" in output(), output)
            writer.execute("ROLLBACK")
        self.assertEqual(self.query("SELECT since FROM scope"), [(4711,)])
        self.assertEqual(self.query("SELECT maximum FROM minute"), [(3,)])  # it is put back

    def test_a_reader_in_the_way(self):
        """The recorder leaves something in the -wal file, and another program moves it."""
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        self.record()
        self.other("DELETE FROM peak")  # so that there is something to put back
        reader = self.other("BEGIN; SELECT * FROM minute")
        with self.recording() as output:
            wait_until(lambda: " at first" in output(), output)
            self.assertGreater(os.stat(f"{self.database}-wal").st_size, 0)
            before = os.stat(self.database).st_mtime_ns
            reader.execute("COMMIT")

            def is_moved():
                self.other("PRAGMA wal_checkpoint(PASSIVE)")
                return os.stat(self.database).st_mtime_ns != before

            wait_until(is_moved, "what is in the -wal file to be moved")

    @unittest.skipIf(os.geteuid(), "needs root, to give a directory away")
    def test_a_home_of_another_user(self):
        """Root without its privileges can't enter it, and goes on with the files that are open."""
        home = os.path.join(self.directory, "home")
        os.mkdir(home, 0o700)
        os.chown(home, 65534, 65534)
        self.database = os.path.join(home, "history.db")
        self.begin()
        self.visit(range(3))
        self.wait_sampled(1)
        self.assertIn(" at first", self.record())
        self.assertEqual(self.query("SELECT count(*) FROM scope"), [(1,)])
        with self.recording() as output:
            wait_until(lambda: " at first" in output(), output)


if __name__ == "__main__":
    unittest.main()
