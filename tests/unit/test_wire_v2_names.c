/* test_wire_v2_names.c - the names and records of version 2: how long, how many, in which form; and
 * that what is encoded is decoded as the same. */
#include "../support/encode_v2.h"
#include "wire_v2_fixture.h"

static struct draft draft;

/* Decode what the draft holds, expect this reason, and free it. */
static void expect_draft(const char *what, uint8_t key_id, enum wire_reason expected)
{
    struct bytes datagram = draft_end(&draft, key_id);
    struct bytes header = bytes_copy(datagram.bytes, WIRE_V2_HEADER_SIZE);
    struct wire_v2_datagram got;
    memset(&got, 0xff, sizeof(got)); /* what it held before must not matter */
    expect_reason(what, wire_v2_decode(datagram.bytes, datagram.length, &got), expected);
    enum wire_reason shape = wire_v2_shape(header.bytes, datagram.length);
    if (expected == WIRE_ACCEPTED)
        expect_reason(what, shape, WIRE_ACCEPTED);
    bytes_free(&header);
    bytes_free(&datagram);
}

/* ---- lengths ----------------------------------------------------------------------------- */

/* A name of every length in each of a record's fields. */
static void every_length_of_a_name(void **state)
{
    (void)state;
    static const uint32_t longest[] = {253, 255, 253, 63};
    for (uint32_t field = 0; field < 4; field++) {
        for (uint32_t length = 1; length <= 255; length++) {
            draft_begin(&draft);
            uint8_t site = draft_run(&draft, 's', 3), name = draft_run(&draft, 'n', length);
            struct wire_v2_record record = {.site = site, .kind = 1, .visitors = 1};
            uint8_t *const fields[] = {&record.site, &record.room, &record.source, &record.event};
            *fields[field] = name;
            record.kind = field == 3 ? WIRE_EVENT : WIRE_PAGEVIEW;
            draft_record(&draft, record);
            expect_draft("length", length % 2 ? 9 : 0,
                         length <= longest[field] ? WIRE_ACCEPTED : WIRE_MALFORMED);
        }
    }
}

/* Names that no record has may be of any length but 0, and equal to others. */
static void names_may_be_unused_and_repeated(void **state)
{
    (void)state;
    draft_begin(&draft);
    draft_run(&draft, 'u', 255);
    draft_run(&draft, 's', 3);
    draft_run(&draft, 's', 3);
    expect_draft("no record", 0, WIRE_ACCEPTED);
    draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 3, .visitors = 1});
    draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 2, .room = 3, .visitors = 1});
    expect_draft("repeated", 0, WIRE_ACCEPTED);
    draft_begin(&draft);
    draft_name(&draft, "", 0);
    expect_draft("a name of nothing", 0, WIRE_MALFORMED);
    draft_begin(&draft);
    draft_name(&draft, "site", 4);
    draft_name(&draft, "", 0);
    draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 1, .visitors = 1});
    expect_draft("an unused name of nothing", 0, WIRE_MALFORMED);
    draft_begin(&draft);
    draft_name(&draft, "s", 1);
    draft_name(&draft, "a\x1f", 2);
    draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 1, .visitors = 1});
    expect_draft("an unused name with a control character", 0, WIRE_MALFORMED);
}

/* Two names are not one: a character must not cross from one to the next. */
static void a_character_stays_in_its_name(void **state)
{
    (void)state;
    for (uint32_t length = 1; length < 20; length++) {
        char name[32];
        memset(name, 'x', sizeof(name));
        name[length - 1] = '\xc3';
        draft_begin(&draft);
        draft_name(&draft, name, length);
        draft_name(&draft, "\xa9", 1);
        draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 1, .visitors = 1});
        expect_draft("half a character", 0, WIRE_MALFORMED);
    }
}

/* A name beginning at `at` in the draft, whose byte `place` is `byte`, is as valid as it is. */
static void expect_byte(uint32_t at, uint32_t place, uint8_t byte, bool right)
{
    uint8_t before = draft.bytes[at + place];
    draft.bytes[at + place] = byte;
    expect_draft("a byte", 0, right ? WIRE_ACCEPTED : WIRE_MALFORMED);
    draft.bytes[at + place] = before;
}

