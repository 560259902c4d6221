"""One engine per page: badges that come and go, deadlines, and console messages."""

import signal
import time
import unittest

from badge import STILL, BadgeCase, seldom
from harness import freeze, wait_until
from test_badge_tabs import AT_ONCE, OWN_STREAMS, STREAMS_OPEN
from test_web_access import JWT_KEY
from web import SITE, token

TEXTS = """
    return [...document.querySelectorAll('.presence-badge')].map((each) => each.hidden ? null
        : ['count', 'label'].map((part) =>
            each.shadowRoot.querySelector(`[part=${part}]`).textContent).join(' '))
"""


class EngineCase(BadgeCase):
    def script(self, kind="async", **attributes):
        data = "".join(f' data-{name.replace("_", "-")}="{value}"'
                       for name, value in {"site": SITE, **attributes}.items())
        return f'<script {kind} src="{self.pages.base}/badge.js"{data}></script>'

    def begin(self, *arguments):
        """These pages add scripts, so their policy is without trusted types."""
        super().begin(*arguments)
        strict = self.pages.policy
        self.pages.policy = lambda: strict().partition("require-trusted")[0]

    def visit_page(self, *scripts, head="", **keywords):
        """Open a page with these scripts in its body, each in a paragraph."""
        body = "".join(f"<p>{script}</p>" for script in scripts)
        self.pages.page = lambda: (f'<!doctype html><html lang="en"><head><title>page</title>{head}'
                                   f'</head><body><div id="target"></div>{body}</body></html>')
        before = keywords.pop("before", "")
        return self.visit(before=OWN_STREAMS + before, **keywords)

    def wait_texts(self, *texts):
        wait_until(lambda: self.browser.run(TEXTS) == list(texts),
                   lambda: f"{texts}, there are {self.browser.run(TEXTS)}", AT_ONCE)

    def add(self, attributes, parent="document.body", kind="", more=""):
        """Add another badge by script."""
        self.browser.run(f"""
            const script = document.createElement('script');
            Object.assign(script, {{ src: '{self.pages.base}/badge.js', type: '{kind}' }});
            Object.assign(script.dataset, arguments[0]);
            {more}
            {parent}.append(script);
        """, {"site": SITE, **attributes})


