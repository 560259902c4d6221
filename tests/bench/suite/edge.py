"""Target 10: the cost of a heartbeat as a busy site's edge sends it, in three forms.

5,000 rooms by Zipf's law, 60 countries, two fifths of the visitors with a source (edge.h): hardly
two neighbours are at one place. A table has room for four entries a visitor."""

import contextlib

from collector import Collector, measure
from cores import Moments, shortest_work, watch
from machine import Failure, bench, report, run_json
from results import Row, number

FORMS = {  # name -> (value of --form, how they come, heartbeats a second)
    "text": ("text", "1, no GSO, no GRO", 300_000),
    "version 1": ("1", "1, no GSO, no GRO", 300_000),
    "version 2": ("2", "as many as fit, GSO, GRO", 1_500_000),
}
ENTRIES = 4  # a visitor's: site, room, country, source
SECONDS = 0.5
ARRIVALS = 500_000  # a second: all are to be there before anything is measured


def send(receiver, visitors, form, rate, seconds):
    """Send heartbeats, without `seconds` one of each visitor; returns edge_sender's summary."""
    duration = ["--seconds", str(seconds)] if seconds else []
    sent = run_json([bench("edge_sender"), "--to", receiver.address, "--form", form,
                     "--rate", str(rate), "--visitors", str(visitors), *duration])[0]
    if sent["failed"]:
        raise Failure(f"the kernel would not send {sent['failed']} datagrams")
    return sent


class Site:
    """A site with so many visitors, and a collector that its heartbeats come to."""

    def __init__(self, visitors):
        self.visitors = visitors
        report(f"edge: {visitors:,} visitors arrive")
        self.collector = Collector(ENTRIES * visitors)
        measure(self.collector,
                lambda: send(self.collector, visitors, FORMS["version 2"][0], ARRIVALS, None))
        self.rows = {name: Row(f"{name}, {visitors:,} visitors", how)
                     for name, (_, how, _) in FORMS.items()}
        self.whole = Row("the same on a whole core", FORMS["version 2"][1])
        self.moments = Moments()
        for row in self.rows.values():
            row.peers["text"] = self.rows["text"]

    def turn(self, name):
        """Measure one form once."""
        form, _, rate = FORMS[name]
        sent = {}

        def send_form():
            sent.update(send(self.collector, self.visitors, form, rate, SECONDS))
            return sent

        self.rows[name].add(**measure(self.collector, send_form))
        self.rows[name].note = f"{sent['heartbeats'] / sent['datagrams']:.3g} a datagram, " \
                               f"{sent['bytes'] / sent['heartbeats']:.3g} bytes a heartbeat"

    def watched_turn(self):
        form, _, rate = FORMS["version 2"]
        with watch(self.collector, self.moments):
            self.whole.add(**measure(
                self.collector, lambda: send(self.collector, self.visitors, form, rate, SECONDS)))

    def round(self):
        for name in FORMS:
            report(f"edge: {self.visitors:,} visitors, {name}")
            self.turn(name)
        self.watched_turn()

    def whole_row(self):
        """Return version 2's moments on whole cores; none if there hardly were any."""
        shortest = shortest_work(self.moments)
        row, rate = Row(self.whole.what, self.whole.how), self.moments.rate(shortest)
        if rate:
            row.add(per_core=rate, dropped=self.whole.dropped)
            row.note = f"{self.moments.describe(shortest)} of 10 ms; " \
                       f"in all {number(self.whole.median())}"
        return row

    def judge(self, results, least=None):
        row = self.rows["version 2"]
        wanted = min(5 * self.rows["text"].median(), 3e6)
        of_text = f"{row.ratio(self.rows['text']):.3g} × text"
        what = f"as an edge sends, version 2, {self.visitors:,} visitors"
        results.at_least(10, f"{what}: heartbeats a CPU second, 5 × text or 3 M", row.median() / 1e6,
                         wanted / 1e6, "M", not row.dropped, of_text)
        if least:
            results.at_least(10, f"{what}: heartbeats a CPU second", row.median() / 1e6,
                             least / 1e6, "M", not row.dropped)


def run(results, quick):
    rounds = 5 if quick else 21
    with contextlib.ExitStack() as stack:
        sites = [Site(1_000_000), Site(10_000_000)]
        for site in sites:
            stack.callback(site.collector.close)
        for _ in range(rounds):
            for site in sites:
                site.round()
        sites[0].judge(results)
        sites[1].judge(results, 2e6)
    results.section("Heartbeats a CPU second as an edge sends them: 5,000 rooms by Zipf's law, 60 "
                    "countries, 40 % with a source; one a datagram 300,000/s, version 2 "
                    "1,500,000/s",
                    [row for site in sites for row in (*site.rows.values(), site.whole_row())])
