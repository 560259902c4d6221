"""presencectl watch: on a real terminal of any size, and without one."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness import (
    DAY, DEADLINE, PRESENCECTL, Case, clock_ahead, native, program, visitor, wait_away_from_midnight, wait_until,
)
from side_by_side import main

SITE = "example.com"
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """The other end of a pty: interprets the output as a terminal does."""

    def __init__(self, segment, columns, rows, *arguments, stdin=None, **environment):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.sent = b""
        self.process = subprocess.Popen(
            [PRESENCECTL, "watch", *arguments, "--segment", segment], stdin=stdin or self.slave,
            stdout=self.slave, stderr=subprocess.PIPE, preexec_fn=os.setsid,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "NO_COLOR": "", **environment})

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns, rows):
        self.size = columns, rows
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.sent += os.read(self.master, 65536)
        return self.sent

    def screen(self):
        """The rows of the last whole frame."""
        frames = re.split(rb"\x1b\[H(?:\x1b\[2J)?", self.read().split(LEAVE)[0])[1:]
        for frame in reversed(frames):
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]?", "", frame.decode(errors="ignore"))
            rows = text.split("\r\n")
            if len(rows) == self.size[1]:
                return rows
        return []

    def wait_screen(self, pattern):
        return wait_until(lambda: re.search(pattern, "\n".join(self.screen())) and self.screen(),
                          lambda: f"{pattern} on the screen, which shows {self.screen()}")

    def assert_rows_erased(self):
        """Each row of a frame is erased before it is written: the one before may be longer."""
        for frame in self.read().split(LEAVE)[0].split(b"\x1b[H")[1:]:
            for row in frame.removeprefix(b"\x1b[2J").split(b"\r\n"):
                assert row.startswith(b"\x1b[2K"), row

    def press(self, key):
        os.write(self.master, key)

    def is_as_before(self):
        sent = self.read()
        shown = [sent.rfind(sequence) for sequence in (LEAVE, b"\x1b[?25h", b"\x1b[?7h")]
        hidden = [sent.rfind(sequence) for sequence in (ENTER, b"\x1b[?25l", b"\x1b[?7l")]
        return (all(a > b for a, b in zip(shown, hidden)) and
                termios.tcgetattr(self.slave) == self.before)

    def wait_as_before(self):
        """What was written arrives here a moment later."""
        wait_until(self.is_as_before, lambda: f"the terminal as it was: {self.sent[-200:]}")

    def wait_end(self):
        def ended():
            self.read()  # or its writes would block
            return self.process.poll() is not None

        wait_until(ended, "it to end")
        return self.process.returncode


class WatchCase(Case):
    def begin(self, events=16384):
        self.collector = self.start("--warm-up", "0", "--events", str(events))
        self.visit(range(30), room="/pricing", country="DE", source="news.example")
        wait_until(lambda: (self.json("explain", SITE)["last_minute"] or {}).get("entries") == 30,
                   "their entering to be known")

    def visit(self, numbers, **fields):
        self.send(self.collector, native(SITE, [visitor(number) for number in numbers], **fields))
        wait_until(lambda: self.json("events", SITE)["events"], "them to be counted")

    def open(self, columns=80, rows=24, *arguments, **environment):
        terminal = Terminal(self.segment, columns, rows, SITE, *arguments, **environment)
        self.addCleanup(terminal.close)
        return terminal


class Screen(WatchCase):
    def test_what_it_shows(self):
        self.begin()
        terminal = self.open()
        rows = terminal.wait_screen(r"30 visitors in the last 5 min  \+30")
        self.assertEqual(len(rows), 24)
        self.assertRegex(rows[0], r"^ example\.com +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
        screen = "\n".join(rows)
        for pattern in (r"\+30 -0 in a minute", r"peak 30 at \d\d:\d\d", r"█|▇|▆|▅",
                        r"/pricing +30 100\.0 %", r"\+ DE /pricing from news\.exam",
                        r"listening for .* 0 rejected .* 0 dropped", "UTC"):
            self.assertRegex(screen, pattern)
        self.visit(range(30, 33), room="/new")
        terminal.wait_screen(r"33 visitors")
        self.assertFalse(termios.tcgetattr(terminal.slave)[3] & termios.ECHO)
        for key, kind in (b"c", "COUNTRY"), (b"s", "SOURCE"), (b"r", "ROOM"):
            terminal.press(key)
            terminal.wait_screen(rf"{kind} +VISITORS")
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 0)
        terminal.wait_as_before()
        terminal.assert_rows_erased()
        self.assertIn(b"\x1b[0;", terminal.sent)

    def test_an_earlier_time(self):
        """--since lets the graph begin earlier; the peak is that of today alone."""
        wait_away_from_midnight()
        self.begin()
        wait_until(lambda: (self.json("peak", SITE)["ever"] or {}).get("count") == 30, "a peak")
        self.collector.stop()
        self.write_header(DAY, self.read_header(DAY) - 1)
        self.enterContext(clock_ahead(4 * 3600))
        self.collector = self.start("--warm-up", "0", "--events", "16384")
        self.visit(range(5))
        terminal = self.open(80, 24, "--by", "country", "--since", "6h")
        rows = terminal.wait_screen(r"(?s)5 visitors .* peak 5 at \d\d:\d\d.* COUNTRY +VISITORS")
        self.assertEqual(self.json("peak", SITE)["ever"]["count"], 30)
        first = re.search(r" UTC.*? (\d\d):(\d\d)", "\n".join(rows))
        ago = time.time() // 60 - int(first[1]) * 60 - int(first[2])
        self.assertGreater(ago % (24 * 60), 61)

    def test_the_load(self):
        """How many heartbeats come in a second, and what the kernel dropped."""
        self.begin()
        terminal = self.open(120, 24)
        sent = 0

        def is_busy():
            nonlocal sent
            self.send(self.collector, native(SITE, [visitor(number) for number in range(30)]))
            sent += 30
            return re.search(r" (\d\d+) heartbeats/s", "\n".join(terminal.screen()))

        rate = int(wait_until(is_busy, lambda: f"heartbeats: {terminal.screen()}")[1])
        self.assertLessEqual(rate, sent)
        self.collector.freeze()
        self.send(self.collector, *[bytes(60000)] * 1500)  # fill any buffer
        self.collector.thaw()
        terminal.wait_screen(r" [1-9]\d* dropped")

    def test_the_latest_events(self):
        """Those of more than the view keeps push out the oldest."""
        self.begin(events=65536)  # in a second, a site may write a 64th
        for first in range(100, 400, 60):
            self.visit(range(first, first + 60), room="/first")
        self.visit(range(1000, 1020), room="/second")
        wait_until(lambda: len(self.json("events", SITE)["events"]) == 350, "the events")
        terminal = self.open(120, 80)
        terminal.wait_screen("350 visitors")
        self.visit(range(2000, 2010), room="/third")
        rows = terminal.wait_screen(r"(?s)(\+ /third.*){10}\+ /second")
        shown = re.findall(r"\+ (/\w+)", "\n".join(rows))
        self.assertEqual(shown[:31], ["/third"] * 10 + ["/second"] * 20 + ["/first"])

    def test_odd_terminals(self):
        """One that doesn't know its size, and one without a keyboard."""
        self.begin()
        terminal = self.open(0, 0, stdin=subprocess.DEVNULL)
        terminal.size = 80, 24
        rows = terminal.wait_screen("30 visitors in the last 5 min")
        self.assertRegex(rows[0], r"^ example\.com +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
        wait_until(lambda: terminal.read().count(b"30 visitors") >= 2, "it to draw again")
        terminal.process.send_signal(signal.SIGINT)
        self.assertEqual(terminal.wait_end(), 0)
        terminal.wait_as_before()

    def test_rooms_with_nobody(self):
        self.begin()
        self.visit([50], room="/left")
        self.visit([50], room="/left", kind=2)
        terminals = self.open(), self.open(80, 24, "--all")
        for terminal, left in zip(terminals, (False, True)):
            rows = terminal.wait_screen(r"- /left")  # among the events
            if left:
                terminal.wait_screen(r"/left +0 ")
            else:
                self.assertNotRegex("\n".join(rows), r"/left +0 ")

    def test_any_size(self):
        """From the next frame on, the rows fit the terminal, and all of them are used."""
        self.begin()
        self.visit([99], room="/日本語" * 20, country="JP")
        self.visit([98], room="/שלום" * 20)
        terminal = self.open()
        terminal.wait_screen("32 visitors")
        for columns, rows in (132, 50), (40, 10), (20, 4), (8, 2), (1, 1), (300, 100), (80, 24):
            terminal.resize(columns, rows)
            terminal.process.send_signal(signal.SIGWINCH)
            shown = wait_until(
                lambda: len(terminal.screen()) == rows and
                max(map(len, terminal.screen())) <= columns + 4 and terminal.screen(),
                lambda: f"a screen of {columns} x {rows}: {terminal.screen()}")
            if columns >= 20:
                self.assertIn("32 visitors", "\n".join(shown))
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 0)
        terminal.wait_as_before()

    def test_signals_leave_the_terminal_as_it_was(self):
        self.begin()
        ends = {
            signal.SIGINT: 0, **{number: -number for number in (
                signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGBUS, signal.SIGSEGV,
                signal.SIGABRT)}}
        # The default actions, without those of sanitizers.
        plain = "handle_segv=0:handle_sigbus=0:handle_abort=0:allow_user_segv_handler=1"
        terminals = {number: self.open(ASAN_OPTIONS=plain) for number in ends}
        for number, status in ends.items():
            with self.subTest(signal=number):
                terminal = terminals[number]
                terminal.wait_screen("30 visitors")
                self.assertFalse(terminal.is_as_before())
                terminal.process.send_signal(number)
                self.assertEqual(terminal.wait_end(), status)
                terminal.wait_as_before()

    def test_stopped_and_continued(self):
        self.begin()
        terminal = self.open()
        terminal.wait_screen("30 visitors")
        terminal.process.send_signal(signal.SIGTSTP)
        wait_until(lambda: os.waitid(os.P_PID, terminal.process.pid,
                                     os.WSTOPPED | os.WNOHANG | os.WNOWAIT), "it to stop")
        terminal.wait_as_before()
        terminal.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not terminal.is_as_before(), "it to take the screen again")
        frames = terminal.read().count(b"30 visitors")
        wait_until(lambda: terminal.read().count(b"30 visitors") > frames, "it to draw again")
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 0)
        terminal.wait_as_before()

    def test_the_terminal_goes_away(self):
        self.begin()
        terminal = self.open()
        terminal.wait_screen("30 visitors")
        os.close(terminal.slave)
        os.close(terminal.master)
        terminal.process.wait(timeout=DEADLINE)
        terminal.master, terminal.slave = pty.openpty()

    def test_stale_and_back(self):
        self.begin()
        terminal = self.open()
        terminal.wait_screen("30 visitors")
        self.collector.stop()
        terminal.wait_screen("stale: the collector stopped")
        self.collector = self.start("--warm-up", "0", "--events", "16384")
        wait_until(lambda: "stale" not in "\n".join(terminal.screen()), "it to be fresh again")
        self.collector.stop()
        terminal.wait_screen("stale")
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 3)
        self.assertIn(b"stale", terminal.process.stderr.read())
        terminal.wait_as_before()

    def test_plain_terminals(self):
        self.begin()
        terminal = self.open(LC_ALL="C", NO_COLOR="1")
        terminal.wait_screen("30 visitors")
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 0)
        self.assertTrue(terminal.sent.isascii())
        self.assertNotIn(b"\x1b[0;", terminal.sent)
        terminal = self.open(TERM="dumb")
        wait_until(lambda: terminal.read().count(b"\n") >= 2, "two lines")
        self.assertNotIn(b"\x1b", terminal.sent)

    def test_names_disturb_nothing(self):
        self.begin()
        for number, room in enumerate(("/\u202eevil", "/e" + "\u0301" * 20, "/\u200b", "/שלום")):
            self.visit([50 + number], room=room, kind=4, event="x\u202e")
        terminal = self.open(120, 40)
        rows = terminal.wait_screen("34 visitors")
        screen = "\n".join(rows)
        self.assertFalse({"\u202e", "\u200b"} & set(screen))
        self.assertNotIn("\u0301" * 3, screen)
        self.assertRegex(screen, "\u200e/שלום\u200e")


class Plain(WatchCase):
    def lines(self, *arguments):
        return program([PRESENCECTL, "watch", SITE, *arguments, "--segment", self.segment],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_lines(self):
        self.begin()
        with self.lines() as process:
            for _ in range(2):
                self.assertRegex(process.stdout.readline(),
                                 r"^\S+Z  30 visitors  \+30 -0 in a minute\n$")
            process.stdout.close()
            process.stderr.close()
            wait_until(lambda: process.poll() is not None, "it to end without a reader")
        with self.lines("--json") as process:
            answer = json.loads(process.stdout.readline())
            self.assertEqual((answer["count"], answer["entries"]), (30, 30))
            process.stdout.close()
            process.stderr.close()

    def test_unknown(self):
        self.begin()
        status, out, err = self.ctl("watch", "nobody.example")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("nobody.example", err)


if __name__ == "__main__":
    main()
