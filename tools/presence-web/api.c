#include "api.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/edges_json.h"
#include "common/json_whole.h"
#include "common/place.h"
#include "request.h"
#include "response.h"
#include "totals.h"
#include "touch.h"

#define LINES_DEFAULT 10
#define LINES_MAX     100
#define SITES_DEFAULT 100
#define SITES_MAX     1000
#define HOUR_S        3600

bool api_no_numbers(const struct web *web, struct problem *problem)
{
    const struct totals *totals = live_totals(web->live);

    if (!totals)
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_collector",
                    "cannot read the segment: start presenced");
    else if (*totals_problem(totals))
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_engine",
                    "cannot read totals from the engine: see /api/status, or this server's log");
    else
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_engine",
                    "the engine has no such total yet, or is slow");
    problem->retry_s = 5;
    return false;
}

bool api_may_read(const struct web *web, const struct http_request *request,
                  struct problem *problem)
{
    if (!request_may_read(web, request, problem))
        return false;
    return live_totals(web->live) || live_presence(web->live) || api_no_numbers(web, problem);
}

bool api_of_collector(const struct web *web, const char *what, struct problem *problem)
{
    if (!live_totals(web->live))
        return true;
    return problem_set(problem, MHD_HTTP_NOT_FOUND, "one_collector",
                       "%s are of one collector, and this server has totals of many: ask a "
                       "presence-web that reads its --segment",
                       what);
}

/* Count a place. False: the request was suspended, or `problem` says why there is no number. */
static bool count(const struct web *web, struct http_request *request, const struct place *place,
                  uint32_t window_s, struct number *ret, bool *ret_suspended,
                  struct problem *problem)
{
    live_count(web->live, place, window_s, ret);
    *ret_suspended = ret->pending && live_suspend(web->live, request);
    if (*ret_suspended)
        return false;
    return ret->has_time || !live_totals(web->live) || api_no_numbers(web, problem);
}

bool api_count(const struct web *web, struct http_request *request, const struct place *place,
               uint32_t window_s, struct number *ret, enum MHD_Result *ret_result)
{
    struct problem problem;
    bool suspended;

    if (count(web, request, place, window_s, ret, &suspended, &problem))
        return true;
    *ret_result = suspended ? MHD_YES : respond_problem(web, request, &problem);
    return false;
}

bool api_is_fresh(const struct web *web, const struct number *number, struct problem *problem)
{
    if (number_is_fresh(number))
        return true;
    if (number->stale)
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "stale", "%s",
                    touch_reason_stale(web, number).message);
    else
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "unknown",
                    "the number is unknown: the collector has only just started, or is full");
    problem->retry_s = 5;
    return false;
}

bool api_count_known(const struct web *web, struct http_request *request, const struct place *place,
                     uint32_t window_s, struct number *ret, bool *ret_suspended,
                     struct problem *problem)
{
    return count(web, request, place, window_s, ret, ret_suspended, problem) &&
           api_is_fresh(web, ret, problem);
}

/* ---- realtime ------------------------------------------------------------------------------- */

static const struct {
    const char *list, *name;
    enum presence_kind kind;
} lists[] = {
    {"activePages", "path", PRESENCE_ROOM},
    {"countries", "country", PRESENCE_COUNTRY},
    {"sources", "source", PRESENCE_SOURCE},
};

#define LISTS (sizeof(lists) / sizeof(lists[0]))

/* Ask for all that the answer needs, so that one poll brings it. True if some of it is pending. */
static bool ask_ahead(const struct web *web, const struct place *place, uint32_t window_s)
{
    struct live_list list;
    struct number number;

    if (!live_totals(web->live))
        return false;
    live_count(web->live, place, window_s, &number);
    bool pending = number.pending;
    for (size_t i = 0; i < LISTS; i++) {
        int r = live_load_list(web->live, place, lists[i].kind, window_s, 1, &list);
        pending |= r == -EAGAIN;
        if (r == 0)
            live_list_free(&list);
    }
    return pending;
}

/* Return the busiest rooms, countries or sources: [{NAME: "...", "visitors": 3}]. */
static json_t *build_top(const struct web *web, const struct place *place, enum presence_kind kind,
                         const char *name, uint32_t window_s, size_t limit, bool *ret_partial)
{
    json_t *array = json_array();
    struct live_list list;

    int r = live_load_list(web->live, place, kind, window_s, limit, &list);
    if (r < 0) {
        json_whole_fail(r);
        *ret_partial = live_totals(web->live);
        return array;
    }
    for (size_t i = 0; i < list.length; i++) {
        struct live_line line = live_list_line(&list, i);
        if (line.count > 0)
            json_array_append_new(array, json_pack("{s:s,s:o}", name, line.name, "visitors",
                                                   json_of_number(line.count)));
    }
    *ret_partial = list.partial;
    live_list_free(&list);
    return array;
}

