#!/usr/bin/env python3
"""What presence-send sends, seen by a plain UDP socket, and what it says when it cannot.

PRESENCE_BUILD names the build directory.
"""

import collections
import json
import os
import pty
import re
import signal
import socket
import subprocess
import time
import unittest
import uuid

from harness import DEADLINE, GOLDEN, PRESENCE_SEND
from sign import signed

HEARTBEAT, LEAVE, PAGEVIEW, EVENT = 1, 2, 3, 4
KEY = bytes.fromhex("f0e1d2c3b4a5968778695a4b3c2d1e0f")
RECEIVE_BUFFER = 16 << 20
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; without the privilege the default has to do

Datagram = collections.namedtuple("Datagram", "kind site room country source event visitors")


def decode(datagram):
    """A native datagram, read from the wire format alone."""
    assert datagram[:3] == b"PH\x01", datagram[:20]
    assert int.from_bytes(datagram[4:6], "big") == len(datagram)
    assert datagram[6:12] == bytes(6)
    names, offset = [], 20
    for size in datagram[14:18]:
        names.append(datagram[offset : offset + size].decode())
        offset += size
    visitors = [datagram[i : i + 16] for i in range(offset, len(datagram), 16)]
    assert len(visitors) == int.from_bytes(datagram[12:14], "big")
    country = datagram[18:20].strip(b"\0").decode()
    return Datagram(datagram[3], names[0], names[1], country, names[2], names[3], visitors)


def numbered(number):
    """The id of a load's visitor."""
    return uuid.UUID(f"00000000-0000-4000-8000-{number:012x}").bytes


