"""The first half second of a new collector beside what the same load costs it afterwards: it touches its
memory for the first time, and each visitor is new."""

from collector import Collector, measure, paced_sender, presence_send
from machine import report
from results import Row

VISITORS = 1_000_000
FIRST_S, LATER_S = 0.5, 2
LOADS = (  # name, how it is sent, heartbeats a second, function that sends it
    ("80 a datagram", "80, GSO, GRO", 5_000_000,
     lambda address, rate, seconds: presence_send(address, VISITORS, rate, seconds, "--batch", "80")),
    ("one a datagram", "1, no GSO, no GRO", 300_000,
     lambda address, rate, seconds: paced_sender(address, VISITORS, rate, seconds)),
)


def measure_beginning(first, later, rate, send):
    collector = Collector(2 * VISITORS)
    try:
        for row, seconds in ((first, FIRST_S), (later, LATER_S)):
            row.add(**measure(collector, lambda: send(collector.address, rate, seconds)))
    finally:
        collector.close()


def run(results, quick):
    rows = []
    for name, how, rate, send in LOADS:
        first = Row(f"{name}, the first half second", how)
        later = Row(f"{name}, from then on", how)
        for count in range(3 if quick else 9):
            report(f"beginning: {name}, round {count + 1}")
            measure_beginning(first, later, rate, send)
        first.limit = later
        rows += [first, later]
    results.section(f"Heartbeats a CPU second of a new collector, {VISITORS:,} visitors "
                    f"({' and '.join(f'{rate:,}/s' for _, _, rate, _ in LOADS)})", rows)
