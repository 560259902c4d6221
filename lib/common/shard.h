/* shard.h - which shard of a group has a visitor (R9). All functions: any thread. */
#ifndef PRESENCE_SHARD_H
#define PRESENCE_SHARD_H

#include <stdint.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Return the index of the shard, of `shards` (at least 1), that has the visitor with these 16
 * bytes: each shard has a range of their XXH3-64 (seed 0). */
static inline uint32_t shard_of(const uint8_t visitor[16], uint32_t shards)
{
    __extension__ unsigned __int128 product = (unsigned __int128)XXH3_64bits(visitor, 16) * shards;

    return (uint32_t)(product >> 64);
}

#endif
