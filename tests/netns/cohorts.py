"""A crowd of a steady size under way through several edges, and what its counts can be at each tick.

Visitors come in cohorts: those of one do the same at the same time, in one datagram. A model that
knows when each datagram was sent says, by R2 to R4 alone, how many have certainly been counted at a
tick, and how many at most."""

import bisect
import collections
import contextlib
import itertools
import math
import random
import socket
import threading
import time

from harness import LEAVE, native

HEARTBEAT = 1
SITES = "shop.example", "news.example"
COUNTRIES = "", "DE", "FR", "IT", "NL"
SOURCES = "", "search.example", "feed.example"
ROOMS = 40  # of a site
STEP = 0.02  # seconds between two turns of sending
MARGIN = 0.5  # seconds for what is under way

Place = collections.namedtuple("Place", "site room country source")
Sent = collections.namedtuple("Sent", "time cohort kind place edge")
Scope = collections.namedtuple("Scope", "kind site name", defaults=("",))
LABELS = "room", "country", "source"


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Cohort:
    numbers = itertools.count(1)

    def __init__(self, draw, size, edge, site):
        self.number, self.place, self.edge = next(self.numbers), draw_place(draw, site), edge
        self.visitors = [draw.randbytes(16) for _ in range(size)]


def draw_place(draw, site):
    """Draw one of a site. Few rooms have many visitors, and many have few."""
    room = int(draw.random() ** 2 * ROOMS)
    return Place(site, f"/room/{room}" if room % 8 else "",
                 draw.choice(COUNTRIES), draw.choice(SOURCES))


