"""presence-publisher, and presence-web and presence-recorder of totals, beside a collector under a real
systemd: started, restarted, killed, reloaded and upgraded, and without their engine."""

import json
import os
import re
import shutil
import subprocess
import time
import unittest

from engine import SERVER, EngineError, RedisServer
from harness import MINUTE, wait_until
from publisher import Shard
from services import LONG, SITE, ServicesCase

PUBLISHER = "presence-publisher"
READERS = ("presence-web", "presence-recorder")
CONFIGURATION = "/etc/presence/{}.conf"
PASSWORD = "/etc/presence/engine-password"
DATABASE = "/var/lib/presence/totals.db"
URL = "redis://localhost:6379"
ENGINE = "test-engine"


class Engine(RedisServer):
    """A server that is a unit of the machine's; its socket is in the directory that both see."""

    def __init__(self, machine, directory, password):
        self.machine, self.password = machine, password
        self.path = os.path.join(directory, "engine-socket")
        machine.write(f"/run/systemd/system/{ENGINE}.service", "\n".join((
            "[Service]", f"ExecStart={shutil.which(SERVER)} --bind 127.0.0.1 --port 6379 --unixsocket "
            f"{self.path} --dir /tmp --save '' --appendonly no --requirepass {password}", "")))
        machine.run("systemctl", "daemon-reload")
        self.start()

    def start(self):
        self.machine.run("systemctl", "start", ENGINE)
        wait_until(self.answers, "the engine to answer")

    def stop(self):
        self.machine.run("systemctl", "stop", ENGINE)

    def answers(self):
        try:
            return self.call("PING") == "PONG"
        except (OSError, EngineError):
            return False

    def change_password(self, password):
        self.call("CONFIG", "SET", "requirepass", password)
        self.password = password
        self.call("CLIENT", "KILL", "TYPE", "normal")


