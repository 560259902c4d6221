/* history.c - load counts over time, of segment and database, and report what they do not cover. */
#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "archive/archive.h"
#include "common/time_text.h"
#include "scope.h"

#define DEFAULT_SINCE 21600 /* seconds: six hours */
#define TABLE_LINES   60    /* a table of a longer time gets longer steps */
#define GRAPH_STEPS   2880  /* likewise a graph, where a column can show several steps */

/* Seconds for which the last recorded minute may have begun: presence-recorder stores a minute once
 * it is over, and comes once a minute. */
#define RECORDED_LATELY 180

/* ---- what is covered --------------------------------------------------------------------- */

/* Report what the history does not cover. The graph says by itself where it begins. */
static void report_range(const struct presence *presence, const struct history_view *view,
                         const struct options *options)
{
    bool is_graph = !options->json && !options->csv && !options->table;

    if (history_is_shortened(view) && !is_graph && options->since.kind != SINCE_NONE)
        report("this history is %s%s", history_describe_range(view).text,
               view->has_database ? "" : "; the collector keeps 24 h, presence-recorder more");
    bool is_behind = view->timeline.last < view->until - RECORDED_LATELY;
    if (!presence && (!view->groups || is_behind))
        report("this history is of the database alone, which ends at %s",
               show_time(history_recorded_until(view)).text);
}

static void report_future(const struct history_view *view)
{
    uint64_t future = view->timeline.future;

    if (future)
        report("left out %" PRIu64 " minute%s of the database that %s still to come: the clock was "
               "ahead when they were recorded",
               future, plural_of(future), future == 1 ? "is" : "are");
}

/* ---- loading ----------------------------------------------------------------------------- */

/* Find the shortest round step, in seconds, that divides the span into at most `most` steps. */
static uint32_t round_step(int64_t span_s, unsigned most)
{
    static const uint32_t steps[] = {60,   120,   300,   600,   900,   1800,
                                     3600, 10800, 21600, 43200, 86400, 7 * 86400};
    size_t i = 0;

    while (i + 1 < sizeof(steps) / sizeof(steps[0]) && span_s > (int64_t)steps[i] * most)
        i++;
    return steps[i];
}

/* Choose the step for a history that begins at `since`. */
static uint32_t choose_step(const struct history_view *view, const struct options *options,
                            int64_t since)
{
    if (options->step_s)
        return options->step_s;
    if (options->csv || options->json)
        return 60;
    return round_step(view->until - since, options->table ? TABLE_LINES : GRAPH_STEPS);
}

/* Load the segment's minutes: none if there is no segment, or the scope has no history in it.
 * Returns 0 or a negative errno. */
static int load_segment(struct presence *presence, const struct history_view *view,
                        struct presence_history *ret)
{
    const struct scope *scope = &view->scope;

    *ret = (struct presence_history){0};
    if (!presence)
        return 0;
    int r = presence_history(presence, scope->kind, scope->site, scope->name, view->since, 0, ret);
    return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int add_recorded(void *context, const struct archive_minute *minute)
{
    return timeline_add(context, minute);
}

/* Add the database's minutes. Returns an exit status. */
static int add_database(const struct options *options, struct history_view *view)
{
    const struct scope *scope = &view->scope;
    struct archive *archive;
    int status = database_open(options, &archive);

    view->has_database = archive != NULL;
    if (status != EXIT_FINE || !archive)
        return status;
    /* Load from a minute earlier on, since by the segment's clock a minute may start later. */
    int r = archive_history(archive, scope->kind, scope->site, scope->name, view->since - 60,
                            add_recorded, &view->timeline);
    if (r < 0)
        status = report_database_error(r, options, archive);
    archive_close(archive);
    return status;
}

static int report_no_memory(void)
{
    report("out of memory; a longer --step needs less");
    return EXIT_FAILED;
}

static int load_timeline(struct presence *presence, const struct options *options,
                         struct history_view *view)
{
    struct presence_history held;
    int r = load_segment(presence, view, &held);

