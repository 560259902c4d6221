"""Shared by the tests of the dashboard: a real Chromium, in front of a real presence-web and
collector."""

import contextlib
import http.client
import http.server
import os
import re
import socket
import threading

from browser import Browser
from harness import DEADLINE, native, visitor, wait_for_room_in_minute, wait_until
from web import SITE, WebCase

DESKTOP = (1440, 900)
TAB, ENTER, ESCAPE, DOWN, RIGHT = "\ue004", "\ue007", "\ue00c", "\ue015", "\ue014"  # WebDriver's keys
STALE = re.compile(r"/realtime\b.* 503 ")  # what Chromium says of a number that is stale or unknown
with open(os.path.join(os.path.dirname(__file__), "contrast.js")) as script:
    CONTRAST = script.read()


class Proxy(http.server.ThreadingHTTPServer):
    """A server between the browser and presence-web. It can change answers, and hold streams up."""

    daemon_threads = False
    request_queue_size = 64
    connections = frozenset()

    def __init__(self, web):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.web = web
        self.port = self.server_address[1]
        self.streams = 0  # so many were opened
        self.holds = False  # streams send nothing, and stay open
        self.edit = lambda path, text: text  # None: the server refuses
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def process_request(self, request, client_address):
        self.connections |= {request}
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.connections -= {request}
        super().shutdown_request(request)

    def end(self):
        """End all its threads; presence-web has ended before."""
        self.holds = False
        self.shutdown()
        self.thread.join()
        for connection in self.connections:  # on which the browser may ask nothing
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, request, client_address):
        """The browser may hang up at any time."""


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.web.port, timeout=DEADLINE)
        with contextlib.closing(upstream):
            upstream.request("GET", self.path)
            with upstream.getresponse() as answer:
                self.forward(answer)

    def forward(self, answer):
        server = self.server
        if self.path.startswith("/stream"):
            server.streams += 1
            self.start(answer)
            while line := answer.readline():
                wait_until(lambda: not server.holds, "the streams to go on", 10 * DEADLINE)
                self.wfile.write(server.edit(self.path, line.decode()).encode())
        else:
            body = answer.read()
            if self.path.startswith("/api/"):
                body = server.edit(self.path, body.decode())
                body = body if body is None else body.encode()
            self.start(answer, 503 if body is None else answer.status)
            self.wfile.write(b'{"error":"no","message":"no"}' if body is None else body)

    def start(self, answer, status=200):
        self.send_response(status)
        for name in "Content-Type", "Content-Security-Policy":
            if answer.getheader(name):
                self.send_header(name, answer.getheader(name))
        self.end_headers()

    def log_message(self, *_):
        pass


class DashboardCase(WebCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.proxy = None
        self.tolerated = ()
        self.browser.size(*DESKTOP)
        self.browser.media(prefers_reduced_motion="reduce")
        self.browser.complaints()

    def tearDown(self):
        complaints = [each for each in self.browser.complaints()
                      if not any(word in each for word in self.tolerated) and not STALE.search(each)]
        self.browser.open("about:blank")
        self.assertEqual(complaints, [], "the console complains")
        super().tearDown()

    def begin(self, *arguments, daemon=("--warm-up", "0")):
        self.collector = self.start("--events", "16384", *daemon)
        self.web = self.serve(*arguments, collector=self.collector)

    def put_proxy(self):
        """From now on, the browser uses a proxy."""
        self.proxy = Proxy(self.web)
        self.addCleanup(self.proxy.end)
        self.addCleanup(self.end_web, self.web)
        return self.proxy

    def before_page(self, script):
        """Run a script in every page of this test, before the page's own."""
        script = self.browser.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)
        self.addCleanup(self.browser.devtools, "Page.removeScriptToEvaluateOnNewDocument", **script)

    def open(self, query=""):
        port = (self.proxy or self.web).port
        self.browser.open(f"http://127.0.0.1:{port}/{query}")

    def people(self, numbers, site=SITE, **place):
        self.send(self.collector, native(site, [visitor(number) for number in numbers], **place))

    def audience(self):
        """Send fifteen visitors on four pages, some with a country and a source. They and their count
        are of one minute."""
        wait_for_room_in_minute()
        self.people(range(0, 7), room="/", country="DE", source="news.example", kind=3)
        self.people(range(7, 11), room="/pricing", country="US", source="search.example", kind=3)
        self.people(range(11, 14), room="/docs", country="FR", kind=3)
        self.people([14], room="/checkout", kind=4, event="signup")
        wait_until(lambda: self.json("count", SITE)["count"] == 15, "all of them to be counted")

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

    def sites(self):
        """Return the rows of the list of sites: [name, visitors]."""
        return self.browser.run("""
            return [...document.querySelectorAll('#sites li')].map((item) =>
                [...item.children].map((part) => part.textContent))
        """)

    def search(self, text):
        """Type in the field of the site, and wait until all sites in the list have that text."""
        wait_until(lambda: not self.browser.run("return document.getElementById('site').disabled"),
                   "a site")
        self.browser.run("document.getElementById('site').focus()")
        self.browser.press(*text)
        wait_until(lambda: (found := self.sites()) and all(text in name for name, _ in found),
                   f"sites with {text}")

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
