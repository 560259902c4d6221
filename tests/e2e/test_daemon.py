"""presenced from start to stop: where it listens, what it counts, and how it goes on."""

import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import unittest

from harness import (
    DEADLINE, GOLDEN, PRESENCE_SEND, Case, Collector, native, private_loopback, run_daemon, visitor,
    wait_until, waiting_bytes, with_defaults,
)

FIRST = "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"
SECOND = "00000000-0000-4000-8000-000000000001"
# Signed with key 7, long ago: without --keys neither tag nor time is looked at.
SIGNED = bytes.fromhex(
    "50480101003701076955b90000010b00000000006578616d706c652e636f6d"
    "9b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5fd4cb34e9109a969f"
)
VISITOR_42 = bytes.fromhex("d7e376ba990b40e96a72e153f117cecc")
SMALL = ("--max-entries", "1000", "--max-scopes", "16", "--max-histories", "4", "--events", "64")


class DaemonCase(Case):
    def addresses(self, collector):
        """(host, port) of all that it says it listens on."""
        found = re.findall(r"listening on \[?([^\]\n]*?)\]?:(\d+)$", collector.output(), re.M)
        return [(host, int(port)) for host, port in found]

    def assert_verified(self):
        status, out, err = self.ctl("verify")
        self.assertIn(status, (0, 3), out + err)


