"""presence-publisher with engines that are emptied, full, frozen, gone or elsewhere."""

import contextlib
import os
import socket
import threading
import time

from datagrams import native2, record, visitor
from engine import Cluster, RedisServer, Sentinels
from harness import DEADLINE, wait_until
from publisher import Shard
from publisher_case import WINDOW, PublisherCase
from side_by_side import main


class Lost(PublisherCase):
    """What the engine has lost is written anew, with a new epoch."""

    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.publisher = self.publish()
        self.beat(self.collector, 1, room="/a")
        self.beat(self.collector, 2, site="b.example")
        self.wait_equal()
        self.epoch = self.shard.state()["epoch"]

    def wait_anew(self):
        self.beat(self.collector, 1, 3, room="/a")
        self.shard.wait_for(lambda shard: shard.state().get("epoch") not in (None, self.epoch)
                            and shard.state()["stale"] == "0", "a new epoch")
        self.wait_equal()
        self.assertEqual(self.engine.hash("{presence}:groups"), {"A": "1"})
        self.assert_expiring()

    def test_flushed(self):
        """Each time, and it is logged once."""
        for _ in range(2):
            self.engine.call("FLUSHALL")
            self.wait_anew()
            self.epoch = self.shard.state()["epoch"]
        self.assertEqual(self.publisher.output().count("has lost what was written"), 1)

    def test_restarted_empty(self):
        self.engine.restart()
        self.wait_anew()
        self.publisher.wait_logged("cannot use the engine|has lost what was written")

    def test_away_for_a_while(self):
        """Once it is back, everything is there soon."""
        self.engine.stop()
        self.publisher.wait_logged("cannot use the engine")
        time.sleep(3)  # it is tried again meanwhile, and nothing more is logged
        self.assertEqual(self.publisher.output().count("\n"), 2, self.publisher.output())
        self.engine.start()
        begun = time.monotonic()
        self.wait_anew()
        self.publisher.wait_logged("again")
        self.assertLess(time.monotonic() - begun, DEADLINE / 2)
        self.engine.stop()
        self.publisher.wait_logged("cannot use the engine", times=2)

    def test_frozen(self):
        self.engine.freeze()
        self.publisher.wait_logged("cannot use the engine")
        self.engine.thaw()
        self.wait_anew()

    def test_the_list_of_sites_is_gone(self):
        self.engine.call("DEL", f"{self.shard.key}:{WINDOW}")
        self.wait_anew()
        self.publisher.wait_logged("has removed counts")
        state = self.shard.state()
        self.shard.wait_for(lambda shard: int(shard.state()["as_of"]) > int(state["as_of"]) + 1,
                            "two more writes")
        self.assertEqual(self.shard.state()["epoch"], state["epoch"])

    def test_the_list_of_sites_has_no_epoch(self):
        """It was gone, and a count that changed has begun it again: readers don't believe it."""
        self.engine.call("HDEL", f"{self.shard.key}:{WINDOW}", "")

        def is_anew():
            self.beat(self.collector, 1)  # the list never becomes empty
            return self.shard.state()["epoch"] != self.epoch

        wait_until(is_anew, "a new epoch")
        self.wait_anew()
        self.publisher.wait_logged("has removed counts")

    def test_the_state_is_gone(self):
        self.engine.call("DEL", self.shard.key)
        self.wait_anew()

    def test_a_key_of_another_kind(self):
        self.engine.call("SET", f"{self.shard.key}:{WINDOW}:example.com", "x")
        self.wait_anew()

    def test_what_a_killed_one_left_is_removed(self):
        self.publisher.kill()
        self.collector.stop()
        os.unlink(self.segment)
        self.collector = self.start()
        self.publish()
        self.wait_anew()
        self.assertEqual(self.engine.call("EXISTS", f"{self.shard.key}:{WINDOW}:b.example"), 0)


