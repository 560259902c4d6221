"""Who may be counted, and who must be, by docs/counting.md alone.

A Ledger knows what was sent to one collector, what has certainly come there, and what became of the
collector since. A reading is judged by it: every answer that a reader gives must be one that the rules
allow at some moment between the reading's begin and its end.

Visitors come in cohorts, which do the same at the same time. What is sent is *pending* until a later
heartbeat of the same sender has been seen by the collector: then the earlier ones have been processed
(R4). It is *sure* unless a fault could have lost it on the way.
"""

import collections
import math
import time

LAG = 4  # seconds by which a collector that is not stale may be late, and one (R6)
COARSE = 0.02  # seconds by which a reader's clock may be late
STALE = 3  # seconds: a tick that is older is stale (R6)
MENDED = 12  # seconds after which a lost name is given back: 5, and what a busy machine needs
REOPENED = 4  # seconds after which whoever has a segment open knows that it was replaced
UNDISTURBED = 8  # seconds after which no number of a collector may have a mark
INFLIGHT = 5  # seconds beyond the window for which a kill may leave a count off

Scope = collections.namedtuple("Scope", "kind site name", defaults=("",))
Place = collections.namedtuple("Place", "site room country source", defaults=("", "", ""))
# `answer` is "number", "nobody", "unknown", or "none": no answer at all, and `why`.
Reading = collections.namedtuple(
    "Reading", "source scope begin end answer count stale warming partial why", defaults=("",))


def boottime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def scopes_of(place):
    """What a heartbeat there touches (R2)."""
    named = [Scope(kind, place.site, getattr(place, kind)) for kind in ("room", "country", "source")
             if getattr(place, kind)]
    return frozenset([Scope("site", place.site), *named])


def ended_by(place):
    """What a leave from there ends (R4)."""
    return frozenset([Scope("room", place.site, place.room)]) if place.room else scopes_of(place)


class Wrong(AssertionError):
    """An answer that the rules do not allow."""


class Entry:
    """A datagram's worth of one cohort, on its way to one collector."""

    __slots__ = "size", "ends", "scopes", "sent", "settled", "sure"

    def __init__(self, size, ends, scopes, sent, sure):
        self.size, self.ends, self.scopes, self.sent = size, ends, scopes, sent
        self.settled, self.sure = math.inf, sure


