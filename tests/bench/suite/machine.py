"""Programs and their cost: start, pin, account and end them."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("PRESENCE_BUILD", "build/release")
DEADLINE = 30
PROCESSORS = sorted(os.sched_getaffinity(0))
SENDER = {PROCESSORS[0]}  # where clients run, and where the servers that are measured do
RECEIVER = {PROCESSORS[-1]}


class Failure(Exception):
    """A failure whose text is for the user."""


def bench(name):
    return os.path.join(BUILD, "tests/bench", name)


def tool(name):
    return os.path.join(BUILD, "tools", name, name)


PRESENCED = os.path.join(BUILD, "daemon/presenced")


def report(what):
    """Print on stderr what is being done."""
    if sys.stderr.isatty():
        print(f"\r{what[:78]:78}", end="", file=sys.stderr, flush=True)
    else:
        print(what, file=sys.stderr)


def report_clear():
    if sys.stderr.isatty():
        print("\r" + " " * 78 + "\r", end="", file=sys.stderr)


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {deadline} s in vain for {what}")
        time.sleep(0.01)


def cpu_seconds(pid):
    """Return the CPU time of all threads of a process (sched-stats in the kernel's documentation)."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
            total += int(stat.read().split()[0])
    return total / 1e9


def udp_sockets(port):
    """Return (bytes queued, datagrams dropped) of the UDP sockets of that port; None if there is
    none. /proc/net/udp, see proc(5)."""
    found = []
    with open("/proc/net/udp") as table:
        for line in list(table)[1:]:
            fields = line.split()
            if int(fields[1].split(":")[1], 16) == port:
                found.append((int(fields[4].split(":")[1], 16), int(fields[-1])))
    return tuple(map(sum, zip(*found))) if found else None


def memory_of(pid):
    """Return bytes of memory by kind, as VmRSS, RssAnon, RssFile and RssShmem of proc(5)."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return {name: int(fields[name].split()[0]) * 1024
            for name in ("VmRSS", "RssAnon", "RssFile", "RssShmem")}


def run_json(command, processors=SENDER):
    """Run a program that prints JSON objects, one a line; returns them. It must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          preexec_fn=lambda: os.sched_setaffinity(0, processors))
    if done.returncode:
        raise Failure(f"{' '.join(command)} ended with {done.returncode}: "
                      f"{(done.stderr or done.stdout).strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def become(user):
    """Return the arguments with which subprocess runs as that user; None: as the current one."""
    if not user:
        return {}
    account = pwd.getpwnam(user)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


class Server:
    """A program that runs until close(), with its output in a file and perhaps a directory in
    memory of its own."""

    running = []  # all that have not been closed

    def __init__(self):
        self.directory = self.process = self.log = None
        Server.running.append(self)

    def make_directory(self):
        self.directory = tempfile.mkdtemp(prefix="presence-bench-", dir="/dev/shm")
        return self.directory

    def start(self, command, is_ready, processors=None, user=None):
        """Run it, and wait until is_ready()."""
        self.name = os.path.basename(command[0])
        self.log = tempfile.TemporaryFile("w+")
        keywords = become(user)
        if processors:
            keywords["preexec_fn"] = lambda: os.sched_setaffinity(0, processors)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, **keywords)
        self.pid = self.process.pid

        def ready_or_dead():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with {self.process.returncode}: {self.output()}")
            return is_ready()

        wait_until(ready_or_dead, f"{self.name} to be ready")

    def output(self):
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            return log.read()

    def cpu_seconds(self):
        return cpu_seconds(self.pid)

    def close(self, how=signal.SIGTERM):
        Server.running.remove(self)
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.log:
            self.log.close()
        if self.directory:
            shutil.rmtree(self.directory)

    @classmethod
    def close_all(cls):
        for server in list(cls.running):
            server.close()


def describe():
    """Describe the machine of the figures."""
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if "model name" in line), "?")
    with open("/proc/meminfo") as info:
        memory = int(info.readline().split()[1]) * 1024
    return {
        "processor": model, "processors": len(PROCESSORS), "memory_bytes": memory,
        "kernel": os.uname().release, "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "load_before": os.getloadavg()[0],
    }
