"""R9: a collector that fails costs the other ones nothing, and what it misses is known.

One of three fails in every way; meanwhile the counts of the other two stay exact, and their delays
are those of before."""

import contextlib
import os
import sys
import time
import unittest

from harness import wait_until
from relay_targets import Targets
from veth import ip

STOPPED_S = 10


class Failures(Targets):
    @contextlib.contextmanager
    def stopped(self):
        self.collector.freeze()
        try:
            yield
        finally:
            self.collector.thaw()

    @contextlib.contextmanager
    def refused(self):
        """Nobody has the port: each datagram is answered by an ICMP message."""
        self.assertEqual(self.collector.stop(), 0)
        try:
            yield
        finally:
            self.collector = self.collectors[2] = self.collect(2, listen=self.collector.address)

    @contextlib.contextmanager
    def swallowed(self):
        """Everything gets there, and nobody answers."""
        ip("neighbour", "replace", self.spoke.address, "lladdr", self.spoke.hardware(), "nud",
           "permanent", "dev", self.spoke.near)
        ip("address", "delete", f"{self.spoke.address}/24", "dev", self.spoke.far,
           prefix=self.spoke.prefix)
        try:
            yield
        finally:
            ip("address", "add", f"{self.spoke.address}/24", "dev", self.spoke.far,
               prefix=self.spoke.prefix)

    def test_stopped(self):
        """Its buffer takes what comes, for as long as there is room."""
        load, begin = self.load(), time.monotonic()
        with self.stopped():
            wait_until(lambda: self.delays(1) and time.monotonic() > begin + STOPPED_S, "10 s")
        load.stop()
        self.check(self.stopped, loses=False)

    def test_refused(self):
        account = self.check(self.refused)
        self.assertGreater(account["datagrams_refused"], 0)

    def test_nobody_answers(self):
        self.check(self.swallowed)


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
