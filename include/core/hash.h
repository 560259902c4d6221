/* hash.h - hash a visitor of a scope to their place in the table. Free of libc.
 *
 * A scope's key is derived from its kind and names and from the segment's secret (scope_name.h).
 * Visitor and key are hashed to 128 bits by folded 64 x 64 multiplications, as in wyhash and XXH3:
 * 44 of them are the fingerprint, 64 others choose the two pairs of lines. Without the secret
 * nobody can choose ids that collide in a line, nor two ids with the same fingerprint.
 */
#ifndef PRESENCE_HASH_H
#define PRESENCE_HASH_H

#include <stdint.h>

#define HASH_KEY_WORDS 6

struct scope_key {
    uint64_t words[HASH_KEY_WORDS];
};

struct hash_product {
    uint64_t low, high;
};

/* Multiply two 64-bit numbers to the full product. BPF has no 128-bit integers. */
static inline struct hash_product hash_multiply(uint64_t a, uint64_t b)
{
#if defined(__SIZEOF_INT128__) && !defined(__bpf__)
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (struct hash_product){(uint64_t)product, (uint64_t)(product >> 64)};
#else
    uint64_t low = (a & 0xffffffff) * (b & 0xffffffff);
    uint64_t cross1 = (a >> 32) * (b & 0xffffffff) + (low >> 32);
    uint64_t cross2 = (a & 0xffffffff) * (b >> 32) + (cross1 & 0xffffffff);
    return (struct hash_product){(cross2 << 32) | (low & 0xffffffff),
                                 (a >> 32) * (b >> 32) + (cross1 >> 32) + (cross2 >> 32)};
#endif
}

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    struct hash_product product = hash_multiply(a, b);
    return product.low ^ product.high;
}

struct hash128 {
    uint64_t first, second;
};

/* Hash the 16 bytes of a visitor's id under a scope's key. */
static inline struct hash128 hash_visitor(const struct scope_key *key, const uint8_t *id)
{
    uint64_t a, b;

    __builtin_memcpy(&a, id, sizeof(a));
    __builtin_memcpy(&b, id + sizeof(a), sizeof(b));
    struct hash_product mixed = hash_multiply(a ^ key->words[0], b ^ key->words[1]);
    return (struct hash128){
        hash_fold(mixed.low ^ key->words[2], mixed.high ^ key->words[3]),
        hash_fold(mixed.low ^ key->words[4], mixed.high ^ key->words[5]),
    };
}

#endif
