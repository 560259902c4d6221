/* generate.c - random datagrams that follow most rules most of the time. */
#include "generate.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

uint32_t generate_below(struct generator *generator, uint32_t bound)
{
    uint64_t z = generator->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z >> 33) % bound);
}

/* True once in `n` times. */
static bool once_in(struct generator *generator, uint32_t n)
{
    return generate_below(generator, n) == 0;
}

static void put(struct generator *generator, uint32_t byte)
{
    generator->bytes[generator->length++] = (uint8_t)byte;
}

static void put_text(struct generator *generator, const char *text)
{
    while (*text)
        put(generator, (uint8_t)*text++);
}

static void put_many(struct generator *generator, uint8_t byte, uint32_t count)
{
    memset(generator->bytes + generator->length, byte, count);
    generator->length += count;
}

static void put_one_of(struct generator *generator, const char *const *texts, size_t count)
{
    put_text(generator, texts[generate_below(generator, (uint32_t)count)]);
}

/* Choose a length near one at which a rule changes. */
static uint32_t edge_length(struct generator *generator)
{
    static const uint16_t edges[] = {1, 8, 63, 128, 253, 255, 256, 512};
    return edges[generate_below(generator, LENGTH(edges))] + generate_below(generator, 3) - 1;
}

/* ---- contents ---------------------------------------------------------------------------- */

/* Put whole characters of every size, control characters and invalid sequences. */
static void put_characters(struct generator *generator)
{
    static const char *const samples[] = {
        "\xc2\xa0",
        "\xc3\xa9",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe2\x82\xac",
        "\xed\x9f\xbf",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf4\x8f\xbf\xbf",
        "\x7e",
        " ",
        "\xc2\x9f",
        "\xc2\x80",
        "\xc0\xaf",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\x7f",
        "\x1f",
        "\xe2\x82",
        "\x80",
        "\xff",
    };
    uint32_t count = 1 + generate_below(generator, 3);
    bool any = once_in(generator, 4);
    put_many(generator, 'a', generate_below(generator, 17));
    for (uint32_t i = 0; i < count; i++)
        put_one_of(generator, samples, any ? LENGTH(samples) : 11);
}

static void put_id(struct generator *generator)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    static const char *const patterns[] = {"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                           "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxxx",
                                           "visitor-xx",
                                           "x x",
                                           "x",
                                           "undefined",
                                           "NULL",
                                           "nan",
                                           "00000000-0000-0000-0000-000000000000",
                                           "nul"};
    const char *pattern = patterns[once_in(generator, 2) ? 0 : generate_below(generator, 11)];
    uint32_t before = once_in(generator, 12) ? generate_below(generator, 600) : 0;
    uint32_t after = once_in(generator, 12) ? generate_below(generator, 600) : 0;
    put_many(generator, ' ', before);
    for (; *pattern; pattern++)
        put(generator,
            *pattern == 'x' ? (uint8_t)digits[generate_below(generator, 22)] : (uint8_t)*pattern);
    if (once_in(generator, 20))
        generator->bytes[generator->length - 1] = (uint8_t)generate_below(generator, 256);
    put_many(generator, ' ', after);
}

/* Put segments and slashes, near the longest room before or after repeated slashes count as one. */
static void put_path(struct generator *generator)
{
    uint32_t count = generate_below(generator, 6);
    for (uint32_t i = 0; i < count; i++) {
        put_many(generator, '/', once_in(generator, 2) ? 1 : generate_below(generator, 30));
        put_many(generator, 'p', generate_below(generator, once_in(generator, 2) ? 90 : 9));
    }
    put_many(generator, '/', generate_below(generator, 3));
}

