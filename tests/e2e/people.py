"""One list of requests, and one table of what has to be counted, whichever way they are reported.

Each request is one that a browser, a crawler or a scanner has made. `kind` says whether it is a
look at a page, and `visitor`, `room`, `source` and `site` what a correct program sends for it.
EXPECTED is written by hand: it is what test_table.py wants to see from nginx, HAProxy and native
senders, and test_table_badge.py from the badge in Chromium.
"""

import urllib.parse
from dataclasses import dataclass, field

SITE, SHOP = "example.com", "shop.example"
SITES = {SITE: SITE, "www.example.com": SITE, SHOP: SHOP}
UUID = "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"
NIL = "00000000-0000-0000-0000-000000000000"
HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"  # Accept of a navigation


@dataclass
class Request:
    """`who` is also the visitor, unless the cookie says otherwise. `unvisited` says why Chromium
    doesn't make this request: it makes no page, or another request has made it."""

    who: str
    path: str
    kind: str = "pageview"  # None: it doesn't count
    host: str = SITE
    method: str = "GET"
    headers: dict = field(default_factory=dict)
    cookies: tuple = None  # the Cookie headers; None: one with `who`
    visitor: str = None
    source: str = ""
    unvisited: str = ""
    referrer: str = None  # what document.referrer is in Chromium; None: the Referer

    def __post_init__(self):
        if self.cookies is None:
            self.cookies = (f"visitor={self.who}",)
        self.visitor = self.visitor or self.who
        self.headers = {"Accept": HTML, **self.headers}
        if self.referrer is None:
            self.referrer = self.headers.get("Referer", "")

    @property
    def site(self):
        return SITES[self.host.lower()]

    @property
    def page(self):
        """The page that a browser then shows, or has open when it sends a heartbeat."""
        return self.path.removeprefix("/heartbeat") if self.kind == "heartbeat" else self.path

    @property
    def room(self):
        """What a program sends for the path; R2 is left to the collector."""
        try:
            path = urllib.parse.unquote_to_bytes(self.page.partition("?")[0]).decode()
        except UnicodeDecodeError:
            return ""
        rest = []
        for segment in path.split("/")[1:]:
            if segment == "..":
                del rest[-1:]
            elif segment != ".":
                rest.append(segment)
        path = "/" + "/".join(rest)
        invalid = any(ord(char) < 32 or 127 <= ord(char) < 160 for char in path)
        return "" if invalid or len(path.encode()) > 255 else path


def look(who, path, **keywords):
    return Request(who, path, **keywords)


def stay(who, path, **keywords):
    """The page of the request before stays open for a minute; the line of script reports it."""
    return Request(who, "/heartbeat" + path, kind="heartbeat", method="POST",
                   headers={"Accept": "*/*", "Referer": f"http://{SITE}{path}"}, referrer="",
                   **keywords)


def nothing(who, path, why="", **keywords):
    """What is no look at a page; in Chromium it is tried, too, unless there is a reason not to."""
    return Request(who, path, kind=None, unvisited=why, **keywords)


def cookie(visitor, *cookies, **keywords):
    """A look at /cookies by whom the Cookie headers name; None: by nobody."""
    return Request(visitor or "nobody", "/cookies", cookies=cookies,
                   kind="pageview" if visitor else None, **keywords)


def referred(who, referer, source="", **keywords):
    return Request(who, "/landing", headers={"Referer": referer}, source=source, **keywords)


RESOURCE = "what pages fetch makes no page"
NEVER = "browsers don't navigate so"
FOLLOWED = "Chromium has followed the redirect"
AHEAD = "nobody has looked at it"
OWN = "presence-web's own; the badge fetches it itself"

