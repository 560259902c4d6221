"""io_uring and recvmmsg count the same; where the first is not to be had the second is taken."""

import concurrent.futures
import contextlib
import errno
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest
import uuid

from harness import DEADLINE, ENGINES, GOLDEN, PRESENCE_SEND, Case, native, refuse_call, visitor

SEED = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 32)))
HEARTBEAT, LEAVE, PAGEVIEW, EVENT = 1, 2, 3, 4
KINDS = {HEARTBEAT: "heartbeat", LEAVE: "leave", PAGEVIEW: "pageview", EVENT: "event"}
SITES = ("a.example", "b.example", "ü.example")
LABELS = {"room": ("/", "/pricing", "/ü x"), "country": ("DE", "FR"), "source": ("s.example", "t")}
BY = {"room": "rooms", "country": "countries", "source": "sources"}


class Model:
    """Who is where, by R2 and R4 of docs/counting.md, as long as no window passes."""

    def __init__(self):
        self.present = {}
        self.counters = dict.fromkeys(
            ("datagrams_received", "datagrams_accepted", "datagrams_rejected_malformed",
             "datagrams_rejected_visitor", "datagrams_rejected_version", "heartbeats_left",
             "pageviews", "custom_events", "scopes_created"), 0)
        self.seen = 0  # visitors that are new or refreshed

    def take(self, kind, site, labels, visitors):
        self.counters["datagrams_accepted"] += 1
        scopes = [(site,), *((site, *label) for label in labels.items())]
        if kind == LEAVE:
            self.counters["heartbeats_left"] += len(visitors)
            if "room" in labels:
                scopes = [(site, "room", labels["room"])]
            for scope in scopes:
                self.present.get(scope, set()).difference_update(visitors)
            return
        for scope in scopes:
            self.counters["scopes_created"] += scope not in self.present
            self.present.setdefault(scope, set()).update(visitors)
        self.seen += len(visitors)
        for counted, name in (PAGEVIEW, "pageviews"), (EVENT, "custom_events"):
            self.counters[name] += len(visitors) if kind == counted else 0


def spell(name, value, generator):
    """The same label, perhaps in another of the ways in which it is written (R2)."""
    if name == "source":
        return generator.choice((value, value.upper(), value.title()))
    if name == "room":
        return generator.choice((value, value, value.replace("/", "//"), value + "//"))
    return value


def text(kind, site, labels, number, event, generator):
    """A text heartbeat, as different edges write them."""
    words = [f"site={site}", f"visitor={uuid.UUID(int=number)}"]
    words += [f'{name}="{value}"' if " " in value or generator.random() < 0.5 else f"{name}={value}"
              for name, value in labels.items()]
    if event:
        words.append(f"event={event}")
    if kind != HEARTBEAT and not (event and generator.random() < 0.5):
        words.append(f"kind={KINDS[kind]}")
    generator.shuffle(words)
    header = generator.choice(("", "", "<190>Nov 22 03:56:23 presence: "))
    return (header + "PH1 " + " ".join(words)).encode() + generator.choice((b"", b"\n"))


def recording(generator, length):
    """Datagrams of all kinds, good and bad, and what they amount to."""
    model, datagrams = Model(), []
    bad = {b"": "malformed", b"PH1 x": "malformed", b"PH3": "version", GOLDEN[:-1]: "malformed",
           b"PH1 site=a.example": "visitor", bytes(3000): "malformed",
           native("a.example", []): "visitor"}
    for _ in range(length):
        if generator.random() < 0.1:
            data = generator.choice(list(bad))
            model.counters[f"datagrams_rejected_{bad[data]}"] += 1
            datagrams.append(data)
            continue
        site = generator.choice(SITES)
        kind = generator.choice((HEARTBEAT,) * 6 + (LEAVE, LEAVE, PAGEVIEW, EVENT))
        labels = {name: generator.choice(values) for name, values in LABELS.items()
                  if generator.random() < 0.5}
        spelled = {name: spell(name, value, generator) for name, value in labels.items()}
        event = "buy" if kind == EVENT else ""
        if generator.random() < 0.5:
            numbers = [generator.randrange(1, 400) for _ in range(generator.choice((1, 1, 3, 40)))]
            datagrams.append(native(site, list(map(visitor, numbers)), kind=kind, event=event,
                                    **spelled))
        else:
            numbers = [generator.randrange(1, 400)]
            datagrams.append(text(kind, site, spelled, numbers[0], event, generator))
        model.take(kind, site, labels, numbers)
    model.counters["datagrams_received"] = length
    return datagrams, model


