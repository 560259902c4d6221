"""The programs of the soak, the load that they get, and who reads from them."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import threading

from engine import RedisServer
from exporter import PRESENCE_EXPORTER
from harness import BUILD, DEADLINE, LEAVE, PRESENCE_RECORDER, PRESENCECTL, count_descriptors, free_port, native
from http_program import HttpProgram
from presence_relay import RelayCase
from publisher import Publisher
from restart import Restart
from web import WebCase, new_id

RATE = int(os.environ.get("SOAK_RATE") or 1_500_000)  # half of what a collector takes from an edge
SENDER = os.path.join(BUILD, "tests/bench/edge_sender")
PROBE = os.path.join(BUILD, "tests/bench/bench_latency")
SITE = "example.com"  # of the crowd
CROWD, MOVED = 960_000, 48_000  # visitors at once, and of these others in each round
TEXT = 32_000  # visitors who come by the relays, as text
PLACE = 3_200  # visitors of each round's own site
STREAMS = 40
LEAVING = 300  # of so many visitors, a third leave
COLLECTOR = ("--max-entries", "24000000", "--max-scopes", "65536", "--max-window", "600",
             "--warm-up", "5")


class Recorder:
    """A running presence-recorder."""

    def __init__(self, segment, database):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [PRESENCE_RECORDER, "--segment", segment, "--database", database],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def ensure_ended(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()


def own(process):
    """(bytes of memory that are a process's own, its descriptors, its threads)."""
    with open(f"/proc/{process.pid}/status") as status:
        text = status.read()
    return (int(re.search(r"RssAnon:\s+(\d+) kB", text)[1]) * 1024,
            count_descriptors(process), int(re.search(r"Threads:\s+(\d+)", text)[1]))


class Programs(RelayCase, WebCase, Restart):
    """Collector A and what belongs to it run all the time. Collector B, and what belongs to it, are
    restarted and killed in turn."""

    def start_all(self):
        self.server = RedisServer(self.directory)
        self.addCleanup(self.server.ensure_ended)
        self.a = self.start_in("a", *COLLECTOR, small=False)
        self.b_port = free_port(socket.SOCK_DGRAM)
        self.b = self.start_b()
        self.steady = {
            "presenced": self.a,
            "relay": self.start_relay(),
            "publisher": self.start_publisher(self.a, "A"),
            "web": self.serve_segment(self.a),
            "exporter": self.start_exporter(self.a),
            "recorder": self.start_recorder(self.a, "a.sqlite"),
        }
        self.restarted = {
            "relay": self.start_relay(),
            "publisher": self.start_publisher(self.b, "B"),
            "web": self.serve_segment(self.b),
            "exporter": self.start_exporter(self.b),
            "recorder": self.start_recorder(self.b, "b.sqlite"),
        }
        self.open_streams()

    def start_b(self):
        with self.using(os.path.join(self.directory, "b", "segment")):
            os.makedirs(os.path.dirname(self.segment), exist_ok=True)
            return self.start_managed(*COLLECTOR, small=False, listen=f"127.0.0.1:{self.b_port}")

    @contextlib.contextmanager
    def using(self, segment):
        """Let this be the segment of what is started, while the context lasts."""
        default, self.segment = self.segment, segment
        try:
            yield
        finally:
            self.segment = default

    def start_relay(self):
        return self.relay("--to", f"A={self.a.address}", "--to", f"B=127.0.0.1:{self.b_port}")

    def start_publisher(self, collector, group):
        publisher = Publisher(collector.segment, self.server.url, "--group", group)
        self.addCleanup(publisher.ensure_ended)
        return publisher.wait_published()

    def serve_segment(self, collector):
        with self.using(collector.segment):
            return self.serve("--client-rate", "100000", "--client-streams", "1000", collector=collector)

    def start_exporter(self, collector):
        exporter = HttpProgram([PRESENCE_EXPORTER, "--segment", collector.segment,
                                "--web.listen-address", "127.0.0.1:0"])
        self.addCleanup(exporter.ensure_ended)
        return exporter.wait_ready()

    def start_recorder(self, collector, name):
        recorder = Recorder(collector.segment, os.path.join(self.directory, name))
        self.addCleanup(recorder.ensure_ended)
        return recorder

    def open_streams(self):
        """Streams of the server that is never restarted; a thread reads what comes."""
        for number in range(STREAMS):
            stream = self.steady["web"].raw(b"GET /stream?site=place-%d.example HTTP/1.1\r\nHost: soak\r\n\r\n"
                                            % number, wait=False)
            reader = threading.Thread(target=self.drain, args=(stream,))
            reader.start()
            self.addCleanup(reader.join)
            self.addCleanup(stream.shutdown, socket.SHUT_RDWR)

    @staticmethod
    def drain(stream):
        stream.settimeout(None)
        with stream, contextlib.suppress(ConnectionError):
            while stream.recv(65536):
                pass

    # ---- restarts ----

    def restart(self, what, how):
        """Restart one of the programs of B; `how` is the signal that ends it."""
        if what == "presenced":
            self.end(self.b, how)
            self.b = self.start_b()
            return
        ended = self.restarted[what]
        ended.process.send_signal(how)
        status = ended.process.wait(timeout=DEADLINE)
        self.assertEqual(status, 0 if how == signal.SIGTERM else -how, what)
        self.restarted[what] = {
            "relay": self.start_relay,
            "publisher": lambda: self.start_publisher(self.b, "B"),
            "web": lambda: self.serve_segment(self.b),
            "exporter": lambda: self.start_exporter(self.b),
            "recorder": lambda: self.start_recorder(self.b, "b.sqlite"),
        }[what]()

    # ---- load ----

    def send_edge(self, to, rate, visitors, first, *arguments):
        """Start an edge of its own; returns its process. A new one is a new sender."""
        return subprocess.Popen(
            [SENDER, "--to", to, "--rate", str(rate), "--visitors", str(visitors), "--from", str(first),
             *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def wait_sent(self, *edges):
        """Wait until these edges have sent all; returns how many heartbeats."""
        sent = 0
        for edge in edges:
            out, _ = edge.communicate(timeout=10 * DEADLINE)
            self.assertEqual(edge.returncode, 0, out)
            summary = json.loads(out)
            self.assertEqual(summary["failed"], 0, summary)
            sent += summary["heartbeats"]
        return sent

    def edges(self, number, seconds=None, rate=RATE):
        """Start all edges of a round, for so long or until each visitor was sent once."""
        lasting = ("--seconds", str(seconds)) if seconds else ()
        relay = (self.steady if number % 2 else self.restarted)["relay"].address
        return (self.send_edge(self.a.address, rate, CROWD, 1 + number * MOVED, *lasting),
                self.send_edge(relay, 8_000, TEXT, 2_000_000_000 + number * 3_200, *lasting, "--form",
                               "text", "--site", "text.example"),
                self.send_edge(self.a.address, 20_000, PLACE, 1, *lasting, "--form", "1", "--site",
                               f"place-{number}.example"))

    def leave(self, site):
        """Let visitors come to a site, and a third of them leave; each in two rooms."""
        draw = random.Random(site)
        visitors = [draw.randbytes(16) for _ in range(LEAVING)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.a.port))
            for first in range(0, LEAVING, 30):
                some = visitors[first:first + 30]
                sender.send(native(site, some, f"/{site}"))
                sender.send(native(site, some, "/all"))
                sender.send(native(site, some[:10], kind=LEAVE))

    def touch(self, site, visitors=50):
        for _ in range(visitors):
            answer = self.steady["web"].touch({"site": site, "visitor": new_id()})
            self.assertEqual(answer.status, 200, answer.body)

    def probe(self, probes=1000):
        """Microseconds until a heartbeat is counted, of which 99 % take less; and how many were lost."""
        done = subprocess.run([PROBE, "--to", self.a.address, "--segment", self.a.segment, "--probes",
                               str(probes)], capture_output=True, text=True, timeout=10 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        return result["p99"], result["lost"]


class Readers(threading.Thread):
    """Reads from A in every way, once a second, until it is stopped."""

    def __init__(self, programs):
        super().__init__(daemon=True)
        self.programs, self.over, self.reads, self.error = programs, threading.Event(), 0, None

    def run(self):
        try:
            for turn in itertools.count():
                self.read(turn)
                self.reads += 1
                if self.over.wait(1):
                    return
        except (AssertionError, OSError) as error:
            self.error = error

    def read(self, turn):
        programs = self.programs
        segment, engine = ("--segment", programs.a.segment), ("--engine", programs.server.url)
        commands = (("top", SITE, *segment), ("count", SITE, *segment), ("history", SITE, *segment),
                    ("count", SITE, *engine), ("status", *engine))
        for arguments in commands[turn % 5], commands[(turn + 1) % 5]:
            done = subprocess.run([PRESENCECTL, *arguments, "--json"], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=DEADLINE)
            if done.returncode not in (0, 3, 4, 5):  # a number, stale, nobody, unknown
                raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stderr}")
        for path in f"/api/sites/{SITE}/live-user-count", f"/api/sites/{SITE}/history", "/api/sites":
            answer = programs.steady["web"].get(path)
            if answer.status not in (200, 503):
                raise AssertionError(f"{path} is answered with {answer.status}: {answer.body}")
        status, _, _ = programs.steady["exporter"].get("/metrics")
        if status != 200:
            raise AssertionError(f"the exporter answered {status}")

    def stop(self):
        self.over.set()
        self.join()
        if self.error:
            raise self.error
