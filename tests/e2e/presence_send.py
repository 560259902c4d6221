"""What the tests of presence-send share: a plain UDP socket that sees what it sends."""

import collections
import json
import socket
import subprocess
import unittest
import uuid

from harness import DEADLINE, PRESENCE_SEND

RECEIVE_BUFFER = 16 << 20
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; without the privilege the default has to do

Datagram = collections.namedtuple("Datagram", "kind site room country source event visitors")


def decode(datagram):
    """Parse a native datagram by the wire format."""
    assert datagram[:3] == b"PH\x01", datagram[:20]
    assert int.from_bytes(datagram[4:6], "big") == len(datagram)
    assert datagram[6:12] == bytes(6)
    names, offset = [], 20
    for size in datagram[14:18]:
        names.append(datagram[offset : offset + size].decode())
        offset += size
    visitors = [datagram[i : i + 16] for i in range(offset, len(datagram), 16)]
    assert len(visitors) == int.from_bytes(datagram[12:14], "big")
    country = datagram[18:20].strip(b"\0").decode()
    return Datagram(datagram[3], names[0], names[1], country, names[2], names[3], visitors)


def numbered(number):
    """The id of a load's visitor."""
    return uuid.UUID(f"00000000-0000-4000-8000-{number:012x}").bytes


class PresenceSend(unittest.TestCase):
    def setUp(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            pass
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(DEADLINE)
        self.to = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def run_send(self, *arguments, lines=b"", to=None, status=0):
        command = [PRESENCE_SEND, "--to", to or self.to, *arguments]
        done = subprocess.run(command, input=lines, capture_output=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, status, done.stderr.decode())
        if status == 0:
            self.assertEqual(done.stderr, b"")
        return done

    def start(self, *arguments, **streams):
        process = subprocess.Popen([PRESENCE_SEND, "--to", self.to, *arguments], **streams)

        def end():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

        self.addCleanup(end)
        return process

    def receive(self):
        return self.socket.recv(65536)

    def received(self, at_least=0):
        """All datagrams that wait, once there are so many. Also over loopback some may not have
        arrived yet when the sender has ended."""
        datagrams = [self.receive() for _ in range(at_least)]
        self.socket.setblocking(False)
        try:
            while True:
                datagrams.append(self.receive())
        except BlockingIOError:
            self.socket.settimeout(DEADLINE)
            return datagrams

    def load(self, *arguments, status=0):
        """Run a load. Returns its summary, checked against the datagrams received, and these."""
        done = self.run_send("--site", "example.com", *arguments, status=status)
        summary = json.loads(done.stdout)
        raw = self.received(summary["datagrams"])
        datagrams = [decode(datagram) for datagram in raw]
        self.assertEqual(summary["datagrams"], len(raw))
        self.assertEqual(summary["bytes"], sum(map(len, raw)))
        self.assertEqual(summary["heartbeats"], sum(len(d.visitors) for d in datagrams))
        self.assertEqual(summary["failed"], 0)
        self.assertEqual(summary["refused"], 0)
        return summary, datagrams
