"""Connections to real engines: users and passwords, a frozen and a dead one, one that comes back, names
without a name server, Sentinels that fail over, a cluster that moves keys."""

import errno
import os
import subprocess
import time
import unittest

from engine import Cluster, RedisServer, Sentinels
from harness import BUILD, DEADLINE, Case, wait_until
from name_server import NameServer

KEY = "{presence}:groups"
PATIENCE_MS = 60000
LATE = 20.0  # seconds that a busy machine may take more


class Link:
    """A running engine_call."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "tests/e2e/engine_call"), *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def call(self, *words, patience_ms=PATIENCE_MS):
        """One command; returns its result, 0 or a negative errno. `said` is then the reply or the
        problem, `connections` how many there were, `took` the seconds."""
        self.process.stdin.write(" ".join(map(str, (patience_ms, *words))) + "\n")
        self.process.stdin.flush()
        result, connections, took, self.said = self.process.stdout.readline().split(" ", 3)
        self.connections, self.took = int(connections), int(took) / 1000
        return int(result)

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=DEADLINE)
        self.process.stdout.close()


class EngineLink(Case):
    def link(self, *arguments):
        link = Link(*arguments)
        self.addCleanup(link.end)
        return link

    def ended(self, engine):
        self.addCleanup(engine.ensure_ended)
        return engine

    def password(self, text):
        path = os.path.join(self.directory, f"password-{len(os.listdir(self.directory))}")
        with open(path, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text + "\n")
        return path

    def test_users_and_passwords(self):
        server = self.ended(RedisServer(
            self.directory, password="secret", acl=("reader on >other ~{presence}:* +hget",)))
        right, wrong, other = map(self.password, ("secret", "wrong", "other"))
        for arguments, words, result, said in (
                ((right,), ("SET", KEY, 1), 0, "OK"),
                ((right, "default"), ("SET", KEY, 1), 0, "OK"),
                ((wrong,), ("PING",), -errno.EACCES, "WRONGPASS"),
                ((right, "reader"), ("PING",), -errno.EACCES, "WRONGPASS"),
                ((other, "reader"), ("HGET", "{presence}:x", "a"), 0, "(nothing)"),
                ((other, "reader"), ("HGET", "x", "a"), 0, "NOPERM"),
                ((), ("PING",), -errno.EACCES, "--password-file")):
            for url in server.url, server.unix_url:
                with self.subTest(url=url, arguments=arguments):
                    link = self.link(url, *arguments)
                    self.assertEqual(link.call(*words), result, link.said)
                    self.assertIn(said, link.said)
        link = self.link(self.ended(RedisServer(self.directory)).url, right)
        self.assertEqual(link.call("PING"), -errno.EACCES)
        self.assertIn("without any password", link.said)

    def test_frozen_dead_and_back(self):
        server = self.ended(RedisServer(self.directory))
        links = [self.link(server.url), self.link(server.unix_url)]
        for link in links:
            self.assertEqual(link.call("SET", KEY, 1), 0, link.said)
        server.freeze()
        for link in links:
            for _ in range(2):  # on the connection, and while it is made again
                self.assertEqual(link.call("PING", patience_ms=300), -errno.ETIMEDOUT)
                self.assertIn("does not answer", link.said)
                self.assertGreaterEqual(link.took, 0.3)
                self.assertLess(link.took, 0.3 + LATE)
        server.thaw()
        for link in links:
            self.assertEqual(link.call("GET", KEY), 0, link.said)
        server.kill()
        for link in links:
            wait_until(lambda: link.call("PING") == -errno.ECONNREFUSED, lambda: link.said)
            self.assertIn("is the engine running", link.said)
        server.start()
        for link in links:
            before = link.connections
            self.assertEqual(link.call("GET", KEY), 0, link.said)
            self.assertEqual((link.said.strip(), link.connections), ("(nothing)", before + 1))

    def test_too_many_clients(self):
        server = self.ended(RedisServer(self.directory))
        with server.client() as client:
            self.assertEqual(client.call("CONFIG", "SET", "maxclients", 1), "OK")
            link = self.link(server.url)
            self.assertIn("max number of clients", (link.call("PING"), link.said)[1])

    @unittest.skipIf(os.geteuid(), "needs root, for a network of its own")
    def test_names(self):
        server = self.ended(RedisServer(self.directory))
        names = NameServer({"redis.example": ["127.0.0.2", "127.0.0.1"]})
        self.addCleanup(names.close)
        link = self.link(f"redis://redis.example:{server.port}")
        self.assertEqual(link.call("PING"), 0, link.said)  # at the second of its addresses
        self.assertEqual(link.call("QUIT"), 0)
        names.silent = True
        begun = time.monotonic()
        for _ in range(3):
            wait_until(lambda: link.call("PING", patience_ms=200) == -errno.ETIMEDOUT,
                       lambda: link.said)
            self.assertLess(link.took, 0.2 + LATE)
            self.assertIn("can't be looked up", link.said)
        self.assertGreaterEqual(time.monotonic() - begun, 0.6)
        names.silent = False
        wait_until(lambda: link.call("PING") == 0, lambda: link.said)
        other = self.link(f"redis://nobody.example:{server.port}")
        self.assertEqual(other.call("PING"), -errno.EHOSTUNREACH)
        self.assertIn("nobody.example", other.said)
        both = self.link(f"redis://nobody.example:{server.port},localhost:{server.port}")
        self.assertEqual(both.call("PING"), 0, both.said)

    def test_sentinels(self):
        sentinels = self.ended(Sentinels(self.directory, password="secret",
                                         sentinel_password="secret"))
        link = self.link(sentinels.url, self.password("secret"))
        self.assertEqual(link.call("SET", KEY, "before"), 0, link.said)
        sentinels.sentinels[0].kill()
        new = sentinels.fail_over()
        wait_until(lambda: link.call("SET", KEY, "after") == 0, lambda: link.said)
        self.assertEqual(new.call("GET", KEY), "after")
        unknown = self.link(sentinels.url + "x", self.password("secret"))
        results = {unknown.call("PING"), unknown.call("PING")}
        self.assertLessEqual(results, {-errno.EHOSTUNREACH, -errno.ECONNREFUSED})

    def test_a_replica_is_no_master(self):
        first = self.ended(RedisServer(self.directory))
        second = self.ended(RedisServer(self.directory, "--replicaof", first.host, str(first.port)))
        link = self.link(f"{second.url},{first.host}:{first.port}")
        wait_until(lambda: second.info("replication", "master_link_status") == "up", "a replica")
        self.assertEqual(link.call("SET", KEY, 1), -errno.EROFS)
        self.assertEqual(link.call("SET", KEY, 1), 0, link.said)  # the other one

    def test_a_cluster(self):
        cluster = self.ended(Cluster(self.directory))
        owner = cluster.owner()
        others = [node for node in cluster.nodes if node is not owner]
        links = [self.link(node.url) for node in cluster.nodes]
        for link in links:
            self.assertEqual(link.call("SET", KEY, 1), 0, link.said)
        cluster.move(others[0])
        for link in links:
            self.assertEqual(link.call("GET", KEY), 0, link.said)
            self.assertEqual(link.said.strip(), "1")
        link = self.link(cluster.url)
        others[1].kill()
        wait_until(lambda: link.call("SET", KEY, 2) == -errno.EAGAIN, lambda: link.said)
        self.assertIn("CLUSTERDOWN", link.said)
        others[1].start()
        wait_until(lambda: link.call("SET", KEY, 2) == 0, lambda: link.said)


if __name__ == "__main__":
    unittest.main()
