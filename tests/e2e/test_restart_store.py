"""Restarts with other addresses, with a store that loses sockets or holds what is not ours; and what
the service manager is told."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from harness import (
    BPF, BUILD, DEADLINE, ENGINES, PRESENCED, bound_sockets, free_port, native, visitor,
    wait_for_room_in_second, wait_until,
)
from restart import SITE, Restart, heartbeats
from service_manager import LIBC


class Addresses(Restart):
    """Other addresses, and ports that somebody else holds."""

    def start_at(self, *addresses, **keywords):
        more = [word for address in addresses[1:] for word in ("--listen", address)]
        return self.start_managed("--workers", "2", *more, listen=addresses[0], **keywords)

    def send_to(self, port, number, host="127.0.0.1"):
        """One datagram of a sender and a visitor of its own."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(native(SITE, [visitor(number)]), (host, port))

    def wait_stored(self, *ports):
        """Wait until the store has the sockets of these ports and of no others."""
        def stored():
            return {int(re.search(r"_(\d+)$", name)[1]) for name in self.manager.cookies()}

        wait_until(lambda: stored() == set(ports), lambda: f"{ports} in {self.manager.names()}")

    def test_one_of_several_changes(self):
        a, b, c = (free_port(socket.SOCK_DGRAM) for _ in range(3))
        collector = self.start_at(f"127.0.0.1:{a}", f"127.0.0.1:{b}")
        self.wait_stored(a, b)
        self.end(collector)
        for i in range(40):
            self.send_to((a, b)[i % 2], i)
        collector = self.start_at(f"127.0.0.1:{b}", f"127.0.0.1:{c}")
        self.wait_stored(b, c)
        self.assertRegex(collector.output(), f"no longer listening on 127.0.0.1:{a}\n")
        for i in range(40, 60):
            self.send_to((b, c)[i % 2], i)
        self.assertEqual(self.wait_received(60)["socket_drops"], 0)
        self.assertEqual(self.count(SITE), 60)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", a))  # it is free
        self.assertEqual(collector.stop(), 0)

    @unittest.skipIf(os.geteuid(), "needs root, for buffers that hold what comes meanwhile")
    def test_wildcard_and_back(self):
        """The new address covers the old one, or is covered: every datagram reaches one of them."""
        port = free_port(socket.SOCK_DGRAM)
        self.manager.lag = 0.1
        collector = self.start_at(f"127.0.0.1:{port}")
        load = self.load(collector, heartbeats(500))
        for address in (f"0.0.0.0:{port}", f"127.0.0.1:{port}"):
            self.end(collector)
            collector = self.start_at(address)
            goal = self.counted() + 200
            wait_until(lambda: self.counted() > goal, "more to be counted")
            wait_until(lambda: len(self.manager.cookies()) == 2, "the old sockets to be removed")
        load.stop()
        stats = self.wait_received(load.sent)
        self.assertEqual((stats["datagrams_received"], stats["socket_drops"]), (load.sent, 0))
        self.assertEqual(collector.stop(), 0)

    def test_port_of_somebody_else(self):
        """The start fails, and what waits in the other sockets is counted by the next one."""
        a = free_port(socket.SOCK_DGRAM)
        collector = self.start_at(f"127.0.0.1:{a}")
        cookies = self.manager.cookies()
        self.end(collector)
        for i in range(20):
            self.send_to(a, i)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            b = other.getsockname()[1]
            collector = self.start_at(f"127.0.0.1:{a}", f"127.0.0.1:{b}", wait=False)
            self.assertEqual(collector.process.wait(timeout=DEADLINE), 1)
            self.assertRegex(collector.output(), f"cannot listen on 127.0.0.1:{b}: .*another --list")
        self.assertEqual(self.manager.cookies(), cookies)
        collector = self.start_at(f"127.0.0.1:{a}")
        self.assertEqual(self.wait_received(20)["socket_drops"], 0)
        self.assertEqual(self.count(SITE), 20)
        self.assertEqual(collector.stop(), 0)

    def test_a_start_elsewhere_that_fails(self):
        """It leaves the sockets that it does not use as they were."""
        segment, other = self.segment, os.path.join(self.directory, "no-segment")
        with open(other, "w") as file:
            file.write("something else")
        for host in "127.0.0.1", "0.0.0.0":
            a, b = (free_port(socket.SOCK_DGRAM) for _ in range(2))
            with self.subTest(host=host):
                collector = self.start_at(f"{host}:{a}")
                cookies = self.manager.cookies()
                self.end(collector)
                self.send_to(a, 1)
                self.segment = other
                collector = self.start_at(f"{host}:{b}", wait=False)
                self.segment = segment
                self.assertEqual(collector.process.wait(timeout=DEADLINE), 1)
                self.assertRegex(collector.output(), f"no longer listening on {host}:{a}\\n")
                self.assertEqual(self.manager.cookies(), cookies)
                collector = self.start_at(f"{host}:{a}")
                self.send_to(a, 2)
                self.wait_received(2)
                self.assertEqual(self.count(SITE), 2)
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)
                self.manager.lose()

    def test_killed_when_it_had_retired_them(self):
        """Sockets that are connected are not received from, but what waits in them is counted."""
        for host in "127.0.0.1", "0.0.0.0":
            port = free_port(socket.SOCK_DGRAM)
            with self.subTest(host=host):
                collector = self.start_at(f"{host}:{port}")
                cookies = self.manager.cookies()
                self.end(collector)
                for i in range(20):
                    self.send_to(port, i)
                for name, descriptor in self.manager.store:
                    if name in cookies:
                        with socket.socket(fileno=os.dup(descriptor)) as one:
                            one.connect(("127.0.0.1", port))
                collector = self.start_at(f"{host}:{port}")
                wait_until(lambda: self.manager.cookies().keys() == cookies.keys(), "the new ones")
                self.assertFalse(set(self.manager.cookies().values()) & set(cookies.values()))
                for i in range(20, 40):
                    self.send_to(port, i)
                self.wait_received(40)
                self.assertEqual(self.count(SITE), 40)
                self.assertEqual(collector.stop(), 0)
                os.unlink(self.segment)
                self.manager.lose()

    def test_the_kernel_chose_the_port(self):
        collector = self.start_managed()
        port = collector.port
        self.end(collector, signal.SIGKILL)
        collector = self.start_managed()
        self.assertEqual(collector.port, port)
        self.assertEqual(collector.stop(), 0)


