"""presence-web behind nginx with the recipe of docs/web.md, over HTTPS."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import unittest

from documents import fenced, substitute
from harness import DEADLINE, free_port, program, wait_until
from test_nginx import AROUND, NGINX
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


if __name__ == "__main__":
    unittest.main()
