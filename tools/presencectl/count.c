/* count.c - print one number: a place's count, or how long ago a visitor was seen. */
#include <inttypes.h>
#include <stdio.h>

#include "groups.h"
#include "scope.h"
#include "show.h"

/* ---- count ------------------------------------------------------------------------------- */

static void print_count(const struct options *options, const struct scope *scope,
                        const struct answer *answer)
{
    if (!options->json) {
        if (answer->exists)
            printf("%" PRIu64 "\n", answer->count);
        return;
    }
    json_t *object = json_object();
    json_set_scope(object, scope);
    json_object_set_new(object, "window_s", json_integer(answer->window_s));
    json_object_set_new(object, "count", json_of_count(*answer));
    json_object_set_new(object, "stale", json_boolean(answer->stale));
    json_object_set_new(object, "warming", json_boolean(answer->warming));
    json_object_set_new(object, "partial", json_boolean(answer->partial));
    json_object_set_new(object, "last_heartbeat_s", json_of_last_heartbeat(*answer));
    json_object_set_new(object, "as_of", json_string(show_time(answer->as_of).text));
    json_print(object);
}

int command_count(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_reading reading;
    struct scope scope;

    if (!scope_parse(options, arguments, &scope))
        return EXIT_USAGE;
    int r = scope_load(presence, &scope, options->window_s, &reading);
    if (r < 0)
        return report_error(r, presence, options);
    struct answer answer = answer_of(&reading);
    print_count(options, &scope, &answer);
    return report_answer(presence, &reading, "this is the count", scope_describe(&scope).text);
}

int groups_count(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct answer answer;
    struct scope scope;

    if (!scope_parse(options, arguments, &scope))
        return EXIT_USAGE;
    int status = groups_load(reader, options, &scope, options->window_s, &answer);
    if (status != EXIT_FINE)
        return status;
    print_count(options, &scope, &answer);
    return groups_report_answer(engine_reader_state(reader), &answer, "this is the count",
                                scope_describe(&scope).text);
}

/* ---- seen -------------------------------------------------------------------------------- */

/* Print when a visitor was seen. The visitor's id is never shown (R8). */
static void print_seen(const char *site, const struct presence_reading *reading)
{
    json_t *object = json_object();

    json_object_set_new(object, "site", json_string(site));
    json_object_set_new(object, "seen", json_boolean(reading->exists));
    json_object_set_new(object, "last_heartbeat_s", json_of_last_heartbeat(answer_of(reading)));
    json_set_marks(object, answer_of(reading));
    json_print(object);
}

/* Report that the visitor was not seen, or that this is unknown. Returns the exit status. */
static int report_unseen(struct presence *presence, const struct presence_reading *reading,
                         const char *site)
{
    if (reading->stale)
        return report_answer(presence, reading, NULL, "this visitor");
    report("%snot seen on %s within the longest window, %s, or gone by a leave%s",
           reading->known ? "" : "unknown: ", show_name(site).text,
           show_window(reading->window_s).text,
           reading->partial   ? "; but not everybody could be counted: see 'presencectl stats'"
           : reading->warming ? "; but the collector started too recently to know everybody"
                              : "");
    return EXIT_ABSENT;
}

int command_seen(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_reading reading;

    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    int r = presence_seen(presence, arguments[0], arguments[1], &reading);

    if (r < 0)
        return report_error(r, presence, options);
    if (options->json)
        print_seen(arguments[0], &reading);
    else if (reading.exists)
        printf("%s ago\n", show_duration(reading.last_heartbeat_s).text);
    if (!reading.exists)
        return report_unseen(presence, &reading, arguments[0]);
    /* The age is exact even if the count is a lower bound. */
    reading.warming = false;
    reading.partial = false;
    return report_reading(presence, &reading, "this is the age", NULL);
}
