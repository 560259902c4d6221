"""Whom the badge counts, and when: tabs, rooms, navigation, one heartbeat a minute."""

import signal
import unittest

from badge import STILL, WITHOUT_STORAGE, BadgeCase
from harness import freeze, wait_until
from web import SITE


class Counting(BadgeCase):
    def test_people_and_tabs(self):
        """Each person counts once, however many tabs they have; each closing is pushed to all."""
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
        wait_until(lambda: self.stats()["heartbeats_left"] == 4, self.stats)

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
        self.wait_leaves({"room": "/one"})

    def test_a_room_has_one_name(self):
        """Tabs on several spellings of a path are in one room, which the last of them leaves."""
        self.begin()
        tabs = []
        for path in "/a/b", "/a//b/", "/a%2Fb", "/%61/b/":
            tabs.append(self.visit(path=path))
            self.wait_seen("1 viewing now")
        self.wait_counted(1, "/a/b")
        self.assertEqual(len(self.json("top", SITE, "--by", "room")["rooms"]), 1)
        for tab in tabs[:-1]:
            self.browser.close_window(tab)
        self.browser.switch(tabs[-1])
        self.assertEqual(self.leaves(), [])
        self.assertEqual(self.count(SITE, "/a/b"), 1)

    def test_going_to_another_page(self):
        """A link within the site, a reload: no leave of the site. A pageview each."""
        self.begin()
        self.visit(path="/one")
        self.wait_seen("1 viewing now")
        self.browser.leave("document.querySelector('a').click()")
        self.wait_counted(1, "/two")
        self.wait_counted(0, "/one")
        self.wait_leaves({"room": "/one"}, {"hold": 15})
        self.assertEqual([body["kind"] for body in self.browser.run("return asked.bodies")],
                         ["pageview"])
        self.assertEqual(self.count(SITE), 1)

    def test_going_back(self):
        """Going back returns to the room, whether the page was cached or is reloaded."""
        self.begin()
        self.visit(path="/one")
        self.wait_seen("1 viewing now")
        self.browser.leave("document.querySelector('a').click()")
        self.wait_counted(1, "/two")
        self.browser.back()
        self.wait_counted(1, "/one")
        self.wait_counted(0, "/two")
        self.wait_seen("1 viewing now")
        self.wait_leaves({"room": "/one"}, {"hold": 15}, {"room": "/two"}, {"hold": 15})

    def test_a_page_that_changes_its_address(self):
        """In a single-page application the room follows the address, and the old one is left."""
        self.begin()
        self.crowd([7, 8], "/list")
        self.visit(path="/start")
        self.wait_seen("1 viewing now")
        self.browser.run("history.pushState(null, '', '/list')")
        self.wait_seen("3 viewing now")
        self.wait_counted(0, "/start")
        self.wait_leaves({"room": "/start"})
        self.browser.run("history.back()")
        self.wait_seen("1 viewing now")
        self.wait_counted(2, "/list")

    def test_without_storage(self):
        """Without storage each page is a visitor of its own, and leaves when it closes."""
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

    def wait_beats(self, number):
        wait_until(lambda: self.beats() >= number, lambda: f"{number} heartbeats: {self.beats()}")
        self.assertEqual(self.beats(), number)

    def pass_minutes(self, number):
        """Let minutes pass in the page, and wait for the answers to its requests."""
        for _ in range(number):
            self.browser.run("advance(60000)")
            wait_until(lambda: self.browser.run("return asked.now") == 0, "the answer")

    def test_one_a_minute(self):
        self.begin()
        self.visit(before=STILL)
        self.wait_asked(1)
        self.browser.run("advance(59000)")
        self.pass_minutes(3)
        self.wait_asked(4)
        self.assertEqual([body["kind"] for body in self.browser.run("return asked.bodies")],
                         ["pageview"] + 3 * ["heartbeat"])
        self.wait_beats(4)

    def test_hidden_tabs_stop(self):
        """A hidden page has neither heartbeats nor a stream; both resume when it is shown."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.browser.minimize()
        wait_until(lambda: self.browser.run("return document.visibilityState") == "hidden",
                   "it to be hidden")
        self.wait_streams(0)
        self.pass_minutes(10)
        self.assertEqual(self.browser.run("return asked.ended"), 1)
        self.crowd(range(4))
        self.wait_counted(5)
        self.browser.restore()
        self.wait_asked(2)
        self.wait_seen("5 viewing now")
        self.wait_beats(2 + 4)

    def test_hidden_from_the_beginning(self):
        """A page that was never visible counts nobody, and sends no leave."""
        self.begin()
        window = self.visit(before="""
            let hidden = true;
            Object.defineProperty(document, 'hidden', { get: () => hidden });
            window.reveal = () => {
                hidden = false;
                document.dispatchEvent(new Event('visibilitychange'));
            };
        """)
        self.pass_minutes(3)
        self.assertEqual(self.browser.run("return asked.ended"), 0)
        self.browser.run("reveal()")
        self.wait_seen("1 viewing now")
        self.browser.close_window(window)
        self.wait_counted(0)

    def test_never_two_in_flight(self):
        """Only one touch is under way, however long the answer takes."""
        self.begin()
        self.visit()
        self.wait_asked(1)
        freeze(self.web.process)
        self.browser.run("for (let minute = 0; minute < 5; minute += 1) advance(60000)")
        self.assertEqual(self.browser.run("return [asked.now, asked.most, asked.bodies.length]"),
                         [1, 1, 2])
        self.web.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.browser.run("return asked.now === 0 && asked.ended > 2"),
                   "the answer, and the heartbeat that was due meanwhile")
        self.assertEqual(self.browser.run("return [asked.most, asked.ended]"), [1, 3])


if __name__ == "__main__":
    unittest.main()
