"""Clients of other systems, at their own addresses: counts, the ids of sites, keys, and --no-compat."""

import itertools
import os
import signal
import subprocess
import time
from urllib.parse import quote

from harness import DEADLINE, native, visitor, wait_until
from side_by_side import main
from test_compat_hostile import REQUESTS
from web import PRESENCE_WEB, SITE, WebCase, token
from web_totals import TotalsCase
from websocket import WebSocket

KEY = "an-api-key-of-the-tests"
JWT_KEY = "a key of the tests that is long enough for HS256"
ID = "5d8c9cc9-3ba2-4fb1-9e11-0123456789ab"

OURS = ("/api/sites/{}/events", "/api/sites/{}/history", "/badge.svg?site={}", "/badge.json?site={}")

# Where each system asks for a site's count, and how it gets a number.
COUNTS = {
    "/api/v1/stats/realtime/visitors?site_id={}": lambda count: count,
    "/api/websites/{}/active": lambda count: {"visitors": count},
}


def error_of(answer):
    """The message of an error, as that system's clients find it."""
    error = answer.json["error"]
    return error["message"] if isinstance(error, dict) else error


class CompatCase(WebCase):
    def assert_counts(self, web, count, site=SITE, headers=None, query=""):
        """Wait until each system's address has the number: a collector that is held up is silent."""
        for path, shape in COUNTS.items():
            path = path.format(quote(site, safe=""))
            path += query and ("&" if "?" in path else "?") + query
            answer = wait_until(lambda: (answer := web.get(path, headers)).status == 200 and answer,
                                lambda: f"{path}: {web.get(path, headers).body}")
            self.assertEqual(answer.json, shape(count), path)
            self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")

    def assert_refused(self, web, status, words, site=SITE, headers=None):
        for path in COUNTS:
            answer = web.get(path.format(site), headers)
            self.assertEqual(answer.status, status, (path, answer.body))
            self.assertIn(words, error_of(answer))
            self.assertEqual("retry-after" in answer.headers, status == 503, path)


