"""presence-web: counts over HTTP, and heartbeats from browsers."""

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.parse

from harness import DEADLINE, native, visitor, wait_until
from web import BROWSER, PRESENCE_WEB, SITE, WebCase, new_id, token

API_KEY = "an-api-key-of-the-tests"
JWT_KEY = "a key of the tests that is long enough for HS256"


def rooms(web, headers=None):
    answer = web.get(f"/api/analytics/sites/{SITE}/realtime?limit=100", headers).json
    return {page["path"]: page["visitors"] for page in answer["activePages"]}


class Touch(WebCase):
    def test_counted_with_them_in_it(self):
        """The answer has the visitor in it, the first time and every time."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        people = [new_id() for _ in range(20)]
        for number, person in enumerate(people, 1):
            answer = self.counted(web, {"site": SITE, "visitor": person, "room": "/a"})
            expected = {"count": number, "site_count": number, "counted": True, "site": SITE,
                        "room": "/a", "window_s": 300, "stale": False, "warming": False}
            self.assertEqual({key: answer[key] for key in expected}, expected)
        for number, person in enumerate(people[:5], 1):
            answer = self.counted(web, {"site": SITE.upper(), "visitor": person, "room": "/b"})
            self.assertEqual((answer["count"], answer["site_count"], answer["counted"]),
                             (number, 20, True))
        answer = self.counted(web, {"site": SITE, "visitor": people[0], "room": None, "source": ""})
        self.assertEqual((answer["count"], answer["room"]), (20, None))
        self.assertEqual(self.live(web)["count"], 20)
        self.assertEqual(self.live(web, query="?room=/b")["count"], 5)

    def test_kinds(self):
        """A page view, an event and a source arrive as what they are."""
        web = self.serve(collector=self.start())
        web.touch({"site": SITE, "visitor": new_id(), "kind": "pageview", "source": "news.example"})
        web.touch({"site": SITE, "visitor": new_id(), "event": "signup"})
        web.touch({"site": SITE, "visitor": new_id(), "kind": "event", "event": "signup"})
        stats = self.wait_received(3)
        self.assertEqual((stats["pageviews"], stats["events"]), (1, 2))
        self.wait_count(web, 3)
        sources = web.get(f"/api/analytics/sites/{SITE}/realtime").json["sources"]
        self.assertEqual(sources, [{"source": "news.example", "visitors": 1}])

    def test_uuid_in_any_case_is_one_visitor(self):
        web = self.serve(collector=self.start())
        person = new_id()
        for spelling in person, person.upper(), f"  {person} ":
            answer = self.counted(web, {"site": SITE, "visitor": spelling})
            self.assertEqual(answer["count"], 1)

    def test_leaving_a_room(self):
        """It ends at once, and only there."""
        web = self.serve(collector=self.start())
        person = {"site": SITE, "visitor": new_id(), "room": "/a"}
        self.counted(web, person)
        answer = web.touch({**person, "kind": "leave"})
        self.assertEqual((answer.status, answer.json["counted"]), (200, False))
        self.wait_count(web, 0, query="?room=/a")
        self.assertEqual(self.live(web)["count"], 1)

    def test_leaving_the_site(self):
        """It is kept back for a moment, in which who comes to the next page was never away."""
        web = self.serve(collector=self.start())
        stays, goes = ({"site": SITE, "visitor": new_id()} for _ in range(2))
        for person in stays, goes:
            self.counted(web, person)
        for person in stays, goes, goes:
            self.assertEqual(web.touch({**person, "kind": "leave"}).status, 200)
        left = time.monotonic()
        self.assertEqual(self.counted(web, stays)["count"], 2)
        self.wait_count(web, 1)
        self.assertGreater(time.monotonic() - left, 1.5)
        self.assertEqual(self.ctl("seen", SITE, stays["visitor"])[0], 0)
        self.assertEqual(self.ctl("seen", SITE, goes["visitor"])[0], 4)
        stats = self.stats()
        self.assertEqual((stats["heartbeats_new"], stats["heartbeats_left"]), (2, 1))

    def test_held_leaves_are_sent_at_the_end(self):
        web = self.serve(collector=self.start())
        person = {"site": SITE, "visitor": new_id()}
        self.counted(web, person)
        web.touch({**person, "kind": "leave"})
        self.assertEqual(web.stop(), 0)
        wait_until(lambda: self.stats()["heartbeats_left"] == 1, "the leave to arrive")

    def test_not_counted_in_time(self):
        """While the collector hangs a touch waits 20 ms, and nobody else does."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.counted(web, {"site": SITE, "visitor": new_id()})
        collector.freeze()
        self.addCleanup(collector.thaw)
        times, answers = [], []

        def touch():
            begun = time.monotonic()
            answers.append(web.touch({"site": SITE, "visitor": new_id()}).json)
            times.append(time.monotonic() - begun)

        threads = [threading.Thread(target=touch) for _ in range(20)]
        for thread in threads:
            thread.start()
        self.assertEqual(self.live(web)["count"], 1)
        for thread in threads:
            thread.join()
        self.assertEqual({(answer["counted"], answer["count"]) for answer in answers}, {(False, 1)})
        self.assertGreater(min(times), 0.019)

    def test_to_several_collectors(self):
        """Each gets every heartbeat."""
        second_segment = os.path.join(self.directory, "second")
        first = self.start()
        self.segment, segment = second_segment, self.segment
        second = self.start()
        self.segment = segment
        web = self.serve("--to", f"127.0.0.1:{second.port}", collector=first)
        for number in range(1, 4):
            self.assertEqual(self.counted(web, {"site": SITE, "visitor": new_id()})["count"], number)
        wait_until(lambda: self.ctl("count", SITE, segment=second_segment)[1] == "3\n",
                   "the second collector to have them too")

    def test_labels_that_cannot_be(self):
        """They are left out and the site counts; but a leave does not become one of the site."""
        web = self.serve(collector=self.start())
        person = new_id()
        self.counted(web, {"site": SITE, "visitor": person})
        for room in "/" + 255 * "x", "/a\nb", "/\u0085", "\u009f":
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "source": 254 * "s"})
            self.assertEqual((answer.status, answer.json["room"], answer.json["count"]),
                             (200, None, 1), answer.body)
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "kind": "leave"})
            self.assert_problem(answer, 400, "bad_request")
        self.assertEqual(self.live(web)["count"], 1)

    def test_bad_requests(self):
        """Each says what is wrong, and nothing is counted."""
        web = self.serve("--client-rate", "0", collector=self.start())
        good = {"site": SITE, "visitor": "v"}
        for fields, hint in (
                ({}, "site"), ({"site": SITE}, "visitor"), ({"visitor": "v"}, "site"),
                ({**good, "site": ""}, "site"), ({**good, "site": 254 * "s"}, "site"),
                ({**good, "site": "a\tb"}, "site"), ({**good, "site": 5}, "site"),
                ({**good, "visitor": ""}, "visitor"), ({**good, "visitor": "  "}, "visitor"),
                ({**good, "visitor": "-"}, "visitor"), ({**good, "visitor": 129 * "v"}, "visitor"),
                ({**good, "visitor": ["v"]}, "visitor"), ({**good, "kind": "dance"}, "kind"),
                ({**good, "kind": "event"}, "event"), ({**good, "event": 64 * "e"}, "event"),
                ({**good, "event": "e", "kind": "leave"}, "event"), ({**good, "room": {}}, "room"),
                ([], "object"), ("site", "object"), (None, "object")):
            with self.subTest(fields=fields):
                answer = web.touch(fields)
                self.assert_problem(answer, 400, "bad_request")
                self.assertIn(hint, answer.json["message"])
        for body in (b"", b"{", b"{}{}", b'{"site":"a","site":"b"}', b"\xff\xfe",
                     b'{"site":"\xc0\xaf","visitor":"v"}', b'{"site":"a\\u0000b","visitor":"v"}',
                     b'{"site":"\\ud800","visitor":"v"}', b"[" * 4000):
            with self.subTest(body=body[:40]):
                self.assert_problem(web.ask("POST", "/touch", body), 400, "bad_request")
        self.assert_problem(web.ask("POST", "/touch", b"x" * 5000), 413, "too_large")
        self.assertEqual(self.stats()["datagrams_received"], 0)

    def test_bots(self):
        """Known ones get the number and are not in it."""
        collector = self.start()
        web = self.serve(collector=collector)
        self.counted(web, {"site": SITE, "visitor": new_id()})
        bots = ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0) Chrome/116.0 Safari/537.36",
                "facebookexternalhit/1.1", "Mozilla/5.0 (X11) HeadlessChrome/120.0.0.0", "somebot")
        for agent in bots:
            answer = web.touch({"site": SITE, "visitor": new_id()}, {"User-Agent": agent})
            self.assertEqual((answer.json["count"], answer.json["counted"]), (1, False), agent)
        people = (BROWSER, "Mozilla/5.0 (Linux; Android 9; CUBOT P30) Chrome/119 Mobile Safari",
                  "curl/7.88.1", "")
        for number, agent in enumerate(people, 2):
            answer = self.counted(web, {"site": SITE, "visitor": new_id()}, {"User-Agent": agent})
            self.assertEqual(answer["count"], number, agent)
        web = self.serve("--count-bots", collector=collector)
        answer = self.counted(web, {"site": SITE, "visitor": new_id()}, {"User-Agent": bots[0]})
        self.assertEqual(answer["count"], 2 + len(people))

    def test_beacon(self):
        """A picture for the script-less: with an id, or with a cookie from the second on."""
        web = self.serve("--trusted-proxy", "127.0.0.1", collector=self.start())
        answer = web.get(f"/beacon.gif?site={SITE}&room=/a&visitor={new_id()}")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "image/gif"))
        self.assertTrue(answer.body.startswith(b"GIF89a"))
        self.assertNotIn("set-cookie", answer.headers)
        self.wait_count(web, 1, query="?room=/a")
        answer = web.get(f"/beacon.gif?site={SITE}", {"X-Forwarded-Proto": "https"})
        self.assertIn("SameSite=None; Secure", answer.headers["set-cookie"])
        answer = web.get(f"/beacon.gif?site={SITE}")
        cookie = re.match(r"(presence_visitor=[0-9a-f-]{36}); Max-Age=\d+; HttpOnly; SameSite=Lax$",
                          answer.headers["set-cookie"])[1]
        for _ in range(2):
            answer = web.get(f"/beacon.gif?site={SITE}&kind=pageview", {"Cookie": cookie})
            self.assertNotIn("set-cookie", answer.headers)
        wait_until(lambda: self.stats()["pageviews"] == 2, "the page views")
        self.assertEqual(self.live(web)["count"], 2)
        self.assert_problem(web.get("/beacon.gif"), 400, "bad_request")


