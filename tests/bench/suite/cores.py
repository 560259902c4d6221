"""Find the moments of a measurement that had whole cores.

A processor may be one of a core's two hardware threads. In a virtual machine the host decides which,
and what the other one runs, and changes that many times a second. A worker is a third slower beside
another tenant, or beside the sender. So a figure per core is measured while the worker had a whole
one: some work then takes hardly longer than the shortest ever (see core_share.h)."""

import contextlib
import json
import os
import subprocess

from machine import DEADLINE, RECEIVER, Failure, bench
from results import number

WHOLE = 1.1  # times the shortest
ENOUGH = 10  # moments that have something to say


class Moments:
    """Short parts of a measurement, each with the time that some work took then."""

    def __init__(self):
        self.all = []  # (nanoseconds of that work, units done, seconds)

    def add(self, core_ns, done, seconds):
        self.all.append((core_ns, done, seconds))

    def add_rates(self, moments, parties=1):
        """Read those of a benchmark, of equal work each: units a second of all parties."""
        for core_ns, rate in moments:
            self.add(core_ns, 1 / parties, 1 / rate)

    def whole(self, shortest):
        return [moment for moment in self.all if moment[0] <= WHOLE * shortest]

    def rate(self, shortest):
        """Return the units a second of those on whole cores; None if there were too few."""
        whole = self.whole(shortest)
        if len(whole) < ENOUGH:
            return None
        return sum(done for _, done, _ in whole) / sum(seconds for *_, seconds in whole)

    def describe(self, shortest):
        return f"{len(self.whole(shortest))} of {len(self.all)} moments"

    def note(self, shortest):
        rate = self.rate(shortest)
        return f"on whole cores {number(rate)}, {self.describe(shortest)}" if rate else ""


def shortest_work(*moments):
    """The work of all benchmarks on this machine, measured in one way."""
    return min(moment[0] for each in moments for moment in each.all)


@contextlib.contextmanager
def watch(collector, moments):
    """Add the moments of a collector that works on RECEIVER while the context lasts: heartbeats
    and CPU seconds. Keeps that processor awake."""
    watcher = subprocess.Popen([bench("bench_core"), "--pid", str(collector.pid), "--segment",
                                collector.segment], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, RECEIVER))
    try:
        yield
    finally:
        watcher.terminate()
        out, error = watcher.communicate(timeout=DEADLINE)
    if error:
        raise Failure(error.strip())
    samples = [json.loads(line) for line in out.splitlines()[:-1]]  # the last may be cut off
    for (_, cpu_before, done_before), (core_ns, cpu, done) in zip(samples, samples[1:]):
        if done > done_before and cpu > cpu_before:
            moments.add(core_ns, done - done_before, cpu - cpu_before)
