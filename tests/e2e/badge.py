"""What the tests of the badge share: a website with it in a real Chromium, on another origin than
presence-web and under a strict content policy."""

import html
import http.server
import os
import threading

from browser import Browser
from harness import native, visitor, wait_until
from web import SITE, WebCase

HERE = os.path.dirname(__file__)
WITHOUT_STORAGE = """
for (const name of ['localStorage', 'sessionStorage']) {
    const get = () => { throw new DOMException('denied', 'SecurityError'); };
    Object.defineProperty(window, name, { get });
}
"""


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
    """People are origins of their own, so that each has a storage: http://ann.localhost."""

    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)
        with open(os.path.join(HERE, "badge_page.js")) as script:
            cls.before_page = script.read()

    def setUp(self):
        super().setUp()
        self.pages = Pages()
        self.addCleanup(self.pages.close)
        self.pages.attributes = {"site": SITE}
        self.tolerated = ()
        self.first = self.browser.window()
        self.browser.complaints()

    def tearDown(self):
        for window in self.browser.windows():
            if window != self.first:
                self.browser.close_window(window)
        self.browser.switch(self.first)
        complaints = [each for each in self.browser.complaints()
                      if not any(word in each for word in self.tolerated)]
        self.assertEqual(complaints, [], "the console complains")
        super().tearDown()

    def begin(self, *arguments):
        """A collector that is not warming, and presence-web before it."""
        self.collector = self.start(*(arguments or ("--warm-up", "0")))
        self.begin_web()

    def begin_web(self, **keywords):
        self.web = self.serve("--count-bots", collector=self.collector, **keywords)
        self.pages.base = f"http://127.0.0.1:{self.web.port}"

    def visit(self, person="ann", path="/page", before="", motion="reduce"):
        """A person opens a page in a tab of its own; returns the tab."""
        window = self.browser.new_window(kind="tab")
        self.browser.media(prefers_reduced_motion=motion)
        self.browser.devtools("Page.enable")
        self.browser.devtools("Page.addScriptToEvaluateOnNewDocument",
                              source=before + self.before_page)
        self.browser.open(f"http://{person}.localhost:{self.pages.port}{path}")
        return window

    def seen(self, window=None):
        """What the badge shows now, in this window or the current one."""
        if window:
            self.browser.switch(window)
        return self.browser.run("return window.shown.at(-1)")

    def wait_seen(self, text, window=None):
        try:
            wait_until(lambda: self.seen(window) == text, f"the badge to show {text!r}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it showed {self.browser.run('return shown')}") from late

    def wait_counted(self, count, room=None):
        place = (SITE, room) if room else (SITE,)
        wait_until(lambda: (self.json("count", *place)["count"] or 0) == count,
                   lambda: f"{count} at {place}: {self.json('count', *place)}")

    def crowd(self, people, room="/page"):
        """Heartbeats of others, by another way."""
        self.send(self.collector, native(SITE, [visitor(number) for number in people], room=room))

    def leaves(self):
        """The leaves that pages of this origin have sent, without what is the same in all."""
        sent = self.browser.run("return JSON.parse(localStorage.getItem('test.leaves') ?? '[]')")
        same = ("site", "visitor", "kind")
        return [{key: value for key, value in leave.items() if key not in same} for leave in sent]
