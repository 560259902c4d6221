"""Which segment presence-publisher reads, and that no two of them write one shard."""

import os
import signal
import time

from datagrams import native2, record, visitor
from harness import wait_until
from publisher import Shard
from publisher_case import WINDOW, PublisherCase
from service_manager import ServiceManager
from side_by_side import main


class Segments(PublisherCase):
    def test_one_that_is_missing(self):
        publisher = self.publish()
        self.assertEqual(self.shard.state(), {})
        self.assertIn("cannot read the segment", publisher.output())
        self.beat(self.start(), 1)
        self.wait_equal()
        publisher.stop()
        self.stop_collector_and_remove()
        publisher = self.publish()
        self.assertEqual(self.shard.state()["stale"], "1")
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 1})
        time.sleep(2)  # it has no reason to say more
        self.assertEqual(publisher.output().count("\n"), 2, publisher.output())

    def stop_collector_and_remove(self):
        for collector in self.collectors:
            collector.stop()
        os.unlink(self.segment)

    def start(self, *arguments, **keywords):
        collector = super().start(*arguments, **keywords)
        self.collectors = [collector]
        return collector

    def test_one_that_goes_on(self):
        collector = self.start()
        self.publish()
        self.beat(collector, 1)
        self.wait_equal()
        before = self.shard.state()
        collector.stop()
        self.start()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "0"
                            and shard.state()["as_of"] > before["as_of"], "a fresh shard")
        after = self.shard.state()
        self.assertEqual((after["epoch"], after["segment"]), (before["epoch"], before["segment"]))
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 1})

    def test_a_new_one(self):
        collector = self.start()
        self.publish()
        self.beat(collector, 1, room="/a")
        self.beat(collector, 1, site="b.example")
        self.wait_equal()
        before = self.shard.state()
        collector.stop()
        os.unlink(self.segment)
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "1", "a stale shard")
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 1, "b.example": 1})
        collector = self.start("--max-scopes", "300")
        self.beat(collector, 2, site="c.example")
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "0"
                            and shard.sites(WINDOW) == {"c.example": 1}, "the new segment")
        after = self.shard.state()
        self.assertNotEqual(after["epoch"], before["epoch"])
        self.assertNotEqual(after["segment"], before["segment"])
        self.assertEqual(self.engine.call("EXISTS", f"{self.shard.key}:{WINDOW}:b.example"), 0)

    def test_all_of_the_last_one_is_removed(self):
        """More sites than one command takes, and those of each window, up to the longest."""
        windows = "--max-window", "3600", "--max-scopes", "1500"
        collector = self.start(*windows)
        self.publish("--window", "1m", "--window", "1h")
        for first in range(0, 600, 200):
            self.send(collector, native2(*(record(f"{number}.example", [visitor(1)], room="/a")
                                           for number in range(first, first + 200))))
        keys = f"{self.shard.key}:*.example"
        wait_until(lambda: len(self.engine.call("KEYS", keys)) == 1200, "the keys of 600 sites")
        epoch = self.shard.state()["epoch"]
        collector.stop()
        os.unlink(self.segment)
        self.start(*windows)
        self.shard.wait_for(lambda shard: shard.state()["epoch"] != epoch and shard.state()["stale"] == "0",
                            "the new segment")
        self.assertEqual(self.engine.call("KEYS", keys), [])

    def test_a_new_one_that_does_not_count_yet(self):
        """The last numbers stay until there are others."""
        collector = self.start()
        publisher = self.publish()
        self.beat(collector, 1)
        self.wait_equal()
        publisher.freeze()
        collector.stop()
        os.unlink(self.segment)
        self.start("--max-scopes", "300").stop()
        publisher.thaw()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "1", "a stale shard")
        self.shard.wait_for(lambda shard: shard.age_ms() < 500, "another write")
        self.assertEqual(self.shard.sites(WINDOW), {"example.com": 1})
        self.start("--max-scopes", "300")
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "0", "a fresh shard")
        self.assertEqual(self.shard.sites(WINDOW), {})


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
        publisher = self.publish()
        self.assertEqual(self.shard.state()["stale"], "0")
        self.assertEqual(publisher.stop(signal.SIGINT), 0)
        self.assertEqual(self.shard.state()["stale"], "1")

    def test_stale_at_once(self):
        collector = self.start()
        self.publish()
        collector.stop()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "1", "a stale shard")
        self.assertLess(self.shard.age_ms(), 4000)
        self.start()
        self.shard.wait_for(lambda shard: shard.state()["stale"] == "0", "a fresh shard")


