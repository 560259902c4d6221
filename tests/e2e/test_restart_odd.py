"""Restarts with what is odd: sockets of other supervisors and of other users, descriptors and
environments that no service manager should pass, and daemons that are killed at any moment."""

import contextlib
import fcntl
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from harness import DEADLINE, PRESENCED, bound_sockets, free_port, native, visitor, wait_until
from restart import BURST, SITE, Restart, heartbeats
from service_manager import HIGH

NOBODY = 65534
SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"


def bound(address="127.0.0.1", port=0, shares=False):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if shares:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind((address, port))
    return one


class Odd(Restart):
    def pass_sockets(self, *sockets):
        """Let the manager pass them, as if a socket unit had opened them."""
        for i, one in enumerate(sockets):
            high = fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH)
            self.addCleanup(os.close, high)
            self.manager.passed.append((f"unit-{i}", high))

    def send_each(self, numbers, *targets):
        """A datagram of a sender and a visitor of its own for each number, to the targets in turn."""
        for number in numbers:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(native(SITE, [visitor(number)]), targets[number % len(targets)])

    def check_all_counted(self, number):
        self.assertEqual(self.wait_received(number)["socket_drops"], 0)
        self.assertEqual(self.count(SITE), number)


class Passed(Odd):
    """Sockets of other supervisors."""

    def test_one_address_beside_all(self):
        """A socket of one address, and --listen with all: each receives what the kernel gives it."""
        with bound() as passed:
            port = passed.getsockname()[1]
            self.pass_sockets(passed)
            listen = f"0.0.0.0:{port}"
            for start in range(3):
                collector = self.start_managed("--workers", "2", listen=listen)
                both = range(20 * start, 20 * start + 20)
                self.send_each(both, ("127.0.0.1", port), ("127.0.0.2", port))
                self.check_all_counted(20 * start + 20)
                self.assertEqual(len(self.manager.cookies()), 2)
                self.end(collector)
                self.assertRegex(collector.ended_with, f"127.0.0.1:{port} is a socket that the serv")

    def test_somebody_else_at_the_address(self):
        """Another program of the same user, which shares the port: no second group beside its own,
        and no datagram of it. It is given the time to end."""
        with bound(shares=True) as passed:
            port = passed.getsockname()[1]
            with bound("0.0.0.0", port, shares=True) as other:
                self.pass_sockets(passed)
                listen = f"0.0.0.0:{port}"
                refused = self.start_managed("--workers", "2", listen=listen, wait=False)
                self.assertEqual(refused.process.wait(timeout=DEADLINE), 1)
                self.assertRegex(refused.output(), f"cannot listen on {listen} yet: another program")
                self.assertRegex(refused.output(), f"cannot listen on {listen}: Address already in use; "
                                                   "another program has the port, choose another")
                self.assertEqual(len(bound_sockets(listen)), 1)
                for is_ended in True, False:
                    waiting = self.start_managed("--workers", "2", listen=listen, wait=False)
                    wait_until(lambda: "trying for" in waiting.output(), "it to wait")
                    self.assertEqual(len(bound_sockets(listen)), 1)
                    if is_ended:
                        waiting.process.send_signal(signal.SIGTERM)
                        self.assertEqual(waiting.process.wait(timeout=DEADLINE), 0)
                        self.assertTrue(waiting.output().endswith("presenced: stopped\n"), waiting.output())
                other.close()
                self.manager.wait_said("READY")
                self.assertEqual(waiting.stop(), 0)

    @unittest.skipIf(os.geteuid(), "needs root, to hide /proc")
    @unittest.skipIf(SANITIZED, "sanitizers need /proc themselves")
    def test_nobody_knows_who_has_the_port(self):
        """Without a table of sockets: refused, and said why."""
        with bound() as passed:
            port = passed.getsockname()[1]
            self.pass_sockets(passed)
            hide = ("unshare", "--mount", "bash", "-c", 'mount -t tmpfs none /proc && exec "$@"', "bash")
            refused = self.start_managed(prefix=hide, listen=f"0.0.0.0:{port}", wait=False)
            self.assertEqual(refused.process.wait(timeout=DEADLINE), 1)
            self.assertRegex(refused.output(), f"cannot listen on 0.0.0.0:{port}: cannot learn from "
                                               "/proc/self/net/udp who else has the port: No such file")
            self.assertEqual(bound_sockets(f"0.0.0.0:{port}"), [])

    def test_an_option_that_lets_everybody_in(self):
        """systemd sets it at its sockets."""
        with bound() as passed:
            passed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.pass_sockets(passed)
            collector = self.start_managed(listen=f"127.0.0.1:{passed.getsockname()[1]}")
            self.assertEqual(passed.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR), 0)
            self.assertEqual(collector.stop(), 0)

    def test_two_of_one_address(self):
        """The one that --listen names, and its twin."""
        with bound(shares=True) as one:
            port = one.getsockname()[1]
            with bound(port=port, shares=True) as other:
                self.pass_sockets(one, other)
                collector = self.start_managed("--workers", "2", listen=f"127.0.0.1:{port}")
                self.send_each(range(40), ("127.0.0.1", port))
                self.check_all_counted(40)
                self.assertEqual(collector.stop(), 0)


