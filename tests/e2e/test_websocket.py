"""The WebSockets of lib/http, with clients that do wrong: what each frame is answered with."""

import os
import random
import socket
import struct
import subprocess
import time
import unittest

from harness import BUILD, DEADLINE, processor_time, wait_until
from websocket import (ACCEPT, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket,
                       close_payload, frame, handshake)

SERVER = os.path.join(BUILD, "tests/e2e/websocket_server")
LONGEST = 4096  # of a message
BURST = 256  # frames at once
MANY, BATCH = 3000, 50
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"


class Server:
    """A running websocket_server."""

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


class Handshake(WebSocketCase):
    def refuse(self, status, request):
        client = WebSocket(self.server.port, None, request=request)
        client.drop()
        self.assertEqual(client.status, status, request)
        return client.headers

    def test_answer(self):
        client = self.open()
        self.assertEqual(client.headers["sec-websocket-accept"], ACCEPT)
        self.assertEqual(client.headers["upgrade"].lower(), "websocket")
        self.assertEqual(client.headers["connection"].lower(), "upgrade")
        self.assertNotIn("content-length", client.headers)

    def test_words_in_any_case_and_place(self):
        client = self.open(headers={"Upgrade": "h2c, WebSocket", "Connection": "keep-alive ,UPGRADE"})
        client.say("x")
        self.assertEqual(client.text(), "x")

    def test_no_websocket(self):
        for headers in ({"Upgrade": None}, {"Upgrade": "h2c"}, {"Upgrade": "websockets"},
                        {"Connection": None}, {"Connection": "keep-alive"}, {"Connection": "Upgraded"},
                        {"Sec-WebSocket-Version": "8"}, {"Sec-WebSocket-Version": None},
                        {"Sec-WebSocket-Version": "13, 8"}):
            told = self.refuse(426, handshake("/ws", headers))
            self.assertEqual(told["sec-websocket-version"], "13")
            self.assertEqual(told["upgrade"], "websocket")

    def test_malformed(self):
        for key in (None, "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ===",
                    "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    "dGhlIHNhbXBsZSBub25-ZQ==", "AAAA" * 6, "A" * 300):
            self.refuse(400, handshake("/ws", {"Sec-WebSocket-Key": key}))
        self.refuse(400, handshake("/ws", {"Host": None}))
        self.refuse(400, handshake("/ws", version="1.0"))
        self.refuse(400, handshake("/ws", method="HEAD"))
        self.refuse(405, handshake("/ws", method="POST"))
        self.refuse(400, handshake("/ws", {"Transfer-Encoding": "chunked"}) + b"0\r\n\r\n")

    def test_body(self):
        """What is told to be a body is none of the WebSocket's."""
        client = WebSocket(self.server.port, None, request=handshake(
            "/ws", {"Content-Length": "20"}) + frame(TEXT, "a" * 14))
        client.drop()
        self.assertIn(client.status, (400, 413))

    def test_frames_behind_the_handshake(self):
        """Whole ones, half a one, and more than any request holds."""
        whole = frame(TEXT, "one") + frame(TEXT, "two")
        for cut in range(0, len(whole), 5):
            client = self.open(early=whole[:cut])
            client.send(whole[cut:])
            self.assertEqual([client.text(), client.text()], ["one", "two"])
        client = self.open(early=b"".join(frame(TEXT, f"{i:4000}") for i in range(8)))
        for i in range(8):
            self.assertEqual(client.text(), f"{i:4000}")

    def test_close_behind_the_handshake(self):
        client = self.open(early=frame(CLOSE, close_payload(1000)) + frame(TEXT, "late"))
        self.assertEqual(client.end(), (1000, ""))

    def test_behind_other_requests(self):
        """On a connection that has had requests, in one piece."""
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE)
        connection.sendall(b"GET /count HTTP/1.1\r\nHost: a\r\n\r\n" + handshake("/ws?greeting=hello") +
                           frame(TEXT, "x"))
        file = connection.makefile("rb")
        self.assertIn(b"200", file.readline())
        length = 0
        while line := file.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        file.read(length)
        self.assertIn(b"101", file.readline())
        while file.readline().strip():
            pass
        self.assertEqual(file.read(7), b"\x81\x05hello")
        self.assertEqual(file.read(3), b"\x81\x01x")
        file.close()
        connection.close()

    def test_words_before_the_handshake_is_through(self):
        client = self.open("/ws?greeting=hello")
        self.assertEqual(client.text(), "hello")
        client = self.open("/ws?greeting=hello&refusal=no%20such%20place")
        self.assertEqual(client.text(), "hello")
        self.assertEqual(client.receive(), (CLOSE, close_payload(1008, "no such place")))

    def test_client_gone_before_the_answer(self):
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", self.server.port))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(handshake("/ws?greeting=hello"))
            connection.close()
        self.wait_over()


