"""R9: the total of two groups, and of one, while a shard is killed, ways from edges are cut, and a new
group replaces an old one. Everything is read from the engine, and a model says what it has to be."""

import json
import os
import signal
import sys
import unittest

from cohorts import SITES, boottime
from groups import EDGES, LONG, WINDOW, GroupsCase
from harness import DEADLINE, wait_until
from samples import is_marked

TOLERANCE = 0.005
LEFT_OUT_S = 5  # until a group isn't whole any more
LATE_S = 5  # by which a busy machine may be late
NAMED_S = 60  # until a group is called partial
FOR = 2 * WINDOW if LONG else 6  # seconds to go on for


class FailureCase(GroupsCase):
    def go_on(self, seconds=FOR):
        """Let everything go on for so long."""
        until = boottime() + seconds
        wait_until(lambda: boottime() > until, "some time to pass", seconds + DEADLINE)

    def judge_all(self, **options):
        self.crowd.stop()
        return self.judge_samples(self.samples.stop(), TOLERANCE, **options)

    def assert_none_marked(self):
        marked = [sample for sample in self.samples.samples
                  if sample.error or any(map(is_marked, sample.answers))]
        self.assertEqual(list(map(vars, marked[:3])), [])


class Killed(FailureCase):
    """A shard is killed."""

    def kill(self, program, left_out, what):
        """Kill a shard's collector or publisher, and wait until readers find that. Returns what they
        find."""
        program.stop(signal.SIGKILL)
        killed = boottime()
        found = self.samples.wait_for(left_out, what, killed)
        self.assertLess(found.begin - killed, LEFT_OUT_S + LATE_S)
        print(f"left out after {found.begin - killed:.1f} s")
        return found

    def wait_whole_again(self):
        self.samples.wait_for(lambda sample: sample.groups["A"].whole, "A to be whole again")

    def test_shard_killed(self):
        """The other group answers, as if nothing had happened: while the shard is away, when it is
        back with what it knew, and when it has missed so much that its group lacks a third."""
        self.start_groups()
        self.sample()
        self.go_on(2)
        shard = self.groups["A"][1]

        def left_out(sample):
            return not sample.groups["A"].whole

        for seconds in 2, WINDOW:
            self.kill(shard.collector, left_out, "A to be left out")
            status, out, err = self.engine_ctl("count", SITES[0])
            self.assertEqual((status, err), (0, ""))
            self.assertGreater(int(out), 0)
            self.go_on(seconds)
            shard.collect()
            self.wait_whole_again()
            self.go_on()
        self.kill(shard.publisher, left_out, "A to be left out")
        shard.publish()
        self.wait_whole_again()
        self.judge_all()
        self.assert_none_marked()

    def test_only_group_killed(self):
        """Without another group there is the last number, which is stale."""
        self.start_groups((("A", 3),))
        self.sample()
        self.go_on(2)
        shard = self.groups["A"][1]
        stale = self.kill(
            shard.collector, lambda sample: all(answer.stale for answer in sample.answers), "a stale number")
        last = [answer.count for answer in stale.answers]
        for site, count in zip(SITES, last):
            status, out, err = self.engine_ctl("count", site)
            self.assertEqual(status, 3, err)
            self.assertAlmostEqual(int(out), count, delta=0.02 * count)  # the others go on
            self.assertIn("stale", err)
        self.go_on(WINDOW if LONG else 2)
        shard.collect()
        self.wait_whole_again()
        self.samples.wait_for(lambda sample: not any(map(is_marked, sample.answers)),
                              "numbers without a mark", deadline=2 * DEADLINE)
        self.go_on(2)
        self.judge_all()


class CutOff(FailureCase):
    """Ways from edges are cut."""

    def wait_partial(self, *groups, since):
        """Wait until these groups are partial; returns how long it took."""
        def all_are(sample):
            return all(sample.groups[name].partial for name in groups)

        after = self.samples.wait_for(all_are, f"{groups} to be partial", since,
                                      NAMED_S + DEADLINE).begin - since
        self.assertLess(after, NAMED_S)
        return after

    def named_partial(self):
        """The groups that `status` calls partial."""
        told = json.loads(self.engine_ctl("status", "--json")[1])
        return {group["name"] for group in told["groups"] if group["partial"]}

    def test_edge_cut_off(self):
        """The other group has everything, and the one that hasn't is named."""
        self.start_groups()
        self.sample()
        self.go_on(2)
        self.cut(0, "A")
        after = self.wait_partial("A", since=boottime())
        self.go_on()
        self.assertEqual(self.named_partial(), {"A"})
        self.assertRegex(self.engine_ctl("status")[1], r"(?s)\bA\b.*partial")
        self.mend(0, "A")
        self.samples.wait_for(lambda sample: not sample.groups["A"].partial,
                              "A not to be partial any more", deadline=NAMED_S + DEADLINE)
        self.judge_all()
        self.assert_none_marked()
        print(f"partial after {after:.1f} s")

    def check_crosswise(self, since):
        """Each group lacks the visitors of an edge: no number is answered without a mark."""
        after = self.wait_partial("A", "B", since=since)
        marked = boottime()
        self.go_on(2 * NAMED_S if LONG else FOR)
        self.assertEqual(self.named_partial(), {"A", "B"})
        status, out, _ = self.engine_ctl("count", SITES[0], "--json")
        self.assertEqual((status, json.loads(out)["partial"]), (0, True))
        without = [sample for sample in self.samples.since(marked)
                   if not all(answer.partial for answer in sample.answers)]
        self.assertEqual(list(map(vars, without[:3])), [])
        print(f"partial after {after:.1f} s")

    def test_edges_cut_off_crosswise(self):
        self.start_groups()
        self.sample()
        self.go_on(2)
        self.cut(0, "A")
        self.cut(1, "B")
        self.check_crosswise(boottime())
        self.mend(0, "A")
        self.mend(1, "B")
        self.samples.wait_for(lambda sample: not any(map(is_marked, sample.answers)),
                              "numbers without a mark", deadline=NAMED_S + DEADLINE)
        self.crowd.stop()
        samples = self.samples.stop()
        for index, scope in enumerate(self.samples.scopes):
            bounds = self.crowd.bounds(scope, WINDOW)
            for sample in samples:  # too low is what they may be for a while
                self.assertLessEqual(self.error_of(bounds, sample.answers[index]), TOLERANCE)

    @unittest.skipUnless(LONG, "set TEST_LONG")
    def test_never_reached(self):
        """The same from the very beginning."""
        self.add_group("A", 3)
        self.add_group("B", 1)
        self.cut(0, "A")
        self.cut(1, "B")
        for edge in range(len(EDGES)):
            self.start_relay(edge)
        self.start_crowd()
        self.sample()
        self.check_crosswise(boottime())


class Replaced(FailureCase):
    """A group gives way to one of another number of shards."""

    def test_new_group(self):
        """A new group beside the old one, and then without it, answers all the time."""
        self.start_groups((("old", 3),))
        self.sample()
        self.go_on(2)
        self.add_group("new", 2)
        self.reload_relays()
        self.go_on(WINDOW + 1)
        for shard in self.groups["old"]:
            self.assertEqual(shard.publisher.stop(), 0)
        status, _, err = self.engine_ctl("forget", "old")
        self.assertEqual(status, 0, err)
        for shard in self.groups.pop("old"):
            self.assertEqual(shard.collector.stop(), 0)
        self.reload_relays()
        self.go_on()
        self.assertEqual(list(self.samples.samples[-1].groups), ["new"])
        self.judge_all()
        self.assert_none_marked()


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
