/* random_source.h - reproducible randomness: the seed is printed, and can be given again as
 * TEST_SEED. */
#ifndef PRESENCE_TESTS_RANDOM_SOURCE_H
#define PRESENCE_TESTS_RANDOM_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

struct random_source {
    uint64_t state;
};

/* Return the next number of splitmix64 (Steele, Lea, Flood 2014): any seed is good. */
static inline uint64_t random_next(struct random_source *source)
{
    uint64_t mixed = source->state += UINT64_C(0x9e3779b97f4a7c15);

    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

/* Return a number from 0 to `count` - 1. */
static inline unsigned random_below(struct random_source *source, unsigned count)
{
    return (unsigned)((random_next(source) >> 32) * count >> 32);
}

static inline unsigned random_between(struct random_source *source, unsigned low, unsigned high)
{
    return low + random_below(source, high - low + 1);
}

static inline bool random_one_in(struct random_source *source, unsigned count)
{
    return random_below(source, count) == 0;
}

/* Return the seed of the first run: TEST_SEED, or another one each time. */
static inline uint64_t random_seed(void)
{
    const char *given = getenv("TEST_SEED");
    uint32_t seed = 1;

    if (given)
        return strtoull(given, NULL, 0);
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        return 1;
    return seed;
}

#endif