/* Add all three lists, and the names of those that may be incomplete. */
static void add_lists(json_t *object, const struct web *web, const struct place *place,
                      uint32_t window_s, size_t limit)
{
    json_t *partial_lists = json_array();

    for (size_t i = 0; i < LISTS; i++) {
        bool partial = false;
        json_object_set_new(
            object, lists[i].list,
            build_top(web, place, lists[i].kind, lists[i].name, window_s, limit, &partial));
        if (partial)
            json_array_append_new(partial_lists, json_string(lists[i].list));
    }
    json_object_set_new(object, "partialLists", partial_lists);
}

/* Return active pages as [{"name": "/", "value": 3, "percentage": 60}], as ts-analytics has them:
 * the percentage is a page's share of the visitors on these pages. */
static json_t *build_shares(const json_t *pages)
{
    json_t *array = json_array(), *page;
    double total = 0; /* an engine's counts may be so large that no integer holds it */
    size_t i;

    json_array_foreach(pages, i, page) total +=
        json_number_value(json_object_get(page, "visitors"));
    json_array_foreach(pages, i, page)
    {
        json_t *visitors = json_object_get(page, "visitors");
        double share = json_number_value(visitors) / total; /* of pages with visitors */
        json_array_append_new(array, json_pack("{s:O,s:O,s:I}", "name",
                                               json_object_get(page, "path"), "value", visitors,
                                               "percentage", (json_int_t)(100 * share + 0.5)));
    }
    return array;
}

/* Sum up the page views of the last minutes, as far as they are kept. Return null without a
 * history. */
static json_t *build_pageviews(const struct web *web, const struct place *place, uint32_t window_s)
{
    struct presence *presence = live_presence(web->live);
    struct presence_history history;
    uint64_t pageviews = 0;

    if (!presence)
        return json_null();
    int r = presence_history(presence, PRESENCE_SITE, place->site, NULL, time(NULL) - window_s, 0,
                             &history);
    if (r < 0) {
        json_whole_fail(r);
        return json_null();
    }
    for (size_t i = 0; i < history.length; i++)
        pageviews += history.minutes[i].pageviews;
    presence_history_free(&history);
    return json_of_number(pageviews);
}

/* Build an object of the edges, for a site with this number; null if it is stale or the site does
 * not exist. */
static json_t *build_edges(const struct web *web, const struct number *number)
{
    struct presence *presence = live_presence(web->live);

    if (!presence || !number->exists || number->stale)
        return json_null();
    struct edges edges = edges_load(presence, (uint32_t)number->last_heartbeat_s);
    return edges_build(&edges);
}

/* Return the newest events with what ts-analytics has beside ours: the `path` of a page view, the
 * `name` of a custom event and its type, which is always `event`. */
static json_t *build_recent(const struct web *web, const struct place *place, size_t limit)
{
    json_t *events = api_newest_events(web, place, limit), *event;
    size_t i;

    json_array_foreach(events, i, event)
    {
        const char *type = json_string_value(json_object_get(event, "type"));
        json_t *name = json_object_get(event, "event_name");
        if (type && strcmp(type, "pageview") == 0)
            json_object_set(event, "path", json_object_get(event, "pathname"));
        if (json_string_length(name) == 0)
            continue;
        json_object_set(event, "name", name);
        json_object_set_new(event, "type", json_string("event"));
    }
    return events;
}

static enum MHD_Result answer_realtime(const struct web *web, struct http_request *request,
                                       struct place *place)
{
    enum MHD_Result result;
    struct problem problem;
    struct number number;
    uint32_t window_s, limit;

    if (!request_parse_window(web, request, &window_s, &problem) ||
        !request_parse_number(request, "limit", 1, LINES_MAX, LINES_DEFAULT, &limit, &problem))
        return respond_problem(web, request, &problem);
    if (ask_ahead(web, place, window_s) && live_suspend(web->live, request))
        return MHD_YES;
    if (!api_count(web, request, place, window_s, &number, &result))
        return result;
    json_t *object = json_object();
    json_object_set_new(object, "currentVisitors", build_count(&number));
    json_object_set_new(object, "pageViews", build_pageviews(web, place, number.window_s));
    json_object_set_new(object, "pageViewsLastHour", build_pageviews(web, place, HOUR_S));
    add_lists(object, web, place, window_s, limit);
    json_object_set_new(object, "topActivePages",
                        build_shares(json_object_get(object, "activePages")));
    json_object_set_new(object, "edges", build_edges(web, &number));
    json_object_set_new(object, "recentEvents", build_recent(web, place, limit));
    if (live_totals(web->live))
        json_object_set_new(
            object, "ofOneCollector",
            json_pack("[ssss]", "pageViews", "pageViewsLastHour", "edges", "recentEvents"));
    add_number(object, place, &number);
    return respond_number(web, request, &number, object);
}

