#include <stdio.h>
#include <string.h>

#include "encode.h"

struct writer {
    uint8_t *end;
    struct random_source *random;
};

static void put(struct writer *writer, const char *text)
{
    size_t length = strlen(text);

    memcpy(writer->end, text, length);
    writer->end += length;
}

static void put_unicode_escape(struct writer *writer, unsigned unit)
{
    char text[8];

    snprintf(text, sizeof(text), random_one_in(writer->random, 2) ? "\\u%04x" : "\\u%04X", unit);
    put(writer, text);
}

/* Parse the code point at `bytes` if it is well-formed UTF-8. Returns its length in bytes,
 * otherwise 0. */
static unsigned code_point_at(const uint8_t *bytes, unsigned left, unsigned *ret)
{
    unsigned length = bytes[0] < 0x80    ? 1
                      : bytes[0] < 0xc2  ? 0
                      : bytes[0] < 0xe0  ? 2
                      : bytes[0] < 0xf0  ? 3
                      : bytes[0] <= 0xf4 ? 4
                                         : 0;

    if (length == 0 || length > left)
        return 0;
    unsigned code_point = length == 1 ? bytes[0] : bytes[0] & (0x7fU >> length);
    for (unsigned i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        code_point = code_point << 6 | (bytes[i] & 0x3fU);
    }
    *ret = code_point;
    return length;
}

static void put_escaped(struct writer *writer, unsigned code_point)
{
    if (code_point >= 0x10000) {
        put_unicode_escape(writer, 0xd800 + ((code_point - 0x10000) >> 10));
        put_unicode_escape(writer, 0xdc00 + ((code_point - 0x10000) & 0x3ff));
        return;
    }
    bool is_short = code_point < 0x80 && code_point && strchr("\"\\/\t", (int)code_point);
    if (!is_short || random_one_in(writer->random, 3)) {
        put_unicode_escape(writer, code_point);
        return;
    }
    put(writer, code_point == '"'    ? "\\\""
                : code_point == '\\' ? "\\\\"
                : code_point == '/'  ? "\\/"
                                     : "\\t");
}

static void put_quoted(struct writer *writer, const uint8_t *bytes, unsigned length)
{
    unsigned one_in = random_between(writer->random, 1, 12);
    unsigned code_point = 0;

    put(writer, "\"");
    while (length) {
        unsigned size = code_point_at(bytes, length, &code_point);
        if (size &&
            (code_point == '"' || code_point == '\\' || random_one_in(writer->random, one_in))) {
            put_escaped(writer, code_point);
        } else {
            size = size ? size : 1;
            memcpy(writer->end, bytes, size);
            writer->end += size;
        }
        bytes += size;
        length -= size;
    }
    put(writer, "\"");
}

static void put_value(struct writer *writer, const uint8_t *bytes, unsigned length)
{
    bool can_be_bare = length && bytes[0] != '"' && !memchr(bytes, ' ', length);

    if (!can_be_bare || random_one_in(writer->random, 3)) {
        put_quoted(writer, bytes, length);
        return;
    }
    memcpy(writer->end, bytes, length);
    writer->end += length;
}

/* Put a name in one of the ways that mean the same. Rooms may have extra slashes. */
static void put_name(struct writer *writer, const char *key, enum place place,
                     const struct name *name)
{
    uint8_t spelled[600];
    unsigned length = name_respell(name, place, writer->random, spelled, sizeof(spelled));

    put(writer, key);
    put_value(writer, spelled, length);
}

static void put_visitor(struct writer *writer, const struct visitor *visitor)
{
    uint8_t padded[NAME_MAX_BYTES + 8];
    unsigned before = random_below(writer->random, 4), after = random_below(writer->random, 4);

    if (visitor->is_uuid && random_one_in(writer->random, 2)) {
        put_name(writer, "visitor=", PLACE_SITE, &visitor->text); /* in any case, as a site */
        return;
    }
    put(writer, "visitor=");
    if (random_one_in(writer->random, 4)) { /* spaces around are trimmed */
        memset(padded, ' ', sizeof(padded));
        memcpy(padded + before, visitor->text.bytes, visitor->text.length);
        put_quoted(writer, padded, before + visitor->text.length + after);
        return;
    }
    put_value(writer, visitor->text.bytes, visitor->text.length);
}

static void put_absent(struct writer *writer, const char *key)
{
    static const char *const forms[] = {"", "-", "\"\"", "\"-\"", "\"\\u002d\""};
    static const char *const countries[] = {"XX", "zz", "T1", "a1", "\"A2\"", "O1"};

    if (random_one_in(writer->random, 2))
        return;
    put(writer, key);
    if (strcmp(key, "country=") == 0 && random_one_in(writer->random, 2))
        put(writer, countries[random_below(writer->random, 6)]);
    else
        put(writer, forms[random_below(writer->random, 5)]);
}

