"""Target 5: do two workers on two processors count nearly twice as much? From memory."""

from machine import PROCESSORS, bench, report, run_json
from results import Row

VISITORS = 10_000_000


def rows_of(what, quick, *arguments):
    """Rows of one and two workers, who took turns."""
    laps, rounds = (40, 3) if quick else (100, 9)
    report(f"workers: {what}")
    runs = run_json([bench("bench_ingest"), "--visitors", str(VISITORS), "--workers", "2",
                     "--laps", str(laps), "--rounds", str(rounds), *arguments], set(PROCESSORS))
    rows = {}
    for workers, name in ((1, "one worker"), (2, "two workers on two processors")):
        rows[workers] = Row(f"{name}, {what}", "80, from memory", "/s")
        for run in runs:
            if run["workers"] == workers:
                rows[workers].add(per_core=run["rate"] / workers,
                                  per_cpu_second=run["heartbeats"] / run["cpu_s"])
    return rows


def run(results, quick):
    report("workers: table alone")
    table = Row("table alone, 64 in flight (limit)", "", "/s")
    for measured in run_json([bench("bench_table"), "--visitors", str(VISITORS), "--rounds",
                              "3" if quick else "9", "--milliseconds", "300"]):
        table.add(per_core=measured["updates"] / measured["cpu_s"])
    site = rows_of("site", quick)
    labels = rows_of("4 words each", quick, "--labels")
    for row in (*site.values(), *labels.values()):
        row.limit = table
    scaling = site[2].ratio(site[1]) * 2
    site[2].note = f"together {scaling:.2f} × one"
    labels[2].note = f"together {labels[2].ratio(labels[1]) * 2:.2f} × one"
    results.section(f"Heartbeats a second and processor: decode, table and count, "
                    f"{VISITORS:,} visitors", [table, *site.values(), *labels.values()])
    if len(PROCESSORS) < 2:
        results.target(5, "two workers: of one ≥ 1.75 ×", "there is one processor only", False)
    else:
        results.at_least(5, "two workers: of one", scaling, 1.75)
