"""The badge beside Turbo and React: one engine, one stream, one heartbeat a minute, whatever they do
with the document."""

import unittest

from clients import ClientCase, common_js, library, mostly_in_chromium
from harness import wait_until
from web import SITE

# Count the listeners of window and document.
LISTENERS = """
    window.listeners = 0;
    for (const target of [window, document]) {
        const add = target.addEventListener;
        const remove = target.removeEventListener;
        const has = new Set();
        const name = (type, work) => {
            work.presenceTest ??= Math.random();
            return `${type} ${work.presenceTest}`;
        };
        target.addEventListener = (type, work, options) => {
            if (!has.has(name(type, work))) window.listeners += 1;
            has.add(name(type, work));
            options?.signal?.addEventListener('abort', () => {
                window.listeners -= has.delete(name(type, work)) ? 1 : 0;
            });
            return add.call(target, type, work, options);
        };
        target.removeEventListener = (type, work, options) => {
            window.listeners -= has.delete(name(type, work)) ? 1 : 0;
            return remove.call(target, type, work, options);
        };
    }
"""


@mostly_in_chromium
class Turbo(ClientCase):
    """Visits replace the body and run its scripts again; the window stays."""

    def setUp(self):
        super().setUp()
        self.begin_behind_nginx()
        script = {"Content-Type": "text/javascript"}
        self.pages.pages["/turbo.js"] = library("@hotwired/turbo/dist/turbo.es2017-umd.js"), script
        self.in_head = ""
        self.pages.other = self.turbo_page

    def turbo_page(self, path):
        links = "".join(f'<p><a href="/p{number}">{number}</a></p>' for number in range(1, 13))
        badge = "" if self.in_head else self.pages.script()
        return self.pages.page(f"<h1>{path}</h1><p id=place></p>{badge}{links}",
                               f'<script src="/turbo.js"></script>{self.in_head}')

    def go(self, number):
        self.browser.run("document.querySelectorAll('a')[arguments[0] - 1].click()", number)
        self.wait_there(number)

    def wait_there(self, number):
        wait_until(lambda: self.browser.run(
            "return document.querySelector('h1').textContent") == f"/p{number}",
            lambda: f"page {number} to load; {self.streams()} streams are open")
        self.wait_rooms(**{f"p{number}": 1})
        self.wait_badges("1 viewing now")

    def visits(self):
        """Over twelve pages the room follows, and nothing adds up."""
        self.visit(path="/p1", before=LISTENERS)
        self.wait_there(1)
        self.browser.run("window.same = true")
        for number in range(2, 4):
            self.go(number)
        listeners = self.browser.run("return listeners")
        for number in range(4, 13):
            self.go(number)
            wait_until(lambda: self.streams() <= 1, "at most one stream")
        self.assertTrue(self.browser.run("return same"), "Turbo has loaded whole pages")
        self.assertEqual(self.browser.run("return listeners"), listeners)
        self.assertEqual([body["kind"] for body in self.touches()], 12 * ["pageview"])
        for number in 13, 14:
            self.browser.run("advance(60000)")
            self.wait_touches(number)
        self.assertEqual(self.count(SITE), 1)

    def test_visits_with_a_script_in_the_body(self):
        self.visits()
        # Back: the cached page at once, and its scripts again.
        self.browser.back()
        self.wait_there(11)
        # A page that is shown from the cache while it is fetched.
        self.go(3)
        # A page that is prefetched on hover counts nobody.
        before = len(self.pages.served("/p7"))
        self.browser.run("""
            const link = document.querySelectorAll('a')[6];
            link.dispatchEvent(new MouseEvent('mouseenter', { bubbles: true }));
        """)
        wait_until(lambda: len(self.pages.served("/p7")) > before, "the page to be fetched")
        self.wait_rooms(p3=1)
        self.wait_streams(1)

    def test_visits_with_a_script_in_the_head(self):
        self.in_head = self.pages.script(target="#place")
        self.visits()


