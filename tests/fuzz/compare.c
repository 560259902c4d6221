/* compare.c - compare the decoders with the judge. */
#include "compare.h"

#include "judge.h"

#include <core/text.h>
#include <core/wire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t accepted;

uint64_t compare_accepted(void)
{
    return accepted;
}

static bool same_name(struct wire_name name, const struct judge_name *expected)
{
    return name.length == expected->length &&
           (name.length == 0 || memcmp(name.bytes, expected->bytes, name.length) == 0);
}

/* Return the name of the first field that differs, or NULL. */
static const char *difference(const struct wire_heartbeat *got, const struct judgement *expected)
{
    if (!same_name(got->site, &expected->site))
        return "the site";
    if (!same_name(got->room, &expected->room))
        return "the room";
    if (!same_name(got->source, &expected->source))
        return "the source";
    if (!same_name(got->event, &expected->event))
        return "the event";
    if (memcmp(got->country, expected->country, 2) != 0)
        return "the country";
    if (got->kind != expected->kind)
        return "the kind";
    if (got->authenticated != expected->authenticated || got->key_id != expected->key_id ||
        got->sent_at != expected->sent_at)
        return "the key or the time";
    if ((got->tag != NULL) != expected->authenticated ||
        (got->tag && memcmp(got->tag, expected->tag, WIRE_TAG_SIZE) != 0))
        return "the tag";
    if (got->labels_invalid != expected->labels_invalid ||
        got->rooms_too_long != expected->rooms_too_long)
        return "the labels that are skipped";
    if (got->visitors != expected->visitors ||
        memcmp(got->visitor_ids, expected->visitor_ids, WIRE_VISITOR_SIZE * got->visitors) != 0)
        return "the visitors";
    return NULL;
}

/* True if the shape alone, read from a copy of the header, gives the same verdict. */
static bool shape_agrees(const uint8_t *datagram, uint32_t length, enum wire_reason decoded)
{
    uint32_t header_size = length < WIRE_HEADER_MAX ? length : WIRE_HEADER_MAX;
    uint8_t *header = malloc(header_size);
    memcpy(header, datagram, header_size);
    enum wire_reason shape = wire_shape(header, length);
    free(header);
    bool names_are_bad = decoded == WIRE_MALFORMED && (shape == 0 || shape == WIRE_VISITOR);
    return shape == decoded || names_are_bad;
}

/* True if encoding what was decoded gives the datagram again, except for names that were not in
 * canonical form. */
static bool is_written_again(const uint8_t *datagram, uint32_t length,
                             const struct wire_heartbeat *heartbeat)
{
    uint8_t *written = malloc(length);
    uint32_t size = wire_v1_encode(heartbeat, written, length);
    uint32_t shorter = datagram[15] - heartbeat->room.length;
    uint32_t names = WIRE_V1_HEADER_SIZE + heartbeat->site.length + heartbeat->room.length +
                     heartbeat->source.length;
    bool same = size != 0 && size == length - shorter && memcmp(written, datagram, 4) == 0 &&
                memcmp(written + 6, datagram + 6, 9) == 0 &&
                memcmp(written + 16, datagram + 16, 4) == 0 &&
                memcmp(written + names, datagram + names + shorter, size - names) == 0;
    free(written);
    return same;
}

/* True if text can't carry the country: XX and others mean none there. */
static bool is_no_country(const uint8_t country[2])
{
    return memcmp(country, "XX", 2) == 0 || memcmp(country, "ZZ", 2) == 0;
}

static bool is_dash(struct wire_name name)
{
    return name.length == 1 && name.bytes[0] == '-';
}

/* True if the place, with another visitor, can be encoded as text exactly when text has a form for
 * it, and is then decoded as the same place and visitor. */
static bool is_carried_as_text(const struct wire_heartbeat *heartbeat)
{
    static struct judgement read;
    static uint8_t text[4096];
    uint8_t visitor[1 + WIRE_VISITOR_SIZE] = "v", id[WIRE_VISITOR_SIZE];
    memcpy(visitor + 1, heartbeat->visitor_ids, WIRE_VISITOR_SIZE);
    uint32_t size = text_encode(heartbeat, visitor, sizeof(visitor), text, sizeof(text));
    if (heartbeat->authenticated || is_dash(heartbeat->site) || is_dash(heartbeat->room) ||
        is_dash(heartbeat->source) || is_dash(heartbeat->event) ||
        is_no_country(heartbeat->country))
        return size == 0;
    text_visitor_id(visitor, sizeof(visitor), id);
    judge(text, size, &read);
    struct wire_heartbeat place = *heartbeat;
    place.visitors = 1;
    place.visitor_ids = id;
    place.sent_at = place.labels_invalid = place.rooms_too_long = 0;
    return size != 0 && read.reason == JUDGE_ACCEPTED && !difference(&place, &read);
}

