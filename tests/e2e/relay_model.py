"""Who is where, by DESIGN's rules 1 to 4 alone: a dictionary of last heartbeats and leaves.

It is for tests that take less time than the longest window. Time is what the caller makes of it: any
number that grows, such as that of a phase of the test."""

import collections

NO_COUNTRIES = {"XX", "ZZ", "T1", "A1", "A2", "O1"}
SEVERAL = object()  # senders


def canonical_room(room):
    """One place, one name (R2)."""
    if not room.startswith("/"):
        return room
    while "//" in room:
        room = room.replace("//", "/")
    return room.rstrip("/") or "/"


class Model:
    def __init__(self):
        self.last = collections.defaultdict(dict)  # (kind, site, name): visitor: time
        self.now = 0
        self.senders = {}  # who sent of (visitor, site) since `now`, and whether a leave
        self.counters = collections.Counter()
        self.everybody = set()  # who ever came: visitor and site

    def advance(self):
        """Everything so far has been counted by every collector before what follows is sent."""
        self.now += 1
        self.senders.clear()

    def check_order(self, sender, visitor, site, leaves):
        """Heartbeats of several senders have no order (R4). That makes a difference as soon as one of
        them is a leave."""
        first, left = self.senders.get((visitor, site), (sender, False))
        left |= leaves
        if left and first != sender:
            raise AssertionError(f"{visitor.hex()} on {site}: nobody knows which comes first")
        self.senders[visitor, site] = (sender if first == sender else SEVERAL, left)

    def add(self, sender, visitor, kind, site, room="", country="", source=""):
        """A visitor's heartbeat, of version 1's kinds. Visitors are their 16 bytes."""
        leaves = kind == 2
        self.check_order(sender, visitor, site, leaves)
        site, room, source = site.lower(), canonical_room(room), source.lower()
        country = "" if country.upper() in NO_COUNTRIES else country.upper()
        if leaves:
            self.leave(visitor, site, room, country, source)
            return
        self.counters["pageviews"] += kind == 3
        self.counters["custom_events"] += kind == 4
        here = self.last["site", site, ""]
        self.counters["heartbeats_refreshed" if visitor in here else "heartbeats_new"] += 1
        here[visitor] = self.now
        self.everybody.add((visitor, site))
        for label, name in (("room", room), ("country", country), ("source", source)):
            if name:
                self.last[label, site, name][visitor] = self.now

    def leave(self, visitor, site, room, country, source):
        self.counters["heartbeats_left"] += 1
        gone = [("room", room)] if room else [("site", ""), ("country", country), ("source", source)]
        for label, name in gone:
            if label == "site" or name:
                self.last[label, site, name].pop(visitor, None)

    def counts(self, since=0):
        """How many were in each scope at that time or later; nobody is left out."""
        found = {scope: sum(time >= since for time in visitors.values())
                 for scope, visitors in self.last.items()}
        return {scope: count for scope, count in found.items() if count}