class Pages(EngineCase):
    def test_list_of_badges(self):
        """The visitor is in the first one's room; one touch a minute, and one stream for all. No
        number flickers while others come and go."""
        self.begin()
        for index in range(2, 8):
            self.crowd(range(index), f"/{index}")
        self.visit_page(*(self.script(room=f"/{index}") for index in range(8)))
        self.wait_texts("1 viewing now", None, *(f"{index} viewing now" for index in range(2, 8)))
        self.wait_streams(1)
        self.browser.run("advance(60000)")
        self.wait_asked(2)
        self.assertEqual([body["room"] for body in self.browser.run("return asked.bodies")],
                         ["/0", "/0"])
        self.assertEqual(self.count(SITE), 8)
        self.browser.run("""
            for (const each of [...document.querySelectorAll('p')].slice(4)) each.remove();
        """)
        for index in range(8, 11):
            self.crowd(range(index), f"/{index}")
            self.add({"room": f"/{index}", "watch": ""})
        self.wait_texts("1 viewing now", None, "2 viewing now", "3 viewing now", "8 viewing now",
                        "9 viewing now", "10 viewing now")
        self.assertEqual(self.browser.run("return shown"), ["1 viewing now"])
        self.assertEqual(self.browser.run(STREAMS_OPEN), 1)

    def test_new_bodies(self):
        """If an application replaces the body and runs the script again, nothing adds up."""
        self.begin()
        self.visit_page(self.script())
        self.wait_texts("1 viewing now")
        for index in range(8):
            self.browser.run("""
                history.pushState(null, '', `/visit/${arguments[0]}`);
                const old = document.body;
                document.body = document.createElement('body');
                document.body.append(old.querySelector('.presence-badge').cloneNode(true));
            """, index)
            self.add({}, more=f"script.id = 'visit{index}';")
            self.wait_counted(1, f"/visit/{index}")
            self.wait_texts("1 viewing now")
        self.wait_streams(1)
        rooms = self.json("top", SITE, "--by", "room")["rooms"]
        self.assertEqual([room["room"] for room in rooms if room["count"]], ["/visit/7"])
        self.assertEqual(self.count(SITE), 1)
        self.browser.run("document.body = document.createElement('body')")
        self.wait_streams(0)
        self.wait_counted(0, "/visit/7")
        wait_until(lambda: self.leaves()[-1] == {"hold": 15}, self.leaves)

    def test_modules(self):
        """Module scripts work: they have no currentScript, and the browser runs them once."""
        self.begin()
        self.crowd(range(2), "/b")
        self.visit_page(self.script("type=module", room="/a"))
        self.wait_texts("1 viewing now")
        self.add({"room": "/b"}, kind="module")
        self.wait_texts("1 viewing now", "2 viewing now")
        self.add({"room": "/a"}, kind="text/plain")  # waits for consent
        self.add({"room": "/a"}, kind="", more="script.noModule = true;")
        self.add({"room": "/a", "count": "site"})
        self.wait_texts("1 viewing now", "2 viewing now", "3 viewing now")

    @seldom
    def test_names_of_elements(self):
        """Elements whose names shadow the document's properties don't break the badge."""
        self.begin()
        self.visit_page('<img name="currentScript" src="/elsewhere/">', '<img name="cookie">',
                        self.script(visitor_cookie="visitor"), '<form name="referrer"></form>',
                        self.script(room="/page"))
        self.wait_streams(1)
        self.visit_page('<img name="currentScript" src="/elsewhere/">', self.script())
        self.wait_texts("1 viewing now")

    @seldom
    def test_loaders(self):
        """The badge stays if a loader removes its script once it has run."""
        self.begin()
        self.visit_page(before="window.heard = []; document.addEventListener('presence', "
                               "({ detail }) => heard.push(detail.count));")
        loader = "script.onload = () => script.remove();"
        self.add({"room": "/a"}, "document.head", more=loader)
        wait_until(lambda: self.browser.run("return heard.at(-1)") == 1, "the number", AT_ONCE)
        self.add({"room": "/a"}, more=loader)
        self.wait_texts("1 viewing now")
        self.add({"room": "/a", "target": "#target"}, "document.head", more=loader)
        self.wait_texts("1 viewing now", "1 viewing now")
        self.browser.run("document.body.append(document.createElement('i')); advance(10000)")
        self.wait_texts("1 viewing now", "1 viewing now")
        self.assertEqual(self.browser.run("return document.scripts.length"), 0)

    def test_redrawn_places(self):
        """The element is inserted again where it belongs, unless its script is gone, too."""
        self.begin()
        self.visit_page(self.script(), self.script(target="#target"))
        self.wait_texts("1 viewing now", "1 viewing now")
        for redraw in ("for (const each of document.querySelectorAll('.presence-badge')) "
                       "each.remove()",
                       "document.querySelector('#target').replaceChildren()",
                       "const old = document.querySelector('#target'); "
                       "old.replaceWith(old.cloneNode(false))"):
            self.browser.run(redraw)
            self.wait_texts("1 viewing now", "1 viewing now")
            self.assertTrue(self.browser.run("return !!document.querySelector('#target > span')"))
        self.browser.run("document.querySelectorAll('p').forEach((each) => each.remove())")
        self.wait_texts("1 viewing now")
        self.browser.run("document.querySelector('#target').remove()")
        self.wait_counted(0)

    def test_address_without_navigation_api(self):
        self.begin()
        self.visit_page(self.script(), before="delete window.navigation; window.navigation = "
                                              "undefined;")
        self.wait_texts("1 viewing now")
        for change in ("history.pushState(null, '', '/pushed')", "history.back()",
                       "history.replaceState(null, '', '/replaced')"):
            self.browser.run(change)
            room = {"b": "/page", "p": "/pushed", "r": "/replaced"}[change[8]]
            self.wait_counted(1, room)
        self.wait_counted(0, "/pushed")
        self.wait_leaves({"room": "/page"}, {"room": "/pushed"}, {"room": "/page"})

    def test_tokens_and_sites(self):
        """Each badge shows its own place; the visitor is only in the first one's."""
        self.collector = self.start("--warm-up", "0")
        keys = self.secret("jwt", JWT_KEY)
        self.web = self.serve("--count-bots", "--jwt-key-file", keys, collector=self.collector)
        self.pages.base = f"http://127.0.0.1:{self.web.port}"
        self.crowd(range(3), "/b")
        soon = int(time.time()) + 600
        rooms = {room: token(JWT_KEY, room=room, site=site, exp=soon)
                 for room, site in (("/a", SITE), ("/b", SITE), ("/c", "other.example"))}
        self.visit_page(self.script(room="/a", token=rooms["/a"], visitor="ann"),
                        self.script(room="/b", token=rooms["/b"]),
                        self.script(room="/c", token=rooms["/c"], site="other.example", min="0"))
        self.wait_texts("1 viewing now", "3 viewing now", "0 viewing now")
        self.assertEqual(self.browser.run("return opened.length"), 1)