def without_io_uring():
    """Let io_uring_setup fail with EPERM in this process, as container runtimes do (seccomp(2))."""
    refuse_call(425, errno.EPERM)


class Engines(Case):
    def scopes(self):
        """The count of everything that is counted."""
        counts = {}
        for site in self.json("sites")["sites"]:
            counts[site["site"],] = site["count"]
            for by, plural in BY.items():
                for entry in self.json("top", site["site"], "--by", by, "--limit", "0")[plural]:
                    counts[site["site"], by, entry[by]] = entry["count"]
        return counts

    def test_the_same_recording(self):
        """One worker keeps the order, so that everything must come out as the model says."""
        datagrams, model = recording(random.Random(SEED), 6000)
        results = {}
        for engine in ENGINES:
            with self.subTest(engine=engine, TEST_SEED=SEED):
                self.segment = os.path.join(self.directory, engine)
                collector = self.start("--receive", engine, "--workers", "1", "--events", "0")
                self.assertEqual(self.json("status")["receive"], engine)
                for start in range(0, len(datagrams), 1000):  # never more than a buffer holds
                    self.send(collector, *datagrams[start:start + 1000])
                    stats = self.wait_received(start + 1000)
                scopes = self.scopes()
                self.assertEqual(scopes, {scope: len(who) for scope, who in model.present.items()})
                self.assertEqual({name: stats[name] for name in model.counters}, model.counters)
                self.assertEqual(model.seen,
                                 stats["heartbeats_new"] + stats["heartbeats_refreshed"])
                self.assert_accounted(stats)
                self.assertEqual(self.ctl("verify")[0], 0)
                results[engine] = {name: value for name, value in stats.items()
                                   if not name.startswith("receive_")}
        self.assertEqual(results.get("io_uring"), results.get("recvmmsg"))

    def test_the_same_table(self):
        """From the same secret and the same recording, word for word."""
        datagrams, _ = recording(random.Random(SEED), 3000)
        pristine = os.path.join(self.directory, "pristine")
        self.segment = pristine
        self.start("--workers", "1", "--events", "0").stop()
        tables = {}
        for engine in ENGINES:
            self.segment = os.path.join(self.directory, engine)
            shutil.copyfile(pristine, self.segment)
            collector = self.start("--receive", engine, "--workers", "1", "--events", "0")
            self.assertIn("attached", collector.output())
            for start in range(0, len(datagrams), 1000):
                self.send(collector, *datagrams[start:start + 1000])
                self.wait_received(start + 1000)
            collector.stop()
            tables[engine] = self.table()
        self.assertGreater(sum(word != 0 for word in tables["io_uring"]), 100)
        self.assertEqual(tables["io_uring"], tables["recvmmsg"], f"TEST_SEED={SEED}")

    def table(self):
        """The table's fingerprints, slot by slot; the ticks beside them are of another second."""
        with open(self.segment, "rb") as file:
            data = file.read()
        # segment.h: the sections begin at 88 + 40 of the header; the table is the fifth
        offset, size = struct.unpack_from("@QQ", data, 88 + 40 + 4 * 16)
        return [word >> 20 for (word,) in struct.iter_unpack("@Q", data[offset:offset + size])]

    def test_trains(self):
        """Datagrams that the kernel hands over joined (udp(7), UDP_SEGMENT and UDP_GRO)."""
        udp_segment = 103  # of linux/udp.h
        for engine in ENGINES:
            with self.subTest(engine=engine), socket.socket(type=socket.SOCK_DGRAM) as sender:
                self.segment = os.path.join(self.directory, engine)
                collector = self.start("--receive", engine)
                each = len(native("a.example", [visitor(0)]))
                sender.setsockopt(socket.IPPROTO_UDP, udp_segment, each)
                expected = sent = 0
                for length in 1, 2, 3, 60:
                    train = [native("a.example", [visitor(expected + i)]) for i in range(length)]
                    for end in b"", b"PH2", train[0][:-1], b"x" * each:
                        sender.sendto(b"".join(train) + end, ("127.0.0.1", collector.port))
                        sent += length + bool(end)
                    expected += length
                stats = self.wait_received(sent)
                self.assertEqual(stats["datagrams_received"], sent)
                self.assertEqual(stats["datagrams_rejected_version"], 4)
                self.assertEqual(stats["datagrams_rejected_malformed"], 8)
                self.assertEqual((stats["heartbeats_new"], self.count("a.example")),
                                 (expected, expected))

    def test_two_workers_lose_nothing(self):
        """Without leaves the order does not matter."""
        generator = random.Random(SEED)
        datagrams = [native(generator.choice(SITES), [visitor(generator.randrange(500))
                                                      for _ in range(generator.randrange(1, 30))],
                            room=generator.choice(LABELS["room"])) for _ in range(3000)]
        visitors = sum(data[13] for data in datagrams)
        counts = []
        for engine in ENGINES:
            with self.subTest(engine=engine, TEST_SEED=SEED):
                self.segment = os.path.join(self.directory, engine)
                collector = self.start("--receive", engine, "--workers", "2")
                self.send(collector, *datagrams)
                stats = self.wait_received(len(datagrams))
                counts.append(self.scopes())
                self.assertEqual(stats["heartbeats_new"] + stats["heartbeats_refreshed"], visitors)
                on_sites = [count for scope, count in counts[-1].items() if len(scope) == 1]
                self.assertEqual(stats["heartbeats_new"], sum(on_sites))
                self.assertEqual(self.ctl("verify")[0], 0)
        self.assertEqual(counts[0], counts[1])


