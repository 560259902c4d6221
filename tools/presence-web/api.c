#include "api.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/edges_json.h"
#include "common/place.h"
#include "common/time_text.h"
#include "request.h"
#include "response.h"
#include "stream.h"

#define LINES_DEFAULT   10
#define LINES_MAX       100
#define HOURS_MAX       24
#define SITES           "/api/sites/"
#define SITES_DEFAULT   100
#define SITES_MAX       1000
#define COUNTERS_MAX    128
#define SENDERS_DEFAULT 100
#define SENDERS_MAX     1000

static bool no_segment(struct problem *problem)
{
    problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_collector",
                "cannot read the segment: start presenced");
    problem->retry_s = 5;
    return false;
}

/* Get the segment, if the request may read it. */
static bool get_presence(const struct web *web, const struct http_request *request,
                         struct presence **ret, struct problem *problem)
{
    if (!request_may_read(web, request, problem))
        return false;
    *ret = live_presence(web->live);
    return *ret || no_segment(problem);
}

/* ---- realtime ------------------------------------------------------------------------------- */

/* Return the busiest rooms, countries or sources: [{NAME: "...", "visitors": 3}]. */
static json_t *build_top(const struct web *web, const struct place *place, enum presence_kind kind,
                         const char *name, uint32_t window_s, size_t limit, bool *ret_partial)
{
    json_t *array = json_array();
    struct live_list list;

    if (live_load_list(web->live, place->site, kind, window_s, limit, &list) < 0)
        return array;
    for (size_t i = 0; i < list.length; i++) {
        struct live_line line = live_list_line(&list, i);
        if (line.count > 0)
            json_array_append_new(
                array, json_pack("{s:s,s:I}", name, line.name, "visitors", (json_int_t)line.count));
    }
    *ret_partial = list.partial;
    live_list_free(&list);
    return array;
}

/* Add all three lists, and the names of those that may be incomplete. */
static void add_lists(json_t *object, const struct web *web, const struct place *place,
                      uint32_t window_s, size_t limit)
{
    static const struct {
        const char *list, *name;
        enum presence_kind kind;
    } lists[] = {
        {"activePages", "path", PRESENCE_ROOM},
        {"countries", "country", PRESENCE_COUNTRY},
        {"sources", "source", PRESENCE_SOURCE},
    };
    json_t *partial_lists = json_array();

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        bool partial = false;
        json_object_set_new(
            object, lists[i].list,
            build_top(web, place, lists[i].kind, lists[i].name, window_s, limit, &partial));
        if (partial)
            json_array_append_new(partial_lists, json_string(lists[i].list));
    }
    json_object_set_new(object, "partialLists", partial_lists);
}

/* Sum up the pageviews of the window's minutes, as far as they are kept. Return null without a
 * history. */
