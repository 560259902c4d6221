"""presence-relay's accounts: its metrics, the line at its end, and what of them outlives it."""

import fcntl
import gzip
import os
import re
import signal
import socket
import subprocess
import unittest

from exporter import OPENMETRICS, ExporterCase
from harness import DEADLINE, free_port, native, native2, record, visitor, wait_until
from presence_relay import RelayCase
from service_manager import ServiceManager
from xxh3 import shard_of

SITE = "example.com"
PREFIX = "presence_relay_"
CONNECTIONS = 64
TARGET = "heartbeats", "datagrams", "datagrams_failed", "datagrams_refused"


class Accounts(RelayCase, ExporterCase):
    def accounts(self, relay):
        """All samples: {name, without the prefix and _total: value}, or for the families with labels
        {(name, labels' values in order of their names...): value}."""
        samples = {}
        for (name, labels), value in self.metrics(relay).items():
            name = re.sub("_total$", "", name.removeprefix(PREFIX))
            samples[(name, *(value for _, value in labels)) if labels else name] = value
        return samples

    def target(self, accounts, group, shard, address):
        """A collector's numbers by name."""
        return {name: value for (name, *labels), value in
                ((key, value) for key, value in accounts.items() if isinstance(key, tuple))
                if labels == [group, str(shard), address]}

    def send_relay(self, relay, *datagrams):
        for datagram in datagrams:
            self.socket.sendto(datagram, ("127.0.0.1", relay.relay_port))

    def wait_accounts(self, relay, **expected):
        def have():
            accounts = self.accounts(relay)
            return accounts if all(accounts[name] == value
                                   for name, value in expected.items()) else None

        return wait_until(have, lambda: f"{expected} in {self.accounts(relay)}")

    def wait_handed_over(self, relay):
        """Wait until nothing waits; returns the accounts."""
        def have():
            accounts = self.accounts(relay)
            waiting = [value for key, value in accounts.items() if "heartbeats_waiting" in key[0]]
            return accounts if not any(waiting) else None

        return wait_until(have, lambda: f"all to be handed over: {self.accounts(relay)}")

    def assert_closed(self, accounts):
        """What was accepted for a collector is somewhere, and each group had everything."""
        groups = {}
        for key in [key for key in accounts if key[0] == "target_heartbeats_accepted"]:
            target = self.target(accounts, *key[1:])
            self.assertEqual(
                target["target_heartbeats_accepted"],
                sum(target[f"target_heartbeats{what}"] for what in
                    ("", "_dropped", "_lost", "_waiting")), accounts)
            groups[key[1]] = groups.get(key[1], 0) + target["target_heartbeats_accepted"]
        for group, accepted in groups.items():
            self.assertEqual(accepted, accounts["heartbeats_accepted"], (group, accounts))
        rejected = sum(value for key, value in accounts.items() if key[0] == "datagrams_rejected")
        self.assertEqual(accounts["datagrams_received"], accounts["datagrams_accepted"] + rejected)


