"""A page as ts-analytics documents it, with presence-web in place of its API, in Chromium."""

import os
import unittest

from clients import ClientCase, in_chromium
from harness import BUILD, freeze, visitor, wait_until
from web import SITE, WebCase

HERE = os.path.dirname(__file__)
CLOCK_OFF = os.path.join(os.path.abspath(BUILD), "tests/e2e/clock_off.so")


@in_chromium
class Page(ClientCase):
    def open_page(self, site=SITE):
        with open(os.path.join(HERE, "ts_analytics_page.js"), encoding="utf-8") as script:
            self.pages.pages["/page"] = self.pages.page(
                f"<script>const base = '{self.web_base()}', site = '{site}';{script.read()}</script>")
        self.visit()

    def web_base(self):
        """Return the `baseUrl` of the documentation's examples, at another origin than the page's."""
        return f"http://127.0.0.1:{self.web.port}/api/analytics"

    def shown(self):
        return self.browser.run("return window.shown") or {}

    def wait_shown(self, **what):
        wait_until(lambda: what.items() <= self.shown().items(),
                   lambda: f"{what}; the page shows {self.shown()}")

    def report(self, number, **fields):
        """Report a visitor just once: what happened twice would be shown twice."""
        answer = self.web.touch({"site": SITE, "visitor": visitor(number).hex(), **fields})
        self.assertEqual(answer.status, 200, answer.body)

    def look_at(self, *pages):
        for number, page in enumerate(pages):
            self.report(number, room=page, kind="pageview")
        wait_until(lambda: self.stats()["pageviews"] == len(pages), "the page views")

    def test_counter_pages_and_feed(self):
        """All that the documentation shows, and what the package's own server answers beside it."""
        self.begin("--warm-up", "0", "--events", "4096")  # room for all events of a second
        self.look_at("/", "/", "/pricing")
        self.report(0, room="/", kind="event", event="button_click")
        self.report(1, room="/", kind="event", event="outbound")
        self.open_page()
        self.wait_shown(refused=None, counter="3", pages=["/ 2", "/pricing 1"], lastHour=3,
                        top=["/ 2 67%", "/pricing 1 33%"],
                        feed=["event outbound", "event button_click", "pageview /pricing",
                              "pageview /", "pageview /"])
        self.assertTrue(all(abs(age) < 60_000 for age in self.shown()["ages"]), self.shown())

    def test_nobody(self):
        self.begin()
        self.open_page("nobody.example")
        self.wait_shown(refused=None, counter="0", pages=[], feed=[], top=[])

    def test_silent_collector(self):
        """The page learns that there is no number, and keeps what it had; never a false one."""
        self.begin()
        self.counted(self.web, {"site": SITE, "visitor": "v", "room": "/"})
        self.open_page()
        self.wait_shown(counter="1", refused=None)
        self.tolerated = ("503",)  # as the console reports a failed request
        freeze(self.collector.process)
        self.wait_shown(counter="1", refused="503")


class Views(WebCase):
    def test_last_hour(self):
        """Page views of an hour, whatever the window is; not those before it."""
        for minutes, views in (30, 1), (65, 0):
            with self.subTest(minutes=minutes):
                self.begin(minutes)
                answer = self.web.get(f"/api/analytics/sites/{SITE}/realtime?minutes=5").json
                self.assertEqual((answer["currentVisitors"], answer["pageViews"],
                                  answer["pageViewsLastHour"]), (1, 0, views))

    def begin(self, minutes):
        """Have a page view that seems this long ago: libpresence's wall clock is slow in presence-web,
        which asks time() for the present."""
        self.segment = os.path.join(self.directory, f"segment-{minutes}")
        self.web = self.serve(collector=self.start("--warm-up", "0"), environment={
            "LD_PRELOAD": CLOCK_OFF, "CLOCK_OFF_S": str(-60 * minutes)})
        self.web.touch({"site": SITE, "visitor": "v", "kind": "pageview", "room": "/"})
        wait_until(lambda: sum(minute["pageviews"] for minute in
                               self.web.get(f"/api/sites/{SITE}/history").json["data"]) == 1,
                   "the view to be in the history")


if __name__ == "__main__":
    unittest.main()
