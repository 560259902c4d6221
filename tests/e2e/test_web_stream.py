"""presence-web's streams: pushed on change, resumed, correct across restarts, and cheap."""

import resource
import selectors
import signal
import socket
import time

from harness import DEADLINE, SOON, native, processor_time, visitor, wait_until
from side_by_side import main
from web import SITE, WebCase, token

PERIOD = 0.25  # seconds between counts of a place
KEEP_ALIVE = 15  # seconds of silence until a keep-alive
ALIVE = b"event: alive\ndata: {}\n\n"  # visible to scripts
MOST_PLACES = 64  # on one stream
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
        began = time.monotonic()
        self.people(collector, range(3))
        self.assertEqual(stream.wait_for("3", lambda data: data["count"] == 3)[-1]["room"], None)
        self.assertLess(time.monotonic() - began, SOON)
        self.people(collector, range(2, 5), room="/a")
        stream.wait_for("5", lambda data: data["count"] == 5)
        event = room.wait_for("3 in the room", lambda data: data["count"] == 3)[-1]
        self.assertEqual((event["room"], event["window_s"]), ("/a", 600))
        ids = [first["id"], "3", "5"]
        self.assertEqual(len(set(ids)), 3)

    def test_resumes(self):
        """A resumed stream repeats nothing, and sends at once what the client has missed."""
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
        """A new client gets the number as of now."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        stream = self.open_stream(web)
        first = stream.event()["data"]

        def later():
            return self.open_stream(web).event()["data"]["as_of"] > first["as_of"]

        wait_until(later, "a later time")

    def test_restart_of_the_daemon(self):
        """A quick restart of the collector is invisible: no 0, no gap, no mark."""
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
            if longest < 2:  # a busy machine may take longer, and stale is right
                self.assertEqual([(data["count"], data["stale"]) for data in seen], [(8, False)])
            self.assertLessEqual({data["count"] for data in seen}, {7, 8}, seen)

    def test_stale(self):
        """Over 3 s without the collector are reported once, with the last number, and its return."""
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
        """A new segment with another table starts at 0, and is warming."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.people(collector, range(7))
        self.wait_count(web, 7)
        stream = self.open_stream(web)
        self.assertEqual(stream.event()["data"]["count"], 7)
        collector.stop()
        self.start("--max-entries", "20000", "--max-scopes", "300", small=False)
        seen = stream.wait_for("the new segment", lambda data: data["warming"])
        self.assertEqual((seen[-1]["count"], seen[-1]["stale"]), (0, False))
        self.assertTrue(all(data["count"] == 7 and data["stale"] for data in seen[:-1]), seen)

    def test_limits(self):
        """Limits hold for all streams and for one client's; a stream that ends makes room."""
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
        """Streams end with a complete HTTP/1.1 response."""
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


