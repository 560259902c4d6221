"""Rooms over WebSockets, as the npm package `ws` sees them: who is told what, and who is counted."""

import signal
import time

from harness import check_quick, wait_until, waiting_bytes
from rooms import RoomsCase
from side_by_side import main
from web import SITE, token

KEY = "k" * 32
GRACE = 2  # seconds


class Rooms(RoomsCase):
    def test_join_and_leave(self):
        """Everybody in the room hears of everybody else, who leaves two seconds after closing, or after
        their connection has vanished."""
        self.begin()
        ann = self.join("ann")
        ann.wait_told(("room_joined", 1))
        self.assertEqual(ann.messages(), [{"type": "room_joined", "viewers": 1}])
        bob = self.join("bob")
        bob.wait_told(("room_joined", 2))
        ann.wait_told(("room_joined", 1), ("viewer_joined", 2))
        carl, elsewhere = self.joined("carl"), self.joined("dan", "/b")
        site = self.join("eve", "")
        site.wait_told(("room_joined", 5))
        status = self.web.get("/api/status").json
        self.assertEqual((status["streams"], status["stream_places"]), (5, 5))
        began = time.monotonic()
        bob.close()
        self.assertEqual(bob.wait_closed()[0], 1005)  # as the client closes: without a code
        carl.terminate()
        ann.wait_viewers(1)
        self.assertGreater(time.monotonic() - began, GRACE - 0.5)
        self.assertEqual(ann.told()[2], ("viewer_joined", 3))
        self.assertEqual({what for what, _ in ann.told()[3:]}, {"viewer_left"})
        site.wait_viewers(3)
        self.wait_counted(3)
        self.assertEqual(elsewhere.told(), [("room_joined", 1)])
        self.wait_counted(1, "/b")

    def test_many_tabs(self):
        """A visitor counts once, and leaves with the last tab."""
        self.begin()
        ann, tabs = self.joined("ann"), [self.joined("bob") for _ in range(3)]
        ann.wait_told(("room_joined", 1), ("viewer_joined", 2))
        dan = self.joined("dan")
        ann.wait_viewers(3)
        for tab in tabs[1:]:
            tab.close()
            tab.wait_closed()
        dan.close()  # what the two have left behind is over by when dan has left
        ann.wait_told(("room_joined", 1), ("viewer_joined", 2), ("viewer_joined", 3),
                      ("viewer_left", 2))
        tabs[0].close()
        ann.wait_viewers(1)

    def test_another_server(self):
        """A visitor who is loaded again at another server, as a balancer may send them, stays when the
        first one's connection is over."""
        self.begin()
        second = self.serve(collector=self.collector)
        ann, dan, eve = self.joined("ann"), self.joined("dan", "/b"), self.joined("eve", "/b")
        wait_until(lambda: self.json("seen", SITE, "ann")["last_heartbeat_s"] >= 4, "ann to be silent")
        again = self.joined("ann", web=second)
        for socket in ann, dan:  # the leaves come in this order
            socket.close()
            socket.wait_closed()
        eve.wait_viewers(1)
        self.assertEqual(again.told(), [("room_joined", 1)])
        self.wait_counted(1, "/a")
        again.close()
        self.wait_counted(0, "/a")

    def test_back_in_time(self):
        """Nobody hears of a visitor who reconnects, or goes on to another room: they were never away
        from the site."""
        self.begin()

        def back(attempt):
            room = f"/{attempt}"
            ann, bob, dan = (self.joined(who, room) for who in ("ann", "bob", "dan"))
            site = self.joined("eve", "")
            ann.wait_viewers(3)
            began = time.monotonic()
            bob.terminate()
            dan.close()
            for socket in bob, dan:
                socket.wait_closed()
            again = self.joined("bob", room)
            self.joined("dan", "/other")
            took = time.monotonic() - began
            ann.wait_viewers(2)
            if took > GRACE - 0.5:
                return False  # a busy machine
            self.assertEqual(again.told(), [("room_joined", 3), ("viewer_left", 2)])
            self.assertEqual(ann.told()[-2:], [("viewer_joined", 3), ("viewer_left", 2)])
            self.assertNotIn("viewer_left", [what for what, _ in site.told()])
            self.assertEqual(self.counted_in(), 4)
            return True

        self.assertTrue(any(back(attempt) for attempt in range(4)))

    def test_two_rooms(self):
        """Who leaves one of two rooms is still in the other and on the site."""
        self.begin()
        ann, also_ann = self.joined("ann", "/a"), self.joined("ann", "/b")
        bob = self.joined("bob", "/a")
        ann.close()
        bob.wait_told(("room_joined", 2), ("viewer_left", 1))
        self.assertEqual((self.counted_in(), self.counted_in("/b")), (2, 1))
        self.assertEqual(also_ann.told(), [("room_joined", 1)])

    def test_an_edge_reports_later(self):
        """A visitor whom somebody else has reported since their connection ended is still there."""
        self.begin()
        ann, dan = self.joined("ann", "/a"), self.joined("dan", "/a")
        self.assertEqual(self.counted_in(), 2)
        wait_until(lambda: self.json("seen", SITE, "ann")["last_heartbeat_s"] >= 2, "two seconds to pass")
        ann.close()
        ann.wait_closed()
        self.send_text("ann")
        dan.close()
        self.wait_counted(1)  # dan's leave, which is due later, has been sent
        self.assertEqual(self.count(SITE), 1)

    def send_text(self, visitor):
        self.send(self.collector, f"PH1 site={SITE} visitor={visitor} room=/z".encode())

    def test_pings(self):
        """A ping is answered, and a heartbeat if the last one was a second ago."""
        self.begin()
        ann = self.joined("ann")
        began, before = time.monotonic(), self.stats()["heartbeats_refreshed"]  # by more than one try to join
        for _ in range(20):
            ann.ping()
        self.assertLessEqual(self.stats()["heartbeats_refreshed"] - before, time.monotonic() - began + 1)
        self.wait_refreshed(ann)
        for text in ("", "ping", "null", "[]", "{", '{"type":1}', '{"type":"Ping"}', "[" * 3000,
                     '{"type":"message","text":"\\u0000"}', '{"type":"p\\u0000ing"}', '"\ud83d\ude00"'):
            ann.send(text)
        pongs = ann.pongs()
        ann.ping()
        self.assertEqual(ann.pongs(), pongs + 1)
        self.assertEqual(ann.told(), [("room_joined", 1)])

    def test_flood(self):
        """Who sends messages without end is closed, and leaves."""
        self.begin()
        bob = self.joined("bob")
        ann = self.joined("ann")
        bob.wait_viewers(2)
        for _ in range(200):
            ann.send('{"type":"ping"}')
        self.assertEqual(ann.wait_closed(), (1008, "too many messages"))
        bob.wait_viewers(1)

    def test_a_connection_that_says_nothing(self):
        """It is no presence any more when the window has passed; with pings it is."""
        self.begin(collector=("--warm-up", "0", "--max-window", "5"))
        silent, alive = self.joined("silent"), self.joined("alive")
        silent.wait_viewers(2)

        pinged = [time.monotonic()]

        def wait_both(number, *present):
            """Wait until both were told, while these stay."""
            def told():
                if time.monotonic() - pinged[-1] > 1:  # more would be a flood
                    for socket in present:
                        socket.ping()
                    pinged.append(time.monotonic())
                return alive.viewers() == silent.viewers() == number

            wait_until(told, lambda: f"{number} viewers: {alive.events}, {silent.events}")

        wait_both(1, alive)
        silent.ping()
        wait_both(2, alive, silent)

    def test_bots(self):
        """Bots see the number, and are not in it, whatever they send."""
        self.begin()
        bot = self.join("bot", headers={"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"})
        bot.wait_told(("room_joined", 0))
        prefetch = self.join("prefetch", headers={"Sec-Purpose": "prefetch"})
        prefetch.wait_told(("room_joined", 0))
        ann = self.joined("ann")
        self.wait_refreshed(ann)  # so that a ping of the others would be a heartbeat, too
        for socket in bot, prefetch:
            socket.ping()
        bot.close()
        self.joined("bob")
        ann.wait_told(("room_joined", 1), ("viewer_joined", 2))
        prefetch.wait_told(("room_joined", 0), ("viewer_joined", 1), ("viewer_joined", 2))
        self.assertEqual(self.counted_in(), 2)
        self.assertEqual(self.stats()["heartbeats_new"], 2)

    def wait_refreshed(self, socket):
        """Ping until it is a heartbeat."""
        refreshed = self.stats()["heartbeats_refreshed"]

        def is_heartbeat():
            socket.ping()
            return self.stats()["heartbeats_refreshed"] > refreshed

        wait_until(is_heartbeat, "a ping to be a heartbeat")