class Counting(DaemonCase):
    def test_golden_datagrams_in_every_form_are_the_same_people(self):
        collector = self.start()
        self.send(collector, GOLDEN)
        self.wait_received(1)
        for scope in (), ("/pricing",):
            self.assertEqual(self.count("example.com", *scope), 2)
        country = self.json("top", "example.com", "--by", "country")["countries"][0]
        self.assertLess(country.pop("last_heartbeat_s"), DEADLINE)
        self.assertEqual(country, {"country": "DE", "count": 2, "share": 1.0, "hour_ago": None,
                                   "change": None})
        self.assertEqual(self.json("top", "example.com", "--by", "source")["sources"][0]["source"],
                         "news.example")

        place = "room=/pricing country=DE source=news.example"
        self.send(
            collector,
            f"PH1 site=example.com visitor={FIRST} {place}".encode(),
            b'<190>Nov 22 03:56:23 presence: PH1 site="EXAMPLE.com" visitor=' +
            SECOND.upper().encode() + b"\n",
            SIGNED,
            native("example.com", [VISITOR_42]),
            b"PH1 site=example.com visitor=visitor-42",
        )
        stats = self.wait_received(6)
        self.assertEqual(self.count("example.com"), 3)
        self.assertEqual(self.count("example.com", "/pricing"), 2)
        self.assertEqual(
            {name: value for name, value in stats.items() if value and "receive_" not in name},
            {"datagrams_received": 6, "datagrams_accepted": 6, "heartbeats_new": 3,
             "heartbeats_refreshed": 4, "scopes_created": 4})
        for who in FIRST, SECOND, "visitor-42":
            self.assertEqual(self.ctl("seen", "example.com", who)[0], 0)
        self.assert_verified()

    def test_leaves(self):
        """R4: from a room only from there; without one from site, country and source."""
        collector = self.start()
        labels = {"source": "news.example", "country": "DE"}
        one, two = [visitor(1)], [visitor(2)]
        self.send(collector, native("a.example", one + two, room="/x", **labels))
        self.send(collector, native("a.example", one, room="/x", kind=2, **labels))
        self.send(collector, b"PH1 site=a.example visitor=nobody kind=leave room=/never country=FR")
        self.send(collector, b"PH1 site=never.example visitor=nobody kind=leave")
        stats = self.wait_received(4)
        self.assertEqual([self.count("a.example"), self.count("a.example", "/x")], [2, 1])
        self.assertEqual((stats["heartbeats_left"], stats["scopes_created"]), (3, 4))
        self.assertEqual(self.ctl("count", "never.example")[0], 4)

        self.send(collector, native("a.example", two, kind=2, **labels))
        self.wait_received(5)
        self.assertEqual([self.count("a.example"), self.count("a.example", "/x")], [1, 1])
        for by, plural in ("country", "countries"), ("source", "sources"):
            self.assertEqual(self.json("top", "a.example", "--by", by)[plural][0]["count"], 1)
        self.assert_verified()

    def test_several_addresses_of_both_families(self):
        collector = self.start("--listen", "[::1]:0", "--listen", "127.0.0.2:0")
        addresses = self.addresses(collector)
        self.assertEqual(sorted(host for host, _ in addresses), ["127.0.0.1", "127.0.0.2", "::1"])
        for number, (host, port) in enumerate(addresses):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(native("a.example", [visitor(number), visitor(99)]), (host, port))
        self.wait_received(3)
        self.assertEqual(self.count("a.example"), 4)

    @unittest.skipIf(os.geteuid(), "needs root, for a loopback of its own")
    def test_default_address(self):
        """UDP 9514 of loopback, for the daemon and for presence-send."""
        with private_loopback():
            collector = self.start(listen=None)
            self.assertEqual(self.addresses(collector), [("127.0.0.1", 9514)])
            subprocess.run([PRESENCE_SEND, "--site", "a.example", "--visitor", "1"], check=True,
                           timeout=DEADLINE)
            self.wait_received(1)
            self.assertEqual(collector.stop(), 0)
        self.assertEqual(self.count("a.example"), 1)

    def test_one_sender_has_one_worker(self):
        """R4; several senders are the business of test_sender_order.py."""
        for workers, engine in itertools.product((1, 2, 4), ("io_uring", "recvmmsg")):
            with self.subTest(workers=workers, engine=engine):
                os.path.exists(self.segment) and os.unlink(self.segment)
                collector = self.start("--workers", str(workers), "--receive", engine)
                self.send(collector, *(native("a.example", [visitor(i)]) for i in range(1000)))
                self.wait_received(1000)

                collector.freeze()
                self.send(collector, *(native("a.example", [visitor(i)]) for i in range(900, 1200)))
                waiting = wait_until(lambda: any(waits := waiting_bytes(collector.address)) and waits,
                                     "datagrams to wait")
                collector.thaw()
                self.assertEqual(len(waiting), workers)
                self.assertEqual(waiting.count(0), workers - 1, waiting)

                stats = self.wait_received(1300)
                self.assertEqual(self.count("a.example"), 1200)
                self.assertEqual((stats["heartbeats_new"], stats["heartbeats_refreshed"]),
                                 (1200, 100))
                self.assert_verified()
                self.assertEqual(collector.stop(), 0)

    def test_drops_of_the_socket_are_counted(self):
        """R7: received + dropped is what was sent."""
        for engine in "io_uring", "recvmmsg":
            with self.subTest(engine=engine):
                collector = self.start("--receive", engine)
                before = self.stats()
                junk = bytes(60000)  # few of them fill any buffer
                collector.freeze()
                self.send(collector, *itertools.repeat(junk, 1500))
                collector.thaw()
                sent = before["datagrams_received"] + before["socket_drops"] + 1500
                stats = self.wait_received(sent)
                self.assertGreater(stats["socket_drops"], before["socket_drops"])
                self.assertEqual(stats["datagrams_received"] + stats["socket_drops"], sent)
                self.send(collector, native("a.example", [visitor(1)]))
                stats = self.wait_received(sent + 1)
                self.assert_accounted(stats)
                self.assertEqual(stats["datagrams_accepted"], before["datagrams_accepted"] + 1)
                self.assertEqual(stats["datagrams_rejected_malformed"],
                                 stats["datagrams_received"] - stats["datagrams_accepted"])
                self.assertEqual(collector.stop(), 0)

    def test_raw_ids_are_nowhere(self):
        """R8."""
        collector = self.start()
        self.send(collector, b"PH1 site=a.example visitor=very-secret-id",
                  native("a.example", [bytes.fromhex(FIRST.replace("-", ""))]))
        self.wait_received(2)
        with open(self.segment, "rb") as segment:
            data = segment.read()
        self.assertIn(b"a.example", data)
        self.assertNotIn(b"very-secret-id", data)
        self.assertNotIn(bytes.fromhex(FIRST.replace("-", "")), data)
        self.assertNotIn("very-secret-id", collector.output())

    def test_nothing_is_sent_back(self):
        """R8."""
        collector = self.start()
        self.send(collector, GOLDEN, b"", b"junk", b"PH2 site=a.example visitor=1")
        self.wait_received(4)
        self.socket.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.socket.recv(65535)


