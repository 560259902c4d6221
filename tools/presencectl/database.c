/* database.c - open the database of presence-recorder, and report its errors. */
#include <errno.h>
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

static int report_problem(const struct options *options, const char *problem)
{
    report("cannot read the database %s: %s", database_path(options), problem);
    return EXIT_FAILED;
}

int report_database_error(int error, const struct options *options, const struct archive *archive)
{
    const char *problem = archive_problem(archive);

    return report_problem(options, *problem ? problem : strerror(-error));
}

int database_open(const struct options *options, struct archive **ret)
{
    char problem[ARCHIVE_PROBLEM_SIZE];
    int r = archive_open(database_path(options), ret, problem);

    if (r == 0)
        return EXIT_FINE;
    *ret = NULL;
    if (r == -ENOENT && !options->database)
        return EXIT_FINE;
    report_problem(options, problem);
    return options->database ? EXIT_FAILED : EXIT_FINE; /* by default, show the segment alone */
}
