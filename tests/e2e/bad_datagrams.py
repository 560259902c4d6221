"""Datagrams and what becomes of them, written from docs/protocol.md and not from the code."""

import struct

from harness import GOLDEN, native2, record, visitor

UUID = "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"
# A lone continuation, overlong forms, a surrogate, beyond U+10FFFF, what never leads, cut off.
NOT_UTF8 = (b"\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
            b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xe2\x82",
            b"\xf0\x9f\x98")
CONTROL = (b"\x00", b"\x01", b"\n", b"\t", b"\x1f", b"\x7f", b"\xc2\x80", b"\xc2\x9f")
FINE = (b" ", b"~", b"\xc2\xa0", "ü".encode(), "\u2028".encode(), "\U0010ffff".encode(),
        b'"', b"\\")


def raw_native(site=b"a.example", room=b"", source=b"", event=b"", kind=1, country=bytes(2),
               visitors=1):
    """A native datagram whose lengths agree with each other, whatever its names are."""
    names = site + room + source + event
    return (b"PH" + bytes([1, kind]) + (20 + len(names) + 16 * visitors).to_bytes(2, "big") +
            bytes(6) + visitors.to_bytes(2, "big") +
            bytes([len(site), len(room), len(source), len(event)]) + country + names +
            bytes(range(16)) * visitors)


def patched(offset, data, datagram=GOLDEN):
    return datagram[:offset] + data + datagram[offset + len(data):]


def is_country(data):
    return data == bytes(2) or all(0x41 <= letter <= 0x5a for letter in data)


