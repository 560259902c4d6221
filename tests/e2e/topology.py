"""What the ways of docs/topologies.md have in common: collectors, nginx, HAProxy and relays on machines, with
the files of the documents as they stand."""

import http.client
import json
import os
import signal
import socket
import unittest

from documents import fenced, substitute
from harness import BUILD, DEADLINE, SMALL, Case, with_defaults, wait_until
from machines import Network
from proxies import HAPROXY
from test_nginx import AROUND, NGINX

SITE = "example.com"
RELAY = os.path.abspath(os.path.join(BUILD, "tools/presence-relay/presence-relay"))
PROGRAMS = ("daemon/presenced", "tools/presencectl/presencectl")
EDGES = ("10.0.0.11", "10.0.0.12")
GROUP_A = ("10.0.0.21", "10.0.0.22", "10.0.0.23")
GROUP_B = ("10.0.0.31",)
# What serves the pages behind HAProxy.
APPLICATION = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend pages
    bind 127.0.0.1:8081
    http-request return status 200 content-type text/html string page
"""


@unittest.skipIf(os.geteuid(), "needs root, for network namespaces")
class TopologyCase(Case):
    search_for_leaks = False

    def setUp(self):
        super().setUp()
        self.network = self.enterContext(Network(self.directory))
        self.machines, self.collectors = {}, {}
        self.commands = os.path.join(self.directory, "bin")
        os.mkdir(self.commands)
        for name in PROGRAMS:
            os.symlink(os.path.abspath(os.path.join(BUILD, name)),
                       os.path.join(self.commands, os.path.basename(name)))
        with open(os.open(os.path.join(self.commands, "systemctl"), os.O_WRONLY | os.O_CREAT, 0o755),
                  "w") as file:
            file.write("#!/bin/sh\n")

    def machine(self, address):
        if address not in self.machines:
            self.machines[address] = self.network.machine(address)
        return self.machines[address]

    def shell(self, address, text):
        """Run a block there, with the programs of the build and a systemctl that does nothing."""
        return self.machine(address).shell(text, {"PATH": f"{self.commands}:{os.environ['PATH']}"})

    # ---- collectors ----------------------------------------------------------------------------

    def start_collector(self, address, configuration=""):
        """Start a collector on a machine, with this file."""
        machine = self.machine(address)
        path = machine.write("presenced.conf", configuration)
        collector = machine.collector("--config", path, *with_defaults(SMALL, ("--warm-up", "0")))
        collector.judge = self.assert_account_closes
        self.addCleanup(self.ensure_ended, collector)
        self.collectors[address] = collector.wait_ready()
        return collector

    def start_text_collectors(self, *addresses):
        for address in addresses:
            self.start_collector(address, fenced("ini topology text collector").replace(
                "10.0.0.21", address))

    def count_at(self, address, *scope):
        """Return the count of a collector, None if that is unknown."""
        return json.loads(self.ctl("count", SITE, *scope, "--json",
                                   segment=self.machine(address).segment)[1])["count"]

    def stats_at(self, address):
        return json.loads(self.ctl("stats", "--json", segment=self.machine(address).segment)[1])

    def total(self, addresses, *scope):
        return sum(self.count_at(address, *scope) or 0 for address in addresses)

    def wait_total(self, addresses, number, *scope):
        wait_until(lambda: self.total(addresses, *scope) == number,
                   lambda: f"{number} at {addresses}, not "
                           f"{[self.count_at(each, *scope) for each in addresses]}")

    def homes(self, addresses, visitors):
        """Return where each visitor is counted: a list of addresses for each."""
        return {visitor: [address for address in addresses if self.ctl(
                    "seen", SITE, visitor, segment=self.machine(address).segment)[0] == 0]
                for visitor in visitors}

    # ---- edges ---------------------------------------------------------------------------------

    def wait_listening(self, machine, port, process, name):
        def listening():
            self.assertIsNone(process.poll(), machine.said(name))
            try:
                socket.create_connection((machine.address, port), timeout=DEADLINE).close()
                return True
            except ConnectionRefusedError:
                return False

        wait_until(listening, f"{name} on {machine.address}")

    def start_nginx(self, address, **changes):
        """Start nginx there with the recipe of docs/deploying.md, and further changes to it."""
        machine = self.machine(address)
        pages = os.path.join(machine.directory, "pages")
        os.mkdir(pages)
        with open(os.path.join(pages, "index.html"), "w", encoding="utf-8") as file:
            file.write("<!doctype html><title>page</title>")
        pasted = substitute(
            fenced("nginx"),
            pages=("root /var/www/html;", f"root {pages}; try_files $uri /index.html;"),
            log=("access_log /var/log/nginx/access.log;", "access_log /dev/null;"), **changes)
        path = machine.write("nginx.conf", AROUND % {"directory": machine.directory, "pasted": pasted})
        process = machine.run([NGINX, "-p", machine.directory, "-e",
                               os.path.join(machine.directory, "error.log"), "-c", path], "nginx")
        self.wait_listening(machine, 8080, process, "nginx")

    def start_haproxy(self, address, **changes):
        """The same with HAProxy; its application is on the test's own address."""
        machine = self.machine(address)
        path = machine.write("haproxy.cfg", substitute(fenced("haproxy"), **changes))
        machine.run([HAPROXY, "-db", "-f", machine.write("application.cfg", APPLICATION)], "application")
        process = machine.run([HAPROXY, "-db", "-f", path], "haproxy")
        self.wait_listening(machine, 8080, process, "haproxy")

    def start_relay(self, address, text):
        """Start a relay there with this file; returns the process."""
        machine = self.machine(address)
        key = os.path.join(machine.directory, "relay.key")
        path = machine.write("presence-relay.conf", substitute(
            text, key=("/etc/presence/relay.key", key)))
        before = machine.said("relay").count("listening on")
        process = machine.run([RELAY, "--config", path], "relay")
        wait_until(lambda: machine.said("relay").count("listening on") > before, "the relay to listen")
        return process

    def browse(self, address, *pairs):
        """Have visitors look at pages of an edge: pairs of visitor and path."""
        connection = http.client.HTTPConnection(address, 8080, timeout=DEADLINE)
        for visitor, path in pairs:
            connection.request("GET", path, headers={
                "Host": SITE, "Cookie": f"visitor={visitor}", "Sec-Fetch-Dest": "document"})
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
        connection.close()


