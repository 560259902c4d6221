"""Target 5: do two workers on two processors count nearly twice as much? From memory."""

import concurrent.futures
import statistics

from machine import PROCESSORS, bench, report, run_json
from results import Row

VISITORS = 10_000_000


def rows_of(what, batch, visitors, laps, rounds, *arguments):
    """Rows of one and two workers, who took turns."""
    report(f"workers: {what}")
    runs = run_json([bench("bench_ingest"), "--visitors", str(visitors), "--workers", "2",
                     "--batch", str(batch), "--laps", str(laps), "--rounds", str(rounds),
                     *arguments], set(PROCESSORS))
    rows = {}
    for workers, name in ((1, "one worker"), (2, "each of two workers")):
        rows[workers] = Row(f"{name}, {what}", f"{batch}, from memory")
        for run in runs:
            if run["workers"] == workers:
                rows[workers].add(per_core=run["rate"] / workers,
                                  per_cpu_second=run["heartbeats"] / run["cpu_s"])
    rows[2].note = f"together {scaling(rows):.2f} × one"
    return rows


def scaling(rows):
    return rows[2].ratio(rows[1]) * 2


def round_trip():
    return run_json([bench("bench_handover")], set(PROCESSORS))[0]["round_trip_ns"]


def table_rows(scale, rounds):
    """The table alone: on one processor, a table of its own on each at once, so that nothing is
    shared but the machine's memory, and one table for both: what two workers can have. In turn."""
    command = [bench("bench_table"), "--visitors", str(VISITORS), "--rounds", "1",
               "--milliseconds", str(100 * scale)]
    alone = Row("table alone, 64 in flight (limit)")
    beside = Row("the same beside another with a table of its own")
    shared = Row("the same beside another in the same table")
    report("workers: table alone, two tables at once, and one for two")
    for _ in range(rounds):
        alone.add(per_core=rate_of(run_json(command, {PROCESSORS[0]})[0]))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            both = pool.map(lambda processor: run_json(command, {processor})[0], PROCESSORS[:2])
            beside.add(per_core=statistics.mean(map(rate_of, both)))
        shared.add(per_core=rate_of(run_json([*command, "--workers", "2"], set(PROCESSORS))[0]))
    for row in beside, shared:
        row.note = f"together {row.ratio(alone) * 2:.2f} × one"
    return alone, beside, shared


def rate_of(measured):
    return measured["updates"] / measured["cpu_s"]


def run(results, quick):
    if len(PROCESSORS) < 2:
        results.target(5, "two workers: of one ≥ 1.75 ×", "there is one processor only", False)
        return
    scale, rounds = (1, 3) if quick else (3, 9)
    alone, beside, shared = table_rows(scale, rounds)
    before = round_trip()
    site = rows_of("site", 80, VISITORS, 40 * scale, rounds)
    labels = rows_of("4 words each", 80, VISITORS, 10 * scale, rounds, "--labels")
    single = rows_of("site", 1, 1_000_000, 400 * scale, rounds)
    after = round_trip()
    rows = [*site.values(), *labels.values(), *single.values()]
    for row in (beside, shared, *rows):
        row.limit = alone
    results.section(f"Heartbeats a second and processor from memory: decode, table, count; "
                    f"{VISITORS:,} visitors (one a datagram: 1,000,000); a cache line's round trip "
                    f"between the two takes {before:.0f} ns before, {after:.0f} after",
                    [alone, beside, shared, *rows])
    results.at_least(5, f"two workers (only the table: {shared.ratio(alone) * 2:.2f} ×; "
                        f"two tables: {beside.ratio(alone) * 2:.2f} ×): of one", scaling(site), 1.75)
