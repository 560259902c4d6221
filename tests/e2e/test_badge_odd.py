"""The badge in old or restricted browsers, and in unusual pages."""

import unittest

from badge import seldom
from clients import ClientCase, mostly_in_chromium
from harness import wait_until
from web import SITE


@mostly_in_chromium
class Oddities(ClientCase):
    """Old or restricted browsers, and unusual pages."""

    @seldom
    def test_old_browsers(self):
        """Without recent browser features it still counts and shows."""
        lacks = {
            "locks": "Object.defineProperty(navigator, 'locks', { value: undefined });",
            "channel": "delete window.BroadcastChannel;",
            "both": "delete window.BroadcastChannel;"
                    "Object.defineProperty(navigator, 'locks', { value: undefined });",
            "timeout": "delete AbortSignal.timeout;",
            "sheet": "window.CSSStyleSheet = function () { throw new TypeError('illegal'); };",
            "matching": "delete Document.prototype.startViewTransition; delete window.navigation;",
        }
        self.begin()
        for number, (person, before) in enumerate(lacks.items(), 1):
            with self.subTest(person):
                self.visit(person, before=before)
                self.wait_seen(f"{number} viewing now")
                self.browser.run("advance(60000)")
                self.wait_touches(2)
        self.assertEqual(self.count(SITE), len(lacks))

    def test_pages(self):
        """A base address, a strict policy by nonce, a page written anew, a place that moves."""
        self.begin()
        script = self.pages.script()
        nonce = script.replace("<script", "<script nonce=abc")
        pages = {
            "base": (self.pages.page(script, '<base href="https://elsewhere.example/x/">'), {}),
            "nonce": (self.pages.page(f"<script nonce=abc>{{ const s = document.createElement('script');"
                                      f"s.src = '{self.pages.base}/badge.js'; s.dataset.site = '{SITE}';"
                                      "document.body.append(s); }</script>"),
                      {"Content-Security-Policy": "script-src 'nonce-abc' 'strict-dynamic'; "
                       f"object-src 'none'; connect-src {self.pages.base}; style-src 'none'"}),
            "nonced": (self.pages.page(nonce), {
                "Content-Security-Policy": "script-src 'nonce-abc'; require-trusted-types-for 'script'; "
                f"trusted-types 'none'; connect-src {self.pages.base}; style-src 'none'"}),
            "quirks": (f"<p>{script}", {}),
            "rtl": (self.pages.page(script).replace('lang="en"', 'lang="ar" dir="rtl"'), {}),
            "badlang": (self.pages.page(script).replace('lang="en"', 'lang="not_a_language!"'), {}),
        }
        for number, (path, (body, headers)) in enumerate(pages.items(), 1):
            with self.subTest(path):
                self.pages.pages[f"/{path}"] = body, {"Content-Type": "text/html", **headers}
                self.visit(path, path=f"/{path}")
                wait_until(lambda: (self.badges() or [None])[0], "a number")
                self.wait_counted(1, f"/{path}")

    @seldom
    def test_documents_that_change(self):
        """Written anew, moved to another place, changed within a transition."""
        self.begin()
        self.visit()
        self.wait_badges("1 viewing now")
        self.browser.run("""
            return document.startViewTransition?.(() => {
                const body = document.createElement('body');
                body.append(document.querySelector('script'));
                document.body.replaceWith(body);
            }).updateCallbackDone;
        """)
        self.wait_badges("1 viewing now")
        self.browser.run("""
            const section = document.createElement('section');
            document.body.append(section);
            section.append(document.querySelector('.presence-badge'));
        """)
        self.wait_badges("1 viewing now")
        self.browser.run("""
            document.open();
            document.write('<!doctype html><body><p>new</p>' + arguments[0]);
            document.close();
        """, self.pages.script())
        self.wait_badges("1 viewing now")
        self.wait_streams(1)
        self.crowd([5])
        self.wait_badges("2 viewing now")
        self.browser.run("advance(60000)")
        self.assertEqual(self.browser.run("return asked.most"), 1)

    @seldom
    def test_blocked(self):
        """If a content blocker stops its requests, it shows nothing and throws nothing."""
        self.begin()
        for person, before, count in (
            ("fetch", "window.fetch = () => Promise.reject(new TypeError('blocked'));", 0),
            ("throws", "window.fetch = () => { throw new TypeError('blocked'); };", 0),
            ("stream", "window.EventSource = class { constructor() { throw new Error('no'); } };",
             1),
            ("none", "delete window.EventSource;", 2),
        ):
            with self.subTest(person):
                self.visit(person, before=before)
                self.browser.run("advance(60000); advance(60000)")
                self.wait_counted(count)
                if count:  # touches' answers have the number, too, unless a busy collector is late
                    wait_until(lambda: self.browser.run("advance(60000); return shown.at(-1)") ==
                               f"{count} viewing now", "the number")

    @seldom
    def test_number_before_the_next_frame(self):
        """A badge that was just added gets the number."""
        self.begin()
        self.visit(before="""
            const { requestAnimationFrame: frame } = window;
            window.requestAnimationFrame = (work) =>
                window.isSlow ? setTimeout(work, 3000) : frame(work);
        """)
        self.wait_seen("1 viewing now")
        self.browser.run("""
            window.isSlow = true;
            const script = document.createElement('script');
            script.src = `${arguments[0]}/badge.js`;
            script.dataset.site = arguments[1];
            document.body.append(script);
        """, self.pages.base, SITE)
        self.crowd([5])
        self.wait_badges("2 viewing now", "2 viewing now")

    @seldom
    def test_many_tabs(self):
        """Tabs opened at once are one visitor with one stream."""
        self.begin()
        first = self.visit(path="/p0")
        self.wait_badges("1 viewing now")
        self.browser.run("for (let n = 1; n < 12; n += 1) open('/p' + n, '_blank', 'noopener')")
        wait_until(lambda: {path for path, _ in self.pages.asked} >= {f"/p{n}" for n in range(12)},
                   "all pages to load")
        self.wait_counted(1)
        self.wait_streams(1)
        self.browser.switch(first)


if __name__ == "__main__":
    unittest.main()
