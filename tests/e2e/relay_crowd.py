"""Visitors of several sites, and the edges that send their heartbeats, for the tests of relays."""

import collections
import hashlib
import itertools
import random
import socket
import uuid

from harness import native, native2, record
from xxh3 import identity_of

HEARTBEAT, LEAVE, PAGEVIEW, EVENT = 1, 2, 3, 4
KIND_NAMES = {HEARTBEAT: "heartbeat", LEAVE: "leave", PAGEVIEW: "pageview", EVENT: "event"}
DATAGRAM_BYTES = 1400

Visitor = collections.namedtuple("Visitor", "identity name home")
Place = collections.namedtuple("Place", "site room country source", defaults=("", "", ""))
Beat = collections.namedtuple("Beat", "visitor kind place")


class Crowd:
    """The same one for the same seed. Half of the visitors are UUIDs, half are other ids."""

    SITES = "shop.example", "News.Example", "live.example", "empty.example"
    COUNTRIES = "", "DE", "fr", "IT", "XX", "NL", "US", "JP"
    SOURCES = "", "", "search.example", "Feed.Example", "t1.example"

    def __init__(self, seed, count):
        self.random = random.Random(seed)
        self.seed = seed
        self.visitors = [self.visitor(number) for number in range(count)]

    def visitor(self, number):
        if number % 2:
            name = f"visitor {self.seed}/{number}"
            return Visitor(identity_of(name), name, self.place())
        identity = hashlib.blake2b(f"{self.seed} {number}".encode(), digest_size=16).digest()
        name = str(uuid.UUID(bytes=identity))
        return Visitor(identity, name.upper() if number % 4 else name, self.place())

    def place(self):
        """Draw one. Few places have many visitors, and many have few."""
        draw = self.random.random
        site = self.SITES[int(draw() ** 2 * 3)]
        number = int(draw() ** 3 * 150)
        room = ("", "/", f"/room/{number}", f"//room/{number}/", "lobby")[min(int(draw() * 7), 4)]
        country = self.COUNTRIES[int(draw() * len(self.COUNTRIES))]
        source = self.SOURCES[int(draw() * len(self.SOURCES))]
        return Place(site, room, country, source)

    def elsewhere(self, visitor):
        """Another room and country of the same site."""
        return self.place()._replace(site=visitor.home.site)

    def kind(self):
        """Draw what is no leave."""
        return self.random.choice((HEARTBEAT, HEARTBEAT, HEARTBEAT, PAGEVIEW, EVENT))


def text(beat):
    site, room, country, source = beat.place
    event = " event=sold" if beat.kind == EVENT else ""
    return (f'<190>Nov 22 03:56:23 presence: PH1 site={site} visitor="{beat.visitor.name}" '
            f'room="{room}" country={country or "-"} source={source} '
            f"kind={KIND_NAMES[beat.kind]}{event}").encode()


def runs(beats, most):
    """Runs of beats of the same kind and place: (place's arguments, visitors)."""
    for (kind, place), run in itertools.groupby(beats, lambda beat: beat[1:]):
        arguments = {**place._asdict(), "kind": kind, "event": "sold" if kind == EVENT else ""}
        # Text has these as no country; native has no name for them.
        country = arguments["country"].upper()
        arguments["country"] = "" if country == "XX" else country
        identities = [beat.visitor.identity for beat in run]
        for start in range(0, len(identities), most):
            yield arguments, identities[start:start + most]


class Edge:
    """A sender with an address of its own: its heartbeats keep their order. `form` is "text", 1 or
    2, the version."""

    def __init__(self, case, port, form):
        self.port, self.form = port, form
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind(("127.0.0.1", 0))
        self.stream, self.sequence = random.getrandbits(64) | 1, 0

    def send(self, beats):
        for datagram in self.encode(beats):
            self.socket.sendto(datagram, ("127.0.0.1", self.port))

    def encode(self, beats):
        if self.form == "text":
            return map(text, beats)
        if self.form == 1:
            return (native(visitors=visitors, **place) for place, visitors in runs(beats, 50))
        return self.encode_records(beats)

    def encode_records(self, beats):
        records, length = [], 0
        for place, visitors in runs(beats, 40):
            more = 16 * len(visitors) + 8 + sum(len(name) + 1 for name in place.values()
                                                if isinstance(name, str))
            if records and length + more > DATAGRAM_BYTES - 28:
                yield self.number(records)
                records, length = [], 0
            place = dict(place)
            records.append(record(place.pop("site"), visitors, **place))
            length += more
        if records:
            yield self.number(records)

    def number(self, records):
        self.sequence += 1
        return native2(*records, stream=self.stream, sequence=self.sequence)
