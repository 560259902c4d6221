"""Shared by the tests of the dashboard: a real Chromium, in front of a real presence-web and
collector."""

import os
import re

from browser import Browser
from harness import native, visitor, wait_until
from web import SITE, WebCase

DESKTOP = (1440, 900)
with open(os.path.join(os.path.dirname(__file__), "contrast.js")) as script:
    CONTRAST = script.read()


class DashboardCase(WebCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.tolerated = ()
        self.browser.size(*DESKTOP)
        self.browser.media(prefers_reduced_motion="reduce")
        self.browser.complaints()

    def tearDown(self):
        complaints = [each for each in self.browser.complaints()
                      if not any(word in each for word in self.tolerated)]
        self.browser.open("about:blank")
        self.assertEqual(complaints, [], "the console complains")
        super().tearDown()

    def begin(self, *arguments, daemon=("--warm-up", "0")):
        self.collector = self.start("--events", "16384", *daemon)
        self.web = self.serve(*arguments, collector=self.collector)

    def open(self, query=""):
        self.browser.open(f"http://127.0.0.1:{self.web.port}/{query}")

    def people(self, numbers, site=SITE, **place):
        self.send(self.collector, native(site, [visitor(number) for number in numbers], **place))

    def audience(self):
        """Send fifteen visitors on four pages, some with a country and a source."""
        self.people(range(0, 7), room="/", country="DE", source="news.example", kind=3)
        self.people(range(7, 11), room="/pricing", country="US", source="search.example", kind=3)
        self.people(range(11, 14), room="/docs", country="FR", kind=3)
        self.people([14], room="/checkout", kind=4, event="signup")

    def text(self, selector):
        return self.browser.run("return document.querySelector(arguments[0])?.innerText", selector)

    def content(self, selector):
        """Return the text of an SVG element."""
        return self.browser.run("return document.querySelector(arguments[0])?.textContent", selector)

    def list(self, section):
        """Return the rows of a list: [name, visitors]."""
        return self.browser.run("""
            return [...document.querySelectorAll(`#${arguments[0]} li`)].map((item) =>
                ['.name', '.visitors'].map((part) => item.querySelector(part).textContent))
        """, section)

    def number(self):
        return self.browser.run("return document.querySelector('#number .spoken')?.textContent")

    def mark(self):
        return self.browser.run("return document.body.dataset.mark")

    def wait_number(self, text, mark="live"):
        try:
            wait_until(lambda: (self.number(), self.mark()) == (text, mark), f"{text} and {mark}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it shows {self.number()} and {self.mark()}") from late

    def wait_text(self, selector, pattern):
        try:
            wait_until(lambda: re.search(pattern, self.text(selector) or ""),
                       f"{pattern!r} in {selector}")
        except AssertionError as late:
            raise AssertionError(f"{late}; there is {self.text(selector)!r}") from late

    def watch_number(self):
        """Record every text of the number from now on, for watched()."""
        self.browser.run("""
            const spoken = document.querySelector('#number .spoken');
            window.watched = [spoken.textContent];
            new MutationObserver(() => watched.push(spoken.textContent))
                .observe(spoken, { childList: true, characterData: true, subtree: true });
        """)
