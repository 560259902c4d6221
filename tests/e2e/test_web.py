"""presence-web: counts over HTTP, its pages, and the program itself."""

import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
import unittest
import urllib.parse

from harness import (
    DEADLINE, LISTENING, STARTING, STATE, free_port, native, read_time, record, visitor, wait_until,
)
from senders import Edge
from web import PRESENCE_WEB, SITE, WebCase

API_KEY = "an-api-key-of-the-tests"


def rooms(web, headers=None):
    answer = web.get(f"/api/analytics/sites/{SITE}/realtime?limit=100", headers).json
    return {page["path"]: page["visitors"] for page in answer["activePages"]}


class Read(WebCase):
    def test_live_user_count(self):
        collector = self.start("--warm-up", "0")
        web = self.serve()
        self.send(collector, native(SITE, [visitor(i) for i in range(7)], room="/a b?é"))
        answer = self.wait_count(web, 7)
        self.assertEqual(list(answer)[0], "count")
        expected = {"count": 7, "site": SITE, "room": None, "window_s": 300, "stale": False,
                    "warming": False}
        self.assertEqual({key: answer[key] for key in expected}, expected)
        self.assertIn(answer["last_heartbeat_s"], range(60))
        self.assertLess(abs(time.time() - read_time(answer["as_of"])), 60)
        room = urllib.parse.quote("/a b?é", safe="")
        self.assertEqual(self.live(web, query=f"?room={room}")["count"], 7)
        self.assertEqual(self.live(web, site="EXAMPLE.com")["count"], 7)
        self.assertEqual(self.live(web, site="nobody.example")["count"], 0)
        self.assertIsNone(self.live(web, site="nobody.example")["last_heartbeat_s"])
        self.assertEqual(web.ask("HEAD", f"/api/sites/{SITE}/live-user-count").body, b"")

    def test_minutes(self):
        """They are clamped to 1..60, everywhere, and to what the collector keeps."""
        web = self.serve(collector=self.start())
        cases = (("", 300), ("minutes=1", 60), ("minutes=60", 3600), ("minutes=0", 60),
                 ("minutes=-5", 60), ("minutes=61", 3600), ("minutes=007", 420),
                 ("minutes=99999999999999999999999", 3600), ("minutes=8", 480), ("minutes=9", 540))
        for query, window_s in cases:
            for path in (f"/api/sites/{SITE}/live-user-count",
                         f"/api/analytics/sites/{SITE}/realtime"):
                answer = web.get(f"{path}?{query}")
                self.assertEqual(answer.json["window_s"], window_s, f"{path}?{query}")
            stream = self.open_stream(web, f"site={SITE}&{query}")
            self.assertEqual(stream.event()["data"]["window_s"], window_s, query)
        for query in ("minutes=", "minutes", "minutes=five", "minutes=5.5", "minutes=5m",
                      "minutes=0x10", "minutes=+5", "minutes=5%00", "minutes=5&minutes=x"):
            for path in (f"/api/sites/{SITE}/live-user-count?",
                         f"/api/analytics/sites/{SITE}/realtime?", f"/stream?site={SITE}&"):
                answer = web.get(path + query)
                self.assert_problem(answer, 400, "bad_request")
                self.assertIn("minutes", answer.json["message"])

    def test_other_numbers(self):
        """Whatever else has bounds is clamped to them, too; garbage is refused."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        for path, name in (("/api/sites", "limit"), (f"/api/sites/{SITE}/history", "hours"),
                           (f"/api/analytics/sites/{SITE}/realtime", "limit"),
                           (f"/api/sites/{SITE}/events", "page_size")):
            for value in "0", "-1", "1", "100000", "9" * 30:
                self.assertEqual(web.get(f"{path}?{name}={value}").status, 200, (path, value))
            for wrong in f"{name}", f"{name}=", f"{name}=x", f"{name}=1.5", f"{name}=1&{name}=1":
                self.assert_problem(web.get(f"{path}?{wrong}"), 400, "bad_request")

    def test_minutes_of_a_collector_that_keeps_fewer(self):
        web = self.serve(collector=self.start("--max-window", "120"))
        self.counted(web, {"site": SITE, "visitor": "v"})
        for site in SITE, "nobody.example":
            self.assertEqual(self.live(web, site, "?minutes=60")["window_s"], 120)
            self.assertEqual(self.live(web, site, "?minutes=1")["window_s"], 60)

    def test_a_full_directory(self):
        """A site that may have been refused is unknown, not 0."""
        collector = self.start("--max-scopes", "1", small=False)
        self.send(collector, native(SITE, [visitor(1)]), native("other.example", [visitor(2)]))
        wait_until(lambda: self.stats()["scopes_full"], "the directory to be full")
        web = self.serve()
        self.assertEqual(self.live(web)["count"], 1)
        self.assertIsNone(self.live(web, "nobody.example")["count"])

    def test_stale_and_warming(self):
        """A stale number is shown as stale, and never as 0; a warming one as a lower bound."""
        collector = self.start()
        web = self.serve(collector=collector)
        answer = self.counted(web, {"site": SITE, "visitor": "v"})
        self.assertEqual((answer["count"], answer["warming"], answer["stale"]), (1, True, False))
        self.assertEqual(collector.stop(), 0)
        answer = self.live(web)
        self.assertEqual((answer["count"], answer["stale"]), (1, True))
        unknown = self.live(web, "nobody.example")
        self.assertEqual((unknown["count"], unknown["stale"]), (None, True))
        answer = web.touch({"site": SITE, "visitor": "w"}).json
        self.assertEqual((answer["count"], answer["stale"], answer["counted"]), (1, True, False))
        answer = web.get("/api/status").json
        self.assertEqual((answer["state"], answer["stale"]), ("stopped", True))
        self.assertEqual(web.get("/-/healthy").status, 200)

    def test_no_number(self):
        """What is stale or unknown comes with 503, and all that is known of it; with 200 for clients that
        know its marks and want no other system's answers."""
        collector = self.start()
        servers = self.serve(collector=collector), self.serve("--no-compat")
        self.counted(servers[0], {"site": SITE, "visitor": "v"})

        def ask(site):
            for path, name in ((f"/api/sites/{site}/live-user-count", "count"),
                               (f"/api/analytics/sites/{site}/realtime", "currentVisitors")):
                for web in servers:
                    answer = web.get(path)
                    yield (answer.status, answer.headers.get("retry-after"), answer.json[name],
                           answer.json["stale"])

        self.assertEqual(list(ask(SITE)), [(200, None, 1, False)] * 4)
        self.assertEqual(list(ask("nobody.example")), [(503, "5", None, False), (200, None, None, False)] * 2)
        self.assertEqual(collector.stop(), 0)
        self.assertEqual(list(ask(SITE)), [(503, "5", 1, True), (200, None, 1, True)] * 2)
        self.assertEqual(list(ask("nobody.example")), [(503, "5", None, True), (200, None, None, True)] * 2)

    def test_ready(self):
        """Ready is who has a collector; healthy is who runs. Neither needs a key."""
        web = self.serve("--api-key-file", self.secret("keys", API_KEY))

        def ready():
            answer = web.get("/-/ready")
            self.assertEqual(web.get("/-/healthy").status, 200)
            return answer.status, answer.body.decode()

        self.assertEqual(ready(), (503, "presence-web is not ready: there is no collector: start "
                                        "presenced, or see --segment\n"))
        collector = self.start()
        self.assertEqual(ready(), (200, "presence-web is ready\n"))
        self.assertEqual(web.ask("HEAD", "/-/ready").status, 200)
        collector.freeze()
        self.assertRegex(wait_until(lambda: (now := ready())[0] == 503 and now[1], "it to be stale"),
                         r"not ready: the collector has been silent for \d+ s")
        collector.thaw()
        wait_until(lambda: ready()[0] == 200, "it to be fresh again")
        collector.stop()
        self.assertEqual(ready(), (503, "presence-web is not ready: the collector has stopped\n"))
        self.assert_problem(web.ask("POST", "/-/ready"), 405, "method_not_allowed")

    def test_starting(self):
        """While the collector does not listen yet, the last number is stale."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.counted(web, {"site": SITE, "visitor": "v"})
        collector.freeze()
        self.write_header(STATE, STARTING)
        answer = self.live(web)
        self.assertEqual((answer["count"], answer["stale"]), (1, True))
        self.assertEqual(self.live(web, "nobody.example")["count"], None)
        self.assertTrue(web.get("/api/sites").json["stale"])
        data = self.open_stream(web).event()["data"]
        self.assertEqual((data["count"], data["stale"]), (1, True))
        status = wait_until(lambda: (status := web.get("/api/status").json)["stale"] and status,
                            "the status to say so")
        self.assertEqual(status["state"], "starting")
        self.write_header(STATE, LISTENING)
        collector.thaw()
        wait_until(lambda: not self.live(web)["stale"], "it to be fresh again")
        self.assertEqual(self.live(web, "nobody.example")["count"], 0)

    def test_no_segment(self):
        """Without a segment it logs that once, serves what it can, and waits for one."""
        web = self.serve("--client-rate", "0")
        for path in ("/api/sites", "/api/status", "/api/senders",
                     f"/api/sites/{SITE}/live-user-count", f"/api/analytics/sites/{SITE}/realtime", f"/api/sites/{SITE}/events"):
            answer = web.get(path)
            self.assert_problem(answer, 503, "no_collector")
            self.assertIn("retry-after", answer.headers)
        answer = web.touch({"site": SITE, "visitor": "v"})
        self.assertEqual((answer.status, answer.json["count"], answer.json["stale"]),
                         (200, None, True))
        self.assertEqual(web.output().count("cannot read the segment"), 1)
        stream = self.open_stream(web)
        event = stream.event()["data"]
        self.assertEqual((event["count"], event["stale"], event["as_of"]), (None, True, None))
        self.start("--warm-up", "0")
        stream.wait_for("the segment to be found",
                        lambda data: (data["count"], data["stale"]) == (0, False))
        self.assertEqual(self.live(web)["count"], 0)

    def test_status(self):
        web = self.serve(collector=self.start("--warm-up", "7", "--workers", "2"))
        answer = web.get("/api/status").json
        self.assertEqual((answer["state"], answer["workers"], answer["warm_up_s"]),
                         ("listening", 2, 7))
        self.assertEqual(set(answer["counters"]), set(self.stats()))
        self.assertEqual(answer["streams"], 0)

    def test_figures_of_the_status(self):
        """They are those of presencectl, also where entries of visitors who have left are still there."""
        collector = self.start("--warm-up", "0", "--max-window", "1")
        web = self.serve()
        self.send(collector, native(SITE, [visitor(i) for i in range(9)], room="/a"))
        self.wait_received(1)

        def figures(status):
            return {name: value for name, value in status.items()
                    if re.search("_(live|taken|capacity|bytes)$", name)}

        def same():
            ours, theirs = figures(self.json("status")), figures(web.get("/api/status").json)
            common = ours.keys() & theirs.keys()
            self.assertGreaterEqual(len(common), 8)
            return (ours["entries_taken"] > ours["entries_live"] and
                    all(ours[name] == theirs[name] for name in common))

        wait_until(same, lambda: f"{self.json('status')} and {web.get('/api/status').json} to be the same")

    def test_senders(self):
        """Who sends, and what was lost; presence-web is one of them."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--to", f"127.0.0.1:{free_port()}")
        self.assertEqual(web.get("/api/senders").json["data"], [])
        edge = Edge(self, collector)
        edge.send(record(SITE, [visitor(1), visitor(2)]))
        edge.send(lost=True)
        edge.send()
        data = wait_until(lambda: (data := web.get("/api/senders").json["data"]) and
                          data[0]["received"] == 2 and data, "both to be received")
        port = edge.socket.getsockname()[1]
        self.assertLessEqual({"address": "127.0.0.1", "port": port, "key": None, "target": 0,
                              "stream": f"{edge.stream:016x}", "datagrams": 2, "heartbeats": 2,
                              "expected": 3, "received": 2, "lost": 1, "duplicates": 0}.items(),
                             data[0].items())
        Edge(self, collector, "127.0.0.2").send(record("b.example", [visitor(1)]))
        wait_until(lambda: web.get("/api/senders").json["total"] == 2, "a second one")
        answer = web.get("/api/senders?limit=1").json
        self.assertEqual((len(answer["data"]), answer["total"]), (1, 2))
        self.assert_problem(web.get("/api/senders?limit=x"), 400, "bad_request")
        answer = wait_until(lambda: (answer := web.get("/api/senders").json)["restarted"] +
                            answer["silent"] == 2 and answer, "both to be silent")
        self.assertEqual([each["state"] for each in answer["data"]], ["silent"] * 2)
        realtime = web.get(f"/api/analytics/sites/{SITE}/realtime").json
        self.assertEqual((realtime["edges"]["alive"], realtime["edges"]["gone"]), (0, 2))
        self.assertIsNone(web.get("/api/analytics/sites/no.example/realtime").json["edges"])

    def test_many_senders(self):
        """100 are listed, or as many as are asked for."""
        collector = self.start("--warm-up", "0")
        web, edge = self.serve("--to", f"127.0.0.1:{free_port()}"), Edge(self, collector)
        for stream in range(1, 102):
            edge.stream = stream
            edge.send()
        wait_until(lambda: web.get("/api/senders").json["total"] == 101, "all senders")
        self.assertEqual([len(web.get(f"/api/senders{query}").json["data"]) for query in ("", "?limit=1000")],
                         [100, 101])

    def test_no_senders_are_kept(self):
        web = self.serve(collector=self.start("--max-streams", "0"))
        self.assert_problem(web.get("/api/senders"), 503, "no_streams")

    def test_realtime(self):
        collector = self.start()
        for page in range(5):
            self.send(collector, native(SITE, [visitor(i) for i in range(page + 1)],
                                        room=f"/{page}", country="DE", source="news.example"))
        web = self.serve()
        self.wait_count(web, 5)
        wait_until(lambda: len(rooms(web)) == 5, "all rooms")
        answer = web.get(f"/api/analytics/sites/{SITE}/realtime?limit=2").json
        self.assertEqual(answer["currentVisitors"], 5)
        self.assertEqual(answer["activePages"],
                         [{"path": "/4", "visitors": 5}, {"path": "/3", "visitors": 4}])
        self.assertEqual(answer["topActivePages"],
                         [{"name": "/4", "value": 5, "percentage": 56},
                          {"name": "/3", "value": 4, "percentage": 44}])
        self.assertEqual(answer["countries"], [{"country": "DE", "visitors": 5}])
        self.assertEqual(answer["sources"], [{"source": "news.example", "visitors": 5}])
        answer = web.get("/api/analytics/sites/nobody.example/realtime").json
        self.assertEqual((answer["currentVisitors"], answer["activePages"]), (None, []))  # warming

    def test_sites(self):
        """A part of the name finds sites, the whole name puts one first; `total` counts them all."""
        collector = self.start("--warm-up", "0")
        for busy, site in enumerate(("a.example", "shop.a.example", "b.example", "100%_\u00e9.example")):
            self.send(collector, native(site, [visitor(i) for i in range(busy + 1)]))
        self.wait_received(4)

        def sites(query, *arguments):
            web = self.serve(*arguments)
            answer = web.get(f"/api/sites?{query}").json
            return [each["site"] for each in answer["data"]], answer["total"]

        busiest = ["100%_\u00e9.example", "b.example", "shop.a.example", "a.example"]
        self.assertEqual(sites(""), (busiest, 4))
        self.assertEqual(sites("limit=2"), (busiest[:2], 4))
        self.assertEqual(sites("search="), (busiest, 4))
        self.assertEqual(sites("search=A.EXAMPLE"), (["a.example", "shop.a.example"], 2))
        self.assertEqual(sites("search=a.example&limit=1"), (["a.example"], 2))
        self.assertEqual(sites("search=%25_%C3%A9"), (busiest[:1], 1))
        self.assertEqual(sites("search=*"), ([], 0))
        self.assertEqual(sites("search=a", "--site", "b.example"), (["b.example"], 1))
        for bad in "%01", "%FF", "x" * 254:
            self.assert_problem(self.serve().get(f"/api/sites?search={bad}"), 400, "bad_request")

    def test_paths(self):
        web = self.serve(collector=self.start())
        for path in ("/nothing", "/api", "/api/", "/api/sites/", "/api/sites/x", "/api/sites/x/y",
                     "/api/analytics/sites/", "/api/analytics/sites/x", "/stream/", "/touch/x"):
            self.assert_problem(web.get(path), 404, "not_found")
        for method, path, allow in (("GET", "/touch", "POST, OPTIONS"),
                                    ("POST", "/api/sites", "GET, HEAD, OPTIONS"),
                                    ("DELETE", "/stream", "GET, HEAD, OPTIONS")):
            answer = web.ask(method, path)
            self.assert_problem(answer, 405, "method_not_allowed")
            self.assertEqual(answer.headers["allow"], allow)
        self.assert_problem(web.get("/api/sites//live-user-count"), 400, "bad_request")
        site = urllib.parse.quote("a/b c.example", safe="")
        self.assertEqual(self.live(web, site)["site"], "a/b c.example")

    def test_files(self):
        """The dashboard and the badge: typed, tagged, compressed, and without inline script."""
        web = self.serve(collector=self.start())
        for path, kind, cache in (("/", "text/html; charset=utf-8", "no-cache"),
                                  ("/badge.js", "text/javascript; charset=utf-8",
                                   "public, max-age=300")):
            plain = web.get(path)
            self.assertEqual((plain.status, plain.headers["content-type"],
                              plain.headers["cache-control"]), (200, kind, cache))
            self.assertEqual(plain.headers["x-content-type-options"], "nosniff")
            policy = plain.headers["content-security-policy"]
            self.assertIn("script-src 'self';", policy)
            self.assertNotIn("unsafe", policy)
            self.assertIn("frame-ancestors 'self'", policy)
            packed = web.get(path, {"Accept-Encoding": "br, gzip;q=0.5"})
            self.assertEqual(packed.headers["content-encoding"], "gzip")
            self.assertLess(len(packed.body), len(plain.body))
            self.assertNotEqual(packed.headers["etag"], plain.headers["etag"])
            self.assertEqual(gzip.decompress(packed.body), plain.body)
            refused = web.get(path, {"Accept-Encoding": "gzip;q=0"})
            self.assertEqual(refused.body, plain.body)
            for tag in plain.headers["etag"], "W/" + plain.headers["etag"], "*":
                fresh = web.get(path, {"If-None-Match": tag})
                self.assertEqual((fresh.status, fresh.body), (304, b""))
                self.assertEqual(fresh.headers["etag"], plain.headers["etag"])
            self.assertEqual(web.get(path, {"If-None-Match": '"other"'}).status, 200)
        self.assertEqual(web.get("/badge.js").headers["cross-origin-resource-policy"],
                         "cross-origin")
        self.assertEqual(web.get("/").headers["cross-origin-resource-policy"], "same-origin")


