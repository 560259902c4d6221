"""Rooms whose numbers are totals of many collectors."""


from rooms import RoomsCase
from side_by_side import main
from web import SITE
from web_totals import TotalsCase


class Totals(TotalsCase, RoomsCase):
    def test_rooms(self):
        """The joiner is in the number; a change is told; presence-web may start anew."""
        self.begin_collector()
        ann = self.join("ann")
        ann.wait_viewers(1)
        bob = self.join("bob")
        for socket in ann, bob:
            socket.wait_viewers(2)
            self.assertNotIn("viewer_left", [what for what, _ in socket.told()])
        ann.ping()
        self.web.stop()
        for socket in ann, bob:
            self.assertEqual(socket.wait_closed()[0], 1001)
        self.begin("--to", f"127.0.0.1:{self.collector.port}", "--count-bots")
        self.join("ann").wait_told(("room_joined", 2))
        again = self.join("bob")
        again.wait_told(("room_joined", 2))
        again.close()
        self.wait_counted(1, "/a")

    def test_engine_goes(self):
        """Its last number is not shown for long as if it was fresh, and is not taken back."""
        self.begin_collector()
        ann = self.joined("ann")
        ann.wait_viewers(1)
        told = ann.told()
        self.freeze_engine()
        self.assertEqual(ann.wait_closed()[0], 1013)
        self.assertEqual(ann.told(), told)
        self.assertEqual(self.join("bob").wait_refused()[0], 503)

    def test_two_servers(self):
        """Both tell the same number."""
        self.begin_collector()
        other = self.web
        self.begin("--to", f"127.0.0.1:{self.collector.port}", "--count-bots")
        ann, bob = self.join("ann"), self.join("bob", web=other)
        for socket in ann, bob:
            socket.wait_viewers(2)
        self.assertEqual(self.json("count", SITE, "/a")["count"], 2)


if __name__ == "__main__":
    main()
