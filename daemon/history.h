/* history.h - the keeper's samples: the peaks of all scopes, the minutes of some. */
#ifndef PRESENCED_HISTORY_H
#define PRESENCED_HISTORY_H

#include "history_pool.h"

/* Sample all scopes, which are among the first `scopes` entries of the directory, at tick `now`,
 * which is in the day `day` of UTC (counted from 1970), unless that was done at this tick before.
 * One thread, while no scope can be given up. */
void history_sample(struct history_pool *pool, uint32_t scopes, uint64_t now, int64_t day);

#endif
