"""The badge in a real Chromium, on pages of another origin with a strict content policy, with the
real presence-web and collector behind it."""

import gzip
import html
import http.server
import os
import signal
import threading
import unittest

from browser import Browser
from harness import freeze, native, visitor, wait_until
from web import SITE, WebCase

HERE = os.path.dirname(__file__)
BADGE = os.path.join(HERE, "../../tools/presence-web/static/badge.js")
WITHOUT_STORAGE = """
for (const name of ['localStorage', 'sessionStorage']) {
    Object.defineProperty(window, name, { get() { throw new DOMException('denied', 'SecurityError'); } });
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
                   f"{count} at {place}: {self.json('count', *place)}")

    def crowd(self, people, room="/page"):
        """Heartbeats of others, by another way."""
        self.send(self.collector, native(SITE, [visitor(number) for number in people], room=room))

    def leaves(self):
        """The leaves that pages of this origin have sent, without what is the same in all."""
        sent = self.browser.run("return JSON.parse(localStorage.getItem('test.leaves') ?? '[]')")
        return [{key: value for key, value in leave.items() if key not in ("site", "visitor", "kind")}
                for leave in sent]


class Counting(BadgeCase):
    def test_people_and_tabs(self):
        """Everybody counts once, however many tabs they have open; each closing is pushed to all."""
        self.begin()
        ann = self.visit("ann")
        self.wait_seen("1 viewing now")
        again = self.visit("ann")
        self.wait_seen("1 viewing now")
        bob = self.visit("bob")
        for window in ann, again, bob:
            self.wait_seen("2 viewing now", window)
        cid = self.visit("cid")
        for window in ann, again, bob, cid:
            self.wait_seen("3 viewing now", window)
        self.assertEqual(self.count(SITE), 3)

        self.browser.close_window(cid)
        self.wait_seen("2 viewing now", bob)
        self.browser.close_window(again)
        self.browser.close_window(ann)
        self.wait_seen("1 viewing now", bob)
        self.wait_counted(1)
        # Two each of cid and ann (the room, the site): the first of ann's tabs said nothing.
        self.assertEqual(self.stats()["heartbeats_left"], 4)

    def test_rooms(self):
        """A tab that closes ends its room; another tab keeps the visitor in the site."""
        self.begin()
        one, two = self.visit(path="/one"), self.visit(path="/caf%C3%A9")
        self.wait_seen("1 viewing now")
        self.wait_counted(1, "/café")
        self.browser.close_window(one)
        self.wait_counted(0, "/one")
        self.assertEqual((self.count(SITE), self.count(SITE, "/café")), (1, 1))
        self.browser.switch(two)
        self.assertEqual(self.leaves(), [{"room": "/one"}])

    def test_going_to_another_page(self):
        """A link within the site, a reload: no leave of the site. A pageview each."""
        self.begin()
        self.visit(path="/one")
        self.wait_seen("1 viewing now")
        self.browser.run("document.querySelector('a').click()")
        self.wait_counted(1, "/two")
        self.wait_counted(0, "/one")
        self.assertEqual(self.leaves(), [{"room": "/one"}])
        self.assertEqual([body["kind"] for body in self.browser.run("return asked.bodies")],
                         ["pageview"])
        self.assertEqual(self.count(SITE), 1)

    def test_a_page_that_changes_its_address(self):
        """An application of one page: the room follows, the old one is left."""
        self.begin()
        self.crowd([7, 8], "/list")
        self.visit(path="/start")
        self.wait_seen("1 viewing now")
        self.browser.run("history.pushState(null, '', '/list')")
        self.wait_seen("3 viewing now")
        self.wait_counted(0, "/start")
        self.assertEqual(self.leaves(), [{"room": "/start"}])
        self.browser.run("history.back()")
        self.wait_seen("1 viewing now")
        self.wait_counted(2, "/list")

    def test_without_storage(self):
        """Then each page is a visitor of its own, and leaves when it closes."""
        self.begin()
        bob = self.visit("bob")
        ann = self.visit("ann", before=WITHOUT_STORAGE)
        self.wait_seen("2 viewing now")
        self.browser.close_window(ann)
        self.wait_seen("1 viewing now", bob)
        self.wait_counted(1)


class Heartbeats(BadgeCase):
    def beats(self):
        stats = self.stats()
        return stats["heartbeats_new"] + stats["heartbeats_refreshed"]

    def pass_minutes(self, number):
        """Minutes go by in the page; returns when all it asked for then is answered."""
        for _ in range(number):
            self.browser.run("advance(60000)")
            wait_until(lambda: self.browser.run("return asked.now") == 0, "the answer")

    def wait_asked(self, number):
        wait_until(lambda: self.browser.run("return asked.ended") == number,
                   f"{number} heartbeats; there were {self.browser.run('return asked')}")

    def test_one_a_minute(self):
        self.begin()
        self.visit()
        self.wait_asked(1)
        self.browser.run("advance(59000)")
        self.pass_minutes(3)
        self.wait_asked(4)
        self.assertEqual([body["kind"] for body in self.browser.run("return asked.bodies")],
                         ["pageview"] + 3 * ["heartbeat"])
        self.assertEqual(self.beats(), 4)

    def test_hidden_tabs_stop(self):
        """Neither heartbeats nor a stream; both go on when it is looked at again."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.browser.minimize()
        self.assertEqual(self.browser.run("return document.visibilityState"), "hidden")
        wait_until(lambda: self.streams() == 0, "the stream to end")
        self.pass_minutes(10)
        self.assertEqual(self.browser.run("return asked.ended"), 1)
        self.crowd(range(4))
        self.wait_counted(5)
        self.browser.restore()
        self.wait_asked(2)
        self.wait_seen("5 viewing now")
        self.assertEqual(self.beats(), 2 + 4)

    def streams(self):
        return self.web.get("/api/status").json["streams"]

    def test_hidden_from_the_beginning(self):
        """A page that was never looked at is nobody's, and has nobody to leave."""
        self.begin()
        window = self.visit(before="""
            let hidden = true;
            Object.defineProperty(document, 'hidden', { get: () => hidden });
            window.reveal = () => { hidden = false; document.dispatchEvent(new Event('visibilitychange')); };
        """)
        self.pass_minutes(3)
        self.assertEqual(self.browser.run("return asked.ended"), 0)
        self.browser.run("reveal()")
        self.wait_seen("1 viewing now")
        self.browser.close_window(window)
        self.wait_counted(0)

    def test_never_two_in_flight(self):
        """However long the answer takes."""
        self.begin()
        self.visit()
        self.wait_asked(1)
        freeze(self.web.process)
        self.browser.run("for (let minute = 0; minute < 5; minute += 1) advance(60000)")
        self.assertEqual(self.browser.run("return [asked.now, asked.most, asked.bodies.length]"),
                         [1, 1, 2])
        self.web.process.send_signal(signal.SIGCONT)
        self.wait_asked(2)
        self.pass_minutes(1)
        self.wait_asked(3)
        self.assertEqual(self.browser.run("return asked.most"), 1)


