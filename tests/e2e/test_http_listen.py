"""Where presenced, presence-web and presence-exporter listen: several addresses, and both families."""

import http.client
import re
import socket
import tempfile
import unittest

from exporter import PRESENCE_EXPORTER
from harness import DEADLINE, PRESENCED, Case, native, program, visitor, wait_until
from web import PRESENCE_WEB

HTTP = ((PRESENCE_WEB, "--listen"), (PRESENCE_EXPORTER, "--web.listen-address"))


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


def ports(kind):
    """Ports that are free in both families, as far as one can know."""
    for _ in range(20):
        with socket.socket(socket.AF_INET6, kind) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
        yield port


def status(host, port):
    """The answer to a client there; None if nobody listens."""
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


@unittest.skipUnless(has_ipv6(), "needs IPv6")
class Listen(Case):
    def listen(self, command, count):
        """Start a program; returns (its log, where it listens) or None if a port is taken."""
        log = tempfile.NamedTemporaryFile("w")
        self.addCleanup(log.close)
        running = program(command, stdout=log, stderr=log)
        process = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)

        def output():
            with open(log.name, encoding="utf-8") as file:
                return file.read()

        def listening():
            found = re.findall(r"listening on (?:http://)?(\S+):(\d+)", output())
            is_ready = command[0] != PRESENCED or "presenced: ready" in output()  # it has advice behind an address
            return process.poll() is not None or (len(found) >= count and is_ready and found)

        found = wait_until(listening, "it to listen")
        if found is True:
            self.assertIn("ddress already in use", output())
            return None
        return output(), [(host, int(port)) for host, port in found]

    def listen_on_a_port(self, kind, command, *addresses):
        """The same with {} for a port, which is tried again where somebody else takes it."""
        for port in ports(kind):
            texts = [address.format(port) for address in addresses]
            words = [word for text in texts for word in (command[-1], text)]
            if found := self.listen([*command[:-1], *words], len(texts)):
                return found[0], port
        raise AssertionError("no port stays free")

    def test_several_addresses(self):
        for path, option in HTTP:
            output, places = self.listen(
                [path, "--segment", self.segment, option, "127.0.0.1:0", f"{option}=[::1]:0",
                 option, "127.0.0.2:0"], 3)
            self.assertEqual([host for host, _ in places], ["127.0.0.1", "[::1]", "127.0.0.2"])
            for host, port in places:
                self.assertEqual(status(host.strip("[]"), port), 200, output)
            self.assertIsNone(status("127.0.0.1", places[1][1]), "of another address")

    def test_all_addresses(self):
        """[::] takes both families alone, and beside an IPv4 address of the same port its own."""
        for path, option in HTTP:
            command = [path, "--segment", self.segment, option]
            for addresses, hosts, refused in (
                    (("[::]:{}",), ("127.0.0.1", "::1", "127.0.0.2"), ()),
                    ((":{}",), ("127.0.0.1", "::1"), ()),
                    (("0.0.0.0:{}", "[::]:{}"), ("127.0.0.1", "::1"), ()),
                    (("[::]:{}", "0.0.0.0:{}"), ("127.0.0.1", "::1"), ()),
                    (("[::0]:{}", "127.0.0.1:{}"), ("127.0.0.1", "::1"), ("127.0.0.2",)),
                    (("0.0.0.0:{}",), ("127.0.0.1",), ("::1",))):
                with self.subTest(program=path, addresses=addresses):
                    output, port = self.listen_on_a_port(socket.SOCK_STREAM, command, *addresses)
                    self.assertNotIn("IPv6 only", output)
                    for host in hosts:
                        self.assertEqual(status(host, port), 200, output)
                    for host in refused:
                        self.assertIsNone(status(host, port))

    def test_ipv4_is_taken(self):
        """[::] then says that it is for IPv6 only."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for path, option in HTTP:
                found = self.listen([path, "--segment", self.segment, option, f"[::]:{port}"], 1)
                if found:  # somebody else may have the port of IPv6
                    self.assertRegex(found[0], rf"\[::\]:{port} is for IPv6 only: another program")
                    self.assertEqual(status("::1", port), 200)

    def test_collector(self):
        """Its [::] is for IPv6 only: it says so, and both can be given."""
        command = [PRESENCED, "--segment", self.segment, "--warm-up", "0", "--max-entries", "10000",
                   "--max-scopes", "64", "--max-histories", "0", "--events", "0", "--listen"]
        output, port = self.listen_on_a_port(socket.SOCK_DGRAM, command, "[::]:{}")
        self.assertIn(f"[::]:{port} is for IPv6 only: give --listen 0.0.0.0:{port} as well for IPv4",
                      output)
        command[2] += "-both"
        output, port = self.listen_on_a_port(socket.SOCK_DGRAM, command, "[::]:{}", "0.0.0.0:{}")
        self.assertNotIn("IPv6 only", output)
        for number, host in enumerate(("127.0.0.1", "::1")):
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                               socket.SOCK_DGRAM) as sender:
                sender.sendto(native("example.com", [visitor(number)]), (host, port))
        self.segment = command[2]
        wait_until(lambda: self.json("count", "example.com")["count"] == 2,
                   "both families to be counted")


if __name__ == "__main__":
    unittest.main()
