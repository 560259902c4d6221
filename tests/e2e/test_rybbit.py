"""presence-web: Rybbit's addresses and words, and the two scripts of its guide to a live feed."""

import datetime
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import unittest

from harness import DEADLINE, native, native2, record, visitor, wait_until
from web import SITE, WebCase, new_id

KEY = "a key of sixteen or more"
BEARER = {"Authorization": f"Bearer {KEY}"}
HERE = os.path.dirname(os.path.abspath(__file__))
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"
PAGE = 500
EVENTS_AT = 88 + 40 + 16 * 8  # in the segment: the offset of its section of events

# What runs a script as it is, but begins each round when the test says so: a line on stdin is the
# end of a pause.
PYTHON = """
import runpy, sys, time
time.sleep = lambda seconds: sys.stdin.readline() or sys.exit()
runpy.run_path(sys.argv[1])
"""
NODE = """
globalThis.setInterval = (run) => {
    const lines = require('node:readline').createInterface({ input: process.stdin });
    lines.on('line', run);
};
"""


class Feed:
    """A script of the guide, with this server and site in the place of Rybbit's."""

    def __init__(self, directory, kind, web, site=SITE):
        with open(os.path.join(HERE, f"rybbit_feed.{kind}")) as file:
            text = file.read()
        for rybbit, ours in ("https://app.rybbit.io", f"http://127.0.0.1:{web.port}"), ("123", site):
            assert text.count(rybbit) == 1
            text = text.replace(rybbit, ours)
        self.kind = kind
        script, pauses = os.path.join(directory, f"feed.{kind}"), os.path.join(directory, "pauses.js")
        for path, content in (script, text), (pauses, NODE):
            with open(path, "w") as file:
                file.write(content)
        command = (["node", "--require", pauses, script] if kind == "js"
                   else [sys.executable, "-u", "-c", PYTHON, script])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "RYBBIT_API_KEY": KEY, "TZ": "UTC", "LC_ALL": "C.UTF-8"})
        # Don't wait for ever for a line.
        self.guard = threading.Timer(10 * DEADLINE, self.process.kill)
        self.guard.start()
        self.lines = []

    def start(self):
        assert self.line() == "Starting live feed… (Ctrl+C to stop)"
        return self.round()

    def line(self):
        line = self.process.stdout.readline()
        assert line, f"{self.kind} ended after {self.lines[-5:]}"
        self.lines.append(line.rstrip("\n"))
        return self.lines[-1]

    def round(self):
        """Return the events that a round prints, and its last line."""
        events = []
        while not re.search("visitors online$|^poll error", line := self.line()):
            if line:
                events.append(line)
        return events, line

    def again(self):
        """Let it make another round."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.round()

    def close(self):
        self.guard.cancel()
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class RybbitCase(WebCase):
    def begin(self, *arguments, ring=65536):
        self.collector = self.start("--warm-up", "0", "--workers", "2", "--events", str(ring))
        self.web = self.serve("--api-key-file", self.secret("keys", KEY), "--site-alias",
                              f"123={SITE}", *arguments, collector=self.collector)

    def people(self, *numbers, site=SITE, **place):
        self.send(self.collector, native(site, [visitor(number) for number in numbers], **place))

    def burst(self, names):
        """Send custom events of these names."""
        for i in range(0, len(names), 200):
            self.send(self.collector, native2(*(
                record(SITE, [visitor(1)], kind=4, event=name, room="/busy")
                for name in names[i:i + 200])))

    def get(self, path, status=200):
        answer = self.web.get(path, BEARER)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    def events(self, query=""):
        return self.get(f"/api/sites/{SITE}/events?{query}")

    def happen(self, name, **place):
        """Send a custom event until it is in the feed: so are those sent before."""
        def arrived():
            thinned = self.stats()["events_thinned"]
            self.people(1, kind=4, event=name, **place)
            wait_until(lambda: name in self.held() or self.stats()["events_thinned"] > thinned, name)
            return name in self.held()

        wait_until(arrived, f"{name} in the feed")

    def held(self):
        """Return the names of all custom events that the collector holds, oldest first."""
        return [event["event"] for event in self.json("events", SITE, "--limit", "0")["events"]
                if event["kind"] == "event"]


@unittest.skipIf(SANITIZED, "the same with sanitizers: Pages asks for all that the scripts do")
class Scripts(RybbitCase):
    def feeds(self):
        feeds = [Feed(self.directory, kind, self.web) for kind in ("js", "py")]
        for feed in feeds:
            self.addCleanup(feed.close)
        return feeds

    def test_both(self):
        """They print what the guide shows, and each event once, also after an outage and where they
        fall behind by thousands."""
        self.begin()
        self.people(1, room="/pricing", country="US", kind=3)
        self.people(2, room="/signup", country="GB", kind=4, event="signup")
        self.people(3, room="/docs", country="DE", kind=4, event="outbound")
        self.happen("last")
        feeds = self.feeds()
        for feed in feeds:
            events, end = feed.start()
            time = r"\d\d:\d\d:\d\d" if feed.kind == "py" else r"\d?\d:\d\d:\d\d [AP]M"
            for line in events:
                self.assertRegex(line, rf"^\[{time}\] ")
            self.assertEqual([line.partition("] ")[2] for line in events],
                             ["👀 viewed /pricing — US", "⚡ signup (/signup) — GB",
                              "↗️ left via /docs — DE", "⚡ last () — Unknown"])
            self.assertEqual(end, "🟢 3 visitors online")
            self.assertEqual(feed.again(), ([], end))

        names, thinned = [], 0
        while len(names) - thinned < 4 * PAGE:
            more = [f"e{len(names) + number}" for number in range(1000)]
            before = self.stats()["custom_events"]
            self.burst(more)
            wait_until(lambda: self.stats()["custom_events"] == before + len(more), "the burst")
            names += more
            thinned = self.stats()["events_thinned"]
        self.happen("end")
        wanted = self.held()[3:]
        self.assertGreater(len(wanted), 4 * PAGE)
        for feed in feeds:
            seen = []
            while "end" not in seen:
                events, _ = feed.again()
                self.assertLessEqual(len(events), PAGE)
                self.assertTrue(events)
                seen += [re.search(r"⚡ (\w+) ", line)[1] for line in events]
                self.assertEqual(seen, wanted[:len(seen)])
            self.assertEqual(seen, wanted)
            self.assertEqual(feed.again()[0], [])

        self.collector.stop()
        for feed in feeds:
            wait_until(lambda: "503" in feed.again()[1], "the script to say so")
            self.assertRegex(feed.lines[-1], "^poll error: .*503")
        self.collector = self.start("--warm-up", "0", "--events", "65536",
                                    listen=self.collector.address)
        self.happen("back", room="/back")
        for feed in feeds:
            seen = []

            def is_back():
                events, end = feed.again()
                seen.extend(events)
                return seen and "visitors online" in end

            wait_until(is_back, "what came after the outage")
            self.assertEqual([line.partition("] ")[2] for line in seen], ["⚡ back (/back) — Unknown"])

    def test_an_id_and_the_alert(self):
        """The site's number at Rybbit stays in the script; the fields that alerts use are texts."""
        self.begin()
        self.people(1, room="/enterprise", country="DE", source="news.example", kind=3)
        self.people(2, kind=3)
        wait_until(lambda: len(self.events()["data"]) == 2, "two page views")
        feed = Feed(self.directory, "py", self.web, site="123")
        self.addCleanup(feed.close)
        self.assertEqual(len(feed.start()[0]), 2)
        for event in self.events()["data"]:
            for name in ("timestamp", "type", "pathname", "event_name", "country", "city", "referrer"):
                self.assertIsInstance(event[name], str, name)


