/* unit.h - for all unit tests: cmocka, and reproducible random numbers. */
#ifndef PRESENCE_TESTS_UNIT_H
#define PRESENCE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Return the next of a sequence of 64-bit numbers (splitmix64: Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Return the seed of a random test: TEST_SEED from the environment, or a fixed one. It is printed,
 * so that a failure can be repeated. */
static inline uint64_t random_seed(const char *test)
{
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : UINT64_C(20260131);
    print_message("%s: TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

#endif
