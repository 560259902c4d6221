"""An upgrade of the Debian package under load, its removal and its purge. in_root runs it, as root in a
bare Debian with systemd: upgrade.py DIRECTORY-OF-BEFORE DIRECTORY-OF-AFTER"""

import ctypes
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from harness import DEADLINE, MINUTE, NAMESPACES, wait_until
from installed import run
from restart import SITE, Load, heartbeats

BEFORE, AFTER = sys.argv[1:3]
VISITORS = 1000
SERVICES = ("presenced", "presence-exporter", "presence-publisher", "presence-recorder", "presence-relay",
            "presence-web")
ALWAYS = ("presenced", "presence-exporter", "presence-recorder", "presence-web")
SETTINGS = "max-scopes = 5000\nwarm-up = 0\n"
ADDED = {
    "presence-relay": "listen = 127.0.0.1:9515\nto = A=127.0.0.1:9\n",
    "presence-publisher": "engine = redis://127.0.0.1\ngroup = A\n",  # where nobody is: it goes on trying
    "presenced": SETTINGS,
}
# What the package manager, systemd and the log keep for themselves.
OTHERS = re.compile(r"/(var/(lib/(dpkg|apt|systemd|misc)|cache|log|tmp)|run/(?!presence)|tmp|proc|sys|home|root"
                    r"|etc/(passwd|group|g?shadow|sub[ug]id)-?$|dev/(?!shm)|etc/ld\.so\.cache)")


def apt(*arguments):
    started = time.monotonic()
    # Changed configurations stay; nobody is there to be asked.
    run(["apt-get", "-qq", "-y", "-o", "Dpkg::Options::=--force-confold", *arguments],
        DEBIAN_FRONTEND="noninteractive")
    return time.monotonic() - started


def install(directory):
    return apt("install", "--allow-downgrades", *glob.glob(f"{directory}/presence_*.deb"))


def files():
    return {os.path.join(path, name) for path, directories, names in os.walk("/")
            for name in [*directories, *names] if not OTHERS.match(os.path.join(path, name))}


def configuration(service):
    return f"/etc/presence/{service}.conf"


def is_active(service):
    return run(["bash", "-c", f"systemctl is-active {service} || true"]).strip() == "active"


def main_pid(service):
    return int(run(["systemctl", "show", "--property=MainPID", "--value", service]))


