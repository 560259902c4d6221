/* sampler.h - sample counts once a second: peaks of all scopes, minutes of those with a history. */
#ifndef PRESENCED_SAMPLER_H
#define PRESENCED_SAMPLER_H

#include "history_pool.h"

#define SAMPLER_DEFICIT_MIN (-(INT64_C(1) << 40)) /* of a history's departures: never below */

/* Sample all scopes, which are among the first `scopes` entries of the directory, at tick `now`,
 * which lies in day `day` of UTC (counted from 1970). Does nothing if this tick was sampled before.
 * The maintenance thread, while no scope can be retired. */
void sampler_run(struct history_pool *pool, uint32_t scopes, uint64_t now, int64_t day);

#endif
