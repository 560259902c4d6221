"""A React component that shows how many view a post, in Chromium: only above one, through a
reconnect with its last number, and without a flicker while servers start anew."""

import os
import time
import unittest

from badge import HERE
from clients import ClientCase, in_chromium
from harness import wait_until
from npm import bundle
from rooms import RoomsCase
from web import SITE, token

KEY = "k" * 32
RECONNECTING = " (reconnecting…)"
# What Chromium's console says while there is no server, or one without numbers.
AWAY = ("WebSocket connection to",)


@in_chromium
class Viewers(ClientCase):
    def setUp(self):
        super().setUp()
        self.tolerated = AWAY
        self.pages.pages["/viewers.js"] = bundle(os.path.join(HERE, "viewers.js")), {
            "Content-Type": "text/javascript; charset=utf-8"}
        self.collector = self.start("--warm-up", "0")
        self.keys = self.secret("keys", KEY)
        self.begin_rooms("127.0.0.1:0")

    def begin_rooms(self, listen):
        self.web = self.serve("--count-bots", "--site", SITE, "--jwt-key-file", self.keys,
                              collector=self.collector, listen=listen)

    def look(self, person, kind="window"):
        """Open post 42 as a person in a window of their own."""
        claims = token(KEY, sub=person, exp=int(time.time()) + 3600)
        self.pages.pages[f"/{person}"] = self.pages.page(
            f'<div id="root"></div><script>window.base = "ws://127.0.0.1:{self.web.port}"; '
            f'window.postId = 42; window.token = "{claims}"</script>'
            '<script src="/viewers.js"></script>')
        window = self.browser.new_window(kind=kind)
        self.browser.open(f"http://{person}.localhost:{self.pages.port}/{person}")
        return window

    def shown(self, window):
        """Return all that the component has shown in a window."""
        self.browser.switch(window)
        return self.browser.run("return shown")

    def closes(self, window):
        """Return the codes of all closes in a window."""
        self.browser.switch(window)
        return self.browser.run("return closes.map(([code]) => code)")

    def text(self, window, name="reliable"):
        self.browser.switch(window)
        return self.browser.run(
            "return document.getElementById(arguments[0])?.textContent ?? null", name)

    def wait_text(self, window, text):
        wait_until(lambda: self.text(window) == text,
                   lambda: f"{text}; shown were {self.shown(window)}, "
                   f"of {self.browser.run('return [messages, closes]')}")

    def status(self):
        return self.web.get("/api/status").json["streams"]

    def test_only_above_one(self):
        """In development React runs each effect twice: a connection that is closed at once, and the one
        that stays."""
        ann = self.look("ann")
        wait_until(lambda: self.browser.run("return messages.length"), "ann to join")
        self.assertEqual(self.browser.run("return messages[0]"),
                         {"type": "room_joined", "post_id": 42, "viewers": 1})
        self.assertEqual(self.shown(ann), [None])
        bob = self.look("bob")
        for window in ann, bob:
            self.wait_text(window, "2 people viewing")
            self.assertEqual(self.text(window, "simple"), "2 people viewing")
        also_bob = self.look("bob", kind="tab")
        self.wait_text(also_bob, "2 people viewing")
        self.assertEqual(self.browser.run("return messages[0].viewers"), 2)
        carl = self.look("carl")
        self.wait_text(ann, "3 people viewing")
        self.browser.run("ping()")
        wait_until(lambda: self.browser.run("return messages.at(-1).type") == "pong", "a pong")
        self.browser.close_window(also_bob)
        self.browser.close_window(carl)
        self.wait_text(ann, "2 people viewing")
        self.browser.switch(bob)
        began = time.monotonic()
        self.browser.call("POST", "/refresh", {})
        self.wait_text(bob, "2 people viewing")
        in_time = time.monotonic() - began < 1.5
        self.browser.close_window(bob)
        self.wait_text(ann, None)
        numbers = [f"{number} people viewing" for number in (2, 3, 2)]
        if in_time:  # otherwise bob was away
            self.assertEqual(self.shown(ann), [None, *numbers, None])

    def test_presence_web_starts_anew(self):
        """The number stays, and says that it is the last one; with the connection it is as before."""
        windows = [self.look(person) for person in ("ann", "bob", "carl")]
        for window in windows:
            self.wait_text(window, "3 people viewing")
        before = [self.shown(window) for window in windows]
        listen = f"127.0.0.1:{self.web.port}"
        for kill in False, True:
            closes = [self.closes(window) for window in windows]
            if kill:
                self.web.process.kill()
            else:
                self.assertEqual(self.web.stop(), 0)
            for window in windows:
                self.wait_text(window, "3 people viewing" + RECONNECTING)
                self.assertIsNone(self.text(window, "simple"))
            self.web.process.wait()
            self.begin_rooms(listen)
            for window, already in zip(windows, closes):
                self.wait_text(window, "3 people viewing")
                # Those that try while there is no server end with 1006, too.
                self.assertEqual(set(self.closes(window)[len(already):]) - {1006},
                                 set() if kill else {1001})
        flicker = 2 * ["3 people viewing" + RECONNECTING, "3 people viewing"]
        for window, shown in zip(windows, before):
            self.assertEqual(self.shown(window)[len(shown):], flicker)

    def test_collector_starts_anew(self):
        """Nobody sees it. A collector that is silent for longer is seen, and the number stays."""
        windows = [self.look(person) for person in ("ann", "bob")]
        for window in windows:
            self.wait_text(window, "2 people viewing")
        before = [self.shown(window) for window in windows]
        began = time.monotonic()
        RoomsCase.restart_collector(self)
        carl = self.look("carl")
        for window in *windows, carl:
            self.wait_text(window, "3 people viewing")
        quick = time.monotonic() - began < 3  # a collector that is held up for longer is silent, too
        for window, shown in zip(windows, before):
            self.assertEqual(self.shown(window)[:len(shown)], shown)
            if quick:
                self.assertEqual(self.shown(window)[len(shown):], ["3 people viewing"])
        self.collector.freeze()
        for window in *windows, carl:
            self.wait_text(window, "3 people viewing" + RECONNECTING)
        self.collector.thaw()
        for window in *windows, carl:
            self.wait_text(window, "3 people viewing")
        for window, shown in zip(windows, before):
            seen = set(self.shown(window)[len(shown):])
            if not quick:
                seen -= {None, "2 people viewing", "2 people viewing" + RECONNECTING}
            self.assertEqual(seen, {"3 people viewing", "3 people viewing" + RECONNECTING})


if __name__ == "__main__":
    unittest.main()
