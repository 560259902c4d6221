"""The dashboard's health: edges that are alive, that fell silent, and that lose datagrams."""

import unittest

from dashboard import CONTRAST, DashboardCase
from harness import wait_until
from senders import Edge


class Edges(DashboardCase):
    def edge(self, address):
        return Edge(self, self.collector, address)

    def level(self, name):
        """The level of a line of the health section."""
        return self.browser.run("""
            return [...document.querySelectorAll('#health dl > div')]
                .find((line) => line.firstChild.textContent === arguments[0])?.dataset.level
        """, name)

    def test_silence(self):
        """presence-web itself is one of those that say that they are alive."""
        self.begin()
        self.audience()
        with self.edge("127.0.0.2").kept_alive():
            with self.edge("127.0.0.3").kept_alive():
                self.open()
                self.wait_text("#health", r"Edges\s+3 alive\s+nothing lost")
                self.assertEqual(self.level("Edges"), "good")
            self.wait_text("#health", r"Edges\s+2 alive\s+127\.0\.0\.3 silent for \d+ s")
            self.assertEqual(self.level("Edges"), "bad")
            wait_until(lambda: self.browser.run(CONTRAST)[1] == [], "its colour to be the last one")
            with self.edge("127.0.0.3").kept_alive():
                self.wait_text("#health", r"Edges\s+3 alive\s+nothing lost")
        self.wait_text("#health", r"Edges\s+1 alive\s+2 silent")

    def test_loss(self):
        self.begin()
        self.audience()
        with self.edge("127.0.0.2").kept_alive(loses=3), self.edge("127.0.0.3").kept_alive():
            self.open()
            self.wait_text("#health", r"Edges\s+3 alive\s+\d\d% of 127\.0\.0\.2 lost")
            self.assertEqual(self.level("Edges"), "warn")

    def test_a_collector_without_streams(self):
        self.tolerated = ("503",)
        self.begin(daemon=("--warm-up", "0", "--max-streams", "0"))
        self.audience()
        self.open()
        self.wait_text("#health", r"Edges\s+–\s+none says it is alive")
        self.assertEqual(self.level("Collector"), "good")


if __name__ == "__main__":
    unittest.main()
