#include "api.h"

#include <errno.h>
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

/* ---- a watermark ---------------------------------------------------------------------------- */

/* Parse a whole time in UTC: 2026-01-31T12:00:00.123456Z, with any fraction or none. */
static bool parse_time(const char *text, int64_t *ret_us)
{
    size_t length = strlen(text);

    return length >= strlen("2026-01-31T12:00:00Z") && text[length - 1] == 'Z' &&
           time_parse(text, ret_us) == 0;
}

/* ---- the page ------------------------------------------------------------------------------- */

struct page {
    uint32_t size;
    bool resumes;
    int64_t since_us; /* events after this time */
};

static bool parse_page(const struct http_request *request, struct page *ret,
                       struct problem *problem)
{
    const char *since = http_request_query(request, "since_timestamp");
    struct page page = {.resumes = since && *since};

    if (page.resumes && !parse_time(since, &page.since_us))
        return problem_bad_request(
            problem, "since_timestamp must be a time such as 2026-01-31T12:00:00.123456Z");
    if (!request_parse_number(request, "page_size", 1, PAGE_MAX, PAGE_DEFAULT, &page.size, problem))
        return false;
    *ret = page;
    return true;
}

/* Load what came after the watermark, oldest first, so that nothing is skipped: one event more than
 * the page holds, to know whether there is more. */
static int load_after(struct presence *presence, const char *site, const struct page *page,
                      struct presence_events *ret)
{
    uint64_t from;
    int r = presence_events_since(presence, page->since_us + 1, &from);

    return r < 0 ? r : presence_events(presence, site, from, page->size + 1, ret);
}

static json_t *build_page(const struct page *page, struct presence_events *events)
{
    bool more = page->resumes && events->length > page->size;
    json_t *object = json_object();

    if (more)
        events->length = page->size;
    int64_t newest_us =
        events->length ? events->events[events->length - 1].time_us : page->since_us;
    json_object_set_new(object, "data", build_newest(events, page->size));
    json_object_set_new(object, "next_timestamp", json_string(show_time_us(newest_us).text));
    json_object_set_new(object, "has_more", json_boolean(more));
    json_object_set_new(object, "missed",
                        json_integer(page->resumes ? (json_int_t)events->missed : 0));
    return object;
}

enum MHD_Result api_events(const struct web *web, struct http_request *request, struct place *place)
{
    struct presence *presence = live_presence(web->live);
    struct presence_events events = {0};
    struct problem problem;
    struct page page = {0};

    if (!parse_page(request, &page, &problem))
        return respond_problem(web, request, &problem);
    int r = page.resumes ? load_after(presence, place->site, &page, &events)
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
