#include <string.h>

#include "encode.h"

static const struct name *name_of(const struct names *names, const struct beat *beat,
                                  enum place place)
{
    static const struct name absent;
    return beat->names[place] < 0 ? &absent : &names->names[place][beat->names[place]];
}

uint32_t encode_native(const struct names *names, const struct beat *beat,
                       struct random_source *random, uint8_t *datagram)
{
    bool is_signed = random_one_in(random, 8); /* without keys neither is checked */
    uint8_t event_length = beat->kind == BEAT_EVENT ? (uint8_t)strlen(beat->event) : 0;
    static const enum place places[] = {PLACE_SITE, PLACE_ROOM, PLACE_SOURCE};
    uint8_t *end = datagram + 20;

    memset(datagram, 0, 20);
    for (unsigned i = 0; i < 3; i++) {
        const struct name *name = name_of(names, beat, places[i]);
        unsigned spelled = name_respell(name, places[i], random, end, i == 1 ? 255 : 253);
        datagram[14 + i] = (uint8_t)spelled;
        end += spelled;
    }
    if (event_length)
        memcpy(end, beat->event, event_length);
    end += event_length;
    for (unsigned i = 0; i < beat->visitors; i++, end += 16)
        memcpy(end, names->visitors[beat->visitor[i]].id, 16);
    if (is_signed) {
        memset(end, (int)random_below(random, 256), 8);
        end += 8;
    }
    uint32_t length = (uint32_t)(end - datagram);

    memcpy(datagram, "PH\1", 3);
    datagram[3] = (uint8_t)beat->kind;
    datagram[4] = (uint8_t)(length >> 8);
    datagram[5] = (uint8_t)length;
    datagram[6] = is_signed;
    datagram[7] = is_signed ? (uint8_t)random_between(random, 1, 255) : 0;
    for (int i = 8; i < 12; i++)
        datagram[i] = (uint8_t)random_next(random);
    datagram[12] = (uint8_t)(beat->visitors >> 8);
    datagram[13] = (uint8_t)beat->visitors;
    datagram[17] = event_length;
    const struct name *country = name_of(names, beat, PLACE_COUNTRY);
    memcpy(datagram + 18, country->bytes, country->length);
    return length;
}
