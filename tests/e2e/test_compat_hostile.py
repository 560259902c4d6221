"""Other systems' addresses under attack: hostile names and ids, and requests of random bytes."""

import contextlib
import json
import os
import random
import re
import socket
import unittest
from urllib.parse import quote, unquote

from documents import read
from harness import wait_until
from web import HOSTILE_NAMES as NAMES, SITE, WebCase
from websocket import CLOSE, CONTINUATION, PING, TEXT, WebSocket, close_payload, frame, handshake

SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"
ROUNDS, BATCH = 20, 50
KEY = "an-api-key-of-the-tests"

# The routes that --no-compat leaves out, as they stand in its table, and requests of each: {} is where hostile
# input goes, and a body has some, too.
ROUTES = {
    'GET "/api/v1/stats/realtime/visitors"': ["/api/v1/stats/realtime/visitors?site_id={}"],
    'GET "/api/websites/*"': ["/api/websites/{}/active", "/api/websites/{}"],
    'GET "/api/live-user-count/*"': ["/api/live-user-count/{}?minutes={}"],
    'GET "/api/events/*"': ["/api/events/{}?types={}&since_timestamp={}", "/api/events/{}?before_timestamp={}"],
    'POST REST_PATH "rpc/*"': ["/rest/v1/rpc/touch_website_active_visitor", "/rest/v1/rpc/{}"],
    'POST REST_PATH "*"': ["/rest/v1/{}"],
    'GET REST_PATH "*"': ["/rest/v1/{}"],
    'OPTIONS REST_PATH "*"': ["/rest/v1/rpc/{}"],
    'GET "/ws"': ["/ws?site={}&room={}&visitor={}&token={}", "/ws?site=42&visitor={}"],
    'GET ROOMS_POSTS "*"': ["/ws/posts/{}/live?token={}&visitor={}", "/ws/posts/{}"],
}
REQUESTS = [(route.split()[0], path) for route, paths in ROUTES.items() for path in paths]
READS = [path for method, path in REQUESTS if method == "GET" and path.startswith("/api/")]  # with an API key

# What is no name, or hardly one, as it stands in a path or query.
ODD = ["", "%", "%0", "%zz", "%00", "a%00b", "%ff%fe", "%c0%af", "%ed%a0%80", "%0d%0aX:%20y", ".", "..", "%2e%2e%2f",
       "//", "%2f", "%252f", "?", "#", "&", ";", "+", "%20", "%7f", "%1b[31m", "0", "-1", "null", "undefined",
       "[object%20Object]", "9" * 40, "a" * 253, "a" * 254, "%f0%9f%92%a5" * 63, "%f0%9f%92%a5" * 64, "a" * 2000]


