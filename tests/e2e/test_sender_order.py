"""R4: datagrams of one sender are processed in the order in which the kernel received them,
with any number of workers; and several workers share even few senders."""

import contextlib
import errno
import functools
import heapq
import itertools
import os
import random
import socket
import subprocess
import time
import unittest

from harness import (
    BPF, ENGINES, LEAVE, WITHOUT_BPF, Case, native, refuse_call, visitor, wait_until, waiting_bytes,
)

SITE = "order.example"
SEED = int(os.environ.get("TEST_SEED", "20261129"), 0)
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"  # then each run takes longer


@functools.cache
def beat(number, kind):
    """Return the datagram: to make it takes longer than to send it."""
    return native(SITE, [visitor(number)], kind=kind)


class Spread(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: [sender.close() for sender in self.senders])
        self.senders = []

    def open_senders(self, count, port, host="127.0.0.1"):
        """New sockets that are connected to the collector."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        senders = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
        for sender in senders:
            sender.connect((host, port))
        self.senders += senders
        return senders

    def wait_shares(self, collector, shares):
        """Wait until so many datagrams, all alike, wait for each worker. Also over loopback they may
        arrive a moment after they were sent."""
        def found():
            waiting = waiting_bytes(collector.address)
            each = sum(waiting) / sum(shares) or 1
            return [share / each for share in waiting]

        wait_until(lambda: found() == shares, lambda: f"{shares}; there are {found()}")


@unittest.skipIf(os.geteuid(), "needs root, to load a BPF program")
class InTurn(Spread):
    def check_even(self, *arguments, workers=4, listen="127.0.0.1:0", **keywords):
        os.path.exists(self.segment) and os.unlink(self.segment)
        collector = self.start("--workers", str(workers), *arguments, listen=listen, **keywords)
        host = listen.rpartition(":")[0].strip("[]")
        collector.freeze()
        for share in 2, 4, 6:  # of datagrams, of senders who are new each time
            for sender in self.open_senders(2 * workers, collector.port, host):
                sender.send(native(SITE, [visitor(1)]))
            self.wait_shares(collector, [share] * workers)
        collector.thaw()
        self.wait_received(6 * workers)
        status = self.json("status")
        self.assertEqual((status["spread"], status["spread_reason"]), ("turn", None))
        self.assertRegex(self.ctl("status")[1], r"\nspread of senders +evenly")
        self.assertNotIn("hash", collector.output())
        self.assertEqual(collector.stop(), 0)

    def test_few_senders_load_all_workers_evenly(self):
        for engine, workers, listen in itertools.product(ENGINES, (2, 3, 4),
                                                         ("127.0.0.1:0", "[::1]:0")):
            with self.subTest(engine=engine, workers=workers, listen=listen):
                self.check_even("--receive", engine, workers=workers, listen=listen)

    def test_as_many_workers_as_there_may_be(self):
        self.check_even("--receive", "recvmmsg", workers=64)

    def test_one_capability_is_enough(self):
        """CAP_BPF, as root within the service's bounding set, and as somebody else."""
        self.let_anybody_in()
        for prefix in (
                ("--bounding-set=-all,+bpf,+net_admin,+net_bind_service", "--inh-caps=-all"),
                ("--bounding-set=-all,+bpf", "--inh-caps=-all"),
                ("--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+bpf",
                 "--ambient-caps=-all,+bpf")):
            with self.subTest(prefix=prefix):
                self.check_even(prefix=("setpriv", *prefix))


class ByHash(Spread):
    def test_it_says_so(self):
        for prefix in (WITHOUT_BPF, ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                     "--inh-caps=-all")) if os.geteuid() == 0 else ((),):
            with self.subTest(prefix=prefix):
                self.let_anybody_in()
                collector = self.start("--workers", "2", prefix=prefix)
                status = self.json("status")
                self.assertEqual(status["spread"], "hash")
                self.assertRegex(status["spread_reason"], "CAP_BPF")
                self.assertRegex(self.ctl("status")[1], r"\nspread of senders +by chance.*CAP_BPF")
                self.assertRegex(collector.output(), "over workers by hash, .*CAP_BPF")
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)

    @unittest.skipIf(os.geteuid(), "needs root, to be permitted all but this")
    def test_a_kernel_that_refuses_the_program(self):
        for error in errno.EACCES, errno.EINVAL, errno.ENOSYS:
            with self.subTest(error=errno.errorcode[error]):
                self.start("--workers", "2", preexec=lambda: refuse_call(BPF, error)).stop()
                status = self.json("status")
                self.assertEqual(status["spread"], "hash")
                self.assertRegex(status["spread_reason"], "the kernel refuses the program: it needs Linux 5.8")

    def test_one_worker_has_nothing_to_spread(self):
        collector = self.start("--workers", "1")
        status = self.json("status")
        self.assertEqual((status["spread"], status["spread_reason"]), ("none", None))
        self.assertRegex(self.ctl("status")[1], r"\nspread of senders +one worker")
        self.assertNotIn("hash", collector.output())


