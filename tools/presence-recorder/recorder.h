/* recorder.h - bring what the segment holds into the database. */
#ifndef PRESENCE_RECORDER_H
#define PRESENCE_RECORDER_H

#include "archive.h"
#include "presence/presence.h"

struct recorder {
    struct presence *presence;
    struct archive *archive;
    uint64_t retention_s;  /* 0: for good */
    uint64_t recorded;     /* number of the minute in which it was recorded last; 0: not yet */
    uint64_t forgotten_at; /* CLOCK_BOOTTIME seconds of the last clearing; 0: none yet */
};

struct recorder_result {
    size_t scopes, minutes; /* that were put there */
};

/* Record, in one transaction, the minutes that are over and not there yet, with `all` the running
 * one, too; and the peaks. After a failure nothing of it is there, and the next call makes up for
 * it. Errors: as presence_history_scopes and as of archive.h; `ret_of_archive` says whose it is. */
int recorder_record(struct recorder *recorder, bool all, struct recorder_result *ret,
                    bool *ret_of_archive);

#endif
