#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/time_text.h"
#include "request.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     500
#define SPAN_FIRST   1024 /* events of all sites to search for a page at first */

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *build_event(const struct presence_event *event)
{
    static const char *const types[] = {
        [PRESENCE_EVENT_ENTERED] = "enter",
        [PRESENCE_EVENT_LEFT] = "leave",
        [PRESENCE_EVENT_PAGEVIEW] = "pageview",
        [PRESENCE_EVENT_CUSTOM] = "event",
    };
    json_t *object = json_object();

    json_object_set_new(object, "timestamp", json_string(show_time_us(event->time_us).text));
    json_object_set_new(object, "type", json_string(types[event->kind]));
    json_object_set_new(object, "pathname", text_or_null(event->room));
    json_object_set_new(object, "event_name", text_or_null(event->name));
    json_object_set_new(object, "country", text_or_null(event->country));
    json_object_set_new(object, "referrer", text_or_null(event->source));
    return object;
}

/* Return the last `limit` of them, newest first. */
static json_t *build_newest(const struct presence_events *events, size_t limit)
{
    json_t *array = json_array();

    for (size_t i = events->length; i-- > 0 && json_array_size(array) < limit;)
        json_array_append_new(array, build_event(&events->events[i]));
    return array;
}

/* Load at least the newest `limit` events of a site: search further back until they are found. */
static int load_newest(const struct web *web, const char *site, size_t limit,
                       struct presence_events *ret)
{
    struct presence_status status;
    struct presence_events events;
    int r = live_status(web->live, &status);
    struct presence *presence = live_presence(web->live);

    if (r == 0)
        r = presence ? presence_events(presence, NULL, PRESENCE_EVENTS_NEW, 1, &events) : -ENODATA;
    if (r < 0)
        return r;
    uint64_t end = events.next;
    for (uint64_t span = SPAN_FIRST;; span *= 4) {
        bool all = span >= status.events_capacity || span >= end;
        presence_events_free(&events);
        r = presence_events(presence, site, all ? PRESENCE_EVENTS_OLDEST : end - span, 0, &events);
        if (r < 0)
            return r;
        if (all || events.length >= limit)
            break;
    }
    *ret = events;
    return 0;
}

json_t *api_newest_events(const struct web *web, const struct place *place, size_t limit)
{
    struct presence_events events;

    if (load_newest(web, place->site, limit, &events) < 0)
        return json_array();
    json_t *array = build_newest(&events, limit);
    presence_events_free(&events);
    return array;
}

/* ---- between two times ---------------------------------------------------------------------- */

/* The page that is asked for: the newest events, those after a time, or those before one. */
struct page {
    uint32_t size;
    bool has_since, has_before;
    int64_t since_us, before_us;
};

/* Append events to `all`, which has room for `limit`, and keep the newest ones. */
static void append(struct presence_events *all, const struct presence_events *more, size_t limit)
{
    size_t room = limit - more->length, kept = all->length < room ? all->length : room;

    if (more->length == 0)
        return;
    memmove(all->events, all->events + (all->length - kept), kept * sizeof(all->events[0]));
    memcpy(all->events + kept, more->events, more->length * sizeof(all->events[0]));
    all->length = kept + more->length;
}

/* Load the newest `limit` events of a site whose numbers are at least `from` and below `end`. */
static int load_range(struct presence *presence, const char *site, uint64_t from, uint64_t end,
                      size_t limit, struct presence_events *ret)
{
    struct presence_events all = {.events = calloc(limit, sizeof(*all.events))}, part;
    bool full = all.events != NULL;
    int r = full ? 0 : -ENOMEM;

    while (full && from < end) {
        r = presence_events(presence, site, from, limit, &part);
        if (r < 0)
            break;
        full = part.length == limit;
        from = part.next;
        while (part.length && part.events[part.length - 1].sequence >= end)
            part.length--;
        append(&all, &part, limit);
        presence_events_free(&part);
    }
    if (r < 0)
        presence_events_free(&all);
    else
        *ret = all;
    return r;
}

/* Load the newest events before a time, one more than the page holds, to know whether there is
 * more: search further back until they are found. */
static int load_before(const struct web *web, const char *site, const struct page *page,
                       struct presence_events *ret)
{
    struct presence_status status;
    uint64_t end;
    size_t limit = page->size + 1;
    int r = live_status(web->live, &status);
    struct presence *presence = live_presence(web->live);

