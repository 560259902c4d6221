"""Datagrams built from docs/protocol.md alone. Tests import them from harness.py."""

import struct

LEAVE = 2  # the kind of a heartbeat
GOLDEN = bytes.fromhex(
    "50480101005300000000000000020b080c0044456578616d706c652e636f6d2f70726963696e676e6577732e6578"
    "616d706c659b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f00000000000040008000000000000001"
)


def native(site, visitors, room="", source="", country="", kind=1, event=""):
    """Build a native datagram, from docs/protocol.md alone. `visitors` are 16 bytes each."""
    names = [name.encode() for name in (site, room, source, event)]
    length = 20 + sum(map(len, names)) + 16 * len(visitors)
    header = b"PH" + bytes([1, kind]) + length.to_bytes(2, "big") + bytes(6)
    header += len(visitors).to_bytes(2, "big") + bytes(len(name) for name in names)
    header += country.encode() or bytes(2)
    return header + b"".join(names) + b"".join(visitors)


def record(site, visitors, **place):
    """A record of native2: like native's arguments, with 1 to 255 visitors."""
    return site, visitors, place


def native2(*records, stream=0, sequence=0, target=0):
    """Build a native datagram of version 2, from docs/protocol.md alone."""
    names, body = [""], b""
    for site, visitors, place in records:
        numbers = []
        for name in (site, *(place.get(label, "") for label in ("room", "source", "event"))):
            names += [name] if name not in names else []
            numbers.append(names.index(name))
        body += bytes([place.get("kind", 1), *numbers, len(visitors)])
        body += (place.get("country", "").encode() or bytes(2)) + b"".join(visitors)
    table = b"".join(bytes([len(name)]) + name for name in map(str.encode, names[1:]))
    length = 28 + len(table) + len(body)
    return struct.pack(">2sBBHBBIQIHH", b"PH", 2, 0, length, 0, len(names) - 1, 0, stream,
                       sequence, len(records), target) + table + body


def visitor(number):
    """The 16 bytes of a visitor's id."""
    return number.to_bytes(16, "big")
