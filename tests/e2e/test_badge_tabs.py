"""One stream for all visible tabs of a browser, whatever becomes of the tab that has it."""

import unittest

from badge import BadgeCase, seldom
from harness import wait_until

WITHOUT_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined });"
REFUSED_LOCKS = """
    Object.defineProperty(navigator, 'locks', { value: {
        request: () => Promise.reject(new DOMException('denied', 'SecurityError')),
    } });
"""
REFUSED_CHANNEL = """
    window.BroadcastChannel = class {
        constructor() { throw new DOMException('denied', 'SecurityError'); }
    };
"""
# Streams of this page, in the order in which they were opened.
OWN_STREAMS = """
    window.opened = [];
    window.EventSource = class extends EventSource {
        constructor(address) {
            super(address);
            window.opened.push(this);
        }
    };
"""
AT_ONCE = 30.0  # seconds; after 45 s without a word from it a leader is replaced in any case
STREAMS_OPEN = "return opened.filter(({ readyState }) => readyState < 2).length"


class Tabs(BadgeCase):
    def open_tabs(self, *paths, before=""):
        """Open visible tabs of Ann, each of which shows that she is alone in its room."""
        tabs = []
        for path in paths:
            tabs.append(self.visit(path=path, before=OWN_STREAMS + before, kind="window"))
            self.wait_seen("1 viewing now")
        return tabs

    def find_leader(self, tabs):
        """Return the only tab that has a stream."""
        def leaders():
            found = []
            for tab in tabs:
                self.browser.switch(tab)
                found += [tab] * self.browser.run(STREAMS_OPEN)
            return len(found) == 1 and found

        return wait_until(leaders, "one of the tabs to have a stream", AT_ONCE)[0]

    def test_one_stream(self):
        """One stream serves more tabs than a browser has connections to a host."""
        self.begin()
        tabs = self.open_tabs(*(f"/{index}" for index in range(8)))
        self.find_leader(tabs)
        self.wait_streams(1)
        rooms = dict(enumerate(tabs))
        for index in rooms:
            self.crowd(range(2), f"/{index}")
        for index, tab in rooms.items():
            self.wait_seen("3 viewing now", tab)
            self.assertNotIn(None, self.browser.run("return shown"))
        self.wait_streams(1)

    def test_leader_closes(self):
        """Another tab opens a stream at once, and the numbers stay meanwhile."""
        self.begin()
        tabs = self.open_tabs("/0", "/1", "/2")
        leader = self.find_leader(tabs)
        self.browser.close_window(leader)
        rest = [tab for tab in tabs if tab != leader]
        self.find_leader(rest)
        for tab in rest:
            self.crowd(range(1), f"/{tabs.index(tab)}")
            self.wait_seen("2 viewing now", tab)
            self.assertEqual(self.browser.run("return shown"), ["1 viewing now", "2 viewing now"])
        self.wait_streams(1)

    def test_leader_is_hidden(self):
        """Hidden tabs have no stream, and join again when they are visible."""
        self.begin()
        tabs = self.open_tabs("/0", "/1")
        leader = self.find_leader(tabs)
        other = tabs[1 - tabs.index(leader)]
        self.browser.switch(leader)
        self.browser.run("""
            Object.defineProperty(document, 'hidden', { configurable: true, value: true });
            document.dispatchEvent(new Event('visibilitychange'));
        """)
        self.assertEqual(self.find_leader([other]), other)
        self.browser.switch(leader)
        self.assertEqual(self.browser.run(STREAMS_OPEN), 0)
        self.browser.run("""
            delete document.hidden;
            document.dispatchEvent(new Event('visibilitychange'));
        """)
        self.crowd(range(2), f"/{tabs.index(leader)}")
        self.wait_seen("3 viewing now", leader)
        self.assertEqual(self.find_leader(tabs), other)

    def test_leader_hangs(self):
        """After 45 s of its silence another tab takes over."""
        self.begin()
        tabs = self.open_tabs("/0", "/1")
        leader = self.find_leader(tabs)
        other = tabs[1 - tabs.index(leader)]
        self.browser.switch(leader)
        self.browser.run("""
            window.setTimeout = () => 0;
            opened.at(-1).close();
        """)
        self.browser.switch(other)
        self.assertEqual(self.browser.run(STREAMS_OPEN), 0)
        self.browser.run("for (let i = 0; i < 10; i += 1) advance(5000)")
        self.assertEqual(self.find_leader([other]), other)
        self.crowd(range(1), f"/{tabs.index(other)}")
        self.wait_seen("2 viewing now", other)

    @seldom
    def test_without_sharing(self):
        """Each visible tab has a stream where the browser has no locks, or refuses them."""
        self.begin()
        streams = 0
        refusals = WITHOUT_LOCKS, REFUSED_LOCKS, REFUSED_LOCKS + REFUSED_CHANNEL
        for number, before in enumerate(refusals):
            for path in "/0", "/1":
                tab = self.visit(f"ann{number}", path, OWN_STREAMS + before, kind="window")
                self.assertEqual(self.find_leader([tab]), tab)
                streams += 1
                self.wait_streams(streams)


if __name__ == "__main__":
    unittest.main()
