"""The badge's report: the visitor's room, source and id."""

import unittest

from badge import BadgeCase
from web import SITE

REFERRER = "Object.defineProperty(document, 'referrer', { configurable: true, value: %r });"


class PlacesCase(BadgeCase):
    def bodies(self, number=1):
        """Return what the page has sent, once that many are answered."""
        self.wait_asked(number)
        return self.browser.run("return asked.bodies")

    def report(self, path="/page", before="", person="ann"):
        """Return the first report of a page."""
        window = self.visit(person, path, before)
        body = self.bodies()[0]
        self.browser.close_window(window)
        return body

    def reports(self, *paths):
        """Return the first report of each of a person's pages, one after the other in the same window."""
        self.visit(path=paths[0])
        for path in paths:
            if path != paths[0]:
                self.browser.open(f"http://ann.localhost:{self.pages.port}{path}")
            yield path, self.bodies()[0]


class Rooms(PlacesCase):
    def test_rooms(self):
        """The room is the path as edges report it; a path that is no valid name is no room."""
        self.begin()
        rooms = dict((
                ("/caf%C3%A9?a=1", "/caf\u00e9"), ("/100%25", "/100%"), ("//a///b//", "/a/b"),
                ("/a%2fb%20c", "/a/b c"), ("/%22q%22", '/"q"'), ("/100%", ""), ("/%E9", ""),
                ("/a%00b", ""), ("/a%0Ab", ""), ("/a%C2%85", ""), ("/" + "a" * 255 + "/", ""),
                ("/" + "a" * 254 + "//", "/" + "a" * 254), ("/" + "%C3%A9" * 128, ""),
                ("/" + "%C3%A9" * 127, "/" + "\u00e9" * 127)))
        for path, report in self.reports(*rooms):
            with self.subTest(path):
                self.assertEqual(report["room"], rooms[path])

    def test_a_path_that_is_no_room(self):
        """The visitor counts in the site."""
        self.begin()
        self.visit(path="/%E0%A4%A")
        self.wait_seen("1 viewing now")
        self.assertEqual(self.json("top", SITE, "--by", "room")["rooms"], [])

    def test_sources(self):
        """The source is another host's name, without port and user, or an application's."""
        self.begin()
        for referrer, source in (
                ("https://News.Example:8443/story", "news.example"),
                ("http://user:secret@news.example/", None),
                ("android-app://com.google.android.gm/", "com.google.android.gm"),
                ("android-app://com.Slack", "com.slack"), ("http://192.0.2.7/", "192.0.2.7"),
                ("http://[2001:db8::1]:80/", None), ("ftp://files.example/", None),
                ("about:client", None), ("http://ann%d.localhost:80/other", None)):
            with self.subTest(referrer):
                person = f"ann{len(referrer)}"
                referrer = referrer.replace("ann%d", person)
                report = self.report(before=REFERRER % referrer, person=person)
                self.assertEqual(report.get("source") or None, source)


class Visitors(PlacesCase):
    def test_id_of_the_application(self):
        """An id of the page's own makes one visitor of two browsers."""
        self.pages.attributes["visitor"] = "user-42"
        self.begin()
        self.visit("ann")
        self.assertEqual(self.bodies()[0]["visitor"], "user-42")
        self.visit("bob")
        self.wait_seen("1 viewing now")
        self.assertEqual(self.count(SITE), 1)
        self.assertIsNone(self.browser.run("return localStorage.getItem('presence.id')"))

    def test_cookie_of_the_edge(self):
        """The first cookie of exactly that name, its whole value as the edge sees it."""
        self.pages.attributes["visitor-cookie"] = "visitor"
        self.begin()
        for number, (cookies, value) in enumerate((
                (["visitor=a"], "a"), (['visitor={"v":1,"id":"a=b,c"}'], '{"v":1,"id":"a=b,c"}'),
                (["Visitor=x", "xvisitor=y", 'visitor="quoted"'], '"quoted"'),
                (["visitor=%41+b"], "%41+b"),
                (["visitor=far; path=/", "visitor=near; path=/p"], "near"))):
            with self.subTest(cookies):
                before = "".join(f"document.cookie = {cookie!r};" for cookie in cookies)
                report = self.report("/p/q", before, f"ann{number}")
                self.assertEqual(report["visitor"], value)

    def test_no_cookie(self):
        """Nobody is counted, the number is shown, and the console says once why."""
        self.pages.attributes["visitor-cookie"] = "visitor"
        self.begin()
        self.crowd(range(3))
        self.visit(before="document.cookie = 'visitor=; path=/'; window.info = [];"
                          "console.info = (message) => info.push(message);")
        self.wait_seen("3 viewing now")
        self.browser.run("advance(60000)")
        self.assertEqual(self.browser.run("return [asked.bodies, info]"),
                         [[], ["presence: not counted: the id or its cookie is missing, empty or "
                               "HttpOnly"]])
        self.browser.run("document.cookie = 'visitor=late'; advance(60000)")
        self.assertEqual(self.bodies()[0]["visitor"], "late")
        self.wait_seen("4 viewing now")


class Watching(PlacesCase):
    def test_watching(self):
        """A watched room's number is shown without a visitor: no touch, no leave."""
        self.begin()
        self.crowd(range(3), "/talk")
        for name, attributes in (("its own path", {"watch": ""}), ("a room", {"watch": "/talk/"}),
                                 ("by data-room", {"watch": "", "room": "/talk"})):
            with self.subTest(name):
                self.pages.attributes = {"site": SITE, **attributes}
                window = self.visit("ann", "/talk" if name == "its own path" else "/page")
                self.wait_seen("3 viewing now")
                self.browser.run("advance(60000)")
                self.assertEqual(self.browser.run("return asked.bodies"), [])
                self.browser.close_window(window)
        self.visit("ann")
        self.wait_seen("3 viewing now")
        self.assertEqual(self.leaves(), [])
        self.assertEqual(self.count(SITE), 3)


if __name__ == "__main__":
    unittest.main()
