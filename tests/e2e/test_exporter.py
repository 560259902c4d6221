"""presence-exporter: what it shows, in both formats, and what it does not while nothing is known."""

import grp
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from exporter import OPENMETRICS, PRESENCE_EXPORTER, VISITORS, ExporterCase
from harness import DEADLINE, clock_ahead, native, native2, visitor, wait_away_from_midnight, wait_until

SITE = "example.com"
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
# What differs from run to run.
VOLATILE = re.compile(r"^(presence_(?:tick_age_seconds|listening_seconds|segment_size_bytes|"
                      r"site_last_heartbeat_age_seconds\S*|receive_rearmed_total|history_scopes|"
                      r"events_thinned_total|"
                      r"peak_timestamp_seconds\S*)) \d+$|"
                      r'(presence_build_info\{version=)"[^"]*"', re.M)
HOSTILE = [
    "<script>alert(1)</script>", '"quoted"', "back\\slash", '\\"', "\\n", '{a="b"} 1', "# EOF",
    "a,b=c", "\u2028\u202e\u200b", "\U0001f600", "'; --", "%s%n", "a b", "é" * 127,
]


def run_exporter(*arguments):
    done = subprocess.run([PRESENCE_EXPORTER, *arguments], capture_output=True, text=True,
                          timeout=DEADLINE)
    return done.returncode, done.stdout, done.stderr


