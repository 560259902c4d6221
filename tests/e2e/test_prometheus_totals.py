"""A real Prometheus makes one number of three shards and a copy, each a real collector with its exporter,
and says when it can't."""

import os
import signal
import time
import unittest

from documents import fenced, substitute
from exporter import PRESENCE_EXPORTER
from harness import SMALL, Collector, native, visitor, wait_until
from http_program import HttpProgram
from presence_relay import Relay
from test_prometheus import SITE, TOTALS, PrometheusCase

SHARDS = ("A", "1"), ("A", "2"), ("A", "3"), ("B", "1")
PLACES = {shard: f"10.0.0.{number}:9474" for shard, number in zip(SHARDS, (21, 22, 23, 31))}
VISITORS = 300


class Totals(PrometheusCase):
    def setUp(self):
        super().setUp()
        self.collectors, self.exporters = {}, {}
        for shard in SHARDS:
            self.start_collector(shard)
            self.start_exporter(shard)
        group_a = ",".join(f"127.0.0.1:{self.collectors[shard].port}" for shard in SHARDS[:3])
        self.relay = Relay("--to", f"A={group_a}", "--to",
                           f"B=127.0.0.1:{self.collectors['B', '1'].port}").wait_ready()
        self.addCleanup(self.relay.ensure_ended)
        # A test doesn't wait for two minutes until Prometheus knows its targets.
        self.rules = os.path.join(self.directory, "totals.yml")
        with open(TOTALS, encoding="utf-8") as file, open(self.rules, "w", encoding="utf-8") as copy:
            copy.write(substitute(file.read(), patience=("offset 2m", "offset 2s")))
        self.start_prometheus(self.configuration())

    def path(self, shard):
        return os.path.join(self.directory, "-".join(shard), "segment")

    def start_collector(self, shard):
        port = self.collectors[shard].port if shard in self.collectors else 0
        collector = Collector(self.path(shard), *SMALL, "--warm-up", "0", listen=f"127.0.0.1:{port}")
        collector.judge = self.assert_account_closes
        self.addCleanup(self.ensure_ended, collector)
        self.collectors[shard] = collector.wait_ready()

    def start_exporter(self, shard):
        """Start one with the file of the document, at a free port."""
        path = os.path.join(self.directory, f"{'-'.join(shard)}.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(substitute(fenced("ini engine exporter"), address=("= 10.0.0.21:9474", "= 127.0.0.1:0")))
        exporter = HttpProgram([PRESENCE_EXPORTER, "--config", path, "--segment", self.path(shard)])
        self.addCleanup(exporter.ensure_ended)
        self.exporters[shard] = exporter.wait_ready()

    def configuration(self):
        """The file of the document, with the addresses of this test."""
        return substitute(
            fenced("yaml topology groups"),
            interval=("scrape_interval: 15s\n  evaluation_interval: 15s",
                      "scrape_interval: 1s\n  evaluation_interval: 1s"),
            rules=("/etc/prometheus/rules/*.yml", self.rules),
            relays=("'10.0.0.11:9475', '10.0.0.12:9475'", f"'127.0.0.1:{self.relay.port}'"),
            **{"-".join(shard): (place, f"127.0.0.1:{self.exporters[shard].port}")
               for shard, place in PLACES.items()})

    def send_everybody(self):
        """Have the relay report all visitors, half of them in a room, by a source and from a country."""
        everybody = [visitor(number) for number in range(VISITORS)]
        for begin in range(0, VISITORS, 50):
            labels = {"room": "/pricing", "country": "DE", "source": "news.example"} if begin % 100 else {}
            self.socket.sendto(native(SITE, everybody[begin:begin + 50], **labels),
                               ("127.0.0.1", self.relay.relay_port))

    def wait_groups(self, **numbers):
        """Wait until these groups have these numbers, and no others have one."""
        expected = {}
        for group, number in numbers.items():
            expected.update(self.count(number, group=group))

        def found():
            whole = {dict(labels)["group"] for labels, value in
                     self.query(fenced("promql engine groups")).items() if value}
            return self.query("presence_group:active_visitors"), whole

        # A busy machine may miss a scrape, whose timeout is a second.
        wait_until(lambda: found() == (expected, set(numbers)), lambda: f"{numbers}, not {found()}")

    def test_parts_die(self):
        self.send_everybody()
        self.wait_groups(A=VISITORS, B=VISITORS)
        self.wait_value("presence_total:active_visitors", self.count(VISITORS))
        begin = time.time()
        parts = 'count(presence_shard:active_visitors{group="A"} > 60)'
        self.wait_value(parts, {(): 3})
        for kind, name in ("room", "/pricing"), ("country", "DE"), ("source", "news.example"):
            self.wait_value(f"presence_total:{kind}_active_visitors", self.count(VISITORS // 2, **{kind: name}))
        self.wait_value("presence_total:incomplete", {(("site", SITE),): 0})
        self.assert_dashboard_works(f"127.0.0.1:{self.exporters['A', '1'].port}", has_groups=True)

        with self.subTest("a shard is no target any more"):
            self.configure(substitute(self.configuration(), shard=(
                f"      - targets: ['127.0.0.1:{self.exporters['A', '3'].port}']\n"
                "        labels: {group: A, shard: '3'}\n", "")))
            self.wait_groups(B=VISITORS)
            self.configure(self.configuration())
            self.wait_groups(A=VISITORS, B=VISITORS)
        with self.subTest("a shard is killed, and comes back with its segment"):
            self.collectors["A", "2"].stop(signal.SIGKILL)
            self.wait_groups(B=VISITORS)
            self.start_collector(("A", "2"))
            self.wait_groups(A=VISITORS, B=VISITORS)
        with self.subTest("the copy's exporter ends"):
            self.exporters["B", "1"].stop()
            self.wait_groups(A=VISITORS)
        # Through all that the total has not moved.
        samples, = self.api("query", query=f"presence_total:active_visitors[{int(time.time() - begin)}s]")["result"]
        self.assertEqual({value for _, value in samples["values"]}, {str(VISITORS)})
        with self.subTest("all are killed"):
            for collector in self.collectors.values():
                collector.stop(signal.SIGKILL)
            self.wait_groups()
            self.wait_value("presence_total:active_visitors", {})  # absent, and not 0
            self.wait_value("presence_group:whole", {(("group", "A"),): 0, (("group", "B"),): 0})
            wait_until(lambda: self.query('ALERTS{alertname="PresenceTotalUnknown"}'), "the alert to begin")


if __name__ == "__main__":
    unittest.main()
