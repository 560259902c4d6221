/* reader_trust.h - open a segment's file if its owner is trusted. Not installed.
 *
 * A link is followed if its owner is trusted; its target is judged like any other file and
 * directory.
 */
#ifndef PRESENCE_READER_TRUST_H
#define PRESENCE_READER_TRUST_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* The file, directory or link for which a segment was refused. */
struct reader_refusal {
    char name[PATH_MAX + NAME_MAX + 2];
    struct stat status;
};

/* Open the file for reading and return the descriptor. `refusal` may be NULL, and is written with
 * -EPERM only. Errors: -EPERM it, its directory or a link on the way belongs to a user who is not
 * trusted, or others may write it; -ELOOP too many links; those of open(2). */
int reader_trust_open(const char *path, struct reader_refusal *refusal);

/* True if a segment that this user owns is trusted. Any thread. */
bool reader_trusts(uid_t uid);

#endif
