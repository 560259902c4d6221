"""R9: a collector that cannot be reached costs the other ones nothing, and what it misses is known.

Its route, its link or its machine is gone, or what is sent to it does not move."""

import contextlib
import os
import sys
import unittest

from harness import wait_until
from relay_targets import Targets
from veth import ip, tc


class Routes(Targets):
    @contextlib.contextmanager
    def without_route(self):
        ip("route", "delete", self.spoke.subnet)
        try:
            yield
        finally:
            ip("route", "add", self.spoke.subnet, "dev", self.spoke.near)

    @contextlib.contextmanager
    def without_link(self):
        ip("link", "set", self.spoke.near, "down")
        try:
            yield
        finally:
            ip("link", "set", self.spoke.near, "up")

    @contextlib.contextmanager
    def unknown(self):
        """No machine has the address: the kernel asks for it, and keeps what is to be sent."""
        ip("link", "set", self.spoke.far, "arp", "off", prefix=self.spoke.prefix)
        ip("neighbour", "flush", "dev", self.spoke.near)
        before = self.account(2)["datagrams_refused"]
        try:
            wait_until(lambda: self.account(2)["datagrams_refused"] > before, "the kernel to give up")
            yield
        finally:
            ip("link", "set", self.spoke.far, "arp", "on", prefix=self.spoke.prefix)

    def is_full(self):
        """Whether nothing gets through, however small. Trains fail before."""
        before = self.account(2)
        wait_until(lambda: self.account(2)["datagrams_failed"] > before["datagrams_failed"] + 10,
                   "the kernel to refuse some")
        return self.account(2)["datagrams"] == before["datagrams"]

    @contextlib.contextmanager
    def full(self):
        """A queue that hardly moves: the relay's socket is soon full."""
        tc("qdisc", "add", "dev", self.spoke.near, "root", "tbf", "rate", "8bit", "burst", "2000",
           "limit", "100000000")
        load = self.load(pause=0.005, at_once=30)
        try:
            wait_until(self.is_full, "the socket to be full")
            load.stop()
            yield
        finally:
            tc("qdisc", "delete", "dev", self.spoke.near, "root")

    def test_route_gone(self):
        account = self.check(self.without_route)
        self.assertGreater(account["datagrams_failed"], 0)

    def test_link_down(self):
        account = self.check(self.without_link)
        self.assertGreater(account["datagrams_failed"], 0)

    def test_unknown_machine(self):
        self.check(self.unknown)

    def test_full_socket(self):
        account = self.check(self.full)
        self.assertGreater(account["datagrams_failed"], 0)


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
