"""A relay and its collectors, each on a machine of its own, for the tests of what becomes of them.

The test and the relay are at the hub; each collector is behind a pair of interfaces, with a route,
a queue and an address that can go. Group "whole" is one collector; group "halves" is two, and the
second of them is the one that suffers."""

import os
import re
import socket
import statistics
import subprocess
import threading
import time

from harness import OUTCOMES, native, wait_until
from library import Presence
from presence_relay import RelayCase
from veth import ip
from xxh3 import shard_of

SITE = "load.example"
PROBE_SITE = "probe.example"
ROOMS = 20
VISITORS = 20000  # of the load
AT_ONCE = 10  # visitors in a datagram of the load
ROUNDS, PROBES, ATTEMPTS = 3, 20, 8
FIGURES = ("expected", "received", "lost", "heartbeats", "duplicates")


def last_of(delays):
    """Nearly the longest: the 99th percentile, if there are so many."""
    return sorted(delays)[int(0.99 * (len(delays) - 1))]


class Spoke:
    """A machine with a network of its own; `near` is the hub's interface to it."""

    def __init__(self, case, number):
        self.near, self.far = f"spoke{number}", "eth0"
        self.subnet, self.address = f"10.77.{number}.0/24", f"10.77.{number}.2"
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        case.addCleanup(holder.wait)
        case.addCleanup(holder.kill)
        mine = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine, "the namespace")
        self.prefix = ("nsenter", "--net", "--target", str(holder.pid))
        ip("link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns",
           str(holder.pid))
        case.addCleanup(ip, "link", "delete", self.near)
        self.near_address = f"10.77.{number}.1"
        ip("address", "add", f"{self.near_address}/24", "dev", self.near)
        ip("address", "add", f"{self.address}/24", "dev", self.far, prefix=self.prefix)
        ip("link", "set", self.near, "up")
        ip("link", "set", self.far, "up", prefix=self.prefix)
        ip("link", "set", "lo", "up", prefix=self.prefix)

    def hardware(self):
        return ip("link", "show", self.far, prefix=self.prefix)[0]["address"]


class Load(threading.Thread):
    """Heartbeats of the same visitors again and again, at a pace that the relay keeps up with."""

    def __init__(self, port, pause=0.01, at_once=4):
        super().__init__()
        self.target, self.pause, self.at_once = ("127.0.0.1", port), pause, at_once
        self.sent, self.of_second_half = 0, 0
        self.over = threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        visitors = [number.to_bytes(16, "big") for number in range(1, VISITORS + 1)]
        self.datagrams = []
        for start in range(0, VISITORS, AT_ONCE):
            some = visitors[start:start + AT_ONCE]
            self.datagrams.append((native(SITE, some, room=f"/{start % ROOMS}", country="DE"),
                                   sum(shard_of(visitor, 2) for visitor in some)))
        self.start()

    def run(self):
        while True:
            for number, (datagram, of_second_half) in enumerate(self.datagrams):
                if number % self.at_once == 0 and self.over.wait(self.pause):
                    return
                self.socket.sendto(datagram, self.target)
                self.sent += AT_ONCE
                self.of_second_half += of_second_half

    def stop(self):
        """Once it is stopped, `sent` is all that it has sent."""
        self.over.set()
        self.join()
        self.socket.close()


