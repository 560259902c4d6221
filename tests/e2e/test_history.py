"""History, peaks and trends: what presencectl prints of the minutes in the segment.

Minutes and hours pass in time namespaces, whose CLOCK_BOOTTIME is ahead of the machine's.
"""

import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

from harness import (
    DEADLINE, MINUTE, PRESENCECTL, Case, ahead_to, clock_ahead, native, read_time, visitor,
    wait_away_from_midnight, wait_until,
)
from side_by_side import main

SITE = "example.com"
HOSTILE = (
    '/a,"b"', "=1+1", "@x", "-1", "/שלום עולם", "/😀\U0001f9ff", "/\u202eevil", "/e" + "\u0301" * 9,
    "/\u200b\ufeff", "/a'b\\n;", "\u0301/", "/\U000e0041",
)


def leave(number):
    return native(SITE, [visitor(number)], kind=2)


class TrendCase(Case):
    def visit(self, numbers, room="", country="", source="", kind=1):
        self.send(self.collector, native(SITE, [visitor(number) for number in numbers], room=room,
                                         country=country, source=source, kind=kind))

    def begin(self, *arguments):
        self.collector = self.start("--warm-up", "0", *arguments)
        return self.collector

    def begin_in_a_minute(self):
        """One that lasts for the whole test."""
        self.enterContext(clock_ahead(ahead_to(5)))
        return self.begin()

    def wait_minute(self, condition, *arguments):
        """The last minute of the history, once it is as wanted."""
        def last():
            history = self.json("history", SITE, *arguments)["history"]
            return history and condition(history[-1]) and history[-1]

        return wait_until(last, lambda: "the running minute: "
                          f"{self.ctl('history', SITE, '--table')}")

    def on_terminal(self, *arguments, rows=24, **environment):
        """The output of a command on a terminal."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
        process = subprocess.Popen(
            [PRESENCECTL, *arguments, "--segment", self.segment], stdout=slave,
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "", "LC_ALL": "C.UTF-8", **environment})
        os.close(slave)
        out = b""
        try:
            while chunk := os.read(master, 65536):
                out += chunk
        except OSError:  # EIO: the other end is closed
            pass
        os.close(master)
        process.wait(timeout=DEADLINE)
        return out.decode()


class History(TrendCase):
    def test_the_running_minute(self):
        self.begin_in_a_minute()
        self.visit(range(3), room="/")
        self.visit(range(3, 5), kind=3)
        self.visit([1])
        self.wait_minute(lambda minute: minute["maximum"] == 5)
        self.send(self.collector, leave(4))
        minute = self.wait_minute(lambda minute: minute["leaves"] and minute["seconds"] > 1)
        self.assertEqual(
            [minute[name] for name in ("maximum", "heartbeats", "pageviews", "entries", "leaves",
                                       "departures", "running", "warming")],
            [5, 6, 2, 5, 1, 0, True, False])
        self.assertLessEqual(minute["minimum"], minute["mean"])
        self.assertLessEqual(minute["mean"], minute["maximum"])
        answer = self.json("history", SITE, "--since", "3600")
        self.assertEqual(read_time(answer["until"]) - read_time(answer["since"]), 3600)
        room = self.json("history", SITE, "/")
        self.assertEqual((room["room"], room["history"][-1]["maximum"]), ("/", 3))
        self.assertEqual(room["count"], 3)

    def test_minutes_pass(self):
        """A minute that is over stays, and one in which no collector ran is absent; the graph
        shows it differently from a minute without visitors."""
        with clock_ahead(ahead_to(50, 10)):  # a busy machine takes some seconds to start
            self.begin()
            self.visit(range(5))
            wait_until(lambda: len(self.json("history", SITE)["history"]) == 2, "the next minute",
                       deadline=MINUTE)
            first, second = self.json("history", SITE)["history"]
            self.assertEqual((first["running"], second["running"]), (False, True))
            self.assertEqual((first["maximum"], second["maximum"]), (5, 5))
            self.assertEqual((first["entries"] + second["entries"]), 5)
            self.collector.stop(signal.SIGKILL)
        with clock_ahead(ahead_to(10, 30)):
            self.begin()
            wait_until(lambda: len(self.json("history", SITE)["history"]) == 3, "its first sample")
            self.wait_minute(lambda minute: minute["seconds"] >= 1)
            history = self.json("history", SITE)["history"]
            starts = [read_time(minute["time"]) for minute in history]
            self.assertEqual(starts[1] - starts[0], 60)
            self.assertGreaterEqual(starts[2] - starts[1], 18 * 60)
            self.assertEqual(history[2]["maximum"], 0)  # their window has passed
            out = self.ctl("history", SITE, environment={"LC_ALL": "C.UTF-8"})[1]
            self.assertRegex(out, "─┴?┈.*┈┴?─+\n")
            self.assertEqual(len(self.json("history", SITE, "--since", "10m")["history"]), 1)
            gathered = self.json("history", SITE, "--step", "1d")
            self.assertEqual(gathered["step_s"], 86400)
            self.assertEqual(sum(step["entries"] for step in gathered["history"]), 5)

    def test_forms_agree(self):
        self.begin_in_a_minute()
        self.visit(range(7))
        self.visit(range(2), kind=3)
        self.wait_minute(lambda minute: minute["maximum"] == 7 and minute["pageviews"] == 2)
        self.collector.stop()  # so that nothing moves
        status, out, err = self.ctl("history", SITE, "--json")
        self.assertEqual(status, 3)
        self.assertIn("stale", err)
        wanted = self.json("history", SITE)["history"]
        done = subprocess.run([PRESENCECTL, "history", SITE, "--csv", "--segment", self.segment],
                              capture_output=True)
        self.assertEqual(done.stdout.count(b"\n"), done.stdout.count(b"\r\n"))
        rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
        self.assertEqual(len(rows), len(wanted))
        for row, minute in zip(rows, wanted):
            self.assertEqual(row["site"], SITE)
            self.assertEqual(row["time"], minute["time"])
            for name in ("seconds", "minimum", "maximum", "heartbeats", "pageviews", "entries", "leaves",
                         "departures", "warming", "running"):
                self.assertEqual(int(row[name]), minute[name])
            self.assertAlmostEqual(float(row["mean"]), minute["mean"], delta=0.005)
        table = self.ctl("history", SITE, "--table", "--step", "1m")[1].splitlines()
        self.assertEqual(table[0].split()[:4], ["FROM", "LOWEST", "MEAN", "HIGHEST"])
        self.assertEqual(table[1].split()[3:], ["7", "7", "0", "0", "2", "9", "running"])

    def test_the_graph(self):
        self.begin()
        self.visit(range(50))
        self.wait_minute(lambda minute: minute["maximum"] == 50)
        for columns in 20, 80, 133:
            environment = {"LC_ALL": "C.UTF-8", "COLUMNS": str(columns)}
            status, out, err = self.ctl("history", SITE, environment=environment)
            self.assertEqual((status, err), (0, ""))
            graph = [line for line in out.splitlines() if re.search("[│┤└▼]|UTC", line)]
            self.assertGreater(len(graph), 5)
            self.assertLessEqual(max(map(len, graph)), columns)
            self.assertIn("█", out)
            self.assertRegex(out, r"50 ▼|▼ 50")
        out = self.ctl("history", SITE, environment={"LC_ALL": "C"})[1]
        self.assertTrue(out.isascii(), out)
        self.assertIn("#", out)
        self.assertNotIn("\033", out)
        self.assertIn("\033[", self.on_terminal("history", SITE))
        self.assertNotIn("\033", self.on_terminal("history", SITE, NO_COLOR="1"))
        for rows in 5, 6, 7:  # too few for it: the graph is as low as it can be
            out = self.on_terminal("history", SITE, rows=rows)
            self.assertEqual(len(re.findall("(?m)^.*(?:[│┤└▼]|UTC).*$", out)), 4, out)

    def test_what_is_not_recorded(self):
        """A history that is shorter than was asked for says so, and ends now, in every form."""
        self.enterContext(clock_ahead(ahead_to(35)))  # which is complete when the next minute begins
        self.begin()
        self.visit(range(4))
        self.wait_minute(lambda minute: minute["maximum"] == 4)
        shorter = r"\d+ (s|min) of 30 d: nothing is recorded from \S+Z to \S+Z"
        for form in "--csv", "--table", "--json":
            status, out, err = self.ctl("history", SITE, "--since", "30d", form)
            self.assertEqual(status, 0)
            self.assertRegex(err, rf"^presencectl: this history is {shorter}; the collector keeps")
            self.assertNotIn("nothing is recorded", out)
        answer = json.loads(self.ctl("history", SITE, "--since", "30d", "--json")[1])
        self.assertEqual(answer["recorded_since"], answer["history"][0]["time"])
        self.assertLess(answer["since"], answer["recorded_since"])
        self.assertLessEqual(answer["recorded_since"], answer["recorded_until"])
        self.assertLessEqual(answer["recorded_until"], answer["until"])
        # The steps suit what there is.
        self.assertRegex(self.ctl("history", SITE, "--since", "30d", "--table")[1],
                         rf"\n{answer['recorded_since']} +4 ")
        for arguments, words in ((["--since", "30d"], shorter), ([], "of 6 h: nothing"),
                                 (["--since", "3w", "--step", "1d"], "of 21 d: nothing")):
            status, out, err = self.ctl("history", SITE, *arguments)
            self.assertEqual((status, err), (0, ""))
            self.assertRegex(out, rf"\A[^\n]*\n(\d.*)?{words}")
            labels = re.findall(r"\d\d:\d\d|\d+ [A-Z][a-z]+", re.search("^UTC.*", out, re.M)[0])
            now = time.time()
            past = {time.strftime(form, time.gmtime(now - 60 * minute))
                    for minute in range(33) for form in ("%H:%M", "%-d %b")}
            self.assertLessEqual(set(labels), past)
        wait_until(lambda: self.ctl("history", SITE, "--since", "1m", "--csv")[2] == "",
                   "a history that is complete but for a part of a minute", deadline=MINUTE)

    def test_unknown(self):
        self.begin("--max-histories", "1")
        self.visit(range(3), room="/")
        self.wait_minute(lambda minute: minute["seconds"] >= 1)
        status, out, err = self.ctl("history", "nobody.example")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("nobody.example", err)
        status, out, err = self.ctl("history", SITE, "/")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("busiest", err)
        self.send(self.collector, native("late.example", [visitor(1)]))
        wait_until(lambda: self.stats()["histories_full"] == 1, "a site that gets no history")
        status, out, err = self.ctl("history", "late.example")
        self.assertEqual((status, out), (4, ""))
        self.assertIn("--max-histories", err)
        self.assertIn("--max-histories", self.ctl("explain", "late.example")[1])
        answer = self.json("history", "nobody.example")
        self.assertEqual([answer[name] for name in ("history", "recorded_since", "recorded_until")],
                         [[], None, None])
        self.collector.stop()
        self.assertEqual(self.ctl("history", "nobody.example")[0], 3)  # 3 before 4

    def test_a_collector_without_histories(self):
        self.begin("--max-histories", "0", "--events", "0")
        self.visit(range(3))
        self.wait_received(1)
        status, out, err = self.ctl("history", SITE)
        self.assertEqual((status, out), (4, ""))
        self.assertIn("--max-histories", err)
        status, out, err = self.ctl("events", SITE)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("--events", err)


class Peaks(TrendCase):
    def test_peak(self):
        wait_away_from_midnight()
        self.begin()
        self.visit(range(9), room="/")

        def peak(number):
            return lambda: (self.json("peak", SITE)["ever"] or {}).get("count") == number

        wait_until(peak(9), "the peak to be sampled")
        for number in range(5):
            self.send(self.collector, leave(number))
        wait_until(lambda: self.json("count", SITE)["count"] == 4, "five to leave")
        answer = self.json("peak", SITE)
        self.assertEqual((answer["today"]["count"], answer["ever"]["count"]), (9, 9))
        self.assertEqual(answer["today"], answer["ever"])
        status, out, err = self.ctl("peak", SITE)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, rf"\ntoday +9  {answer['ever']['at']}\never +9  ")
        self.assertEqual(self.json("peak", SITE, "/")["ever"]["count"], 9)
        self.visit(range(20, 40))
        wait_until(peak(24), "a higher peak")
        status, out, err = self.ctl("peak", "nobody.example")
        self.assertEqual((status, out), (4, ""))
        self.assertEqual(self.json("peak", "nobody.example")["ever"], None)
        self.collector.stop()
        status, out, err = self.ctl("peak", SITE)
        self.assertEqual(status, 3)
        self.assertIn("[stale]", out)
        self.assertIn("stale", err)


class Places(TrendCase):
    """--country and --source in place of a room."""

    def setUp(self):
        super().setUp()
        self.begin()
        self.visit(range(7), room="/a", country="DE", source="news.example")
        self.visit(range(7, 10), country="FR", source="שלום")
        wait_until(lambda: all((self.json("history", SITE, *place)["history"] or [{"maximum": 0}])
                               [-1]["maximum"] for place in self.places), "samples of each")

    places = {("--country", "DE"): 7, ("--country", "fr"): 3, ("--source", "news.example"): 7,
              ("--source", "שלום"): 3, ("/a",): 7, ("//a/",): 7, ("--source", "News.EXAMPLE"): 7,
              (): 10}

    def test_all_commands_take_them(self):
        for place, count in self.places.items():
            with self.subTest(place=place):
                self.assertEqual(self.count(SITE, *place), count)
                self.assertEqual(self.json("peak", SITE, *place)["ever"]["count"], count)
                self.assertEqual(self.json("explain", SITE, *place)["count"], count)
                history = self.json("history", SITE, *place)
                self.assertEqual((history["count"], history["history"][-1]["maximum"]),
                                 (count, count))

    def test_they_are_named(self):
        for command in "count", "peak", "history", "explain":
            answer = self.json(command, SITE, "--country", "de")
            self.assertEqual((answer["site"], answer["room"], answer["country"]), (SITE, None, "DE"))
            self.assertNotIn("source", answer)
            answer = self.json(command, SITE, "--source", "שלום")
            self.assertEqual((answer["source"], "country" in answer), ("שלום", False))
            self.assertFalse({"country", "source"} & self.json(command, SITE, "/a").keys())
        for command in "peak", "history", "explain":
            out = self.ctl(command, SITE, "--country", "DE")[1]
            self.assertIn("country DE of example.com", out)
        self.assertIn("from this country", out)
        out = self.ctl("history", SITE, "--source", "news.example", "--csv")[1]
        row = list(csv.DictReader(io.StringIO(out)))[-1]
        self.assertEqual((row["site"], row["room"], row["country"], row["source"], row["maximum"]),
                         (SITE, "", "", "news.example", "7"))

    def test_who_is_not_there(self):
        for command in "count", "peak", "history", "explain":
            status, out, err = self.ctl(command, SITE, "--country", "US")
            self.assertEqual((status, out), (4, ""))
            self.assertIn("country US of example.com", err)
        self.assertIn("country AZ of example.com", self.ctl("count", SITE, "--country", "az")[2])

    def test_usage(self):
        for arguments, words in (
            (["/a", "--country", "DE"], "only one of"), (["--country", "DE", "--source", "x"], "only one of"),
            (["--country", "D"], "two letters"), (["--country", "DEU"], "two letters"),
            (["--country", "D1"], "two letters"), (["--country", ""], "two letters"),
            (["--source", ""], "--source"), (["--source", "x" * 254], "--source must be 1 to 253 bytes"),
            (["--source", "a\nb"], "--source"), (["/" + "x" * 255], "ROOM must be 1 to 255 bytes"),
        ):
            with self.subTest(arguments=arguments):
                status, out, err = self.ctl("peak", SITE, *arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertIn(words, err)
        status, out, err = self.ctl("top", SITE, "--country", "DE")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("--country", err)


class Top(TrendCase):
    def test_against_an_hour_ago(self):
        ahead, begun = ahead_to(20, 10), time.monotonic()
        with clock_ahead(ahead):
            self.begin()
            self.visit(range(10), room="/a", country="DE")
            self.visit(range(10, 14), room="/b", country="FR")
            wait_until(lambda: all(
                self.json("history", SITE, room)["history"][-1:] and
                self.json("history", SITE, room)["history"][-1]["seconds"] > 2
                for room in ("/a", "/b")), "a sample of each room")
            self.collector.stop(signal.SIGKILL)
        passed = int(time.monotonic() - begun)
        with clock_ahead(ahead + 3600 - passed):  # an hour after the beginning, however long it took
            self.begin()
            self.visit(range(5), room="/a", country="DE")
            self.visit(range(10, 18), room="/b", country="FR")
            self.visit(range(20, 23), room="/c")
            wait_until(lambda: sum(line["count"] for line in self.json("top", SITE)["rooms"]) == 16,
                       "all visitors")
            rooms = {line["room"]: line for line in self.json("top", SITE)["rooms"]}
            self.assertAlmostEqual(rooms["/a"]["share"], 5 / 16)
            self.assertLess(rooms["/a"]["change"], 0)
            self.assertGreater(rooms["/b"]["change"], 0)
            self.assertAlmostEqual(rooms["/b"]["hour_ago"], 4, delta=2)
            self.assertIsNone(rooms["/c"]["hour_ago"])
            out = self.ctl("top", SITE)[1]
            self.assertRegex(out, r"\n/a +5 +31\.2 % +-\d+ % ")
            self.assertRegex(out, r"\n/b +8 +50\.0 % +\+\d+ % ")
            self.assertRegex(out, r"\n/c +3 +18\.8 % +- ")
            self.assertEqual(self.json("top", SITE, "--by", "country")["countries"][0]["country"],
                             "FR")
            self.assertIsNone(self.json("top", SITE, "--window", "1m")["rooms"][0]["hour_ago"])


class Explain(TrendCase):
    def test_explain(self):
        self.begin()
        self.visit(range(6), room="/")
        self.send(self.collector, b"nonsense", leave(5))
        answer = wait_until(
            lambda: (lambda answer: answer["last_minute"] and answer["last_minute"]["leaves"] and
                     answer)(self.json("explain", SITE)), "the last minute to be known")
        self.assertEqual(answer["count"], 5)
        self.assertEqual(sum(band["visitors"] for band in answer["ages"]), 5)
        self.assertEqual((answer["last_minute"]["entries"], answer["last_minute"]["leaves"]), (6, 1))
        self.assertEqual(answer["rejected"]["malformed"], 1)
        status, out, err = self.ctl("explain", SITE)
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("5 visitors are now on example.com\n"), out)
        for words in ("the last 5 min, the window", "6  entered", "1  left", "0  departed silently", "fresh",
                      "1 of 3 datagrams", "datagrams_rejected_malformed"):
            self.assertIn(words, out)
        self.assertRegex(out, r"\n  The collector ran for \d+ of the 60 seconds\.\n")
        self.assertLessEqual(max(map(len, out.splitlines())), 100)
        self.assertTrue(self.ctl("explain", SITE, "/")[1].startswith("6 visitors are now on / on"))
        status, out, err = self.ctl("explain", "nobody.example")
        self.assertEqual((status, out), (4, ""))
        self.assertEqual(self.json("explain", "nobody.example")["count"], 0)
        self.collector.stop()
        status, out, err = self.ctl("explain", SITE)
        self.assertEqual(status, 3)
        self.assertIn("stale", out)

    def test_ages(self):
        self.begin()
        self.visit(range(3))
        self.wait_received(1)
        self.collector.stop()
        self.enterContext(clock_ahead(70))
        self.begin()
        self.visit(range(10, 16))
        wait_until(lambda: self.count(SITE) == 9, "all of them")
        bands = re.findall(r"ago +([1-9]\d*) +(\d+) %  (#+)\n", self.ctl("explain", SITE)[1])
        self.assertEqual(bands, [("6", "67", 24 * "#"), ("3", "33", 12 * "#")])


class Names(TrendCase):
    def test_hostile_names(self):
        """Strange names are unchanged in JSON and CSV, and escaped on a terminal."""
        self.begin("--events", "16384")
        for number, room in enumerate(HOSTILE):
            self.visit([number], room=room, source=room)
        self.send(self.collector, b'PH1 site=example.com visitor=x room="/a\\nb\\u001b[31m"')
        self.wait_received(len(HOSTILE) + 1)
        self.assertEqual(self.stats()["label_invalid"], 1)
        rooms = {*HOSTILE, None}
        wait_until(lambda: {event["room"] for event in self.json("events", SITE)["events"]} == rooms,
                   lambda: f"events in {rooms}: {self.json('events', SITE)}")
        out = self.ctl("events", SITE, "--csv")[1]
        for row in csv.DictReader(io.StringIO(out, newline="")):
            room = row["room"][1:] if row["room"][:1] == "'" else row["room"]
            self.assertIn(room, {*HOSTILE, ""})
            self.assertNotIn(row["room"][:1], {"=", "+", "-", "@"})
        for command in (("events", SITE), ("events", SITE, "--csv"), ("events", SITE, "--json"),
                        ("top", SITE), ("top", SITE, "--by", "source"),
                        ("history", SITE, HOSTILE[6], "--csv"), ("explain", SITE, HOSTILE[4]),
                        ("explain", SITE, "--source", HOSTILE[6]),
                        ("peak", SITE, HOSTILE[6])):
            with self.subTest(command=command):
                out = self.on_terminal(*command)
                plain = re.sub(r"\033\[[0-9;]*m", "", out)
                self.assertNotIn("\033", plain)
                self.assertFalse(set("\u202e\u200b\ufeff\U000e0041") & set(plain), plain)
                self.assertNotIn("\u0301" * 3, plain)
        out = self.on_terminal("top", SITE)
        line = next(line for line in out.splitlines() if "שלום" in line)
        self.assertRegex(line, "עולם *\u200e *1")  # or the number would be drawn to its left


if __name__ == "__main__":
    main()
