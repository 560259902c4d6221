"""A real systemd, which runs in namespaces of its own (tests/boot), with everything installed."""

import json
import os
import re
import subprocess
import tempfile
import unittest

from harness import DEADLINE, wait_until
from installed import build_options, install

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SITE = "example.com"
SERVICES = ("presenced", "presence-exporter", "presence-publisher", "presence-recorder",
            "presence-relay", "presence-web")
LONG = unittest.skipUnless(os.environ.get("TEST_LONG"), "takes a minute: TEST_LONG")


class Machine:
    """A systemd, with this machine's files and what `destination` has. Its changes are forgotten."""

    def __init__(self, destination):
        self.boot = subprocess.Popen(
            [os.path.join(TOP, "tests/boot"), "--unit", "basic.target", "--share", destination, "/"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.boot.stdout.readline().strip()
        if not self.pid:
            self.end()
            raise AssertionError("no systemd")

    def end(self):
        self.boot.stdin.close()
        self.boot.wait(timeout=DEADLINE)
        self.boot.stdout.close()

    def command(self, *words):
        return ["nsenter", "-a", "-t", self.pid, *words]

    def run(self, *words, status=0):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=4 * DEADLINE,
                              stdin=subprocess.DEVNULL)
        if status is not None and done.returncode != status:
            raise AssertionError(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}\n"
                                 f"{self.journal() if words[0] != 'journalctl' else ''}")
        return done.stdout

    def journal(self):
        return self.run("journalctl", "--no-pager", "-u", "presence*", status=None)

    def show(self, service, *names):
        """Values of a service's properties; one alone as it is."""
        text = self.run("systemctl", "show", service, *(f"--property={name}" for name in names))
        values = dict(line.split("=", 1) for line in text.splitlines())
        return values[names[0]] if len(names) == 1 else values

    def write(self, path, text):
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" >"$1"', "sh", path, text)

    def process_status(self, pid):
        text = self.run("cat", f"/proc/{pid}/status")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@unittest.skipIf(os.geteuid(), "needs root, for namespaces")
class ServicesCase(unittest.TestCase):
    """Everything is installed there, and nothing runs before a test begins, or after it."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="presence-services-", dir="/var/tmp")
        cls.addClassCleanup(directory.cleanup)
        install(directory.name)
        os.chmod(directory.name, 0o755)  # it becomes that of the root
        cls.shared = directory.name  # the machine sees it, too
        cls.prefix = build_options()["prefix"]
        cls.machine = Machine(directory.name)
        cls.addClassCleanup(cls.machine.end)
        for words in (["cp", "-a", directory.name + "/.", "/"], ["ldconfig"], ["systemd-sysusers"],
                      ["systemctl", "daemon-reload"]):
            cls.machine.run(*words)

    def tearDown(self):
        self.machine.run("systemctl", "stop", *SERVICES)
        self.machine.run("sh", "-c", "rm -rf /dev/shm/presence/* /run/systemd/system/presence*.service.d")
        self.machine.run("systemctl", "daemon-reload")

    def program(self, name):
        return f"{self.prefix}/bin/{name}"

    def count(self):
        """The visitors; 0 while nobody knows."""
        return int(self.machine.run(self.program("presencectl"), "count", SITE, status=None) or 0)

    def end_sender(self, process, port, send_last):
        """Wait for the end of a presence-send, and until the sockets at that port are empty and the last
        visitor, whom `send_last` sends, is counted. Returns how many heartbeats were sent in all."""
        sent = json.loads(process.communicate(timeout=4 * DEADLINE)[0])
        self.assertEqual((sent["failed"], sent["refused"]), (0, 0))
        send_last("last")
        wait_until(lambda: not re.search(r"^\w+ +[1-9]", self.machine.run(
            "ss", "-uanH", "sport", "=", f":{port}"), re.M), "empty sockets")
        self.wait_count(501)
        return sent["heartbeats"] + 1

    def stats(self):
        return json.loads(self.machine.run(self.program("presencectl"), "stats", "--json"))

    def send(self, visitor):
        self.machine.run(self.program("presence-send"), "--site", SITE, "--visitor", visitor)

    def wait_count(self, number):
        wait_until(lambda: self.count() == number, f"{number} visitors")

    def wait_confined(self, pid):
        """Wait until systemd and the program have given up all that they give up."""
        def has_left():
            status = self.machine.process_status(pid)
            return [(name, status[name]) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")
                    if int(status[name], 16)] + [
                (name, status[name]) for name, value in (("NoNewPrivs", "1"), ("Seccomp", "2"))
                if status[name] != value]

        wait_until(lambda: not has_left(), lambda: f"it to give up {has_left()}")

    def wait_restarted(self, times, service="presenced"):
        wait_until(lambda: self.machine.show(service, "NRestarts", "ActiveState") ==
                   {"NRestarts": str(times), "ActiveState": "active"}, f"another {service}")

    def change(self, text, service="presenced"):
        """Change a unit until the test ends."""
        self.machine.write(f"/run/systemd/system/{service}.service.d/test.conf", f"[Service]\n{text}\n")
        self.machine.run("systemctl", "daemon-reload")

    def load(self, seconds, rate=2000, to="127.0.0.1:9514"):
        """Send single heartbeats of 500 visitors, at a steady rate; returns the process."""
        process = subprocess.Popen(
            self.machine.command(self.program("presence-send"), "--site", SITE, "--visitors", "500",
                                 "--to", to, "--batch", "1", "--no-gso", "--rate", str(rate), "--duration",
                                 str(seconds)),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process
