"""Target 11: what a relay costs beside a collector that gets the same text, and what it adds to the
time until a heartbeat is counted.

The heartbeats are those of edge.py. The collectors that get them from a relay run beside the
sender, so that the relay has a processor to itself."""

import contextlib
import re
import subprocess
import time

from collector import Collector, Receiver, measure
from edge import ENTRIES, send
from latency import idle_percent
from machine import PROCESSORS, RECEIVER, SENDER, bench, report, run_json, tool, udp_sockets
from results import Row

VISITORS = 1_000_000
RATE = 200_000
HOW = "1, no GSO, no GRO"
SECONDS = 0.5
HOLD_MS = 50
TURNS = {"one group of one": (1,), "one group of 3": (3,), "groups of 3 and of 1": (3, 1)}


class Relay(Receiver):
    """presence-relay to groups with so many shards, and their collectors."""

    def __init__(self, groups, processors=RECEIVER, others=SENDER):
        super().__init__()
        self.groups = [[Collector(ENTRIES * VISITORS, processors=others) for _ in range(shards)]
                       for shards in groups]
        to = [word for name, group in zip("AB", self.groups)
              for word in ("--to", f"{name}={','.join(one.address for one in group)}")]
        self.start([tool("presence-relay"), "--listen", "127.0.0.1:0", "--web.listen-address",
                    "127.0.0.1:0", "--hold", str(HOLD_MS), *to],
                   lambda: self.find_port() and udp_sockets(self.port), processors)

    def find_port(self):
        match = re.search(r"listening on [\d.]+:(\d+)$", self.output(), re.MULTILINE)
        self.port = match and int(match[1])
        return match

    def collectors(self):
        return [one for group in self.groups for one in group]

    def lost_behind(self):
        """Return how many datagrams the collectors have missed, by sequence number."""
        found = [one.stats() for one in self.collectors()]
        return sum(one["streams_expected"] - one["streams_received"] for one in found)

    def close(self, *arguments):
        super().close(*arguments)
        for one in self.collectors():
            one.close()


class Contest:
    """A collector and relays, each of which gets the same heartbeats in turn."""

    def __init__(self, stack):
        self.turns = []  # (row, receiver)
        self.presenced = self.enter(stack, "presenced", Collector(ENTRIES * VISITORS))
        self.relays = [self.enter(stack, f"relay, {what}", Relay(groups))
                       for what, groups in TURNS.items()]
        for row in self.relays:
            row.peers["presenced"] = self.presenced

    def enter(self, stack, what, receiver):
        stack.callback(receiver.close)
        row = Row(what, HOW)
        self.turns.append((row, receiver))
        report(f"relay: {VISITORS:,} visitors come to {what}")
        send(receiver, VISITORS, "text", RATE, None)
        receiver.wait_idle()
        return row

    def round(self):
        for row, receiver in self.turns:
            report(f"relay: {row.what}")
            lost = receiver.lost_behind() if isinstance(receiver, Relay) else 0
            row.add(**measure(receiver, lambda to=receiver: send(to, VISITORS, "text", RATE,
                                                                 SECONDS)))
            if isinstance(receiver, Relay):
                time.sleep(2 * HOLD_MS / 1000)  # until the last ones are there
                row.runs[-1]["dropped"] += receiver.lost_behind() - lost
            row.note = f"{row.median('busy') * 100:.0f} % of a processor"

    def judge(self, results):
        for row in self.relays:
            ratio = 1 / row.ratio(self.presenced)
            results.at_most(11, f"{row.what}: CPU a heartbeat, of presenced's", ratio, 1.5, "×")
            results.at_most(11, f"{row.what}: dropped of {RATE:,}/s", row.dropped, 0, "datagrams")


@contextlib.contextmanager
def background(relay):
    """Send heartbeats to the relay while the context lasts."""
    sender = subprocess.Popen([bench("edge_sender"), "--to", relay.address, "--form", "text",
                               "--rate", str(RATE), "--seconds", "600", "--visitors",
                               str(VISITORS)], stdin=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield
    finally:
        sender.terminate()
        sender.wait()


def probe(results, relay, what, probes):
    """Measure the time until a heartbeat that comes through a relay is counted."""
    report(f"relay: latency, {what}")
    counting = relay.groups[-1][0]  # a group of one: it has all visitors
    micro = run_json([bench("bench_latency"), "--to", relay.address, "--segment",
                      counting.segment, "--probes", str(probes)], set(PROCESSORS))[0]
    milli = {name: micro[name] / 1e3 for name in ("p50", "p90", "p99", "max")}
    row = Row(f"held for {HOLD_MS} ms, {what}", "1, no GSO", " ms")
    row.add(per_core=milli["p50"], **milli)
    row.note = f"p90 {milli['p90']:.1f}, p99 {milli['p99']:.1f}, max {milli['max']:.1f} ms; " \
               f"{micro['lost']} of {micro['probes']} lost"
    results.at_most(11, f"relay, {what}: from edge to count, p99", milli["p99"], HOLD_MS + 5, "ms")
    return row


def latency(results, probes):
    relay = Relay((3, 1), set(PROCESSORS), set(PROCESSORS))
    try:
        idle = idle_percent(relay)
        rows = [probe(results, relay, "a quiet site", probes)]
        with background(relay):
            rows.append(probe(results, relay, f"beside {RATE:,} text heartbeats/s", probes))
    finally:
        relay.close()
    results.at_most(11, "idle relay", idle, 0.2, "% of a processor")
    return rows


def run(results, quick):
    rounds, probes = (5, 200) if quick else (21, 1000)
    with contextlib.ExitStack() as stack:
        contest = Contest(stack)
        for _ in range(rounds):
            contest.round()
        contest.judge(results)
    results.section("Heartbeats a CPU second through a relay: text as an edge sends it, "
                    f"{RATE:,}/s", [row for row, _ in contest.turns])
    results.section("From sending to being counted, median, through a relay",
                    latency(results, probes))