class Pages(RybbitCase):
    def test_types(self):
        """Without types= there are only those that Rybbit's clients know."""
        self.begin()
        person = {"site": SITE, "visitor": new_id(), "room": "/a", "source": "news.example"}
        everything = "types=enter,leave,pageview,custom_event,outbound"
        for number, fields in enumerate(({"kind": "pageview"}, {"event": "outbound"}, {"event": "Outbound"},
                                         {"event": "signup"}, {"kind": "leave"}), start=2):
            answer = self.web.touch({**person, **fields})
            self.assertEqual(answer.status, 200, answer.body)
            wait_until(lambda: len(self.events(everything)["data"]) == number, f"{fields} in the feed")

        def kinds(query):
            return [event["type"] for event in self.events(query)["data"]]

        words = ["leave", "custom_event", "custom_event", "outbound", "pageview", "enter"]
        self.assertEqual(kinds(everything), words)
        self.assertEqual(kinds(""), words[1:-1])
        self.assertEqual(kinds("types="), words[1:-1])
        for query in ("types=leave,outbound", "types=leave&types=outbound", "types=outbound,%20leave,",
                      "types=outbound,+leave,leave"):
            self.assertEqual(kinds(query), ["leave", "outbound"], query)
        self.assertEqual(kinds("types=enter&since_timestamp=2026-01-01T00:00:00Z"), ["enter"])
        for query in ("types=event", "types=Leave", "types=leav", "types=leaves", "types=leavx", "types=enter;leave",
                      "types=leave%00", "types=leave%1b[31m", "&".join(6 * ["types=leave"])):
            self.assert_problem(self.web.get(f"/api/sites/{SITE}/events?{query}", BEARER),
                                400, "bad_request")
        event = self.events("types=custom_event")["data"][0]
        self.assertEqual(event, {
            "timestamp": event["timestamp"], "type": "custom_event", "pathname": "/a",
            "event_name": "signup", "country": "", "city": "", "referrer": "news.example"})
        realtime = self.get(f"/api/analytics/sites/{SITE}/realtime?limit=3")["recentEvents"]
        self.assertEqual(len(realtime), 3)

    def test_back_to_the_first(self):
        """Scrolling back with the cursor shows each event once, among others' and other types."""
        self.begin(ring=16384)
        for number in range(300):  # some of them are thinned out
            self.send(self.collector, native2(
                record("other.example", [visitor(number)], kind=3),
                record(SITE, [visitor(number)], kind=4, event=f"e{number}"),
                record(SITE, [visitor(number)], kind=2)))
        wait_until(lambda: self.stats()["heartbeats_left"] == 300, "all datagrams")
        wanted = self.held()[::-1]
        seen, page = [], self.events("page_size=7")
        for _ in wanted:
            seen += [event["event_name"] for event in page["data"]]
            if not page["cursor"]["hasMore"]:
                break
            self.assertEqual(len(page["data"]), 7)
            self.assertEqual(page["cursor"]["oldestTimestamp"], page["data"][-1]["timestamp"])
            page = self.events(f"before_timestamp={page['cursor']['oldestTimestamp']}&page_size=7")
        self.assertEqual(seen, wanted)
        self.assertGreater(len(seen), 21)
        oldest = page["cursor"]["oldestTimestamp"]
        self.assertEqual(self.events(f"before_timestamp={oldest}")["cursor"],
                         {"hasMore": False, "oldestTimestamp": None})
        exactly = self.events(f"page_size={len(wanted)}")
        self.assertEqual((len(exactly["data"]), exactly["cursor"]["hasMore"]), (len(wanted), False))
        after = self.events(f"since_timestamp={oldest}")
        self.assertNotIn("cursor", after)
        self.assertEqual(len(after["data"]), len(wanted) - 1)

    def test_a_watermark_passes_what_is_not_wanted(self):
        """A page without a wanted event moves our watermark past the others, not past one that is
        wanted."""
        def newest(types):
            data = self.events(f"types={types}&page_size=1")["data"]
            return data[0] if data else {"type": None}

        self.begin()
        for _ in range(300):  # more than are loaded at a time
            self.people(2)
            self.people(2, kind=2)
        self.people(1)
        wait_until(lambda: newest("enter,leave")["type"] == "enter" and
                   self.stats()["heartbeats_left"] == 300, "them to come and go")
        entered = newest("enter")["timestamp"]
        page = self.events()
        self.assertEqual((page["data"], page["next_timestamp"]), ([], entered))
        page = self.events("since_timestamp=2026-01-01T00:00:00Z")
        self.assertEqual((page["data"], page["next_timestamp"]), ([], entered))
        self.people(1, kind=4, event="one")
        self.people(1, kind=4, event="two")
        self.people(1, kind=2)
        wait_until(lambda: newest("enter,leave")["type"] == "leave", "them to leave")
        page = self.events(f"since_timestamp={entered}&page_size=1")
        self.assertEqual((page["data"][0]["event_name"], page["has_more"]), ("one", True))
        self.assertEqual(page["next_timestamp"], page["data"][0]["timestamp"])
        page = self.events(f"since_timestamp={page['next_timestamp']}&page_size=1")
        self.assertEqual((page["data"][0]["event_name"], page["has_more"]), ("two", False))
        self.assertEqual(page["next_timestamp"], newest("leave")["timestamp"])

    def test_while_workers_write(self):
        """A reader that takes the newest timestamp as its watermark gets each event once, however
        closely they follow each other."""
        self.begin()
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        mark, seen, sent = "2026-01-01T00:00:00Z", [], 0

        def read():
            nonlocal mark
            if page := self.events(f"since_timestamp={mark}")["data"]:
                seen.extend(event["timestamp"] for event in reversed(page))
                mark = page[0]["timestamp"]
            return page

        for number in range(200):  # while they are written, they are read
            for sender in sockets:
                sent += 10
                sender.sendto(native2(*(record(SITE, [visitor(number)], kind=4, event=f"e{i}")
                                        for i in range(10))), ("127.0.0.1", self.collector.port))
            read()
        for sender in sockets:
            sender.close()
        wait_until(lambda: self.stats()["custom_events"] == sent, "all events")
        while read():
            self.assertLessEqual(len(seen), sent)
        self.assertEqual(seen, [event["time"] for event in
                                self.json("events", SITE, "--limit", "0")["events"]
                                if event["kind"] == "event"])
        self.assertGreater(len(seen), PAGE)

    def test_an_event_that_is_being_written(self):
        """Whoever goes on from the newest event gets no event behind one whose writer is held up,
        until that one is written; whoever goes back passes it."""
        self.begin()
        names = [f"e{number}" for number in range(400)]  # more than are loaded at a time
        self.burst(names)
        wait_until(lambda: self.held() == names, "the burst")
        number = next(event["sequence"] for event in self.json("events", SITE, "--limit", "0")["events"]
                      if event["event"] == "e100")

        def write_state(state):
            with open(self.segment, "r+b") as segment:
                offset = struct.unpack("=Q", os.pread(segment.fileno(), 8, EVENTS_AT))[0]
                os.pwrite(segment.fileno(), struct.pack("=Q", state),
                          offset + 256 + 896 * (number % 65536) + 8)

        def shown(query):
            return [event["event_name"] for event in self.events(query)["data"]]

        write_state(0)
        wait_until(lambda: shown("page_size=500") == names[99::-1], "the newest page")
        wait_until(lambda: shown("since_timestamp=2026-01-01T00:00:00Z") == names[99::-1], "a feed")
        page = self.events("page_size=500")
        mark = page["next_timestamp"]
        self.assertEqual(mark, page["data"][0]["timestamp"])
        wait_until(lambda: shown(f"since_timestamp={mark}") == [], "nothing behind it")
        self.assertEqual(shown("before_timestamp=9999-12-31T23:59:59Z&page_size=500"),
                         names[:100:-1] + names[99::-1])
        write_state(2 * number)
        self.assertEqual(shown(f"since_timestamp={mark}"), names[:99:-1])
        self.assertEqual(shown("page_size=500"), names[::-1])

    def test_times(self):
        """A watermark may be written in any zone, by JavaScript and Python."""
        self.begin()
        self.happen("one")
        self.happen("two")
        two, one = self.events()["data"]
        when = datetime.datetime.fromisoformat(one["timestamp"].replace("Z", "+00:00"))
        east = when.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
        west = when.astimezone(datetime.timezone(-datetime.timedelta(hours=9, minutes=30)))
        plain = when.replace(tzinfo=None)
        for text in (one["timestamp"], one["timestamp"].lower(), plain.isoformat(), str(plain),
                     east.isoformat(), str(east), west.isoformat(), when.isoformat(),
                     east.strftime("%Y-%m-%dT%H:%M:%S.%f%z")):
            for sent in text, text.replace("+", "%2B"), text.replace("+", "%20").replace(" ", "%20"):
                sent = sent.replace(" ", "+")
                page = self.events(f"since_timestamp={sent}")
                self.assertEqual(page["data"], [two], sent)
                page = self.events(f"before_timestamp={sent}")
                self.assertEqual(page["data"], [], sent)
        done = subprocess.run(["node", "-p", f"new Date('{one['timestamp']}').toISOString()"],
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.stdout.strip(), one["timestamp"][:-4] + "Z", done.stderr)