REQUESTS = [
    # people and pages
    look("ann", "/"),
    look("ann", "/pricing"),
    look("ann", "/pricing"),
    stay("ann", "/pricing"),
    look("bob", "/pricing", headers={"Referer": "https://news.example/story?a=b,c"},
         source="news.example"),
    stay("bob", "/pricing"),
    stay("bob", "/pricing"),
    look("kim", "/%70ricing"),
    look("lee", "/pricing?room=/other&visitor=x&kind=leave"),

    # one place, one name
    look("slash-1", "/a//b"),
    look("slash-2", "/a/b/"),
    look("slash-3", "/a%2Fb"),
    look("slash-4", "//a/b"),
    look("slash-5", "/a/%2F/b//"),
    look("dots-1", "/a/./b"),
    look("dots-2", "/x/../a/b"),
    look("dots-3", "/x/y/%2e%2E/../a/b/."),
    look("dots-4", "/a/c/../b"),
    look("dots-5", "/..a/b.../c.."),
    look("dots-6", "/a%2Fx%2F..%2Fb"),
    look("dots-7", "/a/%2e%2fc%2F%2e./b"),
    look("tail-1", "/t"),
    look("tail-2", "/t/"),
    look("case-1", "/Case"),
    look("case-2", "/case"),
    look("utf-1", "/caf%C3%A9"),
    look("utf-2", "/c%61f%c3%a9/"),
    look("utf-3", "/%F0%9F%98%80"),
    look("quote-1", "/%22quoted%22"),
    look("quote-2", '/raw"quote'),
    look("quote-3", "/%22%20site=evil.example%20room=%22"),
    look("back-1", "/back%5Cslash%5C"),
    look("back-2", "/%5C%22%5Cu0041"),
    look("percent-1", "/100%25"),
    look("percent-2", "/%2525"),
    look("signs-1", "/a%20b+c"),
    look("signs-2", "/key=value;a&b,c'd"),
    look("signs-3", "/what%3F%23"),
    look("long-1", "/" + "x" * 249),
    look("long-2", "/" + "x" * 254),
    look("long-3", "/" + "%C3%A9" * 127),

    # no room: they are on the site
    look("nowhere-1", "/" + "x" * 255),
    look("nowhere-2", "/" + "%C3%A9" * 128),
    look("nowhere-3", "/%FF"),
    look("nowhere-4", "/caf%E9"),
    look("nowhere-5", "/line%0Abreak"),
    look("nowhere-6", "/%01"),
    look("nowhere-7", "/%C2%85"),
    look("nowhere-8", "/%ED%A0%80"),
    nothing("refused-1", "/a%00b"),
    nothing("refused-2", "/%zz"),
    nothing("refused-3", "/half%4"),

    # names of the host
    look("host-1", "/host", host="EXAMPLE.COM"),
    look("host-2", "/host", host="www.example.com"),
    look("host-3", "/host", host="WWW.Example.com"),
    look("host-4", "/host", host=SHOP),
    look("host-5", "/host", host="Shop.Example"),
    look("ann", "/", host=SHOP),

    # where they came from
    referred("from-1", "https://News.EXAMPLE/", "news.example"),
    referred("from-2", "http://search.example:8443/find?q=1", "search.example"),
    referred("from-3", "http://192.0.2.1/", "192.0.2.1"),
    referred("from-4", "https://example.com.other.example/", "example.com.other.example"),
    referred("from-5", "https://notexample.com/", "notexample.com"),
    referred("from-6", "https://www.example.com/", "www.example.com"),
    referred("from-7", "android-app://com.Google.android.gm/", "com.google.android.gm"),
    referred("from-8", "android-app://org.my_reader", "org.my_reader"),
    referred("here-1", "https://example.com/inside"),
    referred("here-2", "http://EXAMPLE.com:8080/inside"),
    referred("here-3", "http://shop.example/", host="SHOP.example"),
    referred("odd-1", "https://[2001:db8::1]/"),
    referred("odd-2", "about:blank", referrer=""),
    referred("odd-3", "-", referrer=""),
    referred("odd-4", "", referrer=""),
    referred("odd-5", "https://", referrer=""),
    referred("odd-6", 'https://quote".example/', referrer=""),
    referred("odd-7", "x https://news.example/", referrer=""),
    referred("odd-8", "file:///home/x/page.html", referrer=""),

    # who they are
    cookie('{"v":1,"id":"a"}', 'visitor={"v":1,"id":"a"}'),
    cookie('{"v":1,"id":"b"}', 'visitor={"v":1,"id":"b"}'),
    cookie("a,b", "visitor=a,b"),
    cookie("a,c", "visitor=a,c"),
    cookie('"quoted"', 'visitor="quoted"'),
    cookie("quoted", "visitor=quoted"),
    cookie("AbC+/d==", "visitor=AbC+/d=="),
    cookie("a=b=c", "visitor=a=b=c"),
    cookie("a%20b", "visitor=a%20b"),
    cookie("two words", "visitor=two words"),
    cookie("back\\slash\\", "visitor=back\\slash\\"),
    cookie("café", "visitor=café"),
    cookie("x" * 512, "visitor=" + "x" * 512),
    cookie(UUID, f"visitor={UUID}"),
    cookie(UUID, f"visitor={UUID.upper()}"),
    cookie("first", "visitor=first; visitor=second"),
    cookie("exact", "Visitor=other; VISITOR=third; visitor=exact"),
    cookie("whole", "xvisitor=no; visitors=no; my-visitor=no; visitor=whole; visitor2=no"),
    cookie("inside", 'a="; b=visitor=no; visitor=inside'),
    cookie("header-2", "a=1; b=2", "visitor=header-2"),
    cookie("header-3", "a=1", "Visitor=no", "c=visitor=no", "visitor=header-3; d=1", "visitor=no"),
    cookie(None, "visitor=; visitor=second"),
    cookie(None, "Visitor=other"),
    cookie(None, "a=1"),
    cookie(None),
    cookie(None, "visitor=undefined"),
    cookie(None, f"visitor={NIL}"),
    cookie(None, "visitor=" + "x" * 513),

    # the answer
    look("created", "/status/201"),
    look("cached", "/cached", headers={"If-None-Match": '"page"'}),
    look("part", "/part", headers={"Range": "bytes=0-9"}),
    look("form", "/form", method="POST"),
    *(nothing("walker", f"/status/{status}") for status in (301, 302, 303, 307, 308)),
    look("walker", "/new", unvisited=FOLLOWED),
    look("walker", "/new", unvisited=FOLLOWED),
    look("walker", "/new", unvisited=FOLLOWED),
    look("walker", "/new", unvisited=FOLLOWED),
    look("walker", "/new", unvisited=FOLLOWED),
    *(nothing("refused", f"/status/{status}") for status in (204, 205, 400, 401, 403, 404, 410, 500,
                                                             503)),
    *(nothing("scanner", path) for path in ("/status/404/wp-login.php", "/status/404/.env",
                                            "/status/403/.git/config")),
    nothing("saver", "/download/report.csv"),
    nothing("socket", "/socket", RESOURCE,
            headers={"Accept": "*/*", "Connection": "Upgrade", "Upgrade": "websocket",
                     "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                     "Sec-WebSocket-Version": "13"}),
    *(nothing("robot", "/method", NEVER, method=method) for method in ("HEAD", "PUT", "DELETE",
                                                                      "OPTIONS")),

    # what is no page
    look("modern", "/modern", headers={"Sec-Fetch-Dest": "document", "Accept": "*/*"}),
    *(look("worker", "/worked", headers={"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": mode})
      for mode in ("navigate", "same-origin")),  # by a service worker of Chromium, of Firefox
    look("plain", "/plain", headers={"Accept": "Text/HTML;q=0.9"}),
    *(nothing("fetcher", f"/{kind}", RESOURCE, headers={"Sec-Fetch-Dest": kind})
      for kind in ("script", "style", "image", "font", "iframe", "empty", "worker", "documents")),
    *(nothing("fetcher", path, RESOURCE, headers={"Accept": accept}) for path, accept in (
        ("/app.js", "*/*"), ("/style.css", "text/css,*/*;q=0.1"),
        ("/logo.svg", "image/avif,image/webp,*/*;q=0.8"), ("/favicon.ico", ""),
        ("/text/html", "application/json"))),
    nothing("fetcher", "/turbo", RESOURCE, headers={"Sec-Fetch-Dest": "empty",
                                                    "Sec-Fetch-Mode": "cors"}),
    nothing("saver", "/saved", RESOURCE, headers={"Sec-Fetch-Dest": "empty", "Accept": "",
                                                  "Sec-Fetch-Mode": "navigate"}),
    *(nothing("hurried", "/ahead", AHEAD, headers=headers) for headers in (
        {"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"},
        {"Sec-Purpose": "prefetch;anonymous-client-ip"}, {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"}, {"X-Purpose": "preview"}, {"X-Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch", "Sec-Fetch-Dest": "document"})),
    nothing("owner", "/presence/"),
    nothing("owner", "/presence/?site=example.com"),
    nothing("owner", "/presence/badge.js", OWN, headers={"Accept": "*/*"}),
    nothing("owner", "/presence/api/sites", NEVER),
    nothing("owner", "/heartbeat/presence/", OWN, method="POST"),
    look("reader", "/blog/presence/"),
]

# By site: how many visitors, in each room visitors and page views, page views in no room (on the
# site alone), and sources and their visitors.
EXPECTED = {
    SITE: {
        "visitors": 94,
        "rooms": {
            "/": (1, 1),
            "/pricing": (4, 5),
            "/a/b": (11, 11),
            "/..a/b.../c..": (1, 1),
            "/t": (2, 2),
            "/Case": (1, 1),
            "/case": (1, 1),
            "/café": (2, 2),
            "/\U0001f600": (1, 1),
            '/"quoted"': (1, 1),
            '/raw"quote': (1, 1),
            '/" site=evil.example room="': (1, 1),
            "/back\\slash\\": (1, 1),
            '/\\"\\u0041': (1, 1),
            "/100%": (1, 1),
            "/%25": (1, 1),
            "/a b+c": (1, 1),
            "/key=value;a&b,c'd": (1, 1),
            "/what?#": (1, 1),
            "/" + "x" * 249: (1, 1),
            "/" + "x" * 254: (1, 1),
            "/" + "é" * 127: (1, 1),
            "/host": (3, 3),
            "/landing": (18, 18),
            "/cookies": (20, 21),
            "/status/201": (1, 1),
            "/cached": (1, 1),
            "/part": (1, 1),
            "/form": (1, 1),
            "/new": (1, 5),
            "/modern": (1, 1),
            "/plain": (1, 1),
            "/worked": (1, 2),
            "/blog/presence": (1, 1),
        },
        "pageviews without a room": 8,
        "sources": {
            "news.example": 2,
            "search.example": 1,
            "192.0.2.1": 1,
            "example.com.other.example": 1,
            "notexample.com": 1,
            "www.example.com": 1,
            "com.google.android.gm": 1,
            "org.my_reader": 1,
        },
    },
    SHOP: {
        "visitors": 4,
        "rooms": {"/": (1, 1), "/host": (2, 2), "/landing": (1, 1)},
        "pageviews without a room": 0,
        "sources": {},
    },
}
HEARTBEATS = 3  # and all others are page views
