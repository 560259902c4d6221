"""A MaxMind DB file with a country for each network, as GeoLite2-Country has it, written from the
format's description (https://maxmind.github.io/MaxMind-DB/)."""

import ipaddress

UINT16, UINT32, UINT64, STRING, MAP, ARRAY = 5, 6, 9, 2, 7, 11
RECORD_BITS = 24
SEPARATOR = bytes(16)


def field(kind, size, payload):
    """A field of a type; types over 7 stand in a byte of their own, sizes over 28 too."""
    first = size if size < 29 else 29
    head = bytes([kind << 5 | first]) if kind <= 7 else bytes([first, kind - 7])
    return head + (bytes([size - 29]) if size >= 29 else b"") + payload


def encode(value):
    """A text, a map, a list, or a number with its type."""
    if isinstance(value, str):
        return field(STRING, len(value.encode()), value.encode())
    if isinstance(value, dict):
        return field(MAP, len(value), b"".join(encode(key) + encode(each)
                                               for key, each in value.items()))
    if isinstance(value, list):
        return field(ARRAY, len(value), b"".join(map(encode, value)))
    number, kind = value
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return field(kind, len(digits), digits)


def path_of(network):
    """The network's bits in a tree of IPv6; IPv4 is ::/96 there."""
    network = ipaddress.ip_network(network)
    length = network.prefixlen + (96 if network.version == 4 else 0)
    return [int(network.network_address) >> (127 - bit) & 1 for bit in range(length)]


def database(countries):
    """The file's bytes; `countries` is {network: ISO code}."""
    nodes, data = [[None, None]], b""
    for network, code in countries.items():
        *way, last = path_of(network)
        node = 0
        for bit in way:
            if nodes[node][bit] is None:
                nodes.append([None, None])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][last] = ("data", len(data))
        data += encode({"country": {"iso_code": code, "names": {"en": f"Country {code}"}}})

    def record(entry):
        if entry is None:
            number = len(nodes)
        elif isinstance(entry, tuple):
            number = len(nodes) + len(SEPARATOR) + entry[1]
        else:
            number = entry
        return number.to_bytes(RECORD_BITS // 8, "big")

    tree = b"".join(record(left) + record(right) for left, right in nodes)
    metadata = encode({
        "binary_format_major_version": (2, UINT16), "binary_format_minor_version": (0, UINT16),
        "build_epoch": (1767225600, UINT64), "database_type": "GeoLite2-Country",
        "description": {"en": "for tests"}, "ip_version": (6, UINT16), "languages": ["en"],
        "node_count": (len(nodes), UINT32), "record_size": (RECORD_BITS, UINT16),
    })
    return tree + SEPARATOR + data + b"\xab\xcd\xefMaxMind.com" + metadata
