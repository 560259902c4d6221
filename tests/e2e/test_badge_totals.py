"""The badge in front of presence-web --engine: it shows totals, and hides while they are stale."""

import unittest

from badge import BadgeCase
from harness import wait_until
from web import SITE
from web_totals import TotalsCase


class Totals(TotalsCase, BadgeCase):
    def visit_totals(self):
        self.pages.base = f"http://127.0.0.1:{self.web.port}"
        return self.visit()

    def test_counts_and_shows(self):
        """It reports its visitor to a collector, and shows the total of all, as it changes."""
        self.begin_collector()
        window = self.visit_totals()
        self.wait_seen("1 viewing now")
        self.wait_asked(1)
        self.crowd(range(1233))
        self.wait_seen("1,234 viewing now", window)
        self.assertEqual(self.web.get(f"/api/sites/{SITE}/live-user-count").json["count"], 1234)

    def test_engine_frozen(self):
        """It hides when the engine has gone, and is back with it."""
        self.begin_collector()
        window = self.visit_totals()
        self.wait_seen("1 viewing now")
        self.freeze_engine()
        wait_until(lambda: self.seen(window) != "1 viewing now", "the badge to hide")
        self.engine.thaw()
        self.wait_seen("1 viewing now", window)


if __name__ == "__main__":
    unittest.main()
