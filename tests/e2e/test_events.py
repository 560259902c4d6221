"""presencectl events: what happened, from any moment on, without a gap or a repeat."""

import csv
import datetime
import io
import json
import subprocess
import time
import unittest

from harness import PRESENCECTL, SOON, Case, native, program, visitor, wait_until

SITE = "example.com"


class EventCase(Case):
    def begin(self, events=16384):
        self.collector = self.start("--warm-up", "0", "--events", str(events))
        return self.collector

    def happen(self, numbers, site=SITE, **fields):
        self.send(self.collector, native(site, [visitor(number) for number in numbers], **fields))

    def events(self, *arguments):
        return self.json("events", *arguments)["events"]

    def wait_events(self, number, *arguments):
        return wait_until(lambda: len(self.events(*arguments)) >= number and
                          self.events(*arguments), f"{number} events")


class Events(EventCase):
    def test_kinds(self):
        self.begin()
        self.happen([1], room="/a", country="DE", source="news.example", kind=3)
        self.wait_events(2, SITE)
        self.happen([1], room="/a", kind=4, event="buy")
        self.wait_events(3, SITE)
        self.happen([1], kind=2)
        events = self.wait_events(4, SITE)
        self.assertEqual([event["kind"] for event in events],
                         ["entered", "pageview", "event", "left"])
        self.assertEqual([event["event"] for event in events], [None, None, "buy", None])
        self.assertEqual([event["room"] for event in events], ["/a", "/a", "/a", None])
        self.assertEqual((events[0]["country"], events[0]["source"]), ("DE", "news.example"))
        for one, next_one in zip(events, events[1:]):
            self.assertEqual(next_one["sequence"], one["sequence"] + 1)
            self.assertGreater(next_one["time"], one["time"])
        status, out, err = self.ctl("events", SITE)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out.splitlines()[0],
                         rf"^{events[0]['sequence']}  \S+Z  entered   DE  /a  from news.example$")
        self.assertRegex(out.splitlines()[2], r"  event +/a  event buy$")

    def test_sites(self):
        self.begin()
        self.happen([1])
        self.happen([1], site="other.example")
        self.wait_events(2)
        self.assertEqual({event["site"] for event in self.events()}, {SITE, "other.example"})
        self.assertEqual({event["site"] for event in self.events("other.example")},
                         {"other.example"})
        self.assertIn("  other.example", self.ctl("events")[1])

    def test_limit_takes_the_last_and_since_the_first(self):
        self.begin()
        for number in range(9):
            self.happen([number])
        events = self.wait_events(9, SITE)
        self.assertEqual(self.events(SITE, "--limit", "2"), events[-2:])
        self.assertEqual(self.events(SITE, "--limit", "0"), events)
        self.assertEqual(self.events(SITE, "--limit", "2", "--since", "0"), events[:2])
        since = str(events[4]["sequence"])
        self.assertEqual(self.events(SITE, "--since", since), events[4:])
        at = datetime.datetime.fromisoformat(events[4]["time"].replace("Z", "+00:00"))
        india = at.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
        for text in events[4]["time"], events[4]["time"].rstrip("Z"), india.isoformat():
            self.assertEqual(self.events(SITE, "--since", text), events[4:], text)
        self.assertEqual(self.events(SITE, "--since", "1h"), events)
        self.assertEqual(self.events(SITE, "--since", "2030-01-01"), [])

    def test_without_a_limit_the_last_500(self):
        self.begin(events=65536)  # in a second, a site may write a 64th
        for first in range(0, 520, 40):
            self.happen(range(first, first + 40))
        events = wait_until(lambda: len(now := self.events("--limit", "0")) == 520 and now, "all events")
        self.assertEqual(self.events(SITE), events[20:])

    def test_a_watermark_leaves_no_gap_and_repeats_nothing(self):
        self.begin()
        seen, following = [], "0"
        for number in range(40):
            self.happen([number, 100 + number])
            answer = self.json("events", SITE, "--since", following, "--limit", "3")
            self.assertEqual(answer["missed"], 0)
            seen += [event["sequence"] for event in answer["events"]]
            following = str(answer["next"])
        self.wait_events(80, SITE)
        while (answer := self.json("events", SITE, "--since", following, "--limit", "7"))["events"]:
            seen += [event["sequence"] for event in answer["events"]]
            following = str(answer["next"])
        self.assertEqual(seen, list(range(seen[0], seen[0] + 80)))

    def test_csv(self):
        self.begin()
        self.happen([1], room='/a,"b"', kind=4, event="=1+1")
        self.wait_events(2, SITE)
        rows = list(csv.DictReader(io.StringIO(self.ctl("events", SITE, "--csv")[1], newline="")))
        self.assertEqual([row["kind"] for row in rows], ["entered", "event"])
        self.assertEqual((rows[1]["room"], rows[1]["event"]), ('/a,"b"', "'=1+1"))

    def test_unknown_and_stale(self):
        self.begin()
        self.happen([1])
        self.wait_events(1, SITE)
        status, out, err = self.ctl("events", "nobody.example")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("nobody.example", err)
        self.collector.stop()
        status, out, err = self.ctl("events", SITE)
        self.assertEqual(status, 3)
        self.assertIn("entered", out)
        self.assertIn("stale", err)
        self.assertTrue(self.json("events", SITE)["stale"])


