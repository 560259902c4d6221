"""nginx with the recipe of docs/deploying.md, and the collector."""

import http.client
import os
import re
import shutil
import subprocess
import unittest

from documents import fenced, substitute
from edge import SITE, Edge, EdgeTests
from harness import Case, free_port, program, wait_until
from people import HTML

NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"

# What nginx.conf has around the contents of its http block, with paths of the test's own. One
# worker, so that what is lost when the collector restarts is at most one heartbeat.
AROUND = """
user root;
daemon off;
worker_processes 1;
pid %(directory)s/nginx.pid;
error_log %(directory)s/error.log;
events { }
http {
client_body_temp_path %(directory)s/body;
proxy_temp_path %(directory)s/proxy;
fastcgi_temp_path %(directory)s/fastcgi;
uwsgi_temp_path %(directory)s/uwsgi;
scgi_temp_path %(directory)s/scgi;
types { text/html html; text/css css; text/javascript js; }
%(pasted)s
}
"""


def presence_web_map():
    """Return what the recipe for presence-web has before its server block."""
    return fenced("nginx presence-web").partition("\nserver {")[0]


def presence_web_location(web):
    """Return the recipe for presence-web, at this host and port, to be pasted into a server block after
    its map."""
    block = fenced("nginx presence-web")
    location = re.search(r"\n( *location .*?\n    })", block, re.DOTALL)[1]
    return substitute(location, web=("127.0.0.1:8474", web))


class Nginx:
    """Goes before Edge or EdgeTests, and these before harness.Case."""

    name = "nginx"

    def start_edge(self, collector_port, cookie=False, inside=None, hosts=(SITE,), tls=None,
                   before=""):
        """`inside` is what else the operator has in each server block: the application, unless said
        otherwise. `hosts` are the blocks' names, `tls` a file with a certificate and its key,
        `before` is a block before them, where PORT is the port."""
        if inside is None:
            inside = self.proxy()
        main, cookie_rule = fenced("nginx"), fenced("nginx visitor cookie")
        self.port = free_port()
        self.access_log = os.path.join(self.directory, "access.log")
        self.make_pages()
        server_name = f"server_name {SITE};"
        listen = f"listen 127.0.0.1:{self.port};"
        if tls:
            listen = (f"listen 127.0.0.1:{self.port} ssl http2; ssl_certificate {tls}; "
                      f"ssl_certificate_key {tls};")
        pasted = substitute(
            main,
            port=("listen 8080;", listen),
            collector=("server=127.0.0.1:9514,", f"server=127.0.0.1:{collector_port},"),
            pages=("root /var/www/html;", f"root {self.pages};"),
            log=("access_log /var/log/nginx/access.log;", f"access_log {self.access_log};"),
            site=(server_name, server_name + "\n" + (cookie_rule if cookie else "") + inside),
        )
        shared, _, server = pasted.partition("\nserver {")
        servers = (server.replace(server_name, f"server_name {names};") for names in hosts)
        shared += before.replace("PORT", f"127.0.0.1:{self.port}")
        if "$presence_connection" in inside:
            shared += "\n" + presence_web_map()
        self.run_nginx("\nserver {".join([shared, *servers]))

    def make_pages(self):
        self.pages = os.path.join(self.directory, "pages")
        os.mkdir(self.pages)
        for page in ("index.html", "page.html", "style.css"):
            with open(os.path.join(self.pages, page), "w") as file:
                file.write(page)

    def run_nginx(self, pasted):
        """Start nginx with this in its http block."""
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(AROUND % {"directory": self.directory, "pasted": pasted})
        command = [NGINX, "-p", self.directory, "-e", os.path.join(self.directory, "error.log"),
                   "-c", path]
        self.wait_listening(self.enterContext(program(command)))

    def proxy(self):
        """A location for the application."""
        return f"""
            location / {{
                proxy_pass http://127.0.0.1:{self.start_application()};
                proxy_http_version 1.1;
                proxy_set_header Host $http_host;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $http_connection;
            }}
        """


