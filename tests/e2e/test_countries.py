"""Visitors' countries by the recipes of docs/deploying.md, which need no legacy GeoIP module."""

import os
import unittest

from documents import fenced, substitute
from harness import free_port
from mmdb import database
from proxies import SITE, ProxyCase, add_address

GEOIP2 = "/usr/lib/nginx/modules/ngx_http_geoip2_module.so"

# The recipes name these addresses; one of them has no country, and one is the CDN's.
GERMAN, FRENCH, NOBODYS, CDN = "192.0.2.7", "2001:db8::7", "203.0.113.7", "198.51.100.7"


@unittest.skipUnless(os.geteuid() == 0, "needs root, for a loopback of its own")
class Countries(ProxyCase):
    @classmethod
    def setUpClass(cls):
        for address in (GERMAN, FRENCH, NOBODYS, CDN):
            add_address(address)

    def start_nginx(self, block, main=""):
        site = "PH1 site=$server_name "
        self.port = free_port()
        recipe = self.nginx_recipe(
            self.port, country=(site, site + "country=$presence_country "))
        self.run_nginx(f"{block}\n{recipe}", self.port, main)

    def start_haproxy(self, rules):
        self.port, server = free_port(), free_port()
        self.run_nginx(f"server {{ listen 127.0.0.1:{server}; root {self.pages}; }}", server)
        site = f"PH1 site={SITE} "
        backend = "default_backend pages\n"
        self.run_haproxy(self.haproxy_recipe(
            self.port, server, country=(site, site + "country=%[var(txn.country)] "),
            rules=(backend, backend + rules)), self.port)

    def look(self, *visits):
        """Somebody comes from each of the addresses, with headers."""
        for number, (address, headers) in enumerate(visits):
            self.visit(self.port, "/", f"person-{number}", address, **headers)
        stats = self.wait_received(len(visits))
        self.assertEqual(stats["datagrams_accepted"], len(visits))
        self.assertEqual(stats["label_invalid"], 0)
        self.assertEqual(self.count(SITE), len(visits))
        self.assertEqual(self.count(SITE, "/"), len(visits))
        return self.busiest("country")

    def test_geoip2(self):
        if not os.path.exists(GEOIP2):
            self.skipTest("there is no GeoIP2 module: install libnginx-mod-http-geoip2")
        path = os.path.join(self.directory, "countries.mmdb")
        with open(path, "wb") as file:
            file.write(database({"192.0.2.0/24": "DE", "2001:db8::/32": "FR"}))
        block = fenced("nginx with GeoIP2")
        self.start_nginx(
            substitute(block, file=("/var/lib/GeoIP/GeoLite2-Country.mmdb", path)),
            f"load_module {GEOIP2};")
        self.assertEqual(self.look((GERMAN, {}), (GERMAN, {}), (FRENCH, {}), (NOBODYS, {})),
                         {"DE": 2, "FR": 1})

    def test_geo(self):
        path = self.write("countries.conf", "203.0.113.0/24 XX;\n198.51.100.0/25 AT;\n")
        block = fenced("nginx with geo")
        self.start_nginx(substitute(block, file=("/etc/nginx/countries.conf", path)))
        self.assertEqual(self.look((GERMAN, {}), (FRENCH, {}), (NOBODYS, {}), (CDN, {}),
                                   ("127.0.0.1", {})), {"DE": 1, "FR": 1, "AT": 1})

    def through_cdn(self, header):
        """From the CDN, and what others say."""
        return self.look(
            (CDN, {header: "DE"}), (CDN, {header: "FR"}), (CDN, {header: "XX"}),
            (CDN, {header: "T1"}), (CDN, {header: ""}), (CDN, {}),
            (CDN, {header: "AT room=/forged"}), (NOBODYS, {header: "CH"}),
            ("127.0.0.1", {header: "CH"}), (CDN, {header: "DE", "X_Forwarded_For": NOBODYS}))

    EXPECTED = {"DE": 2, "FR": 1}

    def test_nginx_behind_a_cdn(self):
        self.start_nginx(fenced("nginx with a CDN"))
        self.assertEqual(self.through_cdn("CF_IPCountry"), self.EXPECTED)

    def test_nginx_behind_a_cdn_with_the_visitors_address(self):
        real_ip = fenced("nginx behind a proxy")
        self.start_nginx(fenced("nginx with a CDN") + real_ip)
        self.assertEqual(self.through_cdn("CF_IPCountry"), self.EXPECTED)

    def test_nginx_behind_cloudfront(self):
        block = fenced("nginx with a CDN")
        comment = "# or $http_cloudfront_viewer_country"
        header = comment.split()[-1]
        self.start_nginx(substitute(block, comment=(comment, ""),
                                    header=("$http_cf_ipcountry", header)))
        self.assertEqual(self.through_cdn("CloudFront_Viewer_Country"), self.EXPECTED)

    def test_haproxy_with_a_map(self):
        path = self.write("countries.map", "192.0.2.0/24 DE\n203.0.113.0/24 XX\n")
        rule = fenced("haproxy with a map")
        self.start_haproxy(substitute(rule, file=("/etc/haproxy/countries.map", path)))
        self.assertEqual(self.look((GERMAN, {}), (GERMAN, {}), (NOBODYS, {}), ("127.0.0.1", {})),
                         {"DE": 2})

    def test_haproxy_behind_a_cdn(self):
        behind = fenced("haproxy behind a proxy")
        self.start_haproxy(fenced("haproxy with a CDN") + behind)
        self.assertEqual(self.through_cdn("CF_IPCountry"), self.EXPECTED)


if __name__ == "__main__":
    unittest.main()
