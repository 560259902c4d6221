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

static uint32_t parse_number(struct reader *reader, uint32_t size)
{
    uint8_t bytes[4] = {0};
    uint32_t value = 0;
    take(reader, size, bytes);
    for (uint32_t i = 0; i < size; i++)
        value = value * 256 + bytes[i];
    return value;
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

void judge(const uint8_t *datagram, uint32_t length, struct judgement *ret)
{
    if (judge_is_native(datagram, length))
        judge_native(datagram, length, ret);
    else
        judge_text(datagram, length, ret);
    if (ret->reason != JUDGE_ACCEPTED)
        return;
    lower(&ret->site);
    lower(&ret->source);
    static uint8_t room[65536];
    ret->room.length = judge_room(ret->room.bytes, ret->room.length, room);
    memcpy(ret->room.bytes, room, ret->room.length);
}
