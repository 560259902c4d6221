"""presencectl top and sites: who is listed, and in which forms."""

import csv
import io
import unittest

from harness import native, visitor, wait_until
from test_presencectl import SITE, CtlCase


class Listings(CtlCase):
    def test_top(self):
        self.populate(*((n, f"/{'abc'[n % 3]}", "DE" if n < 3 else "FR") for n in range(7)))
        answer = self.json("top", SITE)
        self.assertEqual([(line["room"], line["count"]) for line in answer["rooms"]],
                         [("/a", 3), ("/b", 2), ("/c", 2)])
        self.assertEqual((answer["site"], answer["by"], answer["count"], answer["total"],
                          answer["window_s"], answer["stale"], answer["warming"]),
                         (SITE, "room", 7, 3, 300, False, False))
        answer = self.json("top", SITE, "--by", "country", "--limit", "1")
        self.assertEqual([(line["country"], line["count"]) for line in answer["countries"]],
                         [("FR", 4)])
        self.assertEqual(answer["total"], 2)
        self.assertEqual(self.json("top", SITE, "--by", "source")["sources"], [])

        status, out, err = self.ctl("top", SITE, "--limit", "2")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertRegex(lines[0], r"^example\.com: 7 visitors in the last 5 min, as of \S+Z; "
                                   r"the busiest 2 of 3 rooms$")
        self.assertEqual(lines[1].split(), ["ROOM", "VISITORS", "SHARE", "1", "H", "AGO", "LAST",
                                            "HEARTBEAT"])
        self.assertRegex(lines[2], r"^/a +3 +42\.9 % +- +\d+ s ago$")
        self.assertEqual(len(lines), 4)

    def test_top_shows_twenty(self):
        self.populate(*((n, f"/{n}", "") for n in range(30)))
        self.assertEqual(len(self.json("top", SITE)["rooms"]), 20)
        self.assertEqual(len(self.json("top", SITE, "--limit", "0")["rooms"]), 30)

    def test_sites(self):
        collector = self.start("--warm-up", "0")
        self.assertEqual(self.json("sites")["sites"], [])
        self.send(collector, native("b.example", [visitor(1)]), native("a.example", [visitor(1)]),
                  native("c.example", [visitor(1), visitor(2)]))
        self.wait_received(3)
        answer = self.json("sites")
        self.assertEqual([(line["site"], line["count"]) for line in answer["sites"]],
                         [("c.example", 2), ("a.example", 1), ("b.example", 1)])
        self.assertRegex(self.ctl("sites")[1], r"\A3 sites: visitors in the last 5 min")

    def test_nobody_left(self):
        """Rooms with nobody are listed on request, and where visitors could not be counted."""
        collector = self.start("--sender-new", "6")
        self.send(collector, native(SITE, [visitor(1), visitor(2)], room="/a", country="DE"),
                  native(SITE, [visitor(1)], room="/b", country="DE"),
                  native(SITE, [visitor(1)], room="/b", kind=2),
                  native("empty.example", [visitor(1)]), native("empty.example", [visitor(1)], kind=2))
        self.wait_received(5)
        for arguments, rooms, left_out in (([], ["/a"], 1), (["--all"], ["/a", "/b"], 0),
                                           (["--limit", "1", "--all"], ["/a"], 0)):
            answer = self.json("top", SITE, *arguments)
            self.assertEqual([line["room"] for line in answer["rooms"]], rooms)
            self.assertEqual((answer["total"], answer["left_out"]), (2 - left_out, left_out))
            for form in "--csv", "--names", "--window=5m":
                self.assertEqual("/b" in self.ctl("top", SITE, *arguments, form)[1], "/b" in rooms)
        self.assertRegex(self.ctl("top", SITE)[1], r"\A[^\n]*; --all lists 1 more with 0 ")
        # A site without visitors stays: its last heartbeat is news.
        self.assertRegex(self.ctl("sites")[1], r"\nempty\.example +0 +\d+ s ago\n")
        self.send(collector, native(SITE, [visitor(n) for n in range(10, 30)], room="/a"))
        self.wait_received(6)
        answer = self.json("top", SITE)
        self.assertEqual((answer["partial"], answer["left_out"]), (True, 0))
        self.assertEqual([(line["count"], line["partial"]) for line in answer["rooms"]
                          if line["room"] == "/b"], [(0, True)])

    def test_csv(self):
        rooms = ("/a,b", '/"q"', "=1+1", "+x", "@x", " =2", "\uff1d1", "/שלום", "'=1", "/plain", "-")
        self.populate(*((n, room, "DE") for n, room in enumerate(rooms)), (99, "/plain", "FR"))
        status, out, err = self.ctl("top", SITE, "--csv")
        self.assertEqual((status, err), (0, ""))
        lines = list(csv.DictReader(io.StringIO(out, newline="")))
        answer = self.json("top", SITE)
        self.assertEqual([line["count"] for line in lines],
                         [str(line["count"]) for line in answer["rooms"]])
        self.assertEqual((lines[0]["site"], lines[0]["room"], lines[0]["count"], lines[0]["share"],
                          lines[0]["hour_ago"], lines[0]["window_s"], lines[0]["stale"]),
                         (SITE, "/plain", "2", "0.1667", "", "300", "0"))
        shown = {"'" + room if room.lstrip(" ")[0] in "=+-@\uff1d" else room for room in rooms}
        self.assertEqual({line["room"] for line in lines}, shown)
        out = self.ctl("top", SITE, "--by", "country", "--csv", "--limit", "1")[1]
        self.assertRegex(out, r"\Asite,country,count,[^\n]*\nexample\.com,DE,11,0\.9167,,,\d+,0,")
        out = self.ctl("sites", "--csv", "--window", "1m")[1]
        self.assertRegex(out, r"\Asite,count,last_heartbeat_s,partial,window_s,as_of,stale,warming\n"
                              r"example\.com,12,\d+,0,60,\S+Z,0,0\n\Z")
        self.assertEqual(self.ctl("top", "nobody.example", "--csv")[:2], (4, ""))

    def test_one_is_singular(self):
        self.populate((1, "/", ""))
        for command in (("top", SITE), ("sites",), ("explain", SITE), ("status",), ("verify",),
                        ("history", SITE), ("explain", SITE, "/")):
            self.assertNotRegex(self.ctl(*command)[1],
                                r"(?m)(?<![\d.])1 (visitors|sites|datagrams|were|entries|workers|"
                                r"pageviews|heartbeats)\b")

    def test_marks(self):
        collector = self.start("--warm-up", "3600")
        self.send(collector, native(SITE, [visitor(1)], room="/"))
        self.wait_received(1)
        for command in ("top", SITE), ("sites",):
            status, out, err = self.ctl(*command)
            self.assertEqual(status, 0)
            self.assertRegex(out, r"\A[^\n]*\[warming\]\n")
            self.assertIn("warming", err)
        wait_until(lambda: self.json("history", SITE)["history"], "a sample")
        self.assertRegex(self.ctl("history", SITE)[1], r"\A[^\n]*\[warming\]\n")
        collector.stop()
        for command in ("top", SITE), ("sites",):
            self.assertRegex(self.ctl(*command)[1], r"\A[^\n]*\[stale\] \[warming\]\n")

    def test_names_are_escaped_and_aligned(self):
        rooms = {
            "/日本": "/日本", "/e\u0301": "/e\u0301", "/\u202eevil": "/\\u{202E}evil",
            "/\u2066a": "/\\u{2066}a", "/\u200b": "/\\u{200B}", "/\u061c": "/\\u{061C}",
            "/\ufeff": "/\\u{FEFF}", "/\U000e0041": "/\\u{E0041}", "/\ue000": None,
            "/\u3164": "/\\u{3164}", "/\u00ad": "/\\u{00AD}",
        }
        self.populate(*((n, room, "") for n, room in enumerate(rooms)))
        for environment in {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}:
            out = self.ctl("top", SITE, environment=environment)[1]
            for room, shown in rooms.items():
                if shown:
                    self.assertIn(f"\n{shown} ", out)
            # Each character of the wide name takes two columns.
            lines = {line.split()[0]: line for line in out.splitlines()[2:]}
            self.assertEqual(len(lines["/日本"]) + 2, len(lines["/\\u{200B}"]))
        self.assertEqual({line["room"] for line in self.json("top", SITE)["rooms"]}, set(rooms))


if __name__ == "__main__":
    unittest.main()
