"""Shared by the tests of people.py's table: a collector without limits, and what it
has counted in the form of EXPECTED."""

import people
from harness import wait_until


class TableCase:
    """Goes before harness.Case. A class with these tests has a method report(request), which reports
    the request or makes it."""

    maxDiff = None

    def begin_collector(self):
        self.collector = self.start("--events", "65536", "--warm-up", "0", small=False)

    def outcome(self):
        """Return what was counted by site, in the form of people.EXPECTED."""
        return {site["site"]: self.outcome_of(site["site"], site["count"])
                for site in self.json("sites")["sites"]}

    def outcome_of(self, site, visitors):
        rooms = {line["room"]: [line["count"], 0] for line in self.top(site, "room")}
        nowhere = 0
        for event in self.json("events", site, "--limit", "0")["events"]:
            if event["kind"] == "pageview" and event.get("room"):
                rooms[event["room"]][1] += 1
            elif event["kind"] == "pageview":
                nowhere += 1
        return {
            "visitors": visitors,
            "rooms": {room: tuple(counts) for room, counts in rooms.items()},
            "pageviews without a room": nowhere,
            "sources": {line["source"]: line["count"] for line in self.top(site, "source")},
        }

    def top(self, site, kind):
        return self.json("top", site, "--by", kind, "--limit", "0")[f"{kind}s"]

    def assert_expected(self):
        """Fail with only what differs: the whole is long."""
        def flat(sites):
            return {(site, what, name): number for site, outcome in sites.items()
                    for what, value in outcome.items()
                    for name, number in (value if isinstance(value, dict) else {"": value}).items()}

        got, expected = flat(self.outcome()), flat(people.EXPECTED)
        wrong = {key: (got.get(key), expected.get(key)) for key in got.keys() | expected.keys()
                 if got.get(key) != expected.get(key)}
        self.assertEqual(wrong, {}, "counted, expected")

    def check_table(self, nobody):
        """Make every request; `nobody` is how many heartbeats must be rejected."""
        for request in people.REQUESTS:
            self.report(request)
        heartbeats = sum(request.kind is not None for request in people.REQUESTS)

        def arrived():
            stats = self.stats()
            return self.not_empty(stats) >= heartbeats + nobody and stats

        try:
            stats = wait_until(arrived, "the heartbeats")
        finally:
            self.assert_expected()
        there = {(request.site, request.visitor) for request in people.REQUESTS if request.kind}
        self.assertEqual([who for who in sorted(there) if self.ctl("seen", *who)[0] != 0], [])
        self.assertEqual(stats["datagrams_rejected_visitor"], nobody)
        self.assertEqual(stats["datagrams_accepted"] - stats["datagrams_empty"], heartbeats)
        self.assertEqual(stats["pageviews"], heartbeats - people.HEARTBEATS)
        self.assertEqual(self.not_empty(stats), heartbeats + nobody)
