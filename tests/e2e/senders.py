"""A sender of version 2, written from docs/protocol.md alone."""

import contextlib
import random
import socket
import threading

from harness import native2
from sign import signed

KEY = bytes(range(16))


class Edge:
    """A sender of version 2 with an address of its own."""

    def __init__(self, case, collector, address="127.0.0.1", **options):
        self.stream = random.getrandbits(64) | 1
        self.collector, self.address, self.sequence, self.options = collector, address, 0, options
        self.to = "::1" if ":" in address else "127.0.0.1"
        self.socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind((address, 0))

    def send(self, *records, lost=False, again=False, key=None):
        """Send the next datagram, or lose it on the way, or send the one before again."""
        self.sequence += not again
        datagram = native2(*records, stream=self.stream, sequence=self.sequence, **self.options)
        if key:
            datagram = signed(datagram, key, KEY)
        if not lost:
            self.socket.sendto(datagram, (self.to, self.collector.port))

    @contextlib.contextmanager
    def kept_alive(self, *records, every=0.5, loses=0):
        """Send these records again and again while the context lasts, and lose so many after each."""
        over = threading.Event()

        def run():
            while not over.wait(every):
                self.send(*records)
                for _ in range(loses):
                    self.send(lost=True)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