class Thief:
    """Tries to bind a port, over and over, at all addresses that presenced may have there; ends when
    one can be bound."""

    PROGRAM = """if True:
        import itertools, mmap, os, socket, sys
        tries = mmap.mmap(int(sys.argv[2]), 8)
        for i in itertools.count():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                for option in socket.SO_REUSEADDR, socket.SO_REUSEPORT:
                    one.setsockopt(socket.SOL_SOCKET, option, 1)
                try:
                    one.bind((("127.0.0.1", "0.0.0.0")[i % 2], int(sys.argv[1])))
                except OSError:
                    tries[:] = i.to_bytes(8, sys.byteorder)
                else:
                    break"""

    def __init__(self, port, prefix):
        self.counter = tempfile.TemporaryFile()
        self.counter.truncate(8)
        fd = self.counter.fileno()
        self.process = subprocess.Popen([*prefix, sys.executable, "-c", self.PROGRAM, str(port),
                                         str(fd)], pass_fds=[fd])

    def tries(self):
        assert self.process.poll() is None, "the thief has the port"
        return int.from_bytes(os.pread(self.counter.fileno(), 8, 0), sys.byteorder)

    def wait_tries(self, before):
        """Wait for more tries, in vain, and return how many there have been."""
        return wait_until(lambda: self.tries() > before and self.tries(), "the thief to try")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.counter.close()