class Ledger:
    """What one collector was sent. Times are those of its own clock."""

    def __init__(self, name, window, warm_up):
        self.name, self.window, self.warm_up = name, window, warm_up
        self.shift = 0  # its clock's, against ours
        self.remembers_until = -math.inf  # nothing is forgotten until then
        # Scope: cohort's number: entries that touch it, in the order of sending.
        self.touching = collections.defaultdict(lambda: collections.defaultdict(list))
        self.pending = collections.defaultdict(list)  # sender: entries
        self.silent_since = None  # it was killed, frozen or stopped
        self.ended = self.starting = False  # it has stopped, and said so; it starts
        self.lost_at = -math.inf  # all counts before may be lost
        self.lost_earlier = -math.inf  # the same, in the segment that it had before
        self.nameless_until = -math.inf  # readers may find no segment until then
        self.rough = False  # the way there may lose, repeat and reorder
        self.deaf = False  # what is sent may get lost
        self.deaf_to = set()  # senders of which it may
        self.surely_silent_since = math.inf
        self.was_silent = -math.inf  # since when, the last time
        self.must_warm_from, self.must_warm_until = math.inf, -math.inf
        self.garbled_until = -math.inf  # somebody has overwritten what readers have mapped
        self.slack = []  # (until, visitors): a kill may leave counts off by that
        self.refuses_until = -math.inf  # it may have been full
        # Visitors of heartbeats that its counters must have, and of those that they may have (R7).
        self.surely = self.perhaps = 0
        self.calm_since = math.inf  # the machine has had time for everything
        self.changed_at = -math.inf  # something last happened to it
        self.fresh_from = math.inf  # a number that is not stale was first read then, since it last started
        self.ahead = 0  # readings that showed visitors twice

    def now(self):
        return boottime() + self.shift

    # ---- what was sent ----

    def send(self, sender, cohort, size, ends, scopes, sure=True):
        """Note an entry before it is sent. Cohort 0 is a fence, which nobody reads the count of."""
        entry = Entry(size, ends, scopes, self.now(), sure and not (
            self.rough or self.deaf or sender in self.deaf_to))
        for scope in scopes if cohort else ():
            self.touching[scope][cohort].append(entry)
        self.pending[sender].append(entry)

    def mark(self, sender):
        """Return what `settle` settles when a heartbeat that is sent now has been seen."""
        return list(self.pending[sender])

    def settle(self, sender, entries):
        """A later heartbeat of this sender was seen."""
        if self.rough:
            return
        now, settled = self.now(), set(map(id, entries))
        for entry in entries:
            if entry.settled == math.inf:
                self.surely += entry.size * entry.sure
                self.perhaps += entry.size * (not entry.sure)
            entry.settled = min(entry.settled, now)
        self.pending[sender] = [entry for entry in self.pending[sender] if id(entry) not in settled]

    def is_settled(self, sender=None, until=math.inf):
        """Whether nobody who counts is under way, of one sender or of all, of what was sent until then."""
        return not any(entry.scopes and entry.sent <= until for entries in (
            self.pending.values() if sender is None else [self.pending[sender]]) for entry in entries)

    def flying(self):
        """Visitors who are under way, fences among them."""
        return sum(entry.size for entries in self.pending.values() for entry in entries)

    def doubt(self, senders=None):
        """Whatever is under way may get lost, of these senders or of all."""
        for sender in self.pending if senders is None else senders:
            for entry in self.pending[sender]:
                entry.sure = False

    # ---- what became of it ----

    def kill(self):
        """It is killed: what was under way may be lost, or leave counts off until it ages out."""
        off = sum(entry.size for entries in self.pending.values() for entry in entries if entry.scopes)
        if off:
            self.slack.append((self.now() + self.window + INFLIGHT, off))
        self.doubt()
        self.fall_silent()

    def fall_silent(self, ended=False, since=None):
        """It says nothing more, from now on or since it last did."""
        self.changed_at = self.now()
        if self.silent_since is None or ended:
            self.silent_since = self.was_silent = since or self.now()
        self.surely_silent_since = self.now()
        self.ended = ended

    def start(self):
        """It starts: readers may be told either of before or of after."""
        self.silent_since, self.ended, self.starting = None, False, True
        self.changed_at, self.fresh_from = self.now(), math.inf

    def listen(self):
        self.silent_since, self.ended, self.starting = None, False, False
        self.changed_at = self.now()

    def step(self, ahead):
        """Its clock is set ahead. Readers may be told of before until it listens again, and somewhat longer."""
        self.shift += ahead
        self.remembers_until = self.now() + 60

    def lose(self):
        """All counts may be lost. It has to say that it warms up since it listens again."""
        self.lost_earlier, self.lost_at = self.lost_at, self.now()
        self.surely = self.perhaps = 0
        self.must_warm_from = self.must_warm_until = math.inf

    def listen_anew(self, begun):
        """It was started at that time, and listens on a new segment, or after a long gap."""
        self.must_warm_from, self.must_warm_until = self.now(), begun + self.warm_up - 1
        self.garbled_until = min(self.garbled_until, self.now() + REOPENED)
        self.listen()

    def be_nameless(self, until=math.inf):
        self.nameless_until = until

    # ---- bounds ----

    def bounds(self, scope, first, last, since=-math.inf):
        """Return the least and the most that may be counted at any time between `first` and `last`, and how
        many may be counted twice then. What was sent before `since` need not be counted."""
        least = most = twice = 0
        for entries in self.touching[scope].values() if scope in self.touching else ():
            least += entries[-1].size * self.is_certain(entries, first, last, since)
            most += entries[-1].size * self.is_possible(entries, first, last)
            twice += entries[-1].size * self.is_moving(entries, first, last)
        return least, most, twice

    @staticmethod
    def is_moving(entries, first, last):
        """Whether a heartbeat after the first one may be under way: they are in two seconds for a moment (R5)."""
        return any(not entry.ends and entry.sent <= last and entry.settled >= first for entry in entries[1:])

    def is_certain(self, entries, first, last, since):
        for entry in reversed(entries):
            if entry.ends and entry.sent <= last:
                return False
            if (not entry.ends and entry.sure and entry.settled <= first and entry.sent >= since and
                    math.floor(last) - math.floor(entry.sent) < self.window - LAG):
                return True
        return False

    def is_possible(self, entries, first, last):
        for entry in reversed(entries):
            if entry.ends and entry.sure and entry.settled <= first:
                return False
            if not entry.ends and entry.sent <= last and (
                    entry.settled == math.inf or
                    math.floor(first) - LAG - math.floor(entry.settled) < self.window):
                return True
        return False

    def forget(self):
        """Drop what can make no difference any more."""
        now = self.now()
        if now < self.remembers_until:
            return
        for cohorts in self.touching.values():
            for number, entries in list(cohorts.items()):
                entries = [entry for entry in entries if entry.settled > now - self.window - 30]
                sure = [i for i, entry in enumerate(entries) if not entry.ends and entry.sure and
                        entry.settled < now - 30]
                cohorts[number] = entries[sure[-1]:] if sure else entries
                if not entries:
                    del cohorts[number]
        self.slack = [one for one in self.slack if one[0] > now]

    # ---- judging ----

    def must_be_stale(self, begin):
        # Readers take the time of the kernel's last timer interrupt.
        return self.silent_since is not None and (self.ended or math.floor(
            begin + self.shift - COARSE) - math.floor(self.surely_silent_since) > STALE)

    def judge(self, reading):
        """Raise Wrong unless the rules allow this reading of this collector. Returns whether the
        number was bounded from both sides."""
        begin, end = reading.begin + self.shift, reading.end + self.shift
        if reading.answer == "none":
            self.require(begin < max(self.nameless_until, self.garbled_until), reading, "no answer")
            return False
        if begin < self.garbled_until:  # anything, but no crash
            return False
        self.require(reading.stale or not self.must_be_stale(reading.begin), reading,
                     f"not stale, though silent since {self.silent_since}")
        # Who has the old segment open may be told of its last number for some seconds.
        self.require(reading.stale or reading.warming or 
                     self.lost_at > begin - 60 and not reading.source.startswith("presencectl") or
                     not (self.must_warm_from <= begin and end < self.must_warm_until), reading,
                     "not warming, though nobody listened")
        self.require(not (reading.stale or reading.warming) or not self.must_be_fresh(begin, self.calm_since),
                     reading, "marked, though nothing has happened")
        if not (reading.stale or self.starting):
            self.fresh_from = min(self.fresh_from, begin)
        first, last = self.moments(reading, begin, end)
        since = self.lost_at if reading.warming or end >= self.must_warm_until else self.lost_earlier
        if reading.stale and (begin < self.nameless_until + self.warm_up or reading.why):
            since = self.lost_at if not reading.why else math.inf
        slack = sum(size for until, size in self.slack if until > begin)
        least, most, twice = self.bounds(reading.scope, first, last, since)
        self.judge_number(reading, least - slack, most + slack, twice)
        return not (reading.stale or reading.warming or reading.partial)

    def must_be_fresh(self, begin, calm_since):
        """Whether nothing has happened to it for long enough, on a machine that had time for it."""
        return self.silent_since is None and begin - max(
            self.changed_at, calm_since + self.shift, self.must_warm_until, self.nameless_until,
            self.garbled_until) > UNDISTURBED

    def moments(self, reading, begin, end):
        """Return between which times the number may be of."""
        if self.silent_since is not None:
            return min(begin, self.silent_since), self.silent_since
        # Who has a lost segment open is told of its last number until that is stale. And a collector
        # that listens again brings its numbers up to date soon after, on a busy machine later.
        if self.starting or begin < self.lost_at + REOPENED or reading.stale and begin < self.fresh_from:
            return min(begin, self.was_silent), end
        if reading.stale:
            return min(begin, max(self.was_silent, begin - self.window)), end
        return (begin - LAG if begin < self.nameless_until else begin), end

    def judge_number(self, reading, least, most, twice):
        bounds = f"it is between {least} and {most}, or {twice} more for a moment"
        count = reading.count if reading.answer == "number" else 0
        self.require(count <= most + twice, reading, bounds)
        self.ahead += count > most
        self.require(not reading.partial or reading.begin + self.shift < self.refuses_until, reading,
                     "partial, though nobody was refused")
        if not reading.partial:
            self.require(count >= least, reading, bounds)
        if reading.answer == "nobody":
            self.require(not (reading.stale or reading.warming), reading, "nobody, and not unknown")
        if reading.answer == "unknown":
            self.require(reading.stale or reading.warming or reading.partial or
                         reading.begin + self.shift < self.refuses_until, reading, "unknown without a reason")

    def require(self, condition, reading, why):
        if not condition:
            raise Wrong(f"{self.name}: {reading}: {why} ({self.describe()})")

    def describe(self):
        return (f"now {self.now():.2f}, silent since {self.silent_since}, ended {self.ended}, lost at "
                f"{self.lost_at:.2f}, warms until {self.must_warm_until:.2f}, nameless until "
                f"{self.nameless_until:.2f}, slack {self.slack}")


