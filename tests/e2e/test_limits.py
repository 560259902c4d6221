"""Limits against abuse: sites, rooms, networks, and what one sender may send."""

import os
import socket
import time
import unittest

from harness import Case, native, run_daemon, visitor, wait_until

SITE = "limits.example"


class Limits(Case):
    def test_sites(self):
        collector = self.start("--site", SITE, "--site", "Other.Example")
        self.send(collector, native(SITE, [visitor(1)]), native("OTHER.example", [visitor(1)]),
                  native("third.example", [visitor(1)]), b"PH1 site=Limits.Example visitor=2",
                  b"PH1 site=third.example visitor=2", b"PH1 site=third.example")
        stats = self.wait_received(6)
        self.assertEqual(stats["datagrams_accepted"], 3)
        self.assertEqual(stats["datagrams_rejected_site"], 2)
        self.assertEqual(stats["datagrams_rejected_visitor"], 1)
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.ctl("count", "third.example")[0], 4)

    def test_networks(self):
        for allow, listen, accepted in (("127.0.0.1", "127.0.0.1:0", True),
                                        ("127.0.0.0/8", "127.0.0.1:0", True),
                                        ("10.0.0.0/8", "127.0.0.1:0", False),
                                        ("::/0", "127.0.0.1:0", False),
                                        ("::1", "[::1]:0", True),
                                        ("0.0.0.0/0", "[::1]:0", False)):
            for engine in ("io_uring", "recvmmsg"):
                with self.subTest(allow=allow, listen=listen, engine=engine):
                    self.check_source(allow, listen, accepted, engine)

    def check_source(self, allow, listen, accepted, engine):
        collector = self.start("--allow", allow, "--receive", engine, listen=listen)
        before = self.stats()
        family, host = (socket.AF_INET6, "::1") if "[" in listen else (socket.AF_INET, "127.0.0.1")
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            for datagram in (native(SITE, [visitor(1)]), b"", b"PH\3"):
                sender.sendto(datagram, (host, collector.port))
        after = self.wait_received(before["datagrams_received"] + 3)
        names = (("datagrams_accepted", 1), ("datagrams_rejected_malformed", 1),
                 ("datagrams_rejected_version", 1))
        for name, number in names if accepted else (("datagrams_rejected_sender", 3),):
            self.assertEqual(after[name] - before[name], number, name)
        collector.stop()

    def test_rooms_of_a_site(self):
        """One site's rooms do not crowd out another's."""
        collector = self.start("--max-rooms-per-site", "20")
        for i in range(200):
            self.send(collector, native(SITE, [visitor(i)], room=f"/{i}", source=f"s{i}"))
        for i in range(10):
            self.send(collector, native("small.example", [visitor(i)], room=f"/{i}"))
        stats = self.wait_received(210)
        self.assertEqual(self.count(SITE), 200)
        self.assertEqual(self.count("small.example", "/9"), 1)
        self.assertEqual(stats["site_rooms_full"], 180)
        self.assertEqual(stats["site_sources_full"], 180)
        self.assertEqual(stats["label_scopes_full"], 0)
        rooms = self.json("top", SITE, "--by", "room", "--limit", "100")
        self.assertEqual(rooms["total"], 20)
        self.assertEqual(self.json("top", SITE, "--by", "source")["total"], 20)

    def test_new_visitors_of_a_sender(self):
        collector = self.start("--sender-new", "500", "--max-entries", "100000", small=False)
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        for i in range(0, 4000, 40):
            self.send(collector, native(SITE, [visitor(i + j) for j in range(40)]))
        stats = self.wait_received(100)
        seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - int(begin) + 1
        counted = self.count(SITE)
        self.assertGreaterEqual(counted, 500)
        self.assertLessEqual(counted, 500 * seconds)
        self.assertEqual(stats["heartbeats_new"], counted)
        self.assertEqual(stats["sender_new_exceeded"], 4000 - counted)
        # The same visitors again, as often as they like.
        for _ in range(10):
            for i in range(0, 500, 50):
                self.send(collector, native(SITE, [visitor(i + j) for j in range(50)]))
        stats = self.wait_received(200)
        self.assertEqual(stats["heartbeats_refreshed"], 5000)
        self.assertEqual(stats["sender_new_exceeded"], 4000 - counted)

    def test_slots_that_no_window_counts_give_way(self):
        """However short the window is: visitors who change fill the table only while they count."""
        collector = self.start("--max-window", "3", "--max-entries", "400", "--warm-up", "0",
                               small=False)
        for round_number in range(4):
            first = 1000 * round_number
            self.send(collector, native(SITE, [visitor(first + i) for i in range(200)]))
            stats = self.wait_received(round_number + 1)
            self.assertEqual(stats["table_full"], 0)
            self.assertEqual(stats["heartbeats_new"], 200 * (round_number + 1))
            status = self.json("status")
            self.assertGreaterEqual(status["entries_taken"], 200)
            self.assertLess(status["entries_taken"], 600)
            self.assertEqual(self.ctl("verify")[0], 0)
            self.wait_until_gone()
        taken = self.json("status")["entries_taken"]
        self.send(collector, native(SITE, [visitor(3000 + i) for i in range(200)], kind=2))
        self.wait_received(5)
        self.assertLess(self.json("status")["entries_taken"], taken)
        self.assertEqual(collector.stop(), 0)

    def wait_until_gone(self):
        wait_until(lambda: not any(site["count"] for site in self.json("sites")["sites"]),
                   "the window to pass")

    def test_datagrams_of_a_sender(self):
        collector = self.start("--sender-rate", "50")
        begin = time.clock_gettime(time.CLOCK_BOOTTIME)
        for i in range(500):
            self.send(collector, native(SITE, [visitor(i)]))
        stats = self.wait_received(500)
        seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - int(begin) + 1
        self.assertGreaterEqual(stats["datagrams_accepted"], 50)
        self.assertLessEqual(stats["datagrams_accepted"], 50 * seconds)
        self.assertEqual(stats["datagrams_rejected_sender"], stats["sender_rate_exceeded"])
        self.assertEqual(stats["sender_rate_exceeded"], 500 - stats["datagrams_accepted"])
        self.assert_accounted(stats)

    def test_file_and_command_line_add_up(self):
        path = os.path.join(self.directory, "presenced.conf")
        with open(path, "w") as file:
            file.write(f"site = {SITE}\nallow = 192.0.2.0/24\nallow = 127.0.0.1/32\n"
                       "max-rooms-per-site = 1\n")
        collector = self.start("--config", path, "--site", "other.example",
                               "--max-rooms-per-site", "2")
        for i in range(3):
            self.send(collector, *(native(site, [visitor(i)], room=f"/{i}")
                                   for site in (SITE, "other.example", "third.example")))
        stats = self.wait_received(9)
        self.assertEqual(stats["datagrams_accepted"], 6)
        self.assertEqual(stats["datagrams_rejected_site"], 3)
        self.assertEqual(stats["site_rooms_full"], 2)

    def test_wrong_usage(self):
        wrong = {
            "site": ["", "a\tb", "a" * 254],
            "allow": ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "::/129", "[::1]"],
            "max-rooms-per-site": ["0", "-1", "many", ""],
            "sender-rate": ["0", "-1", "1e6", "99999999999"],
            "sender-new": ["0", "-1", "x"],
            "keys": [""],
            "xdp": ["", "a-name-that-is-too-long"],
            "xdp-mode": ["", "offload", "Native"],
        }
        for option, values in wrong.items():
            for value in values:
                with self.subTest(option=option, value=value):
                    result = run_daemon("--segment", self.segment, "--listen", "127.0.0.1:0",
                                        f"--{option}", value)
                    self.assert_refused(result, 2, f"--{option}")


if __name__ == "__main__":
    unittest.main()