class Showing(BadgeCase):
    def test_collector_restarts(self):
        """No 0 and no flicker, whether it is stopped or killed."""
        self.begin()
        self.crowd(range(2))
        self.visit()
        self.wait_seen("3 viewing now")
        port = self.collector.port
        number = 3
        for how in signal.SIGTERM, signal.SIGKILL:
            self.collector.stop(how)
            self.collector = self.start("--warm-up", "0", listen=f"127.0.0.1:{port}")
            self.crowd([100 + number])
            number += 1
            self.wait_seen(f"{number} viewing now")
        shown = self.browser.run("return shown")
        self.assertEqual(shown[shown.index("3 viewing now"):],
                         ["3 viewing now", "4 viewing now", "5 viewing now"])
        self.assertNotIn("0 viewing now", shown)

    def test_presence_web_restarts(self):
        """The last value stays through the reconnect."""
        self.tolerated = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        port = self.web.port
        self.web.stop()
        self.begin_web(listen=f"127.0.0.1:{port}")
        self.crowd([7])
        self.wait_seen("2 viewing now")
        self.assertEqual(self.browser.run("return shown"), ["1 viewing now", "2 viewing now"])

    def test_stale(self):
        """It hides while the collector is silent, and comes back with it."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.collector.freeze()
        self.wait_seen(None)
        self.collector.thaw()
        self.wait_seen("1 viewing now")
        self.assertNotIn("0 viewing now", self.browser.run("return shown"))

    def test_no_answer_for_long(self):
        """A number that nobody confirms is not shown for ever."""
        self.tolerated = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.web.stop()
        self.browser.run("advance(50000)")
        self.assertEqual(self.seen(), "1 viewing now")
        wait_until(lambda: self.browser.run("advance(10000); return shown.at(-1)") is None,
                   "the badge to hide")

    def test_warming(self):
        """A lower bound is not shown."""
        self.begin("--warm-up", "3")
        self.visit()
        self.wait_counted(1)
        self.assertTrue(self.json("count", SITE)["warming"])
        self.wait_seen("1 viewing now")
        self.assertFalse(self.json("count", SITE)["warming"])
        self.assertEqual(self.browser.run("return shown"), ["1 viewing now"])

    def test_at_least(self):
        """data-min="2" hides "1 viewing now"."""
        self.pages.attributes["min"] = "2"
        self.begin()
        ann = self.visit("ann")
        bob = self.visit("bob")
        self.wait_seen("2 viewing now")
        self.wait_seen("2 viewing now", ann)
        self.browser.close_window(bob)
        self.wait_seen(None, ann)
        self.assertEqual(self.browser.run("return shown"), ["2 viewing now", None])

    def test_attributes(self):
        """Label, room, whole site, place: and a label is text, whatever it holds."""
        self.begin()
        self.crowd(range(5), "/elsewhere")
        label = '<img src=x onerror="document.title=1"> & "you"'
        self.pages.attributes.update(label=label, room="/talk", count="site", target="#other")
        self.visit()
        self.wait_seen(f"6 {label}")
        self.assertEqual(self.browser.run("""
            const badge = document.querySelector('.presence-badge');
            return [badge.parentNode.id, document.title, badge.shadowRoot.querySelectorAll('img').length]
        """), ["other", "page", 0])
        self.wait_counted(1, "/talk")
        self.pages.attributes = {"site": SITE, "room": "/alone", "label": "readers",
                                 "label_one": "reader"}
        self.visit("bob")
        self.wait_seen("1 reader")
        self.crowd([7], "/alone")
        self.wait_seen("2 readers")

    def test_room_of_the_whole_site(self):
        """data-room="" counts no room."""
        self.pages.attributes["room"] = ""
        self.begin()
        self.visit(path="/one")
        self.wait_seen("1 viewing now")
        self.visit("bob", path="/two")
        self.wait_seen("2 viewing now")
        self.assertEqual(self.ctl("count", SITE, "/one")[0], 4)

    def test_source(self):
        """The host that a visitor came from, kept from page to page."""
        self.begin()
        self.visit(before="Object.defineProperty(document, 'referrer', { configurable: true, "
                          "value: location.pathname === '/two' ? location.href : "
                          "'https://news.example:8443/story' });")
        self.wait_seen("1 viewing now")
        self.browser.run("document.querySelector('a').click()")
        self.wait_counted(1, "/two")
        self.assertEqual(self.browser.run("return asked.bodies[0].source"), "news.example")
        top = self.json("top", SITE, "--by", "source")
        self.assertIn("news.example", str(top))

    def test_event_for_the_page(self):
        """Pages that draw the number themselves hear of it."""
        self.begin()
        self.visit(before="window.heard = []; document.addEventListener('presence', "
                          "({ detail }) => heard.push(detail));")
        self.wait_seen("1 viewing now")
        self.assertEqual(self.browser.run("return heard"),
                         [{"site": SITE, "room": "/page", "count": 1}])


class Manners(BadgeCase):
    def numbers(self):
        return [int(each.split()[0].replace(",", "")) for each in self.browser.run("return shown") if each]

    def test_the_number_moves(self):
        """Upward without a step back, from the value before; never from 0."""
        self.begin()
        self.visit(motion="no-preference")
        self.wait_seen("1 viewing now")
        self.crowd(range(1999))
        self.wait_seen("2,000 viewing now")
        numbers = self.numbers()
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual((numbers[0], numbers[-1]), (1, 2000))
        self.assertGreater(len(numbers), 4, numbers)

    def test_reduced_motion(self):
        """Nothing moves for those who do not like it."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.crowd(range(1999))
        self.wait_seen("2,000 viewing now")
        self.assertLessEqual(len(self.numbers()), 3)  # 1, 2,000 and at most one between: two pushes
        self.assertEqual(self.browser.run("""
            const shadow = document.querySelector('.presence-badge').shadowRoot;
            return [...shadow.querySelectorAll('span')].map((each) => getComputedStyle(each).animationName)
        """), 5 * ["none"])

    def test_screen_readers(self):
        """They get one polite status, which speaks at most once a minute."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        for count in range(2, 6):
            self.crowd([count])
            self.wait_seen(f"{count} viewing now")
        self.assertEqual(self.browser.run("return spoken"), ["1 viewing now"])
        self.browser.run("advance(60000)")
        wait_until(lambda: self.browser.run("return spoken") == ["1 viewing now", "5 viewing now"],
                   "the status to follow")
        tree = self.browser.devtools("Accessibility.getFullAXTree")["nodes"]
        status = [node for node in tree if node.get("role", {}).get("value") == "status"]
        self.assertEqual(len(status), 1)
        texts = [node["name"]["value"] for node in tree
                 if node.get("role", {}).get("value") == "StaticText"]
        self.assertEqual(texts.count("5 viewing now"), 1)
        self.assertNotIn("viewing now", texts)

    def test_size(self):
        """Under 4 KB as it goes over the wire."""
        with open(BADGE, "rb") as file:
            plain = file.read()
        self.assertLess(len(gzip.compress(plain, 9)), 4096)
        self.begin()
        answer = self.web.get("/badge.js", {"Accept-Encoding": "gzip"})
        self.assertEqual(answer.headers.get("content-encoding"), "gzip")
        self.assertLess(len(answer.body), 4096)
        self.assertEqual(gzip.decompress(answer.body), plain)


if __name__ == "__main__":
    unittest.main()
