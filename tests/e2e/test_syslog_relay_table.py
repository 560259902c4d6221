"""The table of requests through nginx and HAProxy, whose heartbeats a real syslog relay passes on."""

import socket
import unittest

from documents import fenced
from harness import Case, free_port
from people import SHOP, SITE, Request
from syslog_relay import RsyslogRelay, SyslogNgRelay
from test_haproxy import Haproxy
from test_nginx import Nginx
from test_table import EdgeTable


class NginxTable(Nginx):
    def start_table(self, port):
        self.start_edge(port, hosts=(f"{SITE} www.{SITE}", SHOP))


class HaproxyTable(Haproxy):
    log_format = "raw"

    def start_table(self, port):
        several = fenced("haproxy several sites")
        self.start_edge(port, rules=several, site="%[var(txn.site)]", log_format=self.log_format)


class RelayTable(EdgeTable):
    def test(self):
        self.begin_collector()
        self.start_table(self.start_recipe())
        self.check_table(self.nobody())
        self.check_long_lines()

    def check_long_lines(self):
        """The longest names that there can be arrive, and of a path without end the visitor."""
        received = self.stats()["datagrams_received"]
        visitor, room = '"' * 512, "/" + '"' * 254
        self.report(Request(visitor, room.replace('"', "%22")))
        self.report(Request("wanderer", "/" + "x" * 7900))
        stats = self.wait_received(received + 2)
        self.assertEqual(stats["datagrams_received"], received + 2)
        self.assertEqual(self.count(SITE, room), 1)
        for each in (visitor, "wanderer"):
            self.assertEqual(self.ctl("seen", SITE, each)[0], 0)


class NginxRsyslog(RelayTable, NginxTable, RsyslogRelay, Case):
    pass


class NginxSyslogNg(RelayTable, NginxTable, SyslogNgRelay, Case):
    pass


class HaproxyRsyslog(RelayTable, HaproxyTable, RsyslogRelay, Case):
    pass


class HaproxySyslogNg(RelayTable, HaproxyTable, SyslogNgRelay, Case):
    pass


class OwnFormats(EdgeTable):
    """The relay writes headers of its own; the edge, a tag."""

    RSYSLOG = """
        global(parser.escapeControlCharactersOnReceive="off")
        module(load="imudp")
        ruleset(name="all") {{
            action(type="omfwd" target="127.0.0.1" port="{collector}" protocol="udp" {template})
        }}
        input(type="imudp" address="127.0.0.1" port="{port}" ruleset="all")
    """
    SYSLOG_NG = """
        options {{ keep-hostname(yes); use-dns(no); dns-cache(no); }};
        source s {{ network(ip("127.0.0.1") port({port}) transport("udp") {flags}); }};
        destination d {{ {driver}("127.0.0.1" port({collector}) transport("udp")); }};
        log {{ source(s); destination(d); }};
    """

    def check(self, configuration, **values):
        self.begin_collector()
        port = free_port(socket.SOCK_DGRAM)
        self.start_relay(
            configuration.format(port=port, collector=self.collector.port, **values), port)
        self.start_table(port)
        self.check_table(self.nobody())


class NginxRsyslogFormats(OwnFormats, NginxTable, RsyslogRelay, Case):
    def test_traditional(self):
        self.check(self.RSYSLOG, template="")

    def test_rfc5424(self):
        self.check(self.RSYSLOG, template='template="RSYSLOG_SyslogProtocol23Format"')


class HaproxyRsyslogFormats(OwnFormats, HaproxyTable, RsyslogRelay, Case):
    def test_local_as_traditional(self):
        self.log_format = "local"
        self.check(self.RSYSLOG, template="")

    def test_rfc3164_as_forward_format(self):
        self.log_format = "rfc3164"
        self.check(self.RSYSLOG, template='template="RSYSLOG_ForwardFormat"')

    def test_rfc5424(self):
        self.log_format = "rfc5424"
        self.check(self.RSYSLOG, template='template="RSYSLOG_SyslogProtocol23Format"')


class NginxSyslogNgFormats(OwnFormats, NginxTable, SyslogNgRelay, Case):
    def test_bsd(self):
        self.check(self.SYSLOG_NG, flags="", driver="network")


class HaproxySyslogNgFormats(OwnFormats, HaproxyTable, SyslogNgRelay, Case):
    def test_local_as_bsd(self):
        self.log_format = "local"
        self.check(self.SYSLOG_NG, flags="", driver="network")

    def test_rfc5424(self):
        self.log_format = "rfc5424"
        self.check(self.SYSLOG_NG, flags="flags(syslog-protocol)", driver="syslog")


if __name__ == "__main__":
    unittest.main()
