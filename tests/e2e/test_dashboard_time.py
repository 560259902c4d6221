"""The dashboard and time: the chart's range, a browser whose clock is wrong, nights in which the clocks
change."""

import json
import re
import time
import unittest

from badge import seldom
from dashboard import RIGHT, DashboardCase
from harness import wait_until
from web import SITE

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
PICK = "document.querySelector(`#range [value='${arguments[0]}']`).click()"


def parse(text):
    return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) - time.timezone)


def show(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class TimeCase(DashboardCase):
    ahead = 0  # the time of the server, in seconds after ours
    minutes = 0  # that were recorded
    zone = ""

    def setUp(self):
        super().setUp()
        self.begin()
        self.people(range(3), room="/")
        self.put_proxy().edit = self.edit

    def edit(self, path, text):
        """What presence-web answers, at another time and with a longer past."""
        if "/history" in path:
            answer = json.loads(text)
            now = parse(answer["as_of"][:19])
            answer["data"] = [
                {"timestamp": f"{show(now - 60 * ago - 7)}Z", "min": 2, "mean": 3 + ago % 2, "max": 5,
                 "heartbeats": 9, "pageviews": 4, "entered": 1, "left": 1, "departed": 0,
                 "warming": False, "running": ago == 0}
                for ago in range(self.minutes - 1, -1, -1)]
            text = json.dumps(answer)
        return TIME.sub(lambda found: show(parse(found[0]) + self.ahead), text)

    def shown(self):
        """Return the range that the chart has, in minutes, once it is drawn."""
        wait_until(lambda: self.browser.run("return document.querySelector('.mean') !== null"),
                   "the chart")
        return int(self.browser.run("return document.querySelector('#range :checked').value"))

    def edges(self):
        """Return where the line begins and ends, as shares of the chart's width."""
        return self.browser.run("""
            const { left, width } = document.getElementById('chart').getBoundingClientRect();
            const line = document.querySelector('.mean').getBoundingClientRect();
            return [(line.left - left) / width, (line.right - left) / width];
        """)


class Ranges(TimeCase):
    def test_begins_with_one_that_is_full(self):
        """The chart begins with a range that the recorded minutes fill."""
        for minutes, wanted in (4, 5), (10, 15), (59, 60), (1440, 1440):
            self.minutes = minutes
            self.open(f"?site={SITE}")
            self.assertEqual(self.shown(), wanted, minutes)
            begin, end = self.edges()
            self.assertGreater(end, 0.9, minutes)
            self.assertLess(begin, 0.5, minutes)

    def test_grows(self):
        """It goes on to a longer range, until one is picked."""
        self.minutes = 4
        self.open()
        self.assertEqual(self.shown(), 5)
        self.assertEqual(self.text("#trend-title"), "Last 5 minutes")
        self.minutes = 120
        self.browser.run("document.dispatchEvent(new Event('visibilitychange'))")  # asks anew
        wait_until(lambda: self.shown() == 180, "a longer range")
        self.assertEqual(self.text("#trend-title"), "Last 3 hours")

    def test_pick(self):
        """Any range can be picked, also by keyboard. It is kept in the address."""
        self.minutes = 1440
        self.open()
        self.assertEqual(self.shown(), 1440)
        points = "return document.getElementById('chart').ariaValueMax"
        for minutes in 15, 60:
            self.browser.run(PICK, minutes)
            self.assertLessEqual(int(self.browser.run(points)), minutes)
        self.browser.run("document.querySelector('#range :checked').focus()")
        self.browser.press(RIGHT)
        self.assertEqual(self.text("#trend-title"), "Last 3 hours")
        self.assertIn("range=180", self.browser.run("return location.search"))
        self.browser.call("POST", "/refresh")
        wait_until(lambda: self.shown() == 180, "the range to be kept")
        self.browser.run("document.querySelector('summary').click()")
        self.wait_text("#table-name", "by 15 minutes")
        rows = self.browser.run("return document.querySelectorAll('#rows tr').length")
        self.assertIn(rows, (12, 13))

    def test_a_wrong_clock(self):
        """A browser whose clock is wrong shows what one with a right clock does."""
        self.minutes = 100
        self.before_page("""
            const RightDate = Date;
            const wrong = 3600000 * new URLSearchParams(location.search).get('hours');
            window.Date = class extends RightDate {
                constructor(...given) { super(...given.length ? given : [Date.now()]); }
                static now() { return RightDate.now() + wrong; }
            };
        """)
        for hours in -3, 3, 3000:
            self.open(f"?site={SITE}&hours={hours}")
            self.assertEqual(self.shown(), 60, hours)
            begin, end = self.edges()
            self.assertLess(begin, 0.1, hours)
            self.assertGreater(end, 0.9, hours)
            self.wait_text("#peak-today", r"^3\s+at \d\d:\d\d$")
            self.wait_text("#meaning", "than an hour ago|as many as")


@seldom
class ChangingClocks(TimeCase):
    # Zone, and when its clocks change: back, also by half an hour and over midnight, and forward.
    NIGHTS = (("Europe/Berlin", "2026-10-25T01:00:00"), ("America/New_York", "2026-11-01T06:00:00"),
              ("America/Havana", "2026-11-01T05:00:00"), ("Australia/Lord_Howe", "2026-04-04T15:00:00"),
              ("Europe/Berlin", "2026-03-29T01:00:00"))

    def labels(self):
        """Return the texts that name a time: below the chart, and of the table's rows."""
        return self.browser.run("""
            const texts = (what) => [...document.querySelectorAll(what)].map((each) => each.textContent);
            return [texts('.hour'), texts('#rows th')];
        """)

    def said(self):
        """Return how the times of the chart's points are read out."""
        return self.browser.run("""
            const box = document.getElementById('chart');
            const press = (key) => box.dispatchEvent(new KeyboardEvent('keydown', { key }));
            const said = [];
            press('Home');
            for (let at = 0; at <= Number(box.ariaValueMax); at += 1) {
                said.push(box.ariaValueText.split(': ')[0]);
                press('ArrowRight');
            }
            return said;
        """)

    def test_no_label_twice(self):
        """In no such night have two times the same label, in any range."""
        self.minutes = 1440
        for zone, change in self.NIGHTS:
            self.browser.devtools("Emulation.setTimezoneOverride", timezoneId=zone)
            self.addCleanup(self.browser.devtools, "Emulation.setTimezoneOverride", timezoneId="")
            self.ahead = parse(change) - int(time.time()) + 4500
            self.open(f"?site={SITE}")
            self.assertEqual(self.shown(), 1440)
            self.browser.run("document.querySelector('details').open = true")
            for minutes in 1440, 360, 180:
                self.browser.run(PICK, minutes)
                for labels in (*self.labels(), *([self.said()] if minutes == 180 else [])):
                    self.assertGreater(len(labels), 3)
                    self.assertEqual(len(set(labels)), len(labels), (zone, minutes, labels))

    def test_zone(self):
        """An hour that comes twice is told by its zone, any other is not."""
        self.minutes = 1440
        self.browser.devtools("Emulation.setTimezoneOverride", timezoneId="America/New_York")
        self.addCleanup(self.browser.devtools, "Emulation.setTimezoneOverride", timezoneId="")
        self.ahead = parse("2026-11-01T07:45:00") - int(time.time())
        self.open("?range=180")
        self.assertEqual(self.shown(), 180)
        hours = [label for label in self.said() if label.endswith((":30", ":30 EDT", ":30 EST"))]
        self.assertEqual(hours, ["01:30 EDT", "01:30 EST", "02:30"])


if __name__ == "__main__":
    unittest.main()
