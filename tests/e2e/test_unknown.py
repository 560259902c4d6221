"""R6: a number, nobody (0) or unknown. A scope that was refused, or may come yet while the
collector warms, is unknown to every reader; one that lacks visitors is partial, a lower bound."""

import time
import unittest

from exporter import ExporterCase
from harness import native, visitor, wait_until
from web import WebCase, new_id

SITE = "full.example"
OTHER = "other.example"
ROOM, COUNTRY, SOURCE = (SITE, "/new"), (SITE, "--country", "FR"), (SITE, "--source", "x.example")


def people(first, number=1):
    return [visitor(first + i) for i in range(number)]


class Answers(WebCase, ExporterCase):
    def fill(self, collector, *datagrams):
        """Send, and wait until all is received; returns the counters."""
        before = self.arrived(self.stats())
        self.send(collector, *datagrams)
        return self.wait_received(before + len(datagrams))

    def by_http(self, place):
        """Return what the API and the stream of presence-web answer for a site or a room."""
        query = f"?room={place[1]}" if len(place) == 2 else ""
        answer = self.live(self.web, place[0], query)
        stream = self.open_stream(self.web, f"site={place[0]}&{query[1:]}")
        pushed = stream.event()["data"]
        stream.close()
        for field in "count", "partial", "stale", "warming":
            self.assertEqual(answer[field], pushed[field], field)
        return answer

    def assert_answer(self, place, count, exists, partial, *words):
        """Check that all readers answer the same for a place: one that does not exist is exit 4."""
        status, out, err = self.ctl("count", *place)
        self.assertEqual((status, out), (0, f"{count}\n") if exists else (4, ""), err)
        for word in words:
            self.assertIn(word, err)
        answers = [self.json("count", *place), self.json("explain", *place)]
        if "--country" not in place and "--source" not in place:
            answers.append(self.by_http(place))
        for answer in answers:
            self.assertEqual((answer["count"], answer["partial"], answer["stale"]),
                             (count, partial, False), (place, answer))
            self.assertEqual(answer["last_heartbeat_s"] is not None, exists)

    def assert_number(self, place, count, partial=False):
        self.assert_answer(place, count, True, partial, *(["partial"] if partial else []))

    def assert_nobody(self, place, partial=False):
        self.assert_answer(place, 0, False, partial, "nobody", place[0])

    def assert_unknown(self, place, *words, partial=True):
        self.assert_answer(place, None, False, partial, "unknown", place[0], *words)

    def assert_partial_lists(self, exporter, **kinds):
        """Check which lists may lack some: of sites, and of what is in the site."""
        for kind, partial in kinds.items():
            listing = self.json("sites") if kind == "site" else self.json("top", SITE, "--by", kind)
            self.assertEqual(listing["partial"], partial, (kind, listing))
            self.assertEqual(self.value(exporter, "presence_partial", kind=kind), partial, kind)
        lists = {"room": "activePages", "country": "countries", "source": "sources"}
        answer = self.web.get(f"/api/analytics/sites/{SITE}/realtime").json
        self.assertEqual(set(answer["partialLists"]),
                         {name for kind, name in lists.items() if kinds[kind]})
        self.assertEqual(self.web.get("/api/sites").json["partial"], kinds["site"])
        status = self.json("status")
        self.assertEqual((status["partial"], "[partial]" in self.ctl("status")[1]),
                         (any(kinds.values()),) * 2)
        self.assertEqual(self.web.get("/api/status").json["partial"], status["partial"])


