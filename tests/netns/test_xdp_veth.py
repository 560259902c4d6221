"""The XDP filter for real: on a veth pair, native and generic, with the real daemon."""

import json
import os
import signal
import socket
import struct
import sys
import threading
import time
import unittest

import bad_datagrams as bad
from harness import (
    BUILD, DEADLINE, GOLDEN, PRESENCE_SEND, Case, native, native2, record, run_daemon, visitor,
    wait_for_room_in_second, wait_until,
)
from service_manager import ServiceManager
from veth import INSIDE, OUTSIDE, V4, V6, Pair, ip, open_tap, receive_in_batches, udp

FLOOD = os.path.join(BUILD, "tests/netns/flood")
MODES = ("native", "generic")
SITE = "veth.example"
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104  # linux/udp.h


def shape(data, mode):
    """The reason for which the filter drops a payload, written from the wire format; or None."""
    if mode == "generic" and b"PH" in data[1:]:
        return None  # may be several: the collector judges
    if not data:
        return "malformed"
    if data[:2] != b"PH" or data[2:3] == b"1":
        return None  # text
    if data[2:3] == b"\2":
        return bad.native2_shape(data)
    # With names that are fine, what is left to judge is the shape.
    fine = data[:20] + b"x" * (len(data) - 20)
    return bad.native_reason(fine)


class Veth(Case):
    def setUp(self):
        super().setUp()
        self.pair = self.enter()
        self.sender = self.pair.socket()
        self.addCleanup(self.sender.close)
        self.processors = os.sched_getaffinity(0)
        self.addCleanup(self.share_processors)
        self.share_processors({min(self.processors)})

    def share_processors(self, processors=None):
        """Let what is started from now on, and the test itself, have these; all by default.

        A veth's queue holds 256 packets. Where its senders and its polling share a processor, each
        burst is polled before the next is sent, and nothing is lost in between."""
        os.sched_setaffinity(0, processors or self.processors)

    def enter(self):
        pair = Pair()
        pair.__enter__()
        self.addCleanup(pair.__exit__)
        return pair

    def collect(self, mode, *arguments, listen=f"{V4}:0", **keywords):
        """Start a collector with a filter; returns it when the filter is there."""
        collector = self.start("--xdp", INSIDE, "--xdp-mode", mode, *arguments, listen=listen,
                               **keywords)
        self.assertEqual(self.pair.filter(), mode)
        self.assertIn(f"XDP filter at {INSIDE}, {mode}", collector.output())
        status = self.json("status")
        self.assertEqual([status[name] for name in ("filter", "filter_interface", "filter_reason")],
                         [mode, INSIDE, None])
        return collector

    @staticmethod
    def filtered(stats):
        """Packets that the filter has judged, by its counters, which are read each second."""
        return sum(number for name, number in stats.items() if name.startswith("xdp_"))

    def wait_filtered(self, number):
        """Wait until the filter has judged that many; returns the statistics."""
        def filtered():
            stats = self.stats()
            return stats if self.filtered(stats) >= number else None

        return wait_until(filtered, lambda: f"{number} datagrams to be filtered: {self.stats()}")

    def send_paced(self, address, datagrams, sender=None):
        """Send without overrunning the socket's buffer or, where the kernel polls late, the veth's
        queue; or that of 101 packets for a neighbour that is not known yet."""
        for sent, datagram in enumerate(datagrams, 1):
            (sender or self.sender).sendto(datagram, address)
            if sent % 100 == 0:
                time.sleep(0.01)


