#include "sender_place.h"

#include <errno.h>
#include <string.h>

/* Append one name; returns where it begins, or a negative errno. */
static int place_append(struct sender_place *place, const char *name, size_t longest)
{
    int start = place->length;
    size_t length = name ? strnlen(name, longest + 1) : 0;

    if (length > longest)
        return -ENAMETOOLONG;
    if (!utf8_is_name((const uint8_t *)name, (uint32_t)length))
        return -EILSEQ;
    if (length > 0)
        memcpy(place->bytes + start, name, length);
    place->bytes[start + (int)length] = '\0';
    place->length += (uint16_t)(length + 1);
    return start;
}

static bool is_letter(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static int place_read_country(struct sender_place *place, const char *country)
{
    place->bytes[1] = place->bytes[2] = '\0';
    if (!country || country[0] == '\0')
        return 0;
    if (!is_letter(country[0]) || !is_letter(country[1]) || country[2] != '\0')
        return -EINVAL;
    place->bytes[1] = (char)(country[0] & ~0x20);
    place->bytes[2] = (char)(country[1] & ~0x20);
    return 0;
}

static int place_read_kind(struct sender_place *place, const struct presence_place *given)
{
    enum presence_heartbeat_kind kind = given->kind ? given->kind : PRESENCE_HEARTBEAT;
    bool has_event = given->event && given->event[0] != '\0';

    if (kind < PRESENCE_HEARTBEAT || kind > PRESENCE_EVENT)
        return -EINVAL;
    if (has_event != (kind == PRESENCE_EVENT))
        return -EINVAL;
    place->bytes[0] = (char)kind;
    return 0;
}

static int place_read_names(struct sender_place *place, const struct presence_place *given)
{
    int start = place_append(place, given->site, WIRE_SITE_MAX);

    if (start < 0)
        return start;
    struct wire_name site = {(uint8_t *)place->bytes + start,
                             (uint32_t)(place->length - start - 1)};
    if (site.length == 0)
        return -EINVAL;
    wire_lower_site(&site, (uint8_t *)place->bytes + start);

    start = place_append(place, given->room, WIRE_ROOM_MAX);
    if (start < 0)
        return start;
    place->room = (uint16_t)start;
    start = place_append(place, given->source, WIRE_SOURCE_MAX);
    if (start < 0)
        return start;
    place->source = (uint16_t)start;
    start = place_append(place, given->event, WIRE_EVENT_MAX);
    if (start < 0)
        return start;
    place->event = (uint16_t)start;
    return 0;
}

int sender_place_read(const struct presence_place *given, struct sender_place *ret)
{
    struct sender_place place;
    int error = place_read_kind(&place, given);

    if (error < 0)
        return error;
    error = place_read_country(&place, given->country);
    if (error < 0)
        return error;
    place.length = SENDER_PLACE_SITE;
    error = place_read_names(&place, given);
    if (error < 0)
        return error;
    *ret = place;
    return 0;
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
           name_is(sender_place_site(place), given->site) &&
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
