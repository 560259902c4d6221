"""The collector as it is shipped: installed, stripped, confined, with the unit's capabilities, beyond
every capacity and over the turn of a minute, an hour and a day; and the system calls it makes."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import harness
from harness import (
    BUILD, DEADLINE, Case, clock_ahead, native, visitor, wait_until,
)

SITE = "shipped.example"
SOURCES = os.path.join(os.path.dirname(__file__), "../..")
CAPABILITIES = "-all,+bpf,+net_admin,+net_bind_service,+perfmon"
# presenced.service: User, AmbientCapabilities, CapabilityBoundingSet, NoNewPrivileges.
UNIT = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
        *(f"--{kind}={CAPABILITIES}" for kind in ("inh-caps", "ambient-caps", "bounding-set")))
DAY = 86400  # seconds of the tick: the turn of a day is one of an hour and a minute, too


def install(directory):
    """Install the build, stripped; returns the paths of all files by name."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--strip", "--quiet",
                    "--destdir", directory], check=True, capture_output=True, timeout=4 * DEADLINE)
    found = {}
    for path, _, files in os.walk(directory):
        found |= {name: os.path.join(path, name) for name in files}
    return found


def allowed_calls(privileges):
    """The names in a program's filter, those of sanitizers left out."""
    calls = set()
    for path in "lib/common/confine_listed.c", privileges:
        with open(os.path.join(SOURCES, path)) as file:
            text = re.sub(r"#ifdef PRIVILEGES_SANITIZED.*?#(else|endif)", "", file.read(), flags=re.S)
        rules = re.search(r" allowed_calls\[\].*?};", text, re.S)[0] + text[text.index("_rules("):]
        calls |= set(re.findall(r"SCMP_SYS\((\w+)\)", rules))
    return calls


def calls_made(trace):
    """Names of the system calls after the filter was on, and how often each was made."""
    calls, confined = {}, False
    with open(trace) as file:
        for line in file:
            confined |= bool(re.search(r"seccomp\(SECCOMP_SET_MODE_FILTER.* = 0$", line))
            call = re.match(r"\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", line)
            if confined and call and "seccomp" not in call[1]:
                calls[call[1]] = calls.get(call[1], 0) + 1
    return calls


def check_calls(case, program, made, allowed):
    """Show the system calls that a confined program made, and check that all are allowed."""
    print(f"system calls of a confined {program} (made: times, allowed: -)")
    for name in sorted(made.keys() | allowed):
        print(f"  {name:20} {made.get(name, '-'):>8} {'' if name in allowed else 'NOT ALLOWED'}")
    case.assertGreater(sum(made.values()), 100)
    case.assertEqual(made.keys() - allowed, set())