class Metrics(Accounts):
    def setUp(self):
        super().setUp()
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.silent.close)
        self.silent.bind(("127.0.0.1", 0))
        self.silent_address = "127.0.0.1:%d" % self.silent.getsockname()[1]

    def run_one(self, *arguments):
        return self.relay("--to", f"A={self.silent_address}", *arguments)

    def test_promtool_finds_nothing(self):
        relay = self.run_one()
        done = subprocess.run(["promtool", "check", "metrics"], input=self.text(relay),
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_formats_and_pages(self):
        relay = self.run_one("--web.listen-address", "127.0.0.1:0", "--web.listen-address", "127.0.0.2:0")
        self.assertEqual(re.findall(r"listening on http://(\S+):\d+/metrics", relay.output()),
                         ["127.0.0.1", "127.0.0.2"])
        self.assertEqual({name for name, _ in self.metrics(relay)},
                         {name for name, _ in self.metrics(relay, openmetrics=True)})
        status, headers, body = relay.get("/metrics", **{"Accept": OPENMETRICS,
                                                         "Accept-Encoding": "gzip"})
        self.assertEqual((status, headers["Content-Encoding"]), (200, "gzip"))
        self.assertTrue(headers["Content-Type"].startswith("application/openmetrics-text"))
        self.assertTrue(gzip.decompress(body).endswith(b"# EOF\n"))
        self.assertEqual(relay.get("/-/healthy")[2], b"presence-relay is healthy\n")
        self.assertIn(b'href="/metrics"', relay.get("/")[2])
        self.assertEqual(relay.get("/nothing")[0], 404)

    def test_one_address_leaves_room_for_others(self):
        self.assertTrue(self.run_one().stays_connected(2 * CONNECTIONS))

    def test_every_datagram_has_a_reason(self):
        relay = self.run_one()
        two = native2(record(SITE, [visitor(1), visitor(2)]), record(SITE, [visitor(1)], room="/"),
                      stream=7, sequence=1)
        self.send_relay(
            relay, native(SITE, [visitor(1)]), two, two, native2(stream=7, sequence=4),
            b"PH\x09", b"PH1 nothing=1", b"", b"PH1 site=a.example visitor=null",
            f"PH1 site={SITE} visitor=a country=1 source=b.example".encode(),
            f"PH1 site={SITE} visitor=b room=/{'x' * 256}".encode())
        accounts = self.wait_accounts(relay, datagrams_received=10)
        self.assertEqual({key[1]: value for key, value in accounts.items()
                          if key[0] == "datagrams_rejected"},
                         {"sender": 0, "version": 1, "malformed": 2, "visitor": 1, "duplicate": 1})
        self.assertEqual(accounts["heartbeats_accepted"], 6)
        self.assertEqual(accounts["datagrams_empty"], 1)
        self.assertEqual(accounts["labels_skipped", "invalid"], 1)
        self.assertEqual(accounts["labels_skipped", "room_too_long"], 1)
        self.assertEqual((accounts["streams_expected"], accounts["streams_received"]), (4, 2))
        self.assert_closed(self.wait_handed_over(relay))

    def test_strangers(self):
        relay = self.run_one("--allow", "192.0.2.0/24")
        self.send_relay(relay, native(SITE, [visitor(1)]))
        accounts = self.wait_accounts(relay, datagrams_received=1)
        self.assertEqual(accounts["datagrams_rejected", "sender"], 1)

    def test_drops_of_the_socket(self):
        relay = self.run_one()
        relay.process.send_signal(signal.SIGSTOP)
        try:  # until its buffer is full, which the kernel says in /proc/net/udp
            datagram, mine = native(SITE, [visitor(i) for i in range(80)]), f":{relay.relay_port:04X} "

            def drops():
                self.send_relay(relay, *[datagram] * 1000)
                with open("/proc/net/udp", encoding="ascii") as table:
                    return sum(int(line.split()[-1]) for line in table if mine in line[:25])

            wait_until(drops, "the socket to drop")
        finally:
            relay.process.send_signal(signal.SIGCONT)
        wait_until(lambda: self.accounts(relay)["socket_drops"] > 0, "the drops to be counted")
        self.assert_closed(self.wait_handed_over(relay))


class Collectors(Accounts):
    def test_what_is_handed_over_arrives(self):
        collectors = [self.start_in(name, "--warm-up", "0") for name in "abc"]
        addresses = [f"127.0.0.1:{collector.port}" for collector in collectors]
        relay = self.relay("--to", f"A={addresses[0]},{addresses[1]}", "--to", f"B={addresses[2]}")
        visitors = [visitor(i) for i in range(300)]
        self.send_relay(relay, *[native(SITE, [one]) for one in visitors])
        accounts = self.wait_accounts(relay, heartbeats_accepted=300)
        self.assertEqual(accounts["group_shards", "A"], 2)
        self.assertEqual(accounts["group_shards", "B"], 1)
        accounts = self.wait_handed_over(relay)
        self.assert_closed(accounts)
        first = sum(shard_of(one, 2) == 0 for one in visitors)
        for group, shard, address, expected in (
                ("A", 1, addresses[0], first), ("A", 2, addresses[1], 300 - first),
                ("B", 1, addresses[2], 300)):
            target = self.target(accounts, group, shard, address)
            self.assertEqual(target["target_heartbeats"], expected)
            self.assertEqual([target[f"target_{what}"] for what in TARGET[2:]], [0, 0])
        for collector, expected in zip("abc", (first, 300 - first, 300)):
            self.segment = os.path.join(self.directory, collector, "segment")
            wait_until(lambda: self.count_so_far(SITE) == expected,
                       lambda: f"{expected} at {collector}: {self.count_so_far(SITE)}")
        self.assertEqual(relay.stop(), 0)
        self.assert_line(relay, accounts, ("A", 1, addresses[0]), ("A", 2, addresses[1]),
                         ("B", 1, addresses[2]))

    def assert_line(self, relay, accounts, *targets):
        """The line at the end says what the metrics did; empty datagrams may have followed."""
        lines = re.findall(r"^presence-relay: (received .*)$", relay.output(), re.M)
        self.assertEqual(len(lines), 1, relay.output())
        line, *rest = lines[0].split("; accepted ")
        received = accounts["datagrams_received"]
        self.assertEqual(line, f"received {received:.0f} datagrams = {received:.0f} accepted + "
                               f"0 rejected; 0 dropped by the sockets")
        for target in targets:
            numbers = self.target(accounts, *target)
            self.assertRegex(rest[0], r"; %s/%d %s: %d heartbeats in \d+ datagrams, 0 failed, "
                                      r"0 refused; 0 heartbeats dropped, 0 lost" %
                             (*target[:2], re.escape(target[2]), numbers["target_heartbeats"]))

    def test_a_collector_that_is_not_there(self):
        """It refuses, and the other has everything."""
        collector, port = self.start_in("a", "--warm-up", "0"), free_port(socket.SOCK_DGRAM)
        there, gone = f"127.0.0.1:{collector.port}", f"127.0.0.1:{port}"
        relay = self.relay("--to", f"A={there}", "--to", f"B={gone}")
        self.send_relay(relay, *[native(SITE, [visitor(i)]) for i in range(50)])

        def refuses():
            return self.target(self.accounts(relay), "B", 1, gone)["target_datagrams_refused"] > 0

        wait_until(refuses, lambda: f"{gone} to refuse: {self.accounts(relay)}")
        self.wait_accounts(relay, heartbeats_accepted=50)
        accounts = self.wait_handed_over(relay)
        self.assert_closed(accounts)
        target = self.target(accounts, "A", 1, there)
        self.assertEqual([target[f"target_{what}"] for what in ("heartbeats", *TARGET[2:])], [50, 0, 0])
        self.assertEqual(relay.stop(), 0)
        self.assertRegex(relay.output(), r"; B/1 %s: [^;]*, [1-9]\d* refused" % re.escape(gone))

    def test_a_group_goes(self):
        """SIGHUP ends its account with a line, and the other's goes on."""
        collector = self.start_in("a", "--warm-up", "0")
        there, port = f"127.0.0.1:{collector.port}", free_port(socket.SOCK_DGRAM)
        with_both = f"to = A={there}\nto = B=127.0.0.1:{port}\n"
        path = self.write("relay.conf", with_both)
        relay = self.relay("--config", path)
        self.send_relay(relay, *[native(SITE, [visitor(i)]) for i in range(20)])
        self.wait_accounts(relay, heartbeats_accepted=20)
        self.wait_handed_over(relay)
        self.write("relay.conf", f"to = A={there}\n")
        relay.hang_up()
        relay.wait_logged(r"no longer sends to B/1 127\.0\.0\.1:%d: " % port)
        self.assertNotIn(("group_shards", "B"), self.accounts(relay))
        self.send_relay(relay, *[native(SITE, [visitor(i)]) for i in range(20)])
        self.wait_accounts(relay, heartbeats_accepted=40)
        accounts = self.wait_handed_over(relay)
        self.assertEqual(self.target(accounts, "A", 1, there)["target_heartbeats"], 40)
        self.assertFalse([key for key in accounts if "B" in key])


class Restarts(Accounts):
    """With a service manager that keeps what the relay stores."""

    def setUp(self):
        super().setUp()
        self.manager = ServiceManager(self.directory)
        self.addCleanup(self.manager.close)
        self.sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.sink.close)
        self.sink.bind(("127.0.0.1", 0))
        self.target_address = "127.0.0.1:%d" % self.sink.getsockname()[1]

    def start_relay(self, *arguments, to=None):
        relay = self.relay("--to", to or f"A={self.target_address}", *arguments,
                           **self.manager.keywords())
        wait_until(lambda: "presence-relay-memory" in self.manager.names(),
                   lambda: f"its memory in {self.manager.names()}")
        return relay

    def send_some(self, relay, count):
        before = self.accounts(relay)["heartbeats_accepted"]
        self.send_relay(relay, *[native(SITE, [visitor(i)]) for i in range(count)])
        self.wait_accounts(relay, heartbeats_accepted=before + count)

    def mine(self, relay):
        return self.target(self.accounts(relay), "A", 1, self.target_address)

    def test_a_restart_goes_on(self):
        relay = self.start_relay()
        self.send_some(relay, 30)
        self.assertEqual(relay.stop(), 0)
        again = self.start_relay("--listen", relay.address)
        self.send_some(again, 10)
        accounts = self.wait_handed_over(again)
        self.assert_closed(accounts)
        self.assertEqual(accounts["datagrams_received"], 40)
        self.assertEqual(self.mine(again)["target_heartbeats"], 40)
        self.assertEqual(self.mine(again)["target_heartbeats_lost"], 0)
        self.assertEqual(again.stop(), 0)
        self.assertRegex(again.output(), r"received 40 datagrams = 40 accepted")

    def test_a_kill_loses_what_waits(self):
        """It is known how much; whether any waits is a matter of when the kill comes."""
        relay = self.start_relay("--hold", "1000")

        def loses():
            nonlocal relay
            self.send_some(relay, 25)
            relay.stop(signal.SIGKILL)
            relay = self.start_relay("--hold", "1000", "--listen", relay.address)
            accounts = self.wait_handed_over(relay)
            self.assert_closed(accounts)
            lost = self.mine(relay)["target_heartbeats_lost"]
            logged = re.search(r"killed while up to (\d+) heartbeats for A/1 \S+ waited: lost",
                               relay.output())
            return lost if lost and logged else None

        lost = wait_until(loses, "a kill while some wait")
        relay.stop()
        again = self.start_relay()
        self.assertEqual(self.mine(again)["target_heartbeats_lost"], lost)

    def test_other_shards_have_other_accounts(self):
        """A group of another size, or of another name, begins at 0."""
        relay = self.start_relay(to=f"A={self.target_address},127.0.0.2:9")
        self.send_some(relay, 40)
        relay.stop()
        again = self.start_relay("--to", "B=127.0.0.3:9")
        self.assertRegex(again.output(), r"group A has 1 instead of 2 shards now: .*begin a new group")
        again.wait_logged(r"no longer sends to A/1 ")
        again.wait_logged(r"no longer sends to A/2 127\.0\.0\.2:9: ")
        accounts = self.accounts(again)
        self.assertEqual(accounts["heartbeats_accepted"], 40)
        for key, value in accounts.items():
            if key[0].startswith("target_heartbeats"):
                self.assertEqual(value, 0, key)

    def test_memory_that_is_not_a_relays(self):
        relay = self.start_relay()
        self.send_some(relay, 5)
        relay.stop()
        with self.manager.lock:
            memory = dict(self.manager.store)["presence-relay-memory"]
        size = os.fstat(memory).st_size
        for damage in (b"\xff" * size, b"\x07"):
            with self.subTest(damage=damage[:1]):
                os.pwrite(memory, damage, 0)
                relay = self.start_relay("--listen", relay.address)
                self.assertRegex(relay.output(), "cannot go on with the last relay's accounts: .*; "
                                                 "beginning at 0")
                self.assertEqual(self.accounts(relay)["heartbeats_accepted"], 0)
                self.send_some(relay, 5)
                relay.stop()

    def test_memory_that_can_be_cut_off(self):
        """It is closed, and the relay has its own."""
        memory = os.memfd_create("memory", os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, memory)
        os.ftruncate(memory, 1 << 20)
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.manager.add("presence-relay-memory", memory)
        relay = self.start_relay()
        self.assertIn("presence-relay-memory", relay.output())
        self.send_some(relay, 5)
        relay.stop()
        again = self.start_relay()
        self.assertEqual(self.accounts(again)["heartbeats_accepted"], 5)


if __name__ == "__main__":
    unittest.main()
