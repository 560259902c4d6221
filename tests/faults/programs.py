"""The programs of a world, as a service manager keeps them: started, ended by the harness alone, started
again with the sockets that they have stored. An end that nobody asked for is a failure."""

import ctypes
import os
import re
import resource
import signal
import subprocess
import time

from harness import (
    BUILD, PRESENCE_RECORDER, PRESENCE_SEND, PRESENCED, asan_options, count_descriptors, freeze, wait_until,
)
from service_manager import ServiceManager

PATHS = {
    "collector": PRESENCED, "recorder": PRESENCE_RECORDER, "send": PRESENCE_SEND,
    **{name: os.path.join(BUILD, f"tools/presence-{name}/presence-{name}")
       for name in ("relay", "publisher", "web", "exporter")},
}
READY = {"collector": "presenced: ready", "relay": "presence-relay: ready", "web": "listening on",
         "publisher": "publishing shard", "exporter": "listening on", "recorder": "recording",
         "send": ""}
ENDING = 20.0  # seconds that a program may take to end
# No program may say any of this.
CRASHED = re.compile(r"Sanitizer|runtime error:|Assertion|assertion failed|stack smashing|double free|"
                     r"corrupted|terminate called|the system call \d")
CLONE_NEWTIME = 0x80
CLOCK_OFF = os.path.abspath(os.path.join(BUILD, "tests/e2e/clock_off.so"))


class Crashed(AssertionError):
    """A program ended by itself, said that it is broken, or did not end when it was told to."""


def die_with_parent(how=signal.SIGKILL):
    """Let this process end when the one that has started it does (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, how, 0, 0, 0)


def enter_clock(ahead):
    """Return what makes a child's CLOCK_BOOTTIME be so many seconds ahead, between fork and exec."""
    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWTIME) != 0:
            raise OSError(ctypes.get_errno(), "no time namespace")
        with open("/proc/self/timens_offsets", "w") as offsets:
            offsets.write(f"boottime {ahead} 0\n")
        with open("/proc/self/ns/time_for_children") as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWTIME) != 0:
                raise OSError(ctypes.get_errno(), "cannot enter the time namespace")

    return enter


