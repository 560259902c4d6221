"""docs/topologies.md: every way from edges to collectors, pasted onto machines of their own, with real
nginx and HAProxy."""

import configparser
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

from documents import fenced, read
from harness import BUILD, DEADLINE, wait_until
from proxies import HAPROXY
from topology import APPLICATION, EDGES, GROUP_A, GROUP_B, SITE, RelaysCase, TopologyCase, everywhere, people

PRESENCE_WEB = os.path.abspath(os.path.join(BUILD, "tools/presence-web/presence-web"))
TOTALS = "tools/presence-exporter/presence-totals.rules.yml"
TEXT_TO_LOOPBACK = ("access_log syslog:server=127.0.0.1:9514,tag=presence,nohostname presence "
                    "if=$presence_kind;")


class NginxAlone(TopologyCase):
    """nginx to three shards and a copy, without a relay."""

    def start_edge(self, address):
        self.start_nginx(address, shards=("\nserver {", fenced("nginx topology shards") + "\nserver {"),
                         collectors=(TEXT_TO_LOOPBACK, fenced("nginx topology collectors")))

    def test_shards_and_a_copy(self):
        """Everybody is in one shard, the same by every edge, and in the copy."""
        self.start_text_collectors(*GROUP_A, *GROUP_B)
        for edge in EDGES:
            self.start_edge(edge)
        visitors = people(0, 300)
        self.browse(EDGES[0], *everywhere(visitors[:200]))
        self.browse(EDGES[1], *everywhere(visitors[100:]))  # a hundred roam
        self.browse(EDGES[1], ("", "/"))  # no cookie
        for group in GROUP_A, GROUP_B:
            self.wait_total(group, 300)
            received = [self.stats_at(address) for address in group]
            self.assertEqual(sum(each["datagrams_accepted"] for each in received), 400)
            self.assertEqual(sum(each["datagrams_rejected_visitor"] for each in received), 1)
            self.assertEqual(sum(each["heartbeats_new"] for each in received), 300)
        for address in GROUP_A:
            self.assertGreater(self.count_at(address), 60)
        for page in range(7):
            self.wait_total(GROUP_A, self.count_at(GROUP_B[0], f"/page{page}"), f"/page{page}")
        self.assertEqual([visitor for visitor, homes in self.homes(GROUP_A, visitors[90:210]).items()
                          if len(homes) != 1], [])

    def check_others(self, edge, first):
        """Pages are served, and every heartbeat comes to the copy."""
        before = self.count_at(GROUP_B[0])
        self.browse(edge, *everywhere(people(first, 100)))
        self.wait_total(GROUP_B, before + 100)

    def test_a_collector_that_is_down_costs_nobody_anything(self):
        """It is stopped, or its port is closed, or it has no route, or nobody has its address: nginx
        serves, and the other collectors get everything."""
        self.start_text_collectors(*GROUP_A, *GROUP_B)
        edge = EDGES[0]
        self.start_edge(edge)
        self.check_others(edge, 0)
        self.wait_total(GROUP_A, 100)
        with self.subTest("stopped"):
            self.collectors[GROUP_A[0]].freeze()
            self.check_others(edge, 1000)
            self.collectors[GROUP_A[0]].thaw()
            self.wait_total(GROUP_A, 200)
        with self.subTest("killed"):
            self.collectors[GROUP_A[0]].stop(signal.SIGKILL)
            self.check_others(edge, 2000)
        with self.subTest("nobody has the address"):
            link = self.machine(GROUP_A[1]).link
            subprocess.run(["ip", "link", "set", link, "down"], check=True)
            self.machine(edge).ip("neighbour", "flush", "dev", "eth0")
            self.check_others(edge, 3000)
        with self.subTest("no route"):
            self.machine(edge).ip("route", "add", "unreachable", f"{GROUP_A[2]}/32")
            self.check_others(edge, 4000)
        others = [self.stats_at(address)["datagrams_rejected_sender"] for address in GROUP_B]
        self.assertEqual(others, [0])

    def test_it_sends_again_to_a_collector_that_is_back(self):
        self.start_text_collectors(*GROUP_A, *GROUP_B)
        edge = EDGES[0]
        self.start_edge(edge)
        self.collectors[GROUP_A[0]].stop()
        self.browse(edge, *everywhere(people(0, 50)))
        self.start_text_collectors(GROUP_A[0])
        self.browse(edge, *everywhere(people(0, 50)))  # one may be lost
        self.browse(edge, *everywhere(people(0, 50)))
        self.wait_total(GROUP_A, 50)


