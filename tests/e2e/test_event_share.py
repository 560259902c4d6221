"""Sites share the ring of events: those that write as much as they can leave a quiet one's events readable (R11)."""

import socket
import time
import unittest

from harness import native, visitor, wait_until
from web import SITE, WebCase

QUIET = "quiet.example"
BUSY = [f"busy{number}.example" for number in range(8)]
SLOTS = 1024
MOST = SLOTS // 64  # events of a site in a second
PEOPLE = [visitor(number) for number in range(MOST + 4)]  # enough for that in one datagram


class EventShare(WebCase):
    def begin(self):
        self.collector = self.start("--warm-up", "0", "--events", str(SLOTS), "--workers", "2")
        self.web = self.serve("--client-rate", "0", collector=self.collector)

    def flood(self, sites, seconds):
        """Let sites write more than they may in each second, by way of both workers."""
        end = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
            another.connect(("127.0.0.1", self.collector.port))
            while time.monotonic() < end:
                for site in sites:
                    datagram = native(site, PEOPLE, room="/busy", kind=3)
                    self.send(self.collector, datagram)
                    another.send(datagram)
                time.sleep(0.2)  # ten times as much as a site may write

    def held(self, *arguments):
        """Return what presencectl shows of the events that can be read."""
        return self.json("events", *arguments, "--limit", "0", "--since", "0")

    def shown(self, query=""):
        """Return what presence-web shows of the quiet site."""
        answer = self.web.get(f"/api/sites/{QUIET}/events?types=enter,pageview,custom_event{query}")
        self.assertEqual(answer.status, 200, answer.body)
        return [event["type"] for event in answer.json["data"]]

    def test_busy_sites_leave_quiet_ones_theirs(self):
        self.begin()
        since = self.web.get(f"/api/sites/{QUIET}/events").json["next_timestamp"]
        self.send(self.collector, native(QUIET, [visitor(1)], room="/", kind=3))
        happened = wait_until(lambda: len(now := self.held(QUIET)["events"]) == 2 and now, "both events")
        # Without shares that fall, eight sites write the whole ring in eight seconds.
        self.flood(BUSY, 13)
        # It is never thinned out itself.
        self.send(self.collector, native(QUIET, [visitor(1)], kind=4, event="buy"))
        now = wait_until(lambda: len(now := self.held(QUIET)["events"]) == 3 and now, "the third event")
        self.assertEqual(now[:2], happened)
        for query in "", f"&since_timestamp={since}":
            self.assertEqual(self.shown(query), ["custom_event", "pageview", "enter"])
        everything = wait_until(self.written_or_dropped, lambda: f"all events to be accounted for: {self.stats()}")
        self.assertEqual({event["site"] for event in everything["events"]}, {QUIET, *BUSY})
        self.assertEqual(everything["missed"], 0)

    def written_or_dropped(self):
        """Return all events if each that happened was written, or else counted as dropped."""
        stats, everything = self.stats(), self.held()
        happened = stats["heartbeats_new"] + stats["pageviews"] + stats["custom_events"]
        print(f"of {happened} events {len(everything['events'])} were written")
        self.assertGreater(stats["events_thinned"], 0)
        return happened - stats["events_thinned"] == len(everything["events"]) and everything

    def test_a_site_alone_has_the_most(self):
        """As many as it may write, and no more."""
        self.begin()
        def several():
            self.flood([SITE], 0.5)
            return len(events := self.held()["events"]) >= 4 * MOST and events

        seconds = [event["time"][:19] for event in wait_until(several, "events of several seconds")]
        self.assertLessEqual(max(map(seconds.count, seconds)), 3 * MOST)  # of two ticks, and one that is late
        self.assertGreaterEqual(max(map(seconds.count, seconds)), MOST // 2)


if __name__ == "__main__":
    unittest.main()