def is_name(data):
    """UTF-8 without control characters, as section 2 wants names."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return not any(ord(letter) < 0x20 or 0x7f <= ord(letter) <= 0x9f for letter in text)


def native2_shape(data):
    """The reason for a datagram of version 2 by its header and length alone; None: accepted."""
    if len(data) < 28:
        return "malformed"
    flags, length, key, names, _, stream, sequence, records = struct.unpack(">BHBBIQIH", data[3:26])
    tag = 8 * flags
    fine = (
        flags in (0, 1) and (key > 0) == (flags == 1) and length == len(data)
        and (stream > 0 or sequence == 0) and (names > 0 or records == 0)
        and 28 + 2 * names + 24 * records + tag <= length
        and length <= 28 + 256 * names + (8 + 16 * 255) * records + tag
    )
    return None if fine else "malformed"


def native2_reason(data):
    """The same by all its bytes."""
    if native2_shape(data):
        return "malformed"
    flags, count, records = data[3], data[7], int.from_bytes(data[24:26], "big")
    rest, names = data[28:len(data) - 8 * flags], [b""]
    for _ in range(count):
        names.append(rest[1:1 + rest[0]] if rest else b"")
        if not names[-1] or len(names[-1]) < rest[0] or not is_name(names[-1]):
            return "malformed"
        rest = rest[1 + rest[0]:]
    for _ in range(records):
        if len(rest) < 24:
            return "malformed"
        kind, site, room, source, event, visitors = rest[:6]
        if (kind not in (1, 2, 3, 4) or site == 0 or (event > 0) != (kind == 4)
                or max(site, room, source, event) > count or visitors == 0
                or len(names[site]) > 253 or len(names[source]) > 253 or len(names[event]) > 63
                or not is_country(rest[6:8]) or len(rest) < 8 + 16 * visitors):
            return "malformed"
        rest = rest[8 + 16 * visitors:]
    return "malformed" if rest else None


def native_reason(data):
    """The reason for a datagram that begins with "PH" and has no 1 in byte 2; None: accepted."""
    if len(data) < 3:
        return "malformed"
    if data[2] == 2:
        return native2_reason(data)
    if data[2] != 1:
        return "version"
    if len(data) < 20:
        return "malformed"
    kind, length, flags, key, _, visitors = struct.unpack(">BHBBIH", data[3:14])
    sizes, country = data[14:18], data[18:20]
    names, offset = [], 20
    for size in sizes:
        names.append(data[offset:offset + size])
        offset += size
    fine = (
        kind in (1, 2, 3, 4) and length == len(data) and flags in (0, 1)
        and (key > 0) == (flags == 1) and 1 <= sizes[0] <= 253 and sizes[2] <= 253
        and (1 <= sizes[3] <= 63 if kind == 4 else sizes[3] == 0)
        and is_country(country)
        and length == 20 + sum(sizes) + 16 * visitors + 8 * flags
        and all(map(is_name, names))
    )
    return "malformed" if not fine else "visitor" if visitors == 0 else None


def reason(data):
    """The same for any datagram that is not text by its looks, or not a heartbeat at all."""
    if data[:2] == b"PH" and data[2:3] != b"1":
        return native_reason(data)
    return "malformed"


NATIVE_MALFORMED = [
    *(GOLDEN[:length] for length in range(len(GOLDEN))),
    GOLDEN + b"\0", GOLDEN + bytes(16), GOLDEN + b"\n",
    *(patched(4, length.to_bytes(2, "big")) for length in (0, 20, 82, 84, 0x5300, 65535)),
    *(patched(3, bytes([kind])) for kind in (0, 5, 6, 255)),
    *(patched(6, bytes([flags])) for flags in (2, 4, 0x80, 0xff)),
    patched(6, b"\1\0"), patched(6, b"\0\1"), patched(6, b"\1\1"),  # no key, no flag, no tag
    *(patched(12, visitors.to_bytes(2, "big")) for visitors in (0, 1, 3, 4096, 65535)),
    *(patched(offset, bytes([GOLDEN[offset] + change]))
      for offset in range(14, 17) for change in (-1, 1)),
    *(patched(18, country) for country in (b"de", b"De", b"D\0", b"\0E", b"D1", b"@A", b"A[",
                                            b"\xc3\x84")),
    raw_native(site=b""), raw_native(site=b"a" * 254), raw_native(site=b"a" * 255),
    raw_native(source=b"a" * 254), raw_native(source=b"a" * 255),
    raw_native(kind=4), raw_native(kind=4, event=b"a" * 64), raw_native(kind=4, event=b"a" * 255),
    *(raw_native(kind=kind, event=b"buy") for kind in (1, 2, 3)),
    *(raw_native(**{name: b"x" + bad, **extra})
      for bad in NOT_UTF8 + CONTROL
      for name, extra in (("site", {}), ("room", {}), ("source", {}), ("event", {"kind": 4}))),
    raw_native(site=b"a\xc3", room=b"\xbcb"),  # a character over the end of a name
    raw_native(room=b"\xff", visitors=0),  # before "no visitor"
]
NATIVE_VISITOR = [raw_native(visitors=0),
                  raw_native(b"A" * 253, b"/" * 255, b"s" * 253, visitors=0)]
VERSION = [
    patched(2, b"\0"), patched(2, b"\3"), patched(2, b"2"), patched(2, b"\xff"),
    b"PH2 site=a.example visitor=1", b"PH\0", b"PHP", b"PH\n" + bytes(1000), b"PH " * 100,
]
NATIVE_ACCEPTED = [
    *(raw_native(room=b"/" + fine, source=fine, kind=4, event=fine) for fine in FINE),
    raw_native(b"A" * 253, b"/" * 255, b"s" * 253, b"e" * 63, kind=4, country=b"AZ"),
    patched(8, b"\xff" * 4),  # sent at: looked at only when authenticated
]

def raw_native2(*names, count=None, records=((1, 1, 0, 0, 0, 1),), country=bytes(2), beyond=b""):
    """A datagram of version 2 without a stream, whose length is right: these names (`count` of them,
    it says) and these records, each of kind, four numbers of names and visitors."""
    body = b"".join(bytes([len(name)]) + name for name in names)
    body += b"".join(bytes(fields) + country + bytes(range(16)) * fields[5] for fields in records)
    body += beyond
    return struct.pack(">2sBBHBBIQIHH", b"PH", 2, 0, 28 + len(body), 0,
                       len(names) if count is None else count, 0, 0, 0, len(records), 0) + body


def event2(name):
    """A datagram of version 2 with a custom event of this name."""
    return raw_native2(b"a.example", name, records=((4, 1, 0, 0, 2, 1),))


BOTH = native2(record("b.example", [visitor(1), visitor(2)], room="/r", source="s", country="DE"),
               record("b.example", [visitor(3)], room="/q", kind=4, event="buy"))
NATIVE2_MALFORMED = [
    *(BOTH[:length] for length in range(3, len(BOTH))),
    *(patched(4, length.to_bytes(2, "big"), BOTH[:length]) for length in range(28, len(BOTH))),
    patched(4, (len(BOTH) + 1).to_bytes(2, "big"), BOTH + b"\0"), BOTH + bytes(16),
    patched(2, b"\2"),  # version 1's layout
    *(patched(3, bytes([flags]), BOTH) for flags in (1, 2, 0x80, 0xff)),
    patched(6, b"\1", BOTH),  # a key, but no flag
    *(patched(7, bytes([names]), BOTH) for names in (0, 1, 4, 6, 255)),
    *(patched(20, sequence, BOTH) for sequence in (b"\0\0\0\1", b"\x80\0\0\0")),  # and no stream
    *(patched(24, records.to_bytes(2, "big"), BOTH) for records in (0, 1, 3, 512, 65535)),
    raw_native2(count=1), raw_native2(), raw_native2(b"", records=()), raw_native2(b"a", b""),
    raw_native2(b"a", count=2, records=()), raw_native2(b"a", count=0, records=()),
    raw_native2(b"a", beyond=b"\0"), raw_native2(b"a", beyond=bytes(24)),
    *(raw_native2(b"a", b"b", records=((1, 1, 0, 0, 0, 1), (kind, *numbers, visitors)))
      for kind, *numbers, visitors in (
          (0, 1, 0, 0, 0, 1), (5, 1, 0, 0, 0, 1), (255, 1, 0, 0, 2, 1), (1, 0, 0, 0, 0, 1),
          (1, 3, 0, 0, 0, 1), (1, 255, 0, 0, 0, 1), (1, 1, 3, 0, 0, 1), (1, 1, 0, 3, 0, 1),
          (4, 1, 0, 0, 3, 1), (4, 1, 0, 0, 0, 1), (1, 1, 0, 0, 2, 1), (2, 1, 0, 0, 2, 1),
          (3, 1, 0, 0, 2, 1), (1, 1, 2, 2, 0, 0))),
    *(raw_native2(b"a", country=country) for country in (b"de", b"D\0", b"\0E", b"@A", b"A[")),
    raw_native2(b"a" * 254), raw_native2(b"a", b"s" * 254, records=((1, 1, 0, 2, 0, 1),)),
    event2(b"e" * 64), raw_native2(b"a\xc3", b"\xa9"),
    *(raw_native2(b"a", b"x" + bad) for bad in NOT_UTF8 + CONTROL),  # in a name that nobody uses
]
NATIVE2_ACCEPTED = [
    BOTH, raw_native2(b"a"), *map(event2, FINE), event2(b"e" * 63),
    raw_native2(b"A" * 253, b"/" * 255, b"s" * 253, records=((1, 1, 2, 3, 0, 255),), country=b"AZ"),
    raw_native2(*[b"a"] * 255, records=((1, 255, 255, 255, 0, 1), (3, 1, 0, 0, 0, 1))),
    patched(8, b"\xff" * 4, BOTH), patched(26, b"\xff\xff", BOTH),  # sent at, target
]

TEXT = f"PH1 site=a.example visitor={UUID}"
TEXT_MALFORMED = [
    "hello", "P", "PH1", "PH1 ", "\n", "\0", "PH1\tsite=a.example visitor=1",
    "ph1 site=a.example visitor=1", f"x{TEXT}", f"PH1{TEXT}", "PH1 visitor=1",
    "PH1 site= visitor=1",
    "PH1 site=- visitor=1", 'PH1 site="" visitor=1', 'PH1 site="-" visitor=1',
    f"PH1 site={'a' * 254} visitor=1", 'PH1 site="a\\u0000" visitor=1', 'PH1 site="a\\n" visitor=1',
    "PH1 site=a\tb visitor=1", "PH1 site=a\x7f visitor=1", "PH1 SITE=a visitor=1",
    *(f"{TEXT} {word}" for word in (
        "site=a.example", "site=b.example", "visitor=2", "junk", "junk room=/x", "kind=enter",
        "kind=LEAVE",
        "kind=heartbeats", "kind=event", "kind=event event=", "kind=event event=-",
        'kind=event event=""', "kind=heartbeat event=buy", "kind=leave event=buy",
        "event=buy kind=pageview", f"event={'e' * 64}", 'event="a\\tb"', "kind=leave kind=leave",
        "room=/a room=/a", "country=DE country=DE", "source=a source=b", 'room="/x"y',
        'room="/x""y"', 'room="\\q"y', 'kind="leave', 'kind="\\q"', 'event="buy', 'event="\\q"',
        'event="\\ud800"', 'event="\\x7"')),
    *(f"PH1 site=a.example visitor={value}" for value in (
        '"', '"v', '"v\\"', '"v\\', '"\\v"', '"\\x"', '"\\xg0"', '"\\u12"', '"\\u12g4"', '"\\ud800"',
        '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800x"')),
    'PH1 visitor=1 site="a', 'PH1 visitor=1 site="\\q"', 'PH1 visitor=1 room="/x site=a',
    " " * 1024 + TEXT,
    "<134>1 " + "x" * 1030 + " " + TEXT,
]
TEXT_MALFORMED_BYTES = [b"PH1 visitor=1 site=a" + bad for bad in NOT_UTF8] + [
    TEXT.encode() + b" event=e" + bad for bad in NOT_UTF8]
TEXT_VISITOR = [
    "PH1 site=a.example", "PH1 site=a.example visitor=", "PH1 site=a.example visitor=-",
    'PH1 site=a.example visitor=""', 'PH1 site=a.example visitor="-"',
    'PH1 site=a.example visitor="   "', f"PH1 site=a.example visitor={'v' * 513}",
    f'PH1 site=a.example visitor="{"v" * 4000}"', "PH1 site=a.example Visitor=1",
    "PH1 site=a.example room=/x country=DE kind=leave", 'PH1 site=a.example room="/x visitor=1',
    *(f"PH1 site=a.example visitor={value} room=/x" for value in (
        "undefined", "UNDEFINED", "null", "Null", "NaN", "nan", '" null "', '"\\u006eull"',
        "00000000-0000-0000-0000-000000000000", '"\\x6eaN"')),
]
TEXT_ACCEPTED = [
    TEXT, TEXT + "\n", TEXT + "\r\n", TEXT + "\0", TEXT + "\n\0\r",
    f"PH1 visitor={UUID} site=a.example", f'PH1 site="a.example" visitor="{UUID}"',
    f'PH1 site="\\u0061.ex\\u0061mple" visitor=" {UUID.upper()}  "',
    f"PH1 site=A.eXample visitor={UUID}",
    f"{TEXT} colour=red", f"{TEXT} colour=red colour=blue", f"{TEXT} room= country=- source=\"-\"",
    f"{TEXT} kind=heartbeat", f"{TEXT} event=buy", f"{TEXT} kind=event event=buy",
    f"{TEXT} kind=pageview event=-", f"{TEXT} kind=",
    f"<190>Nov 22 03:56:23 presence: {TEXT}", f"<134>Nov 22 03:55:11 haproxy[8009]: {TEXT}\n",
    f"<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - {TEXT}\n",
    " " * 1023 + TEXT, "x" * 1022 + " " + TEXT, "PH1x " + TEXT, "\ufeff" + TEXT,
    *(f"<13>presence{byte}{TEXT}" for byte in '\t>:]"=_-\0\n'), f"<13>{TEXT}",
    f"93 <13>1 2026-11-22T03:55:11Z h a 1 - [x@1 y=\"z\"] \ufeff{TEXT}",
    f'{TEXT} other="\\q"', f'{TEXT} other="', f'{TEXT} other="a"b', f"{TEXT} country=XX",
    f"{TEXT} country=zz", f"{TEXT} country=T1", f"{TEXT} country=a1", f"{TEXT} country=A2",
    f"{TEXT} country=o1",
]
# Labels that are not valid are skipped, and the site still counts: (words, label_invalid, too long)
LABELS = [
    (f"room=/{'r' * 255}".encode(), 0, 1), (b"room=/x\xff", 1, 0),
    (b"room=/x\x80 source=\xc0\xaf", 2, 0),
    (b'room="/\\u0007"', 1, 0), (b'room="/\\u0085" source="\\u007f"', 2, 0), (b"room=/x\ty", 1, 0),
    (f"source={'s' * 254}".encode(), 1, 0), (b"country=D", 1, 0), (b"country=DEU", 1, 0),
    (b"country=1A", 1, 0), (b'country="D\\u0000"', 1, 0), ("country=Ä".encode(), 1, 0),
    (b"country=D1 room=\xff source=\xfe", 3, 0), (b"country=*- room=" + b"/" * 300, 1, 0),
    (b"country=*- room=" + b"/r" * 128, 1, 1), (b"room=//" + b"r" * 254 + b"//", 0, 0),
    (b'room="/x', 1, 0), (b'room="', 1, 0), (b'room="/x\\"', 1, 0), (b'room="\\', 1, 0),
    (b'room="\\q"', 1, 0), (b'room="\\ud800" source="\\udc00" country="\\ud800\\u0041"', 3, 0),
    (b'room="\\u12\\" x" source="\\x7"', 2, 0), (b'country="DE', 1, 0), (b'source="news.example', 1, 0),
    (b'room="/caf\\xc3\\xa9/"', 0, 0), (b'room="/caf\\xc3"', 1, 0), (b"country=T2", 1, 0),
    (b"room=" + b"/" * 255 + b" country=de", 0, 0), (b"source=" + b"s" * 253, 0, 0),
]
