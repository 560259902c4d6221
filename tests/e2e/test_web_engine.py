"""presence-web --engine: the totals of many collectors in API and streams, and one poll for all clients."""

import concurrent.futures
import os
import random
import subprocess
import time
import urllib.parse

from harness import DEADLINE, PRESENCE_RECORDER, check_quick, wait_until
from side_by_side import main
from web import PRESENCE_WEB, SITE
from web_totals import TotalsCase

LIVE = f"/api/sites/{SITE}/live-user-count"
REALTIME = f"/api/analytics/sites/{SITE}/realtime"
LARGE = 5_000_000_000  # over 32 bits


class Answers(TotalsCase):
    def test_everything(self):
        """Each answer has the sum of the largest whole group's shards, also beyond 32 bits."""
        self.write("a", {"": LARGE, "r/x": 7, "cDE": 5, "snews.example": 2}, {"": LARGE, "r/x": 4, "r/y": 1})
        self.write("b", {"": 9, "r/x": 20})
        self.begin(url=self.engine.url.replace("127.0.0.1", "localhost"))  # looked up while confined
        self.assertEqual(self.live(self.web)["count"], 2 * LARGE)
        for room, count in ("/x", 20), ("/y", 1), ("//x/", 20), ("/nowhere", 0):
            answer = self.live(self.web, query=f"?room={room}")
            self.assertEqual((answer["count"], answer["stale"]), (count, False), room)
        answer = self.live(self.web, "elsewhere.example")
        self.assertEqual((answer["count"], answer["window_s"], answer["last_heartbeat_s"]), (0, 300, None))

        realtime = self.web.get(REALTIME).json
        self.assertEqual(realtime["currentVisitors"], 2 * LARGE)
        self.assertEqual([(page["path"], page["visitors"]) for page in realtime["activePages"]],
                         [("/x", 20), ("/y", 1)])
        self.assertEqual(realtime["countries"], [{"country": "DE", "visitors": 5}])
        self.assertEqual(realtime["sources"], [{"source": "news.example", "visitors": 2}])
        self.assertEqual(realtime["topActivePages"], [{"name": "/x", "value": 20, "percentage": 95},
                                                      {"name": "/y", "value": 1, "percentage": 5}])
        self.assertEqual({name: realtime[name] for name in realtime["ofOneCollector"]},
                         {"pageViews": None, "pageViewsLastHour": None, "edges": None,
                          "recentEvents": []})

        sites = self.web.get("/api/sites").json
        self.assertEqual((sites["data"], sites["total"], sites["stale"]),
                         ([{"site": SITE, "count": 2 * LARGE, "last_heartbeat_s": None}], 1, False))
        self.assertEqual(self.web.get("/api/sites?search=nothing").json["total"], 0)
        self.assertEqual(self.web.get("/-/ready").status, 200)

    def test_status(self):
        """It names groups and shards, their visitors, and what is wrong with them."""
        self.write("a", {"": 3}, {"": 4})
        self.write("b", {"": 9}, {"": 9}, age_ms=60000)
        self.begin()
        status = self.web.get("/api/status").json
        self.assertEqual((status["state"], status["stale"], status["partial"], status["history"]),
                         ("whole", False, False, False))
        self.assertEqual(status["engine"], {"url": self.engine.url, "problem": None})
        self.assertEqual([(group["name"], group["whole"], [shard["state"] for shard in group["shards"]])
                          for group in status["groups"]],
                         [("a", True, ["fresh", "fresh"]), ("b", False, ["silent", "silent"])])
        self.assertEqual([shard["visitors"] for shard in status["groups"][0]["shards"]], [3, 4])

    def test_of_one_collector(self):
        """What totals can't have is refused, and said."""
        self.write("a", {"": 3})
        self.begin()
        for path in f"/api/sites/{SITE}/events", f"/api/events/{SITE}", "/api/senders":
            self.assert_problem(self.web.get(path), 404, "one_collector")
        self.assert_problem(self.web.get(f"/api/sites/{SITE}/history"), 404, "no_history")
        answer = self.web.get(LIVE + "?minutes=7")
        self.assert_problem(answer, 400, "bad_request")
        self.assertIn("300 s", answer.json["message"])
        self.assertEqual(self.web.get(f"/stream?site={SITE}&minutes=7").status, 400)
        self.assertEqual(self.live(self.web, query="?minutes=5")["count"], 3)

    SITES = """
        for number = 1, 10050 do
            local site = string.format('site%05d.example', number)
            redis.call('HSET', KEYS[1], site, number)
            redis.call('HSET', KEYS[1] .. ':' .. site, '', ARGV[1])
        end"""

    def test_many_sites(self):
        """The busiest 10,000 are listed and searched; it says that there are more."""
        self.write("a", {"": 1})
        self.engine.call("EVAL", self.SITES, 1, "{presence}:a:1:300", f"{1:016x}")
        self.begin()
        wait_until(lambda: self.web.get("/api/sites?limit=1").status == 200, "the sites")
        answer = self.web.get("/api/sites?limit=1").json
        self.assertEqual((answer["data"][0]["count"], answer["total"], answer["partial"]), (10050, 10051, False))
        answer = self.web.get("/api/sites?search=site09999").json
        self.assertEqual((answer["data"][0]["count"], answer["total"], answer["partial"]), (9999, 1, True))
        self.assertEqual(self.web.get("/api/sites?search=site00001").json["data"], [])
        self.assertEqual(self.live(self.web, "site00001.example")["count"], 1)

    def test_another_window(self):
        """Without the usual window, the default one is the longest that is published."""
        self.write("a", {"": 3}, window=60)
        self.begin()
        self.assertEqual([self.live(self.web, query=query)["window_s"] for query in ("", "?minutes=1")], [60, 60])
        self.assert_problem(self.web.get(LIVE + "?minutes=5"), 400, "bad_request")

    def test_marks(self):
        """Only what every whole group has wrong is marked."""
        self.write("a", {"": 3, "?p": "nrcs"})
        self.begin()
        self.assertEqual(self.marks(), (3, "partial"))
        self.write("b", {"": 2})
        wait_until(lambda: self.marks() == (3, ""), self.marks)
        self.write("a", {"": 3}, warming=1)
        self.write("b", {"": 2}, warming=1)
        wait_until(lambda: self.marks() == (3, "warming"), self.marks)

    def marks(self):
        answer = self.live(self.web)
        return answer["count"], " ".join(mark for mark in ("stale", "warming", "partial") if answer[mark])

    def test_streams(self):
        """A stream sends what has changed; one of several places says which."""
        self.write("a", {"": LARGE, "r/x": 1})
        self.begin()
        one, two = self.open_stream(self.web), self.open_stream(self.web, f"site={SITE}&room=&room=/x")
        first = one.event()
        self.assertEqual((first["id"], first["data"]["count"]), (str(LARGE), LARGE))
        self.write("a", {"": LARGE + 1, "r/x": 2})
        one.wait_for("the new total", lambda data: data["count"] == LARGE + 1)
        seen = two.wait_for("the room's", lambda data: data["place"] == 1 and data["count"] == 2)
        self.assertTrue(all(data["count"] is not None for data in seen), seen)
        again = self.open_stream(self.web, headers={"Last-Event-ID": str(LARGE + 1)})
        self.write("a", {"": LARGE + 2})
        self.assertEqual(again.event()["data"]["count"], LARGE + 2)

    def test_no_whole_group(self):
        """Then the last number stays, stale; a service's start doesn't make it another one."""
        self.write("a", {"": 3}, {"": 4})
        self.begin()
        stream = self.open_stream(self.web)
        self.assertEqual(stream.event()["data"]["count"], 7)
        self.shards.write("a", 2, 2, {300: {SITE: {"": 4}}}, age_ms=9000)
        stale = stream.wait_for("a stale number", lambda data: data["stale"])[-1]
        self.assertEqual(stale["count"], 7)
        ready = self.web.get("/-/ready")
        self.assertEqual(ready.status, 503)
        self.assertRegex(ready.body, rb"no group of collectors is whole since [1-9]\d* s")
        web = self.web
        self.begin()
        self.assertEqual((self.live(self.web)["count"], self.live(self.web)["stale"]), (7, True))
        with self.shards.lock:
            self.engine.call("DEL", "{presence}:a:2")
        wait_until(lambda: self.web.get("/api/status").json["groups"][0]["shards"][1]["state"] == "absent",
                   "the shard to be missed")
        polls = self.polls()
        wait_until(lambda: self.polls() > polls + 4, "two polls of each")
        for each in web, self.web:
            self.assertEqual((self.live(each)["count"], self.live(each)["stale"]), (7, True))
        self.shards.write("a", 2, 2, {300: {SITE: {"": 5}}})
        self.assertEqual(stream.wait_for("a whole group", lambda data: not data["stale"])[-1]["count"], 8)


