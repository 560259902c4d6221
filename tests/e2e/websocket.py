"""A WebSocket client that can do wrong, too (RFC 6455)."""

import json
import os
import socket
import struct
import subprocess
import unittest

from harness import BUILD, DEADLINE, wait_until

SERVER = os.path.join(BUILD, "tests/e2e/websocket_server")
LONGEST = 4096  # of a message
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the RFC's example, and what a server answers with
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def handshake(path, headers=None, method="GET", version="1.1"):
    """Return the bytes of a handshake; a header that is None is left out."""
    fields = {"Host": "presence.test", "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13", **(headers or {})}
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode, payload=b"", fin=True, mask=True, reserved=0, length=None, form=None):
    """Return the bytes of a frame. `length` is told instead of the true one; `form` is the number
    of bytes to tell it in: 0, 2 or 8."""
    payload = payload.encode() if isinstance(payload, str) else payload
    length = len(payload) if length is None else length
    form = form if form is not None else 0 if length < 126 else 2 if length < 65536 else 8
    short, more = {0: (length, b""), 2: (126, struct.pack(">H", length & 0xffff)),
                   8: (127, struct.pack(">Q", length))}[form]
    head = bytes([fin << 7 | reserved << 4 | opcode, mask << 7 | short]) + more
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def close_payload(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


class WebSocket:
    """A connection, after its handshake. `status` and `headers` are the answer's."""

    def __init__(self, port, path, headers=None, early=b"", receive_buffer=None, request=None,
                 connection=None):
        self.connection = connection or socket.socket()
        self.connection.settimeout(DEADLINE)
        if receive_buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if not connection:
            self.connection.connect(("127.0.0.1", port))
        self.file = self.connection.makefile("rb")
        self.send((request or handshake(path, headers)) + early)
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while line := self.file.readline().strip():
            name, value = line.decode().split(":", 1)
            self.headers[name.lower()] = value.strip()

    def send(self, data):
        """Send bytes."""
        self.connection.sendall(data)

    def say(self, text):
        """Send a text message, or an object as JSON."""
        self.send(frame(TEXT, text if isinstance(text, str) else json.dumps(text)))

    def receive(self):
        """Return the next frame's opcode and payload; None at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None
        if head[0] & 0x70 or head[1] & 0x80:
            raise AssertionError(f"a server's frame begins with {head.hex()}")
        length = head[1] & 0x7f
        if length == 126:
            length = struct.unpack(">H", self.file.read(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self.file.read(8))[0]
        payload = self.file.read(length)
        return (head[0] & 0x0f, payload) if len(payload) == length else None

    def text(self):
        """Return the next text message. Fail if something else comes."""
        received = self.receive()
        if not received or received[0] != TEXT:
            raise AssertionError(f"{received} came, and no message")
        return received[1].decode()

    def json(self):
        return json.loads(self.text())

    def end(self):
        """Read to the end. Return the code and reason of the close frame, which must be last;
        None, "" if it is empty or there was none."""
        last = None
        while received := self.receive():
            if last:
                raise AssertionError(f"{received} came behind a close frame")
            last = received if received[0] == CLOSE else None
        if not last or not last[1]:
            return None, ""
        return struct.unpack(">H", last[1][:2])[0], last[1][2:].decode()

    def leave(self, code=1000):
        """Close as a browser does, and return what the server closed with."""
        self.send(frame(CLOSE, close_payload(code)))
        ended = self.end()
        self.drop()
        return ended

    def drop(self):
        """Close the socket, without a word."""
        self.file.close()
        self.connection.close()


class Server:
    """A running websocket_server: lib/http's WebSockets and nothing else."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([SERVER, *arguments], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def count(self):
        """Return how many were accepted, are open and are over, drained, and the connections
        other than this one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(b"GET /count HTTP/1.0\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        accepted, is_open, closed, drained, connections = answer.split(b"\r\n\r\n")[1].split()
        return int(accepted), int(is_open), int(closed), int(drained), int(connections) - 1

    def stop(self):
        """End it. Return what it says of accepted ones and those that are over."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=DEADLINE)
        if self.process.returncode != 0:
            raise AssertionError(f"the server ended with {self.process.returncode}")
        return tuple(int(word) for word in said.split())


class WebSocketCase(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        accepted, closed = cls.server.stop()
        if accepted != closed:
            raise AssertionError(f"{accepted} were accepted, and {closed} are over")

    def open(self, path="/ws", **keywords):
        client = WebSocket(self.server.port, path, **keywords)
        self.addCleanup(client.drop)
        self.assertEqual(client.status, 101)
        return client

    def wait_over(self):
        """Wait until no connection is left, of the server's and of the kernel's."""
        def over():
            try:
                count = self.server.count()
            except ConnectionError:  # there are too many yet
                return False
            return count[1] == 0 and count[4] == 0

        wait_until(over, "all to be over")
