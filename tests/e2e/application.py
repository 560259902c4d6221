"""The application behind the edges in the tests: a page at nearly every path, with the badge in it
where there is one, and other answers where people.py wants them."""

import http.server
import mimetypes
import re
import threading

from people import SITES


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, self.path, self.headers))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = re.match(r"/status/(\d+)", path)
        if not self.server.lenient and re.search(r"%(00|(?![0-9A-Fa-f]{2}))", path):
            return self.say(400)
        if status:
            return self.say(int(status[1]), Location="/new")
        if path == "/cached" and "If-None-Match" in self.headers:
            return self.say(304, ETag='"page"')
        if path == "/part" and "Range" in self.headers:
            return self.say(206, Content_Range="bytes 0-9/1000")
        if path.startswith("/download/"):
            return self.say(200, Content_Disposition='attachment; filename="report.csv"')
        if path == "/socket" and "Upgrade" in self.headers:
            self.close_connection = True
            return self.say(101, Connection="Upgrade", Upgrade="websocket")
        if path.endswith((".js", ".css", ".svg", ".ico")):
            return self.say(200, kind=mimetypes.guess_type(path)[0])
        return self.say(200)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = answer

    def say(self, status, kind="text/html; charset=utf-8", **headers):
        body = self.server.page(self) if status in (200, 201) else f"{status}"
        body = b"" if status in (101, 204, 205, 304) else body.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 101:
            self.send_header("Content-Type", kind)
        if status not in (101, 204, 304):
            self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Application:
    """It serves until close(). `badge` is the address of presence-web, where pages have the badge,
    and `identity` its attribute; `lenient`: it has a page at paths that are no paths, too. `bodies`
    are what pages have, by path; `asked` is what it was asked for: method, path and headers."""

    def __init__(self, badge=None, identity='data-visitor-cookie="visitor"', lenient=False,
                 bodies=None):
        self.badge = badge
        self.identity = identity
        self.bodies = bodies or {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # connections that the edge has given up
        self.server.page = self.page
        self.server.lenient = lenient
        self.asked = self.server.asked = []
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def page(self, request):
        host = request.headers.get("Host", "").partition(":")[0].lower()
        path = request.path.partition("?")[0]
        body = self.bodies.get(path, "page")
        if path.endswith(".js"):
            return body
        if self.badge and not request.path.startswith("/presence/"):
            body += (f'<script async src="{self.badge}/badge.js" data-site="{SITES[host]}" '
                     f"{self.identity}></script>")
        return f'<!doctype html><html lang="en"><title>page</title><p>{body}'

    def close(self):
        self.server.shutdown()
        self.server.server_close()
