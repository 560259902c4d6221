"""Shared by the tests of the badge in real pages: a website of many pages, and both browsers."""

import html
import http.client
import http.server
import os
import sys
import threading

from badge import BadgeCase
from browser import Browser
from documents import fenced, substitute
from firefox import Firefox
from harness import free_port, program, wait_until
from npm import MODULES
from test_nginx import AROUND, NGINX
from web import SITE

# Firefox's messages about requests that it aborted with their page.
ENDED = ("CORS request did not succeed", "interrupted while the page was loading")


class Site:
    """A website whose pages a test puts into `pages`: by path a body, a pair of body and
    headers, or a function that answers with the request's handler. The others are `other(path)`."""

    def __init__(self):
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.partition("?")[0]
                site.asked.append((path, self.headers))
                page = site.pages.get(path) or site.other(path)
                if callable(page):
                    page(self)
                else:
                    self.answer(*([page] if isinstance(page, (str, bytes)) else page))

            do_POST = do_GET

            def answer(self, body, headers=None, status=200):
                if length := int(self.headers.get("Content-Length", 0)):
                    self.rfile.read(length)
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                headers = {"Content-Type": "text/html; charset=utf-8", **(headers or {})}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def handle(self):
                try:
                    super().handle()
                except ConnectionError:
                    pass  # the browser went away

            def log_message(self, *_):
                pass

        self.base = None  # of presence-web
        self.pages = {"/favicon.ico": ("", {}, 204)}
        self.asked = []
        self.attributes = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def script(self, kind="async", **attributes):
        """Return the badge's script tag."""
        data = "".join(f' data-{name.replace("_", "-")}="{html.escape(value)}"'
                       for name, value in {"site": SITE, **attributes}.items())
        return f'<script {kind} src="{self.base}/badge.js"{data}></script>'

    def page(self, body, head=""):
        return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>{head}'
                f"<body>{body}")

    def other(self, path):
        return self.page(f"<h1>{html.escape(path)}</h1>{self.script(**self.attributes)}")

    def served(self, path):
        """Return the headers of the requests for this path."""
        return [headers for asked, headers in self.asked if asked == path]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def library(name):
    """Return the text of a library from npm."""
    with open(os.path.join(MODULES, name), encoding="utf-8") as file:
        return file.read()


def common_js(**modules):
    """Return a script that has these CommonJS modules (their names, their files), and `require`."""
    parts = [f"{name!r}: (module, exports) => {{\n{library(path)}\n}}"
             for name, path in modules.items()]
    return ("window.process = { env: {} }; { const loaded = {}, modules = {\n"
            + ",\n".join(parts) + "};\n"
            """window.require = (name) => {
                if (!loaded[name]) {
                    loaded[name] = { exports: {} };
                    modules[name](loaded[name], loaded[name].exports);
                }
                return loaded[name].exports;
            }; }""")


def in_chromium(case):
    """Run the tests of a class in Chromium."""
    add(case, "Chromium", Browser)


def mostly_in_chromium(case):
    """Run the tests of a class in Chromium, and with TEST_LONG in Firefox, which takes longer."""
    in_chromium(case)
    if os.environ.get("TEST_LONG"):
        add(case, "Firefox", Firefox)


def add(case, name, kind):
    name = f"{case.__name__}In{name}"
    vars(sys.modules[case.__module__])[name] = type(
        name, (case,), {"kind": kind, "__module__": case.__module__})


class ClientCase(BadgeCase):
    """People look at a Site, with the browser `kind`."""

    website = Site

    def setUp(self):
        super().setUp()
        self.tolerated = ENDED

    def begin_behind_nginx(self):
        """Serve Site and presence-web on one origin, by the recipe in docs/web.md without TLS: over
        HTTP/1.1 a browser has six connections for both."""
        self.begin("--warm-up", "0")
        self.web.stop()
        self.web = self.serve("--count-bots", "--site", SITE, "--trusted-proxy", "127.0.0.1",
                              collector=self.collector)
        port = free_port()
        block = fenced("nginx presence-web")
        pasted = substitute(
            block,
            port=("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
            name=("server_name example.com;", ""),
            certificate=("ssl_certificate /etc/ssl/example.com.pem;", ""),
            key=("ssl_certificate_key /etc/ssl/example.com.key;", ""),
            web=("http://127.0.0.1:8474/", f"http://127.0.0.1:{self.web.port}/"),
            site=("    location /presence/ {", "    location / { proxy_pass http://127.0.0.1:"
                  f"{self.pages.port}; }}\n    location /presence/ {{"),
        )
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(AROUND % {"directory": self.directory, "pasted": pasted})
        self.enterContext(program([NGINX, "-p", self.directory, "-e",
                                   os.path.join(self.directory, "error.log"), "-c", path]))
        wait_until(lambda: self.answers_at(port), "nginx to listen")
        self.pages.base = "/presence"
        self.pages.port = port

    @staticmethod
    def answers_at(port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            connection.request("GET", "/presence/-/healthy")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def streams(self):
        return self.web.get("/api/status").json["streams"]

    def wait_streams(self, number):
        wait_until(lambda: self.streams() == number,
                   lambda: f"{number} streams; there are {self.streams()}")

    def badges(self):
        """Return what the badges in the document show."""
        return self.browser.run("""
            return [...document.querySelectorAll('.presence-badge')].map((badge) =>
                getComputedStyle(badge).display === 'none' || !badge.shadowRoot ? null :
                    badge.shadowRoot.querySelector('[part=badge]').innerText.replace(/\\s+/g, ' '))
        """)

    def wait_badges(self, *texts):
        wait_until(lambda: self.badges() == list(texts),
                   lambda: f"badges {texts}; there are {self.badges()}")

    def rooms(self):
        """Return the visitors of each room."""
        top = self.json("top", SITE, "--by", "room")
        return {room["room"]: room["count"] for room in top["rooms"] if room["count"]}

    def wait_rooms(self, **rooms):
        """Wait until these rooms of the site, without their slashes, have these visitors, and no
        other has any."""
        expected = {f"/{name}": count for name, count in rooms.items()}
        wait_until(lambda: self.rooms() == expected,
                   lambda: f"{expected}; there are {self.rooms()}")

    def touches(self):
        """Return the bodies of the touches that this page sent."""
        return self.browser.run("return asked.bodies")

    def wait_touches(self, number):
        wait_until(lambda: self.browser.run("return asked.ended") == number,
                   lambda: f"{number} touches; there were {self.touches()}")

    def notices(self, words="presence:"):
        """Return what the badge has printed to the console."""
        return [text for text in self.browser.console() if words in text]