/* Put nothing, or a label that must be skipped. */
static void put_no_label(struct writer *writer, enum place place, const char *key,
                         struct beat *beat)
{
    static const char *const invalid[PLACES][6] = {
        [PLACE_ROOM] = {"\xff", "a\xc0\x80", "\"x\\u0001\"", "\"\\u0085\"", "\"/\\q\\\" x\"",
                        "\"\\ud800\""},
        [PLACE_COUNTRY] = {"DEU", "D", "D1", "\xc3\xa9", "\"\\x4\"", "\"D\\E\""},
        [PLACE_SOURCE] = {"\xed\xa0\x80", "\"\\u007f\"", "\x01", "\xf5\x80\x80\x80", "\"\\xc3\"",
                          "\"\\u12\""},
    };
    unsigned form = random_below(writer->random, 7);

    if (!random_one_in(writer->random, 6)) {
        put_absent(writer, key);
        return;
    }
    put(writer, key);
    if (form < 6) {
        put(writer, invalid[place][form]);
        beat->labels_invalid++;
        return;
    }
    unsigned length = place == PLACE_ROOM ? 256 : place == PLACE_SOURCE ? 254 : 3;
    memset(writer->end, 'x', length);
    writer->end += length;
    beat->rooms_too_long += place == PLACE_ROOM;
    beat->labels_invalid += place != PLACE_ROOM;
}

static void put_label(struct writer *writer, const struct names *names, enum place place,
                      struct beat *beat)
{
    static const char *const keys[PLACES] = {"site=", "room=", "country=", "source="};

    if (beat->names[place] < 0) {
        put_no_label(writer, place, keys[place], beat);
        return;
    }
    const struct name *name = &names->names[place][beat->names[place]];
    put_name(writer, keys[place], place, name);
}

static void put_kind(struct writer *writer, const struct beat *beat)
{
    bool is_explicit = random_one_in(writer->random, 2);
    enum beat_kind kind = beat->kind;

    if (kind == BEAT_HEARTBEAT && !is_explicit)
        put_absent(writer, "kind=");
    if (kind == BEAT_HEARTBEAT && is_explicit)
        put(writer, "kind=heartbeat");
    if (kind == BEAT_LEAVE)
        put(writer, is_explicit ? "kind=leave" : "kind=\"lea\\u0076e\"");
    if (kind == BEAT_PAGEVIEW)
        put(writer, "kind=pageview");
    if (kind != BEAT_EVENT)
        return;
    put(writer, is_explicit ? "kind=event event=" : "event=");
    put_value(writer, (const uint8_t *)beat->event, (unsigned)strlen(beat->event));
}

static void put_syslog_header(struct writer *writer)
{
    static const char *const headers[] = {
        "",
        "",
        "",
        "<190>Nov 22 03:56:23 presence: ",
        "<134>Nov 22 03:55:11 haproxy[8009]: ",
        "<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - ",
        "<190>Nov 22 03:56:23 host xPH1 PH1: PH2 ",
        " ",
        "93 <190>1 2026-11-22T03:55:11Z h p - - [a@1 b=\"PH1\"] \xef\xbb\xbf",
        "<13>Nov 22 03:56:23 host presence\t",
        "<13>presence:",
        "<13>",
    };
    unsigned form = random_below(writer->random, 13);

    if (form < 12) {
        put(writer, headers[form]);
        return;
    }
    memset(writer->end, 'h', 1022); /* the longest: `PH1 ` begins at offset 1023 */
    writer->end += 1022;
    put(writer, " ");
}

static void put_unknown(struct writer *writer)
{
    static const char *const unknown[] = {
        "x=1", "Site=other", "visitors=\"a b\"", "rooms=", "=", "site_=x", "ua=\"\\q\"x\""};

    if (random_one_in(writer->random, 4))
        put(writer, unknown[random_below(writer->random, 7)]);
}

/* True if text takes this code for none. */
static bool is_no_country(const struct names *names, int country)
{
    return country >= 0 && memcmp(names->names[PLACE_COUNTRY][country].bytes, "ZZ", 2) == 0;
}

bool encode_text_can_carry(const struct names *names, const struct beat *beat)
{
    if (beat->visitors != 1 || is_no_country(names, beat->names[PLACE_COUNTRY]))
        return false;
    for (int place = 0; place < PLACES; place++)
        if (beat->names[place] >= 0 && name_is_hyphen(&names->names[place][beat->names[place]]))
            return false;
    return true;
}

uint32_t encode_text(const struct names *names, struct beat *beat, struct random_source *random,
                     uint8_t *datagram)
{
    static const char *const ends[] = {"", "", "\n", "\r\n", "\n\0", " "};
    struct writer writer = {datagram, random};
    unsigned first = random_below(random, 7);

    put_syslog_header(&writer);
    put(&writer, "PH1");
    for (unsigned i = 0; i < 7; i++) {
        unsigned word = (first + i * (1 + first % 6)) % 7; /* 7 is prime: each of them once */
        put(&writer, random_one_in(random, 8) ? "  " : " ");
        if (word < PLACES)
            put_label(&writer, names, (enum place)word, beat);
        else if (word == PLACES)
            put_visitor(&writer, &names->visitors[beat->visitor[0]]);
        else if (word == PLACES + 1)
            put_kind(&writer, beat);
        else
            put_unknown(&writer);
    }
    put(&writer, ends[random_below(random, 6)]);
    if (random_one_in(random, 10))
        *writer.end++ = '\0';
    return (uint32_t)(writer.end - datagram);
}
