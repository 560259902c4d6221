"""Shared by the tests of presence-web --engine: a Redis, groups in it, and presence-web."""

import os
import signal
import subprocess
import time

from engine import RedisServer
from harness import DEADLINE, PRESENCE_RECORDER, freeze, program, wait_until
from publisher import Publisher
from web import SITE, Web, WebCase
from written_shards import WrittenShards


class TotalsCase(WebCase):
    """A test with a Redis; groups in it are written by hand, or by collectors and their publishers."""

    def setUp(self):
        super().setUp()
        self.engine = RedisServer(self.directory)
        self.addCleanup(self.engine.ensure_ended)
        self.shards = None

    def write(self, group, *counts, window=300, **state):
        """Write a group, of so many shards as there are counts: {field: count}, or {site: {field: count}};
        a field is "" for the site itself."""
        if not self.shards:
            self.shards = WrittenShards(self.engine)
            self.addCleanup(self.shards.close)
        for shard, fields in enumerate(counts):
            sites = fields if any(isinstance(value, dict) for value in fields.values()) else {SITE: fields}
            self.shards.write(group, shard + 1, len(counts), {window: sites}, **state)

    def begin(self, *arguments, url=None, **keywords):
        """Start presence-web; returns it."""
        self.web = Web("--engine", url or self.engine.url, *arguments, **keywords)
        self.addCleanup(self.end_web, self.web)
        return self.web

    def begin_collector(self, *arguments, group="A"):
        """Start a collector and its publisher, one group, and a presence-web that sends to it."""
        self.collector = self.start("--warm-up", "0", *arguments)
        self.publisher = Publisher(self.segment, self.engine.url, "--group", group)
        self.addCleanup(self.publisher.ensure_ended)
        self.publisher.wait_published()
        return self.begin("--to", f"127.0.0.1:{self.collector.port}", "--count-bots")

    def freeze_engine(self):
        freeze(self.engine.process)
        self.addCleanup(self.engine.process.send_signal, signal.SIGCONT)

    def polls(self):
        """How many transactions the engine has carried out; only presence-web makes any now."""
        return self.engine.transactions()

    def timed(self, path):
        """An answer, and how many seconds it took."""
        began = time.monotonic()
        answer = self.web.get(path)
        return answer, time.monotonic() - began

    def problem(self):
        """Why presence-web can't use the engine; None: it can."""
        return self.web.get("/api/status").json["engine"]["problem"]

    def record(self):
        """Have presence-recorder sample the totals for a few seconds, and store them."""
        command = [PRESENCE_RECORDER, "--engine", self.engine.url, "--database",
                   os.path.join(self.directory, "totals.db")]
        with program(command, stderr=subprocess.DEVNULL) as recorder:
            polls = self.polls()
            wait_until(lambda: self.polls() > polls + 20, "samples")
            recorder.send_signal(signal.SIGTERM)
            self.assertEqual(recorder.wait(timeout=DEADLINE), 0)

    def password_file(self, password):
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{password}\n")
        os.chmod(path, 0o600)
        return path