class SeveralPlaces(WebCase):
    """One stream for all that a page, or all tabs of a browser, show."""

    def people(self, collector, numbers, room=""):
        self.send(collector, native(SITE, [visitor(number) for number in numbers], room=room))

    def first_of(self, stream, places):
        """Return the first event of each place, by its index; all of them come at once."""
        events = [stream.event() for _ in range(places)]
        self.assertEqual([event["data"]["place"] for event in events], list(range(places)))
        self.assertTrue(all("id" not in event for event in events), events)
        return [event["data"] for event in events]

    def test_each_place_is_told(self):
        """All numbers come at once, then only changes, as on a stream of one place."""
        collector = self.start("--warm-up", "0")
        web = self.serve(collector=collector)
        self.people(collector, range(2), room="/a")
        self.wait_count(web, 2)
        stream = self.open_stream(web, f"site={SITE}&room=&room=/a&room=//b/&minutes=10")
        self.assertEqual(stream.block(), ["retry: 2000"])
        first = self.first_of(stream, 3)
        self.assertEqual([(data["site"], data["room"], data["count"]) for data in first],
                         [(SITE, None, 2), (SITE, "/a", 2), (SITE, "/b", 0)])
        alone = self.open_stream(web, f"site={SITE}&room=/b&minutes=10").event()["data"]
        alone.pop("as_of"), first[2].pop("as_of")
        self.assertEqual(first[2], {"place": 2, **alone})
        self.people(collector, range(2, 5), room="/b")
        counts = {}
        while counts.get(0) != 5 or counts.get(2) != 3:
            data = stream.event()["data"]
            counts[data["place"]] = data["count"]
        self.assertNotIn(1, counts)  # nothing has changed there

    def test_rooms_belong_to_sites(self):
        """The n-th room is of the n-th site, the rest of the last; without a room it is the site."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        for query, expected in (
                ("site=a&site=B", [("a", None), ("b", None)]),
                ("site=a&site=b&room=/1&room=/2&room=/3", [("a", "/1"), ("b", "/2"), ("b", "/3")]),
                ("room=/1&site=a&room&site=b&site=c", [("a", "/1"), ("b", None), ("c", None)]),
                ("site=a&room=/1&site=a&room=/1", [("a", "/1"), ("a", "/1")])):
            with self.subTest(query=query):
                first = self.first_of(self.open_stream(web, query), len(expected))
                self.assertEqual([(data["site"], data["room"]) for data in first], expected)

    def test_everything_is_told_anew(self):
        """Events of several places have no id, and Last-Event-ID is ignored."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        for headers in {"Last-Event-ID": "0"}, {}:
            stream = self.open_stream(web, f"site={SITE}&room=&room=/a&last_event_id=0", headers)
            self.assertEqual(stream.block(), ["retry: 2000"])
            self.first_of(stream, 2)

    def test_as_many_as_there_may_be(self):
        """64 places fit, with all headers of a browser and a proxy; one more is refused."""
        web = self.serve(collector=self.start("--warm-up", "0"))
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache", "Cookie": 600 * "c",
                   "Referer": f"https://{SITE}/a/page", "X-Forwarded-For": "192.0.2.1",
                   "Sec-CH-UA": '"Not/A)Brand";v="8", "Chromium";v="126", "Google Chrome";v="126"',
                   **{f"Sec-Fetch-{name}": "same-origin" for name in ("Site", "Mode", "Dest")}}
        rooms = "".join(f"&room=%2Fblog%2Fa-title-number-{number:02}" for number in range(MOST_PLACES))
        self.first_of(self.open_stream(web, f"site={SITE}{rooms}", headers), MOST_PLACES)
        for more in rooms + "&room=/one-more", (MOST_PLACES + 1) * "&site=a":
            answer = web.get(f"/stream?site={SITE}{more}")
            self.assert_problem(answer, 400, "bad_request")
            self.assertIn(f"at most {MOST_PLACES} places", answer.json["message"])
        for bad in "&room=/a&room=%0a", "&room=/a&room=/" + 255 * "r", "&site=":
            self.assert_problem(web.get(f"/stream?site={SITE}{bad}"), 400, "bad_request")
        self.assert_problem(web.get("/stream?room=/a&room=/b"), 400, "bad_request")

    def test_default_limit(self):
        """A client has 200 streams."""
        web = self.serve(collector=self.start())
        for _ in range(200):
            self.open_stream(web)
        surplus = web.stream(f"site={SITE}")
        self.addCleanup(surplus.close)
        self.assertEqual(surplus.status, 429)

    def test_places_count(self):
        """--max-streams counts places, and one client can use only a part of them."""
        web = self.serve("--max-streams", "12", "--client-streams", "2", "--trusted-proxy",
                         "127.0.0.1", collector=self.start())

        def ask(client, places):
            stream = web.stream("&".join(places * [f"site={SITE}"]), {"X-Forwarded-For": client})
            self.addCleanup(stream.close)
            return stream.status

        first = [ask("192.0.2.1", places) for places in (4, 2, 1, 1)]
        self.assertEqual(first, [429, 200, 200, 429])
        self.assertEqual([ask(f"192.0.2.{host}", 3) for host in range(2, 5)], 3 * [200])
        self.assertEqual(ask("192.0.2.9", 1), 503)
        status = web.get("/api/status").json
        self.assertEqual((status["streams"], status["stream_places"]), (5, 12))

    def test_tokens(self):
        """Each place needs a token that allows it; the stream ends when the first expires."""
        key, other = 32 * "k", "other.example"
        web = self.serve("--jwt-key-file", self.secret("jwt", key), collector=self.start())
        later = time.time() + 600
        whole, room, elsewhere = (token(key, exp=later, **claims) for claims in (
            {"site": SITE}, {"site": SITE, "room": "/a"}, {"site": other}))
        for query, status in (
                (f"site={SITE}&room=&room=/a&token={whole}", 200),
                (f"site={SITE}&room=/a&room=/b&token={room}", 403),
                (f"site={SITE}&room=/a&room=/b&token={room}&token={whole}", 200),
                (f"site={SITE}&site={other}&token={whole}", 403),
                (f"site={SITE}&site={other}&token={whole}&token={elsewhere}", 200),
                (f"site={SITE}&room=/a&room=/b", 401)):
            with self.subTest(query=query):
                stream = web.stream(query)
                self.addCleanup(stream.close)
                self.assertEqual(stream.status, status)
        def open_in_time():
            """One that ends in 4 s; where a busy machine is late it would have half a minute."""
            end = time.time() + 4
            short = token(key, exp=end, site=SITE, room="/a")
            stream = self.open_stream(web, f"site={SITE}&room=/b&room=/a&token={whole}&token={short}")
            return time.time() < end - 1 and stream

        stream = wait_until(open_in_time, "a stream in time")
        begun = time.monotonic()
        self.first_of(stream, 2)
        self.assertIsNone(stream.event())
        self.assertLess(time.monotonic() - begun, SOON)


