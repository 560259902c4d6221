#include "sender_place.h"

#include <errno.h>

static struct wire_name name_of(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, text ? (uint32_t)strnlen(text, INT32_MAX) : 0};
}

/* Append one name, and store its offset in `*ret_start`. */
static int append_name(struct sender_place *place, struct wire_name name, uint32_t longest,
                       uint16_t *ret_start)
{
    uint16_t start = place->length;

    if (name.length > longest)
        return -ENAMETOOLONG;
    if (!utf8_is_name(name.bytes, name.length))
        return -EILSEQ;
    /* gcc would turn a memcpy into `rep movs`, a quarter of a sender's time at a real edge. */
    if (name.length > 0)
        memmove(place->bytes + start, name.bytes, name.length);
    place->bytes[start + name.length] = '\0';
    place->length += (uint16_t)(name.length + 1);
    *ret_start = start;
    return 0;
}

/* Append a site or a source, lower-cased. */
static int append_lower(struct sender_place *place, const char *text, uint32_t longest,
                        uint16_t *ret_start)
{
    struct wire_name name = name_of(text);
    int r = append_name(place, name, longest, ret_start);

    if (r == 0) {
        uint8_t *bytes = (uint8_t *)place->bytes + *ret_start;
        canonical_lower(bytes, name.length, bytes);
    }
    return r;
}

static int append_room(struct sender_place *place, const char *text)
{
    uint8_t scratch[WIRE_ROOM_MAX];
    struct wire_name room = name_of(text);

    wire_canonical_room(&room, scratch);
    return append_name(place, room, WIRE_ROOM_MAX, &place->room);
}

static int parse_country(struct sender_place *place, const char *country)
{
    place->bytes[1] = place->bytes[2] = '\0';
    if (!country || country[0] == '\0')
        return 0;
    return wire_country_parse(name_of(country), (uint8_t *)place->bytes + 1) ? 0 : -EINVAL;
}

static int parse_kind(struct sender_place *place, const struct presence_place *given)
{
    enum presence_heartbeat_kind kind = given->kind ? given->kind : PRESENCE_HEARTBEAT;
    bool has_event = given->event && given->event[0] != '\0';

    if (kind < PRESENCE_HEARTBEAT || kind > PRESENCE_EVENT || has_event != (kind == PRESENCE_EVENT))
        return -EINVAL;
    place->bytes[0] = (char)kind;
    return 0;
}

int sender_place_parse(const struct presence_place *given, struct sender_place *ret)
{
    uint16_t site;
    int r = parse_kind(ret, given);

    ret->length = SENDER_PLACE_SITE;
    if (r == 0)
        r = parse_country(ret, given->country);
    if (r == 0 && (!given->site || !*given->site))
        r = -EINVAL;
    if (r == 0)
        r = append_lower(ret, given->site, WIRE_SITE_MAX, &site);
    if (r == 0)
        r = append_room(ret, given->room);
    if (r == 0)
        r = append_lower(ret, given->source, WIRE_SOURCE_MAX, &ret->source);
    if (r == 0)
        r = append_name(ret, name_of(given->event), WIRE_EVENT_MAX, &ret->event);
    return r;
}

static bool name_is(const char *name, const char *given)
{
    return given ? strcmp(name, given) == 0 : name[0] == '\0';
}

static bool country_is(const char country[2], const char *given)
{
    if (!given || given[0] == '\0')
        return country[0] == '\0';
    return given[0] == country[0] && given[1] == country[1] && given[2] == '\0';
}

bool sender_place_matches(const struct sender_place *place, const struct presence_place *given)
{
    enum presence_heartbeat_kind kind = given->kind ? given->kind : PRESENCE_HEARTBEAT;

    return (enum presence_heartbeat_kind)place->bytes[0] == kind &&
           country_is(place->bytes + 1, given->country) &&
           name_is(place->bytes + SENDER_PLACE_SITE, given->site) &&
           name_is(place->bytes + place->room, given->room) &&
           name_is(place->bytes + place->source, given->source) &&
           name_is(place->bytes + place->event, given->event);
}

static struct wire_name place_name(const struct sender_place *place, int start, int next)
{
    return (struct wire_name){(const uint8_t *)place->bytes + start, (uint32_t)(next - start - 1)};
}

struct wire_heartbeat sender_place_heartbeat(const struct sender_place *place)
{
    return (struct wire_heartbeat){
        .site = place_name(place, SENDER_PLACE_SITE, place->room),
        .room = place_name(place, place->room, place->source),
        .source = place_name(place, place->source, place->event),
        .event = place_name(place, place->event, place->length),
        .country = {(uint8_t)place->bytes[1], (uint8_t)place->bytes[2]},
        .kind = (uint8_t)place->bytes[0],
    };
}
