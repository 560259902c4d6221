"""One list of requests and one table of what is right, through nginx, HAProxy and native senders;
the badge's is test_table_badge."""

import subprocess
import unittest

from documents import fenced
import people
from edge import Edge
from harness import DEADLINE, PRESENCE_SEND, Case
from people import SHOP, SITE
from table import TableCase
from test_haproxy import Haproxy
from test_nginx import Nginx, presence_web_location
from web import WebCase


class EdgeTable(TableCase, Edge):
    heartbeats = 0  # that must have come of the requests so far

    def report(self, request):
        """As whoever made it did, over plain HTTP. Now and then the collector is waited for: a relay
        that gets no processor for a while has a small buffer."""
        lines = [f"Host: {request.host}:{self.port}"]
        if "Connection" not in request.headers:
            lines.append("Connection: close")
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [f"Cookie: {cookie}" for cookie in request.cookies]
        self.exchange(request.method, request.path, *lines)
        if request.kind or request.who == "nobody":
            self.heartbeats += 1
            if self.heartbeats % 20 == 0:
                self.wait_received(self.heartbeats)

    def nobody(self):
        """How many look at pages without an id: these heartbeats are rejected by the collector."""
        return sum(request.who == "nobody" for request in people.REQUESTS)


class NginxTable(Nginx, EdgeTable, WebCase):
    """With presence-web in the same server block."""

    def test(self):
        self.begin_collector()
        web = self.serve(collector=self.collector)
        inside = self.proxy() + presence_web_location(f"127.0.0.1:{web.port}")
        self.start_edge(self.collector.port, inside=inside,
                        hosts=(f"{SITE} www.{SITE}", SHOP))
        self.check_table(self.nobody())


class HaproxyTable(Haproxy, EdgeTable, Case):
    def test(self):
        self.begin_collector()
        several = fenced("haproxy several sites")
        self.start_edge(self.collector.port, rules=several, site="%[var(txn.site)]")
        self.check_table(self.nobody())


class NativeTable(TableCase, Case):
    """What a correct program sends: of all that is no look at a page, nothing."""

    def report(self, request):
        if request.kind:
            command = [PRESENCE_SEND, "--to", f"127.0.0.1:{self.collector.port}", "--site",
                       request.site, "--visitor", request.visitor, "--kind", request.kind]
            for label in ("room", "source"):
                if value := getattr(request, label):
                    command += [f"--{label}", value]
            subprocess.run(command, check=True, timeout=DEADLINE)

    def test(self):
        self.begin_collector()
        self.check_table(0)


if __name__ == "__main__":
    unittest.main()
