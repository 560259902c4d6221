"""Restarts without loss: a stand-in for the service manager keeps the sockets, under load, over
SIGTERM and SIGKILL, and with other numbers of workers."""

import contextlib
import errno
import json
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
import unittest

from harness import (
    DEADLINE, ENGINES, PRESENCE_SEND, WITHOUT_BPF, bound_sockets, native, refuse_call, visitor,
    wait_until,
)
from restart import BURST, SITE, WAITING, Restart, comings, heartbeats

MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(os.uname().machine)


@unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes during a restart")
class Loaded(Restart):
    """Nothing is lost under a steady load of three senders, and readers see no dip."""

    VISITORS = 500

    def watch(self, samples):
        """Read the count over and over, with the times before and after."""
        while not self.unwatched.is_set():
            before = time.monotonic()
            answer = self.json("count", SITE)
            samples.append((before, time.monotonic(), answer["count"], answer["stale"]))

    @contextlib.contextmanager
    def watched(self):
        samples, self.unwatched = [], threading.Event()
        thread = threading.Thread(target=self.watch, args=(samples,))
        thread.start()
        try:
            yield samples
        finally:
            self.unwatched.set()
            thread.join()

    def restart(self, collector, how, arguments, prefix):
        begin = time.monotonic()
        self.end(collector, how)
        collector = self.start_managed(*arguments, prefix=prefix)
        return collector, (begin, time.monotonic())

    def check_restarts(self, signals, arguments, prefix=(), workers=2):
        collector = self.start_managed(*arguments, prefix=prefix)
        load = self.load(collector, heartbeats(self.VISITORS))
        wait_until(lambda: self.counted() and self.count(SITE) == self.VISITORS, "all visitors")
        cookies, port, missing = self.manager.cookies(), collector.port, 0
        with self.watched() as samples:
            outages = []
            for how in signals:
                collector, outage = self.restart(collector, how, arguments, prefix)
                outages.append(outage)
                self.assertEqual(collector.port, port)
                goal = self.counted() + 100
                wait_until(lambda: self.counted() > goal, "more to be counted")
                missing += BURST * workers if how == signal.SIGKILL else 0
        load.stop()
        wait_until(lambda: load.sent - self.counted() <= missing,
                   lambda: f"{load.sent} that were sent: {self.stats()}")
        stats = self.stats()
        self.assertEqual(stats["socket_drops"], 0)
        if not missing:
            self.assertEqual(stats["datagrams_received"], load.sent)
        self.assertEqual(self.manager.cookies(), cookies, "the same sockets all the time")
        self.check_samples(samples, outages)
        self.assertEqual(collector.stop(), 0)

    def check_samples(self, samples, outages):
        """The count never dips, and is stale only during a restart."""
        self.assertEqual({count for _, _, count, _ in samples}, {self.VISITORS})
        for before, after, _, stale in samples:
            self.assertTrue(not stale or any(before < end and after > begin
                                             for begin, end in outages),
                            f"stale from {before} to {after}, outages: {outages}")

    def test_planned(self):
        """sent = received, to the last one, and none is dropped."""
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.check_restarts([signal.SIGTERM] * 3, ("--workers", "2", "--receive", engine))
                os.unlink(self.segment)
                self.manager.lose()

    def test_killed(self):
        """At most a burst of each worker is missing."""
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.check_restarts([signal.SIGKILL, signal.SIGTERM, signal.SIGKILL],
                                    ("--workers", "2", "--receive", engine))
                os.unlink(self.segment)
                self.manager.lose()

    def test_without_bpf(self):
        self.check_restarts([signal.SIGTERM, signal.SIGKILL], ("--workers", "3"), WITHOUT_BPF, 3)

    def test_one_worker(self):
        self.check_restarts([signal.SIGTERM, signal.SIGTERM], ("--workers", "1"), workers=1)


