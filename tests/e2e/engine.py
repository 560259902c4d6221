"""Redis or Valkey for tests: a server, Sentinels with a master and a replica, and a cluster."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import DEADLINE, free_port, freeze, wait_until

SERVER = shutil.which("redis-server") or shutil.which("valkey-server") or "redis-server"
MASTER = "visitors"  # as the Sentinels call it
DOWN_AFTER_MS = 4000  # for which a node must be silent until the others call it down, a busy one, too


class EngineError(Exception):
    """An error that the engine answered."""


class EngineClient:
    """A connection to a server's unix socket: it also works from another network namespace."""

    def __init__(self, path, password=None, user="default"):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.replies = self.socket.makefile("rb")
        if password:
            self.call("AUTH", user, password)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.replies.close()
        self.socket.close()

    def send(self, *words):
        """Send a command whose reply is read later."""
        message = b"*%d\r\n" % len(words)
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogateescape")
            message += b"$%d\r\n%s\r\n" % (len(word), word)
        self.socket.sendall(message)

    def reply(self):
        """One reply: text, a number, None, or a list of such. Errors in lists are returned."""
        answer = self.read()
        if isinstance(answer, EngineError):
            raise answer
        return answer

    def read(self):
        line = self.replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the engine has closed the connection")
        kind, rest = line[:1], line[1:-2].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return rest
        if kind == b"-":
            return EngineError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == "-1":
                return None
            return self.replies.read(int(rest) + 2)[:-2].decode("utf-8", "surrogateescape")
        if kind == b"*":
            return None if rest == "-1" else [self.read() for _ in range(int(rest))]
        raise AssertionError(f"no reply: {line!r}")

    def call(self, *words):
        """One command and its reply; an error is raised."""
        self.send(*words)
        return self.reply()


# Makes a user who may only read, with the password "first", as docs/engine.md does.
READER = ("ACL", "SETUSER", "reader", "on", ">first", "~{presence}:*", "+multi", "+exec", "+pttl", "+hmget", "+hgetall",
          "+role")


class RedisServer:
    """A running server without persistence, at a free port and at a unix socket. `options` are its
    own, such as ("--maxmemory", "5mb"). With a password, the default user needs it. `acl` are
    further users, such as "reader on >secret ~{presence}:* +@read". `prefix` starts it elsewhere,
    such as in a network namespace."""

    WITHOUT_FILES = "--save", "", "--appendonly", "no"

    def __init__(self, directory, *options, host="127.0.0.1", port=None, password=None, acl=(),
                 prefix=()):
        self.directory = tempfile.mkdtemp(prefix="redis-", dir=directory)
        self.host, self.port, self.password = host, port or free_port(), password
        self.path = os.path.join(self.directory, "socket")
        self.log = tempfile.TemporaryFile(mode="w+")
        self.command = [
            *prefix, *self.program(), "--bind", host, "--port", str(self.port), "--unixsocket", self.path,
            "--dir", self.directory, "--protected-mode", "no", *self.WITHOUT_FILES,
            *(("--requirepass", password) if password else ()), *options]
        for user in acl:
            self.command += ["--user", *user.split()]
        self.process = None
        try:
            self.start()
        except BaseException:
            self.ensure_ended()
            raise

    def program(self):
        return (SERVER,)

    def start(self):
        """Start it, empty, and wait until it answers."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        wait_until(self.answers, lambda: f"{SERVER} to answer: {self.output()}")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{SERVER} ended with {self.process.returncode}: {self.output()}")
        try:
            return self.call("PING") == "PONG"
        except (OSError, EngineError):
            return False

    def output(self):
        with open(f"/proc/self/fd/{self.log.fileno()}", encoding="utf-8", errors="replace") as log:
            return log.read()

    @property
    def url(self):
        return f"redis://{self.host}:{self.port}"

    @property
    def unix_url(self):
        return f"unix:{self.path}"

    def client(self):
        """A new connection; the caller closes it."""
        return EngineClient(self.path, self.password)

    def call(self, *words):
        """One command on a connection of its own."""
        with self.client() as client:
            return client.call(*words)

    def hash(self, key):
        """All fields of a hash; {} if it isn't there."""
        words = self.call("HGETALL", key)
        return dict(zip(words[::2], words[1::2]))

    def info(self, section, name):
        """One value of INFO, as text."""
        lines = dict(line.split(":", 1) for line in self.call("INFO", section).split("\r\n")
                     if ":" in line)
        return lines[name]

    def transactions(self):
        """How many it has carried out."""
        calls = re.search(r"cmdstat_exec:calls=(\d+)", self.call("INFO", "commandstats"))
        return int(calls[1]) if calls else 0

    def freeze(self):
        freeze(self.process)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """End it at once, with SIGKILL, frozen or not."""
        self.stop(signal.SIGKILL)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(timeout=DEADLINE)

    def restart(self, how=signal.SIGKILL):
        """End it and start it again, empty, at the same port."""
        self.stop(how)
        return self.start()

    def ensure_ended(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Nodes:
    """Several servers that end together."""

    def __init__(self):
        self.nodes = []

    def ensure_ended(self):
        for node in self.nodes:
            node.ensure_ended()


class SentinelServer(RedisServer):
    """A Sentinel of a master, which two must call down."""

    WITHOUT_FILES = ()

    def __init__(self, directory, master, number, password=None):
        self.configuration = os.path.join(directory, f"sentinel-{number}.conf")
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f"sentinel monitor {MASTER} {master.host} {master.port} 2\n"
                       f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
                       f"sentinel failover-timeout {MASTER} 6000\n")
            if master.password:
                file.write(f"sentinel auth-pass {MASTER} {master.password}\n")
        super().__init__(directory, password=password)

    def program(self):
        return SERVER, self.configuration, "--sentinel"