@unittest.skipIf(os.geteuid(), "needs root, to be another user")
class OtherUser(Odd):
    """Sockets that another user opened: an upgrade may change the unit's User=. And other users."""

    CHANGES = 20 if os.environ.get("TEST_LONG") else 4

    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o1777)
        shutil.copy(PRESENCED, self.directory)
        os.chmod(self.manager.path, 0o777)
        self.nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                       "--inh-caps=-all", "--bounding-set=-all")

    def start_as(self, prefix, workers, listen, wait=True):
        """Start it as the other user, with the segment that a package would have given away."""
        if os.path.exists(self.segment):
            os.chown(self.segment, *(2 * [NOBODY if prefix else 0]))
        os.environ["PRESENCE_SEGMENT_OWNER"] = "nobody"
        self.addCleanup(os.environ.pop, "PRESENCE_SEGMENT_OWNER", None)
        command = (*prefix, "bash", "-c", f'exec {self.directory}/presenced "$@"')
        return self.start_managed("--workers", str(workers), prefix=command, listen=listen, wait=wait)

    def check_sockets(self, port, number):
        """One group: as many sockets as the store has."""
        self.assertEqual(len(bound_sockets(f"127.0.0.1:{port}")), number)
        wait_until(lambda: len(self.manager.cookies()) == number, "the store's sockets")

    def test_the_same_number_of_workers(self):
        """Or fewer: the sockets serve the other user as they are."""
        port = free_port(socket.SOCK_DGRAM)
        listen, sent = f"127.0.0.1:{port}", 0
        for prefix, workers in (((), 3), (self.nobody, 3), (self.nobody, 2), ((), 2)):
            collector = self.start_as(prefix, workers, listen)
            self.check_sockets(port, workers)
            self.send_each(range(sent, sent + 20), ("127.0.0.1", port))
            self.check_all_counted(sent + 20)
            self.end(collector)
            self.send_each(range(sent + 20, sent + 30), ("127.0.0.1", port))
            sent += 30
        self.assertEqual(self.start_as((), 2, listen).stop(), 0)
        self.assertEqual(self.count(SITE), sent)

    def test_more_workers(self):
        """Only root can share another's port. Others say so, at once, and leave all as it is."""
        port = free_port(socket.SOCK_DGRAM)
        listen = f"127.0.0.1:{port}"
        self.end(self.start_as((), 2, listen))
        cookies = self.manager.cookies()
        self.send_each(range(20), ("127.0.0.1", port))
        failed = self.start_as(self.nobody, 4, listen, wait=False)
        self.assertEqual(failed.process.wait(timeout=DEADLINE), 1)
        self.assertRegex(failed.output(), f"cannot listen on {listen} with more workers: .*another "
                                          "user there; stop the service, then start it\n")
        self.assertEqual(self.manager.cookies(), cookies)
        self.check_sockets(port, 2)
        self.end(self.start_as(self.nobody, 2, listen))
        self.wait_received(20)
        self.manager.lose()
        self.end(self.start_as(self.nobody, 3, listen))  # with sockets of its own
        for lost, workers in (None, 5), ("-socket-1-", 2):
            self.manager.lose(lambda name: not lost or lost not in name)
            collector = self.start_as((), workers, listen)
            self.check_sockets(port, workers)
            self.end(collector)
            self.manager.lose()
            self.end(self.start_as(self.nobody, 3, listen))
        self.send_each(range(20, 60), ("127.0.0.1", port))
        collector = self.start_as((), 4, listen)
        self.check_all_counted(60)
        self.assertEqual(collector.stop(), 0)

    def test_a_thief(self):
        """Another user who binds the port as soon as SO_REUSEADDR would let them: never, while
        --listen changes between addresses that overlap."""
        port, tries = free_port(socket.SOCK_DGRAM), 0
        collector = self.start_managed("--workers", "2", listen=f"127.0.0.1:{port}")
        with Thief(port, self.nobody) as thief:
            for host in ("0.0.0.0", "127.0.0.1") * self.CHANGES:
                tries = thief.wait_tries(tries)
                self.end(collector)
                collector = self.start_managed("--workers", "2", listen=f"{host}:{port}")
            thief.wait_tries(tries)
        self.assertEqual(collector.stop(), 0)

    def test_an_address_beside_it(self):
        """Also where another socket is of the user who starts it."""
        os.seteuid(NOBODY)
        own = bound("127.0.0.2")
        os.seteuid(0)
        port = own.getsockname()[1]
        with own, bound(port=port) as passed:
            self.pass_sockets(own, passed)
            failed = self.start_as(self.nobody, 2, f"0.0.0.0:{port}", wait=False)
            self.assertEqual(failed.process.wait(timeout=DEADLINE), 1)
            self.assertRegex(failed.output(), f"cannot listen on 0.0.0.0:{port}: .* passes a socket of "
                                              f"another user at 127.0.0.1:{port}; leave one out")
            self.assertNotIn("trying for", failed.output())