class History(TotalsCase):
    def history(self, query=""):
        return self.web.get(f"/api/sites/{SITE}/history{query}")

    def test_recorded(self):
        """Minutes and peaks are those that presence-recorder has stored, also beyond 32 bits."""
        self.begin("--database", os.path.join(self.directory, "totals.db"))
        self.assert_problem(self.history(), 503, "no_engine")
        self.write("a", {"": LARGE}, {"": LARGE})
        wait_until(lambda: self.web.get(LIVE).status == 200, "a number")
        self.assert_problem(self.history(), 503, "no_history")
        self.assertIn("totals.db", self.web.output())
        self.record()
        answer = self.history("?hours=2").json
        self.assertEqual({minute["max"] for minute in answer["data"]}, {2 * LARGE})
        self.assertEqual([answer["data"][0][name] for name in ("pageviews", "entered", "left", "departed")], [None] * 4)
        self.assertEqual([answer["peak"][name]["count"] for name in ("today", "ever")], [2 * LARGE] * 2)
        other = self.web.get("/api/sites/elsewhere.example/history").json
        self.assertEqual((other["data"], other["peak"]), ([], {"today": None, "ever": None}))

    def test_of_a_collector(self):
        """A database of one collector is refused: its minutes are no totals."""
        self.start("--warm-up", "0")
        path = os.path.join(self.directory, "history.db")
        subprocess.run([PRESENCE_RECORDER, "--segment", self.segment, "--database", path, "--once"], check=True,
                       timeout=DEADLINE, capture_output=True)
        self.write("a", {"": 3})
        self.begin("--database", path)
        answer = self.history()
        self.assert_problem(answer, 503, "no_history")
        self.assertIn("of one collector", answer.json["message"])


