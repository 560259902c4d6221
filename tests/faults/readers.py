"""Readers of all kinds. Each returns Readings, whatever it was told."""

import http.client
import json
import os
import re
import socket
import subprocess
import uuid

from harness import BUILD, PRESENCECTL, asan_options
from oracle import Reading, Scope, boottime
from visitors import FENCE
from programs import die_with_parent

SEGMENT_SAMPLES = os.path.join(BUILD, "tests/faults/segment_samples")
KINDS = "site", "room", "country", "source"
PATIENCE = 20.0  # seconds that a reader may take
NOWHERE = "nobody.example"  # a site that nobody ever sends


class Hung(AssertionError):
    """A reader that does not answer."""


class ReaderCrashed(AssertionError):
    """A reader that was ended by a signal, or by a sanitizer."""


def answer_of(count, exists, known):
    return "number" if exists else "nobody" if known else "unknown"


def no_answer(source, scope, begin, why):
    return Reading(source, scope, begin, boottime(), "none", None, False, False, False, str(why)[:300])


def from_json(source, scope, begin, told):
    """A Reading of what presencectl and presence-web say in JSON."""
    count = told["count"]
    answer = "unknown" if count is None else "number" if count or told.get("last_heartbeat_s") is not None \
        else "nobody"
    return Reading(source, scope, begin, boottime(), answer, count, told["stale"], told["warming"],
                   told["partial"])


