"""The WebSockets of lib/http: handshakes, ends, slow readers, limits, and thousands of idle ones."""

import os
import socket
import struct
import time

from harness import DEADLINE, processor_time, wait_until
from side_by_side import main
from websocket import (ACCEPT, BINARY, CLOSE, LONGEST, PING, PONG, TEXT, Server, WebSocket, WebSocketCase,
                       close_payload, frame, handshake)

MANY, BATCH = 3000, 50
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"


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
        # As many words before it as fit.
        self.open(headers={"Connection": "keep-alive, " + "a" * 233 + ", Upgrade"})

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

    def test_data_of_the_request(self):
        """It is released, whether the request becomes a WebSocket or not."""
        server = Server()
        for headers in {}, {"Sec-WebSocket-Key": "x"}:
            WebSocket(server.port, "/ws?held=1", headers).drop()
        server.stop()

    def test_no_memory_for_a_refusal(self):
        """The connection ends, though nothing can be said."""
        client = self.open("/ws?refusal=no&full=1")
        client.say("x")
        self.assertEqual(client.end(), (None, ""))
        self.wait_over()

    def test_client_gone_before_the_answer(self):
        """It has closed, reset or half closed the connection when the handshake is through."""
        for behind in (b"", frame(TEXT, "x"), frame(CLOSE), frame(TEXT, "x")[:5]):
            for linger in (0, 1):
                for _ in range(5):
                    connection = socket.create_connection(("127.0.0.1", self.server.port))
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", linger, 0))
                    connection.sendall(handshake("/ws?greeting=hello") + behind)
                    connection.close()
            with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
                connection.sendall(handshake("/ws?greeting=hello") + behind)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1000):
                    pass
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
        everybody = close_payload(1001, "all")
        clients = [self.open() for _ in range(5)]
        clients[0].say("all hello")
        self.assertEqual([client.text() for client in clients], ["hello"] * 5)
        clients[1].say("close all")
        self.assertEqual([client.receive() for client in clients], [(CLOSE, everybody)] * 5)
        self.assertEqual([client.leave() for client in clients], [(None, "")] * 5)
        clients = [self.open() for _ in range(5)]
        clients[0].say("then all")
        clients[0].send(frame(CLOSE))
        self.assertEqual(clients[0].end(), (None, ""))
        clients[0].drop()
        self.assertEqual([client.receive() for client in clients[1:]], [(CLOSE, everybody)] * 4)
        self.assertEqual([client.leave() for client in clients[1:]], [(None, "")] * 4)
        self.wait_over()

    def test_nothing_behind_a_close(self):
        """Neither to a client that is being closed nor from it."""
        closing, other = self.open(), self.open()
        closing.say("close 4000 x")
        self.assertEqual(closing.receive()[0], CLOSE)
        other.say("all hello")
        self.assertEqual(other.text(), "hello")
        closing.say("all late")
        closing.send(frame(CLOSE))
        self.assertIsNone(closing.receive())
        other.say("own")
        self.assertEqual(other.text(), "own")

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
        """What waits has an end, and comes in order."""
        client = self.open(receive_buffer=4096)
        client.say("flood")
        client.send(frame(PING, "while it waits"))
        client.say("behind")
        client.say("close 4000 last")
        self.server.count()
        received = []
        while answer := client.receive():
            received.append(answer)
            if answer[0] == CLOSE:
                client.send(frame(CLOSE, close_payload(4000)))
        self.assertLess(len(received), 100)
        self.assertEqual(received[-3:], [(PONG, b"while it waits"), (TEXT, b"behind"),
                                         (CLOSE, close_payload(4000, "last"))])
        self.assertEqual(set(received[:-3]), {(TEXT, b"x" * 1000)})
        self.wait_over()

    def fill(self, client):
        """Flood a client that doesn't read until the kernel takes nothing any more, either."""
        client.say("flood")
        drained, since = self.server.count()[3], time.monotonic()
        while time.monotonic() - since < 0.5:
            if (now := self.server.count()[3]) != drained:
                client.say("flood")
                drained, since = now, time.monotonic()

    def test_pings_while_it_waits(self):
        """They make the queue no longer."""
        client, other = self.open(receive_buffer=4096), self.open()
        self.fill(client)
        for _ in range(200):
            client.send(frame(PING, "x" * 125))
        client.say("all pings are read")
        self.assertEqual(other.text(), "pings are read")
        client.send(frame(CLOSE))
        pongs = 0
        while (answer := client.receive())[0] != CLOSE:
            pongs += answer[0] == PONG
        self.assertLess(pongs, 200)
        other.drop()
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

    def send_halves(self, sockets):
        """Send the first half of a message on each. Return the memory that the server takes with them."""
        for connection in sockets:
            connection.sendall(frame(TEXT, "x" * LONGEST, fin=False) + b"\x80")
        for _ in range(MANY // BATCH):
            self.server.count()  # each takes the server a turn, which serves as many connections or more
        return self.memory()

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
        half_way = self.send_halves(sockets) - before
        print(f"{MANY} idle: {share:.2%} of a core, {idle:.0f} bytes each; half way: {half_way / MANY:.0f}")
        self.assertLess(share, 0.02, "CPU of idle ones")
        if not SANITIZED:
            self.assertLess(idle, 1000, "bytes of memory of an idle one")
            self.assertLess(half_way / MANY, 12000, "bytes of memory of one half way")
        for connection in sockets:
            connection.sendall(b"\x80" + b"\0" * 4)
        for connection in sockets:
            self.assertEqual(connection.recv(4 + LONGEST, socket.MSG_WAITALL)[4:], b"x" * LONGEST)
            connection.close()
        self.wait_over()
        again = []
        for _ in range(2):
            sockets = self.open_many()
            again.append(self.send_halves(sockets))
            for connection in sockets:
                connection.close()
            self.wait_over()
        if not SANITIZED:
            # The C library may keep what is freed, but then it is used again.
            self.assertLess(again[1] - again[0], half_way / 4, "bytes of memory that each round takes")


if __name__ == "__main__":
    main()
