"""Where presenced listens: addresses that come later, ports that others have; and starts that fail,
each with its own cause and with nothing left behind."""

import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest
from unittest import mock

import harness
from harness import (
    DEADLINE, GOLDEN, SOON, Case, asan_options, check_quick, native, new_namespace, raise_loopback,
    refuse_call, run_daemon, visitor, wait_until,
)

SANITIZED = os.environ.get("PRESENCE_SANITIZED") == "1"
SITE = "listen.example"
V4, V6 = "192.0.2.1", "2001:db8::1"
PATIENCE = 5.0  # seconds that a port is waited for
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
AS_ROOT = unittest.skipIf(os.geteuid(), "needs root, for a network of its own")
LISTENING_SINCE, NEVER = 344, 2**64 - 1  # in the segment's header


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr}")


IO_URING_SETUP = 425
SOCKET = {"x86_64": 41, "aarch64": 198}.get(os.uname().machine)


class ListenCase(Case):
    def wait_logged(self, collector, text, deadline=DEADLINE):
        wait_until(lambda: text in collector.output(),
                   lambda: f"{text!r} in the log: {collector.output()}", deadline)

    def wait_missing(self, *addresses):
        """Wait until the status says that exactly these are not there."""
        expected = ", ".join(addresses) or None
        wait_until(lambda: self.json("status")["listen_missing"] == expected,
                   lambda: f"{expected} to be missing: {self.json('status')}")
        table = self.ctl("status")[1]
        if addresses:
            self.assertRegex(table, f"\nmissing addresses +{re.escape(expected)}\n")
        else:
            self.assertNotIn("missing addresses", table)


@AS_ROOT
class Addresses(ListenCase):
    def setUp(self):
        super().setUp()
        namespace = new_namespace("net")
        namespace.__enter__()
        self.addCleanup(namespace.__exit__, None, None, None)
        raise_loopback()
        ip("link", "add", "late0", "type", "veth", "peer", "name", "late1")
        for name in "late0", "late1":
            ip("link", "set", name, "up")

    def beat(self, host, port, number):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(native(SITE, [visitor(number)]), (host, port))

    def check_address(self, host, bits, *arguments, **keywords):
        os.path.exists(self.segment) and os.unlink(self.segment)
        name = f"[{host}]:9000" if ":" in host else f"{host}:9000"
        collector = self.start("--listen", "127.0.0.1:0", *arguments, listen=name, **keywords)
        other = re.search(r"listening on 127.0.0.1:(\d+)", collector.output())
        self.assertRegex(collector.output(), f"{re.escape(name)} is missing")
        self.assertEqual(collector.output().count("is missing"), 1)
        self.wait_missing(name)
        self.assertEqual(self.json("status")["state"], "listening")
        self.beat("127.0.0.1", int(other[1]), 0)
        self.wait_received(1)
        for number in 1, 2:
            # Nobody else is there: an IPv6 address can be used at once.
            ip("address", "add", f"{host}/{bits}", "dev", "late0",
               *(["nodad"] if ":" in host else []))
            if ":" not in host:  # IPv6 takes a moment (addrconf_dad_start of net/ipv6/addrconf.c)
                self.beat(host, 9000, number)  # at once, whether the collector knows it or not
            wait_until(lambda: collector.output().count(f"{name} is there now") == number,
                       lambda: f"the address to be seen: {collector.output()}")
            self.wait_missing()
            if ":" in host:
                self.beat(host, 9000, number)
            self.wait_received(number + 1)
            self.assertEqual(self.count(SITE), number + 1)
            ip("address", "delete", f"{host}/{bits}", "dev", "late0")
            wait_until(lambda: collector.output().count(f"{name} has gone") == number,
                       lambda: f"the address to go: {collector.output()}")
            self.wait_missing(name)
        self.assertEqual(collector.stop(), 0)

    def test_ipv4(self):
        for engine in "io_uring", "recvmmsg":
            self.check_address(V4, 24, "--receive", engine, "--workers", "2")

    def test_ipv6(self):
        self.check_address(V6, 64, "--workers", "2")

    def test_without_any_privilege(self):
        self.let_anybody_in()
        self.check_address(V4, 24, prefix=AS_NOBODY)

    def test_those_that_are_always_there(self):
        ip("route", "add", "local", "198.51.100.0/24", "dev", "lo")
        ip("address", "add", f"{V4}/24", "broadcast", "192.0.2.255", "dev", "late0")
        ip("route", "add", "224.0.0.0/4", "dev", "late0")
        collector = self.start(*(f"--listen={host}:0" for host in (
            "0.0.0.0", "[::]", "127.0.0.9", "[::1]", "198.51.100.7", "192.0.2.255", "224.0.0.251")))
        self.wait_missing()
        self.assertNotIn("is missing", collector.output())

    def test_routes_that_lead_nowhere(self):
        kinds = "blackhole", "prohibit", "unreachable", "throw"
        names = [f"203.0.113.{4 * i + 1}:9000" for i in range(len(kinds))]
        for i, kind in enumerate(kinds):
            ip("route", "add", kind, f"203.0.113.{4 * i}/30")
        collector = self.start(*(f"--listen={name}" for name in names))
        for name in names:
            self.assertIn(f"{name} is missing", collector.output())
        self.wait_missing(*names)

    def test_many_of_them(self):
        """The status names as many as it has room for."""
        names = [f"198.51.100.{i}:9514" for i in range(10, 22)]
        collector = self.start(*(f"--listen={name}" for name in names))
        for name in names:
            self.assertIn(f"{name} is missing", collector.output())
        missing = self.json("status")["listen_missing"].split(", ")
        self.assertEqual(missing[-1], "...")
        self.assertGreater(len(missing), 4)
        self.assertEqual(missing[:-1], names[:len(missing) - 1])

    def test_where_it_can_not_be_seen(self):
        """As with RestrictAddressFamilies= of systemd: it is said, and all else works."""
        collector = self.start(listen=f"{V4}:9000", preexec=lambda: refuse_call(
            SOCKET, errno.EAFNOSUPPORT, socket.AF_NETLINK))
        self.assertRegex(collector.output(), "cannot check whether this machine has these addresses: "
                                             "Address family not supported")
        self.assertNotIn("is missing", collector.output())
        self.wait_missing()
        ip("address", "add", f"{V4}/24", "dev", "late0")
        self.beat(V4, 9000, 1)
        self.wait_received(1)


