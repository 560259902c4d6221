"""Tests of an edge proxy with its recipe from docs/deploying.md, for test_nginx and test_haproxy.

A class with these tests has a method start_edge(collector_port, cookie=False) that starts the
proxy, sets self.port, and has it make the visitor's cookie when asked to.
"""

import http.client
import os
import signal
import socket
import subprocess

from application import Application
from documents import fenced
from harness import DEADLINE, native, wait_until
from people import HTML

SITE = "example.com"
UUID = "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"

# What a browser asks for, and the room it is then in.
ROOMS = {
    "/": "/",
    "/pricing": "/pricing",
    "/page?room=/other&visitor=x": "/page",
    "/a%20b": "/a b",
    "/%22quoted%22": '/"quoted"',
    "/%22%20site=evil.example%20room=%22": '/" site=evil.example room="',
    '/raw"quote': '/raw"quote',
    "/back%5Cslash%5C": "/back\\slash\\",
    "/raw\\slash\\": "/raw\\slash\\",
    "/%5C%22%5C": '/\\"\\',
    "/%5Cu0041": "/\\u0041",
    "/caf%C3%A9": "/café",
    "/%F0%9F%98%80": "/\U0001f600",
    "/%F0%9D%A0%80": "/\U0001d800",
    "/key=value;a&b,c+d": "/key=value;a&b,c+d",
    "/100%25": "/100%",
    "/%2525": "/%25",
    "/Case": "/Case",
    "/directory/": "/directory",
    "/" + "x" * 254: "/" + "x" * 254,
    "/" + "%C3%A9" * 127: "/" + "é" * 127,
}
INVALID_ROOMS = [
    "/%FF", "/caf%E9", "/%C3", "/%ED%A0%80", "/%C0%AF", "/line%0Abreak", "/end%0A", "/%0D", "/%01",
    "/%1B[31m", "/%7F", "/%C2%85",
]
TOO_LONG_ROOMS = ["/" + "x" * 255, "/" + "x" * 7900, "/" + "%22" * 2600, "/" + "%5C" * 2600,
                  "/" + "%0A" * 2600]

# Cookie headers, and the visitor in them.
VISITORS = {
    "visitor=plain": "plain",
    'visitor="quoted"': '"quoted"',
    'visitor="': '"',
    "visitor=back\\slash\\": "back\\slash\\",
    "visitor=\\u0041": "\\u0041",
    "visitor=two  words": "two  words",
    "visitor=it's": "it's",
    "visitor=AbC+/d==": "AbC+/d==",
    "visitor=cut;off=1": "cut",
    "first=1; visitor=second; third=3": "second",
    "visitors=no; visitor=exact; xvisitor=no": "exact",
    "visitor=" + "x" * 512: "x" * 512,
    "visitor=" + '"' * 512: '"' * 512,
    "visitor=café": "café",
    "visitor=\U0001f600": "\U0001f600",
    "visitor=\udcff": "\udcff",  # the byte FF, which is no UTF-8
}
NO_VISITORS = [
    None, "other=1", "visitor", "visitor=", "visitor=-", "visitor=   ", "visitor=;a=1",
    "visitor=" + "x" * 513, "visitor=" + '"' * 5000, "visitor=undefined", "visitor=NULL", "visitor=NaN",
    "visitor=00000000-0000-0000-0000-000000000000",
]

# Referers, and the source that they are.
SOURCES = {
    "https://news.example/story?a=b,c": "news.example",
    "http://news.example": "news.example",
    "https://search.example:8443/find": "search.example",
    "http://192.0.2.1/": "192.0.2.1",
    "https://example.com.other.example/": "example.com.other.example",
    "https://notexample.com/": "notexample.com",
    "https://example.com/inside": None,
    "http://example.com:8080/inside": None,
    "https://example.com": None,
    "": None,
    "-": None,
    "about:blank": None,
    "android-app://app.example/": "app.example",
    "//news.example/": None,
    "https://": None,
    "https:///path": None,
    "https://user:secret@news.example/": None,
    "https://[2001:db8::1]/": None,
    'https://quote".example/': None,
    "https://back\\slash/": None,
    "https://spa ce.example/": None,
    "https://caf\u00e9.example/": None,
    "x https://news.example/": None,
}
TOO_LONG_SOURCE = "https://" + "long." * 60 + "example/"


class Edge:
    """Goes before harness.Case: asks an edge that listens at self.port."""

    application_options = {}

    def start_application(self):
        """Start one for the duration of the test."""
        self.application = Application(**self.application_options)
        self.addCleanup(self.application.close)
        return self.application.port

    def wait_listening(self, process):
        """Wait until the edge, this process, accepts connections; sends no request."""
        def listening():
            self.assertIsNone(process.poll(), "the edge has ended")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE).close()
                return True
            except ConnectionRefusedError:
                return False

        wait_until(listening, "the edge to listen")

    def certificate(self):
        """Make a file with a certificate of SITE and its key."""
        path = os.path.join(self.directory, "example.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", path, "-out", f"{path}.crt",
                        "-days", "1", "-subj", f"/CN={SITE}"], check=True, capture_output=True)
        with open(path, "a") as both, open(f"{path}.crt") as certificate:
            both.write(certificate.read())
        return path

    def exchange(self, method, path, *lines):
        """Send one request with these lines on a new connection. Return the response."""
        lines = [f"{method} {path} HTTP/1.1", *lines]
        if method == "POST":
            lines.append("Content-Length: 0")
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            response.read()
            return response


