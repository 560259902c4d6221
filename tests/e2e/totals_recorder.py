"""presence-recorder --engine with shards that are written by hand.

The recorder's wall clock is off, so that its minutes end when a test wants them to."""

import os
import signal
import sqlite3
import subprocess
import tempfile
import time

from engine import RedisServer
from harness import BUILD, DEADLINE, MINUTE, PRESENCE_RECORDER, Case, wait_away_from_midnight, wait_until
from written_shards import WrittenShards

CLOCK_OFF = os.path.join(os.path.abspath(BUILD), "tests/e2e/clock_off.so")
MANY = 3 << 32
DAY = 86400
SITE, ROOM, COUNTRY, SOURCE = range(4)


class RecorderCase(Case):
    def setUp(self):
        super().setUp()
        self.database = os.path.join(self.directory, "totals.db")
        self.engine = RedisServer(self.directory)
        self.addCleanup(self.engine.ensure_ended)
        self.shards = WrittenShards(self.engine)
        self.addCleanup(self.shards.close)
        self.recorder, self.log = None, None
        wait_away_from_midnight()
        self.begun = int(time.time()) // 60 * 60

    def command(self, *arguments):
        return [PRESENCE_RECORDER, "--engine", self.engine.url, "--database", self.database, *arguments]

    def begin(self, *arguments, second=5, minute=None, day=None):
        """Start the recorder in this second of a minute by its clock: of the one in which the test
        began, or of a given one; or in a second of that day. Returns the minute."""
        begun = 60 * minute + second if minute else self.begun + second
        if day is not None:
            begun = self.begun // DAY * DAY + day
        self.log = tempfile.TemporaryFile(mode="w+")
        self.addCleanup(self.log.close)
        self.recorder = subprocess.Popen(
            self.command(*arguments), stdin=subprocess.DEVNULL, stderr=self.log,
            env={**os.environ, "LD_PRELOAD": CLOCK_OFF, "CLOCK_BEGIN_S": str(begun)})
        self.addCleanup(self.ensure_no_recorder, self.recorder)
        return begun // 60

    @staticmethod
    def ensure_no_recorder(recorder):
        if recorder.poll() is None:
            recorder.kill()
            recorder.wait()

    def end(self, how=signal.SIGTERM):
        self.recorder.send_signal(how)
        status = self.recorder.wait(timeout=DEADLINE)
        if how == signal.SIGTERM:
            self.assertEqual(status, 0, self.output())

    def output(self):
        with open(f"/proc/self/fd/{self.log.fileno()}", encoding="utf-8") as log:
            return log.read()

    def wait_logged(self, text, times=1):
        wait_until(lambda: self.output().count(text) >= times, lambda: f"{text!r} in {self.output()}",
                   deadline=MINUTE)

    def wait_sampled(self, polls=2):
        """So many polls have ended that began after now. Each is a transaction."""
        before = self.engine.transactions()
        wait_until(lambda: self.engine.transactions() > before + polls, "polls of the recorder")

    def wait_chosen(self):
        """The sites were found, then their labels, and all of them were sampled."""
        self.wait_sampled(4)

    def query(self, sql, *values):
        """The rows; none as long as the recorder has not made the tables."""
        if not os.path.exists(self.database):
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            if not connection.execute("SELECT * FROM sqlite_master").fetchall():
                return []
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def minutes(self, site="a.example", name="", kind=SITE):
        """The stored minutes of a scope, by number."""
        names = ("seconds", "minimum", "mean", "maximum", "warming", "partial", "heartbeats")
        rows = self.query(f"SELECT minute, {', '.join(names)} FROM minute JOIN scope ON scope.id = scope "
                          "WHERE site = ? AND name = ? AND kind = ?", site, name, kind)
        return {row[0]: dict(zip(names, row[1:])) for row in rows}

    def wait_stored(self, after=0):
        """Wait until a later minute of the site is stored, and return the first that is. A recorder that
        was late may have missed the end of one."""
        def stored():
            return [minute for minute in self.minutes() if minute > after]
        return min(wait_until(stored, lambda: f"a minute in the database: {self.output()}", deadline=MINUTE))

    def write(self, count, group="A", **state):
        """Two shards with a site, its labels and another site; the totals are twice the counts."""
        counts = {300: {"a.example": {"": count, "r/": count, "r/b": 1, "cDE": count, "snews": 2},
                        "many.example": {"": MANY, "r/": MANY}}}
        for shard in (1, 2):
            self.shards.write(group, shard, 2, counts, **state)
