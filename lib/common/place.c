#include "place.h"

#include <errno.h>
#include <string.h>

#include "core/ring.h"
#include "core/text.h"

_Static_assert(PLACE_SITE_MAX == WIRE_SITE_MAX && PLACE_ROOM_MAX == WIRE_ROOM_MAX &&
                   PLACE_SOURCE_MAX == WIRE_SOURCE_MAX && PLACE_EVENT_MAX == WIRE_EVENT_MAX &&
                   PLACE_ID_MAX == WIRE_ID_MAX && PLACE_ID_SIZE == WIRE_VISITOR_SIZE &&
                   PLACE_WINDOW_MAX == WINDOW_MAX && PLACE_HEADER_SIZE == WIRE_V2_HEADER_SIZE &&
                   PLACE_RECORD_SIZE == WIRE_V2_RECORD_SIZE &&
                   PLACE_RECORD_MAX == WIRE_V2_VISITORS_MAX && PLACE_TAG_SIZE == WIRE_TAG_SIZE,
               "the contracts' limits");

uint32_t place_round_window(uint32_t window_s)
{
    return window_rounded(window_s);
}

bool place_is_name(const char *text, size_t longest)
{
    size_t length = strnlen(text, longest + 1);

    return length >= 1 && length <= longest &&
           utf8_is_name((const uint8_t *)text, (uint32_t)length);
}

static bool parse_lower(const char *text, size_t longest, char *ret)
{
    if (!place_is_name(text, longest))
        return false;
    canonical_lower((const uint8_t *)text, (uint32_t)strlen(text) + 1, (uint8_t *)ret);
    return true;
}

bool place_parse_site(const char *text, char ret[PLACE_SITE_MAX + 1])
{
    return parse_lower(text, PLACE_SITE_MAX, ret);
}

bool place_parse_source(const char *text, char ret[PLACE_SOURCE_MAX + 1])
{
    return parse_lower(text, PLACE_SOURCE_MAX, ret);
}

bool place_parse_room(const char *text, char ret[PLACE_ROOM_MAX + 1])
{
    uint8_t room[PLACE_ROOM_MAX];
    uint32_t length =
        canonical_write_room((const uint8_t *)text, (uint32_t)strlen(text), room, PLACE_ROOM_MAX);

    if (length < 1 || length > PLACE_ROOM_MAX || !utf8_is_name(room, length))
        return false;
    memcpy(ret, room, length);
    ret[length] = '\0';
    return true;
}

bool place_parse_country(const char *text, char ret[3])
{
    const struct wire_name name = {(const uint8_t *)text, (uint32_t)strnlen(text, 3)};
    uint8_t country[2];

    if (!wire_country_parse(name, country))
        return false;
    memcpy(ret, country, 2);
    ret[2] = '\0';
    return true;
}

const char *place_trim(const char *text, size_t *ret_length)
{
    const struct wire_name trimmed = text_trim((const uint8_t *)text, (uint32_t)strlen(text));

    *ret_length = trimmed.length;
    return (const char *)trimmed.bytes;
}

bool place_is_visitor(const char *id, size_t length)
{
    return length <= PLACE_ID_MAX &&
           text_is_visitor((struct wire_name){(const uint8_t *)id, (uint32_t)length});
}

bool place_visitor_id(const char *text, uint8_t ret[PLACE_ID_SIZE])
{
    return text_visitor_id((const uint8_t *)text, (uint32_t)strlen(text), ret);
}

size_t place_character(const char *text, uint32_t *ret)
{
    const uint8_t *bytes = (const uint8_t *)text;
    uint32_t size = utf8_character_size(bytes, (uint32_t)strnlen(text, 4));

    if (size > 0)
        *ret = utf8_character_value(bytes, size);
    return size;
}

/* Copy a name with a terminator. Returns the copy, or NULL when the name is absent. */
static const char *copy_name(struct wire_name name, char *copy)
{
    if (name.length == 0)
        return NULL;
    memcpy(copy, name.bytes, name.length);
    copy[name.length] = '\0';
    return copy;
}

int place_parse_heartbeat(const char *line, size_t length, struct place_heartbeat *ret)
{
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat;
    enum wire_reason reason =
        text_decode((const uint8_t *)line, (uint32_t)length, &scratch, &heartbeat);

    if (reason != WIRE_ACCEPTED)
        return reason == WIRE_VISITOR ? -ENODATA : -EINVAL;
    memcpy(ret->id, heartbeat.visitor_ids, sizeof(ret->id));
    memcpy(ret->country, heartbeat.country, 2);
    ret->country[2] = '\0';
    ret->place = (struct presence_place){
        .kind = (enum presence_heartbeat_kind)heartbeat.kind,
        .site = copy_name(heartbeat.site, ret->site),
        .room = copy_name(heartbeat.room, ret->room),
        .country = ret->country,
        .source = copy_name(heartbeat.source, ret->source),
        .event = copy_name(heartbeat.event, ret->event),
    };
    return 0;
}
