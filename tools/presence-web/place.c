#include "place.h"

#include <string.h>

bool place_is_name(const char *text, size_t longest)
{
    size_t length = strnlen(text, longest + 1);

    return length >= 1 && length <= longest &&
           utf8_is_name((const uint8_t *)text, (uint32_t)length);
}

bool place_take_site(struct place *place, const char *text)
{
    if (!place_is_name(text, WIRE_SITE_MAX))
        return false;
    strcpy(place->site, text);
    for (char *letter = place->site; *letter; letter++) {
        if (utf8_is_within((uint8_t)*letter, 'A', 'Z'))
            *letter |= 0x20;
    }
    return true;
}

bool place_take_room(struct place *place, const char *text)
{
    if (!place_is_name(text, WIRE_ROOM_MAX))
        return false;
    strcpy(place->room, text);
    return true;
}

bool place_equals(const struct place *left, const struct place *right)
{
    return strcmp(left->site, right->site) == 0 && strcmp(left->room, right->room) == 0;
}