class EdgeTests(Edge):
    """`requests` counts what must have become a heartbeat."""

    lost_after_restart = 0  # heartbeats that the edge may lose when a collector comes back

    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.requests = 0

    def request(self, path, cookie=None, method="GET", counted=True, **headers):
        """Send one request as a browser does for a page, over plain http://."""
        lines = [f"Host: {SITE}:{self.port}", "Connection: close"]
        if cookie is not None:
            lines.append(f"Cookie: {cookie}")
        headers = {"Accept": HTML, **headers}
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.requests += counted
        return self.exchange(method, path, *lines)

    def visit(self, path, visitor, **keywords):
        return self.request(path, f"visitor={visitor}", **keywords)

    def settle(self, **expected):
        """Wait for every request's heartbeat; each counter of a rejection must be as expected."""
        stats = self.wait_received(self.requests)
        self.assertEqual(stats["datagrams_received"], self.requests)
        self.assertEqual(stats["socket_drops"], 0)
        self.assert_accounted(stats)
        for name, value in stats.items():
            if name.startswith("datagrams_rejected_") or name in ("label_invalid", "room_too_long"):
                self.assertEqual(value, expected.get(name, 0), name)
        return stats

    def count_in(self, *scope):
        """Return the count, 0 for a scope that does not exist."""
        return self.json("count", SITE, *scope)["count"]

    def is_seen(self, visitor):
        status, _, err = self.ctl("seen", SITE, visitor)
        self.assertIn(status, (0, 4), err)
        return status == 0

    def test_visitors_in_rooms(self):
        """Each visitor counts once in the site and once in each room, however often they come."""
        self.start_edge(self.collector.port)
        for _ in range(3):
            for number in range(12):
                self.visit(f"/room{number % 3}", f"person-{number}")
        self.visit("/room1", "person-0")
        stats = self.settle()

        self.assertEqual(self.count(SITE), 12)
        self.assertEqual([self.count_in(f"/room{n}") for n in range(3)], [4, 5, 4])
        self.assertEqual(stats["heartbeats_new"], 12)
        self.assertEqual(stats["heartbeats_refreshed"], 25)
        self.assertEqual(self.ctl("verify")[0], 0)

    def test_uuid_in_any_case_and_form(self):
        self.start_edge(self.collector.port)
        self.visit("/", UUID)
        self.visit("/", UUID.upper())
        self.send(self.collector, native(SITE, [bytes.fromhex(UUID.replace("-", ""))]))
        self.requests += 1
        self.settle()
        self.assertEqual(self.count(SITE), 1)

    def test_rooms(self):
        """Every path counts in the site; in its room, too, if that is a valid name."""
        self.start_edge(self.collector.port)
        paths = [*ROOMS, *INVALID_ROOMS, *TOO_LONG_ROOMS]
        for number, path in enumerate(paths):
            self.visit(path, f"person-{number}")
        self.settle(label_invalid=len(INVALID_ROOMS), room_too_long=len(TOO_LONG_ROOMS))

        self.assertEqual(self.count(SITE), len(paths))
        rooms = self.json("top", SITE, "--by", "room", "--limit", "0")["rooms"]
        self.assertEqual({room["room"]: room["count"] for room in rooms},
                         {room: 1 for room in ROOMS.values()})
        self.assertEqual([site["site"] for site in self.json("sites")["sites"]], [SITE])

    def test_cookies(self):
        """The cookie's exact bytes are the visitor; without a cookie nobody is counted."""
        self.start_edge(self.collector.port)
        for cookie in [*VISITORS, *NO_VISITORS]:
            self.request("/", cookie)
        self.settle(datagrams_rejected_visitor=len(NO_VISITORS))

        unseen = [visitor for visitor in VISITORS.values() if not self.is_seen(visitor)]
        self.assertEqual(unseen, [])
        self.assertEqual(self.count(SITE), len(VISITORS))

    def test_sources(self):
        self.start_edge(self.collector.port)
        for number, referer in enumerate(SOURCES):
            self.visit("/", f"person-{number}", Referer=referer)
        self.visit("/", "long-referer", Referer=TOO_LONG_SOURCE)
        self.visit("/", "without-referer")
        self.settle(label_invalid=1)

        expected = {}
        for source in filter(None, SOURCES.values()):
            expected[source] = expected.get(source, 0) + 1
        sources = self.json("top", SITE, "--by", "source", "--limit", "0")["sources"]
        self.assertEqual({source["source"]: source["count"] for source in sources}, expected)
        self.assertEqual(self.count(SITE), len(SOURCES) + 2)

    def test_only_pages_count(self):
        """Subresources of a page are no rooms."""
        self.start_edge(self.collector.port)
        for kind in ("style", "script", "image", "font", "video", "iframe", "empty", "documents"):
            self.visit(f"/{kind}", f"for-{kind}", counted=False, Sec_Fetch_Dest=kind)
        for accept in ("*/*", "text/css,*/*;q=0.1", "image/avif,image/webp,*/*;q=0.8", ""):
            self.visit("/resource", "for-a-page", counted=False, Accept=accept)
        for path in ("/presence", "/presence/", "//presence//", "/heartbeat/presence"):
            self.visit(path, "dashboard", counted=False)
        self.visit("/page", "browser", Sec_Fetch_Dest="document")
        self.visit("/page", "old-browser")
        self.settle()
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.count_in("/page"), 2)

    def test_heartbeat_of_an_open_page(self):
        """The documented script sends another heartbeat in the page's room, without a source."""
        script = fenced("html heartbeat")
        self.assertIn("document.hidden || "
                      "fetch('/heartbeat' + location.pathname, {method: 'POST'})", script)
        self.start_edge(self.collector.port)
        for path, room in (("/caf%C3%A9", "/café"), ("/", "/"), ("/a/b/", "/a/b")):
            self.visit(path, "reader", Sec_Fetch_Dest="document")
            response = self.visit("/heartbeat" + path, "reader", method="POST",
                                  Sec_Fetch_Dest="empty", Referer=f"http://{SITE}{path}")
            self.assertEqual(response.status, 204)
            self.visit("/heartbeat" + path, "old-browser", method="POST")
            self.settle()
            self.assertEqual(self.count_in(room), 2)

        rooms = self.json("top", SITE, "--by", "room")["rooms"]
        self.assertEqual({room["room"] for room in rooms}, {"/café", "/", "/a/b"})
        self.assertEqual(self.json("top", SITE, "--by", "source")["sources"], [])

    def test_http2(self):
        """Over HTTP/2 cookies come in several headers, and the host in a pseudo-header."""
        self.start_edge(self.collector.port, tls=self.certificate())
        for number, referer in enumerate((f"https://{SITE}/", "https://news.example/")):
            done = subprocess.run(
                ["curl", "-sS", "--insecure", "--http2", "-o", "/dev/null", "-w", "%{http_version}",
                 "--resolve", f"{SITE}:{self.port}:127.0.0.1", "-H", f"Accept: {HTML}",
                 "-H", "Sec-Fetch-Dest: document", "-H", "Cookie: a=1", "-H", "Cookie: Visitor=no",
                 "-H", f'Cookie: visitor={{"v":1,"id":"{number}"}}', "-H", "Cookie: visitor=no",
                 "-H", f"Referer: {referer}", f"https://{SITE}:{self.port}/a%20b?c"],
                capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual((done.stdout, done.stderr), ("2", ""))
            self.requests += 1
        stats = self.settle()
        self.assertEqual(stats["pageviews"], 2)
        self.assertEqual(self.count_in("/a b"), 2)
        self.assertTrue(self.is_seen('{"v":1,"id":"0"}') and self.is_seen('{"v":1,"id":"1"}'))
        sources = self.json("top", SITE, "--by", "source")["sources"]
        self.assertEqual([(line["source"], line["count"]) for line in sources],
                         [("news.example", 1)])

    def test_edge_makes_the_cookie(self):
        """A browser counts once, from its second request on; without cookies it never does."""
        self.start_edge(self.collector.port, cookie=True)
        for _ in range(5):
            self.request("/", None)
        ids = set()
        for _ in range(3):
            made = self.request("/", None).getheader("Set-Cookie")
            self.assertIsNotNone(made, "the edge made no cookie")
            self.assertIn("path=/", made.lower().split("; "))
            browser = made.partition(";")[0]
            ids.add(browser)
            for path in ("/", "/other", "/heartbeat/other"):
                self.assertIsNone(self.request(path, browser).getheader("Set-Cookie"))
        self.assertIsNotNone(self.request("/", "visitor=; a=1").getheader("Set-Cookie"))
        stats = self.settle(datagrams_rejected_visitor=9)
        self.assertEqual(len(ids), 3)
        self.assertEqual(self.count(SITE), 3)
        self.assertEqual(stats["heartbeats_new"], 3)

    def test_collector_restarts(self):
        """Pages are served without a collector; soon after it is back, every request counts."""
        self.start_edge(self.collector.port)
        self.visit("/", "before")
        self.settle()
        self.collector.stop(signal.SIGKILL)
        for _ in range(3):
            self.assertEqual(self.visit("/", "meanwhile").status, 200)

        self.collector = self.start(listen=f"127.0.0.1:{self.collector.port}")
        for number in range(self.lost_after_restart):
            self.visit("/", f"maybe-{number}")
        for number in range(20):
            self.visit("/after", f"after-{number}")
        wait_until(lambda: self.count_in("/after") == 20, "the requests after the restart to count")
        self.assertTrue(self.is_seen("before"))
        self.assertFalse(self.is_seen("meanwhile"))
        self.assert_accounted(self.stats())