class Addresses(RybbitCase):
    PATHS = f"/api/live-user-count/{SITE}", f"/api/events/{SITE}"

    def test_earlier_ones(self):
        """Rybbit's earlier addresses answer as those under /api/sites, by name and by id, and need
        a key, too."""
        self.begin()
        self.people(1, room="/a", kind=3)
        wait_until(lambda: self.events()["data"], "the page view")
        for path, rest in ("live-user-count", "?minutes=5&room=/a"), ("events", "?page_size=1"):
            one = self.get(f"/api/sites/{SITE}/{path}{rest}")
            for site in SITE, "123":
                two = self.get(f"/api/{path}/{site}{rest}")
                for answer in one, two:  # these pass with time
                    answer.pop("last_heartbeat_s", None), answer.pop("as_of", None)
                self.assertEqual(one, two)
            self.assert_problem(self.web.get(f"/api/{path}/{SITE}"), 401, "key_missing")
            self.assertEqual(self.web.ask("POST", f"/api/{path}/{SITE}").status, 405)
            self.assert_problem(self.web.get(f"/api/{path}/", BEARER), 400, "bad_request")
            self.assert_problem(self.web.get(f"/api/{path}", BEARER), 404, "not_found")
            self.assert_problem(self.web.get(f"/api/{path}/{'x' * 300}", BEARER), 400, "bad_request")

    def test_without_clients_of_other_systems(self):
        """--no-compat leaves these addresses out, and events keep their words."""
        self.begin("--no-compat")
        self.people(1, kind=4, event="outbound")
        wait_until(lambda: self.events()["data"], "the event")
        self.assertEqual(self.events()["data"][0]["type"], "outbound")
        for path in self.PATHS:
            self.assert_problem(self.web.get(path, BEARER), 404, "not_found")

    def test_a_silent_collector(self):
        """A number that is stale comes with 503; events are history."""
        self.begin()
        self.happen("one")
        self.collector.stop()
        wait_until(lambda: self.web.get(self.PATHS[0], BEARER).status == 503, "it to be stale")
        self.assertEqual(len(self.get(self.PATHS[1])["data"]), 1)

    def test_no_events_are_kept(self):
        self.begin(ring=0)
        for path in self.PATHS[1], f"/api/sites/{SITE}/events":
            self.assert_problem(self.web.get(path, BEARER), 503, "no_events")
        self.assertEqual(self.get(f"/api/analytics/sites/{SITE}/realtime")["recentEvents"], [])


if __name__ == "__main__":
    unittest.main()