class Ends(RoomsCase):
    def test_presence_web_starts_anew(self):
        """It says goodbye, and nobody has left."""
        self.begin()
        ann, bob = self.joined("ann"), self.joined("bob")
        ann.wait_viewers(2)
        began = time.monotonic()
        self.assertEqual(self.web.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        for socket in ann, bob:
            self.assertEqual(socket.wait_closed()[0], 1001)
        self.web = self.serve(collector=self.collector)
        again = self.join("ann")
        again.wait_told(("room_joined", 2))
        dan = self.joined("dan")
        self.assertEqual(dan.told(), [("room_joined", 3)])
        dan.close()
        again.wait_told(("room_joined", 2), ("viewer_joined", 3), ("viewer_left", 2))

    def test_presence_web_is_killed(self):
        self.begin()
        ann, bob = self.joined("ann"), self.joined("bob")
        ann.wait_viewers(2)
        self.web.process.send_signal(signal.SIGKILL)
        for socket in ann, bob:
            self.assertEqual(socket.wait_closed()[0], 1006)
        self.web.process.wait()
        self.web = self.serve(collector=self.collector)
        self.join("ann").wait_told(("room_joined", 2))

    def test_who_has_closed_before_the_end(self):
        """They have left, though two seconds have not passed."""
        self.begin()
        both = self.joined("ann", "/a"), self.joined("ann", "/b")
        bob = self.joined("bob")
        self.wait_counted(2, "/a")
        for socket in both[0], bob:
            socket.close()
            socket.wait_closed()
        wait_until(lambda: self.web.get("/api/status").json["streams"] == 1, "one to be left")
        self.web.stop()
        self.wait_counted(0, "/a")
        self.wait_counted(1)

    def test_collector_starts_anew(self):
        """Nobody hears of it, if it takes no longer than it should."""
        self.begin()
        ann, bob = self.joined("ann"), self.joined("bob")
        ann.wait_viewers(2)
        for attempt in range(4):
            before = ann.told(), bob.told()
            quick = self.restart_collector()
            dan = wait_until(lambda attempt=attempt: self.try_join(f"dan {attempt}"), "dan to join")
            self.assertEqual(dan.viewers(), 3 + attempt)
            ann, bob = (socket if not socket.of("close") else self.joined(who)
                        for who, socket in (("ann", ann), ("bob", bob)))
            for socket in ann, bob:
                socket.wait_viewers(3 + attempt)
            if quick:
                break
        self.assertTrue(quick, "the machine is too busy")
        for socket, told in zip((ann, bob), before):
            self.assertEqual(socket.told(), [*told, ("viewer_joined", 3 + attempt)])

    def try_join(self, visitor):
        """Join, unless the collector is away. Return the socket or None."""
        socket = self.join(visitor)
        wait_until(lambda: socket.told() or socket.of("refused"), lambda: f"an answer: {socket.events}")
        return socket if socket.told() else None

    def test_silent_collector(self):
        """Connections are closed so that their clients show it, and new ones are refused; nobody has
        left when it goes on."""
        self.begin()
        ann, bob = self.joined("ann"), self.joined("bob")
        ann.wait_viewers(2)
        told = ann.told(), bob.told()
        self.collector.freeze()
        carl = self.join("carl", "/new")  # whom the collector doesn't hear of: that is no empty room
        for socket in ann, bob:
            code, reason = socket.wait_closed()
            self.assertEqual(code, 1013)
            self.assertRegex(reason, "stale")
        self.assertEqual((ann.told(), bob.told()), told)
        wait_until(lambda: carl.of("close", "refused"), "carl to be closed")
        self.assertEqual(carl.told(), [])
        status, headers, body = self.join("ann").wait_refused()
        self.assertEqual(status, 503)
        self.assertEqual(headers["retry-after"], "5")
        self.assertRegex(body, '"error":"stale"')
        self.collector.thaw()
        again = wait_until(lambda: self.try_join("ann"), "ann to be back")
        again.wait_told(("room_joined", 2))
        dan = self.joined("dan")
        dan.close()
        again.wait_told(("room_joined", 2), ("viewer_joined", 3), ("viewer_left", 2))

    def test_slow_collector(self):
        """It counts a visitor who joins when the first try has ended: the next one, 250 ms later, is the last."""
        self.begin()

        def join_late(attempt):
            self.collector.freeze()
            socket = self.join(f"visitor-{attempt}")
            wait_until(lambda: sum(waiting_bytes(self.collector.address)), "a heartbeat")
            sent = time.monotonic()
            wait_until(lambda: time.monotonic() > sent + 0.05, "the try to end; it takes 20 ms")
            self.collector.thaw()
            socket.wait(lambda: socket.viewers() is not None, "them to join")

        check_quick(join_late, 0.45)
        self.assertLess(self.stats()["heartbeats_refreshed"], 10)  # after 20 tries it gives up

    def test_warming(self):
        """A room that the collector has not heard of is one's own, and who was there leaves it, too."""
        self.begin(collector=("--warm-up", "300"))
        self.join("ann", "/new").wait_told(("room_joined", 1))
        bob = self.join("bob", "/new")
        bob.wait_told(("room_joined", 2))
        ann, watcher = self.joined("ann", "/old"), self.joined("watcher", "/old")
        ann.close()
        watcher.wait_told(("room_joined", 2), ("viewer_left", 1))
        bot = self.join("bot", "/empty", headers={"User-Agent": "Googlebot/2.1"})
        self.assertEqual(bot.wait_refused()[0], 503)


class Access(RoomsCase):
    def begin_with_key(self, *arguments):
        self.begin("--jwt-key-file", self.secret("keys", KEY), *arguments)

    def claims(self, seconds=600, **claims):
        return token(KEY, exp=int(time.time()) + seconds, **claims)

    def post(self, number, **parameters):
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return self.connect(f"/ws/posts/{number}/live?{query}")

    def test_posts(self):
        """An application's own token, without site and room, names the visitor."""
        self.begin_with_key("--site", SITE)
        ann = self.post(42, token=self.claims(sub="7"))
        ann.wait_told(("room_joined", 1))
        self.assertEqual(ann.messages(), [{"type": "room_joined", "post_id": 42, "viewers": 1}])
        self.assertEqual(self.post(42, token=self.claims(sub=8)).wait_told(("room_joined", 2)), None)
        self.assertEqual(self.post(42, token=self.claims(sub=7)).wait_told(("room_joined", 2)), None)
        self.assertEqual(self.counted_in("post:42"), 2)
        ann.wait_told(("room_joined", 1), ("viewer_joined", 2))
        for number, expected in (("my-post", "my-post"), ("007", "007"), ("a%2Fb", "a/b"),
                                 ("1234567890123456789", "1234567890123456789"), ("0", 0)):
            socket = self.post(number, token=self.claims(sub="7", site=SITE))
            socket.wait_told(("room_joined", 1))
            self.assertEqual(socket.messages()[0]["post_id"], expected)
        for path in "/ws/posts//live", "/ws/posts/live", "/ws/posts/1/liv", "/ws/posts/1/live/":
            self.assertEqual(self.connect(path).wait_refused()[0], 404, path)
        self.assertEqual(self.post("x" * 251, token=self.claims(sub="7")).wait_refused()[0], 400)

    def test_posts_of_sites(self):
        """Which site it is says the request, --rest-site or the only --site."""
        self.begin_with_key("--site", SITE, "--site", "other.example", "--rest-site", "other.example")
        self.post(1, token=self.claims(sub="7")).wait_told(("room_joined", 1))
        self.assertEqual(self.json("count", "other.example", "post:1")["count"], 1)
        self.post(1, site=SITE, token=self.claims(sub="7")).wait_told(("room_joined", 1))
        self.assertEqual(self.counted_in("post:1"), 1)
        self.assertEqual(self.post(1, token=self.claims(sub="7", site=SITE)).wait_closed()[0], 1008)
        web = self.serve(collector=self.collector)
        status, _, body = self.connect("/ws/posts/1/live?visitor=ann", web).wait_refused()
        self.assertIn(status, (400, 404))
        self.assertRegex(body, "--rest-site")

    def test_posts_without_keys(self):
        self.begin("--site", SITE)
        code, reason = self.post(1, token=self.claims(sub="7")).wait_closed()
        self.assertEqual(code, 1008)
        self.assertRegex(reason, "--jwt-key-file")
        self.post(1, visitor="ann").wait_told(("room_joined", 1))

    def test_bad_tokens(self):
        """The handshake succeeds, so that the client learns why: a browser hides statuses."""
        self.begin_with_key("--site", SITE)
        bad = {
            "no token": {},
            "garbage": {"token": "x.y.z"},
            "another key": {"token": token("o" * 32, exp=int(time.time()) + 60, sub="7")},
            "expired": {"token": self.claims(seconds=-60, sub="7")},
            "no sub": {"token": self.claims()},
            "empty sub": {"token": self.claims(sub="")},
            "odd sub": {"token": self.claims(sub=[7])},
            "long sub": {"token": self.claims(sub="x" * 513)},
            "other site": {"token": self.claims(sub="7", site="other.example")},
            "odd site": {"token": self.claims(sub="7", site=7)},
            "other room": {"token": self.claims(sub="7", room="post:2")},
            "other visitor": {"token": self.claims(sub="7"), "visitor": "8"},
        }
        for what, parameters in bad.items():
            with self.subTest(what):
                socket = self.post(1, **parameters)
                code, reason = socket.wait_closed()
                self.assertEqual(code, 1008)
                self.assertTrue(reason)
                self.assertEqual("expired" in reason, what == "expired", reason)
                self.assertEqual([event[0] for event in socket.events], ["open", "close"])
        self.assertRegex(self.post(1, token=token(KEY, sub="7")).wait_closed()[1], "with sub and exp")
        self.assertEqual(self.stats()["heartbeats_new"], 0)
        wait_until(lambda: self.web.get("/api/status").json["streams"] == 0, "no connection to be left")

    def test_tokens_of_rooms(self):
        """At /ws a token is as at /touch: of a site, and perhaps of a room and a visitor."""
        self.begin_with_key()
        room = self.claims(site=SITE, room="/a", sub="ann")
        self.join("ann", token=room).wait_told(("room_joined", 1))
        socket = self.connect(f"/ws?site={SITE}&room=/a&token={room}")
        socket.wait_told(("room_joined", 1))
        for parameters in ({"visitor": "bob", "token": room}, {"visitor": "ann", "room": "/b", "token": room},
                           {"visitor": "ann"}, {"visitor": "ann", "token": self.claims(sub="ann")}):
            self.assertEqual(self.join(**parameters).wait_closed()[0], 1008, parameters)
        header = {"Authorization": f"Bearer {self.claims(site=SITE)}"}
        self.join("bob", "/b", headers=header).wait_told(("room_joined", 1))
        self.assertEqual(self.counted_in(), 2)

    def test_a_token_that_expires(self):
        self.begin_with_key()
        ann = self.joined("ann", token=self.claims(site=SITE))
        bob = self.joined("bob", token=self.claims(seconds=3, site=SITE))
        ann.wait_viewers(2)
        self.assertEqual(bob.wait_closed(), (1008, "the token has expired"))
        ann.wait_viewers(1)

    def test_refused(self):
        """What is wrong with a request is said before the handshake."""
        self.begin("--site", SITE, "--origin", "https://example.com", "--max-streams", "3",
                   "--client-streams", "2")
        for path, expected in (
                (f"/ws?site={SITE}&room=/a", 400), (f"/ws?site={SITE}&visitor=undefined", 400),
                (f"/ws?site={SITE}&visitor=ann&room={'x' * 256}", 400), ("/ws?visitor=ann", 400),
                ("/ws?site=other.example&visitor=ann", 403), ("/ws/x", 404)):
            status, _, body = self.connect(path).wait_refused()
            self.assertEqual(status, expected, (path, body))
        origin = {"Origin": "https://evil.example"}
        self.assertEqual(self.join("ann", headers=origin).wait_refused()[0], 403)
        self.joined("ann", headers={"Origin": "https://example.com"})
        self.joined("bob")
        self.assertEqual(self.join("carl").wait_refused()[0], 429)
        self.assertEqual(self.web.get(f"/ws?site={SITE}&visitor=ann").status, 426)
        self.assertEqual(self.count(SITE), 2)
        web = self.serve("--no-compat", collector=self.collector)
        for path in f"/ws?site={SITE}&visitor=ann", "/ws/posts/1/live?visitor=ann":
            self.assertEqual(self.connect(path, web).wait_refused()[0], 404)
        web = self.serve("--client-rate", "1", "--max-streams", "12", "--client-streams", "0",
                         collector=self.collector)
        sockets = [self.join(f"v{number}", web=web) for number in range(15)]
        wait_until(lambda: all(socket.of("open", "refused") for socket in sockets), "answers")
        self.assertLess(len([socket for socket in sockets if socket.of("open")]), 13)
        self.assertIn(429, [socket.wait_refused()[0] for socket in sockets if socket.of("refused")])


if __name__ == "__main__":
    main()