class Copies(TopologyCase):
    def test_haproxy_alone(self):
        """Two lines, two complete copies; one of them dies."""
        copies = (GROUP_A[0], GROUP_B[0])
        self.start_text_collectors(*copies)
        self.start_haproxy(EDGES[1], copies=(
            "    log 127.0.0.1:9514 len 65535 format raw local0 info\n",
            fenced("haproxy topology copies")))
        self.browse(EDGES[1], *everywhere(people(0, 100)))
        for address in copies:
            self.wait_total([address], 100)
        self.collectors[copies[0]].stop(signal.SIGKILL)
        self.browse(EDGES[1], *everywhere(people(1000, 100)))
        self.wait_total([copies[1]], 200)



class OneMachine(TopologyCase):
    def test_as_pasted(self):
        """The recipe of nginx, and a collector without a file."""
        address = EDGES[0]
        self.start_nginx(address)
        self.start_collector(address)
        self.browse(address, *everywhere(people(0, 20)))
        self.wait_total([address], 20)
        count, *stats = self.shell(address, fenced("sh topology one machine")).splitlines()
        self.assertEqual(count, "20")
        self.assertRegex("\n".join(stats), r"(?m)^datagrams_received +20 ")


class Relays(RelaysCase):
    def test_many_edges_and_one_collector(self):
        """Who roams counts once; each place has its key; a relay that ends and one that comes back."""
        collector = GROUP_A[0]
        self.start_edges(fenced("ini topology relay"))
        self.start_signed(collector)
        self.wait_heard(collector)
        total = self.browse_both(0, 100)
        self.wait_total([collector], total)
        stats = self.stats_at(collector)
        self.assertEqual(stats["pageviews"], 200)
        self.assertLess(stats["datagrams_accepted"] - stats["datagrams_empty"], 200)
        wait_until(lambda: {(each["address"], each["key"], each["state"], each["lost"])
                            for each in self.senders(collector)} ==
                   {(EDGES[0], 11, "alive", 0), (EDGES[1], 12, "alive", 0)},
                   lambda: f"both edges to be alive: {self.senders(collector)}")
        shown = self.shell(collector, fenced("sh topology senders"))
        self.assertRegex(shown, r"\A2 senders: 2 alive; as of ")
        self.assertRegex(shown, r"(?m)^10\.0\.0\.11:\d+ +11 +alive +\d+ s ")
        header = re.search(r"(?m)^ADDRESS .*(?= \.\.\.$)",
                           read("docs/topologies.md"))[0]
        self.assertEqual(shown.splitlines()[1].split()[:7], header.split())
        # A collector may count what a relay is yet to write down.
        wait_until(lambda: re.search(
            r"(?m)^presence_relay_target_heartbeats_total\{.*10\.0\.0\.21:9514.*\} 100$",
            self.shell(EDGES[0], fenced("sh topology relay metrics"))), "the relay's metrics")
        self.assertRegex(self.shell(collector, fenced("sh topology clock")), r"datagrams_rejected_stale +0 ")

        relay = self.relays[EDGES[0]]
        relay.terminate()
        relay.wait(DEADLINE)
        self.browse(EDGES[0], *everywhere(people(5000, 10)))  # served, not reported
        self.browse(EDGES[1], *everywhere(people(1000, 10)))
        self.wait_total([collector], total + 10)
        self.start_relay(EDGES[0], fenced("ini topology relay"))
        self.browse(EDGES[0], *everywhere(people(2000, 10)))  # the first only opens the way
        self.browse(EDGES[0], *everywhere(people(2000, 10)))
        self.wait_total([collector], total + 20)

    def test_two_collectors(self):
        """The second comes later; then both have everything, and one goes on without the other."""
        first, second = GROUP_A[0], GROUP_B[0]
        self.start_edges(fenced("ini topology relay"))
        self.start_signed(first)
        self.wait_heard(first)
        total = self.browse_both(0, 40)
        self.wait_total([first], total)
        self.start_signed(second, fenced("ini topology second collector"))
        for edge in EDGES:
            self.replace_file(edge, fenced("ini topology relay to copies"))
        self.wait_heard(first, second)
        self.browse_both(0, 40)
        for address in first, second:
            self.wait_total([address], total)
            self.assertEqual({each["key"] for each in self.senders(address)}, {11, 12})
        self.assertEqual(sum(each["lost"] for each in self.senders(first)), 0)
        self.collectors[first].stop(signal.SIGKILL)
        total += self.browse_both(1000, 40)
        self.wait_total([second], total)

    def test_a_program_beside_a_collector(self):
        """A relay on a collector's machine takes what is sent to loopback there."""
        self.start_edges(fenced("ini topology relay to copies"))
        for address in GROUP_A[0], GROUP_B[0]:
            self.start_signed(address)
        self.machine(GROUP_A[0]).write("relay.key", self.key_lines()[0], 0o600)  # of the same place
        self.start_relay(GROUP_A[0], fenced("ini topology relay to copies"))
        for address in GROUP_A[0], GROUP_B[0]:
            wait_until(lambda: len(self.senders(address)) == 3, lambda: self.senders(address))
        self.shell(GROUP_A[0], f"echo -n 'PH1 site={SITE} visitor=one' > /dev/udp/127.0.0.1/9514")
        for address in GROUP_A[0], GROUP_B[0]:
            self.wait_total([address], 1)

    def test_a_place_changes_its_key_and_is_shut_out(self):
        """By the steps of the document, nothing is lost; without its line, nothing comes in."""
        address, edge = GROUP_A[0], EDGES[0]
        self.start_edges(fenced("ini topology relay"))
        self.start_signed(address)
        self.wait_heard(address)
        keys = os.path.join(self.machine(address).directory, "keys")
        old = fenced("ini topology relay")
        total = self.browse_both(0, 40)
        self.wait_total([address], total)

        def change(text, key, relay=None):
            with open(key, "w", encoding="utf-8") as file:
                file.write(text)
            if relay:
                return self.replace_file(relay, old)
            count = self.collectors[address].output().count("reloaded")
            self.collectors[address].process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.collectors[address].output().count("reloaded") > count, "the keys")

        lines = "".join(self.key_lines())
        new = "111 " + os.urandom(16).hex() + "\n"
        change(lines + new, keys)
        change(new, self.keys["11"], edge)
        total += self.browse_both(1000, 40)
        self.wait_total([address], total)
        wait_until(lambda: {each["key"] for each in self.senders(address) if each["state"] == "alive"} ==
                   {12, 111}, lambda: f"the new key alone: {self.senders(address)}")
        change("".join(self.key_lines()), keys)
        self.browse(edge, *everywhere(people(2000, 10)))
        self.wait_total([address], total + 10)
        self.assertEqual(self.stats_at(address)["datagrams_rejected_unauthenticated"], 0)
        self.assertEqual(sum(each["lost"] for each in self.senders(address)), 0)

        change(new, keys)  # without the other place's line
        self.browse(EDGES[1], *everywhere(people(3000, 10)))
        self.browse(edge, *everywhere(people(4000, 10)))
        self.wait_total([address], total + 20)
        wait_until(lambda: self.stats_at(address)["datagrams_rejected_unauthenticated"] > 0, "a rejection")
        self.assertEqual(self.count_at(address), total + 20)

    def test_readers_ask_the_copy_that_is_alive(self):
        """HAProxy before presence-web of both collectors."""
        self.start_edges(fenced("ini topology relay to copies"))
        for address in GROUP_A[0], GROUP_B[0]:
            self.start_signed(address)
            machine = self.machine(address)
            machine.run([PRESENCE_WEB, "--listen", f"{address}:8474", "--segment", machine.segment,
                         "--to", f"{address}:9514"], "web")
            wait_until(lambda: "listening on" in machine.said("web"), "presence-web to listen")
        self.wait_heard(GROUP_A[0], GROUP_B[0])
        total = self.browse_both(0, 40)
        for address in GROUP_A[0], GROUP_B[0]:
            self.wait_total([address], total)
        reader = self.machine("10.0.0.51")
        path = reader.write("haproxy.cfg", APPLICATION.partition("frontend")[0] +
                            fenced("haproxy copies of presence-web") +
                            "frontend web\n    bind :8080\n    default_backend presence\n")
        self.wait_listening(reader, 8080, reader.run([HAPROXY, "-db", "-f", path], "haproxy"), "haproxy")

        def shown():
            connection = http.client.HTTPConnection(reader.address, 8080, timeout=DEADLINE)
            with contextlib.closing(connection):
                connection.request("GET", f"/api/sites/{SITE}/live-user-count")
                answer = connection.getresponse()
                body = answer.read()
            return json.loads(body) if answer.status == 200 else {"status": answer.status}

        wait_until(lambda: shown().get("count") == total, shown)
        self.collectors[GROUP_A[0]].stop()
        more = self.browse_both(1000, 10)
        wait_until(lambda: (got := shown()).get("count") == total + more and not got["stale"], shown)

    def test_shards_and_a_new_group(self):
        """The sum of the shards is the copy's count. More shards are a new group."""
        self.start_edges(fenced("ini topology relay to shards"))
        for address in (*GROUP_A, *GROUP_B):
            self.start_signed(address)
        self.wait_heard(*GROUP_A, *GROUP_B)
        total = self.browse_both(0, 200)
        for group in GROUP_A, GROUP_B:
            self.wait_total(group, total)
        for address in GROUP_A:
            self.assertGreater(self.count_at(address), 50)
            self.assertEqual(self.shell(address, fenced("sh topology shards")), f"{self.count_at(address)}\n")
        for page in range(7):
            self.wait_total(GROUP_A, self.count_at(GROUP_B[0], f"/page{page}"), f"/page{page}")
        visitors = people(90, 120)
        self.assertEqual([each for each, homes in self.homes(GROUP_A, visitors).items()
                          if len(homes) != 1], [])

        both = fenced("ini topology new group")
        new = re.findall(r"10\.0\.0\.4\d", both)
        for address in new:
            self.start_signed(address)
        for text in both, re.sub(r"(?m)^to = A=.*\n", "", both):
            for edge in EDGES:
                self.replace_file(edge, text)
            self.wait_heard(*new, *GROUP_B)
            total = max(total, self.browse_both(0, 200))
            for group in new, GROUP_B:
                self.wait_total(group, total)
        self.assertEqual(sum(each["lost"] for address in (*GROUP_A, *GROUP_B, *new)
                             for each in self.senders(address)), 0)