class Program(WebCase):
    def run_web(self, *arguments, environment=None):
        done = subprocess.run([PRESENCE_WEB, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def assert_one_line(self, result, status, pattern):
        got, out, err = result
        self.assertEqual((got, out), (status, ""), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertRegex(err, rf"^presence-web: .*{pattern}")

    def test_help(self):
        status, out, err = self.run_web("--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("--listen", "--segment", "--to", "--site", "--origin", "--trusted-proxy",
                       "--country-header", "--client-rate", "--count-bots", "--api-key-file",
                       "--jwt-key-file", "--key-file", "--max-streams", "--client-streams",
                       "--config"):
            self.assertIn(option + " ", out)
        self.assertEqual(max(map(len, out.splitlines())) <= 100, True)
        self.assertRegex(self.run_web("--version")[1], r"^presence-web \d+\.\d+\.\d+\n$")

    def test_wrong_usage(self):
        for arguments, pattern in (
                (("--listen", "8474"), "--listen .*127.0.0.1:8474"),
                (("--listen", "127.0.0.1:99999"), "--listen"), (("--to", "nowhere"), "--to"),
                (("--site", ""), "--site"), (("--origin", "a.example"), "--origin"),
                (("--origin", "https://a.example/x"), "--origin"), (("--origin", "https://"), "--origin"),
                (("--trusted-proxy", "10.0.0.0/33"), "--trusted-proxy"),
                (("--trusted-proxy", "localhost"), "--trusted-proxy"),
                (("--trusted-proxy", "10.0.0.1") * 257, "--trusted-proxy"),
                (("--country-header", "X Y"), "--country-header"),
                (("--client-rate", "-1"), "--client-rate"), (("--max-streams", "x"), "--max-str"),
                (("surplus",), "surplus"), (("--config", "/nonexistent"), "/nonexistent"),
                (("--config", self.secret("bad", "color = red")), "color"),
                (("--config", self.secret("bad2", "count-bots = perhaps")), "yes or no"),
                (("--config", self.secret("bad3", "site")), "bad3:1")):
            with self.subTest(arguments=arguments):
                self.assert_one_line(self.run_web(*arguments), 2, pattern)

    def test_failures(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.assert_one_line(self.run_web("--listen", address), 1, "Address already in use")
        for arguments, pattern in (
                (("--api-key-file", "/nonexistent"), "No such file"),
                (("--api-key-file", self.secret("open", API_KEY, mode=0o644)), "chmod"),
                (("--api-key-file", self.secret("empty", "# none")), "no key"),
                (("--jwt-key-file", self.secret("short", "x" * 31)), "too short"),
                (("--key-file", "/nonexistent"), "No such file"),
                (("--key-file", self.secret("all", f"1 {'0' * 32}", mode=0o604)), "chmod"),
                (("--key-file", self.secret("none", "", " # none")), "no key"),
                (("--key-file", self.secret("id", f"256 {'0' * 32}")), "1 to 255"),
                (("--key-file", self.secret("digits", "1 " + "0" * 31)), "32 hex digits"),
                (("--key-file", self.secret("words", f"1 {'0' * 32} x")), "32 hex digits"),
                (("--to", "collector.example:9514"), "collector.example"),
                (("--trusted-proxy", "10.0.0.1") * 256 + ("--key-file", "/nonexistent"), "No such file")):
            with self.subTest(arguments=arguments):
                self.assert_one_line(self.run_web("--listen", "127.0.0.1:0", *arguments), 1,
                                     pattern)

    def test_configuration_file(self):
        """The command line wins; repeatable options add up."""
        path = self.secret("presence-web.conf", "; a comment", "site = a.example",
                           "count-bots = yes", "client-rate = 1", "max-streams = 1")
        web = self.serve("--config", path, "--site", "b.example", "--client-rate", "0",
                         collector=self.start())
        for site, status in ("a.example", 200), ("b.example", 200), ("c.example", 403):
            for _ in range(12):
                answer = web.touch({"site": site, "visitor": "v"}, {"User-Agent": "somebot"})
                self.assertEqual(answer.status, status)
        stream = web.stream("site=a.example")
        self.assertEqual(stream.status, 200)
        self.assert_problem(web.get("/stream?site=a.example"), 503, "too_many_streams")
        stream.close()

    def test_nobody_listens(self):
        """The log says when heartbeats reach no collector."""
        self.start().stop()
        port = free_port(socket.SOCK_DGRAM)
        web = self.serve("--to", f"127.0.0.1:{port}")

        def complained():
            web.touch({"site": SITE, "visitor": "v"})
            return f"heartbeats do not reach 127.0.0.1:{port}" in web.output()

        wait_until(complained, "the log to say so")

    def test_no_privileges(self):
        """It needs no privileges, and drops those that it has."""
        web = self.serve(collector=self.start())
        with open(f"/proc/{web.process.pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        for field in "CapEff", "CapPrm", "CapInh", "CapAmb":
            self.assertEqual(int(status[field], 16), 0, field)
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_as_somebody_else(self):
        """A user who can only read the segment can run it."""
        collector = self.start("--warm-up", "0")
        group = 54321  # nobody's
        os.chmod(self.directory, 0o755)
        program = shutil.copy(PRESENCE_WEB, self.directory)  # the build may be where it may not go
        os.chown(self.segment, 0, group)
        log = open(os.path.join(self.directory, "log"), "w+")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [program, "--listen", "127.0.0.1:0", "--segment", self.segment, "--to",
             f"127.0.0.1:{collector.port}"],
            stderr=log, stdin=subprocess.DEVNULL, user=65534, group=group, extra_groups=[])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def port():
            with open(log.name) as file:
                return re.search(r"listening on .*:(\d+)\n", file.read())

        connection = http.client.HTTPConnection("127.0.0.1", int(wait_until(port, "it")[1]))
        self.addCleanup(connection.close)

        def counted():
            connection.request("POST", "/touch", json.dumps({"site": SITE, "visitor": "v"}))
            answer = json.loads(connection.getresponse().read())
            return answer["count"] == 1 and answer["counted"]

        wait_until(counted, "a touch to be counted")


if __name__ == "__main__":
    unittest.main()
