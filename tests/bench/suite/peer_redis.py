"""Redis as a peer: on a unix socket, without persistence, its client pipelining."""

import os

from machine import RECEIVER, Server, bench, memory_of, run_json


class Redis(Server):
    def __init__(self):
        super().__init__()
        directory = self.make_directory()
        self.path = os.path.join(directory, "socket")
        self.start(["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "",
                    "--appendonly", "no", "--dir", directory],
                   lambda: os.path.exists(self.path), RECEIVER)

    def memory(self):
        return memory_of(self.pid)["VmRSS"]

    def load(self, command, key, *arguments):
        return run_json([bench("redis_load"), "--socket", self.path, "--key", key, "--command",
                         command, *map(str, arguments)])[0]

    def fill(self, key, visitors):
        """Add all visitors to a sorted set. Returns its bytes."""
        before = self.memory()
        self.load("zadd", key, "--visitors", visitors, "--fill")
        return self.memory() - before

    def measure(self, command, key, visitors, batch, commands, *arguments):
        """Measure ids (or, for zcount, counts) a CPU second of the server."""
        used = self.cpu_seconds()
        done = self.load(command, key, "--visitors", visitors, "--batch", batch, "--commands",
                         commands, *arguments)
        used = self.cpu_seconds() - used
        ids = commands if command == "zcount" else commands * batch
        return {"per_core": ids / used, "rate": ids / done["seconds"],
                "busy": used / done["seconds"]}
