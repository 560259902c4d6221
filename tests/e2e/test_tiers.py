"""A site behind another proxy: nginx behind HAProxy, HAProxy behind nginx, a cache in front."""

import os
import unittest

from documents import fenced, substitute
from harness import Case, free_port, program
from people import SHOP, SITE
from proxies import HAPROXY, ProxyCase, add_address
from test_nginx import Nginx
from test_table import EdgeTable

PROXY, GERMAN, FRENCH = "198.51.100.7", "192.0.2.7", "203.0.113.7"
COUNTRIES = f"geo $presence_country {{ {GERMAN} DE; {FRENCH} FR; {PROXY} US; 127.0.0.1 GB; }}\n"

# HAProxy in front of nginx; %s is for what else the operator has there.
FRONT = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
cache pages
    total-max-size 4
    max-age 60
frontend front
    bind 127.0.0.1:{port}
    default_backend nginx
    {rules}
backend nginx
    server one 127.0.0.1:{server} source {source} {protocol}
"""
CACHE = """
    http-request cache-use pages
    http-response cache-store pages
"""


@unittest.skipUnless(os.geteuid() == 0, "needs root, for a loopback of its own")
class Tiers(ProxyCase):
    @classmethod
    def setUpClass(cls):
        for address in (PROXY, GERMAN, FRENCH):
            add_address(address)

    def setUp(self):
        super().setUp()
        self.port, self.behind = free_port(), free_port()

    def start_nginx(self, header="X-Forwarded-For", **changes):
        """nginx reports, and believes the proxy."""
        site = "PH1 site=$server_name "
        recipe = self.nginx_recipe(
            self.behind, country=(site, site + "country=$presence_country "), **changes)
        real_ip = fenced("nginx behind a proxy")
        real_ip = substitute(real_ip, header=("real_ip_header X-Forwarded-For;",
                                              f"real_ip_header {header};"))
        self.run_nginx(COUNTRIES + real_ip + recipe, self.behind)

    def start_front(self, rules="option forwardfor", protocol=""):
        self.run_haproxy(FRONT.format(port=self.port, server=self.behind, rules=rules,
                                      source=PROXY, protocol=protocol), self.port, "front")

    def test_nginx_behind_haproxy(self):
        self.start_nginx()
        self.start_front()
        self.visit(self.port, "/a//b?c", "one", GERMAN, Referer="https://news.example/")
        self.visit(self.port, "/a/b/", "two", FRENCH, Referer=f"https://{SITE}/")
        self.visit(self.port, "/forged", "three", FRENCH, X_Forwarded_For=GERMAN)
        self.visit(self.behind, "/direct", "four", X_Forwarded_For=GERMAN)
        self.visit(self.behind, "/direct", "five", PROXY, X_Forwarded_For=f"{GERMAN}, 198.51.100.9")
        self.wait_received(5)
        self.assertEqual(self.busiest("country"), {"DE": 2, "FR": 2, "GB": 1})
        self.assertEqual(self.busiest("room"), {"/a/b": 2, "/forged": 1, "/direct": 2})
        self.assertEqual(self.busiest("source"), {"news.example": 1})

    def test_proxy_protocol(self):
        self.start_nginx("proxy_protocol", listen=(
            f"listen 127.0.0.1:{self.behind};", f"listen 127.0.0.1:{self.behind} proxy_protocol;"))
        self.start_front("", "send-proxy")
        self.visit(self.port, "/a", "one", GERMAN)
        self.visit(self.port, "/b", "two", FRENCH, X_Forwarded_For=GERMAN)
        self.wait_received(2)
        self.assertEqual(self.busiest("country"), {"DE": 1, "FR": 1})

    def test_another_host_for_nginx(self):
        """The proxy asks for a name of its own; visitors' is in X-Forwarded-Host."""
        self.start_nginx(host=("$host $http_referer", "$http_x_forwarded_host $http_referer"))
        self.start_front("""
            http-request set-header X-Forwarded-Host %[req.hdr(host)]
            http-request set-header Host origin.internal""")
        self.visit(self.port, "/", "one", Referer=f"https://{SITE}/inside")
        self.visit(self.port, "/", "two", Referer="https://news.example/", host=f"{SITE}:8080")
        self.wait_received(2)
        self.assertEqual(self.busiest("source"), {"news.example": 1})
        self.assertEqual(self.count(SITE), 2)

    def test_haproxy_behind_nginx(self):
        """HAProxy reports; nginx in front changes the host, and passes the visitor's address."""
        pages, application = free_port(), self.behind
        self.run_nginx(f"server {{ listen 127.0.0.1:{pages}; root {self.pages};"
                       " try_files $uri /page.html; }", pages, name="application")
        behind = fenced("haproxy behind a proxy")
        backend, path = "default_backend pages\n", self.write("map", f"{GERMAN} DE\n{PROXY} US\n")
        country = substitute(fenced("haproxy with a map"),
                             file=("/etc/haproxy/countries.map", path))
        self.run_haproxy(self.haproxy_recipe(
            application, pages, rules=(backend, backend + behind + country),
            country=(f"site={SITE} ", f"site={SITE} country=%[var(txn.country)] "),
            host=("txn.host) req.hdr(host)", "txn.host) req.hdr(x-forwarded-host)")), application)
        self.run_nginx(f"""server {{
            listen 127.0.0.1:{self.port};
            location / {{
                proxy_pass http://127.0.0.1:{application};
                proxy_bind {PROXY};
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Host $http_host;
            }}
        }}""", self.port)
        self.visit(self.port, "/x", "one", GERMAN, Referer=f"https://{SITE}/inside")
        self.visit(self.port, "/x", "two", FRENCH, X_Forwarded_For=GERMAN)
        self.visit(application, "/x", "three", X_Forwarded_For=GERMAN)
        self.wait_received(3)
        self.assertEqual(self.busiest("country"), {"DE": 1})
        self.assertEqual(self.busiest("source"), {})
        self.assertEqual(self.count(SITE, "/x"), 3)

    CACHED = ("location", "add_header Cache-Control max-age=60; location")

    def look_twice(self):
        """Two people look at one page; both see it."""
        for visitor in ("one", "two"):
            answer = self.visit(self.port, "/page.html", visitor)
            self.assertEqual(answer.status, 200)

    def test_cache_in_front(self):
        """What the cache answers, nginx does not see; the tier of the cache does."""
        self.start_nginx(cached=self.CACHED)
        self.start_front(CACHE)
        self.look_twice()
        self.wait_received(1)
        self.visit(self.port, "/other", "three")
        self.wait_received(2)
        self.assertEqual(self.count(SITE, "/page.html"), 1)

    def report_both(self, cache=""):
        """Both tiers report."""
        self.start_nginx(cached=self.CACHED)
        backend = "default_backend pages\n"
        recipe = self.haproxy_recipe(self.port, self.behind,
                                     rules=(backend, backend + (CACHE if cache else "")))
        self.run_haproxy(cache + recipe, self.port)
        self.look_twice()

    def test_cache_that_reports(self):
        self.report_both("cache pages\n    total-max-size 4\n    max-age 60\n")
        self.wait_received(3)
        self.assertEqual(self.count(SITE, "/page.html"), 2)

    def test_both_tiers_report(self):
        """A person is one, and page views are two."""
        self.report_both()
        stats = self.wait_received(4)
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.busiest("room"), {"/page.html": 2})
        self.assertEqual(stats["heartbeats_new"], 2)


class TableThroughTiers(EdgeTable, Nginx, Case):
    """All requests of the table, through HAProxy to nginx, which reports."""

    def test(self):
        self.begin_collector()
        self.start_edge(self.collector.port, hosts=(f"{SITE} www.{SITE}", SHOP))
        server, self.port = self.port, free_port()
        path = os.path.join(self.directory, "front.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(FRONT.format(port=self.port, server=server, rules="option forwardfor",
                                    source="127.0.0.1", protocol=""))
        self.wait_listening(self.enterContext(program([HAPROXY, "-db", "-f", path])))
        self.check_table(self.nobody())


if __name__ == "__main__":
    unittest.main()