/* Two names of every length up to 40, with each kind of byte everywhere; without and with records,
 * since names are scanned together only if enough bytes follow. */
static void a_fault_anywhere(void **state)
{
    (void)state;
    static const uint8_t bad[] = {0x00, 0x1f, 0x7f, 0x80, 0xff};
    for (uint32_t i = 0; i < 40 * 40 * 2; i++) {
        const uint32_t lengths[] = {1 + i % 40, 1 + i / 40 % 40};
        draft_begin(&draft);
        draft_run(&draft, 'a', lengths[0]);
        draft_run(&draft, 'b', lengths[1]);
        if (i < 40 * 40)
            draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 1, .visitors = 1});
        const uint32_t begins[] = {29, 29 + lengths[0] + 1};
        for (uint32_t name = 0; name < 2; name++) {
            for (uint32_t place = 0; place < lengths[name]; place++) {
                expect_byte(begins[name], place, bad[(i + place) % LENGTH(bad)], false);
                expect_byte(begins[name], place, place % 2 ? 0x20 : 0x7e, true);
            }
        }
    }
}

/* As many and as long names as are scanned together, about so many, and all. */
static void a_fault_among_many_names(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 14, 15, 16, 31, 32, 126, 127, 247};
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        draft_begin(&draft);
        for (uint32_t name = 0; name < 255; name++)
            draft_run(&draft, 'n', lengths[i]);
        uint32_t size = lengths[i] + 1;
        draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 255, .visitors = 1});
        expect_draft("many names", 0, WIRE_ACCEPTED);
        for (uint32_t name = 0; name < 255; name += name < 250 ? 7 : 1) {
            uint32_t at = 29 + name * size;
            expect_byte(at, 0, 0x1f, false);
            expect_byte(at, lengths[i] / 2, 0xa0, false);
            expect_byte(at, lengths[i] - 1, 0x7f, false);
            expect_byte(at, lengths[i] - 1, 'N', true);
        }
    }
}

/* Control characters 16 bytes apart, up to a number that is 0 in 8 bits. */
static void many_faults(void **state)
{
    (void)state;
    for (uint32_t names = 15; names <= 20; names++) {
        draft_begin(&draft);
        for (uint32_t name = 0; name < names; name++) /* the last one leaves room for the site */
            draft_run(&draft, 'n', name + 1 < names ? 255 : 251);
        uint8_t site = draft_run(&draft, 's', 3);
        draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = site, .visitors = 1});
        expect_draft("no fault", 0, WIRE_ACCEPTED);
        for (uint32_t fault = 0; fault < 16 * names; fault++) {
            draft.bytes[28 + 16 * fault + 7] = 0x1f;
            expect_draft("many faults", 0, WIRE_MALFORMED);
        }
    }
}

/* Names of 16 bytes and around, with too little behind them for a record. */
static void names_near_the_end(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= 50; length++) {
        for (uint32_t behind = 0; behind <= 24; behind++) {
            for (uint32_t records = 0; records <= 1; records++) {
                draft_begin(&draft);
                draft_run(&draft, 'n', length);
                draft.length += behind;
                draft.records = records;
                expect_draft("near the end", 0, records || behind ? WIRE_MALFORMED : WIRE_ACCEPTED);
            }
        }
    }
}

/* ---- numbers ----------------------------------------------------------------------------- */

/* Every number of a name in each field, with from no to all 255 names. */
static void every_number_of_a_name(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 7, 254, 255};
    for (size_t i = 0; i < LENGTH(counts); i++) {
        for (uint32_t field = 0; field < 4; field++) {
            for (uint32_t number = 0; number <= 255; number++) {
                draft_begin(&draft);
                for (uint32_t name = 0; name < counts[i]; name++)
                    draft_run(&draft, 'n', 1 + name % 60);
                struct wire_v2_record record = {.site = 1, .kind = 1, .visitors = 1};
                uint8_t *const fields[] = {&record.site, &record.room, &record.source,
                                           &record.event};
                *fields[field] = (uint8_t)number;
                record.kind = field == 3 ? WIRE_EVENT : WIRE_HEARTBEAT;
                draft_record(&draft, record);
                bool may_be_absent = field == 1 || field == 2;
                bool right = number <= counts[i] && (number != 0 || may_be_absent);
                expect_draft("number", 0, right ? WIRE_ACCEPTED : WIRE_MALFORMED);
            }
        }
    }
}