class Modes(Veth):
    """Whatever is valid arrives, whatever is not is dropped, and every counter adds up."""

    def check_datagrams(self, mode, listen, address, sender):
        collector = self.collect(mode, listen=listen)
        every = [*bad.NATIVE_MALFORMED, *bad.NATIVE_VISITOR, *bad.VERSION, *bad.NATIVE_ACCEPTED,
                 *bad.NATIVE2_MALFORMED, *bad.NATIVE2_ACCEPTED,
                 *(text.encode() for text in bad.TEXT_ACCEPTED + bad.TEXT_MALFORMED), GOLDEN]
        every = [data for data in every if len(data) < 1400]  # a fragment is not judged
        dropped = {"version": 0, "malformed": 0, "visitor": 0}
        passed = 0
        self.send_paced((address, collector.port), every, sender)
        for data in every:
            reason = shape(data, mode)
            if reason:
                dropped[reason] += 1
            else:
                passed += 1
        self.assertGreater(min(dropped.values()), 0)
        stats = self.wait_filtered(len(every))
        self.assertEqual(stats["xdp_passed"], passed)
        for reason, number in dropped.items():
            self.assertEqual(stats[f"xdp_dropped_{reason}"], number, reason)
        stats = self.wait_received(passed)
        self.assertEqual(stats["datagrams_received"], passed)
        if mode == "native":
            self.assertEqual(stats["datagrams_rejected_version"], 0)
            self.assertEqual(stats["datagrams_rejected_visitor"], 0)
        self.assert_accounted(stats)
        self.assertEqual(collector.stop(), 0)
        wait_until(lambda: self.pair.filter() is None, "the filter to be detached")

    def test_ipv4(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.check_datagrams(mode, f"{V4}:0", V4, self.sender)
                os.unlink(self.segment)

    def test_ipv6(self):
        with self.pair.socket(socket.AF_INET6) as sender:
            for mode in MODES:
                with self.subTest(mode=mode):
                    self.check_datagrams(mode, f"[{V6}]:0", V6, sender)
                    os.unlink(self.segment)

    def test_no_valid_one_is_lost(self):
        """Heartbeats of many sizes, one by one, as fragments, and in trains."""
        self.pair.silence()
        for mode in MODES:
            with self.subTest(mode=mode):
                collector = self.collect(mode)
                self.send_paced((V4, collector.port),
                                [native(SITE, [visitor(i)], room="/" + "r" * (i % 200))
                                 if i % 2 else
                                 native2(record(SITE, [visitor(i)], room="/" + "r" * (i % 200)),
                                         stream=1, sequence=i)
                                 for i in range(2000)])
                self.send_paced((V4, collector.port),
                                [native(SITE, [visitor(i + j) for j in range(400)])  # fragments
                                 for i in range(2000, 6000, 400)])
                lost = self.pair.lost()
                self.wait_received(2010 - lost)
                if not lost:
                    self.assertEqual(self.count(SITE), 6000)
                summary = self.pair.run(
                    PRESENCE_SEND, "--to", f"{V4}:{collector.port}", "--site", "trains",
                    "--visitors", "9000", "--rate", "9000", "--batch", "3")
                trains = json.loads(summary)["datagrams"]  # fewer than 3000 on a busy machine
                self.assertGreater(trains, 100)
                stats = self.wait_received(2010 + trains - self.pair.lost())
                self.assertEqual(stats["datagrams_received"], 2010 + trains - self.pair.lost())
                self.assertEqual(stats["socket_drops"], 0)
                self.assertEqual(stats["datagrams_accepted"], stats["datagrams_received"])
                self.assertEqual(sum(number for name, number in self.stats().items()
                                     if name.startswith("xdp_dropped")), 0)
                self.assertLess(self.pair.lost(), trains, "the machine is too busy to tell")
                collector.stop()
                os.unlink(self.segment)

    def test_trains_that_begin_badly(self):
        """What a program sends as one run, the first of it malformed: the rest counts."""
        for mode in MODES:
            with self.subTest(mode=mode):
                collector = self.collect(mode)
                beats = [native(SITE, [visitor(i)]) for i in range(20)]
                bad_one = b"PH\1" + bytes(len(beats[0]) - 3)
                segment = struct.pack("H", len(bad_one))
                self.sender.sendmsg([bad_one, *beats], [(SOL_UDP, UDP_SEGMENT, segment)], 0,
                                    (V4, collector.port))
                wait_until(lambda: self.stats()["datagrams_accepted"] == 20,
                           "twenty heartbeats to be counted")
                stats = self.wait_filtered(1)
                self.assertEqual(stats["datagrams_rejected_malformed"] +
                                 stats["xdp_dropped_malformed"], 1)
                self.assertEqual(self.count(SITE), 20)
                collector.stop()
                os.unlink(self.segment)

    def test_other_ports_and_addresses(self):
        """None of our business, and so is what is for us but no datagram."""
        ip("address", "add", "192.0.2.9/24", "dev", INSIDE)
        for mode in MODES:
            with self.subTest(mode=mode), \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                collector = self.collect(mode)
                other.settimeout(DEADLINE)
                other.bind(("192.0.2.9", collector.port))
                self.sender.sendto(b"PH\2", ("192.0.2.9", collector.port))
                self.assertEqual(other.recv(100), b"PH\2")
                with socket.create_server((V4, collector.port)) as server, \
                        self.pair.socket(kind=socket.SOCK_STREAM) as client:
                    client.connect((V4, collector.port))
                    client.send(b"PH\2")
                    with server.accept()[0] as connection:
                        self.assertEqual(connection.recv(100), b"PH\2")
                self.sender.sendto(GOLDEN, (V4, collector.port))
                stats = self.wait_filtered(1)
                self.assertEqual(stats["xdp_passed"], 1)
                collector.stop()
                os.unlink(self.segment)

    def test_sources(self):
        """Those outside --allow are dropped in the kernel; text and all."""
        ip("address", "add", "192.0.2.200/24", "dev", OUTSIDE, prefix=self.pair.prefix)
        for mode in MODES:
            with self.subTest(mode=mode), self.pair.socket() as stranger:
                collector = self.collect(mode, "--allow", "192.0.2.0/25")
                stranger.bind(("192.0.2.200", 0))
                for data in (GOLDEN, b"PH\3", b"PH1 site=a visitor=b"):
                    stranger.sendto(data, (V4, collector.port))
                    self.sender.sendto(data, (V4, collector.port))
                stats = self.wait_filtered(6)
                self.assertEqual(stats["xdp_dropped_sender"], 3)
                self.assertEqual(stats["xdp_dropped_version"], 1)
                self.assertEqual(stats["xdp_passed"], 2)
                self.assertEqual(stats["datagrams_accepted"], 2)
                collector.stop()
                os.unlink(self.segment)

    def test_sender_rate(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                collector = self.collect(mode, "--sender-rate", "100")
                begin = time.clock_gettime(time.CLOCK_BOOTTIME)
                for i in range(1000):
                    self.sender.sendto(native(SITE, [visitor(i)]), (V4, collector.port))
                stats = self.wait_filtered(1000)
                seconds = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - int(begin) + 1
                self.assertGreaterEqual(stats["xdp_passed"], 100)
                self.assertLessEqual(stats["xdp_passed"], 100 * seconds)
                self.assertEqual(stats["xdp_passed"] + stats["xdp_dropped_sender_rate"], 1000)
                collector.stop()
                os.unlink(self.segment)


class Life(Veth):
    """The filter is there as long as the daemon is, and no longer."""

    def test_auto_is_native_here(self):
        self.start("--xdp", INSIDE, listen=f"{V4}:0")
        self.assertEqual(self.pair.filter(), "native")

    def test_killed(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                collector = self.collect(mode)
                self.assertEqual(collector.stop(signal.SIGKILL), -signal.SIGKILL)
                wait_until(lambda: self.pair.filter() is None, "the filter to be detached")

    def test_what_is_judged_right_before_the_end_is_counted(self):
        """By the end itself: what was judged before is counted whenever a second begins."""
        for mode in MODES:
            with self.subTest(mode=mode), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.settimeout(DEADLINE)
                other.bind((V4, 0))
                collector = self.collect(mode)
                wait_for_room_in_second()
                for data in b"PH\3", GOLDEN, GOLDEN:
                    self.sender.sendto(data, (V4, collector.port))
                self.sender.sendto(b"last", other.getsockname())
                self.assertEqual(other.recv(100), b"last")
                self.assertEqual(collector.stop(), 0)
                stats = self.stats()
                self.assertEqual((stats["xdp_passed"], stats["xdp_dropped_version"]), (2, 1))
                os.unlink(self.segment)

    def test_trains_to_a_passed_socket(self):
        """A generic filter would see them as one packet, so the socket does not ask for them any more."""
        manager = ServiceManager(self.directory)
        self.addCleanup(manager.close)
        for mode, asks in ("native", 1), ("generic", 0):
            with self.subTest(mode=mode), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
                passed.bind((V4, 0))
                manager.passed = [("presence.socket", passed.fileno())]
                collector = self.collect(mode, listen=f"{V4}:{passed.getsockname()[1]}", **manager.keywords())
                self.assertEqual(passed.getsockopt(SOL_UDP, UDP_GRO), asks)
                self.assertEqual(collector.stop(), 0)
            os.unlink(self.segment)

    def test_busy_interface(self):
        self.collect("native")
        other = os.path.join(self.directory, "other")
        arguments = ("--segment", other, "--listen", f"{V4}:0", "--max-entries", "1000",
                     "--max-scopes", "16", "--xdp", INSIDE)
        for mode in MODES:
            status, out, err = run_daemon(*arguments, "--xdp-mode", mode)
            self.assertEqual((status, out), (1, ""), err)
            self.assertRegex(err, f"cannot filter at {INSIDE}: another XDP program is there")
        self.segment = other
        collector = self.start("--xdp", INSIDE, listen=f"{V4}:0")
        self.assertRegex(collector.output(), "another XDP program is there.*; going on without")
        status = self.json("status")
        self.assertEqual((status["filter"], status["filter_interface"]), ("none", INSIDE))
        self.assertRegex(status["filter_reason"], "another XDP program is there")
        self.assertRegex(self.ctl("status")[1], f"\nXDP filter +none on {INSIDE}: another")

    def test_tap(self):
        """There a virtual machine's runs arrive uncut, in native mode too: in doubt they pass."""
        with open_tap("presence3") as tap:
            ip("address", "add", "203.0.113.1/24", "dev", "presence3")
            ip("link", "set", "presence3", "up")
            collector = self.start("--xdp", "presence3", listen="203.0.113.1:0")
            self.assertEqual(self.json("status")["filter"], "native")
            ethernet = self.pair.hardware("presence3") + bytes(6) + b"\x08\x00"
            beat = native(SITE, [visitor(1)])
            for payload in (beat, b"PH\1bad" + beat, b"PH\1bad"):
                tap.write(ethernet + udp(payload, collector.port, "203.0.113.2", "203.0.113.1"))
            stats = self.wait_filtered(3)
            self.assertEqual(stats["xdp_passed"], 2)
            self.assertEqual(stats["xdp_dropped_malformed"], 1)
            stats = self.wait_received(2)
            self.assertEqual(stats["datagrams_accepted"], 1)
            self.assertEqual(stats["datagrams_rejected_malformed"], 1)

    def test_what_can_not_be_filtered(self):
        ip("tuntap", "add", "dev", "presence2", "mode", "tun")
        for name, words in (("nowhere0", "no such interface"), ("presence2", "Ethernet")):
            arguments = ("--segment", self.segment, "--listen", f"{V4}:0", "--max-entries", "1000",
                         "--max-scopes", "16", "--xdp", name, "--xdp-mode")
            for mode in MODES:
                status, out, err = run_daemon(*arguments, mode)
                self.assertEqual((status, out), (1, ""), err)
                self.assertRegex(err, words)
        status, out, err = run_daemon(*arguments[:-3], "--xdp", "lo", "--xdp-mode", "native")
        self.assertEqual(status, 1, err)
        self.assertRegex(err, "no native XDP")

    def test_loopback_addresses(self):
        """Nothing comes to them through another interface: said once, and in the status."""
        words = f"the filter has nothing to do: nothing comes through {INSIDE} to loopback"
        for mode in MODES:
            collector = self.start("--xdp", INSIDE, "--xdp-mode", mode, "--listen", "[::1]:0")
            self.assertEqual(collector.output().count(words), 1, collector.output())
            status = self.json("status")
            self.assertEqual((status["filter"], status["filter_interface"]), (mode, INSIDE))
            self.assertRegex(status["filter_reason"], "^nothing to do: --listen .* loopback")
            self.assertRegex(self.ctl("status")[1], f"\nXDP filter +{mode} on {INSIDE}: nothing")
            collector.stop()
        for arguments in (("--xdp", INSIDE, "--listen", f"{V4}:0"), ("--xdp", "lo")):
            collector = self.start(*arguments)
            self.assertNotIn("nothing to do", collector.output())
            self.assertIsNone(self.json("status")["filter_reason"])
            collector.stop()

    def start_as_nobody(self, capabilities, *arguments):
        self.let_anybody_in()
        return self.start(
            *arguments, listen=f"{V4}:0",
            prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                    f"--inh-caps=-all{capabilities}", f"--ambient-caps=-all{capabilities}"))

    def test_two_capabilities_are_enough(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                collector = self.start_as_nobody(",+bpf,+net_admin", "--xdp", INSIDE, "--xdp-mode",
                                                 mode)
                self.assertEqual(self.pair.filter(), mode)
                self.sender.sendto(b"PH\2", (V4, collector.port))
                self.sender.sendto(GOLDEN, (V4, collector.port))
                self.wait_filtered(2)
                collector.stop()
                os.unlink(self.segment)

    def test_without_them(self):
        for capabilities in ("", ",+bpf", ",+net_admin"):
            with self.subTest(capabilities=capabilities):
                collector = self.start_as_nobody(capabilities, "--xdp", INSIDE)
                self.assertRegex(collector.output(), "not permitted.*CAP_BPF.*; going on without")
                self.assertIsNone(self.pair.filter())
                self.assertEqual(os.readlink(f"/proc/{collector.process.pid}/fd/0"), os.devnull)
                self.sender.sendto(GOLDEN, (V4, collector.port))
                self.wait_received(1)
                collector.stop()
                os.unlink(self.segment)


class Flood(Veth):
    """Garbage as fast as this machine makes it, while valid heartbeats flow."""

    FRAMES = 300000 if os.environ.get("PRESENCE_SANITIZED") == "1" else 3000000
    BEATS = 4000  # over the time that the flood takes at least

    def setUp(self):
        super().setUp()
        self.pair.silence()

    def flood(self, collector, garbage):
        """Returns the flood's rate, and the statistics after it."""
        receive_in_batches(INSIDE, 1)  # also without a filter: what the flood's frames need
        self.share_processors({min(self.processors)})
        frame = self.pair.ethernet() + udp(garbage, collector.port)
        self.sender.sendto(GOLDEN, (V4, collector.port))  # so that the neighbours know each other
        self.wait_received(1)
        result, sent = [], 0
        flood = threading.Thread(target=lambda: result.append(self.pair.run(
            FLOOD, OUTSIDE, frame.hex(), str(self.FRAMES), timeout=120)))
        flood.start()
        while flood.is_alive() or sent < self.BEATS:
            self.sender.sendto(native(SITE, [visitor(sent)]), (V4, collector.port))
            sent += 1
            time.sleep(0.0003)
        flood.join()
        return 1e3 / float(result[0]), sent

    @staticmethod
    def processor_s(collector):
        """Seconds of a processor that the collector has used so far."""
        with open(f"/proc/{collector.process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_flood(self):
        garbage = bytearray(native(SITE, [visitor(1)]))
        garbage[3] = 77  # a kind that there is not
        self.share_processors()  # the collector may have others than the flood
        collector = self.collect("native", "--max-entries", "1000000")
        lost_before = self.pair.lost()
        rate, sent = self.flood(collector, bytes(garbage))
        total = self.FRAMES + sent + 1

        def lost_now():
            return self.pair.lost() - lost_before

        wait_until(lambda: self.filtered(self.stats()) + lost_now() >= total,
                   lambda: f"{total} to be filtered, or lost by the veth, which has lost "
                           f"{lost_now()}: {self.stats()}")
        stats, lost = self.stats(), lost_now()
        self.assertEqual(self.filtered(stats) + lost, total)
        self.assertEqual(stats["xdp_dropped_malformed"] + stats["xdp_passed"] + lost, total)
        self.assertLessEqual(stats["xdp_dropped_malformed"], self.FRAMES)
        self.wait_received(stats["xdp_passed"])
        self.assertEqual(self.count(SITE), stats["xdp_passed"] - 1)
        self.assertLess(lost, total / 2, "the machine is too busy to tell")
        self.assertEqual(stats["socket_drops"], 0)
        counted, used = self.count(SITE), self.processor_s(collector)
        collector.stop()
        os.unlink(self.segment)

        self.share_processors()
        lost_before = self.pair.lost()
        collector = self.start("--max-entries", "1000000", listen=f"{V4}:0")
        bare, bare_sent = self.flood(collector, bytes(garbage))

        def fates():
            """Received, dropped at the socket, and before it."""
            stats = self.stats()
            return (stats["datagrams_received"], stats["socket_drops"],
                    self.pair.lost() - lost_before)

        total = self.FRAMES + bare_sent + 1
        wait_until(lambda: sum(fates()) >= total,
                   lambda: f"{total} to be received or dropped: {fates()}")
        self.assertEqual(sum(fates()), total)
        stats = self.stats()
        self.assert_accounted(stats)
        self.assertEqual(stats["datagrams_accepted"] + stats["datagrams_rejected_malformed"],
                         stats["datagrams_received"])
        self.assertEqual(self.count(SITE), stats["datagrams_accepted"] - 1)
        print(f"\nwith the filter: {rate:.1f} M frames/s, {counted} of {sent} heartbeats counted, "
              f"{used:.2f} s of a processor; without: {bare:.1f} M frames/s, {self.count(SITE)} of "
              f"{bare_sent} counted, {self.processor_s(collector):.2f} s, "
              f"{stats['socket_drops']} datagrams dropped at the socket")


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
