/* api_events.c - answer what happened on a site, page by page, in the words of Rybbit's API. */
#include "api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_whole.h"
#include "common/time_text.h"
#include "request.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX     500 /* also the default after a time, where a reader may have fallen behind */
#define BLOCK        256 /* events to load at a time */

/* ---- types ---------------------------------------------------------------------------------- */

enum type { ENTER, LEAVE, PAGEVIEW, CUSTOM, OUTBOUND };

static const char *const type_names[] = {
    [ENTER] = "enter",         [LEAVE] = "leave",       [PAGEVIEW] = "pageview",
    [CUSTOM] = "custom_event", [OUTBOUND] = "outbound",
};

#define TYPES (sizeof(type_names) / sizeof(type_names[0]))

/* A set of types has bit 1 << type. Clients of other systems don't know visitors who come and go.
 */
#define TYPES_DEFAULT (1U << PAGEVIEW | 1U << CUSTOM | 1U << OUTBOUND)

static enum type type_of(const struct presence_event *event)
{
    switch (event->kind) {
    case PRESENCE_EVENT_ENTERED:
        return ENTER;
    case PRESENCE_EVENT_LEFT:
        return LEAVE;
    case PRESENCE_EVENT_PAGEVIEW:
        return PAGEVIEW;
    case PRESENCE_EVENT_CUSTOM:
        break;
    }
    return strcmp(event->name, "outbound") == 0 ? OUTBOUND : CUSTOM;
}

/* Parse a list of types, with commas and perhaps blanks between them, and add them to `ret`. */
static bool parse_list(const char *list, uint32_t *ret)
{
    while (*(list += strspn(list, ", "))) {
        size_t length = strcspn(list, ", "), i = 0;
        while (i < TYPES &&
               (strlen(type_names[i]) != length || memcmp(type_names[i], list, length) != 0))
            i++;
        if (i == TYPES)
            return false;
        *ret |= 1U << i;
        list += length;
    }
    return true;
}

/* Parse the parameter `types`, which may be repeated. */
static bool parse_types(const struct http_request *request, uint32_t *ret, struct problem *problem)
{
    const char *lists[TYPES];
    size_t count = http_request_query_all(request, "types", lists, TYPES);
    uint32_t types = 0;
    bool good = count <= TYPES;

    for (size_t i = 0; good && i < count; i++)
        good = parse_list(lists[i], &types);
    if (!good)
        return problem_bad_request(problem, "types must be a list, with commas, of enter, leave, "
                                            "pageview, custom_event and outbound");
    *ret = types ? types : TYPES_DEFAULT;
    return true;
}

/* ---- searching ------------------------------------------------------------------------------ */

/* Events of a site that are wanted, and what was looked at to find them. */
struct found {
    const char *site;
    uint32_t types;
    size_t limit;                  /* the search ends once there are that many */
    struct presence_event *events; /* in the order of the search; `limit` of them have room */
    size_t length;
    int64_t newest_us; /* time of the site's newest event that was looked at; 0: there is none */
    uint64_t missed;
};

static int found_init(struct found *ret, const char *site, uint32_t types, size_t limit)
{
    *ret = (struct found){.site = site, .types = types, .limit = limit};
    ret->events = calloc(limit, sizeof(*ret->events));
    return ret->events ? 0 : -ENOMEM;
}

static void found_free(struct found *found)
{
    free(found->events);
}

/* Consider one event, and keep it if it is wanted. */
static void found_consider(struct found *found, const struct presence_event *event)
{
    if (event->time_us > found->newest_us)
        found->newest_us = event->time_us;
    if (found->types & 1U << type_of(event))
        found->events[found->length++] = *event;
}

/* Search back from a time (INT64_MAX: from the newest event), newest first. Blocks of all sites'
 * events are loaded, each once: those of a quiet site are scattered among them. A block ends before
 * an event that is still being written. Whoever goes on from the newest event must not pass that
 * one, so all behind it are left out; whoever only goes back passes it. */
static int found_search_back(struct found *found, struct presence *presence, int64_t before_us)
{
    struct presence_events block;
    uint64_t oldest, end;
    bool is_newest = before_us == INT64_MAX;
    int r = presence_events_since(presence, 0, &oldest);

    if (r == 0)
        r = presence_events_since(presence, before_us, &end);
    while (r == 0 && end > oldest && found->length < found->limit) {
        uint64_t from = end - oldest > BLOCK ? end - BLOCK : oldest;
        r = presence_events(presence, NULL, from, BLOCK, &block);
        while (r == 0 && !is_newest && block.next + 1 < end) {
            from = block.next;
            presence_events_free(&block);
            r = presence_events(presence, NULL, from + 1, BLOCK, &block);
        }
        if (r < 0)
            break;
        if (is_newest && block.next < end) {
            found->length = 0;
            found->newest_us = 0;
        }
        for (size_t i = block.length; i-- > 0 && found->length < found->limit;) {
            const struct presence_event *event = &block.events[i];
            if (event->sequence < end && strcmp(event->site, found->site) == 0)
                found_consider(found, event);
        }
        presence_events_free(&block);
        end = from;
    }
    return r;
}

/* Search forward from a time, oldest first, until another one. */
static int found_search_forward(struct found *found, struct presence *presence, int64_t since_us,
                                int64_t before_us)
{
    struct presence_events block;
    uint64_t from;
    int r = presence_events_since(presence, since_us + 1, &from);
    bool more = true;

    while (r == 0 && more && found->length < found->limit) {
        r = presence_events(presence, found->site, from, BLOCK, &block);
        if (r < 0)
            break;
        more = block.length == BLOCK; /* otherwise the last one was reached */
        from = block.next;
        found->missed += block.missed;
        for (size_t i = 0; i < block.length && found->length < found->limit; i++) {
            more = more && block.events[i].time_us < before_us;
            if (block.events[i].time_us < before_us)
                found_consider(found, &block.events[i]);
        }
        presence_events_free(&block);
    }
    return r;
}