def people(first, number):
    return [f"person-{n}" for n in range(first, first + number)]


def everywhere(visitors):
    """Each visitor on one of seven pages."""
    return [(visitor, f"/page{number % 7}") for number, visitor in enumerate(visitors)]


class RelaysCase(TopologyCase):
    """nginx on one edge and HAProxy on the other, each with a relay."""

    def setUp(self):
        super().setUp()
        self.relays = {}
        self.keys = {}

    def make_key(self, address):
        """Run the commands of an edge: its key, whose id is its place."""
        machine = self.machine(address)
        place = address.rpartition(".")[2]
        key = os.path.join(machine.directory, "relay.key")
        text = fenced("sh topology edge").replace("/etc/presence/relay.key", key)
        self.shell(address, substitute(text, mode=("-m 640 -g presence", "-m 600"),
                                       place=("11 ", f"{place} ")))
        self.keys[place] = key

    def key_lines(self):
        """Return the lines of all edges' key files."""
        lines = []
        for key in self.keys.values():
            with open(key, encoding="utf-8") as file:
                lines += file.readlines()
        return lines

    def start_edges(self, text):
        for address in EDGES:
            self.make_key(address)
        self.start_nginx(EDGES[0])
        self.start_haproxy(EDGES[1])
        for address in EDGES:
            self.relays[address] = self.start_relay(address, text)

    def start_signed(self, address, text=None):
        """Start a collector that has the keys of all edges, with this file or the first collector's."""
        text = text or fenced("ini topology collector").replace("10.0.0.21", address)
        machine = self.machine(address)
        for place, key in self.keys.items():
            with open(key, encoding="utf-8") as file:
                machine.write(f"edge-{place}.key", file.read(), 0o600)
        keys = os.path.join(machine.directory, "keys")
        make = fenced("sh topology collector").replace("/etc/presence/keys", keys)
        self.shell(address, substitute(make, mode=("-m 640 -g presence", "-m 600")))
        self.start_collector(address, substitute(text, keys=("/etc/presence/keys", keys)))

    def replace_file(self, address, text):
        """Have another file for a relay, and reload it."""
        machine = self.machine(address)
        key = os.path.join(machine.directory, "relay.key")
        machine.write("presence-relay.conf", substitute(text, key=("/etc/presence/relay.key", key)))
        reloads = machine.said("relay").count("reloaded")
        self.relays[address].send_signal(signal.SIGHUP)
        wait_until(lambda: machine.said("relay").count("reloaded") > reloads,
                   lambda: f"the relay to reload: {machine.said('relay')}")

    def senders(self, address):
        return json.loads(self.ctl("senders", "--json",
                                   segment=self.machine(address).segment)[1])["senders"]

    def wait_heard(self, *addresses):
        """Wait until these collectors hear the relays of all edges: one that had no way to a collector
        looks for it again within a second, and what comes meanwhile is lost."""
        for address in addresses:
            wait_until(lambda: {each["address"] for each in self.senders(address)
                                if each["state"] == "alive"} >= set(EDGES),
                       lambda: f"all edges at {address}: {self.senders(address)}")

    def browse_both(self, first, number):
        """Show so many visitors to each edge, half of them to both. Returns how many they are."""
        self.browse(EDGES[0], *everywhere(people(first, number)))
        self.browse(EDGES[1], *everywhere(people(first + number // 2, number)))
        return number // 2 + number
