/* buckets.h - put visitors into a scope's ring as a collector does. */
#ifndef PRESENCE_TESTS_BUCKETS_H
#define PRESENCE_TESTS_BUCKETS_H

#include <core/ring.h>

/* Add `delta`, which may be negative, to the buckets of a tick. */
static inline void ring_add(struct ring *ring, uint64_t tick, int32_t delta)
{
    ring_add_second(ring, tick, delta, false);
    ring_add_minute(ring, tick / 60, delta, false);
}

#endif
