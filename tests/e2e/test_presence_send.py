"""What presence-send sends, seen by a plain UDP socket, and what it says when it cannot."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
import uuid

from harness import DEADLINE, SOON, check_quick, freeze, free_port, wait_until
from machines import ip
from name_server import NameServer
from presence_send import Datagram, PresenceSend, Record, decode, numbered
from sign import signed

HEARTBEAT, LEAVE, PAGEVIEW, EVENT = 1, 2, 3, 4
KEY = bytes.fromhex("f0e1d2c3b4a5968778695a4b3c2d1e0f")


class One(PresenceSend):
    def test_minimal(self):
        self.run_send("--site", "Example.com", "--visitor", "visitor-42")
        (datagram,) = self.received(1)
        visitor = bytes.fromhex("d7e376ba990b40e96a72e153f117cecc")
        self.assertEqual(
            decode(datagram),  # of no stream: the program ends
            Datagram(0, 0, 0, [Record(HEARTBEAT, "example.com", "", "", "", "", [visitor])])
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
                (datagram,) = self.received(1)
                self.assertEqual(
                    decode(datagram).records,
                    [Record(kind, "example.com", "/ü", "DE", "s.example", event, ids)],
                )

    def test_text(self):
        self.run_send("--text", "--site", "a", "--room", "/a b", "--visitor", "x y", "--kind", "leave")
        self.assertEqual(self.received(1), [b'PH1 site=a visitor="x y" room="/a b" kind=leave'])

    def test_names_are_resolved(self):
        self.run_send("--site", "a", "--visitor", "x", to=self.to.replace("127.0.0.1", "localhost"))
        self.assertEqual(len(self.received(1)), 1)

    @unittest.skipIf(os.geteuid(), "needs root, for a network of its own")
    def test_ipv4_is_preferred(self):
        names = NameServer({"both.example": ["::1", "127.0.0.1"]})
        self.addCleanup(names.close)
        self.run_send("--site", "a", "--visitor", "x", to=self.to.replace("127.0.0.1", "both.example"))
        self.assertEqual(len(self.received(1)), 1)

    def test_ipv6(self):
        self.socket.close()
        self.socket = self.enterContext(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        self.socket.bind(("::1", 0))
        self.run_send("--site", "a", "--visitor", "x", to=f"[::1]:{self.socket.getsockname()[1]}")
        self.assertEqual(len(self.received(1)), 1)

    def test_nobody_listens(self):
        to = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        warning = f"presence-send: nobody listens on {to}; start presenced or give --to\n"
        for arguments in (["--visitor", "x"], [], ["--visitors", "10", "--rate", "0"]):
            with self.subTest(arguments=arguments):
                done = self.run_send("--site", "a", *arguments, lines=b"x\n", to=to, status=1)
                self.assertEqual(done.stderr.decode(), warning)


class Signed(PresenceSend):
    def check(self, datagram):
        """Check the signature and its time; returns the datagram without them."""
        at = int.from_bytes(datagram[8:12], "big")
        self.assertLess(abs(time.time() - at), DEADLINE)
        plain = (b"PH\2\0" + (len(datagram) - 8).to_bytes(2, "big") + bytes([0, datagram[7]]) +
                 bytes(4) + datagram[12:-8])
        self.assertEqual(datagram, signed(plain, 7, KEY, at))
        return plain

    def test_one(self):
        self.run_send("--site", "a.example", "--visitor", "visitor-42", "--key", f"7:{KEY.hex()}")
        self.assertEqual(decode(self.check(self.receive())).records[0].site, "a.example")

    def test_every_datagram_of_a_load(self):
        for batch in ("1", "3", "200"):
            with self.subTest(batch=batch):
                self.run_send("--site", "a", "--visitors", "400", "--rate", "0", "--batch", batch,
                              "--key", f"7:{KEY.hex().upper()}")
                visitors = []
                while len(visitors) < 400:
                    visitors += decode(self.check(self.receive())).visitors
                self.assertEqual(visitors, [numbered(i) for i in range(400)])

    def test_others_can_not_see_the_key(self):
        process = self.start("--site", "a", "--key", f"7:{KEY.hex()}", stdin=subprocess.PIPE)
        process.stdin.write(b"x\n")
        process.stdin.flush()
        self.receive()
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            self.assertIn(b"7:" + b"*" * 32, file.read())


class Stream(PresenceSend):
    def next_visitor(self):
        """Return the one visitor of the next datagram."""
        (visitor,) = self.next_datagram().visitors
        return visitor

    def test_visitors(self):
        ids = [uuid.uuid4() for _ in range(200)]
        lines = "".join(f"{visitor}\n" for visitor in ids[:-1]) + str(ids[-1])
        self.run_send("--site", "a", "--room", "r", lines=lines.encode())
        datagrams = [decode(datagram) for datagram in self.received(3)]
        self.assertTrue(all((record.site, record.room) == ("a", "r")
                            for d in datagrams for record in d.records))
        self.assertEqual(
            [visitor for d in datagrams for visitor in d.visitors], [v.bytes for v in ids]
        )
        self.assertGreaterEqual(len(datagrams), 3)  # 84 visitors fit in 1400 bytes
        self.assertEqual([d.sequence for d in datagrams], list(range(1, len(datagrams) + 1)))
        (stream,) = {d.stream for d in datagrams}
        self.assertNotEqual(stream, 0)

    def test_batch(self):
        self.run_send("--site", "a", "--batch", "2", lines=b"1\n2\n3\n4\n5\n")
        self.assertEqual([len(decode(d).visitors) for d in self.received(3)], [2, 2, 1])

    def test_heartbeats(self):
        """Text heartbeats are sent as native ones."""
        labels = b"room=/pricing country=DE source=news.example"
        self.run_send(
            lines=b"PH1 site=Example.com visitor=9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f " + labels + b"\r\n"
            b'PH1 visitor=00000000-0000-4000-8000-000000000001 site="example.com" ' + labels + b"\n"
        )
        (datagram,) = self.received(1)
        visitors = [bytes.fromhex("9b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f"),
                    uuid.UUID("00000000-0000-4000-8000-000000000001").bytes]
        self.assertEqual(decode(datagram).records, [
            Record(HEARTBEAT, "example.com", "/pricing", "DE", "news.example", "", visitors)])

    def test_heartbeats_as_text(self):
        self.run_send("--text", lines=b"PH1 visitor=visitor-42 site=A.example kind=pageview\n")
        expected = b"PH1 site=a.example visitor=d7e376ba-990b-40e9-6a72-e153f117cecc kind=pageview"
        self.assertEqual(self.received(1), [expected])

    def test_order_is_kept(self):
        kinds = b"heartbeat", b"leave", b"heartbeat", b"pageview", b"leave"
        self.run_send(lines=b"".join(b"PH1 site=a visitor=1 kind=%s\n" % kind for kind in kinds))
        (datagram,) = self.received(1)
        self.assertEqual([record.kind for record in decode(datagram).records],
                         [HEARTBEAT, LEAVE, HEARTBEAT, PAGEVIEW, LEAVE])

    def test_bad_lines(self):
        bad = [b"", b"   ", b"-", b"x" * 513, b"a\0b", b"PH1 ", b"PH1 site=a", b"PH1 site=a visitor=",
               b"PH1 visitor=1", b"PH1 site=a visitor=1 site=a", b"y" * 70000, b"z" * 300000,
               b"PH1 site=a visitor=1 x=" + b"x" * 70000, b"null",
               b"PH1 site=a visitor=NaN"]
        lines = b"".join(b"good-%d\n%s\n" % (i, line) for i, line in enumerate(bad)) + b"good\r\n"
        done = self.run_send("--site", "a", lines=lines, status=1)
        visitors = set()
        while len(visitors) < len(bad) + 1:
            visitors.update(decode(self.receive()).visitors)
        self.assertEqual(self.received(), [])
        said = done.stderr.decode().splitlines()
        self.assertEqual(len(said), 11)
        for i, line in enumerate(said[:10]):
            self.assertRegex(line, f"^presence-send: line {2 * i + 2} skipped: ")
        self.assertEqual(said[10], f"presence-send: {len(bad) - 10} more lines skipped")
        self.assertNotIn("xxx", done.stderr.decode())

    def test_ids_need_a_site(self):
        done = self.run_send(lines=b"x\nPH1 site=a visitor=y\n", status=1)
        self.assertIn(b"line 1 skipped", done.stderr)
        self.assertEqual(len(self.received(1)), 1)

    def test_empty(self):
        self.run_send("--site", "a")
        self.assertEqual(self.received(), [])

    def test_long_good_line(self):
        padding = b"x=" + b"y" * 60000
        lines = b"PH1 site=a visitor=1 " + padding + b"\n" + b" " * 60000 + b"2\n"
        self.run_send("--site", "a", lines=lines)
        (datagram,) = self.received(1)
        self.assertEqual(len(decode(datagram).visitors), 2)

    def test_the_longest_line(self):
        longest = 65507  # without its end
        lines = b"".join(b" " * (length - 1) + visitor + b"\n" for length, visitor in
                         ((longest, b"1"), (longest + 1, b"2"), (longest, b"3"), (longest + 2, b"4")))
        done = self.run_send("--site", "a", lines=lines, status=1)
        self.assertEqual(re.findall(r"line (\d+) skipped: the line is too long", done.stderr.decode()),
                         ["2", "4"])
        (datagram,) = self.received(1)
        self.assertEqual(len(decode(datagram).visitors), 2)

    def test_pauses(self):
        """Lines are sent while the input pauses, however they are split into reads."""
        process = self.start("--site", "a", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"vis")
        process.stdin.flush()
        process.stdin.write(b"itor-42\nx")
        process.stdin.flush()
        self.assertEqual(self.next_visitor().hex(), "d7e376ba990b40e96a72e153f117cecc")
        process.stdin.write(b"\n")
        process.stdin.flush()
        self.next_visitor()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertEqual(process.stderr.read(), b"")

    def test_lines_soon_after_each_other(self):
        """They become one datagram."""
        process = self.start("--site", "a", stdin=subprocess.PIPE)

        def visitors():
            for line in b"1\n", b"2\n":
                process.stdin.write(line)
                process.stdin.flush()
                time.sleep(0.02)
            sent = [self.next_datagram()]
            while sum(len(datagram.visitors) for datagram in sent) < 2:
                sent.append(self.next_datagram())
            return len(sent)

        # A busy machine may be late with the second line.
        wait_until(lambda: visitors() == 1, "two visitors in one datagram")

    def test_alive_while_the_input_pauses(self):
        """An empty datagram a second, with the next number each."""
        process = self.start("--site", "a", stdin=subprocess.PIPE)
        empty = [decode(self.receive()) for _ in range(2)]
        process.stdin.write(b"x\n")
        process.stdin.flush()
        begun = time.monotonic()
        while not (datagram := decode(self.receive())).visitors:
            empty.append(datagram)
        after = [decode(self.receive()) for _ in range(2)]
        self.assertGreater(time.monotonic() - begun, 1.5)
        self.assertEqual([d.records for d in empty + after], [[] for _ in empty + after])
        numbers = [(d.stream, d.sequence) for d in [*empty, datagram, *after]]
        self.assertEqual(numbers, [(datagram.stream, i + 1) for i in range(len(numbers))])
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_alive_while_no_line_is_good(self):
        """Lines come without a pause: the pipe is always full."""
        process = self.start("--site", "a", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        over = threading.Event()

        def write():
            while not over.is_set():
                process.stdin.write(b"-\n" * 1000)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            numbers = [decode(self.receive()).sequence for _ in range(3)]
        finally:
            over.set()
            thread.join()
        self.assertEqual(numbers, [1, 2, 3])
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 1)

    def test_a_signal_ends_a_pause(self):
        """It doesn't wait for the next line, nor for the time when it would say that it is alive."""
        def asleep(process):
            with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "S"

        def end_in_a_pause(_):
            ours, its = socket.socketpair()
            with ours, its:
                process = self.start("--site", "a", stdin=its)
                ours.sendall(b"1\n")
                self.next_visitor()
                wait_until(lambda: asleep(process), "it to wait for more")
                process.terminate()
                self.assertEqual(process.wait(DEADLINE), 0)

        check_quick(end_in_a_pause, 0.5)

    def test_rest_of_a_pipe(self):
        """After SIGTERM, lines in the pipe and those written soon after are sent; a pipe that stays
        open does not keep the program from ending."""
        def sent():
            process = self.start("--site", "a", stdin=subprocess.PIPE)
            process.stdin.write(b"1\n")
            process.stdin.flush()
            self.next_visitor()
            freeze(process)
            process.stdin.write(b"2\n")
            process.stdin.flush()
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(b"3\n4")
                process.stdin.flush()
            begun = time.monotonic()
            self.assertEqual(process.wait(DEADLINE), 0)
            self.assertLess(time.monotonic() - begun, SOON)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            return sum(len(decode(each).visitors) for each in self.received(1))

        # Fewer only if a busy machine is late with the third.
        wait_until(lambda: sent() == 2, "two more")

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
            self.socket = late
            process.stdin.write(b"2\n")
            process.stdin.flush()
            self.next_visitor()
            process.stdin.close()
            self.assertEqual(process.wait(DEADLINE), 1)
            self.assertEqual(process.stderr.read(), b"")

    @unittest.skipIf(os.geteuid(), "needs root, for a network of its own")
    def test_a_route_goes(self):
        """What the kernel does not send any more is no success."""
        address = "192.0.2.1/32", "dev", "lo"
        ip("address", "add", *address)
        self.socket.close()
        self.socket = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.socket.bind(("192.0.2.1", 0))
        self.to = f"192.0.2.1:{self.socket.getsockname()[1]}"
        process = self.start("--site", "a", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"1\n")
        process.stdin.flush()
        self.next_datagram()
        ip("address", "delete", *address)
        process.stdin.write(b"2\n")
        process.stdin.close()
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertRegex(process.stderr.read().decode(),
                         rf"\Apresence-send: the kernel refused \d+ datagrams? to {self.to}; [^\n]+\n\Z")


