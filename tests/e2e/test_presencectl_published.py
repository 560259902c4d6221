"""presencectl --engine with real collectors, publishers and engines."""

import os
import signal
import time
import unittest

from datagrams import native, visitor
from engine import Cluster, Sentinels
from harness import SMALL, Collector, wait_until
from publisher import Publisher
from test_presencectl_engine import SITE, EngineCase

HOST = os.uname().nodename
FRESH_S = 4  # greatest age of a fresh shard's state
OWNER_S = 5  # for which a killed publisher still owns its shard
LATE_S = 30  # by which a busy machine may be late


class PublishedCase(EngineCase):
    def collect(self, name, *visitors, **place):
        """Start a collector with a segment of its own that counts these visitors on SITE."""
        collector = Collector(os.path.join(self.directory, name), "--warm-up", "0", *SMALL)
        collector.judge = self.assert_account_closes
        self.addCleanup(self.ensure_ended, collector)
        collector.wait_ready()
        self.beat(collector, *visitors, **place)
        return collector

    def beat(self, collector, *visitors, site=SITE, **place):
        self.send(collector, native(site, [visitor(number) for number in visitors], **place))
        wait_until(lambda: self.ctl("count", site, segment=collector.segment)[0] == 0, "a visitor")

    def publish(self, collector, *arguments, url=None):
        publisher = Publisher(collector.segment, url or self.engine.url, *arguments)
        self.addCleanup(publisher.ensure_ended)
        return publisher.wait_published()

    def wait_answer(self, arguments, expected, url=None, **keywords):
        """Wait until it prints this (exit status, stdout); returns stderr."""
        def answered():
            results.append(self.run_ctl(*arguments, url=url))
            return results[-1][:2] == expected

        results = []
        wait_until(answered, lambda: f"{expected}, not {results[-1]}", **keywords)
        return results[-1][2]


class Published(PublishedCase):
    def stripped(self, answer):
        """What of an answer is the same of a segment and of an engine."""
        entries = [answer[name] for name in ("rooms", "countries", "sources", "sites")
                   if name in answer]
        for each in (answer, *(entry for listing in entries for entry in listing)):
            for name in "as_of", "last_heartbeat_s", "hour_ago", "change":
                each.pop(name, None)
        return answer

    def test_same_as_of_the_segment(self):
        collector = self.collect("segment", 1, 2, 3, room="/a", country="DE", source="x.example")
        self.beat(collector, 3, 4, room="/b", country="FR")
        self.beat(collector, 5, site="a site's:name.example", room="/it's: \"1\" \u65e5\u672c")
        self.publish(collector, "--window", "5m", "--window", "1m")
        self.wait_answer(("count", SITE), (0, "4\n"))
        for arguments in (("count", SITE), ("count", SITE, "/a"), ("count", SITE, "/b"),
                          ("count", SITE, "--country", "FR"), ("count", SITE, "--source", "x.example"),
                          ("count", SITE, "/nowhere"), ("count", "nobody.example"),
                          ("count", "a site's:name.example"), ("top", SITE), ("sites",),
                          ("top", SITE, "--by", "country"), ("top", SITE, "--by", "source"),
                          ("top", "a site's:name.example"), ("top", SITE, "--limit", "1"),
                          ("top", "nobody.example"), ("sites", "--window", "1m"),
                          ("count", SITE, "--window", "60")):
            with self.subTest(arguments=arguments):
                def same():
                    both = (self.stripped(self.json(*arguments)), self.stripped(self.load(*arguments)))
                    return both[0] == both[1]

                wait_until(same, lambda: f"{self.json(*arguments)}, not {self.load(*arguments)}")
                self.assertEqual(self.ctl(*arguments)[0], self.run_ctl(*arguments)[0])

    def test_shards_add_up_and_groups_do_not(self):
        first, second = self.collect("1", 1, 2, 3, room="/a"), self.collect("2", 4, 5, room="/a")
        copy = self.collect("copy", 1, 2, 3, 4, room="/a")  # it lacks one
        for collector, *arguments in ((first, "--shard", "1/2"), (second, "--shard", "2/2"),
                                      (copy, "--group", "B")):
            self.publish(collector, *arguments)
        for place in (SITE,), (SITE, "/a"):
            self.assertEqual(self.wait_answer(("count", *place), (0, "5\n")), "")
        wait_until(lambda: [group["visitors"] for group in self.load("status")["groups"]] == [5, 4],
                   "all visitors")
        self.assertEqual({shard["host"] for group in self.load("status")["groups"]
                          for shard in group["shards"]}, {HOST})
        second.stop()  # then the copy is all there is
        self.wait_answer(("count", SITE), (0, "4\n"))
        self.assertRegex(self.run_ctl("status")[2], "^presencectl: not whole: group A lacks shard 2 of 2 "
                                                    rf"\(the collector on {HOST} is stale, ")

    def test_a_publisher_ends_and_comes_back(self):
        collector = self.collect("segment", 1, 2)
        publisher = self.publish(collector)
        self.wait_answer(("count", SITE), (0, "2\n"))
        self.assert_line(self.run_ctl("forget", "A"), 1, f"presence-publisher on {HOST} ")
        publisher.stop()
        # A busy machine may be so late that it is silent, too.
        self.assertRegex(self.wait_answer(("count", SITE), (3, "2\n")),
                         rf"\(the (collector on {HOST} is stale, or its publisher has ended, since 20|"
                         rf"publisher on {HOST} has been silent for )")
        publisher = self.publish(collector)
        self.assertEqual(self.wait_answer(("count", SITE), (0, "2\n")), "")
        publisher.stop(signal.SIGKILL)
        self.assertRegex(self.wait_answer(("count", SITE), (3, "2\n"), deadline=FRESH_S + LATE_S),
                         rf"the publisher on {HOST} has been silent for \S+ s\)")
        self.wait_answer(("forget", "A"), (0, "forgot group A: 3 keys\n"), deadline=OWNER_S + LATE_S)
        self.assert_line(self.run_ctl("count", SITE), 1)
        self.publish(collector)
        self.wait_answer(("count", SITE), (0, "2\n"))

    def test_an_engine_that_comes_back_empty(self):
        collector = self.collect("segment", 1, 2)
        self.publish(collector)
        self.wait_answer(("count", SITE), (0, "2\n"))
        self.engine.stop()
        begun = time.monotonic()
        self.assert_line(self.run_ctl("count", SITE), 1, self.engine.url)
        self.assertLess(time.monotonic() - begun, LATE_S)
        self.engine.start()
        self.assertEqual(self.wait_answer(("count", SITE), (0, "2\n")), "")