@unittest.skipUnless(os.environ.get("TEST_LONG"), "takes a minute: TEST_LONG")
class Busy(Loaded):
    """200,000 heartbeats a second, one in each datagram, and a table for ten million entries."""

    RATE = 200_000
    HELD = 0.2  # seconds of two thirds of it, one worker's, that a buffer of 16 MB holds for sure
    VISITORS = 3000

    def start_senders(self, port):
        """Three programs; each prints what it sent when it is stopped."""
        senders = [
            subprocess.Popen(
                [PRESENCE_SEND, "--to", f"127.0.0.1:{port}", "--site", SITE, "--batch", "1",
                 "--no-gso", "--visitors", str(self.VISITORS), "--rate", str(self.RATE // 3),
                 "--duration", "600"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True)
            for _ in range(3)]
        for sender in senders:
            self.addCleanup(sender.wait)
            self.addCleanup(sender.kill)
        return senders

    def stop_senders(self, senders):
        sent = 0
        for sender in senders:
            sender.terminate()
            sent += json.loads(sender.communicate(timeout=DEADLINE)[0])["datagrams"]
        return sent

    def check_busy(self, how, times, engine):
        arguments = ("--workers", "2", "--receive", engine, "--max-entries", "10000000")
        collector = self.start_managed(*arguments)
        senders = self.start_senders(collector.port)
        wait_until(lambda: self.counted() and self.count(SITE) == self.VISITORS, "all visitors")
        outages = []
        with self.watched() as samples:
            for _ in range(times):
                collector, outage = self.restart(collector, how, arguments, ())
                outages.append(outage)
                goal = self.counted() + self.RATE // 10
                wait_until(lambda: self.counted() > goal, "more to be counted")
        sent = self.stop_senders(senders)
        missing = 2 * BURST * times if how == signal.SIGKILL else 0
        wait_until(lambda: sent - self.counted() <= missing, lambda: f"{sent}: {self.stats()}")
        stats = self.stats()
        took = [end - begin for begin, end in outages]
        self.report(f"{engine}, {times} times {how.name}", sent, stats, took, samples)
        self.check_samples(samples, outages)
        if not missing:
            self.assertEqual(stats["datagrams_received"] + stats["socket_drops"], sent)
        if max(took) < self.HELD:
            self.assertEqual(stats["socket_drops"], 0)
        self.assertEqual(collector.stop(), 0)
        os.unlink(self.segment)
        self.manager.lose()

    @staticmethod
    def report(what, sent, stats, took, samples):
        """Print the figures. Silence is the time from the first stale answer to the next fresh one."""
        accepted, drops = stats["datagrams_accepted"], stats["socket_drops"]
        rejected = stats["datagrams_received"] - accepted
        silence, since = 0.0, None
        for before, after, _, stale in samples:
            if stale and since is None:
                since = before
            if since is not None:
                silence = max(silence, after - since)
            if not stale:
                since = None
        print(f"{what}: sent {sent}, accepted {accepted}, rejected {rejected}, dropped {drops}, "
              f"missing {sent - accepted - rejected - drops}; restarts took "
              f"{1000 * statistics.median(took):.0f} ms (median), {1000 * max(took):.0f} ms (most); "
              f"longest silence {1000 * silence:.0f} ms")

    def test_twenty_restarts(self):
        for engine in ENGINES:
            for how in signal.SIGTERM, signal.SIGKILL:
                with self.subTest(engine=engine, how=how):
                    self.check_busy(how, 10, engine)

    # Those of the class above are run there.
    test_planned = test_killed = test_without_bpf = test_one_worker = None


@unittest.skipIf(os.geteuid(), "needs root, to load a BPF program and for such buffers")
class Workers(Restart):
    """R4 with another number of workers, and nothing is lost."""

    def check_changes(self, numbers, engine):
        self.manager.lag = 0.02
        collector = self.start_managed("--max-entries", "1000000", "--workers", str(numbers[0]),
                                       "--receive", engine)
        counted = [0]
        load = self.load(collector, comings(8, 400, counted), senders=8, pause=0.0001)
        for before, workers in zip(numbers, numbers[1:]):
            goal = self.counted() + 300
            wait_until(lambda: self.counted() > goal, "some to be counted")
            kept = self.manager.cookies()
            self.end(collector)
            goal = load.sent + 4000
            load.most = goal + WAITING
            wait_until(lambda: load.sent > goal, "datagrams to gather in the sockets")
            collector = self.start_managed("--max-entries", "1000000", "--workers", str(workers),
                                           "--receive", engine)
            status = self.json("status")
            self.assertEqual(status["spread"], "none" if workers == 1 else "turn")
            self.assertEqual(status["workers"], workers)
            now = wait_until(lambda: len(self.manager.cookies()) == workers and
                             self.manager.cookies(), "the store to have each worker's socket")
            both = kept.keys() & now.keys()
            self.assertEqual(len(both), min(before, workers))
            self.assertEqual({name: kept[name] for name in both}, {name: now[name] for name in both})
        load.stop()
        stats = self.wait_received(load.sent)
        self.assertEqual((stats["datagrams_received"], stats["socket_drops"]), (load.sent, 0))
        self.assertEqual(self.count(SITE), counted[0])
        self.assertEqual(collector.stop(), 0)

    def test_order_holds(self):
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.check_changes((1, 2, 4, 1, 3, 2), engine)
                os.unlink(self.segment)
                self.manager.lose()

    def test_without_membarrier(self):
        """As in a container that forbids it: a pause takes its place, and the log says so."""
        collector = self.start_managed("--workers", "1")
        self.end(collector)
        self.send(collector, native(SITE, [visitor(1)]))
        collector = self.start_managed("--workers", "2",
                                       preexec=lambda: refuse_call(MEMBARRIER, errno.EPERM))
        self.assertRegex(collector.output(), r"membarrier \(Operation not permitted\): waited")
        self.assertEqual(self.wait_received(1)["socket_drops"], 0)
        self.assertEqual(collector.stop(), 0)

    def test_senders_get_another_worker(self):
        """At once, where theirs has gone, though the store still has its socket."""
        self.manager.lag = 0.5
        collector = self.start_managed("--workers", "4")
        with contextlib.ExitStack() as stack:
            senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                       for _ in range(8)]
            for goal in 8, 16:
                for sender in senders:
                    sender.sendto(native(SITE, [visitor(1)]), ("127.0.0.1", collector.port))
                self.wait_received(goal)
                self.end(collector)
                collector = self.start("--workers", "2", listen="127.0.0.1:0",
                                       **self.manager.keywords())
        self.assertEqual(collector.stop(), 0)

    def test_senders_keep_their_workers(self):
        """As long as they are there: the next program knows them."""
        collector = self.start_managed("--workers", "2")
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(12)]
        for sender in senders:
            self.addCleanup(sender.close)
            sender.connect(("127.0.0.1", collector.port))

        def workers():
            """Whose socket gets each sender's datagrams."""
            inodes = wait_until(lambda: self.manager.inodes(), "sockets in the store")
            collector.freeze()
            found = []
            for number, sender in enumerate(senders):
                sender.send(native(SITE, [visitor(number)]))

                def arrived():
                    """Who has more waiting than before; also over loopback that takes a moment."""
                    waiting = {inodes[int(fields[9])]: int(fields[4].split(":")[1], 16)
                               for fields in bound_sockets(collector.address)}
                    more = [worker for worker, some in waiting.items() if some > before.get(worker, 0)]
                    before.update(waiting)
                    return more

                found += wait_until(arrived, "the datagram to arrive")
            collector.thaw()
            goal[0] += len(senders)
            self.wait_received(goal[0])
            before.clear()
            return found

        before, goal = {}, [0]
        first = workers()
        self.assertEqual(sorted(first), [0] * 6 + [1] * 6)
        for number in 4, 2:
            self.end(collector)
            collector = self.start_managed("--workers", str(number))
            wait_until(lambda: len(self.manager.inodes()) == number, "each worker's socket")
            self.assertEqual(workers(), first)
        self.assertEqual(collector.stop(), 0)

    def test_by_hash_nothing_is_lost(self):
        """And a daemon that may load the program takes over from one that may not."""
        collector = self.start_managed("--workers", "2", prefix=WITHOUT_BPF)
        load = self.load(collector, heartbeats(500))
        for workers, prefix, spread in ((4, WITHOUT_BPF, "hash"), (1, WITHOUT_BPF, "none"),
                                        (3, WITHOUT_BPF, "hash"), (3, (), "turn"),
                                        (3, WITHOUT_BPF, "turn"), (2, WITHOUT_BPF, "hash")):
            self.end(collector)
            collector = self.start_managed("--workers", str(workers), prefix=prefix)
            status = self.json("status")
            self.assertEqual((status["spread"], bool(status["spread_reason"])),
                             (spread, spread == "hash"), collector.output())
        load.stop()
        stats = self.wait_received(load.sent)
        self.assertEqual((stats["datagrams_received"], stats["socket_drops"]), (load.sent, 0))


if __name__ == "__main__":
    unittest.main()
