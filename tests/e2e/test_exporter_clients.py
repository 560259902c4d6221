"""presence-exporter and the clients that nobody wants: slow, silent, oversized, malformed, many."""

import concurrent.futures
import os
import resource
import select
import socket
import time
import unittest

from exporter import ExporterCase
from harness import DEADLINE, SOON, asan_options, native, visitor, wait_until
from prometheus_client.parser import text_string_to_metric_families

SITE = "example.com"
LIMIT = 64  # connections
GROWTH = 32 << 20  # bytes
# The address sanitizer keeps what was freed, for a while: not so much of it here.
QUARANTINE = "quarantine_size_mb=4:thread_local_quarantine_size_kb=256"


class Clients(ExporterCase):
    def setUp(self):
        super().setUp()
        self.collector = self.start("--warm-up", "0")
        self.send(self.collector, native(SITE, [visitor(i) for i in range(42)], room="/"))
        self.wait_received(1)
        self.exporter = self.export(environment=asan_options(QUARANTINE))
        self.assert_answers()
        self.memory = self.exporter.own_memory()

    def assert_answers(self, within=DEADLINE):
        begin = time.monotonic()
        self.assertEqual(self.value(self.exporter, "presence_active_visitors", site=SITE,
                                    window="5m"), 42)
        self.assertLess(time.monotonic() - begin, within)

    def assert_bounded(self):
        self.assertLess(self.exporter.own_memory() - self.memory, GROWTH)
        self.assertEqual(self.exporter.output().count("\n"), 1, self.exporter.output())

    def test_silent_and_slow_clients(self):
        """Hundreds of connections that say nothing, or never finish: a scrape gets through."""
        before = self.exporter.descriptors()
        clients = []
        for number in range(5 * LIMIT):
            client = self.exporter.connect()
            self.addCleanup(client.close)
            if number % 3:
                client.sendall((b"", b"GET /metrics HTTP/1.1\r\nHo", b"POST /metrics HTTP/1.1\r\n"
                                b"Host: x\r\nContent-Length: 99\r\n\r\nx")[number % 3])
            clients.append(client)
            if number % LIMIT == LIMIT - 1:
                self.assert_answers(within=SOON)
                wait_until(lambda: self.exporter.descriptors() - before <= LIMIT, "others to be ended")
        for client in clients:  # those that were not ended go on, a byte at a time
            try:
                client.send(b"x")
            except OSError:
                pass
        self.assert_answers(within=SOON)
        self.assert_bounded()

    def test_one_address_leaves_room_for_others(self):
        self.assertTrue(self.exporter.stays_connected(2 * LIMIT))

    def test_clients_that_take_no_answer(self):
        clients = [self.exporter.connect() for _ in range(20)]
        for client in clients:
            self.addCleanup(client.close)
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            try:  # as many requests as it takes, and no answer read
                for _ in range(2000):
                    client.send(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
            except OSError:
                pass
        self.assert_answers(within=SOON)
        self.assert_bounded()

    def test_malformed_and_oversized(self):
        for request, status in (
            (b"GET /metrics HTTP/1.1\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", b"400"),
            (b"GET /metrics HTTP/3.0\r\nHost: x\r\n\r\n", b"505"),
            (b"GET /metrics \x1b[31m\r\n\r\n", b"400"),
            (b"\x16\x03\x01\x02\x00\x01 \x00 \r\n\r\n", b"400"),
            (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
            (b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100000 + b"\r\n\r\n", b"431"),
            (b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000 + b"\r\n", b"431"),
            (b"GET /\x1b]0;x\x07<script> HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
            (b"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1000000000"
             b"\r\n\r\n", b"413"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", b"400"),
            (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
        ):
            with self.subTest(request=request[:60]):
                answer = self.exporter.raw(request)
                # A reset may overtake the answer to a large one; zero bytes get none since
                # libmicrohttpd 1.0.
                if answer or (len(request) < 20000 and b"\0" not in request):
                    self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), answer[:80])
                self.assertNotIn(b"script>", answer)
        self.assertEqual(self.exporter.raw(b"garbage\r\n\r\n"), b"")  # closed
        self.assert_answers()
        self.assert_bounded()

    def test_reset_in_the_middle(self):
        for _ in range(100):
            client = self.exporter.connect()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            client.close()  # a reset
        self.assert_answers()
        self.assert_bounded()

    @unittest.skipUnless(os.environ.get("TEST_LONG"), "takes over 20 s: TEST_LONG")
    def test_slow_clients_are_ended(self):
        """After 20 s, however often they send a byte."""
        client = self.exporter.connect()
        self.addCleanup(client.close)
        begin = time.monotonic()
        client.sendall(b"GET /metrics HTTP/1.1\r\n")

        def ended():
            try:
                client.send(b"A: b\r\n")
            except OSError:
                return True
            readable, _, _ = select.select([client], [], [], 0.2)
            return bool(readable) and client.recv(1) == b""

        wait_until(ended, "the slow client to be ended", 20 + DEADLINE)
        self.assertGreater(time.monotonic() - begin, 15)

    def test_scrapes_leave_nothing_behind(self):
        """Each loads a hundred rooms, some 50 KB, and compresses them or not."""
        self.send(self.collector, *(native(SITE, [visitor(1)], room=f"/{room}") for room in range(100)))
        self.wait_received(101)

        def scrape():
            for number in range(400):
                self.exporter.get("/metrics", **{"Accept-Encoding": ("gzip", "identity")[number % 2]})
            return self.exporter.own_memory()

        first = scrape()
        self.assertLess(scrape() - first, GROWTH / 4)

    def test_no_descriptor_is_left(self):
        """It says why a connection can't be accepted, and goes on when another one has ended."""
        process = self.exporter.process.pid
        with self.exporter.connect() as kept:
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(kept.recv(4096))
            used = set(map(int, os.listdir(f"/proc/{process}/fd")))
            before = resource.prlimit(process, resource.RLIMIT_NOFILE)
            resource.prlimit(process, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
            self.addCleanup(self.exporter.connect().close)
            wait_until(lambda: "Error accepting connection: Too many open files" in self.exporter.output(),
                       lambda: f"it to say why: {self.exporter.output()}")
            resource.prlimit(process, resource.RLIMIT_NOFILE, before)
        self.assert_answers()

    def test_storm(self):
        """Many scrapes at a time: each is whole and right."""
        def scrape(number):
            accept = "application/openmetrics-text" if number % 2 else "text/plain"
            status, _, body = self.exporter.get("/metrics", Accept=accept)
            text = body.decode().removesuffix("# EOF\n")
            counts = [sample.value for family in text_string_to_metric_families(text)
                      for sample in family.samples if sample.name == "presence_active_visitors"]
            return status, counts, body.endswith(b"# EOF\n") == bool(number % 2)

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for result in pool.map(scrape, range(400)):
                self.assertEqual(result, (200, [42], True))
        self.assert_bounded()


if __name__ == "__main__":
    unittest.main()