class Large(PublisherCase):
    """A shard that takes several transactions to be written anew."""

    ROOMS, PER_DATAGRAM = 20000, 200

    def setUp(self):
        super().setUp()
        self.window = 300
        collector = self.start("--max-scopes", "21000", "--max-entries", "100000")
        self.publisher = self.publish()
        self.key = f"{self.shard.key}:{self.window}:example.com"
        for first in range(0, self.ROOMS, self.PER_DATAGRAM):
            self.send(collector, native2(*(
                record("example.com", [visitor(1)], room=f"/{number:05}".ljust(255, "x"))
                for number in range(first, first + self.PER_DATAGRAM))))
            self.wait_received(first // self.PER_DATAGRAM + 1)
        wait_until(self.complete, lambda: f"all rooms: {self.sample()}")

    def sample(self):
        """(epoch of the state, whether it is stale, epoch of the rooms, how many), of one moment."""
        with self.engine.client() as client:
            client.call("MULTI")
            client.call("HMGET", self.shard.key, "epoch", "stale")
            client.call("HGET", self.key, "")
            client.call("HLEN", self.key)
            (epoch, stale), rooms_epoch, length = client.call("EXEC")
        return epoch, stale != "0", rooms_epoch, max(length - 1, 0)

    def complete(self):
        epoch, stale, rooms_epoch, rooms = self.sample()
        return epoch == rooms_epoch and not stale and rooms == self.ROOMS

    def watch_it_written(self):
        """Have everything written anew; return the samples until it is."""
        before, seen = self.sample()[0], []

        def is_new():
            seen.append(self.sample())
            return seen[-1][0] != before

        self.publisher.hang_up()
        end = time.monotonic() + DEADLINE
        while not is_new():
            self.assertLess(time.monotonic(), end, seen[-1])
        self.assertTrue(self.complete(), seen[-1])
        return seen

    def test_readers_see_all_or_that_it_is_stale(self):
        def some_part():
            seen = self.watch_it_written()
            for epoch, stale, rooms_epoch, rooms in seen:
                if epoch == rooms_epoch and not stale:
                    self.assertEqual(rooms, self.ROOMS)
            return any(stale for _, stale, _, _ in seen)

        wait_until(some_part, "a part to be seen: a busy machine may look too seldom")


class Full(PublisherCase):
    def test_no_memory(self):
        collector = self.start()
        publisher = self.publish()
        self.beat(collector, 1)
        self.wait_equal()
        self.engine.call("CONFIG", "SET", "maxmemory", "1")
        publisher.wait_logged("cannot use the engine .*memory")
        self.shard.wait_for(lambda shard: shard.age_ms() > 4000, "an old shard")
        self.beat(collector, 2)
        self.engine.call("CONFIG", "SET", "maxmemory", "0")
        self.wait_equal()
        publisher.wait_logged("again")
        self.assertEqual(publisher.output().count("\n"), 3, publisher.output())

    def test_evictions(self):
        """A key is gone that no write would have touched, and the engine says that it evicts."""
        self.window = 300  # to compare 20 sites takes a busy machine some time
        collector = self.start()
        publisher = self.publish()
        for number in range(20):
            self.beat(collector, 1, site=f"{number}.example")
        self.wait_equal(20)
        # It takes what expires first, and that is ours only if there is nothing else.
        for name, value in (("maxmemory-policy", "volatile-ttl"), ("maxmemory-samples", "64"),
                            ("maxmemory", int(self.engine.info("memory", "used_memory")) + 10**6)):
            self.engine.call("CONFIG", "SET", name, value)
        epoch = self.shard.state()["epoch"]
        # The first site's key was renewed first; its next time is in ten minutes.
        self.engine.call("DEL", f"{self.shard.key}:{self.window}:0.example")
        with self.engine.client() as client:
            for number in range(200):  # they are there for a shorter time than an owner is
                client.send("SET", f"other:{number}", "x" * 10000, "PX", 3000)
            for _ in range(200):
                client.reply()
        self.assertNotEqual(self.engine.info("stats", "evicted_keys"), "0")
        self.engine.call("CONFIG", "SET", "maxmemory", 0)
        publisher.wait_logged("has removed counts")
        self.shard.wait_for(lambda shard: shard.state()["epoch"] != epoch, "a new epoch")
        for number in range(20):
            self.beat(collector, 2, site=f"{number}.example")
        self.wait_equal(20)
        self.assertEqual(publisher.output().count("has removed counts"), 1)


class Holder:
    """A way to an engine that can hold back what has the mark, once all of it was sent: by default a
    transaction. If it `cuts`, it closes the connection behind that."""

    def __init__(self, engine, mark=b"MULTI", cuts=False):
        self.engine, self.mark, self.cuts = engine, mark, cuts
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.hold, self.held, self.go_on, self.closed = (threading.Event() for _ in range(4))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):  # it was closed
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection((self.engine.host, self.engine.port))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.forward, args=pair, daemon=True).start()

    def forward(self, source, to):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                is_meant = self.hold.is_set() and self.mark in data
                if is_meant:
                    self.hold.clear()
                    self.held.set()
                    self.go_on.wait(DEADLINE)
                to.sendall(data)
                if is_meant and self.cuts:
                    break
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_RDWR)
        source.close()
        self.closed.set()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept, too
        self.listener.close()