class Engines(PublishedCase):
    def password(self, text):
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.chmod(path, 0o600)
        return path

    def test_a_user_who_may_only_read(self):
        rights = "~{presence}:* +@read +@transaction +ping"
        self.engine.call("ACL", "SETUSER", "reader", "on", ">secret", *rights.split())
        collector = self.collect("segment", 1)
        self.publish(collector)
        self.wait_answer(("count", SITE), (0, "1\n"))
        user = "--user", "reader", "--password-file", self.password("secret")
        for command in ("count", SITE), ("top", SITE), ("sites",), ("status",):
            self.assertEqual(self.run_ctl(*command, *user)[::2], (0, ""))
        self.shards.write("old", 1, 1, {300: {}}, age_ms=10000)
        self.assert_line(self.run_ctl("forget", "old", *user), 1, self.engine.url)
        self.assertEqual(self.engine.hash("{presence}:groups"), {"A": "1", "old": "1"})
        wrong = self.run_ctl("count", SITE, "--user", "reader", "--password-file", self.password("no"))
        self.assert_line(wrong, 1, "password")
        self.assert_line(self.run_ctl("count", SITE, "--password-file", "/nonexistent"), 1,
                         "/nonexistent")

    def test_sentinels(self):
        sentinels = Sentinels(self.directory)
        self.addCleanup(sentinels.ensure_ended)
        collector = self.collect("segment", 1, 2)
        self.publish(collector, url=sentinels.url)
        self.wait_answer(("count", SITE), (0, "2\n"), url=sentinels.url)
        sentinels.fail_over()
        self.assertEqual(self.wait_answer(("count", SITE), (0, "2\n"), url=sentinels.url), "")

    def test_a_cluster(self):
        cluster = Cluster(self.directory)
        self.addCleanup(cluster.ensure_ended)
        collector = self.collect("segment", 1, 2)
        publisher = self.publish(collector, url=cluster.url)
        for node in cluster.nodes:  # each knows which one has the keys
            self.wait_answer(("count", SITE), (0, "2\n"), url=node.url)
        publisher.stop(signal.SIGKILL)
        self.wait_answer(("forget", "A"), (0, "forgot group A: 3 keys\n"), url=cluster.url,
                         deadline=OWNER_S + LATE_S)


if __name__ == "__main__":
    unittest.main()
