"""presence-web: heartbeats from browsers, what they are answered, and what they may not be."""

import os
import re
import threading
import time
import unittest

from harness import wait_until
from web import BROWSER, SITE, WebCase, new_id


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

        left = time.monotonic()
        for person in stays, goes, goes:
            self.assertEqual(web.touch({**person, "kind": "leave"}).status, 200)
        back = self.counted(web, stays)
        in_time = time.monotonic() - left < 1.5  # or the machine is too busy
        self.wait_count(web, 1)
        self.assertGreater(time.monotonic() - left, 1.5)
        self.assertEqual(self.ctl("seen", SITE, stays["visitor"])[0], 0)
        self.assertEqual(self.ctl("seen", SITE, goes["visitor"])[0], 4)
        stats = self.stats()
        if in_time:
            self.assertEqual(back["count"], 2)
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


if __name__ == "__main__":
    unittest.main()
