/* api_senders.c - answer which senders are alive, and what was lost of each. */
#include <errno.h>

#include "api.h"
#include "common/edges.h"
#include "request.h"
#include "response.h"

#define SENDERS_DEFAULT 100
#define SENDERS_MAX     1000

static json_t *build_sender(const struct presence_stream *stream)
{
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"target", stream->target},         {"age_s", stream->last_s},
        {"first_age_s", stream->first_s},   {"datagrams", stream->datagrams},
        {"heartbeats", stream->heartbeats}, {"expected", stream->expected},
        {"received", stream->received},     {"lost", stream->lost},
        {"duplicates", stream->duplicates},
    };
    json_t *object = json_object();
    char id[EDGES_ID_SIZE];

    edges_format_id(stream, id);
    json_object_set_new(object, "address",
                        stream->address[0] ? json_string(stream->address) : json_null());
    json_object_set_new(object, "port", stream->port ? json_integer(stream->port) : json_null());
    json_object_set_new(object, "key", stream->key_id ? json_integer(stream->key_id) : json_null());
    json_object_set_new(object, "stream", json_string(id));
    json_object_set_new(object, "state", json_string(edges_state(stream)));
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_object_set_new(object, figures[i].name, json_integer((json_int_t)figures[i].value));
    return object;
}

static json_t *build_senders(const struct presence_streams *streams, size_t limit)
{
    json_t *object = json_object(), *data = json_array();
    size_t silent = 0, restarted = 0;

    for (size_t i = 0; i < streams->length; i++) {
        const struct presence_stream *stream = &streams->streams[i];
        if (i < limit)
            json_array_append_new(data, build_sender(stream));
        restarted += stream->restarted;
        silent += stream->silent && !stream->restarted;
    }
    json_object_set_new(object, "data", data);
    json_object_set_new(object, "total", json_integer((json_int_t)streams->length));
    json_object_set_new(object, "silent", json_integer((json_int_t)silent));
    json_object_set_new(object, "restarted", json_integer((json_int_t)restarted));
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

    if (!api_get_presence(web, request, &presence, &problem) ||
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

json_t *api_edges(const struct web *web, const struct presence_reading *reading)
{
    struct presence *presence = live_presence(web->live);

    if (!presence || !reading->exists || reading->stale)
        return json_null();
    struct edges edges = edges_load(presence, reading->last_heartbeat_s);
    return json_pack("{s:I,s:I,s:o}", "alive", (json_int_t)edges.alive, "gone",
                     (json_int_t)edges.gone, "gone_for_s",
                     edges.gone ? json_integer((json_int_t)edges.gone_s) : json_null());
}
