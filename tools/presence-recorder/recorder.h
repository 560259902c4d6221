/* recorder.h - copy minutes and peaks from the segment to the database. */
#ifndef PRESENCE_RECORDER_H
#define PRESENCE_RECORDER_H

#include "archive/archive.h"
#include "presence/presence.h"

struct recorder {
    struct presence *presence;
    struct archive *archive; /* NULL: not open, as recorder_leave leaves it */
    uint64_t retention_s;    /* 0: forever */
    uint64_t recorded;       /* number of the minute of the last recording; 0: none yet */
    bool is_new;             /* nothing was recorded into this database yet */
    uint64_t deleted_at;     /* CLOCK_BOOTTIME seconds of the last deletion; 0: none yet */
};

struct recorder_result {
    size_t scopes, minutes; /* recorded */
};

/* Close a database that archive_check has found in this state. The next recording stores everything
 * that the segment still holds. */
void recorder_leave(struct recorder *recorder, enum archive_state state);

/* Record in one transaction the minutes that are over and not stored yet, with `all` also the
 * running one, and the peaks. A failure rolls all of it back, and the next call catches up. Errors:
 * those of presence_history_scopes, and those of archive.h, for which `*ret_of_archive` is true. */
int recorder_record(struct recorder *recorder, bool all, struct recorder_result *ret,
                    bool *ret_of_archive);

#endif
