"""What programs read from an engine, several times a second: by lib/engine (engine_samples.c), and by
presence-web's API."""

import collections
import http.client
import json
import os
import subprocess
import tempfile
import threading
import time

from cohorts import boottime
from harness import BUILD, DEADLINE, wait_until

ENGINE_SAMPLES = os.path.join(BUILD, "tests/netns/engine_samples")
KINDS = {"site": 0, "room": 1, "country": 2, "source": 3}
# By enum engine_shard_problem, in the words of presencectl.
PROBLEMS = "fresh", "absent", "silent", "stale", "disagrees", "unreadable", "evicted"

# A number at a time, between `begin` and `end` (CLOCK_BOOTTIME); count None: unknown.
Answer = collections.namedtuple("Answer", "begin end count partial stale warming as_of")
Group = collections.namedtuple("Group", "whole partial warming shards")
Shard = collections.namedtuple("Shard", "problem age losing silent missing")


def is_marked(answer):
    return answer.partial or answer.stale or answer.warming


class Sample:
    """One poll: `answers` in the order of the scopes, or an error instead."""

    def __init__(self, begin, end, error):
        self.begin, self.end, self.error = begin, end, error
        self.answers, self.lists, self.groups = [], [], {}

    def add(self, words):
        kind, *words = words
        if kind == "count":
            _, error, count, flags, as_of, _ = words
            exists, known, partial, stale, warming = (flag == "1" for flag in flags)
            number = int(count) if exists else 0 if known else None
            self.answers.append(None if error != "0" else Answer(
                self.begin, self.end, number, partial, stale, warming, int(as_of)))
        elif kind == "list":
            self.lists.append({})
        elif kind == "entry":
            self.lists[-1][" ".join(words[2:])] = int(words[0])
        elif kind == "group":
            name, _, flags = words
            self.groups[name] = Group(*(flag == "1" for flag in flags), [])
            self.last = name
        elif kind == "shard":
            problem, *numbers = map(int, words)
            self.groups[self.last].shards.append(Shard(PROBLEMS[problem], *numbers))


class EngineSamples(threading.Thread):
    """Polls these scopes, and lists of (kind, site), all the time until it is stopped."""

    def __init__(self, url, scopes, window, lists=(), period_ms=250):
        super().__init__(daemon=True)
        self.scopes, self.samples = scopes, []
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([ENGINE_SAMPLES, url, str(period_ms)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log)
        for scope in scopes:
            self.process.stdin.write(
                f"count\t{KINDS[scope.kind]}\t{window}\t{scope.site}\t{scope.name}\n")
        for kind, site in lists:
            self.process.stdin.write(f"list\t{KINDS[kind]}\t{window}\t{site}\n")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.start()

    def run(self):
        sample = None
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "poll":
                sample = Sample(int(words[1]) / 1e9, int(words[2]) / 1e9, int(words[3]))
            elif words[0] == "end":
                self.samples.append(sample)
            else:
                sample.add(words)

    def stop(self):
        """End it; returns all samples."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
            status = self.process.wait(timeout=DEADLINE)
            self.join()
            self.process.stdout.close()
            self.log.seek(0)
            if status:
                raise AssertionError(f"engine_samples ended with {status}: {self.log.read()}")
            self.log.close()
        return self.samples

    def since(self, when):
        """The samples that began at that time or later."""
        return [sample for sample in self.samples if sample.begin >= when]

    def wait_for(self, condition, what, since=None, deadline=DEADLINE):
        """Wait for a sample, begun since then or from now on, that fulfils a condition."""
        since = boottime() if since is None else since
        last = []

        def found():
            last[:] = self.since(since)
            return next(filter(condition, last), None)

        def problem():
            return f"{what}: {[vars(sample) for sample in last[-1:]]}"

        return wait_until(found, problem, deadline)


class WebSamples(threading.Thread):
    """Asks presence-web for a site's number four times a second. Without an answer there is none:
    it may have been killed."""

    def __init__(self, web, site, window):
        super().__init__(daemon=True)
        self.web, self.path = web, f"/api/sites/{site}/live-user-count?window={window}"
        self.answers, self.failures = [], []
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.25):
            begin = boottime()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=DEADLINE)
                connection.request("GET", self.path)
                response = connection.getresponse()
                status, body = response.status, response.read()
                connection.close()
            except (OSError, http.client.HTTPException):
                continue
            end = boottime()
            told = json.loads(body)
            if status != 200 and "stale" not in told:  # a stale number is a number, with status 503
                self.failures.append((status, body))
                continue
            as_of = told.get("as_of")
            as_of = time.mktime(time.strptime(as_of, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone \
                if as_of else 0
            self.answers.append(Answer(begin, end, told["count"], told["partial"], told["stale"],
                                       told["warming"], as_of))

    def stop(self):
        self.over.set()
        self.join()
        return self.answers
