"""A running collector's segment that loses its name has it again soon, and no count is lost."""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
import unittest

from exporter import ExporterCase
from harness import (
    DEADLINE, PRESENCED, Collector, count_descriptors, native, own_mounts, visitor, wait_until,
    with_defaults,
)
from web import Web

SITE = "example.com"
GIVEN_BACK_S = 5
SMALL = ("--max-entries", "10000", "--max-scopes", "256", "--max-histories", "16",
         "--events", "256", "--warm-up", "0")


class Traffic:
    """Heartbeats of one visitor after another, a thousand a second and then, however long a busy
    machine takes, not too many for the table; `sent` is how many so far."""

    def __init__(self, case, collector):
        self.sent, self.case, self.collector = 0, case, collector
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.wait(0.001 if self.sent < 3000 else 0.05):
            self.sent += 1
            self.case.send(self.collector, native(SITE, [visitor(self.sent)]))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


class LostName(ExporterCase):
    def setUp(self):
        super().setUp()
        self.place = self.directory
        self.own = self.path("presence")
        self.segment = os.path.join(self.own, "segment")

    def path(self, name):
        return os.path.join(self.place, name)

    def begin(self, *arguments, **keywords):
        return self.start(*with_defaults(SMALL, arguments), small=False, **keywords)

    def fresh(self):
        """The count when presencectl finds a fresh one, otherwise None."""
        status, out, _ = self.ctl("count", SITE)
        return int(out) if status == 0 else None

    def wait_fresh(self, number):
        wait_until(lambda: self.fresh() == number, lambda: f"{number} visitors: {self.fresh()}")

    def pid(self):
        """That of the collector whose segment is at the path; None while there is none."""
        out = self.ctl("status", "--json")[1]
        return json.loads(out)["pid"] if out else None

    def replace(self):
        other = self.path("other")
        with open(other, "w") as file:
            file.write("something else")
        os.rename(other, self.segment)

    def replace_by_segment(self):
        other = Collector(self.path("another/segment"), *SMALL)
        other.wait_ready()
        other.stop()
        os.rename(self.path("another/segment"), self.segment)

    def replace_by_directory(self):
        os.unlink(self.segment)
        os.makedirs(f"{self.segment}/in")

    def be_replaced_by_stranger(self):
        shutil.rmtree(self.own)
        os.mkdir(self.own)
        with open(self.segment, "w") as file:
            file.write("forged")
        os.chown(self.own, 65534, 65534)

    WAYS = {
        "deleted": (lambda case: os.unlink(case.segment), "was deleted or moved away: .*copy"),
        "renamed": (lambda case: os.rename(case.segment, f"{case.segment}.old"), "restored the name"),
        "moved": (lambda case: os.rename(case.segment, case.path("elsewhere")),
                  "restored the name|copy"),
        "replaced": (replace, "moved it aside.*\n.*copy"),
        "replaced by a segment": (replace_by_segment, "moved it aside.*\n.*copy"),
        "replaced by a directory": (replace_by_directory, "moved it aside.*\n.*copy"),
        "directory deleted": (lambda case: shutil.rmtree(case.own), "copy"),
        "directory renamed": (lambda case: os.rename(case.own, case.path("away")),
                              "restored the name|copy"),
        "cut off by a link": (lambda case: (os.unlink(case.segment),
                                            os.symlink("/nowhere", case.segment)), "copy"),
    }
    if os.geteuid() == 0:
        WAYS["taken by a stranger"] = (be_replaced_by_stranger, "untrusted-.*\n.*copy")

    def lose(self, way, engine):
        take_away, told = self.WAYS[way]
        self.place = os.path.join(self.directory, way.replace(" ", "-"))
        os.mkdir(self.place)
        self.own = self.path("presence")
        self.segment = os.path.join(self.own, "segment")
        collector = self.begin("--receive", engine, "--workers", "2")
        exporter = self.export()
        web = Web("--segment", self.segment, "--client-rate", "0")
        self.addCleanup(web.stop)
        with Traffic(self, collector) as traffic:
            wait_until(lambda: (self.fresh() or 0) > 100, "visitors")
            self.wait_up(exporter)
            before = self.stats()["datagrams_received"]
            logged = len(collector.output())
            take_away(self)
            lost_at, sent = time.monotonic(), traffic.sent
            # Readers that were there, and new ones, see what came after the loss.
            for what, count in (
                    ("presencectl", lambda: self.fresh() or 0),
                    ("the exporter", lambda: self.value(exporter, "presence_active_visitors",
                                                        site=SITE, window="5m") or 0),
                    ("presence-web", lambda: self.live(web))):
                wait_until(lambda: count() > sent, f"{what} to see what comes")
            self.took.append(time.monotonic() - lost_at)
            # Readers may see it before the collector has come to say it.
            wait_until(lambda: re.search(told, collector.output()[logged:]),
                       lambda: f"{told!r} in the log: {collector.output()[logged:]}")
        number = traffic.sent
        self.wait_received(number)
        self.assertGreater(number, before)
        self.assertEqual(self.stats()["socket_drops"], 0)
        self.wait_fresh(number)
        self.assertEqual(self.ctl("verify")[0], 0)
        self.assertEqual(stat.S_IMODE(os.stat(self.segment).st_mode), 0o640)
        self.assertEqual(stat.S_IMODE(os.stat(self.own).st_mode), 0o750)
        self.wait_up(exporter)
        # A restart goes on with it.
        wait_until(lambda: self.live(web) == number, lambda: f"{number}: {self.live(web)}")
        self.assertEqual(collector.stop(), 0)
        collector = self.begin("--receive", engine)
        self.assertIn("attached", collector.output())
        self.wait_fresh(number)
        self.assertEqual(collector.stop(), 0)

    def live(self, web):
        answer = web.get(f"/api/sites/{SITE}/live-user-count")
        return 0 if answer.status != 200 or answer.json["stale"] else answer.json["count"]

    def lose_in_all_ways(self, engine):
        self.took = []  # seconds until all readers had seen what came after the loss
        for way in self.WAYS:
            with self.subTest(way):
                self.lose(way, engine)
        self.assertLess(min(self.took), GIVEN_BACK_S + 1, self.took)  # a busy machine may be late

    def test_io_uring(self):
        self.lose_in_all_ways("io_uring")

    def test_recvmmsg(self):
        self.lose_in_all_ways("recvmmsg")

    def test_again_and_again(self):
        """Each copy is as good as the first, and nothing is left behind."""
        collector = self.begin()
        for number in range(1, 8):
            os.unlink(self.segment)
            wait_until(lambda: os.path.exists(self.segment), "the name")
            self.send(collector, native(SITE, [visitor(number)]))
            self.wait_received(number)
            self.wait_fresh(number)
        self.assertEqual(os.listdir(self.own), ["segment"])
        inode = os.stat(self.segment).st_ino

        def held():
            """The inodes of segments that are mapped, and those that are open."""
            with open(f"/proc/{collector.process.pid}/maps") as maps:
                mapped = {int(line.split()[4]) for line in maps if self.own in line}
            files = []
            for fd in os.scandir(f"/proc/{collector.process.pid}/fd"):
                with contextlib.suppress(FileNotFoundError):  # it is closed again
                    files += [os.stat(fd.path).st_ino] if self.own in os.readlink(fd.path) else []
            return mapped, files

        wait_until(lambda: held() == ({inode}, [inode]), lambda: f"only {inode}: {held()}")

    def test_another_collector_took_the_name(self):
        """It is left there; the first says so once, counts on, and has its name back later."""
        collector = self.begin()
        self.send(collector, *(native(SITE, [visitor(number)]) for number in range(1, 6)))
        self.wait_received(5)
        collector.freeze()
        os.unlink(self.segment)
        second = self.begin()
        collector.thaw()
        wait_until(lambda: "another presenced has the segment" in collector.output(), "a line")
        self.assertEqual(self.pid(), second.process.pid)
        descriptors, begun = count_descriptors(collector.process), time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 2.2, "two more tries")
        wait_until(lambda: count_descriptors(collector.process) <= descriptors, "none to be left open")
        self.send(collector, native(SITE, [visitor(6)]))
        second.stop()
        wait_until(lambda: self.pid() == collector.process.pid, "the first")
        wait_until(lambda: self.fresh() == 6, "all six")
        self.assertEqual(collector.output().count("another presenced has"), 1)

    @unittest.skipIf(os.geteuid(), "needs root, to mount")
    def test_no_room_for_a_copy(self):
        """It says so once, counts on, and has its name when there is room."""
        inside = f"/proc/{{}}/root{self.directory}"
        collector = self.begin(prefix=own_mounts(
            f'mount -t tmpfs -o size=12m none {self.directory} && exec "$@"'))
        self.directory_inside = inside.format(collector.process.pid)
        own = f"{self.directory_inside}/presence"
        self.segment = f"{own}/segment"
        self.send(collector, *(native(SITE, [visitor(number)]) for number in range(1, 4)))
        self.wait_received(3)
        ballast = f"{self.directory_inside}/ballast"
        words = f"a copy of {os.stat(self.segment).st_size / 1e6:.1f} MB can't be made: No space left"

        def said():
            return collector.output().count(words)

        def lose():
            with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
            os.unlink(self.segment)

        lose()
        wait_until(lambda: said() == 1, words)
        self.send(collector, native(SITE, [visitor(4)]))
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 2.5, "two more tries")
        self.assertEqual(said(), 1)
        os.unlink(ballast)
        wait_until(lambda: os.path.exists(self.segment), "the name")
        wait_until(lambda: self.fresh() == 4, "all of them")
        self.assertEqual(os.listdir(own), ["segment"])
        lose()
        wait_until(lambda: said() == 2, "the same line")
        os.unlink(ballast)
        wait_until(lambda: collector.output().count("goes on in a copy") == 2, "another copy")
        # Another file system over the directory.
        subprocess.run(["nsenter", f"--mount=/proc/{collector.process.pid}/ns/mnt", "mount", "-t", "tmpfs",
                        "none", self.own], check=True, timeout=DEADLINE)
        wait_until(lambda: self.fresh() == 4, "all of them there")

    @unittest.skipIf(os.geteuid(), "needs root, to become another user")
    def test_without_privileges(self):
        os.chmod(self.directory, 0o1777)
        copy = shutil.copy(PRESENCED, self.directory)
        log = tempfile.TemporaryFile()
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", copy, "--segment", self.segment, "--listen", "127.0.0.1:0",
             *SMALL],
            stdin=subprocess.DEVNULL, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def output():
            with open(f"/proc/self/fd/{log.fileno()}") as file:
                return file.read()

        wait_until(lambda: "presenced: ready" in output(), "presenced")
        environment = {"PRESENCE_SEGMENT_OWNER": "65534"}
        for lose in (lambda: os.unlink(self.segment), lambda: shutil.rmtree(self.own),
                     lambda: os.rename(self.own, self.path("away"))):
            lose()
            wait_until(lambda: os.path.exists(self.segment), "the name")
            wait_until(lambda: self.ctl("status", environment=environment)[0] == 0, "its status")
        # Where it may not write it says so, and tries on.
        shutil.rmtree(self.own)
        os.mkdir(self.own)
        wait_until(lambda: "given it again: Permission denied" in output(), "a line")
        os.rmdir(self.own)
        wait_until(lambda: self.ctl("status", environment=environment)[0] == 0, "its status")

    def test_large_segments_keep_their_datagrams(self):
        """While 180 MB are copied, what arrives waits in the socket."""
        collector = self.start("--warm-up", "0", small=False)
        with Traffic(self, collector) as traffic:
            wait_until(lambda: (self.fresh() or 0) > 100, "visitors")
            os.unlink(self.segment)
            wait_until(lambda: os.path.exists(self.segment), "the name")
        self.wait_received(traffic.sent)
        self.wait_fresh(traffic.sent)
        self.assertEqual(self.stats()["socket_drops"], 0)


if __name__ == "__main__":
    unittest.main()
