"""Machines of a site: each a network namespace with an address on one network and a loopback of its own,
so that every program has the ports that the documents give it. The test itself is on that network, too,
as the site's visitors. Needs root.
"""

import contextlib
import json
import os
import subprocess

from harness import DEADLINE, Collector, new_namespace, program, wait_until

VISITORS = "10.0.0.1"  # the test's own address
BRIDGE = "network"


def ip(*words, prefix=()):
    """Run ip(8); returns what its JSON says, if anything."""
    done = subprocess.run([*prefix, "ip", "-json", *words], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(words)}: {done.stderr}")
    return json.loads(done.stdout) if done.stdout.strip() else None


class Machine:
    """One machine, until the context ends."""

    def __init__(self, address, directory):
        self.address = address
        self.directory = os.path.join(directory, address)
        self.link = f"to-{address.rpartition('.')[2]}"
        self.segment = os.path.join(self.directory, "shm", "segment")

    def __enter__(self):
        os.mkdir(self.directory)
        with contextlib.ExitStack() as stack:
            holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
            stack.callback(holder.wait)
            stack.callback(holder.kill)
            mine = os.readlink("/proc/self/ns/net")
            wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine, "the namespace")
            self.prefix = ("nsenter", "--net", "--target", str(holder.pid))
            ip("link", "set", "lo", "up", prefix=self.prefix)
            ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns",
               str(holder.pid))
            ip("link", "set", self.link, "master", BRIDGE, "up")
            ip("address", "add", f"{self.address}/24", "dev", "eth0", prefix=self.prefix)
            ip("link", "set", "eth0", "up", prefix=self.prefix)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def ip(self, *words):
        return ip(*words, prefix=self.prefix)

    def write(self, name, text, mode=0o644):
        """Write a file of this machine and return its path."""
        path = os.path.join(self.directory, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w",
                  encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def log(self, name):
        return os.path.join(self.directory, f"{name}.log")

    def said(self, name):
        """Return what a program has written to its log, if it has been started."""
        if not os.path.exists(self.log(name)):
            return ""
        with open(self.log(name), encoding="utf-8") as file:
            return file.read()

    def run(self, command, name):
        """Start a program that runs until the machine ends; returns the process."""
        log = self.stack.enter_context(open(self.log(name), "a", encoding="utf-8"))
        return self.stack.enter_context(program([*self.prefix, *command], stdout=log, stderr=log))

    def shell(self, text, environment=None):
        """Run a block of a document, and return what it prints."""
        done = subprocess.run(
            [*self.prefix, "bash", "-euc", text], cwd=self.directory, stdin=subprocess.DEVNULL,
            env={**os.environ, "PRESENCE_SEGMENT": self.segment, **(environment or {})},
            capture_output=True, text=True, timeout=DEADLINE, check=False)
        if done.returncode:
            raise AssertionError(f"{text}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def collector(self, *arguments):
        """Start a collector here, which listens where its arguments say."""
        return Collector(self.segment, *arguments, listen=None, prefix=self.prefix)


class Network(contextlib.ExitStack):
    """The network, on which machines are put."""

    def __init__(self, directory):
        super().__init__()
        self.directory = directory

    def __enter__(self):
        super().__enter__()
        self.enter_context(new_namespace("net"))
        ip("link", "set", "lo", "up")
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("address", "add", f"{VISITORS}/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        return self

    def machine(self, address):
        return self.enter_context(Machine(address, self.directory))
