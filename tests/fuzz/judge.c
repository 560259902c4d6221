/* judge.c - names, and native datagrams parsed from front to back. */
#include "judge.h"

#include <string.h>

bool judge_is_native(const uint8_t *datagram, uint32_t length)
{
    if (length < 2 || memcmp(datagram, "PH", 2) != 0)
        return false;
    return length < 3 || datagram[2] != '1';
}

bool judge_is_name(const uint8_t *bytes, uint32_t length)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t i = 0;
    while (i < length) {
        uint32_t size = 1, value = bytes[i];
        if (value >= 0x80) {
            for (size = 0; value & (0x80u >> size); size++)
                ;
            if (size < 2 || size > 4 || i + size > length)
                return false;
            value &= 0x7fu >> size;
            for (uint32_t k = 1; k < size; k++) {
                if ((bytes[i + k] & 0xc0) != 0x80)
                    return false;
                value = value * 64 + (bytes[i + k] & 0x3f);
            }
        }
        bool is_control = value <= 0x1f || (value >= 0x7f && value <= 0x9f);
        bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
        if (is_control || is_surrogate || value > 0x10ffff || value < smallest[size])
            return false;
        i += size;
    }
    return true;
}

/* A datagram of which bytes are consumed until one is missing. */
struct reader {
    const uint8_t *bytes;
    uint32_t left;
    bool failed;
};

static void take(struct reader *reader, uint32_t length, uint8_t *ret)
{
    if (reader->failed || reader->left < length) {
        reader->failed = true;
        return;
    }
    memcpy(ret, reader->bytes, length);
    reader->bytes += length;
    reader->left -= length;
}

static uint64_t parse_long_number(struct reader *reader, uint32_t size)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;
    take(reader, size, bytes);
    for (uint32_t i = 0; i < size; i++)
        value = value * 256 + bytes[i];
    return value;
}

static uint32_t parse_number(struct reader *reader, uint32_t size)
{
    return (uint32_t)parse_long_number(reader, size);
}

static void parse_name(struct reader *reader, uint32_t length, struct judge_name *ret)
{
    take(reader, length, ret->bytes);
    ret->length = length;
    if (!reader->failed && !judge_is_name(ret->bytes, length))
        reader->failed = true;
}

static bool is_country(const uint8_t country[2])
{
    if (country[0] == 0 && country[1] == 0)
        return true;
    return country[0] >= 'A' && country[0] <= 'Z' && country[1] >= 'A' && country[1] <= 'Z';
}

/* Parse everything after the version. True if it follows every rule but that of the number of
 * visitors. */
static bool parse_rest(struct reader *reader, uint32_t length, struct judgement *ret)
{
    ret->kind = parse_number(reader, 1);
    uint32_t stated_length = parse_number(reader, 2);
    uint32_t flags = parse_number(reader, 1);
    ret->key_id = parse_number(reader, 1);
    ret->sent_at = parse_number(reader, 4);
    ret->visitors = parse_number(reader, 2);
    uint32_t site = parse_number(reader, 1), room = parse_number(reader, 1);
    uint32_t source = parse_number(reader, 1), event = parse_number(reader, 1);
    take(reader, 2, ret->country);
    parse_name(reader, site, &ret->site);
    parse_name(reader, room, &ret->room);
    parse_name(reader, source, &ret->source);
    parse_name(reader, event, &ret->event);
    for (uint32_t i = 0; i < ret->visitors && !reader->failed; i++)
        take(reader, 16, ret->visitor_ids + 16 * i);
    ret->authenticated = flags == 1;
    if (flags == 1)
        take(reader, 8, ret->tag);
    if (reader->failed || reader->left != 0 || stated_length != length)
        return false;

    bool kind_known = ret->kind >= 1 && ret->kind <= 4;
    bool key_right = flags == 1 ? ret->key_id >= 1 : flags == 0 && ret->key_id == 0;
    bool event_right = ret->kind == 4 ? event >= 1 && event <= 63 : event == 0;
    return kind_known && key_right && event_right && site >= 1 && site <= 253 && source <= 253 &&
           is_country(ret->country);
}

void judge_native(const uint8_t *datagram, uint32_t length, struct judgement *ret)
{
    struct reader reader = {datagram, length, false};
    parse_number(&reader, 2);
    uint32_t version = parse_number(&reader, 1);
    ret->labels_invalid = ret->rooms_too_long = 0;
    if (reader.failed)
        ret->reason = JUDGE_MALFORMED;
    else if (version != 1)
        ret->reason = JUDGE_VERSION;
    else if (!parse_rest(&reader, length, ret))
        ret->reason = JUDGE_MALFORMED;
    else
        ret->reason = ret->visitors == 0 ? JUDGE_VISITOR : JUDGE_ACCEPTED;
}

bool judge_is_v2(const uint8_t *datagram, uint32_t length)
{
    return length >= 3 && memcmp(datagram, "PH\2", 3) == 0;
}

