"""A running presence-publisher, and what a shard has in the engine, for tests of many collectors."""

import os
import re
import signal
import subprocess
import tempfile

from harness import BUILD, DEADLINE, freeze, wait_until, with_defaults

PRESENCE_PUBLISHER = os.path.join(BUILD, "tools/presence-publisher/presence-publisher")
LIFETIME_MS = 7200000  # of keys, after each renewal


def run_publisher(*arguments, environment=None):
    """Run a presence-publisher that should end by itself; returns (exit status, stdout, stderr)."""
    done = subprocess.run(
        [PRESENCE_PUBLISHER, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=DEADLINE, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


class Shard:
    """What a shard has in an engine, which is a RedisServer. `owner()` of a Cluster is one."""

    def __init__(self, engine, group="A", shard=1):
        self.engine, self.group, self.shard = engine, group, shard
        self.key = f"{{presence}}:{group}:{shard}"

    def state(self):
        """All fields of its state; {}: there is none."""
        return self.engine.hash(self.key)

    def age_ms(self):
        """How old the state is, by the engine's clock."""
        return LIFETIME_MS - self.engine.call("PTTL", self.key)

    def owner(self):
        return self.engine.call("GET", f"{self.key}:owner")

    def sites(self, window=300):
        """{site: count}; None: the hash is not of the state's epoch."""
        return self.counts(f"{self.key}:{window}")

    def site(self, site, window=300):
        """The counts and marks of a site, {field: text}; {}: it has no key."""
        return self.counts(f"{self.key}:{window}:{site}")

    def counts(self, key):
        epoch = self.state().get("epoch")
        fields = self.engine.hash(key)
        if fields and fields.pop("", None) != epoch:
            return None
        return {name: int(value) if value.isdigit() else value for name, value in fields.items()}

    def streams(self):
        """Its streams: {(id, target): (age, heartbeats, expected, lost, and the last three 30 s
        ago)}."""
        lines = [line.split() for line in self.state().get("streams", "").splitlines()]
        return {(words[0], int(words[1])): tuple(map(int, words[2:])) for words in lines}

    def wait_for(self, condition, what):
        """Wait until condition(self) is true; returns self."""
        wait_until(lambda: condition(self), lambda: f"{what}: {self.state()}")
        return self


class Publisher:
    """A running presence-publisher of a segment. `arguments` are further options; the group is A
    unless they name another one. `prefix` starts it elsewhere, such as in a network namespace."""

    def __init__(self, segment, url, *arguments, prefix=(), environment=None):
        self.ended_with = ""  # its log, once it has ended
        self.log = tempfile.TemporaryFile(mode="w+")
        command = [*prefix, PRESENCE_PUBLISHER, "--segment", segment, "--engine", url,
                   *with_defaults(("--group", "A"), arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(environment or {})})

    def output(self):
        if self.log.closed:
            return self.ended_with
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            return log.read()

    def wait_logged(self, pattern, times=1):
        """Wait until its log has the pattern that many times."""
        def logged():
            found = re.findall(pattern, self.output())
            if len(found) < times and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.output()}")
            return len(found) >= times

        wait_until(logged, lambda: f"{pattern!r} {times} times in the log: {self.output()}")
        return self

    def wait_published(self):
        """Wait until it has published for the first time."""
        return self.wait_logged("publishing shard")

    def freeze(self):
        freeze(self.process)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def wait_ended(self):
        """Wait until it ends by itself; returns its exit status."""
        status = self.process.wait(timeout=DEADLINE)
        if not self.log.closed:
            self.ended_with = self.output()
            self.log.close()
        if status == -signal.SIGSYS or "the system call" in self.ended_with:
            raise AssertionError(f"seccomp refused a system call: {self.ended_with}")
        if "Sanitizer" in self.ended_with:
            raise AssertionError(self.ended_with)
        return status

    def stop(self, how=signal.SIGTERM):
        """End it; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait_ended()

    def kill(self):
        return self.stop(signal.SIGKILL)

    def ensure_ended(self):
        if self.process.poll() is None:
            self.thaw()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