class Samples:
    """libpresence in a process of its own, with one handle that outlives everything."""

    def __init__(self, segment):
        self.process = subprocess.Popen(
            [SEGMENT_SAMPLES, segment], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=die_with_parent,
            env={**os.environ, **asan_options("detect_leaks=0")})

    def ask(self, *questions):
        """Write questions, each a tuple of words."""
        lines = ("\t".join(map(str, words)) + "\n" for words in questions)
        self.process.stdin.write("".join(lines).encode())
        self.process.stdin.flush()

    def line(self, scope=None):
        """The next line as a Reading; None: a list is over."""
        line = self.process.stdout.readline().decode()
        if not line:
            raise ReaderCrashed(f"segment_samples ended with {self.process.wait()}")
        if line == "\n":
            return None
        begin, end, error, count, flags, _, _, name = line[:-1].split(" ", 7)
        begin, end, flags = int(begin) / 1e9, int(end) / 1e9, [flag == "1" for flag in flags]
        if scope is not None and name:
            scope = scope._replace(site=name) if scope.kind == "site" else scope._replace(name=name)
        if error != "0":
            return Reading("libpresence", scope, begin, end, "none", None, False, False, False,
                           os.strerror(int(error)))
        answer = answer_of(count, flags[0], flags[1])
        return Reading("libpresence", scope, begin, end, answer, int(count), flags[3], flags[4], flags[2])

    def count(self, *scopes, window=0):
        self.ask(*(("count", KINDS.index(scope.kind), window, scope.site, scope.name) for scope in scopes))
        return [self.line(scope) for scope in scopes]

    def seen(self, site, visitors):
        """Which of the visitors, each 16 bytes, were seen there."""
        self.ask(*(("seen", site, uuid.UUID(bytes=visitor)) for visitor in visitors))
        return [self.line().answer == "number" for _ in visitors]

    def list(self, kind, site="", window=0):
        self.ask(("list", KINDS.index(kind), window, site))
        return list(iter(lambda: self.line(Scope(kind, site, "?")), None))

    def crowd(self, number, site):
        """As many handles at once, a count of each."""
        self.ask(("crowd", number, 0, site))
        return list(iter(lambda: self.line(Scope("site", site)), None))

    def close(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Hung("segment_samples does not end") from None
        self.process.stdout.close()
        if status:
            raise ReaderCrashed(f"segment_samples ended with {status}")


class Ctl:
    """presencectl, a process for each reading."""

    STATUS = {"number": 0, "nobody": 4, "unknown": 4}

    def __init__(self, *arguments):
        self.arguments, self.source = arguments, "presencectl" + " --engine" * ("--engine" in arguments)

    def run(self, *words):
        """Returns (exit status, stdout, stderr)."""
        try:
            done = subprocess.run([PRESENCECTL, *words, *self.arguments], capture_output=True, text=True,
                                  timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **asan_options("detect_leaks=0")})
        except subprocess.TimeoutExpired:
            raise Hung(f"presencectl {words}") from None
        if done.returncode < 0 or done.returncode > 4 or "Sanitizer" in done.stderr:
            raise ReaderCrashed(f"presencectl {words} ended with {done.returncode}: {done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def count(self, scope):
        label = {"site": [], "room": [scope.name]}.get(scope.kind, [f"--{scope.kind}", scope.name])
        begin = boottime()
        status, out, err = self.run("count", scope.site, *label, "--json")
        if status == 1:
            return no_answer(self.source, scope, begin, err)
        reading = from_json(self.source, scope, begin, json.loads(out))
        expected = 3 if reading.stale else self.STATUS[reading.answer]
        if status != expected:
            raise ReaderCrashed(f"{reading}: exit status {status}, and not {expected}: {err}")
        return reading

    def check_listening(self, since, shift):
        """A collector that has begun to listen after `since`, by its clock, says so and warms up (R6)."""
        status, out, err = self.run("status", "--json")
        if status == 1:
            return
        told = json.loads(out)
        warms = told["listening_for_s"] < told["warm_up_s"]
        if told["listening_for_s"] > boottime() + shift - since + 1 or told["warming"] != warms:
            raise ReaderCrashed(f"listens since {since:.2f} at the earliest, and says {told}")

    def plain(self, scope):
        """The integer alone, as scripts read it."""
        begin = boottime()
        status, out, err = self.run("count", scope.site)
        if status == 1:
            return no_answer(self.source, scope, begin, err)
        if out and not re.fullmatch(r"\d+\n", out):
            raise ReaderCrashed(f"presencectl count printed {out!r}")
        answer = "number" if out else "unknown" if status == 3 or "unknown" in err else "nobody"
        return Reading(self.source + " plain", scope, begin, boottime(), answer, int(out or 0), status == 3,
                       "warming" in err or "ask again in" in err,
                       "partial" in err or "could not be" in err)

    def sites(self):
        """A Reading of each site that is listed, with the marks of the list."""
        begin = boottime()
        status, out, err = self.run("sites", "--json", "--limit", "0")
        if status == 1:
            return [no_answer(self.source, Scope("site", NOWHERE), begin, err)]
        told = json.loads(out)
        return [Reading(self.source + " sites", Scope("site", site["site"]), begin, boottime(), "number",
                        site["count"], told["stale"], told["warming"],
                        told["partial"] or site.get("partial", False)) for site in told["sites"]]


class Http:
    """presence-web, and the exporter's samples."""

    def __init__(self, port, source):
        self.port, self.source = port, source

    def get(self, path, method="GET", body=None, headers=None):
        """One request; returns (status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        except socket.timeout:
            raise Hung(f"{self.source} {path}") from None
        finally:
            connection.close()

    def count(self, scope):
        begin = boottime()
        query = f"?{scope.kind}={scope.name}" if scope.name else ""
        try:
            status, body = self.get(f"/api/sites/{scope.site}/live-user-count{query}")
        except (OSError, http.client.HTTPException) as error:
            return no_answer(self.source, scope, begin, error)
        return self.judge_answer(scope, begin, status, body)

    def judge_answer(self, scope, begin, status, body):
        told = json.loads(body)
        if "stale" not in told:
            return no_answer(self.source, scope, begin, (status, body))
        reading = from_json(self.source, scope, begin, told)
        is_fresh = reading.count is not None and not reading.stale
        if status != (200 if is_fresh else 503):
            raise ReaderCrashed(f"{reading} with status {status}")
        return reading

    def crowd(self, number, scope):
        """As many clients, who have all connected before the first one is answered."""
        begin, clients, readings = boottime(), [], []
        request = f"GET /api/sites/{scope.site}/live-user-count HTTP/1.0\r\nHost: x\r\n\r\n".encode()
        try:
            for _ in range(number):
                client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
                clients.append(client)
                client.sendall(request)
            for client in clients:
                data = b"".join(iter(lambda: client.recv(65536), b""))
                head, _, body = data.partition(b"\r\n\r\n")
                readings.append(self.judge_answer(scope, begin, int(head.split()[1]), body) if head
                                else no_answer(self.source, scope, begin, "closed"))
        except socket.timeout:
            raise Hung(f"{self.source} with {number} clients") from None
        except OSError as error:
            readings.append(no_answer(self.source, scope, begin, error))
        finally:
            for client in clients:
                client.close()
        return readings


SAMPLE = re.compile(r'^presence_active_visitors\{site="([^"]*)",window="[^"]*"\} (\d+)$', re.M)


class Scrape(Http):
    """The exporter: a reading of each site that it shows, or that it says it has nothing to say."""

    def scrape(self, sites):
        begin = boottime()
        try:
            status, body = self.get("/metrics")
        except (OSError, http.client.HTTPException) as error:
            return [no_answer(self.source, Scope("site", NOWHERE), begin, error)]
        text = body.decode()
        if status != 200 or "\npresence_up 1\n" not in text:
            # Silence is no zero: no visitors at all are shown.
            if SAMPLE.search(text):
                raise ReaderCrashed(f"visitors without presence_up 1: {text[:2000]}")
            return [Reading(self.source, Scope("site", site), begin, boottime(), "unknown", None, True, False,
                            False, "not up") for site in sites]
        warming, partial = "\npresence_warming 1\n" in text, 'presence_partial{kind="site"} 1' in text
        found = {site: int(count) for site, count in SAMPLE.findall(text) if site != FENCE}
        return [Reading(self.source, Scope("site", site), begin, boottime(),
                        "number" if site in found else "unknown" if warming else "nobody",
                        found.get(site, 0), False, warming,
                        partial or f'presence_site_partial{{site="{site}"}} 1' in text)
                for site in {*sites, *found}]

