"""The dashboard of totals: the number, groups and shards, and what it leaves out."""

import os
import re
import unittest

from badge import seldom
from dashboard import CONTRAST, DESKTOP, DashboardCase
from harness import wait_until
from web import SITE
from web_totals import TotalsCase


class Totals(TotalsCase, DashboardCase):
    def begin_groups(self, *arguments):
        self.write("ams", {"": 9, "r/x": 5, "cDE": 3, "snews.example": 2})
        self.write("fra", {"": 1200, "r/x": 700, "cDE": 3}, {"": 34, "r/x": 4, "r/y": 1})
        return self.begin(*arguments)

    def open(self, query=""):
        self.browser.open(f"http://127.0.0.1:{self.web.port}/{query}")

    def groups(self):
        """The rows of the list of groups: [name, visitors, words]."""
        return self.browser.run("""
            return [...document.querySelectorAll('#groups li')].map((item) =>
                [...item.children].map((part) => part.textContent))
        """)

    def shown(self, selector):
        return self.browser.run("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def test_everything(self):
        """It shows the total, its lists and its groups; no feed, edges or page views, which totals lack."""
        self.begin_groups()
        self.open()
        self.wait_number("1,234")
        self.assertEqual(self.text("#mark"), "Live")
        wait_until(lambda: self.list("pages") == [["/x", "704"], ["/y", "1"]], lambda: self.list("pages"))
        self.assertEqual(self.list("countries"), [["Germany", "3"]])
        self.assertEqual(self.list("sources"), [["news.example", "2"]])
        groups = [["ams", "9", "whole"], ["fra", "1,234", "whole: 2 shards"]]
        wait_until(lambda: self.groups() == groups, self.groups)
        for line in r"Engine\s+Read", r"Groups\s+2 of 2 whole", r"Shards\s+3 of 3 fresh", r"Streams\s+Complete", \
                r"The number\s+Complete", r"This site\s+Heard\s+within a minute":
            self.wait_text("#health", line)
        self.assertEqual([selector for selector in ("#feed", "#pageviews", "#trend", "#peak-today")
                          if self.shown(selector)], [])
        self.wait_text("#groups", "of one collector only")
        self.wait_text("#groups", "presence-recorder --engine")

    def test_history(self):
        """With a database there are chart, table and peaks, without what totals lack."""
        self.begin_groups("--database", os.path.join(self.directory, "totals.db"))
        self.record()
        self.open()
        self.wait_number("1,234")
        wait_until(lambda: self.shown("#trend") and not self.shown("#no-history"), "the chart")
        self.wait_text("#peak-today", r"^1,234\s+at \d\d:\d\d$")
        wait_until(lambda: "1,234 at " in (self.content(".peak-name") or ""), "the peak in the chart")
        self.browser.run("document.querySelector('#trend details').open = true")
        wait_until(lambda: re.search(r"1,234\s+1,234\s+1,234\s+–\s+–\s+–", self.text("#rows") or ""),
                   lambda: self.text("#rows"))

    def test_pushed_and_left_out(self):
        """The number follows the stream; a group that isn't whole is named, with the shard and why."""
        self.begin_groups()
        self.open()
        self.wait_number("1,234")
        self.write("fra", {"": 2000}, {"": 345})
        self.wait_number("2,345")
        self.shards.write("fra", 2, 2, {300: {SITE: {"": 345}}}, age_ms=9000)
        self.wait_number("9")
        reason = "left out: shard 2 (fra-2) has been silent for"
        wait_until(lambda: any(reason in words for *_, words in self.groups()), self.groups)
        self.wait_text("#health", r"Groups\s+1 of 2 whole\s+fra left out")

    def test_engine_frozen(self):
        """The last number stays, greyed and stale; it says that the engine doesn't answer."""
        self.begin_groups()
        self.open()
        self.wait_number("1,234")
        wait_until(self.groups, "the groups")
        self.freeze_engine()
        self.wait_number("1,234", "stale")
        self.wait_text("#meaning", "^Last known, as of")
        self.wait_text("#health", r"Engine\s+No answer")
        self.engine.thaw()
        self.wait_number("1,234")

    def test_without_an_engine(self):
        """It says that there is none, and shows the busiest site once there is one."""
        self.tolerated = ("503",)
        self.engine.kill()
        self.begin()
        self.open()
        wait_until(lambda: self.mark() == "stale", self.mark)
        self.wait_text("#mark", "No totals")
        self.engine.start()
        self.write("ams", {"": 9})
        self.wait_number("9")

    @seldom
    def test_screens(self):
        """On each screen nothing overflows, and every text has the contrast of AA."""
        self.begin_groups()
        self.write("old", {"": 1}, {"": 1}, age_ms=9000)
        self.write("partial", {"": 8}, warming=1)
        self.open()
        self.wait_number("1,234")
        wait_until(lambda: len(self.groups()) == 4, self.groups)
        for size in DESKTOP, (390, 844), (820, 1180):
            for scheme in "light", "dark":
                self.browser.size(*size, phone=size[0] < 700)
                self.browser.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
                wait_until(lambda width=size[0]: self.browser.run("return innerWidth") == width, "the size")
                self.browser.settle()
                self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), size[0])
                judged, weak = self.browser.run(CONTRAST)
                self.assertEqual(weak, [], (size, scheme))
                self.assertGreater(judged, 30)

    @seldom
    def test_hostile_names(self):
        """Names of groups, hosts and sites are shown as text."""
        bad = "<img src=x onerror=alert(1)>"
        self.write("ams", {bad: {"": 3, f"r{bad}": 2}}, host=bad, stale=1)
        self.write("fra", {bad: {"": 3, f"r{bad}": 2}}, {bad: {"": 1}}, host=bad)
        self.begin()
        self.open()
        self.wait_number("4")
        wait_until(lambda: self.list("pages") == [[bad, "2"]], lambda: self.list("pages"))
        wait_until(lambda: any(bad in words for *_, words in self.groups()[:1]), self.groups)


if __name__ == "__main__":
    unittest.main()
