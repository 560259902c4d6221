#include "read.h"

#include <string.h>

#include "access.h"
#include "events.h"
#include "query.h"
#include "show.h"
#include "streams.h"
#include "trends.h"

#define SITES         "/api/sites/"

#define SITES_DEFAULT 100
#define SITES_MAX     1000

static bool no_segment(struct problem *problem)
{
    problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_collector",
                "there is no segment to read: start presenced");
    problem->retry_s = 5;
    return false;
}

/* The segment, for somebody who may read it. */
static bool take_presence(const struct web *web, const struct http_request *request,
                          struct presence **ret, struct problem *problem)
{
    if (!access_may_read(web, request, problem))
        return false;
    *ret = numbers_presence(web->numbers);
    return *ret || no_segment(problem);
}

/* ---- one site ---------------------------------------------------------------------------- */

static enum MHD_Result read_live_user_count(const struct web *web, struct http_request *request,
                                            struct place *place)
{
    struct problem problem;
    struct number number;
    uint32_t window_s;

    if (!query_room(request, place, &problem) || !query_window(request, &window_s, &problem))
        return reply_problem(web, request, &problem);
    numbers_count(web->numbers, place, window_s, &number);
    return reply_json(web, request, show_place(place, &number));
}

enum MHD_Result read_site(void *context, struct http_request *request)
{
    static const struct {
        const char *after;
        enum MHD_Result (*read)(const struct web *web, struct http_request *request,
                                struct place *place);
    } figures[] = {
        {"/live-user-count", read_live_user_count},
        {"/events", events_read},
        {"/history", trends_read_history},
    };
    const struct web *web = context;
    struct presence *presence;
    struct problem problem;
    struct place place;
    size_t length = strlen(request->path);

    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        const char *after = figures[i].after;
        if (length < strlen(SITES) + strlen(after) ||
            strcmp(request->path + length - strlen(after), after) != 0)
            continue;
        if (!take_presence(web, request, &presence, &problem) ||
            !query_path_site(web, request, SITES, after, &place, &problem))
            return reply_problem(web, request, &problem);
        return figures[i].read(web, request, &place);
    }
    problem_set(&problem, MHD_HTTP_NOT_FOUND, "not_found", "there is nothing here");
    return reply_problem(web, request, &problem);
}

enum MHD_Result read_realtime(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence *presence;
    struct problem problem;
    struct place place;

    if (!take_presence(web, request, &presence, &problem) ||
        !query_path_site(web, request, "/api/analytics/sites/", "/realtime", &place, &problem))
        return reply_problem(web, request, &problem);
    return trends_read_realtime(web, request, &place);
}

/* ---- all of them ------------------------------------------------------------------------- */

enum MHD_Result read_sites(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence *presence;
    struct presence_listing listing;
    struct problem problem;
    uint32_t limit;

    if (!take_presence(web, request, &presence, &problem) ||
        !query_number(request, "limit", 1, SITES_MAX, SITES_DEFAULT, &limit, &problem))
        return reply_problem(web, request, &problem);
    if (presence_sites(presence, 0, &listing) < 0) {
        no_segment(&problem);
        return reply_problem(web, request, &problem);
    }
    json_t *object = json_object(), *data = json_array();
    for (size_t i = 0; i < listing.length && json_array_size(data) < limit; i++) {
        const struct presence_entry *entry = &listing.entries[i];
        if (options_allow(&web->options.sites, entry->name))
            json_array_append_new(data, json_pack("{s:s,s:I,s:I}", "site", entry->name, "count",
                                                  (json_int_t)entry->count, "last_heartbeat_s",
                                                  (json_int_t)entry->last_heartbeat_s));
    }
    json_object_set_new(object, "data", data);
    show_marks(object, listing.site.stale, listing.site.warming, true, listing.site.as_of);
    presence_listing_free(&listing);
    return reply_json(web, request, object);
}

/* ---- the collector ----------------------------------------------------------------------- */

#define COUNTERS_MAX 128

static json_t *show_counters(struct presence *presence)
{
    struct presence_counter counters[COUNTERS_MAX];
    size_t count = presence_counters(presence, counters, COUNTERS_MAX);
    json_t *object = json_object();

    for (size_t i = 0; i < count && i < COUNTERS_MAX; i++)
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)counters[i].value));
    return object;
}

static json_t *show_status(const struct presence_status *status)
{
    static const char *const states[] = {
        [PRESENCE_STARTING] = "starting",
        [PRESENCE_LISTENING] = "listening",
        [PRESENCE_STOPPED] = "stopped",
    };
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"as_of_age_s", status->as_of_age_s},
        {"listening_for_s", status->listening_for_s},
        {"warm_up_s", status->warm_up_s},
        {"max_window_s", status->max_window_s},
        {"workers", status->workers},
        {"visitors_live", status->visitors_live},
        {"visitors_capacity", status->visitors_capacity},
        {"scopes_live", status->scopes_live},
        {"scopes_capacity", status->scopes_capacity},
        {"histories_live", status->histories_live},
        {"histories_capacity", status->histories_capacity},
        {"events_capacity", status->events_capacity},
        {"segment_bytes", status->segment_bytes},
    };
    json_t *object = json_object();

    json_object_set_new(object, "state", json_string(states[status->state]));
    show_marks(object, status->stale, status->warming, true, status->as_of);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_object_set_new(object, figures[i].name, json_integer((json_int_t)figures[i].value));
    json_object_set_new(object, "receive", json_string(status->receive));
    json_object_set_new(object, "receive_reason", json_string(status->receive_reason));
    return object;
}

enum MHD_Result read_status(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence *presence;
    struct presence_status status;
    struct problem problem;

    if (!take_presence(web, request, &presence, &problem))
        return reply_problem(web, request, &problem);
    if (numbers_status(web->numbers, &status) < 0) {
        no_segment(&problem);
        return reply_problem(web, request, &problem);
    }
    json_t *object = show_status(&status);
    presence = numbers_presence(web->numbers);
    json_object_set_new(object, "counters", presence ? show_counters(presence) : json_object());
    json_object_set_new(object, "streams", json_integer((json_int_t)streams_count(web->streams)));
    json_object_set_new(object, "version", json_string(PRESENCE_VERSION));
    return reply_json(web, request, object);
}
