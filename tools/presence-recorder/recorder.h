/* recorder.h - copy minutes and peaks from the segment to the database. */
#ifndef PRESENCE_RECORDER_H
#define PRESENCE_RECORDER_H

#include "database.h"
#include "presence/presence.h"

struct recorder {
    struct presence *presence;
    struct database *database;
    uint64_t recorded; /* number of the minute of the last recording; 0: none yet into this file */
};

struct recorder_result {
    size_t scopes, minutes; /* recorded */
};

/* Record in one transaction the minutes that are over and not stored yet, and the peaks; with `all`
 * also the running minute, and likewise if the collector is silent. A failure rolls all of it back,
 * and the next call catches up. Errors: those of presence_history_scopes, and those of archive.h,
 * for which `*ret_of_archive` is true. */
int recorder_record(struct recorder *recorder, bool all, struct recorder_result *ret,
                    bool *ret_of_archive);

#endif
