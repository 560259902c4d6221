"""What the tests of presence-exporter share: a running one, and its metrics as a dictionary."""

import os

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from harness import BUILD, Case, wait_until, with_defaults
from http_program import HttpProgram

PRESENCE_EXPORTER = os.path.join(BUILD, "tools/presence-exporter/presence-exporter")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
VISITORS = ("presence_active_visitors", "presence_room_active_visitors",
            "presence_country_active_visitors", "presence_source_active_visitors")


class ExporterCase(Case):
    def export(self, *arguments, program=PRESENCE_EXPORTER, **keywords):
        """Start an exporter of the test's segment."""
        defaults = "--segment", self.segment, "--web.listen-address", "127.0.0.1:0"
        exporter = HttpProgram([program, *with_defaults(defaults, arguments)], **keywords)
        self.addCleanup(exporter.ensure_ended)
        return exporter.wait_ready()

    def text(self, exporter, accept="text/plain"):
        status, headers, body = exporter.get("/metrics", Accept=accept)
        self.assertEqual(status, 200, body)
        return body.decode()

    def metrics(self, exporter, openmetrics=False):
        """All samples: {(name, ((label, value), ...)): value}, labels in order of their names."""
        text = self.text(exporter, OPENMETRICS if openmetrics else "text/plain")
        samples = {}
        for family in (parse_openmetrics if openmetrics else parse_text)(text):
            for sample in family.samples:
                key = sample.name, tuple(sorted(sample.labels.items()))
                self.assertNotIn(key, samples)
                samples[key] = sample.value
        return samples

    def value(self, exporter, name, **labels):
        """One sample's value, or None."""
        return self.metrics(exporter).get((name, tuple(sorted(labels.items()))))

    def is_up(self, exporter):
        return self.value(exporter, "presence_up") == 1

    def wait_up(self, exporter):
        wait_until(lambda: self.is_up(exporter), "the exporter to find a fresh segment")
