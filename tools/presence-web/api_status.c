#include "api.h"

#include <errno.h>

#include "common/edges_json.h"
#include "limiter.h"
#include "request.h"
#include "response.h"
#include "totals.h"

#define COUNTERS_MAX    128
#define SENDERS_DEFAULT 100
#define SENDERS_MAX     1000

/* Add what this server knows of itself. */
static void add_streams(json_t *object, const struct web *web)
{
    json_object_set_new(object, "streams", json_integer((json_int_t)limiter_streams(web->limiter)));
    json_object_set_new(object, "stream_places",
                        json_integer((json_int_t)limiter_places(web->limiter)));
    json_object_set_new(object, "version", json_string(PRESENCE_VERSION));
}

/* ---- a collector -------------------------------------------------------------------------- */

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

static enum MHD_Result answer_collector(const struct web *web, struct http_request *request)
{
    struct presence_status status;
    struct problem problem;

    if (live_status(web->live, &status) < 0) {
        api_no_numbers(web, &problem);
        return respond_problem(web, request, &problem);
    }
    json_t *object = build_status(&status);
    struct presence *presence = live_presence(web->live);
    json_object_set_new(object, "counters", presence ? build_counters(presence) : json_object());
    add_streams(object, web);
    return respond_json(web, request, object);
}

/* ---- many collectors ------------------------------------------------------------------------ */

static enum MHD_Result answer_groups(const struct web *web, struct http_request *request)
{
    struct totals *totals = live_totals(web->live);
    struct number number = live_freshness(web->live);
    json_t *groups, *object = json_object();
    bool pending = !totals_describe(totals, &groups) || number.pending;

    if (pending && live_suspend(web->live, request)) {
        json_decref(groups);
        json_decref(object);
        return MHD_YES;
    }
    const char *problem = totals_problem(totals);
    json_object_set_new(object, "state",
                        json_string(*problem       ? "unreachable"
                                    : number.stale ? "stale"
                                                   : "whole"));
    add_marks_of(object, &number);
    json_object_set_new(object, "engine",
                        json_pack("{s:s,s:o}", "url", web->options.engine.url, "problem",
                                  *problem ? json_string(problem) : json_null()));
    json_object_set_new(object, "groups", groups);
    json_object_set_new(object, "history", json_boolean(web->options.database != NULL));
    add_streams(object, web);
    return respond_json(web, request, object);
}

enum MHD_Result api_status(void *context, struct http_request *request)
{
    const struct web *web = context;
    struct problem problem;

    if (!api_may_read(web, request, &problem))
        return respond_problem(web, request, &problem);
    return live_totals(web->live) ? answer_groups(web, request) : answer_collector(web, request);
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
    struct problem problem;
    uint32_t limit;

    if (!api_may_read(web, request, &problem) || !api_of_collector(web, "senders", &problem) ||
        !request_parse_number(request, "limit", 1, SENDERS_MAX, SENDERS_DEFAULT, &limit, &problem))
        return respond_problem(web, request, &problem);
    struct presence *presence = live_presence(web->live);
    int r = presence ? presence_streams(presence, &streams) : -ENODATA;
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
