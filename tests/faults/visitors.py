"""Visitors in cohorts, and the senders that send for them. What they do follows from the schedule's seed
alone; when they do it depends on the machine."""

import collections
import itertools
import math
import random
import socket
import subprocess
import uuid

from harness import LEAVE, native, native2, record
from oracle import Place, boottime, ended_by, scopes_of
from programs import Service
from xxh3 import shard_of

HEARTBEAT = 1
SITES = "shop.example", "news.example"
FENCE = "fence.example"
REFRESH = 0.7  # seconds between two heartbeats of a cohort
FORMS = "text", "v1", "v2", "send"

# A visitor who has never been seen before, and the entries of the same sender that were sent before.
Fence = collections.namedtuple("Fence", "ledger entries visitor sent")


class Cohort:
    """Visitors who do the same. All of them are in one shard of a group."""

    def __init__(self, number, draw, sender, shards):
        self.number, self.sender = number, sender
        self.shard = draw.randrange(shards)
        self.visitors = draw_visitors(draw, draw.randint(1, 6), self.shard, shards)
        self.place = draw_place(draw, draw.choice(SITES))
        self.came, self.sent = boottime(), 0.0


def draw_visitors(draw, count, shard, shards):
    drawn = (draw.randbytes(16) for _ in itertools.count())
    return list(itertools.islice((one for one in drawn if shard_of(one, shards) == shard), count))


def draw_place(draw, site):
    room = draw.randrange(8)
    return Place(site, f"/room/{room}" if room < 6 else "", draw.choice(("", "DE", "FR", "IT")),
                 draw.choice(("", "search.example", "feed.example")))


def text_of(visitor, place, kind):
    """A text heartbeat, as an edge logs it."""
    return (f"<190>Nov 22 03:56:23 edge presence: PH1 site={place.site} visitor={uuid.UUID(bytes=visitor)} "
            f'room="{place.room}" country={place.country or "-"} source={place.source or "-"}'
            f"{' kind=leave' if kind == LEAVE else ''}").encode()


class Sender:
    """Sends datagrams of one form from an address of its own. `targets` are those of its heartbeats: for
    each group the Ledgers of its shards."""

    def __init__(self, form, port, targets):
        self.name = self.form = form
        self.address, self.targets = ("127.0.0.1", port), targets
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.stream, self.sequence = random.getrandbits(64) | 1, 0
        self.fences = []  # that were sent
        self.passed = {}  # ledger: when a fence was seen there, and its entries

    def ledgers(self):
        return [ledger for shards in self.targets for ledger in shards]

    def ledgers_of(self, visitor):
        return [shards[shard_of(visitor, len(shards))] for shards in self.targets]

    def send(self, visitors, place, kind):
        """Send for visitors who are all of one shard. Returns the datagrams."""
        if self.form == "text":
            datagrams = [text_of(visitor, place, kind) for visitor in visitors]
        elif self.form == "v1":
            datagrams = [native(place.site, visitors, place.room, place.source, place.country, kind)]
        else:
            self.sequence += 1
            datagrams = [native2(record(place.site, visitors, room=place.room, source=place.source,
                                        country=place.country, kind=kind),
                                 stream=self.stream, sequence=self.sequence)]
        for datagram in datagrams:
            self.transmit(datagram)
        return datagrams

    def transmit(self, datagram):
        try:
            self.socket.sendto(datagram, self.address)
        except OSError:  # nobody listens, or the queue is full: as if it were lost on the way
            pass

    def next_fences(self, ledger):
        """Return the newest and the oldest that can tell more than what was seen so far."""
        seen_at, _ = self.passed.get(ledger, (-math.inf, ()))
        fences = [one for one in self.fences if one.ledger is ledger and one.sent > seen_at]
        return fences[-1:] + fences[:-1][:1]

    def pass_fence(self, fence):
        """A fence was seen. A collector shows a visitor somewhat earlier than the counts of their batch:
        what was before a fence is counted once another is seen that was sent later than that."""
        ledger = fence.ledger
        seen_at, entries = self.passed.get(ledger, (-math.inf, ()))
        if fence.sent > seen_at:
            ledger.settle(self.name, entries)
            self.passed[ledger] = boottime(), fence.entries

    def close(self):
        self.socket.close()