class Crowd(threading.Thread):
    """Everybody sends a heartbeat in each interval. For those who go, in silence or with a leave,
    others come at once, to the same site by the same edge."""

    def __init__(self, edges, seed, visitors, size=10, interval=10, leaves=0.005, stops=0.005,
                 roams=0.1):
        super().__init__(daemon=True)
        self.edges = edges  # (address, port) of each relay
        self.draw, self.size, self.interval = random.Random(seed), size, interval
        self.leaves, self.stops, self.roams = leaves, stops, roams
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.cohorts = [Cohort(self.draw, size, self.draw.randrange(len(edges)),
                               SITES[self.draw.random() < 0.3]) for _ in range(visitors // size)]
        self.sent = []  # all of it, in order
        self.doubts = collections.defaultdict(list)  # edge: [(since, until)]
        self.over = threading.Event()
        self.error = None

    def run(self):
        try:
            self.send_all()
        except OSError as error:
            self.error = error

    def send_all(self):
        turns, begin = round(self.interval / STEP), time.monotonic()
        for turn in itertools.count():
            for index in range(turn % turns, len(self.cohorts), turns):
                self.act(index)
            if self.over.wait(max(0, begin + STEP * (turn + 1) - time.monotonic())):
                return

    def act(self, index):
        """Let a cohort do what it does in this interval."""
        cohort, chance = self.cohorts[index], self.draw.random()
        if chance < self.leaves + self.stops:
            if chance < self.leaves:
                self.send(cohort, LEAVE, cohort.place._replace(room=""))
            cohort = self.cohorts[index] = Cohort(self.draw, self.size, cohort.edge, cohort.place.site)
        elif chance < self.leaves + self.stops + self.roams:
            cohort.place = draw_place(self.draw, cohort.place.site)
            cohort.edge = self.draw.randrange(len(self.edges))
        elif cohort.place.room and chance > 1 - self.leaves:
            self.send(cohort, LEAVE, cohort.place)
            return
        self.send(cohort, HEARTBEAT, cohort.place)

    def send(self, cohort, kind, place):
        datagram = native(place.site, cohort.visitors, place.room, place.source, place.country, kind)
        # Noted before it is sent: nobody counts it earlier.
        self.sent.append(Sent(boottime(), cohort.number, kind, place, cohort.edge))
        self.socket.sendto(datagram, self.edges[cohort.edge])

    def pause(self):
        """Let nobody send any more by themselves. `sent` is complete then."""
        self.over.set()
        if self.is_alive():
            self.join()
        if self.error:
            raise self.error

    def stop(self):
        self.pause()
        self.socket.close()

    @contextlib.contextmanager
    def doubt(self, edge):
        """Who knows whether what is sent through the edge gets anywhere, while the context lasts?"""
        since = boottime() - MARGIN
        self.doubts[edge].append((since, math.inf))
        try:
            yield
        finally:
            self.doubts[edge].remove((since, math.inf))
            self.doubts[edge].append((since, boottime() + MARGIN))

    def is_sure(self, sent):
        return not any(since <= sent.time <= until for since, until in self.doubts[sent.edge])

    # ---- the model ----

    def heartbeats(self):
        """Visitors of all datagrams so far."""
        return self.size * len(self.sent)

    def counts(self, since=0):
        """How many have come and not left, by scope, of what was sent from that time on. Scopes with
        nobody are left out."""
        here = collections.defaultdict(set)
        for sent in self.sent:
            if sent.time < since:
                continue
            for scope in ended_by(sent.place) if sent.kind == LEAVE else scopes_of(sent.place):
                if sent.kind == LEAVE:
                    here[scope].discard(sent.cohort)
                else:
                    here[scope].add(sent.cohort)
        return {scope: self.size * len(cohorts) for scope, cohorts in here.items() if cohorts}

    def bounds(self, scope, window):
        """How many are certainly counted there at each tick, and how many at most: a Bounds."""
        by_cohort = collections.defaultdict(list)
        for sent in self.sent:
            ends = sent.kind == LEAVE
            if scope in (ended_by(sent.place) if ends else scopes_of(sent.place)):
                by_cohort[sent.cohort].append((sent.time, ends, self.is_sure(sent)))
        bounds = Bounds(self.size)
        for acts in by_cohort.values():
            bounds.add(acts, window)
        return bounds


def scopes_of(place):
    """What a heartbeat there touches (R2)."""
    return [Scope("site", place.site), *(Scope(label, place.site, getattr(place, label))
                                         for label in LABELS if getattr(place, label))]


def ended_by(place):
    """What a leave from there ends (R4)."""
    if place.room:
        return [Scope("room", place.site, place.room)]
    return scopes_of(place)


class Bounds:
    """Counts by ticks."""

    def __init__(self, size):
        self.size = size
        self.changes = collections.defaultdict(int), collections.defaultdict(int)
        self.sums = None

    def add(self, acts, window):
        """Add a cohort's (time, whether it ends there, whether it is sure) in order of time."""
        certain, possible = [], []
        for index, (at, ends, sure) in enumerate(acts):
            if ends:
                continue
            later = [(when, is_sure) for when, is_end, is_sure in acts[index + 1:] if is_end]
            # A state of tick n is read at some time before n + 1.
            last = min([math.floor(at + MARGIN) + window - 1,
                        *(math.floor(when + MARGIN) for when, is_sure in later if is_sure)])
            possible.append((math.floor(at), last))
            if sure:
                last = min([math.floor(at) + window - 1, *(math.floor(when) - 1 for when, _ in later)])
                certain.append((math.ceil(at + MARGIN), last))
        for changes, spans in zip(self.changes, (certain, possible)):
            self.count(changes, spans)

    def count(self, changes, spans):
        """Count one cohort in the union of these ticks, which begin in order."""
        end = -1
        for first, last in spans:
            first = max(first, end + 1)
            if first <= last:
                changes[first] += self.size
                changes[last + 1] -= self.size
                end = last

    def between(self, first, last):
        """Return the least and the most that can be counted at any of these ticks."""
        if self.sums is None:
            self.sums = [running(changes) for changes in self.changes]
        least, most = (values_between(*each, first, last) for each in self.sums)
        return min(least), max(most)


def running(changes):
    """Return ticks and the sums from each on."""
    ticks = sorted(changes)
    return ticks, list(itertools.accumulate(changes[tick] for tick in ticks))


def values_between(ticks, sums, first, last):
    begin, end = bisect.bisect_right(ticks, first), bisect.bisect_right(ticks, last)
    return [sums[begin - 1] if begin else 0, *sums[begin:end]]
