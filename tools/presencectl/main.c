#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "common/json_whole.h"
#include "common/segment_source.h"
#include "groups.h"

static const struct {
    int (*run)(struct presence *presence, const struct options *options, char **arguments);
    int (*run_groups)(struct engine_reader *reader, const struct options *options,
                      char **arguments); /* with --engine; NULL: it is of one collector */
    uint64_t limit;                      /* the default of --limit */
    bool has_database;                   /* it can print the database alone */
} commands[] = {
    [COMMAND_COUNT] = {command_count, groups_count},
    [COMMAND_TOP] = {command_top, groups_top, .limit = 20},
    [COMMAND_SITES] = {command_sites, groups_sites},
    [COMMAND_PEAK] = {command_peak, groups_peak, .has_database = true},
    [COMMAND_HISTORY] = {command_history, groups_history, .has_database = true},
    [COMMAND_EVENTS] = {command_events, .limit = 500},
    [COMMAND_WATCH] = {command_watch},
    [COMMAND_EXPLAIN] = {command_explain},
    [COMMAND_SEEN] = {command_seen},
    [COMMAND_SENDERS] = {command_senders},
    [COMMAND_STATS] = {command_stats},
    [COMMAND_STATUS] = {command_status, groups_status},
    [COMMAND_VERIFY] = {command_verify},
    [COMMAND_FORGET] = {.run_groups = groups_forget},
};

static int run(enum command command, const struct options *options, char **arguments)
{
    struct presence *presence = NULL;
    int r = presence_open(options->segment, &presence);

    if (r < 0) {
        char text[SEGMENT_ERROR_SIZE];
        report("cannot read the segment %s: %s", options->segment,
               segment_error_text(r, options->segment, text));
        if (!commands[command].has_database || !database_is_readable(options))
            return EXIT_FAILED;
    }
    int status = commands[command].run(presence, options, arguments);
    presence_close(presence);
    return status;
}

static int run_groups(enum command command, const struct options *options, char **arguments)
{
    struct engine_reader *reader;
    int status = groups_open(options, &reader);

    if (status != EXIT_FINE)
        return status;
    status = commands[command].run_groups(reader, options, arguments);
    engine_reader_close(reader);
    return status;
}

/* Check the options of an engine, which a file may set for any command. Returns false after
 * reporting what is wrong. */
static bool check_engine(const struct option_use *use, const struct options *options)
{
    bool is_given = options->engine.url != NULL;

    if (is_given ? commands[use->command].run_groups != NULL : commands[use->command].run != NULL)
        return engine_options_check(&options->engine, use, false);
    if (is_given)
        option_wrong("engine", "not for %s: " ONE_COLLECTOR,
                     options_table.commands[use->command].name);
    else
        option_wrong("engine", "needed to know which engine has the group, such as "
                               "redis://localhost");
    return false;
}

/* Use the locale for character classes only; loading all of it would take longer than a count.
 * Names are UTF-8 in any locale. Returns true if the locale is UTF-8 itself. */
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
    struct options options = {.unicode = use_locale()};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);
    int status = EXIT_FINE;

    json_whole_begin();
    if (verdict == OPTION_WRONG)
        return EXIT_USAGE;
    if (verdict == OPTION_RUN) {
        if (!option_given(&use, "limit"))
            options.limit = commands[use.command].limit;
        if (!check_engine(&use, &options))
            status = EXIT_USAGE;
        else
            status = (options.engine.url ? run_groups : run)((enum command)use.command, &options,
                                                             argv + use.arguments);
        options_free(&options_table, &options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        report("cannot write the result: %s", strerror(errno));
        return EXIT_FAILED;
    }
    return status;
}