class Store(Restart):
    """What the store may do to a daemon."""

    def test_strangers(self):
        """A file, a TCP socket, another port's socket and a second one of the port under our names
        are removed, and one under another name is received from."""
        collector = self.start_managed("--workers", "2")
        self.end(collector)
        ours = set(self.manager.names())
        name = next(name for name in ours if "-socket-0-" in name)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            udp, passed = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                           for _ in range(2))
            unbound = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(("127.0.0.1", 0))
            passed.bind(("127.0.0.1", 0))
            for stranger in (file, tcp, udp, unbound):
                self.manager.add("presenced-socket-7-127.0.0.1_9999", stranger.fileno())
            for one in ("presenced-record", "presenced-senders", "presenced-array-x",
                        "presenced-socket-64-x", "presenced-socket-", "presenced-"):
                self.manager.add(one, file.fileno())
            self.manager.add(name, tcp.fileno())  # beside the one that is ours
            twin = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            twin.bind(("127.0.0.1", collector.port))
            self.manager.add(name, twin.fileno())
            self.manager.add("stored", file.fileno())
            self.manager.add("any", unbound.fileno())
            self.manager.passed.append(("presence.socket", os.dup(passed.fileno())))
            port = passed.getsockname()[1]
        self.send(collector, native(SITE, [visitor(1)]))
        collector = self.start_managed("--workers", "2")
        wait_until(lambda: sorted(self.manager.names()) == sorted(ours | {"stored", "any"}),
                   lambda: f"the strangers to be removed: {self.manager.names()}")
        wait_until(lambda: "and 5 more of that kind: closed" in collector.output(), "the log")
        self.assertEqual(collector.output().count("nothing to receive from"), 8)
        self.assertRegex(collector.output(), f"127.0.0.1:{port} is a socket that the service")
        self.socket.sendto(native(SITE, [visitor(2)]), ("127.0.0.1", port))
        self.wait_received(2)
        self.assertEqual(self.count(SITE), 2)
        self.assertEqual(self.json("status")["spread"],
                         "hash" if os.geteuid() else "turn")
        self.assertEqual(collector.stop(), 0)
        os.close(self.manager.passed.pop()[1])

    def test_a_passed_socket_at_the_address(self):
        """It is the address's only socket, whatever the number of workers."""
        for workers in "1", "3":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed, self.subTest(workers):
                passed.bind(("127.0.0.1", 0))
                port = passed.getsockname()[1]
                self.manager.passed = [("presence.socket", passed.fileno())]
                self.socket.sendto(native(SITE, [visitor(1)]), ("127.0.0.1", port))
                collector = self.start_managed("--workers", workers, listen=f"127.0.0.1:{port}")
                self.wait_received(1)
                self.assertNotIn("-socket-", str(self.manager.names()))
                self.assertEqual(collector.stop(), 0)
            os.unlink(self.segment)

    @unittest.skipIf(os.geteuid(), "needs root, for a buffer of that size")
    def test_a_passed_socket_gets_a_buffer(self):
        """As large as ours, and one that is larger stays."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as small, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as large:
            large.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
            for passed in small, large:
                passed.bind(("127.0.0.1", 0))
                self.manager.passed.append(("presence.socket", passed.fileno()))
            collector = self.start_managed()
            self.assertEqual([passed.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                              for passed in (small, large)], [32 << 20, 64 << 20])
            self.assertEqual(small.getsockopt(socket.IPPROTO_UDP, 104), 1)  # UDP_GRO
            self.assertNotIn("a socket buffer of only", collector.output())
            self.assertEqual(collector.stop(), 0)
            self.manager.passed = []

    def test_a_passed_socket_of_all_addresses(self):
        """It receives for the address of --listen, and for IPv4 with [::]."""
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            with socket.socket(family, socket.SOCK_DGRAM) as passed, self.subTest(host):
                passed.bind((host, 0))
                port = passed.getsockname()[1]
                self.manager.passed = [("presence.socket", passed.fileno())]
                first = f"[::]:{port}" if host == "::" else "127.0.0.1:0"
                collector = self.start_managed("--workers", "2", "--listen", f"127.0.0.1:{port}",
                                               listen=first)
                self.assertRegex(collector.output(), f"127.0.0.1:{port} is received by the socket")
                self.socket.sendto(native(SITE, [visitor(1)]), ("127.0.0.1", port))
                self.wait_received(1)
                self.assertEqual(collector.stop(), 0)
            os.unlink(self.segment)

    def test_it_loses_some(self):
        """Or all: what is missing is opened again, and the others keep what waits in them."""
        def is_lost(part):
            return lambda name: part not in name

        collector = self.start_managed("--workers", "3")
        sent = 0
        for keep in (is_lost("-socket-0-"), is_lost("-socket-2-"), is_lost("-array-"),
                     is_lost("-record"), is_lost("-senders"), lambda name: False):
            self.end(collector)
            self.manager.lose(keep)
            collector = self.start_managed("--workers", "3")
            wait_until(lambda: len(self.manager.cookies()) == 3, "three sockets in the store")
            for i in range(30):
                self.send(collector, native(SITE, [visitor(i)]))
            sent += 30
            self.assertEqual(self.wait_received(sent)["socket_drops"], 0)
        self.assertEqual(collector.stop(), 0)

    def test_it_keeps_nothing(self):
        self.manager.deaf = True
        for _ in range(2):
            collector = self.start_managed("--workers", "2")
            self.end(collector)
        self.assertEqual(self.manager.names(), [])

    @staticmethod
    def dropped(collector):
        """What the kernel has dropped at the collector's sockets."""
        return sum(int(fields[-1]) for fields in bound_sockets(collector.address))

    def test_drops_are_counted_once(self):
        """Also those of the time in which there is no daemon."""
        collector = self.start_managed("--workers", "1")
        sent = 0
        for how in signal.SIGTERM, signal.SIGKILL, signal.SIGTERM:
            before = self.dropped(collector)
            self.end(collector, how)
            while self.dropped(collector) < before + 100:
                for _ in range(1000):
                    self.send(collector, native(SITE, [visitor(1)]))
                sent += 1000
            collector = self.start_managed("--workers", "1")
            stats = self.wait_received(sent)
            self.assertEqual(stats["socket_drops"], self.dropped(collector))
            self.assertEqual(stats["datagrams_received"] + stats["socket_drops"], sent)
        self.assertEqual(collector.stop(), 0)
        self.assertEqual(self.counted(), sent)

    def test_drops_right_before_the_end_are_counted(self):
        """By the end itself: those of before are counted whenever a second begins."""
        nothing = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0))  # BPF_RET|K: no byte passes
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
            passed.bind(("127.0.0.1", 0))
            self.manager.passed = [("presence.socket", passed.fileno())]
            collector = self.start_managed(listen=f"127.0.0.1:{passed.getsockname()[1]}")
            wait_for_room_in_second()
            passed.setsockopt(socket.SOL_SOCKET, 26,  # SO_ATTACH_FILTER
                              struct.pack("@HP", 1, ctypes.addressof(nothing)))
            self.send(collector, *(native(SITE, [visitor(i)]) for i in range(10)))
            self.assertEqual(collector.stop(), 0)
        self.assertEqual(self.stats()["socket_drops"], 10)

    def test_drops_of_former_workers_are_counted(self):
        collector = self.start_managed("--workers", "2")
        self.end(collector)
        sent = 0
        with contextlib.ExitStack() as stack:
            senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                       for _ in range(16)]
            while not all(int(fields[-1]) for fields in bound_sockets(collector.address)):
                for sender in senders:
                    sender.sendto(bytes(60000), ("127.0.0.1", collector.port))
                sent += len(senders)
        collector = self.start_managed("--workers", "1")
        self.wait_received(sent)
        self.assertEqual(self.counted(), sent)
        self.assertEqual(collector.stop(), 0)