/* ---- the page ------------------------------------------------------------------------------- */

/* The page that is asked for: the newest events, those after a time, or those before one. */
struct page {
    uint32_t size, types;
    bool has_since, has_before;
    int64_t since_us, before_us;
};

/* Find the page's events and one more, which tells that the page isn't the last. After a time, the
 * oldest page comes first: whoever goes on from its newest event skips nothing. */
static int load_page(const struct web *web, const char *site, const struct page *page,
                     struct found *ret)
{
    struct presence *presence = live_presence(web->live);
    int64_t before_us = page->has_before ? page->before_us : INT64_MAX;
    struct found found;

    if (!presence)
        return -ENODATA;
    int r = found_init(&found, site, page->types, page->size + 1);
    if (r == 0)
        r = page->has_since ? found_search_forward(&found, presence, page->since_us, before_us)
                            : found_search_back(&found, presence, before_us);
    if (r < 0)
        found_free(&found);
    else
        *ret = found;
    return r;
}

/* Return an event. Clients of other systems expect texts: one that is absent is empty, and so is
 * the city, which nobody knows. */
static json_t *build_event(const struct presence_event *event)
{
    json_t *object = json_object();

    json_object_set_new(object, "timestamp", json_string(show_time_us(event->time_us).text));
    json_object_set_new(object, "type", json_string(type_names[type_of(event)]));
    json_object_set_new(object, "pathname", json_string(event->room));
    json_object_set_new(object, "event_name", json_string(event->name));
    json_object_set_new(object, "country", json_string(event->country));
    json_object_set_new(object, "city", json_string(""));
    json_object_set_new(object, "referrer", json_string(event->source));
    return object;
}

/* Return the page's events, newest first. */
static json_t *build_events(const struct page *page, const struct found *found)
{
    json_t *array = json_array();
    size_t shown = found->length < page->size ? found->length : page->size;

    for (size_t i = 0; i < shown; i++) {
        const struct presence_event *event = &found->events[page->has_since ? shown - 1 - i : i];
        json_array_append_new(array, build_event(event));
    }
    return array;
}

json_t *api_newest_events(const struct web *web, const struct place *place, size_t limit)
{
    struct page page = {.size = (uint32_t)limit, .types = TYPES_DEFAULT};
    struct found found;

    int r = load_page(web, place->site, &page, &found);
    if (r < 0) {
        json_whole_fail(r);
        return json_array();
    }
    json_t *array = build_events(&page, &found);
    found_free(&found);
    return array;
}

/* Parse a parameter that is a date and a time of day; an empty one is absent. */
static bool parse_time(const struct http_request *request, const char *name, bool *ret_given,
                       int64_t *ret_us, struct problem *problem)
{
    const char *text = http_request_query(request, name);

    *ret_given = text && *text;
    if (!*ret_given || (strchr(text, ':') && time_parse(text, ret_us) == 0))
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
           parse_types(request, &ret->types, problem) &&
           request_parse_number(request, "page_size", 1, PAGE_MAX,
                                ret->has_since ? PAGE_MAX : PAGE_DEFAULT, &ret->size, problem);
}

static json_t *build_time(int64_t time_us)
{
    return json_string(show_time_us(time_us).text);
}

/* Add the times to go on with, and to go back with. */
static void add_times(json_t *object, const struct page *page, const struct found *found)
{
    bool more = found->length > page->size;
    size_t shown = more ? page->size : found->length;
    const struct presence_event *last = shown ? &found->events[shown - 1] : NULL;
    /* On from the newest event that was looked at, whatever its type: it needn't be again. */
    int64_t newest_us = more && page->has_since ? last->time_us
                        : found->newest_us      ? found->newest_us
                                                : page->since_us;
    const struct presence_event *oldest = page->has_since && last ? found->events : last;

    json_object_set_new(object, "next_timestamp", build_time(newest_us));
    json_object_set_new(object, "previous_timestamp",
                        oldest             ? build_time(oldest->time_us)
                        : page->has_before ? build_time(page->before_us)
                                           : json_null());
    json_object_set_new(object, "has_more",
                        json_boolean(more && (page->has_since || page->has_before)));
    if (!page->has_since)
        json_object_set_new(object, "cursor",
                            json_pack("{s:b,s:o}", "hasMore", more, "oldestTimestamp",
                                      last ? build_time(last->time_us) : json_null()));
}

enum MHD_Result api_events(const struct web *web, struct http_request *request, struct place *place)
{
    struct problem problem;
    struct found found;
    struct page page = {0};

    if (!api_of_collector(web, "events", &problem) || !parse_page(request, &page, &problem))
        return respond_problem(web, request, &problem);
    int r = load_page(web, place->site, &page, &found);
    if (r == -ENOMEM)
        return MHD_NO;
    if (r < 0) {
        problem_set(&problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_events",
                    "the collector keeps no events: see presenced --events");
        return respond_problem(web, request, &problem);
    }
    json_t *object = json_pack("{s:o}", "data", build_events(&page, &found));
    add_times(object, &page, &found);
    json_object_set_new(object, "missed", json_integer((json_int_t)found.missed));
    found_free(&found);
    return respond_json(web, request, object);
}
