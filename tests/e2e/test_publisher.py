"""What presence-publisher writes into Redis, against what the segment's readers are answered."""

import os
import unittest

from datagrams import LEAVE, native, visitor
from engine import RedisServer
from harness import Case, wait_until
from publisher import LIFETIME_MS, Publisher, Shard, run_publisher

WINDOW = 30


class PublisherCase(Case):
    """A collector of a short window, an engine, and publishers."""

    def setUp(self):
        super().setUp()
        self.engine = RedisServer(self.directory)
        self.addCleanup(self.engine.ensure_ended)
        self.shard = Shard(self.engine)

    def start(self, *arguments, **keywords):
        return super().start("--max-window", str(WINDOW), "--warm-up", "0", *arguments, **keywords)

    def publish(self, *arguments, wait=True, url=None, **keywords):
        publisher = Publisher(self.segment, url or self.engine.url, *arguments, **keywords)
        self.addCleanup(publisher.ensure_ended)
        return publisher.wait_published() if wait else publisher

    def beat(self, collector, *numbers, site="example.com", **place):
        """A heartbeat of these visitors, or a leave with kind=LEAVE."""
        self.send(collector, native(site, [visitor(number) for number in numbers], **place))

    def counted(self):
        """What presencectl says, without zeros: ({site: count}, {site: {field: count}})."""
        sites, scopes = {}, {}
        for entry in self.json("sites")["sites"]:
            site = entry["site"]
            sites[site] = entry["count"]
            scopes[site] = {
                kind[0] + label[kind]: label["count"]
                for kind, kinds in (("room", "rooms"), ("country", "countries"),
                                    ("source", "sources"))
                for label in self.json("top", site, "--by", kind, "--limit", "0")[kinds]
                if label["count"]}
        return {site: count for site, count in sites.items() if count}, scopes

    def published(self, sites=()):
        """What the engine has, without marks; None: it is not of one epoch. `sites` are looked up
        even if they have no count."""
        counts = self.shard.sites(WINDOW)
        if counts is None or not self.shard.state():
            return None
        scopes = {site: self.shard.site(site, WINDOW) for site in {*counts, *sites}}
        if None in scopes.values():
            return None
        return counts, {site: {name: value for name, value in fields.items() if name[0] != "?"}
                        for site, fields in scopes.items()}

    def wait_equal(self):
        """Wait until the engine has what the collector counts."""
        def equal():
            sites, scopes = self.counted()
            return self.published(scopes) == (sites, scopes)

        wait_until(equal, lambda: f"equal counts: {self.counted()}, {self.published()}")

    def expiring(self):
        """Check that every key expires, and the shard's owner within 5 s."""
        for key in self.engine.call("KEYS", "{presence}:*"):
            left, longest = self.engine.call("PTTL", key), LIFETIME_MS
            if key == "{presence}:groups":
                continue
            self.assertTrue(0 < left <= (5000 if key.endswith(":owner") else longest), (key, left))


class Counts(PublisherCase):
    def test_all_scopes(self):
        collector = self.start()
        self.publish()
        self.beat(collector, 1, 2, 3, room="/a", country="DE", source="news.example")
        self.beat(collector, 4, room="/b", site="b.example")
        self.beat(collector, 5, site="b.example")
        self.wait_equal()
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 3, "b.example": 2})
        self.assertEqual(self.shard.site("example.com", WINDOW),
                         {"r/a": 3, "cDE": 3, "snews.example": 3})
        self.beat(collector, 2, room="/a", kind=LEAVE)
        self.beat(collector, 5, site="b.example", kind=LEAVE)
        self.beat(collector, 4, site="b.example", room="/b", kind=LEAVE)
        self.wait_equal()
        self.assertEqual(self.shard.site("b.example", WINDOW), {})
        self.expiring()
        wait_until(lambda: self.engine.call("EXISTS", f"{self.shard.key}:{WINDOW}:example.com") == 0,
                   "the keys of sites to go with their last visitor")
        self.wait_equal()
        self.assertEqual(self.engine.hash("{presence}:groups"), {"A": "1"})

    def test_state(self):
        collector = self.start()
        self.publish("--shard", "1/1")
        self.beat(collector, 1)
        state = self.shard.wait_for(lambda shard: shard.sites(WINDOW), "a visitor").state()
        self.assertEqual({name: state[name] for name in ("version", "shards", "windows", "stale",
                                                         "unknown", "warming", "streams_full")},
                         {"version": "1", "shards": "1", "windows": str(WINDOW), "stale": "0",
                          "unknown": "0", "warming": "0", "streams_full": "0"})
        self.assertRegex(state["epoch"], "^[0-9a-f]{16}$")
        self.assertEqual(state["host"], os.uname().nodename)
        self.assertLess(self.shard.age_ms(), 4000)


class Ends(PublisherCase):
    def test_stale_at_its_end(self):
        collector = self.start()
        publisher = self.publish()
        self.beat(collector, 1)
        self.shard.wait_for(lambda shard: shard.sites(WINDOW), "a visitor")
        self.assertEqual(publisher.stop(), 0)
        self.assertEqual(self.shard.state()["stale"], "1")
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 1})
        self.assertIsNone(self.shard.owner())
        self.publish()
        self.assertEqual(self.shard.state()["stale"], "0")

    def test_stale_at_once(self):
        collector = self.start()
        self.publish()
        collector.stop()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "1", "a stale shard")
        self.assertLess(self.shard.age_ms(), 4000)
        self.start()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "0", "a fresh shard")


class Owners(PublisherCase):
    def test_a_second_one_is_refused(self):
        self.start()
        first = self.publish()
        second = self.publish(wait=False)
        self.assertEqual(second.wait_ended(), 1)
        self.assertIn(f"another publisher, on {os.uname().nodename}, writes shard 1 of the group A",
                      second.output())
        self.assertIsNone(first.process.poll())
        self.assertEqual(self.shard.state()["stale"], "0")

    def test_a_killed_one_is_waited_for(self):
        self.start()
        self.publish().kill()
        owner = self.shard.owner()
        self.assertIsNotNone(owner)
        second = self.publish()
        self.assertIn("belongs to a publisher on", second.output())
        self.assertNotEqual(self.shard.owner(), owner)


class Usage(unittest.TestCase):
    def test_what_has_no_default(self):
        for arguments, reason in (
                ((), "--engine: say which"),
                (("--engine", "redis://localhost"), "--group: say which group"),
                (("--engine", "redis://localhost", "--group", "a b"), "--group takes 1 to 63"),
                (("--engine", "redis://localhost", "--group", "A", "--shard", "4/3"),
                 "--shard takes K/N")):
            status, out, err = run_publisher(*arguments)
            self.assertEqual((status, out), (2, ""), err)
            self.assertIn(reason, err)


if __name__ == "__main__":
    unittest.main()
