"""Target 12: what presence-publisher costs, and the Redis that three of them write into, while each
room of a site changes every second. Redis is reached by TCP, as from another machine."""

import contextlib
import socket
import threading
import time

from collector import SITE, Collector
from machine import PROCESSORS, RECEIVER, Failure, Server, free_port, report, tool, wait_until
from results import Row

SHARDS = 3
ROOMS = {10_000: 5, 100_000: 15}  # rooms of each shard: per cent of a core that they may take
ROOMS_PER_DATAGRAM = 250
SECONDS = 30
SENT_AT, SENT_FOR = 0.1, 0.3  # of each tick, so that all is counted before the next one
AT_ONCE = 8  # datagrams to each collector: a socket's buffer is small


def datagrams(rooms, kind, visitor):
    """Heartbeats (kind 1) or leaves (2) of one visitor in each of the rooms, version 2."""
    def name(text):
        return bytes([len(text)]) + text

    found = []
    for first in range(0, rooms, ROOMS_PER_DATAGRAM):
        numbers = range(first, min(first + ROOMS_PER_DATAGRAM, rooms))
        table = name(SITE.encode()) + b"".join(name(b"/room-%d" % n) for n in numbers)
        body = b"".join(bytes([kind, 1, 2 + i, 0, 0, 1, 0, 0]) + visitor.to_bytes(16, "big")
                        for i in range(len(numbers)))
        head = b"PH" + bytes([2, 0]) + (28 + len(table) + len(body)).to_bytes(2, "big")
        head += bytes([0, 1 + len(numbers)]) + bytes(16)
        found.append(head + len(numbers).to_bytes(2, "big") + bytes(2) + table + body)
    return found


class Engine(Server):
    """A Redis on a port of loopback."""

    def __init__(self):
        super().__init__()
        self.port = free_port(socket.SOCK_STREAM)
        self.start(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--dir", self.make_directory()],
                   lambda: "eady to accept connections" in self.output(), RECEIVER)

    def ask(self, *words):
        """One command, and the first of what comes back."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"*%d\r\n" % len(words) + b"".join(
                b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words))
            return connection.recv(65536).decode()

    def received_bytes(self):
        lines = self.ask("INFO", "stats").split("\r\n")
        return next(int(line.split(":")[1]) for line in lines
                    if line.startswith("total_net_input_bytes:"))

    def fields(self, key):
        return int(self.ask("HLEN", key)[1:])


class Shard:
    """A collector with so many rooms, and its publisher."""

    def __init__(self, stack, engine, rooms, number):
        self.collector = Collector(8 * rooms + 10000, "--max-scopes", str(rooms + 1000),
                                   processors=set(PROCESSORS))
        stack.callback(self.collector.close)
        self.publisher = Server()
        stack.callback(self.publisher.close)
        self.publisher.start(
            [tool("presence-publisher"), "--segment", self.collector.segment, "--group", "A",
             "--shard", f"{number}/{SHARDS}", "--engine", f"redis://127.0.0.1:{engine.port}"],
            lambda: "publishing" in self.publisher.output(), set(PROCESSORS))


class Crowd:
    """One visitor stays in each room, and another one enters or leaves it each second."""

    def __init__(self, shards, rooms):
        self.ports = [shard.collector.port for shard in shards]
        self.stays, self.enters, self.leaves = (
            datagrams(rooms, kind, visitor) for kind, visitor in ((1, 1), (1, 2), (2, 2)))
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def send(self, datagram_list):
        for i, datagram in enumerate(datagram_list):
            for port in self.ports:
                self.socket.sendto(datagram, ("127.0.0.1", port))
            if i % AT_ONCE == AT_ONCE - 1:
                time.sleep(SENT_FOR * AT_ONCE / len(datagram_list))

    def run(self):
        number = 0
        while True:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            if self.ended.wait((1 + SENT_AT - now) % 1 or 1):
                return
            number += 1
            self.send(self.enters if number % 2 else self.leaves)
            if number % 4 == 0:
                self.send(self.stays)  # those that were dropped; the others change nothing

    def __enter__(self):
        self.send(self.stays)
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.ended.set()
        self.thread.join()
        self.socket.close()


def measure(engine, shards, rooms, seconds):
    """Return the shares of a processor: the largest of a publisher, and that of the engine."""
    servers = [shard.publisher for shard in shards] + [engine]
    begun, received = time.monotonic(), engine.received_bytes()
    before = [server.cpu_seconds() for server in servers]
    time.sleep(seconds)
    used = [server.cpu_seconds() - earlier for server, earlier in zip(servers, before)]
    took = time.monotonic() - begun
    changes = (engine.received_bytes() - received) / took / SHARDS
    if changes < rooms * 20:  # a field and its number take 26 bytes or more
        raise Failure(f"only {changes:.0f} bytes a second came from a shard of {rooms} rooms")
    return max(used[:-1]) / took, used[-1] / took


def play(rooms, seconds):
    with contextlib.ExitStack() as stack:
        engine = Engine()
        stack.callback(engine.close)
        report(f"publisher: {SHARDS} shards of {rooms:,} rooms")
        shards = [Shard(stack, engine, rooms, number) for number in range(1, SHARDS + 1)]
        with Crowd(shards, rooms):
            for number in range(1, SHARDS + 1):
                wait_until(lambda key=f"{{presence}}:A:{number}:300:{SITE}":
                           engine.fields(key) > rooms, f"{rooms} rooms in the engine")
            return measure(engine, shards, rooms, seconds)


def run(results, quick):
    rows = []
    for rooms, bound in ROOMS.items():
        publisher, engine = play(rooms, 10 if quick else SECONDS)
        for what, share in (("a publisher", publisher), (f"Redis, of {SHARDS} shards", engine)):
            row = Row(f"{what}, {rooms:,} rooms", "all change each second", " %")
            row.add(per_core=share * 100)
            rows.append(row)
            results.at_most(12, f"{rooms:,} rooms changing each second: {what}", share * 100,
                            bound, "% of a processor")
    results.section("Processor time of publishing", rows)
