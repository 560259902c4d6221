"""R9: the total of three shards and of a copy of all of them, while visitors come, roam between two
edges and go, and at rest."""

import json
import os
import sys
import unittest

from cohorts import HEARTBEAT, LABELS, SITES, Scope, boottime
from groups import LONG, WINDOW, GroupsCase
from harness import DEADLINE, wait_until
from samples import EngineSamples, is_marked

LIVE = 0.003
LONGEST = 3600  # a window in which nobody is forgotten
GAP = 6  # seconds of silence


class Live(GroupsCase):
    collector_options = ("--max-entries", "2000000" if LONG else "500000", "--max-scopes", "1024",
                         "--warm-up", "8")
    publisher_options = "--window", str(WINDOW), "--window", str(LONGEST)
    crowd_options = {"visitors": 200000, "size": 40} if LONG else {"visitors": 20000, "size": 10}

    def scopes(self):
        """All that the crowd has been in so far."""
        return sorted(self.crowd.counts())

    def check_rest(self, window, expected):
        """Wait until everything that is listed is as expected; and presencectl says the same."""
        lists = [(kind, site) for site in SITES for kind in LABELS]
        samples = EngineSamples(self.url, self.sites(), window, lists=lists)
        self.addCleanup(samples.stop)

        def found(sample):
            answers = {scope: answer.count for scope, answer in zip(samples.scopes, sample.answers)}
            for (kind, site), listed in zip(lists, sample.lists):
                answers.update({Scope(kind, site, name): count for name, count in listed.items()})
            return {scope: count for scope, count in answers.items() if count}

        def wrong(sample):
            here = found(sample)
            return {scope: (here.get(scope, 0), expected.get(scope, 0))
                    for scope in here.keys() | expected.keys()
                    if here.get(scope, 0) != expected.get(scope, 0)}

        def problem():
            return f"each scope to be right: {dict(list(wrong(samples.samples[-1]).items())[:9])}"

        right = wait_until(lambda: next((sample for sample in samples.samples if not sample.error
                                         and not wrong(sample)), None), problem)
        self.assertFalse(any(map(is_marked, right.answers)))
        samples.stop()
        return len(expected)

    def check_programs(self, expected):
        """The same by presencectl, of the longest window."""
        for site in SITES:
            for label, name in (("room", "rooms"), ("country", "countries"), ("source", "sources")):
                status, out, err = self.engine_ctl("top", site, "--by", label, "--window", "1h", "--limit",
                                                   "0", "--json")
                self.assertEqual(status, 0, err)
                listed = {entry[label]: entry["count"] for entry in json.loads(out)[name] if entry["count"]}
                self.assertEqual(listed, {scope.name: count for scope, count in expected.items()
                                          if scope.kind == label and scope.site == site})
            status, out, err = self.engine_ctl("count", site, "--window", "1h")
            self.assertEqual((status, int(out)), (0, expected[Scope("site", site)]), err)

    def return_after_gap(self):
        """Some visitors send again, after a silence in which a window begins then. Returns how many
        of them are where."""
        silent = boottime()
        wait_until(lambda: boottime() > silent + GAP, "some silence")
        again = boottime()
        for cohort in self.crowd.cohorts[::2]:
            self.crowd.send(cohort, HEARTBEAT, cohort.place)
            self.wait_for_room()
        return self.crowd.counts(again)

    def test_live_and_at_rest(self):
        self.start_groups()
        samples = self.sample(self.scopes())
        until = boottime() + 2 * WINDOW
        wait_until(lambda: boottime() > until, "two windows to pass", 2 * WINDOW + DEADLINE)
        self.crowd.pause()
        samples.stop()
        self.assertFalse(any(sample.error or any(map(is_marked, sample.answers))
                             for sample in samples.samples))
        scopes = self.check_rest(LONGEST, expected := self.crowd.counts())
        self.check_programs(expected)
        recent = self.return_after_gap()
        self.check_rest(WINDOW, recent)
        self.check_accounts()
        self.judge_samples(samples.samples, LIVE)
        print(f"{self.crowd.heartbeats()} heartbeats; {scopes} scopes at rest; {len(recent)} of them "
              "in the window from the gap on")


if __name__ == "__main__":
    if os.geteuid():
        print("needs root, for network namespaces")
        sys.exit(77)  # skipped
    unittest.main()
