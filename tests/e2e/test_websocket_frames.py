"""The WebSockets of lib/http: what each frame is answered with, right or wrong."""

import random
import socket
import struct
import unittest

from websocket import (BINARY, CLOSE, CONTINUATION, LONGEST, PING, PONG, TEXT, WebSocketCase,
                       close_payload, frame)

BURST = 256  # frames at once

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
    "close with half a code of 4096": (frame(CLOSE, b"\x10"), 1002),
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


if __name__ == "__main__":
    unittest.main()
