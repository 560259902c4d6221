"""tools/quickstart shows a live count, and leaves nothing behind however it ends."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from documents import fenced
from harness import BUILD, DEADLINE, program, wait_until

QUICKSTART = os.path.join(os.path.dirname(__file__), "../../tools/quickstart")
PROGRESS = os.path.join(os.path.dirname(__file__), "../../tools/progress.sh")
LINE = r"^example\.com: +(\d+) visitors; the busiest page: (\S+)"
SEGMENT = r"--segment (\S+)$"


def session_members(session):
    """Return the processes of a session (proc(5): field 6 of stat)."""
    members = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            members.append(int(pid))
    return members


class Quickstart(unittest.TestCase):
    def run_it(self, *arguments, **environment):
        """Start it in a session of its own, as a terminal would."""
        process = subprocess.Popen(
            [QUICKSTART, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
            env={**os.environ, "PRESENCE_BUILD": os.path.abspath(BUILD), **environment})
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        for pid in session_members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(timeout=DEADLINE)
        process.stdout.close()
        process.stderr.close()

    def read_until(self, process, pattern):
        """Return its output up to a line that matches."""
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.search(pattern, line):
                return "".join(lines)
        self.fail(f"it ended without {pattern!r}: {lines} {process.stderr.read()}")

    def assert_nothing_left(self, process, output):
        directory = os.path.dirname(re.search(SEGMENT, output, re.M)[1])
        self.assertTrue(directory.startswith("/dev/shm/"), directory)
        wait_until(lambda: not session_members(process.pid),
                   f"all its processes to end: {session_members(process.pid)}")
        self.assertFalse(os.path.exists(directory), directory)

    def test_once(self):
        """It ends by itself after it has counted somebody."""
        process = self.run_it("--once")
        out, err = process.communicate(timeout=3 * DEADLINE)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertGreater(max(int(count) for count, _ in re.findall(LINE, out, re.M)), 0)
        self.assert_nothing_left(process, out)

    def test_it_can_be_seen_meanwhile(self):
        """As in README.md. The command and the address that it prints work; Ctrl-C ends it."""
        self.assertEqual(fenced("sh quickstart"), "tools/quickstart\n")
        process = self.run_it()
        out = self.read_until(process, r"^example\.com: +[1-9]")
        command = re.search(r"^ +(\S*presencectl watch .*)$", out, re.M)[1]
        with program(command.split(), stdout=subprocess.PIPE, text=True) as shown:
            self.assertRegex(self.read_until(shown, "visitors"), r"[1-9]\d* visitors")
        dashboard = re.search(r"http://\S+", out)[0]
        with urllib.request.urlopen(dashboard, timeout=DEADLINE) as page:
            self.assertIn("<title>presence", page.read().decode())
        everything = {"activePages", "countries", "sources", "enter", "pageview", "custom_event", "leave"}
        wait_until(lambda: self.shown(dashboard) >= everything,
                   lambda: f"all of the dashboard: {self.shown(dashboard)}")
        self.take_the_collector(process, out)
        self.read_until(process, r"^example\.com: the count is not known yet$")
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(timeout=DEADLINE), 0)
        self.assert_nothing_left(process, out)

    @staticmethod
    def take_the_collector(process, out):
        """And its segment: nobody knows the count then."""
        for pid in session_members(process.pid):
            with contextlib.suppress(FileNotFoundError):  # it may end meanwhile
                if os.readlink(f"/proc/{pid}/exe").endswith("/presenced"):
                    os.kill(pid, signal.SIGKILL)
        os.unlink(re.search(SEGMENT, out, re.M)[1])

    @staticmethod
    def shown(dashboard):
        """Return the lists that have at least five entries, and the kinds of events."""
        address, _, site = dashboard.partition("/?site=")

        def ask(path):
            try:
                answer = urllib.request.urlopen(address + path, timeout=DEADLINE)
            except urllib.error.HTTPError as refusal:  # a stale number, on a busy machine
                answer = refusal
            with answer:
                return json.load(answer)

        live = ask(f"/api/analytics/sites/{site}/realtime")
        lists = {name for name in ("activePages", "countries", "sources") if len(live.get(name, ())) >= 5}
        events = ask(f"/api/sites/{site}/events?page_size=500&types=enter,leave,pageview,custom_event")
        return lists | {event["type"] for event in events["data"]}

    def test_interrupted_early(self):
        """The terminal or kill ends it, even before it has counted anybody."""
        for interrupt in (lambda process: os.killpg(process.pid, signal.SIGINT),
                          lambda process: process.send_signal(signal.SIGTERM)):
            process = self.run_it()
            out = self.read_until(process, SEGMENT)
            interrupt(process)
            process.wait(timeout=DEADLINE)
            self.assert_nothing_left(process, out)

    def test_two_at_once(self):
        """Each has ports and a segment of its own."""
        started = []
        for _ in range(2):
            process = self.run_it()
            started.append((process, self.read_until(process, r"^example\.com: +[1-9]")))
        addresses = [re.search(r"http://\S+", out)[0] for _, out in started]
        self.assertEqual(len(set(addresses)), 2, addresses)
        for process, out in started:
            os.killpg(process.pid, signal.SIGINT)
            self.assertEqual(process.wait(timeout=DEADLINE), 0)
            self.assert_nothing_left(process, out)

    def test_a_step_that_fails(self):
        """It says which, shows what was printed, and starts nothing."""
        with tempfile.TemporaryDirectory() as directory:
            ninja = os.path.join(directory, "ninja")
            with open(ninja, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\necho no such target\nexit 1\n")
            os.chmod(ninja, 0o755)
            process = self.run_it("--once", PATH=f"{directory}:{os.environ['PATH']}")
            out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual((process.returncode, out), (1, ""))
        self.assertIn("no such target", err)
        self.assertIn("building presence failed", err)
        self.assertNotIn("did not start", err)

    def test_usage(self):
        help_ = self.run_it("--help")
        out, err = help_.communicate(timeout=DEADLINE)
        self.assertEqual((help_.returncode, err), (0, ""))
        self.assertIn("--once", out)
        wrong = self.run_it("--twice")
        out, err = wrong.communicate(timeout=DEADLINE)
        self.assertEqual((wrong.returncode, out), (2, ""))
        self.assertIn("Usage", err)

    def show(self, lines, terminal):
        """Return what show_steps shows of these lines, and what it keeps of them."""
        with tempfile.NamedTemporaryFile("w+") as log:
            ours, theirs = pty.openpty() if terminal else os.pipe()
            subprocess.run(["bash", "-euc", f". {PROGRESS}; show_steps {log.name} building"],
                           input=lines, text=True, check=True, stderr=theirs, timeout=DEADLINE)
            os.close(theirs)
            with open(ours, "rb", buffering=0) as end:
                shown = b""
                with contextlib.suppress(OSError):  # EIO: the other side of a terminal is closed
                    while part := end.read(65536):
                        shown += part
            return shown.decode(), log.read()

    def test_progress(self):
        """On a terminal one line, otherwise a few; all of what was printed is kept."""
        lines = "".join(f"[{number}/40] Compiling\n" for number in range(1, 41)) + "warning: odd\n"
        shown, kept = self.show(lines, terminal=False)
        self.assertEqual(kept, lines)
        self.assertEqual(shown.splitlines(),
                         [f"building: {number} of 40" for number in range(4, 41, 4)])
        shown, _ = self.show(lines, terminal=True)
        self.assertEqual(shown.count("\n"), 0)
        self.assertEqual(shown.split("\r\x1b[K")[1:],
                         [f"building: {number} of 40" for number in range(1, 41)])


if __name__ == "__main__":
    unittest.main()
