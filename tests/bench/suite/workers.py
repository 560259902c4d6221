"""Target 5: two workers on two processors count nearly twice as much. From memory."""

import concurrent.futures
import contextlib
import statistics

from collector import Collector, measure, paced_sender
from cores import Moments, shortest_work
from machine import PROCESSORS, bench, report, run_json
from results import Row

VISITORS = 10_000_000
SOCKET_VISITORS = 1_000_000
SOCKET_RATE = 500_000  # heartbeats a second
SENDERS = 8  # a single one would have one worker, whatever there are


class Team:
    """The runs of a number of workers with one kind of heartbeats, in turn."""

    def __init__(self, what, batch, visitors, laps, rounds, *arguments):
        report(f"workers: {what}")
        runs = run_json([bench("bench_ingest"), "--visitors", str(visitors), "--workers", "2",
                         "--batch", str(batch), "--laps", str(laps), "--rounds", str(rounds),
                         *arguments], set(PROCESSORS))
        how = f"{batch}, from memory"
        self.one = Row(f"one worker, {what}", how)
        self.locked = Row(f"the same with the locks that two need, {what}", how)
        self.two = Row(f"each of two workers, {what}", how)
        self.moments = {row: Moments() for row in (self.one, self.locked, self.two)}
        for run in runs:
            row = self.one if run["lone"] else self.locked if run["workers"] == 1 else self.two
            row.add(per_core=run["rate"] / run["workers"],
                    per_cpu_second=run["heartbeats"] / run["cpu_s"])
            self.moments[row].add_rates(run["laps"], run["workers"])
        self.shortest = shortest_work(*self.moments.values())
        for row, moments in self.moments.items():
            row.note = moments.note(self.shortest)
        self.two.note = "; ".join(filter(None, [f"together {self.scaling():.2f} × one",
                                                self.two.note]))

    def rows(self):
        return self.one, self.locked, self.two

    def whole(self, row):
        """Return the rate of each on a whole core; None: there was none."""
        return self.moments[row].rate(self.shortest)

    def scaling(self):
        return self.two.ratio(self.one) * 2

    def whole_scaling(self):
        """The same on whole cores; None if there were none."""
        one, two = self.whole(self.one), self.whole(self.two)
        return two / one * 2 if one and two else None


def round_trip():
    return run_json([bench("bench_handover")], set(PROCESSORS))[0]["round_trip_ns"]


def table_rows(scale, rounds):
    """Measure the table alone: on one processor, with as many words as visitors and with four for
    each; a table of its own on each processor at once, so that only the machine's memory is shared;
    one table for both, which is the limit of two workers; and random lines of memory. In turn."""
    def command(visitors, *more):
        return [bench("bench_table"), "--visitors", str(visitors), "--rounds", "1",
                "--milliseconds", str(100 * scale), *more]

    plain = command(VISITORS)
    lines = Row("random lines of the table's memory, read and written")
    alone = Row("table alone, 64 in flight (limit)")
    larger = Row("the same, 4 × as many words")
    beside = Row("the same beside another with a table of its own")
    shared = Row("the same beside another in the same table")
    singly = {lines: command(VISITORS, "--lines"), alone: plain, larger: command(4 * VISITORS)}
    moments = {row: Moments() for row in singly}
    report("workers: table alone, two tables at once, and one for two")
    for _ in range(rounds):
        for row, measured_by in singly.items():
            measured = run_json(measured_by, {PROCESSORS[0]})[0]
            row.add(per_core=rate_of(measured))
            moments[row].add_rates(measured["moments"])
        with concurrent.futures.ThreadPoolExecutor() as pool:
            both = pool.map(lambda processor: run_json(plain, {processor})[0], PROCESSORS[:2])
            beside.add(per_core=statistics.mean(map(rate_of, both)))
        shared.add(per_core=rate_of(run_json([*plain, "--workers", "2"], set(PROCESSORS))[0]))
    for row in beside, shared:
        row.note = f"together {row.ratio(alone) * 2:.2f} × one"
    shortest = shortest_work(*moments.values())
    for row in singly:
        row.note = moments[row].note(shortest)
    whole, four = moments[alone].rate(shortest), moments[larger].rate(shortest)
    share = four / whole if whole and four else larger.ratio(alone)
    larger.note = "; ".join(filter(None, [
        f"4 a heartbeat: {share / 4:.3f} × of one in the smaller table", larger.note]))
    return lines, alone, larger, beside, shared


def rate_of(measured):
    return measured["updates"] / measured["cpu_s"]


def socket_rows(rounds):
    """From the socket on, one datagram each, all processors shared with the senders: the cost of a
    heartbeat for one worker, and for two that share several senders. In turn."""
    rows = {workers: Row(f"presenced --workers {workers}, {SENDERS} senders", "1, no GSO, no GRO")
            for workers in (1, 2)}
    with contextlib.ExitStack() as stack:
        collectors = {}
        for workers in rows:
            collectors[workers] = Collector(2 * SOCKET_VISITORS, workers=workers,
                                            processors=set(PROCESSORS))
            stack.callback(collectors[workers].close)

        def turn(workers):
            address = collectors[workers].address
            return measure(collectors[workers], lambda: paced_sender(
                address, SOCKET_VISITORS, SOCKET_RATE, 2, senders=SENDERS))

        for workers in rows:
            turn(workers)  # they arrive; later they are refreshed
        for _ in range(rounds):
            for workers, row in rows.items():
                report(f"workers: {row.what}")
                row.add(**turn(workers))
    return list(rows.values())


def run(results, quick):
    if len(PROCESSORS) < 2:
        results.target(5, "two workers: of one ≥ 1.75 ×", "there is one processor only", False)
        return
    scale, rounds = (1, 3) if quick else (3, 9)
    lines, alone, larger, beside, shared = table_rows(scale, rounds)
    before = round_trip()
    site = Team("site", 80, VISITORS, 120, 2 * rounds)  # often enough: two whole cores are rare
    labels = Team("4 words each", 80, VISITORS, 10 * scale, rounds, "--labels")
    single = Team("site", 1, 1_000_000, 400 * scale, rounds)
    after = round_trip()
    rows = [*site.rows(), *labels.rows(), *single.rows()]
    for row in (lines, larger, beside, shared, *rows):
        row.limit = alone
    results.section(f"Heartbeats a second and processor from memory: decode, table, count; "
                    f"{VISITORS:,} visitors (one a datagram: 1,000,000); a cache line's round trip "
                    f"between the two takes {before:.0f} ns before, {after:.0f} after",
                    [lines, alone, larger, beside, shared, *rows])
    results.section("Heartbeats a second and processor from the socket; "
                    f"{SOCKET_VISITORS:,} visitors, {SENDERS} senders, {SOCKET_RATE:,} a second",
                    socket_rows(rounds))
    whole = site.whole_scaling()
    results.at_least(5, f"two workers{', on whole cores' if whole else ''}: of one",
                     whole or site.scaling(), 1.75, remark=f"in all turns {site.scaling():.3g}; "
                     f"only the table: {shared.ratio(alone) * 2:.3g}")
