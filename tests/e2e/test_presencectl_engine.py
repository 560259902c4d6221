"""presencectl --engine: the answers of all groups, what it says of them, and how it ends."""

import json
import os
import socket
import subprocess
import time
import unittest

from engine import RedisServer
from harness import DEADLINE, PRESENCECTL, Case
from written_shards import WrittenShards, stream

SITE = "example.com"
HUGE = 9_000_000_000_000_000_000
DATABASE = "/var/lib/presence/history.db"  # the default
ONE_COLLECTOR = "it is of one collector: run it on that collector's machine"


class EngineCase(Case):
    def setUp(self):
        super().setUp()
        self.engine = RedisServer(self.directory)
        self.addCleanup(self.engine.ensure_ended)
        self.shards = WrittenShards(self.engine)
        self.addCleanup(self.shards.close)

    def run_ctl(self, *arguments, url=None, environment=None):
        """Run presencectl with --engine; returns (exit status, stdout, stderr)."""
        return self.run_alone("--engine", url or self.engine.url, *arguments, environment=environment)

    @staticmethod
    def run_alone(*arguments, environment=None):
        """Run presencectl with these arguments only."""
        done = subprocess.run([PRESENCECTL, *arguments], capture_output=True, text=True,
                              timeout=DEADLINE, env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def load(self, *arguments):
        """The JSON that it prints, whatever the exit status."""
        return json.loads(self.run_ctl(*arguments, "--json")[1])

    def assert_line(self, result, status, *patterns):
        """The command ended with this status, nothing on stdout and one line on stderr."""
        got, out, err = result
        self.assertEqual((got, out), (status, ""), err)
        self.assertRegex(err, r"\Apresencectl: [^\n]+\n\Z")
        for pattern in patterns:
            self.assertIn(pattern, err)

    def write_two_groups(self, **state):
        """Group a of two shards, with 3 + 4 visitors, and group b of one, with 6."""
        self.shards.write("a", 1, 2, {300: {SITE: {"": 3, "r/": 2, "cDE": 3, "snews.example": 1}},
                                      60: {SITE: {"": 1}}}, **state)
        self.shards.write("a", 2, 2, {300: {SITE: {"": 4, "r/": 1, "r/x": 4, "cFR": 4},
                                            "b.example": {"": 2}}, 60: {}}, **state)
        self.shards.write("b", 1, 1, {300: {SITE: {"": 6, "r/": 4, "cDE": 2, "cFR": 4}}, 60: {}})


class Usage(EngineCase):
    def test_wrong_usage(self):
        for arguments, pattern in (
                *(((*command, "--engine", "redis://h"), ONE_COLLECTOR) for command in (
                    ("events",), ("seen", SITE, "x"), ("explain", SITE), ("senders",), ("stats",),
                    ("verify",), ("watch", SITE))),
                (("events", "--user", "x"), "--user"),
                (("count", SITE, "--engine", "redis://h", "--segment", "/s"), "--segment"),
                (("count", SITE, "--engine", "http://h"), "--engine"),
                (("count", SITE, "--engine", "redis://u:secret@h"), "--password-file"),
                (("count", SITE, "--user", "x"), "--engine"),
                (("count", SITE, "--password-file", "x"), "--engine"),
                (("count", SITE, "--engine", "redis://h", "--user", "x"), "--password-file"),
                (("count", "--engine", "redis://h"), "SITE"),
                (("count", SITE, "--engine", "redis://h", "--engine", "redis://h"), "twice"),
                (("status", "--engine", "redis://h", "--window", "1m"), "--window"),
                (("forget", "a"), "--engine"), (("forget", "--engine", "redis://h"), "GROUP"),
                (("forget", "a", "b", "--engine", "redis://h"), "GROUP"),
                (("forget", "a:b", "--engine", self.engine.url), "GROUP"),
                (("forget", "a" * 64, "--engine", self.engine.url), "GROUP"),
                (("forget", "", "--engine", self.engine.url), "GROUP"),
                (("forget", "a", "--segment", "/s", "--engine", "redis://h"), "--segment"),
                (("count", "a\nb", "--engine", self.engine.url), "SITE"),
                (("top", "", "--engine", self.engine.url), "SITE"),
                (("history", SITE, "", "--engine", self.engine.url), "ROOM")):
            with self.subTest(arguments=arguments):
                result = self.run_alone(*arguments)
                self.assert_line(result, 2, pattern)
                self.assertNotIn("secret", result[2])

    def test_a_file_with_an_engine(self):
        """It is for the commands that can use it; the others refuse it, too."""
        self.write_two_groups()
        path = os.path.join(self.directory, "engine.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"engine = {self.engine.url}\n")
        for command in ("events",), ("seen", SITE, "x"), ("explain", SITE), ("senders",), ("stats",), \
                ("verify",), ("watch", SITE):
            self.assert_line(self.run_alone(*command, "--config", path), 2, ONE_COLLECTOR)
        self.assertEqual(self.run_alone("count", SITE, "--config", path), (0, "7\n", ""))
        self.assert_line(self.run_alone("count", SITE, "--config", path, "--segment", "/s"), 2,
                         "--segment")

    def test_no_engine(self):
        """Without an engine, or with nothing in it, it says so at once and prints nothing."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            closed = socket.create_server(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            closed.close()
            for url, pattern in ((f"redis://127.0.0.1:{port}", "refused"),
                                 ("unix:/nonexistent/redis", "/nonexistent/redis"),
                                 (f"redis://127.0.0.1:{silent.getsockname()[1]}", ""),
                                 (self.engine.url, "")):
                for command in (("count", SITE), ("top", SITE), ("sites",), ("status",),
                                ("count", SITE, "--json"), ("status", "--json"), ("forget", "a")):
                    with self.subTest(url=url, command=command):
                        self.assert_line(self.run_ctl(*command, url=url), 1, pattern)

    def test_segment_of_the_environment(self):
        """A segment that the environment names is not asked for."""
        self.write_two_groups()
        self.assertEqual(self.run_ctl("count", SITE, environment={"PRESENCE_SEGMENT": "/nowhere"}),
                         (0, "7\n", ""))


class Answers(EngineCase):
    def test_count(self):
        """The largest number of the groups, each by itself."""
        self.write_two_groups()
        for arguments, number in (((SITE,), 7), ((SITE.upper(),), 7), ((SITE, "/"), 4),
                                  ((SITE, "//x/"), 4), ((SITE, "--country", "de"), 3),
                                  ((SITE, "--country", "FR"), 4), ((SITE, "--window", "60"), 1),
                                  ((SITE, "--source", "News.example"), 1), (("b.example",), 2)):
            with self.subTest(arguments=arguments):
                self.assertEqual(self.run_ctl("count", *arguments), (0, f"{number}\n", ""))
        status, out, err = self.run_ctl("count", SITE, "/", "--json")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r'\A\{"site":"example\.com","room":"/","window_s":300,"count":4,'
                              r'"stale":false,"warming":false,"partial":false,'
                              r'"last_heartbeat_s":null,"as_of":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}\n\Z')
        self.assertEqual(self.run_ctl("count", SITE, url=self.engine.unix_url), (0, "7\n", ""))

    def test_counts_of_64_bits(self):
        self.shards.write("a", 1, 2, {300: {SITE: {"": HUGE - 5_000_000_000, "r/": 5_000_000_000}}})
        self.shards.write("a", 2, 2, {300: {SITE: {"": 5_000_000_000, "r/": 5_000_000_000}}})
        self.assertEqual(self.run_ctl("count", SITE), (0, f"{HUGE}\n", ""))
        self.assertEqual(self.load("count", SITE)["count"], HUGE)
        self.assertRegex(self.run_ctl("top", SITE)[1], rf"\Aexample\.com: {HUGE} visitors [^\n]*\n"
                                                       r"ROOM[^\n]*\n/ +10000000000 ")
        self.assertEqual(self.load("status")["groups"][0]["visitors"], HUGE)
        self.assertIn(f"  {HUGE}  ", self.run_ctl("status")[1])

    def test_nobody(self):
        self.write_two_groups()
        for arguments in ("count", "nobody.example"), ("count", SITE, "/nowhere"), \
                ("top", "nobody.example"), ("count", SITE, "--country", "XX"):
            self.assert_line(self.run_ctl(*arguments), 4, "nobody: ", arguments[-1])
        self.assertEqual(self.load("count", "nobody.example")["count"], 0)
        answer = self.load("top", "nobody.example")
        self.assertEqual((answer["count"], answer["total"], answer["rooms"]), (0, 0, []))

    def test_unknown(self):
        """A shard that refused a site makes other sites unknown, and a mark does so for rooms."""
        self.shards.write("a", 1, 1, {300: {SITE: {"": 3, "?r": 1}}}, unknown=1)
        self.assert_line(self.run_ctl("count", "other.example"), 4, "unknown: ", "other.example",
                         "group a")
        self.assertIsNone(self.load("count", "other.example")["count"])
        self.assert_line(self.run_ctl("count", SITE, "/x"), 4, "unknown: ", "/x")
        self.assertEqual(self.run_ctl("count", SITE)[:2], (0, "3\n"))

    def test_window(self):
        self.write_two_groups()
        for command in ("count", SITE), ("top", SITE), ("sites",):
            for window in "59", "1h":
                self.assert_line(self.run_ctl(*command, "--window", window), 2, "60, 300 s",
                                 "--window")

    def test_quiet(self):
        self.shards.write("a", 1, 1, {300: {SITE: {"": 3, "?q": int(time.time()) - 100}}})
        status, out, err = self.run_ctl("count", SITE)
        self.assertEqual((status, out), (0, "3\n"))
        self.assertRegex(err, r"\Apresencectl: quiet: the last heartbeat from example\.com came \S+ "
                              r"(s|min) ago\n\Z")
        self.assertGreaterEqual(self.load("count", SITE)["last_heartbeat_s"], 99)
        self.assertGreaterEqual(self.load("sites")["sites"][0]["last_heartbeat_s"], 99)
        self.assertRegex(self.run_ctl("sites")[1], r"\nexample\.com +3 +\S+ (s|min) ago\n")


class Listings(EngineCase):
    def test_top(self):
        self.write_two_groups()
        answer = self.load("top", SITE)
        self.assertEqual([(line["room"], line["count"]) for line in answer["rooms"]],
                         [("/", 4), ("/x", 4)])
        self.assertEqual((answer["site"], answer["by"], answer["count"], answer["total"],
                          answer["left_out"], answer["window_s"], answer["last_heartbeat_s"]),
                         (SITE, "room", 7, 2, 0, 300, None))
        self.assertEqual({name: answer["rooms"][0][name] for name in (
            "last_heartbeat_s", "share", "hour_ago", "change")},
            {"last_heartbeat_s": None, "share": 0.571428571429, "hour_ago": None, "change": None})
        answer = self.load("top", SITE, "--by", "country", "--limit", "1")
        self.assertEqual([(line["country"], line["count"]) for line in answer["countries"]],
                         [("FR", 4)])
        self.assertEqual(answer["total"], 2)
        status, out, err = self.run_ctl("top", SITE, "--limit", "1")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Aexample\.com: 7 visitors in the last 5 min, as of \S+Z; the busiest 1 "
                              r"of 2 rooms\nROOM +VISITORS +SHARE +1 H AGO +LAST HEARTBEAT\n"
                              r"/ +4 +57\.1 % +- +-\n\Z")
        self.assertRegex(self.run_ctl("top", SITE, "--csv")[1],
                         r"\Asite,room,count,share,hour_ago,change,last_heartbeat_s,partial,window_s,"
                         r"as_of,stale,warming\nexample\.com,/,4,0\.5714,,,,0,300,\S+Z,0,0\n"
                         r"example\.com,/x,4,0\.5714,,,,0,300,\S+Z,0,0\n\Z")
        self.assertEqual(self.run_ctl("top", SITE, "--names")[:2], (0, "/\n/x\n"))

    def test_sites(self):
        self.write_two_groups()
        answer = self.load("sites")
        self.assertEqual([(line["site"], line["count"]) for line in answer["sites"]],
                         [(SITE, 7), ("b.example", 2)])
        self.assertEqual((answer["total"], answer["window_s"]), (2, 300))
        self.assertRegex(self.run_ctl("sites")[1],
                         r"\A2 sites: visitors in the last 5 min, as of \S+Z\nSITE +VISITORS +LAST "
                         r"HEARTBEAT\nexample\.com +7 +-\nb\.example +2 +-\n\Z")

    def test_many(self):
        rooms = {f"r/{n}": 1 + n for n in range(3000)}
        self.shards.write("a", 1, 1, {300: {SITE: {"": 9000, **rooms}}})
        answer = self.load("top", SITE)
        self.assertEqual((len(answer["rooms"]), answer["total"]), (20, 3000))
        self.assertEqual(answer["rooms"][0], {**answer["rooms"][0], "room": "/2999", "count": 3000})
        self.assertEqual(len(self.load("top", SITE, "--limit", "0")["rooms"]), 3000)

    def test_names_are_escaped(self):
        rooms = {"/日本": "/日本", "/\u202eevil": "/\\u{202E}evil", "=1+1": "=1+1"}
        self.shards.write("a", 1, 1, {300: {SITE: {"": 3, **{f"r{room}": 1 for room in rooms}}}},
                          host="\u202ehost")
        out = self.run_ctl("top", SITE, environment={"LC_ALL": "C"})[1]
        for shown in rooms.values():
            self.assertIn(f"\n{shown} ", out)
        self.assertEqual({line["room"] for line in self.load("top", SITE)["rooms"]}, set(rooms))
        self.assertIn(",'=1+1,", self.run_ctl("top", SITE, "--csv")[1])
        self.assertIn(" \\u{202E}host ", self.run_ctl("status")[1])


class History(EngineCase):
    @unittest.skipIf(os.path.exists(DATABASE), "this machine has a database at the default path")
    def test_no_database(self):
        """An engine has no history of its own: without a database there is none."""
        self.write_two_groups()
        for command in "history", "peak":
            self.assert_line(self.run_ctl(command, SITE), 1, f"cannot read the database {DATABASE}")


class Marks(EngineCase):
    def test_a_group_that_is_not_whole_is_left_out(self):
        self.write_two_groups()
        self.shards.write("a", 2, 2, {300: {SITE: {"": 4}}}, age_ms=60000)
        self.assertEqual(self.run_ctl("count", SITE), (0, "6\n", ""))
        status, out, err = self.run_ctl("status")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"\Apresencectl: not whole: group a lacks shard 2 of 2 \(the publisher on "
                              r"a-2 has been silent for \S+ (s|min)\)\n\Z")

    def test_a_wrong_clock(self):
        """A machine whose clock is an hour ahead counts as ever, and `status` names it."""
        self.write_two_groups()
        self.assertEqual(self.run_ctl("status")[2], "")
        self.shards.write("b", 1, 1, {300: {SITE: {"": 9}}}, as_of=int(time.time()) + 3600)
        status, _, err = self.run_ctl("status")
        self.assertEqual(status, 0)
        self.assertRegex(err, r"\Apresencectl: clock: that of b-1 \(group b, shard 1\) is \S+ \S+ ahead of "
                              r"this machine's: the time of the answer may be wrong; set both by NTP\n\Z")
        self.shards.write("b", 1, 1, {300: {SITE: {"": 9}}}, as_of=int(time.time()) - 20)
        self.assertIn(" behind this machine's", self.run_ctl("status")[2])
        # A stale one may be old, but not of the future.
        self.shards.write("b", 1, 1, {300: {SITE: {"": 9}}}, stale=1, as_of=int(time.time()) - 60)
        self.assertNotIn("clock", self.run_ctl("status")[2])
        self.shards.write("b", 1, 1, {300: {SITE: {"": 9}}}, stale=1, as_of=int(time.time()) + 3600)
        self.assertRegex(self.run_ctl("status")[2], r"b-1 \(group b, shard 1\) is at least \S+ \S+ ahead of this")

    def test_stale(self):
        """Without a whole group it prints the last number, says which shards are missing since
        when, and exits 3."""
        self.shards.write("a", 1, 2, {300: {SITE: {"": 3, "r/": 2}}})
        self.shards.write("a", 2, 2, {300: {SITE: {"": 4}}}, age_ms=60000, as_of=1767225600)
        self.shards.write("b", 1, 1, {300: {SITE: {"": 9}}}, stale=1, as_of=1767225601)
        status, out, err = self.run_ctl("count", SITE)
        self.assertEqual(status, 3)
        self.assertIn(out, ("7\n", "9\n"))
        self.assertRegex(err, r"\Apresencectl: stale: no group is whole: group a lacks shard 2 of 2 \(the "
                              r"publisher on a-2 has been silent for \S+ \S+\); group b lacks shard 1 of "
                              r"1 \(the collector on b-1 is stale, or its publisher has ended, since "
                              r"2026-01-01T00:00:01Z\); this is the count as of 2026-01-01T00:00:0[01]Z\n\Z")
        answer = self.load("count", SITE)
        self.assertEqual((answer["stale"], answer["count"]), (True, int(out)))
        for command, pattern in ((("top", SITE), "this is the list"), (("sites",), "this is the list"),
                                 (("status",), "this is the status")):
            status, out, err = self.run_ctl(*command)
            self.assertEqual(status, 3)
            self.assertIn(pattern, err)
            self.assertTrue(out)
        self.assertRegex(self.run_ctl("top", SITE)[1], r"\A[^\n]*\[stale\]")
        self.assertEqual(self.load("status")["stale"], True)

    def test_stale_and_unknown(self):
        """A stale answer comes before nobody, and before unknown."""
        self.shards.write("a", 1, 2, {300: {SITE: {"": 3}}})
        for arguments in (SITE,), ("nobody.example",):
            status, out, err = self.run_ctl("count", *arguments)
            self.assertEqual((status, out), (3, ""))
            self.assertIn("shard 2 of 2 (never published, or not for two hours); nothing was known of "
                          f"{arguments[0]} as of 20", err)
        self.assertIsNone(self.load("count", SITE)["count"])

    def test_warming(self):
        """Only if every whole group warms up."""
        self.write_two_groups(warming=1)
        self.assertEqual(self.run_ctl("count", SITE)[::2], (0, ""))
        self.assertEqual([(group["name"], group["warming"], group["partial"])
                          for group in self.load("status")["groups"]],
                         [("a", True, False), ("b", False, False)])
        status, out, err = self.run_ctl("status")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\na +all 2 +whole \[warming\] [^\n]*\na +1 of 2 +fresh \[warming\] ")
        self.assertRegex(err, r"\Apresencectl: warming: group a: [^\n]*warms up[^\n]*\n\Z")
        self.shards.write("b", 1, 1, {300: {SITE: {"": 6}}, 60: {}}, warming=1)
        status, out, err = self.run_ctl("count", SITE)
        self.assertEqual((status, out), (0, "7\n"))
        self.assertRegex(err, r"\Apresencectl: warming: [^\n]*\n\Z")
        self.assertEqual(self.load("count", SITE)["warming"], True)
        self.assertEqual(self.load("status")["warming"], True)

    def test_partial(self):
        """A stream that loses datagrams in every group."""
        lossy = stream(0x1234, expected=2000, lost=100, before=(0, 0, 0))
        self.shards.write("a", 1, 1, {300: {SITE: {"": 3}}}, streams=lossy)
        status, out, err = self.run_ctl("count", SITE)
        self.assertEqual((status, out), (0, "3\n"))
        self.assertRegex(err, r"\Apresencectl: partial: this is the count, a lower bound, since not "
                              r"everybody could be counted in the last 5 min: group a: stream "
                              r"0000000000001234 loses over 1 % on its way to shard 1 of 1 \(a-1\)\n\Z")
        self.assertEqual(self.load("count", SITE)["partial"], True)
        group = self.load("status")["groups"][0]
        self.assertEqual((group["warming"], group["partial"]), (False, True))
        shard = group["shards"][0]
        self.assertEqual((shard["expected_30s"], shard["lost_30s"], shard["streams_losing"]),
                         (2000, 100, 1))
        self.assertRegex(self.run_ctl("status")[1], r"\na +all 1 +whole \[partial\] [^\n]*\na +1 of 1 [^\n]* "
                         r"100 of 2000 \(5\.0 %\) +1, 1 losing\n")

    def test_partial_by_a_limit(self):
        self.shards.write("a", 1, 1, {300: {SITE: {"": 3, "?p": "n"}}})
        status, out, err = self.run_ctl("count", SITE)
        self.assertEqual((status, out), (0, "3\n"))
        self.assertIn("group a: a limit of a collector left visitors out", err)
        self.shards.write("a", 1, 1, {60: {SITE: {"": 3, "?p": "n"}}}, warming=1)
        status, out, err = self.run_ctl("count", SITE, "--window", "60")
        self.assertEqual((status, out), (0, "3\n"))
        self.assertRegex(err, r"\Apresencectl: warming: [^\n]*\npresencectl: partial: [^\n]* could be "
                              r"counted in the last 1 min: group a: [^\n]*\n\Z")


class Status(EngineCase):
    def test_two_groups(self):
        self.write_two_groups()
        self.shards.write("b", 1, 1, {300: {SITE: {"": 6}}, 60: {}},
                          streams=stream(1) + stream(2, expected=4000, lost=14, before=(1500, 2000, 4)))
        status, out, err = self.run_ctl("status")
        self.assertEqual(status, 0)
        lines = out.splitlines()
        self.assertRegex(lines[0], r"\AGROUP +SHARD +STATE +HOST +AGE +VISITORS +LOST IN 30 S +STREAMS")
        for line, pattern in zip(lines[1:], (
                r"a +all 2 +whole.* 9 *$", r"a +1 of 2 +fresh +a-1 +\d\.\d s +3 +0 of 0 \(0\.0 %\) +0",
                r"a +2 of 2 +fresh +a-2 +\d\.\d s +6 +0 of 0 \(0\.0 %\) +0",
                r"b +all 1 +whole +6 *$", r"b +1 of 1 +fresh +b-1 +\d\.\d s +6 +10 of 3500 \(0\.3 %\) +2"),
                strict=True):
            self.assertRegex(line, rf"\A{pattern}")
        answer = self.load("status")
        self.assertEqual([(group["name"], group["whole"], group["visitors"], len(group["shards"]))
                          for group in answer["groups"]], [("a", True, 9, 2), ("b", True, 6, 1)])
        shard = answer["groups"][1]["shards"][0]
        self.assertLess(shard["age_ms"], 4000)
        self.assertEqual({name: shard[name] for name in (
            "shard", "state", "host", "told_shards", "visitors", "windows", "streams", "expected_30s",
            "lost_30s", "streams_losing", "streams_silent", "streams_missing")},
            {"shard": 1, "state": "fresh", "host": "b-1", "told_shards": 1, "visitors": 6,
             "windows": [60, 300], "streams": 2, "expected_30s": 3500, "lost_30s": 10,
             "streams_losing": 0, "streams_silent": 0, "streams_missing": 0})
        self.assertFalse(answer["stale"])

    def test_each_problem(self):
        counts = {300: {SITE: {"": 3}}}
        for name, words, act in (
                ("absent", "never published", lambda: self.engine.call("DEL", "{presence}:a:1")),
                ("silent", "has been silent for", lambda: self.write(counts, age_ms=30000)),
                ("stale", "is stale, or its publisher has ended", lambda: self.write(counts, stale=1)),
                ("disagrees", "was told of 3 shards", lambda: self.write(counts, shards=3)),
                ("unreadable", "another version", lambda: self.write(counts, version=2)),
                ("unreadable", "another version", lambda: self.write(counts, stale="x")),
                ("unreadable", "another version", lambda: self.write(counts, host="\x1b[2J")),
                ("evicted", "noeviction", lambda: self.engine.call("DEL", "{presence}:a:1:300")),
                ("evicted", "noeviction",
                 lambda: self.engine.call("HSET", "{presence}:a:1:300", "", "0" * 16))):
            with self.subTest(name=name, words=words):
                self.write(counts)
                act()
                answer = self.load("status")
                shard = answer["groups"][0]["shards"][0]
                self.assertEqual((shard["state"], answer["groups"][0]["whole"], answer["stale"]),
                                 (name, False, True), shard)
                for field in "visitors", "host", "as_of":  # nothing is known of it, or all
                    self.assertEqual(shard[field] is None, name in ("absent", "unreadable"), field)
                status, out, err = self.run_ctl("status")
                self.assertEqual(status, 3)
                self.assertIn("not whole: group a lacks shard 1 of 1 (", err)
                self.assertIn(words, err)
                self.assertRegex(out, rf"\na +1 of 1 +{name} ")

    def write(self, counts, shards=1, **state):
        self.shards.write("a", 1, shards, counts, registered=1, **state)
        self.shards.write("c", 1, 1, counts, stale=1)

    def test_streams_that_do_not_reach_every_shard(self):
        alive = stream(1) + stream(2) + stream(3)
        self.shards.write("a", 1, 2, {300: {}}, streams=alive)
        self.shards.write("a", 2, 2, {300: {}}, streams=stream(1, age=30))
        self.shards.write("b", 1, 1, {300: {}}, streams=alive)
        answer = self.load("status")
        shard = answer["groups"][0]["shards"][1]
        self.assertEqual((shard["streams_silent"], shard["streams_missing"]), (1, 2))
        status, out, err = self.run_ctl("status")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"\na +2 of 2 .* 1, 1 silent, 2 missing *\n")
        self.assertRegex(err, r"\Apresencectl: partial: group a: stream 0000000000000001 goes on elsewhere "
                              r"and is silent in shard 2 of 2 \(a-2\), streams 0000000000000002 and "
                              r"0000000000000003 go on elsewhere and never came to shard 2 of 2 \(a-2\)\n\Z")

    def test_hostile_values(self):
        """Whatever is in the engine, it ends with a status of its own."""
        self.write_two_groups()
        for key, field, value in (
                ("{presence}:groups", "a", "-1"), ("{presence}:groups", "a", "99999999999"),
                ("{presence}:groups", "\x1b[31m", "1"), ("{presence}:groups", "x" * 100, "1"),
                ("{presence}:a:1:300", SITE, "18446744073709551615"),
                ("{presence}:a:1:300", SITE, "x"), ("{presence}:a:1:300", "\xff" * 300, "1"),
                ("{presence}:a:1:300", "a\nb", "1"), ("{presence}:a:1", "streams", "\xff" * 1000),
                ("{presence}:a:1", "windows", "0"), ("{presence}:b:1", "as_of", "-" + "9" * 30),
                (f"{{presence}}:b:1:300:{SITE}", "r\u202e", "5"),
                (f"{{presence}}:b:1:300:{SITE}", "r/", "-5")):
            self.engine.call("HSET", key, field, value)
            for command in ("count", SITE), ("top", SITE), ("sites",), ("status",), ("status", "--json"):
                with self.subTest(key=key, value=value, command=command):
                    status, out, err = self.run_ctl(*command)
                    self.assertIn(status, (0, 1, 3, 4))
                    self.assertNotRegex(out + err, "[\x00-\x08\x0b-\x1f\x7f\u202e]")
        self.engine.call("SET", "{presence}:groups", "text")
        self.assert_line(self.run_ctl("count", SITE), 1)


class Forget(EngineCase):
    def test_forget(self):
        self.shards.write("old", 1, 2, {300: {SITE: {"": 1}, "b.example": {"": 2}}}, age_ms=10000)
        self.shards.write("old", 2, 2, {300: {SITE: {"": 1}}}, age_ms=10000)
        self.shards.write("old.er", 1, 1, {300: {SITE: {"": 5}}})
        keys = self.engine.call("KEYS", "{presence}:old:*")
        status, out, err = self.run_ctl("forget", "old")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out, f"forgot group old: {len(keys)} keys\n")
        self.assertEqual(self.engine.call("KEYS", "{presence}:old:*"), [])
        self.assertEqual(self.engine.hash("{presence}:groups"), {"old.er": "1"})
        self.assertEqual(self.run_ctl("count", SITE), (0, "5\n", ""))
        self.shards.write("old", 1, 1, {300: {}}, age_ms=10000)
        self.assertEqual(self.load("forget", "old"), {"group": "old", "keys": 2})
        self.assert_line(self.run_ctl("forget", "old"), 1, "no group old", "old.er")

    def test_it_refuses_while_a_shard_is_published(self):
        self.shards.write("a", 1, 2, {300: {SITE: {"": 1}}}, age_ms=10000)
        self.shards.write("a", 2, 2, {300: {SITE: {"": 1}}}, host="eu-2")
        self.engine.call("SET", "{presence}:a:2:owner", "eu-2 1 x", "PX", 5000000)
        keys = sorted(self.engine.call("KEYS", "*"))
        self.assert_line(self.run_ctl("forget", "a"), 1, "cannot forget group a", "eu-2")
        self.assertEqual(sorted(self.engine.call("KEYS", "*")), keys)


if __name__ == "__main__":
    unittest.main()
