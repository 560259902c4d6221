/* database.c - the database of presence-recorder, where a command reads it, too. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "presencectl.h"

/* The path, and whether it was asked for. */
static const char *database_path(const struct options *options, bool *ret_asked)
{
    const char *path = options->database ? options->database : getenv("PRESENCE_DATABASE");

    *ret_asked = path && *path;
    return *ret_asked ? path : ARCHIVE_DEFAULT_PATH;
}

bool database_is_there(const struct options *options)
{
    bool asked;

    return access(database_path(options, &asked), R_OK) == 0;
}

int complain_of_database(int error, const struct options *options, const struct archive *archive)
{
    bool asked;
    const char *path = database_path(options, &asked);

    switch (error) {
    case -ENOENT:
        complain("no database %s; start presence-recorder, or name its database with --database",
                 path);
        break;
    case -EACCES:
        complain("may not read %s; run as the recorder's user or one of its group", path);
        break;
    case -EBADMSG:
        complain("%s is no database of presence-recorder, or damaged; check --database", path);
        break;
    case -EPROTO:
        complain("%s was written by a newer presence-recorder; update presencectl", path);
        break;
    default:
        complain("cannot read the database %s: %s", path,
                 error == -EIO && archive ? archive_error(archive) : strerror(-error));
    }
    return EXIT_FAILED;
}

int open_database(const struct options *options, struct archive **ret)
{
    bool asked;
    int r = archive_open(database_path(options, &asked), ret);

    if (r == 0)
        return EXIT_FINE;
    *ret = NULL;
    if (r == -ENOENT && !asked)
        return EXIT_FINE;
    complain_of_database(r, options, NULL);
    return asked ? EXIT_FAILED : EXIT_FINE; /* what the collector holds can be shown all the same */
}