static void put_content(struct generator *generator, const char *key)
{
    static const char *const names[] = {
        "example.com",  "EXAMPLE.com", "/pricing",  "//a/", "a",    "/a b",         "-", "",
        "news.example", "\"q\"",       "a\\b",      "--",   "PH1 ", "News.Example", "/", "///",
        "/a//b///c/",   "a//b/",       "/Pricing//"};
    static const char *const kinds[] = {"heartbeat", "leave", "pageview", "event", "event",
                                        "Leave",     "-",     "",         "leavee"};
    static const char *const countries[] = {"DE", "fr", "gB", "-",  "",   "D",  "DEU", "D1", "@A",
                                            "z{", "XX", "zz", "T1", "a1", "A2", "o1",  "T2", "XZ"};
    uint32_t choice = generate_below(generator, 24);
    if (choice == 0)
        put_many(generator, once_in(generator, 2) ? 'n' : ' ', edge_length(generator));
    else if (choice == 1)
        put(generator, generate_below(generator, 256));
    else if (strcmp(key, "kind") == 0)
        put_one_of(generator, kinds, once_in(generator, 4) ? LENGTH(kinds) : 5);
    else if (strcmp(key, "country") == 0)
        put_one_of(generator, countries, once_in(generator, 4) ? LENGTH(countries) : 3);
    else if (strcmp(key, "visitor") == 0 && choice < 20)
        put_id(generator);
    else if (choice < 4)
        put_characters(generator);
    else if (strcmp(key, "room") == 0 && choice < 7)
        put_path(generator);
    else
        put_one_of(generator, names, once_in(generator, 4) ? LENGTH(names) : 4);
}

/* ---- text -------------------------------------------------------------------------------- */

static void put_escape(struct generator *generator, uint8_t byte)
{
    static const char *const others[] = {"\\ud83d\\ude00",
                                         "\\u00e9",
                                         "\\u20ac",
                                         "\\u0000",
                                         "\\n",
                                         "\\/",
                                         "\\b",
                                         "\\xc3\\xa9",
                                         "\\x2F",
                                         "\\uFFFF",
                                         "\\u0080",
                                         "\\ud800",
                                         "\\udc00",
                                         "\\ud800\\u0041",
                                         "\\ud83d\\n",
                                         "\\ud83d\\\"",
                                         "\\v",
                                         "\\x4",
                                         "\\xg1",
                                         "\\",
                                         "\\u12",
                                         "\\u00g0"};
    char escape[8];
    uint32_t choice = generate_below(generator, 40);
    snprintf(escape, sizeof(escape), choice % 2 ? "%s%02X" : "%s%02x",
             choice % 4 < 2 ? "\\u00" : "\\x", byte);
    if (choice > 2)
        put_text(generator, escape);
    else
        put_one_of(generator, others, choice == 0 && once_in(generator, 4) ? LENGTH(others) : 11);
}

/* Put the value of a key the way it would be written, or nearly. */
static void put_value(struct generator *generator, const char *key)
{
    static uint8_t content[4096];
    uint32_t begin = generator->length;
    put_content(generator, key);
    uint32_t length = generator->length - begin;
    memcpy(content, generator->bytes + begin, length);
    if (!memchr(content, ' ', length) && once_in(generator, 2))
        return;

    uint32_t escaping = once_in(generator, 3) ? 1 + generate_below(generator, 20) : 0;
    generator->length = begin;
    put(generator, '"');
    for (uint32_t i = 0; i < length; i++) {
        if (escaping && once_in(generator, escaping))
            put_escape(generator, content[i]);
        else if (content[i] == '"' || content[i] == '\\')
            put(generator, '\\'), put(generator, content[i]);
        else
            put(generator, content[i]);
    }
    if (!once_in(generator, 100))
        put(generator, '"');
    if (once_in(generator, 100))
        put(generator, generate_below(generator, 256));
}

static void put_word(struct generator *generator, const char *key)
{
    put_many(generator, ' ', once_in(generator, 10) ? generate_below(generator, 4) : 1);
    put_text(generator, key);
    if (!once_in(generator, 100))
        put(generator, '=');
    put_value(generator, key);
}

