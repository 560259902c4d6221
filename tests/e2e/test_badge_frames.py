"""The badge under restrictions: frames, storage, cookies that scripts can't read, a server
that hangs, a visitor who is a bot."""

import signal
import unittest

from badge import seldom
from clients import ClientCase, in_chromium, mostly_in_chromium
from firefox import Firefox
from harness import freeze, wait_until
from web import SITE


@mostly_in_chromium
class Frames(ClientCase):
    def show(self, body="", path="/page", person="ann", head="", **headers):
        self.pages.pages[path] = self.pages.page(body or self.pages.script(), head), {
            "Content-Type": "text/html", **{name.replace("_", "-"): value
                                            for name, value in headers.items()}}
        return self.visit(person, path=path)

    def test_isolated_pages(self):
        """Pages that embed only what allows it."""
        self.begin()
        for number, policy in enumerate(("require-corp", "credentialless")):
            self.show(path=f"/{policy}", person=policy,
                      Cross_Origin_Embedder_Policy=policy,
                      Cross_Origin_Opener_Policy="same-origin")
            self.wait_seen("1 viewing now")
            self.assertTrue(self.browser.run("return crossOriginIsolated"), policy)
            self.wait_counted(number + 1)

    def test_sandboxed_frames(self):
        """Sandboxed frames have no storage: each is a visitor of its own, or only shows."""
        self.begin()
        self.crowd([5, 6], "/other")
        self.pages.pages["/framed"] = self.pages.page(self.pages.script())
        inside = "<p>" + self.pages.script(watch="/other").replace('"', "&quot;")
        self.show(f"""<iframe sandbox="allow-scripts" src="/framed"></iframe>
                      <iframe sandbox="allow-scripts" srcdoc="{inside}"></iframe>""")
        self.wait_rooms(framed=1, other=2)
        self.wait_streams(2)
        self.assertEqual(self.frames(2), ["1 viewing now", "2 viewing now"])

    def frames(self, number):
        """Return what the badges in the page's frames show, once they do."""
        def texts():
            found = []
            for frame in range(number):
                self.browser.call("POST", "/frame", {"id": frame})
                found += self.badges()
                self.browser.call("POST", "/frame", {"id": None})
            return len(found) == number and None not in found and found

        return wait_until(texts, "the badges in the frames")

    def test_frames_of_another_site(self):
        """An embedded frame has one storage for each embedding site."""
        self.begin()
        other = f"http://bob.localhost:{self.pages.port}/framed"
        self.pages.pages["/framed"] = self.pages.page(self.pages.script())
        self.show(f'<iframe src="{other}"></iframe><iframe src="{other}?again"></iframe>')
        self.wait_rooms(framed=1)
        self.assertEqual(self.frames(2), 2 * ["1 viewing now"])
        self.show(f'<iframe src="{other}"></iframe>', person="cid", path="/cid")
        self.wait_rooms(framed=2)

    def test_a_document_in_the_page(self):
        """A frame without an address has no room, and is no page."""
        self.begin()
        inside = "<p>" + self.pages.script().replace('"', "&quot;")
        self.show(f'<iframe srcdoc="{inside}"></iframe>')
        self.wait_counted(1)
        self.frames(1)
        self.assertEqual(self.rooms(), {})


@seldom
class DeniedInFirefox(ClientCase):
    """Storage that the browser's settings refuse or partition."""

    kind = Firefox

    def test_blocked_cookies(self):
        """Each page is a visitor of its own, with a stream of its own."""
        self.browser.preference("network.cookie.cookieBehavior", 2)
        self.addCleanup(self.browser.preference, "network.cookie.cookieBehavior", 5)
        self.begin()
        ann = self.visit("ann")
        self.wait_seen("1 viewing now")
        self.assertEqual(self.browser.run("try { return localStorage.length; } "
                                          "catch (error) { return error.name; }"), "SecurityError")
        self.visit("ann")
        self.wait_seen("2 viewing now")
        self.wait_seen("2 viewing now", ann)

    def test_private_window(self):
        self.begin()
        self.visit("ann")
        self.wait_seen("1 viewing now")
        window = self.browser.new_private_window()
        self.browser.before_pages(self.before_page)
        self.browser.open(f"http://ann.localhost:{self.pages.port}/page")
        self.wait_seen("2 viewing now")
        self.assertIsNotNone(self.browser.run("return localStorage.getItem('presence.id')"))
        self.browser.close_window(window)