class Polls(TotalsCase):
    def test_one_for_all(self):
        """Streams and requests of many clients cost one poll a second together."""
        self.write("a", {"": 3, "r/x": 1}, {"": 4})
        self.begin()
        streams = [self.open_stream(self.web, f"site={SITE}&room={room}") for room in ("", "/x") * 20]
        for stream in streams:
            stream.event()
        self.live(self.web)
        began, before, asked = time.monotonic(), self.polls(), 0
        while time.monotonic() - began < 4 or asked < 100:
            self.assertEqual(self.live(self.web, query="?room=/x" if asked % 2 else "")["count"], 1 if asked % 2 else 7)
            asked += 1
        polls, took = self.polls() - before, time.monotonic() - began
        self.assertLessEqual(polls, took + 2)
        self.assertGreaterEqual(polls, min(3, took / 3))

    def test_new_places(self):
        """Each is polled at once, but not one by one."""
        self.write("a", {"": 3, **{f"r/{number}": number + 1 for number in range(400)}})
        self.begin()
        self.live(self.web)
        began, before = time.monotonic(), self.polls()

        def ask(number):
            return self.live(self.web, query=f"?room=/{number}")["count"]

        with concurrent.futures.ThreadPoolExecutor(40) as clients:
            self.assertEqual(list(clients.map(ask, range(400))), [number + 1 for number in range(400)])
        self.assertLessEqual(self.polls() - before, (time.monotonic() - began) / 0.05 + 3)
        # Alone, one doesn't wait for the next poll of all, a second later.
        check_quick(lambda attempt: self.live(self.web, query=f"?room=/alone{attempt}"), 0.5)

    def test_what_nobody_asks_for(self):
        """It is polled no more after ten seconds; its last number is still there if the engine goes."""
        self.write("a", {"": 3, "r/old": 5})
        self.begin()
        self.assertEqual(self.live(self.web, query="?room=/old")["count"], 5)
        monitor = self.engine.client()
        self.addCleanup(monitor.close)
        monitor.send("MONITOR")
        last = [time.monotonic()]

        def silent():
            self.live(self.web)
            while "r/old" not in monitor.replies.readline().decode():
                if time.monotonic() - last[0] > 4:
                    return True
            last[0] = time.monotonic()
            return False

        wait_until(silent, "the place to be forgotten", 2 * DEADLINE)
        self.engine.kill()
        wait_until(self.problem, "the engine's end to be noticed")
        answer = self.live(self.web, query="?room=/old")
        self.assertEqual((answer["count"], answer["stale"]), (5, True))