/* Return the name of the first part of the header that differs, or NULL. */
static const char *difference_v2(const struct wire_v2_datagram *got,
                                 const struct judgement_v2 *expected)
{
    if (got->stream != expected->stream || got->sequence != expected->sequence ||
        got->target != expected->target)
        return "the stream";
    if (got->authenticated != expected->authenticated || got->key_id != expected->key_id ||
        got->sent_at != expected->sent_at)
        return "the key or the time";
    if ((got->tag != NULL) != expected->authenticated ||
        (got->tag && memcmp(got->tag, expected->tag, WIRE_TAG_SIZE) != 0))
        return "the tag";
    if (got->records != expected->record_count || got->visitors != expected->visitors)
        return "how much it carries";
    return NULL;
}

/* True if the fields that were decoded are encoded as the same header again. */
static bool is_header_written_again(const uint8_t *datagram, uint32_t length,
                                    const struct wire_v2_datagram *decoded)
{
    uint8_t header[WIRE_V2_HEADER_SIZE];
    struct wire_v2_header fields = {
        .stream = decoded->stream,
        .sequence = decoded->sequence,
        .target = decoded->target,
        .key_id = decoded->key_id,
        .names = datagram[7],
        .sent_at = decoded->sent_at,
        .records = decoded->records,
        .length = length,
    };
    wire_v2_encode_header(&fields, header);
    return memcmp(header, datagram, sizeof(header)) == 0;
}

static const char *compare_records(struct wire_v2_datagram *got,
                                   const struct judgement_v2 *expected)
{
    static struct judgement record;
    static struct wire_scratch scratch;
    struct wire_heartbeat heartbeat = {0};
    const char *differs = NULL;
    for (uint32_t i = 0; i < expected->record_count && !differs; i++) {
        if (!wire_v2_next(got, &scratch, &heartbeat))
            return "the number of records";
        judge_one_record(expected, i, &record);
        differs = difference(&heartbeat, &record);
        if (!differs && i < 4 && !is_carried_as_text(&heartbeat))
            differs = "a record that is written as text";
    }
    if (!differs && wire_v2_next(got, &scratch, &heartbeat))
        differs = "the number of records";
    return differs;
}

static const char *compare_v2(const uint8_t *datagram, uint32_t length)
{
    static struct judgement_v2 expected;
    static struct wire_v2_datagram got;
    judge_v2(datagram, length, &expected);
    enum wire_reason reason = wire_v2_decode(datagram, length, &got);
    if ((int)reason != (int)expected.reason) {
        fprintf(stderr, "reason %d, judged %d: ", (int)reason, (int)expected.reason);
        return "the reason";
    }
    if (!shape_agrees(datagram, length, reason))
        return "the shape's reason";
    if (reason != WIRE_ACCEPTED)
        return NULL;
    accepted++;
    const char *differs = difference_v2(&got, &expected);
    if (!differs && !is_header_written_again(datagram, length, &got))
        differs = "the header that is written again";
    return differs ? differs : compare_records(&got, &expected);
}

static const char *compare(const uint8_t *datagram, uint32_t length)
{
    static struct judgement expected;
    static struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    if (wire_is_v2(datagram, length) != judge_is_v2(datagram, length))
        return "the version";
    if (judge_is_v2(datagram, length))
        return compare_v2(datagram, length);
    bool native = wire_is_native(datagram, length);
    if (native != judge_is_native(datagram, length))
        return "native or text";
    judge(datagram, length, &expected);
    enum wire_reason reason = native ? wire_v1_decode(datagram, length, &scratch, &got)
                                     : text_decode(datagram, length, &scratch, &got);
    if ((int)reason != (int)expected.reason) {
        fprintf(stderr, "reason %d, judged %d: ", (int)reason, (int)expected.reason);
        return "the reason";
    }
    if (native && !shape_agrees(datagram, length, reason))
        return "the shape's reason";
    if (reason != WIRE_ACCEPTED)
        return NULL;
    accepted++;
    const char *differs = difference(&got, &expected);
    if (!differs && native && !is_written_again(datagram, length, &got))
        differs = "what is written again";
    if (!differs && !is_carried_as_text(&got))
        differs = "what is written as text";
    return differs;
}

bool compare_datagram(const uint8_t *datagram, uint32_t length)
{
    uint8_t *copy = malloc(length);
    if (length != 0)
        memcpy(copy, datagram, length);
    const char *differs = compare(copy, length);
    if (differs) {
        fprintf(stderr, "%s differs for the %u bytes ", differs, length);
        for (uint32_t i = 0; i < length; i++)
            fprintf(stderr, "%02x", copy[i]);
        fprintf(stderr, "\n");
    }
    free(copy);
    return differs == NULL;
}
