"""presence-relay: SIGHUP takes over keys and collectors, loses nothing, and refuses what is wrong."""

import ctypes
import json
import os
import random
import re
import resource
import signal
import socket
import tempfile
import threading
import time
import unittest

from harness import (LEAVE, OUTCOMES, native, native2, record, visitor, wait_until, waiting_bytes)
from presence_relay import RelayCase
from xxh3 import shard_of

SITE = "reload.example"
KEYS = {7: bytes(range(16)), 8: bytes(range(100, 116)), 200: os.urandom(16)}
LONG = bool(os.environ.get("TEST_LONG"))
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"


class Traffic:
    """Heartbeats to a relay, from one sender, as long as the context lasts: so many in all."""

    def __init__(self, case, relay):
        self.case, self.relay, self.sent = case, relay, 0
        self.sent_to = [0, 0]  # of two shards
        self.over, self.thread = threading.Event(), threading.Thread(target=self.run)
        self.random = random.Random(20)

    def run(self):
        while not self.over.is_set():
            for _ in range(20):
                ids = [visitor(self.random.randrange(1, 1 << 64)) for _ in range(5)]
                self.case.socket.sendto(native(SITE, ids), ("127.0.0.1", self.relay.relay_port))
                for id in ids:
                    self.sent_to[shard_of(id, 2)] += 1
                self.sent += len(ids)
            # No socket is ever so full that it could lose anything.
            while max(waiting_bytes(self.relay.address), default=0) > 50000:
                time.sleep(0.001)
            time.sleep(0.002)

    def wait_sent(self, more=500):
        """Wait until so many more heartbeats were sent."""
        aim = self.sent + more
        wait_until(lambda: self.sent >= aim, "heartbeats to be sent")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Reload(RelayCase):
    def keys(self, name, *ids):
        """Write a file of these keys; returns its path."""
        return self.write(name, "".join(f"{i} {KEYS[i].hex()}\n" for i in ids))

    def collector(self, name, *arguments):
        """A collector of the group A-N or B-N."""
        return self.start_in(name, *arguments, "--max-entries", "200000")

    def configured(self, *lines, arguments=()):
        """Start a relay with a configuration file of these lines."""
        return self.relay("--config", self.configure(*lines), *arguments)

    def configure(self, *lines):
        return self.write("relay.conf", "".join(f"{line}\n" for line in lines))

    def reload(self, relay, pattern, *lines):
        """SIGHUP, after writing other lines; returns once the log has one line more, with the
        pattern."""
        if lines:
            self.configure(*lines)
        before = relay.output()
        relay.hang_up()
        relay.wait_logged(pattern, times=len(re.findall(pattern, before)) + 1)
        return relay.output()[len(before):]

    def counted(self, collector):
        """How many heartbeats a collector has counted, and how many datagrams it has rejected."""
        stats = json.loads(self.ctl("stats", "--json", segment=collector.segment)[1])
        rejected = {name: number for name, number in stats.items()
                    if name.startswith("datagrams_rejected_") and number}
        self.assertEqual((stats["socket_drops"], stats["streams_full"]), (0, 0))
        return sum(stats[name] for name in OUTCOMES), rejected, stats

    def check_account(self, relay, sent, **groups):
        """At rest: every group has every heartbeat once, by its own account and the relay's, and
        no datagram is lost or rejected."""
        wait_until(lambda: relay.value("heartbeats_accepted_total") == sent,
                   lambda: f"{sent} heartbeats: {relay.value('heartbeats_accepted_total')}")
        for name, shards in groups.items():
            wait_until(lambda shards=shards: sum(self.counted(each)[0] for each in shards) == sent,
                       lambda shards=shards: f"{sent} heartbeats in all, not "
                                             f"{[self.counted(each)[0] for each in shards]}")
            for number, each in enumerate(shards, start=1):
                heartbeats, rejected, stats = self.counted(each)
                self.assertEqual(rejected, {})
                self.assertEqual(stats["streams_expected"], stats["streams_received"])
                # A collector may count what the relay is yet to write down.
                wait_until(lambda name=name, number=number, each=each, heartbeats=heartbeats:
                           self.target(relay, "heartbeats_total", name, number, each)
                           == heartbeats, "the relay's account")
                for lost in ("heartbeats_lost_total", "heartbeats_dropped_total",
                             "datagrams_failed_total"):
                    self.assertEqual(self.target(relay, lost, name, number, each), 0)
                # An empty one may be on its way.
                wait_until(lambda name=name, number=number, each=each:
                           self.target(relay, "datagrams_total", name, number, each)
                           == self.counted(each)[2]["datagrams_received"],
                           "the datagrams to be those that were sent")

    def target(self, relay, name, group, shard, collector):
        return relay.value(f"target_{name}", group=group, shard=str(shard),
                           target=collector.address)

    # ---- keys ----

    def test_key_rotation(self):
        """A new key in place of the old one, under load and step by step, loses nothing."""
        collectors = [self.collector(name, "--keys", self.keys(f"{name}-keys", 7))
                      for name in ("a1", "a2", "b1")]
        key_file = self.keys("relay-key", 7)
        relay = self.configured(
            f"to = A = {collectors[0].address}, {collectors[1].address}",
            f"to = B = {collectors[2].address}", f"key-file = {key_file}")

        def reload_collectors(*ids):
            for name, collector in zip(("a1", "a2", "b1"), collectors):
                self.keys(f"{name}-keys", *ids)
                before = collector.output().count("reloaded")
                collector.process.send_signal(signal.SIGHUP)
                wait_until(lambda c=collector, n=before: c.output().count("reloaded") > n,
                           "a collector to reload")

        with Traffic(self, relay) as traffic:
            for old, new in ((7, 8), (8, 200), (200, 7)) * (5 if LONG else 1):
                traffic.wait_sent()
                reload_collectors(old, new)
                traffic.wait_sent()
                self.keys("relay-key", new, old)
                self.reload(relay, f"reloaded: sending to 3 collectors in 2 groups, signed with "
                                   f"key {new}\n")
                traffic.wait_sent()
                # What the old senders had sent was counted before the old key goes: each collector
                # reads in the order of sending.
                sent = [*traffic.sent_to, traffic.sent]
                wait_until(lambda sent=sent: all(self.counted(each)[0] >= number
                                                 for each, number in zip(collectors, sent)),
                           "the collectors to have counted all")
                reload_collectors(new)
        self.check_account(relay, traffic.sent, A=collectors[:2], B=collectors[2:])
        self.assertEqual(relay.stop(), 0)

    def test_wrong_keys(self):
        """A key file that cannot be used changes nothing; heartbeats are signed as before."""
        collector = self.collector("a1", "--keys", self.keys("keys", 7))
        path = self.keys("relay-key", 7)
        relay = self.relay("--to", f"A={collector.address}", "--key-file", path)
        for text, mode, pattern in (("", 0o600, "no key"), (f"8 {'0' * 31}\n", 0o600, ":1: "),
                                    (f"8 {KEYS[8].hex()}\n", 0o644, "0644|mode|read")):
            self.write("relay-key", text, mode)
            said = self.reload(relay, f"--key-file {path}.*(?:{pattern}).*\n")
            self.assertEqual(said.count("\n"), 1, said)
        os.unlink(path)
        self.reload(relay, f"--key-file {path}: No such file or directory\n")
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=[collector])

    def test_first_key(self):
        """Signing begins with a SIGHUP if the relay may read the file, and ends with one."""
        collector = self.collector("a1")
        to = f"to = A={collector.address}"
        elsewhere = self.enterContext(tempfile.TemporaryDirectory(dir="/dev/shm"))
        relay = self.configured(to)
        far, near = self.keys(f"{elsewhere}/key", 8), self.keys("key", 7)
        # With sanitizers it may read all files. landlock_create_ruleset(2) of no ruleset asks for the version.
        if not SANITIZED and ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0:
            said = self.reload(relay, f"--key-file {far}: permission denied; a running relay reads "
                                      "only the directory of .*: restart presence-relay for another",
                               to, f"key-file = {far}")
            self.assertEqual(said.count("\n"), 1, said)
        self.reload(relay, "reloaded: sending to 1 collector in 1 group, signed with key 7\n", to,
                    f"key-file = {near}")
        self.reload(relay, "reloaded: nothing has changed\n")
        self.reload(relay, "reloaded: sending to 1 collector in 1 group, not signed\n", to)

    def test_a_key_in_another_directory(self):
        """It can change, too, beside which there is no configuration file."""
        elsewhere = self.enterContext(tempfile.TemporaryDirectory(dir="/dev/shm"))
        lines = "to = A=127.0.0.2:9", f"key-file = {self.keys(f'{elsewhere}/key', 8)}"
        relay = self.configured(*lines)
        self.keys(f"{elsewhere}/key", 7)
        self.reload(relay, "reloaded: sending to 1 collector in 1 group, signed with key 7\n")

    # ---- collectors ----

    def test_other_collectors(self):
        """Groups come and go, and a shard moves to another address, under load: order and sums
        hold."""
        old = [self.collector(name) for name in ("a1", "a2")]
        new = [self.collector(name) for name in ("b1", "b2", "b3")]
        a = f"to = A={old[0].address},{old[1].address}"
        b = f"to = B={','.join(each.address for each in new)}"
        relay = self.configured(a)
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
            wait_until(lambda: relay.value("heartbeats_accepted_total"), "heartbeats that B doesn't get")
            self.reload(relay, "reloaded: sending to 5 collectors in 2 groups, not signed\n", a, b)
            self.reload(relay, "reloaded: nothing has changed\n")
            with_b = traffic.sent
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=old)
        total = sum(self.counted(each)[0] for each in new)
        self.assertLessEqual(traffic.sent - with_b, total)
        self.assertLess(total, traffic.sent)
        self.assertEqual(relay.value("group_shards", group="B"), 3)
        # The old group goes, and its account with it, into the log.
        self.reload(relay, "no longer sends to A/2", b)
        self.assertIsNone(relay.value("group_shards", group="A"))
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        wait_until(lambda: sum(self.counted(each)[0] for each in new) == total + traffic.sent,
                   "the rest to be counted")
        # Another machine for shard 2 of B.
        moved = self.collector("b2-moved")
        addresses = [new[0].address, moved.address, new[2].address]
        self.reload(relay, "reloaded: sending to 3", f"to = B={','.join(addresses)}")
        id = next(i for i in map(visitor, range(1, 1000)) if shard_of(i, 3) == 1)
        self.socket.sendto(native(SITE, [id]), ("127.0.0.1", relay.relay_port))
        wait_until(lambda: self.counted(moved)[0] == 1, "the new shard to have it")
        self.assertEqual(relay.stop(), 0)

    def test_refusals(self):
        """What would count visitors wrong is refused as a whole: one line says what to do."""
        collector, other = self.collector("a1"), self.collector("a2")
        a1, a2, spare = collector.address, other.address, "127.0.0.9:9"
        live = f"to = A={a1},{a2}", "to = B=127.0.0.8:8"
        relay = self.configured(*live)
        cases = (
            (f"to = A={a1},{a2},{spare}",
             "group A has 2 shards, not 3: begin a new group beside it"),
            (f"to = A={a1}", "group A has 2 shards, not 1: begin a new group beside it"),
            (f"to = A={a2},{a1}", f"{a2} is shard 2 of group A and cannot become shard 1 of group A"),
            (f"to = A={a1},{a2}\nto = B={spare},127.0.0.8:8", "group B has 1 shard, not 2"),
            (f"to = C={a1},{a2}", f"{a1} is shard 1 of group A and cannot become shard 1 of group C"),
            (f"to = A={a1},127.0.0.8:8", "127.0.0.8:8 is shard 1 of group B and cannot become"),
            (f"to = A={a1},{relay.address}", f"{relay.address}, shard 2 of group A, is this relay"),
            (f"to = A={a1},", "--to: shard 2 of group A is empty"),
            (f"to = A={a1},{a2}\nhold = 0", "--hold takes a whole number"),
            (f"to = A={a1},{a2}\nkey-file = /nowhere/key", "--key-file /nowhere/key: "),
            (f"to = A={a1},{a2}\nseed = 7", "relay.conf: no option 'seed'"),
            ("", "--to: say which collectors"),
        )
        for lines, expected in cases:
            with self.subTest(lines=lines):
                said = self.reload(relay, re.escape(expected) + ".*\n", lines)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertNotIn("reloaded", said)
        file = os.path.join(self.directory, "relay.conf")
        os.unlink(file)
        self.reload(relay, "cannot read the configuration file .*: No such file or directory\n")
        os.mkfifo(file)  # nobody writes to it
        self.reload(relay, "cannot read the configuration file .*: not a regular file\n")
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=[collector, other])
        self.reload(relay, "reloaded: nothing has changed\n", *live)

    def test_nothing_changed(self):
        """Then the senders stay: the collectors see no other stream, however often that is."""
        collector = self.collector("a1")
        relay = self.configured(f"to = A={collector.address}")
        with Traffic(self, relay) as traffic:
            for _ in range(30):
                self.reload(relay, "reloaded: nothing has changed\n")
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=[collector])
        senders = json.loads(self.ctl("senders", "--json", segment=collector.segment)[1])
        self.assertEqual(len(senders["senders"] if isinstance(senders, dict) else senders), 1)

    def test_many_hangups(self):
        """Hundreds of SIGHUPs in a row while the file goes back and forth under load: all adds
        up."""
        collectors = [self.collector(name) for name in ("a1", "b1")]
        a, b = (f"to = {name}={each.address}" for name, each in zip("AB", collectors))
        relay = self.configured(a, b, "hold = 50")
        before = relay.descriptors()
        with Traffic(self, relay) as traffic:
            for i in range(1000 if LONG else 150):
                self.configure(*((a, b) if i % 2 else (b, a)), f"hold = {5 + i % 3}")
                relay.hang_up()
                if i % 10 == 0:
                    traffic.wait_sent(50)
        self.check_account(relay, traffic.sent, A=collectors[:1], B=collectors[1:])
        wait_until(lambda: relay.descriptors() <= before, "the old senders to be closed")
        self.assertEqual(relay.stop(), 0)
        self.assertNotIn("system call", relay.ended_with)

    def test_while_it_starts(self):
        """A SIGHUP that comes before it receives waits; a SIGTERM ends it, which is no failure."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            relay = self.relay("--to", "A=127.0.0.2:9", "--listen",
                               f"127.0.0.1:{other.getsockname()[1]}", wait=False)
            relay.wait_logged("another program has the port; trying for")
            relay.hang_up()
            in_vain = self.relay("--to", "A=127.0.0.2:9", "--listen",
                                 f"127.0.0.1:{other.getsockname()[1]}", wait=False)
            in_vain.wait_logged("another program has the port; trying for")
            self.assertEqual(in_vain.stop(), 0)
        relay.wait_ready()
        relay.wait_logged("reloaded: nothing has changed\n")
        self.assertEqual(relay.stop(), 0)

    def test_no_descriptors(self):
        """Senders that cannot be opened change nothing."""
        collector = self.collector("a1")
        relay = self.configured(f"to = A={collector.address}")
        limits = resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE)
        used = relay.descriptors()
        resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
        many = ",".join(f"127.0.0.{i}:9" for i in range(10, 20))
        said = self.reload(relay, "cannot send to .* of group B: Too many open files; allow the relay "
                                  "more .LimitNOFILE=, ulimit -Hn.\n",
                           f"to = A={collector.address}", f"to = B={many}")
        self.assertEqual(said.count("\n"), 1, said)
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=[collector])
        resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, limits)
        self.reload(relay, "reloaded: sending to 11 collectors in 2 groups")

    # ---- other options ----

    def test_hold_and_allow(self):
        collector = self.collector("a1")
        to = f"to = A={collector.address}"
        relay = self.configured(to, "hold = 1000", "allow = 10.0.0.0/8")
        datagram = native(SITE, [visitor(1)])
        self.socket.sendto(datagram, ("127.0.0.1", relay.relay_port))
        wait_until(lambda: relay.value("datagrams_rejected_total", reason="sender") == 1,
                   "it to be rejected")
        self.reload(relay, "reloaded: sending to 1 collector in 1 group, not signed\n", to,
                    "hold = 1000", "allow = 127.0.0.0/8", "allow = 10.0.0.0/8")
        self.socket.sendto(datagram, ("127.0.0.1", relay.relay_port))
        wait_until(lambda: self.counted(collector)[0] == 1, "it to be counted")
        self.reload(relay, "reloaded: sending to 1", to, "hold = 1000")
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        self.reload(relay, "reloaded: sending to 1", to, "hold = 1")
        self.check_account(relay, 1 + traffic.sent)

    def test_anybody(self):
        """It warns while anybody on the network may send: at the start, and after a SIGHUP."""
        warning = r"whoever reaches 0\.0\.0\.0:\d+ has heartbeats passed on(, and signed)?: say with " \
                  "--allow who may send\n"
        relay = self.configured("to = A=127.0.0.2:9", f"key-file = {self.keys('key', 7)}",
                                arguments=("--listen", "0.0.0.0:0"))
        relay.wait_logged(warning)
        self.assertIn(", and signed", relay.output())
        said = self.reload(relay, "reloaded: sending", "to = A=127.0.0.2:9", "allow = 10.0.0.0/8")
        self.assertNotRegex(said, warning)
        self.reload(relay, warning, "to = A=127.0.0.2:9")
        safe = self.relay("--to", "A=127.0.0.2:9")
        self.assertEqual(safe.stop(), 0)
        self.assertNotRegex(safe.ended_with, "whoever")

    def test_others_need_a_restart(self):
        collector = self.collector("a1")
        to = f"to = A={collector.address}"
        relay = self.configured(to)
        said = self.reload(relay, "reloaded: sending to 1", to, "listen = 127.0.0.7:0",
                           "receive = recvmmsg", "web.listen-address = :0", "hold = 7")
        for option in ("listen", "receive", "web.listen-address"):
            self.assertIn(f"--{option} has changed: restart presence-relay for that\n", said)
        self.assertEqual(relay.value("group_shards", group="A"), 1)
        with Traffic(self, relay) as traffic:
            traffic.wait_sent()
        self.check_account(relay, traffic.sent, A=[collector])

    # ---- order ----

    def test_order(self):
        """A visitor's leave and the heartbeat before it stay in order, whatever is reloaded."""
        collector = self.collector("a1")
        to = f"to = A={collector.address}"
        relay = self.configured(to, "hold = 1000")
        ids = [visitor(i) for i in range(1, 101)]
        for round in range(1, 11):
            self.socket.sendto(native2(record(SITE, ids)), ("127.0.0.1", relay.relay_port))
            aim = len(ids) * (2 * round - 1)
            wait_until(lambda aim=aim: relay.value("heartbeats_accepted_total") == aim,
                       "the heartbeats to be queued")
            self.reload(relay, "reloaded: sending to 2", to, f"to = B=127.0.0.{round + 1}:9",
                        "hold = 1000")
            self.socket.sendto(native(SITE, ids, kind=LEAVE), ("127.0.0.1", relay.relay_port))
            self.check_account(relay, aim + len(ids), A=[collector])
            self.assertEqual(self.ctl("count", SITE, segment=collector.segment)[1], "0\n")


if __name__ == "__main__":
    unittest.main()
