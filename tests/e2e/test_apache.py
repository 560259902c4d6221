"""Apache with the recipe of docs/deploying.md, its piped log, and the collector."""

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import unittest
from dataclasses import replace

from documents import fenced, substitute
from edge import Edge
from harness import DEADLINE, PRESENCE_SEND, Case, free_port, program, wait_until
from people import SHOP, SITE
from test_table import EdgeTable

PATH = os.environ["PATH"] + ":/usr/sbin"

# What Debian loads by default, and what the recipe and the site below need.
MODULES = ("mpm_event", "authz_core", "dir", "alias", "setenvif", "rewrite", "mime", "cgid",
           "usertrack")

# Pages of three kinds: files with a front controller behind them; a directory whose .htaccess sends
# all to a program, as WordPress has it; and one without a front controller, with a page for errors.
PAGES = """
DocumentRoot %(pages)s
<Directory %(pages)s>
    Options +ExecCGI
    AllowOverride All
    DirectoryIndex index.html index.cgi
    FallbackResource /index.html
</Directory>
<Directory %(pages)s/program>
    FallbackResource /program/index.cgi
</Directory>
<Directory %(pages)s/files>
    FallbackResource disabled
    ErrorDocument 404 /missing.html
</Directory>
AddType text/html html
AddHandler cgi-script cgi
Redirect /moved /program/
Alias /presence/ %(pages)s/files/
"""
HTACCESS = """
RewriteEngine On
RewriteBase /blog/
RewriteRule ^index\\.cgi$ - [L]
RewriteCond %{REQUEST_FILENAME} !-f
RewriteCond %{REQUEST_FILENAME} !-d
RewriteRule . /blog/index.cgi [L]
"""
SLOW = """#!/bin/sh
touch ../begun
while ! [ -e ../go-on ]; do sleep 0.02; done
printf 'Content-Type: text/html\\r\\n\\r\\npage'
"""
SAVE = """#!/bin/sh
printf 'Content-Type: text/html\\r\\nContent-Disposition: Attachment; filename=a\\r\\n\\r\\nfile'
"""
PROGRAM = """#!/bin/sh
printf 'Status: %s\\r\\nContent-Type: text/html\\r\\n\\r\\npage' "${QUERY_STRING:-200}"
"""

DOCUMENT = {"Sec_Fetch_Dest": "document"}
OLD = {"Accept": "Text/HTML,application/xhtml+xml,*/*;q=0.8"}  # no Sec-Fetch-* on plain http://

VISITORS = {
    "visitor=plain": "plain", 'visitor="quoted"': '"quoted"',
    "visitor=back\\slash\\": "back\\slash\\", 'visitor={"v":1,"id":"a"}': '{"v":1,"id":"a"}',
    "visitor=a,b=c": "a,b=c", "visitor= spaces ": "spaces", "visitor=%41%2C": "%41%2C",
    "visitor=café": "café", "visitor=\U0001f600": "\U0001f600", "visitor=\udcff": "\udcff",
    "a=1; visitor=second; b=2": "second", "visitor=" + "v" * 512: "v" * 512,
    "visitor=" + "é" * 256: "é" * 256, "visitor=\\xc3\\xa9": "\\xc3\\xa9",
    "visitor=first; visitor=other": "first", "Visitor=capitals; visitor=exact": "exact",
    "xvisitor=no; visitors=no;visitor=close": "close",
}
NOBODY = [None, "a=1", "visitor", "visitor=", "visitor=undefined", "visitor=null", "VISITOR=big",
          "visitor=; visitor=late", "visitor=" + "v" * 513,
          "visitor=00000000-0000-0000-0000-000000000000"]
ROOMS = {
    "/": "/", "/pricing": "/pricing", "/caf%C3%A9/": "/café", "//a//b": "/a/b", "/a%20b": "/a b",
    "/%22q%22": '/"q"', "/%5Cback%5C": "/\\back\\", "/page?x=1&y=2": "/page", "/Case": "/Case",
    "/100%25": "/100%", "/\U0001f600": "/\U0001f600", "/c%3Fd": "/c?d", "/%252F": "/%2F",
    "/x/../y/./z": "/y/z", "/heartbeat": "/heartbeat", "/heartbeats/x": "/heartbeats/x",
    "/presences": "/presences", "/" + "x" * 254: "/" + "x" * 254,
    "/program/": "/program", "/program/a?200": "/program/a", "/blog/": "/blog",
    "/blog/2026/post": "/blog/2026/post", "/files/": "/files",
    "/files/page.html": "/files/page.html",
}
NO_ROOMS = ["/%FF", "/%0Ax", "/x%0A", "/%1B[31m", "/%C2%85", "/" + "x" * 255,
            ("/" + "%22" * 60) * 30]