static void put_header(struct generator *generator)
{
    static const char *const headers[] = {
        "<190>Nov 22 03:56:23 presence: ",
        "<190>Nov 22 03:56:23 edge-1 presence: ",
        "<134>Nov 22 03:55:11 haproxy[8009]: ",
        "<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - ",
        "PH1x PH PH1",
        "<190>:",
        "<190>presence\t",
        "93 <190>1 2026-11-22T03:56:23Z edge presence - - [a@1 b=\"PH1\"] \xef\xbb\xbf",
        "xPH1 ",
        "<13>",
    };
    uint32_t choice = generate_below(generator, 30);
    if (choice < 10)
        put_one_of(generator, headers, LENGTH(headers));
    else if (choice == 10)
        put_many(generator, 'x', 1017 + generate_below(generator, 10)), put(generator, ' ');
    else if (choice == 11)
        put(generator, generate_below(generator, 256));
    put_text(generator, once_in(generator, 60) ? "PH1" : once_in(generator, 60) ? "PH" : "PH1 ");
}

void generate_text(struct generator *generator)
{
    static const char *const keys[] = {"site", "visitor", "room", "country",      "source", "event",
                                       "kind", "uri",     "Site", "a_longer_key", ""};
    static const uint8_t every[] = {50, 30, 2, 2, 2, 8, 8, 8, 60, 60, 90};
    static const char *const ends[] = {"\n", "\r\n", " \n", "\n ", " "};
    uint8_t order[LENGTH(keys)];
    for (uint32_t i = 0; i < LENGTH(keys); i++) {
        uint32_t other = generate_below(generator, i + 1);
        order[i] = order[other];
        order[other] = (uint8_t)i;
    }
    generator->length = 0;
    put_header(generator);
    for (uint32_t i = 0; i < LENGTH(keys); i++) {
        bool often = order[i] < 2; /* there must be a site and a visitor */
        if (once_in(generator, every[order[i]]) != often)
            put_word(generator, keys[order[i]]);
        if (once_in(generator, 300))
            put_word(generator, keys[order[i]]);
    }
    if (once_in(generator, 3))
        put_one_of(generator, ends, LENGTH(ends));
    if (once_in(generator, 8))
        put_many(generator, '\0', generate_below(generator, 4));
    if (once_in(generator, 10))
        generator->bytes[generate_below(generator, generator->length)] =
            (uint8_t)generate_below(generator, 256);
}

/* ---- native ------------------------------------------------------------------------------ */

/* Put a name, sometimes absent, and its length into the header. */
static void put_name(struct generator *generator, const char *key, uint32_t at, bool absent)
{
    uint32_t begin = generator->length;
    if (!absent)
        put_content(generator, key);
    generator->bytes[at] = (uint8_t)(generator->length - begin);
}

static void put_random(struct generator *generator, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        put(generator, generate_below(generator, 256));
}

/* Change one or two of the first `size` bytes: to any value, or by one. */
static void disturb(struct generator *generator, uint32_t size)
{
    for (uint32_t i = generate_below(generator, 2); i < 2; i++) {
        uint8_t *byte = &generator->bytes[generate_below(generator, size)];
        *byte = (uint8_t)(once_in(generator, 2) ? generate_below(generator, 256)
                                                : *byte + 2 * generate_below(generator, 2) - 1);
    }
}

/* Write the length, cut off at the longest possible, to bytes 4 and 5; sometimes then cut it. */
static void end_native(struct generator *generator, uint32_t header_size)
{
    if (generator->length > 65535)
        generator->length = 65535;
    generator->bytes[4] = (uint8_t)(generator->length >> 8);
    generator->bytes[5] = (uint8_t)generator->length;
    if (once_in(generator, 3))
        disturb(generator, header_size);
    if (once_in(generator, 20))
        generator->length -= generate_below(generator, generator->length + 1);
}

