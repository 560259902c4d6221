/* database.c - open the database of presence-recorder, and report its errors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/archive.h"
#include "presencectl.h"

static const char *database_path(const struct options *options)
{
    return options->database ? options->database : ARCHIVE_DEFAULT_PATH;
}

bool database_is_readable(const struct options *options)
{
    return access(database_path(options), R_OK) == 0;
}

static const char *error_text(int error, const struct archive *archive)
{
    switch (error) {
    case -ENOENT:
        return "no such file; start presence-recorder, or give --database";
    case -EACCES:
        return "permission denied; run as the recorder's user or in its group";
    case -EBADMSG:
        return "not a database of presence-recorder, or damaged; check --database";
    case -EPROTO:
        return "written by a newer presence-recorder; update presencectl";
    default:
        return error == -EIO && archive ? archive_error(archive) : strerror(-error);
    }
}

int report_database_error(int error, const struct options *options, const struct archive *archive)
{
    report("cannot read the database %s: %s", database_path(options), error_text(error, archive));
    return EXIT_FAILED;
}

int database_open(const struct options *options, struct archive **ret)
{
    int r = archive_open(database_path(options), ret);

    if (r == 0)
        return EXIT_FINE;
    *ret = NULL;
    if (r == -ENOENT && !options->database)
        return EXIT_FINE;
    report_database_error(r, options, NULL);
    return options->database ? EXIT_FAILED : EXIT_FINE; /* by default, show the segment alone */
}
