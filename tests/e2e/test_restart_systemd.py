"""Restarts by the real systemd, in namespaces of its own: its descriptor store, its watchdog, and
what `systemctl` does with a collector under load."""

import ctypes
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import unittest

from documents import TOP
from harness import BUILD, DEADLINE, NAMESPACES, PRESENCED, Case, free_port, wait_until
from installed import run
from restart import SITE, Load, heartbeats
from service_manager import LIBC

UNITS = "/run/systemd/system"
PROGRAM = "/run/presenced"  # services don't see a build below /home or /root (ProtectHome=)
SEGMENT = "/dev/shm/presence/segment"
INSIDE = "PRESENCE_INSIDE"


@unittest.skipUnless(os.environ.get("TEST_LONG"), "boots a systemd, which takes its time: TEST_LONG")
@unittest.skipIf(os.geteuid() or not shutil.which("systemctl"), "needs root and systemd")
class Booted(unittest.TestCase):
    def test_inside(self):
        done = subprocess.run(
            [f"{TOP}/tests/boot", "--unit", "basic.target", "--share", TOP, "/",
             "env", f"{INSIDE}=1", f"PRESENCE_BUILD={os.path.abspath(BUILD)}",
             f"PRESENCE_SANITIZED={os.environ['PRESENCE_SANITIZED']}", "PYTHONDONTWRITEBYTECODE=1",
             sys.executable, os.path.abspath(__file__), "-v", "Inside"],
            capture_output=True, text=True, timeout=10 * DEADLINE)
        print(done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0)


@unittest.skipUnless(os.environ.get(INSIDE), "Booted runs it")
class Inside(Case):
    """The unit that is built, with the options of a test."""

    @classmethod
    def setUpClass(cls):
        """Leave the test's own network for that of systemd's services, and copy the program for them."""
        shutil.copy(PRESENCED, PROGRAM)
        with open("/proc/1/ns/net") as network:
            if LIBC.setns(network.fileno(), NAMESPACES["net"]) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the network of process 1")

    def setUp(self):
        super().setUp()
        self.segment = SEGMENT
        self.port = free_port(socket.SOCK_DGRAM)
        for file in glob.glob(os.path.join(BUILD, "daemon/*.sysusers")) + glob.glob(
                os.path.join(TOP, "daemon/*.sysusers")):
            run(["systemd-sysusers", file])
        self.configure(2)
        shutil.rmtree(os.path.dirname(SEGMENT), ignore_errors=True)
        run(["systemctl", "start", "presenced"])
        self.addCleanup(run, ["systemctl", "stop", "presenced"])

    def configure(self, workers, *more):
        with open(os.path.join(BUILD, "daemon/presenced.service")) as file:
            unit = re.sub(r"(?m)^(ExecStart\w*=\+?)\S+ --config \S+", r"\1" + PROGRAM +
                          f" --listen 127.0.0.1:{self.port} --workers {workers}", file.read())
        os.makedirs(UNITS, exist_ok=True)
        with open(f"{UNITS}/presenced.service", "w") as file:
            unit = unit.replace("[Service]", "\n".join(("[Service]", *more)))
            file.write(unit.replace("[Unit]", "[Unit]\nStartLimitIntervalSec=0"))
        run(["systemctl", "daemon-reload"])

    def show(self, *names):
        values = run(["systemctl", "show", "presenced", *(f"-p{name}" for name in names), "--value"])
        return values.split()

    def counted(self):
        stats = self.stats()
        return stats["datagrams_received"] + stats["socket_drops"]

    def begin_load(self):
        load = Load(self.port, heartbeats(500))
        self.addCleanup(load.stop)
        wait_until(lambda: self.counted() and self.count(SITE) == 500, "all visitors")
        return load

    def wait_more(self):
        goal = self.counted() + 100
        wait_until(lambda: self.counted() > goal, "more to be counted")

    def wait_all(self, load, missing=0):
        load.stop()
        wait_until(lambda: load.sent - self.counted() <= missing,
                   lambda: f"{load.sent}: {self.stats()}, {self.log()}")
        self.assertEqual(self.stats()["socket_drops"], 0)
        print(f"sent {load.sent}, missing {load.sent - self.counted()}")

    @staticmethod
    def log():
        return subprocess.run(["journalctl", "-u", "presenced", "--no-pager", "-n", "50"],
                              capture_output=True, text=True, timeout=DEADLINE).stdout

    def wait_stored(self, number):
        wait_until(lambda: self.show("NFileDescriptorStore") == [str(number)],
                   lambda: f"{number} in the store: {self.show('NFileDescriptorStore')}")

    def test_planned(self):
        """Restarts and other numbers of workers: nothing is lost, and the store follows."""
        load = self.begin_load()
        for workers in 2, 2, 4, 1, 3, 2:
            self.configure(workers)
            run(["systemctl", "restart", "presenced"])
            self.wait_more()
            in_turn = self.json("status")["spread"] == "turn"
            # Sockets and record; the map of sockets, and once it was there, those of senders.
            self.wait_stored(workers + 4 if in_turn else workers + 3)
        self.wait_all(load)
        self.assertEqual(self.show("SubState"), ["running"])

    def test_killed(self):
        load = self.begin_load()
        for number in range(1, 6):
            run(["systemctl", "kill", "--signal", "KILL", "presenced"])
            wait_until(lambda: self.show("NRestarts", "SubState") == [str(number), "running"],
                       lambda: f"a restart: {self.show('NRestarts', 'SubState')}")
            self.wait_more()
        self.wait_all(load, 5 * 2 * 256)

    def test_watchdog(self):
        """A collector that hangs is killed, and the next one counts what waited."""
        self.configure(2, "WatchdogSec=3")
        run(["systemctl", "restart", "presenced"])
        load = self.begin_load()
        load.pause = 0.05
        run(["systemctl", "kill", "--signal", "STOP", "presenced"])
        wait_until(lambda: self.show("NRestarts", "SubState") == ["1", "running"], "a restart")
        self.wait_more()
        self.wait_all(load, 2 * 256)

    def test_stopped(self):
        """`systemctl stop` counts what waits, then closes the port."""
        load = self.begin_load()
        load.stop()
        run(["systemctl", "stop", "presenced"])
        self.assertEqual(self.stats()["datagrams_received"], load.sent)
        self.assertEqual(self.show("NFileDescriptorStore"), ["0"])
        run(["systemctl", "start", "presenced"])


if __name__ == "__main__":
    unittest.main()
