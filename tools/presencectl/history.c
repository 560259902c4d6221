#include "history.h"

#include <errno.h>
#include <time.h>

#include "archive.h"
#include "show.h"

#define DEFAULT_SINCE 21600 /* seconds: six hours */
#define TABLE_LINES   60    /* a table of a long time has longer steps */
#define GRAPH_STEPS   2880  /* so has a graph, which shows several in a column */

/* The shortest round step that makes at most so many. */
static uint32_t round_step(int64_t span_s, unsigned most)
{
    static const uint32_t steps[] = {60,   120,   300,   600,   900,   1800,
                                     3600, 10800, 21600, 43200, 86400, 7 * 86400};
    size_t i = 0;

    while (i + 1 < sizeof(steps) / sizeof(steps[0]) && span_s > (int64_t)steps[i] * most)
        i++;
    return steps[i];
}

static uint32_t choose_step(const struct history_view *view, const struct options *options)
{
    if (options->step_s)
        return options->step_s;
    if (options->csv || options->json)
        return 60;
    return round_step(view->until - view->since, options->table ? TABLE_LINES : GRAPH_STEPS);
}

/* What the segment has. A scope without a history, or no segment, is no failure: 0 minutes. */
static int read_segment(struct presence *presence, const struct history_view *view,
                        struct presence_history *ret)
{
    const struct place *place = &view->place;

    *ret = (struct presence_history){0};
    if (!presence)
        return 0;
    int r = presence_history(presence, place->kind, place->site, place->name, view->since, 0, ret);
    return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int add_kept(void *context, const struct archive_minute *minute)
{
    return timeline_add(context, minute);
}

/* Add what the database has. Complains. */
static int add_database(const struct options *options, struct history_view *view)
{
    const struct place *place = &view->place;
    struct archive *archive;
    int status = open_database(options, &archive);

    if (status != EXIT_FINE || !archive)
        return status;
    /* A minute earlier: when a minute began depends on the clock by which it is told. */
    int r = archive_history(archive, place->kind, place->site, place->name, view->since - 60,
                            add_kept, &view->timeline);
    if (r < 0)
        status = complain_of_database(r, options, archive);
    archive_close(archive);
    return status;
}

static int read_timeline(struct presence *presence, const struct options *options,
                         struct history_view *view)
{
    struct presence_history held;
    int r = read_segment(presence, view, &held);

    if (r < 0)
        return complain_of(r, presence, options);
    timeline_begin(&held, view->since, view->step_s, &view->timeline);
    int status = add_database(options, view);
    if (status != EXIT_FINE)
        return status;
    r = timeline_end(&view->timeline);
    if (r < 0) {
        complain("out of memory; a longer --step takes less");
        return EXIT_FAILED;
    }
    return EXIT_FINE;
}

/* The count now, if there is one. */
static int read_now(struct presence *presence, const struct options *options,
                    struct history_view *view)
{
    view->reading = (struct presence_reading){.window_s = PRESENCE_DEFAULT_WINDOW, .stale = true};
    if (!presence)
        return 0;
    int r = presence_count_scope(presence, view->place.kind, view->place.site, view->place.name, 0,
                                 &view->reading);
    view->known = r == 0;
    return r == -ENOENT ? read_moment(presence, options, &view->reading) : r;
}

/* Neither half has anything. */
static int history_unknown(struct presence *presence, const struct options *options,
                           const struct history_view *view)
{
    struct place_name place = place_describe(&view->place);
    struct presence_status status;

    if (!presence) {
        complain("the database knows nothing of %s since %s", place.text,
                 show_time(view->since).text);
        return EXIT_STALE;
    }
    int r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);
    if (!view->known)
        return complain_unknown(presence, &status, place.text);
    if (status.histories_capacity == 0)
        complain("this collector keeps no histories; start presenced with --max-histories");
    else if (view->place.kind == PRESENCE_SITE)
        complain("no history of %s: the collector had none left for it; raise its --max-histories",
                 place.text);
    else
        complain("no history of %s: the collector keeps that of the busiest %s only", place.text,
                 kind_plural(view->place.kind));
    return EXIT_UNKNOWN;
}

static void show(const struct history_view *view, const struct options *options)
{
    if (options->json)
        history_json(view);
    else if (options->csv)
        history_csv(view);
    else if (options->table)
        history_table(view);
    else
        history_graph(view, options);
}

static int note(struct presence *presence, const struct history_view *view)
{
    struct place_name place = place_describe(&view->place);

    if (!presence) /* what there is to say about it was said */
        return EXIT_STALE;
    return note_reading(presence, &view->reading, "this is the history",
                        view->known ? place.text : NULL);
}

int command_history(struct presence *presence, const struct options *options, char **arguments)
{
    struct history_view view = {.until = time(NULL)};

    if (!place_read(options, arguments, &view.place))
        return EXIT_USAGE;
    view.since = since_or(&options->since, DEFAULT_SINCE, view.until);
    if (view.since >= view.until) {
        complain("--since is not in the past");
        return EXIT_USAGE;
    }
    view.step_s = choose_step(&view, options);
    int r = read_now(presence, options, &view);
    if (r < 0)
        return complain_of(r, presence, options);
    int status = read_timeline(presence, options, &view);
    if (status == EXIT_FINE) {
        if (view.timeline.length > 0 || options->json)
            show(&view, options);
        status = view.timeline.length > 0 ? note(presence, &view)
                                          : history_unknown(presence, options, &view);
    }
    timeline_free(&view.timeline);
    return status;
}