# What is sent, and the code that answers it.
FAULTS = {
    "unmasked": (frame(TEXT, "x", mask=False), 1002),
    "unmasked, empty": (frame(TEXT, mask=False), 1002),
    "unmasked ping": (frame(PING, mask=False), 1002),
    "reserved bit 1": (frame(TEXT, "x", reserved=4), 1002),
    "reserved bit 2": (frame(TEXT, "x", reserved=2), 1002),
    "reserved bit 3": (frame(PING, reserved=1), 1002),
    "opcode 3": (frame(3, "x"), 1002),
    "opcode 7": (frame(7), 1002),
    "opcode 11": (frame(11), 1002),
    "opcode 15": (frame(15, "x"), 1002),
    "binary": (frame(BINARY, "x"), 1003),
    "continuation of nothing": (frame(CONTINUATION, "x"), 1002),
    "continuation of a whole one": (frame(TEXT, "x") + frame(CONTINUATION, "y"), 1002),
    "text within text": (frame(TEXT, "x", fin=False) + frame(TEXT, "y"), 1002),
    "binary within text": (frame(TEXT, "x", fin=False) + frame(BINARY, "y"), 1002),
    "long ping": (frame(PING, "x" * 126), 1002),
    "long close": (frame(CLOSE, close_payload(1000, "x" * 124)), 1002),
    "ping in fragments": (frame(PING, "x", fin=False), 1002),
    "length in 2 bytes, needlessly": (frame(TEXT, "x" * 125, form=2), 1002),
    "length in 8 bytes, needlessly": (frame(TEXT, "x" * 4000, form=8), 1002),
    "negative length": (frame(TEXT, "x", length=1 << 63), 1002),
    "too long": (frame(TEXT, "x" * (LONGEST + 1)), 1009),
    "too long, 64 KB": (frame(TEXT, "x", length=65536), 1009),
    "too long, all of memory": (frame(TEXT, "x", length=(1 << 63) - 1), 1009),
    "too long in fragments": (frame(TEXT, "x" * LONGEST, fin=False) + frame(CONTINUATION, "y"), 1009),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "UTF-8 overlong": (frame(TEXT, b"\xc0\x80"), 1007),
    "UTF-8 of a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "UTF-8 above the last": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "UTF-8 cut off": (frame(TEXT, b"x\xe2\x82"), 1007),
    "UTF-8 cut off after C2": (frame(TEXT, b"x\xc2"), 1007),
    "UTF-8 cut off in fragments": (frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82"), 1007),
    "close with half a code": (frame(CLOSE, b"\x03"), 1002),
    "close, reason not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    **{f"close with {code}": (frame(CLOSE, close_payload(code)), 1002)
       for code in (0, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65535)},
    "too many pings": (frame(PING) * (BURST + 200), 1008),
    "too many pongs": (frame(PONG) * (BURST + 200), 1008),
    "too many fragments": (frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * (BURST + 200), 1008),
    "too many messages": (frame(TEXT, "x") * (BURST + 200), 1008),
}


