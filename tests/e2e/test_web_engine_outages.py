"""presence-web --engine while the engine is frozen, gone, empty or locked, and touches that wait for totals."""

import concurrent.futures
import os
import signal
import time

from engine import READER
from harness import check_quick, wait_until
from side_by_side import main
from web import SITE, new_id
from web_totals import TotalsCase

LIVE = f"/api/sites/{SITE}/live-user-count"
AT_ONCE = 1  # seconds: an answer that waits for the engine takes 2 or more, each time
LATE = 10  # seconds that a busy machine may take for what waits for the engine for up to 3


class Outages(TotalsCase):
    def stale(self):
        """The number and whether it is stale, answered at once."""
        answers = []
        check_quick(lambda _: answers.append(self.live(self.web)), AT_ONCE)
        return answers[-1]["count"], answers[-1]["stale"]

    def test_frozen(self):
        """What is known is answered at once, soon stale; then the engine goes on, and so do the numbers."""
        self.write("a", {"": 3, "r/new": 1}, {"": 4})
        self.begin()
        stream = self.open_stream(self.web)
        self.assertEqual((stream.event()["data"]["count"], self.stale()), (7, (7, False)))
        self.freeze_engine()
        wait_until(lambda: self.stale() == (7, True), "the number to be stale")
        self.assertEqual(stream.wait_for("a stale number", lambda data: data["stale"])[-1]["count"], 7)
        self.assertIn("does not answer", self.problem())
        self.assertEqual(self.web.get("/api/status").json["state"], "unreachable")
        self.assert_problem(self.web.get(LIVE + "?room=/new"), 503, "no_engine")
        self.assert_problem(self.web.get("/api/sites"), 503, "no_engine")
        self.assertEqual(self.web.get("/-/ready").status, 503)
        as_of = self.live(self.web)["as_of"]
        self.engine.thaw()
        thawed = time.monotonic()
        wait_until(lambda: self.stale() == (7, False), "a whole group")
        print(f"whole {time.monotonic() - thawed:.2f} s after the engine's return")
        fresh = stream.wait_for("a fresh number", lambda data: not data["stale"])
        self.assertTrue(all(data["count"] == 7 for data in fresh), fresh)
        wait_until(lambda: self.live(self.web)["as_of"] > as_of, "a newer number")
        self.assertEqual(self.live(self.web, query="?room=/new")["count"], 1)

    def test_asked_while_it_freezes(self):
        """Requests for new places wait for 2.5 s at most, and delay no others."""
        self.write("a", {"": 3})
        self.begin()
        self.live(self.web)
        self.freeze_engine()
        with concurrent.futures.ThreadPoolExecutor(20) as clients:
            waiting = [clients.submit(self.timed, f"{LIVE}?room=/{number}") for number in range(20)]
            self.assertEqual(self.stale()[0], 3)
            for answer, took in (each.result() for each in waiting):
                self.assert_problem(answer, 503, "no_engine")
                self.assertLess(took, LATE)

    def test_restarted_empty(self):
        """An engine that is back with nothing in it changes no number, until the groups are there again."""
        web = self.begin_collector()
        self.counted(web, {"site": SITE, "visitor": new_id(), "room": "/x"})
        stream = self.open_stream(web)
        self.assertEqual(stream.event()["data"]["count"], 1)
        wait_until(lambda: len(self.web.get("/api/status").json["groups"]) == 1, "the status to show the group")
        self.publisher.freeze()
        self.engine.restart()
        wait_until(lambda: self.problem() and "published" in self.problem(), self.problem)
        self.assertEqual(self.stale(), (1, True))
        wait_until(lambda: self.web.get("/api/status").json["groups"] == [], "the status to show no group")
        self.publisher.thaw()
        wait_until(lambda: self.stale() == (1, False), "the group")
        seen = stream.wait_for("the group", lambda data: not data["stale"])
        self.assertEqual({data["count"] for data in seen}, {1})

    def test_publisher_ends(self):
        """Its end is shown at once, with the last number."""
        web = self.begin_collector()
        self.counted(web, {"site": SITE, "visitor": new_id()})
        self.publisher.stop()
        wait_until(lambda: self.stale() == (1, True), "the number to be stale")
        touched = web.touch({"site": SITE, "visitor": new_id()}).json
        self.assertEqual((touched["count"], touched["counted"], touched["reason"]), (1, False, "collector_stale"))

    def test_wrong_password(self):
        """The service starts, says why it has no numbers, and goes on trying."""
        self.write("a", {"": 3})
        self.engine.call("CONFIG", "SET", "requirepass", "right")
        self.engine.password = "right"
        path = self.password_file("wrong")
        self.begin("--password-file", path)
        wait_until(lambda: "cannot use the engine" in self.web.output(), self.web.output)
        self.assertNotIn("wrong\n", self.web.output())
        self.assert_problem(self.web.get(LIVE), 503, "no_engine")
        self.assertEqual((self.web.get("/-/ready").status, self.web.get("/-/healthy").status), (503, 200))
        self.assertEqual(self.web.output().count("cannot use the engine"), 1)
        self.engine.call("CONFIG", "SET", "requirepass", "wrong")
        self.engine.password = "wrong"
        wait_until(lambda: self.web.get(LIVE).status == 200, "the engine to be used")
        self.assertEqual(self.stale(), (3, False))

    def test_new_password(self):
        """SIGHUP reads the password file again; one that can't be read changes nothing."""
        self.write("a", {"": 3})
        self.engine.call(*READER)
        path = self.password_file("first")
        self.begin("--user", "reader", "--password-file", path)
        wait_until(lambda: self.web.get(LIVE).status == 200, "the engine to be used")
        self.assertIn(" user=reader ", self.engine.call("CLIENT", "LIST"))
        os.unlink(path)
        self.web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "the previous password stays in use" in self.web.output(), self.web.output)
        wait_until(lambda: self.stale() == (3, False), "the number")
        self.engine.call("ACL", "SETUSER", "reader", "<first", ">second")
        self.engine.call("CLIENT", "KILL", "USER", "reader")
        wait_until(self.problem, "the password to be wrong")
        self.password_file("second")
        self.web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not self.problem(), self.problem)

    def test_without_an_engine(self):
        """It starts without one, and finds it later, empty or not."""
        self.engine.kill()
        self.begin()
        self.assert_problem(self.web.get(LIVE), 503, "no_engine")
        stream = self.open_stream(self.web)
        self.assertEqual(stream.event()["data"]["count"], None)
        self.engine.start()
        wait_until(lambda: "published" in (self.problem() or ""), self.problem)
        self.assert_problem(self.web.get(LIVE), 503, "no_engine")
        self.write("a", {"": 3})
        self.assertEqual(stream.wait_for("a number", lambda data: data["count"] is not None)[-1]["count"], 3)

    def test_ends_at_any_time(self):
        """A signal ends it in order while requests wait for a frozen engine."""
        self.write("a", {"": 3})
        self.begin()
        self.live(self.web)
        self.freeze_engine()
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            waiting = clients.submit(self.timed, f"{LIVE}?room=/new")
            time.sleep(0.2)  # it may not have come yet: then it is refused
            began = time.monotonic()
            self.assertEqual(self.web.stop(), 0)
            self.assertLess(time.monotonic() - began, LATE)
            self.assertIsNotNone(waiting.exception() or waiting.result())