@unittest.skipUnless(shutil.which(SERVER), f"needs {SERVER}")
class PublisherServices(ServicesCase):
    def setUp(self):
        super().setUp()
        machine = self.machine
        self.addCleanup(machine.run, "systemctl", "reset-failed")
        self.addCleanup(machine.run, "rm", "-f", PASSWORD, DATABASE)
        self.write_password("first")
        self.engine = Engine(machine, self.shared, "first")
        self.addCleanup(self.engine.stop)
        self.shard = Shard(self.engine)
        own = {PUBLISHER: "group = A\n", "presence-recorder": f"database = {DATABASE}\n"}
        for service in PUBLISHER, *READERS:
            path = CONFIGURATION.format(service)
            shipped = machine.run("cat", path)
            self.addCleanup(machine.write, path, shipped)
            machine.write(path, f"{shipped}engine = {URL}\npassword-file = {PASSWORD}\n{own.get(service, '')}")

    def write_password(self, text):
        self.machine.write(PASSWORD, text + "\n")
        self.machine.run("sh", "-c", f"chgrp presence {PASSWORD} && chmod 640 {PASSWORD}")

    def start_all(self):
        """The collector doesn't warm up, so that a total is known at once."""
        self.change(f"ExecStart=\nExecStart={self.prefix}/sbin/presenced --warm-up 0")
        self.machine.run("systemctl", "start", "presenced", PUBLISHER, *READERS)
        self.shard.wait_for(lambda shard: shard.state().get("stale") == "0", "a fresh shard")

    def total(self):
        """(number, whether it is stale), or None while nobody knows it."""
        done = subprocess.run(
            self.machine.command(self.program("presencectl"), "count", SITE, "--engine", URL,
                                 "--password-file", PASSWORD, "--json"),
            capture_output=True, text=True, timeout=MINUTE, stdin=subprocess.DEVNULL)
        if done.returncode not in (0, 3):
            return None
        answer = json.loads(done.stdout)
        return answer["count"], answer["stale"]

    def shown(self):
        """What presence-web says, likewise."""
        text = self.machine.run("curl", "-sS", f"http://127.0.0.1:8474/api/sites/{SITE}/live-user-count",
                                status=None)
        answer = json.loads(text or "{}")
        return (answer["count"], answer["stale"]) if "count" in answer else None

    def wait_total(self, number, stale=False):
        for ask in self.total, self.shown:
            wait_until(lambda: ask() == (number, stale),
                       lambda: f"{number}: {ask()}, {self.shard.state()}, {self.machine.journal()}")

    def wait_stale(self, number):
        """presence-web shows the last number, stale."""
        wait_until(lambda: self.shown() == (number, True), lambda: f"a stale {number}: {self.shown()}")

    def recorded(self):
        """The samples that the recorder has stored."""
        done = self.machine.run(self.program("presencectl"), "history", SITE, "--engine", URL,
                                "--password-file", PASSWORD, "--database", DATABASE, "--json", status=None)
        return json.loads(done or "{}").get("history")

    def main_pid(self, service):
        return self.machine.show(service, "MainPID")

    def assert_never_restarted(self, *services):
        for service in services:
            shown = self.machine.show(service, "ActiveState", "NRestarts")
            self.assertEqual(shown, {"ActiveState": "active", "NRestarts": "0"}, service)
        self.assertNotIn("the system call", self.machine.journal())

    def test_without_a_configuration(self):
        """As it is installed it says what is missing, once, and is not started again."""
        machine = self.machine
        self.assertIn(machine.run("systemctl", "is-enabled", PUBLISHER, status=1).strip(),
                      ("disabled", "linked"))
        path = CONFIGURATION.format(PUBLISHER)
        machine.write(path, re.sub(r"(?m)^(engine|password-file|group) = .*\n", "", machine.run("cat", path)))
        machine.run("systemctl", "start", PUBLISHER, status=1)
        self.assertIn("presence-publisher: --engine: ", machine.journal())
        self.assertEqual(machine.show(PUBLISHER, "ActiveState", "NRestarts", "ExecMainStatus"),
                         {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "2"})

    def test_goes_on(self):
        machine = self.machine
        self.start_all()
        for service in PUBLISHER, *READERS:
            shown = machine.show(service, "User", "Group", "MainPID")
            self.assertEqual((shown["User"], shown["Group"]), (service, "presence"))
            self.wait_confined(shown["MainPID"])
            machine.run("systemd-analyze", "verify", "--man=no", f"{service}.service")
        self.assertEqual(machine.show(PUBLISHER, "StatusText"), "publishing shard 1/1 of A")
        self.send("one")
        self.wait_total(1)
        # Without its engine, and with it again, empty.
        self.engine.stop()
        self.wait_stale(1)
        self.assertIsNone(self.total())
        self.send("two")
        self.engine.start()
        self.wait_total(2)
        # The collector's own restart, and its end.
        machine.run("systemctl", "restart", "presenced")
        self.send("three")
        self.wait_total(3)
        machine.run("systemctl", "stop", "presenced")
        self.wait_total(3, stale=True)
        machine.run("systemctl", "start", "presenced")
        self.wait_total(3)
        self.assert_never_restarted(PUBLISHER, *READERS)
        machine.run("systemctl", "stop", PUBLISHER)
        self.assertEqual((self.shard.state()["stale"], self.shard.owner()), ("1", None))
        self.assertEqual(machine.show(PUBLISHER, "Result"), "success")
        self.wait_total(3, stale=True)
        machine.run("systemctl", "stop", "presence-recorder")
        self.assertEqual(machine.show("presence-recorder", "Result"), "success")
        self.assertEqual(max(minute["maximum"] for minute in self.recorded()), 3)

    def test_another_password(self):
        """It is read on a reload; the recorder, which has none, is restarted."""
        machine = self.machine
        self.start_all()
        self.send("one")
        self.wait_total(1)
        self.write_password("second")
        machine.run("systemctl", "reload", PUBLISHER, "presence-web")
        self.engine.change_password("second")
        machine.run("systemctl", "restart", "presence-recorder")
        self.send("two")
        self.wait_total(2)
        # The other way round: refused until the password is there.
        self.engine.change_password("third")
        self.wait_stale(2)
        wait_until(lambda: machine.show(PUBLISHER, "StatusText").startswith("not publishing"), "trouble")
        self.send("three")
        self.write_password("third")
        machine.run("systemctl", "reload", PUBLISHER, "presence-web")
        self.wait_total(3)
        self.assert_never_restarted(PUBLISHER, *READERS)

    def sample_until(self, load, act):
        """Act again and again while there is load; returns all totals that were read meanwhile."""
        totals = []
        while load.poll() is None:
            act(len(totals))
            totals.append(self.total())
        return totals

    def end_load(self, load, totals):
        """The load ends: everything it sent was counted, once, and no total was too high, or another one
        than the last without a mark."""
        self.machine.run("systemctl", "start", "presenced", PUBLISHER, *READERS)  # waits for restarts
        sent = self.end_sender(load, 9514, self.send)
        stats = self.stats()
        self.assertEqual((stats["socket_drops"], stats["datagrams_accepted"] - stats["datagrams_empty"]),
                         (0, sent))
        self.wait_total(501)
        self.assertNotIn(None, totals)
        self.assertEqual({number for number, _ in totals}, {500})
        print(len(totals), "totals,", sum(stale for _, stale in totals), "of them stale")

    def begin_load(self, seconds=30):
        self.start_all()
        load = self.load(seconds)
        self.wait_total(500)
        return load

    @LONG
    def test_restarts_under_load(self):
        load, seen = self.begin_load(), set()

        def restart(number):
            seen.add(self.main_pid(PUBLISHER))
            if number % 50 == 0:
                self.machine.run("systemctl", "restart", "--no-block", PUBLISHER)

        totals = self.sample_until(load, restart)
        self.end_load(load, totals)
        self.assertGreater(len(seen), 2)
        self.assert_never_restarted("presenced", *READERS)

    @LONG
    def test_kills_under_load(self):
        """The next one waits until the killed one's ownership has run out."""
        load, killed = self.begin_load(60), []

        def kill(_):
            if self.shard.state()["stale"] == "0" and self.shard.age_ms() < 2000:
                killed.append(time.monotonic())
                self.machine.run("systemctl", "kill", "--signal=KILL", PUBLISHER)
                self.wait_restarted(len(killed), PUBLISHER)

        totals = self.sample_until(load, kill)
        self.end_load(load, totals)
        self.assertGreater(len(killed), 1)
        self.assert_never_restarted("presenced", *READERS)

    @LONG
    def test_upgrade_under_load(self):
        """All files are replaced while they are used, and all services restarted, as a package does."""
        load = self.begin_load()
        before = {service: self.main_pid(service) for service in ("presenced", PUBLISHER, *READERS)}

        def upgrade(number):
            if number % 100 == 0:
                self.machine.run("cp", "-a", "--remove-destination", f"{self.shared}{self.prefix}/.",
                                 self.prefix)
                self.machine.run("systemctl", "daemon-reload")
                self.machine.run("systemctl", "restart", "--no-block", *before)

        totals = self.sample_until(load, upgrade)
        self.end_load(load, totals)
        for service, pid in before.items():
            self.assertNotEqual(self.main_pid(service), pid, f"{service} was not restarted")
        self.assert_never_restarted(*before)

    @LONG
    def test_watchdog(self):
        """One that stands still is replaced."""
        self.start_all()
        self.machine.run("systemctl", "stop", PUBLISHER)
        self.change("WatchdogSec=3", PUBLISHER)
        self.machine.run("systemctl", "start", PUBLISHER)
        self.send("one")
        self.wait_total(1)
        self.machine.run("systemctl", "kill", "--signal=STOP", PUBLISHER)
        self.wait_restarted(1, PUBLISHER)
        self.assertIn("Watchdog timeout", self.machine.journal())
        self.send("two")
        self.wait_total(2)


if __name__ == "__main__":
    unittest.main()
