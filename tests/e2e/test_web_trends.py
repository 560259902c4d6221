"""presence-web: the event feed, realtime and history."""

import re
import unittest

from harness import native, visitor, wait_away_from_midnight, wait_until
from web import SITE, WebCase, new_id

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Events(WebCase):
    def begin(self, *arguments):
        self.collector = self.start("--warm-up", "0", *arguments)
        self.web = self.serve("--client-rate", "0", collector=self.collector)

    def events(self, query="", site=SITE):
        answer = self.web.get(f"/api/sites/{site}/events?{query}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def is_in_feed(self, name):
        return any(event["event_name"] == name
                   for event in self.events("page_size=500")["data"])

    def happen(self, *names):
        """Send custom events one after another, and wait until all are in the feed. What is
        thinned out, where there are too many in a second, is sent again."""
        for name in names:
            def arrived():
                thinned = self.stats()["events_thinned"]
                self.send(self.collector, native(SITE, [visitor(1)], kind=4, event=name))
                wait_until(lambda: self.is_in_feed(name)
                           or self.stats()["events_thinned"] > thinned, f"{name} to arrive")
                return self.is_in_feed(name)

            wait_until(arrived, f"{name} in the feed")

    def test_feed(self):
        """The feed has what happened, newest first, with all labels but no visitor. Who enters and
        leaves is in it if that is asked for."""
        self.begin()
        person = {"site": SITE, "visitor": new_id(), "room": "/a", "source": "news.example"}
        self.counted(self.web, person)
        self.web.touch({**person, "kind": "pageview"})
        self.web.touch({**person, "event": "signup"})
        self.web.touch({**person, "kind": "leave"})
        types = "types=enter,leave,pageview,custom_event"
        data = wait_until(lambda: len((answer := self.events(types))["data"]) == 4 and answer["data"],
                          "four events")
        self.assertEqual([event["type"] for event in data],
                         ["leave", "custom_event", "pageview", "enter"])
        self.assertEqual(self.events()["data"], data[1:3])
        for event in data:
            self.assertEqual(set(event), {"timestamp", "type", "pathname", "event_name", "country",
                                          "city", "referrer"})
            self.assertRegex(event["timestamp"], TIME)
            self.assertEqual(event["pathname"], "/a")
        self.assertEqual([event["event_name"] for event in data], ["", "signup", "", ""])
        self.assertEqual(data[3]["referrer"], "news.example")
        self.assertEqual(data, sorted(data, key=lambda event: event["timestamp"], reverse=True))
        self.assertEqual(self.events(site="nobody.example")["data"], [])

    def test_watermark(self):
        """Reading on from a watermark repeats and skips nothing, however small the pages."""
        self.begin()
        nothing = self.events()
        self.assertEqual((nothing["data"], nothing["has_more"]), ([], False))
        names = [f"e{number}" for number in range(25)]
        self.happen(*names[:5])
        seen, mark = [], nothing["next_timestamp"]
        for round_ in range(3):
            while True:
                page = self.events(f"since_timestamp={mark}&page_size=3")
                self.assertLessEqual(len(page["data"]), 3)
                seen += [event["event_name"] for event in reversed(page["data"])
                         if event["type"] == "custom_event"]
                mark = page["next_timestamp"]
                if not page["has_more"]:
                    break
            self.assertEqual(page["missed"], 0)
            self.assertEqual(seen, names[:5 + 10 * round_])
            self.happen(*names[5 + 10 * round_:15 + 10 * round_])
        self.assertEqual(self.events(f"since_timestamp={self.events()['next_timestamp']}")["data"],
                         [])
        newest = self.events("page_size=2")
        self.assertEqual([event["event_name"] for event in newest["data"]], ["e24", "e23"])
        self.assertEqual(newest["next_timestamp"], newest["data"][0]["timestamp"])
        second = newest["data"][1]["timestamp"]
        after = self.events(f"since_timestamp={newest['previous_timestamp']}")
        self.assertEqual(newest["previous_timestamp"], second)
        page = self.events(f"since_timestamp={nothing['next_timestamp']}&page_size=3")
        self.assertEqual(page["previous_timestamp"], page["data"][2]["timestamp"])
        self.assertEqual([event["event_name"] for event in after["data"]], ["e24"])
        whole = second.partition(".")[0] + "Z"
        self.assertIn("e23", [e["event_name"] for e in self.events(f"since_timestamp={whole}")["data"]])

    def test_page_size(self):
        """It is clamped to 1..500, and a reader that goes on from a time gets 500 without it."""
        self.begin("--events", "65536")
        self.send(self.collector, *(native(SITE, [visitor(1)], kind=4, event=f"e{number}")
                                    for number in range(600)))
        wait_until(lambda: self.stats()["custom_events"] == 600, "600 events")
        self.assertEqual(self.stats()["events_thinned"], 0)
        long_ago = "since_timestamp=2026-01-01T00:00:00Z"
        for query, size in (("page_size=0", 1), ("page_size=-1", 1), ("page_size=501", 500), ("", 100),
                            (long_ago, 500), (f"{long_ago}&page_size=7", 7),
                            (f"{long_ago}&page_size=9999", 500)):
            data = self.events(query)["data"]
            self.assertEqual(len(data), size, query)
            first = size - 1 if long_ago in query else 599
            self.assertEqual([event["event_name"] for event in data],
                             [f"e{first - i}" for i in range(size)])
        self.assertEqual(self.web.get(f"/api/sites/{SITE}/events?page_size=x").status, 400)

    def test_bad_watermarks(self):
        self.begin()
        for bad in ("yesterday", "2026-01-31", "2026-01-31T12:00:00.Z", "2026-02-30T12:00:00Z",
                    "2026-13-31T12:00:00Z", "1767225600", "2026-01-31T12:00:00Zx",
                    "2026-01-31T12:00:00%2B24:00", "2026-01-31T12:00:00%2B5", "2026-01-31T12:00:00%00"):
            for name in "since_timestamp", "before_timestamp":
                answer = self.web.get(f"/api/sites/{SITE}/events?{name}={bad}")
                self.assert_problem(answer, 400, "bad_request")
                self.assertIn(name, answer.json["message"])
        for good in "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z", "2026-01-31T12:00:00.1234567Z":
            for name in "since_timestamp", "before_timestamp":
                self.assertEqual(self.events(f"{name}={good}")["data"], [])

    def test_zones(self):
        """Times have an offset, whose + may be sent as it is, or are of UTC."""
        self.begin()
        for text in ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00", "2026-01-31T12:00",
                     "2026-01-31T12:00:00%2B00:00", "2026-01-31T12:00:00+00:00",
                     "2026-01-31T17:30:00.000%2B05:30", "2026-01-31T17:30:00+05:30",
                     "2026-01-31T17:30:00%2B0530", "2026-01-31T04:00:00-08:00",
                     "2026-01-31t13:00:00+01", "2026-02-01T00:00:00+12:00"):
            self.assertEqual(self.events(f"since_timestamp={text}")["next_timestamp"],
                             "2026-01-31T12:00:00.000000Z", text)
            self.assertEqual(self.events(f"before_timestamp={text}")["previous_timestamp"],
                             "2026-01-31T12:00:00.000000Z", text)

    def test_back_in_time(self):
        """Reading back from a time repeats and skips nothing, and sees no other site's events."""
        self.begin()
        names = [f"e{number}" for number in range(12)]
        for name in names:
            self.happen(name)
            self.send(self.collector, native("other.example", [visitor(2)], kind=4, event=name))
        seen, page = [], self.events("page_size=1")
        self.assertEqual([event["event_name"] for event in page["data"]], ["e11"])
        for _ in range(30):
            page = self.events(f"before_timestamp={page['previous_timestamp']}&page_size=3")
            self.assertLessEqual(len(page["data"]), 3)
            seen += [event["event_name"] for event in page["data"] if event["type"] == "custom_event"]
            if page["data"]:
                self.assertEqual(page["previous_timestamp"], page["data"][-1]["timestamp"])
                self.assertEqual(page["next_timestamp"], page["data"][0]["timestamp"])
            if not page["has_more"]:
                break
        self.assertEqual(seen, names[-2::-1])
        self.assertEqual(self.events(f"before_timestamp={page['previous_timestamp']}")["data"], [])
        held = self.events("page_size=500")["data"]
        page = self.events(f"since_timestamp={held[5]['timestamp']}&page_size=2&"
                           f"before_timestamp={held[1]['timestamp']}")
        self.assertEqual((page["data"], page["has_more"]), (held[3:5], True))
        page = self.events(f"since_timestamp={page['next_timestamp']}&page_size=2&"
                           f"before_timestamp={held[1]['timestamp']}")
        self.assertEqual((page["data"], page["has_more"]), (held[2:3], False))

    def test_through_a_restart_of_the_daemon(self):
        """A watermark stays valid after a restart."""
        self.begin()
        self.happen("before")
        mark = self.events()["next_timestamp"]
        self.collector.stop()
        self.collector = self.start("--warm-up", "0", listen=self.collector.address)
        self.happen("after")
        page = self.events(f"since_timestamp={mark}")
        self.assertEqual([event["event_name"] for event in page["data"]], ["after"])

    def test_at_a_glance(self):
        """Realtime has the page views of the window and the newest events; history its minutes."""
        wait_away_from_midnight()
        self.begin()
        for number in range(3):
            self.web.touch({"site": SITE, "visitor": new_id(), "kind": "pageview", "room": "/a"})
        self.wait_count(self.web, 3)

        def sampled():
            """The history once all three are in it: a sample may have come between them."""
            answer = self.web.get(f"/api/sites/{SITE}/history").json
            today = answer["peak"]["today"]
            return today and today["count"] >= 3 and answer["data"] and answer

        history = wait_until(sampled, "a minute to be sampled")
        self.assertEqual(history["peak"]["today"]["count"], 3)
        self.assertEqual(history["peak"]["ever"]["count"], 3)
        wait_until(lambda: sum(minute["pageviews"] for minute in sampled()["data"]) == 3,
                   "the page views in the minutes")
        minute = sampled()["data"][-1]
        self.assertEqual(minute["max"], 3)
        self.assertTrue(minute["min"] <= minute["mean"] <= minute["max"], minute)
        self.assertRegex(minute["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        answer = self.web.get(f"/api/analytics/sites/{SITE}/realtime?limit=2").json
        self.assertEqual((answer["pageViews"], answer["pageViewsLastHour"]), (3, 3))
        self.assertEqual(len(answer["recentEvents"]), 2)
        for event, recent in zip(self.events("page_size=2")["data"], answer["recentEvents"]):
            self.assertEqual(recent, {**event, "path": "/a"})
        nobody = self.web.get("/api/sites/nobody.example/history").json
        self.assertEqual((nobody["data"], nobody["peak"]), ([], {"today": None, "ever": None}))


if __name__ == "__main__":
    unittest.main()
