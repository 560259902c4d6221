#include "groups.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "common/monotonic.h"
#include "common/time_text.h"

/* ---- asking ------------------------------------------------------------------------------ */

int64_t groups_deadline(void)
{
    return monotonic_ns() + ENGINE_PATIENCE_MS * NS_PER_MS;
}

int groups_report_problem(const struct options *options, const char *problem)
{
    report("cannot use the engine %s: %s", options->engine.url, problem);
    return EXIT_FAILED;
}

int groups_open(const struct options *options, struct engine_reader **ret)
{
    char problem[ENGINE_PROBLEM_SIZE];

    if (engine_reader_open(&options->engine, ret, problem) < 0)
        return groups_report_problem(options, problem);
    return EXIT_FINE;
}

int groups_poll(struct engine_reader *reader, const struct options *options,
                struct engine_poll *poll)
{
    if (engine_reader_poll(reader, poll, groups_deadline()) < 0)
        return groups_report_problem(options, engine_reader_problem(reader));
    return EXIT_FINE;
}

int groups_load(struct engine_reader *reader, const struct options *options,
                const struct scope *scope, uint32_t window_s, struct answer *ret)
{
    struct engine_query query = {
        .kind = scope->kind, .site = scope->site, .name = scope->name, .window_s = window_s};
    struct engine_poll poll = {.queries = &query, .query_count = 1};
    int status = groups_poll(reader, options, &poll);

    if (status != EXIT_FINE)
        return status;
    if (query.error < 0)
        return groups_report_window(reader, window_s);
    *ret = answer_of_groups(&query.reading);
    return EXIT_FINE;
}

int groups_load_beside(struct engine_reader *reader, const struct options *options,
                       const struct scope *scope, struct answer *ret, bool *ret_live)
{
    int status = groups_load(reader, options, scope, 0, ret);

    *ret_live = status == EXIT_FINE;
    if (status != EXIT_FAILED || !database_is_readable(options))
        return status;
    *ret = (struct answer){.window_s = PRESENCE_DEFAULT_WINDOW, .stale = true, .as_of = time(NULL)};
    return EXIT_FINE;
}

/* ---- messages ---------------------------------------------------------------------------- */

int groups_report_window(const struct engine_reader *reader, uint32_t window_s)
{
    report("--window %" PRIu32 " s is not published, but %s s; give presence-publisher a --window "
           "for it at every collector",
           window_s, engine_reader_windows(reader));
    return EXIT_USAGE;
}

static int report_stale(const struct engine_state *state, const struct answer *answer,
                        const char *what, const char *place)
{
    char *lacks = groups_describe_lacks(state);

    report("stale: no group is whole: %s; %s%s as of %s", lacks, what, place,
           show_time(answer->as_of).text);
    free(lacks);
    return EXIT_STALE;
}

static int report_absence(const struct engine_state *state, const struct answer *answer,
                          const char *place)
{
    if (answer->stale)
        return report_stale(state, answer, "nothing was known of ", place);
    if (answer->known) {
        report("nobody: no heartbeat from %s within %s", place, show_window(answer->window_s).text);
        return EXIT_ABSENT;
    }
    char *why = groups_describe_incomplete(state);
    report("unknown: no heartbeat from %s was counted within %s, but some heartbeats could not "
           "be: %s",
           place, show_window(answer->window_s).text, why);
    free(why);
    return EXIT_ABSENT;
}

int groups_report_reading(const struct engine_state *state, const struct answer *answer,
                          const char *what, const char *place)
{
    if (answer->stale)
        return report_stale(state, answer, what, "");
    if (answer->warming)
        report("warming: in every whole group a collector began to listen too recently to know "
               "everybody; counts are lower bounds");
    if (answer->partial) {
        char *why = groups_describe_incomplete(state);
        report("partial: %s, a lower bound, since not everybody could be counted in the last %s: "
               "%s",
               what, show_window(answer->window_s).text, why);
        free(why);
    }
    if (place && answer->has_heartbeat && answer->last_heartbeat_s > QUIET_AGE)
        report("quiet: the last heartbeat from %s came %s ago", place,
               show_duration(answer->last_heartbeat_s).text);
    return EXIT_FINE;
}

int groups_report_answer(const struct engine_state *state, const struct answer *answer,
                         const char *what, const char *place)
{
    return answer->exists ? groups_report_reading(state, answer, what, place)
                          : report_absence(state, answer, place);
}
