"""Relays that are killed, restarted and reloaded under load: none of what they received is counted
twice or in another shard, and what a kill takes along is accounted for. Without kills, nothing is
lost."""

import collections
import json
import os
import random
import re
import signal
import socket
import time
import unittest

from harness import free_port, wait_until
from library import Presence
from presence_relay import RelayCase
from relay_load import MOST, SHARDS, SITE, Pace
from service_manager import ServiceManager
from xxh3 import shard_of

LONG = os.environ.get("TEST_LONG")
BURST = 256  # datagrams that a killed relay may have taken and not counted: an io_uring's buffers
WAITING = 3000  # datagrams that are sent, at most, while a relay is away: its socket holds them
KEYS = ["1 " + "01" * 16, "2 " + "02" * 16]
KILL, RESTART, NEW_KEY, SAME = "kill", "restart", "reload with another key", "reload"


# What a relay has done with the heartbeats for a collector.
Sent = collections.namedtuple("Sent", "heartbeats datagrams dropped lost")


class Supervised:
    """A relay that a service manager keeps running, and the load that comes to it."""

    def __init__(self, case, name, targets, engine):
        self.case = case
        directory = os.path.join(case.directory, name)
        os.mkdir(directory)
        self.manager = ServiceManager(directory)
        case.addCleanup(self.manager.close)
        self.port = free_port(socket.SOCK_DGRAM)
        self.keys = list(KEYS)
        self.key_file = f"{name}/key"
        self.write_keys()
        self.arguments = ("--listen", f"127.0.0.1:{self.port}", *targets, "--receive", engine,
                          "--key-file", os.path.join(case.directory, self.key_file))
        self.relay, self.load, self.kills = None, None, 0

    def write_keys(self):
        self.case.write(self.key_file, "\n".join(self.keys) + "\n")

    def start(self):
        """Start it, and wait until it says that it is ready."""
        ready = len(self.manager.said("READY"))
        self.relay = self.case.relay(*self.arguments, wait=False, **self.manager.keywords())
        wait_until(lambda: self.relay.process.poll() is not None or
                   len(self.manager.said("READY")) > ready, "the relay to be ready")
        self.case.assertIsNone(self.relay.process.poll(), self.relay.output())
        self.relay.wait_ready()
        if self.load:
            self.load.most = None

    def end(self, how):
        """End it by a signal, while as much may come as its socket holds."""
        self.load.most = self.load.datagrams + WAITING
        status = self.relay.stop(how)
        self.case.assertEqual(status, 0 if how == signal.SIGTERM else -how, self.relay.ended_with)
        self.kills += how == signal.SIGKILL

    def kill(self):
        """And perhaps once more while it starts."""
        self.end(signal.SIGKILL)
        while self.case.random.random() < 0.3:
            self.relay = self.case.relay(*self.arguments, wait=False, **self.manager.keywords())
            time.sleep(self.case.random.uniform(0, 0.1))
            self.end(signal.SIGKILL)
        self.start()

    def restart(self):
        self.end(signal.SIGTERM)
        self.start()

    def reload(self, changed):
        if changed:
            self.keys.reverse()
            self.write_keys()
        self.relay.hang_up()

    def act(self, what):
        if what == KILL:
            self.kill()
        elif what == RESTART:
            self.restart()
        else:
            self.reload(what == NEW_KEY)

    def carry(self):
        """Start sending to it."""
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        self.load = Pace(sockets, self.port, 0.005)

    def finish(self):
        """Stop the load, and end the relay once it has received everything."""
        self.stop_load()

        def received():
            page = self.relay.get("/metrics")[2].decode()
            return int(re.search(r"^presence_relay_datagrams_received_total (\d+)", page, re.M)[1])

        least = self.load.datagrams - BURST * self.kills
        wait_until(lambda: received() >= least, lambda: f"{least} datagrams to be received")
        self.end(signal.SIGTERM)

    def account(self):
        """The account when it ended: datagrams and heartbeats that came, and for each collector
        heartbeats that were handed to the kernel, in how many datagrams, heartbeats that it did not
        take, and those that were lost with killed relays."""
        line = self.relay.ended_with.splitlines()[-2]
        came = re.search(r"received (\d+) datagrams = \1 accepted \+ 0 rejected; (\d+) dropped by "
                         r"the sockets; accepted (\d+) heartbeats", line)
        self.case.assertTrue(came, self.relay.ended_with)
        received, drops, heartbeats = map(int, came.groups())
        targets = re.findall(r"\S/\d \S+: (\d+) heartbeats in (\d+) datagrams, .*?; "
                             r"(\d+) heartbeats dropped, (\d+) lost", line)
        return received + drops, heartbeats, [Sent(*map(int, target)) for target in targets]

    def stop_load(self):
        if self.load:
            self.load.stop()
            for one in self.load.sockets:
                one.close()


@unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes during a restart")
class Kills(RelayCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("TEST_SEED", time.time_ns()))
        self.random = random.Random(self.seed)
        keys = self.write("keys", "\n".join(KEYS) + "\n")
        self.collectors = [
            self.start_in(name, "--max-entries", "4000000", "--keys", keys, "--events", "0")
            for name in (*(f"A{i + 1}" for i in range(SHARDS)), "B")]

    def start_relays(self, count, engine):
        addresses = [collector.address for collector in self.collectors]
        targets = ("--to", "A=" + ",".join(addresses[:SHARDS]), "--to", "B=" + addresses[SHARDS])
        relays = [Supervised(self, f"relay-{i}", targets, engine) for i in range(count)]
        for relay in relays:
            relay.start()
            relay.carry()
            self.addCleanup(relay.stop_load)
        return relays

    def disturb(self, relays, actions, times):
        """Do something to one of the relays, over and over, while the load goes on."""
        for _ in range(times):
            relay = self.random.choice(relays)
            goal = relay.load.datagrams + self.random.randrange(300)
            wait_until(lambda: relay.load.datagrams >= goal, "more to be sent")
            relay.act(self.random.choice(actions))

    def settle(self, relays):
        """Stop everything in order; returns each collector's statistics."""
        for relay in relays:
            relay.finish()
        found = []
        for number, collector in enumerate(self.collectors):
            handed = sum(relay.account()[2][number].datagrams for relay in relays)
            wait_until(lambda: self.stats_of(collector)["datagrams_received"] >= handed,
                       lambda: f"{handed} datagrams: {self.stats_of(collector)}")
            self.assertEqual(collector.stop(), 0)
            found.append(self.stats_of(collector))
        return found

    def stats_of(self, collector):
        status, out, err = self.ctl("stats", "--json", segment=collector.segment)
        self.assertIn(status, (0, 3), err)
        return json.loads(out)

    def sent(self, relays):
        """Heartbeats that were sent, for each collector."""
        shards = [sum(relay.load.heartbeats.sent[i] for relay in relays) for i in range(SHARDS)]
        return [*shards, sum(shards)]

    def check_places(self, relays):
        """Nobody is counted in another shard than theirs: by room, and those at /mixed."""
        for number, collector in enumerate(self.collectors[:SHARDS]):
            reader = Presence(self, collector.segment)
            others = [one for relay in relays for one in relay.load.heartbeats.mixed
                      if shard_of(one, SHARDS) != number]
            self.assertFalse(any(reader.has_seen(SITE, one) for one in others))
        for number, collector in enumerate(self.collectors):
            status, out, err = self.ctl("top", SITE, "--by", "room", "--window", "1h", "--json",
                                        segment=collector.segment)
            self.assertIn(status, (0, 3), err)
            rooms = {room["room"] for room in json.loads(out)["rooms"] if room["count"]}
            expected = {f"/shard-{number}"} if number < SHARDS else \
                {f"/shard-{i}" for i in range(SHARDS)}
            self.assertEqual(rooms, expected | {"/mixed"})

    def check_accounts(self, relays, counted):
        """What is missing is in the relays' accounts, but for what a killed one had just taken out
        of its socket: at most a burst of datagrams, and one that it was reading."""
        handed, lost = [0] * len(counted), [0] * len(counted)
        for relay in relays:
            received, accepted, targets = relay.account()
            self.assertLessEqual(received, relay.load.datagrams)
            self.assertLessEqual(relay.load.datagrams - received, BURST * relay.kills)
            for group in targets[:SHARDS], targets[SHARDS:]:
                known = sum(sent.heartbeats + sent.dropped + sent.lost for sent in group)
                self.assertLessEqual(known, accepted)
                self.assertLessEqual(accepted - known, MOST * relay.kills)
            for number, sent in enumerate(targets):
                handed[number] += sent.heartbeats
                lost[number] += sent.lost
        for number, sent in enumerate(self.sent(relays)):
            self.assertLessEqual(counted[number], sent)
            self.assertLessEqual(handed[number], counted[number], f"beside {lost[number]} lost")
            self.assertLessEqual(counted[number], handed[number] + lost[number])
        return lost

    def report(self, relays, counted, lost):
        """Print what kills have cost."""
        sent = self.sent(relays)
        uncounted = sum(relay.load.datagrams - relay.account()[0] for relay in relays)
        print(f"{sum(relay.kills for relay in relays)} kills: of {sent[-1]} heartbeats "
              f"{sent[-1] - sum(counted[:-1])} are missing in A and {sent[-1] - counted[-1]} in B; "
              f"the relays say {sum(lost[:-1])} and {lost[-1]} are lost; "
              f"{uncounted} datagrams were never counted")

    def check_once(self, stats):
        """Each visitor came once, with a pageview or an event: none was counted twice."""
        for one in stats:
            self.assertEqual(one["heartbeats_refreshed"], 0, one)
            self.assertEqual(one["pageviews"] + one["custom_events"], one["heartbeats_new"], one)
            rejected = sum(n for name, n in one.items() if name.startswith("datagrams_rejected_"))
            self.assertEqual((rejected, one["socket_drops"]), (0, 0), one)

    def check_in_order(self, engine):
        relays = self.start_relays(2, engine)
        self.disturb(relays, (RESTART, NEW_KEY, SAME), 100 if LONG else 10)
        stats = self.settle(relays)
        counted = [one["heartbeats_new"] for one in stats]
        self.assertEqual(counted, self.sent(relays))
        self.assertFalse(any(self.check_accounts(relays, counted)))
        self.check_once(stats)
        self.check_places(relays)

    def test_in_order_io_uring(self):
        """Restarts and reloads lose nothing: each collector has exactly what was sent for it."""
        self.check_in_order("io_uring")

    def test_in_order_recvmmsg(self):
        self.check_in_order("recvmmsg")

    def test_killed(self):
        """What is missing was read by a relay when it was killed."""
        relays = self.start_relays(2, "auto")
        self.disturb(relays, (KILL, KILL, RESTART, NEW_KEY, SAME), 1000 if LONG else 20)
        stats = self.settle(relays)
        counted = [one["heartbeats_new"] for one in stats]
        lost = self.check_accounts(relays, counted)
        self.report(relays, counted, lost)
        self.check_once(stats)
        self.check_places(relays)


if __name__ == "__main__":
    unittest.main()
