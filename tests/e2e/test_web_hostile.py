"""presence-web under attack: hostile names, and clients that are slow, broken or too many."""

import concurrent.futures
import contextlib
import http.client
import json
import re
import socket
import threading
import time
import unittest
from urllib.parse import quote

from harness import SOON, wait_until
from web import HOSTILE_NAMES, SITE, WebCase, new_id


class Names(WebCase):
    def test_inert_in_answers(self):
        """Names survive JSON, escaped to ASCII, and no browser renders the answer as a page."""
        collector = self.start("--warm-up", "0")
        web = self.serve("--client-rate", "0", collector=collector)
        for name in HOSTILE_NAMES:
            answer = web.touch({"site": name.lower(), "visitor": name, "room": name, "source": name,
                                "event": name[:15]})
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual((answer.json["site"], answer.json["room"]), (name.lower(), name))
            self.assertTrue(answer.body.isascii())
        self.wait_received(len(HOSTILE_NAMES))
        listed = web.get("/api/sites")
        self.assertEqual({line["site"] for line in listed.json["data"]},
                         {name.lower() for name in HOSTILE_NAMES})
        for answer in (listed, web.touch({"site": HOSTILE_NAMES[0], "visitor": "v"})):
            self.assertTrue(answer.body.isascii())
            self.assertFalse(re.search(rb"[\x00-\x1f\x7f]", answer.body))
            self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            for rule in "default-src 'none'", "frame-ancestors 'none'":
                self.assertIn(rule, answer.headers["content-security-policy"])

    def test_inert_in_streams(self):
        """A name with line breaks adds no lines to a stream."""
        web = self.serve("--client-rate", "0", collector=self.start())
        for name in HOSTILE_NAMES:
            stream = self.open_stream(web, f"site={quote(name)}&room={quote(name)}")
            event = stream.event()
            self.assertEqual(set(event), {"id", "event", "data"})
            self.assertEqual((event["data"]["site"], event["data"]["room"]), (name.lower(), name))
            stream.close()

    def test_refused_ones_are_not_repeated(self):
        """Refused input appears neither in answers nor in the log."""
        web = self.serve("--client-rate", "0", collector=self.start())
        mark = "<b>\x1b[31mmark"
        for answer in (web.touch({"site": mark, "visitor": "v"}),
                       web.touch({"site": SITE, "visitor": "v", "kind": mark}),
                       web.touch({"site": SITE, "visitor": mark * 20}),
                       web.get("/%1b[31mmark"), web.get("/stream?site=%1b[31mmark"),
                       web.get(f"/api/sites/{SITE}/events?since_timestamp=%1b[31mmark"),
                       web.ask("GET", "/api/sites", headers={"Authorization": "Bearer mark"})):
            self.assertNotIn(b"mark", answer.body)
        self.assertNotIn("mark", web.output())
        self.assertNotIn("\x1b", web.output())

    def test_visitor_ids_are_nowhere(self):
        """Raw ids are never shown, stored or logged."""
        web = self.serve(collector=self.start())
        person = "a-very-personal-id"
        answers = [web.touch({"site": SITE, "visitor": person, "kind": kind, "room": "/a"})
                   for kind in ("heartbeat", "pageview", "leave")]
        answers += [web.get(path) for path in ("/api/sites", "/api/status",
                                               f"/api/analytics/sites/{SITE}/realtime")]
        for answer in answers:
            self.assertNotIn(person.encode(), answer.body)
        self.assertNotIn(person, web.output())
        with open(self.segment, "rb") as segment:
            self.assertNotIn(person.encode(), segment.read())