class Ports(ListenCase):
    def take_port(self, share=False):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        if share:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        return other, f"127.0.0.1:{other.getsockname()[1]}"

    def start_waiting(self, address, *arguments):
        collector = self.start(*arguments, listen=address, wait=False)
        self.wait_logged(collector, f"cannot listen on {address} yet", SOON)
        self.assertRegex(collector.output(),
                         rf"^presenced: cannot listen on {address} yet: another program has the "
                         rf"port; trying for {PATIENCE:.0f} s\n$")
        self.assertIsNone(collector.process.poll())
        self.assertEqual(os.listdir(self.directory), [])
        return collector

    def test_a_taken_port_is_told_at_once_and_leaves_nothing(self):
        for workers, share in ("1", False), ("2", True):
            _, address = self.take_port(share)
            begun = time.monotonic()
            collector = self.start_waiting(address, "--workers", workers)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 1)
            self.assertGreater(time.monotonic() - begun, PATIENCE - 1)
            lines = collector.output().splitlines()
            self.assertEqual(len(lines), 2, lines)
            self.assertRegex(lines[1], rf"cannot listen on {address}: .*choose another --listen")
            self.assertEqual(os.listdir(self.directory), [])

    def test_a_port_that_gets_free(self):
        other, address = self.take_port()
        collector = self.start_waiting(address)
        other.close()
        collector.wait_ready()
        self.assertRegex(collector.output(), r"segment .*: new,")
        self.assertEqual(collector.address, address)

    def test_the_second_address(self):
        def check(_):
            _, address = self.take_port()
            collector = self.start("--listen", "127.0.0.1:0", "--listen", address, listen=None,
                                   wait=False)
            self.wait_logged(collector, f"cannot listen on {address} yet", SOON)
            collector.process.send_signal(signal.SIGTERM)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 0)
            self.assertEqual(os.listdir(self.directory), [])

        check_quick(check, PATIENCE)

    @unittest.skipIf(os.geteuid(), "needs root, to be somebody who may not")
    def test_a_port_that_takes_a_privilege(self):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
            if int(file.read()) <= 80:
                self.skipTest("any port is open to everybody")
        self.let_anybody_in()
        self.assert_refused(run_daemon("--segment", self.segment, "--listen", "127.0.0.1:80",
                                       prefix=AS_NOBODY), 1,
                            "cannot listen on 127.0.0.1:80: Permission denied.*"
                            "CAP_NET_BIND_SERVICE")
        self.assertEqual(os.listdir(self.directory), [])

    def test_two_addresses_that_collide(self):
        for one, other in (("127.0.0.1:9514", "127.0.0.1:9514"), ("127.0.0.1:9514", "0.0.0.0:9514"),
                           ("[::]:9514", "[::1]:9514"), ("[::1]:9514", "[0::1]:09514")):
            check_quick(lambda _: self.assert_refused(
                run_daemon("--segment", self.segment, "--listen", "127.0.0.1:9515", "--listen", one,
                           "--listen", other), 1,
                rf"cannot listen on {re.escape(other)}: --listen {re.escape(one)} has its port"),
                PATIENCE - 1)
            self.assertEqual(os.listdir(self.directory), [])
        for others in ("127.0.0.2:9514", "[::1]:9514"), ("127.0.0.1:0", "127.0.0.1:0"):
            collector = self.start(*(f"--listen={other}" for other in others),
                                   listen="127.0.0.1:9514")
            self.assertEqual(collector.stop(), 0)
            os.unlink(self.segment)

    def test_signals_end_the_wait(self):
        def check(how):
            _, address = self.take_port()
            collector = self.start_waiting(address)
            collector.process.send_signal(signal.SIGHUP)
            collector.process.send_signal(how)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 0)
            self.assertTrue(collector.output().endswith("presenced: stopped\n"))
            self.assertEqual(os.listdir(self.directory), [])

        for how in signal.SIGTERM, signal.SIGINT:
            check_quick(lambda _: check(how), PATIENCE - 1)

    def test_who_has_the_segment_is_said_first(self):
        first = self.start()
        _, address = self.take_port()
        for listen in f"127.0.0.1:{first.port}", address:
            check_quick(lambda _: self.assert_refused(
                run_daemon("--segment", self.segment, "--listen", listen), 1,
                rf"in use by another presenced, pid {first.process.pid}\b"), PATIENCE - 1)

    def test_what_nobody_listened_with_is_new(self):
        """A start that was killed between the segment and the sockets."""
        self.start().stop()
        with open(self.segment, "r+b") as file:
            file.seek(LISTENING_SINCE)
            file.write(NEVER.to_bytes(8, "little"))
        collector = self.start()
        self.assertRegex(collector.output(), r"segment .*: new,")
        self.assertNotIn("attached", collector.output())
        collector.stop()
        self.assertRegex(self.start().output(), r"segment .*: attached,")


