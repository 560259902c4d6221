/* senders.c - list the streams of senders: who is alive, who fell silent, and what was lost. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/edges_json.h"
#include "presencectl.h"
#include "show.h"

#define HOST_PORT_SIZE 64

struct view {
    struct presence_streams streams;
    struct edges_states states;
    size_t shown;
};

/* Format a stream's address and port, or "-" if they are unknown. */
static void format_host_port(const struct presence_stream *stream, char ret[HOST_PORT_SIZE])
{
    bool is_v6 = strchr(stream->address, ':') != NULL;

    snprintf(ret, HOST_PORT_SIZE, is_v6 ? "[%s]:%" PRIu16 : "%s:%" PRIu16, stream->address,
             stream->port);
    if (!*stream->address)
        snprintf(ret, HOST_PORT_SIZE, "-");
}

/* ---- JSON and CSV ------------------------------------------------------------------------ */

static void print_json(const struct view *view)
{
    const struct presence_reading *moment = &view->streams.moment;
    json_t *object = json_object(), *array = json_array();

    for (size_t i = 0; i < view->shown; i++)
        json_array_append_new(array, edges_build_stream(&view->streams.streams[i]));
    json_object_set_new(object, "senders", array);
    json_object_set_new(object, "total", json_integer((json_int_t)view->streams.length));
    json_object_set_new(object, "silent", json_integer((json_int_t)view->states.silent));
    json_object_set_new(object, "restarted", json_integer((json_int_t)view->states.restarted));
    json_set_moment(object, moment->stale, moment->warming, moment->as_of);
    json_print(object);
}

static void print_csv(const struct view *view)
{
    static const char *const headings[] = {
        "address",    "port",     "key",      "stream", "target",     "state", "age_s", "datagrams",
        "heartbeats", "expected", "received", "lost",   "duplicates", "as_of", "stale"};
    const struct presence_reading *moment = &view->streams.moment;
    struct csv csv = {.out = stdout};

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        csv_text(&csv, headings[i]);
    csv_end_line(&csv);
    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_stream *stream = &view->streams.streams[i];
        const uint64_t figures[] = {stream->last_s,    stream->datagrams, stream->heartbeats,
                                    stream->expected,  stream->received,  stream->lost,
                                    stream->duplicates};
        char id[EDGES_ID_SIZE];
        edges_format_id(stream, id);
        csv_text(&csv, stream->address);
        csv_integer(&csv, stream->port);
        csv_integer(&csv, stream->key_id);
        csv_text(&csv, id);
        csv_integer(&csv, stream->target);
        csv_text(&csv, edges_state(stream));
        for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++)
            csv_integer(&csv, figures[f]);
        csv_text(&csv, show_time(moment->as_of).text);
        csv_integer(&csv, moment->stale);
        csv_end_line(&csv);
    }
}

/* ---- text -------------------------------------------------------------------------------- */

/* Print the line above the table: how many there are, how many fell silent, and the time. */
static void print_header(const struct view *view)
{
    const struct presence_reading *moment = &view->streams.moment;
    const struct edges_states *states = &view->states;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";
    size_t length = view->streams.length;

    printf("%s%zu sender%s: %zu alive", bold, length, plural_of(length), states->alive);
    if (states->silent)
        printf(", %zu silent", states->silent);
    if (states->restarted)
        printf(", %zu restarted since", states->restarted);
    printf("; as of %s", show_time(moment->as_of).text);
    if (view->shown < length)
        printf("; the last heard %zu of %zu", view->shown, length);
    printf("%s%s\n", moment->stale ? " [stale]" : "", plain);
}

static void add_line(struct libscols_table *table, const struct presence_stream *stream)
{
    enum { FIGURES = 6, FIGURE_SIZE = 24 };
    const uint64_t figures[FIGURES] = {stream->datagrams, stream->heartbeats, stream->expected,
                                       stream->received,  stream->lost,       stream->duplicates};
    char host[HOST_PORT_SIZE], key[8], age[SHOW_DURATION_SIZE], text[FIGURES][FIGURE_SIZE];

    format_host_port(stream, host);
    snprintf(key, sizeof(key), stream->key_id ? "%d" : "-", stream->key_id);
    snprintf(age, sizeof(age), "%s", show_duration(stream->last_s).text);
    for (int i = 0; i < FIGURES; i++)
        snprintf(text[i], FIGURE_SIZE, "%" PRIu64, figures[i]);
    struct libscols_line *line =
        table_line(table, (const char *const[]){host, key, edges_state(stream), age, text[0],
                                                text[1], text[2], text[3], text[4], text[5]});
    if (stream->silent)
        scols_line_set_color(line, stream->restarted ? "\033[2m" : "\033[31m");
}

static void print_table(const struct view *view)
{
    static const char *const figures[] = {"AGE",      "DATAGRAMS", "HEARTBEATS", "EXPECTED",
                                          "RECEIVED", "LOST",      "DUPLICATES"};
    struct libscols_table *table = table_new();

    table_column(table, "ADDRESS", COLUMN_LEFT);
    table_column(table, "KEY", COLUMN_RIGHT);
    table_column(table, "STATE", COLUMN_LEFT);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        table_column(table, figures[i], COLUMN_RIGHT);
    for (size_t i = 0; i < view->shown; i++)
        add_line(table, &view->streams.streams[i]);
    table_print(table);
}

/* ---- the command ------------------------------------------------------------------------- */

static void print_view(const struct options *options, const struct view *view)
{
    if (options->json) {
        print_json(view);
    } else if (options->csv) {
        print_csv(view);
    } else {
        print_header(view);
        if (view->shown)
            print_table(view);
    }
}

/* Say how many datagrams found no place, unless there is one now: streams keep their places until
 * others need them. */
static void report_full(struct presence *presence)
{
    uint64_t full = presence_counter(presence, "streams_full");
    struct presence_status status;

    if (full && presence_status(presence, &status) >= 0 &&
        status.streams_live == status.streams_capacity)
        report("%" PRIu64 " datagram%s of senders that are not listed: raise --max-streams "
               "(streams_full)",
               full, plural_of(full));
}

int command_senders(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {0};
    int r = presence_streams(presence, &view.streams);

    (void)arguments;
    if (r == -EOPNOTSUPP) {
        report("this collector keeps no streams; start presenced without --max-streams 0");
        return EXIT_FAILED;
    }
    if (r < 0)
        return report_error(r, presence, options);
    size_t length = view.streams.length;
    view.shown = options->limit && options->limit < length ? options->limit : length;
    view.states = edges_count(&view.streams);
    print_view(options, &view);
    report_full(presence);
    view.streams.moment.warming = false; /* these figures are exact while it warms, too */
    int status = report_reading(presence, &view.streams.moment, "these are the senders", NULL);
    presence_streams_free(&view.streams);
    return status;
}
