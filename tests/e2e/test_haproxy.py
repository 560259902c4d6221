"""HAProxy with README's configuration, and the collector."""

import http.server
import os
import shutil
import socket
import threading
import unittest

from edge import SITE, UUID, EdgeTests
from harness import DEADLINE, Case, free_port, program
from readme import fenced, substitute

HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin") or "haproxy"


class Pages(http.server.BaseHTTPRequestHandler):
    """The application behind HAProxy: a page at every path, and style sheets."""

    def do_GET(self):
        self.send_response(200)
        kind = "text/css" if self.path.endswith(".css") else "text/html; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class HaproxyTest(EdgeTests, Case):
    def start_edge(self, collector_port, cookie=False, log_format="raw"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

        main, cookie_rule = fenced("haproxy")
        self.port = free_port()
        backend = "default_backend pages"
        configuration = substitute(
            main,
            port=("bind :8080", f"bind 127.0.0.1:{self.port}"),
            collector=("log 127.0.0.1:9514 len", f"log 127.0.0.1:{collector_port} len"),
            format=(" format raw ", f" format {log_format} "),
            application=("server one 127.0.0.1:8081", f"server one 127.0.0.1:{server.server_port}"),
            rules=(backend, backend + "\n" + (cookie_rule if cookie else "")),
        )
        path = os.path.join(self.directory, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(configuration)
        log = self.enterContext(open(os.path.join(self.directory, "haproxy.log"), "w"))
        self.wait_listening(self.enterContext(
            program([HAPROXY, "-db", "-f", path], stdout=log, stderr=log)))

    def check_format(self, name):
        self.start_edge(self.collector.port, log_format=name)
        self.visit("/caf%C3%A9%20%22x%22", UUID, Referer="https://news.example/")
        self.visit("/" + "x" * 14000, "somebody")
        self.request("/", None)
        self.settle(room_too_long=1, datagrams_rejected_visitor=1)
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.count_in('/café "x"'), 1)
        self.assertTrue(self.is_seen(UUID))

    def test_format_raw(self):
        self.check_format("raw")

    def test_format_local(self):
        self.check_format("local")

    def test_format_rfc3164(self):
        self.check_format("rfc3164")

    def test_format_rfc5424(self):
        self.check_format("rfc5424")

    def test_configuration_raises_no_warning(self):
        self.start_edge(self.collector.port, cookie=True)
        with open(os.path.join(self.directory, "haproxy.log")) as log:
            noise = [line for line in log if line.startswith(("[WARNING]", "[ALERT]"))]
        self.assertEqual(noise, [])

    def test_longest_escapes(self):
        """However much there is to escape, the datagram stays whole."""
        self.start_edge(self.collector.port)
        paths = ["/" + '"' * length for length in (8100, 8180, 8190, 8191, 8192, 8200, 14000)]
        for number, path in enumerate(paths):
            self.visit(path, f"person-{number}")
        self.settle(room_too_long=len(paths))
        self.assertEqual(self.count(SITE), len(paths))

    def test_undecodable_path_counts_in_the_site(self):
        self.start_edge(self.collector.port)
        self.visit("/%zz", "reader")
        self.settle()
        self.assertEqual(self.count(SITE), 1)
        self.assertEqual(self.json("top", SITE, "--by", "room")["rooms"], [])

    def test_only_pages_get_the_cookie(self):
        self.start_edge(self.collector.port, cookie=True)
        self.assertIsNone(self.request("/style.css", None).getheader("Set-Cookie"))
        self.assertIsNotNone(self.request("/page", None).getheader("Set-Cookie"))
        self.settle(datagrams_rejected_visitor=2)

    def test_refused_requests_are_accounted_for(self):
        """A request that is none is logged without a visitor, a connection without one is not."""
        self.start_edge(self.collector.port)
        socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE).close()
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            connection.sendall(b"garbage\r\n\r\n")
            self.assertIn(b" 400 ", connection.recv(100))
        self.requests += 1
        self.visit("/", "somebody")
        self.settle(datagrams_rejected_visitor=1)


if __name__ == "__main__":
    unittest.main()
