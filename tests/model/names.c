#include "names.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const site_names[] = {
    "example.com", "a", "-", "\xc3\x84rger.example", "with space.example", "DE",
};

static const char *const room_names[] = {
    "/",
    "/pricing",
    "/Pricing",
    "/pricing/a/b",
    "pricing//a/",
    "-",
    "DE",
    "a b",
    " leading and trailing ",
    "\"quoted\"",
    "back\\slash",
    "a=b",
    "=",
    "x\"y",
    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
    "\xed\x9f\xbf\xee\x80\x80",
    "example.com",
    "\\u0041",
    "--",
};

static const char *const source_names[] = {
    "/",
    "//news//",
    "-",
    "de",
    "a b",
    " leading and trailing ",
    "\"quoted\"",
    "back\\slash",
    "a=b",
    "=",
    "x\"y",
    "\xc3\x89\xe2\x82\xac\xf0\x9f\x98\x80",
    "\xed\x9f\xbf\xee\x80\x80",
    "news.example",
    "android-app://com.example",
    "--",
};

static const char *const country_names[] = {"DE", "US", "AZ", "ZA", "GB", "CH", "AA", "ZZ"};

static const char *const visitor_texts[] = {
    "visitor-42",
    "x",
    "two words",
    "0123456789abcdef0123456789abcdef",
    "{01234567-89ab-cdef-0123-456789abcdef}",
    "0123456-789ab-cdef-0123-456789abcdef0",
    "01234567-89ab-cdef-0123-456789abcdeg",
    "quote\"and\\backslash",
    "\xc3\xa9\xf0\x9f\x98\x80",
    "not \xff\xfe UTF-8 \x80",
    "control\x01\x1f\tcharacters",
    "undefined?",
    "00000000000000000000000000000000",
    "--",
};

static void set_name(struct name *name, const char *text)
{
    name->length = (uint16_t)strlen(text);
    memcpy(name->bytes, text, name->length);
}

static void make_longest(struct name *name, unsigned length, unsigned number)
{
    name->length = (uint16_t)length;
    memset(name->bytes, 'l', length);
    name->bytes[length - 1] = (uint8_t)('a' + number);
}

static void make_name(struct name *name, enum place place, unsigned number)
{
    static const char *const forms[PLACES][2] = {
        {"site-", ".example"}, {"/room/", ""}, {"", ""}, {"source-", ""}};
    char text[64];

    if (place == PLACE_COUNTRY) {
        set_name(name, country_names[number % LENGTH(country_names)]);
        return;
    }
    const char *const *names = place == PLACE_SITE   ? site_names
                               : place == PLACE_ROOM ? room_names
                                                     : source_names;
    unsigned fixed = place == PLACE_SITE   ? LENGTH(site_names)
                     : place == PLACE_ROOM ? LENGTH(room_names)
                                           : LENGTH(source_names);
    if (number < fixed) {
        set_name(name, names[number]);
    } else if (number < fixed + 2) {
        make_longest(name, place == PLACE_ROOM ? 255 : 253, number - fixed);
    } else {
        snprintf(text, sizeof(text), "%s%u%s", forms[place][0], number, forms[place][1]);
        set_name(name, text);
    }
}

static void make_uuid(struct visitor *visitor, struct random_source *random)
{
    char text[40], *end = text;

    for (int i = 0; i < 16; i++) {
        visitor->id[i] = (uint8_t)random_next(random);
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *end++ = '-';
        end += snprintf(end, 3, "%02x", visitor->id[i]);
    }
    visitor->is_uuid = true;
    set_name(&visitor->text, text);
}

static void make_visitor(struct visitor *visitor, unsigned number, struct random_source *random)
{
    char text[NAME_MAX_BYTES + 1];

    visitor->is_uuid = false;
    if (number < LENGTH(visitor_texts)) {
        set_name(&visitor->text, visitor_texts[number]);
    } else if (number % 2) {
        make_uuid(visitor, random);
        return;
    } else {
        unsigned width = number % 4 ? 1 : 484 + number % 29; /* some of the greatest length */
        snprintf(text, sizeof(text), "%0*u", (int)width, number);
        set_name(&visitor->text, text);
    }
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(visitor->text.bytes, visitor->text.length));
    memcpy(visitor->id, canonical.digest, sizeof(visitor->id));
}

void names_make(struct names *names, const unsigned counts[PLACES], unsigned visitors,
                struct random_source *random)
{
    for (int place = 0; place < PLACES; place++) {
        /* Skip a random part of the fixed names, so that a few sites are not always the same
         * ones. */
        unsigned skip = place == PLACE_COUNTRY ? 0 : random_below(random, 8);
        names->counts[place] = counts[place];
        for (unsigned i = 0; i < counts[place]; i++)
            make_name(&names->names[place][i], (enum place)place, skip + i);
    }
    names->visitor_count = visitors;
    for (unsigned i = 0; i < visitors; i++)
        make_visitor(&names->visitors[i], i, random);
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

unsigned name_respell(const struct name *name, enum place place, struct random_source *random,
                      uint8_t *ret, unsigned longest)
{
    bool is_path = place == PLACE_ROOM && name->length > 0 && name->bytes[0] == '/';
    unsigned more = longest - name->length, written = 0;

    if (random_one_in(random, 2))
        more = 0;
    for (unsigned i = 0; i <= name->length; i++) {
        bool may_repeat = is_path && (i == name->length || name->bytes[i] == '/');
        unsigned slashes = may_repeat && random_one_in(random, 2) ? random_below(random, 9) : 0;
        for (; slashes && more; slashes--, more--)
            ret[written++] = '/';
        if (i < name->length)
            ret[written++] = name->bytes[i];
    }
    if (place == PLACE_ROOM || random_one_in(random, 2))
        return written;
    for (unsigned i = 0; i < written; i++)
        ret[i] ^= is_letter(ret[i]) && random_one_in(random, 2) ? 0x20 : 0;
    return written;
}

bool name_is_hyphen(const struct name *name)
{
    return name->length == 1 && name->bytes[0] == '-';
}