static json_t *build_pageviews(const struct web *web, const struct place *place, uint32_t window_s)
{
    struct presence *presence = live_presence(web->live);
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

static enum MHD_Result answer_realtime(const struct web *web, struct http_request *request,
                                       struct place *place)
{
    struct problem problem;
    struct number number;
    uint32_t window_s, limit;

    if (!request_parse_window(request, &window_s, &problem) ||
        !request_parse_number(request, "limit", 1, LINES_MAX, LINES_DEFAULT, &limit, &problem))
        return respond_problem(web, request, &problem);
    live_count(web->live, place, window_s, &number);
    window_s = number.window_s;
    json_t *object = json_object();
    json_object_set_new(object, "currentVisitors", build_count(&number));
    json_object_set_new(object, "pageViews", build_pageviews(web, place, window_s));
    add_lists(object, web, place, window_s, limit);
    json_object_set_new(object, "edges", build_edges(web, &number));
    json_object_set_new(object, "recentEvents", api_newest_events(web, place, limit));
    add_number(object, place, &number);
    return respond_json(web, request, object);
}

/* ---- history -------------------------------------------------------------------------------- */

static json_t *build_minute(const struct presence_minute *minute)
{
    return json_pack("{s:s,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "timestamp",
                     show_time(minute->start).text, "min", (json_int_t)minute->minimum, "mean",
                     minute->mean, "max", (json_int_t)minute->maximum, "heartbeats",
                     (json_int_t)minute->heartbeats, "pageviews", (json_int_t)minute->pageviews,
                     "entered", (json_int_t)minute->entries, "left", (json_int_t)minute->leaves,
                     "departed", (json_int_t)minute->departures, "warming", minute->warming,
                     "running", minute->running);
}

static json_t *build_minutes(struct presence *presence, const struct place *place, uint32_t hours)
{
    json_t *array = json_array();
    struct presence_history history;

    if (presence_history(presence, PRESENCE_SITE, place->site, NULL,
                         time(NULL) - (int64_t)hours * 3600, 0, &history) < 0)
        return array;
    for (size_t i = 0; i < history.length; i++)
        json_array_append_new(array, build_minute(&history.minutes[i]));
    presence_history_free(&history);
    return array;
}

static json_t *build_peak(const struct presence_peak *peak)
{
    if (peak->count == 0)
        return json_null();
    return json_pack("{s:I,s:s}", "count", (json_int_t)peak->count, "timestamp",
                     show_time(peak->at).text);
}

static json_t *build_peaks(struct presence *presence, const struct place *place)
{
    struct presence_peaks peaks = {0};

    presence_peaks(presence, PRESENCE_SITE, place->site, NULL, &peaks); /* stays zero on failure */
    return json_pack("{s:o,s:o}", "today", build_peak(&peaks.today), "ever",
                     build_peak(&peaks.ever));
}

static enum MHD_Result answer_history(const struct web *web, struct http_request *request,
                                      struct place *place)
{
    struct presence *presence = live_presence(web->live);
    struct problem problem;
    struct number number;
    uint32_t hours;

    if (!request_parse_number(request, "hours", 1, HOURS_MAX, HOURS_MAX, &hours, &problem))
        return respond_problem(web, request, &problem);
    json_t *object = json_object();
    json_object_set_new(object, "data", build_minutes(presence, place, hours));
    json_object_set_new(object, "peak", build_peaks(presence, place));
    live_count(web->live, place, PRESENCE_DEFAULT_WINDOW, &number);
    add_number(object, place, &number);
    return respond_json(web, request, object);
}

/* ---- one site ------------------------------------------------------------------------------- */

static enum MHD_Result answer_live_user_count(const struct web *web, struct http_request *request,
                                              struct place *place)
{
    struct problem problem;
    struct number number;
    uint32_t window_s;

    if (!request_parse_room(http_request_query(request, "room"), place, &problem) ||
        !request_parse_window(request, &window_s, &problem))
        return respond_problem(web, request, &problem);
    live_count(web->live, place, window_s, &number);
    return respond_json(web, request, build_place_count(place, &number));
}

enum MHD_Result api_site(void *context, struct http_request *request)
{
    static const struct {
        const char *after;
        enum MHD_Result (*answer)(const struct web *web, struct http_request *request,
                                  struct place *place);
    } resources[] = {
        {"/live-user-count", answer_live_user_count},
        {"/events", api_events},
        {"/history", answer_history},
    };
    const struct web *web = context;
    struct presence *presence;
    struct problem problem;
    struct place place;
    size_t length = strlen(request->path);

    for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
        const char *after = resources[i].after;
        if (length < strlen(SITES) + strlen(after) ||
            strcmp(request->path + length - strlen(after), after) != 0)
            continue;
        if (!get_presence(web, request, &presence, &problem) ||
            !request_parse_path_site(web, request, SITES, after, &place, &problem))
            return respond_problem(web, request, &problem);
        return resources[i].answer(web, request, &place);
    }
    problem_set(&problem, MHD_HTTP_NOT_FOUND, "not_found", "no such resource");
    return respond_problem(web, request, &problem);
}

