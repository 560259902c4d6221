"""Shared by the tests of the badge: a website with it in a real Chromium, on another origin than
presence-web and under a strict content policy."""

import contextlib
import functools
import html
import http.server
import os
import threading
import unittest

from browser import Browser, WebDriverError
from harness import native, visitor, wait_until
from web import SITE, WebCase

HERE = os.path.dirname(__file__)
WITHOUT_STORAGE = """
for (const name of ['localStorage', 'sessionStorage']) {
    const get = () => { throw new DOMException('denied', 'SecurityError'); };
    Object.defineProperty(window, name, { get });
}
"""


# Before a page: its clock stands still, but for what the test lets pass (badge_page.js).
STILL = "{ const start = Date.now(); Date.now = () => start; }"
# What Chromium's console says while a server is away, or goes.
OUT_OF_REACH = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET",
                "ERR_EMPTY_RESPONSE")


# Tests of what seldom changes, and takes a browser its time.
seldom = unittest.skipUnless(os.environ.get("TEST_LONG"), "seldom changes, and takes its time: TEST_LONG")


@functools.cache
def shared(kind):
    """The one browser of this kind that all classes of a test file use."""
    browser = kind()
    unittest.addModuleCleanup(browser.close)
    return browser


class Pages:
    """A website whose pages all have the badge and a policy that allows only what it needs."""

    def __init__(self):
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = pages.page().encode()
                self.send_response(200 if self.path != "/favicon.ico" else 204)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", pages.policy())
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.base = None
        self.attributes = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def policy(self):
        return (f"default-src 'none'; script-src {self.base}/badge.js; connect-src {self.base}; "
                "img-src 'self'; require-trusted-types-for 'script'")

    def page(self):
        attributes = "".join(f' data-{name.replace("_", "-")}="{html.escape(value)}"'
                             for name, value in self.attributes.items())
        return ('<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>'
                '<p id="before">before</p>'
                f'<p id="here"><script async src="{self.base}/badge.js"{attributes}></script></p>'
                '<p id="other"></p><a href="/two">two</a>')

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class BadgeCase(WebCase):
    """Each person is an origin with a storage of its own: http://ann.localhost."""

    website = Pages
    kind = Browser

    @classmethod
    def setUpClass(cls):
        cls.browser = shared(cls.kind)
        with open(os.path.join(HERE, "badge_page.js")) as script:
            cls.before_page = script.read()

    def setUp(self):
        super().setUp()
        self.pages = self.website()
        self.addCleanup(self.pages.close)
        self.pages.attributes = {"site": SITE}
        self.tolerated = ()
        self.first = self.browser.window()
        self.browser.complaints()

    def tearDown(self):
        for window in self.browser.windows():
            if window != self.first:
                with contextlib.suppress(WebDriverError):  # it may close by itself
                    self.browser.close_window(window)
        self.browser.switch(self.first)
        complaints = [each for each in self.browser.complaints()
                      if not any(word in each for word in self.tolerated)]
        self.assertEqual(complaints, [], "the console complains")
        super().tearDown()

    def begin(self, *arguments):
        """Start a collector that is not warming, and presence-web."""
        self.collector = self.start(*(arguments or ("--warm-up", "0")))
        self.begin_web()

    def begin_web(self, **keywords):
        self.web = self.serve("--count-bots", collector=self.collector, **keywords)
        self.pages.base = f"http://127.0.0.1:{self.web.port}"

    def visit(self, person="ann", path="/page", before="", motion="reduce", kind="tab"):
        """Open a page for a person in a tab of its own, which hides the other tabs, or in a window
        beside the others; returns it."""
        window = self.browser.new_window(kind=kind)
        self.browser.media(prefers_reduced_motion=motion)
        self.browser.before_pages(before + self.before_page)
        self.browser.open(f"http://{person}.localhost:{self.pages.port}{path}")
        return window

    def seen(self, window=None):
        """Return what the badge shows now, in this window or the current one."""
        if window:
            self.browser.switch(window)
        return self.browser.run("return window.shown.at(-1)")

    def wait_seen(self, text, window=None):
        try:
            wait_until(lambda: self.seen(window) == text, f"the badge to show {text!r}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it showed {self.browser.run('return shown')}") from late

    def wait_asked(self, number):
        """Wait until the page has sent that many heartbeats and has their answers."""
        wait_until(lambda: self.browser.run("return asked.ended") == number,
                   lambda: f"{number} heartbeats; there were {self.browser.run('return asked')}")

    def streams(self):
        """Return how many streams presence-web has."""
        return self.web.get("/api/status").json["streams"]

    def wait_streams(self, number):
        wait_until(lambda: self.streams() == number,
                   lambda: f"{number} streams; there are {self.streams()}")

    def wait_counted(self, count, room=None):
        place = (SITE, room) if room else (SITE,)
        wait_until(lambda: (self.json("count", *place)["count"] or 0) == count,
                   lambda: f"{count} at {place}: {self.json('count', *place)}")

    def crowd(self, people, room="/page"):
        """Send heartbeats of other people straight to the collector."""
        self.send(self.collector, native(SITE, [visitor(number) for number in people], room=room))

    def wait_leaves(self, *leaves):
        """Wait until pages of this origin have sent these. Storage is told from tab to tab."""
        wait_until(lambda: self.leaves() == list(leaves),
                   lambda: f"{leaves}; there are {self.leaves()}")

    def leaves(self):
        """Return the leaves that pages of this origin have sent, without the common fields."""
        sent = self.browser.run("return JSON.parse(localStorage.getItem('test.leaves') ?? '[]')")
        same = ("site", "visitor", "kind")
        return [{key: value for key, value in leave.items() if key not in same} for leave in sent]