class Service:
    """A program of ours. `options` is a dictionary, of lists where an option is given repeatedly."""

    def __init__(self, world, role, name, options, stored=False):
        self.world, self.role, self.name, self.options = world, role, name, dict(options)
        self.directory = os.path.join(world.directory, name)
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o755)
        self.log = os.path.join(self.directory, "log")
        self.said_before = 0  # bytes of the log when it was last started
        self.manager = ServiceManager(self.directory) if stored else None
        self.process, self.state, self.stdin = None, "down", subprocess.DEVNULL
        self.ahead, self.environment = 0, {}
        self.ends_by_itself = False  # it may, since it lacks something
        self.begun, self.longest = 0.0, 0.0  # when it was last started; its longest life that was not cut short
        self.wall_clock = os.path.join(self.directory, "wall-clock")  # seconds that it is off
        if world.plan.clocks:
            with open(self.wall_clock, "wb") as file:
                file.write(bytes(8))
            self.environment = {"LD_PRELOAD": CLOCK_OFF, "CLOCK_OFF_FILE": self.wall_clock}

    def command(self):
        words = [PATHS[self.role]]
        for name, value in self.options.items():
            for one in value if isinstance(value, list) else [value]:
                words += [f"--{name}", str(one)]
        return words

    def preparation(self, limits):
        """Return what a child has to do between fork and exec; None, which is a lot cheaper: nothing."""
        if not self.ahead and not limits:
            return None
        enter = enter_clock(self.ahead) if self.ahead else lambda: None

        def prepare():
            die_with_parent()
            enter()
            for kind, limit in limits:
                resource.setrlimit(kind, (limit, limit))

        return prepare

    def begin(self, limits=()):
        """Start it, without waiting until it is ready. `limits` are of resource.setrlimit."""
        prepare = self.preparation(limits)
        prefix = () if prepare else ("setpriv", "--pdeathsig", "KILL")
        keywords = self.manager.keywords(prefix) if self.manager else {"prefix": prefix}
        with open(self.log, "ab") as log:
            self.said_before = log.tell()
            self.process = subprocess.Popen(
                [*keywords.pop("prefix"), *self.command()], stdin=self.stdin, stdout=log, stderr=log,
                preexec_fn=prepare, pass_fds=keywords.pop("descriptors", ()),
                env={**os.environ, **asan_options("detect_leaks=0"), **keywords.pop("environment", {}),
                     **self.environment})
        self.state, self.begun = "starting", time.monotonic()

    def output(self, since=0):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(since)
            return log.read()

    def is_ready(self):
        if self.state == "starting":
            self.check()
            if re.search(READY[self.role], self.output(self.said_before)):
                self.state = "up"
        return self.state == "up"

    def check(self):
        """Fail if it has ended by itself."""
        if self.state != "down" and self.process.poll() is not None and not (
                self.ends_by_itself and self.process.returncode == 1):
            raise Crashed(f"{self.name} ended with {self.process.returncode}: "
                          f"{self.output(self.said_before)[-3000:]}")

    def end(self, how=signal.SIGTERM, failing=False):
        """End it and wait for that. `failing`: it may lack something, and say so."""
        self.check()
        if self.state == "down":
            return
        if self.state == "frozen" and how != signal.SIGKILL:
            self.process.send_signal(signal.SIGCONT)
        starting = self.state == "starting"  # it may not yet handle signals
        self.process.send_signal(how)
        try:
            status = self.process.wait(timeout=ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.state = "down"
            raise Crashed(f"{self.name} did not end in {ENDING} s: {self.output()[-3000:]}") from None
        self.state = "down"
        if status == 0:
            self.longest = max(self.longest, time.monotonic() - self.begun)
        if status != (0 if how == signal.SIGTERM else -how) and not (
                starting and status == -how or failing and status == 1):
            raise Crashed(f"{self.name} ended with {status} on signal {how}: {self.output()[-3000:]}")

    def wait_over(self):
        """Wait until it has ended by itself, as it should; or with 1, and it has said why."""
        status = self.process.wait(timeout=ENDING)
        self.state = "down"
        if status and not (status == 1 and self.output(self.said_before)):
            raise Crashed(f"{self.name} ended with {status}: {self.output()[-3000:]}")

    def wait_refused(self, statuses=(1,)):
        """Wait until it has ended by itself, since it lacks something. Returns False if it is ready all
        the same."""
        def is_over():
            return self.process.poll() is not None or re.search(READY[self.role],
                                                                self.output(self.said_before))

        wait_until(is_over, f"{self.name} to end", ENDING)
        if self.process.poll() is None:
            self.state = "up"
            return False
        self.note_refused(statuses)
        return True

    def note_refused(self, statuses=(1,)):
        """It has ended by itself: exit 1, with a line that says what it lacks."""
        self.state = "down"
        if self.process.returncode not in statuses or not self.output(self.said_before).strip():
            raise Crashed(f"{self.name} ended with {self.process.returncode}, and not with 1 and a line: "
                          f"{self.output(self.said_before)}")

    def freeze(self):
        self.check()
        freeze(self.process)
        self.state = "frozen"

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self.state = "up"

    def limit(self, kind, limit):
        """Set a soft limit of the running program; returns the one before."""
        before = resource.prlimit(self.process.pid, kind)
        resource.prlimit(self.process.pid, kind, (limit, before[1]))
        return before[0]

    def open_files(self):
        return count_descriptors(self.process)

    def own_memory(self):
        """Bytes of memory that are its own: not files, nor the segment."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) * 1024

    def address_space(self):
        """Bytes, as RLIMIT_AS has them."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmSize:\s+(\d+) kB", status.read())[1]) * 1024

    def close(self):
        """End it, however it is, and look at all that it has ever said."""
        try:
            if self.state != "down":
                self.end()
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.manager:
                self.manager.close()
        found = CRASHED.search(self.output()) if os.path.exists(self.log) else None
        if found:
            raise Crashed(f"{self.name} said {found[0]!r}: {self.output()[-6000:]}")
