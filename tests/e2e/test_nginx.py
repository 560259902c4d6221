"""nginx with README's configuration, and the collector."""

import os
import shutil
import unittest

from edge import SITE, EdgeTests
from harness import Case, free_port, program
from readme import fenced, substitute

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
types { text/html html; text/css css; }
%(pasted)s
}
"""


class NginxTest(EdgeTests, Case):
    lost_after_restart = 1

    def start_edge(self, collector_port, cookie=False, inside=""):
        """`inside` is what else the operator has in the server block."""
        main, user_id = fenced("nginx")
        self.port = free_port()
        self.pages = os.path.join(self.directory, "pages")
        self.access_log = os.path.join(self.directory, "access.log")
        os.mkdir(self.pages)
        for page in ("index.html", "page.html", "style.css"):
            with open(os.path.join(self.pages, page), "w") as file:
                file.write(page)

        server_name = f"server_name {SITE};"
        pasted = substitute(
            main,
            port=("listen 8080;", f"listen 127.0.0.1:{self.port};"),
            collector=("server=127.0.0.1:9514,", f"server=127.0.0.1:{collector_port},"),
            pages=("root /var/www/html;", f"root {self.pages};"),
            log=("access_log /var/log/nginx/access.log;", f"access_log {self.access_log};"),
            site=(server_name, server_name + "\n" + (user_id if cookie else "") + inside),
        )
        path = os.path.join(self.directory, "nginx.conf")
        with open(path, "w") as file:
            file.write(AROUND % {"directory": self.directory, "pasted": pasted})
        command = [NGINX, "-p", self.directory, "-e", os.path.join(self.directory, "error.log"),
                   "-c", path]
        self.wait_listening(self.enterContext(program(command)))

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
        self.start_edge(self.collector.port)
        tag = self.visit("/page.html", "first").getheader("ETag")
        self.assertEqual(self.visit("/page.html", "second", If_None_Match=tag).status, 304)
        self.settle()
        self.assertEqual(self.count_in("/page.html"), 2)

    def test_refused_requests_are_accounted_for(self):
        """nginx logs what it answers with 400 before it has looked for the cookie."""
        self.start_edge(self.collector.port)
        self.assertEqual(self.visit("/%00", "somebody").status, 400)
        self.assertEqual(self.visit("/%zz", "somebody").status, 400)
        self.visit("/", "somebody", method="BREW")
        self.settle(datagrams_rejected_visitor=2)
        self.assertNotIn("uninitialized", self.logged_errors())

    def test_usual_access_log_goes_on(self):
        self.start_edge(self.collector.port)
        self.visit("/page.html", "reader")
        self.visit("/style.css", "reader", counted=False, Sec_Fetch_Dest="style")
        self.visit("/", "reader")
        self.settle()
        with open(self.access_log) as file:
            self.assertEqual(len(file.readlines()), 3)


if __name__ == "__main__":
    unittest.main()
