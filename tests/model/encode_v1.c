#include <string.h>

#include "encode.h"

static const struct name *name_of(const struct names *names, const struct beat *beat,
                                  enum place place)
{
    static const struct name absent;
    return beat->names[place] < 0 ? &absent : &names->names[place][beat->names[place]];
}

uint32_t encode_v1(const struct names *names, const struct packet *packet,
                   struct random_source *random, uint8_t *datagram)
{
    const struct beat *beat = &packet->beats[0];
    const struct signature *signature = &packet->signature;
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
    uint32_t length = (uint32_t)(end - datagram), whole = length + (signature->key_id ? 8 : 0);

    memcpy(datagram, "PH\1", 3);
    datagram[3] = (uint8_t)beat->kind;
    datagram[4] = (uint8_t)(whole >> 8);
    datagram[5] = (uint8_t)whole;
    datagram[6] = signature->key_id != 0;
    datagram[7] = signature->key_id;
    for (int i = 0; i < 4; i++)
        datagram[8 + i] = (uint8_t)(signature->sent_at >> (24 - i * 8));
    datagram[12] = (uint8_t)(beat->visitors >> 8);
    datagram[13] = (uint8_t)beat->visitors;
    datagram[17] = event_length;
    const struct name *country = name_of(names, beat, PLACE_COUNTRY);
    memcpy(datagram + 18, country->bytes, country->length);
    return length + encode_tag(signature, datagram, length);
}
