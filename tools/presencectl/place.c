#include "place.h"

#include <stdio.h>
#include <string.h>

#include "core/wire.h"

static bool is_name(const char *text, size_t longest)
{
    size_t length = strnlen(text, longest + 1);

    return length >= 1 && length <= longest &&
           utf8_is_name((const uint8_t *)text, (uint32_t)length);
}

bool argument_site(char *text)
{
    if (!is_name(text, WIRE_SITE_MAX)) {
        complain("SITE must be 1 to %d bytes of UTF-8 without control characters", WIRE_SITE_MAX);
        return false;
    }
    for (char *letter = text; *letter; letter++) {
        if (utf8_is_within((uint8_t)*letter, 'A', 'Z'))
            *letter |= 0x20;
    }
    return true;
}

/* Where what may name a label is given, and what it must be. */
static bool take_label(const char *text, enum presence_kind kind, const char *where, int longest,
                       struct place *place)
{
    if (!text)
        return true;
    if (place->name) {
        complain("one of ROOM, --country and --source at a time");
        return false;
    }
    if (!is_name(text, (size_t)longest)) {
        complain("%s must be 1 to %d bytes of UTF-8 without control characters", where, longest);
        return false;
    }
    place->kind = kind;
    place->name = text;
    return true;
}

bool place_read(const struct options *options, char **arguments, struct place *ret)
{
    struct place place = {.kind = PRESENCE_SITE, .site = arguments[0]};
    const char *country = *options->country ? options->country : NULL;

    if (!argument_site(arguments[0]) ||
        !take_label(arguments[1], PRESENCE_ROOM, "ROOM", WIRE_ROOM_MAX, &place) ||
        !take_label(country, PRESENCE_COUNTRY, "--country", 2, &place) ||
        !take_label(options->source, PRESENCE_SOURCE, "--source", WIRE_SOURCE_MAX, &place))
        return false;
    *ret = place;
    return true;
}

struct place_name place_describe(const struct place *place)
{
    struct place_name ret;

    if (place->kind == PRESENCE_SITE)
        snprintf(ret.text, sizeof(ret.text), "%s", show_name(place->site).text);
    else if (place->kind == PRESENCE_ROOM)
        snprintf(ret.text, sizeof(ret.text), "%s on %s", show_name(place->name).text,
                 show_name(place->site).text);
    else
        snprintf(ret.text, sizeof(ret.text), "%s %s of %s", kind_name(place->kind),
                 show_name(place->name).text, show_name(place->site).text);
    return ret;
}

const char *place_label(const struct place *place, enum presence_kind kind)
{
    return place->kind == kind ? place->name : NULL;
}

void json_set_place(json_t *object, const struct place *place)
{
    const char *room = place_label(place, PRESENCE_ROOM);

    json_object_set_new(object, "site", json_string(place->site));
    json_object_set_new(object, "room", room ? json_string(room) : json_null());
    if (place->kind == PRESENCE_COUNTRY || place->kind == PRESENCE_SOURCE)
        json_object_set_new(object, kind_name(place->kind), json_string(place->name));
}
