"""Heartbeats by way of a real syslog relay: rsyslog and syslog-ng between the edge and the collector, and
logger(1).
"""

import contextlib
import os
import signal
import socket
import subprocess
import unittest

from harness import DEADLINE, Case, free_port, wait_until
from syslog_relay import RsyslogRelay, SyslogNgRelay

SITE = "example.com"
BOM = "\ufeff"

# What edges and programs send to a relay, with %s for the heartbeat.
TAGGED = [
    "<190>Nov 22 03:56:23 presence: %s",  # nginx, nohostname
    "<190>Nov 22 03:56:23 edge-1 presence: %s",  # nginx
    "<134>Nov 22 03:55:11 haproxy[8009]: %s\n",  # HAProxy, local
    "<134>Nov 22 03:55:11 edge-1 haproxy[8009]: %s\n",  # HAProxy, rfc3164
    "<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - %s\n",  # HAProxy, rfc5424
    '<134>1 2026-11-22T03:55:11Z edge-1 web 1 - [a@1 b="c d"][e@1 f="g"] %s',
    f"<134>1 2026-11-22T03:55:11Z edge-1 web 1 - - {BOM}%s",  # RFC 5424, UTF-8
    f'<134>1 2026-11-22T03:55:11Z edge-1 web 1 - [a@1 b="c"] {BOM}%s',
    "<13>Nov 22 03:55:11 edge-1 presence:%s",
    f"<13>Nov 22 03:55:11 edge-1 presence[{'x' * 400}]: %s",
    f"<134>1 2026-11-22T03:55:11Z edge-1 web 1 - [a@1 b=\"{'x' * 700}\"] %s",
]
UNTAGGED = ["%s", "%s\n", "<13>%s", "<13>Nov 22 03:55:11 edge-1 %s"]
TABBED = ["<13>Nov 22 03:55:11 edge-1 presence:\t%s", "<13>presence:\t%s"]


def heartbeat(number, **words):
    """What an edge puts behind the header: with escapes, odd slashes, capitals and no country."""
    words = {"room": '"/caf\\xc3\\xa9//"', "source": "News.Example", "country": "XX", **words}
    return " ".join([f'PH1 site={SITE} visitor="n\\xc3\\xb6-\\"{number}\\""',
                     *(f"{key}={value}" for key, value in words.items())])


class RelayCase(Case):
    def setUp(self):
        super().setUp()
        self.collector = self.start()
        self.sent = 0

    def visitor(self, number):
        return f'nö-"{number}"'

    def lines(self, forms):
        """One heartbeat in each form, each of somebody else."""
        lines = []
        for form in forms:
            self.sent += 1
            lines.append((form % heartbeat(self.sent)).encode())
        return lines

    def send_lines(self, port, lines):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as edge:
            for line in lines:
                edge.sendto(line, ("127.0.0.1", port))

    def check_repeated(self, port):
        self.sent = 5
        self.send_lines(port, [(TAGGED[0] % heartbeat(1)).encode()] * self.sent)
        self.assertEqual(self.wait_received(self.sent)["heartbeats_refreshed"], 4)

    def check_restart(self, port):
        """Heartbeats count soon after a collector is back."""
        def send(number):
            self.send_lines(port, [(TAGGED[0] % heartbeat(number)).encode()])
            return self.ctl("seen", SITE, self.visitor(number))[0] == 0

        wait_until(lambda: send(1), "the first visitor")
        self.collector.stop(signal.SIGKILL)
        for _ in range(5):
            send(2)
        self.collector = self.start(listen=f"127.0.0.1:{self.collector.port}")
        wait_until(lambda: send(3), "heartbeats after the restart", deadline=DEADLINE / 2)

    def check_chain(self, tcp, first, second):
        """The recipe twice, with changes; the second listens at the port `tcp`."""
        self.start_recipe(changes=second, name="second", kind="tcp", port=tcp)
        self.send_lines(self.start_recipe(changes=first), self.lines(TAGGED + UNTAGGED + TABBED))
        self.settle()

    def settle(self, **expected):
        """Everybody was counted, in the site, the room and the source, and nobody else was."""
        stats = self.wait_received(self.sent)
        self.assert_accounted(stats)
        self.assertEqual(stats["datagrams_received"], self.sent)
        for name, value in stats.items():
            if name.startswith("datagrams_rejected_") or name in ("label_invalid", "room_too_long"):
                self.assertEqual(value, expected.get(name, 0), name)
        unseen = [number for number in range(1, self.sent + 1)
                  if self.ctl("seen", SITE, self.visitor(number))[0] != 0]
        self.assertEqual(unseen, [])
        skipped = expected.get("label_invalid", 0)
        self.assertEqual(self.count(SITE), self.sent)
        self.assertEqual(self.count(SITE, "/café"), self.sent - skipped)
        self.assertEqual(self.count(SITE, "--source", "news.example"), self.sent)
        self.assertEqual(self.json("top", SITE, "--by", "country")["countries"], [])
        self.assertEqual(len(self.json("top", SITE, "--by", "room")["rooms"]), 1)
        return stats