@unittest.skipIf(os.geteuid(), "needs root, to load a BPF program")
class Turns(Restart):
    """Senders get the workers in turn over restarts, as long as that is possible."""

    def check_starts(self, *numbers, **keywords):
        for workers in numbers:
            collector = self.start_managed("--workers", str(workers), **keywords)
            status = self.json("status")
            self.assertEqual((status["spread"], status["spread_reason"]), ("turn", None))
            self.end(collector)

    def test_addresses_in_other_words(self):
        port = free_port(socket.SOCK_DGRAM)
        for address in f"[0:0:0:0:0:0:0:1]:{port}", f"[::0]:{port}":
            with self.subTest(address=address):
                self.check_starts(2, 2, 3, 3, listen=address)
                self.manager.lose()

    def test_a_map_of_another_size_or_none(self):
        """The store gets one that fits in its place."""
        listen = f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
        of_five = 20, 4, 8, 5, 0
        for attributes, numbers in (of_five, (3, 3, 2)), (of_five, (6,)), (None, (3, 3, 2)):
            with self.subTest(attributes=attributes, numbers=numbers):
                self.check_starts(2, listen=listen)
                name = next(name for name in self.manager.names() if "-array-" in name)
                self.manager.lose(lambda one: one != name)
                if attributes:  # of BPF_MAP_CREATE in bpf(2): five numbers of 32 bits
                    words = (ctypes.c_uint32 * 32)(*attributes)
                    made = LIBC.syscall(BPF, 0, words, ctypes.sizeof(words))
                    self.assertGreaterEqual(made, 0)
                    self.manager.add(name, made)
                    os.close(made)
                self.check_starts(*numbers, listen=listen)
                self.assertEqual(self.manager.names().count(name), 1)
                self.manager.lose()


