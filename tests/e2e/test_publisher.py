"""What presence-publisher writes into Redis, against what the segment's readers are answered."""

import os
import unittest

from datagrams import LEAVE, native2, record, visitor
from harness import wait_until
from publisher import run_publisher
from publisher_case import WINDOW, PublisherCase


class Counts(PublisherCase):
    def test_all_scopes(self):
        self.window = 20  # leaks are searched for meanwhile
        collector = self.start()
        self.publish()
        self.beat(collector, 1, 2, 3, room="/a", country="DE", source="news.example")
        self.beat(collector, 4, room="/b", site="b.example")
        self.beat(collector, 5, site="b.example")
        self.wait_equal()
        self.assertEqual(self.shard.sites(self.window), {"example.com": 3, "b.example": 2})
        self.assertEqual(self.shard.site("example.com", self.window),
                         {"r/a": 3, "cDE": 3, "snews.example": 3})
        self.beat(collector, 2, room="/a", kind=LEAVE)
        self.beat(collector, 5, site="b.example", kind=LEAVE)
        self.beat(collector, 4, site="b.example", room="/b", kind=LEAVE)
        self.wait_equal()
        self.assertEqual(self.shard.site("b.example", self.window), {})
        self.assert_expiring()
        wait_until(lambda: self.engine.call("EXISTS", f"{self.shard.key}:{self.window}:example.com") == 0,
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


    def test_windows(self):
        """Each window has its counts; one that is too long is left out."""
        collector = self.start()
        publisher = self.publish("--window", "4", "--window", "1h", "--window", "9")
        publisher.wait_logged("a --window is longer")
        self.beat(collector, 1, room="/a")
        self.shard.wait_for(lambda shard: shard.sites(4) == shard.sites(9) == {"example.com": 1},
                            "a visitor in both windows")
        self.shard.wait_for(lambda shard: shard.sites(4) == {}, "none in the shorter one")
        self.assertEqual(self.shard.site("example.com", 4), {})
        self.assertEqual(self.shard.state()["windows"], "4 9")

    def test_streams(self):
        collector = self.start()
        self.publish()
        for sequence in (1, 2, 5):  # two are lost
            self.send(collector, native2(record("example.com", [visitor(1), visitor(2)]),
                                         stream=0xabc, sequence=sequence, target=3))
        key = "0000000000000abc", 3
        self.shard.wait_for(lambda shard: key in shard.streams(), "the stream")
        age, *figures = self.shard.streams()[key]
        self.assertEqual(figures, [6, 5, 2, 0, 0, 0])
        self.assertLess(age, 10)

    def test_many_rooms(self):
        """More than one command takes, of several sites."""
        self.window = 300  # nobody is to leave it meanwhile
        self.labelled = ["example.com", "0.example"]
        collector = self.start("--max-scopes", "2000")
        self.publish()
        for number in range(700):
            self.beat(collector, 1, room=f"/{number}")
            self.beat(collector, 2, site=f"{number}.example")
        self.wait_received(1400)
        self.wait_equal(701)
        for number in range(0, 700, 2):
            self.beat(collector, 1, room=f"/{number}", kind=LEAVE)
            self.beat(collector, 2, site=f"{number}.example", kind=LEAVE)
        self.wait_equal(351)


class Refusals(PublisherCase):
    """R6: readers of the engine can tell nobody from unknown, and lower bounds, too."""

    def test_rooms(self):
        collector = self.start("--max-rooms-per-site", "1")
        self.publish()
        self.beat(collector, 1, room="/a")
        self.shard.wait_for(lambda shard: shard.site("example.com", WINDOW) == {"r/a": 1}, "a room")
        self.beat(collector, 2, room="/b")
        self.shard.wait_for(lambda shard: shard.site("example.com", WINDOW) == {"r/a": 1, "?r": 1},
                            "a mark for the room that was refused")
        self.assertEqual(self.shard.state()["unknown"], "0")
        self.shard.wait_for(lambda shard: shard.site("example.com", WINDOW) == {},
                            "no mark when the window has passed")

    def test_visitors(self):
        collector = self.start("--max-entries", "1")
        self.publish()
        self.beat(collector, *range(1, 200))
        self.shard.wait_for(lambda shard: "n" in str(shard.site("example.com", WINDOW).get("?p")),
                            "a mark for a lower bound")
        self.shard.wait_for(lambda shard: shard.state()["unknown"] == "1", "unknown sites")

    def test_sites(self):
        collector = self.start("--max-scopes", "1")
        self.publish()
        self.beat(collector, 1)
        self.beat(collector, 1, site="b.example")
        self.shard.wait_for(lambda shard: shard.state()["unknown"] == "1", "unknown sites")
        self.assertEqual(self.shard.site("example.com", WINDOW), {})
        self.shard.wait_for(lambda shard: shard.state()["unknown"] == "0", "no unknown sites")

    def test_warming(self):
        self.start("--warm-up", "3")
        self.publish()
        self.shard.wait_for(lambda shard: shard.state()["warming"] == "1", "a warming shard")
        self.shard.wait_for(lambda shard: shard.state()["warming"] == "0", "a warm shard")


class Usage(unittest.TestCase):
    def test_what_has_no_default(self):
        for arguments, reason in (
                ((), "--engine: say which"),
                (("--engine", "redis://localhost"), "--group: say which group"),
                (("--engine", "redis://localhost", "--group", "a b"), "--group takes 1 to 63"),
                (("--engine", "redis://localhost", "--group", "A", "--shard", "4/3"),
                 "--shard takes K/N"),
                (("--engine", "redis://localhost", "--group", "A", "--shard", "0/3"),
                 "--shard takes K/N"),
                (("--engine", "redis://localhost", "--group", "A", "--shard", "1/65"),
                 "--shard takes K/N")):
            status, out, err = run_publisher(*arguments)
            self.assertEqual((status, out), (2, ""), err)
            self.assertIn(reason, err)

    def test_the_most_that_there_may_be(self):
        """The last shard of 64 and eight windows: only the group is missing."""
        windows = [word for number in range(1, 9) for word in ("--window", f"{number}m")]
        status, _, err = run_publisher("--engine", "redis://localhost", "--shard", "64/64", *windows)
        self.assertEqual(status, 2)
        self.assertIn("--group: say which group", err)
        status, _, err = run_publisher("--engine", "redis://localhost", *windows, "--window", "9m")
        self.assertEqual(status, 2)
        self.assertIn("--window", err)


if __name__ == "__main__":
    unittest.main()
