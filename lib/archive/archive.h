/* archive.h - the database that presence-recorder writes and presencectl reads: SQLite in WAL mode.
 *
 * A minute is named by the boot it belongs to and its number since then, so that none is in it
 * twice, however often it is put there. When a boot began is kept once, for all of its minutes:
 * the last that is known, as for what the segment holds.
 *
 * Functions return 0 or a negative errno: -EIO is SQLite's, and archive_error says what it was.
 * A handle may be used by one thread at a time.
 */
#ifndef PRESENCE_ARCHIVE_H
#define PRESENCE_ARCHIVE_H

#include "presence/presence.h"

#define ARCHIVE_DEFAULT_PATH "/var/lib/presence/history.db"
#define ARCHIVE_VERSION      1 /* of the schema; a higher one is not read */

struct archive;

/* What the archive knows a scope or a boot by. */
typedef int64_t archive_id;

/* One minute of history, and which boot's it is. */
struct archive_minute {
    uint8_t boot_id[16];
    struct presence_minute minute;
};

struct archive_peaks {
    struct presence_peak today; /* of the day that was asked for; count 0: nothing known */
    struct presence_peak ever;
    int64_t since; /* Unix seconds: the scope is watched since then */
};

/* Open a database to read it. `*ret` is to be released with archive_close.
 * Errors: -ENOENT; -EACCES; -EBADMSG it is none of presence-recorder's; -EPROTO it was written by a
 * newer one; -ENOMEM; -EIO. */
int archive_open(const char *path, struct archive **ret);

/* The same to write it, too: made if it is not there. */
int archive_open_writable(const char *path, struct archive **ret);

/* NULL is fine. */
void archive_close(struct archive *archive);

/* What SQLite said last; valid until the next call. */
const char *archive_error(const struct archive *archive);

/* ---- reading ---- */

/* Is given each minute in turn; a negative errno ends it. */
typedef int (*archive_visit)(void *context, const struct archive_minute *minute);

/* Visit a scope's minutes that began at `since` or later, Unix seconds: by boot, then by number,
 * each once. So years need no memory. None is no error. `name` is ignored for PRESENCE_SITE.
 * Errors: what `visit` returned, too. */
int archive_history(struct archive *archive, enum presence_kind kind, const char *site,
                    const char *name, int64_t since, archive_visit visit, void *context);

/* A scope's peaks; `day` is when today began, Unix seconds. -ENOENT: the scope is not known. */
int archive_peaks(struct archive *archive, enum presence_kind kind, const char *site,
                  const char *name, int64_t day, struct archive_peaks *ret);

/* ---- writing: all between a begin and a commit ---- */

int archive_begin(struct archive *archive);
int archive_commit(struct archive *archive);
void archive_roll_back(struct archive *archive);

/* The id of a scope, of a boot; new ones are added. `began`: Unix seconds at which the boot's
 * minute 0 did, by the wall clock of now. */
int archive_put_scope(struct archive *archive, const struct presence_scope *scope, int64_t since,
                      archive_id *ret);
int archive_put_boot(struct archive *archive, const uint8_t boot_id[16], int64_t began,
                     archive_id *ret);

/* The number of the last minute that is there. -ENOENT: none is. */
int archive_last_minute(struct archive *archive, archive_id scope, archive_id boot, uint64_t *ret);

/* Put a minute there; one that is there already, and was observed for longer, stays. */
int archive_put_minute(struct archive *archive, archive_id scope, archive_id boot,
                       const struct presence_minute *minute);

/* Put a scope's peak of a day there, if it is higher than what is there. */
int archive_put_peak(struct archive *archive, archive_id scope, const struct presence_peak *peak);

/* Forget all minutes that began before `before`, Unix seconds. The peaks stay. */
int archive_forget(struct archive *archive, int64_t before);

#endif
