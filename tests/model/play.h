/* play.h - random scenarios of each variant as one group of tests.
 *
 * TEST_SEED=N begins with the scenario of that seed; TEST_LONG=1 runs ten times as long. */
#ifndef PRESENCE_TESTS_PLAY_H
#define PRESENCE_TESTS_PLAY_H

#include "scenario.h"

/* Play scenarios of each for `seconds`, at least one, and compare everything that can be read after
 * every step. Returns what main is to return. */
int play_variants(const char *name, const struct variant *variants, unsigned count, double seconds);

#endif