class Failures(ListenCase):
    """Starts that fail when the sockets are open already."""

    ENGINES = "auto", "io_uring", "recvmmsg"

    def start_in_vain(self, *arguments, **keywords):
        """Start a collector that is to fail; returns its last line. Nothing is left behind."""
        before = sorted(os.listdir(self.directory))
        collector = self.start(*arguments, wait=False, **keywords)
        self.assertEqual(collector.process.wait(timeout=DEADLINE), 1, collector.output())
        lines = collector.output().splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertEqual(sorted(os.listdir(self.directory)), before)
        return lines[0]

    def test_an_attached_segment_stays(self):
        first = self.start()
        self.send(first, GOLDEN)
        self.wait_received(1)
        first.stop()
        self.start_in_vain("--receive", "io_uring",
                           preexec=lambda: refuse_call(IO_URING_SETUP, errno.EPERM))
        self.assertEqual(self.count("example.com"), 2)
        self.assertRegex(self.start().output(), r"segment .*: attached,")

    def test_io_uring(self):
        for error, words in ((errno.EPERM, "not permitted.*kernel.io_uring_disabled"),
                             (errno.ENOSYS, "older than Linux 6.1"),
                             (errno.EINVAL, "older than Linux 6.1"),
                             (errno.ENOMEM, "no memory.*LimitMEMLOCK"),
                             (errno.EIO, os.strerror(errno.EIO))):
            with self.subTest(error=errno.errorcode[error]):
                line = self.start_in_vain("--receive", "io_uring", "--workers", "2",
                                          preexec=lambda: refuse_call(IO_URING_SETUP, error))
                self.assertRegex(line, f"cannot receive with io_uring: .*{words}.*--receive auto")
                self.assertNotIn("thread", line)
                collector = self.start(preexec=lambda: refuse_call(IO_URING_SETUP, error))
                self.assertEqual(self.json("status")["receive"], "recvmmsg")
                collector.stop()
                os.unlink(self.segment)

    @unittest.skipIf(os.geteuid(), "needs root, to become somebody who has a limit of processes")
    def test_no_thread(self):
        self.let_anybody_in()
        copy = shutil.copy(harness.PRESENCED, self.directory)  # the build may be out of reach
        self.enterContext(mock.patch.object(harness, "PRESENCED", copy))
        for engine in self.ENGINES:
            for workers in "1", "2":
                with self.subTest(engine=engine, workers=workers):
                    line = self.start_in_vain("--receive", engine, "--workers", workers,
                                              prefix=(*AS_NOBODY, "prlimit", "--nproc=1"),
                                              environment=asan_options("detect_leaks=0"))
                    self.assertRegex(line, "cannot start a thread.*ulimit -u.*pids.max.*--workers")
                    self.assertNotRegex(line, "--receive|memory")

    @unittest.skipIf(SANITIZED, "sanitizers take terabytes of addresses")
    def test_no_memory(self):
        """Wherever it is used up, that is what is said."""
        found = set()
        for megabytes in range(20, 200, 6):
            for engine in self.ENGINES:
                limit = ("prlimit", f"--as={megabytes << 20}")
                collector = self.start("--receive", engine, "--workers", "2", wait=False,
                                       prefix=limit)
                wait_until(lambda: collector.process.poll() is not None or
                           "ready" in collector.output(), "a start or its failure")
                output = collector.output()
                if "ready" in output:
                    self.assertEqual(collector.stop(), 0)
                    os.unlink(self.segment)
                    continue
                self.assertEqual(collector.process.wait(), 1, output)
                line = output.splitlines()[-1]
                with self.subTest(megabytes=megabytes, engine=engine, line=line):
                    self.assertRegex(line, "memory")
                    self.assertNotIn("pids.max", line)
                    if engine != "io_uring":
                        self.assertNotIn("--receive", line)
                    self.assertEqual(os.listdir(self.directory), [])
                found.add(re.sub("[0-9]+", "N", line))
        self.assertGreater(len(found), 1, "the limits that were tried do not tell")

    def test_no_descriptor(self):
        for limit in range(10, 40):
            for engine in self.ENGINES:
                collector = self.start("--receive", engine, "--workers", "4", wait=False,
                                       prefix=("prlimit", f"--nofile={limit}"))
                wait_until(lambda: collector.process.poll() is not None or
                           "ready" in collector.output(), "a start or its failure")
                output = collector.output()
                if "ready" in output:
                    self.assertEqual(collector.stop(), 0)
                    os.unlink(self.segment)
                    continue
                self.assertEqual(collector.process.wait(), 1, output)
                with self.subTest(limit=limit, engine=engine, output=output):
                    line = output.splitlines()[-1]
                    self.assertRegex(line, "Too many open files")
                    if "segment" not in line:
                        self.assertRegex(line, r"ulimit -n.*--workers")
                    self.assertNotIn("--receive", output)
                    self.assertEqual(os.listdir(self.directory), [])


if __name__ == "__main__":
    unittest.main()