class Touches(TotalsCase):
    def test_counted(self):
        """The answer is a total with the visitor in it; so for each of several at once."""
        web = self.begin_collector()
        first = self.counted(web, {"site": SITE, "visitor": new_id(), "room": "/x"})
        self.assertEqual((first["count"], first["site_count"]), (1, 1), first)
        with concurrent.futures.ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(
                lambda _: self.counted(web, {"site": SITE, "visitor": new_id(), "room": "/x"}), range(20)))
        self.assertEqual({answer["count"] for answer in answers} - set(range(2, 22)), set())
        again = self.counted(web, {"site": SITE, "visitor": new_id()})
        self.assertEqual((again["count"], again["site_count"], again["room"]), (22, 22, None))

    def test_not_published(self):
        """Without a publication since it was sent, it isn't counted, after three seconds."""
        web = self.begin_collector()
        self.counted(web, {"site": SITE, "visitor": new_id()})
        self.publisher.freeze()
        began = time.monotonic()
        answer = web.touch({"site": SITE, "visitor": new_id()}).json
        took = time.monotonic() - began
        self.assertFalse(answer["counted"])
        self.assertIn(answer["reason"], ("not_seen", "collector_stale"))
        self.assertEqual(answer["site_count"], 1)
        self.assertLess(took, LATE)

    def test_to_nobody(self):
        """Heartbeats that reach nobody are not called counted, though totals are fresh."""
        self.write("a", {"": 3})
        web = self.begin("--to", "127.0.0.1:9", "--count-bots")
        answers = [web.touch({"site": SITE, "visitor": new_id()}).json for _ in range(2)]
        self.assertEqual([(answer["counted"], answer["reason"]) for answer in answers],
                         [(False, "not_sent")] * 2, answers)
        self.assertEqual(answers[0]["site_count"], 3)

    def test_bots_and_leaves(self):
        """They are answered without waiting for a publication."""
        self.write("a", {"": 3})
        web = self.begin()
        self.live(web)
        for fields, headers in ({"kind": "leave"}, {}), ({}, {"User-Agent": "Googlebot/2.1"}):
            def touch(_):
                answer = web.touch({"site": SITE, "visitor": new_id(), **fields}, headers).json
                self.assertEqual((answer["count"], answer["counted"]), (3, False))

            check_quick(touch, AT_ONCE)


if __name__ == "__main__":
    main()
