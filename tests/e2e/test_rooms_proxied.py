"""Rooms, touches and streams behind nginx, HAProxy and Apache, with the recipes of docs/web.md."""

import http.client
import json
import os
import shutil
import socket
import time
import urllib.parse

from documents import fenced, substitute
from harness import DEADLINE, free_port, wait_until
from proxies import PATH, ProxyCase
from rooms import RoomsCase
from side_by_side import main
from test_nginx import presence_web_location, presence_web_map
from web import SITE

APACHE2 = shutil.which("apache2", path=PATH) or "apache2"
SHORT_S = 1  # the proxies' timeouts for silence, but where the recipes give an hour

NGINX = """
proxy_read_timeout {time}s; proxy_send_timeout {time}s; send_timeout {time}s;
{before}
server {{
    listen 127.0.0.1:{port};
    {location}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 30s
    timeout http-request 60s
    timeout client {time}s
    timeout server {time}s
frontend web
    bind 127.0.0.1:{port}
{backend}
"""
APACHE = """
ServerRoot {directory}
ServerName {site}
Listen 127.0.0.1:{port}
{modules}
PidFile {directory}/apache.pid
ErrorLog {directory}/apache.log
Mutex file:{directory}
{user}
ProxyTimeout {time}
<VirtualHost *>
ServerName {site}
{location}
</VirtualHost>
"""
MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers")


class Proxied(ProxyCase, RoomsCase):
    def setUp(self):
        super().setUp()
        self.collector.stop()
        self.begin("--site", SITE, "--trusted-proxy", "127.0.0.1", "--client-streams", "3")
        self.port = free_port()

    def connect(self, path, web=None, headers=None):
        return self.node.open(f"ws://127.0.0.1:{self.port}/presence{path}", headers)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        self.addCleanup(connection.close)
        connection.request(method, f"/presence{path}", body, headers or {})
        return connection.getresponse()

    def stream_from(self, client, **forged):
        """Have one of loopback's addresses ask for a stream, and keep it. Return the status."""
        lines = [f"GET /presence/stream?site={SITE} HTTP/1.1", "Host: example.com",
                 *(f"{name.replace('_', '-')}: {value}" for name, value in forged.items())]
        connection = self.enterContext(
            socket.create_connection(("127.0.0.1", self.port), DEADLINE, (client, 0)))
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(connection.recv(65536)[9:12])

    def check_addresses(self):
        """Each address has its own budget, and nobody can choose another address."""
        self.assertEqual([self.stream_from("127.0.0.9") for _ in range(4)], [200, 200, 200, 429])
        for name, value in (("X_Forwarded_For", "192.0.2.1"), ("X_Real_IP", "192.0.2.1"),
                            ("Forwarded", "for=192.0.2.1")):
            self.assertEqual(self.stream_from("127.0.0.9", **{name: value}), 429, name)
        cookie = self.ask("GET", f"/beacon.gif?site={SITE}", headers={"X-Forwarded-Proto": "https"})
        self.assertNotIn("Secure", cookie.getheader("Set-Cookie"))

    def check(self):
        """The room hears of everybody, and touches and streams work beside it, also after a silence
        that is longer than the proxy's timeouts."""
        self.check_addresses()
        ann = self.join("ann")
        ann.wait_told(("room_joined", 1))
        bob = self.joined("bob")
        ann.wait_viewers(2)
        stream = self.ask("GET", f"/stream?site={SITE}&room=/a")
        self.assertEqual((stream.status, stream.readline()[:6]), (200, b"retry:"))

        def counted():
            body = json.dumps({"site": SITE, "visitor": "carl", "room": "/a"})
            return json.loads(self.ask("POST", "/touch", body).read()).get("counted")

        def wait_stream(count):
            while f'"count":{count},'.encode() not in (line := stream.readline()):
                self.assertTrue(line, "the stream ended")

        wait_until(counted, "a touch to be counted")
        ann.wait_viewers(3)
        wait_stream(3)
        refused = self.connect("/ws?" + urllib.parse.urlencode({"site": "other.example", "visitor": "v"}))
        self.assertEqual(refused.wait_refused()[0], 403)

        time.sleep(2 * SHORT_S)
        ann.ping()
        bob.close()
        ann.wait_viewers(2)
        wait_stream(2)
        self.assertEqual(self.web.stop(), 0)
        self.assertEqual(ann.wait_closed()[0], 1001)  # the close frame came through

    def test_nginx(self):
        self.run_nginx(NGINX.format(port=self.port, time=SHORT_S, before=presence_web_map(),
                                    location=presence_web_location(f"127.0.0.1:{self.web.port}")),
                       self.port)
        self.check()

    def test_haproxy(self):
        backend = substitute(fenced("haproxy presence-web"),
                             web=("127.0.0.1:8474", f"127.0.0.1:{self.web.port}"))
        self.run_haproxy(HAPROXY.format(port=self.port, time=SHORT_S, backend=backend), self.port)
        self.check()

    def test_haproxy_before_copies(self):
        """With the recipe of docs/topologies.md."""
        backend = substitute(fenced("haproxy copies of presence-web"),
                             one=("10.0.0.21:8474", f"127.0.0.1:{self.web.port}"),
                             other=("10.0.0.31:8474", f"127.0.0.1:{free_port()}"))
        self.run_haproxy(HAPROXY.format(port=self.port, time=SHORT_S,
                                        backend="    default_backend presence\n" + backend), self.port)

        def joined():
            """HAProxy doesn't wait long for the handshake, here."""
            ann = self.node.open(f"ws://127.0.0.1:{self.port}/ws?site={SITE}&room=/a&visitor=ann")
            wait_until(lambda: ann.viewers() or ann.of("refused"), lambda: f"it to join: {ann.events}")
            return ann if ann.viewers() else None

        ann = wait_until(joined, "somebody to join")
        time.sleep(2 * SHORT_S)
        ann.ping()

    def test_apache(self):
        location = substitute(fenced("apache presence-web"),
                              web=("127.0.0.1:8474", f"127.0.0.1:{self.web.port}"))
        path = self.write("apache.conf", APACHE.format(
            directory=self.directory, site=SITE, port=self.port, time=SHORT_S, location=location,
            modules="\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
                              for name in MODULES),
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else ""))
        self.run_proxy([APACHE2, "-f", path, "-DFOREGROUND"], self.port)
        self.check()


if __name__ == "__main__":
    main()
