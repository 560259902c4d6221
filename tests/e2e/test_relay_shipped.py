"""The relay as it is shipped: installed, stripped, confined, with the unit's capabilities and without
any, beyond every capacity; and the system calls it makes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from unittest import mock

import presence_relay
from datagrams import native, native2, visitor
from harness import DEADLINE, wait_until
from presence_relay import RelayCase
from test_shipped import allowed_calls, calls_made, check_calls, install

SITE = "shipped.example"
CAPABILITIES = "-all,+net_admin,+net_bind_service"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
# presence-relay.service: User, AmbientCapabilities, CapabilityBoundingSet, NoNewPrivileges.
UNIT = (*NOBODY, *(f"--{kind}={CAPABILITIES}" for kind in ("inh-caps", "ambient-caps", "bounding-set")))
BARE = (*NOBODY, "--inh-caps=-all", "--bounding-set=-all")
USERS = ("unit", UNIT), ("user", BARE), ("root", ())
ENGINES = "io_uring", "recvmmsg"
LONG = bool(os.environ.get("TEST_LONG"))


@unittest.skipIf(os.geteuid(), "needs root, for the unit's capabilities")
class Shipped(RelayCase):
    @classmethod
    def setUpClass(cls):
        cls.installed = tempfile.mkdtemp(prefix="presence-shipped-")
        cls.addClassCleanup(shutil.rmtree, cls.installed)
        os.chmod(cls.installed, 0o755)
        patch = mock.patch.object(presence_relay, "PRESENCE_RELAY",
                                  install(cls.installed)["presence-relay"])
        patch.start()
        cls.addClassCleanup(patch.stop)

    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)
        self.sink = socket.socket(type=socket.SOCK_DGRAM)  # a collector that never reads
        self.addCleanup(self.sink.close)
        self.sink.bind(("127.0.0.1", 0))
        self.sender = socket.socket(type=socket.SOCK_DGRAM)
        self.addCleanup(self.sender.close)

    def give(self, path):
        owner = 0 if self.as_root else 65534
        os.chown(path, owner, owner)
        return path

    def configure(self, *lines):
        self.give(self.write("relay.conf", "".join(line + "\n" for line in lines)))

    def run_shipped(self, engine, prefix=UNIT, **keywords):
        return self.relay("--config", os.path.join(self.directory, "relay.conf"), "--receive", engine,
                          prefix=prefix, **keywords)

    def send(self, relay, *datagrams):
        for datagram in datagrams:
            self.sender.sendto(datagram, ("127.0.0.1", relay.relay_port))
        self.sent += len(datagrams)

    def wait_received(self, relay):
        """Prometheus' own parser would take a second for so many collectors."""
        def received():
            text = relay.get("/metrics")[2].decode()
            return sum(int(number) for number in re.findall(
                r"^presence_relay_(?:datagrams_received|socket_drops)_total (\d+)$", text, re.M))

        wait_until(lambda: received() >= self.sent, lambda: f"{received()} of {self.sent} datagrams")

    def targets(self):
        """All groups that there can be, with all shards: somebody, nobody, and no route."""
        yield f"to = sink=127.0.0.1:{self.sink.getsockname()[1]},[::1]:9"
        for group in range(14):
            addresses = [f"127.{group + 1}.0.{shard + 1}:9" for shard in range(64)]
            yield f"to = group-{group}={','.join(addresses[:8])},"
            for first in range(8, 64, 8):
                yield f" {','.join(addresses[first:first + 8])}{',' if first < 56 else ''}"
        yield "to = nowhere=240.0.0.1:9,[2001:db8::1]:9"

    def crowd(self, relay, streams):
        """Long names, all kinds, and what it rejects, from so many streams."""
        for number in range(streams):
            self.send(relay, (f"PH1 site={SITE} visitor={number} room=/{'r' * (number % 600)} "
                              f"country=DE source=s{number} kind=pageview").encode())
            self.send(relay, native2((SITE, [visitor(number)], {}), stream=number + 1, sequence=1))
            if number % 500 == 0:
                self.wait_received(relay)
        self.send(relay, native(SITE, [visitor(i) for i in range(64)]), b"", b"PH", b"PH\x07",
                  b"PH1 site=a.example", b"x" * 60000)
        self.wait_received(relay)

    def exceed(self, relay, key, pid):
        """Everything that makes a relay do something, twice."""
        def reload(line):
            before = len(relay.output())
            os.kill(pid, signal.SIGHUP)
            wait_until(lambda: line in relay.output()[before:], lambda: f"{line!r} in {relay.output()}")

        def regroup(groups):
            os.kill(pid, signal.SIGHUP)  # so many lines are logged that some are left out
            wait_until(lambda: relay.get("/metrics")[2].count(b"\npresence_relay_group_shards{") == groups,
                       f"{groups} groups")

        self.crowd(relay, 1500)  # more than it follows
        for accept in "text/plain", "application/openmetrics-text":
            for encoding in "gzip", "identity":
                status, _, body = relay.get("/metrics", Accept=accept, **{"Accept-Encoding": encoding})
                self.assertEqual((status, bool(body)), (200, True))
        self.assertEqual(relay.get("/nowhere")[0], 404)
        self.assertEqual(relay.get("/")[0], 200)
        relay.raw(b"GET /metrics HTTP/9.9\r\n\r\n")
        self.give(self.write("key", "2 " + "22" * 16 + "\n"))
        reload("signed with key 2")
        self.write("key", "2 " + "22" * 16 + "\n")  # root's, for root alone
        reload("--key-file" if not self.as_root else "reloaded")
        self.give(self.write("key", "\n" * 70000))
        reload("too long for a key file")
        self.give(self.write("key", "1 " + "11" * 16 + "\n"))
        self.configure(*self.shown, f"key-file = {key}", "hold = 3", "allow = 127.0.0.0/8", "no-such = 1")
        reload("no option 'no-such'")
        self.configure(f"key-file = {key}", "to = more=127.0.0.1:10,127.0.0.1:11", *self.shown[:1])
        regroup(2)
        os.unlink(os.path.join(self.directory, "relay.conf"))
        reload("No such file")
        self.configure(*self.shown, f"key-file = {key}")
        regroup(16)
        self.crowd(relay, 100)

    def begin(self):
        self.sent = 0
        key = self.give(self.write("key", "1 " + "11" * 16 + "\n"))
        self.shown = list(self.targets())
        self.configure(*self.shown, f"key-file = {key}")
        return key

    def test_beyond_every_capacity(self):
        for engine in ENGINES:
            for name, prefix in USERS if LONG or engine == ENGINES[0] else USERS[:1]:
                with self.subTest(engine=engine, user=name):
                    self.as_root = not prefix
                    key = self.begin()
                    relay = self.run_shipped(engine, prefix=("prlimit", "--nofile=8192", *prefix))
                    self.exceed(relay, key, relay.process.pid)
                    self.assertEqual(relay.stop(), 0)
                    self.assertIn("; accepted ", relay.ended_with)

    def test_the_system_calls(self):
        """All that are really made, beside those that are allowed."""
        made, allowed = {}, allowed_calls("tools/presence-relay/privileges.c")
        self.as_root = False
        for engine in ENGINES:
            key = self.begin()
            trace = os.path.join(self.directory, f"trace-{engine}")
            relay = self.run_shipped(engine, prefix=("prlimit", "--nofile=8192", "strace", "-f", "-qq",
                                                     "-s", "8", "-o", trace, *UNIT))
            # strace passes no signal on, and ends with what it runs
            child = subprocess.run(["pgrep", "-P", str(relay.process.pid)], capture_output=True,
                                   text=True, check=True)
            traced = int(child.stdout)
            self.exceed(relay, key, traced)
            os.kill(traced, signal.SIGTERM)
            self.assertEqual(relay.process.wait(timeout=4 * DEADLINE), 0)
            self.assertEqual(relay.stop(), 0)
            for name, times in calls_made(trace).items():
                made[name] = made.get(name, 0) + times
        check_calls(self, "presence-relay", made, allowed)


if __name__ == "__main__":
    unittest.main()
