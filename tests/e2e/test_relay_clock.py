"""A relay whose clock is wrong: what it signs is rejected as stale, and the documented alert fires."""

import json
import os
import re
import subprocess
import tempfile
import time
import unittest

from exporter import ExporterCase
from harness import BUILD, DEADLINE, wait_until
from presence_relay import RelayCase
from test_prometheus import RULES

CLOCK_OFF = os.path.join(os.path.abspath(BUILD), "tests/e2e/clock_off.so")
SITE = "clock.example"
KEYS = "3 00112233445566778899aabbccddeeff\n"
STALE = "presence_datagrams_rejected_total"


class Clock(RelayCase, ExporterCase):
    def setUp(self):
        super().setUp()
        self.keys = self.write("keys", KEYS)
        self.collector = self.start("--keys", self.keys)

    def relay_off_by(self, seconds):
        environment = {"LD_PRELOAD": CLOCK_OFF, "CLOCK_OFF_S": str(seconds)}
        return self.relay("--to", f"main={self.collector.address}", "--key-file", self.keys,
                          environment=environment)

    def beat(self, relay, name):
        heartbeat = f"PH1 site={SITE} visitor={name}"
        self.socket.sendto(heartbeat.encode(), ("127.0.0.1", relay.relay_port))

    def is_seen(self, name):
        return self.ctl("seen", SITE, name)[0] == 0

    def heartbeats(self, relay):
        return relay.value("target_heartbeats_total", group="main", shard="1",
                           target=self.collector.address)

    def test_a_wrong_clock(self):
        for seconds in 60, -60:
            with self.subTest(seconds=seconds):
                relay = self.relay_off_by(seconds)
                before = self.stats()
                self.beat(relay, "somebody")
                wait_until(lambda: self.heartbeats(relay) == 1, "the relay to hand it over")
                wait_until(lambda: self.stats()["datagrams_rejected_stale"] >
                           before["datagrams_rejected_stale"] + 1, "stale datagrams")
                stats = self.stats()
                self.assertEqual(stats["datagrams_accepted"], before["datagrams_accepted"])
                self.assertFalse(self.is_seen("somebody"))
                self.assertEqual(relay.stop(), 0)

    def test_a_clock_that_is_good_enough(self):
        for seconds in 20, -20, 0:
            with self.subTest(seconds=seconds):
                relay = self.relay_off_by(seconds)
                self.beat(relay, f"somebody{seconds}")
                wait_until(lambda: self.is_seen(f"somebody{seconds}"), "the heartbeat to count")
                self.assertEqual(self.stats()["datagrams_rejected_stale"], 0)
                self.assertEqual(relay.stop(), 0)

    # ---- the alert ----

    def stale_rate(self, exporter, at_least):
        """Wait until so many more are stale; returns how many a second."""
        def stale():
            page = self.text(exporter)
            return int(re.search(rf'^{STALE}{{reason="stale"}} (\d+)$', page, re.M)[1])

        first, begin = stale(), time.monotonic()
        last = wait_until(lambda: stale() >= first + at_least and stale(), "datagrams to be stale")
        return (last - first) / (time.monotonic() - begin)

    def alerts(self, rate):
        """Whether the alert fires within some minutes of so many stale datagrams a second."""
        series = f'{STALE}{{instance="c", job="presence", reason="stale"}}'
        tests = {"rule_files": [os.path.abspath(RULES)], "evaluation_interval": "15s", "tests": [{
            "interval": "15s",
            "input_series": [{"series": series, "values": f"0+{15 * rate}x40"}],
            "promql_expr_test": [{
                "expr": 'ALERTS{alertname="PresenceSenderClock",alertstate="firing"}',
                "eval_time": "8m",
                "exp_samples": [{"value": 1, "labels": 'ALERTS{alertname="PresenceSenderClock",'
                                 'alertstate="firing",instance="c",job="presence",'
                                 'severity="warning"}'}]}]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(tests, file)  # which is YAML, too
            file.flush()
            done = subprocess.run(["promtool", "test", "rules", file.name], capture_output=True,
                                  text=True, timeout=DEADLINE)
        return done.returncode == 0

    def test_the_alert(self):
        """A relay with nobody to report is enough for it: it shows that it is alive."""
        exporter = self.export()
        self.relay_off_by(60)
        rate = self.stale_rate(exporter, 5)
        print(f"{rate:.2f} stale datagrams a second of an idle relay")
        self.assertTrue(self.alerts(rate), f"{rate} a second and no alert")
        self.assertFalse(self.alerts(0))


if __name__ == "__main__":
    unittest.main()