static void parse_record(struct reader *reader, struct judge_record *ret)
{
    ret->kind = parse_number(reader, 1);
    for (uint32_t i = 0; i < 4; i++)
        ret->names[i] = parse_number(reader, 1);
    ret->visitors = parse_number(reader, 1);
    take(reader, 2, ret->country);
    ret->visitor_ids = reader->bytes;
    static uint8_t ids[16 * 255];
    take(reader, 16 * ret->visitors, ids);
}

/* True if a record's names exist and are short enough, and the rest of it is right, too. */
static bool is_record_right(const struct judgement_v2 *datagram, uint32_t names,
                            const struct judge_record *record)
{
    static const uint32_t longest[] = {253, 255, 253, 63};
    for (uint32_t i = 0; i < 4; i++) {
        if (record->names[i] > names || datagram->names[record->names[i]].length > longest[i])
            return false;
    }
    bool has_event = record->names[3] != 0;
    return record->kind >= 1 && record->kind <= 4 && has_event == (record->kind == 4) &&
           record->names[0] != 0 && record->visitors != 0 && is_country(record->country);
}

/* Parse everything after the version. True if it follows every rule. */
static bool parse_rest_v2(struct reader *reader, uint32_t length, struct judgement_v2 *ret)
{
    uint32_t flags = parse_number(reader, 1), stated_length = parse_number(reader, 2);
    ret->key_id = parse_number(reader, 1);
    uint32_t names = parse_number(reader, 1);
    ret->sent_at = parse_number(reader, 4);
    ret->stream = parse_long_number(reader, 8);
    ret->sequence = parse_number(reader, 4);
    ret->record_count = parse_number(reader, 2);
    ret->target = parse_number(reader, 2);
    ret->names[0].length = ret->visitors = 0;
    for (uint32_t i = 1; i <= names && !reader->failed; i++) {
        uint32_t size = parse_number(reader, 1);
        parse_name(reader, size, &ret->names[i]);
        reader->failed |= size == 0;
    }
    bool records_right = true;
    for (uint32_t i = 0; i < ret->record_count && !reader->failed; i++) {
        parse_record(reader, &ret->records[i]);
        records_right = records_right && is_record_right(ret, names, &ret->records[i]);
        ret->visitors += ret->records[i].visitors;
    }
    ret->authenticated = flags == 1;
    if (flags == 1)
        take(reader, 8, ret->tag);
    if (reader->failed || reader->left != 0 || stated_length != length || !records_right)
        return false;
    bool key_right = flags == 1 ? ret->key_id != 0 : flags == 0 && ret->key_id == 0;
    return key_right && (ret->stream != 0 || ret->sequence == 0);
}

void judge_v2(const uint8_t *datagram, uint32_t length, struct judgement_v2 *ret)
{
    struct reader reader = {datagram, length, false};
    parse_number(&reader, 3);
    ret->reason = parse_rest_v2(&reader, length, ret) ? JUDGE_ACCEPTED : JUDGE_MALFORMED;
}

uint32_t judge_room(const uint8_t *bytes, uint32_t length, uint8_t *ret)
{
    uint32_t written = 0, i = 0;
    if (length == 0 || bytes[0] != '/') {
        memcpy(ret, bytes, length);
        return length;
    }
    while (i < length) { /* a slash and all up to the next */
        uint32_t begin = i;
        while (i < length && bytes[i] != '/')
            i++;
        if (i > begin) {
            ret[written++] = '/';
            memcpy(ret + written, bytes + begin, i - begin);
            written += i - begin;
        }
        i++;
    }
    if (written == 0)
        ret[written++] = '/';
    return written;
}

static void lower(struct judge_name *name)
{
    for (uint32_t i = 0; i < name->length; i++) {
        if (name->bytes[i] >= 'A' && name->bytes[i] <= 'Z')
            name->bytes[i] += 'a' - 'A';
    }
}

static void make_canonical(struct judgement *judgement)
{
    static uint8_t room[65536];
    lower(&judgement->site);
    lower(&judgement->source);
    judgement->room.length = judge_room(judgement->room.bytes, judgement->room.length, room);
    memcpy(judgement->room.bytes, room, judgement->room.length);
}

void judge_one_record(const struct judgement_v2 *datagram, uint32_t index, struct judgement *ret)
{
    const struct judge_record *record = &datagram->records[index];
    ret->reason = JUDGE_ACCEPTED;
    ret->site = datagram->names[record->names[0]];
    ret->room = datagram->names[record->names[1]];
    ret->source = datagram->names[record->names[2]];
    ret->event = datagram->names[record->names[3]];
    memcpy(ret->country, record->country, 2);
    ret->kind = record->kind;
    ret->authenticated = ret->key_id = ret->sent_at = 0;
    ret->labels_invalid = ret->rooms_too_long = 0;
    ret->visitors = record->visitors;
    memcpy(ret->visitor_ids, record->visitor_ids, 16 * (size_t)record->visitors);
    make_canonical(ret);
}

void judge(const uint8_t *datagram, uint32_t length, struct judgement *ret)
{
    if (judge_is_native(datagram, length))
        judge_native(datagram, length, ret);
    else
        judge_text(datagram, length, ret);
    if (ret->reason == JUDGE_ACCEPTED)
        make_canonical(ret);
}
