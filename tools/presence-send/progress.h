/* progress.h - a line on a terminal that tells how far a load is. */
#ifndef PRESENCE_SEND_PROGRESS_H
#define PRESENCE_SEND_PROGRESS_H

#include <stdint.h>

/* Show, on stderr if it is a terminal and at most ten times a second, that at `now_ns` of the run
 * `heartbeats` have been queued, which is this part of all, 0 to 1. */
void progress_show(int64_t now_ns, uint64_t heartbeats, double part);

/* Take the line away. */
void progress_clear(void);

#endif