    if (r == 0)
        r = presence ? presence_events_since(presence, page->before_us, &end) : -ENODATA;
    for (uint64_t span = SPAN_FIRST; r == 0; span *= 4) {
        bool all = span >= status.events_capacity || span >= end;
        r = load_range(presence, site, all ? PRESENCE_EVENTS_OLDEST : end - span, end, limit, ret);
        if (r < 0 || all || ret->length == limit)
            break;
        presence_events_free(ret);
    }
    return r;
}

/* Load what came after a time, and before the other if there is one, oldest first, so that nothing
 * is skipped: one event more than the page holds. */
static int load_after(struct presence *presence, const char *site, const struct page *page,
                      struct presence_events *ret)
{
    uint64_t from;
    int r = presence_events_since(presence, page->since_us + 1, &from);

    if (r == 0)
        r = presence_events(presence, site, from, page->size + 1, ret);
    while (r == 0 && page->has_before && ret->length &&
           ret->events[ret->length - 1].time_us >= page->before_us)
        ret->length--;
    return r;
}

/* ---- the page ------------------------------------------------------------------------------- */

/* Parse a parameter that is a date and a time of day; an empty one is absent. */
static bool parse_time(const struct http_request *request, const char *name, bool *ret_given,
                       int64_t *ret_us, struct problem *problem)
{
    const char *text = http_request_query(request, name);

    *ret_given = text && *text;
    if (!*ret_given || (strpbrk(text, "Tt") && time_parse(text, ret_us) == 0))
        return true;
    return problem_bad_request(problem,
                               "%s must be a time such as 2026-01-31T12:00:00.123456Z or "
                               "2026-01-31T13:00:00+01:00",
                               name);
}

static bool parse_page(const struct http_request *request, struct page *ret,
                       struct problem *problem)
{
    return parse_time(request, "since_timestamp", &ret->has_since, &ret->since_us, problem) &&
           parse_time(request, "before_timestamp", &ret->has_before, &ret->before_us, problem) &&
           request_parse_number(request, "page_size", 1, PAGE_MAX, PAGE_DEFAULT, &ret->size,
                                problem);
}

/* Return the time from which to go back: that of the page's oldest event. */
static json_t *build_previous(const struct page *page, const struct presence_events *events,
                              size_t shown)
{
    if (shown)
        return json_string(show_time_us(events->events[events->length - shown].time_us).text);
    return page->has_before ? json_string(show_time_us(page->before_us).text) : json_null();
}

static json_t *build_page(const struct page *page, struct presence_events *events)
{
    bool more = (page->has_since || page->has_before) && events->length > page->size;
    json_t *object = json_object();

    if (more && page->has_since)
        events->length = page->size;
    size_t shown = events->length < page->size ? events->length : page->size;
    int64_t newest_us =
        events->length ? events->events[events->length - 1].time_us : page->since_us;
    json_object_set_new(object, "data", build_newest(events, page->size));
    json_object_set_new(object, "next_timestamp", json_string(show_time_us(newest_us).text));
    json_object_set_new(object, "previous_timestamp", build_previous(page, events, shown));
    json_object_set_new(object, "has_more", json_boolean(more));
    json_object_set_new(object, "missed",
                        json_integer(page->has_since ? (json_int_t)events->missed : 0));
    return object;
}

enum MHD_Result api_events(const struct web *web, struct http_request *request, struct place *place)
{
    struct presence *presence = live_presence(web->live);
    struct presence_events events = {0};
    struct problem problem;
    struct page page = {0};

    if (!api_of_collector(web, "events", &problem) || !parse_page(request, &page, &problem))
        return respond_problem(web, request, &problem);
    int r = !presence         ? -ENODATA
            : page.has_since  ? load_after(presence, place->site, &page, &events)
            : page.has_before ? load_before(web, place->site, &page, &events)
                              : load_newest(web, place->site, page.size, &events);
    if (r < 0) {
        problem_set(&problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_events",
                    "the collector keeps no events: see presenced --events");
        return respond_problem(web, request, &problem);
    }
    json_t *object = build_page(&page, &events);
    presence_events_free(&events);
    return respond_json(web, request, object);
}