class Attacks(WebCase):
    def begin(self, *arguments):
        self.collector = self.start("--warm-up", "0")
        self.web = self.serve("--client-rate", "0", "--site-alias", f"42={SITE}", "--rest-site", SITE, *arguments,
                              collector=self.collector)

    @staticmethod
    def body(method, visitor, minutes=5):
        """What goes with a request: the arguments of Supabase's function."""
        call = {"_visitor_id": visitor, "_window_minutes": minutes}
        return json.dumps(call) if method == "POST" else ""

    def assert_served(self):
        answer = wait_until(lambda: (answer := self.web.get("/api/websites/42/active")).status == 200 and answer,
                            "the number")
        self.assertIsInstance(answer.json["visitors"], int)

    def test_every_route_is_tried(self):
        table = re.search(r"compat_routes\[\] = \{(.*?)^\};", read("tools/presence-web/compat.c"), re.M | re.S)[1]
        entries = re.findall(r'\{"(\w+)", ((?:[A-Z_]+ )?"[^"]*"), \w+\}', table)
        self.assertEqual([f"{method} {path}" for method, path in entries], list(ROUTES))

    def test_names(self):
        """Answers are JSON in ASCII, repeat only what is a name, and there is no line in the log."""
        self.begin()
        for method, path in REQUESTS:
            for text in [*map(quote, NAMES), *ODD]:
                with self.subTest(path=path, text=text):
                    answer = self.web.ask(method, path.replace("{}", text), self.body(method, unquote(text)))
                    self.assertIn(answer.status, (200, 204, 400, 403, 404, 405, 426, 503))
                    if answer.status == 204:
                        continue
                    self.assertTrue(answer.body.isascii())
                    self.assertFalse(re.search(rb"[\x00-\x1f\x7f]", answer.body))
                    if answer.status == 426:  # a WebSocket's address; the answer has no part of the request
                        continue
                    self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
                    self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
                    if answer.status != 200:
                        json.loads(answer.body)
                        self.assertNotIn(b"[31m", answer.body)
        self.assert_served()
        self.assertEqual(self.web.output().count("\n"), 1, self.web.output())

    def first_message(self, path):
        """Join a room; a collector that is held up is silent meanwhile."""
        def opened():
            client = WebSocket(self.web.port, path)
            if client.status == 101:
                return client
            client.connection.close()
            return self.assertEqual(client.status, 503)

        client = wait_until(opened, "the handshake")
        with client.connection:
            return client.text()

    def test_names_in_sockets(self):
        """Rooms, visitors and posts with such names are joined, and told in ASCII."""
        self.begin("--client-streams", "0")
        posts = [*NAMES, "0", "-1", "007", "9" * 40, "1e5", "42", "null", "a" * 250]
        for name in posts:
            for path in f"/ws?site=42&room={quote(name, safe='')}", f"/ws/posts/{quote(name, safe='')}/live?x=1":
                with self.subTest(path=path):
                    text = self.first_message(f"{path}&visitor={quote(name)}%20v")
                    self.assertTrue(text.isascii())
                    joined = json.loads(text)
                    self.assertEqual((joined["type"], joined["viewers"]), ("room_joined", 1), joined)
                    if "post" in path:
                        self.assertEqual(str(joined["post_id"]), name)
        self.assert_served()

    def test_keys_guard_all(self):
        """Without the key no route tells anything, not even that a site is served here."""
        self.begin("--site", SITE, "--api-key-file", self.secret("keys", KEY))
        for path in READS:
            for name in SITE, "42", "other.example", "%00":
                for headers in {}, {"Authorization": "Bearer "}, {"X-Umami-Api-Key": KEY[:-1]}:
                    answer = self.web.get(path.replace("{}", name), headers)
                    self.assertIn(answer.status, (401, 404), (path, name))

    def scramble(self, pick, method, path):
        """A request whose line, headers or body were changed at random."""
        for _ in range(path.count("{}")):
            path = path.replace("{}", pick.choice([SITE, "42", *ODD, *map(quote, NAMES)]), 1)
        line = f"{method} {path} HTTP/1.1\r\n".encode()
        headers = {"Host": "a", "Authorization": f"Bearer {KEY}", "apikey": KEY, "X-Umami-Api-Key": KEY,
                   "Origin": "https://a.example", "Content-Type": "application/json", "Upgrade": "websocket",
                   "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x" * 24}
        names = ["Host", *pick.sample(sorted(set(headers) - {"Host"}), pick.randrange(len(headers)))]
        body = self.body(method, pick.choice(NAMES), pick.choice([5, None, -1, 1e99, [], "7"])).encode()
        lines = b"".join(f"{name}: {headers[name]}\r\n".encode() for name in names)
        request = bytearray(line + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        for _ in range(pick.choice([0, 0, 1, 2, 8])):
            at = pick.randrange(len(request))
            if pick.random() < 0.5:
                request[at] = pick.randrange(256)
            else:
                request[at:at + pick.randrange(4)] = pick.choice([b"", b"\0", b"\r\n", b"%", b"{", b"\xff\xfe", b'"'])
        return bytes(request)

    def answers(self, requests):
        """Send each on a connection of its own. Return what has been answered once others have been served:
        some wait for the rest of their body."""
        with contextlib.ExitStack() as held:
            connections = [held.enter_context(self.web.raw(b"", wait=False)) for _ in requests]
            for connection, request in zip(connections, requests):
                with contextlib.suppress(OSError):  # it has seen enough
                    connection.sendall(request)
                    connection.shutdown(socket.SHUT_WR)
            self.assert_served()
            for connection in connections:
                connection.setblocking(False)
                with contextlib.suppress(OSError):
                    yield connection.recv(65536)
                    continue
                yield b""

    def test_random_requests(self):
        """Others are served meanwhile, and memory does not grow."""
        self.begin("--origin", "https://a.example")
        pick, before, answered = random.Random(SEED), None, 0
        for number in range(ROUNDS):
            requests = []
            for _ in range(BATCH):
                method, path = pick.choice(REQUESTS)
                requests.append(self.scramble(pick, pick.choice([method] * 9 + ["HEAD", "PUT", "OPTIONS"]), path))
            for request, answer in zip(requests, self.answers(requests)):
                self.assertRegex(answer[:12], rb"^(HTTP/1\.[01] [1-5]\d\d)?$", (SEED, request))
                answered += answer != b""
            if number == ROUNDS // 2:
                before = self.web.memory()
        self.assertGreater(answered, ROUNDS * BATCH // 2, SEED)
        if not SANITIZED:  # a sanitizer keeps what is freed
            self.assertLess(self.web.memory() - before, 4 << 20, SEED)
        self.assertEqual(self.web.stop(), 0)

    @staticmethod
    def frames(pick):
        """Frames in a row that a client may send to a room, and bytes that are none."""
        ping, nested = '{"type":"ping"}', "[" * 4000
        choices = [
            lambda: frame(TEXT, pick.choice([ping, "", "null", nested, '{"type":"p\\u0000"}', "\0", "é" * 2048])),
            lambda: frame(TEXT, ping[:5], fin=False) + frame(PING, "x") + frame(CONTINUATION, ping[5:]),
            lambda: frame(pick.randrange(16), pick.randbytes(pick.choice([0, 1, 125, 126, 4096, 4097])),
                          fin=pick.random() < 0.7, mask=pick.random() < 0.9, reserved=pick.choice([0, 0, 0, 4])),
            lambda: frame(TEXT, "x", length=pick.choice([125, 126, 65536, 2**63]), form=pick.choice([2, 8])),
            lambda: frame(CLOSE, close_payload(pick.choice([999, 1000, 1005, 3000, 65535]), "é" * pick.randrange(61))),
            lambda: frame(PING) * pick.randrange(300),
            lambda: pick.randbytes(pick.randrange(40)),
        ]
        return b"".join(pick.choice(choices)() for _ in range(pick.randrange(8)))

    def test_random_frames(self):
        """Nothing is left of those who sent them, not even where the visitors come back."""
        self.begin("--client-streams", "0")
        pick, upgraded = random.Random(SEED), 0
        paths = "/ws?site=42&room=a&", "/ws?site=42&", "/ws/posts/1/live?", "/ws/posts/2/live?"
        for _ in range(ROUNDS):
            with contextlib.ExitStack() as held:
                connections = [held.enter_context(self.web.raw(b"", wait=False)) for _ in range(BATCH)]
                for connection in connections:
                    headers = {"User-Agent": pick.choice(["Googlebot/2.1", None, None])}
                    data = handshake(f"{pick.choice(paths)}visitor=v{pick.randrange(20)}", headers) + self.frames(pick)
                    with contextlib.suppress(OSError):
                        connection.sendall(data[:pick.choice([len(data), len(data), pick.randrange(len(data))])])
                        if pick.random() < 0.2:
                            connection.shutdown(socket.SHUT_WR)
                self.assert_served()
                for connection in connections:
                    connection.setblocking(False)
                    with contextlib.suppress(OSError):
                        upgraded += connection.recv(4096).startswith(b"HTTP/1.1 101")
        wait_until(lambda: self.web.get("/api/status").json["streams"] == 0, f"all to be over ({SEED})")
        self.assertGreater(upgraded, 0, SEED)
        self.assertEqual(self.web.output().count("\n"), 1, (SEED, self.web.output()))
        self.assertEqual(self.web.stop(), 0, SEED)


if __name__ == "__main__":
    unittest.main()