def ask(program, *command):
    """Ask presencectl, which also answers when it fails for a stale or an unknown count."""
    done = subprocess.run([program, *command, "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, timeout=DEADLINE)
    return json.loads(done.stdout)


class Reader(threading.Thread):
    """Reads the count all the time, with the program of before."""

    def __init__(self, program):
        super().__init__()
        self.program, self.counts, self.stopping = program, [], False
        self.stale_since, self.stale_for = None, 0
        self.start()

    def run(self):
        while not self.stopping:
            reading = ask(self.program, "count", SITE)
            now = time.monotonic()
            self.counts.append(reading["count"])
            self.stale_since = (self.stale_since or now) if reading["stale"] else None
            self.stale_for = max(self.stale_for, now - self.stale_since if self.stale_since else 0)

    def stop(self):
        self.stopping = True
        self.join()


class Upgrade(unittest.TestCase):
    def test_install_upgrade_remove_purge(self):
        directory = tempfile.TemporaryDirectory(prefix="presence-upgrade-", dir="/root")
        self.addCleanup(directory.cleanup)
        bare = files()
        print(f"installed in {install(BEFORE):.1f} s")
        # A later version may bring others.
        self.services = [service for service in SERVICES if os.path.exists(configuration(service))]
        self.assertLessEqual(set(ALWAYS), set(self.services))
        self.assertTrue(is_active("presenced"))
        self.assertFalse(any(is_active(service) for service in self.services[1:]))
        for service in set(self.services) & set(ADDED):
            with open(configuration(service), "a") as file:
                file.write(ADDED[service])
        run(["systemctl", "enable", "--now", *self.services[1:]])
        with open("/etc/presence/keys", "w") as file:
            file.write("# the operator's own\n")
        run(["systemctl", "restart", "presenced"])

        ctl = shutil.copy("/usr/bin/presencectl", directory.name)
        wait_until(lambda: ask(ctl, "status")["state"] == "listening", "the collector to listen")
        self.upgrade(ctl)
        self.remove(bare)

    def upgrade(self, ctl):
        load = Load(9514, heartbeats(VISITORS), pause=0.002)
        self.addCleanup(load.stop)
        wait_until(lambda: ask(ctl, "count", SITE)["count"] == VISITORS, "all visitors to be counted")
        wait_until(lambda: self.minutes(), "a recorded minute", 2 * MINUTE)
        before = {service: main_pid(service) for service in self.services}
        peak, recorded, stats = ask(ctl, "peak", SITE)["ever"], self.minutes(), ask(ctl, "stats")
        self.assertTrue(all(before.values()), before)

        reader = Reader(ctl)
        self.addCleanup(reader.stop)
        seconds = install(AFTER)
        wait_until(lambda: all(is_active(service) for service in self.services),
                   lambda: run(["bash", "-c", f"systemctl status {' '.join(self.services)} || true"]))
        reader.stop()
        load.stop()

        def received():
            now = ask(ctl, "stats")
            # presence-web says once a second that it is there, in an empty datagram.
            others = now["datagrams_empty"]
            return now["datagrams_received"] - others + now["socket_drops"] == load.sent and now

        now = wait_until(received, lambda: f"{load.sent} datagrams: {ask(ctl, 'stats')}")
        counted = now["datagrams_accepted"] - now["datagrams_empty"]
        print(f"upgraded in {seconds:.1f} s under load: {load.sent} datagrams sent, "
              f"{now['socket_drops']} dropped, {counted} counted; "
              f"{len(reader.counts)} reads, stale for at most {1000 * reader.stale_for:.0f} ms")
        self.assertEqual((now["socket_drops"], counted), (0, load.sent))
        self.assertEqual(set(reader.counts), {VISITORS})
        self.assertGreater(now["heartbeats_refreshed"], stats["heartbeats_refreshed"])
        for service, pid in before.items():
            self.assertNotEqual(main_pid(service), pid, f"{service} was not restarted")
        self.assertFalse(any(is_active(service) for service in set(SERVICES) - set(self.services)))
        self.assertEqual(ask(ctl, "peak", SITE)["ever"], peak)
        self.assertEqual(self.minutes()[:len(recorded)], recorded)
        minutes = ask(ctl, "history", SITE)["history"]
        self.assertEqual({minute["maximum"] for minute in minutes[1:]}, {VISITORS})
        self.assertEqual(ask("/usr/bin/presencectl", "status")["scopes_capacity"], 5000)
        for service in set(self.services) & set(ADDED):
            with open(configuration(service)) as file:
                self.assertIn(ADDED[service], file.read())

    def remove(self, bare):
        apt("remove", "presence")
        self.assertFalse(any(is_active(service) for service in SERVICES))
        left = files() - bare
        print("left by removal:", *sorted(left))
        for path in left:
            self.assertRegex(path, r"^/(etc|var/lib/presence)(/|$)")
        self.assertLessEqual({"/etc/presence/presenced.conf", "/etc/presence/keys",
                              "/var/lib/presence/history.db"}, left)
        apt("purge", "presence")
        print("left by the purge:", *sorted(files() - bare))
        self.assertEqual(files() - bare, set())

    def minutes(self):
        """What the recorder has stored, but for the minute that is still running."""
        if not os.path.exists("/var/lib/presence/history.db"):
            return []
        done = ask("/usr/bin/presencectl", "history", SITE, "--database", "/var/lib/presence/history.db")
        return done["history"][:-1]


if __name__ == "__main__":
    # harness.py has entered a network of its own. Go back to the services'.
    with open("/proc/1/ns/net") as network:
        assert ctypes.CDLL(None).setns(network.fileno(), NAMESPACES["net"]) == 0
    unittest.main(argv=sys.argv[:1])
