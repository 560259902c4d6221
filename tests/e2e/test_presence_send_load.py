"""presence-send as a load: every visitor, at the rate that was asked for."""

import collections
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
import unittest

from harness import DEADLINE, LEAVE, wait_until
from presence_send import PresenceSend, decode, numbered


class Load(PresenceSend):
    def test_every_visitor_once(self):
        for options in ([], ["--batch", "7"], ["--batch", "1"], ["--batch", "300"], ["--no-gso"],
                        ["--rooms", "3"], ["--rooms", "100", "--batch", "3"],
                        ["--rooms", "5", "--countries", "4", "--sources", "3"],
                        ["--rooms", "5000", "--batch", "2"]):
            with self.subTest(options=options):
                summary, datagrams = self.load("--visitors", "1000", "--rate", "0", *options)
                visitors = [visitor for d in datagrams for visitor in d.visitors]
                self.assertEqual(sorted(visitors), [numbered(i) for i in range(1000)])
                self.assertIsNone(summary["wanted_rate"])

    def test_places(self):
        rooms, countries, sources = 3, 4, 2
        _, datagrams = self.load("--visitors", "240", "--rate", "0", "--rooms", str(rooms),
                                 "--countries", str(countries), "--sources", str(sources))
        at = collections.defaultdict(list)
        for record in (record for d in datagrams for record in d.records):
            at[record.room, record.country, record.source] += record.visitors
        self.assertEqual(len(at), rooms * countries * sources)
        for n in range(240):
            room, country, source = n % rooms, n // rooms % countries, n // 12 % sources
            place = f"/room-{room}", "A" + "ABCD"[country], f"source-{source}.example"
            self.assertIn(numbered(n), at[place])
        self.assertTrue(all(len(visitors) == 10 for visitors in at.values()))

    def test_all_countries(self):
        """676 are as many as there are: AA to ZZ, of which XX and ZZ stand for none."""
        _, datagrams = self.load("--visitors", "676", "--rate", "0", "--countries", "676")
        countries = sorted(record.country for d in datagrams for record in d.records)
        letters = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
        named = {a + b for a in letters for b in letters} - {"XX", "ZZ"}
        self.assertEqual(countries, ["", "", *sorted(named)])

    def test_batch_is_exact(self):
        def sent():
            return self.load("--visitors", "100", "--rate", "80000", "--duration", "0.05", "--batch",
                             "80")[1]

        # A busy machine may not come to the end in that time, or to nothing at all.
        datagrams = wait_until(sent, "datagrams in so short a time")
        self.assertEqual({len(d.visitors) for d in datagrams}, {80})
        visitors = [visitor for d in datagrams for visitor in d.visitors]
        self.assertEqual(visitors, [numbered(i % 100) for i in range(len(visitors))])

    def test_large_batch(self):
        def sizes():
            _, datagrams = self.load("--visitors", "8000", "--rate", "0", "--batch", "4000")
            self.assertEqual(sum(len(d.visitors) for d in datagrams), 8000)
            return [len(d.visitors) for d in datagrams]

        # A batch that takes longer than usual to fill is sent as it is.
        wait_until(lambda: sizes() == [4000, 4000], "two whole batches")

    def test_rounding(self):
        """Of half a heartbeat at the end a whole one is made."""
        def sent():
            summary, _ = self.load("--visitors", "10", "--rate", "3", "--duration", "0.5", "--batch", "1")
            return summary["heartbeats"]

        wait_until(lambda: sent() == 2, "both heartbeats: a late process leaves out the second")

    def test_rate(self):
        def sent():
            summary, datagrams = self.load("--visitors", "50", "--rate", "80", "--duration", "1",
                                           "--batch", "1")
            self.assertEqual(summary["wanted_rate"], 80)
            self.assertGreaterEqual(summary["seconds"], 1)
            self.assertAlmostEqual(summary["rate"], summary["heartbeats"] / summary["seconds"],
                                   delta=1)
            self.assertEqual([d.visitors for d in datagrams],
                             [[numbered(i % 50)] for i in range(len(datagrams))])
            self.assertLessEqual(len(datagrams), 80)
            return len(datagrams)

        # Fewer only if a busy machine does not run the sender at the end of its time.
        wait_until(lambda: sent() == 80, "eighty to be sent in time")

    def test_pace(self):
        """Datagrams are spread over the time, not sent in one burst."""
        def gaps():
            begun = time.monotonic()
            process = self.start("--site", "a", "--visitors", "100", "--rate", "100", "--batch",
                                 "10", "--duration", "600", stdout=subprocess.PIPE)
            at = []
            for number in range(10):
                self.assertEqual(len(self.next_datagram().visitors), 10)
                at.append(time.monotonic())
                self.assertGreaterEqual(at[-1] - begun, 0.1 * number, "sent too early")
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0)
            self.received()  # what it has sent since
            return sorted(after - before for before, after in zip(at, at[1:]))

        # A busy machine can delay the sender or this test.
        wait_until(lambda: abs(gaps()[4] - 0.1) < 0.05, "datagrams that are a tenth of a second apart")

    def test_defaults(self):
        """By default, each visitor sends one heartbeat a minute, until all have."""
        def sent():
            process = self.start("--site", "a", "--visitors", "6000", "--duration", "0.5",
                                 stdout=subprocess.PIPE)
            self.assertEqual(process.wait(DEADLINE), 0)
            summary = json.loads(process.stdout.read())
            self.assertEqual(summary["wanted_rate"], 100)
            self.assertLessEqual(summary["heartbeats"], 50)
            return summary["heartbeats"]

        wait_until(lambda: sent() == 50, "fifty to be sent in time")

    def test_a_rate_alone(self):
        """It is enough for a load."""
        summary, _ = self.load("--rate", "1000", "--duration", "0.1")
        self.assertEqual(summary["wanted_rate"], 1000)

    def test_random_order(self):
        seen = []
        for seed in ("1", "1", "2", "0"):
            _, datagrams = self.load("--visitors", "100", "--rate", "0", "--seed", seed, "--rooms", "3")
            for record in (record for d in datagrams for record in d.records):
                for visitor in record.visitors:
                    number = int.from_bytes(visitor[10:], "big")
                    self.assertLess(number, 100)
                    self.assertEqual(record.room, f"/room-{number % 3}")
            seen.append([d.visitors for d in datagrams])
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])
        for datagrams in seen:  # some come again before others have come at all
            self.assertLess(len({visitor for visitors in datagrams for visitor in visitors}), 100)

    def test_random_order_over_many_places(self):
        """Most of them have nobody."""
        summary, _ = self.load("--visitors", "100", "--rate", "0", "--seed", "1", "--rooms", "5000")
        self.assertEqual(summary["heartbeats"], 100)

    def test_first(self):
        _, datagrams = self.load("--visitors", "10", "--first", "1000", "--rate", "0")
        self.assertEqual(datagrams[0].visitors, [numbered(i) for i in range(1000, 1010)])

    def test_kind_and_place(self):
        _, datagrams = self.load("--visitors", "10", "--rate", "0", "--kind", "leave", "--room", "r")
        (record,) = datagrams[0].records
        self.assertEqual((record.kind, record.room), (LEAVE, "r"))

    def test_text(self):
        self.run_send("--site", "a", "--visitors", "3", "--rate", "0", "--text")
        self.assertEqual(self.received(3), [
            f"PH1 site=a visitor=00000000-0000-4000-8000-{i:012x}".encode() for i in range(3)])

    def test_interrupt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                process = self.start("--site", "a", "--visitors", "1000", "--rate", "1000",
                                     "--duration", "600", stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
                heartbeats = len(self.next_datagram().visitors)
                process.send_signal(number)
                self.assertEqual(process.wait(DEADLINE), 0)
                summary = json.loads(process.stdout.read())
                while heartbeats < summary["heartbeats"]:
                    heartbeats += len(decode(self.receive()).visitors)
                self.assertEqual((summary["heartbeats"], self.received()), (heartbeats, []))
                self.assertLess(summary["seconds"], DEADLINE)
                self.assertEqual(process.stderr.read(), b"")

    def test_progress_on_a_terminal(self):
        def shown():
            terminal, end = pty.openpty()
            process = self.start("--site", "a", "--visitors", "10", "--rate", "100", "--duration",
                                 "0.5", stdout=subprocess.PIPE, stderr=end)
            os.close(end)
            text = b""
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                while chunk := os.read(terminal, 65536):
                    text += chunk
            os.close(terminal)
            self.assertEqual(process.wait(DEADLINE), 0)
            self.assertTrue(text.endswith(b"\r\033[K"), text[-20:])
            self.assertIn(json.loads(process.stdout.read())["heartbeats"], range(1, 51))
            return text.decode()

        # A busy machine may run the sender at the end of its time only.
        wait_until(lambda: re.search(r"\[#+\.+\] +\d+ %", shown()), "progress")

    def test_full_device(self):
        with open("/dev/full", "w") as full:
            process = self.start("--site", "a", "--visitors", "1", "--rate", "0", stdout=full,
                                 stderr=subprocess.PIPE)
            self.assertEqual(process.wait(DEADLINE), 1)
            self.assertIn(b"cannot write the summary", process.stderr.read())


if __name__ == "__main__":
    unittest.main()
