/* database.h - the database that is recorded into, followed to where its file goes. Problems are
 * logged, each once. */
#ifndef PRESENCE_RECORDER_DATABASE_H
#define PRESENCE_RECORDER_DATABASE_H

#include "archive/archive.h"

struct database {
    const char *path;
    enum archive_subject subject;
    uint64_t retention_s;    /* 0: forever */
    struct archive *archive; /* NULL: not open */
    bool is_new;             /* nothing was recorded into it yet */
    uint64_t deleted_at;     /* CLOCK_BOOTTIME seconds of the last deletion; 0: none yet */
};

/* Open it. Returns 0 or a negative errno. */
int database_open(struct database *database);

/* Leave a file that is no longer at its path, and open the one that is. True if one was opened. */
bool database_follow(struct database *database);

/* Log that something can't be done with it, unless the problem is the same as last time: attempts
 * are repeated. An empty problem ends the series. */
void database_log(const struct database *database, const char *what, const char *problem);

/* Delete minutes that are too old, once an hour; between a begin and a commit. Returns 0 or a
 * negative errno. */
int database_delete_old(struct database *database);

#endif
