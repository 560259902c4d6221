"""The recipes for nginx and HAProxy as browsers meet them: a page with all that pages fetch,
at a plain http:// name and over TLS and HTTP/2; and the badge beside an edge."""

import unittest

from badge import seldom
from browser import Browser
from documents import fenced, substitute
from edge import SITE, Edge
from firefox import Firefox
from harness import wait_until
from test_haproxy import Haproxy
from test_nginx import Nginx, presence_web_location
from web import WebCase

LINE = fenced("html heartbeat")
PAGE = """
    <link rel="stylesheet" href="/style.css"><script src="/app.js"></script><img src="/logo.svg">
    <link rel="prefetch" href="/next-link">
    <script type="speculationrules">{
        "prefetch": [{"urls": ["/next-prefetch"], "eagerness": "immediate"}],
        "prerender": [{"urls": ["/next-prerender"], "eagerness": "immediate"}]
    }</script>
    <script>
        fetch('/api/data');
        fetch('/part', { headers: { Range: 'bytes=0-9' } });
        new WebSocket(location.origin.replace('http', 'ws') + '/socket').onerror = () => {};
        navigator.sendBeacon('/sent', '1');
    </script>
    <a id="save" href="/download/report.csv">report</a><a id="next" href="/next-prerender">next</a>
"""
FETCHED = {"/style.css", "/app.js", "/logo.svg", "/favicon.ico", "/next-link", "/next-prerender",
           "/api/data", "/part", "/socket", "/sent"}
# The documented line of script every 100 ms, and how often it has run and has sent something.
FAST = """<script>
    const begin = setInterval;
    window.ticks = 0;
    window.setInterval = (work, wait) => begin(() => { window.ticks += 1; work(); }, wait);
    const ask = fetch;
    window.sent = [];
    window.fetch = (path, ...more) => { sent.push(path); return ask(path, ...more); };
    window.beats = () => sent.filter((path) => path.includes('/heartbeat/')).length;
</script>""" + substitute(LINE, minute=("60000", "100"))


class BrowserCase(Edge, WebCase):
    """One browser for all tests of a file and kind."""

    tls = False
    host = SITE
    browsers = {}

    @classmethod
    def make_browser(cls):
        return Browser(f"--host-resolver-rules=MAP {SITE} 127.0.0.1", "--ignore-certificate-errors")

    def setUp(self):
        super().setUp()
        make = self.make_browser
        if make.__func__ not in self.browsers:
            self.browsers[make.__func__] = make()
            unittest.addModuleCleanup(self.browsers[make.__func__].close)
        self.browser = self.browsers[make.__func__]
        self.collector = self.start("--events", "65536", "--warm-up", "0", small=False)
        self.forget_cookies()

    def forget_cookies(self):
        self.browser.devtools("Network.clearBrowserCookies")

    def begin(self, bodies, **keywords):
        self.application_options = {"bodies": bodies, **self.application_options}
        self.start_edge(self.collector.port, cookie=True,
                        tls=self.certificate() if self.tls else None, **keywords)

    def open(self, path):
        self.browser.open(f"http{'s' if self.tls else ''}://{self.host}:{self.port}{path}")

    def asked(self):
        """Return the paths that were requested from the application."""
        return {path for _, path, _ in self.application.asked}

    def wait_asked(self, paths):
        wait_until(lambda: self.asked() >= paths, lambda: f"{paths - self.asked()} to be asked for")

    def rooms(self):
        """Return visitors and page views by room."""
        rooms = {line["room"]: [line["count"], 0]
                 for line in self.json("top", SITE, "--by", "room")["rooms"]}
        for event in self.json("events", SITE)["events"]:
            if event["kind"] == "pageview":
                rooms.setdefault(event["room"], [0, 0])[1] += 1
        return rooms

    def wait_rooms(self, rooms):
        wait_until(lambda: self.rooms() == rooms, lambda: f"{rooms}; there are {self.rooms()}")


class EdgeInBrowser:
    """Goes before an edge and BrowserCase."""

    def test_what_a_page_fetches_is_no_page(self):
        self.begin({"/shop": PAGE})
        self.open("/status/404")  # a browser's first request has no cookie
        self.open("/first")
        self.open("/shop?sort=price")
        # Chromium prefetches over TLS only, but prerenders at any name.
        self.wait_asked(FETCHED | ({"/next-prefetch"} if self.tls else set()))
        self.assertEqual(self.browser.run("return performance.getEntriesByType('navigation')[0]"
                                          ".nextHopProtocol"), "h2" if self.tls else "http/1.1")
        self.browser.run("document.getElementById('save').click()")
        self.wait_asked({"/download/report.csv"})
        for path in ("/status/301", "/status/403", "/status/500", "/status/204"):
            self.browser.devtools("Page.navigate", url=self.browser.run("return location.origin") +
                                  path)
        self.open("/last")
        self.wait_rooms({"/first": [1, 1], "/shop": [1, 1], "/new": [1, 1], "/last": [1, 1]})
        self.assertEqual(self.count(SITE), 1)

    def test_an_open_page_beats_while_it_is_seen(self):
        """The documented line of script, faster; a prerendered page beats from when it is shown."""
        self.begin({"/open": PAGE + FAST, "/next-prerender": FAST})
        self.open("/status/404")
        self.open("/open")
        wait_until(lambda: self.browser.run("return beats()") > 1, "heartbeats")
        self.wait_asked({"/next-prerender"})
        self.browser.minimize()
        wait_until(lambda: self.browser.run("return document.hidden"), "the page to be hidden")
        beats, ticks = self.browser.run("return [beats(), ticks]")
        wait_until(lambda: self.browser.run("return ticks") > ticks + 2, "time to pass")
        self.assertEqual(self.browser.run("return beats()"), beats)
        self.browser.restore()
        wait_until(lambda: self.browser.run("return beats()") > beats, "heartbeats again")
        self.assertEqual(self.rooms(), {"/open": [1, 1]})

        self.browser.leave("document.getElementById('next').click()")
        wait_until(lambda: self.browser.run("return location.pathname") == "/next-prerender",
                   "the next page")
        self.assertGreater(self.browser.run("return performance.getEntriesByType('navigation')[0]"
                                            ".activationStart"), 0)
        self.wait_rooms({"/open": [1, 1], "/next-prerender": [1, 0]})