SOURCES = {
    "https://News.Example/x": "news.example", "https://news.example": "news.example",
    "https://news.example:8443/": "news.example", "http://192.0.2.1/": "192.0.2.1",
    "android-app://com.google.android.gm/": "com.google.android.gm",
    "android-app://com.Example.my_App": "com.example.my_app",
    "https://example.com.other.example/": "example.com.other.example",
    f"https://not{SITE}/": f"not{SITE}",
}
NO_SOURCES = [f"http://{SITE}/", "https://EXAMPLE.com:8443/x", f"http://{SITE}", "about:blank",
              f"https://{SITE}./x", "https://user@news.example/",
              "https://", "https:///x", "ios-app://1/x", "https://[2001:db8::1]/", "//news.example/",
              'https://quote".example/', "x https://news.example/", "file:///etc/passwd"]

# No page that somebody looks at, by path, method and headers.
NO_PAGES = [
    ("/style.css", "GET", {"Sec_Fetch_Dest": "style"}),
    ("/frame", "GET", {"Sec_Fetch_Dest": "iframe", **OLD}),
    ("/api", "GET", {"Sec_Fetch_Dest": "empty", "Accept": "*/*"}),
    ("/logo.svg", "GET", {"Accept": "image/avif,image/webp,*/*"}),
    ("/no-accept", "GET", {}),
    ("/look", "HEAD", DOCUMENT),
    ("/options", "OPTIONS", DOCUMENT),
    ("/next", "GET", {"Sec_Purpose": "prefetch", **DOCUMENT}),
    ("/next", "GET", {"Sec_Purpose": "prefetch;prerender", **DOCUMENT}),
    ("/next", "GET", {"Purpose": "prefetch", **OLD}),
    ("/next", "GET", {"X_Moz": "prefetch", **OLD}),
    ("/next", "GET", {"X_Purpose": "preview", **OLD}),
    ("/next", "GET", {"X_Sec_Purpose": "prefetch", **OLD}),
    ("/program/save.cgi", "GET", DOCUMENT),
    ("/heartbeat/presence/", "POST", {"Sec_Fetch_Dest": "empty", "Content_Length": 0}),
    ("/moved", "GET", DOCUMENT),
    ("/blog", "GET", DOCUMENT),
    ("/files/none", "GET", DOCUMENT),
    ("/program/x?404", "GET", DOCUMENT),
    ("/program/x?302", "GET", DOCUMENT),
    ("/program/x?204", "GET", DOCUMENT),
    ("/program/x?205", "GET", DOCUMENT),
    ("/program/x?500", "GET", DOCUMENT),
    ("/blog/x?404", "GET", DOCUMENT),
    ("/blog/x?403", "GET", OLD),
    ("/blog/x?500", "GET", DOCUMENT),
    ("/presence/", "GET", DOCUMENT),
    ("/presence", "GET", DOCUMENT),
    ("//presence/page.html", "GET", OLD),
    ("/%70resence/", "GET", DOCUMENT),
    ("/%zz", "GET", DOCUMENT),
    ("/%00", "GET", DOCUMENT),
]


class Apache(Edge):
    """Goes before harness.Case."""

    LOGGER = "/usr/bin/logger --udp --server 127.0.0.1 --size 65000 --tag presence --port %s"

    def run_apache(self, modules, configuration):
        apache = shutil.which("apache2", path=PATH)
        if not apache:
            self.skipTest("there is no apache2: install apache2-bin")
        path = os.path.join(self.directory, "apache.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([
                f"ServerRoot {self.directory}", f"ServerName {SITE}",
                f"Listen 127.0.0.1:{self.port}",
                *(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
                  for name in modules),
                f"PidFile {self.directory}/apache.pid", f"ErrorLog {self.directory}/apache.log",
                f"Mutex file:{self.directory}",
                *(("User www-data", "Group www-data") if os.geteuid() == 0 else ()),
                *configuration]))
        process = self.enterContext(program([apache, "-f", path, "-DFOREGROUND"]))
        self.wait_listening(process)
        return process


