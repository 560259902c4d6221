"""Each allocation of what programs do fails once: they do all of it, or say that they can't, and go on."""

import http.client
import json
import os
import subprocess
import unittest

from allocations import Allocations, shape
from exporter import ExporterCase
from harness import DEADLINE, PRESENCECTL, native, visitor, wait_until
from web import SITE, WebCase, new_id

COMMANDS = (
    ("count", SITE), ("count", SITE, "/room"), ("top", SITE), ("top", SITE, "--by", "country"), ("sites",),
    ("peak", SITE), ("history", SITE), ("events",), ("explain", SITE), ("seen", SITE, new_id()), ("senders",),
    ("stats",), ("status",), ("verify",),
)
OTHER_FORMS = (("history", SITE, "--table"), ("history", SITE, "--csv"), ("events", "--csv"),
               *((*command, "--json") for command in COMMANDS))
PATHS = ("/", "/badge.js", f"/badge.svg?site={SITE}", f"/badge.json?site={SITE}", "/api/sites", "/api/status",
         "/api/senders", f"/api/sites/{SITE}/live-user-count", f"/api/sites/{SITE}/events",
         f"/api/sites/{SITE}/history", f"/api/analytics/sites/{SITE}/realtime", "/-/healthy")
COUNTS = "count", "currentVisitors", "visitors"  # nobody comes or goes
AT_START = 20  # at least so many allocations are the same in all commands
NOT_ALWAYS = ("reason", "message")  # of a touch whose number came late


class NoMemory(ExporterCase, WebCase):
    def setUp(self):
        super().setUp()
        self.allocations = Allocations()
        self.addCleanup(self.allocations.close)
        self.collector = self.start("--warm-up", "0")
        self.send(self.collector, native(SITE, [visitor(i) for i in range(5)], room="/room"))
        self.wait_received(1)
        # Once there are peaks, answers always have the same.
        wait_until(lambda: self.json("peak", SITE)["ever"]["count"], "a second to be over")

    # ---- presencectl --------------------------------------------------------------------------

    def run_ctl(self, command):
        return subprocess.run(
            [PRESENCECTL, *command, "--segment", self.segment], capture_output=True, text=True,
            timeout=DEADLINE, stdin=subprocess.DEVNULL,
            env={**os.environ, **self.allocations.environment})

    def test_commands(self):
        for command in COMMANDS + OTHER_FORMS:
            made, usual = self.allocations.count(lambda: self.run_ctl(command))
            self.assertTrue(made, usual.stderr)
            for number in range(0 if command == COMMANDS[0] else AT_START, made):
                self.allocations.fail_after(number)
                done = self.run_ctl(command)
                with self.subTest(command=command, number=number):
                    if done.returncode == usual.returncode:
                        self.assertEqual(shape(done.stdout, COUNTS), shape(usual.stdout, COUNTS),
                                         done.stdout)
                    else:
                        self.assertIn(done.returncode, (1, 2), done.stderr)
                        self.assertRegex(done.stderr, r"\Apresencectl: .*memory.*\n\Z")

    # ---- servers ------------------------------------------------------------------------------

    def check(self, server, what, ask):
        """ask() returns what is the same in each answer, or None if there was none, or one that says
        that it can't be given now."""
        made, usual = self.allocations.count(ask)
        self.assertTrue(made and usual, f"{what}: {made} allocations, {usual}")
        for number in range(made):
            self.allocations.fail_after(number)
            answer = ask()
            self.allocations.succeed()
            with self.subTest(what, number=number):
                self.assertIsNone(server.process.poll(), server.output())
                self.assertIn(answer, (usual, None))
        self.assertEqual(ask(), usual, what)

    @staticmethod
    def or_none(ask):
        """Call ask(), which returns an answer's status and what is the same in it."""
        try:
            status, same = ask()
        except (ConnectionError, http.client.HTTPException):  # closed, before or while it answered
            return None
        return None if status in (500, 503) else (status, same)

    def start_web(self):
        web = self.serve(collector=self.collector, environment=self.allocations.environment)
        self.wait_count(web, 5)
        return web

    def test_web(self):
        web = self.start_web()

        def ask(path):
            answer = web.get(path)
            return answer.status, shape(answer.body.decode(), COUNTS)

        for path in PATHS:
            self.check(web, path, lambda path=path: self.or_none(lambda: ask(path)))

    def test_touch(self):
        web = self.start_web()

        def touch():
            answer = web.touch({"site": SITE, "visitor": new_id(), "path": "/room"})
            same = {name: value for name, value in answer.json.items() if name not in NOT_ALWAYS}
            return answer.status, shape(json.dumps(same))

        self.check(web, "touch", lambda: self.or_none(touch))

    def test_rest(self):
        web = self.serve("--site", SITE, "--client-rate", "0", collector=self.collector,
                         environment=self.allocations.environment)
        self.wait_count(web, 5)

        def call():
            answer = web.ask("POST", "/rest/v1/rpc/touch_website_active_visitor",
                             json.dumps({"_visitor_id": new_id(), "_window_minutes": "3"}))
            return answer.status, shape(answer.body.decode())

        self.check(web, "a function's call", lambda: self.or_none(call))

    def test_stream(self):
        web = self.start_web()

        def watch():
            stream = web.stream(f"site={SITE}")
            try:
                if stream.status != 200:
                    return stream.status, None
                event = stream.event()
                return (200, shape(json.dumps(event["data"]))) if event else (503, None)
            finally:
                stream.close()

        self.check(web, "stream", lambda: self.or_none(watch))

    def test_exporter(self):
        exporter = self.export(environment=self.allocations.environment)
        self.wait_up(exporter)

        def scrape(accept):
            status, _, body = exporter.get("/metrics", Accept=accept)
            return status, {line.rpartition(" ")[0] for line in body.decode().splitlines()}

        for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
            self.check(exporter, accept, lambda accept=accept: self.or_none(lambda: scrape(accept)))


if __name__ == "__main__":
    unittest.main()