enum MHD_Result api_realtime(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence *presence;
    struct problem problem;
    struct place place;

    if (!get_presence(web, request, &presence, &problem) ||
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
    json_t *object = json_pack("{s:s,s:I,s:o}", "site", line->name, "count",
                               (json_int_t)line->count, "last_heartbeat_s", age);

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
    size_t total = 0;

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
    struct presence *presence;
    struct live_list list;
    struct problem problem;
    char search[PLACE_SITE_MAX + 1];
    uint32_t limit;

    if (!get_presence(web, request, &presence, &problem) ||
        !request_parse_number(request, "limit", 1, SITES_MAX, SITES_DEFAULT, &limit, &problem) ||
        !parse_search(request, search, &problem))
        return respond_problem(web, request, &problem);
    if (live_load_list(web->live, NULL, PRESENCE_SITE, 0, 0, &list) < 0) {
        no_segment(&problem);
        return respond_problem(web, request, &problem);
    }
    json_t *object = json_object();
    add_sites(object, web, &list, search, limit);
    list.number.partial = list.partial;
    add_marks_of(object, &list.number);
    live_list_free(&list);
    return respond_json(web, request, object);
}

/* ---- the collector -------------------------------------------------------------------------- */

static json_t *build_counters(struct presence *presence)
{
    struct presence_counter counters[COUNTERS_MAX];
    size_t count = presence_counters(presence, counters, COUNTERS_MAX);
    json_t *object = json_object();

    for (size_t i = 0; i < count && i < COUNTERS_MAX; i++)
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)counters[i].value));
    return object;
}

static json_t *build_status(const struct presence_status *status)
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
        {"entries_live", status->entries_live},
        {"entries_taken", status->entries_taken},
        {"entries_capacity", status->entries_capacity},
        {"scopes_live", status->scopes_live},
        {"scopes_capacity", status->scopes_capacity},
        {"histories_live", status->histories_live},
        {"histories_capacity", status->histories_capacity},
        {"events_capacity", status->events_capacity},
        {"segment_bytes", status->segment_bytes},
    };
    json_t *object = json_object();

    json_object_set_new(object, "state", json_string(states[status->state]));
    add_marks(object, &(struct marks){.stale = status->stale,
                                      .warming = status->warming,
                                      .partial = status->partial,
                                      .has_time = true,
                                      .as_of = status->as_of});
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_object_set_new(object, figures[i].name, json_integer((json_int_t)figures[i].value));
    json_object_set_new(object, "receive", json_string(status->receive));
    json_object_set_new(object, "receive_reason", json_string(status->receive_reason));
    return object;
}

enum MHD_Result api_status(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence *presence;
    struct presence_status status;
    struct problem problem;

    if (!get_presence(web, request, &presence, &problem))
        return respond_problem(web, request, &problem);
    if (live_status(web->live, &status) < 0) {
        no_segment(&problem);
        return respond_problem(web, request, &problem);
    }
    json_t *object = build_status(&status);
    presence = live_presence(web->live);
    json_object_set_new(object, "counters", presence ? build_counters(presence) : json_object());
    json_object_set_new(object, "streams", json_integer((json_int_t)streams_count(web->streams)));
    json_object_set_new(object, "stream_places",
                        json_integer((json_int_t)streams_places(web->streams)));
    json_object_set_new(object, "version", json_string(PRESENCE_VERSION));
    return respond_json(web, request, object);
}

/* ---- senders -------------------------------------------------------------------------------- */

static json_t *build_senders(const struct presence_streams *streams, size_t limit)
{
    json_t *object = json_object(), *data = json_array();
    struct edges_states states = edges_count(streams);

    for (size_t i = 0; i < streams->length && i < limit; i++)
        json_array_append_new(data, edges_build_stream(&streams->streams[i]));
    json_object_set_new(object, "data", data);
    json_object_set_new(object, "total", json_integer((json_int_t)streams->length));
    json_object_set_new(object, "silent", json_integer((json_int_t)states.silent));
    json_object_set_new(object, "restarted", json_integer((json_int_t)states.restarted));
    add_marks(object, &(struct marks){.stale = streams->moment.stale,
                                      .warming = streams->moment.warming,
                                      .has_time = true,
                                      .as_of = streams->moment.as_of});
    return object;
}

enum MHD_Result api_senders(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct presence_streams streams;
    struct presence *presence;
    struct problem problem;
    uint32_t limit;

    if (!get_presence(web, request, &presence, &problem) ||
        !request_parse_number(request, "limit", 1, SENDERS_MAX, SENDERS_DEFAULT, &limit, &problem))
        return respond_problem(web, request, &problem);
    int r = presence_streams(presence, &streams);
    if (r == -EOPNOTSUPP) {
        problem_set(&problem, MHD_HTTP_SERVICE_UNAVAILABLE, "no_streams",
                    "the collector keeps no streams: see its --max-streams");
        return respond_problem(web, request, &problem);
    }
    if (r < 0)
        return MHD_NO;
    json_t *object = build_senders(&streams, limit);
    presence_streams_free(&streams);
    return respond_json(web, request, object);
}
