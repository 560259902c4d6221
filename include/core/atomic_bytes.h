/* atomic_bytes.h - copy names from and to shared memory, and compare them there. Apart from
 * atomics.h, so that tests can pause between any two bytes. */
#ifndef PRESENCE_ATOMIC_BYTES_H
#define PRESENCE_ATOMIC_BYTES_H

#include "core/atomics.h"

/* Copy bytes from or to memory that others write or read meanwhile, each byte by itself. */
static inline void atomic_load_bytes_relaxed(uint8_t *ret, const uint8_t *from, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        ret[i] = atomic_load_relaxed(&from[i]);
}

static inline void atomic_store_bytes_relaxed(uint8_t *to, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        atomic_store_relaxed(&to[i], bytes[i]);
}

/* True if memory that others write meanwhile has these bytes. */
static inline bool atomic_has_bytes_relaxed(const uint8_t *from, const uint8_t *bytes,
                                            uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        if (atomic_load_relaxed(&from[i]) != bytes[i])
            return false;
    return true;
}

#endif