class Told(Restart):
    """What the service manager is told, by a daemon that is confined."""

    def test_ready_reload_alive_and_stop(self):
        keys = os.path.join(self.directory, "keys")
        with open(os.open(keys, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("1 000102030405060708090a0b0c0d0e0f\n")
        collector = self.start_managed("--keys", keys, "--allow", "127.0.0.1", wait=False)
        self.manager.wait_said("READY")
        self.assertEqual(self.json("status")["state"], "listening")
        collector.wait_ready()
        self.assertRegex(self.manager.wait_said("STATUS"),
                         f"^receiving at 127.0.0.1:{collector.port}: 1 worker")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        collector.process.send_signal(signal.SIGHUP)
        at = int(self.manager.wait_said("MONOTONIC_USEC"))
        self.assertTrue(before <= at <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
        self.manager.wait_said("READY", 2)
        self.assertEqual(len(self.manager.said("RELOADING")), 1)
        alive = len(self.manager.said("WATCHDOG"))
        self.manager.wait_said("WATCHDOG", alive + 2)
        self.assertEqual(collector.stop(), 0)
        self.manager.wait_said("STOPPING")

    def test_what_waits_is_counted_before_the_end(self):
        """SIGTERM to a daemon with much to do, and without a store."""
        for engine in ENGINES:
            with self.subTest(engine=engine):
                collector = self.start("--workers", "1", "--receive", engine)
                collector.freeze()
                for i in range(3000):
                    self.send(collector, native(SITE, [visitor(i)]))
                collector.process.send_signal(signal.SIGTERM)
                collector.thaw()
                self.assertEqual(collector.stop(), 0)
                stats = self.stats()
                self.assertEqual(stats["datagrams_received"] + stats["socket_drops"], 3000)
                os.unlink(self.segment)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd-analyze")
    def test_the_unit_is_one(self):
        """systemd finds nothing wrong with it, on its own version."""
        with open(os.path.join(BUILD, "daemon/presenced.service")) as file:
            unit = re.sub(r"(?m)^(ExecStart\w*=\+?)\S+", r"\1" + os.path.abspath(PRESENCED),
                          file.read())
        self.assertRegex(unit, r"(?m)^Type=notify(-reload)?$")
        stored = int(re.search(r"(?m)^FileDescriptorStoreMax=(\d+)$", unit)[1])
        self.assertGreaterEqual(stored, 64 * 16 + 16 + 3)
        path = os.path.join(self.directory, "presenced.service")
        with open(path, "w") as file:
            file.write(unit)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
                               path], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_manager_that_has_gone(self):
        """It can't be told anything, and counting goes on."""
        collector = self.start(environment={"NOTIFY_SOCKET": self.directory + "/nobody"})
        self.assertRegex(collector.output(), "cannot reach the service manager at .*/nobody")
        self.assertEqual(collector.stop(), 0)


if __name__ == "__main__":
    unittest.main()