class Rsyslog(RsyslogRelay, RelayCase):
    def forward(self, lines, template="", before=""):
        port = free_port(socket.SOCK_DGRAM)
        self.start_relay(before + f"""
            module(load="imudp")
            ruleset(name="all") {{
                action(type="omfwd" target="127.0.0.1" port="{self.collector.port}"
                       protocol="udp" {template})
            }}
            input(type="imudp" address="127.0.0.1" port="{port}" ruleset="all")
        """, port)
        self.send_lines(port, lines)

    def test_traditional_format(self):
        self.forward(self.lines(TAGGED + UNTAGGED))
        self.settle()

    def test_forward_format(self):
        self.forward(self.lines(TAGGED + UNTAGGED), 'template="RSYSLOG_ForwardFormat"')
        self.settle()

    def test_message_alone(self):
        """It begins with a space."""
        self.forward(self.lines(TAGGED), 'template="message"',
                     'template(name="message" type="string" string="%msg%\\n")')
        self.settle()

    def test_rfc5424_format(self):
        self.forward(self.lines(TAGGED), 'template="RSYSLOG_SyslogProtocol23Format"')
        self.settle()

    def test_tabs(self):
        """It writes #011 for a tab, unless told not to."""
        self.forward(self.lines(TABBED), before='global(parser.escapeControlCharacterTab="off")')
        self.settle()

    def test_repeated_lines(self):
        """Whoever stays on a page sends the same again, whatever the machine does with logs."""
        self.check_repeated(self.start_recipe("$RepeatedMsgReduction on\n"))

    def test_beside_other_logs(self):
        """Pasted behind a configuration that takes logs from the network already."""
        other = os.path.join(self.directory, "other.log")
        port = self.start_recipe(f"""
            module(load="imudp")
            input(type="imudp" address="127.0.0.1" port="{free_port(socket.SOCK_DGRAM)}")
            *.* {other}
        """)
        self.send_lines(port, self.lines(TAGGED + UNTAGGED + TABBED))
        self.settle()
        with contextlib.suppress(FileNotFoundError), open(other, encoding="utf-8") as file:
            self.assertNotIn("visitor", file.read())

    def test_collector_restarts(self):
        self.check_restart(self.start_recipe())

    def test_over_tcp(self):
        """From one relay to another, which passes on to the collector."""
        tcp = free_port()
        first = (('port="9514"', f'port="{tcp}"'),
                 ('protocol="udp"', 'protocol="tcp" TCP_Framing="octet-counted"'))
        second = (("imudp", "imtcp"), ('port="1514"', f'port="{tcp}"'))
        self.check_chain(tcp, first, second)

    def test_readme(self):
        self.send_lines(self.start_recipe(), self.lines(TAGGED + UNTAGGED + TABBED))
        self.settle()

    def test_cut_lines(self):
        """A line that is cut in its room is somebody on the site."""
        self.sent = 2
        cut = f'{heartbeat(1, room="-")} ' + 'room="/caf\\xc3\\xa9/a/ve'
        self.forward([(TAGGED[0] % cut.replace("room=- ", "")).encode(),
                      (TAGGED[4] % heartbeat(2)).encode()])
        self.settle(label_invalid=1)