/* A record without visitors is malformed beside any others. */
static void no_visitor(void **state)
{
    (void)state;
    for (uint8_t empty = 0; empty < 3; empty++) {
        draft_begin(&draft);
        draft_name(&draft, "site", 4);
        for (uint8_t i = 0; i < 3; i++) {
            struct wire_v2_record record = {.kind = 1, .site = 1, .visitors = i == empty ? 0 : 2};
            draft_record(&draft, record);
        }
        expect_draft("no visitor", 0, WIRE_MALFORMED);
    }
}

/* 255 visitors in a record, 255 names, and as many records as a datagram carries. */
static void the_most(void **state)
{
    (void)state;
    static struct wire_v2_datagram got;
    draft_begin(&draft);
    for (uint32_t i = 0; i < 255; i++)
        draft_run(&draft, 'n', 1);
    for (uint32_t i = 0; i < 15; i++)
        draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 255, .visitors = 255});
    struct bytes datagram = draft_end(&draft, 0);
    expect_reason("most visitors", wire_v2_decode(datagram.bytes, datagram.length, &got), 0);
    assert_int_equal(got.visitors, 15 * 255);
    bytes_free(&datagram);

    draft_begin(&draft);
    draft_run(&draft, 's', 11);
    while (draft.length + 24 <= WIRE_DATAGRAM_MAX)
        draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 1, .visitors = 1});
    datagram = draft_end(&draft, 0);
    expect_reason("most records", wire_v2_decode(datagram.bytes, datagram.length, &got), 0);
    assert_int_equal(got.records, (WIRE_DATAGRAM_MAX - 28 - 12) / 24);
    assert_int_equal(got.visitors, got.records);
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    for (uint32_t i = 0; i < got.records; i++) {
        assert_true(wire_v2_next(&got, &scratch, &record));
        assert_int_equal(record.visitor_ids[15], i & 0xff);
    }
    assert_false(wire_v2_next(&got, &scratch, &record));
    /* a length of 65536 more has the same low 16 bits */
    expect_reason("65536 more", wire_v2_shape(datagram.bytes, datagram.length + 65536),
                  WIRE_MALFORMED);
    bytes_free(&datagram);
}

/* The header alone shows that a datagram is too short or too long for its names and records. */
static void the_header_bounds_the_length(void **state)
{
    (void)state;
    for (uint32_t names = 0; names <= 255; names += 51) {
        for (uint32_t records = 0; records <= 12; records++) {
            uint32_t least = 28 + 2 * names + 24 * records,
                     most = 28 + 256 * names + 4088 * records;
            for (uint32_t tag = 0; tag <= 8; tag += 8) {
                uint8_t header[28] = {'P', 'H', 2, tag != 0, 0, 0, tag != 0, (uint8_t)names};
                header[25] = (uint8_t)records;
                for (uint32_t length = 0; length <= 65535; length++) {
                    header[4] = (uint8_t)(length >> 8);
                    header[5] = (uint8_t)length;
                    bool fits = length >= least + tag && length <= most + tag &&
                                (names != 0 || records == 0);
                    if ((wire_v2_shape(header, length) == WIRE_ACCEPTED) != fits)
                        fail_msg("%u names, %u records, %u bytes", names, records, length);
                }
            }
        }
    }
}

/* ---- the canonical form ------------------------------------------------------------------ */