class Environment(Odd):
    """What is passed is judged by what it is; what can't be right is said in the log."""

    def test_descriptors(self):
        """Names of any bytes, and far more descriptors than there may be addresses."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            unix = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sockets = [stack.enter_context(bound()) for _ in range(20)]
            names = ["\x1b[2J\n%n%s", "presenced-socket-0-\x7f", "ü", "x" * 255, "presenced-record",
                     "presenced-socket-4294967296-127.0.0.1_1", "presenced-socket--1-x", ""]
            for i in range(300):
                self.manager.add(names[i % len(names)], (file, tcp, unix)[i % 3].fileno())
            self.pass_sockets(*sockets)
            collector = self.start_managed("--workers", "2")
            targets = [("127.0.0.1", collector.port)] + [one.getsockname() for one in sockets[:15]]
            self.send_each(range(32), *targets)
            self.check_all_counted(32)
            self.assertIn(r"\x1b[2J", collector.output())
            self.assertIn("closed 5 sockets that the service manager passes: there may be 16",
                      collector.output())
            self.assertEqual(collector.stop(), 0)

    def test_variables(self):
        """Those that are wrong are not believed, and the collector counts without them."""
        pid = str(os.getpid())
        cases = (({"LISTEN_FDS": "3", "LISTEN_PID": pid}, None),
                 ({"LISTEN_FDS": "3"}, None),
                 ({"LISTEN_FDS": "900", "LISTEN_PID": "$$"}, r"\(\$LISTEN_FDS\): Bad file desc"),
                 ({"LISTEN_FDS": "-1", "LISTEN_PID": "$$"}, r"\(\$LISTEN_FDS\): "),
                 ({"LISTEN_FDS": "x", "LISTEN_PID": "$$"}, r"\(\$LISTEN_FDS\): "),
                 ({"NOTIFY_SOCKET": "/" + 200 * "x"}, r"\(\$NOTIFY_SOCKET\): "),
                 ({"NOTIFY_SOCKET": "relative"}, r"\(\$NOTIFY_SOCKET\): "),
                 ({"NOTIFY_SOCKET": ""}, r"\(\$NOTIFY_SOCKET\): "),
                 ({"NOTIFY_SOCKET": "@" + self.directory}, r"\(\$NOTIFY_SOCKET\): Connection ref"))
        for variables, expected in cases:
            with self.subTest(variables):
                words = " ".join(f"{name}={value}" for name, value in variables.items())
                collector = self.start("--workers", "1", prefix=(
                    "bash", "-c", f'export {words}; exec "$@"', "bash"))
                self.send(collector, native(SITE, [visitor(1)]))
                self.wait_received(1)
                if expected:
                    wait_until(lambda: re.search(expected, collector.output()),
                               lambda: f"{expected}: {collector.output()}")
                else:
                    self.assertNotIn("service manager", collector.output())
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)

    def test_an_abstract_manager(self):
        """A socket without a file, as systemd has in containers."""
        path = "\0presence-" + self.directory
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(DEADLINE)
            collector = self.start(environment={"NOTIFY_SOCKET": "@" + path[1:]})
            said = b""
            while b"READY=1" not in said:
                said, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(64))
                for _, _, data in control:
                    for i in range(0, len(data), 4):
                        os.close(int.from_bytes(data[i:i + 4], "little"))
            self.assertEqual(collector.stop(), 0)


class Killed(Odd):
    """Daemons that are killed at any moment of their starts and ends."""

    TIMES = 50 if os.environ.get("TEST_LONG") else 8

    @unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes meanwhile")
    def test_at_random_moments(self):
        """Their sockets stay, and what comes waits for one that lives; numbers of workers change."""
        seed = os.environ.get("TEST_SEED", "20261130")
        print(f"TEST_SEED={seed}")
        draw = random.Random(seed)
        started = time.monotonic()
        collector = self.start_managed("--workers", "2")
        whole = time.monotonic() - started
        port = collector.port
        load = self.load(collector, heartbeats(500))
        wait_until(lambda: self.counted() and self.count(SITE) == 500, "all visitors")
        self.end(collector, signal.SIGKILL)
        killed = 2
        for _ in range(self.TIMES):
            workers = draw.choice((1, 2, 2, 2, 3))
            victim = self.start_managed("--workers", str(workers), wait=False,
                                        listen=f"127.0.0.1:{port}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                victim.process.wait(timeout=draw.uniform(0, 1.2 * whole))
            self.assertIsNone(victim.process.poll(), victim.output())
            if draw.random() < 0.3:  # in the middle of its end
                victim.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    victim.process.wait(timeout=draw.uniform(0, 0.01))
            victim.judge = lambda _: None
            victim.stop(signal.SIGKILL)
            killed += workers
        collector = self.start_managed("--workers", "2", listen=f"127.0.0.1:{port}")
        goal = self.counted() + 200
        wait_until(lambda: self.counted() > goal, "more to be counted")
        load.stop()
        missing = BURST * killed
        wait_until(lambda: load.sent - self.counted() <= missing,
                   lambda: f"{load.sent} that were sent: {self.stats()}")
        stats = self.stats()
        self.assertEqual((stats["socket_drops"], self.count(SITE)), (0, 500))
        wait_until(lambda: len(self.manager.cookies()) == 2, "one socket a worker in the store")
        self.assertEqual(len(bound_sockets(f"127.0.0.1:{port}")), 2)
        self.assertEqual(collector.stop(), 0)


class Together(Odd):
    """Signals at odd moments, and two daemons at once."""

    def test_two_daemons(self):
        """The second one ends at once and disturbs nothing, in the store neither."""
        collector = self.start_managed("--workers", "2")
        names = wait_until(lambda: len(self.manager.cookies()) == 2 and self.manager.names(), "it")
        for _ in range(3):
            second = self.start_managed("--workers", "2", wait=False)
            self.assertEqual(second.process.wait(timeout=DEADLINE), 1)
            self.assertRegex(second.output(), f"in use by another presenced, pid {collector.process.pid}")
        self.send_each(range(20), ("127.0.0.1", collector.port))
        self.check_all_counted(20)
        self.assertEqual(self.manager.names(), names)
        self.assertEqual(collector.stop(), 0)

    def test_a_store_that_is_full(self):
        """What it does not take is opened anew by the next one, and counting goes on."""
        self.manager.room = 2
        sent = 0
        for _ in range(3):
            collector = self.start_managed("--workers", "3")
            self.send_each(range(sent, sent + 30), ("127.0.0.1", collector.port))
            sent += 30
            self.check_all_counted(sent)
            self.end(collector)
            self.assertLessEqual(len(self.manager.names()), 2)

    def test_signals_during_a_start(self):
        """SIGTERM ends it, whatever else comes. What waits is counted by the next one."""
        collector = self.start_managed("--workers", "2")
        port = collector.port
        self.end(collector)
        sent = 0
        for moment in range(8):
            self.send_each(range(sent, sent + 10), ("127.0.0.1", port))
            sent += 10
            victim = self.start_managed("--workers", "2", wait=False, listen=f"127.0.0.1:{port}")
            victim.judge = lambda _: None
            with contextlib.suppress(subprocess.TimeoutExpired):
                victim.process.wait(timeout=0.01 * moment)
            victim.process.send_signal(signal.SIGTERM)
            victim.process.send_signal(signal.SIGHUP)
            self.assertIn(victim.process.wait(timeout=DEADLINE), (0, -signal.SIGTERM, -signal.SIGHUP))
        collector = self.start_managed("--workers", "2", listen=f"127.0.0.1:{port}")
        collector.freeze()
        self.send_each(range(sent, sent + 10), ("127.0.0.1", port))
        for one in signal.SIGHUP, signal.SIGTERM, signal.SIGHUP:
            collector.process.send_signal(one)
        collector.thaw()
        self.assertEqual(collector.stop(), 0)
        self.assertEqual((self.counted(), self.count(SITE)), (sent + 10, sent + 10))


if __name__ == "__main__":
    unittest.main()
