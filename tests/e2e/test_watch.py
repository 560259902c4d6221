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

from harness import DEADLINE, PRESENCECTL, Case, native, program, visitor, wait_until
from side_by_side import main

SITE = "example.com"
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """The other end of a pty: interprets the output as a terminal does."""

    def __init__(self, segment, columns, rows, *arguments, **environment):
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.sent = b""
        self.process = subprocess.Popen(
            [PRESENCECTL, "watch", *arguments, "--segment", segment], stdin=self.slave,
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
    def begin(self):
        self.collector = self.start("--warm-up", "0", "--events", "16384")
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
        terminal.press(b"c")
        terminal.wait_screen(r"COUNTRY +VISITORS")
        terminal.press(b"q")
        self.assertEqual(terminal.wait_end(), 0)
        terminal.wait_as_before()
        self.assertIn(b"\x1b[0;", terminal.sent)

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
