"""Whatever happens to a sender's route and to its machine's addresses, it goes on by itself, and each
of its datagrams is accounted for: what the kernel refused is known to the sender, what was lost on
the way to the collector.

The sender is libpresence's, and waits for nothing, as presence-relay's."""

import os
import sys
import unittest

from bursts import Outside, Sender
from harness import wait_until
from veth import OUTSIDE, V4, V4_OUTSIDE, V6, V6_OUTSIDE, ip

BURST = 300  # datagrams: more than a system call's, and few enough for every queue on the way
OPTIONS = ("no-wait",), ("no-wait", "no-offload")
FAR = "198.51.100.1"  # an address of the collector's machine that needs a route
NEW = {V4_OUTSIDE: "192.0.2.3", V6_OUTSIDE: "2001:db8::3"}
COLLECTORS = {V4_OUTSIDE: V4, V6_OUTSIDE: f"[{V6}]"}


class Routes(Outside):
    def each(self, act, host=V4, kinds=OPTIONS):
        """Act with a sender of each kind, to a collector of its own, and check both afterwards."""
        for options in kinds:
            with self.subTest(host=host, options=options):
                self.collector = self.collect(host=host)
                self.skipped = 0  # datagrams before the first that arrived
                self.on_the_way = False  # something was lost there
                sender = Sender(self, self.address, options=options)
                act(sender)
                self.check_accounts(sender)
                sender.end()
                self.assertEqual(self.collector.stop(), 0)

    def outside(self, *arguments):
        ip(*arguments, prefix=self.pair.prefix)

    def change_address(self, verb, address):
        """Add or delete an address of the sender's machine."""
        nodad = ["nodad"] if ":" in address and verb == "add" else []
        length = 64 if ":" in address else 24
        self.outside("address", verb, f"{address}/{length}", "dev", OUTSIDE, *nodad)

    def source(self, sender):
        """Return the address and port that the collector has had the last datagram from."""
        return next((known["address"], known["port"]) for known in self.json("senders")["senders"]
                    if known["stream"] == sender.stream)

    def arrive(self, sender):
        """Send until something arrives that was not sent before: earlier bursts may be on their way."""
        before, is_first = sender.totals(), not self.knows(sender)
        sent = before["failed"] + before["datagrams"]
        if is_first:
            self.skipped = sent
        wait_until(lambda: sender.burst(1) and self.knows(sender) and
                   self.figures_of(sender)["expected"] + self.skipped > sent, "a datagram to arrive")
        self.assertGreater(sender.totals(BURST)["datagrams"], before["datagrams"] + BURST)

    def knows(self, sender):
        return (sender.stream, 0) in self.senders()

    def check_fails(self, sender):
        """Check that the kernel refuses all of a burst."""
        before = sender.totals()
        after = sender.totals(BURST)
        self.assertEqual(after["datagrams"], before["datagrams"])
        self.assertGreaterEqual(after["failed"], before["failed"] + BURST)

    def check_accounts(self, sender):
        """Check that sender and collector agree at rest. What failed never arrives."""
        self.arrive(sender)
        seen = None

        def known():
            nonlocal seen
            seen = sender.totals(), self.figures_of(sender)
            totals, figures = seen
            sent = totals["datagrams"] + totals["failed"]
            return figures["expected"] == sent - self.skipped and sender.burst(0) == sent

        wait_until(known, lambda: f"the collector to know what was sent: {seen}")
        totals, figures = seen
        print(f"{totals}; {figures}; {self.skipped} before the first")
        self.assertEqual(figures["duplicates"], 0)
        lost_on_the_way = totals["datagrams"] - figures["received"]
        lost_heartbeats = totals["heartbeats"] - figures["heartbeats"]
        if self.on_the_way:
            self.assertTrue(0 < lost_heartbeats <= lost_on_the_way)
        else:
            self.assertEqual((lost_on_the_way, lost_heartbeats), (0, 0))
        self.assertEqual(figures["lost"], totals["failed"] + lost_on_the_way - self.skipped)

    def test_no_address_at_start(self):
        """As at boot: a sender opens, and sends as soon as it can."""
        for address, host in COLLECTORS.items():
            for options in OPTIONS:
                self.change_address("delete", address)
                self.each(lambda sender: self.get_address(sender, address), host, [options])

    def get_address(self, sender, address):
        self.check_fails(sender)
        self.check_fails(sender)
        self.change_address("add", address)
        self.arrive(sender)
        self.assertEqual(sender.totals()["failed"], self.skipped)

    def test_another_address(self):
        """Sooner or later than the old one goes. The port stays."""
        self.pair.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/promote_secondaries")
        for address, host in COLLECTORS.items():
            self.each(lambda sender: self.change_to_new(sender, address), host)

    def change_to_new(self, sender, address):
        self.arrive(sender)
        self.assertEqual(self.source(sender)[0], address)
        port = self.source(sender)[1]
        self.change_address("delete", address)
        self.check_fails(sender)
        self.change_address("add", NEW[address])
        self.arrive(sender)
        self.assertEqual(self.source(sender), (NEW[address], port))
        failed = sender.totals()["failed"]
        self.change_address("add", address)
        self.change_address("delete", NEW[address])
        self.arrive(sender)
        self.assertEqual(self.source(sender), (address, port))
        self.assertEqual(sender.totals()["failed"], failed)

    def each_far(self, act):
        """Act with senders to an address that needs a route."""
        ip("address", "add", f"{FAR}/32", "dev", "lo")
        self.outside("route", "add", FAR, "via", V4)
        self.each(act, FAR)

    def test_route_goes(self):
        """And is forbidden, in every way that there is."""
        def act(sender):
            self.arrive(sender)
            for kind in "", "blackhole", "unreachable", "prohibit", "throw":
                self.outside("route", "delete", FAR)
                kind and self.outside("route", "add", kind, FAR)
                self.check_fails(sender)
                kind and self.outside("route", "delete", kind, FAR)
                self.outside("route", "add", FAR, "via", V4)
                self.arrive(sender)

        self.each_far(act)

    def test_interface_goes_down(self):
        def act(sender):
            self.arrive(sender)
            self.outside("link", "set", OUTSIDE, "down")
            self.check_fails(sender)
            self.outside("link", "set", OUTSIDE, "up")
            self.arrive(sender)

        self.each(act)

    def check_refused(self, sender):
        """Check that reports come back, and nothing fails for them."""
        before = sender.totals()
        wait_until(lambda: sender.totals(BURST)["refused"] > before["refused"], "a report")
        self.assertEqual(sender.totals()["failed"], before["failed"])
        self.on_the_way = True

    def test_port_unreachable(self):
        """The collector is away for a while."""
        def act(sender):
            self.arrive(sender)
            self.assertEqual(self.collector.stop(), 0)
            self.check_refused(sender)
            self.collector = self.start("--max-entries", "1000000", listen=self.address)
            self.arrive(sender)

        self.each(act)

    def test_host_unreachable(self):
        """As a router on the way says."""
        for name, value in ("ip_forward", "1"), ("icmp_ratelimit", "0"):
            with open(f"/proc/sys/net/ipv4/{name}", "w") as setting:
                setting.write(value)

        def act(sender):
            self.arrive(sender)
            ip("address", "delete", f"{FAR}/32", "dev", "lo")
            ip("route", "add", "unreachable", FAR)
            self.check_refused(sender)
            ip("route", "delete", "unreachable", FAR)
            ip("address", "add", f"{FAR}/32", "dev", "lo")
            self.arrive(sender)

        self.each_far(act)


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