class Capacity(DaemonCase):
    def test_full_table(self):
        """Nobody is counted twice or lost from the books, and who is there stays."""
        collector = self.start("--max-entries", "10", "--max-scopes", "16", small=False)
        self.send(collector, native("a.example", [visitor(i) for i in range(10)]))
        self.wait_received(1)
        self.assertEqual(self.count("a.example"), 10)
        self.send(collector, *(native("a.example", [visitor(i)], room="/x") for i in range(10, 90)))
        stats = self.wait_received(81)
        self.assertGreater(stats["table_full"], 0)
        self.assertGreater(stats["label_table_full"], 0)
        self.assertEqual(stats["heartbeats_new"] + stats["heartbeats_refreshed"] +
                         stats["table_full"], 90)
        self.assertEqual(self.count("a.example"), 90 - stats["table_full"])
        self.assertEqual(self.count("a.example", "/x"), 80 - stats["label_table_full"])

        self.send(collector, native("a.example", [visitor(i) for i in range(10)]))
        refreshed = self.wait_received(82)
        self.assertEqual(refreshed["heartbeats_refreshed"] - stats["heartbeats_refreshed"], 10)
        self.assertEqual(refreshed["table_full"], stats["table_full"])
        self.assert_verified()

        self.send(collector, native("a.example", [visitor(i) for i in range(10)], kind=2))
        self.send(collector, *(native("a.example", [visitor(i)]) for i in range(100, 105)))
        self.wait_received(88)
        self.assertEqual(self.count("a.example"), 90 - stats["table_full"] - 10 + 5)

    def test_full_directory(self):
        collector = self.start("--max-entries", "1000", "--max-scopes", "3", small=False)
        both = [visitor(1), visitor(2)]
        self.send(collector, native("a.example", both, room="/1", country="DE"))
        self.send(collector, native("a.example", both, room="/2", country="DE", source="s.example"))
        self.send(collector, native("b.example", both + [visitor(3)], room="/1"))
        stats = self.wait_received(3)
        self.assertEqual((stats["scopes_full"], stats["label_scopes_full"]), (3, 4))
        self.assertEqual((stats["heartbeats_new"], stats["heartbeats_refreshed"]), (2, 2))
        self.assertEqual((self.count("a.example"), self.count("a.example", "/1")), (2, 2))
        for unknown in ("a.example", "/2"), ("b.example",):
            status, out, err = self.ctl("count", *unknown)
            self.assertEqual((status, out), (4, ""))
            self.assertIn("scopes_full", err)
        self.assertEqual(self.json("count", "b.example")["count"], None)
        self.assert_verified()

    def test_idle_scopes_are_reused(self):
        collector = self.start("--max-entries", "1000", "--max-scopes", "3", "--max-window", "3",
                               small=False)
        self.send(collector, native("old.example", [visitor(1)], room="/1", country="DE"))
        self.send(collector, native("new.example", [visitor(1), visitor(2)]))
        self.assertEqual(self.wait_received(2)["scopes_full"], 2)

        def shown(*arguments):
            """What there is to see of those who have come again just now."""
            self.send(collector, native("new.example", [visitor(1), visitor(2)], room="/x"))
            return self.json(*arguments)

        wait_until(lambda: shown("count", "new.example", "/x")["count"] == 2,
                   "the idle scopes to make room")
        wait_until(lambda: shown("count", "new.example")["count"] == 2, "both in the site")
        self.assertEqual(self.ctl("count", "old.example")[0], 4)
        wait_until(lambda: [site["site"] for site in shown("sites")["sites"]] == ["new.example"],
                   "the site alone to be listed")
        self.assertGreaterEqual(self.stats()["scopes_retired"], 2)
        self.assert_verified()


