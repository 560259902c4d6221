#include "sender_place.h"

#include <errno.h>
#include <string.h>

static struct wire_name name_of(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, text ? (uint32_t)strnlen(text, INT32_MAX) : 0};
}

int sender_name_parse(enum sender_name which, const char *text, uint8_t *scratch,
                      struct wire_name *ret)
{
    static const uint32_t longest[] = {
        [SENDER_SITE] = WIRE_SITE_MAX,
        [SENDER_ROOM] = WIRE_ROOM_MAX,
        [SENDER_SOURCE] = WIRE_SOURCE_MAX,
        [SENDER_EVENT] = WIRE_EVENT_MAX,
    };
    struct wire_name name = name_of(text);

    if (which == SENDER_ROOM)
        wire_canonical_room(&name, scratch);
    if (name.length > longest[which])
        return -ENAMETOOLONG;
    if (!utf8_is_name(name.bytes, name.length))
        return -EILSEQ;
    if (which == SENDER_SITE || which == SENDER_SOURCE)
        wire_canonical_lower(&name, scratch);
    *ret = name;
    return 0;
}

int sender_country_parse(const char *country, uint8_t ret[2])
{
    if (country[0] == '\0' || country[1] == '\0' || country[2] != '\0')
        return -EINVAL;
    return wire_country_parse((struct wire_name){(const uint8_t *)country, 2}, ret) ? 0 : -EINVAL;
}

int sender_place_parse(const struct presence_place *given, struct sender_scratch *scratch,
                       struct wire_heartbeat *ret)
{
    const char *texts[SENDER_NAMES] = {given->site, given->room, given->source, given->event};
    struct wire_name *names[SENDER_NAMES] = {&ret->site, &ret->room, &ret->source, &ret->event};

    *ret = (struct wire_heartbeat){0};
    int error = sender_labels_parse(given, &ret->kind, ret->country);
    for (int i = 0; error == 0 && i < SENDER_NAMES; i++)
        error = sender_name_parse((enum sender_name)i, texts[i], scratch->names[i], names[i]);
    return error;
}
