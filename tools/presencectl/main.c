#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive.h"
#include "presencectl.h"

static const struct command commands[] = {
    {"count", "SITE [ROOM]", "how many visitors are on a site, or in one of its rooms",
     "Prints the number alone.", 1, 2, OPTION_WINDOW | OPTIONS_PLACE, 0, command_count},
    {"top", "SITE", "a site's busiest rooms, countries or sources",
     "The busiest come first; those without a heartbeat in the longest window are left out.", 1, 1,
     OPTION_WINDOW | OPTION_BY | OPTION_LIMIT, 20, command_top},
    {"sites", "", "all sites and their visitors", "The busiest come first.", 0, 0,
     OPTION_WINDOW | OPTION_LIMIT, 0, command_sites},
    {"peak", "SITE [ROOM]", "when the most visitors were there, today and ever",
     "Today is a day of UTC. What presence-recorder has kept is looked at, too.", 1, 2,
     OPTION_DATABASE | OPTIONS_PLACE, 0, command_peak},
    {"history", "SITE [ROOM]", "how the number went over the last hours or days",
     "Draws a graph. The collector keeps 24 hours, of sites and of the busiest rooms, countries\n"
     "and sources; presence-recorder keeps them for good. Times are UTC.",
     1, 2, OPTION_SINCE | OPTION_STEP | OPTION_TABLE | OPTION_CSV | OPTION_DATABASE | OPTIONS_PLACE,
     0, command_history},
    {"events", "[SITE]", "what happened: who entered, left, looked at a page",
     "The last events that are held, or the first at and after --since: a time, or the sequence\n"
     "number that the JSON calls next. Silent departures are no events. With --follow it goes on\n"
     "until it is interrupted.",
     0, 1, OPTION_SINCE | OPTION_LIMIT | OPTION_FOLLOW | OPTION_CSV, 500, command_events},
    {"watch", "SITE", "a site live, on the whole screen",
     "The count, the last hour, the busiest rooms and what happens, read anew each second. r, c\n"
     "and s list rooms, countries and sources, q ends it. Where there is no terminal it prints a\n"
     "line a second.",
     1, 1, OPTION_BY | OPTION_SINCE, 0, command_watch},
    {"explain", "SITE [ROOM]", "the number with the rules that made it, in words", "", 1, 2,
     OPTIONS_PLACE, 0, command_explain},
    {"seen", "SITE ID", "how long ago a visitor was last seen on a site",
     "Prints the age of the visitor's last heartbeat in seconds. ID is a UUID or any other id,\n"
     "as the edge sends it; only its hash is looked up, and it is not shown again.",
     2, 2, 0, 0, command_seen},
    {"stats", "", "what the collector has received, counted and dropped",
     "Counters that are 0 are left out of the table, but not of the JSON.", 0, 0, OPTION_ALL, 0,
     command_stats},
    {"status", "", "how the collector is, and how full", "", 0, 0, 0, 0, command_status},
    {"verify", "", "compare the visitor table with the counts",
     "Tick by tick, the visitors in the table are compared with the sum of what all counts are\n"
     "made of. What arrived while looking may explain a difference; anything more exits 1.",
     0, 0, 0, 0, command_verify},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

enum option_value {
    VALUE_WINDOW = 256,
    VALUE_BY,
    VALUE_LIMIT,
    VALUE_ALL,
    VALUE_SINCE,
    VALUE_STEP,
    VALUE_TABLE,
    VALUE_CSV,
    VALUE_FOLLOW,
    VALUE_DATABASE,
    VALUE_COUNTRY,
    VALUE_SOURCE,
    VALUE_JSON,
    VALUE_SEGMENT,
    VALUE_HELP,
    VALUE_VERSION,
};

static const struct option long_options[] = {
    {"window", required_argument, NULL, VALUE_WINDOW},
    {"by", required_argument, NULL, VALUE_BY},
    {"limit", required_argument, NULL, VALUE_LIMIT},
    {"all", no_argument, NULL, VALUE_ALL},
    {"since", required_argument, NULL, VALUE_SINCE},
    {"step", required_argument, NULL, VALUE_STEP},
    {"table", no_argument, NULL, VALUE_TABLE},
    {"csv", no_argument, NULL, VALUE_CSV},
    {"follow", no_argument, NULL, VALUE_FOLLOW},
    {"database", required_argument, NULL, VALUE_DATABASE},
    {"country", required_argument, NULL, VALUE_COUNTRY},
    {"source", required_argument, NULL, VALUE_SOURCE},
    {"json", no_argument, NULL, VALUE_JSON},
    {"segment", required_argument, NULL, VALUE_SEGMENT},
    {"help", no_argument, NULL, VALUE_HELP},
    {"version", no_argument, NULL, VALUE_VERSION},
    {0},
};

static const struct {
    unsigned bit; /* 0: every command has it */
    const char *name, *help;
} option_help[] = {
    {OPTION_WINDOW, "--window 5m", "count the last so many seconds (s), minutes (m) or hours (h)"},
    {OPTION_COUNTRY, "--country CC", "of a site, only the visitors from a country, such as DE"},
    {OPTION_SOURCE, "--source NAME", "of a site, only the visitors who came from a source"},
    {OPTION_BY, "--by KIND", "list by room, country or source; default room"},
    {OPTION_LIMIT, "--limit N",
     "show at most N lines, 0 for all; default 20 for top, 500 for events"},
    {OPTION_ALL, "--all", "show counters that are 0, too"},
    {OPTION_SINCE, "--since 6h",
     "begin so long ago (s, m, h, d, w), at 2026-01-31T12:00, or\n"
     "                    for events at a sequence number"},
    {OPTION_STEP, "--step 10m", "put so much time into one line; default 1m for CSV and JSON"},
    {OPTION_TABLE, "--table", "print a table"},
    {OPTION_CSV, "--csv", "print comma-separated values"},
    {OPTION_FOLLOW, "--follow", "go on with what happens from now on"},
    {OPTION_DATABASE, "--database PATH",
     "what presence-recorder keeps; default $PRESENCE_DATABASE, or\n"
     "                    " ARCHIVE_DEFAULT_PATH " if it is there"},
    {0, "--json", "print one JSON object"},
    {0, "--segment PATH",
     "the collector's segment; default $PRESENCE_SEGMENT, or\n"
     "                    " PRESENCE_DEFAULT_SEGMENT},
    {0, "--help", "show this help"},
    {0, "--version", "show the version"},
};

/* What the command line asks for. */
struct request {
    struct options options;
    bool help, version;
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* ---- help -------------------------------------------------------------------------------- */

static void print_options(unsigned bits)
{
    puts("\nOptions:");
    for (size_t i = 0; i < sizeof(option_help) / sizeof(option_help[0]); i++) {
        if (option_help[i].bit == 0 || option_help[i].bit & bits)
            printf("  %-16s  %s\n", option_help[i].name, option_help[i].help);
    }
}

static void print_help(void)
{
    puts("Usage: presencectl [OPTION...] COMMAND [ARGUMENT...]\n\n"
         "Read live presence counts from the collector's shared memory.\n\n"
         "Commands:");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("  %-7s %-11s  %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
    puts("  help    [COMMAND]    explain a command");
    print_options(~0u);
    puts("\nExit status: 0 fine, 1 failure, 2 wrong usage, 3 the number is stale, 4 no such site,\n"
         "room or visitor within the longest window.");
}

static void print_command_help(const struct command *command)
{
    printf("Usage: presencectl %s%s%s [OPTION...]\n\nShow %s.\n", command->name,
           *command->arguments ? " " : "", command->arguments, command->summary);
    if (*command->details)
        printf("%s\n", command->details);
    print_options(command->options);
}

static int explain(const char *name)
{
    const struct command *command = name ? find_command(name) : NULL;

    if (name && !command) {
        complain("no command '%s'; try 'presencectl --help'", name);
        return EXIT_USAGE;
    }
    if (command)
        print_command_help(command);
    else
        print_help();
    return EXIT_FINE;
}

/* ---- the command line -------------------------------------------------------------------- */

static bool take_window(struct options *options)
{
    options->given |= OPTION_WINDOW;
    if (option_window(optarg, &options->window_s))
        return true;
    complain("--window '%s': want seconds, or a whole number with s, m or h, at least 1 s", optarg);
    return false;
}

static bool take_by(struct options *options)
{
    options->given |= OPTION_BY;
    if (option_kind(optarg, &options->by))
        return true;
    complain("--by '%s': want room, country or source", optarg);
    return false;
}

static bool take_country(struct options *options)
{
    options->given |= OPTION_COUNTRY;
    if (option_country(optarg, options->country))
        return true;
    complain("--country '%s': want two letters, such as DE", optarg);
    return false;
}

static bool take_limit(struct options *options)
{
    options->given |= OPTION_LIMIT;
    if (option_number(optarg, &options->limit))
        return true;
    complain("--limit '%s': want a whole number, 0 for all", optarg);
    return false;
}

static bool take_since(struct options *options)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    options->given |= OPTION_SINCE;
    if (option_since(optarg, now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000, &options->since))
        return true;
    complain("--since '%s': want a duration (s, m, h, d or w), or a time as 2026-01-31T12:00",
             optarg);
    return false;
}

static bool take_step(struct options *options)
{
    options->given |= OPTION_STEP;
    if (option_duration(optarg, &options->step_s) && options->step_s % 60 == 0)
        return true;
    complain("--step '%s': want whole minutes: a number with m, h, d or w", optarg);
    return false;
}

/* An option without a value. False: it is none of them. */
static bool take_flag(int value, struct request *request)
{
    struct options *options = &request->options;
    const struct {
        int value;
        unsigned bit;
        bool *flag;
    } flags[] = {
        {VALUE_ALL, OPTION_ALL, &options->all}, {VALUE_TABLE, OPTION_TABLE, &options->table},
        {VALUE_CSV, OPTION_CSV, &options->csv}, {VALUE_FOLLOW, OPTION_FOLLOW, &options->follow},
        {VALUE_JSON, 0, &options->json},        {VALUE_HELP, 0, &request->help},
        {VALUE_VERSION, 0, &request->version},
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (flags[i].value != value)
            continue;
        options->given |= flags[i].bit;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static bool take_option(int value, char **argv, struct request *request)
{
    struct options *options = &request->options;

    if (take_flag(value, request))
        return true;
    switch (value) {
    case VALUE_WINDOW:
        return take_window(options);
    case VALUE_BY:
        return take_by(options);
    case VALUE_LIMIT:
        return take_limit(options);
    case VALUE_SINCE:
        return take_since(options);
    case VALUE_STEP:
        return take_step(options);
    case VALUE_DATABASE:
        options->given |= OPTION_DATABASE;
        options->database = optarg;
        return true;
    case VALUE_COUNTRY:
        return take_country(options);
    case VALUE_SOURCE:
        options->given |= OPTION_SOURCE;
        options->source = optarg;
        return true;
    case VALUE_SEGMENT:
        options->segment = optarg;
        return true;
    case ':':
        complain("%s needs a value; try 'presencectl --help'", argv[optind - 1]);
        return false;
    default:
        if (optopt && optopt < VALUE_WINDOW)
            complain("no option '-%c'; try 'presencectl --help'", optopt);
        else
            complain("no option '%s'; try 'presencectl --help'", argv[optind - 1]);
        return false;
    }
}

static bool read_options(int argc, char **argv, struct request *request)
{
    int value;

    opterr = 0;
    while ((value = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (!take_option(value, argv, request))
            return false;
    }
    return true;
}

/* Does the command take these arguments and options? */
static bool is_usable(const struct command *command, int argument_count,
                      const struct options *options)
{
    if (argument_count < command->arguments_min) {
        complain("%s wants %s; try 'presencectl help %s'", command->name, command->arguments,
                 command->name);
        return false;
    }
    if (argument_count > command->arguments_max) {
        complain("%s takes %s; try 'presencectl help %s'", command->name,
                 *command->arguments ? command->arguments : "no argument", command->name);
        return false;
    }
    for (size_t i = 0; i < sizeof(option_help) / sizeof(option_help[0]); i++) {
        if (!(option_help[i].bit & options->given & ~command->options))
            continue;
        complain("%s has no option %s; try 'presencectl help %s'", command->name,
                 option_help[i].name, command->name);
        return false;
    }
    return true;
}

/* ---- running ----------------------------------------------------------------------------- */

static int complain_of_segment(int error, const char *path)
{
    switch (error) {
    case -ENOENT:
        complain("no segment %s; start presenced, or name its segment with --segment", path);
        break;
    case -EACCES:
        complain("may not read %s; run as the collector's user or one of its group", path);
        break;
    case -EBADMSG:
        complain("%s is no presence segment, or damaged; check --segment, or restart presenced",
                 path);
        break;
    case -EPROTO:
        complain("%s was written by a newer presenced; update presencectl", path);
        break;
    case -ESTALE:
        complain("%s was written before this boot; start presenced, which replaces it", path);
        break;
    default:
        complain("cannot open the segment %s: %s", path, strerror(-error));
    }
    return EXIT_FAILED;
}

static int run(const struct command *command, struct options *options, char **arguments)
{
    const char *path = options->segment ? options->segment : getenv("PRESENCE_SEGMENT");
    struct presence *presence;

    if (!path || !*path)
        path = PRESENCE_DEFAULT_SEGMENT;
    int r = presence_open(path, &presence);
    if (r < 0) {
        int status = complain_of_segment(r, path);
        if (!(command->options & OPTION_DATABASE) || !database_is_there(options))
            return status;
        presence = NULL; /* after a reboot, say: what the database has is worth showing */
    }
    int status = command->run(presence, options, arguments);
    presence_close(presence);
    return status;
}

static int dispatch(struct request *request, int count, char **words)
{
    if (request->version) {
        puts("presencectl " PRESENCE_VERSION);
        return EXIT_FINE;
    }
    if (count > 0 && strcmp(words[0], "help") == 0)
        return explain(words[1]);
    if (request->help)
        return explain(words[0]);
    if (count == 0) {
        complain("which command? try 'presencectl --help'");
        return EXIT_USAGE;
    }
    const struct command *command = find_command(words[0]);
    if (!command)
        return explain(words[0]);
    if (!is_usable(command, count - 1, &request->options))
        return EXIT_USAGE;
    if (!(request->options.given & OPTION_LIMIT))
        request->options.limit = command->limit;
    return run(command, &request->options, words + 1);
}

/* Names are UTF-8, whatever the locale makes of bytes. Nothing else of the locale matters here, and
 * loading all of it takes longer than a count. Returns whether it is UTF-8 itself. */
static bool use_locale(void)
{
    setlocale(LC_CTYPE, "");
    bool is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (!is_utf8)
        setlocale(LC_CTYPE, "C.UTF-8");
    return is_utf8;
}

int main(int argc, char **argv)
{
    struct request request = {.options = {.by = PRESENCE_ROOM}};

    request.options.unicode = use_locale();
    if (!read_options(argc, argv, &request))
        return EXIT_USAGE;
    int status = dispatch(&request, argc - optind, argv + optind);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("cannot write the result: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return status;
}
