"""presence-web: heartbeats from browsers, their answers, and what is refused."""

import json
import mmap
import os
import socket
import struct
import threading
import time
import urllib.parse
import uuid

from harness import DEADLINE, free_port, native, wait_until
from presence_send import decode
from side_by_side import main
from web import BROWSER, SITE, WebCase, new_id


class Touch(WebCase):
    def test_counted_with_them_in_it(self):
        """The count in the answer includes the visitor, the first time and every time."""
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
        """A page view, an event and a source arrive as such."""
        web = self.serve(collector=self.start())
        web.touch({"site": SITE, "visitor": new_id(), "kind": "pageview", "source": "news.example"})
        web.touch({"site": SITE, "visitor": new_id(), "event": "signup"})
        web.touch({"site": SITE, "visitor": new_id(), "kind": "event", "event": "signup"})
        stats = self.wait_received(3)
        self.assertEqual((stats["pageviews"], stats["custom_events"]), (1, 2))
        self.wait_count(web, 3)
        sources = web.get(f"/api/analytics/sites/{SITE}/realtime").json["sources"]
        self.assertEqual(sources, [{"source": "news.example", "visitors": 1}])

    def test_uuid_in_any_case_is_one_visitor(self):
        web = self.serve(collector=self.start())
        person = new_id()
        for spelling in person, person.upper(), f"  {person} ":
            answer = self.counted(web, {"site": SITE, "visitor": spelling})
            self.assertEqual(answer["count"], 1)

    def test_a_place_has_one_name(self):
        """All spellings of a place are one, in touches, reads and streams."""
        web = self.serve(collector=self.start())
        for number, room in enumerate(("/t", "/t/", "//t", "///t//"), 1):
            answer = self.counted(web, {"site": SITE.upper(), "visitor": new_id(), "room": room,
                                        "source": ("news.example", "News.Example")[number % 2]})
            self.assertEqual((answer["room"], answer["count"]), ("/t", number))
        self.wait_count(web, 4, query="?room=//t/")
        longest = "/" + 254 * "r"
        self.counted(web, {"site": SITE, "visitor": new_id(), "room": f"//{longest}//"})
        self.wait_count(web, 1, query=f"?room={longest}/")
        realtime = web.get(f"/api/analytics/sites/{SITE}/realtime").json
        self.assertEqual(realtime["sources"] if "sources" in realtime else realtime,
                         [{"source": "news.example", "visitors": 4}])

    def test_long_ids(self):
        web = self.serve(collector=self.start())
        for number, visitor in enumerate((512 * "v", 256 * "é"), 1):
            answer = self.counted(web, {"site": SITE, "visitor": visitor})
            self.assertEqual(answer["count"], number)

    def test_leaving_a_room(self):
        """A leave of a room takes effect at once, and only there."""
        web = self.serve(collector=self.start())
        person = {"site": SITE, "visitor": new_id(), "room": "/a"}
        self.counted(web, person)
        answer = web.touch({**person, "kind": "leave"})
        self.assertEqual((answer.status, answer.json["counted"]), (200, False))
        self.wait_count(web, 0, query="?room=/a")
        self.assertEqual(self.live(web)["count"], 1)

    def test_leaving_the_site(self):
        """A leave of the site is held for a moment: who comes to the next page was never away."""
        web = self.serve(collector=self.start())
        stays, goes = ({"site": SITE, "visitor": new_id()} for _ in range(2))
        for person in stays, goes:
            self.counted(web, person)

        left = time.monotonic()
        for person in stays, goes, goes:
            self.assertEqual(web.touch({**person, "kind": "leave"}).status, 200)
        back = self.counted(web, stays)
        in_time = time.monotonic() - left < 1.5  # a busy machine may take longer
        self.wait_count(web, 1)
        self.assertGreater(time.monotonic() - left, 1.5)
        self.assertEqual(self.ctl("seen", SITE, stays["visitor"])[0], 0)
        self.assertEqual(self.ctl("seen", SITE, goes["visitor"])[0], 4)
        stats = self.stats()
        if in_time:
            self.assertEqual(back["count"], 2)
            self.assertEqual((stats["heartbeats_new"], stats["heartbeats_left"]), (2, 1))

    def is_there(self, person):
        status, _, err = self.ctl("seen", SITE, person["visitor"])
        self.assertIn(status, (0, 3, 4), err)  # 3: a busy collector may be stale for a moment
        return status != 4

    def wait_second(self):
        """Wait for the next second: the segment's times are whole seconds."""
        second = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > second + 1.05, "a second")

    def test_a_leave_says_how_long_it_is_held(self):
        """Each leave is sent when it is due, in any order; of two the shorter hold counts."""
        web = self.serve(collector=self.start())
        people = {name: {"site": SITE, "visitor": new_id()} for name in ("long", "short", "both", "0")}
        for person in people.values():
            self.counted(web, person)
        begun = time.monotonic()
        for name, hold in ("long", 5), ("short", 1), ("both", 30), ("both", 0.6), ("0", 0):
            self.assertEqual(web.touch({**people[name], "kind": "leave", "hold": hold}).status, 200)
        gone, slowest, looked = {}, 0, begun
        while len(gone) < len(people):
            for name in [name for name in ("0", "both", "short", "long") if name not in gone]:
                if not self.is_there(people[name]):
                    gone[name] = time.monotonic() - begun
            slowest, looked = max(slowest, time.monotonic() - looked), time.monotonic()
        self.assertGreater(gone["long"], 4.9)
        if slowest < 0.5:  # a busy machine may take longer
            self.assertEqual(max(gone.values()), gone["long"], gone)
            self.assertLess(gone["0"], 1)
            for name in "short", "both":
                self.assertTrue(0.9 < gone[name] < 4, gone)
        for wrong in "1", -1, [], True:
            answer = web.touch({**people["0"], "kind": "leave", "hold": wrong})
            self.assert_problem(answer, 400, "bad_request")
            self.assertIn("hold", answer.json["message"])
        for harmless in None, 10 ** 9:
            answer = web.touch({**people["0"], "kind": "leave", "hold": harmless})
            self.assertEqual(answer.status, 200)

    def test_who_is_seen_again_has_not_left(self):
        """Touched here, however they spell their id; or on the next page, as an edge reports it,
        before the leave of the last one arrives or after."""
        collector = self.start()
        web = self.serve(collector=collector)

        def report(person):
            refreshed = self.stats()["heartbeats_refreshed"]
            self.send(collector, native(SITE, [uuid.UUID(person["visitor"]).bytes]))
            wait_until(lambda: self.stats()["heartbeats_refreshed"] > refreshed, "the report")

        def leave_and_return():
            """True if all that has to happen before the leaves are due was in time."""
            old = self.stats()
            touched, before, after, gone = people = [
                {"site": SITE, "visitor": new_id()} for _ in range(4)]
            for person in people:
                self.counted(web, person)
            self.wait_second()
            reported = time.monotonic()
            report(before)
            begun = time.monotonic()
            for person in people:
                web.touch({**person, "kind": "leave", "hold": 3})
            left = time.monotonic()
            self.counted(web, {**touched, "visitor": touched["visitor"].upper()})
            self.wait_second()
            report(after)
            # A busy machine may take longer; a leave concerns reports of the 5 s before it.
            in_time = time.monotonic() - begun < 2.9 and left - reported < 3.9
            wait_until(lambda: not self.is_there(gone), "who has left to be gone")
            self.wait_second()
            if in_time:
                self.assertEqual([self.is_there(person) for person in people], [True, True, True, False])
                new = self.stats()
                self.assertEqual([new[name] - old[name] for name in ("heartbeats_new", "heartbeats_left")],
                                 [4, 1])
            return in_time

        wait_until(leave_and_return, "a return in time", 2 * DEADLINE)

    def test_who_is_seen_again_stays_at_the_end(self):
        """On exit it sends held leaves, but not of visitors who were seen meanwhile."""
        collector = self.start()
        web = self.serve(collector=collector)
        stays, goes = ({"site": SITE, "visitor": new_id()} for _ in range(2))
        for person in stays, goes:
            self.counted(web, person)
        self.wait_second()
        for person in stays, goes:
            web.touch({**person, "kind": "leave", "hold": 30})
        refreshed = self.stats()["heartbeats_refreshed"]
        self.send(collector, native(SITE, [uuid.UUID(stays["visitor"]).bytes]))
        wait_until(lambda: self.stats()["heartbeats_refreshed"] > refreshed, "the report")
        self.assertEqual(web.stop(), 0)
        wait_until(lambda: not self.is_there(goes), "the leave to arrive")
        self.assertEqual((self.is_there(stays), self.stats()["heartbeats_left"]), (True, 1))

    def test_held_leaves_are_sent_at_the_end(self):
        web = self.serve(collector=self.start())
        person = {"site": SITE, "visitor": new_id()}
        self.counted(web, person)
        web.touch({**person, "kind": "leave"})
        self.assertEqual(web.stop(), 0)
        wait_until(lambda: self.stats()["heartbeats_left"] == 1, "the leave to arrive")

    def test_not_counted_in_time(self):
        """While the collector hangs, a touch waits 20 ms and delays nobody else."""
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

    def test_not_counted_before_the_batch_has_ended(self):
        """Whom the table knows and the count may not have yet is not said to be counted: a worker can
        be suspended in between. Here it is frozen, and the visitor's entry in the table gets young."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-rate", "0", collector=collector)
        person = {"site": SITE, "visitor": new_id()}
        self.counted(web, person)
        collector.freeze()
        self.addCleanup(collector.thaw)
        done = threading.Event()
        with open(self.segment, "r+b") as file, mmap.mmap(file.fileno(), 0) as segment:
            offset, size = struct.unpack_from("=QQ", segment, 88 + 40 + 16 * 4)  # segment.h: the table
            entry = next(at for at in range(offset, offset + size, 8) if any(segment[at:at + 8]))
            word, tick = (struct.unpack_from("=Q", segment, at)[0] for at in (entry, 336))

            def get_young():
                while not done.is_set():
                    for age in 9, 0:
                        seen = word >> 20 << 20 | (tick - age) & 0xfffff
                        struct.pack_into("=Q", segment, entry, seen)
                        time.sleep(0.004)

            thread = threading.Thread(target=get_young)
            thread.start()
            try:
                answers = [web.touch(person).json for _ in range(20)]
            finally:
                done.set()
                thread.join()
                struct.pack_into("=Q", segment, entry, word)
        self.assertEqual({answer["counted"] for answer in answers}, {False})
        collector.thaw()
        self.counted(web, person)

    def assert_reason(self, answer, code, *words):
        """Check that the touch is not counted, or only in the site, for this reason."""
        answer = answer.json
        in_site = answer["message"].startswith("counted in the site, but not in the room")
        in_site |= answer["message"].startswith("counted in the site, but it has no room")
        self.assertEqual((answer["counted"], answer.get("reason")), (in_site, code), answer)
        for word in words:
            self.assertIn(word, answer["message"])

    def wait_reason(self, web, code, *words, **fields):
        """Touch with a new visitor each time until the reason is this one, in these words: a busy
        collector may not have come to it in time, and then it is another one."""
        def touch():
            answer = web.touch({"site": SITE, "visitor": new_id(), **fields})
            said = answer.json.get("message", "")
            found = answer.json.get("reason") == code and all(word in said for word in words)
            return answer if found else None

        self.assert_reason(wait_until(touch, f"{code}: {', '.join(words)}"), code, *words)

    def test_why_not_without_a_collector(self):
        web = self.serve()
        person = {"site": SITE, "visitor": new_id()}
        self.assert_reason(web.touch(person), "collector_stale", "no collector", "presenced")
        collector = self.start()
        web = self.serve(collector=collector)
        self.counted(web, person)
        self.addCleanup(collector.thaw)

        def hangs():
            """True if the collector was found busy, not silent: a busy machine may be late."""
            collector.freeze()
            answer = web.touch({**person, "visitor": new_id()})
            if answer.json.get("reason") == "collector_stale":
                collector.thaw()
                self.counted(web, person)
                return False
            self.assert_reason(answer, "not_seen", "in time", "busy")
            return True

        wait_until(hangs, "a collector that hangs")
        self.wait_reason(web, "collector_stale", "silent for ")
        collector.thaw()
        collector.stop()
        wait_until(lambda: web.touch(person).json.get("message") == "the collector has stopped", "it")
        leave = web.touch({**person, "kind": "leave"}).json
        self.assertNotIn("reason", leave)

    def test_why_not_for_want_of_room(self):
        """The answer names a full table, a full directory, and limits of a site and a sender."""
        web = self.serve("--client-rate", "0", collector=self.start(
            "--max-entries", "64", "--max-scopes", "4", small=False))
        for room in "/a", "/b", "/c":
            self.counted(web, {"site": SITE, "visitor": "v", "room": room})
        self.wait_reason(web, "scopes_full", "another site", "--max-scopes", site="other.example")
        self.wait_reason(web, "scopes_full", "counted in the site", "--max-scopes", room="/d")
        self.wait_reason(web, "table_full", "--max-entries")
        self.counted(web, {"site": SITE, "visitor": "v", "room": "/a"})

    def test_why_not_by_a_limit(self):
        web = self.serve("--client-rate", "0", collector=self.start(
            "--max-rooms-per-site", "1", "--sender-new", "2"))  # a second: a busy machine is slow
        self.counted(web, {"site": SITE, "visitor": "v", "room": "/a"})
        self.wait_reason(web, "scopes_full", "counted in the site", "--max-rooms-per-site",
                         room="/b")
        self.wait_reason(web, "sender_limit", "--sender-new")

    def test_why_not_when_rejected(self):
        """The answer names why the collector rejects heartbeats, as far as that is known."""
        collector = self.start("--site", "other.example")
        self.wait_reason(self.serve(collector=collector), "not_seen", "may be", "--site")
        nowhere = self.serve("--to", f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}")
        self.wait_reason(nowhere, "not_sent", "--to")

    def test_to_several_collectors(self):
        """Each collector gets every heartbeat."""
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

    def test_alive_while_nobody_touches(self):
        """Each collector gets an empty datagram a second, of one stream but with its own numbers."""
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in sockets:
            self.addCleanup(one.close)
            one.bind(("127.0.0.1", 0))
            one.settimeout(DEADLINE)
        self.serve(*(word for one in sockets
                     for word in ("--to", f"127.0.0.1:{one.getsockname()[1]}")))
        streams = set()
        for target, one in enumerate(sockets):
            for sequence in range(1, 4):
                datagram = decode(one.recv(65536))
                streams.add(datagram.stream)
                self.assertEqual(datagram[1:], (sequence, target, []))
        self.assertEqual(len(streams), 1)

    def test_labels_that_cannot_be(self):
        """Invalid labels are left out and the site counts; a leave does not become the site's."""
        web = self.serve(collector=self.start())
        person = new_id()
        self.counted(web, {"site": SITE, "visitor": person})
        for room in "/" + 255 * "x", "/a\nb", "/\u0085", "\u009f":
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "source": 254 * "s"})
            self.assertEqual((answer.status, answer.json["room"], answer.json["count"]),
                             (200, None, 1), answer.body)
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "kind": "leave"})
            self.assert_problem(answer, 400, "bad_request")
        for room in "/a\0b", "/half a \ud83d", "\udca9 and \\\ud83d\ud83d\udca9":
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "source": "\0"})
            self.assertEqual((answer.status, answer.json["room"], answer.json["count"]),
                             (200, None, 1), answer.body)
            answer = web.touch({"site": SITE, "visitor": person, "room": room, "kind": "leave"})
            self.assert_problem(answer, 400, "bad_request")
        for query in "%ff", "%00", "/a%00b", "/%c2%85", "/" + 255 * "x":
            answer = web.beacon(f"visitor={person}&room={query}&source=%00")
            self.assertEqual(answer.status, 200, query)
            answer = web.beacon(f"visitor={person}&room={query}&kind=leave")
            self.assert_problem(answer, 400, "bad_request")
            answer = web.get(f"/stream?site={SITE}&room={query}")
            self.assert_problem(answer, 400, "bad_request")
        self.assertEqual(self.live(web)["count"], 1)
        whole = "/\\ud83d \U0001f4a9"  # sent as a pair of escapes
        self.assertEqual(self.counted(web, {"site": SITE, "visitor": person, "room": whole})["room"],
                         whole)
        rooms = web.get(f"/api/analytics/sites/{SITE}/realtime").json["activePages"]
        self.assertEqual([room["path"] for room in rooms], [whole])

    def test_the_visitor_is_as_it_stands(self):
        """Ids are compared byte by byte: a visitor who also comes through an edge is one."""
        collector = self.start()
        web = self.serve("--client-rate", "0", collector=collector)
        ids = ('{"v":1,"id":"a"}', 'a"b\\c', "%7B%22v%22%3A1%7D", "a b, c;d", "\x01\t\x7f", "+",
               "ä" * 256, '"' * 512, "\\" * 512, 32 * "0123456789abcdef")
        for number, one in enumerate(ids, 1):
            escaped = json.dumps(one, ensure_ascii=False)
            self.send(collector, f"PH1 site={SITE} visitor={escaped}".encode())
            self.wait_count(web, number)
            self.assertEqual(self.counted(web, {"site": SITE, "visitor": f" {one} "})["count"], number)
            query = urllib.parse.quote(one, safe="")
            self.assertEqual(web.beacon(f"visitor={query}").status, 200)
            self.assertEqual(self.ctl("seen", SITE, one)[0], 0)
        self.wait_received(3 * len(ids))
        self.assertEqual(self.live(web)["count"], len(ids))
        for zero in "a\0", "\0", "half \ud83d":
            self.assert_problem(web.touch({"site": SITE, "visitor": zero}), 400, "bad_request")
        self.assert_problem(web.beacon("visitor=a%00b"), 400, "bad_request")

    def test_fetched_ahead(self):
        """Prefetched and prerendered pages are not counted."""
        web = self.serve(collector=self.start())
        self.counted(web, {"site": SITE, "visitor": new_id()})
        for header in ({"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"},
                       {"Purpose": "prefetch"}, {"X-Moz": "Prefetch"}, {"X-Purpose": "preview"},
                       {"X-Sec-Purpose": "prefetch"}):
            answer = web.beacon(f"visitor={new_id()}", header)
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "image/gif"))
            answer = web.touch({"site": SITE, "visitor": new_id()}, header)
            self.assert_reason(answer, "not_sent", "prerendered")
        self.counted(web, {"site": SITE, "visitor": new_id()}, {"Sec-Purpose": "other"})
        # The last is counted, so the others would be, too. A late answer is asked for twice.
        self.assertEqual((self.live(web)["count"], self.stats()["heartbeats_new"]), (2, 2))

    def test_bad_requests(self):
        """Bad requests are refused with a reason, and nothing is counted."""
        web = self.serve("--client-rate", "0", collector=self.start())
        good = {"site": SITE, "visitor": "v"}
        for fields, hint in (
                ({}, "site"), ({"site": SITE}, "visitor"), ({"visitor": "v"}, "site"),
                ({**good, "site": ""}, "site"), ({**good, "site": 254 * "s"}, "site"),
                ({**good, "site": "a\tb"}, "site"), ({**good, "site": 5}, "site"),
                ({**good, "visitor": ""}, "visitor"), ({**good, "visitor": "  "}, "visitor"),
                ({**good, "visitor": "-"}, "visitor"), ({**good, "visitor": 513 * "v"}, "visitor"),
                ({**good, "visitor": "undefined"}, "visitor"), ({**good, "visitor": "NULL"}, "visitor"),
                ({**good, "visitor": None}, "visitor"),
                ({**good, "visitor": "00000000-0000-0000-0000-000000000000"}, "visitor"),
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
        self.assertEqual(self.not_empty(self.stats()), 0)

    def test_bots(self):
        """Known bots get the number and are not counted."""
        collector = self.start()
        web = self.serve(collector=collector)
        self.counted(web, {"site": SITE, "visitor": new_id()})
        bots = ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0) Chrome/116.0 Safari/537.36",
                "facebookexternalhit/1.1", "Mozilla/5.0 (X11) HeadlessChrome/120.0.0.0", "somebot")
        for agent in bots:
            answer = web.touch({"site": SITE, "visitor": new_id()}, {"User-Agent": agent})
            self.assertEqual((answer.json["count"], answer.json["counted"]), (1, False), agent)
            self.assert_reason(answer, "known_bot", "--count-bots")
        people = (BROWSER, "Mozilla/5.0 (Linux; Android 9; CUBOT P30) Chrome/119 Mobile Safari",
                  "curl/7.88.1", "")
        for number, agent in enumerate(people, 2):
            answer = self.counted(web, {"site": SITE, "visitor": new_id()}, {"User-Agent": agent})
            self.assertEqual(answer["count"], number, agent)
        web = self.serve("--count-bots", collector=collector)
        answer = self.counted(web, {"site": SITE, "visitor": new_id()}, {"User-Agent": bots[0]})
        self.assertEqual(answer["count"], 2 + len(people))


if __name__ == "__main__":
    main()