class Frames(WebSocketCase):
    def test_faults(self):
        for name, (sent, code) in FAULTS.items():
            with self.subTest(name):
                client = self.open()
                client.send(sent + frame(TEXT, "this must be ignored"))
                received = []
                while answer := client.receive():
                    received.append(answer)
                self.assertEqual(received[-1][0], CLOSE)
                self.assertEqual(struct.unpack(">H", received[-1][1][:2])[0], code)
                self.assertNotIn((TEXT, b"this must be ignored"), received)
                client.drop()
        self.wait_over()

    def test_faults_byte_by_byte(self):
        """A fault is one wherever the pieces end."""
        for name in ("unmasked", "reserved bit 1", "opcode 11", "text within text", "negative length",
                     "too long, 64 KB", "UTF-8 of a surrogate", "close, reason not UTF-8"):
            sent, code = FAULTS[name]
            with self.subTest(name):
                client = self.open()
                client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in sent:
                    client.send(bytes([byte]))
                self.assertEqual(client.end()[0], code)

    def test_messages(self):
        for text in ("", "x", "x" * 125, "x" * 126, "x" * LONGEST, "a\0b", "\n\t\x7f\x80\x9f",
                     "é€\U0010ffff", "\ufffe\ufdd0"):
            client = self.open()
            client.say(text)
            self.assertEqual(client.text(), text)
            cut = len(text.encode()) // 2
            client.send(frame(TEXT, text.encode()[:cut], fin=False) + frame(PING, "between") +
                        frame(CONTINUATION, fin=False) + frame(CONTINUATION, text.encode()[cut:]))
            self.assertEqual(client.receive(), (PONG, b"between"))
            self.assertEqual(client.text(), text)

    def test_ping(self):
        client = self.open()
        for payload in (b"", b"x", b"\xff\0" * 62):
            client.send(frame(PONG, "nobody asked") + frame(PING, payload))
            self.assertEqual(client.receive(), (PONG, payload))

    def test_close_of_the_client(self):
        for code in (1000, 1001, 1003, 1007, 1011, 1012, 1014, 3000, 4999):
            client = self.open()
            client.send(frame(CLOSE, close_payload(code, "därum")) + frame(TEXT, "late"))
            self.assertEqual(client.end(), (code, "därum"))
        client = self.open()
        client.send(frame(CLOSE))
        self.assertEqual(client.receive(), (CLOSE, b""))
        self.assertIsNone(client.receive())

    def test_close_of_the_server(self):
        client = self.open()
        client.say("close 4000 all is said")
        self.assertEqual(client.receive(), (CLOSE, close_payload(4000, "all is said")))
        client.send(frame(TEXT, "late") + frame(PING, "late") + frame(CLOSE, close_payload(4000)))
        self.assertIsNone(client.receive())
        client = self.open()
        client.say("close 4000 " + "x" * 122 + "€")  # it is cut between characters
        self.assertEqual(client.leave(4000), (4000, "x" * 122))

    def test_server_closes_and_a_fault_comes(self):
        client = self.open()
        client.say("close 4000 all is said")
        self.assertEqual(client.receive(), (CLOSE, close_payload(4000, "all is said")))
        client.send(frame(BINARY, "x") + b"nonsense")
        self.assertIsNone(client.receive())
        client.drop()
        self.wait_over()

    def test_any_pieces(self):
        """Messages, pings and fragments, cut anywhere, are what they were."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        print(f"seed {seed}")
        for _ in range(10):
            sent, expected = b"", []
            for _ in range(20):
                text = "".join(chance.choice("aé€\U00010348") for _ in range(chance.choice((0, 3, 200))))
                data = text.encode()
                pieces = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(3)))
                bounds = [0, *pieces, len(data)]
                for i in range(len(bounds) - 1):
                    sent += frame(TEXT if i == 0 else CONTINUATION, data[bounds[i]:bounds[i + 1]],
                                  fin=i == len(bounds) - 2)
                    if i < len(bounds) - 2 and chance.random() < 0.3:
                        sent += frame(PING, data[:50])
                        expected.append((PONG, data[:50]))
                expected.append((TEXT, data))
            client = self.open()
            client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            position = 0
            while position < len(sent):
                size = chance.choice((1, 2, 7, 300, 5000))
                client.send(sent[position:position + size])
                position += size
            self.assertEqual([client.receive() for _ in expected], expected, seed)
            client.drop()

    def test_noise(self):
        """Random bytes end a connection, and no other."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        print(f"seed {seed}")
        witness = self.open()
        for _ in range(100):
            client = self.open()
            noise = bytearray(frame(TEXT, "x" * chance.randrange(300)) * 3)
            for _ in range(chance.randrange(1, 8)):
                noise[chance.randrange(min(len(noise), 12))] = chance.randrange(256)
            client.send(bytes(noise))
            client.connection.shutdown(socket.SHUT_WR)
            while client.receive():
                pass
            client.drop()
        witness.say("still here")
        self.assertEqual(witness.text(), "still here")
        witness.drop()
        self.wait_over()


