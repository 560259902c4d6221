#include "watch_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/time_text.h"
#include "presencectl.h"

#define COLUMNS_BESIDE 64 /* from this width on, events are beside the list, not below it */
#define GAP            2  /* columns between them */
#define COUNT_COLUMNS  9
#define SHARE_COLUMNS  8

/* A rectangle of the canvas. */
struct area {
    unsigned row, column, rows, columns;
};

static const char *separator(const struct canvas *canvas)
{
    return canvas->unicode ? " · " : " | ";
}

/* ---- the count ------------------------------------------------------------------------------- */

static void draw_title(struct canvas *canvas, const struct watch_model *model)
{
    struct shown_time time = show_time(model->status.as_of);
    unsigned width = canvas->columns > 24 ? canvas->columns - 24 : canvas->columns;

    canvas_text(canvas, 0, 1, width, INK_PLAIN, show_name(model->site).text);
    if (width < canvas->columns)
        canvas_right(canvas, 0, width + 1, 22, INK_PLAIN, time.text);
    canvas_ink(canvas, 0, INK_TITLE);
}

static void draw_count(struct canvas *canvas, unsigned row, const struct watch_model *model)
{
    const struct presence_activity *activity = &model->activity;
    const struct presence_reading *reading = &activity->reading;
    unsigned column = 1;

    if (!reading->exists) {
        if (reading->known)
            canvas_print(canvas, row, column, INK_DIM, "nobody within the longest window, %s",
                         show_window(model->status.max_window_s).text);
        else
            canvas_print(canvas, row, column, INK_DIM, "unknown");
        return;
    }
    column = canvas_print(canvas, row, column, INK_BOLD, "%" PRIu32 " visitor%s", reading->count,
                          plural_of(reading->count));
    column = canvas_print(canvas, row, column, INK_DIM, " in the last %s",
                          show_window(reading->window_s).text);
    if (activity->has_history) {
        column = canvas_print(canvas, row, column + 2, INK_GOOD, "+%" PRIu64, activity->entries);
        column = canvas_print(canvas, row, column + 1, INK_BAD, "-%" PRIu64,
                              activity->leaves + activity->departures);
        column = canvas_print(canvas, row, column, INK_DIM, " in a minute");
    }
    if (model->peak.count)
        canvas_print(canvas, row, column + 2, INK_DIM, "peak %" PRIu32 " at %.5s",
                     model->peak.count, show_time(model->peak.at).text + 11);
}

/* Draw a warning if the count is stale, warming, partial or quiet, or else the keys. */
static void draw_state(struct canvas *canvas, unsigned row, const struct watch_model *model)
{
    const struct presence_reading *reading = &model->activity.reading;
    const struct presence_status *status = &model->status;

    if (status->stale)
        canvas_print(canvas, row, 1, INK_BAD,
                     "stale: the collector %s %s ago; these are its last numbers",
                     status->state == PRESENCE_STOPPED ? "stopped" : "was last active",
                     show_duration(status->as_of_age_s).text);
    else if (status->warming)
        canvas_print(canvas, row, 1, INK_WARN,
                     "warming: the collector began to listen %s ago; this is a lower bound",
                     show_duration(status->listening_for_s).text);
    else if (reading->partial)
        canvas_print(canvas, row, 1, INK_WARN,
                     "partial: there was no room for everybody; this is a lower bound");
    else if (reading->exists && reading->last_heartbeat_s > QUIET_AGE)
        canvas_print(canvas, row, 1, INK_WARN, "quiet: the last heartbeat came %s ago; %s",
                     show_duration(reading->last_heartbeat_s).text, edges_show(&model->edges).text);
    else
        canvas_print(canvas, row, 1, INK_DIM, "r: rooms, c: countries, s: sources, q: quit");
}

/* ---- lists ------------------------------------------------------------------------------- */

static void draw_list(struct canvas *canvas, const struct area *area,
                      const struct watch_model *model)
{
    static const char *const headings[] = {"SITE", "ROOM", "COUNTRY", "SOURCE"};
    uint32_t all = model->activity.reading.count;
    unsigned numbers = COUNT_COLUMNS + SHARE_COLUMNS;
    unsigned width = area->columns > numbers + 4 ? area->columns - numbers : area->columns;
    unsigned count_at = area->column + width;

    canvas_text(canvas, area->row, area->column, width, INK_DIM, headings[model->by]);
    if (width < area->columns)
        canvas_right(canvas, area->row, count_at, COUNT_COLUMNS, INK_DIM, "VISITORS");
    for (unsigned i = 0; i + 1 < area->rows && i < model->listing.length; i++) {
        const struct presence_entry *entry = &model->listing.entries[i];
        unsigned row = area->row + 1 + i;
        char text[32];
        canvas_text(canvas, row, area->column, width, INK_PLAIN, show_name(entry->name).text);
        if (width == area->columns)
            continue;
        snprintf(text, sizeof(text), "%" PRIu32, entry->count);
        canvas_right(canvas, row, count_at, COUNT_COLUMNS, INK_BOLD, text);
        snprintf(text, sizeof(text), "%.1f %%",
                 all ? 100.0 * (double)entry->count / (double)all : 0.0);
        canvas_right(canvas, row, count_at + COUNT_COLUMNS, SHARE_COLUMNS, INK_DIM, text);
    }
}

/* Return the sign for a kind of event, and its ink. */
static const char *event_sign(enum presence_event_kind kind, enum ink *ret_ink)
{
    switch (kind) {
    case PRESENCE_EVENT_ENTERED:
        *ret_ink = INK_GOOD;
        return "+";
    case PRESENCE_EVENT_LEFT:
        *ret_ink = INK_BAD;
        return "-";
    case PRESENCE_EVENT_PAGEVIEW:
        *ret_ink = INK_DIM;
        return "o";
    case PRESENCE_EVENT_CUSTOM:
        break;
    }
    *ret_ink = INK_WARN;
    return "*";
}

