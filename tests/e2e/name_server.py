"""A name server for tests: it knows some names, or answers nothing."""

import contextlib
import socket
import struct
import threading

from machines import ip

ADDRESS, ADDRESS6, NO_SUCH_NAME, RESPONSE = 1, 28, 3, 0x8180  # types A and AAAA; rcode; QR, RD and RA
FRAGMENT_MAX = 512  # bytes of an answer over UDP without EDNS


def give_addresses():
    """Give the loopback of our network namespace the addresses of this machine's name servers."""
    with contextlib.suppress(FileNotFoundError), open("/etc/resolv.conf", encoding="utf-8") as file:
        for words in map(str.split, file):
            if words[:1] == ["nameserver"] and not words[1].startswith("127."):
                with contextlib.suppress(AssertionError):  # it has it already
                    ip("address", "add", words[1], "dev", "lo")


class NameServer:
    """In place of this machine's, in a network namespace of one's own, as the harness enters. `names`
    are known ones, with their addresses; while `silent`, it answers nobody."""

    def __init__(self, names):
        self.names, self.silent = names, False
        give_addresses()
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.bind(("::", 53))
        self.asked = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            query, sender = self.socket.recvfrom(FRAGMENT_MAX)
            if query == b"end":
                break
            self.asked += 1
            if not self.silent:
                self.socket.sendto(self.answer(query), sender)
        self.socket.close()

    def answer(self, query):
        """What to answer: all addresses of a known name, of the family that is asked for."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack_from(">H", query, at + 1)[0]
        name = ".".join(labels).lower()
        found = [address for address in self.names.get(name, [])
                 if kind == (ADDRESS6 if ":" in address else ADDRESS)]
        flags = RESPONSE | (0 if name in self.names else NO_SUCH_NAME)
        message = query[:2] + struct.pack(">5H", flags, 1, len(found), 0, 0) + query[12:at + 5]
        for address in found:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            message += struct.pack(">3HIH", 0xc00c, kind, 1, 0, len(packed)) + packed
        return message

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", ("127.0.0.1", 53))
        self.thread.join()