/* ---- one site ------------------------------------------------------------------------------- */

static enum MHD_Result answer_live_user_count(const struct web *web, struct http_request *request,
                                              struct place *place)
{
    enum MHD_Result result;
    struct problem problem;
    struct number number;
    uint32_t window_s;

    if (!request_parse_room(http_request_query(request, "room"), place, &problem) ||
        !request_parse_window(web, request, &window_s, &problem))
        return respond_problem(web, request, &problem);
    if (!api_count(web, request, place, window_s, &number, &result))
        return result;
    return respond_number(web, request, &number, build_place_count(place, &number));
}

/* A resource of a site, which its path names in between. */
struct resource {
    const char *before, *after;
    enum MHD_Result (*answer)(const struct web *web, struct http_request *request,
                              struct place *place);
};

static const struct resource resources[] = {
    {"/api/sites/", "/live-user-count", answer_live_user_count},
    {"/api/sites/", "/events", api_events},
    {"/api/sites/", "/history", api_history},
    {"/api/live-user-count/", "", answer_live_user_count}, /* Rybbit */
    {"/api/events/", "", api_events},
};

enum MHD_Result api_site(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct problem problem;
    struct place place;

    for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
        const struct resource *resource = &resources[i];
        if (!request_path_fits(request->path, resource->before, resource->after))
            continue;
        if (!api_may_read(web, request, &problem) ||
            !request_parse_path_site(web, request, resource->before, resource->after, &place,
                                     &problem))
            return respond_problem(web, request, &problem);
        return resource->answer(web, request, &place);
    }
    problem_set(&problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
    return respond_problem(web, request, &problem);
}

enum MHD_Result api_realtime(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct problem problem;
    struct place place;

    if (!api_may_read(web, request, &problem) ||
        !request_parse_path_site(web, request, "/api/analytics/sites/", "/realtime", &place,
                                 &problem))
        return respond_problem(web, request, &problem);
    return answer_realtime(web, request, &place);
}

/* ---- all sites ------------------------------------------------------------------------------ */

static json_t *build_site(const struct live_line *line)
{
    json_t *age =
        line->has_heartbeat ? json_integer((json_int_t)line->last_heartbeat_s) : json_null();
    json_t *object = json_pack("{s:s,s:o,s:o}", "site", line->name, "count",
                               json_of_number(line->count), "last_heartbeat_s", age);

    if (line->partial) /* rare, so left out when false */
        json_object_set_new(object, "partial", json_true());
    return object;
}

/* Parse `search`, a part of the wanted sites' names; "" for all sites. */
static bool parse_search(const struct http_request *request, char ret[PLACE_SITE_MAX + 1],
                         struct problem *problem)
{
    const char *text = http_request_query(request, "search");

    ret[0] = '\0';
    if (!text || !*text || place_parse_site(text, ret))
        return true;
    return problem_bad_request(problem, "search must be a part of a site's name");
}

/* Add the sites whose names contain `search`, at most `limit`: first the one with exactly that
 * name, then the busiest. Add how many there are, too. */
static void add_sites(json_t *object, const struct web *web, const struct live_list *list,
                      const char *search, size_t limit)
{
    json_t *data = json_array();
    size_t total = *search || web->options.sites.count ? 0 : list->more;

    for (size_t i = 0; i < list->length; i++) {
        struct live_line line = live_list_line(list, i);
        if (!strstr(line.name, search) || !options_allow(&web->options.sites, line.name))
            continue;
        total++;
        if (strcmp(line.name, search) == 0)
            json_array_insert_new(data, 0, build_site(&line));
        else if (json_array_size(data) < limit)
            json_array_append_new(data, build_site(&line));
    }
    if (json_array_size(data) > limit)
        json_array_remove(data, limit);
    json_object_set_new(object, "data", data);
    json_object_set_new(object, "total", json_integer((json_int_t)total));
}

enum MHD_Result api_sites(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct live_list list;
    struct problem problem;
    char search[PLACE_SITE_MAX + 1];
    uint32_t limit;

    if (!api_may_read(web, request, &problem) ||
        !request_parse_number(request, "limit", 1, SITES_MAX, SITES_DEFAULT, &limit, &problem) ||
        !parse_search(request, search, &problem))
        return respond_problem(web, request, &problem);
    int r = live_load_list(web->live, NULL, PRESENCE_SITE, 0, 0, &list);
    if (r == -EAGAIN && live_suspend(web->live, request))
        return MHD_YES;
    if (r < 0) {
        api_no_numbers(web, &problem);
        return respond_problem(web, request, &problem);
    }
    json_t *object = json_object();
    add_sites(object, web, &list, search, limit);
    list.number.partial = list.partial || (list.more && *search);
    add_marks_of(object, &list.number);
    live_list_free(&list);
    return respond_json(web, request, object);
}
