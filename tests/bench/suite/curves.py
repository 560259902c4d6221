"""Throughput and memory against active visitors, for the chart."""

import contextlib

from collector import Collector, measure, presence_send
from heartbeats import BATCH, BATCHED_RATE
from machine import report
from peer_postgresql import PostgreSQL
from peer_redis import Redis
from results import Row

LOAD = ("--batch", str(BATCH))
SKETCH_BYTES = 12_304  # what MEMORY USAGE says of a dense HyperLogLog


def sizes(quick):
    powers = [10**4, 10**5, 10**6, 10**7]
    return powers if quick else [*powers, 65_000_000]


class Curve:
    def __init__(self, name):
        self.name = name
        self.throughput, self.memory = [], []

    def add(self, visitors, row, memory):
        self.throughput.append((visitors, row.median()))
        self.memory.append((visitors, memory))

    def as_json(self):
        return {"throughput": self.throughput, "memory": self.memory}


def measure_presence(collector, visitors, seconds):
    return measure(collector, lambda: presence_send(collector.address, visitors, BATCHED_RATE,
                                                    seconds, *LOAD))


def compare_at(visitors, plan, curves):
    """Measure presenced, ZADD and PFADD at one size, in turn. Returns presenced's row."""
    rounds, seconds, redis_most = plan
    row = Row(f"presenced, {visitors:,} visitors", f"{BATCH}, GSO, GRO")
    zadd, pfadd = (row.peers.setdefault(name, Row(name)) for name in ("ZADD 40", "PFADD 40"))
    with contextlib.ExitStack() as stack:
        collector = Collector(visitors, "--max-scopes", "256")
        stack.callback(collector.close)
        measure_presence(collector, visitors, None)  # they arrive
        redis = Redis()
        stack.callback(redis.close)
        set_bytes = redis.fill("visitors", visitors) if visitors <= redis_most else None
        for number in range(rounds):
            report(f"chart: {visitors:,} visitors, round {number + 1} of {rounds}")
            row.add(**measure_presence(collector, visitors, seconds))
            pfadd.add(**redis.measure("pfadd", "estimate", visitors, 40, 100_000))
            if set_bytes is not None:
                zadd.add(**redis.measure("zadd", "visitors", visitors, 40, 5_000))
        memory = collector.memory()
    row.note = f"{memory / 1e6:.0f} MB"
    curves["presence"].add(visitors, row, memory)
    curves["PFADD"].add(visitors, pfadd, SKETCH_BYTES)
    if set_bytes is not None:
        curves["ZADD"].add(visitors, zadd, set_bytes)
    return row


def measure_postgresql(curve, most, seconds):
    postgresql = PostgreSQL()
    try:
        for visitors in sizes(False):
            if visitors > most:
                break
            report(f"chart: PostgreSQL, {visitors:,} visitors")
            memory = postgresql.fill(visitors)
            row = Row("PostgreSQL")
            row.add(**postgresql.measure("heartbeat", visitors, seconds))
            curve.add(visitors, row, memory)
    finally:
        postgresql.close()


def run(results, quick):
    curves = {name: Curve(name) for name in ("presence", "ZADD", "PFADD")}
    plan = (1, 1, 10**5) if quick else (3, 2, 10**7)
    rows = [compare_at(visitors, plan, curves) for visitors in sizes(quick)]
    curves["PostgreSQL"] = Curve("PostgreSQL")
    measure_postgresql(curves["PostgreSQL"], 10**5 if quick else 10**6, 2 if quick else 5)
    results.section(f"Heartbeats a CPU second by active visitors, {BATCHED_RATE:,}/s", rows)
    results.curves = {name: curve.as_json() for name, curve in curves.items()}
