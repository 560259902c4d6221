#include "trends.h"

#include <time.h>

#include "events.h"
#include "show.h"

#define LINES_DEFAULT 10
#define LINES_MAX     100
#define HOURS_MAX     24

/* ---- realtime ---------------------------------------------------------------------------- */

/* The busiest rooms, countries or sources: [{NAME: "...", "visitors": 3}]. */
static json_t *show_top(const struct web *web, const struct place *place, enum presence_kind kind,
                        const char *name, uint32_t window_s, size_t limit)
{
    struct presence *presence = numbers_presence(web->numbers);
    json_t *array = json_array();
    struct presence_listing listing;

    if (!presence || presence_top(presence, place->site, kind, window_s, limit, &listing) < 0)
        return array;
    for (size_t i = 0; i < listing.length && listing.entries[i].count > 0; i++)
        json_array_append_new(array, json_pack("{s:s,s:I}", name, listing.entries[i].name,
                                               "visitors", (json_int_t)listing.entries[i].count));
    presence_listing_free(&listing);
    return array;
}

/* Of the window's minutes, as far as they are known; null where none are kept. */
static json_t *show_pageviews(const struct web *web, const struct place *place, uint32_t window_s)
{
    struct presence *presence = numbers_presence(web->numbers);
    struct presence_history history;
    uint64_t pageviews = 0;

    if (!presence || presence_history(presence, PRESENCE_SITE, place->site, NULL,
                                      time(NULL) - window_s, 0, &history) < 0)
        return json_null();
    for (size_t i = 0; i < history.length; i++)
        pageviews += history.minutes[i].pageviews;
    presence_history_free(&history);
    return json_integer((json_int_t)pageviews);
}

enum MHD_Result trends_read_realtime(const struct web *web, struct http_request *request,
                                     struct place *place)
{
    struct problem problem;
    struct number number;
    uint32_t window_s, limit;

    if (!query_window(request, &window_s, &problem) ||
        !query_number(request, "limit", 1, LINES_MAX, LINES_DEFAULT, &limit, &problem))
        return reply_problem(web, request, &problem);
    numbers_count(web->numbers, place, window_s, &number);
    window_s = number.window_s;
    json_t *object = json_object();
    json_object_set_new(object, "currentVisitors", show_count(&number));
    json_object_set_new(object, "pageViews", show_pageviews(web, place, window_s));
    json_object_set_new(object, "activePages",
                        show_top(web, place, PRESENCE_ROOM, "path", window_s, limit));
    json_object_set_new(object, "countries",
                        show_top(web, place, PRESENCE_COUNTRY, "country", window_s, limit));
    json_object_set_new(object, "sources",
                        show_top(web, place, PRESENCE_SOURCE, "source", window_s, limit));
    json_object_set_new(object, "recentEvents", events_newest(web, place, limit));
    show_number(object, place, &number);
    return reply_json(web, request, object);
}

/* ---- history ----------------------------------------------------------------------------- */

static json_t *show_minute(const struct presence_minute *minute)
{
    return json_pack("{s:s,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "timestamp",
                     show_time(minute->start).text, "min", (json_int_t)minute->minimum, "mean",
                     minute->mean, "max", (json_int_t)minute->maximum, "heartbeats",
                     (json_int_t)minute->heartbeats, "pageviews", (json_int_t)minute->pageviews,
                     "entered", (json_int_t)minute->entries, "left", (json_int_t)minute->leaves,
                     "departed", (json_int_t)minute->departures, "warming", minute->warming,
                     "running", minute->running);
}

static json_t *show_minutes(struct presence *presence, const struct place *place, uint32_t hours)
{
    json_t *array = json_array();
    struct presence_history history;

    if (presence_history(presence, PRESENCE_SITE, place->site, NULL,
                         time(NULL) - (int64_t)hours * 3600, 0, &history) < 0)
        return array;
    for (size_t i = 0; i < history.length; i++)
        json_array_append_new(array, show_minute(&history.minutes[i]));
    presence_history_free(&history);
    return array;
}

static json_t *show_peak(const struct presence_peak *peak)
{
    if (peak->count == 0)
        return json_null();
    return json_pack("{s:I,s:s}", "count", (json_int_t)peak->count, "timestamp",
                     show_time(peak->at).text);
}

static json_t *show_peaks(struct presence *presence, const struct place *place)
{
    struct presence_peaks peaks = {0};

    presence_peaks(presence, PRESENCE_SITE, place->site, NULL, &peaks); /* or there were none */
    return json_pack("{s:o,s:o}", "today", show_peak(&peaks.today), "ever", show_peak(&peaks.ever));
}

enum MHD_Result trends_read_history(const struct web *web, struct http_request *request,
                                    struct place *place)
{
    struct presence *presence = numbers_presence(web->numbers);
    struct problem problem;
    struct number number;
    uint32_t hours;

    if (!query_number(request, "hours", 1, HOURS_MAX, HOURS_MAX, &hours, &problem))
        return reply_problem(web, request, &problem);
    json_t *object = json_object();
    json_object_set_new(object, "data", show_minutes(presence, place, hours));
    json_object_set_new(object, "peak", show_peaks(presence, place));
    numbers_count(web->numbers, place, PRESENCE_DEFAULT_WINDOW, &number);
    show_number(object, place, &number);
    return reply_json(web, request, object);
}