void generate_native(struct generator *generator)
{
    uint8_t *header = generator->bytes;
    bool authenticated = once_in(generator, 3);
    uint32_t visitors = once_in(generator, 500)  ? generate_below(generator, 4200)
                        : once_in(generator, 20) ? 0
                                                 : 1 + generate_below(generator, 4);
    memcpy(header, "PH\1", 3);
    header[3] = (uint8_t)(1 + generate_below(generator, 4));
    header[6] = authenticated;
    header[7] = authenticated ? (uint8_t)(1 + generate_below(generator, 255)) : 0;
    generator->length = 8;
    put_random(generator, 4);
    put(generator, visitors >> 8);
    put(generator, visitors);
    generator->length = 20;
    memcpy(header + 18, once_in(generator, 2) ? "\0\0" : "DE", 2);
    put_name(generator, "site", 14, once_in(generator, 100));
    put_name(generator, "room", 15, once_in(generator, 3));
    put_name(generator, "source", 16, once_in(generator, 3));
    put_name(generator, "event", 17, (header[3] != 4) != once_in(generator, 50));
    put_random(generator, visitors * 16 + (authenticated ? 8 : 0));
    end_native(generator, 20);
}

/* Put names for the four fields of records in turn, and return how many. */
static uint32_t put_names(struct generator *generator)
{
    static const char *const keys[] = {"site", "room", "source", "event"};
    uint32_t count = once_in(generator, 50) ? generate_below(generator, 256)
                                            : 4 * (1 + generate_below(generator, 3));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = generator->length;
        put(generator, 0);
        put_name(generator, keys[i % 4], at, false);
        if (generator->bytes[at] == 0)
            put_text(generator, once_in(generator, 40) ? "" : "x");
        generator->bytes[at] = (uint8_t)(generator->length - at - 1);
    }
    return count;
}

/* Put a record whose names are those that put_names put for its fields, or, rarely, any. */
static void put_record(struct generator *generator, uint32_t names)
{
    uint32_t kind =
        once_in(generator, 100) ? generate_below(generator, 7) : 1 + generate_below(generator, 4);
    uint32_t visitors = once_in(generator, 100)   ? generate_below(generator, 256)
                        : once_in(generator, 200) ? 0
                                                  : 1 + generate_below(generator, 2);
    put(generator, kind);
    for (uint32_t field = 0; field < 4; field++) {
        uint32_t group = names < 4 ? 0 : generate_below(generator, names / 4);
        uint32_t number = 4 * group + field + 1;
        bool absent = field == 3 ? (kind != 4) != once_in(generator, 200)
                                 : once_in(generator, field == 0 ? 300 : 3);
        if (once_in(generator, 200))
            number = generate_below(generator, names + 2);
        put(generator, absent ? 0 : number);
    }
    put(generator, visitors);
    static const char countries[][2] = {{0, 0}, {'D', 'E'}, {'X', 'X'}, {'d', 'e'}, {'D', 0}};
    uint32_t country = generate_below(generator, once_in(generator, 100) ? 5 : 3);
    put(generator, (uint8_t)countries[country][0]);
    put(generator, (uint8_t)countries[country][1]);
    put_random(generator, visitors * 16);
}

void generate_v2(struct generator *generator)
{
    uint8_t *header = generator->bytes;
    bool authenticated = once_in(generator, 3), has_stream = !once_in(generator, 4);
    uint32_t records =
        once_in(generator, 500) ? generate_below(generator, 3000) : generate_below(generator, 8);
    memcpy(header, "PH\2", 3);
    header[3] = authenticated;
    header[6] = authenticated ? (uint8_t)(1 + generate_below(generator, 255)) : 0;
    generator->length = 8;
    put_random(generator, 4);
    put_many(generator, 0, 12);
    if (has_stream) {
        generator->length = 12;
        put_random(generator, 12);
    }
    put(generator, records >> 8);
    put(generator, records);
    put_random(generator, 2);
    header[7] = (uint8_t)put_names(generator);
    for (uint32_t i = 0; i < records && generator->length < 65536; i++)
        put_record(generator, header[7]);
    if (authenticated)
        put_random(generator, 8);
    end_native(generator, once_in(generator, 2) ? 28 : generator->length);
}