class Order(Spread):
    """People who leave and are back at once, as when they follow a link: nobody is missing."""

    VISITORS = 4000

    def start_spread(self, workers, engine, by_hash, listen="127.0.0.1:0"):
        os.path.exists(self.segment) and os.unlink(self.segment)
        prefix = WITHOUT_BPF if by_hash and os.geteuid() == 0 else ()
        collector = self.start("--workers", str(workers), "--receive", engine, listen=listen,
                               prefix=prefix)
        if os.geteuid() == 0:
            self.assertEqual(self.json("status")["spread"], "hash" if by_hash else "turn")
        return collector

    def check_nobody_is_missing(self, collector, sent):
        stats = self.wait_received(sent)
        self.assertEqual(stats["socket_drops"], 0, "the machine is too busy to tell")
        self.assertEqual(self.count(SITE), self.VISITORS)
        self.assertEqual(self.ctl("verify")[0], 0)
        self.assertEqual(collector.stop(), 0)

    def test_what_waits_in_the_sockets(self):
        """Workers that all wake up at once, each with much to do."""
        for workers, engine, by_hash, host in itertools.product(
                (2, 4), ENGINES, (False, True), ("127.0.0.1", "::1")):
            with self.subTest(workers=workers, engine=engine, by_hash=by_hash, host=host):
                collector = self.start_spread(workers, engine, by_hash,
                                              f"[{host}]:0" if ":" in host else f"{host}:0")
                senders = self.open_senders(8, collector.port, host)
                collector.freeze()
                for i in range(self.VISITORS):
                    for kind in 1, LEAVE, 1:
                        senders[i % 8].send(beat(i, kind))
                collector.thaw()
                self.check_nobody_is_missing(collector, 3 * self.VISITORS)

    @staticmethod
    @contextlib.contextmanager
    def busy_processors():
        hogs = [subprocess.Popen(["sh", "-c", "while :; do :; done"])
                for _ in range(2 * len(os.sched_getaffinity(0)))]
        try:
            yield
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()

    def leave_and_come_back(self, senders, generator):
        """Each visitor leaves and is back 1 to 20 ms later. Returns how many datagrams it took."""
        agenda = [(i / 20000, i, LEAVE) for i in range(self.VISITORS)]
        sent = 0
        begin = time.monotonic()
        while agenda:
            due, number, kind = agenda[0]
            now = time.monotonic() - begin
            if due > now:
                time.sleep(due - now)
                continue
            heapq.heappop(agenda)
            senders[number % len(senders)].send(beat(number, kind))
            sent += 1
            if kind == LEAVE:
                heapq.heappush(agenda, (now + generator.uniform(0.001, 0.020), number, 1))
        return sent

    def test_on_a_busy_machine(self):
        print(f"TEST_SEED={SEED}")
        for workers, engine, by_hash in itertools.product(
                (4,) if SANITIZED else (2, 4), ENGINES, (False, True)):
            with self.subTest(workers=workers, engine=engine, by_hash=by_hash, TEST_SEED=SEED):
                generator = random.Random(SEED)
                collector = self.start_spread(workers, engine, by_hash)
                senders = self.open_senders(3, collector.port)
                for i in range(0, self.VISITORS, 40):
                    senders[0].send(native(SITE, [visitor(j) for j in range(i, i + 40)]))
                sent = self.VISITORS // 40
                self.wait_received(sent)
                with self.busy_processors():
                    for _ in range(3):
                        sent += self.leave_and_come_back(senders, generator)
                self.check_nobody_is_missing(collector, sent)


if __name__ == "__main__":
    unittest.main()
