"""R9: a collector that the network has lost costs the other ones nothing, and what it misses is
known."""

import contextlib
import os
import sys
import unittest

from harness import wait_until
from relay_targets import Targets
from veth import ip


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

    def test_route_gone(self):
        account = self.check(self.without_route)
        self.assertGreater(account["datagrams_failed"], 0)

    def test_link_down(self):
        account = self.check(self.without_link)
        self.assertGreater(account["datagrams_failed"], 0)

    def test_unknown_machine(self):
        self.check(self.unknown)


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