class StartAndStop(DaemonCase):
    def test_signals(self):
        for how in signal.SIGTERM, signal.SIGINT:
            collector = self.start()
            collector.process.send_signal(signal.SIGHUP)
            self.send(collector, native("a.example", [visitor(how)]))
            wait_until(lambda: self.ctl("seen", "a.example", "00000000-0000-0000-0000-"
                                        f"{int(how):012x}")[0] == 0, "a heartbeat after SIGHUP")
            collector.process.send_signal(how)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 0)
            self.assertTrue(collector.output().endswith("presenced: stopped\n"), collector.output())
            self.assertEqual(self.json("status")["state"], "stopped")
        self.assertEqual(self.count("a.example"), 2)
        self.assertEqual(os.listdir(self.directory), ["segment"])

    def test_one_daemon_a_segment(self):
        first = self.start()
        self.send(first, native("a.example", [visitor(1)]))
        self.wait_received(1)
        for other in "127.0.0.1:0", f"127.0.0.1:{first.port}", "[::1]:0":
            for geometry in SMALL, ("--max-entries", "10000", "--max-scopes", "256"):
                self.assert_refused(
                    run_daemon("--segment", self.segment, "--listen", other, *geometry), 1,
                    rf"pid {first.process.pid}\b", re.escape(self.segment))
        self.send(first, native("a.example", [visitor(2)]))
        self.wait_received(2)
        self.assertEqual(self.count("a.example"), 2)
        self.assertEqual(self.json("status")["pid"], first.process.pid)
        self.assertEqual(os.listdir(self.directory), ["segment"])

    def test_port_in_use(self):
        """Refused after some patience, even where the other would share the port."""
        running = []
        for share, workers in itertools.product((False, True), ("1", "2")):
            other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(other.close)
            if share:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{other.getsockname()[1]}"
            collector = Collector(f"{self.segment}-{len(running)}", *SMALL, "--workers", workers,
                                  listen=address)
            self.addCleanup(self.ensure_ended, collector)
            running.append((collector, address))
        for collector, address in running:
            status = collector.process.wait(timeout=DEADLINE)
            waits, refusal = collector.output().splitlines(keepends=True)
            self.assertIn(f"cannot listen on {address} yet", waits)
            self.assert_refused((status, "", refusal), 1, re.escape(address))

    def test_a_port_is_waited_for(self):
        """A killed daemon's port is free only a moment later."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
            collector = self.start(wait=False, listen=f"127.0.0.1:{port}")
            wait_until(lambda: "cannot listen on" in collector.output(), "the daemon to wait")
            pauses = self.pauses(collector)
            wait_until(lambda: self.pauses(collector) > pauses + 2, "it to try more than once")
        collector.wait_ready()
        self.assertEqual(collector.port, port)

    def pauses(self, collector):
        """How often it has gone to sleep (proc(5), status)."""
        self.assertIsNone(collector.process.poll(), collector.output())
        with open(f"/proc/{collector.process.pid}/status") as status:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read(), re.M)[1])

    def test_restarts_go_on_counting(self):
        for engine, how in itertools.product(("io_uring", "recvmmsg"),
                                             (signal.SIGKILL, signal.SIGTERM)):
            with self.subTest(engine=engine, how=how):
                os.path.exists(self.segment) and os.unlink(self.segment)
                arguments = ("--receive", engine, "--workers", "2")
                first = self.start(*arguments)
                for room in range(20):
                    people = [visitor(i) for i in range(room, 500, 7)]
                    self.send(first, native("a.example", people, room=f"/{room}", country="DE"))
                self.wait_received(20)
                before = [self.json("top", "a.example", "--by", by, "--limit", "0")["total"]
                          for by in ("room", "country")]
                counts = [self.count("a.example", f"/{room}") for room in range(20)]
                total = self.count("a.example")
                stats = self.stats()
                first.process.send_signal(how)
                first.process.wait(timeout=DEADLINE)

                second = self.start(*arguments, listen=f"127.0.0.1:{first.port}")
                self.assertEqual(second.port, first.port)
                self.assertIn("attached", second.output())
                self.assertEqual(self.count("a.example"), total)
                self.assertEqual([self.count("a.example", f"/{room}") for room in range(20)],
                                 counts)
                self.assertEqual([self.json("top", "a.example", "--by", by, "--limit", "0")["total"]
                                  for by in ("room", "country")], before)
                self.assertEqual(self.stats(), stats)
                self.assertEqual(self.ctl("verify")[0], 0)

                self.send(second, native("a.example", [visitor(i) for i in range(400, 600)]))
                self.wait_received(21)
                self.assertEqual(self.count("a.example"), 600)
                self.assertEqual(self.ctl("verify")[0], 0)
                self.assertEqual(second.stop(), 0)

    def test_killed_under_load(self):
        """Readers are not disturbed, and what a kill interrupts heals when its bucket ages out."""
        arguments = ("--workers", "2", "--max-window", "3")
        people = [visitor(i) for i in range(3000)]
        datagrams = [native("a.example", [one], room="/x") for one in people]
        for _ in range(4):
            collector = self.start(*arguments)
            self.send(collector, *datagrams)
            collector.process.kill()
            collector.process.wait(timeout=DEADLINE)
            for command in ("count", "a.example"), ("sites",), ("stats",), ("status",):
                status, _, err = self.ctl(*command)
                self.assertIn(status, (0, 3, 4), err)

        collector = self.start(*arguments)
        wait_until(lambda: self.ctl("count", "a.example")[0] == 4, "the window to pass")
        self.assertEqual(self.ctl("verify")[0], 0)
        for place in ("a.example",), ("a.example", "/x"):
            def back():
                """All come, again and again: a slow reader finds the window over."""
                self.send(collector, *(native("a.example", people[i:i + 1000], room="/x")
                                       for i in range(0, 3000, 1000)))
                return self.json("count", *place)["count"] == 3000

            wait_until(back, lambda: f"all to be back in {place}: {self.json('count', *place)}")
        self.assertEqual(self.ctl("verify")[0], 0)

    def test_other_geometry(self):
        """A segment of another geometry is replaced, and the old one says so to who has it open.
        Only with another table do counts start anew (test_moves.py has the rest)."""
        for change, stays in ((("--max-entries", "500"), 0), (("--max-scopes", "8"), 1),
                              (("--max-window", "600"), 1), (("--max-histories", "5"), 1),
                              (("--events", "128"), 1), (("--max-streams", "5"), 1)):
            with self.subTest(change=change):
                os.path.exists(self.segment) and os.unlink(self.segment)
                first = self.start(*SMALL, small=False)
                self.send(first, native("a.example", [visitor(1)]))
                self.wait_received(1)
                with open(self.segment, "rb") as old:
                    first.stop()
                    second = self.start(*with_defaults(SMALL, change), small=False)
                    self.assertIn("replaced", second.output())
                    old.seek(320)
                    self.assertEqual(struct.unpack("=I", old.read(4))[0], 4, "not marked replaced")
                self.assertEqual(self.count("a.example"), stays)
                self.send(second, native("a.example", [visitor(1), visitor(2)]))
                self.wait_received(2)
                self.assertEqual(self.count("a.example"), 2)
                self.assertEqual(os.listdir(self.directory), ["segment"])
                self.assertEqual(second.stop(), 0)


if __name__ == "__main__":
    unittest.main()