def send_empty(port, rate, stopping):
    """Send empty datagrams at a rate until told to stop; returns how many."""
    sent, begun = 0, time.monotonic()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        while not stopping.is_set():
            due = int((time.monotonic() - begun) * rate)
            for _ in range(min(due - sent, 100)):
                sender.sendto(b"", ("127.0.0.1", port))
                sent += 1
            stopping.wait(0.0005)
    return sent


class EmptyDatagrams(Case):
    """Anybody can send them, and each ends a multishot receive."""

    RATE, SECONDS = 50000, 2
    ATTEMPTS = 4

    def flood(self, *arguments):
        """Return what became of it. A busy machine may lose some at any time; a collector that receives
        between two empty ones only loses more than half where many come, each time."""
        collector = self.start(*arguments)
        stopping = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            empty = pool.submit(send_empty, collector.port, 5000, stopping)
            summary = subprocess.run(
                [PRESENCE_SEND, "--to", f"127.0.0.1:{collector.port}", "--site", "a.example",
                 "--visitors", "1000", "--rate", str(self.RATE), "--duration", str(self.SECONDS),
                 "--batch", "1"], check=True, capture_output=True, timeout=DEADLINE).stdout
            stopping.set()
            sent = empty.result()
        self.assertGreater(sent, 1000)
        good = json.loads(summary)["datagrams"]  # fewer than were wanted on a busy machine
        self.assertGreater(good, self.RATE * self.SECONDS // 20)
        stats = self.wait_received(good + sent)
        if not stats["socket_drops"]:
            self.assertEqual((stats["datagrams_accepted"], stats["datagrams_rejected_malformed"]),
                             (good, sent))
        self.assertEqual(collector.stop(), 0)
        os.unlink(self.segment)
        return stats["socket_drops"] / good

    def test_they_cost_no_others(self):
        for engine in ENGINES:
            for arguments in (), ("--allow", "127.0.0.1"), ("--workers", "2"):
                with self.subTest(engine=engine, arguments=arguments):
                    lost = []
                    while not lost or lost[-1] >= 1 / 4:
                        self.assertLess(len(lost), self.ATTEMPTS, lost)
                        self.segment = os.path.join(self.directory, engine + "".join(arguments))
                        lost.append(self.flood("--receive", engine, *arguments))


class Fallback(Case):
    def test_auto_takes_io_uring_where_it_can(self):
        collector = self.start("--receive", "auto")
        status = self.json("status")
        self.assertEqual((status["receive"], status["receive_reason"]), ("io_uring", None))
        self.assertNotIn("not available", collector.output())

    def test_auto_falls_back_and_says_why(self):
        for workers in "1", "2":
            self.segment = os.path.join(self.directory, workers)
            collector = self.start("--receive", "auto", "--workers", workers,
                                   preexec=without_io_uring)
            status = self.json("status")
            self.assertEqual(status["receive"], "recvmmsg")
            self.assertIn("not permitted", status["receive_reason"])
            self.assertRegex(self.ctl("status")[1], r"recvmmsg.*not permitted")
            self.assertRegex(collector.output(), r"io_uring.*not permitted.*recvmmsg")
            self.send(collector, GOLDEN)
            self.wait_received(1)
            self.assertEqual(self.count("example.com"), 2)
            self.assertEqual(collector.stop(), 0)

    def test_io_uring_alone_fails_in_one_line(self):
        for workers in "1", "2":
            collector = self.start("--receive", "io_uring", "--workers", workers, wait=False,
                                   preexec=without_io_uring)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 1)
            complaint = [line for line in collector.output().splitlines()
                         if "listening on" not in line]
            self.assertEqual(len(complaint), 1, collector.output())
            self.assertRegex(complaint[0], r"^presenced: .*io_uring.*not permitted.*--receive")

    def test_a_restart_changes_the_engine(self):
        """The segment says how it is now, and goes on counting."""
        counted = 0
        for preexec in None, without_io_uring, None:
            engine = "recvmmsg" if preexec else "io_uring"
            collector = self.start(preexec=preexec)
            status = self.json("status")
            self.assertEqual(status["receive"], engine)
            self.assertEqual(status["receive_reason"] is None, engine == "io_uring", status)
            self.send(collector, native("a.example", [visitor(counted)]))
            counted += 1
            self.wait_received(counted)
            self.assertEqual(self.count("a.example"), counted)
            self.assertEqual(collector.stop(), 0)


