"""A forwarder between senders and a collector that loses, repeats, delays and reorders datagrams.

Usage: forwarder.py ADDRESS PORT SEED
It listens at a free port of all its namespace's addresses, and prints it. Each line of stdin is a
word: "rough" and "calm" (everything passes; what was held goes first) are confirmed, and "report"
is answered by a line of JSON: what the collector must know of each stream after what was really
forwarded, by the rules of docs/protocol.md, and how many heartbeats came to the forwarder ("sent").
"""

import collections
import contextlib
import heapq
import json
import random
import selectors
import socket
import struct
import sys

WINDOW = 1024  # how many sequences back are told apart
LOST, REPEATED, LATE, VERY_LATE = 0.05, 0.04, 0.10, 0.005  # parts of all


class Stream:
    """What a collector knows of a stream, for each datagram in turn."""

    def __init__(self, sequence):
        self.lowest = self.highest = sequence
        self.seen = set()
        self.received = self.duplicates = self.heartbeats = 0

    def add(self, sequence, visitors):
        ahead = (sequence - self.highest + 2**31) % 2**32 - 2**31
        place = self.highest + ahead
        if place in self.seen or ahead <= -WINDOW:
            self.duplicates += 1
            return
        self.seen.add(place)
        self.received += 1
        self.heartbeats += visitors
        self.lowest, self.highest = min(self.lowest, place), max(self.highest, place)

    def report(self):
        expected = self.highest - self.lowest + 1
        return {"datagrams": self.received + self.duplicates, "heartbeats": self.heartbeats,
                "expected": expected, "received": self.received, "lost": expected - self.received,
                "duplicates": self.duplicates}


def count_visitors(datagram):
    at, visitors = 28, 0
    for _ in range(datagram[7]):
        at += 1 + datagram[at]
    for _ in range(int.from_bytes(datagram[24:26], "big")):
        visitors += datagram[at + 5]
        at += 8 + 16 * datagram[at + 5]
    return visitors


class Client:
    """A sender: its datagrams leave from a socket of their own, so that they keep their order."""

    def __init__(self, collector, seed, streams):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(collector)
        self.random = random.Random(seed)
        self.streams = streams
        self.came = 0  # datagrams
        self.held = []  # a heap: when it goes, by `came`, and in which order

    def forward(self, datagram):
        try:
            self.socket.send(datagram)
        except ConnectionRefusedError:  # said of the one before: nobody listens there
            with contextlib.suppress(ConnectionRefusedError):
                self.socket.send(datagram)
        stream, sequence, _, target = struct.unpack_from(">QIHH", datagram, 12)
        known = self.streams.setdefault((stream, target), Stream(sequence))
        known.add(sequence, count_visitors(datagram))

    def hold(self, datagram, least, most):
        due = self.came + self.random.randint(least, most)
        heapq.heappush(self.held, (due, self.came, datagram))

    def take(self, datagram):
        self.came += 1
        fate = self.random.random()
        if fate < LOST:
            pass
        elif fate < LOST + REPEATED:
            self.forward(datagram)
            self.hold(datagram, 1, 2 * WINDOW)
        elif fate < LOST + REPEATED + LATE:
            self.hold(datagram, 1, 60)
        elif fate < LOST + REPEATED + LATE + VERY_LATE:
            self.hold(datagram, WINDOW // 2, 2 * WINDOW)
        else:
            self.forward(datagram)
        while self.held and self.held[0][0] <= self.came:
            self.forward(heapq.heappop(self.held)[2])

    def release(self):
        while self.held:
            self.forward(heapq.heappop(self.held)[2])


class Forwarder:
    def __init__(self, collector, seed):
        self.collector, self.seed = collector, seed
        self.clients, self.streams = {}, {}
        self.sent = collections.Counter()  # heartbeats that came, by stream and target
        self.rough = True
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("0.0.0.0", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def receive(self):
        """Forward what has come, at most so much that commands are heard in between."""
        for _ in range(1000):
            try:
                datagram, address = self.socket.recvfrom(65535)
            except BlockingIOError:
                return
            stream, _, _, target = struct.unpack_from(">QIHH", datagram, 12)
            self.sent[stream, target] += count_visitors(datagram)
            if address not in self.clients:
                seed = f"{self.seed} {len(self.clients)}"
                self.clients[address] = Client(self.collector, seed, self.streams)
            if self.rough:
                self.clients[address].take(datagram)
            else:
                self.clients[address].forward(datagram)

    def command(self, word):
        """Obey, and return the answer."""
        if word == "report":
            return json.dumps([{"stream": f"{stream:016x}", "target": target, **known.report(),
                                "sent": self.sent[stream, target]}
                               for (stream, target), known in self.streams.items()])
        self.rough = word == "rough"
        if not self.rough:
            for client in self.clients.values():
                client.release()
        return word


def main():
    forwarder = Forwarder((sys.argv[1], int(sys.argv[2])), sys.argv[3])
    print(forwarder.port, flush=True)
    with selectors.DefaultSelector() as selector:
        selector.register(forwarder.socket, selectors.EVENT_READ)
        selector.register(sys.stdin.buffer.raw, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if forwarder.socket in ready:
                forwarder.receive()
            if sys.stdin.buffer.raw in ready:
                words = sys.stdin.buffer.raw.read(4096).decode().split()
                if not words:
                    return
                for word in words:
                    print(forwarder.command(word), flush=True)


if __name__ == "__main__":
    main()