@unittest.skipIf(os.geteuid(), "needs root, for the unit's capabilities and time namespaces")
class Shipped(Case):
    @classmethod
    def setUpClass(cls):
        cls.installed = tempfile.mkdtemp(prefix="presence-shipped-")
        cls.addClassCleanup(shutil.rmtree, cls.installed)
        os.chmod(cls.installed, 0o755)
        installed = install(cls.installed)
        for name in "presenced", "presencectl":
            patch = mock.patch.object(harness, name.upper(), installed[name])
            patch.start()
            cls.addClassCleanup(patch.stop)

    def setUp(self):
        super().setUp()
        self.let_anybody_in()

    def run_shipped(self, engine, *arguments, **keywords):
        return self.start("--receive", engine, "--warm-up", "0", *arguments, small=False,
                          prefix=(*keywords.pop("prefix", ()), *UNIT), **keywords)

    def crowd(self, collector, first, rooms, site=SITE, **labels):
        """A visitor in each of so many rooms."""
        for number in range(first, first + rooms):
            self.send(collector, native(site, [visitor(number)], room=f"/{number}", **labels))
        self.sent += rooms

    def wait_tick(self, tick):
        wait_until(lambda: self.json("status")["listening_for_s"] >= tick, "time to pass")

    def reload(self, collector, keys, text, line, pid=None):
        with open(keys, "w") as file:
            file.write(text)
        before = collector.output()
        os.kill(pid or collector.process.pid, signal.SIGHUP)
        wait_until(lambda: re.search(line, collector.output()[len(before):]), f"'{line}' in the log")

    def test_defaults_beyond_their_histories(self):
        """1,200 pages of one site and a busy one more, then the minute, hour and day turn."""
        for engine in "io_uring", "recvmmsg":
            with self.subTest(engine=engine), clock_ahead(self.seconds_before_a_day(4)):
                self.segment, self.sent = os.path.join(self.directory, engine), 0
                collector = self.run_shipped(engine)
                self.crowd(collector, 0, 1200)
                self.send(collector, native(SITE, [visitor(5000 + i) for i in range(60)],
                                            room="/busy"))
                self.sent += 1
                self.wait_received(self.sent)
                self.wait_tick(6)
                self.assertEqual(self.count(SITE), 1260)
                self.crowd(collector, 2000, 20, site="other.example")
                self.wait_received(self.sent)
                self.assertEqual(self.count("other.example"), 20)
                wait_until(lambda: self.ctl("history", SITE, "/busy")[0] == 0,
                           "the busiest room to have a history")
                self.assertEqual(collector.stop(), 0)

    @staticmethod
    def seconds_before_a_day(seconds):
        now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        return 2 * DAY - now % DAY - seconds

    def test_beyond_every_capacity(self):
        """Scopes, rooms of a site, histories, events, entries, keys, senders; a lost segment."""
        for engine in "io_uring", "recvmmsg":
            with self.subTest(engine=engine), clock_ahead(self.seconds_before_a_day(3)):
                self.exceed(engine)

    def exceed(self, engine):
        self.segment, self.sent = os.path.join(self.directory, engine + "-small"), 0
        keys = os.path.join(self.directory, "keys")
        good = "".join(f"{number} {number:032x}\n" for number in range(1, 256))
        with open(keys, "w") as file:
            file.write(good)
        os.chmod(keys, 0o600)
        os.chown(keys, 65534, 65534)
        collector = self.run_shipped(
            engine, "--workers", "2", "--max-scopes", "240", "--max-entries", "600",
            "--max-histories", "150", "--events", "64", "--max-rooms-per-site", "60",
            "--sender-new", "100000", "--keys", keys, "--allow", "127.0.0.1")
        for number in range(600):
            self.text(collector, number)
        for number in range(300):  # each from a port of its own
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(f"PH1 site={SITE} visitor=s{number}".encode(),
                              ("127.0.0.1", collector.port))
        self.sent += 300
        self.wait_received(self.sent)
        self.reload(collector, keys, good + "256 " + "0" * 32 + "\n", "1 to 255")
        self.reload(collector, keys, good[:46 * 9], r"keys")
        self.wait_tick(5)
        os.unlink(self.segment)
        wait_until(lambda: os.path.exists(self.segment), "the segment to have its name again")
        for number in range(600, 700):
            self.text(collector, number)
        stats = self.wait_received(self.sent)
        for counter in ("site_rooms_full", "site_sources_full", "scopes_full", "table_full",
                        "events_thinned"):
            self.assertGreater(stats[counter], 0, counter)
        self.assertEqual(collector.stop(), 0)

    @staticmethod
    def end(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def text(self, collector, number):
        """A visitor with all labels, and one in ten leaves."""
        kind = "leave" if number % 10 == 9 else "pageview"
        self.send(collector, (f"PH1 site={SITE} visitor={number - number % 10} room=/{number} "
                              f"country=DE source=s{number} kind={kind}").encode(),
                  f"PH1 site=site-{number % 300}.example visitor={number}".encode())
        self.sent += 2

    def test_the_system_calls(self):
        """All that are really made, beside those that are allowed."""
        made, allowed = {}, allowed_calls("daemon/privileges.c")
        for engine in "io_uring", "recvmmsg":
            trace = os.path.join(self.directory, f"trace-{engine}")
            with clock_ahead(self.seconds_before_a_day(6)):
                self.segment, self.sent = os.path.join(self.directory, "traced-" + engine), 0
                keys = os.path.join(self.directory, "keys-" + engine)
                with open(keys, "w") as file:
                    file.write("1 " + "1" * 32 + "\n")
                os.chmod(keys, 0o600)
                os.chown(keys, 65534, 65534)
                collector = self.run_shipped(
                    engine, "--keys", keys, "--allow", "127.0.0.1", "--max-entries", "2000",
                    "--max-scopes", "400", "--max-histories", "300", "--events", "64",
                    prefix=("strace", "-f", "-qq", "-s", "8", "-o", trace))
                for number in range(500):
                    self.text(collector, number)
                    if number % 50 == 0:
                        self.wait_received(self.sent - 60)
                # strace passes no signal on, and ends with what it runs
                child = subprocess.run(["pgrep", "-P", str(collector.process.pid)],
                                       capture_output=True, text=True, check=True)
                traced = int(child.stdout)
                self.addCleanup(self.end, traced)
                self.reload(collector, keys, "1 " + "2" * 32 + "\n", "reloaded", traced)
                self.wait_tick(8)
                os.unlink(self.segment)
                wait_until(lambda: os.path.exists(self.segment), "the segment to be there again")
                os.kill(traced, signal.SIGTERM)
                self.assertEqual(collector.process.wait(timeout=DEADLINE), 0)
                self.assertEqual(collector.stop(), 0)
            for name, times in calls_made(trace).items():
                made[name] = made.get(name, 0) + times
        check_calls(self, "presenced", made, allowed)


if __name__ == "__main__":
    unittest.main()
