"""A program of ours that speaks HTTP, and what tests ask of it."""

import contextlib
import http.client
import os
import re
import socket
import subprocess
import tempfile

from harness import DEADLINE, count_descriptors, wait_until


class HttpProgram:
    """A running server; it listens on a port that the kernel chose."""

    def __init__(self, command, environment=None, preexec=None, descriptors=()):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, preexec_fn=preexec,
            pass_fds=descriptors, env={**os.environ, **(environment or {})})

    def output(self):
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            return log.read()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}: {self.output()}")
            return re.search(r"listening on https?://(.*):(\d+)/", self.output())

        match = wait_until(ready, "the server to listen")
        self.host, self.port = match[1], int(match[2])
        return self

    def connect(self):
        return socket.create_connection((self.host.strip("[]"), self.port), timeout=DEADLINE)

    def stays_connected(self, others):
        """True if a connection that says nothing is kept while 127.0.0.2 makes so many others."""
        with contextlib.ExitStack() as open_ones, contextlib.suppress(ConnectionError):
            silent = open_ones.enter_context(self.connect())
            crowd = [open_ones.enter_context(socket.create_connection(
                (self.host, self.port), timeout=DEADLINE, source_address=("127.0.0.2", 0))) for _ in range(others)]
            for connection in crowd[-1], silent:  # once the last is answered, all were accepted
                connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                if not connection.recv(4096):
                    return False
            return True
        return False

    def get(self, path, method="GET", **headers):
        """One request on a connection of its own; returns (status, headers, body as bytes)."""
        connection = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=DEADLINE)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def raw(self, data):
        """Send bytes as they are; returns all that is answered until the server closes."""
        with self.connect() as connection:
            answer = b""
            with contextlib.suppress(ConnectionError):  # it has read enough
                connection.sendall(data)
            try:
                while chunk := connection.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
            return answer

    def descriptors(self):
        """How many files and sockets it has open."""
        return count_descriptors(self.process)

    def own_memory(self):
        """Bytes of memory that are its own: not files, nor the segment."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"RssAnon:\s+(\d+) kB", status.read())[1]) * 1024

    def stop(self):
        """End it; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout=DEADLINE)
        return status

    def ensure_ended(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