class Limits(WebCase):
    def test_client_rate(self):
        """One client's budget is one client's; rubbish is charged too."""
        web = self.serve("--client-rate", "1", "--trusted-proxy", "127.0.0.0/8",
                         collector=self.start())

        def touch(client, site=SITE):
            return web.touch({"site": site, "visitor": new_id()}, {"X-Forwarded-For": client})

        refused = None
        for _ in range(15):
            answer = touch("192.0.2.1", site="")
            if answer.status == 429:
                refused = answer
        self.assert_problem(refused, 429, "rate_limited")
        self.assertGreaterEqual(int(refused.headers["retry-after"]), 1)
        self.assertEqual(touch("192.0.2.1").status, 429)
        self.assertEqual(touch("192.0.2.2").status, 200)
        for host in range(11):
            answer = touch(f"2001:db8::{host:x}")
        self.assertEqual(answer.status, 429)  # one /64 is one client
        self.assertEqual(touch("2001:db8:0:1::1").status, 200)

    def test_only_trusted_proxies_are_believed(self):
        """The client is the last in the list that is no proxy of ours."""
        collector = self.start()
        web = self.serve("--client-rate", "1", collector=collector)
        statuses = [web.touch({"site": SITE, "visitor": new_id()},
                              {"X-Forwarded-For": f"192.0.2.{i}"}).status for i in range(15)]
        self.assertIn(429, statuses)  # all of them are 127.0.0.1
        self.assertEqual(web.output().count("--trusted-proxy"), 1)
        web = self.serve("--client-rate", "1", "--trusted-proxy", "127.0.0.1", "--trusted-proxy",
                         "10.0.0.0/8", collector=collector)
        for chain in ("192.0.2.{}, 198.51.100.1", "192.0.2.{}, 198.51.100.1, 10.1.2.3",
                      "127.0.0.1, 192.0.2.{},198.51.100.1:4711", "{}, [::ffff:198.51.100.1]:80"):
            for i in range(5):
                answer = web.touch({"site": SITE, "visitor": new_id()},
                                   {"X-Forwarded-For": chain.format(i)})
        self.assertEqual(answer.status, 429)
        answer = web.touch({"site": SITE, "visitor": new_id()},
                           {"X-Forwarded-For": "198.51.100.1, 192.0.2.1"})
        self.assertEqual(answer.status, 200)

    def test_country(self):
        """It is a trusted proxy's to say."""
        collector = self.start()
        arguments = ("--country-header", "X-Country")
        untrusting = self.serve(*arguments, collector=collector)
        trusting = self.serve(*arguments, "--trusted-proxy", "127.0.0.1", collector=collector)
        for web, country in ((untrusting, "FR"), (trusting, "de"), (trusting, "XX"),
                             (trusting, "D1"), (trusting, "DEU"), (trusting, "")):
            answer = web.touch({"site": SITE, "visitor": new_id()}, {"X-Country": country})
            self.assertEqual(answer.status, 200)
        self.wait_received(6)
        countries = trusting.get(f"/api/analytics/sites/{SITE}/realtime").json["countries"]
        self.assertEqual(countries, [{"country": "DE", "visitors": 1}])

    def test_sites(self):
        """With --site no other is served, by any endpoint."""
        web = self.serve("--site", "Example.COM", "--site", "b.example", collector=self.start())
        self.assertEqual(self.counted(web, {"site": SITE, "visitor": "v"})["count"], 1)
        self.assert_problem(web.touch({"site": "other.example", "visitor": "v"}), 403,
                            "site_not_allowed")
        for path in ("/api/sites/other.example/live-user-count", "/stream?site=other.example",
                     "/api/sites/other.example/events", "/api/sites/other.example/history",
                     "/api/analytics/sites/other.example/realtime", "/beacon.gif?site=other.example"):
            self.assert_problem(web.get(path), 403, "site_not_allowed")

    def test_list_of_sites(self):
        collector = self.start("--warm-up", "0")
        self.send(collector, native("a.example", [visitor(1)]),
                  native("b.example", [visitor(i) for i in range(3)]))
        web = self.serve()
        answer = wait_until(lambda: len((answer := web.get("/api/sites").json)["data"]) == 2
                            and answer, "both sites")
        self.assertEqual([(line["site"], line["count"]) for line in answer["data"]],
                         [("b.example", 3), ("a.example", 1)])
        self.assertFalse(answer["stale"])
        self.assertEqual(len(web.get("/api/sites?limit=1").json["data"]), 1)
        web = self.serve("--site", "a.example")
        self.assertEqual([line["site"] for line in web.get("/api/sites").json["data"]],
                         ["a.example"])