class Targets(RelayCase):
    def setUp(self):
        super().setUp()
        self.spokes = [Spoke(self, number) for number in range(3)]
        self.collectors = [self.collect(number) for number in range(3)]
        self.whole, self.half, self.victim = [Presence(self, collector.segment)
                                              for collector in self.collectors]
        addresses = [collector.address for collector in self.collectors]
        self.device = self.relay("--to", f"whole={addresses[0]}",
                                 "--to", f"halves={addresses[1]},{addresses[2]}",
                                 "--hold", "20")  # a probe takes so long, at least
        self.targets = [{"group": group, "shard": shard} for group, shard in
                        (("whole", "1"), ("halves", "1"), ("halves", "2"))]
        self.socket.connect(("127.0.0.1", self.device.relay_port))
        self.spoke, self.collector = self.spokes[2], self.collectors[2]  # which suffer
        self.probed = 0
        self.loads = []

    def collect(self, number, **keywords):
        return self.start_in(f"c{number}", "--max-entries", "1000000",
                             prefix=self.spokes[number].prefix,
                             **{"listen": f"{self.spokes[number].address}:0", **keywords})

    def load(self, **keywords):
        load = Load(self.device.relay_port, **keywords)
        self.addCleanup(load.stop)
        self.loads.append(load)
        return load

    # ---- accounts ----

    def account(self, target):
        """What the relay says of a target, by its index."""
        place = set(self.targets[target].items())
        return {re.fullmatch("presence_relay_target_(.*?)(_total)?", name)[1]: int(value)
                for (name, labels), value in self.device.metrics().items() if place <= set(labels)}

    def stream(self, target):
        """What a target says of the relay's stream, in all its life."""
        streams = self.json_of(target)["senders"]
        self.assertLessEqual(len(streams), 1)
        return {name: stream[name] for stream in streams for name in FIGURES}

    def json_of(self, target):
        self.segment = self.collectors[target].segment
        return self.json("senders")

    @staticmethod
    def counted(presence):
        return sum(presence.counter(name) for name in OUTCOMES)

    def check_accounts(self):
        """At rest: what the relay handed over to each target, and what that received, differ by what
        the stream says was lost. Returns the lost datagrams and heartbeats of each target."""
        seen = None

        def closed():
            """The accounts, once no datagram is under way: each of them was read twice."""
            nonlocal seen
            seen = [(self.account(target), self.stream(target)) for target in range(3)]
            again = [(self.account(target), self.stream(target)) for target in range(3)]
            sent = [account["datagrams"] + account["datagrams_failed"] for account, _ in seen]
            waits = any(account["heartbeats_waiting"] for account, _ in seen)
            known = [stream.get("expected") for _, stream in seen]
            return seen == again and not waits and sent == known

        wait_until(closed, lambda: f"accounts that close: {seen}")
        losses = []
        for (account, stream), presence in zip(seen, (self.whole, self.half, self.victim)):
            self.assertEqual(stream["lost"], stream["expected"] - stream["received"])
            self.assertEqual(account["datagrams"] - stream["received"],
                             stream["lost"] - account["datagrams_failed"])
            self.assertEqual(stream["heartbeats"], self.counted(presence))
            self.assertEqual(account["heartbeats_lost"], 0)
            self.assertEqual(account["heartbeats_accepted"],
                             account["heartbeats"] + account["heartbeats_dropped"])
            lost = account["heartbeats_accepted"] - stream["heartbeats"]
            self.assertGreaterEqual(lost, 0)
            if stream["lost"] == 0:
                self.assertEqual(lost, 0)
            losses.append((stream["lost"], lost))
        return losses

    # ---- delays ----

    def probe(self):
        """Send a visitor of the first half who is new, and return when both have counted them."""
        self.probed += 1
        number = self.probed
        while shard_of(visitor := (number << 64 | self.probed).to_bytes(16, "big"), 2) != 0:
            number += 1
        begin = time.monotonic()
        self.socket.send(native(PROBE_SITE, [visitor]))
        wait = begin + 60
        while self.whole.count(PROBE_SITE) < self.probed or self.half.count(PROBE_SITE) < self.probed:
            self.assertLess(time.monotonic(), wait, "a heartbeat was not counted")
            time.sleep(0.0003)
        return time.monotonic() - begin

    def delays(self, count):
        return [self.probe() for _ in range(count)]

    # ---- what the others notice ----

    def check_delays(self, failing):
        """Compare the delays of a target that works, with and without one that does not."""
        tried = []
        for _ in range(ATTEMPTS):
            calm, failed = [], []
            for _ in range(ROUNDS):
                calm += self.delays(PROBES)
                with failing():
                    failed += self.delays(PROBES)
            middles = statistics.median(calm), statistics.median(failed)
            lasts = last_of(calm), last_of(failed)
            tried.append((middles, lasts))
            if middles[1] < 1.5 * middles[0] + 0.01 and lasts[1] < 2 * lasts[0] + 0.05:
                print(f"median {1000 * middles[0]:.1f} ms, then {1000 * middles[1]:.1f} ms; p99 "
                      f"{1000 * lasts[0]:.1f} ms, then {1000 * lasts[1]:.1f} ms")
                return
        self.fail(f"others wait longer while one fails: {tried}")

    def check(self, failing, loses=True):
        load = self.load(at_once=1)  # no datagram is full before its time
        self.check_delays(failing)
        load.stop()
        everything = sum(load.sent for load in self.loads) + self.probed
        second_half = sum(load.of_second_half for load in self.loads)
        wait_until(lambda: self.device.value("heartbeats_accepted_total") == everything,
                   lambda: f"{everything} heartbeats: {self.device.metrics()}")
        losses = self.check_accounts()
        self.assertEqual(losses[:2], [(0, 0), (0, 0)])
        self.assertEqual(self.counted(self.whole), everything)
        self.assertEqual(self.counted(self.half), everything - second_half)
        self.assertEqual(self.counted(self.victim), second_half - losses[2][1])
        account = self.account(2)
        print(f"of {second_half} heartbeats {losses[2][1]} were lost in {losses[2][0]} datagrams, "
              f"{account['datagrams_failed']} of which failed; {account['datagrams_refused']} "
              "refusals")
        self.assertEqual(losses[2][0] > 0, loses, "whether anything was lost")
        self.assertEqual(self.device.stop(), 0)
        return account
