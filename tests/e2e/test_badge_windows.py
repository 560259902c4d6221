"""The badge in several windows of Chromium and Firefox: one stream serves them all."""

import unittest

from badge import seldom
from clients import ClientCase, mostly_in_chromium


@mostly_in_chromium
class Tabs(ClientCase):
    """One stream for all the tabs of a browser."""

    @seldom
    def test_six_tabs(self):
        self.begin()
        windows = {self.visit(path=path, kind="window"): path
                   for path in ("/a", "/b", "/a", "/c", "/d", "/a")}
        for window in windows:
            self.wait_seen("1 viewing now", window)
        self.wait_streams(1)
        number = 1
        while len(windows) > 1:
            number += 1
            for path in set(windows.values()):
                self.crowd([100 + number], path)
            for window in windows:
                self.wait_seen(f"{number} viewing now", window)
            self.wait_streams(1)
            # Close the oldest window, which has the stream, or will have it; another takes over.
            eldest = next(iter(windows))
            del windows[eldest]
            self.browser.close_window(eldest)
        self.wait_streams(1)

    @seldom
    def test_hidden_leader(self):
        self.begin()
        one, two = self.visit(path="/a", kind="window"), self.visit(path="/a", kind="window")
        for window in one, two:
            self.wait_seen("1 viewing now", window)
        self.wait_streams(1)
        for number, (hidden, visible) in enumerate(((one, two), (two, one)), 2):
            self.browser.switch(hidden)
            self.browser.minimize()
            self.crowd([number], "/a")
            self.wait_seen(f"{number} viewing now", visible)
            self.wait_streams(1)
            self.browser.switch(hidden)
            self.browser.restore()
            self.wait_seen(f"{number} viewing now", hidden)


if __name__ == "__main__":
    unittest.main()