class Ends(WebSocketCase):
    def test_clients_that_vanish(self):
        for how in ("close", "reset", "half"):
            client = self.open()
            client.say("x")
            self.assertEqual(client.text(), "x")
            if how == "half":
                client.connection.shutdown(socket.SHUT_WR)
                self.assertIsNone(client.receive())
            if how == "reset":
                client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                             struct.pack("ii", 1, 0))
            client.drop()
            self.wait_over()

    def test_clients_that_do_not_close(self):
        """Those that say nothing, and those that go on, are ended after a moment."""
        silent, loud, wrong = self.open(), self.open(), self.open()
        for client in (silent, loud):
            client.say("close 4000 all is said")
            self.assertEqual(client.receive()[0], CLOSE)
        wrong.send(frame(BINARY, "x"))
        self.assertEqual(wrong.receive()[0], CLOSE)
        self.assertIsNone(wrong.receive())  # the server reads on until we close, too

        def ended():
            try:
                loud.send(frame(TEXT, "x"))
                wrong.send(b"x" * 100)
            except OSError:
                pass
            return self.server.count()[1] == 0

        wait_until(ended, "all to be over")
        self.assertIsNone(silent.receive())

    def test_others_are_closed(self):
        """By a message, and when one is over."""
        clients = [self.open() for _ in range(5)]
        clients[0].say("all hello")
        self.assertEqual([client.text() for client in clients], ["hello"] * 5)
        clients[1].say("close all")
        self.assertEqual([client.leave() for client in clients], [(1001, "all")] * 5)
        clients = [self.open() for _ in range(5)]
        clients[0].say("then all")
        clients[0].send(frame(CLOSE))
        self.assertEqual(clients[0].end(), (None, ""))
        clients[0].drop()
        self.assertEqual([client.leave() for client in clients[1:]], [(1001, "all")] * 4)
        self.wait_over()

    def test_server_stops(self):
        server = Server()
        self.addCleanup(server.process.stdout.close)
        clients = [WebSocket(server.port, "/ws") for _ in range(10)]
        clients[0].say("close 4000 x")
        self.assertEqual(clients[0].receive()[0], CLOSE)
        asking = socket.create_connection(("127.0.0.1", server.port))
        asking.sendall(handshake("/ws")[:-2])
        self.assertEqual(server.stop(), (10, 10))
        for client in clients[1:]:
            self.assertEqual(client.end(), (1001, "the server stops"))
        for client in clients:
            client.drop()
        asking.close()


