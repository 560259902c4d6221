#include "edges_json.h"

static json_t *build_unless_zero(uint64_t value)
{
    return value ? json_integer((json_int_t)value) : json_null();
}

json_t *edges_build(const struct edges *edges)
{
    return json_pack("{s:I, s:I, s:o}", "alive", (json_int_t)edges->alive, "gone",
                     (json_int_t)edges->gone, "gone_for_s",
                     edges->gone ? json_integer((json_int_t)edges->gone_s) : json_null());
}

json_t *edges_build_stream(const struct presence_stream *stream)
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
    json_object_set_new(object, "port", build_unless_zero(stream->port));
    json_object_set_new(object, "key", build_unless_zero(stream->key_id));
    json_object_set_new(object, "stream", json_string(id));
    json_object_set_new(object, "state", json_string(edges_state(stream)));
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_object_set_new(object, figures[i].name, json_integer((json_int_t)figures[i].value));
    return object;
}
