"""Target 6: the cost of a count for its reader."""

import contextlib
import os
import statistics
import time

from collector import SITE, Collector, presence_send
from cores import Moments, shortest_work
from machine import Failure, bench, report, run_json, tool
from peer_redis import Redis
from results import Row

COMMANDS = 20_000


def sizes(quick):
    return (1_000, 100_000, 10_000_000) if quick else (1_000, 100_000, 10_000_000, 65_000_000)


class Counts:
    """Counts of that many visitors, and those of them that were made on a whole core."""

    def __init__(self, size):
        self.row = Row(f"presence_count, {size:,} visitors", "300 s window")
        self.moments = Moments()


def count_sizes(quick):
    """Each of many short rounds counts all of them."""
    found = {size: Counts(size) for size in sizes(quick)}
    report(f"count: {', '.join(f'{size:,}' for size in found)} visitors")
    command = [bench("bench_count"), "--rounds", "30" if quick else "200"]
    for size in found:
        command += ["--visitors", str(size)]
    for counted in run_json(command):
        counts = found[counted["visitors"]]
        counts.moments.add_rates(counted["rounds"])
        for core_ns, rate in counted["rounds"]:
            counts.row.add(per_core=rate, core_ns=core_ns)
    return found


def redis_rows(stack, quick):
    visitors = 1_000_000 if quick else 10_000_000
    redis = Redis()
    stack.callback(redis.close)
    report(f"count: Redis takes {visitors:,} visitors")
    redis.fill("visitors", visitors)
    alone = Row(f"Redis ZCOUNT, {visitors:,} visitors", "one after the other")
    piped = Row("the same", "pipelined, CPU")
    for _ in range(3 if quick else 9):
        run = redis.measure("zcount", "visitors", 1, 1, COMMANDS, "--alone")
        alone.add(**{**run, "per_core": run["rate"]})  # the client waits, whoever works
        piped.add(**redis.measure("zcount", "visitors", 1, 1, COMMANDS))
    alone.note = f"{1e6 / alone.median():.1f} µs"
    piped.note = f"{1e6 / piped.median():.1f} µs"
    return alone, piped


def time_process(command):
    """Return the milliseconds from a program's start to its end."""
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, "/dev/null", os.O_WRONLY, 0)
               for descriptor in (1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=nowhere)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    taken = (time.perf_counter() - start) * 1e3
    if status:
        raise Failure(f"{' '.join(command)} ended with {status}")
    return taken


def process_rows(stack, quick):
    """Measure presencectl, and in turn a program that does nothing: the cost of any process here.
    While a collector warms there is more to read, and a warning to print."""
    visitors = sizes(quick)[-1]
    report(f"count: presencectl, segment for {visitors:,} visitors")
    nothing = Row("/bin/true, whole process (limit)")
    count = Row("presencectl count, whole process", f"segment for {visitors:,}")
    warming = Row("the same, of a collector that warms", f"segment for {visitors:,}")
    commands = {nothing: ["/bin/true"]}
    for row, warm_up_s in ((count, 0), (warming, 3600)):
        collector = Collector(visitors, "--warm-up", str(warm_up_s))
        stack.callback(collector.close)
        presence_send(collector.address, 1000, 1000, None)
        commands[row] = [tool("presencectl"), "count", SITE, "--segment", collector.segment]
    for _ in range(100 if quick else 500):
        for row, command in commands.items():
            ms = time_process(command)
            row.add(per_core=1e3 / ms, ms=ms)
    for row in commands:
        row.note = f"{row.median('ms'):.2f} ms, p99 " \
                   f"{statistics.quantiles(row.values('ms'), n=100)[98]:.2f} ms"
    count.limit = warming.limit = nothing
    return nothing, count, warming


def judge_counts(results, found):
    """Measure one count, of the slowest and the fastest size, and add it to their rows."""
    shortest = shortest_work(*(counts.moments for counts in found.values()))
    for counts in found.values():
        counts.row.note = "; ".join(filter(None, [f"{1e9 / counts.row.median():.0f} ns",
                                                  counts.moments.note(shortest)]))
    whole = [counts.moments.rate(shortest) for counts in found.values()]
    of_core = ", on a whole core" if all(whole) else ""
    ns = [1e9 / rate for rate in (whole if of_core else
                                  [counts.row.median() for counts in found.values()])]
    in_all = 1e9 / min(counts.row.median() for counts in found.values())
    results.at_most(6, f"a 300 s count, slowest size{of_core}", max(ns), 200, "ns",
                    remark=f"in all turns {in_all:.0f}")
    results.at_most(6, f"flat over {min(found):,} to {max(found):,}: slowest of fastest",
                    max(ns) / min(ns), 1.25, "×")


def run(results, quick):
    with contextlib.ExitStack() as stack:
        found = count_sizes(quick)
        alone, piped = redis_rows(stack, quick)
        nothing, command, warming = process_rows(stack, quick)
    judge_counts(results, found)
    counts = [each.row for each in found.values()]
    for row in counts:
        row.peers["ZCOUNT"] = alone
    results.section("Counts a second by one reader",
                    [*counts, alone, piped, nothing, command, warming])
    slowest = min(counts, key=lambda row: row.median())
    results.at_least(6, "of Redis ZCOUNT, one after the other", slowest.ratio(alone), 100)
    results.at_most(6, f"presencectl count, median (/bin/true: {nothing.median('ms'):.2g} ms)",
                    command.median("ms"), 3, "ms")