class WithoutTls:
    """What needs no TLS, or a certificate that the browser knows; goes before an edge and
    BrowserCase."""

    def show(self, identity):
        """The edge, and the badge on each page."""
        web = self.serve("--count-bots", collector=self.collector)
        self.application_options = {"badge": self.badge_at(web), "identity": identity}
        self.begin({}, **self.beside_badge(web))

    def badge_at(self, web):
        return f"http://127.0.0.1:{web.port}"

    def beside_badge(self, web):
        return {}

    def test_the_badge_with_the_edges_cookie(self):
        """A person counts once, from the first page on."""
        self.show('data-visitor-cookie="visitor"')
        self.open("/first")
        self.wait_rooms({"/first": [1, 1]})  # only the badge has seen the cookie
        self.open("/second")
        self.wait_rooms({"/first": [0, 1], "/second": [1, 2]})  # left; seen by each
        self.assertEqual(self.count(SITE), 1)

    def test_the_badge_that_only_shows(self):
        self.show("data-watch")
        self.open("/first")
        self.open("/second")
        self.wait_rooms({"/second": [1, 1]})
        wait_until(lambda: self.browser.run(
            "return document.querySelector('.presence-badge')?.shadowRoot.textContent"
            ".includes('1')"), "the badge to show it")
        self.assertEqual(self.rooms(), {"/second": [1, 1]})
        self.assertEqual(self.count(SITE), 1)

    def test_through_a_service_worker(self):
        """A service worker requests pages with Sec-Fetch-Dest: empty."""
        self.begin({"/register": """<script>
            const ready = async () => {
                await navigator.serviceWorker.register('/sw.js');
                await navigator.serviceWorker.ready;
                document.title = 'ready';
            };
            ready();
        </script>""", "/sw.js": """
            addEventListener('install', () => skipWaiting());
            addEventListener('activate', (event) => event.waitUntil(clients.claim()));
            addEventListener('fetch', (event) => event.respondWith(fetch(event.request)));
        """})
        self.host = "app.localhost"
        self.open("/status/404")
        self.open("/register")
        wait_until(lambda: self.browser.run("return document.title") == "ready", "the worker")
        self.open("/worked")
        self.browser.run("document.body.append(new Image())")
        self.browser.run("fetch('/data', { headers: { Accept: 'text/html' } })")
        self.wait_asked({"/data"})
        self.wait_rooms({"/register": [1, 1], "/worked": [1, 1]})
        sent = [headers["Sec-Fetch-Dest"] for _, path, headers in self.application.asked
                if path == "/worked"]
        self.assertEqual(sent, ["empty"])


class NginxInBrowser(EdgeInBrowser, WithoutTls, Nginx, BrowserCase):
    """The badge comes from the same server block."""

    def badge_at(self, web):
        return "/presence"

    def beside_badge(self, web):
        return {"inside": self.proxy() + presence_web_location(f"127.0.0.1:{web.port}")}


class NginxInBrowserTls(EdgeInBrowser, Nginx, BrowserCase):
    tls = True


class HaproxyInBrowser(EdgeInBrowser, WithoutTls, Haproxy, BrowserCase):
    pass


@seldom
class HaproxyInBrowserTls(EdgeInBrowser, Haproxy, BrowserCase):
    tls = True


class InFirefox:
    """Goes before an edge and BrowserCase."""

    @classmethod
    def make_browser(cls):
        return Firefox(**{"network.dns.localDomains": SITE})

    def forget_cookies(self):
        self.browser.chrome("Services.cookies.removeAll()")

    def test_what_a_page_fetches_is_no_page(self):
        self.begin({"/shop": PAGE})
        for path in ("/status/404", "/first", "/shop"):
            self.open(path)
        self.wait_asked(FETCHED - {"/next-prerender", "/favicon.ico"})
        self.browser.run("document.getElementById('save').click()")
        self.wait_asked({"/download/report.csv"})
        for path in ("/status/301", "/status/403", "/status/500", "/last"):
            self.open(path)
        self.wait_rooms({"/first": [1, 1], "/shop": [1, 1], "/new": [1, 1], "/last": [1, 1]})
        self.assertEqual(self.count(SITE), 1)

    test_through_a_service_worker = WithoutTls.test_through_a_service_worker


@seldom
class NginxInFirefox(InFirefox, Nginx, BrowserCase):
    pass


@seldom
class HaproxyInFirefox(InFirefox, Haproxy, BrowserCase):
    pass


if __name__ == "__main__":
    unittest.main()
