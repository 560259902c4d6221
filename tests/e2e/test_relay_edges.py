"""nginx and HAProxy never wait for a relay: neither for one that is stopped and full, nor for one that
has ended."""

import http.client
import signal
import statistics
import time
import unittest

from edge import SITE, Edge
from harness import DEADLINE, bound_sockets, wait_until, waiting_bytes
from presence_relay import RelayCase
from test_haproxy import Haproxy
from test_nginx import Nginx

ROUNDS, PAGES, ATTEMPTS = 4, 200, 8


class Waiting(Edge):
    """Goes before RelayCase, after Nginx or Haproxy."""

    def setUp(self):
        super().setUp()
        self.collector = self.start("--max-entries", "100000")
        self.device = self.relay("--to", f"main={self.collector.address}")
        self.start_edge(self.device.relay_port)
        self.visits = 0

    def visit(self, connection):
        """Report an open page, which the edge itself answers; returns the seconds that this took."""
        self.visits += 1
        begin = time.monotonic()
        connection.request("POST", "/heartbeat/page", headers={
            "Host": SITE, "Cookie": f"visitor=v{self.visits}"})
        response = connection.getresponse()
        response.read()
        took = time.monotonic() - begin
        self.assertEqual(response.status, 204)
        return took

    def visit_often(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        took = [self.visit(connection) for _ in range(PAGES)]
        connection.close()
        return took

    def drops(self):
        return sum(int(fields[12]) for fields in bound_sockets(self.device.address))

    def fill(self):
        """Send to the relay, which is stopped, until there is no room for a single byte."""
        def full():
            before = self.drops()
            for _ in range(1000):
                self.socket.sendto(b"?", ("127.0.0.1", self.device.relay_port))
            return self.drops() >= before + 1000

        wait_until(full, "the relay's socket to be full")

    def compare(self, break_it, mend_it):
        """Check that pages take as long as ever. A busy machine may need several attempts."""
        tried = []
        for _ in range(ATTEMPTS):
            calm, broken = [], []
            for _ in range(ROUNDS):
                calm += self.visit_often()
                break_it()
                broken += self.visit_often()
                mend_it()
            middles = statistics.median(calm), statistics.median(broken)
            lasts = [sorted(each)[int(0.99 * len(each))] for each in (calm, broken)]
            tried.append((middles, lasts))
            if middles[1] < 1.3 * middles[0] + 0.0002 and lasts[1] < 2 * lasts[0] + 0.005:
                print(f"{self.name}: median {1e6 * middles[0]:.0f} us, then {1e6 * middles[1]:.0f}; "
                      f"p99 {1e6 * lasts[0]:.0f} us, then {1e6 * lasts[1]:.0f}")
                return
        self.fail(f"pages wait for the relay: {tried}")

    def test_stopped_relay(self):
        """It gets what its buffer took, and its account says what that did not."""
        full_at = 0

        def stop():
            nonlocal full_at
            # An edge answers first, and reports then.
            wait_until(lambda: self.count_so_far(SITE) == (self.visits + PAGES) / 2,
                       lambda: f"{(self.visits + PAGES) / 2} visitors, not {self.count_so_far(SITE)}")
            self.device.process.send_signal(signal.SIGSTOP)
            self.fill()
            full_at = self.drops()

        def go_on():
            wait_until(lambda: self.drops() == full_at + PAGES,
                       lambda: f"{PAGES} reports, not {self.drops() - full_at}")
            dropped = self.drops()
            self.device.process.send_signal(signal.SIGCONT)
            wait_until(lambda: self.device.value("socket_drops_total") == dropped, "its account")
            wait_until(lambda: waiting_bytes(self.device.address) == [0], "room in its socket")

        self.compare(stop, go_on)
        # All visits of calm times count, and none of the others: the socket was full.
        wait_until(lambda: self.count_so_far(SITE) == self.visits / 2,
                   lambda: f"{self.visits / 2} visitors, not {self.count_so_far(SITE)}")

    def test_relay_that_has_ended(self):
        def end():
            self.assertEqual(self.device.stop(), 0)

        def begin():
            self.device = self.relay("--to", f"main={self.collector.address}",
                                     "--listen", self.device.address)

        self.compare(end, begin)


class NginxWaiting(Nginx, Waiting, RelayCase):
    def start_edge(self, port):
        super().start_edge(port, inside="")


class HaproxyWaiting(Haproxy, Waiting, RelayCase):
    pass


if __name__ == "__main__":
    unittest.main()