static const struct {
    const char *name, *as_site, *as_room;
} forms[] = {
    {"news.example", "news.example", "news.example"},
    {"News.Example", "news.example", "News.Example"},
    {"Z", "z", "Z"},
    {"/", "/", "/"},
    {"/t", "/t", "/t"},
    {"/t/", "/t/", "/t"},
    {"//T", "//t", "/T"},
    {"///", "///", "/"},
    {"/A//b///c//////////////////////d/", "/a//b///c//////////////////////d/", "/A/b/c/d"},
    {"t//", "t//", "t//"},
    {"/seven7", "/seven7", "/seven7"},
    {"/CAF\xc3\x89//", "/caf\xc3\x89//", "/CAF\xc3\x89"},
};

/* Each name in each field, beside each other name in the others. */
static void each_use_has_its_form(void **state)
{
    (void)state;
    static struct wire_v2_datagram got;
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    draft_begin(&draft);
    for (size_t i = 0; i < LENGTH(forms); i++)
        draft_name(&draft, forms[i].name, (uint32_t)strlen(forms[i].name));
    uint8_t names = (uint8_t)draft.names;
    for (uint8_t i = 0; i < names * names; i++) {
        uint8_t one = 1 + i % names, other = 1 + i / names;
        draft_record(&draft, (struct wire_v2_record){4, one, other, other, one, 1, {0}});
        draft_record(&draft, (struct wire_v2_record){4, one, one, 0, other, 1, {0}});
    }
    struct bytes datagram = draft_end(&draft, 0);
    expect_reason("forms", wire_v2_decode(datagram.bytes, datagram.length, &got), WIRE_ACCEPTED);
    for (uint8_t i = 0; i < names * names; i++) {
        uint8_t one = i % names, other = i / names;
        assert_true(wire_v2_next(&got, &scratch, &record));
        expect_name("site", record.site, forms[one].as_site);
        expect_name("room", record.room, forms[other].as_room);
        expect_name("source", record.source, forms[other].as_site);
        expect_name("event", record.event, forms[one].name);
        assert_true(wire_v2_next(&got, &scratch, &record));
        expect_name("site", record.site, forms[one].as_site);
        expect_name("room", record.room, forms[one].as_room);
        expect_name("source", record.source, "");
        expect_name("event", record.event, forms[other].name);
    }
    bytes_free(&datagram);
}

/* Expect the first record's site and room, for a path that is both; beside other names. */
static void expect_path_among(const uint8_t *path, uint32_t length, uint32_t beside,
                              const char *site, const char *room)
{
    static struct wire_v2_datagram got;
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    draft_begin(&draft);
    draft_run(&draft, 'x', 3);
    draft_name(&draft, path, length);
    draft_run(&draft, 'y', beside);
    draft_record(&draft, (struct wire_v2_record){.kind = 1, .site = 2, .room = 2, .visitors = 1});
    struct bytes datagram = draft_end(&draft, 0);
    expect_reason("path", wire_v2_decode(datagram.bytes, datagram.length, &got), WIRE_ACCEPTED);
    assert_true(wire_v2_next(&got, &scratch, &record));
    expect_name("site", record.site, site);
    expect_name("room", record.room, room);
    bytes_free(&datagram);
}

static void expect_path(const uint8_t *path, uint32_t length, const char *site, const char *room)
{
    expect_path_among(path, length, 5, site, room);
    expect_path_among(path, length, '/', site, room); /* a length that looks like a slash */
    expect_path_among(path, length, 'Q', site, room);
}

/* A capital, a slash, two slashes, at each place of paths of every length; and at their end. */
static void each_place_of_a_path(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= 60; length++) {
        char path[64] = "/", site[64], room[64];
        memset(path + 1, 'p', length - 1);
        expect_path((const uint8_t *)path, length, path, path);
        for (uint32_t place = 1; place < length; place++) {
            memset(path + 1, 'p', length - 1);
            path[place] = (char)('A' + (length + place) % 26);
            strcpy(site, path);
            site[place] = (char)('a' + (length + place) % 26);
            expect_path((const uint8_t *)path, length, site, path);
            path[place] = '/';
            strcpy(site, path);
            strcpy(room, path);
            if (place == 1)
                memmove(room, room + 1, length);
            if (strlen(room) > 1 && room[strlen(room) - 1] == '/')
                room[strlen(room) - 1] = '\0';
            expect_path((const uint8_t *)path, length, site, room);
        }
    }
}