def free_port():
    """A port where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PresenceSend(unittest.TestCase):
    def setUp(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            pass
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(DEADLINE)
        self.to = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def run_send(self, *arguments, lines=b"", to=None, status=0):
        command = [PRESENCE_SEND, "--to", to or self.to, *arguments]
        done = subprocess.run(command, input=lines, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        if status == 0:
            self.assertEqual(done.stderr, b"")
        return done

    def start(self, *arguments, **streams):
        process = subprocess.Popen([PRESENCE_SEND, "--to", self.to, *arguments], **streams)

        def end():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

        self.addCleanup(end)
        return process

    def receive(self):
        return self.socket.recv(65536)

    def received(self):
        """All that waits: on loopback, what was sent has arrived when the sender has ended."""
        datagrams = []
        self.socket.setblocking(False)
        try:
            while True:
                datagrams.append(self.receive())
        except BlockingIOError:
            self.socket.settimeout(DEADLINE)
            return datagrams

    def load(self, *arguments, status=0):
        """Run a load; its summary, agreeing with what came, and what came."""
        done = self.run_send("--site", "example.com", *arguments, status=status)
        summary = json.loads(done.stdout)
        raw = self.received()
        datagrams = [decode(datagram) for datagram in raw]
        self.assertEqual(summary["datagrams"], len(raw))
        self.assertEqual(summary["bytes"], sum(map(len, raw)))
        self.assertEqual(summary["heartbeats"], sum(len(d.visitors) for d in datagrams))
        self.assertEqual(summary["failed"], 0)
        self.assertEqual(summary["refused"], 0)
        return summary, datagrams


class One(PresenceSend):
    def test_minimal(self):
        self.run_send("--site", "Example.com", "--visitor", "visitor-42")
        (datagram,) = self.received()
        visitor = bytes.fromhex("d7e376ba990b40e96a72e153f117cecc")
        self.assertEqual(
            decode(datagram), Datagram(HEARTBEAT, "example.com", "", "", "", "", [visitor])
        )

    def test_all_of_a_place(self):
        place = ["--site", "example.com", "--room", "/ü", "--country", "de", "--source", "s.example"]
        visitor = ["--visitor", "9B2D6F2E-1c3a-4f5b-8d7e-0a1b2c3d4e5f"]
        ids = [bytes.fromhex("9b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f")]
        for options, kind, event in (
            ([], HEARTBEAT, ""),
            (["--kind", "heartbeat"], HEARTBEAT, ""),
            (["--kind", "leave"], LEAVE, ""),
            (["--kind", "pageview"], PAGEVIEW, ""),
            (["--kind", "event", "--event", "sign up"], EVENT, "sign up"),
            (["--event", "buy"], EVENT, "buy"),
        ):
            with self.subTest(options=options):
                self.run_send(*place, *visitor, *options)
                (datagram,) = self.received()
                self.assertEqual(
                    decode(datagram),
                    Datagram(kind, "example.com", "/ü", "DE", "s.example", event, ids),
                )

    def test_text(self):
        self.run_send("--text", "--site", "a", "--room", "/a b", "--visitor", "x y", "--kind", "leave")
        self.assertEqual(self.received(), [b'PH1 site=a visitor="x y" room="/a b" kind=leave'])

    def test_names_are_resolved(self):
        self.run_send("--site", "a", "--visitor", "x", to=self.to.replace("127.0.0.1", "localhost"))
        self.assertEqual(len(self.received()), 1)

    def test_nobody_listens(self):
        to = f"127.0.0.1:{free_port()}"
        warning = f"presence-send: nobody listens on {to}; start presenced or give --to\n"
        for arguments in (["--visitor", "x"], [], ["--visitors", "10", "--rate", "0"]):
            with self.subTest(arguments=arguments):
                done = self.run_send("--site", "a", *arguments, lines=b"x\n", to=to, status=1)
                self.assertEqual(done.stderr.decode(), warning)


class Signed(PresenceSend):
    def check(self, datagram):
        """Signed now; returns the datagram as it would be without."""
        at = int.from_bytes(datagram[8:12], "big")
        self.assertLess(abs(time.time() - at), 5)
        plain = (datagram[:4] + (len(datagram) - 8).to_bytes(2, "big") + bytes(6) +
                 datagram[12:-8])
        self.assertEqual(datagram, signed(plain, 7, KEY, at))
        return plain

    def test_one(self):
        self.run_send("--site", "a.example", "--visitor", "visitor-42", "--key", f"7:{KEY.hex()}")
        self.assertEqual(decode(self.check(self.receive())).site, "a.example")

    def test_every_datagram_of_a_load(self):
        for batch in ("1", "3", "200"):
            with self.subTest(batch=batch):
                self.run_send("--site", "a", "--visitors", "400", "--rate", "0", "--batch", batch,
                              "--key", f"7:{KEY.hex().upper()}")
                visitors = [visitor for datagram in self.received()
                            for visitor in decode(self.check(datagram)).visitors]
                self.assertEqual(visitors, [numbered(i) for i in range(400)])

    def test_others_can_not_see_the_key(self):
        process = self.start("--site", "a", "--key", f"7:{KEY.hex()}", stdin=subprocess.PIPE)
        process.stdin.write(b"x\n")
        process.stdin.flush()
        self.receive()
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            self.assertIn(b"7:" + b"*" * 32, file.read())


class Stream(PresenceSend):
    def test_visitors(self):
        ids = [uuid.uuid4() for _ in range(200)]
        lines = "".join(f"{visitor}\n" for visitor in ids[:-1]) + str(ids[-1])
        self.run_send("--site", "a", "--room", "r", lines=lines.encode())
        datagrams = [decode(datagram) for datagram in self.received()]
        self.assertTrue(all((d.site, d.room) == ("a", "r") for d in datagrams))
        self.assertEqual(
            [visitor for d in datagrams for visitor in d.visitors], [v.bytes for v in ids]
        )
        self.assertEqual(len(datagrams), 3)  # 86 visitors fit in 1400 bytes

    def test_batch(self):
        self.run_send("--site", "a", "--batch", "2", lines=b"1\n2\n3\n4\n5\n")
        self.assertEqual([len(decode(d).visitors) for d in self.received()], [2, 2, 1])

    def test_heartbeats(self):
        """Text becomes native: the golden datagram."""
        labels = b"room=/pricing country=DE source=news.example"
        self.run_send(
            lines=b"PH1 site=Example.com visitor=9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f " + labels + b"\r\n"
            b'PH1 visitor=00000000-0000-4000-8000-000000000001 site="example.com" ' + labels + b"\n"
        )
        self.assertEqual(self.received(), [GOLDEN])

    def test_heartbeats_as_text(self):
        self.run_send("--text", lines=b"PH1 visitor=visitor-42 site=A.example kind=pageview\n")
        expected = b"PH1 site=a.example visitor=d7e376ba-990b-40e9-6a72-e153f117cecc kind=pageview"
        self.assertEqual(self.received(), [expected])

    def test_leaves_keep_their_order(self):
        self.run_send(lines=b"".join(b"PH1 site=a visitor=1 kind=%s\n" % kind for kind in
                                     (b"heartbeat", b"leave", b"heartbeat", b"pageview", b"leave")))
        kinds = [decode(datagram).kind for datagram in self.received()]
        self.assertEqual([kind == LEAVE for kind in kinds], [False, True, False, False, True])

    def test_bad_lines(self):
        bad = [b"", b"   ", b"-", b"x" * 129, b"a\0b", b"PH1 ", b"PH1 site=a", b"PH1 site=a visitor=",
               b"PH1 visitor=1", b"PH1 site=a visitor=1 site=a", b"y" * 70000, b"z" * 300000,
               b"PH1 site=a visitor=1 x=" + b"x" * 70000]
        lines = b"".join(b"good-%d\n%s\n" % (i, line) for i, line in enumerate(bad)) + b"good\r\n"
        done = self.run_send("--site", "a", lines=lines, status=1)
        visitors = [v for datagram in self.received() for v in decode(datagram).visitors]
        self.assertEqual(len(set(visitors)), len(bad) + 1)
        said = done.stderr.decode().splitlines()
        self.assertEqual(len(said), 11)
        for i, line in enumerate(said[:10]):
            self.assertRegex(line, f"^presence-send: line {2 * i + 2} skipped: ")
        self.assertEqual(said[10], f"presence-send: {len(bad) - 10} more lines skipped")
        self.assertNotIn("xxx", done.stderr.decode())

    def test_ids_need_a_site(self):
        done = self.run_send(lines=b"x\nPH1 site=a visitor=y\n", status=1)
        self.assertIn(b"line 1 skipped", done.stderr)
        self.assertEqual(len(self.received()), 1)

    def test_empty(self):
        self.run_send("--site", "a")
        self.assertEqual(self.received(), [])

    def test_long_good_line(self):
        padding = b"x=" + b"y" * 60000
        lines = b"PH1 site=a visitor=1 " + padding + b"\n" + b" " * 60000 + b"2\n"
        self.run_send("--site", "a", lines=lines)
        (datagram,) = self.received()
        self.assertEqual(len(decode(datagram).visitors), 2)

    def test_pauses(self):
        """What was read is sent while the input pauses, in whatever pieces it comes."""
        process = self.start("--site", "a", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"vis")
        process.stdin.flush()
        process.stdin.write(b"itor-42\nx")
        process.stdin.flush()
        self.assertEqual(decode(self.receive()).visitors[0].hex(), "d7e376ba990b40e96a72e153f117cecc")
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.assertEqual(len(decode(self.receive()).visitors), 1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(process.stderr.read(), b"")

    def test_warns_at_once_and_goes_on(self):
        port = int(self.to.split(":")[1])
        self.socket.close()
        process = self.start("--site", "a", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"1\n")
        process.stdin.flush()
        self.assertIn(b"nobody listens", process.stderr.readline())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(("127.0.0.1", port))
            late.settimeout(DEADLINE)
            process.stdin.write(b"2\n")
            process.stdin.flush()
            self.assertEqual(len(decode(late.recv(2000)).visitors), 1)
            process.stdin.close()
            self.assertEqual(process.wait(DEADLINE), 1)
            self.assertEqual(process.stderr.read(), b"")


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
        for d in datagrams:
            at[d.room, d.country, d.source] += d.visitors
        self.assertEqual(len(at), rooms * countries * sources)
        for n in range(240):
            room, country, source = n % rooms, n // rooms % countries, n // 12 % sources
            place = f"/room-{room}", "A" + "ABCD"[country], f"source-{source}.example"
            self.assertIn(numbered(n), at[place])
        self.assertTrue(all(len(visitors) == 10 for visitors in at.values()))

    def test_batch_is_exact(self):
        _, datagrams = self.load("--visitors", "100", "--rate", "80000", "--duration", "0.05",
                                 "--batch", "80")
        sizes = [len(d.visitors) for d in datagrams]
        self.assertEqual(set(sizes), {80})
        visitors = [visitor for d in datagrams for visitor in d.visitors]
        self.assertEqual(visitors[:200], [numbered(i % 100) for i in range(200)])

    def test_large_batch(self):
        _, datagrams = self.load("--visitors", "8000", "--rate", "0", "--batch", "4000")
        self.assertEqual([len(d.visitors) for d in datagrams], [4000, 4000])

    def test_rate(self):
        summary, datagrams = self.load("--visitors", "50", "--rate", "2000", "--duration", "1",
                                       "--batch", "1")
        self.assertEqual(summary["heartbeats"], 2000)
        self.assertEqual(summary["wanted_rate"], 2000)
        self.assertGreaterEqual(summary["seconds"], 1)
        self.assertAlmostEqual(summary["rate"], 2000 / summary["seconds"], delta=1)
        self.assertEqual([d.visitors for d in datagrams], [[numbered(i % 50)] for i in range(2000)])

    def test_pace(self):
        """Datagrams are spread over the time, not sent in one burst."""
        process = self.start("--site", "a", "--visitors", "100", "--rate", "100", "--batch", "10",
                             stdout=subprocess.PIPE)
        at = []
        for _ in range(10):
            self.assertEqual(len(decode(self.receive()).visitors), 10)
            at.append(time.monotonic())
        self.assertEqual(process.wait(DEADLINE), 0)
        gaps = [after - before for before, after in zip(at, at[1:])]
        self.assertAlmostEqual(sum(gaps), 0.9, delta=0.3)
        self.assertAlmostEqual(sorted(gaps)[4], 0.1, delta=0.05)

    def test_defaults(self):
        """A heartbeat a visitor and minute, for as long as it takes."""
        process = self.start("--site", "a", "--visitors", "6000", "--duration", "0.5",
                             stdout=subprocess.PIPE)
        self.assertEqual(process.wait(DEADLINE), 0)
        summary = json.loads(process.stdout.read())
        self.assertEqual(summary["wanted_rate"], 100)
        self.assertEqual(summary["heartbeats"], 50)

    def test_random_order(self):
        seen = []
        for seed in ("1", "1", "2"):
            _, datagrams = self.load("--visitors", "100", "--rate", "0", "--seed", seed, "--rooms", "3")
            for d in datagrams:
                for visitor in d.visitors:
                    number = int.from_bytes(visitor[10:], "big")
                    self.assertLess(number, 100)
                    self.assertEqual(d.room, f"/room-{number % 3}")
            seen.append([(d.room, d.visitors) for d in datagrams])
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])

    def test_first(self):
        _, datagrams = self.load("--visitors", "10", "--first", "1000", "--rate", "0")
        self.assertEqual(datagrams[0].visitors, [numbered(i) for i in range(1000, 1010)])

    def test_kind_and_place(self):
        _, datagrams = self.load("--visitors", "10", "--rate", "0", "--kind", "leave", "--room", "r")
        self.assertEqual((datagrams[0].kind, datagrams[0].room), (LEAVE, "r"))

    def test_text(self):
        self.run_send("--site", "a", "--visitors", "3", "--rate", "0", "--text")
        self.assertEqual(self.received(), [
            f"PH1 site=a visitor=00000000-0000-4000-8000-{i:012x}".encode() for i in range(3)])

    def test_interrupt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                process = self.start("--site", "a", "--visitors", "1000", "--rate", "1000",
                                     "--duration", "600", stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
                heartbeats = len(decode(self.receive()).visitors)
                process.send_signal(number)
                self.assertEqual(process.wait(DEADLINE), 0)
                summary = json.loads(process.stdout.read())
                heartbeats += sum(len(decode(d).visitors) for d in self.received())
                self.assertEqual(summary["heartbeats"], heartbeats)
                self.assertLess(summary["seconds"], DEADLINE)
                self.assertEqual(process.stderr.read(), b"")

    def test_progress_on_a_terminal(self):
        terminal, end = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = self.start("--site", "a", "--visitors", "10", "--rate", "100", "--duration", "0.5",
                             stdout=subprocess.PIPE, stderr=end)
        os.close(end)
        self.assertEqual(process.wait(DEADLINE), 0)
        shown = os.read(terminal, 65536).decode()
        self.assertRegex(shown, r"\[#+\.+\] +\d+ %")
        self.assertTrue(shown.endswith("\r\033[K"), repr(shown[-20:]))
        self.assertEqual(json.loads(process.stdout.read())["heartbeats"], 50)

    def test_full_device(self):
        with open("/dev/full", "w") as full:
            process = self.start("--site", "a", "--visitors", "1", "--rate", "0", stdout=full,
                                 stderr=subprocess.PIPE)
            self.assertEqual(process.wait(DEADLINE), 1)
            self.assertIn(b"cannot write the summary", process.stderr.read())


class Usage(PresenceSend):
    def test_wrong_values(self):
        """Status 2, and one line that names the option."""
        here = ["--site", "a"]
        for option, arguments in (
            ("to", ["--to", "127.0.0.1", *here]),
            ("to", ["--to", ":9514", *here]),
            ("to", ["--to", "127.0.0.1:0", *here]),
            ("site", ["--site", "", "--visitor", "x"]),
            ("site", ["--site", "x" * 254, "--visitor", "x"]),
            ("site", ["--site", b"\xff", "--visitor", "x"]),
            ("site", ["--visitor", "x"]),
            ("site", ["--visitors", "1"]),
            ("room", [*here, "--room", "x" * 256]),
            ("room", [*here, "--room", "\n"]),
            ("room", [*here, "--text", "--room", "-"]),
            ("country", [*here, "--country", "DEU"]),
            ("source", [*here, "--source", "x" * 254]),
            ("event", [*here, "--event", "x" * 64]),
            ("event", [*here, "--event", "x", "--kind", "leave"]),
            ("kind", [*here, "--kind", "event"]),
            ("kind", [*here, "--kind", "enter"]),
            ("visitor", [*here, "--visitor", ""]),
            ("visitor", [*here, "--visitor", " "]),
            ("visitor", [*here, "--visitor", "-"]),
            ("visitor", [*here, "--visitor", "x" * 129]),
            ("visitor", [*here, "--visitor", "x", "--visitors", "3"]),
            ("visitor", [*here, "--visitor", "x", "--rate", "3"]),
            ("key", [*here, "--key", ""]),
            ("key", [*here, "--key", "7"]),
            ("key", [*here, "--key", "7:"]),
            ("key", [*here, "--key", f"0:{KEY.hex()}"]),
            ("key", [*here, "--key", f"256:{KEY.hex()}"]),
            ("key", [*here, "--key", f"x:{KEY.hex()}"]),
            ("key", [*here, "--key", KEY.hex()]),
            ("key", [*here, "--key", f"7:{KEY.hex()[1:]}"]),
            ("key", [*here, "--key", f"7:{KEY.hex()}0"]),
            ("key", [*here, "--key", f"7:{KEY.hex()[1:]}g"]),
            ("text", [*here, "--text", "--key", f"7:{KEY.hex()}"]),
            ("batch", [*here, "--batch", "0"]),
            ("batch", [*here, "--batch", "4001"]),
            ("text", [*here, "--batch", "2", "--text"]),
            ("visitors", [*here, "--visitors", "0"]),
            ("visitors", [*here, "--visitors", "ten"]),
            ("visitors", [*here, "--visitors", "1e3"]),
            ("first", [*here, "--visitors", "1", "--first", "-1"]),
            ("rate", [*here, "--rate", "-1"]),
            ("rate", [*here, "--rate", "nan"]),
            ("rate", [*here, "--rate", "fast"]),
            ("duration", [*here, "--rate", "1", "--duration", "0"]),
            ("duration", [*here, "--duration", "5"]),
            ("rooms", [*here, "--rooms", "5"]),
            ("rooms", [*here, "--visitors", "1", "--rooms", "0"]),
            ("room", [*here, "--visitors", "1", "--rooms", "2", "--room", "r"]),
            ("country", [*here, "--visitors", "1", "--countries", "2", "--country", "DE"]),
            ("source", [*here, "--visitors", "1", "--sources", "2", "--source", "s"]),
            ("countries", [*here, "--visitors", "1", "--countries", "677"]),
            ("sources", [*here, "--visitors", "1", "--sources", "x"]),
            ("seed", [*here, "--visitors", "1", "--seed", "x"]),
            ("rate", [*here, "--rate"]),
            ("text", [*here, "--text=yes"]),
        ):
            with self.subTest(arguments=arguments):
                done = self.run_send(*arguments, status=2)
                self.assertRegex(done.stderr.decode(), rf"\Apresence-send: --{option}: [^\n]+\n\Z")
                self.assertEqual(done.stdout, b"")
                self.assertNotIn(KEY.hex()[1:].encode(), done.stderr)
        self.assertEqual(self.received(), [])

    def test_unknown(self):
        for arguments in (["--frob"], ["-x"], ["example.com"]):
            with self.subTest(arguments=arguments):
                done = self.run_send(*arguments, status=2)
                self.assertIn(arguments[0].encode(), done.stderr)
                self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_no_such_host(self):
        done = self.run_send("--site", "a", "--visitor", "x", to="no-such-host.invalid:1", status=1)
        self.assertRegex(done.stderr, rb"\Apresence-send: cannot resolve no-such-host.invalid:1: ")

    def test_help_and_version(self):
        text = self.run_send("--help").stdout.decode()
        self.assertTrue(text.startswith("Usage: presence-send "))
        self.assertTrue(all(len(line) <= 100 for line in text.splitlines()))
        self.assertTrue(re.fullmatch(r"presence-send \d+\.\d+\.\d+\n",
                                     self.run_send("--version").stdout.decode()))


if __name__ == "__main__":
    unittest.main()