class Deadlines(EngineCase):
    def pass_time(self, seconds):
        for _ in range(seconds // 5):
            self.browser.run("advance(5000)")

    def test_silent_stream(self):
        """No number is shown for over 90 s without an answer, also on half-open connections; a silent
        stream is opened anew."""
        self.begin()
        self.crowd(range(2), "/b")
        self.visit_page(self.script(room="/a"), self.script(room="/b", watch=""), before=STILL)
        self.wait_texts("1 viewing now", "2 viewing now")
        freeze(self.web.process)
        self.addCleanup(self.web.process.send_signal, signal.SIGCONT)
        self.pass_time(35)
        self.assertEqual(self.browser.run("return opened.length"), 1)
        self.pass_time(10)
        self.assertEqual(self.browser.run("return [opened.length, opened[0].readyState]"), [2, 2])
        self.wait_texts("1 viewing now", "2 viewing now")
        self.pass_time(45)
        self.assertEqual(self.browser.run(TEXTS), [None, None])
        self.web.process.send_signal(signal.SIGCONT)
        self.wait_texts("1 viewing now", "2 viewing now")

    def test_events_confirm(self):
        """A stream's keep-alive confirms all its numbers."""
        self.begin()
        self.crowd(range(2), "/b")
        self.visit_page(self.script(room="/b", watch=""), before=STILL)
        self.wait_texts("2 viewing now")
        for _ in range(4):
            self.pass_time(30)
            self.browser.run("opened.at(-1).dispatchEvent(new MessageEvent('alive', {data: '{}'}))")
        self.assertEqual(self.browser.run("return [opened.length, shown]"), [1, ["2 viewing now"]])

    def test_looked_at_again(self):
        """After the machine or the tab has slept, no old number is shown, not even for a frame."""
        self.begin()
        self.crowd(range(2), "/b")
        self.visit_page(self.script(room="/b", watch=""), before=STILL + """
            let hidden = false;
            Object.defineProperty(document, 'hidden', { get: () => hidden });
            window.hide = (value) => {
                hidden = value;
                document.dispatchEvent(new Event('visibilitychange'));
            };
        """)
        self.wait_texts("2 viewing now")
        self.browser.run("hide(true)")
        self.wait_streams(0)
        freeze(self.web.process)
        self.addCleanup(self.web.process.send_signal, signal.SIGCONT)
        self.browser.run("sleep(80000); hide(false)")
        self.assertEqual(self.browser.run(TEXTS), ["2 viewing now"])
        self.browser.run("hide(true)")
        self.assertEqual(self.browser.run(f"sleep(10000); hide(false); {TEXTS}"), [None])
        self.web.process.send_signal(signal.SIGCONT)
        self.wait_texts("2 viewing now")


class Reasons(EngineCase):
    INFO = "window.info = []; console.info = (message) => info.push(message);"

    def test_not_counted(self):
        """The console says once why a visitor is not counted."""
        self.collector = self.start("--warm-up", "0")
        self.web = self.serve(collector=self.collector)  # headless Chromium is a known bot
        self.pages.base = f"http://127.0.0.1:{self.web.port}"
        self.visit_page(self.script(), before=self.INFO)
        self.wait_asked(1)
        self.browser.run("advance(60000)")
        self.wait_asked(2)
        info = self.browser.run("return info")
        self.assertEqual(len(info), 1, info)
        self.assertIn("presence: not counted: ", info[0])
        self.assertIn("bot", info[0])

    def test_refused(self):
        """A refused request says why, too; the other badges go on."""
        self.tolerated = ("403",)
        self.begin()
        self.web.stop()
        self.web = self.serve("--count-bots", "--site", SITE, collector=self.collector)
        self.pages.base = f"http://127.0.0.1:{self.web.port}"
        self.crowd(range(2), "/b")
        self.visit_page(self.script(site="wrong.example"), self.script(room="/b", watch=""),
                        before=self.INFO)
        self.wait_texts(None, "2 viewing now")
        wait_until(lambda: self.browser.run("return info"), "the refusal")
        self.browser.run("advance(60000)")
        self.assertEqual(len(self.browser.run("return asked.bodies")), 1)
        self.assertEqual(len(self.browser.run("return info")), 1)


if __name__ == "__main__":
    unittest.main()