@mostly_in_chromium
class Silence(ClientCase):
    def test_half_open_stream(self):
        """A stopped server keeps the connection and sends nothing."""
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.crowd([5])
        self.wait_seen("2 viewing now")  # only the stream says so: nothing that is older comes now
        freeze(self.web.process)
        self.browser.run("advance(30000)")
        self.assertEqual(self.seen(), "2 viewing now")
        for _ in range(6):
            self.browser.run("advance(10000)")
        self.wait_seen(None)
        self.web.process.send_signal(signal.SIGCONT)
        self.crowd([6])
        wait_until(lambda: self.browser.run("advance(10000); return shown.at(-1)") ==
                   "3 viewing now", "the number to come back")


@mostly_in_chromium
class Identity(ClientCase):
    def cookie(self, value):
        self.pages.other = lambda path: (
            self.pages.page(self.pages.script(visitor_cookie="visitor")),
            {"Content-Type": "text/html", **({"Set-Cookie": value} if value else {})})

    def test_cookie_of_the_edge(self):
        """A visitor has one identity, however they are reported."""
        self.begin()
        self.cookie('visitor={"v":1,"id":"a=b"}; Path=/')
        self.visit()
        self.wait_seen("1 viewing now")
        self.send(self.collector, b'PH1 site=%s visitor="{\\"v\\":1,\\"id\\":\\"a=b\\"}" room=/page'
                  % SITE.encode())
        self.wait_received(2)
        self.assertEqual(self.rooms(), {"/page": 1})
        self.assertEqual(self.browser.run("return Object.keys(localStorage)"
                                          ".filter((key) => key.includes('id'))"), [])

    def test_cookie_that_is_not_there(self):
        """Nobody is counted, the number is shown, the console says why, once."""
        self.begin()
        self.crowd([5, 6])
        for value in None, "visitor=a; HttpOnly; Path=/", "other=a; Path=/", "visitor=; Path=/":
            with self.subTest(value):
                self.cookie(value)
                self.browser.complaints()
                window = self.visit(f"p{len(value or '')}")
                self.wait_seen("2 viewing now")
                self.browser.run("advance(60000); advance(60000)")
                self.assertEqual(self.touches(), [])
                wait_until(self.notices, "a word on the console")
                self.assertEqual(len(self.notices()), 1, self.notices())
                self.assertIn("cookie", self.notices()[0])
                self.browser.close_window(window)
        self.assertEqual(self.count(SITE), 2)

    def test_id_of_the_application(self):
        self.begin()
        self.pages.attributes = {"visitor": "user 42"}
        self.visit("ann")
        self.wait_seen("1 viewing now")
        self.visit("bob")
        self.wait_seen("1 viewing now")
        self.send(self.collector, b'PH1 site=%s visitor="user 42" room=/page' % SITE.encode())
        self.wait_received(3)
        self.assertEqual(self.count(SITE), 1)

    def test_not_counted_because_of_the_collector(self):
        self.begin()
        self.visit()
        self.wait_seen("1 viewing now")
        self.collector.freeze()
        self.wait_seen(None)
        for touches in 2, 3:
            self.browser.run("advance(60000)")
            self.wait_touches(touches)
        wait_until(lambda: self.notices("silent"), "a word on the console")
        notices = self.notices("not counted")
        self.assertEqual(len(notices), len(set(notices)), "it repeats itself")
        self.collector.thaw()
        self.wait_seen("1 viewing now")


@in_chromium
class Bots(ClientCase):
    def test_known_bot(self):
        """Headless Chromium is a known bot: it sees the number, and the console says so once."""
        self.begin()
        self.web.stop()
        self.web = self.serve(collector=self.collector)
        self.pages.base = f"http://127.0.0.1:{self.web.port}"
        self.crowd([5, 6])
        self.visit()
        self.wait_seen("2 viewing now")
        for touches in 2, 3:
            self.browser.run("advance(60000)")
            self.wait_touches(touches)
        notice, = wait_until(lambda: self.notices("not counted"), "a word on the console")
        self.assertIn("bot", notice)
        self.assertEqual(self.count(SITE), 2)


if __name__ == "__main__":
    unittest.main()