class Program(Sender):
    """presence-send, which reads text heartbeats from stdin and sends them as version 2."""

    def __init__(self, world, port, targets):
        super().__init__("send", port, targets)
        self.service = Service(world, "send", "send", {"to": f"127.0.0.1:{port}"})
        self.service.stdin = subprocess.PIPE
        self.service.begin()

    def transmit(self, datagram):
        pass

    def send(self, visitors, place, kind):
        lines = b"".join(text_of(visitor, place, kind).partition(b"presence: ")[2] + b"\n"
                         for visitor in visitors)
        self.service.check()
        if self.service.state != "down":
            self.service.process.stdin.write(lines)
            self.service.process.stdin.flush()
        return []

    def close(self):
        """It ends when there is nothing more to read."""
        super().close()
        if self.service.state != "down":
            self.service.process.stdin.close()
            self.service.wait_over()
        self.service.close()


class Crowd:
    """Everybody, and what they do in each step."""

    SIZE = 16  # cohorts at first

    def __init__(self, senders, shards, seed):
        self.senders, self.shards, self.seed = senders, shards, seed
        self.numbers = itertools.count(1)
        self.cohorts, self.fences = [], itertools.count()
        draw = random.Random(f"{seed} crowd")
        for _ in range(self.SIZE):
            self.come(draw)

    def come(self, draw):
        self.cohorts.append(Cohort(next(self.numbers), draw, draw.choice(self.senders), self.shards))

    def act(self, number):
        """What some do in a step: come, go with or without a leave, or move."""
        draw = random.Random(f"{self.seed} act {number}")
        for what in draw.choices(("come", "stop", "leave", "leave room", "move"), k=2):
            if what == "come" or not self.cohorts:
                self.come(draw)
                continue
            cohort = draw.choice(self.cohorts)
            if what in ("stop", "leave") and len(self.cohorts) > self.SIZE // 2:
                self.cohorts.remove(cohort)
            if what == "leave":
                self.send(cohort, LEAVE, cohort.place._replace(room=""))
            elif what == "leave room" and cohort.place.room:
                self.send(cohort, LEAVE, cohort.place)
                cohort.place = cohort.place._replace(room="")
            elif what == "move":
                cohort.place = draw_place(draw, cohort.place.site)
                self.send(cohort, HEARTBEAT, cohort.place)

    def sites(self, seconds):
        """Where somebody has been for so long, and still is."""
        return {cohort.place.site for cohort in self.cohorts if boottime() - cohort.came > seconds}

    def refresh(self, most=6):
        """Send heartbeats of those whose last one is oldest."""
        due = [cohort for cohort in self.cohorts if boottime() - cohort.sent > REFRESH]
        for cohort in sorted(due, key=lambda one: one.sent)[:most]:
            self.send(cohort, HEARTBEAT, cohort.place)

    def send(self, cohort, kind, place, times=1):
        ends = kind == LEAVE
        scopes = ended_by(place) if ends else scopes_of(place)
        sender = cohort.sender
        for ledger in sender.ledgers_of(cohort.visitors[0]):
            ledger.send(sender.name, cohort.number, len(cohort.visitors), ends, scopes)
        cohort.sent = boottime()
        for _ in range(times):
            sender.send(cohort.visitors, place, kind)

    def fence(self):
        """Let each sender with something under way send for visitors who have never been seen before:
        once they are, what went before has been processed."""
        draw = random.Random(f"{self.seed} fence {next(self.fences)}")
        for sender in self.senders:
            if all(ledger.is_settled(sender.name) for ledger in sender.ledgers()):
                continue
            for shard in range(self.shards):
                visitor = draw_visitors(draw, 1, shard, self.shards)
                for ledger in sender.ledgers_of(visitor[0]):
                    sender.fences.append(Fence(ledger, ledger.mark(sender.name), visitor[0], boottime()))
                    ledger.send(sender.name, 0, 1, False, frozenset())
                sender.send(visitor, Place(FENCE), HEARTBEAT)
            sender.fences = sender.fences[-24:]

    def drop_fences(self, *ledgers):
        """What was on its way there may come in another order."""
        for sender in self.senders:
            sender.fences = [one for one in sender.fences if one.ledger not in ledgers]
            for ledger in ledgers:
                sender.passed.pop(ledger, None)

    def settle(self, ledger, seen):
        """Find out, by seen(visitors), what of a collector's has been processed."""
        waiting = [(sender, fence) for sender in self.senders for fence in sender.next_fences(ledger)]
        if ledger.rough or not waiting:
            return
        for (sender, fence), is_seen in zip(waiting, seen([fence.visitor for _, fence in waiting])):
            if is_seen:
                sender.pass_fence(fence)
        for sender in self.senders:
            sender.fences = [one for one in sender.fences if any(
                entry.settled == math.inf and entry.scopes for entry in one.entries)]