class ApacheTest(Apache, Case):
    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.sender = (f"{os.path.abspath(PRESENCE_SEND)} --to "
                       f"127.0.0.1:{self.collector.port}")

    def make_pages(self):
        pages = tempfile.mkdtemp(prefix="presence-test-")
        self.addCleanup(shutil.rmtree, pages)
        os.chmod(pages, 0o777)
        for name, text in (("index.html", "page"), ("missing.html", "missing"),
                           ("files/index.html", "page"), ("files/page.html", "page"),
                           ("program/index.cgi", PROGRAM), ("program/slow.cgi", SLOW),
                           ("program/save.cgi", SAVE),
                           ("blog/index.cgi", PROGRAM),
                           ("blog/.htaccess", HTACCESS)):
            path = os.path.join(pages, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)
        return pages

    def serve(self, sender=None, cookie=False, modules=MODULES, beside="", **changes):
        """Start Apache, whose log goes to the program `sender`."""
        main, user_track = fenced("apache"), fenced("apache visitor cookie")
        self.port, self.pages = free_port(), self.make_pages()
        return self.run_apache(modules, [
            "<IfModule mod_http2.c>", "Protocols h2c http/1.1", "</IfModule>",
            "TypesConfig /dev/null", f"ScriptSock {self.pages}/socket",
            f"<VirtualHost *>\nServerName {SITE}",
            substitute(main, sender=("/usr/bin/presence-send --to 127.0.0.1:9514",
                                     sender or self.sender), **changes),
            user_track if cookie else "", beside,
            PAGES % {"pages": self.pages}, "</VirtualHost>",
        ])

    def senders(self):
        """The programs that Apache, a child of this process, has started."""
        listed = subprocess.run(["ps", "-C", "presence-send", "-o", "pid=,args="], check=True,
                                capture_output=True, text=True).stdout
        return [int(line.split()[0]) for line in listed.splitlines() if self.sender in line]

    def logged_errors(self):
        with open(os.path.join(self.directory, "apache.log"), encoding="utf-8") as file:
            return file.read()

    def visit(self, path, cookie=None, method="GET", address="127.0.0.1", **headers):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {SITE}", "Connection: close"]
        if cookie is not None:
            lines.append(f"Cookie: {cookie}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE, (address, 0)) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            response.read()
            return response

    def visits(self):
        """Everybody of VISITORS at the root, somebody in each room; returns how many count."""
        for cookie in [*VISITORS, *NOBODY]:
            self.visit("/", cookie, **DOCUMENT)
        for number, path in enumerate([*ROOMS, *NO_ROOMS]):
            headers = DOCUMENT if number % 2 else OLD
            status = self.visit(path, f"visitor=walker-{number}", **headers).status
            self.assertEqual(status, 200, path)
        for number, referer in enumerate([*SOURCES, *NO_SOURCES]):
            self.visit("/", f"visitor=guest-{number}", Referer=referer, **DOCUMENT)
        return len(VISITORS) + len(ROOMS) + len(NO_ROOMS) + len(SOURCES) + len(NO_SOURCES)

    def busiest(self, by):
        """Rooms or sources and how many are there."""
        lines = self.json("top", SITE, "--by", by, "--limit", "0")[by + "s"]
        return {line[by]: line["count"] for line in lines}

    def assert_visits(self, visits):
        wait_until(lambda: self.json("count", SITE)["count"] == visits,
                   lambda: f"{visits} visitors: {self.json('count', SITE)}, {self.stats()}")
        unseen = [visitor for visitor in VISITORS.values()
                  if self.ctl("seen", SITE, visitor)[0] != 0]
        self.assertEqual(unseen, [])
        root = len(VISITORS) + len(SOURCES) + len(NO_SOURCES)
        self.assertEqual(self.busiest("room"),
                         {**{room: 1 for room in ROOMS.values()}, "/": 1 + root})
        sources = list(SOURCES.values())
        self.assertEqual(self.busiest("source"), {name: sources.count(name) for name in sources})
        self.assertEqual([site["site"] for site in self.json("sites")["sites"]], [SITE])
        wait_until(lambda: self.stats()["pageviews"] == visits, lambda: f"{visits}: {self.stats()}")

    def test_pages_through_presence_send(self):
        self.serve()
        visits = self.visits()
        self.assert_visits(visits)
        stats = self.stats()
        self.assertEqual(stats["datagrams_received"], stats["datagrams_accepted"])

    def test_pages_through_logger(self):
        """As text, which Apache has escaped."""
        self.serve(self.LOGGER % self.collector.port)
        visits = self.visits()
        self.assert_visits(visits)
        stats = self.wait_received(visits + len(NOBODY))
        self.assertEqual(stats["datagrams_rejected_visitor"], len(NOBODY))
        self.assertEqual(stats["datagrams_accepted"], visits)
        self.assertEqual((stats["label_invalid"], stats["room_too_long"]), (5, 2))

    def test_no_pages(self):
        """Nobody is counted who looks at no page, and an open page's heartbeats are no views."""
        self.serve()
        for number, (path, method, headers) in enumerate(NO_PAGES):
            self.visit(path, f"visitor=no-{number}", method=method, **headers)
        for path in ("/heartbeat/blog/post", "/heartbeat/", "//heartbeat//caf%C3%A9/"):
            answer = self.visit(path, "visitor=reader", method="POST", Content_Length=0,
                                Sec_Fetch_Dest="empty", Referer=f"http://{SITE}/")
            self.assertEqual(answer.status, 204)
        self.visit("/heartbeat/old", "visitor=reader", method="POST", Content_Length=0)
        self.visit("/form", "visitor=writer", method="POST", Content_Length=0, **DOCUMENT)
        tag = self.visit("/files/page.html", "visitor=reader", **DOCUMENT).getheader("ETag")
        cached = self.visit("/files/page.html", "visitor=second", If_None_Match=tag, **DOCUMENT)
        self.assertEqual(cached.status, 304)
        wait_until(lambda: self.ctl("seen", SITE, "second")[0] == 0, "the last visitor to be seen")

        # Another process of Apache may log the page before only now.
        rooms = {"/blog/post": 1, "/": 1, "/café": 1, "/old": 1, "/form": 1, "/files/page.html": 2}
        wait_until(lambda: self.busiest("room") == rooms and self.stats()["pageviews"] == 3,
                   lambda: f"{rooms}; there are {self.busiest('room')}, {self.stats()}")
        self.assertEqual(self.count(SITE), 3)
        self.assertEqual(self.busiest("source"), {})

    def test_cookie_of_apache(self):
        """mod_usertrack's cookie makes a browser a visitor from its second request on."""
        self.serve(cookie=True)
        made = self.visit("/", **DOCUMENT).getheader("Set-Cookie")
        self.assertRegex(made, "(?i)^visitor=[^;]+; path=/;.*samesite=lax")
        for path in ("/", "/other"):
            self.assertIsNone(self.visit(path, made.partition(";")[0], **DOCUMENT)
                              .getheader("Set-Cookie"))
        wait_until(lambda: self.busiest("room") == {"/": 1, "/other": 1}, "both pages")
        self.assertEqual(self.count(SITE), 1)

    def answer_after_restart(self, process, visitor):
        """One process of Apache answers a page after another has taken over; is it counted?"""
        begun, go_on = (os.path.join(self.pages, name) for name in ("begun", "go-on"))
        page = threading.Thread(target=self.visit, args=("/program/slow.cgi", f"visitor={visitor}"),
                                kwargs=DOCUMENT)
        page.start()
        wait_until(lambda: os.path.exists(begun), "the page to be asked for")
        starts = self.logged_errors().count("resuming normal operations")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: self.logged_errors().count("resuming normal operations") > starts,
                   "apache2 to restart")
        with open(go_on, "w", encoding="ascii"):
            pass
        page.join()
        os.remove(begun)
        os.remove(go_on)
        with contextlib.suppress(AssertionError):
            return wait_until(lambda: self.ctl("seen", SITE, visitor)[0] == 0, "it", deadline=3)

    def test_graceful_restart(self):
        """presence-send waits a second for the last lines of processes that are being replaced; on a
        busy machine they may come too late."""
        process = self.serve()
        self.assertTrue(any(self.answer_after_restart(process, f"person-{attempt}")
                            for attempt in range(10)), "nobody was counted")
        self.visit("/", "visitor=after", **DOCUMENT)
        wait_until(lambda: self.ctl("seen", SITE, "after")[0] == 0, "the new process to be logged")

    def test_program_ends(self):
        """Apache starts it again, and what it has logged meanwhile counts."""
        self.serve()
        self.visit("/", "visitor=before", **DOCUMENT)
        wait_until(lambda: self.ctl("seen", SITE, "before")[0] == 0, "the first visitor to be seen")
        for sender in self.senders():
            os.kill(sender, signal.SIGKILL)
        for number in range(20):
            self.visit("/", f"visitor=person-{number}", **DOCUMENT)
        wait_until(lambda: self.json("count", SITE)["count"] == 21, "all visitors to be counted")

    def test_behind_a_cdn(self):
        """Its header is believed if it comes from its addresses."""
        block = fenced("apache with a CDN")
        block = substitute(block, network=("198.51.100.0/24", "127.0.2.0/24"))
        self.serve(beside=block, country=("site=%v ", "site=%v country=%<{presence_country}e "))
        for number, (address, country) in enumerate((
                ("127.0.2.9", "DE"), ("127.0.2.9", "XX"), ("127.0.2.9", "DE room=/x"),
                ("127.0.2.9", ""), ("127.0.0.1", "FR"))):
            self.visit("/", f"visitor=guest-{number}", address=address, CF_IPCountry=country,
                       **DOCUMENT)
        wait_until(lambda: self.json("count", SITE)["count"] == 5, "five visitors")
        lines = self.json("top", SITE, "--by", "country")["countries"]
        self.assertEqual([(line["country"], line["count"]) for line in lines], [("DE", 1)])

    def test_cached_pages(self):
        """What Apache has cached is a page, too."""
        cache = os.path.join(self.make_pages(), "cache")
        os.mkdir(cache)
        os.chmod(cache, 0o777)
        self.serve(modules=(*MODULES, "cache", "cache_disk"),
                   beside=f"CacheRoot {cache}\nCacheEnable disk /\nCacheHeader on\nCacheMinExpire 60\n"
                   "CacheQuickHandler off")
        for number in range(2):
            answer = self.visit("/files/page.html", f"visitor=guest-{number}", **DOCUMENT)
        self.assertIn("HIT", answer.getheader("X-Cache"))
        wait_until(lambda: self.busiest("room") == {"/files/page.html": 2}, "both in the room")

    def test_http2(self):
        """Browsers send each cookie in a header of its own there."""
        self.serve(modules=(*MODULES, "http2"))
        headers = ("Accept: text/html", "Cookie: a=1, b", "Cookie: visitor=one, 1",
                   "Cookie: visitor=two", f"Host: {SITE}")
        done = subprocess.run(
            ["curl", "--silent", "--http2-prior-knowledge", "--output", "/dev/null", "--write-out",
             "%{http_version}", *(word for header in headers for word in ("--header", header)),
             f"http://127.0.0.1:{self.port}/caf%C3%A9"],
            check=True, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.stdout, b"2")
        wait_until(lambda: self.ctl("seen", SITE, "one, 1")[0] == 0, "the visitor to be seen")
        self.assertEqual(self.busiest("room"), {"/café": 1})

    def test_answers_stay_cacheable(self):
        """The conditions add nothing to Vary."""
        self.serve()
        for headers in (DOCUMENT, OLD):
            answer = self.visit("/", "visitor=a", Referer="https://news.example/", **headers)
            self.assertIsNone(answer.getheader("Vary"))


class ApacheTable(EdgeTable, Apache, Case):
    """Two sites whose pages an application behind Apache has."""

    def report(self, request):
        """Apache joins Cookie headers with commas; browsers send one, but for HTTP/2, where it is one
        again before the recipe sees it."""
        joined = "; ".join(request.cookies)
        super().report(replace(request, cookies=(joined,) if request.cookies else ()))

    def test(self):
        self.begin_collector()
        self.port, application = free_port(), self.start_application()
        pasted = substitute(fenced("apache"), sender=(
            "/usr/bin/presence-send --to 127.0.0.1:9514", self.LOGGER % self.collector.port))
        modules = ("mpm_event", "authz_core", "alias", "setenvif", "rewrite", "proxy", "proxy_http")
        self.run_apache(modules, (
            f"<VirtualHost *>\nServerName {names}\n{pasted}\nAllowEncodedSlashes On\n"
            f"ProxyPass /heartbeat/ !\nProxyPass / http://127.0.0.1:{application}/\n"
            "ProxyPreserveHost On\n</VirtualHost>"
            for names in (f"{SITE}\nServerAlias www.{SITE}", SHOP)))
        self.check_table(self.nobody())


if __name__ == "__main__":
    unittest.main()