class Requests(WebCase):
    def assert_served(self, web):
        """Check that a read is answered correctly, and soon."""
        begun = time.monotonic()
        self.assertEqual(self.live(web)["count"], 1)
        self.assertLess(time.monotonic() - begun, SOON)

    def begin(self, *arguments):
        web = self.serve(*arguments, collector=self.start("--warm-up", "0"))
        self.counted(web, {"site": SITE, "visitor": "v"})
        return web

    def test_malformed(self):
        """A broken request is refused or closed, and the next client is served."""
        web = self.begin()
        path = f"/api/sites/{SITE}/live-user-count"
        for request in (
                b"GET\r\n\r\n", b"GET /\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                f"GET {path} HTTP/1.1\r\n\r\n".encode(),  # no Host
                f"GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".encode(),
                f"GET {path} HTTP/9.9\r\nHost: a\r\n\r\n".encode(),
                f"GET {path} HTTP/1.1\r\nHost a\r\n\r\n".encode(),
                b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
                b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n",
                b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
                b"POST /touch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                b"POST /touch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"ffffffffffffffff\r\n"):
            with self.subTest(request=request[:60]):
                connection = web.raw(request, wait=False)
                with connection, contextlib.suppress(OSError):  # it waits for more, or has enough
                    connection.settimeout(1)
                    connection.shutdown(socket.SHUT_WR)
                    answer = b""
                    while piece := connection.recv(65536):
                        answer += piece
                self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0])
                self.assert_served(web)

    def test_where_a_request_ends(self):
        """What another server might see the end of elsewhere is refused, and nothing behind it is
        read as a request; nor behind a body in chunks."""
        web = self.serve("--client-rate", "0", collector=self.start())
        body = json.dumps({"site": SITE, "visitor": "v"}).encode()
        length, chunked = b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked"
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

        def ask(headers, body=body, first=b"POST /touch HTTP/1.1"):
            answer = web.raw(first + b"\r\nHost: a\r\n" + headers + b"\r\n\r\n" + body +
                             b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertNotIn(b"is healthy", answer, headers)
            return answer

        old = b"POST /touch HTTP/1.0"
        for headers, *rest in (
                (length + b"\r\n" + length,), (length + b"\r\ncontent-length: 0",),
                (b"Content-Length: 0\r\n" + length,), (length + b"\r\n" + chunked, chunks),
                (chunked + b"\r\n" + length, chunks), (chunked + b", identity", chunks),
                (b"Transfer-Encoding: identity", chunks), (b"Transfer-Encoding:", chunks),
                (b"Transfer-Encoding: gzip, chunked", chunks), (b"Transfer-Encoding: xchunked", chunks),
                (chunked + b"\x0b", chunks), (chunked + b"\0", chunks),
                (chunked + b"\r\n" + chunked, chunks), (chunked + b"\r\nConnection: keep-alive", chunks, old),
                (chunked.replace(b":", b" :"), chunks), (length.replace(b":", b" :"),),
                (length.replace(b":", b"\t:"),), (length.replace(b": ", b": +"),), (length + b", 9",),
                (length.replace(b": ", b": 0x"),), (b"Content-Length: -1",), (b"Content-Length:",),
                (length + b"\0",), (b"Content-Length:\r\n 9",), (b"Content-Leng: 9\r\n\tth",),
                (b"X: a\r\n b\r\n" + length,), (length + b"\r\nX: a\r\n b",),
                (b" X: a\r\n" + length,), (b": a\r\n" + length,), (b"X Y: a\r\n" + length,),
                (b"Transfer-Encoding\x0b: chunked\r\n" + length,), (b"X: a\0b\r\n" + length,),
                (b"X: a\0\0Content-Length: 3\r\n" + length,),
                (b"X: a\rContent-Length: 3\r\n" + length,), (b"X: a\n" + length,),
                (length, body, b"POST  /touch HTTP/1.1")):
            with self.subTest(headers=headers, first=rest[1:]):
                answer = ask(headers, *rest)
                self.assertEqual(answer[:12], b"HTTP/1.1 400")
                self.assertIn(b"\r\nConnection: close\r\n", answer)
        self.assertEqual(self.live(web)["count"], None)  # warming, and nobody was there
        for headers in chunked, b"transfer-encoding:CHUNKED", chunked + b"\r\nX: a\t b ":
            answer = ask(headers, chunks)
            self.assertEqual(answer[:12], b"HTTP/1.1 200", headers)
            self.assertEqual(json.loads(answer.partition(b"\r\n\r\n")[2])["site"], SITE)
        # A blank at the end is no part of a value; before libmicrohttpd 1.0 we don't believe that.
        self.assertIn(ask(chunked + b" ", chunks)[:12], (b"HTTP/1.1 200", b"HTTP/1.1 400"))
        for pad in range(16):  # however the folded line lies in memory
            self.assertEqual(web.raw(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nP: %s\r\nX:    v\r\n c\r\n\r\n"
                                     % (b"p" * pad))[:12], b"HTTP/1.1 400")

    def test_oversized(self):
        """Long lines, many headers and large bodies are refused before they are stored."""
        web = self.begin()
        before = web.memory()
        for request in (
                b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 50000 + b"\r\n",
                b"GET /?" + b"a&" * 50000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n" + b"a" * 100000):
            with self.subTest(request=request[:60]):
                connection = web.raw(b"", wait=False)
                with connection:
                    try:
                        connection.sendall(request)
                        answer = connection.recv(65536)
                    except OSError:  # closed by the server
                        answer = b""
                self.assertNotIn(b" 200 ", answer.split(b"\r\n")[0])
                self.assert_served(web)
        chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        connection = web.raw(b"POST /touch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                             wait=False)
        with connection:
            try:
                for _ in range(500):  # 32 MB
                    connection.sendall(chunk)
            except OSError:
                pass
        self.assert_served(web)
        self.assertLess(web.memory() - before, 8 << 20)

    def test_too_many_parameters(self):
        """Headers beyond the limit are refused; the library would wait for ever."""
        web = self.serve(collector=self.start())
        for number in (160, 1000) + tuple(range(100, 160, 7)):
            for parameter in "a", "a=1", "room=" + 30 * "x":
                query = "&".join(number * [parameter])
                connection = web.raw(f"GET /stream?site=a&{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
                                     wait=False)
                with connection, contextlib.suppress(ConnectionResetError):
                    connection.settimeout(SOON)  # the library's timeout is twice that
                    answer = connection.recv(1000)
                    self.assertIn(answer[:12], (b"HTTP/1.1 200", b"HTTP/1.1 400", b"HTTP/1.1 414",
                                                b"HTTP/1.1 431", b""))
                    if number >= 160:
                        self.assertEqual(answer[:12], b"HTTP/1.1 414")
        self.assertEqual(web.get("/-/healthy").status, 200)
        wait_until(lambda: web.get("/api/status").json["streams"] == 0, "all to be gone")
        self.assertEqual(web.output().count("\n"), 1, web.output())  # clients must not fill the log

    def test_pipelined(self):
        """Pipelined requests are answered in order."""
        web = self.begin()
        request = b"GET /api/sites/%d/live-user-count HTTP/1.1\r\nHost: a\r\n%s\r\n"
        body = json.dumps({"site": "t", "visitor": "v"}).encode()
        touch = (b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
        answer = web.raw(b"".join(request % (i, b"") + touch for i in range(20)) +
                         request % (20, b"Connection: close\r\n"))
        self.assertEqual(re.findall(rb'"site":"([^"]*)"', answer),
                         [site for i in range(20) for site in (b"%d" % i, b"t")] + [b"20"])

    def test_slow_and_half_open(self):
        """Clients that never finish a request don't keep others out."""
        web = self.begin("--max-streams", "10")
        held = []
        before = web.memory()
        for number in range(1500):  # more than the limit of connections
            begun = (b"", b"GET / HT", b"POST /touch HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
                     b"GET / HTTP/1.1\r\nHost: a\r\nX-", b"\r\n\r\n", b"\0" * 100)[number % 6]
            held.append(web.raw(begun, wait=False))
            self.addCleanup(held[-1].close)
            if number % 250 == 249:
                self.assert_served(web)
        self.assertLess(web.memory() - before, 32 << 20)
        self.assertEqual(self.open_stream(web).event()["data"]["count"], 1)
        self.counted(web, {"site": SITE, "visitor": "v"})

    def test_everybody_at_once(self):
        """Touches, reads and streams side by side: every answer is right."""
        web = self.begin("--client-rate", "0", "--client-streams", "0")

        def visit(number):
            person = {"site": SITE, "visitor": new_id(), "room": f"/{number % 7}"}
            with_them = self.counted(web, person)["count"]
            stream = web.stream(f"site={SITE}")
            try:
                pushed = stream.event()["data"]["count"]
            finally:
                stream.close()
            return with_them, self.live(web)["count"], pushed

        people = 200
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            results = list(pool.map(visit, range(people)))
        for with_them, live, pushed in results:
            self.assertTrue(1 <= with_them <= people + 1 and 2 <= live <= people + 1
                            and 1 <= pushed <= people + 1, (with_them, live, pushed))
        self.assertEqual(self.live(web)["count"], people + 1)
        self.assertEqual(sum(self.live(web, query=f"?room=/{i}")["count"] for i in range(7)), people)

    def test_stopped_in_full_swing(self):
        """SIGTERM during touches and streams: it exits cleanly."""
        web = self.begin("--client-rate", "0", "--client-streams", "0")
        stop = threading.Event()

        def swing():
            while not stop.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    web.touch({"site": SITE, "visitor": new_id()})
                    web.stream(f"site={SITE}").close()

        threads = [threading.Thread(target=swing) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            received = self.stats()["datagrams_received"]
            wait_until(lambda: self.stats()["datagrams_received"] > received + 50, "50 touches")
            self.assertEqual(web.stop(), 0)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(web.last_output.count("\n"), 1, web.last_output)

    def test_a_damaged_segment(self):
        """It goes on serving."""
        web = self.begin()
        with open(self.segment, "r+b") as file:
            file.write(b"\xff" * 4096)
        for path in f"/api/sites/{SITE}/live-user-count", "/api/status", "/api/sites":
            self.assertIn(web.get(path).status, (200, 503))
        self.assertEqual(web.get("/-/healthy").status, 200)


if __name__ == "__main__":
    unittest.main()
