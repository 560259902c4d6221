/* test_text_encode.c - the encoding half of text.h, and that its result is decoded as the same. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/text.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NAME(text)                                \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

static const struct {
    struct wire_heartbeat heartbeat;
    struct wire_name visitor;
    const char *text; /* NULL: text can't carry it */
} cases[] = {
    {{.site = NAME("example.com"), .kind = 1}, NAME("v"), "PH1 site=example.com visitor=v"},
    {{.site = NAME("a"), .kind = 2}, NAME(" v  "), "PH1 site=a visitor=v kind=leave"},
    {{.site = NAME("a"), .kind = 3}, NAME("v w"), "PH1 site=a visitor=\"v w\" kind=pageview"},
    {{.site = NAME("a"), .kind = 4, .event = NAME("buy")},
     NAME("v"),
     "PH1 site=a visitor=v event=buy"},
    {{.site = NAME("a"), .kind = 1, .room = NAME("/r"), .country = {'D', 'E'}, .source = NAME("s")},
     NAME(GOLDEN_VISITOR_TEXT),
     "PH1 site=a visitor=" GOLDEN_VISITOR_TEXT " room=/r country=DE source=s"},
    {{.site = NAME("a b"), .kind = 1, .room = NAME("\"q\""), .source = NAME("x\"y\\z")},
     NAME("v"),
     "PH1 site=\"a b\" visitor=v room=\"\\\"q\\\"\" source=x\"y\\z"},
    {{.site = NAME("a"), .kind = 1, .room = NAME("x \"y\\")},
     NAME("v"),
     "PH1 site=a visitor=v room=\"x \\\"y\\\\\""},
    {{.site = NAME("a"), .kind = 1, .room = NAME("/caf\xc3\xa9 x")},
     NAME("\xff"),
     "PH1 site=a visitor=\xff room=\"/caf\xc3\xa9 x\""},
    {{.site = NAME("a"), .kind = 1}, NAME("v\n"), "PH1 site=a visitor=\"v\\u000a\""},
    {{.site = NAME("a"), .kind = 1}, NAME("\0\x1f"), "PH1 site=a visitor=\"\\u0000\\u001f\""},
    {{.site = NAME("a"), .kind = 1, .room = NAME("a=b"), .source = NAME("--")},
     NAME("=\""),
     "PH1 site=a visitor==\" room=a=b source=--"},

    {{.kind = 1}, NAME("v"), NULL},
    {{.site = NAME("-"), .kind = 1}, NAME("v"), NULL},
    {{.site = NAME("a\n"), .kind = 1}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 0}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 5}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 4}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .event = NAME("e")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 4, .event = NAME("-")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .room = NAME("-")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .room = NAME("\x7f")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .source = NAME("-")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .source = NAME("\xc3")}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .country = {'d', 'e'}}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1, .authenticated = 1, .key_id = 1}, NAME("v"), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME(""), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME("   "), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME("-"), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME(" - "), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME("undefined"), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME(" NULL"), NULL},
    {{.site = NAME("a"), .kind = 1}, NAME("00000000-0000-0000-0000-000000000000"), NULL},
    {{.site = NAME("a"), .kind = 1, .country = {'X', 'X'}}, NAME("v"), NULL},
};

static bool same(struct wire_name one, struct wire_name other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.bytes, other.bytes, one.length) == 0);
}

static void expect_read(const struct bytes *datagram, const struct wire_heartbeat *heartbeat,
                        struct wire_name visitor)
{
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    uint8_t id[WIRE_VISITOR_SIZE];
    assert_int_equal(text_decode(datagram->bytes, datagram->length, &scratch, &got), WIRE_ACCEPTED);
    assert_true(same(got.site, heartbeat->site));
    assert_true(same(got.room, heartbeat->room));
    assert_true(same(got.source, heartbeat->source));
    assert_true(same(got.event, heartbeat->event));
    assert_memory_equal(got.country, heartbeat->country, 2);
    assert_int_equal(got.kind, heartbeat->kind);
    assert_int_equal(got.labels_invalid + got.rooms_too_long, 0);
    assert_true(text_visitor_id(visitor.bytes, visitor.length, id));
    assert_memory_equal(got.visitor_ids, id, sizeof(id));
}

static void every_case(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        uint32_t expected = cases[i].text ? (uint32_t)strlen(cases[i].text) : 0;
        for (uint32_t capacity = 0; capacity < 200; capacity++) {
            struct bytes datagram = {calloc(1, capacity), capacity};
            uint32_t size = text_encode(&cases[i].heartbeat, cases[i].visitor.bytes,
                                        cases[i].visitor.length, datagram.bytes, capacity);
            if (size != (capacity >= expected ? expected : 0))
                fail_msg("case %zu: %u bytes, not %u", i, size, expected);
            if (size != 0 && memcmp(datagram.bytes, cases[i].text, size) != 0)
                fail_msg("'%.*s', not '%s'", (int)size, (char *)datagram.bytes, cases[i].text);
            if (size == capacity && size != 0)
                expect_read(&datagram, &cases[i].heartbeat, cases[i].visitor);
            bytes_free(&datagram);
        }
    }
}

static void longest_names(void **state)
{
    (void)state;
    static uint8_t quotes[WIRE_ID_MAX + 1], datagram[4096];
    memset(quotes, '"', sizeof(quotes));
    for (uint32_t more = 0; more < 5; more++) {
        struct wire_heartbeat heartbeat = {
            .site = {quotes, WIRE_SITE_MAX + (more == 1)},
            .room = {quotes, WIRE_ROOM_MAX + (more == 2)},
            .source = {quotes, WIRE_SOURCE_MAX + (more == 3)},
            .event = {quotes, WIRE_EVENT_MAX + (more == 4)},
            .kind = WIRE_EVENT,
        };
        uint32_t size = text_encode(&heartbeat, quotes, WIRE_ID_MAX, datagram, sizeof(datagram));
        assert_int_equal(size != 0, more == 0);
        struct bytes written = bytes_copy(datagram, size);
        if (size != 0)
            expect_read(&written, &heartbeat, (struct wire_name){quotes, WIRE_ID_MAX});
        bytes_free(&written);
        assert_int_equal(
            text_encode(&heartbeat, quotes, WIRE_ID_MAX + 1, datagram, sizeof(datagram)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case),
        cmocka_unit_test(longest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