APPLICATION = """
    const { createElement: h, StrictMode, useEffect, useRef, useState } = require('react');
    const { createRoot } = require('react-dom/client');
    const { flushSync } = require('react-dom');
    const badgeScript = (data) => {
        const script = document.createElement('script');
        script.src = base + '/badge.js';
        script.async = true;
        Object.assign(script.dataset, { site: 'example.com' }, data);
        return script;
    };
    // A badge as an application has it: a script of its own in a place of its own.
    const Badge = (data) => {
        const place = useRef();
        useEffect(() => {
            const script = badgeScript(data);
            place.current.append(script);
            return () => place.current?.replaceChildren() ?? script.remove();
        }, []);
        return h('span', { ref: place });
    };
    const App = () => {
        const [state, set] = useState(start);
        window.set = (more) => flushSync(() => set({ ...state, ...more }));
        return h('div', null,
            h('p', { id: 'place', key: state.redrawn }, 'here: '),
            state.here && h(Badge, { key: 'here' }),
            h('ul', null, (state.list ?? []).map((room) =>
                h('li', { key: room }, h(Badge, { watch: room })))));
    };
    createRoot(document.getElementById('root')).render(h(StrictMode, null, h(App)));
"""


@mostly_in_chromium
class React(ClientCase):
    """An application that renders again and again; in development, each effect runs twice."""

    def setUp(self):
        super().setUp()
        self.begin_behind_nginx()
        script = {"Content-Type": "text/javascript"}
        self.pages.pages["/react.js"] = common_js(**{
            "react": "react/cjs/react.development.js",
            "scheduler": "scheduler/cjs/scheduler.development.js",
            "react-dom": "react-dom/cjs/react-dom.development.js",
            "react-dom/client": "react-dom/cjs/react-dom-client.development.js",
        }), script
        self.pages.pages["/app.js"] = APPLICATION, script

    def application(self, start, head="", path="/app"):
        self.pages.other = lambda _: self.pages.page(
            f'<div id="root"></div><script>window.base = "{self.pages.base}"; '
            f'window.start = {start};</script><script src="/react.js"></script>'
            '<script src="/app.js"></script>', head)
        self.visit(path=path)

    def test_list_with_eight_badges(self):
        """One stream and one room for the visitor; the page can still fetch."""
        self.crowd([50, 51], "/r3")
        rooms = [f"/r{number}" for number in range(8)]
        self.application(f"{{ here: true, list: {rooms} }}")
        self.wait_rooms(app=1, r3=2)
        self.crowd([60], "/r5")
        self.wait_badges("1 viewing now", None, None, None, "2 viewing now", None,
                         "1 viewing now", None, None)
        self.wait_streams(1)
        self.assertEqual(self.browser.run(
            "return Promise.all([1, 2, 3, 4].map(async (n) => (await fetch('/x' + n)).status))"),
            4 * [200])
        self.wait_touches(1)
        self.browser.run("advance(60000)")
        self.wait_touches(2)
        # Remove half of the list, and the badge of the page.
        self.browser.run("set({ list: ['/r5', '/r3'] })")
        self.wait_badges("1 viewing now", "1 viewing now", "2 viewing now")
        self.crowd([61], "/r5")
        self.wait_badges("1 viewing now", "2 viewing now", "2 viewing now")
        self.wait_streams(1)

    def test_only_watching(self):
        """Badges that only show count nobody."""
        self.crowd([50, 51], "/r1")
        self.application("{ list: ['/r1', '/r2'] }")
        self.wait_badges("2 viewing now", None)
        self.browser.run("advance(120000)")
        self.wait_badges("2 viewing now", None)
        self.assertEqual(self.touches(), [])
        self.wait_rooms(r1=2)

    def test_mount_and_unmount(self):
        """Without a badge left, neither stream nor heartbeats; with one again, both."""
        self.application("{ here: true }")
        self.wait_badges("1 viewing now")
        for _ in range(3):
            self.browser.run("set({ here: false })")
            self.wait_badges()
            self.wait_streams(0)
            touches = self.browser.run("return asked.bodies.length")
            self.browser.run("advance(180000)")
            self.assertEqual(self.browser.run("return asked.bodies.length"), touches)
            self.browser.run("set({ here: true })")
            self.wait_badges("1 viewing now")
            self.wait_streams(1)
        self.assertEqual(self.browser.run("return asked.most"), 1)
        self.assertEqual(self.count(SITE), 1)

    def test_place_that_is_redrawn(self):
        """The badge moves to where its target is now."""
        self.application("{ redrawn: 0 }", head=self.pages.script(target="#place"))
        self.wait_badges("1 viewing now")
        for redrawn in range(1, 4):
            self.browser.run("set({ redrawn: arguments[0] })", redrawn)
            self.wait_badges("1 viewing now")
            self.assertEqual(self.browser.run(
                "return document.querySelector('.presence-badge').parentNode.id"), "place")
        self.wait_streams(1)
        self.assertEqual(len(self.touches()), 1)


if __name__ == "__main__":
    unittest.main()
