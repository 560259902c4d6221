#include <string.h>

#include "encode.h"

static uint8_t *append_name(uint8_t *end, const struct name *name)
{
    memcpy(end, name->bytes, name->length);
    return end + name->length;
}

/* ASCII letters of a site mean the same in either case. */
static uint8_t *append_site(uint8_t *end, const struct name *name, struct random_source *random)
{
    bool mix = random_one_in(random, 3);

    for (unsigned i = 0; i < name->length; i++) {
        uint8_t byte = name->bytes[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        *end++ = is_letter && mix && random_one_in(random, 2) ? byte ^ 0x20 : byte;
    }
    return end;
}

static const struct name *name_of(const struct names *names, const struct beat *beat,
                                  enum place place)
{
    static const struct name absent;
    return beat->names[place] < 0 ? &absent : &names->names[place][beat->names[place]];
}

uint32_t encode_native(const struct names *names, const struct beat *beat,
                       struct random_source *random, uint8_t *datagram)
{
    bool is_signed = random_one_in(random, 8); /* no keys are set: neither is looked at */
    uint8_t event_length = beat->kind == BEAT_EVENT ? (uint8_t)strlen(beat->event) : 0;
    uint8_t *end = datagram + 20;

    memset(datagram, 0, 20);
    end = append_site(end, name_of(names, beat, PLACE_SITE), random);
    end = append_name(end, name_of(names, beat, PLACE_ROOM));
    end = append_name(end, name_of(names, beat, PLACE_SOURCE));
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
    datagram[14] = name_of(names, beat, PLACE_SITE)->length;
    datagram[15] = name_of(names, beat, PLACE_ROOM)->length;
    datagram[16] = name_of(names, beat, PLACE_SOURCE)->length;
    datagram[17] = event_length;
    append_name(datagram + 18, name_of(names, beat, PLACE_COUNTRY));
    return length;
}