class Sentinels(Nodes):
    """A master, a replica and three Sentinels of theirs. `options` and the password are those of
    master and replica, `sentinel_password` is the Sentinels'."""

    def __init__(self, directory, *options, password=None, sentinel_password=None, acl=()):
        super().__init__()
        try:
            words = *options, *(("--masterauth", password) if password else ())
            first = self.add(RedisServer(directory, *words, password=password, acl=acl))
            self.add(RedisServer(directory, *words, "--replicaof", first.host, str(first.port),
                                 "--repl-diskless-sync-delay", "0", password=password, acl=acl))
            self.servers = self.nodes[:]
            self.sentinels = [self.add(SentinelServer(directory, first, number, sentinel_password))
                              for number in range(3)]
            wait_until(self.complete, "three Sentinels that know each other")
        except BaseException:
            self.ensure_ended()
            raise

    def add(self, node):
        self.nodes.append(node)
        return node

    def told(self, sentinel):
        """What a Sentinel says of the master: {name: value}."""
        words = sentinel.call("SENTINEL", "MASTER", MASTER)
        return dict(zip(words[::2], words[1::2]))

    def complete(self):
        return all(said["num-other-sentinels"] == "2" and said["num-slaves"] == "1"
                   and said["flags"] == "master" for said in map(self.told, self.sentinels)) \
            and self.servers[0].info("replication", "connected_slaves") == "1" \
            and self.servers[1].info("replication", "master_link_status") == "up"

    @property
    def url(self):
        hosts = ",".join(f"{sentinel.host}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis-sentinel://{hosts}/{MASTER}"

    def master(self):
        """The server that all living Sentinels call the master."""
        ports = {sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]
                 for sentinel in self.sentinels if sentinel.process.poll() is None}
        return next((server for server in self.servers if ports == {str(server.port)}), None)

    def fail_over(self, kill=True):
        """Kill the master, or have the Sentinels change it, and wait until the other one is.
        Returns the new one."""
        old = wait_until(self.master, "a master")
        if kill:
            old.kill()
        else:
            self.sentinels[0].call("SENTINEL", "FAILOVER", MASTER)
        new = next(server for server in self.servers if server is not old)
        wait_until(lambda: self.master() is new and new.call("ROLE")[0] == "master",
                   "the replica to be the master")
        return new


class Cluster(Nodes):
    """Three masters, each with a third of all slots. Options and password are those of each."""

    SLOTS = (0, 5460), (5461, 10922), (10923, 16383)

    def __init__(self, directory, *options, password=None, acl=()):
        super().__init__()
        try:
            for number, (first, last) in enumerate(self.SLOTS):
                node = RedisServer(
                    directory, "--cluster-enabled", "yes", "--cluster-config-file", "nodes",
                    "--cluster-node-timeout", str(DOWN_AFTER_MS), "--cluster-port",
                    str(free_port()), *options, password=password, acl=acl)
                self.nodes.append(node)
                node.call("CLUSTER", "ADDSLOTSRANGE", first, last)
                node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                self.nodes[0].call("CLUSTER", "MEET", node.host, node.port,
                                   node.command[node.command.index("--cluster-port") + 1])
            wait_until(self.complete, "the cluster to be complete")
        except BaseException:
            self.ensure_ended()
            raise

    def complete(self):
        """True if each node says that the cluster works, and knows all others."""
        return all({"cluster_state:ok", "cluster_known_nodes:3", "cluster_size:3"}
                   <= set(node.call("CLUSTER", "INFO").split("\r\n")) for node in self.nodes)

    @property
    def url(self):
        return "redis://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def owner(self, key="{presence}:groups"):
        """The node that has the key, as the first one says."""
        slot = self.nodes[0].call("CLUSTER", "KEYSLOT", key)
        for first, last, (_, port, *_), *_ in self.nodes[0].call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        return None

    def move(self, to, key="{presence}:groups"):
        """Move the key's slot, with all that is in it, to another node."""
        source, slot = self.owner(key), self.nodes[0].call("CLUSTER", "KEYSLOT", key)
        ids = {node: node.call("CLUSTER", "MYID") for node in (source, to)}
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
        auth = ("AUTH", to.password) if to.password else ()
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", to.host, to.port, "", 0, 10000, *auth, "KEYS", *keys)
        for node in (to, source, *(node for node in self.nodes if node not in ids)):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", ids[to])
