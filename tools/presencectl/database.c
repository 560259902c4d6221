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

int report_unrecorded(const struct options *options, const char *place)
{
    report("the database %s has nothing of %s in this time", database_path(options), place);
    return EXIT_ABSENT;
}

/* Check whose counts a database has. Returns a problem, or NULL. */
static const char *find_mismatch(const struct options *options, const struct archive *archive)
{
    bool is_of_groups = archive_subject(archive) == ARCHIVE_OF_GROUPS;

    if (is_of_groups && !options->engine.url)
        return "it is of all collectors of an engine; give --engine, or name another with "
               "--database";
    if (!is_of_groups && options->engine.url)
        return "it is of one collector, not of those of an engine; name that of presence-recorder "
               "--engine with --database";
    return NULL;
}

int database_open(const struct options *options, struct archive **ret)
{
    char problem[ARCHIVE_PROBLEM_SIZE];
    struct archive *archive = NULL;
    int r = archive_open(database_path(options), &archive, problem);
    const char *mismatch = r == 0 ? find_mismatch(options, archive) : NULL;

    *ret = NULL;
    if (r == 0 && !mismatch) {
        *ret = archive;
        return EXIT_FINE;
    }
    if (r == 0)
        archive_close(archive);
    /* Without an option, show the segment alone. An engine has no history to show. */
    bool is_needed = options->database || options->engine.url;
    if (r == -ENOENT && !is_needed)
        return EXIT_FINE;
    report_problem(options, mismatch ? mismatch : problem);
    return is_needed ? EXIT_FAILED : EXIT_FINE;
}
