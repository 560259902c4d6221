"""The dashboard without live numbers: stale, warming, quiet, refused."""

import os
import signal
import unittest

from dashboard import CONTRAST, DashboardCase
from harness import clock_ahead, free_port, wait_until
from web import SITE


class Silence(DashboardCase):
    def test_stale(self):
        """A stale number stays, greyed, with its time: never 0."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.watch_number()
        self.collector.freeze()
        self.wait_number("15", "stale")
        self.assertRegex(self.text("#mark"), r"^Stale since \d\d:\d\d:\d\d$")
        self.assertRegex(self.text("#meaning"), r"^Last known, as of \d\d:\d\d:\d\d$")
        self.wait_text("#health", r"Collector\s+Silent\s+for \d+ s")
        self.assertEqual(self.browser.run(CONTRAST)[1], [])
        self.collector.thaw()
        self.wait_number("15")
        self.wait_text("#health", r"Collector\s+Listening")
        self.assertEqual(self.browser.run("return watched"), ["15"])

    def test_collector_restarts(self):
        """A restart of the collector is invisible."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.watch_number()
        port = self.collector.port
        self.collector.stop(signal.SIGTERM)
        self.collector = self.start("--events", "16384", "--warm-up", "0",
                                    listen=f"127.0.0.1:{port}")
        self.people([99])
        self.wait_number("16")
        self.assertEqual(self.browser.run("return watched"), ["15", "16"])

    def test_warming(self):
        self.begin(daemon=())
        self.audience()
        self.open()
        self.wait_number("15", "warming")
        self.assertEqual(self.text("#mark"), "Warming up")
        self.assertIn("At least this many", self.text("#meaning"))
        self.wait_text("#health", r"The number\s+Lower bound\s+for (\d+ s|1 min.*) more")

    def test_partial(self):
        """After a limit was reached, the number is a lower bound, and empty lists are unknown."""
        self.begin(daemon=("--warm-up", "0", "--sender-new", "5"))
        self.people(range(0, 12), room="/", source="news.example")
        self.people([20], country="FR")
        self.open()
        wait_until(lambda: self.mark() == "partial", "it to say so")
        self.assertEqual(self.text("#mark"), "No room for everybody")
        self.wait_text("#meaning", "^At least this many visitors")
        self.assertLess(int(self.number()), 13)
        self.wait_text("#health", r"The number\s+Lower bound\s+a limit was reached")
        self.wait_text("#countries", "Not known|France")
        wait_until(lambda: self.browser.run(CONTRAST)[1] == [], "its colour to be the last one")

    @unittest.skipIf(os.geteuid(), "needs root, for a time namespace")
    def test_quiet(self):
        """A site whose edge is dead is quiet, not empty."""
        self.begin()
        self.audience()
        wait_until(lambda: self.json("count", SITE)["count"] == 15, "all to be counted")
        self.collector.stop()
        self.web.stop()
        with clock_ahead(62):  # no more: a busy machine takes some of the next minute
            self.begin()
        self.open()
        self.wait_number("15", "quiet")
        self.assertRegex(self.text("#mark"), r"^Quiet since (.*, )?\d\d:\d\d$")
        self.wait_text("#health", r"This site\s+Quiet\s+for 1 min.*, its edge may be gone")
        self.wait_text("#heartbeat", r"1 min \d+ s\s+ago")

    def test_nothing_known(self):
        """Without a collector or a site it shows a dash, and what to do."""
        self.tolerated = ("503",)
        self.web = self.serve("--to", f"127.0.0.1:{free_port()}")
        self.open()
        wait_until(lambda: self.text("#mark") == "No collector", "it to say so")
        self.assertEqual((self.number(), self.text("#meaning")),
                         ("not known", "Not known until presenced runs"))
        self.assert_no_zero()
        self.open(f"?site={SITE}")
        wait_until(lambda: self.text("#mark") == "No collector", "it to say so")
        self.assertEqual(self.number(), "not known")
        self.assert_no_zero()

    def test_nobody_yet(self):
        self.begin()
        self.open()
        wait_until(lambda: self.text("#mark") == "No site yet", "it to say so")
        self.assertEqual(self.number(), "not known")
        self.people([1])
        self.open()
        self.wait_number("1")

    def assert_no_zero(self):
        for place in "#now", "#trend", "#pages", "#sources", "#countries":
            self.assertNotRegex(self.text(place), r"(?<![\d:.])0(?![\d:.])", place)

    def test_key(self):
        """If reads need a key, it asks for it, and keeps it in the tab and not in the address."""
        self.tolerated = ("401",)
        self.begin("--api-key-file", self.secret("keys", "a-key-of-32-letters-for-this-test"))
        self.audience()
        self.open(f"?site={SITE}")
        wait_until(lambda: self.browser.run("return document.getElementById('key').open"),
                   "the question")
        self.assertEqual(self.list("pages"), [])
        self.browser.press(*"a-key-of-32-letters-for-this-test", "\ue007")
        wait_until(lambda: self.list("pages"), "the pages")
        self.wait_number("15")
        self.assertNotIn("a-key", self.browser.run("return location.href"))

    def test_nothing_stays_green(self):
        """Once the collector has stopped nothing looks or sounds as if it ran."""
        self.begin()
        self.audience()
        self.open()
        self.wait_number("15")
        self.wait_text("#feed ol", "Entered")
        self.wait_text("#health", r"This site\s+Heard")
        self.assertTrue(self.browser.run(GREEN))
        self.wait_chart()
        self.collector.stop()
        self.wait_number("15", "stale")
        self.wait_text("#health", r"Collector\s+Stopped")
        self.wait_text("#health", r"This site\s+Not known\s+last heard at \d\d:\d\d")
        self.assertNotRegex(self.text("#health"), "Heard|Listening|Complete|just now")
        self.assertFalse(self.browser.run("return document.querySelector('#health [data-level=good]')"))
        for scheme in "light", "dark":
            self.browser.media(prefers_reduced_motion="reduce", prefers_color_scheme=scheme)
            wait_until(lambda: not self.browser.run(GREEN), lambda: self.browser.run(GREEN))
            self.browser.settle()
            self.assertEqual(self.browser.run(CONTRAST)[1], [])
        before = self.text("#heartbeat")
        wait_until(lambda: self.text("#heartbeat") != before, "the last heartbeat to get older")
        self.open()
        self.wait_number("15", "stale")
        wait_until(lambda: len(self.list("pages")) == 4, lambda: f"the last pages: {self.list('pages')}")
        self.wait_chart()

    def wait_chart(self):
        """Wait until the chart shows what was recorded: after a second, at least."""
        wait_until(lambda: self.browser.run("return document.querySelector('.mean') !== null"),
                   lambda: "the chart of what was recorded; there is "
                   f"{self.text('#chart')}, {self.web.get(f'/api/sites/{SITE}/history').body}")

    def test_rejections(self):
        """What is rejected is explained in words, whatever the reason."""
        self.collector = self.start("--warm-up", "0")
        self.web = self.serve()  # it only shows: its signs of life would be accepted
        self.people([1])
        self.send(self.collector, *3 * [b"PH1 site=example.com"], b"PH1 visitor")
        self.open()
        self.wait_text("#health", r"Rejected\s+80%\s+mostly without a visitor id")
        reasons = [name[len("datagrams_rejected_"):] for name in self.stats()
                   if name.startswith("datagrams_rejected_")]
        known = self.browser.run("return (await import('./health.js')).reasons")
        self.assertEqual([reason for reason in reasons if reason not in known], [])


# The body of a function: the elements of which any colour is green.
GREEN = """
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const isGreen = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = '#000';
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
        return green > red + 8 && green > blue + 8;
    };
    return [...document.querySelectorAll('body, body *')].flatMap((element) =>
        [undefined, '::before', '::after'].flatMap((part) => {
            const style = getComputedStyle(element, part);
            return ['color', 'backgroundColor', 'borderTopColor', 'fill', 'stroke', 'stopColor']
                .filter((name) => isGreen(style[name]))
                .map((name) => `${element.id} ${element.className} ${name}`);
        }));
"""

if __name__ == "__main__":
    unittest.main()