class SyslogNg(SyslogNgRelay, RelayCase):
    def test_repeated_lines(self):
        self.check_repeated(self.start_recipe())

    def test_collector_restarts(self):
        """It doesn't wait a minute until it tries again."""
        self.check_restart(self.start_recipe())

    def test_over_tcp(self):
        tcp = free_port()
        first = (("port(9514)", f"port({tcp})"),
                 ('transport("udp") template', 'transport("tcp") template'))
        second = (('transport("udp") flags', 'transport("tcp") flags'), ("port(1514)", f"port({tcp})"))
        self.check_chain(tcp, first, second)

    def forward(self, lines, flags, destination):
        port = free_port(socket.SOCK_DGRAM)
        self.start_relay(f"""
            options {{ keep-hostname(yes); use-dns(no); dns-cache(no); }};
            source s {{ network(ip("127.0.0.1") port({port}) transport("udp") {flags}); }};
            destination d {{
                {destination}("127.0.0.1" port({self.collector.port}) transport("udp"));
            }};
            log {{ source(s); destination(d); }};
        """, port)
        self.send_lines(port, lines)

    def test_bsd_format(self):
        self.forward(self.lines(TAGGED + UNTAGGED + TABBED), "", "network")
        self.settle()

    def test_rfc5424_format(self):
        """It writes a byte order mark before what is known to be UTF-8."""
        self.forward(self.lines(TAGGED + TABBED[:1]), "flags(syslog-protocol, validate-utf8)",
                     "syslog")
        self.settle()

    def test_readme(self):
        self.send_lines(self.start_recipe(), self.lines(TAGGED + UNTAGGED + TABBED))
        self.settle()


class Logger(RelayCase):
    """logger(1) sends to the collector itself."""

    def log(self, *arguments, stdin=None):
        subprocess.run(["logger", "--udp", "--server", "127.0.0.1", "--port",
                        str(self.collector.port), *arguments], input=stdin, check=True,
                       timeout=DEADLINE)

    def test_every_format(self):
        for arguments in (
            [], ["--rfc3164"], ["--rfc5424"], ["--rfc5424=notime,nohost"], ["-t", "presence"],
            ["--rfc3164", "-t", "presence"], ["--rfc5424", "-t", "presence", "--id"],
            ["--rfc3164", "-t", "t" * 40, "--id=1"], ["-p", "local7.debug"], ["--octet-count"],
            ["--octet-count", "--rfc3164"], ["--rfc5424", "--msgid", "heartbeat"],
            ["--rfc5424", "--sd-id", "a@1", "--sd-param", 'b="c"'],
            ["--rfc5424", "--sd-id", "a@1", "--sd-param", f'b="{"x" * 300}"'],
        ):
            self.sent += 1
            self.log(*arguments, "--", heartbeat(self.sent))
        self.settle()

    def test_lines_of_a_program(self):
        self.sent = 20
        lines = "".join(heartbeat(number) + "\n" for number in range(1, 21))
        self.log("--tag", "presence", stdin=lines.encode())
        self.settle()

    def test_a_message_that_is_cut(self):
        """It cuts at 1024 bytes: somebody on the site, in no room."""
        self.sent = 2
        self.log(heartbeat(1))
        cut = f'{heartbeat(2, room="-")} room="/{"x" * 2000}"'
        self.log(cut.replace("room=- ", ""))
        self.settle(label_invalid=1)


if __name__ == "__main__":
    unittest.main()
