#include <string.h>

#include "encode.h"

#define NAMES 255

struct writer {
    const struct names *names;
    struct random_source *random;
    uint8_t *end;
    unsigned count;                         /* of names in the datagram */
    const uint8_t *at[NAMES];               /* the bytes of each */
    uint8_t indices[PACKET_RECORDS_MAX][4]; /* site, room, source and event of each record */
};

/* Return the number of a name: of one that is in the datagram already, or of a new one. */
static uint8_t put_name(struct writer *writer, const uint8_t *bytes, unsigned length)
{
    bool is_repeated = random_one_in(writer->random, 3);

    for (unsigned i = 0; i < writer->count && !is_repeated; i++)
        if (writer->at[i][-1] == length && memcmp(writer->at[i], bytes, length) == 0)
            return (uint8_t)(i + 1);
    *writer->end++ = (uint8_t)length;
    memcpy(writer->end, bytes, length);
    writer->at[writer->count++] = writer->end;
    writer->end += length;
    return (uint8_t)writer->count;
}

/* Put names that no record uses: they are judged by the rules that all names have in common. */
static void put_unused(struct writer *writer, unsigned most)
{
    static const char *const unused[] = {"unused", "u", "", "//", "\xc3\xa9", "DE"};
    uint8_t longest[255];

    memset(longest, 'L', sizeof(longest));
    for (unsigned left = random_below(writer->random, most + 1); left; left--) {
        const char *name = unused[random_below(writer->random, 6)];
        if (*name)
            put_name(writer, (const uint8_t *)name, (unsigned)strlen(name));
        else
            put_name(writer, longest, sizeof(longest));
    }
}

static void put_names(struct writer *writer, const struct beat *beat, uint8_t indices[4])
{
    static const enum place places[] = {PLACE_SITE, PLACE_ROOM, PLACE_SOURCE};
    uint8_t spelled[255];

    memset(indices, 0, 4);
    for (unsigned i = 0; i < 3; i++) {
        int number = beat->names[places[i]];
        if (number < 0)
            continue;
        const struct name *name = &writer->names->names[places[i]][number];
        unsigned length =
            name_respell(name, places[i], writer->random, spelled, i == 1 ? 255 : 253);
        indices[i] = put_name(writer, spelled, length);
    }
    if (beat->kind == BEAT_EVENT)
        indices[3] = put_name(writer, (const uint8_t *)beat->event, (unsigned)strlen(beat->event));
}

static void put_record(struct writer *writer, const struct beat *beat, const uint8_t indices[4])
{
    int country = beat->names[PLACE_COUNTRY];

    *writer->end++ = (uint8_t)beat->kind;
    memcpy(writer->end, indices, 4);
    writer->end[4] = (uint8_t)beat->visitors;
    memset(writer->end + 5, 0, 2);
    if (country >= 0)
        memcpy(writer->end + 5, writer->names->names[PLACE_COUNTRY][country].bytes, 2);
    writer->end += 7;
    for (unsigned i = 0; i < beat->visitors; i++, writer->end += 16)
        memcpy(writer->end, writer->names->visitors[beat->visitor[i]].id, 16);
}

static void store(uint8_t *bytes, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (size - 1 - i) * 8);
}

uint32_t encode_v2(const struct names *names, const struct packet *packet,
                   struct random_source *random, uint8_t *datagram)
{
    struct writer writer = {.names = names, .random = random, .end = datagram + 28};
    const struct signature *signature = &packet->signature;

    put_unused(&writer, 3);
    for (unsigned i = 0; i < packet->records; i++)
        put_names(&writer, &packet->beats[i], writer.indices[i]);
    put_unused(&writer, random_one_in(random, 20) ? NAMES - writer.count : 3);
    for (unsigned i = 0; i < packet->records; i++)
        put_record(&writer, &packet->beats[i], writer.indices[i]);
    uint32_t length = (uint32_t)(writer.end - datagram);

    memcpy(datagram, "PH\2", 3);
    datagram[3] = signature->key_id != 0;
    store(datagram + 4, length + (signature->key_id ? 8 : 0), 2);
    datagram[6] = signature->key_id;
    datagram[7] = (uint8_t)writer.count;
    store(datagram + 8, signature->sent_at, 4);
    store(datagram + 12, packet->stream, 8);
    store(datagram + 20, packet->sequence, 4);
    store(datagram + 24, packet->records, 2);
    store(datagram + 26, packet->target, 2);
    return length + encode_tag(signature, datagram, length);
}
