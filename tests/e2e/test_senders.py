"""presencectl senders: who sends, who fell silent, what was lost; and why a site is quiet."""

import contextlib
import csv
import io
import os
import re
import unittest

from harness import clock_ahead, native, record, visitor, wait_until
from senders import KEY, Edge
from test_presencectl import SITE, CtlCase


def heartbeats(*numbers):
    return record(SITE, [visitor(number) for number in numbers])


class SendersCase(CtlCase):
    def wait_arrived(self, number):
        """Wait for so many datagrams, including those that only say that their sender is alive."""
        wait_until(lambda: self.stats()["datagrams_received"] >= number,
                   lambda: f"{number} datagrams: {self.stats()}")


class Senders(SendersCase):
    def senders(self):
        """The senders by their streams' ids, as numbers."""
        return {int(each["stream"], 16): each for each in self.json("senders")["senders"]}

    def wait_state(self, edge, state):
        wait_until(lambda: self.senders().get(edge.stream, {}).get("state") == state,
                   lambda: f"{state}: {self.senders()}")

    def wait_said(self, *patterns):
        """Wait for the table to match all patterns: an edge is silent after 3 s, and a busy machine
        may take longer between what it sends."""
        wait_until(lambda: all(re.search(each, self.ctl("senders")[1]) for each in patterns),
                   lambda: f"{patterns}: {self.ctl('senders')}")

    def test_figures(self):
        collector = self.start("--warm-up", "0")
        first, second = Edge(self, collector), Edge(self, collector, "127.0.0.2", target=3)
        first.send(heartbeats(1, 2))
        for lost in True, False, False, True, True, False:
            first.send(heartbeats(3), lost=lost)
        first.send(heartbeats(3), again=True)
        second.send()
        self.wait_arrived(6)
        got = self.senders()
        figures = ("address", "port", "key", "target", "datagrams", "heartbeats", "expected",
                   "received", "lost", "duplicates")
        self.assertEqual([got[first.stream][name] for name in figures],
                         ["127.0.0.1", first.socket.getsockname()[1], None, 0, 5, 5, 7, 4, 3, 1])
        self.assertEqual([got[second.stream][name] for name in figures],
                         ["127.0.0.2", second.socket.getsockname()[1], None, 3, 1, 0, 1, 1, 0, 0])
        stats = self.stats()
        self.assertEqual((stats["streams_expected"], stats["streams_received"],
                          stats["datagrams_rejected_duplicate"]), (8, 5, 1))
        self.assertEqual(self.json("status")["streams_live"], 2)
        explained = self.json("explain", SITE)
        self.assertEqual((explained["streams_expected"], explained["streams_received"]), (8, 5))
        self.assertIn("3 of 8 that senders numbered (37.500 %) were lost on the way: see",
                      self.ctl("explain", SITE)[1])

        status, out, err = self.ctl("senders")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[1].split(), ["ADDRESS", "KEY", "STATE", "AGE", "DATAGRAMS", "HEARTBEATS",
                                            "EXPECTED", "RECEIVED", "LOST", "DUPLICATES"])
        self.assertRegex(out, r"\n127\.0\.0\.1:\d+ +- +\w+ +\d+ s +5 +5 +7 +4 +3 +1\n")
        rows = csv.DictReader(io.StringIO(self.ctl("senders", "--csv")[1], newline=""))
        self.assertEqual({row["address"]: [int(row[name]) for name in figures[4:]] for row in rows},
                         {"127.0.0.1": [5, 5, 7, 4, 3, 1], "127.0.0.2": [1, 0, 1, 1, 0, 0]})
        with first.kept_alive(), second.kept_alive():
            self.wait_said(r"\A2 senders: 2 alive; as of \S+Z\n", r" alive +\d+ s ")

    def test_a_late_datagram_is_not_lost(self):
        collector = self.start("--warm-up", "0")
        edge = Edge(self, collector)
        edge.send()
        edge.send(lost=True)
        edge.send()
        self.wait_arrived(2)
        self.assertEqual(self.senders()[edge.stream]["lost"], 1)
        edge.sequence = 1
        edge.send()
        self.wait_arrived(3)
        self.assertEqual(self.senders()[edge.stream]["lost"], 0)

    def test_silence_and_restart(self):
        collector = self.start("--warm-up", "0")
        alive, gone = Edge(self, collector, "127.0.0.2"), Edge(self, collector, "127.0.0.3")
        gone.send()
        with alive.kept_alive():
            self.wait_state(gone, "silent")
            self.wait_said(r"\A2 senders: 1 alive, 1 silent; as of ",
                           r"\n127\.0\.0\.3:\d+ +- +silent +\d+ s ")
            status, _, err = self.ctl("senders")
            self.assertEqual((status, err), (0, ""))
            with Edge(self, collector, "127.0.0.3").kept_alive():
                self.wait_state(gone, "restarted")
                self.wait_said(r"\A3 senders: 2 alive, 1 restarted since; ")

                def counted():
                    answer = self.json("senders")
                    return answer["total"], answer["silent"], answer["restarted"]

                wait_until(lambda: counted() == (3, 0, 1), counted)
            with gone.kept_alive():
                self.wait_state(gone, "alive")

    def test_forms(self):
        """They are exact while the collector warms up, too."""
        collector = self.start("--warm-up", "3600")
        self.assertRegex(self.ctl("senders")[1], r"\A0 senders: 0 alive; as of \S+Z\n\Z")
        self.assertEqual(self.json("senders")["senders"], [])
        edges = [Edge(self, collector, f"127.0.0.{n}") for n in (1, 2, 3)]
        for edge in edges:
            edge.send()
        self.wait_arrived(3)
        status, out, err = self.ctl("senders", "--csv")
        self.assertEqual((status, err), (0, ""))
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        self.assertEqual({int(row["stream"], 16): (row["address"], row["received"]) for row in rows},
                         {edge.stream: (edge.address, "1") for edge in edges})
        self.assertEqual(len(self.ctl("senders", "--csv", "--limit", "2")[1].splitlines()), 3)
        self.assertRegex(self.ctl("senders", "--limit", "2")[1], r"\A[^\n]*; the last heard 2 of 3\n")
        answer = self.json("senders", "--limit", "1")
        self.assertEqual((len(answer["senders"]), answer["total"]), (1, 3))

    def test_an_ipv6_address(self):
        edge = Edge(self, self.start("--warm-up", "0", listen="[::1]:0"), "::1")
        edge.send()
        self.wait_arrived(1)
        self.assertIn(f"\n[::1]:{edge.socket.getsockname()[1]} ", self.ctl("senders")[1])

    def test_keys(self):
        keys = os.path.join(self.directory, "keys")
        with open(keys, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(f"7 {KEY.hex()}\n")
        collector = self.start("--warm-up", "0", "--keys", keys)
        edge, forger = Edge(self, collector), Edge(self, collector)
        edge.send(key=7)
        forger.send()
        self.wait_arrived(2)
        self.assertEqual({stream: each["key"] for stream, each in self.senders().items()},
                         {edge.stream: 7})
        self.assertRegex(self.ctl("senders")[1], r"\n127\.0\.0\.1:\d+ +7 +\w+ ")

    def test_a_full_table(self):
        collector = self.start("--warm-up", "0", "--max-streams", "1")
        first, second = Edge(self, collector), Edge(self, collector)
        first.send()
        self.wait_arrived(1)
        second.send()
        self.wait_arrived(2)
        status, out, err = self.ctl("senders")
        self.assertEqual(status, 0)
        self.assertEqual(set(self.senders()), {first.stream})
        self.assertRegex(err, r"\Apresencectl: 1 datagram of senders that are not listed: raise "
                              r"--max-streams \(streams_full\)\n\Z")
        collector.stop()
        self.start("--warm-up", "0", "--max-streams", "2")
        self.assertEqual(self.ctl("senders")[2], "")

    def test_no_table(self):
        self.start("--max-streams", "0")
        self.assert_line(self.ctl("senders"), 1, "keeps no streams", "--max-streams")
        self.assert_line(self.ctl("senders", SITE), 2)

    def test_stale(self):
        collector = self.start("--warm-up", "0")
        edge = Edge(self, collector)
        edge.send(heartbeats(1))
        self.wait_arrived(1)
        with edge.kept_alive():
            wait_until(lambda: self.json("explain", SITE)["edges"]["alive"] == 1, "it to be alive")
            collector.stop()
        self.assertEqual(self.json("explain", SITE)["edges"],
                         {"alive": 0, "gone": 0, "gone_for_s": None})
        status, out, err = self.ctl("senders")
        self.assertEqual(status, 3)
        self.assertRegex(out, r"\A1 sender: 1 alive; as of \S+Z \[stale\]\n")
        self.assertRegex(err, r"\Apresencectl: stale: the collector stopped .*; these are the senders as of")
        self.assertTrue(self.json("senders")["stale"])


@unittest.skipIf(os.geteuid(), "needs root, for time namespaces")
class Quiet(SendersCase):
    """R6: a quiet site has nobody on its edges, or has lost one."""

    def expect(self, cause, remedy, edges, *alive):
        """Check what says why SITE is quiet and what to do about it, while some edges are alive."""
        with contextlib.ExitStack() as living:
            for edge in alive:
                living.enter_context(edge.kept_alive())
            self.check_cause(cause, remedy, edges)

    def check_cause(self, cause, remedy, edges):
        wait_until(lambda: re.search(cause, self.ctl("count", SITE)[2]),
                   lambda: f"{cause}: {self.ctl('count', SITE)} {self.json('senders')}")
        status, out, err = self.ctl("count", SITE)
        self.assertEqual((status, out), (0, "2\n"))
        self.assertRegex(err, rf"\Apresencectl: quiet: the last heartbeat from {SITE} came \d+ (s|min) "
                              rf"ago; {cause}.*\n\Z")
        out = self.ctl("explain", SITE)[1]
        self.assertRegex(out, rf"No heartbeat has come for \d+ (s|min) \(quiet\): {cause}.*\n +{remedy}")
        got = self.json("explain", SITE)["edges"]
        self.assertEqual((got["alive"], got["gone"]), edges)
        self.assertEqual(got["gone_for_s"] is None, not edges[1])

    def test_causes(self):
        collector = self.start("--warm-up", "0")
        first, second = (Edge(self, collector, f"127.0.0.{n}") for n in (2, 3))
        first.send(heartbeats(1, 2))
        second.send(record("b.example", [visitor(1)]))
        self.wait_arrived(2)
        collector.stop()
        with clock_ahead(70):
            first.collector = second.collector = collector = self.start("--warm-up", "0")
            self.expect("2 edges are alive, with nobody there", "But an edge that sends text or version 1 could",
                        (2, 0), first, second)
            remedy = "'presencectl senders' lists them"
            self.expect("an edge fell silent .* ago, and 1 other is alive", remedy, (1, 1), second)
            self.expect("2 edges fell silent, the first .* ago", remedy, (0, 2))

    def test_text_says_nothing(self):
        """Nor does a sender that has no visitors, as a presence-web that only reads."""
        collector = self.start("--warm-up", "0")
        reader = Edge(self, collector)
        self.send(collector, native(SITE, [visitor(1), visitor(2)]))
        self.wait_arrived(1)
        collector.stop()
        with clock_ahead(70):
            reader.collector = self.start("--warm-up", "0")
            reader.send()
            self.wait_arrived(2)
            cause, remedy = "whether its edge is alive is not known", "Check that it still sends"
            self.expect(cause, remedy, (0, 0), reader)
            wait_until(lambda: self.json("senders")["silent"] == 1, "it to fall silent")
            self.expect(cause, remedy, (0, 0))


if __name__ == "__main__":
    unittest.main()
