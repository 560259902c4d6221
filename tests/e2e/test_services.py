"""The four services under a real systemd, which runs in namespaces of its own (tests/boot): installed,
started, restarted, killed and reloaded."""

import json
import os
import re
import subprocess
import tempfile
import time
import unittest

from harness import DEADLINE, wait_until
from installed import build_options, install

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
SITE = "example.com"
SERVICES = ("presenced", "presence-exporter", "presence-recorder", "presence-web")
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
class Services(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="presence-services-", dir="/var/tmp")
        cls.addClassCleanup(directory.cleanup)
        install(directory.name)
        os.chmod(directory.name, 0o755)  # it becomes that of the root
        cls.prefix = build_options()["prefix"]
        cls.machine = Machine(directory.name)
        cls.addClassCleanup(cls.machine.end)
        for words in (["cp", "-a", directory.name + "/.", "/"], ["ldconfig"], ["systemd-sysusers"],
                      ["systemctl", "daemon-reload"]):
            cls.machine.run(*words)

    def tearDown(self):
        self.machine.run("systemctl", "stop", *SERVICES)
        self.machine.run("sh", "-c", "rm -rf /dev/shm/presence/* /run/systemd/system/presenced.service.d")
        self.machine.run("systemctl", "daemon-reload")

    def program(self, name):
        return f"{self.prefix}/bin/{name}"

    def count(self):
        """The visitors; 0 while nobody knows."""
        return int(self.machine.run(self.program("presencectl"), "count", SITE, status=None) or 0)

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

    def wait_restarted(self, times):
        wait_until(lambda: self.machine.show("presenced", "NRestarts", "ActiveState") ==
                   {"NRestarts": str(times), "ActiveState": "active"}, "another presenced")

    def change(self, text):
        """Change presenced's unit until the test ends."""
        self.machine.write("/run/systemd/system/presenced.service.d/test.conf", f"[Service]\n{text}\n")
        self.machine.run("systemctl", "daemon-reload")

    def load(self, seconds, rate=2000):
        """Send single heartbeats of 500 visitors, at a steady rate; returns the process."""
        process = subprocess.Popen(
            self.machine.command(self.program("presence-send"), "--site", SITE, "--visitors", "500",
                                 "--batch", "1", "--no-gso", "--rate", str(rate), "--duration",
                                 str(seconds)),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def end_load(self, process):
        """Wait for its end, and until what the sockets held was counted; returns how many datagrams
        never were."""
        sent = json.loads(process.communicate(timeout=4 * DEADLINE)[0])
        self.assertEqual((sent["failed"], sent["refused"]), (0, 0))
        self.send("last")
        wait_until(lambda: not re.search(r"^\w+ +[1-9]", self.machine.run(
            "ss", "-uanH", "sport", "=", ":9514"), re.M), "empty sockets")
        self.wait_count(501)
        stats = self.stats()
        self.assertEqual(stats["socket_drops"], 0)
        counted = stats["datagrams_accepted"] - stats["datagrams_empty"]
        return sent["heartbeats"] + 1 - counted

    def test_all_start_and_go_on(self):
        machine = self.machine
        machine.run("systemctl", "start", *SERVICES)
        for service in SERVICES:
            with self.subTest(service):
                wait_until(lambda: machine.show(service, "ActiveState") == "active", service)
                shown = machine.show(service, "User", "Group", "MainPID", "NRestarts")
                user = "presence" if service == "presenced" else service
                self.assertEqual((shown["User"], shown["Group"], shown["NRestarts"]),
                                 (user, "presence", "0"))
                self.wait_confined(shown["MainPID"])
                machine.run("systemd-analyze", "verify", "--man=no", f"{service}.service")
        self.assertEqual(machine.run("stat", "-c", "%U:%G %a", "/dev/shm/presence",
                                     "/dev/shm/presence/segment", "/var/lib/presence"),
                         "presence:presence 750\npresence:presence 640\npresence-recorder:presence 750\n")
        self.send("one")
        self.wait_count(1)
        self.assertIn("receiving at 127.0.0.1:9514: ", machine.show("presenced", "StatusText"))
        metric = f'presence_active_visitors{{site="{SITE}",window="5m"}} 1\n'
        for url, answer in ("9474/metrics", metric), ("8474/api/sites", '"count":1,'):
            wait_until(lambda: answer in machine.run("curl", "-sS", f"http://127.0.0.1:{url}", status=None),
                       lambda: f"{answer} from {url}")
        machine.run("curl", "-sS", "-H", f"Origin: http://{SITE}", "--data",
                    json.dumps({"site": SITE, "visitor": "two"}), "http://127.0.0.1:8474/touch")
        self.wait_count(2)
        machine.run("systemctl", "restart", "presenced")
        self.assertGreater(int(machine.show("presenced", "NFileDescriptorStore")), 0)
        self.assertEqual(self.count(), 2)
        for service in "presenced", "presence-exporter", "presence-web":
            machine.run("systemctl", "reload", service)
        self.send("three")
        self.wait_count(3)
        for service in SERVICES[1:]:  # they went on without a restart
            self.assertEqual(machine.show(service, "NRestarts"), "0")
        wait_until(lambda: json.loads(machine.run(self.program("presencectl"), "history", SITE, "--json",
                                                  status=None) or "{}").get("history"), "a sample")
        machine.run("systemctl", "stop", "presence-recorder")
        self.assertEqual(machine.show("presence-recorder", "Result"), "success")
        history = json.loads(machine.run(
            self.program("presencectl"), "history", SITE, "--json", "--database",
            "/var/lib/presence/history.db"))
        self.assertTrue(history["history"])

    def test_from_root_to_presence(self):
        """A unit of before, whose daemon was root's: counts, sockets and what they hold stay."""
        self.change("User=root\nExecStartPre=\nAmbientCapabilities=")
        self.machine.run("sh", "-c", "rmdir /dev/shm/presence")
        self.machine.run("systemctl", "start", "presenced")
        self.assertEqual(self.machine.run("stat", "-c", "%U:%G", "/dev/shm/presence/segment"),
                         "root:presence\n")
        load = self.load(3)
        wait_until(lambda: self.count() > 0, "heartbeats")
        self.change("")
        self.machine.run("systemctl", "restart", "presenced")
        self.assertEqual(self.machine.run("stat", "-c", "%U:%G", "/dev/shm/presence/segment"),
                         "presence:presence\n")
        self.assertEqual(self.end_load(load), 0)
        self.assertIn("went on with ", self.machine.journal())

    @LONG
    def test_restarts_lose_nothing(self):
        self.machine.run("systemctl", "start", "presenced")
        load, took = self.load(30), []
        wait_until(lambda: self.count() > 0, "heartbeats")
        for _ in range(10):
            begun = time.monotonic()
            self.machine.run("systemctl", "restart", "presenced")
            took.append(time.monotonic() - begun)
        self.assertIsNone(load.poll())
        self.assertEqual(self.end_load(load), 0)
        print("restarts took", " ".join(f"{seconds * 1e3:.0f}" for seconds in took), "ms")

    @LONG
    def test_kills_lose_a_burst(self):
        self.machine.run("systemctl", "start", "presenced")
        workers = self.stats() and int(re.search(r"(\d+) worker", self.machine.show(
            "presenced", "StatusText"))[1])
        load = self.load(30)
        wait_until(lambda: self.count() > 0, "heartbeats")
        for number in range(1, 11):
            self.machine.run("systemctl", "kill", "--signal=KILL", "presenced")
            self.wait_restarted(number)
        self.assertIsNone(load.poll())
        lost = self.end_load(load)
        print("10 kills lost", lost, "of", 30 * 2000)
        self.assertLessEqual(lost, 10 * 256 * workers)

    @LONG
    def test_watchdog(self):
        """One that stands still is replaced; what it counted stays."""
        self.change("WatchdogSec=3")
        self.machine.run("systemctl", "start", "presenced")
        self.send("one")
        self.wait_count(1)
        self.machine.run("systemctl", "kill", "--signal=STOP", "presenced")
        self.wait_restarted(1)
        self.assertIn("Watchdog timeout", self.machine.journal())
        self.send("two")
        self.wait_count(2)

    @LONG
    def test_never_gives_up(self):
        """While another has the port it goes on trying, and comes up when the port is free."""
        port = subprocess.Popen(self.machine.command(
            "python3", "-c", "import socket; s = socket.socket(type=socket.SOCK_DGRAM); "
            "s.bind(('127.0.0.1', 9514)); print(); input()"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        port.stdout.read(1)
        self.machine.run("systemctl", "start", "--no-block", "presenced")
        wait_until(lambda: int(self.machine.show("presenced", "NRestarts")) > 0, "an attempt")
        port.communicate(b"\n")
        wait_until(lambda: self.machine.show("presenced", "ActiveState") == "active", "the port")


if __name__ == "__main__":
    unittest.main()
