#include "heartbeat.h"

#include <string.h>

#include "core/text.h"

static bool wrong(struct problem *problem, const char *message)
{
    return problem_set(problem, MHD_HTTP_BAD_REQUEST, "bad_request", "%s", message);
}

bool heartbeat_fields_of_json(json_t *object, struct heartbeat_fields *ret, struct problem *problem)
{
    struct heartbeat_fields fields = {0};
    const struct {
        const char *name, **value;
    } known[] = {
        {"site", &fields.site},     {"visitor", &fields.visitor}, {"room", &fields.room},
        {"source", &fields.source}, {"kind", &fields.kind},       {"event", &fields.event},
        {"token", &fields.token},
    };

    if (!json_is_object(object))
        return wrong(problem, "send a JSON object, such as {\"site\":\"example.com\","
                              "\"visitor\":\"3f2a\"}");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        json_t *value = json_object_get(object, known[i].name);
        if (value && !json_is_string(value) && !json_is_null(value))
            return problem_set(problem, MHD_HTTP_BAD_REQUEST, "bad_request", "%s is a string",
                               known[i].name);
        *known[i].value = json_string_value(value);
    }
    *ret = fields;
    return true;
}

struct heartbeat_fields heartbeat_fields_of_query(const struct http_request *request)
{
    return (struct heartbeat_fields){
        .site = http_request_query(request, "site"),
        .visitor = http_request_query(request, "visitor"),
        .room = http_request_query(request, "room"),
        .source = http_request_query(request, "source"),
        .kind = http_request_query(request, "kind"),
        .event = http_request_query(request, "event"),
        .token = http_request_query(request, "token"),
    };
}

static bool is_given(const char *field)
{
    return field && *field;
}

static bool read_kind(const struct heartbeat_fields *fields, struct heartbeat *heartbeat,
                      struct problem *problem)
{
    static const char *const names[] = {
        [PRESENCE_HEARTBEAT] = "heartbeat",
        [PRESENCE_LEAVE] = "leave",
        [PRESENCE_PAGEVIEW] = "pageview",
        [PRESENCE_EVENT] = "event",
    };
    const char *kind = is_given(fields->kind)    ? fields->kind
                       : is_given(fields->event) ? "event"
                                                 : "heartbeat";

    for (int i = PRESENCE_HEARTBEAT; i <= PRESENCE_EVENT; i++) {
        if (strcmp(kind, names[i]) == 0)
            heartbeat->kind = (enum presence_heartbeat_kind)i;
    }
    if (!heartbeat->kind)
        return wrong(problem, "kind is heartbeat, leave, pageview or event");
    if (is_given(fields->event) != (heartbeat->kind == PRESENCE_EVENT))
        return wrong(problem, "event is the name of what kind event reports");
    if (is_given(fields->event)) {
        if (!place_is_name(fields->event, WIRE_EVENT_MAX))
            return wrong(problem, "an event has 1 to 63 bytes of UTF-8 without control characters");
        strcpy(heartbeat->event, fields->event);
    }
    return true;
}

static bool read_visitor(const char *visitor, struct heartbeat *heartbeat, struct problem *problem)
{
    struct wire_name id = {0};

    if (visitor)
        id = text_trim((const uint8_t *)visitor, (uint32_t)strlen(visitor));
    if (id.length < 1 || id.length > WIRE_ID_MAX || text_equals(id, "-"))
        return wrong(problem, "visitor is an id of 1 to 128 bytes, and not a lone -");
    memcpy(heartbeat->visitor, id.bytes, id.length);
    heartbeat->visitor[id.length] = '\0';
    return true;
}

bool heartbeat_read(const struct web *web, const struct heartbeat_fields *fields,
                    struct heartbeat *ret, struct problem *problem)
{
    struct heartbeat heartbeat = {0};

    if (!query_take_site(web, fields->site, &heartbeat.place, problem) ||
        !read_visitor(fields->visitor, &heartbeat, problem) ||
        !read_kind(fields, &heartbeat, problem))
        return false;
    if (is_given(fields->room) && !place_take_room(&heartbeat.place, fields->room) &&
        heartbeat.kind == PRESENCE_LEAVE)
        return wrong(problem, "a room has at most 255 bytes of UTF-8 without control characters");
    if (is_given(fields->source) && place_is_name(fields->source, WIRE_SOURCE_MAX))
        strcpy(heartbeat.source, fields->source);
    *ret = heartbeat;
    return true;
}

struct presence_place heartbeat_place(const struct heartbeat *heartbeat, const char *country)
{
    return (struct presence_place){
        .kind = heartbeat->kind,
        .site = heartbeat->place.site,
        .room = heartbeat->place.room,
        .country = country,
        .source = heartbeat->source,
        .event = heartbeat->event,
    };
}
