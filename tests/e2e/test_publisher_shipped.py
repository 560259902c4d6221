"""The publisher as it is shipped: installed, stripped, confined, as the unit's user and as root; names,
sockets and reconnects; and the system calls it makes. And the readers of what it has written."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from unittest import mock

import harness
import publisher
import web
from datagrams import native, native2, visitor
from engine import Cluster, RedisServer, Sentinels
from harness import DEADLINE, Case, wait_until
from name_server import NameServer
from publisher import Publisher, Shard
from service_manager import ServiceManager
from side_by_side import main
from test_shipped import SOURCES, allowed_calls, calls_made, check_calls, install

SITE = "shipped.example"
PASSWORD = "p\u00e4ss #1"
# presence-publisher.service: User, Group, SupplementaryGroups, CapabilityBoundingSet, NoNewPrivileges.
REDIS_GROUP = 65533
UNIT = ("setpriv", "--reuid=65534", "--regid=65534", f"--groups={REDIS_GROUP}", "--no-new-privs",
        "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")


@unittest.skipIf(os.geteuid(), "needs root, for the unit's user")
class Shipped(Case):
    @classmethod
    def setUpClass(cls):
        cls.installed = tempfile.mkdtemp(prefix="presence-shipped-")
        cls.addClassCleanup(shutil.rmtree, cls.installed)
        os.chmod(cls.installed, 0o755)
        paths = install(cls.installed)
        for module, name in (publisher, "presence-publisher"), (web, "presence-web"):
            patch = mock.patch.object(module, name.replace("-", "_").upper(), paths[name])
            patch.start()
            cls.addClassCleanup(patch.stop)
        cls.recorder = paths["presence-recorder"]

    def setUp(self):
        super().setUp()
        self.let_anybody_in()
        self.password = os.path.join(self.directory, "password")

    def begin(self, owner, traces=None):
        """Start the collector as the user who publishes. Publishers are traced into files whose paths
        are added to `traces`, if there is such a list."""
        self.owner, self.traces = owner, traces
        self.collector = self.start("--warm-up", "0", prefix=UNIT if owner else ())
        self.write_password(PASSWORD)
        self.manager = ServiceManager(self.directory)
        self.addCleanup(self.manager.close)
        os.chmod(self.manager.path, 0o777)

    def write_password(self, text):
        with open(self.password, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text + "\n")
        os.chown(self.password, self.owner, self.owner)

    @staticmethod
    def user(password):
        """The user that the manual makes."""
        with open(os.path.join(SOURCES, "tools/presence-publisher/presence-publisher.8.in"),
                  encoding="utf-8") as file:
            words = re.search(r"^ACL SETUSER (.*?)^\.RE", file.read(), re.M | re.S)[1]
        return words.replace("\\-", "-").replace(">PASSWORD", f">{password}")

    def redis(self, *arguments, **keywords):
        server = RedisServer(self.directory, *arguments, **keywords)
        self.addCleanup(server.ensure_ended)
        os.chmod(server.directory, 0o755)
        return server

    def publish(self, url, *arguments):
        prefix = UNIT if self.owner else ()
        if self.traces is not None:
            self.traces.append(os.path.join(self.directory, f"trace-{len(self.traces)}"))
            prefix = "strace", "-f", "-qq", "-s", "8", "-o", self.traces[-1], *prefix
        environment = {"NOTIFY_SOCKET": self.manager.path, "WATCHDOG_USEC": "30000000"}
        started = Publisher(self.segment, url, *arguments, prefix=prefix, environment=environment)
        self.addCleanup(started.ensure_ended)
        return started.wait_published()

    def count(self, number):
        """One more visitor."""
        self.send(self.collector, native(SITE, [visitor(number)], room=f"/{number}"))

    def wait_written(self, server, visitors):
        wait_until(lambda: (Shard(server).sites() or {}).get(SITE) == visitors,
                   lambda: f"{visitors} visitors: {Shard(server).state()}")

    def reload(self, pid, started, line):
        before = len(started.output())
        os.kill(pid, signal.SIGHUP)
        wait_until(lambda: re.search(line, started.output()[before:]),
                   lambda: f"{line!r} in {started.output()}")

    def pid_of(self, started):
        """strace passes no signal on, and ends with what it runs."""
        if self.traces is None:
            return started.process.pid
        child = subprocess.run(["pgrep", "-P", str(started.process.pid)], capture_output=True,
                               text=True, check=True)
        return int(child.stdout)

    def end(self, started, pid):
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(started.process.wait(timeout=DEADLINE), 0)
        self.assertEqual(started.stop(), 0)

    def names_and_reconnects(self):
        """A name that is looked up, an engine that comes back, and a password that changes."""
        names = NameServer({"redis.example": ["127.0.0.1"]})
        self.addCleanup(names.close)
        server = self.redis(password=PASSWORD)
        started = self.publish(f"redis://redis.example:{server.port}", "--password-file",
                               self.password)
        pid = self.pid_of(started)
        asked = names.asked
        self.count(1)
        self.wait_written(server, 1)
        # From 1 KB on libc's qsort makes a system call of its own.
        self.send(self.collector, *[native2(("streams.example", [visitor(1)], {}), stream=number, sequence=1)
                                    for number in range(1, 301)])
        wait_until(lambda: len(Shard(server).streams()) == 300, "300 streams")
        server.restart()
        self.count(2)
        self.wait_written(server, 2)
        self.assertGreater(names.asked, asked)
        self.reload(pid, started, "reloaded")
        self.write_password("another")
        server.call("CONFIG", "SET", "requirepass", "another")
        server.password = "another"
        self.reload(pid, started, "reloaded")
        server.call("CLIENT", "KILL", "TYPE", "normal")
        self.count(3)
        self.wait_written(server, 3)
        os.unlink(self.password)
        self.reload(pid, started, "cannot reload")
        names.silent = True
        server.password = PASSWORD
        server.restart()
        started.wait_logged("can't be looked up")
        names.silent = False
        self.write_password(PASSWORD)
        self.reload(pid, started, "reloaded")
        self.count(4)
        self.wait_written(server, 4)
        self.end(started, pid)
        self.assertEqual(Shard(server).state()["stale"], "1")
        for key in "READY", "STATUS", "RELOADING", "WATCHDOG", "STOPPING":
            self.manager.wait_said(key)
        server.ensure_ended()

    def socket_of_a_group(self):
        """Debian's redis has a socket that its group may use."""
        server = self.redis("--unixsocketperm", "770")
        os.chown(server.path, 0, REDIS_GROUP)
        started = self.publish(server.unix_url)
        pid = self.pid_of(started)
        self.wait_written(server, 4)
        server.stop()
        started.wait_logged(re.escape(server.path))
        server.start()
        os.chown(server.path, 0, REDIS_GROUP)
        self.wait_written(server, 4)
        self.end(started, pid)
        server.ensure_ended()

    def several_servers(self):
        """Sentinels that fail over, and a cluster that moves the keys."""
        sentinels = Sentinels(self.directory, acl=(self.user("secret"),))
        self.addCleanup(sentinels.ensure_ended)
        self.write_password("secret")
        started = self.publish(sentinels.url, "--user", "presence-publisher", "--password-file",
                               self.password)
        pid = self.pid_of(started)
        new = sentinels.fail_over()
        self.count(5)
        self.wait_written(new, 5)
        self.end(started, pid)
        sentinels.ensure_ended()
        cluster = Cluster(self.directory)
        self.addCleanup(cluster.ensure_ended)
        started = self.publish(cluster.url)
        pid = self.pid_of(started)
        owner = cluster.owner()
        self.wait_written(owner, 5)
        other = next(node for node in cluster.nodes if node is not owner)
        cluster.move(other)
        self.count(6)
        self.wait_written(other, 6)
        self.end(started, pid)
        cluster.ensure_ended()

    def test_as_the_units_user(self):
        self.begin(65534)
        self.names_and_reconnects()
        self.socket_of_a_group()
        self.several_servers()

    def test_as_root(self):
        self.begin(0)
        self.names_and_reconnects()

    def wait_for_clients(self, server, names):
        """Wait until all have connected anew, and two have looked up the name for that."""
        before = names.asked
        server.call("CLIENT", "KILL", "TYPE", "normal")
        wait_until(lambda: int(server.info("clients", "connected_clients")) >= 4,
                   "a publisher and two readers, beside ourselves")
        self.assertGreaterEqual(names.asked, before + 2)

    def test_readers(self):
        """presence-web and presence-recorder look up the engine's name again and again."""
        self.begin(65534)
        names = NameServer({"redis.example": ["127.0.0.1"]})
        self.addCleanup(names.close)
        server = self.redis()
        url = f"redis://redis.example:{server.port}"
        self.publish(url)
        self.count(1)
        # Of hosts(5), which no name server knows: libc asks one at 127.0.0.1 if it can read no file.
        reader = web.Web("--engine", f"redis://localhost:{server.port}", prefix=UNIT)
        self.addCleanup(reader.stop)
        kept = os.path.join(self.directory, "kept")
        os.mkdir(kept)
        os.chown(kept, 65534, 65534)
        recorder = self.enterContext(harness.program(
            [*UNIT, self.recorder, "--engine", url, "--database", os.path.join(kept, "totals.db")],
            stderr=subprocess.DEVNULL))
        path = f"/api/sites/{SITE}/live-user-count"
        wait_until(lambda: reader.get(path).json.get("count") == 1, lambda: reader.get(path).json)
        self.wait_for_clients(server, names)
        server.restart()
        self.count(2)
        wait_until(lambda: reader.get(path).json.get("count") == 2, lambda: reader.get(path).json)
        self.wait_for_clients(server, names)
        self.assertIsNone(recorder.poll())

    def test_the_system_calls(self):
        """All that are really made, beside those that are allowed."""
        made, traces = {}, []
        self.begin(65534, traces)
        self.names_and_reconnects()
        self.socket_of_a_group()
        self.several_servers()
        for trace in traces:
            for name, times in calls_made(trace).items():
                made[name] = made.get(name, 0) + times
        allowed = allowed_calls("tools/presence-publisher/privileges.c")
        check_calls(self, "presence-publisher", made, allowed)


if __name__ == "__main__":
    main()
