/* siphash.h - compute the tag of an authenticated datagram: SipHash-2-4 with 64 bits.
 *
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012. A tag is the value's bytes from
 * the lowest on, as the reference implementation writes them. Free of libc, no state: any thread.
 */
#ifndef PRESENCE_SIPHASH_H
#define PRESENCE_SIPHASH_H

#include <stdbool.h>
#include <stdint.h>

#define SIPHASH_KEY_SIZE 16 /* bytes */
#define SIPHASH_TAG_SIZE 8

struct siphash_key {
    uint64_t words[2];
};

/* Load eight bytes, the first the lowest. */
static inline uint64_t siphash_load64(const uint8_t *bytes)
{
    uint64_t word;

    __builtin_memcpy(&word, bytes, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline struct siphash_key siphash_key(const uint8_t bytes[SIPHASH_KEY_SIZE])
{
    return (struct siphash_key){{siphash_load64(bytes), siphash_load64(bytes + 8)}};
}

static inline uint64_t siphash_rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void siphash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = siphash_rotate(v[1], 13) ^ v[0];
    v[3] = siphash_rotate(v[3], 16) ^ v[2];
    v[0] = siphash_rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = siphash_rotate(v[3], 21) ^ v[0];
    v[1] = siphash_rotate(v[1], 17) ^ v[2];
    v[2] = siphash_rotate(v[2], 32);
}

static inline void siphash_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    siphash_round(v);
    siphash_round(v);
    v[0] ^= word;
}

/* Load the bytes after the whole words, fewer than eight, and put the length's lowest byte above
 * them. */
static inline uint64_t siphash_last_word(const uint8_t *bytes, uint32_t left, uint32_t length)
{
    uint64_t word = (uint64_t)length << 56;

    for (uint32_t i = 0; i < left; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

static inline uint64_t siphash(struct siphash_key key, const uint8_t *bytes, uint32_t length)
{
    uint64_t v[4] = {
        key.words[0] ^ UINT64_C(0x736f6d6570736575),
        key.words[1] ^ UINT64_C(0x646f72616e646f6d),
        key.words[0] ^ UINT64_C(0x6c7967656e657261),
        key.words[1] ^ UINT64_C(0x7465646279746573),
    };
    uint32_t whole = length & ~UINT32_C(7);

    for (uint32_t i = 0; i < whole; i += 8)
        siphash_absorb(v, siphash_load64(bytes + i));
    siphash_absorb(v, siphash_last_word(bytes + whole, length - whole, length));
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Write the tag of `length` bytes, e.g. after them. */
static inline void siphash_tag(struct siphash_key key, const uint8_t *bytes, uint32_t length,
                               uint8_t ret_tag[SIPHASH_TAG_SIZE])
{
    uint64_t value = siphash(key, bytes, length);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    __builtin_memcpy(ret_tag, &value, sizeof(value));
}

/* True if this is the tag of `length` bytes. A wrong tag takes equally long wherever it differs. */
static inline bool siphash_tag_matches(struct siphash_key key, const uint8_t *bytes,
                                       uint32_t length, const uint8_t tag[SIPHASH_TAG_SIZE])
{
    return (siphash(key, bytes, length) ^ siphash_load64(tag)) == 0;
}

#endif