/* ---- encoding ---------------------------------------------------------------------------- */

static struct wire_name name(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Encode into every smaller capacity, and into that of the golden datagram. */
static void expect_encoded(struct wire_v2_header header, const struct wire_heartbeat *heartbeats,
                           uint32_t count, const char *hex)
{
    struct bytes golden = bytes_from_hex(hex);
    uint32_t unwritten = header.key_id ? WIRE_TAG_SIZE : 0;
    for (uint32_t capacity = 0; capacity <= golden.length; capacity++) {
        struct bytes written = {calloc(1, capacity), capacity};
        uint32_t length = encode_v2(header, heartbeats, count, written.bytes, capacity);
        assert_int_equal(length, capacity == golden.length ? golden.length : 0);
        if (length != 0)
            assert_memory_equal(written.bytes, golden.bytes, length - unwritten);
        bytes_free(&written);
    }
    bytes_free(&golden);
}

static void goldens_are_written(void **state)
{
    (void)state;
    struct bytes visitors = bytes_from_hex(GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX);
    struct wire_v2_header header = {.stream = GOLDEN_STREAM, .sequence = 1};
    const struct wire_heartbeat heartbeats[] = {
        {.site = name("example.com"),
         .room = name("/pricing"),
         .source = name("news.example"),
         .country = {'D', 'E'},
         .kind = WIRE_HEARTBEAT,
         .visitors = 2,
         .visitor_ids = visitors.bytes},
        {.site = name("example.com"),
         .room = name("/"),
         .kind = WIRE_PAGEVIEW,
         .visitors = 1,
         .visitor_ids = visitors.bytes},
        {.site = name("example.com"),
         .kind = WIRE_HEARTBEAT,
         .visitors = 1,
         .visitor_ids = visitors.bytes},
    };
    expect_encoded(header, heartbeats, 2, GOLDEN_V2_HEX);
    header.sequence = 3;
    expect_encoded(header, heartbeats, 0, GOLDEN_V2_EMPTY_HEX);
    header = (struct wire_v2_header){
        .stream = GOLDEN_STREAM, .sequence = 2, .key_id = 7, .sent_at = GOLDEN_SENT_AT};
    expect_encoded(header, heartbeats + 2, 1, GOLDEN_V2_SIGNED_HEX);
    bytes_free(&visitors);
}

/* Every field of a header is written to its place, and read from there. */
static void header_fields_are_kept(void **state)
{
    (void)state;
    const struct wire_v2_header fields = {
        .stream = UINT64_C(0xf1f2f3f4f5f6f7f8),
        .sequence = 0xe1e2e3e4,
        .target = 0xd1d2,
        .key_id = 0xc1,
        .sent_at = 0xb1b2b3b4,
        .length = 36,
    };
    struct bytes datagram = {calloc(1, 36), 36};
    struct wire_v2_datagram got;
    wire_v2_encode_header(&fields, datagram.bytes);
    expect_reason("fields", wire_v2_decode(datagram.bytes, 36, &got), WIRE_ACCEPTED);
    assert_true(got.stream == fields.stream);
    assert_true(got.sequence == fields.sequence);
    assert_int_equal(got.target, fields.target);
    assert_int_equal(got.key_id, fields.key_id);
    assert_true(got.sent_at == fields.sent_at);
    assert_int_equal(got.records, 0);
    bytes_free(&datagram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_of_a_name),
        cmocka_unit_test(names_may_be_unused_and_repeated),
        cmocka_unit_test(a_character_stays_in_its_name),
        cmocka_unit_test(a_fault_anywhere),
        cmocka_unit_test(a_fault_among_many_names),
        cmocka_unit_test(many_faults),
        cmocka_unit_test(names_near_the_end),
        cmocka_unit_test(every_number_of_a_name),
        cmocka_unit_test(no_visitor),
        cmocka_unit_test(the_most),
        cmocka_unit_test(the_header_bounds_the_length),
        cmocka_unit_test(each_use_has_its_form),
        cmocka_unit_test(each_place_of_a_path),
        cmocka_unit_test(goldens_are_written),
        cmocka_unit_test(header_fields_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
