"""presence-relay under a real systemd: beside a collector, without a configuration, restarted, killed and
reloaded."""

import re
import time
import unittest

from harness import wait_until
from services import LONG, SITE, ServicesCase

RELAY = "presence-relay"
CONFIGURATION = "/etc/presence/presence-relay.conf"
KEY = "/etc/presence/relay.key"
SETTINGS = f"listen = 127.0.0.1:9515\nto = A=127.0.0.1:9514\nkey-file = {KEY}\n"


class RelayServices(ServicesCase):
    def tearDown(self):
        super().tearDown()
        self.machine.run("systemctl", "reset-failed")

    def configure(self, text):
        if not hasattr(self, "shipped"):
            self.shipped = self.machine.run("cat", CONFIGURATION)
            self.addCleanup(self.machine.write, CONFIGURATION, self.shipped)
        self.machine.write(CONFIGURATION, self.shipped + text)

    def write_key(self, number):
        """A key as the documents have it: for the group."""
        self.machine.write(KEY, f"{number} {number:032x}\n")
        self.machine.run("sh", "-c", f"chgrp presence {KEY} && chmod 640 {KEY}")

    def start_both(self):
        """A collector that takes signed heartbeats only, and a relay that signs."""
        self.write_key(1)
        self.change(f"ExecStart=\nExecStart={self.prefix}/sbin/presenced --keys {KEY}")
        self.configure(SETTINGS)
        self.machine.run("systemctl", "start", "presenced", RELAY)

    def fail_to_start(self):
        """Start the relay in vain; returns what is logged since."""
        self.machine.run("systemctl", "start", RELAY, status=1)
        return self.machine.journal()

    def send_text(self, visitor):
        """As a proxy does: it opens a socket, sends a line, and needs no answer."""
        self.machine.run("bash", "-c", f"echo -n 'PH1 site={SITE} visitor={visitor}' >/dev/udp/127.0.0.1/9515")

    def metrics(self):
        text = self.machine.run("curl", "-sS", "http://127.0.0.1:9475/metrics", status=None)
        return {name: int(float(value)) for name, value in
                re.findall(r"^presence_relay_([a-z_]+)(?:{[^}]*})? (\S+)$", text, re.M)}

    def counted(self):
        """Heartbeats that the collector has had."""
        return sum(number for name, number in self.stats().items() if name.startswith("heartbeats_"))

    def end_load(self, process):
        """Wait for its end, and until what the sockets held was counted; returns how many heartbeats
        never were."""
        sent = self.end_sender(process, 9515, self.send_text)
        self.assertEqual(self.metrics()["socket_drops_total"], 0)
        return sent - self.counted()

    def test_without_a_configuration(self):
        """As it is installed it says what is missing, once, and is not started again."""
        self.assertIn(self.machine.run("systemctl", "is-enabled", RELAY, status=1).strip(),
                      ("disabled", "linked"))
        journal = self.fail_to_start()
        self.assertIn("presence-relay: --to: say which collectors to send to", journal)
        self.assertEqual(self.machine.show(RELAY, "ActiveState", "NRestarts", "ExecMainStatus"),
                         {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "2"})

    def test_beside_a_collector(self):
        """At the collector's address it is told whose it is, and goes on trying; nothing else changes."""
        self.machine.run("systemctl", "start", "presenced")
        self.configure("to = A=192.0.2.1:9514\n")
        self.machine.run("systemctl", "start", "--no-block", RELAY)
        wait_until(lambda: "cannot listen on 127.0.0.1:9514: Address already in use; another program has "
                   "the port, choose another --listen" in self.machine.journal(), "the reason")
        self.send("one")
        self.wait_count(1)
        self.machine.run("systemctl", "stop", "presenced")
        wait_until(lambda: self.machine.show(RELAY, "ActiveState") == "active", "the port to be free")

    def test_goes_on(self):
        machine = self.machine
        self.start_both()
        shown = machine.show(RELAY, "User", "Group", "MainPID", "NRestarts", "StatusText")
        self.assertEqual((shown["User"], shown["Group"], shown["NRestarts"]), (RELAY, "presence", "0"))
        self.assertEqual(shown["StatusText"], "receiving at 127.0.0.1:9515, sending to A (1 collector)")
        self.wait_confined(shown["MainPID"])
        machine.run("systemd-analyze", "verify", "--man=no", f"{RELAY}.service")
        # The socket, the record of its drops, and the accounts.
        self.assertEqual(machine.show(RELAY, "NFileDescriptorStore"), "3")
        self.send_text("one")
        self.wait_count(1)
        machine.run("systemctl", "restart", RELAY)
        self.assertEqual(machine.show(RELAY, "NFileDescriptorStore"), "3")
        self.assertEqual(self.metrics()["heartbeats_accepted_total"], 1)
        self.send_text("two")
        self.wait_count(2)
        machine.run("systemctl", "kill", "--signal=KILL", RELAY)
        self.wait_restarted(1, RELAY)
        self.send_text("three")
        self.wait_count(3)
        machine.run("systemctl", "reload", RELAY)
        self.configure(SETTINGS + "hold = 0\n")
        machine.run("systemctl", "reload", RELAY)
        wait_until(lambda: "--hold takes" in machine.journal(), "the mistake to be logged")
        self.assertIn("the last reload was refused", machine.show(RELAY, "StatusText"))
        self.send_text("four")
        self.wait_count(4)
        self.assertEqual(machine.show(RELAY, "NRestarts"), "1")
        machine.run("systemctl", "stop", RELAY)
        self.assertEqual(machine.show(RELAY, "Result"), "success")
        self.assertIn("received 4 datagrams = 4 accepted + 0 rejected", machine.journal())
        self.assertNotIn("the system call", machine.journal())

    @LONG
    def test_restarts_lose_nothing(self):
        self.start_both()
        load, took = self.load(30, to="127.0.0.1:9515"), []
        wait_until(lambda: self.count() > 0, "heartbeats")
        for _ in range(10):
            begun = time.monotonic()
            self.machine.run("systemctl", "restart", RELAY)
            took.append(time.monotonic() - begun)
        self.assertIsNone(load.poll())
        self.assertEqual(self.end_load(load), 0)
        print("restarts took", " ".join(f"{seconds * 1e3:.0f}" for seconds in took), "ms")

    @LONG
    def test_kills_lose_a_burst(self):
        """What waits in the sockets stays; lost is what was received and not yet sent: a burst, and what
        was held."""
        self.start_both()
        load = self.load(30, to="127.0.0.1:9515")
        wait_until(lambda: self.count() > 0, "heartbeats")
        for number in range(1, 11):
            self.machine.run("systemctl", "kill", "--signal=KILL", RELAY)
            self.wait_restarted(number, RELAY)
        self.assertIsNone(load.poll())
        lost = self.end_load(load)
        metrics = self.metrics()
        print("10 kills lost", lost, "of", 30 * 2000, "of which accounted for:",
              metrics["target_heartbeats_lost_total"])
        self.assertLessEqual(lost, 10 * (256 + 1000))

    @LONG
    def test_watchdog(self):
        """One that stands still is replaced, and sends what has come meanwhile."""
        self.start_both()
        self.machine.run("systemctl", "stop", RELAY)
        self.change("WatchdogSec=3", RELAY)
        self.machine.run("systemctl", "start", RELAY)
        self.machine.run("systemctl", "kill", "--signal=STOP", RELAY)
        self.send_text("one")
        self.wait_restarted(1, RELAY)
        self.assertIn("Watchdog timeout", self.machine.journal())
        self.wait_count(1)


if __name__ == "__main__":
    unittest.main()