class Races(PublisherCase):
    def take_between(self, holder):
        """Another one takes the shard between its look and its transaction: nothing is written."""
        self.addCleanup(holder.close)
        self.beat(self.start(), 1)
        publisher = self.publish(url=holder.url)
        self.wait_equal()
        holder.hold.set()
        self.assertTrue(holder.held.wait(DEADLINE))
        self.engine.call("SET", f"{self.shard.key}:owner", "elsewhere 1 0", "PX", 60000)
        state = self.shard.state()
        publisher.freeze()
        holder.go_on.set()
        if holder.cuts:
            self.assertTrue(holder.closed.wait(DEADLINE))
        publisher.thaw()
        publisher.wait_logged("belongs to a publisher on elsewhere")
        self.assertEqual(self.shard.state(), state)
        self.assertEqual(self.shard.owner(), "elsewhere 1 0")

    def test_what_changes_behind_its_back(self):
        self.take_between(Holder(self.engine))

    def test_what_changes_while_the_connection_is_lost(self):
        """The reply to its look is the last: a new connection does not watch what it has seen."""
        self.take_between(Holder(self.engine, mark=b"+OK\r\n$", cuts=True))


class Users(PublisherCase):
    def password_file(self, text):
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text + "\n")
        return path

    def test_a_wrong_password_and_then_the_right_one(self):
        self.use(RedisServer(self.directory, password="secret"))
        self.beat(self.start(), 1)
        path = self.password_file("wrong")
        publisher = self.publish("--password-file", path, wait=False)
        publisher.wait_logged("cannot use the engine .*--password-file")
        self.password_file("secret")
        publisher.hang_up()
        publisher.wait_published()
        self.wait_equal()
        self.assertNotIn("secret", publisher.output())

    def test_the_rights_that_the_manual_names(self):
        rights = ("~{presence}:* -@all +@read +@write +@transaction +auth +info +ping").split()
        self.use(RedisServer(self.directory, password="secret"))
        self.engine.call("ACL", "SETUSER", "presence-publisher", "on", ">other", *rights)
        self.beat(self.start(), 1, room="/a")
        publisher = self.publish("--user", "presence-publisher", "--password-file",
                                 self.password_file("other"))
        self.wait_equal()
        self.assertEqual(publisher.stop(), 0)
        self.assertEqual(self.shard.state()["stale"], "1")

    def test_without_the_right_to_ask_for_evictions(self):
        self.use(RedisServer(self.directory, password="secret"))
        self.engine.call("ACL", "SETUSER", "u", "on", ">other", "~*", "+@all", "-info")
        self.beat(self.start(), 1)
        self.publish("--user", "u", "--password-file", self.password_file("other"))
        self.wait_equal()


class Elsewhere(PublisherCase):
    def test_unix_socket(self):
        self.beat(self.start(), 1)
        self.publish(url=self.engine.unix_url)
        self.wait_equal()

    def test_cluster(self):
        cluster = Cluster(self.directory)
        self.use(cluster, Shard(cluster.owner()))
        collector = self.start()
        self.beat(collector, 1)
        self.publish()
        self.wait_equal()
        other = next(node for node in cluster.nodes if node is not cluster.owner())
        cluster.move(other)
        self.beat(collector, 2, room="/b")
        self.shard = Shard(other)
        self.wait_equal()

    def test_sentinels(self):
        sentinels = Sentinels(self.directory)
        self.use(sentinels, Shard(sentinels.servers[0]))
        collector = self.start()
        self.beat(collector, 1)
        self.publish()
        self.wait_equal()
        self.shard = Shard(sentinels.fail_over())
        self.beat(collector, 2, room="/b")
        self.wait_equal()


if __name__ == "__main__":
    main()
