"""The services of a collector under a real systemd: started, restarted, killed and reloaded."""

import json
import re
import subprocess
import time
import unittest

from harness import wait_until
from services import LONG, SITE, ServicesCase

SERVICES = ("presenced", "presence-exporter", "presence-recorder", "presence-web")


class Services(ServicesCase):
    def end_load(self, process):
        """Wait for its end, and until what the sockets held was counted; returns how many datagrams
        never were."""
        sent = self.end_sender(process, 9514, self.send)
        stats = self.stats()
        self.assertEqual(stats["socket_drops"], 0)
        counted = stats["datagrams_accepted"] - stats["datagrams_empty"]
        return sent - counted

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
