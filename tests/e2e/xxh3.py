"""XXH3 by libxxhash, which no program of presence calls: they have it compiled in."""

import ctypes


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


LIBRARY = ctypes.CDLL("libxxhash.so.0")
LIBRARY.XXH3_64bits.restype = ctypes.c_uint64
LIBRARY.XXH3_64bits.argtypes = LIBRARY.XXH3_128bits.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
LIBRARY.XXH3_128bits.restype = Hash128


def shard_of(identity, shards):
    """The shard that has the visitor with these 16 bytes, from 0 (R9)."""
    return LIBRARY.XXH3_64bits(identity, len(identity)) * shards >> 64


def identity_of(text):
    """The 16 bytes of a visitor whose id is no UUID."""
    data = text.encode()
    both = LIBRARY.XXH3_128bits(data, len(data))
    return both.high.to_bytes(8, "big") + both.low.to_bytes(8, "big")


assert identity_of("visitor-42").hex() == "d7e376ba990b40e96a72e153f117cecc"  # docs/protocol.md