class Many(WebCase):
    """A thousand streams from one process, polled, to save threads."""

    def open_many(self, web, count, places=1):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count + 200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 200), hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        connections = []
        for number in range(count):
            room = f"&room=/{number % 10}" if number % 2 else ""
            if places > 1:
                room = "".join(f"&room=/{place}" for place in range(places))
            request = f"GET /stream?site={SITE}{room} HTTP/1.1\r\nHost: x\r\n\r\n"
            connections.append(web.raw(request.encode(), wait=False))
            self.addCleanup(connections[-1].close)
        return connections

    def read_until(self, connections, wanted, deadline=DEADLINE):
        """Read all streams until each has sent this. Return how many did."""
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
        """All get each change, memory stays small, and idle streams cost almost nothing."""
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
        cpu, begun = processor_time(web.process), time.monotonic()
        self.assertEqual(self.read_until(connections, ALIVE, KEEP_ALIVE + DEADLINE), MANY)
        share = (processor_time(web.process) - cpu) / (time.monotonic() - begun)
        self.assertLess(share, 0.05, "CPU of idle streams")
        print(f"{MANY} idle streams: {share:.2%} of a core, {each:.0f} bytes each")
        for connection in connections:
            connection.close()
        wait_until(lambda: web.get("/api/status").json["streams"] == 0, "all to be gone")

    def test_a_hundred_of_ten(self):
        """Several places on one stream cost little more than one, and each change is sent."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-streams", "0", collector=collector)
        before = web.memory()
        connections = self.open_many(web, MANY // 10, places=10)
        self.assertEqual(self.read_until(connections, b'{"place":9,"count":0'), MANY // 10)
        each = (web.memory() - before) / (MANY // 10)
        self.assertLess(each, 2 * 40000, "bytes of memory a stream of ten places")
        status = web.get("/api/status").json
        self.assertEqual((status["streams"], status["stream_places"]), (MANY // 10, MANY))
        self.send(collector, native(SITE, [visitor(1)], room="/7"))
        self.assertEqual(self.read_until(connections, b'{"place":7,"count":1,'), MANY // 10)
        print(f"{MANY // 10} streams of ten places: {each:.0f} bytes each")
        for connection in connections:
            connection.close()
        wait_until(lambda: web.get("/api/status").json["stream_places"] == 0, "all to be gone")

    def test_those_who_do_not_read(self):
        """Slow clients miss numbers, delay nobody, and use no more memory."""
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
    main()
