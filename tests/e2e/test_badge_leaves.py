"""The badge and leaving: redirects, links, downloads, and tabs that close."""

import threading
import unittest

from clients import ClientCase, mostly_in_chromium
from firefox import Firefox
from harness import check_quick, wait_until
from web import SITE

HELD = 15  # seconds that a leave is held if the visitor may come back


@mostly_in_chromium
class Leaving(ClientCase):
    """Each person acts differently; those who left are gone in the end, the others are not."""

    def setUp(self):
        super().setUp()
        # Firefox ends scripts of a site's last page at the next call of a function. So nothing of
        # the test's own is called while the page goes.
        self.before_page = ""
        self.begin()
        away = f"http://elsewhere.localhost:{self.pages.port}/away"
        pages = self.pages.pages
        pages["/away"] = self.pages.page("elsewhere")
        pages["/out"] = "", {"Location": away}, 302
        pages["/script-out"] = self.pages.page(f"<script>location.replace('{away}')</script>")
        pages["/in"] = "", {"Location": "/arrived"}, 302
        pages["/file"] = "text", {"Content-Disposition": "attachment", "Content-Type": "text/plain"}
        pages["/nothing"] = "", {}, 204
        pages["/slow"] = self.slow
        pages["/asked"] = lambda handler: handler.answer(str(len(self.pages.served("/slow"))))
        self.answer_slowly = threading.Event()
        self.addCleanup(self.answer_slowly.set)
        self.pages.other = lambda path: self.pages.page(f"""
            <h1>{path}</h1>{self.pages.script('')}
            <a id=out href="/out?u=x">redirect</a> <a id=away href="{away}">away</a>
            <a id=download href="/file">file</a> <a id=named download href="/file">file</a>
            <a id=mail href="mailto:ann@localhost">mail</a> <a id=blank target=_blank rel=opener
            href="{away}">new</a> <a id=in href="/in">in</a> <a id=hash href="#there">there</a>
            <a id=nothing href="/nothing">nothing</a> <a id=script href="javascript:void 0">no</a>
            <a id=scripted href="/script-out">out</a> <a id=slow href="/slow">slow</a>
            <form method=post action="/posted"><button id=post>post</button></form>
            <form action="{away}"><button id=search>post</button></form>""")

    def slow(self, handler):
        self.answer_slowly.wait(60)
        handler.answer(self.pages.other("/slow"))

    def act(self, person, script):
        window = self.visit(person, path=f"/of-{person}")
        self.wait_seen_number()
        self.browser.leave(script)
        return window

    def wait_seen_number(self):
        wait_until(lambda: (self.badges() or [None])[0], "a number")

    def click(self, person, name):
        return self.act(person, f"document.getElementById('{name}').click()")

    def test_who_is_gone(self):
        gone = {"redirect": "out", "link": "away", "form": "search", "scripted": "scripted"}
        stay = {"file": "download", "named": "named", "mail": "mail", "blank": "blank",
                "hash": "hash", "nothing": "nothing", "script": "script"}
        if self.kind is Firefox:
            del stay["mail"]  # its dialog keeps the window from closing
        move = {"inside": "in", "post": "post"}
        for person, name in {**gone, **stay, **move}.items():
            self.click(person, name)
        self.act("reload", "location.reload()")
        # Drivers block while a page loads, so ask the collector.
        self.act("cancelled", """setTimeout(async () => {
            location.href = '/slow';
            while (await (await fetch('/asked')).text() === '0');
            stop();
        }, 200)""")
        self.act("waiting", "setTimeout(() => { location.href = '/slow'; }, 200)")
        wait_until(lambda: len(self.pages.served("/slow")) == 2, "the slow page to be asked for")
        expected = {f"/of-{person}": 1 for person in (*stay, "reload", "cancelled")}
        expected.update({"/arrived": 1, "/posted": 1})
        still = len(expected) + 1  # the person who waits for the slow page

        def rooms():
            """Those who are there; the room of the person who waits may have been left already."""
            there = self.rooms()
            if there.get("/of-waiting") == 1:
                del there["/of-waiting"]
            return there

        # A page that is loaded again is left first: for a moment its room may be empty.
        wait_until(lambda: self.count(SITE) == still and rooms() == expected,
                   lambda: f"{still} on the site; there are {self.count(SITE)}: {self.rooms()}")
        self.answer_slowly.set()
        wait_until(lambda: "/slow" in self.rooms(), "the slow page")
        self.assertEqual(self.count(SITE), still)


@mostly_in_chromium
class Closing(ClientCase):
    def test_last_tabs(self):
        """Closing a person's last tab ends their visit at once."""
        self.before_page = ""  # as above
        self.begin()
        people = [self.visit(f"p{number}") for number in range(6)]
        self.wait_counted(6)

        def close_two(_):
            there = self.count(SITE)
            for _ in range(2):
                self.browser.close_window(people.pop())
            wait_until(lambda: self.count(SITE) <= there - 2,
                       lambda: f"two of {there} to be gone; there are {self.count(SITE)}")

        # A browser that is starved ends pages before they have sent anything: try others then.
        check_quick(close_two, HELD - 2, attempts=3)
        wait_until(lambda: self.rooms().get("/page", 0) <= self.count(SITE),
                   lambda: f"those who left to leave the room, too: {self.rooms()}")


if __name__ == "__main__":
    unittest.main()
