"""The badge and navigation: the back/forward cache, and prerendered pages."""

import unittest

from browser import Browser
from clients import ClientCase, in_chromium, mostly_in_chromium
from harness import wait_until
from web import SITE

ATTEMPTS = 5  # for what a busy browser may not do
HEARD = "addEventListener('pageshow', (event) => { window.persisted = event.persisted; });"


@mostly_in_chromium
class History(ClientCase):
    def is_kept(self):
        """True if the page was cached, or could have been but for reasons that have nothing to do with
        it: Chromium masks those, such as a busy machine's. Firefox caches none that has a stream
        (measured with one of its own, however early that is closed)."""
        if self.kind is not Browser or self.browser.run("return persisted"):
            return True
        why = self.browser.run(
            "return performance.getEntriesByType('navigation')[0].notRestoredReasons?.reasons")
        self.assertEqual([each for each in why or () if each["reason"] != "masked"], [])
        return False

    def test_back_and_forth(self):
        """A page in the back/forward cache resumes, badge and stream included."""
        self.begin()
        self.pages.pages["/one"] = self.pages.page(f'<a href="/two">two</a>{self.pages.script()}')
        self.visit(path="/one", before=HEARD)
        self.wait_seen("1 viewing now")
        self.browser.leave("document.querySelector('a').click()")
        self.wait_rooms(two=1)
        self.wait_streams(1)
        self.browser.back()
        self.wait_rooms(one=1)
        kept = self.is_kept()
        self.wait_seen("1 viewing now")
        self.crowd([5], "/one")
        self.wait_seen("2 viewing now")
        self.wait_streams(1)
        self.assertEqual({body["kind"] for body in self.touches()}, {"pageview"})
        # Forward, and back once more.
        for attempt in range(ATTEMPTS):
            self.browser.call("POST", "/forward")
            self.wait_rooms(one=1, two=1)
            kept = self.is_kept() and kept
            self.wait_seen("1 viewing now")
            self.browser.back()
            self.wait_rooms(one=2)
            kept = self.is_kept() and kept
            self.assertEqual(self.count(SITE), 2)
            if kept:
                return
            kept = True
        self.fail("the page is never kept")


@in_chromium
class Prerender(ClientCase):
    RULES = ('<script type="speculationrules">{"prerender": [{"source": "list", "urls": ["/next"], '
             '"eagerness": "immediate"}]}</script>')

    def ready(self):
        self.begin()
        self.pages.pages["/start"] = self.pages.page(f"{self.RULES}{self.pages.script()}")
        self.visit(path="/start")
        self.wait_seen("1 viewing now")
        wait_until(lambda: any("prerender" in headers.get("Sec-Purpose", "")
                               for headers in self.pages.served("/next")), "the page in advance")
        # Its scripts have run: a later request of the page has arrived.
        wait_until(lambda: self.pages.served("/ran"), "scripts of the page in advance")

    def setUp(self):
        super().setUp()
        self.pages.other = lambda path: self.pages.page(
            f"<h1>{path}</h1>{self.pages.script('')}<script>fetch('/ran')</script>")
        self.pages.pages["/ran"] = ""

    def wait_pageviews(self, number):
        wait_until(lambda: self.stats()["pageviews"] == number,
                   lambda: f"{number} page views; there were {self.json('events', SITE)['events']}")

    def test_never_looked_at(self):
        """A prerendered page that is never shown counts nobody and sends no leave."""
        self.ready()
        self.wait_rooms(start=1)
        self.wait_streams(1)
        self.browser.leave("location.href = '/elsewhere'")
        self.wait_rooms(elsewhere=1)
        self.wait_pageviews(2)
        wait_until(lambda: self.leaves()[:1] == [{"room": "/start"}], self.leaves)
        self.assertEqual(self.count(SITE), 1)

    def test_looked_at(self):
        """When it is shown, the visitor is counted at once, by a page view."""
        self.ready()
        self.browser.leave("location.href = '/next'")
        self.wait_rooms(next=1)
        self.assertGreater(self.browser.run(
            "return performance.getEntriesByType('navigation')[0].activationStart"), 0)
        self.wait_badges("1 viewing now")
        self.wait_streams(1)
        self.wait_pageviews(2)


if __name__ == "__main__":
    unittest.main()