class Told(PublisherCase):
    def test_the_service_manager(self):
        manager = ServiceManager(self.directory)
        self.addCleanup(manager.close)
        collector = self.start("--warm-up", "3")
        self.publish(environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "30000000"})
        self.assertEqual(manager.wait_said("STATUS"), "publishing shard 1/1 of A")
        manager.wait_said("WATCHDOG", times=3)
        collector.stop()
        wait_until(lambda: manager.said("STATUS")[-1] == "publishing shard 1/1 of A, whose collector is stale",
                   lambda: f"a stale collector: {manager.said('STATUS')}")


class Streams(PublisherCase):
    def lose(self, collector, sequence):
        self.send(collector, native2(record("example.com", [visitor(1)]), stream=0xabc,
                                     sequence=sequence, target=3))
        return time.monotonic()

    def wait_figures(self, *figures):
        """Wait for heartbeats, expected and lost datagrams, and those of 30 s ago."""
        self.shard.wait_for(
            lambda shard: [f[1:] for f in shard.streams().values()] == [figures], figures)

    def test_a_new_one_knows_what_was_lost(self):
        """Losses of the last 30 s count on, whoever saw them."""
        collector = self.start()
        first = self.publish()
        self.lose(collector, 1)
        self.lose(collector, 5)
        self.wait_figures(2, 5, 3, 2, 5, 3)  # 30 s later
        lost = self.lose(collector, 10)
        self.wait_figures(3, 10, 7, 2, 5, 3)
        first.kill()
        owner = self.shard.owner()
        self.publish()
        figures = self.shard.streams()[f"{0xabc:016x}", 3]
        self.assertNotEqual(self.shard.owner(), owner)
        if time.monotonic() - lost < 25:  # else the machine is too slow for this
            self.assertEqual(figures[1:], (3, 10, 7, 2, 5, 3))


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

    def test_a_second_one_with_the_same_process_id(self):
        """As in containers, whose hosts may have the same name, too."""
        self.start()
        namespace = "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"
        first = self.publish(prefix=namespace)
        self.addCleanup(first.kill)  # unshare passes no signal on
        self.assertIn(f"{os.uname().nodename} 1 ", self.shard.owner())
        second = self.publish(prefix=namespace, wait=False)
        self.addCleanup(second.kill)
        second.wait_logged("shard 1 of")
        self.assertIn("belongs to a publisher on", second.output())
        self.assertEqual(second.wait_ended(), 1)

    def test_an_owner_that_is_no_publisher(self):
        """Not even a name that is too long for one makes the shard free."""
        self.start()
        self.engine.call("SET", f"{self.shard.key}:owner", "x" * 200)
        publisher = self.publish(wait=False)
        publisher.wait_logged("shard 1 of")
        self.assertIn("belongs to a publisher on ?", publisher.output())
        self.assertEqual(publisher.wait_ended(), 1)
        self.assertEqual(self.shard.owner(), "x" * 200)

    def test_a_killed_one_is_waited_for(self):
        self.start()
        self.publish().kill()
        owner = self.shard.owner()
        self.assertIsNotNone(owner)
        second = self.publish()
        self.assertIn("belongs to a publisher on", second.output())
        self.assertNotEqual(self.shard.owner(), owner)

    def test_ownership_lost_while_it_was_stopped(self):
        collector = self.start()
        first = self.publish()
        first.freeze()
        second = self.publish()
        self.beat(collector, 1)
        self.wait_equal()
        epoch = self.shard.state()["epoch"]
        first.thaw()
        self.assertEqual(first.wait_ended(), 1)
        self.assertIn("another publisher", first.output())
        self.beat(collector, 2)
        self.wait_equal()
        self.assertEqual(self.shard.state()["epoch"], epoch)
        self.assertEqual(self.shard.state()["stale"], "0")
        self.assertIsNone(second.process.poll())

    def test_stopped_and_nobody_came(self):
        collector = self.start()
        publisher = self.publish()
        epoch = self.shard.state()["epoch"]
        publisher.freeze()
        wait_until(lambda: self.shard.owner() is None, "the owner to be gone")
        publisher.thaw()
        self.beat(collector, 1)
        self.wait_equal()
        self.assertNotEqual(self.shard.state()["epoch"], epoch)

    def test_another_number_of_shards(self):
        self.start()
        self.publish("--shard", "1/2")
        other = self.publish("--shard", "2/3")
        line = "the engine knows the group A with 2 shards, not 3: nobody reads"
        other.wait_logged(line)
        shard = Shard(self.engine, shard=2)
        state = shard.state()
        self.assertEqual(state["shards"], "3")
        shard.wait_for(lambda shard: int(shard.state()["as_of"]) > int(state["as_of"]) + 1, "two more writes")
        self.assertEqual(other.output().count(line), 1)
        self.assertEqual(self.engine.hash("{presence}:groups"), {"A": "2"})


if __name__ == "__main__":
    main()
