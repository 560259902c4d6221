"""SipHash-2-4 and signed heartbeats, written from the paper and the wire format alone."""

import time

MASK = (1 << 64) - 1


def rotate(word, bits):
    return (word << bits | word >> (64 - bits)) & MASK


def siphash(key, message):
    """The tag, eight bytes."""
    k0, k1 = (int.from_bytes(key[i:i + 8], "little") for i in (0, 8))
    a, b, c, d = (k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                  k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573)

    def rounds(number):
        nonlocal a, b, c, d
        for _ in range(number):
            a, c = (a + b) & MASK, (c + d) & MASK
            b, d = rotate(b, 13) ^ a, rotate(d, 16) ^ c
            a, c = (rotate(a, 32) + d) & MASK, (c + b) & MASK
            b, d = rotate(b, 17) ^ c, rotate(d, 21) ^ a
            c = rotate(c, 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xff])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i:i + 8], "little")
        d ^= word
        rounds(2)
        a ^= word
    c ^= 0xff
    rounds(4)
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def signed(datagram, key_id, key, at=None):
    """A native datagram of either version, authenticated as of `at`, Unix seconds; now by default."""
    at = int(time.time()) if at is None else at
    length, at = (len(datagram) + 8).to_bytes(2, "big"), at.to_bytes(4, "big")
    if datagram[2] == 2:
        message = b"PH\2\1" + length + bytes([key_id, datagram[7]]) + at + datagram[12:]
    else:
        message = datagram[:4] + length + bytes([1, key_id]) + at + datagram[12:]
    return message + siphash(key, message)