class SlowReaders(WebSocketCase):
    def test_queue(self):
        """What waits has an end, comes in order, and pings are not answered meanwhile."""
        client = self.open(receive_buffer=4096)
        client.say("flood")
        wait_until(lambda: self.server.count()[0], "the flood")
        client.send(frame(PING, "while it waits"))
        client.say("behind")
        client.say("close 4000 last")
        self.server.count()
        received = []
        while answer := client.receive():
            received.append(answer)
            if answer[0] == CLOSE:
                client.send(frame(CLOSE, close_payload(4000)))
        self.assertEqual(received[-1], (CLOSE, close_payload(4000, "last")))
        self.assertLess(len(received), 100)
        self.assertTrue(all(answer == (TEXT, b"x" * 1000) for answer in received[:-3]))
        self.wait_over()

    def test_drained(self):
        before = self.server.count()[3]
        client = self.open(receive_buffer=4096)
        client.say("flood")
        client.say("late")
        while client.receive() != (TEXT, b"x" * 1000):
            pass
        wait_until(lambda: client.receive() and self.server.count()[3] > before, "a queue to drain")
        client.drop()

    def test_never_reads(self):
        """A client that doesn't read is ended all the same."""
        client = self.open(receive_buffer=4096)
        client.say("flood")
        client.say("close 4000 x")
        wait_until(lambda: self.server.count()[1] == 0, "it to be over")
        client.drop()
        self.wait_over()


class Limits(WebSocketCase):
    arguments = ("10",)

    def test_not_timed_out_nor_displaced(self):
        """WebSockets outlast the patience with requests, count as connections, and stay."""
        clients = [self.open() for _ in range(9)]
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE) as idle:
            idle.sendall(b"GET /coun")
            self.assertEqual(idle.recv(100), b"")  # timed out
        clients.append(self.open())
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE) as eleventh:
            try:
                eleventh.sendall(b"GET /count HTTP/1.0\r\n\r\n")
                self.assertEqual(eleventh.recv(100), b"")
            except ConnectionError:
                pass
        for client in clients:
            client.say("x")
            self.assertEqual(client.text(), "x")
        for client in clients:
            client.drop()
        self.addCleanup(self.wait_over)


class Many(WebSocketCase):
    arguments = (str(MANY + 100),)

    def memory(self):
        """Return the server's resident bytes."""
        with open(f"/proc/{self.server.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def open_many(self):
        """Open them in batches. Return their sockets."""
        sockets = []
        for _ in range(MANY // BATCH):
            batch = [socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE)
                     for _ in range(BATCH)]
            for connection in batch:
                connection.sendall(handshake("/ws"))
            for connection in batch:
                self.assertIn(b"101", connection.recv(1000))
            sockets += batch
        return sockets

    def test_idle_and_half_way(self):
        """Idle ones cost next to nothing; those in the middle of a message, what is bounded."""
        before = self.memory()
        sockets = self.open_many()
        idle = (self.memory() - before) / MANY
        cpu, begun = processor_time(self.server.process), time.monotonic()
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=DEADLINE) as silent:
            silent.sendall(b"GET")
            self.assertEqual(silent.recv(1), b"")  # timed out
        share = (processor_time(self.server.process) - cpu) / (time.monotonic() - begun)
        for connection in sockets:
            connection.sendall(frame(TEXT, "x" * LONGEST, fin=False) + b"\x80")
        self.server.count()
        half_way = (self.memory() - before) / MANY
        print(f"{MANY} idle: {share:.2%} of a core, {idle:.0f} bytes each; half way: {half_way:.0f}")
        self.assertLess(share, 0.02, "CPU of idle ones")
        if not SANITIZED:
            self.assertLess(idle, 1000, "bytes of memory of an idle one")
            self.assertLess(half_way, 12000, "bytes of memory of one half way")
        for connection in sockets:
            connection.sendall(b"\x80" + b"\0" * 4)
        for connection in sockets:
            self.assertEqual(connection.recv(4 + LONGEST, socket.MSG_WAITALL)[4:], b"x" * LONGEST)
            connection.close()
        self.wait_over()
        if not SANITIZED:
            self.assertLess(self.memory() - before, half_way * MANY / 4, "bytes that are left")


if __name__ == "__main__":
    unittest.main()
