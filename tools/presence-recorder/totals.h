/* totals.h - record the totals of groups of collectors, asked for once a second. */
#ifndef PRESENCE_TOTALS_H
#define PRESENCE_TOTALS_H

#include <signal.h>

#include "database.h"
#include "engine/engine_reader.h"

/* Record until one of the signals comes, which are blocked; then also the running minute, as it is.
 * An engine that can't be used, groups of which none is whole, and a database that can't be written
 * are logged and tried again. `url` is for messages. Returns 0, or -errno if at the end something
 * could not be recorded. */
int totals_run(struct engine_reader *reader, const char *url, struct database *database,
               const sigset_t *signals);

#endif