class Total:
    """The answer of all groups (R9)."""

    LATE = 8  # seconds that a number may be old that isn't stale: state and tick
    NOTICED = 10  # seconds after which every reader knows that no group is whole

    def __init__(self, groups):
        self.groups = groups  # lists of Ledgers
        self.no_engine_until = -math.inf  # readers may find no engine, or nothing in it
        self.changed_at = {}  # shard's name: when something last happened to it
        self.calm_since = math.inf  # the machine has had time for everything
        self.down = {}  # shard's name, such as "a1": since when it is certainly not fresh
        self.ahead = 0  # readings that showed visitors twice

    def break_shard(self, name):
        self.down.setdefault(name, boottime())

    def mend_shard(self, name):
        self.down.pop(name, None)
        self.changed_at[name] = boottime()

    def is_surely_whole(self, letter, begin):
        """Whether nothing has happened to a group for long enough."""
        changes = [self.no_engine_until, self.calm_since, *(
            when for name, when in self.changed_at.items() if name[0] == letter)]
        return not any(name[0] == letter for name in self.down) and begin - max(changes) > self.NOTICED

    def broken_since(self):
        """Since when no group is whole."""
        return max(min([since for name, since in self.down.items() if name[0] == letter], default=math.inf)
                   for letter, _ in zip("ab", self.groups))

    def range(self, scope, begin, end):
        """The least and the most over the groups, of any moment that a fresh number may be of, and the most with
        those who are counted twice."""
        sums = []
        for shards in self.groups:
            bounds = [(0, math.inf, 0) if begin - self.LATE + shard.shift < shard.garbled_until else
                      shard.bounds(scope, begin - self.LATE + shard.shift, end + shard.shift, shard.lost_at)
                      for shard in shards]
            slack = sum(size for shard in shards for until, size in shard.slack)
            least, most, twice = map(sum, zip(*bounds))
            sums.append((least - slack, most + slack, most + slack + twice))
        least, most, ahead = zip(*sums)
        return min(least), max(most), max(ahead)

    def judge(self, reading):
        if reading.answer == "none":
            if reading.begin >= self.no_engine_until:
                raise Wrong(f"total: {reading}: no answer")
            return False
        if self.broken_since() < reading.begin - self.NOTICED and not reading.stale:
            raise Wrong(f"total: {reading}: not stale, though no group is whole since "
                        f"{self.broken_since():.2f}")
        whole = [letter for letter, _ in zip("ab", self.groups) if self.is_surely_whole(letter, reading.begin)]
        if whole and reading.stale:
            raise Wrong(f"total: {reading}: stale, though these groups are whole: {whole}")
        if reading.stale or reading.answer == "unknown":
            return False
        least, most, ahead = self.range(reading.scope, reading.begin, reading.end)
        marked = reading.warming or reading.partial
        count = reading.count if reading.answer == "number" else 0
        if count > ahead or (count < least and not marked):
            raise Wrong(f"total: {reading}: it is between {least} and {most}, or up to {ahead} for a moment")
        self.ahead += count > most
        if reading.answer == "nobody" and marked and least > 0:
            raise Wrong(f"total: {reading}: nobody, and not unknown")
        return not marked
