"""Shared by the tests of presence-web: a running server, and requests as browsers send them."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import uuid

from harness import BUILD, DEADLINE, OWN, Case, own_address, wait_until, with_defaults

PRESENCE_WEB = os.path.join(BUILD, "tools/presence-web/presence-web")
SITE = "example.com"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

HOSTILE_NAMES = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; DROP TABLE x; --", "a\\b\\\"c",
    "\u202egnirts\u202c", "\u2028\u2029", "é💥漢字", "{{7*7}}${7*7}", "%0d%0aSet-Cookie:x=1", "../../etc",
    "\u200b", "]]>", "&amp;&lt;", "` $(id) `",
)


class Answer:
    """A response: status, headers by their lower-case names, and the body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {}
        for name, value in response.getheaders():
            name = name.lower()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Web:
    """A running presence-web."""

    def __init__(self, *arguments, listen=OWN, environment=None, prefix=()):
        self.log = tempfile.TemporaryFile(mode="w+")
        defaults = "--listen", own_address(listen, socket.SOCK_STREAM)
        command = [*prefix, os.path.abspath(PRESENCE_WEB), *with_defaults(defaults, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(environment or {})},
        )

        def listening():
            if self.process.poll() is not None:
                raise AssertionError(f"presence-web ended with {self.process.returncode}: "
                                     f"{self.output()}")
            return re.search(r"listening on 127\.0\.0\.1:(\d+)\n", self.output())

        self.port = int(wait_until(listening, "presence-web to listen")[1])

    def output(self):
        self.log.flush()
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            return log.read()

    def connect(self):
        """Open a keep-alive connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body=body,
                               headers={"User-Agent": BROWSER, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.ask("GET", path, headers=headers)

    def beacon(self, query, headers=None):
        """Show the picture on a page of the site."""
        return self.get(f"/beacon.gif?site={SITE}&{query}",
                        {"Referer": f"https://{SITE}/", **(headers or {})})

    def touch(self, fields, headers=None):
        """POST /touch as the badge does: without a preflight."""
        return self.ask("POST", "/touch", json.dumps(fields),
                        {"Content-Type": "text/plain", **(headers or {})})

    def raw(self, data, wait=True):
        """Send bytes. Return what is received until the other side closes, or the socket to read."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        connection.sendall(data)
        if not wait:
            return connection
        with connection:
            pieces = []
            while piece := connection.recv(65536):
                pieces.append(piece)
            return b"".join(pieces)

    def stream(self, query, headers=None):
        return Stream(self, query, headers)

    def memory(self):
        """Return the resident bytes."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, how=signal.SIGTERM):
        """Stop it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.last_output = self.output()
            self.log.close()
        return status


class Stream:
    """An open /stream."""

    def __init__(self, web, query, headers=None):
        self.connection = web.connect()
        self.connection.request("GET", f"/stream?{query}",
                                headers={"User-Agent": BROWSER, **(headers or {})})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}

    def block(self):
        """Return the next block of lines, up to an empty one; None at the end."""
        lines = []
        while line := self.response.readline():
            if line == b"\n":
                return lines
            lines.append(line.decode().rstrip("\n"))
        return None

    def event(self):
        """Return the next event with data as a dictionary of its fields, data decoded; None at
        the end."""
        while (lines := self.block()) is not None:
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in fields and fields.get("event") != "alive":
                fields["data"] = json.loads(fields["data"])
                return fields
        return None

    def wait_for(self, what, condition):
        """Read events until one's data fulfils the condition. Return all that were read."""
        seen = []
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            event = self.event()
            if event is None:
                raise AssertionError(f"the stream ended before {what}; it said {seen}")
            seen.append(event["data"])
            if condition(event["data"]):
                return seen
        raise AssertionError(f"waited in vain for {what}; the stream said {seen}")

    def close(self):
        self.connection.close()


def new_id():
    return str(uuid.uuid4())


def token(key, **claims):
    """Make a JWT from its definition (RFC 7515)."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    algorithm = claims.pop("algorithm", "HS256")
    digest = {"HS256": hashlib.sha256, "HS512": hashlib.sha512}.get(algorithm)
    header = json.dumps({"alg": algorithm, "typ": "JWT", **claims.pop("header", {})}).encode()
    signed = encode(header) + b"." + encode(json.dumps(claims).encode())
    signature = hmac.new(key.encode(), signed, digest).digest() if digest else b""
    return (signed + b"." + encode(signature)).decode()


class WebCase(Case):
    """A test with a collector and a presence-web in front of it."""

    def arrived(self, stats):
        """Without those that presence-web sends whenever nobody touches."""
        return self.not_empty(stats)

    def serve(self, *arguments, collector=None, **keywords):
        """Start presence-web, forwarding to the collector if there is one."""
        if collector:
            arguments = ("--to", f"127.0.0.1:{collector.port}", *arguments)
        web = Web("--segment", self.segment, *arguments, **keywords)
        self.addCleanup(self.end_web, web)
        return web

    @staticmethod
    def end_web(web):
        if web.process.poll() is None:
            web.process.kill()
            web.process.wait()
        if not web.log.closed:
            web.log.close()

    def secret(self, name, *lines, mode=0o600):
        """Write a key file."""
        path = os.path.join(self.directory, name)
        with open(path, "w") as file:
            file.write("".join(f"{line}\n" for line in lines))
        os.chmod(path, mode)
        return path

    def open_stream(self, web, query=f"site={SITE}", headers=None):
        stream = web.stream(query, headers)
        self.addCleanup(stream.close)
        self.assertEqual(stream.status, 200)
        return stream

    def assert_problem(self, answer, status, code):
        """Check that the request was refused with this code."""
        self.assertEqual((answer.status, answer.json.get("error")), (status, code), answer.body)
        self.assertTrue(answer.json["message"], answer.body)

    def counted(self, web, fields, headers=None):
        """Touch until it is counted in time, by a collector whose clock goes (a busy machine may be
        late). Return the answer."""
        def answer():
            answer = web.touch(fields, headers)
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json["counted"] and not answer.json["stale"] and answer.json

        return wait_until(answer, f"{fields} to be counted")

    def live(self, web, site=SITE, query="", headers=None):
        answer = web.get(f"/api/sites/{site}/live-user-count{query}", headers)
        self.assertIn("stale", answer.json, answer.body)
        is_fresh = answer.json.get("count") is not None and not answer.json["stale"]
        self.assertEqual(answer.status, 200 if is_fresh else 503, answer.body)
        return answer.json

    def wait_count(self, web, count, site=SITE, query=""):
        """Wait until the site has that many. Return the answer."""
        return wait_until(
            lambda: (answer := self.live(web, site, query))["count"] == count and answer,
            f"{count} on {site}")
