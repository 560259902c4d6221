"""The dashboard for Grafana: conforms to Grafana's own schema, and asks for metrics that there are."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest

import yaml

from exporter import ExporterCase
from harness import DEADLINE, native2, record, visitor, wait_until
from npm import MODULES
from presence_relay import Relay

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/presence-exporter")
SCHEMA = "@grafana/schema/dist/esm/raw"
PANELS = {"stat": "Stat", "gauge": "Gauge", "timeseries": "TimeSeries", "bargauge": "BarGauge"}
# JSON has texts where the schema has enumerations; queries are those of Grafana's Prometheus plugin.
TYPES = """
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T :
    T extends (infer U)[] ? Plain<U>[] : { [K in keyof T]: Plain<T[K]> };
interface Query {
    refId: string; datasource: { type: 'prometheus'; uid: string }; expr: string;
    legendFormat: string; instant?: boolean; range?: boolean; interval?: string;
}
type PanelOf<Options> = Plain<Omit<Panel, 'options' | 'targets'>> &
    { options: Plain<Options>; targets: Query[] };
"""
COMPILER = {"strict": True, "noEmit": True, "module": "nodenext", "moduleResolution": "nodenext",
            "skipLibCheck": True, "types": []}


def read_dashboard():
    with open(os.path.join(TOOL, "presence-dashboard.json"), encoding="utf-8") as file:
        return json.load(file)


def read_rules():
    """All rules of both files, of alerts and recordings."""
    rules = []
    for name in "presence.rules.yml", "presence-totals.rules.yml":
        with open(os.path.join(TOOL, name), encoding="utf-8") as file:
            rules += [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]
    return rules


def constant(name, type_, value, comment=""):
    return f"{comment}export const {name}: {type_} = {json.dumps(value)};\n"


def as_typescript(dashboard):
    """The dashboard as constants of Grafana's types, each panel with the options of its kind."""
    text = f"import type {{ Dashboard, Panel }} from '{SCHEMA}/dashboard/x/Dashboard_types.gen';\n"
    for kind, name in PANELS.items():
        text += (f"import type * as {kind} from "
                 f"'{SCHEMA}/composable/{kind}/panelcfg/x/{name}PanelCfg_types.gen';\n")
    text += TYPES + constant("dashboard", "Plain<Omit<Dashboard, 'panels'>>",
                             {key: value for key, value in dashboard.items() if key != "panels"})
    for panel in dashboard["panels"]:
        text += constant(f"panel{panel['id']}", f"PanelOf<{panel['type']}.Options>", panel)
    return text


def wrong_panels(panel):
    """Panels with a mistake each."""
    for path, value in ((("titel",), "x"), (("options", "colorMode"), "vlaue"),
                        (("options", "colour"), "value"), (("gridPos", "w"), "8"),
                        (("fieldConfig", "defaults", "unit"), 1), (("targets", 0, "exp"), "up"),
                        (("fieldConfig", "defaults", "thresholds", "mode"), "abs")):
        wrong = copy.deepcopy(panel)
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        yield wrong


@unittest.skipUnless(os.path.exists(os.path.join(MODULES, "@grafana/schema")),
                     "tests/run gets @grafana/schema from npm")
class Schema(unittest.TestCase):
    def test_conforms(self):
        dashboard = read_dashboard()
        text = as_typescript(dashboard)
        for number, panel in enumerate(wrong_panels(dashboard["panels"][0])):
            text += constant(f"wrong{number}", "PanelOf<stat.Options>", panel,
                             "// @ts-expect-error\n")
        with tempfile.TemporaryDirectory() as directory:
            os.symlink(MODULES, os.path.join(directory, "node_modules"))
            for name, content in (("check.ts", text), ("package.json", '{"type": "module"}'),
                                  ("tsconfig.json", json.dumps({"compilerOptions": COMPILER,
                                                                "files": ["check.ts"]}))):
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write(content)
            done = subprocess.run(["node", "node_modules/typescript/lib/tsc.js", "-p", "."],
                                  cwd=directory, capture_output=True, text=True,
                                  timeout=4 * DEADLINE)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_panels_are_apart(self):
        """Ids are unique, and no panel covers another or leaves the 24 columns."""
        taken = set()
        panels = read_dashboard()["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        for panel in panels:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(max(x for x, _ in cells), 23, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


class Metrics(ExporterCase):
    def test_exist(self):
        """Every metric that a panel, a variable or a rule names, with the labels it has."""
        self.send(self.start("--warm-up", "0"),
                  native2(record("a.example", [visitor(1)], room="/", country="DE",
                                 source="b.example"), stream=1, sequence=1))
        self.wait_received(1)
        exporter, labels = self.export(), {}
        wait_until(lambda: "presence_peak_visitors{" in self.text(exporter), "a peak")
        relay = Relay("--to", "A=127.0.0.1:9").wait_ready()
        self.addCleanup(relay.ensure_ended)
        for name, pairs in (*self.metrics(exporter), *self.metrics(relay)):
            labels.setdefault(name, {"job", "instance"}).update(label for label, _ in pairs)
        dashboard = read_dashboard()
        expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        self.assertTrue(all(panel["targets"] for panel in dashboard["panels"]))
        expressions += [variable["query"]["query"] for variable in dashboard["templating"]["list"]
                        if variable["type"] == "query"]
        for rule in read_rules():
            expressions.append(rule["expr"])
            if "record" in rule:  # it has labels that it names, not necessarily all
                labels[rule["record"]] = set(re.findall(r"\w+", " ".join(re.findall(
                    r" by \((.*?)\)", rule["expr"]))))
        # What Prometheus is told of each target.
        for name in [name for name in labels if ":" not in name]:
            labels[name] |= {"group", "shard"}
        self.assertGreater(len(expressions), 40)
        for expression in expressions:
            selectors = re.findall(r"\b(presence_[\w:]+)(?:\{([^}]*)\})?", expression)
            self.assertTrue(selectors or "up{" in expression, expression)
            for name, matchers in selectors:
                self.assertIn(name, labels, expression)
                self.assertLessEqual(set(re.findall(r"(\w+)(?:=|!)", matchers)), labels[name],
                                     expression)


if __name__ == "__main__":
    unittest.main()