class Access(WebCase):
    def test_api_key(self):
        """Reading needs one when there are any; being counted and the files never do."""
        collector = self.start()
        web = self.serve("--api-key-file", self.secret("keys", "# ours", "", API_KEY, API_KEY + "2"),
                         collector=collector)
        for path in ("/api/sites", "/api/status", f"/api/sites/{SITE}/live-user-count",
                     f"/api/analytics/sites/{SITE}/realtime", f"/api/sites/{SITE}/history"):
            answer = web.get(path)
            self.assert_problem(answer, 401, "key_missing")
            self.assertIn("Bearer", answer.headers["www-authenticate"])
            for wrong in "Bearer", "Bearer ", "Bearer nonsense", f"Bearer {API_KEY}x", "Bearer # ours":
                self.assertEqual(web.get(path, {"Authorization": wrong}).status, 401, wrong)
            for right in f"Bearer {API_KEY}", f"bearer  {API_KEY}2":
                self.assertEqual(web.get(path, {"Authorization": right}).status, 200, right)
        self.assertEqual(self.counted(web, {"site": SITE, "visitor": "v"})["count"], 1)
        self.assertEqual(self.open_stream(web).event()["data"]["count"], 1)
        for path in "/", "/badge.js", "/-/healthy":
            self.assertEqual(web.get(path).status, 200)

    def test_new_keys(self):
        """SIGHUP reads the files again; a bad one changes nothing."""
        path = self.secret("keys", API_KEY)
        web = self.serve("--api-key-file", path, collector=self.start())
        self.secret("keys", "another-key-of-the-tests")
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "read again" in web.output(), "the keys to be read again")
        self.assertEqual(web.get("/api/sites", {"Authorization": f"Bearer {API_KEY}"}).status, 401)
        good = {"Authorization": "Bearer another-key-of-the-tests"}
        self.assertEqual(web.get("/api/sites", good).status, 200)
        self.secret("keys", "short")
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "too short" in web.output(), "the keys to be refused")
        self.assertEqual(web.get("/api/sites", good).status, 200)

    def test_tokens(self):
        """A token is for a place and a time, and signed by one of the keys."""
        web = self.serve("--client-rate", "0", "--jwt-key-file",
                         self.secret("keys", "x" * 40, JWT_KEY), collector=self.start())
        now = int(time.time())
        room = {"site": SITE, "room": "/a", "exp": now + 60}

        def touch(claims=None, key=JWT_KEY, **fields):
            if claims:
                fields["token"] = token(key, **claims)
            return web.touch({"site": SITE, "visitor": "v", "room": "/a", **fields})

        self.counted(web, {"site": SITE, "visitor": "v", "room": "/a",
                           "token": token(JWT_KEY, **room)})
        self.assertEqual(touch(room, key="x" * 40).status, 200)
        self.assertEqual(touch({"site": SITE, "exp": now + 60}).status, 200)
        self.assertEqual(touch({**room, "sub": "v", "nbf": now - 5}).status, 200)
        self.assertEqual(touch(room, room=None, kind="leave").status, 200)
        header = {"Authorization": f"Bearer {token(JWT_KEY, **room)}"}
        self.assertEqual(web.touch({"site": SITE, "visitor": "v", "room": "/a"}, header).status, 200)
        for claims, status, code in (
                (None, 401, "token_missing"),
                ({**room, "exp": now - 1}, 401, "token_expired"),
                ({**room, "nbf": now + 60}, 401, "token_invalid"),
                ({"site": SITE, "room": "/a"}, 401, "token_invalid"),
                ({**room, "exp": "soon"}, 401, "token_invalid"),
                ({**room, "algorithm": "none"}, 401, "token_invalid"),
                ({**room, "algorithm": "HS512"}, 401, "token_invalid"),
                ({**room, "room": "/b"}, 403, "token_other_place"),
                ({**room, "room": 5}, 403, "token_other_place"),
                ({**room, "site": "other.example"}, 403, "token_other_place"),
                ({"room": "/a", "exp": now + 60}, 403, "token_other_place"),
                ({**room, "sub": "somebody"}, 403, "token_other_visitor")):
            with self.subTest(claims=claims):
                self.assert_problem(touch(claims), status, code)
        self.assert_problem(touch(room, key="y" * 40), 401, "token_invalid")
        self.assert_problem(touch(room, room=None), 403, "token_other_place")
        good = token(JWT_KEY, **room)
        for bad in "", "nonsense", good[:-4], good + "x", good.replace(".", ""), "." + good:
            self.assertEqual(touch(token=bad).status, 401, bad)
        self.assertEqual(web.get(f"/beacon.gif?site={SITE}&visitor=v").status, 401)
        self.assertEqual(
            web.get(f"/beacon.gif?site={SITE}&room=/a&visitor=v&token={good}").status, 200)
        self.assertEqual(self.live(web)["count"], 1)  # reading takes no token

    def test_streams_take_tokens(self):
        """In the query, or an API key instead; and end with them."""
        web = self.serve("--jwt-key-file", self.secret("jwt", JWT_KEY),
                         "--api-key-file", self.secret("api", API_KEY), collector=self.start())
        now = int(time.time())
        claims = {"site": SITE, "room": "/a"}
        query = f"site={SITE}&room=/a"
        self.assert_problem(web.get(f"/stream?{query}"), 401, "token_missing")
        other = token(JWT_KEY, **claims, exp=now + 60)
        self.assert_problem(web.get(f"/stream?site={SITE}&room=/b&token={other}"), 403,
                            "token_other_place")
        stream = self.open_stream(web, f"{query}&token={token(JWT_KEY, **claims, exp=now + 3)}")
        keyed = self.open_stream(web, query, {"Authorization": f"Bearer {API_KEY}"})
        self.assertEqual(stream.event()["data"]["count"], 0)
        self.assertIsNone(stream.event())
        self.assertGreaterEqual(time.time(), now + 3)
        self.assertEqual(keyed.event()["data"]["count"], 0)

    def test_origins(self):
        """Without --origin any page may ask; with it only those."""
        collector = self.start()
        web = self.serve(collector=collector)
        page = {"Origin": "https://a.example"}
        for path in "/api/sites", f"/beacon.gif?site={SITE}", "/badge.js", "/nothing":
            self.assertEqual(web.get(path, page).headers["access-control-allow-origin"], "*", path)
        answer = web.touch({"site": SITE, "visitor": "v"}, page)
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")
        self.assertNotIn("access-control-allow-credentials", answer.headers)
        web = self.serve("--origin", "https://a.example", "--origin", "http://b.example:8080",
                         collector=collector)
        answer = web.touch({"site": SITE, "visitor": "v"}, page)
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]),
                         (200, "https://a.example"))
        self.assertIn("Origin", answer.headers["vary"])
        foreign = {"Origin": "https://evil.example"}
        answer = web.touch({"site": SITE, "visitor": "w"}, foreign)
        self.assert_problem(answer, 403, "origin_not_allowed")
        self.assertNotIn("access-control-allow-origin", answer.headers)
        self.assert_problem(web.get(f"/stream?site={SITE}", foreign), 403, "origin_not_allowed")
        answer = web.get("/api/sites", foreign)
        self.assertNotIn("access-control-allow-origin", answer.headers)

    def test_preflight(self):
        web = self.serve(collector=self.start())
        asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                 "Access-Control-Request-Headers": "content-type"}
        for path, methods in (("/touch", "POST, OPTIONS"), ("/stream", "GET, HEAD, OPTIONS"),
                              (f"/api/sites/{SITE}/live-user-count", "GET, HEAD, OPTIONS")):
            answer = web.ask("OPTIONS", path, headers=asked)
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual(answer.headers["access-control-allow-origin"], "*")
            self.assertEqual(answer.headers["access-control-allow-methods"], methods)
            for header in "Authorization", "Content-Type", "Last-Event-ID":
                self.assertIn(header, answer.headers["access-control-allow-headers"])
        self.assertEqual(web.ask("OPTIONS", "/nothing").status, 404)


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
        self.assertIn(answer["last_heartbeat_s"], range(10))
        as_of = time.strptime(answer["as_of"], "%Y-%m-%dT%H:%M:%SZ")
        self.assertLess(abs(time.time() - time.mktime(as_of) + time.timezone), 5)
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
        for query in "minutes=", "minutes=five", "minutes=5.5", "minutes=5m", "minutes=0x10":
            answer = web.get(f"/api/sites/{SITE}/live-user-count?{query}")
            self.assert_problem(answer, 400, "bad_request")
            self.assertIn("minutes", answer.json["message"])

    def test_minutes_of_a_collector_that_keeps_fewer(self):
        web = self.serve(collector=self.start("--max-window", "120"))
        self.counted(web, {"site": SITE, "visitor": "v"})
        for site in SITE, "nobody.example":
            self.assertEqual(self.live(web, site, "?minutes=60")["window_s"], 120)
            self.assertEqual(self.live(web, site, "?minutes=1")["window_s"], 60)

    def test_a_full_directory(self):
        """What may have been refused is not known to be nobody."""
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

    def test_no_segment(self):
        """It waits for one, says so once, and serves what it can."""
        web = self.serve("--client-rate", "0")
        for path in ("/api/sites", "/api/status", f"/api/sites/{SITE}/live-user-count",
                     f"/api/analytics/sites/{SITE}/realtime", f"/api/sites/{SITE}/events"):
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
        self.assertEqual(answer["countries"], [{"country": "DE", "visitors": 5}])
        self.assertEqual(answer["sources"], [{"source": "news.example", "visitors": 5}])
        answer = web.get("/api/analytics/sites/nobody.example/realtime").json
        self.assertEqual((answer["currentVisitors"], answer["activePages"]), (0, []))

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
                (("--origin", "https://a.example/x"), "--origin"),
                (("--trusted-proxy", "10.0.0.0/33"), "--trusted-proxy"),
                (("--trusted-proxy", "localhost"), "--trusted-proxy"),
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
            self.assert_one_line(self.run_web("--listen", address), 1, "somebody else")
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
                (("--to", "collector.example:9514"), "collector.example")):
            with self.subTest(arguments=arguments):
                self.assert_one_line(self.run_web("--listen", "127.0.0.1:0", *arguments), 1,
                                     pattern)

    def test_configuration_file(self):
        """The command line wins; what is listed adds up."""
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
        """Heartbeats that reach no collector are said in the log."""
        self.start().stop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        web = self.serve("--to", f"127.0.0.1:{port}")

        def complained():
            web.touch({"site": SITE, "visitor": "v"})
            return f"heartbeats do not reach 127.0.0.1:{port}" in web.output()

        wait_until(complained, "the log to say so")

    def test_no_privileges(self):
        """It needs none, and keeps none when it had some."""
        web = self.serve(collector=self.start())
        with open(f"/proc/{web.process.pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file.read().splitlines())
        for field in "CapEff", "CapPrm", "CapInh", "CapAmb":
            self.assertEqual(int(status[field], 16), 0, field)
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_as_somebody_else(self):
        """An account that may do nothing but read the segment will do."""
        collector = self.start("--warm-up", "0")
        group = 54321  # nobody's
        os.chmod(self.directory, 0o755)
        os.chown(self.segment, 0, group)
        log = open(os.path.join(self.directory, "log"), "w+")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            [PRESENCE_WEB, "--listen", "127.0.0.1:0", "--segment", self.segment, "--to",
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
