"""A running presence-relay, for the tests of it."""

import os
import re
import signal
import socket
import subprocess

from prometheus_client.parser import text_string_to_metric_families

from harness import BUILD, DEADLINE, OWN, Case, own_address, wait_until, with_defaults
from http_program import HttpProgram

PRESENCE_RELAY = os.path.join(BUILD, "tools/presence-relay/presence-relay")


def run_relay(*arguments, environment=None):
    """Run a presence-relay that should end by itself; returns (exit status, stdout, stderr)."""
    done = subprocess.run(
        [PRESENCE_RELAY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=DEADLINE, env={**os.environ, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


class Relay(HttpProgram):
    """A running presence-relay. It receives at `address`, with the port `relay_port`; `host` and
    `port` are those of its metrics, as of every HttpProgram."""

    def __init__(self, *arguments, prefix=(), **keywords):
        listen = own_address(OWN, socket.SOCK_DGRAM)
        defaults = "--listen", listen, "--web.listen-address", "127.0.0.1:0"
        self.ended_with = ""  # its log, once it has ended
        super().__init__([*prefix, PRESENCE_RELAY, *with_defaults(defaults, arguments)], **keywords)

    def output(self):
        return self.ended_with if self.log.closed else super().output()

    def wait_ready(self):
        def receives():
            if self.process.poll() is not None:
                raise AssertionError(f"presence-relay ended with {self.process.returncode}: "
                                     f"{self.output()}")
            return re.search(r"listening on (?!http)(\S+)\n", self.output())

        super().wait_ready()
        self.address = wait_until(receives, "presence-relay to receive")[1]
        self.relay_port = int(self.address.rpartition(":")[2])
        return self

    def wait_logged(self, pattern, times=1):
        """Wait until its log has the pattern that many times."""
        wait_until(lambda: len(re.findall(pattern, self.output())) >= times,
                   lambda: f"{pattern!r} {times} times in the log: {self.output()}")

    def metrics(self):
        """All samples of /metrics: {(name, ((label, value), ...)): value}, labels by their names."""
        status, _, body = self.get("/metrics", Accept="text/plain")
        if status != 200:
            raise AssertionError(f"/metrics is answered with {status}: {body!r}")
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(body.decode())
                for sample in family.samples}

    def value(self, name, **labels):
        """One of them, without the names' presence_relay_; None: there is none."""
        return self.metrics().get((f"presence_relay_{name}", tuple(sorted(labels.items()))))

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, how=signal.SIGTERM):
        """End it; returns its exit status. What it had queued was handed to the kernel before."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(timeout=DEADLINE)
        if not self.log.closed:
            self.ended_with = self.output()
            self.log.close()
        if status == -signal.SIGSYS or "the system call" in self.ended_with:
            raise AssertionError(f"seccomp refused a system call: {self.ended_with}")
        return status

    def ensure_ended(self):
        if self.process.poll() is None:
            self.process.kill()
        self.stop()


class RelayCase(Case):
    def relay(self, *arguments, wait=True, **keywords):
        """Start a relay; `--to` is the caller's to give."""
        relay = Relay(*arguments, **keywords)
        self.addCleanup(relay.ensure_ended)
        return relay.wait_ready() if wait else relay

    def start_in(self, name, *arguments, **keywords):
        """Start a collector with a segment of its own, in a directory of that name."""
        directory = os.path.join(self.directory, name)
        os.makedirs(directory, exist_ok=True)
        default, self.segment = self.segment, os.path.join(directory, "segment")
        try:
            return self.start(*arguments, **keywords)
        finally:
            self.segment = default

    def write(self, name, text, mode=0o600):
        """Write a file in the test's directory; returns its path."""
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.rename(path + ".new", path)  # whoever reads it meanwhile finds all of it
        return path
