#include "database.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"

#define DELETE_EVERY 3600 /* seconds */

void database_log(const struct database *database, const char *what, const char *problem)
{
    static char last[ARCHIVE_PROBLEM_SIZE];

    if (strcmp(problem, last) == 0)
        return;
    snprintf(last, sizeof(last), "%s", problem);
    if (*problem)
        log_line("cannot %s the database %s: %s", what, database->path, problem);
}

int database_open(struct database *database)
{
    char problem[ARCHIVE_PROBLEM_SIZE];
    int r = archive_open_writable(database->path, database->subject, &database->archive, problem);

    database->is_new = r == 0;
    database->deleted_at = 0;
    if (r < 0)
        database_log(database, "open", problem);
    return r;
}

bool database_follow(struct database *database)
{
    static const char *const changes[] = {
        [ARCHIVE_GONE] = "was moved or deleted",
        [ARCHIVE_REPLACED] = "was replaced by another file or a link",
        [ARCHIVE_OVERWRITTEN] = "was overwritten, or its -wal or -shm file was moved or deleted",
    };
    enum archive_state state =
        database->archive ? archive_check(database->archive) : ARCHIVE_IN_PLACE;

    if (state != ARCHIVE_IN_PLACE) {
        log_line("the database %s %s: opening it anew%s", database->path, changes[state],
                 database->subject == ARCHIVE_OF_COLLECTOR
                     ? ", and recording what the segment still holds"
                     : "");
        archive_leave(database->archive, state);
        database->archive = NULL;
    }
    return !database->archive && database_open(database) == 0;
}

int database_delete_old(struct database *database)
{
    struct timespec wall, boottime;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    uint64_t now = (uint64_t)boottime.tv_sec;
    if (database->retention_s == 0 ||
        (database->deleted_at && now < database->deleted_at + DELETE_EVERY))
        return 0;
    int r = archive_delete_before(database->archive, wall.tv_sec - (int64_t)database->retention_s);
    if (r == 0)
        database->deleted_at = now;
    return r;
}
