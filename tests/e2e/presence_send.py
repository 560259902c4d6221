"""What the tests of presence-send share: a plain UDP socket that sees what it sends."""

import collections
import io
import json
import socket
import struct
import subprocess
import unittest
import uuid

from harness import DEADLINE, PRESENCE_SEND

RECEIVE_BUFFER = 16 << 20
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; without the privilege the default has to do

Record = collections.namedtuple("Record", "kind site room country source event visitors")


class Datagram(collections.namedtuple("Datagram", "stream sequence target records")):
    @property
    def visitors(self):
        return [visitor for record in self.records for visitor in record.visitors]


def decode(datagram):
    """Parse a native datagram of version 2, not signed, by the wire format."""
    assert datagram[:4] == b"PH\2\0", datagram[:20]
    length, key_id, names, sent_at, stream, sequence, records, target = struct.unpack(
        ">HBBIQIHH", datagram[4:28])
    assert (length, key_id, sent_at) == (len(datagram), 0, 0)
    rest = io.BytesIO(datagram[28:])
    named = [""] + [rest.read(rest.read(1)[0]).decode() for _ in range(names)]
    found = []
    for _ in range(records):
        kind, site, room, source, event, visitors = rest.read(6)
        country = rest.read(2).strip(b"\0").decode()
        ids = [rest.read(16) for _ in range(visitors)]
        found.append(Record(kind, named[site], named[room], country, named[source], named[event], ids))
    assert rest.tell() == length - 28
    return Datagram(stream, sequence, target, found)


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

    def next_datagram(self):
        """The next datagram that has visitors. The others only say that the sender is alive."""
        while not (datagram := decode(self.receive())).visitors:
            pass
        return datagram

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
        """Run a load. Returns its summary, checked against the datagrams received, and those of them
        that have visitors."""
        done = self.run_send("--site", "example.com", *arguments, status=status)
        summary = json.loads(done.stdout)
        raw = self.received(summary["datagrams"])
        datagrams = [decode(datagram) for datagram in raw]
        self.assertEqual(summary["datagrams"], len(raw))
        self.assertEqual(summary["bytes"], sum(map(len, raw)))
        self.assertEqual(summary["heartbeats"], sum(len(d.visitors) for d in datagrams))
        self.assertEqual(summary["failed"], 0)
        self.assertEqual(summary["refused"], 0)
        self.assertEqual([d.sequence for d in datagrams], list(range(1, len(raw) + 1)))
        return summary, [datagram for datagram in datagrams if datagram.visitors]
