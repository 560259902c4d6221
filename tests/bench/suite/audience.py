"""Target 8: the largest live audience on record, each visitor with a heartbeat a minute, 8 a datagram."""

from collector import Collector, measure, presence_send
from machine import PROCESSORS, report
from results import Row

RATE = 1_083_333  # heartbeats a second: 65 million a minute
BATCH = 8


def run(results, quick):
    visitors, seconds = (6_500_000, 15) if quick else (65_000_000, 180)
    report(f"audience: {visitors:,} visitors for {seconds} s")
    collector = Collector(visitors, processors=set(PROCESSORS))
    row = Row(f"presenced, {visitors:,} visitors, {seconds} s", f"{BATCH}, no GSO, no GRO")
    try:
        row.add(**measure(collector, lambda: presence_send(
            collector.address, visitors, RATE, seconds, "--batch", str(BATCH), "--no-gso")))
        memory, counted = collector.memory(), collector.count("5m")
        collector.ctl("verify")
    finally:
        collector.close()
    rate = row.median("rate")
    row.runs[0].update(memory=memory, counted=counted)
    row.note = f"{row.median('busy') * 100:.0f} % of a processor, {memory / 2**20:.0f} MiB"
    results.section(f"An audience of {visitors:,}, {rate:,.0f} heartbeats/s", [row])
    scale = f" (quick: {visitors:,}, {seconds} s)" if quick else ""
    results.target(8, f"no drop at 1.08 M heartbeats/s{scale}",
                   f"{row.dropped} at {rate / 1e6:.3f} M/s",
                   row.dropped == 0 and rate >= 0.99 * RATE)
    results.target(8, f"exact count of {visitors:,}", f"{counted:,}", counted == visitors)
    results.at_most(8, "memory", memory / 2**30, 1, "GiB")
