"""presence-web behind nginx with the recipe of docs/web.md, over HTTPS."""

import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import unittest

from documents import fenced, substitute
from harness import DEADLINE, free_port, program, wait_until
from proxies import ProxyCase
from test_nginx import AROUND, NGINX, presence_web_location, presence_web_map
from web import SITE, WebCase


class Proxy(WebCase):
    def setUp(self):
        super().setUp()
        self.certificate = os.path.join(self.directory, "cert.pem")
        key = os.path.join(self.directory, "cert.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                        self.certificate, "-days", "1", "-subj", f"/CN={SITE}", "-addext",
                        f"subjectAltName=DNS:{SITE}"], check=True, capture_output=True)
        collector = self.start("--warm-up", "0")
        self.web = self.serve("--site", SITE, "--trusted-proxy", "127.0.0.1", "--client-rate", "1",
                              collector=collector)
        self.port = free_port()
        block = fenced("nginx presence-web")
        pasted = substitute(
            block,
            port=("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            certificate=("/etc/ssl/example.com.pem", self.certificate),
            key=("/etc/ssl/example.com.key", key),
            web=("http://127.0.0.1:8474/", f"http://127.0.0.1:{self.web.port}/"),
        )
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(AROUND % {"directory": self.directory, "pasted": pasted})
        nginx = self.enterContext(program([NGINX, "-p", self.directory, "-e",
                                           os.path.join(self.directory, "error.log"), "-c", path]))

        def listens():
            self.assertIsNone(nginx.poll())
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(listens, "nginx to listen")

    def ask(self, method, path, body=None):
        context = ssl.create_default_context(cafile=self.certificate)
        connection = http.client.HTTPSConnection(SITE, self.port, context=context, timeout=DEADLINE)
        connection._create_connection = lambda address, *arguments, **keywords: \
            socket.create_connection(("127.0.0.1", self.port), *arguments, **keywords)
        self.addCleanup(connection.close)
        connection.request(method, path, body)
        return connection.getresponse()

    def test_through_nginx(self):
        """Touches, streams and the files work under the proxy's prefix."""
        stream = self.ask("GET", f"/presence/stream?site={SITE}")
        self.assertEqual(stream.getheader("Content-Type"), "text/event-stream; charset=utf-8")
        self.assertIn(b"retry", stream.readline())

        def counted():
            body = json.dumps({"site": SITE, "visitor": "v"})
            return json.loads(self.ask("POST", "/presence/touch", body).read()).get("counted")

        wait_until(counted, "a touch to be counted")
        while b'"count":1' not in (line := stream.readline()):
            self.assertTrue(line, "the stream ended")
        for path in "/presence/", "/presence/badge.js", "/presence/-/healthy":
            self.assertEqual(self.ask("GET", path).status, 200, path)
        cookie = self.ask("GET", f"/presence/beacon.gif?site={SITE}").getheader("Set-Cookie")
        self.assertIn("SameSite=None; Secure", cookie)
        self.assertNotIn("ignoring X-Forwarded-For", self.web.output())

    def test_the_badge_is_what_readme_says(self):
        """Its script tag is one that badge.js understands."""
        line = fenced("html badge")
        self.assertIn('src="/presence/badge.js" data-site="example.com"', line)
        self.assertEqual(self.ask("GET", "/presence/badge.js").status, 200)


NGINX_HEADERS = """
server {
    listen 127.0.0.1:%(port)d;
    location /x-forwarded-for/ {
        proxy_pass http://127.0.0.1:%(web)d/;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
    location /x-real-ip/ {
        proxy_pass http://127.0.0.1:%(web)d/;
        proxy_set_header X-Real-IP $remote_addr;
    }
    location /forwarded/ {
        proxy_pass http://127.0.0.1:%(web)d/;
        proxy_set_header Forwarded "for=$remote_addr;proto=$scheme";
    }
    location /none/ {
        proxy_pass http://127.0.0.1:%(web)d/;
    }
}
"""

HAPROXY_HEADERS = """
defaults
    mode http
    timeout connect 30s
    timeout client 30s
    timeout server 30s
    option http-keep-alive
frontend all
    bind 127.0.0.1:%(port)d
    http-request set-header X-Forwarded-For %%[src] if { path_beg /x-forwarded-for }
    http-request set-header X-Real-IP %%[src] if { path_beg /x-real-ip }
    http-request add-header Forwarded 'for="%%[src]:%%[src_port]";by=_it' if { path_beg /forwarded }
    http-request replace-path ^/[^/]*(/.*) \\1
    default_backend web
backend web
    server web 127.0.0.1:%(web)d
"""


class Upstream:
    """Takes connections in presence-web's place, and answers each request with 204, or 101 if a
    WebSocket is asked for. `asked` has the number of the connection and the headers of each."""

    def __init__(self):
        upstream = self
        self.connections, self.asked = 0, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                upstream.connections += 1
                self.number = upstream.connections
                super().setup()

            def do_GET(self):
                upstream.asked.append((self.number, self.headers))
                socket_asked = self.headers["Upgrade"] == "websocket"
                self.send_response(101 if socket_asked else 204)
                if socket_asked:
                    self.send_header("Connection", "upgrade")
                    self.send_header("Upgrade", "websocket")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class KeepAlive(ProxyCase):
    def test_nginx(self):
        """WebSockets are asked for upstream; all other requests can share a connection."""
        upstream, port = Upstream(), free_port()
        self.addCleanup(upstream.close)
        self.run_nginx("upstream web { server 127.0.0.1:%d; keepalive 4; }\n" % upstream.port +
                       presence_web_map() + "\nserver { listen 127.0.0.1:%d;\n" % port +
                       presence_web_location("web") + "}", port)
        web_socket = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade"}
        for headers in {}, {"Connection": "close"}, {"Upgrade": "h2c", "Connection": "Upgrade"}, {}, web_socket:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            connection.request("GET", "/presence/path", headers=headers)
            status = connection.getresponse().status
            connection.close()
            self.assertEqual(status, 101 if headers == web_socket else 204)
        self.assertEqual([(number, headers["Connection"]) for number, headers in upstream.asked],
                         [(1, None)] * 4 + [(1, "upgrade")])
        self.assertEqual(upstream.asked[-1][1]["Upgrade"], "websocket")


class Headers(ProxyCase, WebCase):
    def ask(self, port, header, client, forged=""):
        """Ask for a stream from one of loopback's addresses. Return the status."""
        with socket.create_connection(("127.0.0.1", port), DEADLINE, (client, 0)) as connection:
            connection.sendall(f"GET /{header}/stream?site={SITE} HTTP/1.1\r\nHost: x\r\n"
                               f"{forged}\r\n".encode())
            return int(connection.recv(65536)[9:12])

    def test_what_nginx_and_haproxy_send(self):
        """Each way to tell the client is understood; what the client itself sends is not believed."""
        web = self.serve("--client-streams", "1", "--trusted-proxy", "127.0.0.1",
                         collector=self.collector)
        for client in {"X-Forwarded-For": "127.0.0.9"}, {}:
            self.open_stream(web, headers=client)
        nginx, haproxy = free_port(), free_port()
        self.run_nginx(NGINX_HEADERS % {"port": nginx, "web": web.port}, nginx)
        self.run_haproxy(HAPROXY_HEADERS % {"port": haproxy, "web": web.port}, haproxy)
        number = 10
        for port in nginx, haproxy:
            for header in "x-forwarded-for", "x-real-ip", "forwarded":
                number += 1
                asked = [self.ask(port, header, client) for client in (f"127.0.0.{number}", "127.0.0.9")]
                self.assertEqual(asked, [200, 429], (port, header))
                for name, value in (("X-Forwarded-For", "192.0.2.1"), ("X-Real-IP", "192.0.2.1"),
                                    ("Forwarded", "for=192.0.2.1")):
                    status = self.ask(port, header, "127.0.0.9", f"{name}: {value}\r\n")
                    self.assertEqual(status, 429, (port, header, name))
            self.assertEqual(self.ask(port, "none", "127.0.0.7"), 429)
        self.assertEqual(web.output().count("sends none of"), 1)


if __name__ == "__main__":
    unittest.main()