class Refused(Answers):
    def begin(self, *arguments, **keywords):
        collector = self.start("--warm-up", "0", *arguments, **keywords)
        self.web = self.serve(collector=collector)
        return collector

    def test_nothing_is_refused(self):
        collector = self.begin()
        self.fill(collector, native(SITE, people(1, 3), room="/a", country="DE", source="s"))
        self.assert_number((SITE,), 3)
        for place in ROOM, COUNTRY, SOURCE, (OTHER,), (OTHER, "/a"):
            self.assert_nobody(place)
        self.assertIn("since the collector began to listen", self.ctl("count", OTHER)[2])
        self.assert_partial_lists(self.export(), site=False, room=False, country=False,
                                  source=False)

    def test_the_directory_is_full(self):
        collector = self.begin("--max-scopes", "200", small=False)
        self.fill(collector, *(native(SITE, people(i), room=f"/{i}") for i in range(199)))
        self.assert_nobody(ROOM)
        self.assert_nobody(COUNTRY)
        stats = self.fill(collector, native(SITE, people(1000, 7), room="/new"))
        self.assertEqual(stats["label_scopes_full"], 7)
        self.assert_unknown(ROOM, "/new", "label_scopes_full", "--max-scopes")
        self.assert_unknown((SITE, "/another"))
        self.assert_nobody(COUNTRY)
        self.assert_nobody(SOURCE)
        self.assert_nobody((OTHER,))
        exporter = self.export()
        self.assert_partial_lists(exporter, site=False, room=True, country=False, source=False)
        self.fill(collector, native(SITE, people(1000, 7), country="FR", source="x.example"))
        self.assert_unknown(COUNTRY)
        self.assert_unknown(SOURCE)
        self.assert_nobody((OTHER,))
        self.assert_partial_lists(exporter, site=False, room=True, country=True, source=True)
        self.fill(collector, native(OTHER, people(2000, 7), room="/new"))
        for place in (OTHER,), (OTHER, "/new"), ("third.example",), ("third.example", "/x"):
            self.assert_unknown(place)
        self.assert_partial_lists(exporter, site=True, room=True, country=True, source=True)
        # The scopes that exist lack no visitor.
        self.assert_number((SITE,), 206)
        self.assert_number((SITE, "/7"), 1)
        self.assertEqual(self.value(exporter, "presence_active_visitors", site=SITE, window="5m"),
                         206)
        self.assertEqual(self.value(exporter, "presence_site_partial", site=SITE), 0)
        for kind, place in ("room", ROOM), ("country", COUNTRY), ("source", SOURCE):
            samples = [labels for name, labels in self.metrics(exporter)
                       if name == f"presence_{kind}_active_visitors"
                       and (kind, place[-1]) in labels]
            self.assertEqual(samples, [])

    def test_a_refused_touch(self):
        """The visitor is on the site; the count of their room is unknown."""
        collector = self.begin("--max-rooms-per-site", "1")
        self.fill(collector, native(SITE, people(1, 4), room="/a"))
        answer = self.counted(self.web, {"site": SITE, "visitor": new_id(), "room": "/new"})
        self.assertEqual((answer["count"], answer["site_count"], answer["partial"]),
                         (None, 5, True))

    def test_a_site_has_its_most_rooms(self):
        collector = self.begin("--max-rooms-per-site", "50")
        self.fill(collector, *(native(SITE, people(i), room=f"/{i}", source=f"s{i}", country="DE")
                               for i in range(50)))
        self.fill(collector, native(SITE, people(1000, 7), room="/new"))
        self.assert_unknown(ROOM, "site_rooms_full", "--max-rooms-per-site")
        self.assertEqual(self.json("explain", SITE)["uncounted"]["site_rooms_full"], 7)
        self.assertRegex(self.ctl("explain", SITE)[1], r"\n +7  [^\n]* \(site_rooms_full\)\n")
        self.assert_nobody(SOURCE)
        self.fill(collector, native(SITE, people(1000, 7), source="x.example"))
        self.assert_unknown(SOURCE, "site_sources_full", "--max-rooms-per-site")
        self.assert_nobody(COUNTRY)
        self.assert_nobody((OTHER,))
        self.assert_number((SITE,), 57)
        self.assert_number((SITE, "/7"), 1)
        self.fill(collector, native(OTHER, people(1, 2), room="/a"))
        self.assert_number((OTHER, "/a"), 2)
        self.assert_nobody((OTHER, "/new"))
        self.assert_partial_lists(self.export(), site=False, room=True, country=False, source=True)

    def test_the_table_is_full(self):
        collector = self.begin("--max-entries", "1000", "--max-scopes", "100", small=False)
        self.fill(collector, native(OTHER, people(1)),
                  *(native(SITE, people(i, 40)) for i in range(0, 4000, 40)))
        stats = self.fill(collector, native(SITE, people(1, 40), country="FR", room="/a"))
        self.assertGreater(stats["table_full"], 0)
        self.assertGreater(stats["label_table_full"], 0)
        counted = self.count(SITE)
        self.assertLess(counted, 4000)
        self.assert_number((SITE,), counted, partial=True)
        self.assertIn("--max-entries", self.ctl("count", SITE)[2])
        self.assert_unknown((SITE, "/b"), "--max-entries")
        self.assert_unknown((SITE, "--country", "IT"), "--max-entries")
        self.assert_nobody(SOURCE, partial=True)  # no source was refused; the site lacks visitors
        self.assert_unknown(("third.example",), "table_full")
        self.assert_number((OTHER,), 1)
        exporter = self.export()
        self.assert_partial_lists(exporter, site=True, room=True, country=True, source=True)
        self.assertEqual(self.value(exporter, "presence_site_partial", site=SITE), 1)
        self.assertEqual(self.value(exporter, "presence_site_partial", site=OTHER), 0)
        sites = {line["site"]: line.get("partial", False) for line in self.json("sites")["sites"]}
        self.assertEqual(sites, {SITE: True, OTHER: False})
        self.assertIn("partial", self.ctl("top", SITE)[2])

    def test_a_sender_sends_too_many(self):
        collector = self.begin("--sender-new", "100")
        self.fill(collector, *(native(SITE, people(i, 40), room="/a") for i in range(0, 4000, 40)))
        stats = self.fill(collector, native(SITE, people(9999), source="x.example"))
        self.assertGreater(stats["sender_new_exceeded"], 0)
        counted = self.count(SITE)
        self.assert_number((SITE,), counted, partial=True)
        self.assert_number((SITE, "/a"), self.count(SITE, "/a"), partial=True)
        self.assertIn("--sender-new", self.ctl("count", SITE)[2])
        self.assert_unknown((SITE, "/b"), "--sender-new (label_sender_new_exceeded)")
        self.assert_nobody(COUNTRY, partial=True)
        self.assert_unknown((OTHER,), "sender_new_exceeded")
        seen = self.json("seen", SITE, "somebody else")
        self.assertEqual((seen["seen"], seen["partial"]), (False, True))
        self.assertIn("unknown", self.ctl("seen", SITE, "somebody else")[2])
        # Of one who was counted it is exact.
        self.assertEqual(self.ctl("seen", SITE, "00000000-0000-0000-0000-000000000001")[::2], (0, ""))

    def test_until_the_longest_window_has_passed(self):
        """What was refused would be gone by then, too: nobody is there."""
        window = 4
        collector = self.begin("--max-rooms-per-site", "1", "--max-window", str(window))
        stream = self.open_stream(self.web, f"site={SITE}&room=/new")
        self.assertEqual(stream.event()["data"]["count"], 0)
        start = time.monotonic()
        self.fill(collector, native(SITE, people(1), room="/a"),
                  native(SITE, people(1, 7), room="/new"))
        self.assertIsNone(stream.wait_for("the refusal", lambda data: data["partial"])[-1]["count"])
        stream.wait_for("it to have passed", lambda data: data["count"] == 0)
        self.assertGreaterEqual(time.monotonic() - start, window - 1)
        wait_until(lambda: not self.json("status")["partial"], "nothing to be missing any more")
        self.assert_nobody(ROOM)

    def test_a_room_created_late(self):
        """A visitor refused before may be in it."""
        collector = self.begin("--max-rooms-per-site", "1", "--max-window", "15")
        self.fill(collector, native(SITE, people(1), room="/a"))
        self.fill(collector, native(SITE, people(1, 7), room="/new"))
        collector.stop()
        collector = self.start("--warm-up", "0", "--max-rooms-per-site", "2", "--max-window", "15")
        self.fill(collector, native(SITE, people(1, 2), room="/new"))
        answer = self.json("count", *ROOM)
        self.assertEqual((answer["count"], answer["partial"]), (2, True))
        wait_until(lambda: self.fill(collector, native(SITE, people(1, 2), room="/new")) and
                   not self.json("count", *ROOM)["partial"], "those to have left")
        self.assert_number(ROOM, 2)


class Warming(Answers):
    def test_unknown_until_it_is_warm(self):
        collector = self.start("--warm-up", "3600")
        self.web = self.serve(collector=collector)
        self.fill(collector, native(SITE, people(1, 3), room="/a"))
        for place in ROOM, COUNTRY, SOURCE, (OTHER,), (OTHER, "/a"):
            self.assert_unknown(place, "ago", partial=False)
        self.assertEqual(self.json("count", SITE)["count"], 3)
        self.assertEqual(self.json("top", OTHER)["count"], None)
        collector.stop()
        self.start("--warm-up", "2")
        wait_until(lambda: not self.json("status")["warming"], "it to be warm")
        for place in ROOM, COUNTRY, SOURCE, (OTHER,), (OTHER, "/a"):
            self.assert_nobody(place)
        self.assertEqual(self.json("top", OTHER)["count"], 0)


if __name__ == "__main__":
    unittest.main()