/* Draw text after a space, unless it is empty or `end` is reached. Returns the column after it. */
static unsigned draw_word(struct canvas *canvas, unsigned row, unsigned column, unsigned end,
                          enum ink ink, const char *text)
{
    if (!*text || column + 1 >= end)
        return column;
    return canvas_text(canvas, row, column + 1, end - column - 1, ink, text);
}

static void draw_event(struct canvas *canvas, unsigned row, unsigned column, unsigned columns,
                       const struct presence_event *event)
{
    unsigned end = column + columns;
    enum ink ink;
    const char *sign = event_sign(event->kind, &ink);
    char time[16];

    snprintf(time, sizeof(time), "%.8s", show_time(event->time_us / 1000000).text + 11);
    column = canvas_text(canvas, row, column, columns, INK_DIM, time);
    column = draw_word(canvas, row, column, end, ink, sign);
    column = draw_word(canvas, row, column, end, ink, show_name(event->name).text);
    column = draw_word(canvas, row, column, end, INK_DIM, event->country);
    column = draw_word(canvas, row, column, end, INK_PLAIN, show_name(event->room).text);
    if (*event->source) {
        column = draw_word(canvas, row, column, end, INK_DIM, "from");
        draw_word(canvas, row, column, end, INK_DIM, show_name(event->source).text);
    }
}

/* Draw the events, newest first. */
static void draw_events(struct canvas *canvas, const struct area *area,
                        const struct watch_model *model)
{
    canvas_text(canvas, area->row, area->column, area->columns, INK_DIM,
                "LATEST  + entered  - left  o pageview  * event");
    for (unsigned i = 0; i + 1 < area->rows && i < model->events_length; i++)
        draw_event(canvas, area->row + 1 + i, area->column, area->columns,
                   &model->events[model->events_length - 1 - i]);
}

static void draw_health(struct canvas *canvas, unsigned row, const struct watch_model *model)
{
    const struct presence_status *status = &model->status;
    const char *between = separator(canvas);
    bool is_fine = !status->stale && status->state == PRESENCE_LISTENING;
    unsigned column = canvas_text(canvas, row, 1, canvas->columns, is_fine ? INK_GOOD : INK_BAD,
                                  is_fine         ? "listening"
                                  : status->stale ? "silent"
                                                  : "starting");

    column =
        canvas_print(canvas, row, column, INK_DIM, " for %s",
                     show_duration(is_fine ? status->listening_for_s : status->as_of_age_s).text);
    if (model->heartbeats_per_s >= 0) {
        uint64_t rate = (uint64_t)(model->heartbeats_per_s + 0.5);
        column = canvas_print(canvas, row, column, INK_DIM, "%s%" PRIu64 " heartbeat%s/s", between,
                              rate, plural_of(rate));
    }
    column = canvas_print(canvas, row, column, model->rejected ? INK_WARN : INK_DIM,
                          "%s%" PRIu64 " rejected", between, model->rejected);
    column = canvas_print(canvas, row, column, model->dropped ? INK_BAD : INK_DIM,
                          "%s%" PRIu64 " dropped", between, model->dropped);
    if (status->entries_capacity)
        canvas_print(canvas, row, column, INK_DIM, "%s%.0f %% full", between,
                     100.0 * (double)status->entries_taken / (double)status->entries_capacity);
}

/* ---- layout --------------------------------------------------------------------------- */

/* Compute the graph's rows from those left between the count and the last line. */
static unsigned graph_rows(unsigned rows)
{
    if (rows < 2 * GRAPH_ROWS_MIN)
        return 1;
    if (rows < 5 * GRAPH_ROWS_MIN - 1)
        return GRAPH_ROWS_MIN + 1;
    return rows * 2 / 5 < 16 ? rows * 2 / 5 : 16;
}

static void draw_lists(struct canvas *canvas, const struct area *area,
                       const struct watch_model *model)
{
    struct area list = *area, events = *area;

    if (canvas->columns >= COLUMNS_BESIDE) {
        list.columns = (area->columns - GAP) / 2;
        events.column = list.column + list.columns + GAP;
        events.columns = area->columns - list.columns - GAP;
    } else {
        list.rows = (area->rows + 1) / 2;
        events.row += list.rows;
        events.rows -= list.rows;
    }
    if (list.rows > 1)
        draw_list(canvas, &list, model);
    if (events.rows > 1)
        draw_events(canvas, &events, model);
}

void watch_draw(struct canvas *canvas, const struct watch_model *model)
{
    unsigned row = canvas->rows > 1, last = canvas->rows - 1;

    if (canvas->rows > 1)
        draw_title(canvas, model);
    draw_count(canvas, row++, model);
    if (row < last)
        draw_state(canvas, row++, model);
    if (row <= last && canvas->rows > 3)
        draw_health(canvas, last, model);
    if (row >= last || canvas->columns < GRAPH_COLUMNS_MIN + 2)
        return;
    unsigned rows = graph_rows(last - row);
    if (rows < GRAPH_ROWS_MIN)
        graph_sparkline(canvas, row, 1, canvas->columns - 2, &model->graph);
    else
        graph_draw(canvas, row, 1, rows, canvas->columns - 2, &model->graph);
    row += rows;
    if (rows > 1 && row < last)
        row++;
    if (row < last)
        draw_lists(canvas, &(struct area){row, 1, last - row, canvas->columns - 2}, model);
}
