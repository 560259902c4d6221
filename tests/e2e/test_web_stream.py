"""presence-web's streams: pushed on change, resumed, right through restarts, and cheap."""

import resource
import selectors
import signal
import socket
import time
import unittest

from harness import DEADLINE, native, visitor, wait_until
from web import SITE, WebCase

PERIOD = 0.25  # seconds, in which places are looked at
KEEP_ALIVE = 15  # seconds of silence, after which a stream says something
MANY = 1000


class Streams(WebCase):
    def people(self, collector, numbers, room=""):
        self.send(collector, native(SITE, [visitor(number) for number in numbers], room=room))

    def test_pushed_on_change(self):
        """The number comes at once, and then whenever it changes."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        stream = self.open_stream(web)
        self.assertEqual(stream.headers["content-type"], "text/event-stream; charset=utf-8")
        self.assertEqual(stream.headers["cache-control"], "no-store")
        self.assertEqual(stream.headers["x-accel-buffering"], "no")
        self.assertEqual(stream.block(), ["retry: 2000"])
        first = stream.event()
        self.assertEqual(first["event"], "count")
        expected = {"count": 0, "site": SITE, "room": None, "window_s": 300, "stale": False,
                    "warming": False, "last_heartbeat_s": None}
        self.assertEqual({key: first["data"][key] for key in expected}, expected)
        room = self.open_stream(web, f"site={SITE}&room=/a&minutes=10")
        self.assertEqual(room.event()["data"]["count"], 0)
        self.people(collector, range(3))
        self.assertEqual(stream.wait_for("3", lambda data: data["count"] == 3)[-1]["room"], None)
        self.people(collector, range(2, 5), room="/a")
        stream.wait_for("5", lambda data: data["count"] == 5)
        event = room.wait_for("3 in the room", lambda data: data["count"] == 3)[-1]
        self.assertEqual((event["room"], event["window_s"]), ("/a", 600))
        ids = [first["id"], "3", "5"]
        self.assertEqual(len(set(ids)), 3)

    def test_resumes(self):
        """What a client has seen is not repeated; what it has missed comes at once."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.people(collector, range(3))
        self.wait_count(web, 3)
        last = self.open_stream(web).event()["id"]
        for in_query in False, True:
            headers = {} if in_query else {"Last-Event-ID": last}
            query = f"&last_event_id={last}" if in_query else ""
            resumed = self.open_stream(web, f"site={SITE}{query}", headers)
            self.assertIn(": resumed", resumed.block())
            self.people(collector, [100 + in_query])
            event = resumed.event()
            self.assertNotEqual(event["id"], last)
            last = event["id"]
        missed = self.open_stream(web, headers={"Last-Event-ID": "2"})
        self.assertEqual(missed.event()["data"]["count"], 5)
        hostile = self.open_stream(web, headers={"Last-Event-ID": "x" * 1000})
        self.assertEqual(hostile.event()["data"]["count"], 5)

    def test_a_new_stream_of_an_old_number(self):
        """It is not told an old time: the number is as of now."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        stream = self.open_stream(web)
        first = stream.event()["data"]

        def later():
            return self.open_stream(web).event()["data"]["as_of"] > first["as_of"]

        wait_until(later, "a later time")

    def test_restart_of_the_daemon(self):
        """A restart in time is not seen at all: no 0, no gap, not even a mark."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--to", f"127.0.0.1:{collector.port}")
        self.people(collector, range(7))
        self.wait_count(web, 7)
        streams = [self.open_stream(web) for _ in range(5)]
        for stream in streams:
            self.assertEqual(stream.event()["data"]["count"], 7)
        longest = 0
        for how in signal.SIGTERM, signal.SIGKILL:
            begun = time.monotonic()
            collector.process.send_signal(how)
            collector.process.wait(timeout=DEADLINE)
            down = time.monotonic()
            wait_until(lambda: time.monotonic() > down + 3 * PERIOD, "it to be missed")
            collector = self.start("--warm-up", "0", listen=collector.address)
            longest = max(longest, time.monotonic() - begun)
        self.people(collector, [100])
        for stream in streams:
            seen = stream.wait_for("8", lambda data: data["count"] == 8)
            if longest < 2:  # or the machine was so busy that it is stale rightly
                self.assertEqual([(data["count"], data["stale"]) for data in seen], [(8, False)])
            self.assertLessEqual({data["count"] for data in seen}, {7, 8}, seen)

    def test_stale(self):
        """Over 3 s without the daemon is said once, with the last number; its return, too."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.people(collector, range(7))
        self.wait_count(web, 7)
        stream = self.open_stream(web)
        self.assertEqual(stream.event()["data"]["count"], 7)
        stopped = time.monotonic()
        collector.stop()
        event = stream.event()["data"]
        self.assertEqual((event["count"], event["stale"]), (7, True))
        self.assertGreater(time.monotonic() - stopped, 2)
        late = self.open_stream(web).event()["data"]
        self.assertEqual((late["count"], late["stale"]), (7, True))
        unknown = self.open_stream(web, "site=nobody.example").event()["data"]
        self.assertEqual((unknown["count"], unknown["stale"]), (None, True))
        self.start("--warm-up", "0")
        event = stream.event()["data"]
        self.assertEqual((event["count"], event["stale"]), (7, False))

    def test_a_new_segment(self):
        """One of another geometry begins at nothing, and says that it is warming."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.people(collector, range(7))
        self.wait_count(web, 7)
        stream = self.open_stream(web)
        self.assertEqual(stream.event()["data"]["count"], 7)
        collector.stop()
        self.start("--max-visitors", "20000", "--max-scopes", "300", small=False)
        seen = stream.wait_for("the new segment", lambda data: data["warming"])
        self.assertEqual((seen[-1]["count"], seen[-1]["stale"]), (0, False))
        self.assertTrue(all(data["count"] == 7 and data["stale"] for data in seen[:-1]), seen)

    def test_limits(self):
        """Of all, and of one client; those who go make room."""
        web = self.serve("--max-streams", "4", "--client-streams", "2", "--trusted-proxy",
                         "127.0.0.1", collector=self.start())

        def open_for(client):
            return self.open_stream(web, headers={"X-Forwarded-For": client})

        first = [open_for("192.0.2.1") for _ in range(2)]
        answer = web.get(f"/stream?site={SITE}", {"X-Forwarded-For": "192.0.2.1"})
        self.assert_problem(answer, 429, "rate_limited")
        second = [open_for("192.0.2.2") for _ in range(2)]
        answer = web.get(f"/stream?site={SITE}", {"X-Forwarded-For": "192.0.2.3"})
        self.assert_problem(answer, 503, "too_many_streams")
        self.assertIn("retry-after", answer.headers)
        self.assertEqual(web.get("/api/status").json["streams"], 4)
        for stream in first + second:
            stream.response.close()
            stream.close()
        begun = time.monotonic()
        wait_until(lambda: web.get("/api/status").json["streams"] == 0, "them to be gone")
        self.assertLess(time.monotonic() - begun, KEEP_ALIVE)
        open_for("192.0.2.1")

    def test_bad_requests(self):
        web = self.serve(collector=self.start())
        for query in "", "site=", "site=" + 254 * "s", f"site={SITE}&room={256 * 'r'}", \
                f"site={SITE}&room=%0a", f"site={SITE}&minutes=x":
            self.assert_problem(web.get(f"/stream?{query}"), 400, "bad_request")
        self.assertEqual(web.ask("HEAD", f"/stream?site={SITE}").status, 200)
        self.assertEqual(web.get("/api/status").json["streams"], 0)

    def test_ends_with_the_server(self):
        """Streams are closed in order, as a client of HTTP/1.1 sees."""
        web = self.serve(collector=self.start())
        streams = [self.open_stream(web) for _ in range(20)]
        for stream in streams:
            stream.event()
        self.assertEqual(web.stop(), 0)
        for stream in streams:
            self.assertIsNone(stream.event())

    def test_http_1_0(self):
        """A proxy that speaks HTTP/1.0, as nginx does by default, gets it without chunks."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        connection = web.raw(f"GET /stream?site={SITE} HTTP/1.0\r\n\r\n".encode(), wait=False)
        self.addCleanup(connection.close)
        file = connection.makefile("rb")
        self.addCleanup(file.close)
        head = iter(lambda: file.readline().strip(), b"")
        self.assertNotIn(b"transfer-encoding: chunked", [line.lower() for line in head])
        self.assertEqual(file.readline(), b"retry: 2000\n")
        self.people(collector, range(3))
        while line := file.readline():
            if b'"count":3' in line:
                return
        self.fail("the stream ended")


class Many(WebCase):
    """A thousand streams from one process: read by hand, to spare threads."""

    def open_many(self, web, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        connections = []
        for number in range(count):
            room = f"&room=/{number % 10}" if number % 2 else ""
            request = f"GET /stream?site={SITE}{room} HTTP/1.1\r\nHost: x\r\n\r\n"
            connections.append(web.raw(request.encode(), wait=False))
            self.addCleanup(connections[-1].close)
        return connections

    def read_until(self, connections, wanted, deadline=DEADLINE):
        """Read all of them until each has said this; returns how many said it."""
        pending = {connection: b"" for connection in connections}
        end = time.monotonic() + deadline
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection, selectors.EVENT_READ)
            while pending and time.monotonic() < end:
                for key, _ in selector.select(timeout=1):
                    connection = key.fileobj
                    pending[connection] += connection.recv(65536)
                    if wanted in pending[connection]:
                        selector.unregister(connection)
                        del pending[connection]
        return len(connections) - len(pending)

    def test_a_thousand(self):
        """All are told, memory stays small, and while nothing changes they cost next to nothing."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-streams", "0", collector=collector)
        before = web.memory()
        connections = self.open_many(web, MANY)
        self.assertEqual(self.read_until(connections, b'"count":0'), MANY)
        self.assertEqual(web.get("/api/status").json["streams"], MANY)
        each = (web.memory() - before) / MANY
        self.assertLess(each, 40000, "bytes of memory a stream")
        for room in range(1, 10, 2):
            self.send(collector, native(SITE, [visitor(1)], room=f"/{room}"))
        self.assertEqual(self.read_until(connections, b'"count":1'), MANY)
        self.assertEqual(self.live(web)["count"], 1)
        cpu, begun = web.cpu(), time.monotonic()
        self.assertEqual(self.read_until(connections, b": keep-alive", KEEP_ALIVE + DEADLINE), MANY)
        share = (web.cpu() - cpu) / (time.monotonic() - begun)
        self.assertLess(share, 0.05, "CPU of idle streams")
        print(f"{MANY} idle streams: {share:.2%} of a core, {each:.0f} bytes each")
        for connection in connections:
            connection.close()
        wait_until(lambda: web.get("/api/status").json["streams"] == 0, "all to be gone")

    def test_those_who_do_not_read(self):
        """They miss numbers, hold nobody up, and take no more memory."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-streams", "0", collector=collector)
        # The longest names make the longest events, and a small buffer on our side is soon full.
        site, room = 253 * "s", 127 * "é"
        query = f"site={site}&room={'%C3%A9' * 127}"
        lazy = []
        for _ in range(50):
            connection = socket.socket()
            self.addCleanup(connection.close)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", web.port))
            connection.sendall(f"GET /stream?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            lazy.append(connection)
        reader = self.open_stream(web, query)
        self.assertEqual(reader.event()["data"]["count"], 0)
        before = web.memory()
        for number in range(1, 16):
            self.send(collector, native(site, [visitor(number)], room=room))
            reader.wait_for(f"{number}", lambda data: data["count"] == number)
        self.assertLess(web.memory() - before, 4 << 20)
        self.assertEqual(self.read_until(lazy, b'"count":15,'), len(lazy))


if __name__ == "__main__":
    unittest.main()
