#include "options.h"

#include "archive/archive.h"

static const struct option_entry entries[] = {
    OPTION_SEGMENT(struct options, segment,
                   .details = "The recorder waits for it while it is missing."),
    OPTION_ENGINE(struct options, engine),
    {"database", OPTION_TEXT(struct options, database), .argument = "PATH",
     .help = "the SQLite database to record into", .variable = "PRESENCE_DATABASE",
     .fallback = ARCHIVE_DEFAULT_PATH,
     .details = "It is created if it is missing, in a directory that must exist."},
    {"retention", OPTION_DURATION(struct options, retention_s), .max = UINT32_MAX,
     .argument = "400d", .help = "delete minutes that are older; 0 keeps them for good",
     .fallback = "0", .expected = "a duration such as 90d or 52w, or 0",
     .suggestions = "0 30d 90d 400d",
     .details = "Given in seconds (s), minutes (m), hours (h), days (d) or weeks (w). The peaks of "
                "each day stay."},
    {"once", OPTION_FLAG(struct options, once), .line_only = true,
     .help = "record what there is, the running minute too, and exit",
     .details = "Not with --engine, which has no minutes."},
};

const struct option_table options_table = {
    .program = "presence-recorder",
    .purpose = "Record the minutes and peaks of all sites and of the busiest rooms in a SQLite\n"
               "database, one transaction a minute. presencectl history and peak read it.\n"
               "With --engine, those of the totals of many collectors.",
    .notes = "Exit status: 0 fine, 1 failure, 2 wrong usage.\n",
    OPTION_ENTRIES(entries),
    .read_file = options_read_file,
};