class Files(unittest.TestCase):
    """What no machine of a test runs is right in itself."""

    def test_prometheus_of_groups(self):
        """The file is one; test_prometheus_totals.py has it scrape. What is asked for is recorded."""
        with tempfile.TemporaryDirectory(prefix="presence-test-") as directory:
            path = os.path.join(directory, "prometheus.yml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(fenced("yaml topology groups"))
            done = subprocess.run(["promtool", "check", "config", "--syntax-only", path],
                                  capture_output=True, text=True, timeout=DEADLINE, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f'record: {fenced("promql topology total").partition("{")[0]}\n', read(TOTALS))

    def test_alerts(self):
        """Those that are named are among the rules."""
        rules = read("tools/presence-exporter/presence.rules.yml") + read(TOTALS)
        named = set(re.findall(r"`(Presence[A-Z]\w+)`", read("docs/topologies.md")))
        self.assertGreater(len(named), 5)
        self.assertLessEqual(named, set(re.findall(r"alert: (\w+)", rules)))

    def test_wireguard(self):
        """Each side lets in the address that the other one has, and the relay's file agrees."""
        edge = read_wireguard(fenced("ini topology wireguard edge"))
        collector = read_wireguard(fenced("ini topology wireguard collector"))
        for here, there in (edge, collector), (collector, edge):
            self.assertEqual(here["Peer"]["AllowedIPs"],
                             there["Interface"]["Address"].replace("/24", "/32"))
        self.assertEqual(edge["Peer"]["Endpoint"].rpartition(":")[2],
                         collector["Interface"]["ListenPort"])
        to = edge["Peer"]["AllowedIPs"].removesuffix("/32")
        self.assertIn(f"to = A={to}:9514\n", fenced("ini topology relay"))


def read_wireguard(text):
    parser = configparser.ConfigParser()
    parser.optionxform = str
    parser.read_string(text)
    return parser


if __name__ == "__main__":
    unittest.main()