class Counts(CompatCase):
    def test_number(self):
        """It is the site's, everybody within five minutes; 0 is a number, too."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        for name, room in ("anna", "/a"), ("bert", "/b"), ("anna", "/b"):
            self.counted(web, {"site": SITE, "visitor": name, "room": room})
        self.assert_counts(web, 2)
        self.assert_counts(web, 2, SITE.upper())
        self.assert_counts(web, 0, "nobody.example")
        self.counted(web, {"site": "bücher.example/ä", "visitor": "anna"})
        self.assert_counts(web, 1, "bücher.example/ä")
        answer = web.ask("HEAD", f"/api/websites/{SITE}/active")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_bare_integer(self):
        web = self.serve(collector=self.start("--warm-up", "0"))
        self.counted(web, {"site": SITE, "visitor": "anna"})
        self.assertEqual(web.get(f"/api/v1/stats/realtime/visitors?site_id={SITE}").body, b"1")

    def test_lower_bound(self):
        """While the collector warms up, what it has is a number, and nothing is unknown."""
        web = self.serve(collector=self.start("--warm-up", "300"))
        self.assert_refused(web, 503, "unknown", "nobody.example")
        self.counted(web, {"site": SITE, "visitor": "anna"})
        self.assert_counts(web, 1)

    def test_silence(self):
        """There is no number of a collector that is silent, or of none. Where only our own clients are served,
        which know the marks, there is the last one."""
        web, own = self.serve(), self.serve("--no-compat", "--site-alias", f"42={SITE}")
        self.assert_refused(web, 503, "presenced")
        collector = self.start("--warm-up", "0")
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_count(web, 1)
        self.assert_counts(web, 1)
        collector.process.send_signal(signal.SIGKILL)
        collector.process.wait()
        wait_until(lambda: web.get("/-/ready").status == 503, "the number to be stale")
        self.assert_refused(web, 503, "collector")
        for path in "/api/sites/42/live-user-count", "/api/analytics/sites/42/realtime":
            for server, status, site in (web, 503, "42"), (own, 200, SITE):
                answer = server.get(path)
                self.assertEqual((answer.status, answer.json["stale"], answer.json["site"]), (status, True, site))

    def test_pages(self):
        """Pages of other sites may ask, with that system's header, too."""
        web = self.serve("--origin", "https://shop.example", collector=self.start("--warm-up", "0"))
        for path in COUNTS:
            path = path.format(SITE)
            ask = {"Origin": "https://shop.example"}
            allowed = web.ask("OPTIONS", path, headers=ask)
            self.assertEqual(allowed.status, 204)
            self.assertIn("x-umami-api-key", allowed.headers["access-control-allow-headers"].lower())
            answer = web.get(path, ask)
            self.assertEqual(answer.headers["access-control-allow-origin"], ask["Origin"])
            self.assertEqual((answer.headers["vary"], answer.headers["cache-control"]), ("Origin", "no-store"))
            other = web.get(path, {"Origin": "https://other.example"})
            self.assertNotIn("access-control-allow-origin", other.headers)

    def test_what_is_not_there(self):
        web = self.serve("--site", SITE, collector=self.start())
        self.assert_refused(web, 403, "--site", "other.example")
        error = web.get("/api/websites/other.example/active").json["error"]
        self.assertEqual((error["code"], error["status"]), ("forbidden", 403))
        self.assert_refused(web, 400, "site must have", "%01")
        for path in ("/api/websites/active", "/api/websites", "/api/websites/", f"/api/websites/{SITE}",
                     f"/api/websites/{SITE}/active/", f"/api/websites/{SITE}/stats", "/api/v1/stats/realtime",
                     "/api/v1/stats/realtime/visitors/", "/api/v1/stats/aggregate?site_id=example.com"):
            self.assertEqual(web.get(path).status, 404, path)
        for path in "/api/websites//active", "/api/v1/stats/realtime/visitors":
            self.assertEqual(web.get(path).status, 400, path)
        for path in COUNTS:
            self.assertEqual(web.ask("POST", path.format(SITE), "{}").status, 405)