class Follow(EventCase):
    def follow(self, *arguments):
        """The lines of `presencectl events --follow`, standard error included."""
        return program([PRESENCECTL, "events", "--follow", *arguments, "--segment", self.segment],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_follow(self):
        """New events are printed at once, also after a restart of the collector."""
        collector = self.begin()
        self.happen([0])
        first = self.wait_events(1, SITE)[0]["sequence"]
        with self.follow(SITE, "--json", "--since", str(first)) as process:
            sequences = [json.loads(process.stdout.readline())["sequence"]]
            for number in range(1, 6):
                self.happen([number])
                sent = time.monotonic()
                sequences.append(json.loads(process.stdout.readline())["sequence"])
                self.assertLess(time.monotonic() - sent, SOON)
            collector.stop()
            self.assertIn("stopped", process.stdout.readline())
            self.begin()
            self.happen([100])
            sequences.append(json.loads(process.stdout.readline())["sequence"])
        self.assertEqual(sequences, list(range(first, first + 7)))

    def test_the_last_come_first(self):
        self.begin()
        for number in range(5):
            self.happen([number])
        events = self.wait_events(5, SITE)
        with self.follow(SITE, "--json", "--limit", "2") as process:
            lines = [json.loads(process.stdout.readline()) for _ in range(2)]
            self.assertEqual(lines, events[-2:])
            self.happen([7])
            self.assertEqual(json.loads(process.stdout.readline())["sequence"],
                             events[-1]["sequence"] + 1)

    def test_it_ends_when_nobody_reads(self):
        self.begin()
        self.happen([1])
        self.wait_events(1, SITE)
        with self.follow(SITE) as process:
            with process.stdout:
                process.stdout.readline()
            wait_until(lambda: process.poll() is not None, "it to end without a reader")

    def test_a_slow_reader_is_told_what_it_missed(self):
        """A small ring laps a reader that sleeps: printed and missed events add up to all."""
        self.collector = self.start("--warm-up", "0", "--events", "64")
        self.happen([0])
        first = wait_until(lambda: self.events(SITE), "an event")[0]["sequence"]
        for number in range(200):  # one each: more would be thinned out
            self.happen([1], site=f"{number}.example")
        wait_until(lambda: self.json("events", "--since", str(first))["next"] == first + 201,
                   "the events of all sites")
        answer = self.json("events", "--since", str(first), "--limit", "0")
        got = [event["sequence"] for event in answer["events"]]
        self.assertGreater(answer["missed"], 0)
        self.assertEqual(answer["missed"] + len(got), answer["next"] - first)
        self.assertEqual(got, list(range(answer["next"] - len(got), answer["next"])))
        self.assertIn(f"missed {answer['missed']} events",
                      self.ctl("events", "--since", str(first), "--limit", "0")[2])


if __name__ == "__main__":
    unittest.main()
