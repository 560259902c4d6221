"""A page with the real, unmodified Plausible scripts, in Chromium. nginx with our recipes proxies
their events to a stub of Plausible, and reports them."""

import http.server
import json
import os
import re
import threading
import unittest

from browser import Browser
from documents import fenced, substitute
from harness import free_port, wait_until
from npm import MODULES
from proxies import SITE, ProxyCase

SHOP = "shop.example"
NEW = "@plausible-analytics/tracker/plausible.js"
OLD = "plausible-tracker/build/module/index.js"

# How pages use the two packages; the second asks for its files without their extension.
NEW_SCRIPT = """
import {{ init, track }} from '/modules/{module}';
init({{domain: '{site}', endpoint: '/api/event', {options}}});
window.report = track;
"""
OLD_SCRIPT = """
import Plausible from '/modules/{module}';
const {{ enableAutoPageviews, trackEvent }} =
    Plausible({{domain: '{site}', apiHost: location.origin, {options}}});
enableAutoPageviews();
window.report = trackEvent;
"""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>page</title>
{head}<script type="module">{script}</script>
"""


class Plausible:
    """Takes events as Plausible does."""

    def __init__(self):
        stub = self
        self.events, self.cookies = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stub.cookies.append(self.headers["Cookie"])
                stub.events.append(json.loads(body))
                self.send_response(202)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def names(self):
        return [event["n"] for event in self.events]


@unittest.skipUnless(os.path.exists(os.path.join(MODULES, NEW)),
                     "there are no scripts of Plausible: run tests/run once")
class PlausiblePages(ProxyCase):
    @classmethod
    def setUpClass(cls):
        # The scripts report nothing from a browser that says it is driven by a program.
        cls.browser = Browser("--host-resolver-rules=MAP * 127.0.0.1",
                              "--disable-blink-features=AutomationControlled")
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.plausible = Plausible()
        self.addCleanup(self.plausible.close)
        self.port = free_port()
        self.base = f"http://{SITE}:{self.port}"
        self.write("pages/plain.html", "plain")

    def start_nginx(self):
        maps = fenced("nginx with Plausible")
        own = free_port()
        maps = substitute(
            maps, own=("listen 127.0.0.1:8476;", f"listen 127.0.0.1:{own};"),
            collector=("server=127.0.0.1:9514,", f"server=127.0.0.1:{self.collector.port},"))
        locations = substitute(
            fenced("nginx where Plausible is proxied"),
            own=("http://127.0.0.1:8476$", f"http://127.0.0.1:{own}$"),
            plausible=("proxy_pass https://plausible.io;",
                       f"proxy_pass http://127.0.0.1:{self.plausible.server.server_port};"))
        os.symlink(MODULES, os.path.join(self.pages, "modules"))
        locations += "location /modules/ { try_files $uri $uri.js =404; }"
        name = f"server_name {SITE};\n"
        recipe = self.nginx_recipe(self.port, inside=(name, name + locations))
        report, = re.findall(r"^    access_log syslog:.*\n", recipe, re.MULTILINE)
        stay = "    location /heartbeat/ {\n"
        recipe = substitute(recipe, moved=(report, ""), there=(stay, stay + report))
        shop = f"server {{ listen 127.0.0.1:{self.port}; server_name {SHOP}; {locations} }}"
        self.run_nginx(recipe + maps + shop + f"""
            server {{
                listen 127.0.0.1:{self.port};
                server_name news.example;
                root {self.pages};
            }}""", self.port)

    def make_page(self, name, script=NEW_SCRIPT, module=NEW, options="", head=""):
        script = script.format(module=module, site=SITE, options=options)
        self.write(f"pages/{name}", PAGE.format(head=head, script=script))

    def be(self, visitor):
        """From now on the browser has this cookie."""
        self.browser.open(f"{self.base}/plain.html")
        self.browser.run(f"document.cookie = 'visitor={visitor}; path=/'")

    def wait_events(self, *names):
        """The scripts have sent these, and at any time how long somebody looked; each is a heartbeat,
        or a page view."""
        def sent():
            return [name for name in self.plausible.names() if name != "engagement"]

        def are_all_counted():
            stats, events = self.stats(), len(self.plausible.events)
            return [stats[name] for name in ("datagrams_received", "datagrams_accepted", "pageviews")] == [
                events, events, names.count("pageview")]

        wait_until(lambda: len(sent()) >= len(names), lambda: f"{names}: {self.plausible.names()}")
        self.assertEqual(sent(), list(names))
        wait_until(are_all_counted, lambda: f"{self.plausible.names()} to be counted: {self.stats()}")
        self.assertEqual(sent(), list(names))

    def looked_at(self):
        """Rooms in which pages were looked at, in order."""
        events = self.json("events", SITE)["events"]
        return [event.get("room") for event in events if event["kind"] == "pageview"]

    def check_pages(self, script, module):
        self.start_nginx()
        self.make_page("page.html", script, module)  # at every path
        self.be("anna")
        self.write("pages/link.html", f'<a id="a" href="{self.base}/caf%C3%A9/?x=1#y">a</a>')
        self.browser.open(f"http://news.example:{self.port}/link.html")
        self.browser.leave("document.querySelector('a').click()")
        self.wait_events("pageview")
        self.assertEqual(self.busiest("room"), {"/café": 1})
        self.assertEqual(self.busiest("source"), {"news.example": 1})

        self.browser.run("report('Sign up')")
        wait_until(lambda: "Sign up" in self.plausible.names(), "the custom event")
        self.browser.run("history.pushState({}, '', '/a//b/')")
        wait_until(lambda: self.busiest("room") == {"/café": 1, "/a/b": 1}, "the second room")
        wait_until(lambda: self.plausible.names().count("pageview") == 2, "the second view")
        self.wait_events("pageview", "Sign up", "pageview")
        self.assertEqual(self.looked_at(), ["/café", "/a/b"])
        self.assertEqual(self.count(SITE), 1)
        self.assertEqual(set(self.plausible.cookies), {None})

    def test_pages_of_the_new_script(self):
        self.check_pages(NEW_SCRIPT, NEW)

    def test_pages_of_the_old_script(self):
        self.check_pages(OLD_SCRIPT, OLD)

    def test_hash_routing(self):
        """The fragment is in no Referer: all views are in the room of the page."""
        self.start_nginx()
        self.make_page("app.html", options="hashBasedRouting: true")
        self.be("bob")
        self.browser.open(f"{self.base}/app.html#/one")
        self.wait_events("pageview")
        self.browser.run("location.hash = '#/two'")
        self.wait_events("pageview", "pageview")
        self.assertEqual(self.looked_at(), ["/app.html", "/app.html"])

    def test_referrer_policies(self):
        """The page's own site sees its path, unless the page forbids it."""
        self.start_nginx()
        rooms = {}
        for number, (policy, room) in enumerate({
            "strict-origin-when-cross-origin": "/policy-0.html", "same-origin": "/policy-1.html",
            "no-referrer": None, "origin": "/", "unsafe-url": "/policy-4.html",
        }.items()):
            self.be(f"person-{number}")
            self.make_page(f"policy-{number}.html",
                           head=f'<meta name="referrer" content="{policy}">')
            self.browser.open(f"{self.base}/policy-{number}.html")
            wait_until(lambda: self.plausible.names().count("pageview") == number + 1, policy)
            rooms.update({room: 1} if room else {})
        self.wait_events(*5 * ["pageview"])
        self.assertEqual(self.busiest("room"), rooms)
        self.assertEqual(self.count(SITE), 5)

    def test_events_by_hand(self):
        """What stands in Referers and bodies; nobody else reports but by POST, and with the cookie."""
        self.start_nginx()
        view = '{"n":"pageview","v":36,"u":"https://example.com/","d":"example.com","r":%s}'
        for number, (referer, body) in enumerate((
            (f"https://{SITE}/a%2Fb", view % "null"), (f"https://{SITE}/x?/y", view % "null"),
            (f"https://{SITE}:1/%22q%22#f", view % '"android-app://com.Google.gm/"'),
            (f"https://{SITE}/own", view % f'"https://{SITE}/other"'),
            (f"https://{SITE}/by", view % '"http://user@news.example/"'),
            (f"https://{SITE}/sp ace", view % "null"), (f"https://{SITE}/%FF", view % "null"),
            (f"https://{SITE}/%zz", view % "null"), ("https://other.example/no", view % "null"),
            (f"https://{SITE}/long", '{"n":"pageview","p":"' + "x" * 20000 + '"}'),
            (f"https://{SITE}/custom", '{"n":"sale","p":{"x":"{\\"n\\":\\"pageview\\""}}'),
        )):
            self.post(f"person-{number}", body, Referer=referer)
        self.post("shopper", view % "null", host=SHOP, Referer=f"https://{SHOP}/cart")
        self.assertEqual(self.visit(self.port, "/api/event", "getter").status, 403)
        self.visit(self.port, "/presence-report", "curious")
        self.visit(self.port, "/page.html", "looker")
        self.visit(self.port, "/heartbeat/stays/", "sitter", method="POST", Content_Length=0,
                   Sec_Fetch_Dest="empty")
        self.post("last", view % "null", Referer=f"https://{SITE}/last")
        wait_until(lambda: self.ctl("seen", SITE, "last")[0] == 0, "the last one")
        rooms = ["/a/b", "/x", '/"q"', "/own", "/by", "/long", "/custom", "/stays", "/last"]
        self.assertEqual(self.busiest("room"), {room: 1 for room in rooms})
        self.assertEqual(self.busiest("source"), {"com.google.gm": 1})
        stats = self.stats()
        self.assertEqual((stats["datagrams_accepted"], stats["label_invalid"]), (13, 1))
        self.assertEqual(stats["pageviews"], 10)
        self.assertEqual(self.count(SHOP, "/cart"), 1)

    def post(self, visitor, body, **headers):
        answer = self.visit(self.port, "/api/event", visitor, method="POST", body=body,
                            Content_Length=len(body), **headers)
        self.assertEqual(answer.status, 202)


if __name__ == "__main__":
    unittest.main()
