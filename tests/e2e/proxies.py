"""nginx and HAProxy with the recipes of docs/deploying.md, put together as their operators do, for
tests of what goes around the recipes of test_nginx and test_haproxy."""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess

from documents import fenced, substitute
from harness import DEADLINE, Case, program, wait_until
from test_nginx import AROUND, NGINX

PATH = os.environ["PATH"] + ":/usr/sbin"
HAPROXY = shutil.which("haproxy", path=PATH) or "haproxy"
SITE = "example.com"


def add_address(address):
    """Have an address of the documentation's networks at this test's own loopback."""
    subprocess.run(["ip", "address", "replace", address, "dev", "lo",
                    *(["nodad"] if ":" in address else [])], check=True)


class ProxyCase(Case):
    """Tests with a collector and proxies; they are reached at ports of loopback."""

    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.pages = os.path.join(self.directory, "pages")
        os.mkdir(self.pages)
        for name in ("index.html", "page.html"):
            with open(os.path.join(self.pages, name), "w", encoding="utf-8") as file:
                file.write("<!doctype html><title>page</title>page")

    def run_proxy(self, command, port):
        log = self.enterContext(open(os.path.join(self.directory, "log"), "a", encoding="utf-8"))
        process = self.enterContext(program(command, stdout=log, stderr=log))

        def listening():
            if process.poll() is not None:
                with open(log.name, encoding="utf-8") as said:
                    raise AssertionError(f"{command[0]} has ended: {said.read()}")
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
                return True

        wait_until(listening, f"{command[0]} to listen")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_nginx(self, http, port, main="", name="nginx"):
        directory = os.path.join(self.directory, name)
        os.mkdir(directory)
        path = self.write(f"{name}.conf",
                          f"{main}\n" + AROUND % {"directory": directory, "pasted": http})
        self.run_proxy([NGINX, "-p", directory, "-e", os.path.join(directory, "error.log"),
                        "-c", path], port)

    def run_haproxy(self, configuration, port, name="haproxy"):
        path = self.write(f"{name}.cfg", configuration)
        self.run_proxy([HAPROXY, "-db", "-f", path], port)

    def nginx_recipe(self, port, **changes):
        """The main recipe, with this test's addresses and further changes."""
        return substitute(
            fenced("nginx"),
            port=("listen 8080;", f"listen 127.0.0.1:{port}; listen [::1]:{port};"),
            collector=("server=127.0.0.1:9514,", f"server=127.0.0.1:{self.collector.port},"),
            pages=("root /var/www/html;", f"root {self.pages}; try_files $uri $uri/ /page.html;"),
            log=("access_log /var/log/nginx/access.log;", "access_log /dev/null;"),
            **changes)

    def haproxy_recipe(self, port, server, **changes):
        """The same of HAProxy, before a server at the port `server`."""
        return substitute(
            fenced("haproxy"),
            port=("bind :8080", f"bind 127.0.0.1:{port}"),
            collector=("log 127.0.0.1:9514 len", f"log 127.0.0.1:{self.collector.port} len"),
            application=("server one 127.0.0.1:8081", f"server one 127.0.0.1:{server}"),
            **changes)

    def visit(self, port, path, visitor, address="127.0.0.1", host=SITE, method="GET", body="",
              **headers):
        """A look at a page from one of loopback's addresses; returns the answer, read to its end."""
        to = "::1" if ":" in address else "127.0.0.1"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Cookie: visitor={visitor}",
                 "Connection: close"]
        headers = {"Sec_Fetch_Dest": "document", "Accept": "text/html", **headers}
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with socket.create_connection((to, port), DEADLINE, (address, 0)) as connection:
            connection.sendall("\r\n".join([*lines, "", body]).encode())
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            response.read()
            return response

    def busiest(self, by):
        """Rooms, countries or sources, and how many visitors are there."""
        listed = self.json("top", SITE, "--by", by, "--limit", "0")
        lines = listed["countries" if by == "country" else by + "s"]
        return {line[by]: line["count"] for line in lines}