class Usage(PresenceSend):
    def test_wrong_values(self):
        """The exit status is 2, and one line names the option."""
        here = ["--site", "a"]
        for option, arguments in (
            ("to", ["--to", "127.0.0.1:9514", *here]),  # for the second time
            ("site", ["--site", "", "--visitor", "x"]),
            ("site", ["--site", "x" * 254, "--visitor", "x"]),
            ("site", ["--site", b"\xff", "--visitor", "x"]),
            ("site", ["--visitor", "x"]),
            ("site", ["--visitors", "1"]),
            ("room", [*here, "--room", "x" * 256]),
            ("room", [*here, "--room", "\n"]),
            ("site", ["--text", "--site", "-"]),
            ("room", [*here, "--text", "--room", "-"]),
            ("source", [*here, "--text", "--source", "-"]),
            ("event", [*here, "--text", "--event", "-"]),
            ("country", [*here, "--country", "DEU"]),
            ("source", [*here, "--source", "x" * 254]),
            ("event", [*here, "--event", "x" * 64]),
            ("event", [*here, "--event", "x", "--kind", "leave"]),
            ("kind", [*here, "--kind", "event"]),
            ("kind", [*here, "--kind", "enter"]),
            ("visitor", [*here, "--visitor", ""]),
            ("visitor", [*here, "--visitor", " "]),
            ("visitor", [*here, "--visitor", "-"]),
            ("visitor", [*here, "--visitor", "undefined"]),
            ("visitor", [*here, "--text", "--visitor", "00000000-0000-0000-0000-000000000000"]),
            ("visitor", [*here, "--visitor", "x" * 513]),
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
            ("countries", [*here, "--countries", "5"]),
            ("sources", [*here, "--sources", "5"]),
            ("first", [*here, "--first", "5"]),
            ("seed", [*here, "--seed", "5"]),
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
                self.assertRegex(done.stderr.decode(), rf"\Apresence-send: --{option}:? [^\n]+\n\Z")
                self.assertEqual(done.stdout, b"")
                self.assertNotIn(KEY.hex()[1:].encode(), done.stderr)
        for to in "127.0.0.1", ":9514", "127.0.0.1:0":
            done = self.run_send(*here, to=to, status=2)
            self.assertRegex(done.stderr.decode(), r"\Apresence-send: --to takes HOST:PORT, [^\n]+\n\Z")
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
