"""Target 9: the time from sending a heartbeat until it is counted, and the cost of an idle daemon."""

import contextlib
import json
import subprocess
import time

from collector import Collector, presence_send, send_command
from machine import PROCESSORS, Failure, bench, report, run_json
from results import Row

VISITORS = 1_000_000
SINGLES = ("--batch", "1", "--no-gso")
BATCHES = ("--batch", "80")


def idle_percent(collector):
    report("latency: the daemon alone for 10 s")
    time.sleep(1)
    used, start = collector.cpu_seconds(), time.monotonic()
    time.sleep(10)
    return (collector.cpu_seconds() - used) / (time.monotonic() - start) * 100


def accepted_rate(collector, rate, seconds, *load):
    """Measure heartbeats a second that get through, and datagrams that don't, at a rate; 0: as many
    as can be sent."""
    accepted = collector.stats()["datagrams_accepted"]
    sent = presence_send(collector.address, VISITORS, rate, seconds, *load)
    collector.wait_idle()
    accepted = collector.stats()["datagrams_accepted"] - accepted
    return sent["rate"] * accepted / sent["datagrams"], sent["datagrams"] - accepted


def highest_rate(collector, what, seconds, *load):
    """Find the heartbeats a second of which none is dropped: what gets through of as many as can be
    sent, or less until none is."""
    report(f"latency: the highest rate, {what}")
    rate, dropped = accepted_rate(collector, 0, seconds, *load)
    for _ in range(10):
        if not dropped:
            break
        report(f"latency: the highest rate, {what}: less than {rate:,.0f}/s")
        rate, dropped = accepted_rate(collector, int(0.8 * rate), seconds, *load)
    if dropped:
        raise Failure(f"{rate:,.0f} heartbeats/s are still too many: the machine is busy")
    return rate


@contextlib.contextmanager
def background(collector, rate, *load):
    """Send heartbeats at a rate while the context lasts. Yields a dict that has the sender's summary
    afterwards."""
    summary = {}
    sender = subprocess.Popen(send_command(collector.address, VISITORS, rate, 600, *load),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(0.5)
        yield summary
    finally:
        sender.terminate()
        out, error = sender.communicate()
    if sender.returncode:
        raise Failure(f"presence-send: {error.strip()}")
    summary.update(json.loads(out))


def probe(collector, what, how, rate, probes, *load):
    """Measure latencies beside a load."""
    report(f"latency: {what}")
    drops = collector.drops()
    with background(collector, rate, *load) as sent:
        measured = run_json([bench("bench_latency"), "--to", collector.address, "--segment",
                             collector.segment, "--probes", str(probes)], set(PROCESSORS))[0]
    row = Row(f"{what}: {sent['rate']:,.0f} heartbeats/s", how, " µs")
    row.add(per_core=measured["p50"], dropped=collector.drops() - drops, **measured)
    row.note = f"p90 {measured['p90']:.0f}, p99 {measured['p99']:.0f}, " \
               f"max {measured['max']:.0f} µs; {measured['lost']} of {measured['probes']} lost"
    return row


def run(results, quick):
    probes, seconds = (400, 2) if quick else (4000, 5)
    collector = Collector(2 * VISITORS, processors=set(PROCESSORS))
    try:
        idle = idle_percent(collector)
        rows = [probe(collector, "a quiet site", "1, no GSO", 1000, probes, *SINGLES)]
        for how, load in (("1, no GSO", SINGLES), ("80, GSO", BATCHES)):
            highest = highest_rate(collector, how, seconds, *load)
            what = f"half of the highest rate without drops ({highest:,.0f}/s)"
            rows.append(probe(collector, what, how, int(highest / 2), probes, *load))
    finally:
        collector.close()
    results.section("From sending to being counted, median", rows)
    for row in rows:
        name, run_of = f"latency, {row.what.split(':')[0].split(' (')[0]}, {row.how}", row.runs[0]
        results.at_most(9, f"{name}: median", run_of["p50"] / 1e3, 2, "ms")
        results.at_most(9, f"{name}: p99", run_of["p99"] / 1e3, 10, "ms")
    results.at_most(9, "idle daemon", idle, 0.2, "% of a processor")
