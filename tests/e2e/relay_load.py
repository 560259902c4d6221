"""What goes through relays, for the tests of them: heartbeats that are each counted once and where
the formula says, whatever becomes of the relays."""

import collections
import hashlib
import itertools
import os
import threading
import time
import uuid

from harness import native, native2, record
from xxh3 import identity_of, shard_of

SITE = "relay.example"
SHARDS = 3  # of group A
MOST = 6  # heartbeats in a datagram
PAGEVIEW, EVENT = 3, 4


def text(identity, room, kind):
    """A text heartbeat as an edge writes it."""
    what = "kind=pageview" if kind == PAGEVIEW else "event=sold"
    return (f"<190>Nov 22 03:56:23 presence: PH1 site={SITE} visitor={identity} room={room} "
            f"{what}").encode()


class Heartbeats:
    """An endless iterator over lists of datagrams. All their visitors are new. But for those at
    /mixed, each is at a room that says in which shard they belong."""

    def __init__(self):
        self.prefix = os.urandom(8)
        self.numbers = itertools.count()
        self.sent = [0] * SHARDS  # heartbeats in all datagrams so far, by the visitors' shard
        self.kinds = {PAGEVIEW: 0, EVENT: 0}
        self.waiting = [[] for _ in range(SHARDS)]  # visitors drawn, by shard
        self.stream = int.from_bytes(os.urandom(8), "big") or 1
        self.forms = itertools.cycle((self.text_uuid, self.text_other, self.version_1,
                                      self.version_2, self.version_2_mixed))
        self.sequence = 0
        self.mixed = collections.deque(maxlen=300)  # the last visitors at /mixed

    def __iter__(self):
        return self

    def __next__(self):
        return [next(self.forms)() for _ in range(5)]

    def draw(self):
        number = next(self.numbers).to_bytes(8, "big")
        return hashlib.blake2b(self.prefix + number, digest_size=16).digest()

    def draw_of(self, shard, count):
        """Visitors of one shard."""
        while len(self.waiting[shard]) < count:
            identity = self.draw()
            self.waiting[shard_of(identity, SHARDS)].append(identity)
        drawn = self.waiting[shard][:count]
        del self.waiting[shard][:count]
        return drawn

    def count(self, identities, kind):
        for identity in identities:
            self.sent[shard_of(identity, SHARDS)] += 1
        self.kinds[kind] += len(identities)

    def text_uuid(self):
        identity = self.draw()
        self.count([identity], PAGEVIEW)
        return text(uuid.UUID(bytes=identity), f"/shard-{shard_of(identity, SHARDS)}", PAGEVIEW)

    def text_other(self):
        name = self.draw().hex()  # 32 digits are no UUID
        self.count([identity_of(name)], EVENT)
        return text(name, f"/shard-{shard_of(identity_of(name), SHARDS)}", EVENT)

    def version_1(self):
        shard = next(self.numbers) % SHARDS
        identities = self.draw_of(shard, 3)
        self.count(identities, PAGEVIEW)
        return native(SITE, identities, room=f"/shard-{shard}", kind=PAGEVIEW)

    def version_2(self):
        records = []
        for shard in range(SHARDS):
            identities = self.draw_of(shard, 2)
            self.count(identities, EVENT)
            records.append(record(SITE, identities, room=f"/shard-{shard}", kind=EVENT,
                                  event="sold"))
        return self.number(records)

    def version_2_mixed(self):
        identities = [self.draw() for _ in range(MOST)]
        self.mixed.extend(identities)
        self.count(identities, PAGEVIEW)
        return self.number([record(SITE, identities, room="/mixed", kind=PAGEVIEW)])

    def number(self, records):
        self.sequence += 1
        return native2(*records, stream=self.stream, sequence=self.sequence)


class Pace(threading.Thread):
    """Sends to one relay without a pause, until it is told to stop."""

    def __init__(self, sockets, port, pause):
        super().__init__()
        self.sockets, self.target, self.pause = sockets, ("127.0.0.1", port), pause
        self.heartbeats = Heartbeats()
        self.datagrams = 0  # sent
        self.most = None  # when so many are sent it waits; None: it doesn't
        self.stopping = False
        self.start()

    def run(self):
        for one in itertools.cycle(self.sockets):
            while self.most is not None and self.datagrams > self.most and not self.stopping:
                time.sleep(0.001)
            if self.stopping:
                return
            for datagram in next(self.heartbeats):
                one.sendto(datagram, self.target)
                self.datagrams += 1
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        self.join()
