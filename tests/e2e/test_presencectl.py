"""presencectl: what it prints, where, and how it ends."""

import os
import pty
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

from harness import BUILD, DEADLINE, PRESENCECTL, Case, native, visitor, wait_until

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
GENERATED = os.path.join(BUILD, "tools/generated")
SITE = "example.com"
COMMANDS = ("count", "top", "sites", "peak", "history", "events", "watch", "explain", "seen", "senders",
            "stats", "status", "verify", "forget")
GEOMETRY_SECTIONS = 88 + 40  # offset of geometry.sections in the header; 16 bytes each
SECTION_RINGS = 3


def read(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as file:
        return file.read()


class CtlCase(Case):
    def populate(self, *heartbeats):
        """Start a collector and count (visitor, room, country) heartbeats on SITE."""
        collector = self.start("--warm-up", "0")
        for number, room, country in heartbeats:
            self.send(collector, native(SITE, [visitor(number)], room=room, country=country))
        self.wait_received(len(heartbeats))
        return collector

    def assert_line(self, result, status, *patterns):
        """The command ended with this status, nothing on stdout and one line on stderr."""
        got, out, err = result
        self.assertEqual((got, out), (status, ""), err)
        self.assertRegex(err, r"\Apresencectl: [^\n]+\n\Z")
        for pattern in patterns:
            self.assertIn(pattern, err)


class Alone(CtlCase):
    """presencectl is one file: it needs nothing of this tree beside it."""

    def run_in(self, directory, *arguments):
        done = subprocess.run([os.path.join(directory, "presencectl"), *arguments],
                              capture_output=True, text=True, timeout=DEADLINE,
                              env={**os.environ, "PRESENCE_SEGMENT": self.segment})
        return done.returncode, done.stdout, done.stderr

    def test_a_copy(self):
        self.populate((1, "/a", ""), (2, "/a", ""), (3, "/b", ""))
        with tempfile.TemporaryDirectory() as alone:
            shutil.copy(PRESENCECTL, alone)
            for arguments, count in (
                    (("count", SITE), 3), (("count", SITE.upper(), "/a"), 2),
                    (("--window", "1m", "count", SITE, "/b"), 1),
                    (("count", SITE, "--", "/a"), 2), (("count", SITE, "--wind=1m"), 3),
                    (("count", "--window=60", SITE), 3),
                    (("count", f"--segment={self.segment}", SITE), 3),
                    (("count", SITE, "--segment", self.segment), 3)):
                self.assertEqual(self.run_in(alone, *arguments), (0, f"{count}\n", ""), arguments)
            for arguments in (("status",), ("top", SITE), ("count", SITE, "--json")):
                self.assertEqual(self.run_in(alone, *arguments)[::2], (0, ""), arguments)
            for status, arguments in (
                    (2, ()), (4, ("count", "other")), (2, ("count", SITE, "/a", "/b")),
                    (1, ("count", SITE, "--segment", "/nonexistent")), (2, ("count",)),
                    (2, ("count", SITE, "--window")), (2, ("count", SITE, "--windowed=5m"))):
                self.assert_line(self.run_in(alone, *arguments), status)

    def test_by_a_link(self):
        self.populate((1, "/a", ""))
        with tempfile.TemporaryDirectory() as other:
            os.symlink(PRESENCECTL, os.path.join(other, "presencectl"))
            self.assertEqual(self.run_in(other, "count", SITE, "--", "/a"), (0, "1\n", ""))
            self.assert_line(self.run_in(other, "count", "other.example"), 4, "other.example")


class Usage(CtlCase):
    def test_wrong_usage(self):
        for arguments, pattern in (
            ((), "--help"), (("nope",), "nope"), (("help", "nope"), "nope"),
            (("count",), "SITE"), (("count", "a", "b", "c"), "SITE [ROOM]"), (("top",), "SITE"),
            (("seen", SITE), "SITE ID"), (("sites", "a"), "argument"),
            (("count", SITE, "--by", "room"), "--by"), (("stats", "--limit", "1"), "--limit"),
            (("sites", "--all"), "--all"), (("top", SITE, "--by", "site"), "--by"),
            (("sites", "--limit", "x"), "--limit"), (("sites", "--limit", "-1"), "--limit"),
            (("count", SITE, "--window", "0"), "--window"), (("--nope", "sites"), "--nope"),
            (("count", SITE, "--window", "5x"), "--window"), (("-x", "sites"), "-x"),
            (("count", SITE, "--window", ""), "--window"), (("peak",), "SITE"),
            (("history", SITE, "--since", "yesterday"), "--since"), (("watch",), "SITE"),
            (("history", SITE, "--since", "2026-13-01"), "--since"),
            (("history", SITE, "--step", "90s"), "--step"), (("events", "a", "b"), "SITE"),
            (("history", SITE, "--step", "0"), "--step"),
            (("peak", SITE, "--csv"), "--csv"), (("count", SITE, "--follow"), "--follow"),
            (("explain", SITE, "--since", "1h"), "--since"), (("events", "--table"), "--table"),
            (("count", SITE, "--database", "x"), "--database"),
            (("explain", SITE, "--window", "1m"), "explain has no option --window: its numbers are "
             "always those of the default window; see presencectl help explain"),
            (("peak", SITE, "--window", "1m"), "of the default window"),
            (("peak", SITE, "--all"), "--all"),
            (("count", SITE, "--window", "5 m"), "--window"),
            (("count", SITE, "--window", "-5m"), "--window"),
            (("count", SITE, "--window", "5mm"), "--window"),
            (("count", SITE, "--window", "99999999999999999999"), "--window"),
        ):
            with self.subTest(arguments=arguments):
                # No segment: wrong usage comes first.
                self.assert_line(self.ctl(*arguments), 2, pattern)
        last = subprocess.run([PRESENCECTL, "sites", "--segment"], capture_output=True, text=True)
        self.assert_line((last.returncode, last.stdout, last.stderr), 2, "--segment")

    def test_a_place_has_one_name(self):
        self.populate((1, "//t/", ""), (2, "/t", ""), (3, "/t/", ""), (4, "/", ""), (5, "//", ""))
        for room in "/t", "/t/", "//t", "///t///", "/" * 300 + "t":
            with self.subTest(room=room):
                self.assertEqual(self.ctl("count", SITE.upper(), room)[:2], (0, "3\n"))
                self.assertEqual(self.json("count", SITE, room)["room"], "/t")
                self.assertEqual(self.json("peak", SITE, room)["room"], "/t")
        self.assertEqual(self.count(SITE, "/" * 256), 2)
        self.assertEqual(self.ctl("count", SITE, "t")[0], 4)

    def test_names_that_cannot_be(self):
        self.populate((1, "/", ""))
        for arguments, pattern in (
            (("count", ""), "SITE"), (("count", "a" * 254), "SITE"), (("top", "a\nb"), "SITE"),
            (("count", b"\xff"), "SITE"), (("count", SITE, ""), "ROOM"),
            (("count", SITE, "r" * 256), "ROOM"), (("count", SITE, "\x7f"), "ROOM"),
            (("seen", SITE, " "), "visitor"), (("seen", SITE, "a" * 513), "visitor"),
            (("seen", SITE, "undefined"), "visitor"), (("count", SITE, "/" + "r" * 255), "ROOM"),
            (("seen", "", "a"), "SITE"),
        ):
            with self.subTest(arguments=arguments):
                self.assert_line(self.ctl(*arguments), 2, pattern)

    def test_help(self):
        status, out, err = self.ctl("--help")
        self.assertEqual((status, err), (0, ""))
        for command in COMMANDS:
            self.assertRegex(out, rf"\n  {command} ")
            by_option = self.ctl(command, "--help")
            self.assertEqual(by_option, self.ctl("help", command))
            self.assertEqual((by_option[0], by_option[2]), (0, ""))
            self.assertTrue(by_option[1].startswith(f"Usage: presencectl {command}"))
            if command in ("explain", "peak", "history", "watch"):
                self.assertRegex(by_option[1], r"(?s)default\s+window, 5 minutes:.*no\s+--window\.")
        self.assertEqual(self.ctl("help")[1], out)
        self.assertLess(max(map(len, out.split("\n"))), 100)

    def test_version(self):
        status, out, err = self.ctl("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Apresencectl \d+\.\d+\.\d+\n\Z")

    def test_manual_and_completion_are_complete(self):
        out = self.ctl("--help")[1]
        manual = read(GENERATED, "presencectl.1").replace("\\-", "-")
        completion = read(GENERATED, "presencectl")
        options = set(re.findall(r"--[a-z]+", out))
        self.assertGreaterEqual(len(options), 8)
        for word in {*COMMANDS, "help", *options}:
            self.assertIn(word, manual)
            self.assertIn(word, completion)


class Counts(CtlCase):
    def test_count(self):
        self.populate((1, "/", ""), (2, "/", ""), (3, "/x", ""))
        for arguments, expected in (
            (("count", SITE), "3\n"), (("count", "EXAMPLE.com"), "3\n"),
            (("count", SITE, "/"), "2\n"), (("count", SITE, "--window", "1h"), "3\n"),
            (("--window", "60m", "count", SITE), "3\n"), (("count", "--window=90s", SITE), "3\n"),
            (("count", "--", SITE, "/x"), "1\n"), (("--", "count", SITE), "3\n"),
        ):
            with self.subTest(arguments=arguments):
                if "--" in arguments:  # or --segment would be an argument
                    done = subprocess.run([PRESENCECTL, *arguments], capture_output=True, text=True,
                                          env={**os.environ, "PRESENCE_SEGMENT": self.segment})
                    result = done.returncode, done.stdout, done.stderr
                else:
                    result = self.ctl(*arguments)
                self.assertEqual(result, (0, expected, ""))

    def test_json(self):
        self.populate((1, "/", ""), (2, "/", ""))
        for arguments, room, window, number in (
            ((SITE,), "null", 300, 2), (("Example.COM", "/"), '"/"', 300, 2),
            ((SITE, "--window", "481"), "null", 540, 2),
        ):
            status, out, err = self.ctl("count", *arguments, "--json")
            self.assertEqual((status, err), (0, ""))
            self.assertRegex(
                out, rf'\A\{{"site":"example\.com","room":{room},"window_s":{window},'
                     rf'"count":{number},"stale":false,"warming":false,"partial":false,'
                     r'"last_heartbeat_s":\d+,"as_of":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}\n\Z')

    def test_window_beyond_the_longest(self):
        self.start("--max-window", "600")
        for arguments in ("count", SITE), ("top", SITE), ("sites",):
            self.assert_line(self.ctl(*arguments, "--window", "601"), 2, "600")
        self.assertEqual(self.ctl("sites", "--window", "10m")[0], 0)

    def test_unknown(self):
        self.populate((1, "/", ""))
        self.assert_line(self.ctl("count", "nobody.example"), 4, "nobody.example")
        self.assert_line(self.ctl("count", SITE, "/nowhere"), 4, "/nowhere", SITE)
        self.assert_line(self.ctl("top", "nobody.example"), 4, "nobody.example")
        self.assert_line(self.ctl("seen", SITE, "a secret id"), 4, SITE)
        self.assertNotIn("secret", self.ctl("seen", SITE, "a secret id")[2])
        status, out, err = self.ctl("count", "nobody.example", "--json")
        self.assertEqual(status, 4)
        self.assertIn('"count":0,"stale":false,"warming":false,"partial":false,'
                      '"last_heartbeat_s":null', out)
        answer = self.json("top", "nobody.example")
        self.assertEqual((answer["count"], answer["total"], answer["rooms"]), (0, 0, []))

    def test_full_directory(self):
        """A scope that is not found may have been refused: the message says which limit to raise."""
        collector = self.start("--max-scopes", "2", "--warm-up", "0")
        self.send(collector, *(native(f"{n}.example", [visitor(1)]) for n in range(4)))
        self.wait_received(4)
        self.assert_line(self.ctl("count", "3.example"), 4, "scopes_full", "--max-scopes")

    def test_seen(self):
        self.populate((1, "/", ""))
        uuid = "00000000-0000-0000-0000-000000000001"
        status, out, err = self.ctl("seen", SITE, uuid.upper())
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\A\d+ s ago\n\Z")
        answer = self.json("seen", SITE, uuid)
        self.assertTrue(answer["seen"])
        self.assertLess(answer["last_heartbeat_s"], 60)
        answer = self.json("seen", SITE, "somebody")
        self.assertEqual((answer["seen"], answer["last_heartbeat_s"]), (False, None))


class Collectors(CtlCase):
    def test_stats(self):
        self.populate((1, "/", ""), (1, "/", ""))
        stats = self.json("stats")
        names = re.findall(r"^X\((\w+),", read(SOURCE, "include/core/counters.def"), re.M)
        self.assertEqual(list(stats), names)
        self.assertTrue(all(isinstance(value, int) for value in stats.values()))
        self.assertEqual((stats["heartbeats_new"], stats["heartbeats_refreshed"]), (1, 1))
        status, out, err = self.ctl("stats")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\nheartbeats_new +1  Visitors who entered")
        self.assertRegex(out, r"\nxdp_passed +0  ")
        self.assertEqual([line.split()[0] for line in out.splitlines()[1:]], names)
        self.assertEqual(self.ctl("stats", "--all")[1], out)

    def test_status(self):
        collector = self.populate((1, "/", "DE"))
        answer = self.json("status")
        self.assertEqual(
            (answer["state"], answer["stale"], answer["warming"], answer["pid"],
             answer["entries_capacity"], answer["entries_live"],
             answer["entries_taken"], answer["scopes_capacity"],
             answer["scopes_live"], answer["max_window_s"], answer["segment"]),
            ("listening", False, False, collector.process.pid, 10000, 3, 3, 256, 3, 3600,
             self.segment))
        self.assertEqual(answer["segment_bytes"], os.stat(self.segment).st_size)
        status, out, err = self.ctl("status")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Astate +listening\n")
        self.assertRegex(out, r"\nwarm-up +0 s\nlongest window +1 h\nprocess +pid \d+, 1 worker\n")
        self.assertIn(f"pid {collector.process.pid}", out)
        self.assertRegex(out, r"\nreceives by +(io_uring|recvmmsg)")
        wait_until(lambda: self.json("status")["histories_live"] == 3, "a history of each scope")
        self.assertRegex(self.ctl("status")[1], r"\nhistories +3 of 16 \(18\.8 %\)\nstreams +0 of ")
        self.assertIn(f"{self.segment}, {os.stat(self.segment).st_size / 1e6:.1f} MB\n", out)
        collector.stop()
        status, out, err = self.ctl("status")
        self.assertEqual(status, 3)
        self.assertRegex(out, r"\Astate +stopped \[stale\]\n")

    def test_engine_and_its_reason(self):
        self.start("--receive", "recvmmsg", "--warm-up", "0")
        answer = self.json("status")
        self.assertEqual(answer["receive"], "recvmmsg")
        if answer["receive_reason"]:
            self.assertIn(f"recvmmsg: {answer['receive_reason']}", self.ctl("status")[1])

    def test_filter_and_its_reason(self):
        self.start("--warm-up", "0")
        answer = self.json("status")
        self.assertEqual((answer["filter"], answer["filter_interface"]), ("none", None))
        self.assertEqual(answer["filter_reason"], "not asked for (--xdp)")
        self.assertRegex(self.ctl("status")[1], r"\nXDP filter +none: not asked for")

    def test_verify(self):
        collector = self.populate(*((n, "/", "DE") for n in range(50)))
        status, out, err = self.ctl("verify")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Aconsistent: 150 entries, difference 0, in flight 0\n\Z")
        collector.stop()
        with open(self.segment, "r+b") as file:  # one visitor more in one bucket
            file.seek(GEOMETRY_SECTIONS + SECTION_RINGS * 16)
            offset = struct.unpack("=Q", file.read(8))[0]
            file.seek(offset)
            words = struct.unpack("=512Q", file.read(512 * 8))
            index = next(i for i, word in enumerate(words) if word & 0xFFFFFFFF)
            file.seek(offset + index * 8)
            file.write(struct.pack("=Q", words[index] + 1))
        status, out, err = self.ctl("verify")
        self.assertEqual(status, 1)
        self.assertRegex(out, r"\Adifferent: 150 entries, difference 1 ")
        self.assertRegex(err, r"\Apresencectl: table and rings differ by 1 more [^\n]*\n\Z")
        answer = self.json("verify")
        self.assertEqual((answer["consistent"], answer["difference"], answer["in_flight"]),
                         (False, 1, 0))


class Segments(CtlCase):
    def assert_all_fail(self, *patterns):
        for command in (("count", SITE), ("top", SITE), ("sites",), ("seen", SITE, "x"), ("stats",),
                        ("status",), ("verify",), ("peak", SITE), ("history", SITE),
                        ("events", SITE), ("watch", SITE), ("explain", SITE), ("senders",)):
            with self.subTest(command=command, patterns=patterns):
                self.assert_line(self.ctl(*command), 1, self.segment, *patterns)

    def overwrite(self, offset, data):
        with open(self.segment, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def test_unreadable_segments(self):
        self.assert_all_fail("start presenced")
        os.mkfifo(self.segment)
        self.assert_all_fail("not a presence segment")
        os.unlink(self.segment)
        os.mkdir(self.segment)
        self.assert_all_fail("not a presence segment")
        os.rmdir(self.segment)
        with open(self.segment, "wb") as file:
            file.write(b"something else" * 1000)
        self.assert_all_fail("not a presence segment")
        os.unlink(self.segment)

        self.start().stop()
        size = os.stat(self.segment).st_size
        self.overwrite(24, bytes(16))  # boot id
        self.assert_all_fail("before this boot")
        self.overwrite(8, struct.pack("=H", 60000))  # ABI major
        self.assert_all_fail("newer", "update")
        self.overwrite(8, struct.pack("=H", 2))
        self.assert_all_fail("not a presence segment of this version", "restart presenced")
        os.truncate(self.segment, size - 4096)
        self.assert_all_fail("damaged")
        os.truncate(self.segment, 0)
        self.assert_all_fail("not a presence segment")

    def test_environment(self):
        self.populate((1, "/", ""))
        environment = {**os.environ, "PRESENCE_SEGMENT": self.segment}
        done = subprocess.run([PRESENCECTL, "count", SITE], capture_output=True, env=environment)
        self.assertEqual((done.returncode, done.stdout), (0, b"1\n"))
        result = self.ctl("count", SITE, segment="/dev/null", environment=environment)
        self.assert_line(result, 1, "/dev/null")

    def test_results_come_first(self):
        """Also where stdout and stderr are one file."""
        collector = self.start("--warm-up", "3600")
        self.send(collector, native(SITE, [visitor(1)]))
        self.wait_received(1)
        done = subprocess.run([PRESENCECTL, "count", SITE, "--segment", self.segment],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertRegex(done.stdout, r"\A1\npresencectl: warming: [^\n]+\n\Z")

    def test_output_that_cannot_be_written(self):
        collector = self.populate((1, "/", ""))
        for reported in "", "stale: ":
            with open("/dev/full", "wb") as full:
                done = subprocess.run([PRESENCECTL, "count", SITE, "--segment", self.segment],
                                      stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn(reported, done.stderr)
            self.assertIn("No space left", done.stderr)
            collector.stop()

    def on_terminal(self, *arguments, **environment):
        """The output of a command on a terminal."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            [PRESENCECTL, *arguments, "--segment", self.segment], stdout=slave,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment})
        os.close(slave)
        out = b""
        try:
            while chunk := os.read(master, 65536):
                out += chunk
        except OSError:  # EIO: the other end is closed
            pass
        os.close(master)
        self.assertEqual(process.wait(), 0)
        return out.decode()

    def test_colours_are_for_terminals(self):
        self.populate((1, "/\u202e", ""))
        for arguments in ("top", SITE), ("stats", "--all"):
            self.assertNotIn("\033", self.ctl(*arguments)[1])
            self.assertIn("\033[", self.on_terminal(*arguments))
            self.assertNotIn("\033", self.on_terminal(*arguments, NO_COLOR="1"))
            self.assertNotIn("\033", self.on_terminal(*arguments, TERM="dumb"))
        self.assertNotIn("\u202e", self.on_terminal("top", SITE, "--json"))
        self.assertIn("\u202e", self.ctl("top", SITE, "--json")[1])


if __name__ == "__main__":
    unittest.main()