class Ids(CompatCase):
    """--site-alias: what other systems call the site."""

    def begin(self, *arguments):
        self.collector = self.start("--warm-up", "0")
        return self.serve("--site", SITE, "--site-alias", f"{ID.upper()}={SITE.upper()}",
                          "--site-alias", f"42={SITE}", *arguments, collector=self.collector)

    def test_wherever_a_site_is_named(self):
        """Requests may name the id; answers name the site."""
        web = self.begin()
        for number, name in enumerate((SITE, ID, ID.upper(), "42"), 1):
            answer = self.counted(web, {"site": name, "visitor": f"v{number}", "room": "/a"})
            self.assertEqual((answer["site"], answer["count"], answer["site_count"]), (SITE, number, number))
        self.assertEqual(web.beacon("visitor=v5").status, 200)
        for name in SITE, ID, "42":
            self.assertEqual(self.wait_count(web, 5, name)["site"], SITE)
            self.assert_counts(web, 5, name)
            self.assertEqual(web.get(f"/api/analytics/sites/{name}/realtime").json["site"], SITE)
            self.assertEqual(self.open_stream(web, f"site={name}&room=/a").event()["data"]["site"], SITE)
            for path in OURS:
                self.assertEqual(web.get(path.format(name)).status, 200, path)
            wait_until(lambda: web.get(f"/badge.json?site={name}").json["message"] == "5", "the badge")
            self.assertEqual(web.get(f"/api/live-user-count/{name}").json["site"], SITE)
        streams = self.open_stream(web, f"site=42&room=/a&site={SITE}&room=")
        self.assertEqual({streams.event()["data"]["count"] for _ in range(2)}, {4, 5})
        self.assertEqual([site["site"] for site in web.get("/api/sites").json["data"]], [SITE])
        self.assertEqual(web.touch({"site": "43", "visitor": "v"}).status, 403)

    def test_rooms_and_functions(self):
        """The id of a room's site, of a token's, and of the site for requests that name none."""
        web = self.begin("--rest-site", "42", "--jwt-key-file", self.secret("jwt", JWT_KEY))

        def room(path, **claims):
            bearer = token(JWT_KEY, exp=int(time.time()) + 600, **claims)
            client = WebSocket(web.port, f"{path}token={bearer}")
            self.addCleanup(client.connection.close)
            self.assertEqual((client.status, client.json()["type"]), (101, "room_joined"))

        room("/ws?site=42&room=/a&visitor=v1&", site=SITE)
        room(f"/ws?site={SITE}&room=/a&visitor=v2&", site=ID)
        room("/ws/posts/7/live?", sub="v3")
        room(f"/ws/posts/7/live?site={ID}&", sub="v4", site="42")
        answer = wait_until(
            lambda: (answer := web.ask("POST", "/rest/v1/rpc/touch_website_active_visitor", '{"_visitor_id":"v5"}', {
                "Authorization": f"Bearer {token(JWT_KEY, site='42', exp=int(time.time()) + 600)}"})).status == 200
            and answer, "the function to count")
        self.assertEqual(answer.body, b"5")
        self.assertEqual([site["site"] for site in web.get("/api/sites").json["data"]], [SITE])

    def test_pages_of_the_site(self):
        """The beacon's ids are believed on pages of the site, whatever its picture calls it."""
        web = self.begin()
        for name, page in ("a", f"https://{SITE}/"), ("b", f"https://www.{SITE}/"), ("c", "https://42/"):
            answer = web.get(f"/beacon.gif?site=42&visitor={name}", {"Referer": page})
            self.assertEqual("set-cookie" in answer.headers, name == "c", page)
        self.wait_count(web, 2)

    def test_leaves(self):
        """A leave ends what a heartbeat under another of the site's names began."""
        web = self.begin()
        self.counted(web, {"site": SITE, "visitor": "anna"})
        self.assertEqual(web.touch({"site": "42", "visitor": "anna", "kind": "leave", "hold": 0}).status, 200)
        self.wait_count(web, 0)

    def test_tokens(self):
        """A token may name the site by an id, and allows its other names."""
        web = self.begin("--jwt-key-file", self.secret("jwt", JWT_KEY))
        for claim in SITE, "42", ID.upper():
            bearer = token(JWT_KEY, site=claim, exp=int(time.time()) + 600)
            for name in SITE, "42", ID:
                self.counted(web, {"site": name, "visitor": "v", "token": bearer})
                self.open_stream(web, f"site={name}&token={bearer}")
        other = token(JWT_KEY, site="43", exp=int(time.time()) + 600)
        self.assert_problem(web.touch({"site": "42", "visitor": "v", "token": other}), 403, "token_other_place")

    def test_configuration_file(self):
        path = os.path.join(self.directory, "web.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"site-alias = 42={SITE}\nsite-alias = a=b=c\n")
        web = self.serve("--config", path, collector=self.start("--warm-up", "0"))
        self.counted(web, {"site": "a", "visitor": "anna"})
        self.assertEqual(self.wait_count(web, 1, "b=c")["site"], "b=c")
        for name in SITE, "42", "4", "a=b", "b":  # no part of an alias is an id
            self.assertEqual(self.wait_count(web, 0, name)["site"], SITE if name == "42" else name)

    def test_wrong_usage(self):
        """What no request could use is refused at the start."""
        for arguments, words in (
                (("--site-alias", SITE), "site-alias"), (("--site-alias", f"={SITE}"), "site-alias"),
                (("--site-alias", "42="), "site-alias"), (("--site-alias", "4\n2=a"), "site-alias"),
                (("--site-alias", "42=a", "--site-alias", "42=b"), "given twice"),
                (("--site-alias", "AB=a", "--site-alias", "ab=a"), "given twice"),
                (("--site-alias", "1=b", "--site-alias", "B=c"), "itself an id"),
                (("--site-alias", "a=b", "--site-alias", "1=A"), "itself an id"),
                (("--site", "a", "--site-alias", "42=b"), "--site"),
                (("--site", "a", "--rest-site", "b"), "--site")):
            done = subprocess.run([PRESENCE_WEB, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=DEADLINE, check=False)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
            self.assertIn(words, done.stderr)


class Keys(CompatCase):
    def test_where_clients_put_them(self):
        """A key is taken from each place, and one that is right is enough."""
        web = self.serve("--api-key-file", self.secret("keys", KEY), "--jwt-key-file", self.secret("jwt", JWT_KEY),
                         collector=self.start("--warm-up", "0"))
        wrong = KEY[:-1]
        self.assert_refused(web, 401, "send an API key")
        for headers in ({"Authorization": f"Bearer {wrong}"}, {"X-Umami-Api-Key": wrong}, {"X-Umami-Api-Key": ""},
                        {"Authorization": f"Bearer {wrong}", "x-umami-api-key": f" {KEY}x"}):
            self.assert_refused(web, 401, "not one of", headers=headers)
        for headers, query in (
                ({"Authorization": f"Bearer {KEY}"}, ""), ({"X-Umami-Api-Key": KEY}, ""), ({}, f"api_key={KEY}"),
                ({"Authorization": f"Bearer {wrong}", "X-Umami-Api-Key": KEY}, ""),
                ({"Authorization": f"Bearer {KEY}", "X-Umami-Api-Key": wrong}, f"api_key={wrong}"),
                ({"Authorization": f"Bearer {wrong}"}, f"api_key={quote(KEY)}")):
            self.assert_counts(web, 0, headers=headers, query=query)
            self.assertEqual(web.get(f"/api/sites?{query}", headers).status, 200)
            self.open_stream(web, f"site={SITE}&{query}", headers)
        for path in f"/api/sites?api_key={wrong}", f"/stream?site={SITE}&api_key={wrong}":
            self.assertEqual(web.get(path).status, 401)
        self.assertNotIn(wrong, web.output())

    def test_a_key_comes_first(self):
        """Without one, nobody finds out which sites are served."""
        web = self.serve("--api-key-file", self.secret("keys", KEY), "--site", SITE, collector=self.start())
        self.assert_refused(web, 401, "send an API key", "other.example")
        self.assert_refused(web, 403, "--site", "other.example", {"X-Umami-Api-Key": KEY})


class Switch(CompatCase):
    def test_no_compat(self):
        """Without these addresses there is only what is ours; ids and keys are as elsewhere."""
        web = self.serve("--no-compat", "--site-alias", f"42={SITE}", "--rest-site", SITE,
                         collector=self.start("--warm-up", "0"))
        self.counted(web, {"site": "42", "visitor": "anna"})
        self.wait_count(web, 1)
        for method, path in REQUESTS:
            path = path.replace("{}", "42")
            answer = web.ask(method, path, "{}" if method == "POST" else None)
            self.assertEqual(answer.status, 404, (method, path))
        for path in OURS:
            self.assertIn(web.get(path.format("42")).status, (200, 503), path)


class Totals(TotalsCase, CompatCase):
    def test_totals(self):
        """Of many collectors it is the total; while the engine is silent there is none."""
        self.write("a", {"": 3}, {"": 5_000_000_000})
        web = self.begin("--site-alias", f"42={SITE}")
        for site in SITE, "42":
            self.assert_counts(web, 5_000_000_003, site)
        self.assert_counts(web, 0, "nobody.example")
        numbers = itertools.count()  # of sites that nobody has asked for: each waits for a poll
        for path in COUNTS:
            wait_until(lambda: web.get(path.format(f"{next(numbers)}.example")).status == 200, f"{path} to wait")
        self.freeze_engine()
        wait_until(lambda: web.get("/-/ready").status == 503, "the total to be stale")
        self.assert_refused(web, 503, "engine")

    def test_window(self):
        """Where the publishers have no five minutes, it is their longest window."""
        self.write("a", {"": 3}, window=60)
        self.begin()
        self.assert_counts(self.web, 3)


if __name__ == "__main__":
    main()