class Scrapes(ExporterCase):
    def setUp(self):
        super().setUp()
        wait_away_from_midnight()

    def populate(self, *arguments):
        collector = self.start("--warm-up", "0", "--receive", "recvmmsg", "--workers", "1",
                               *arguments)
        self.send(collector,
                  native(SITE, [visitor(1), visitor(2)], room="/pricing", country="DE",
                         source="news.example", kind=3),
                  native(SITE, [visitor(2), visitor(3)], room='/a "quoted" \\ <b>é</b>', country="FR"),
                  native("b.example", [visitor(1)]), native("b.example", [visitor(1)]),
                  native("b.example", [visitor(9)], kind=4, event="signup"),
                  native("b.example", [visitor(77)], kind=2), b"PH1 site=x", b"PH1 nothing=1", b"PH\x09")
        self.wait_received(9)
        return collector

    def assert_golden(self, text, name):
        path = os.path.join(GOLDEN, name)
        text = VOLATILE.sub(lambda match: (match[1] or match[2]) + " *", text)
        if os.environ.get("TEST_GOLDEN"):  # write it anew, to be read before it is committed
            with open(path, "w") as golden:
                golden.write(text)
        with open(path) as golden:
            self.assertEqual(text, golden.read(), f"{path} differs")

    def test_golden_scrapes(self):
        self.populate()
        exporter = self.export("--window", "1m", "--window", "500", "--window", "9m")
        for site, peak in (SITE, 3), ("b.example", 2):
            self.wait_peak(exporter, site, peak)
        self.assert_golden(self.text(exporter), "exporter.txt")
        self.assert_golden(self.text(exporter, OPENMETRICS), "exporter.openmetrics")

    def wait_peak(self, exporter, site, peak):
        """Peaks are sampled once a second."""
        for period in "today", "ever":
            wait_until(lambda: self.value(exporter, "presence_peak_visitors", site=site,
                                          period=period, window="5m") == peak,
                       f"the peak of {site} {period} to be {peak}")

    def test_peaks_stay(self):
        begin = int(time.time())
        collector = self.populate()
        exporter = self.export()
        self.wait_peak(exporter, SITE, 3)
        self.send(collector, native(SITE, [visitor(1), visitor(2)], kind=2))
        wait_until(lambda: self.value(exporter, "presence_active_visitors", site=SITE,
                                      window="5m") == 1, "two to have left")
        self.wait_peak(exporter, SITE, 3)
        at = self.value(exporter, "presence_peak_timestamp_seconds", site=SITE, period="ever",
                        window="5m")
        self.assertTrue(begin - 1 <= at <= time.time() + 1, (begin, at, time.time()))

    def test_promtool_finds_nothing(self):
        self.populate()
        exporter = self.export()
        self.wait_peak(exporter, SITE, 3)
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text(exporter),
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_both_formats_say_the_same(self):
        self.populate()
        exporter = self.export("--window", "1m", "--window", "5m")
        plain, openmetrics = {}, {}

        def are_the_same():  # what workers have seen is published within a second
            for metrics, wanted in (plain, False), (openmetrics, True):
                metrics.clear()
                metrics.update((key, value)
                               for key, value in self.metrics(exporter, wanted).items()
                               if not key[0].endswith("_seconds") and "peak" not in key[0])
            return plain == openmetrics

        wait_until(are_the_same, lambda: f"both to say the same, not "
                                         f"{set(plain.items()) ^ set(openmetrics.items())}")
        self.assertEqual(plain["presence_active_visitors", (("site", SITE), ("window", "5m"))], 3)

    def test_negotiation(self):
        exporter = self.export()
        prometheus = ("application/openmetrics-text;version=1.0.0,"
                      "application/openmetrics-text;version=0.0.1;q=0.75,"
                      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        for accept, expected in ((prometheus, "openmetrics"), (OPENMETRICS, "openmetrics"),
                                 ("text/html,*/*;q=0.8", "plain"), ("*/*", "plain"),
                                 ("text/plain", "plain")):
            _, headers, body = exporter.get("/metrics", Accept=accept)
            self.assertIn(expected, headers["Content-Type"], accept)
            self.assertEqual(headers["Vary"], "Accept, Accept-Encoding")
            self.assertEqual(body.endswith(b"# EOF\n"), expected == "openmetrics")

    def stream_samples(self, exporter, figure):
        """A figure of each stream that is shown: {(address, key, stream, target): value}."""
        name = f"presence_stream_datagrams_{figure}_total"
        return {tuple(dict(labels)[label] for label in ("address", "key", "stream", "target")): value
                for (sample, labels), value in self.metrics(exporter).items() if sample == name}

    def test_streams(self):
        collector = self.start("--warm-up", "0")
        exporter = self.export()
        self.assertEqual((self.stream_samples(exporter, "expected"),
                          self.value(exporter, "presence_streams_not_shown")), ({}, 0))
        self.send(collector, *(native2(stream=0xabc, target=3, sequence=n) for n in (1, 2, 5)),
                  native2(stream=0xdef, sequence=7))
        wait_until(lambda: len(self.stream_samples(exporter, "expected")) == 2, "both streams")
        first, second = (("127.0.0.1", "0", f"{stream:016x}", target)
                         for stream, target in ((0xabc, "3"), (0xdef, "0")))
        self.assertEqual(self.stream_samples(exporter, "expected"), {first: 5, second: 1})
        self.assertEqual(self.stream_samples(exporter, "received"), {first: 3, second: 1})

    def test_two_hundred_streams_are_shown(self):
        collector = self.start("--warm-up", "0")
        exporter = self.export()
        for stream in range(1, 204):
            self.send(collector, native2(stream=stream, sequence=1))
        wait_until(lambda: self.value(exporter, "presence_streams_not_shown") == 3,
                   "three not to be shown")
        self.assertEqual(len(self.stream_samples(exporter, "received")), 200)

    def test_a_collector_without_streams(self):
        self.start("--max-streams", "0")
        exporter = self.export()
        self.wait_up(exporter)
        self.assertNotIn("presence_stream_", self.text(exporter))
        self.assertNotIn("presence_streams_not_shown", self.text(exporter))

    @unittest.skipIf(os.geteuid(), "needs root, for a time namespace")
    def test_a_stream_is_shown_for_an_hour(self):
        collector = self.start("--warm-up", "0")
        self.send(collector, native2(stream=1, sequence=1))
        wait_until(lambda: self.stats()["streams_received"] == 1, "it to be received")
        collector.stop()
        for ahead, shown in (3500, 1), (3700, 0):
            with clock_ahead(ahead):
                collector = self.start("--warm-up", "0")
                exporter = self.export()
                self.wait_up(exporter)
                self.assertEqual(len(self.stream_samples(exporter, "received")), shown)
                exporter.stop()
                collector.stop()

    def test_counters_are_presencectl_stats(self):
        self.populate()
        samples = self.metrics(self.export())
        stats = self.stats()
        for (name, labels), value in samples.items():
            if not name.endswith("_total"):
                continue
            base = name.removeprefix("presence_").removesuffix("_total")
            if labels:
                base = {"datagrams_rejected": "datagrams_rejected_", "xdp_dropped": "xdp_dropped_",
                        "heartbeats": "heartbeats_", "labels_dropped": "label_"}[base] + labels[0][1]
            candidates = [base, base.removeprefix("heartbeats_"), base.removeprefix("label_")]
            counter = next(name for name in candidates if name in stats)
            self.assertEqual(stats.pop(counter), value, counter)
        self.assertEqual(stats, {})  # every counter is shown once

    def test_values_are_of_the_scrape(self):
        collector = self.populate()
        exporter = self.export()
        for count in range(4, 10):
            self.send(collector, native(SITE, [visitor(count)]))
            self.wait_received(count + 6)
            self.assertEqual(self.value(exporter, "presence_active_visitors", site=SITE,
                                        window="5m"), count)

    def test_series_are_bounded(self):
        """Over all sites, the busiest; and it is said how many there are."""
        collector = self.start("--max-scopes", "4096", "--warm-up", "0")
        for site in range(12):
            for room in range(20):
                self.send(collector, native(f"{site}.example", [visitor(i) for i in range(room + 1)],
                                            room=f"/{room}", source=f"{room}.example", country="DE"))
        self.wait_received(240)
        exporter = self.export("--rooms", "7", "--sites", "3", "--countries", "0",
                               "--window", "1m", "--window", "5m")
        samples = self.metrics(exporter)
        shown = {name: [(labels, value) for (sample, labels), value in samples.items()
                        if sample == name] for name in VISITORS}
        self.assertEqual([len(shown[name]) for name in VISITORS], [2 * 3, 2 * 7, 0, 2 * 100])
        self.assertEqual({value for _, value in shown["presence_room_active_visitors"]}, {20})
        for kind, total in ("site", 12), ("room", 240), ("country", 12), ("source", 240):
            self.assertEqual(samples["presence_active_scopes", (("kind", kind),)], total)
        fewer = self.metrics(self.export("--sources", "5", "--sites", "100000", "--window", "1m"))
        self.assertEqual([sum(sample == name for sample, _ in fewer) for name in VISITORS], [12, 100, 12, 5])

    def test_windows(self):
        self.populate("--max-window", "600")
        given = "1h", "599", "90s", "1m", "2m", "3m", "4m", "5m"  # as many as there may be
        exporter = self.export(*(word for window in given for word in ("--window", window)))
        windows = {dict(labels)["window"] for name, labels in self.metrics(exporter)
                   if name == "presence_active_visitors"}
        self.assertEqual(windows, {"10m", *given[2:]})  # 1 h is longer than is counted

    def test_hostile_names(self):
        collector = self.start("--warm-up", "0")
        for number, name in enumerate(HOSTILE):
            self.send(collector, native(name[:100], [visitor(number)], room=name, source=name[:100]))
        self.wait_received(len(HOSTILE))
        exporter = self.export()
        for openmetrics in False, True:
            samples = self.metrics(exporter, openmetrics)
            rooms = {dict(labels)["room"] for name, labels in samples
                     if name == "presence_room_active_visitors"}
            self.assertEqual(rooms, set(HOSTILE))
        self.assertNotIn(b"<script>", exporter.get("/")[2])
        self.assertNotIn("script", exporter.output())


class Silence(ExporterCase):
    def assert_down(self, exporter):
        samples = self.metrics(exporter)
        self.assertEqual(samples["presence_up", ()], 0)
        names = {name for name, _ in samples}
        self.assertFalse(names & {*VISITORS, "presence_site_last_heartbeat_age_seconds",
                                  "presence_table_entries", "presence_warming",
                                  "presence_peak_visitors"}, names)
        self.metrics(exporter, openmetrics=True)
        return names

    def test_no_segment_then_one(self):
        exporter = self.export()
        self.assertEqual(self.assert_down(exporter), {"presence_up", "presence_build_info"})
        self.assertRegex(exporter.output(), "cannot read the segment .*: no such file: start presenced")
        collector = self.start()
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        samples = self.metrics(exporter)
        self.assertEqual(samples["presence_up", ()], 1)
        self.assertEqual(samples["presence_warming", ()], 1)
        self.assertEqual(samples["presence_active_visitors", (("site", SITE), ("window", "5m"))], 1)
        self.assertIn("reading the segment", exporter.output())
        self.assertEqual(exporter.output().count("cannot read"), 1)

    def test_stopped_and_another_one(self):
        """Also one of another size, which replaces the segment."""
        collector = self.start("--warm-up", "0")
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        exporter = self.export()
        self.wait_up(exporter)
        self.assertEqual(self.value(exporter, "presence_warming"), 0)
        collector.stop()
        names = self.assert_down(exporter)
        self.assertIn("presence_datagrams_received_total", names)  # as of its end
        self.assertIn("presence_tick_age_seconds", names)
        collector = self.start("--max-entries", "20000", small=False)
        self.wait_up(exporter)
        self.assertEqual(self.value(exporter, "presence_table_capacity_entries"), 20000)
        collector.stop()
        os.unlink(self.segment)
        self.assert_down(exporter)
        self.start()
        self.wait_up(exporter)

    def test_frozen(self):
        collector = self.start("--warm-up", "0")
        exporter = self.export()
        self.wait_up(exporter)
        collector.freeze()
        wait_until(lambda: not self.is_up(exporter), "the tick to be over 3 s old")
        self.assert_down(exporter)
        self.assertGreater(self.value(exporter, "presence_tick_age_seconds"), 3)
        collector.thaw()
        self.wait_up(exporter)

    @unittest.skipIf(os.geteuid(), "needs root, for a time namespace")
    def test_in_another_time_namespace(self):
        """The clocks of exporter and collector differ; no number is said to be of another time."""
        collector = self.start("--warm-up", "0")
        with clock_ahead(5000):
            exporter = self.export()
        self.wait_up(exporter)
        collector.stop()
        with clock_ahead(100):  # of another size: the segment is opened anew, confined as it is
            collector = self.start("--warm-up", "0", "--max-entries", "20000", small=False)
        self.wait_up(exporter)
        wait_until(lambda: self.value(exporter, "presence_tick_age_seconds") < 4, "the same clock")
        collector.stop(signal.SIGKILL)
        wait_until(lambda: not self.is_up(exporter), "the tick to be over 3 s old")

    def test_damaged(self):
        with open(self.segment, "wb") as file:
            file.write(b"something else" * 1000)
        exporter = self.export()
        self.assert_down(exporter)
        self.assertIn("not a presence segment", exporter.output())
        os.unlink(self.segment)
        self.start()
        self.wait_up(exporter)


class Program(ExporterCase):
    def test_usage(self):
        for arguments, pattern in (
            (["--web.listen-address", "nowhere"], "HOST:PORT"),
            (["--web.listen-address", "127.0.0.1:70000"], "HOST:PORT"),
            (["--web.telemetry-path", "metrics"], "path such as /metrics"),
            (["--web.telemetry-path", "/<script>"], "path such as /metrics"),
            (["--web.telemetry-path", "/-/healthy"], "path such as /metrics"),
            (["--window", "2h"], "1 s to 1 h"), (["--window", "0"], "1 s to 1 h"),
            (["--window", "4294967297"], "1 s to 1 h"), (["--window", "1m"] * 9, "8 times"),
            (["--rooms", "-1"], "whole number"), (["--rooms", "100001"], "whole number"),
            (["--sites", ""], "whole number"), (["--segment", ""], "path"),
            (["--nonsense"], "nonsense"), (["argument"], "unexpected argument"),
        ):
            with self.subTest(arguments=arguments):
                status, out, err = run_exporter(*arguments)
                self.assertEqual((status, out, err.count("\n")), (2, "", 1), err)
                self.assertRegex(err, "presence-exporter: .*" + pattern)

    def test_port_in_use(self):
        exporter = self.export()
        status, out, err = run_exporter("--web.listen-address", f"127.0.0.1:{exporter.port}")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Apresence-exporter: cannot listen on \S+: Address already in use\n\Z")

    def test_pages(self):
        exporter = self.export("--web.telemetry-path", "/presence/metrics")
        status, headers, body = exporter.get("/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn(b'href="/presence/metrics"', body)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(exporter.get("/presence/metrics")[0], 200)
        self.assertEqual(exporter.get("/metrics")[0], 404)
        self.assertEqual(exporter.get("/-/healthy")[0], 200)
        status, headers, _ = exporter.get("/-/healthy", method="POST")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))
        status, headers, body = exporter.get("/presence/metrics", method="HEAD")
        self.assertEqual((status, body), (200, b""))
        self.assertGreater(int(headers["Content-Length"]), 0)

    def test_addresses(self):
        for address in "[::1]:0", "localhost:0", ":0":
            with self.subTest(address=address):
                exporter = self.export("--web.listen-address", address)
                self.assertEqual(exporter.get("/-/healthy")[0], 200)
                self.assertEqual(exporter.stop(), 0)

    def test_stops(self):
        for how in signal.SIGTERM, signal.SIGINT:
            exporter = self.export()
            with exporter.connect():
                exporter.process.send_signal(how)
                self.assertEqual(exporter.process.wait(timeout=DEADLINE), 0)

    def test_gives_up_privileges(self):
        exporter = self.export()
        with open(f"/proc/{exporter.process.pid}/status") as file:
            status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        for name in "CapInh", "CapPrm", "CapEff", "CapAmb":
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")

    @unittest.skipIf(os.geteuid(), "needs root, to become somebody else")
    def test_needs_only_to_read_the_segment(self):
        collector = self.start("--warm-up", "0")
        self.assertEqual(os.stat(self.segment).st_mode & 0o777, 0o640)
        os.chmod(self.directory, 0o755)
        program = shutil.copy(PRESENCE_EXPORTER, self.directory)

        def become(groups):
            def change():
                os.setgroups(groups)
                os.setgid(65534)
                os.setuid(65534)
            return change

        group = os.stat(self.segment).st_gid
        self.wait_up(self.export(program=program, preexec=become([group])))
        stranger = self.export(program=program, preexec=become([]))
        self.assertFalse(self.is_up(stranger))
        give = ", or give it to the group presence" if "presence" in (one.gr_name for one in grp.getgrall()) else ""
        self.assertRegex(stranger.output(), f"permission denied: only root may read it; run as root{give}\n")
        self.assertIsNone(collector.process.poll())


if __name__ == "__main__":
    unittest.main()