class FirstSteps(Nginx, Edge, Case):
    def test_the_short_recipe(self):
        """README's: pages count, from a browser's second one on, and nothing else does."""
        self.collector = self.start()
        self.port = free_port()
        self.make_pages()
        self.run_nginx(substitute(
            fenced("nginx in short"),
            port=("listen 8080;", f"listen 127.0.0.1:{self.port};"),
            collector=("server=127.0.0.1:9514,", f"server=127.0.0.1:{self.collector.port},"),
            pages=("root /var/www/html;", f"root {self.pages};")))
        def visit(path, destination, *lines):
            return self.exchange("GET", path, f"Host: {SITE}", "Connection: close",
                                 f"Sec-Fetch-Dest: {destination}", *lines)

        cookie = visit("/", "document").getheader("Set-Cookie")
        self.assertRegex(cookie, "^visitor=[0-9a-f]{32}; Path=/; ")
        again = visit("/page.html?from=home", "document", "Cookie: visitor=one")
        self.assertIsNone(again.getheader("Set-Cookie"))
        visit("/", "document", "Cookie: visitor=two")
        visit("/style.css", "style", "Cookie: visitor=three")
        self.assertEqual(self.wait_received(3)["datagrams_rejected_visitor"], 1)
        self.assertEqual(self.count(SITE), 2)
        rooms = self.json("top", SITE, "--by", "room")["rooms"]
        self.assertEqual({room["room"] for room in rooms}, {"/", "/page.html"})


class NginxTest(Nginx, EdgeTests, Case):
    lost_after_restart = 1

    def logged_errors(self):
        with open(os.path.join(self.directory, "error.log")) as file:
            return file.read()

    def test_room_is_what_was_asked_for(self):
        """Not the file that `index` or `try_files` has put in its place."""
        routes = "location / { try_files $uri $uri/ /page.html; }"
        self.start_edge(self.collector.port, inside=routes)
        for path in ("/", "/index.html", "/application/route", "/style.css", "/a//b/../c"):
            self.assertEqual(self.visit(path, "reader").status, 200)
        self.settle()
        rooms = self.json("top", SITE, "--by", "room")["rooms"]
        self.assertEqual({room["room"] for room in rooms},
                         {"/", "/index.html", "/application/route", "/style.css", "/a/c"})

    def test_page_from_the_browser_cache_counts(self):
        self.start_edge(self.collector.port, inside="")
        tag = self.visit("/page.html", "first").getheader("ETag")
        self.assertEqual(self.visit("/page.html", "second", If_None_Match=tag).status, 304)
        self.settle()
        self.assertEqual(self.count_in("/page.html"), 2)

    def test_refused_requests_do_not_count(self):
        """Nor do they look for variables that nginx has not set then."""
        self.start_edge(self.collector.port)
        for path in ("/%00", "/%zz"):
            self.assertEqual(self.visit(path, "somebody", counted=False).status, 400)
        self.visit("/", "somebody", method="BREW", counted=False)
        self.visit("/", "somebody")
        self.settle()
        self.assertNotIn("uninitialized", self.logged_errors())

    def test_configuration_raises_no_warning(self):
        """In Debian's nginx.conf, which has tables of the usual sizes."""
        main, cookie_rule = fenced("nginx"), fenced("nginx visitor cookie")
        etc = shutil.copytree("/etc/nginx", os.path.join(self.directory, "etc"), symlinks=True)
        server_name = f"server_name {SITE};"
        with open(os.path.join(etc, "conf.d/presence.conf"), "w") as file:
            file.write(main.replace(server_name, server_name + cookie_rule))
        with open(os.path.join(etc, "nginx.conf")) as file:
            configuration = file.read().replace("/etc/nginx", etc)
        path = os.path.join(etc, "nginx.conf")
        with open(path, "w") as file:
            file.write(re.sub("^pid .*", f"pid {self.directory}/pid;", configuration, flags=re.M))
        done = subprocess.run([NGINX, "-t", "-c", path], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line for line in done.stderr.splitlines() if "[" in line], [])

    def test_other_hosts(self):
        """The first block counts them; the documented block before it keeps them out."""
        self.start_edge(self.collector.port, before="""
            server {
                listen PORT default_server;
                return 444;
            }
        """)
        self.visit("/", "reader")
        with self.assertRaises(http.client.BadStatusLine):
            self.exchange("GET", "/", "Host: stranger.example", f"Accept: {HTML}",
                          "Cookie: visitor=stranger")
        self.settle()
        self.assertEqual(self.count(SITE), 1)

    def test_usual_access_log_goes_on(self):
        self.start_edge(self.collector.port)
        self.visit("/page.html", "reader")
        self.visit("/style.css", "reader", counted=False, Accept="text/css,*/*;q=0.1")
        self.visit("/", "reader")
        self.settle()

        def lines():
            with open(self.access_log) as file:
                return len(file.readlines())

        wait_until(lambda: lines() >= 3, "the usual log")  # the report is written first
        self.assertEqual(lines(), 3)


if __name__ == "__main__":
    unittest.main()
