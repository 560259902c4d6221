"""tools/quickstart shows a live count, and leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import unittest

from documents import fenced
from harness import BUILD, DEADLINE, program, wait_until

QUICKSTART = os.path.join(os.path.dirname(__file__), "../../tools/quickstart")
LINE = r"^example\.com: +(\d+) in the last 5 seconds, +(\d+) in the last 5 minutes$"


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
        directory = os.path.dirname(re.search(r"export PRESENCE_SEGMENT=(.*)", output)[1])
        self.assertTrue(directory.startswith("/dev/shm/"), directory)
        wait_until(lambda: not session_members(process.pid),
                   f"all its processes to end: {session_members(process.pid)}")
        self.assertFalse(os.path.exists(directory), directory)

    def test_once(self):
        """It ends by itself after it has counted somebody."""
        process = self.run_it("--once")
        out, err = process.communicate(timeout=3 * DEADLINE)
        self.assertEqual(process.returncode, 0, out + err)
        counts = [tuple(map(int, pair)) for pair in re.findall(LINE, out, re.M)]
        self.assertGreater(max(now for now, _ in counts), 0)
        self.assertTrue(all(now <= total for now, total in counts), counts)
        self.assert_nothing_left(process, out)

    def test_its_segment_can_be_read_meanwhile(self):
        """As in README.md. The commands that it prints work in another terminal; Ctrl-C ends it."""
        self.assertEqual(fenced("sh quickstart"), "tools/quickstart\n")
        process = self.run_it()
        out = self.read_until(process, r"[1-9]\d* in the last 5 seconds")
        segment = re.search(r"export PRESENCE_SEGMENT=(.*)", out)[1]
        command = re.search(r"^ +(\S*presencectl.*)$", out, re.M)[1]
        with program(command.split(), stdout=subprocess.PIPE, text=True,
                     env={**os.environ, "PRESENCE_SEGMENT": segment}) as shown:
            self.assertRegex(self.read_until(shown, "visitors"), r"[1-9]\d* visitors")
        os.killpg(process.pid, signal.SIGINT)
        self.assertEqual(process.wait(timeout=DEADLINE), 0)
        self.assert_nothing_left(process, out)

    def test_interrupted_early(self):
        """The terminal or kill ends it, even before it has counted anybody."""
        for interrupt in (lambda process: os.killpg(process.pid, signal.SIGINT),
                          lambda process: process.send_signal(signal.SIGTERM)):
            process = self.run_it()
            out = self.read_until(process, "export PRESENCE_SEGMENT")
            interrupt(process)
            process.wait(timeout=DEADLINE)
            self.assert_nothing_left(process, out)

    def test_two_at_once(self):
        """Each has a port and a segment of its own."""
        started = []
        for _ in range(2):
            process = self.run_it()
            started.append((process, self.read_until(process, "export PRESENCE_SEGMENT")))
        for process, _ in started:
            self.read_until(process, r"[1-9]\d* in the last 5 seconds")
        for process, out in started:
            os.killpg(process.pid, signal.SIGINT)
            self.assertEqual(process.wait(timeout=DEADLINE), 0)
            self.assert_nothing_left(process, out)

    def test_usage(self):
        help_ = self.run_it("--help")
        out, err = help_.communicate(timeout=DEADLINE)
        self.assertEqual((help_.returncode, err), (0, ""))
        self.assertIn("--once", out)
        wrong = self.run_it("--twice")
        out, err = wrong.communicate(timeout=DEADLINE)
        self.assertEqual((wrong.returncode, out), (2, ""))
        self.assertIn("Usage", err)


if __name__ == "__main__":
    unittest.main()
