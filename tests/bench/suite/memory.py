"""Target 7: bytes per live word, and how full the table gets before it refuses one."""

from machine import bench, report, run_json
from results import Row


def run(results, quick):
    sizes = (1_000_000, 10_000_000) if quick else (100_000, 1_000_000, 10_000_000, 65_000_000)
    rows = []
    for size in sizes:
        row = Row(f"a segment for {size:,} visitors, filled", "", " bytes a word")
        for number in range(2 if quick else 3):
            report(f"memory: {size:,} visitors, round {number + 1}")
            filled = run_json([bench("bench_memory"), "--visitors", str(size)])[0]
            row.add(per_core=filled["table_bytes"] / size, refused=filled["refused"],
                    load=filled["first_refusal_load"],
                    fixed_bytes=filled["file_bytes"] - filled["table_bytes"])
        row.note = f"{sum(row.values('refused'))} refused, the first at a load of " \
                   f"{min(row.values('load')):.3f}; fixed: " \
                   f"{row.median('fixed_bytes') / 1e6:.1f} MB"
        rows.append(row)
    results.section("Memory", rows)
    results.at_most(7, "memory a live word", max(row.median() for row in rows), 11, "bytes")
    results.at_least(7, "load at the first refusal", min(min(row.values("load")) for row in rows),
                     0.75, "", clean=not any(sum(row.values("refused")) for row in rows))
