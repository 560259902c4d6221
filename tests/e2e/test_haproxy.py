"""HAProxy with the recipe of docs/deploying.md, and the collector."""

import os
import shutil
import socket
import unittest

from documents import fenced, substitute
from edge import SITE, UUID, EdgeTests
from harness import DEADLINE, Case, free_port, program

HAPROXY = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin") or "haproxy"


class Haproxy:
    """Goes before Edge or EdgeTests, and these before harness.Case."""

    name = "haproxy"

    def start_edge(self, collector_port, cookie=False, log_format="raw", rules="", site=SITE,
                   tls=None):
        """`rules` stand before the recipe's own; `tls` is a file with a certificate and key."""
        main, cookie_rule = fenced("haproxy"), fenced("haproxy visitor cookie")
        self.port = free_port()
        backend = "default_backend pages"
        configuration = substitute(
            main,
            port=("bind :8080", f"bind 127.0.0.1:{self.port}" +
                  (f" ssl crt {tls} alpn h2,http/1.1" if tls else "")),
            collector=("log 127.0.0.1:9514 len", f"log 127.0.0.1:{collector_port} len"),
            format=(" format raw ", f" format {log_format} "),
            application=("one 127.0.0.1:8081", f"one 127.0.0.1:{self.start_application()}"),
            rules=(backend, "\n".join([backend, cookie_rule if cookie else "", rules])),
            site=("PH1 site=example.com ", f"PH1 site={site} "),
        )
        path = os.path.join(self.directory, "haproxy.cfg")
        with open(path, "w") as file:
            file.write(configuration)
        log = self.enterContext(open(os.path.join(self.directory, "haproxy.log"), "w"))
        self.wait_listening(self.enterContext(
            program([HAPROXY, "-db", "-f", path], stdout=log, stderr=log)))


class HaproxyTest(Haproxy, EdgeTests, Case):
    application_options = {"lenient": True}

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
        for path in ("/%zz", "/a%00b", "/%00", "/a/%00/../b"):
            self.visit(path, f"reader of {path}")
        self.settle()
        self.assertEqual(self.count(SITE), 4)
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
