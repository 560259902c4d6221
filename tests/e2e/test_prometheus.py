"""A real Prometheus with the documented configuration scrapes presence-exporter correctly."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

from certificates import Certificates, bcrypt
from documents import fenced, substitute
from exporter import ExporterCase
from harness import DEADLINE, free_port, native, program, visitor, wait_until
from presence_relay import Relay
from sign import signed

SITE = "example.com"
TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/presence-exporter")
RULES = os.path.join(TOOL, "presence.rules.yml")
TOTALS = os.path.join(TOOL, "presence-totals.rules.yml")
HOSTILE = '/<script>"\\n\\ {a="b"} # EOF'


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=DEADLINE,
                          cwd=TOOL)
    return done.returncode, done.stdout + done.stderr


class Rules(unittest.TestCase):
    def test_rules_are_clean(self):
        for rules, number in (RULES, 21), (TOTALS, 17):
            status, output = promtool("check", "rules", "--lint-fatal", rules)
            self.assertEqual(status, 0, output)
            self.assertRegex(output, rf"SUCCESS: {number} rules found")

    def test_they_judge_as_they_should(self):
        for tests in "presence.rules.test.yml", "presence-totals.rules.test.yml":
            status, output = promtool("test", "rules", tests)
            self.assertEqual(status, 0, output)


class WebConfiguration(ExporterCase):
    def test_agrees_with_promtool(self):
        """What Prometheus takes the exporter takes, and what it refuses the exporter refuses."""
        certificates = Certificates(self.directory)
        certificates.sign("exporter")
        path = os.path.join(self.directory, "web.yml")
        tls = "tls_server_config:\n  cert_file: exporter.pem\n  key_file: exporter.key\n"
        headers, users = "http_server_config:\n  headers:\n    ", "basic_auth_users:\n  "
        for text, good in (
                (fenced("yaml exporter web configuration"), True), ("", True), (tls, True),
                (tls + "  client_ca_file: ca.pem\n", False), (tls + "  min_version: TLS9\n", False),
                (tls + "  client_auth_type: RequireAnyClientCert\n", True),
                (tls + "  client_auth_type: Require\n", False), (tls + "  cert: x\n  x: y\n", False),
                (tls + "  client_ca_file: ca.pem\n  client_auth_type: VerifyClientCertIfGiven\n"
                 "  min_version: TLS10\n  max_version: TLS13\n", True),
                (tls.replace("exporter.key", "ca.key"), False), ("tls_server_config: {}\n", True),
                (tls.replace("exporter.key", "none.key"), False),
                (f"{headers}X-Frame-Options: deny\n", True), (f"{headers}Server: x\n", False),
                (f"{headers}X-Frame-Options: DENY\n", False), (f"{headers}X-XSS-Protection: 0\n", True),
                ("http_server_config:\n  http2: false\n", True), (f"{users}a: {bcrypt('x')}\n", True),
                (f"{users}a: $1$abc\n", False), ("basic_auth_users:\n", True), ("a: b\n", False)):
            with self.subTest(text=text):
                with open(path, "w") as file:
                    file.write(text)
                self.assertEqual(promtool("check", "web-config", path)[0] == 0, good)
                if good:
                    self.export("--web.config.file", path).stop()
                else:
                    with self.assertRaisesRegex(AssertionError, r"ended with 1: .*\.(yml|key):"):
                        self.export("--web.config.file", path)


class PrometheusCase(ExporterCase):
    def start_prometheus(self, configuration):
        directory = tempfile.TemporaryDirectory(prefix="presence-prometheus-")
        self.addCleanup(directory.cleanup)
        self.configured = os.path.join(directory.name, "prometheus.yml")
        self.write_configuration(configuration)
        self.port = free_port()
        log = open(os.path.join(directory.name, "log"), "w+")
        self.addCleanup(log.close)
        self.prometheus = process = self.enterContext(program(
            ["prometheus", f"--config.file={self.configured}", f"--storage.tsdb.path={directory.name}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log))

        def ready():
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(f"prometheus has ended: {log.read()}")
            try:
                return self.api("targets")["activeTargets"][0]["health"] == "up"
            except (OSError, IndexError):
                return False

        wait_until(ready, "Prometheus to have scraped")

    def write_configuration(self, text):
        with open(self.configured, "w") as file:
            file.write(text)
        status, output = promtool("check", "config", self.configured)
        self.assertEqual(status, 0, output)

    def configure(self, text):
        """Have it read another configuration."""
        self.write_configuration(text)
        self.prometheus.send_signal(signal.SIGHUP)

    def enterContext(self, context):  # unittest has it since Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def api(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}",
                                    timeout=DEADLINE) as response:
            answer = json.load(response)
        self.assertEqual(answer["status"], "success")
        return answer["data"]

    def query(self, expression):
        """Values by labels, as of now: {labels without job, instance and name: value}."""
        return {tuple(sorted((name, value) for name, value in result["metric"].items()
                             if name not in ("job", "instance", "__name__"))): float(result["value"][1])
                for result in self.api("query", query=expression)["result"]}

    def wait_value(self, expression, expected):
        wait_until(lambda: self.query(expression) == expected,
                   lambda: f"{expression} to be {expected}; it is {self.query(expression)}")

    def count(self, number, **labels):
        return {tuple(sorted({"site": SITE, "window": "5m", **labels}.items())): number}

    def assert_dashboard_works(self, instance, has_groups):
        """Every panel's query is one, and all but those of drops and trouble have an answer; those of
        several collectors where there are groups."""
        with open(os.path.join(TOOL, "presence-dashboard.json")) as file:
            dashboard = json.load(file)
        values = {"$job": "presence", "$instance": instance, "$site": ".*",
                  "$window": "5m", "$__rate_interval": "10s"}
        seen = 0
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                expression = re.sub(r"\$\w+", lambda match: values[match[0]], target["expr"])
                with self.subTest(panel=panel["title"], expression=expression):
                    if not has_groups and re.search(r"presence_(group|total):", expression):
                        self.assertEqual(self.query(expression), {})
                    elif "> 0" not in expression:  # a rate takes two scrapes
                        wait_until(lambda: self.query(expression), expression)
                    seen += 1
        self.assertGreater(seen, 10)
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                selector = re.search(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
                expression = re.sub(r"\$\w+", lambda match: values[match[0]], selector[1])
                wait_until(lambda: self.query(expression), variable["name"])


class Secured(PrometheusCase):
    def test_scrape_over_tls(self):
        """As documented: HTTPS and a password; the scrape is compressed, which Prometheus asks for."""
        certificates = Certificates(self.directory)
        certificates.sign("exporter")
        web = os.path.join(self.directory, "exporter-web.yml")
        text = fenced("yaml exporter web configuration")
        with open(web, "w") as file:
            file.write(substitute(text, password=(re.search(r"\$2y\S+", text)[0], bcrypt("right"))))
        password = os.path.join(self.directory, "password")
        with open(password, "w") as file:
            file.write("right\n")
        collector = self.start("--warm-up", "0")
        self.send(collector, native(SITE, [visitor(i) for i in range(5)]))
        self.exporter = self.export("--web.config.file", web)
        self.start_prometheus("global:\n  scrape_interval: 1s\n" + substitute(
            fenced("yaml prometheus over TLS"), authority=("/etc/prometheus/presence-ca.pem",
                                                           certificates.ca),
            password=("/etc/prometheus/presence-password", password),
            target=("collector.example:9474", f"localhost:{self.exporter.port}")))
        self.wait_value("presence_active_visitors", self.count(5))
        self.assertEqual(self.exporter.output().count("\n"), 1, self.exporter.output())
        with open(password, "w") as file:
            file.write("wrong\n")
        wait_until(lambda: "401" in self.api("targets")["activeTargets"][0]["lastError"],
                   "Prometheus to be refused")


class Prometheus(PrometheusCase):
    def setUp(self):
        super().setUp()
        self.collector = self.start("--warm-up", "0")
        self.exporter = self.export()
        self.start_prometheus(substitute(
            fenced("yaml prometheus"), target=("127.0.0.1:9474", f"127.0.0.1:{self.exporter.port}"),
            interval=("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s"),
            rules=("/etc/prometheus/rules/presence.rules.yml", RULES)))

    def test_values(self):
        self.send(self.collector, native(SITE, [visitor(i) for i in range(5)], room=HOSTILE,
                                         country="DE", source="news.example", kind=3))
        self.wait_value("presence_active_visitors", self.count(5))
        self.wait_value("presence_room_active_visitors", self.count(5, room=HOSTILE))
        self.wait_value("presence_country_active_visitors", self.count(5, country="DE"))
        self.wait_value("presence_source_active_visitors", self.count(5, source="news.example"))
        self.wait_value("presence_pageviews_total", {(): 5})
        self.wait_value('presence_heartbeats_total{outcome="new"}', {(("outcome", "new"),): 5})
        self.send(self.collector, native(SITE, [visitor(1)], kind=2), b"nonsense")
        self.wait_value("presence_active_visitors", self.count(4))
        self.wait_value("presence_datagrams_rejected_total > 0", {(("reason", "malformed"),): 1})
        self.wait_value("presence_up", {(): 1})
        # A busy machine may miss a scrape, whose timeout is a second.
        wait_until(lambda: [(target["health"], target["lastError"]) for target in
                            self.api("targets")["activeTargets"]] == [("up", "")],
                   lambda: f"a scrape without a fault: {self.api('targets')}")
        self.assert_dashboard_works(f"127.0.0.1:{self.exporter.port}", has_groups=False)
        # Its metadata has every type and help text.
        for name, (entry, *_) in self.api("metadata").items():
            if name.startswith("presence_"):
                self.assertIn(entry["type"], ("gauge", "counter", "info"), name)
                self.assertTrue(entry["help"], name)

        self.collector.stop()
        self.wait_value("presence_up", {(): 0})
        self.assertEqual(self.query("presence_active_visitors"), {})  # gone at once, and not 0
        self.assertEqual(self.query("presence_room_active_visitors"), {})
        self.start("--warm-up", "0")
        self.wait_value("presence_up", {(): 1})
        self.wait_value("presence_active_visitors", self.count(4))
        wait_until(lambda: self.rule_health() == {"ok"},
                   lambda: f"all rules to work: {self.rule_health()}")

    def rule_health(self):
        return {rule["health"] for group in self.api("rules")["groups"] for rule in group["rules"]}

    @unittest.skipUnless(os.environ.get("TEST_LONG"), "takes over a minute: TEST_LONG")
    def test_a_minute(self):
        """Each second another visitor: every sample is what was counted at its time."""
        counted = []  # (not before, not after, visitors)
        for number in range(65):
            before = time.time()
            self.send(self.collector, native(SITE, [visitor(number)]))
            self.wait_received(number + 1)
            counted.append((before, time.time(), number + 1))
            wait_until(lambda: time.time() >= before + 1, "the next second")
        end = time.time()
        selector = f'presence_active_visitors{{site="{SITE}"}}[70s]'
        result, = self.api("query", query=selector, time=end)["result"]
        samples = [(float(at), int(value)) for at, value in result["values"]]
        self.assertGreater(len(samples), 55)
        for at, value in samples:  # a scrape's time is when it began: it takes a moment
            least = max((n for _, after, n in counted if after <= at), default=0)
            most = max((n for before, _, n in counted if before <= at + 1), default=0)
            self.assertTrue(least <= value <= most, (at, least, value, most))
        self.assertGreater(samples[-1][1] - samples[0][1], 55)
        rate, = self.query("rate(presence_heartbeats_total{outcome='new'}[50s])").values()
        self.assertAlmostEqual(rate, 1, delta=0.1)
        self.assertEqual(self.query("min_over_time(presence_up[1m])"), {(): 1})


class Relays(PrometheusCase):
    """Two relays that disagree, and a sender whose clock is wrong, as the alerts' expressions see them."""

    KEY = bytes(range(16))

    def setUp(self):
        super().setUp()
        path = os.path.join(self.directory, "keys")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"7 {self.KEY.hex()}\n")
        self.collector = self.start("--warm-up", "0", "--keys", path)
        self.exporter = self.export()
        there = f"127.0.0.1:{self.collector.port}"
        nowhere = [f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}" for _ in range(2)]
        self.refused = nowhere[0]
        self.relays = [
            Relay("--to", f"A={there},{nowhere[0]}", "--to", f"B={nowhere[1]}").wait_ready(),
            Relay("--to", f"A={there}").wait_ready(),
        ]
        for relay in self.relays:
            self.addCleanup(relay.ensure_ended)
        self.start_prometheus(substitute(
            fenced("yaml prometheus") + fenced("yaml relays for prometheus"),
            target=("127.0.0.1:9474", f"127.0.0.1:{self.exporter.port}"),
            relays=("'127.0.0.1:9475'", ", ".join(f"'127.0.0.1:{relay.port}'" for relay in self.relays)),
            interval=("scrape_interval: 15s", "scrape_interval: 1s"),
            rules=("/etc/prometheus/rules/presence.rules.yml", RULES)))

    def test_alerts(self):
        rules = {rule["name"]: rule["query"] for group in self.api("rules")["groups"]
                 for rule in group["rules"]}
        self.wait_value(rules["PresenceRelayShardsDiffer"], {(("group", "A"),): 2})
        self.wait_value(rules["PresenceRelayGroupMissing"], {(("group", "B"),): 1})
        labels = ("group", "A"), ("shard", "2"), ("target", self.refused)
        wait_until(lambda: labels in self.query(rules["PresenceRelayTargetRefuses"]),
                   f"{self.refused} to refuse what shows that relays are alive")
        self.assertEqual(self.query(rules["PresenceRelayDown"]), {})
        self.assertEqual(self.query(rules["PresenceRelayOrderDiffers"]), {})
        self.assertEqual(self.query(rules["PresenceSenderClock"]), {})
        late = signed(native(SITE, [visitor(1)]), 7, self.KEY, int(time.time()) - 60)

        def is_stale():  # 60 of them in a minute would do
            self.send(self.collector, *[late] * 100)
            return self.query(rules["PresenceSenderClock"])

        wait_until(is_stale, "the clock to be seen to be wrong")


if __name__ == "__main__":
    unittest.main()