    if (r < 0)
        return report_error(r, presence, options);
    r = timeline_begin(&held, view->since, view->step_s, &view->timeline);
    presence_history_free(&held);
    if (r < 0)
        return report_no_memory();
    view->timeline.until = view->until;
    int status = add_database(options, view);
    if (status != EXIT_FINE)
        return status;
    return timeline_end(&view->timeline) < 0 ? report_no_memory() : EXIT_FINE;
}

/* Load the timeline in steps that suit what is recorded, if that is much less than was asked for.
 */
static int load_history(struct presence *presence, const struct options *options,
                        struct history_view *view)
{
    view->step_s = choose_step(view, options, view->since);
    int status = load_timeline(presence, options, view);
    if (status != EXIT_FINE || view->timeline.length == 0)
        return status;
    uint32_t step_s = choose_step(view, options, view->timeline.first);
    if (step_s == view->step_s)
        return EXIT_FINE;
    view->step_s = step_s;
    timeline_free(&view->timeline);
    return load_timeline(presence, options, view);
}

/* Report why neither the segment nor the database has a minute. Returns an exit status. */
static int report_no_history(struct presence *presence, const struct options *options,
                             const struct presence_reading *reading,
                             const struct history_view *view)
{
    struct scope_text place = scope_describe(&view->scope);
    struct presence_status status;

    if (!presence) {
        report("the database has nothing of %s since %s", place.text, show_time(view->since).text);
        return EXIT_STALE;
    }
    if (!reading->exists)
        return report_answer(presence, reading, NULL, place.text);
    int r = presence_status(presence, &status);
    if (r < 0)
        return report_error(r, presence, options);
    if (status.histories_capacity == 0)
        report("this collector keeps no histories; start presenced with --max-histories");
    else if (view->scope.kind == PRESENCE_SITE)
        report("no history of %s: the collector had none left; raise its --max-histories",
               place.text);
    else
        report("no history of %s: the collector keeps only that of the busiest %s", place.text,
               kind_plural(view->scope.kind));
    return EXIT_ABSENT;
}

/* Parse the arguments. Returns false after reporting what is wrong. */
static bool parse_view(const struct options *options, char **arguments, struct history_view *ret)
{
    struct timespec now;

    /* time() may be one second behind the clock that --since was counted back from. */
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct history_view){.until = now.tv_sec};
    if (!scope_parse(options, arguments, &ret->scope))
        return false;
    ret->since = since_seconds(&options->since, DEFAULT_SINCE, ret->until);
    if (ret->since < ret->until)
        return true;
    report("--since is not in the past");
    return false;
}

/* Load the history and print it, with what it does not cover. Returns an exit status. */
static int print_history(struct presence *presence, const struct options *options,
                         struct history_view *view)
{
    int status = load_history(presence, options, view);

    if (status != EXIT_FINE)
        return status;
    if (view->timeline.length > 0 || options->json)
        history_print(view, options);
    if (view->timeline.length > 0)
        report_range(presence, view, options);
    report_future(view);
    return EXIT_FINE;
}

static int report_rest(struct presence *presence, const struct presence_reading *reading,
                       const struct history_view *view)
{
    struct scope_text place = scope_describe(&view->scope);

    if (!presence) /* run() has reported why */
        return EXIT_STALE;
    return report_reading(presence, reading, "this is the history",
                          reading->exists ? place.text : NULL);
}

int command_history(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_reading reading;
    struct history_view view;

    if (!parse_view(options, arguments, &view))
        return EXIT_USAGE;
    int r = scope_load(presence, &view.scope, 0, &reading);
    if (r < 0)
        return report_error(r, presence, options);
    view.answer = answer_of(&reading);
    int status = print_history(presence, options, &view);
    if (status == EXIT_FINE)
        status = view.timeline.length > 0 ? report_rest(presence, &reading, &view)
                                          : report_no_history(presence, options, &reading, &view);
    timeline_free(&view.timeline);
    return status;
}

/* Report the marks of a history of groups, or that there is none. Returns an exit status. */
static int report_groups(const struct options *options, const struct history_view *view)
{
    struct scope_text place = scope_describe(&view->scope);
    bool exists = view->answer.exists;

    if (!exists && view->timeline.length == 0)
        return groups_report_answer(view->groups, &view->answer, NULL, place.text);
    if (view->timeline.length == 0)
        return report_unrecorded(options, place.text);
    return groups_report_reading(view->groups, &view->answer, "this is the history",
                                 exists ? place.text : NULL);
}

int groups_history(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct history_view view;
    bool is_live;

    if (!parse_view(options, arguments, &view))
        return EXIT_USAGE;
    int status = groups_load_beside(reader, options, &view.scope, &view.answer, &is_live);
    if (status != EXIT_FINE)
        return status;
    if (is_live)
        view.groups = engine_reader_state(reader);
    status = print_history(NULL, options, &view);
    if (status == EXIT_FINE && is_live)
        status = report_groups(options, &view);
    else if (status == EXIT_FINE)
        status =
            view.timeline.length > 0 ? EXIT_STALE : report_no_history(NULL, options, NULL, &view);
    timeline_free(&view.timeline);
    return status;
}
