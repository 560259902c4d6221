#include "names.h"

#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const char *const site_names[] = {
    "example.com", "a", "-", "\xc3\x84rger.example", "with space.example", "DE",
};

static const char *const label_names[] = {
    "/",
    "/pricing",
    "/Pricing",
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
    "--",
};

static void set_name(struct name *name, const char *text)
{
    name->length = (uint8_t)strlen(text);
    memcpy(name->bytes, text, name->length);
}

static void make_longest(struct name *name, unsigned length, unsigned number)
{
    name->length = (uint8_t)length;
    memset(name->bytes, 'l', length);
    name->bytes[length - 1] = (uint8_t)('a' + number);
}

static void make_name(struct name *name, enum place place, unsigned number)
{
    static const char *const forms[PLACES] = {"site-%u.example", "/room/%u", "", "source-%u"};
    char text[64];

    if (place == PLACE_COUNTRY) {
        set_name(name, country_names[number % LENGTH(country_names)]);
        return;
    }
    bool is_site = place == PLACE_SITE;
    unsigned fixed = is_site ? LENGTH(site_names) : LENGTH(label_names);
    if (number < fixed) {
        set_name(name, is_site ? site_names[number] : label_names[number]);
    } else if (number < fixed + 2) {
        make_longest(name, place == PLACE_ROOM ? 255 : 253, number - fixed);
    } else {
        snprintf(text, sizeof(text), forms[place], number);
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
    char text[130];

    visitor->is_uuid = false;
    if (number < LENGTH(visitor_texts)) {
        set_name(&visitor->text, visitor_texts[number]);
    } else if (number % 2) {
        make_uuid(visitor, random);
        return;
    } else {
        unsigned width = number % 4 ? 1 : 100 + number % 29; /* some of the greatest length */
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
        /* A random part of the fixed names, so that a few sites are not always the same ones. */
        unsigned skip = place == PLACE_COUNTRY ? 0 : random_below(random, 8);
        names->counts[place] = counts[place];
        for (unsigned i = 0; i < counts[place]; i++)
            make_name(&names->names[place][i], (enum place)place, skip + i);
    }
    names->visitor_count = visitors;
    for (unsigned i = 0; i < visitors; i++)
        make_visitor(&names->visitors[i], i, random);
}

bool name_is_hyphen(const struct name *name)
{
    return name->length == 1 && name->bytes[0] == '-';
}