class Scheduling(Case):
    """Workers come sooner than others who want their processor."""

    SLICE = 300_000  # nanoseconds
    NICE = -5

    @staticmethod
    def slices(collector):
        directory = f"/proc/{collector.process.pid}/task"
        found = []
        for thread in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                with open(f"{directory}/{thread}/sched") as file:
                    found += [int(line.split(":")[1]) for line in file if line.startswith("se.slice")]
        return found

    @staticmethod
    def niceness(collector):
        return [os.getpriority(os.PRIO_PROCESS, int(thread))
                for thread in os.listdir(f"/proc/{collector.process.pid}/task")]

    @unittest.skipUnless(os.path.exists("/proc/self/sched"), "the kernel does not show slices")
    @unittest.skipIf(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12),
                     "slices cannot be asked for before Linux 6.12")
    def test_short_slices(self):
        slices = self.slices(self.start("--workers", "2"))
        self.assertEqual(slices.count(self.SLICE), 2, slices)
        self.assertGreater(len(slices), 2)

    @unittest.skipIf(os.geteuid() or os.getpriority(os.PRIO_PROCESS, 0),
                     "needs root, and not to be nice itself")
    def test_a_larger_share(self):
        niceness = self.niceness(self.start("--workers", "2"))
        self.assertEqual(set(niceness), {self.NICE})

    def test_what_the_operator_chose_stays(self):
        own = os.getpriority(os.PRIO_PROCESS, 0)
        niceness = self.niceness(self.start("--workers", "2", prefix=("nice", "-n", "3")))
        self.assertEqual(set(niceness), {own + 3})


if __name__ == "__main__":
    unittest.main()
