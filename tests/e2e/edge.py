"""What any edge proxy with README's configuration must do: tests for test_nginx and test_haproxy.

A class with these tests has a method start_edge(collector_port, cookie=False) that starts the
proxy, sets self.port, and has it make the visitor's cookie when asked to.
"""

import http.client
import signal
import socket

from harness import DEADLINE, native, wait_until
from readme import fenced

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
    "visitor=" + "x" * 128: "x" * 128,
    "visitor=" + '"' * 128: '"' * 128,
    "visitor=café": "café",
    "visitor=\U0001f600": "\U0001f600",
    "visitor=\udcff": "\udcff",  # the byte FF, which is no UTF-8
}
NO_VISITORS = [
    None, "other=1", "visitor", "visitor=", "visitor=-", "visitor=   ", "visitor=;a=1",
    "visitor=" + "x" * 129, "visitor=" + '"' * 5000,
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
    "android-app://app.example/": None,
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


class EdgeTests:
    """Goes before harness.Case; `requests` counts what must have become a heartbeat."""

    lost_after_restart = 0  # heartbeats that the edge may lose when a collector comes back

    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.requests = 0

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

    def request(self, path, cookie=None, method="GET", counted=True, **headers):
        """One request on a connection of its own; returns the response, read to its end."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {SITE}:{self.port}", "Connection: close"]
        if cookie is not None:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if method == "POST":
            lines.append("Content-Length: 0")
        self.requests += counted
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            response.read()
            return response

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
        """The count, 0 for a scope that does not exist."""
        return self.json("count", SITE, *scope)["count"]

    def is_seen(self, visitor):
        status, _, err = self.ctl("seen", SITE, visitor)
        self.assertIn(status, (0, 4), err)
        return status == 0

    def test_visitors_in_rooms(self):
        """Everybody counts once in the site and once in each room, however often they come."""
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
        """Every path counts in the site; in its room, too, when that is fit to be a name."""
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
        """The cookie's exact bytes are the visitor; without one nobody is made up."""
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
        """What a browser fetches for a page is no room of its own."""
        self.start_edge(self.collector.port)
        for kind in ("style", "script", "image", "font", "video", "iframe", "empty", "documents"):
            self.visit(f"/{kind}", f"for-{kind}", counted=False, Sec_Fetch_Dest=kind)
        self.visit("/page", "browser", Sec_Fetch_Dest="document")
        self.visit("/page", "old-browser")
        self.settle()
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.count_in("/page"), 2)

    def test_heartbeat_of_an_open_page(self):
        """README's script is another heartbeat in the page's room, without a source."""
        script, = fenced("html")
        self.assertIn("fetch('/heartbeat' + location.pathname, {method: 'POST'})", script)
        self.start_edge(self.collector.port)
        for path, room in (("/caf%C3%A9", "/café"), ("/", "/"), ("/a/b/", "/a/b/")):
            self.visit(path, "reader", Sec_Fetch_Dest="document")
            response = self.visit("/heartbeat" + path, "reader", method="POST",
                                  Sec_Fetch_Dest="empty", Referer=f"http://{SITE}{path}")
            self.assertEqual(response.status, 204)
            self.visit("/heartbeat" + path, "old-browser", method="POST")
            self.settle()
            self.assertEqual(self.count_in(room), 2)

        rooms = self.json("top", SITE, "--by", "room")["rooms"]
        self.assertEqual({room["room"] for room in rooms}, {"/café", "/", "/a/b/"})
        self.assertEqual(self.json("top", SITE, "--by", "source")["sources"], [])

    def test_edge_makes_the_cookie(self):
        """A browser counts once, from its second request on; what keeps no cookies never does."""
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
        stats = self.settle(datagrams_rejected_visitor=8)
        self.assertEqual(len(ids), 3)
        self.assertEqual(self.count(SITE), 3)
        self.assertEqual(stats["heartbeats_new"], 3)

    def test_collector_restarts(self):
        """Visitors notice nothing; soon after the collector is back, every request counts."""
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