class Hostile(TotalsCase):
    NAMES = ["/a b", "/\"'\\", "/{presence}:a:1", "/%2e%2e", "/?p", "?r", "/ü🙂", "*", "/a:b", "-1", "0 0", "/\u2028"]

    def test_names(self):
        """Names mean themselves, and only themselves, in commands and answers."""
        counts = {f"r{name}": number + 1 for number, name in enumerate(self.NAMES)}
        self.write("a", {"": 99, **counts})
        self.write("b", {"*": {"": 5}, "{presence}:a": {"": 6, "r/x": 4}, "a:1": {"": 7}})
        self.begin()
        for number, name in enumerate(self.NAMES):
            answer = self.live(self.web, query="?room=" + urllib.parse.quote(name, safe=""))
            self.assertEqual((answer["room"], answer["count"]), (name, number + 1))
        for site, count in ("*", 5), ("{presence}:a", 6), ("a:1", 7):
            self.assertEqual(self.live(self.web, urllib.parse.quote(site, safe=""))["count"], count)
        pages = {page["path"]: page["visitors"] for page in self.web.get(REALTIME + "?limit=100").json["activePages"]}
        self.assertEqual(pages, {name: number + 1 for number, name in enumerate(self.NAMES)})

    def test_huge_counts(self):
        """Shares of what no integer holds are shares, and no count turns negative."""
        most = 2**63 - 1  # of JSON's integers here
        self.write("a", {"": 2**64 - 1, "r/x": most, "r/y": 2**64 - 1, "r/z": 1})
        self.begin()
        self.assertEqual(self.live(self.web)["count"], most)
        self.assertEqual(self.web.get(f"/api/v1/stats/realtime/visitors?site_id={SITE}").json, most)
        self.assertEqual(self.web.get(f"/api/websites/{SITE}/active").json, {"visitors": most})
        self.assertEqual(self.web.get("/api/sites").json["data"][0]["count"], most)
        pages = self.web.get(REALTIME).json["topActivePages"]
        self.assertEqual({page["name"]: (page["value"], page["percentage"]) for page in pages},
                         {"/x": (most, 50), "/y": (most, 50), "/z": (1, 0)})

    def test_random(self):
        """No request does harm, whatever its names."""
        seed = int(os.environ.get("SEED") or random.randrange(10**9))
        print(f"SEED={seed}")
        chance = random.Random(seed)
        self.write("a", {"": 3})
        self.begin()
        for _ in range(300):
            name = urllib.parse.quote(chance.randbytes(chance.choice((1, 3, 9, 255, 300))), safe="")
            path = chance.choice((f"{LIVE}?room={name}", f"/api/sites/{name}/live-user-count",
                                  f"/api/analytics/sites/{name}/realtime", f"/api/sites?search={name}"))
            self.assertIn(self.web.get(path).status, (200, 400, 404, 414))
        self.assertEqual(self.live(self.web)["count"], 3)
        self.assertIsNone(self.problem())


class Usage(TotalsCase):
    def refused(self, *arguments):
        done = subprocess.run([PRESENCE_WEB, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=DEADLINE, check=False)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.returncode, done.stderr

    def test_wrong_usage(self):
        """It names the option, and what goes with it."""
        for arguments, words in (
                (("--engine", self.engine.url, "--segment", self.segment), "--segment"),
                (("--database", "/nowhere"), "--engine"),
                (("--user", "me"), "--engine"),
                (("--engine", "http://127.0.0.1"), "--engine")):
            status, message = self.refused(*arguments)
            self.assertEqual(status, 2, message)
            self.assertIn(words, message)

    def test_password_file(self):
        """One that others may read is refused at the start."""
        path = self.password_file("secret")
        os.chmod(path, 0o644)
        status, message = self.refused("--engine", self.engine.url, "--password-file", path)
        self.assertEqual(status, 1)
        self.assertIn(path, message)


if __name__ == "__main__":
    main()
