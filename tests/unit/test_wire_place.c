/* test_wire_place.c - the names of version 1 in canonical form. */
#include "wire_fixture.h"

/* ---- sites ------------------------------------------------------------------------------- */

/* Letters of every site length and offset, and no other byte, are lower-cased. */
static void sites_are_lower_cased(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= WIRE_SITE_MAX; length += length < 40 ? 1 : 71) {
        struct lengths of = {"site", 1, 0, length, 5, 0, 0, 1, WIRE_ACCEPTED};
        for (uint32_t place = 0; place < length; place++) {
            struct bytes datagram = build(&of);
            memset(datagram.bytes + 20 + length, 'R', 5);
            for (uint32_t byte = ' '; byte < 0x7f; byte++) {
                datagram.bytes[20 + place] = (uint8_t)byte;
                struct wire_scratch scratch;
                struct wire_heartbeat got = {0};
                expect_reason("site",
                              wire_v1_decode(datagram.bytes, datagram.length, &scratch, &got),
                              WIRE_ACCEPTED);
                bool upper = byte >= 'A' && byte <= 'Z';
                assert_int_equal(got.site.bytes[place], upper ? byte + 32 : byte);
                assert_ptr_equal(got.site.bytes, upper ? scratch.site : datagram.bytes + 20);
                assert_int_equal(datagram.bytes[20 + place], byte);
                expect_run("room", got.room, 'R', 5);
            }
            bytes_free(&datagram);
        }
    }
}

static void only_ascii_is_lower_cased(void **state)
{
    (void)state;
    struct lengths of = {"site", 1, 0, 12, 0, 0, 0, 1, WIRE_ACCEPTED};
    struct bytes datagram = build(&of);
    memcpy(datagram.bytes + 20,
           "B\xc3\x9c"
           "C@[\xe2\x84\xaaZA.",
           12); /* U with dots, Kelvin */
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    expect_reason("site", wire_v1_decode(datagram.bytes, datagram.length, &scratch, &got),
                  WIRE_ACCEPTED);
    expect_name("site", got.site,
                "b\xc3\x9c"
                "c@[\xe2\x84\xaaza.");
    memcpy(datagram.bytes + 20, "b\xc3\x81x\xc3\x9axyz.yz", 12); /* their low bits are A and Z */
    expect_reason("site", wire_v1_decode(datagram.bytes, datagram.length, &scratch, &got),
                  WIRE_ACCEPTED);
    assert_ptr_equal(got.site.bytes, datagram.bytes + 20);
    bytes_free(&datagram);
}

/* ---- rooms and sources ------------------------------------------------------------------- */

/* Decode a datagram for `a` with a room and a source. */
static enum wire_reason decode_labels(const char *room, const char *source,
                                      struct wire_scratch *scratch, struct wire_heartbeat *ret)
{
    static struct bytes datagram;
    struct lengths of = {
        "labels", 1, 0, 1, (uint32_t)strlen(room), (uint32_t)strlen(source), 0, 1, WIRE_ACCEPTED};
    bytes_free(&datagram);
    datagram = build(&of);
    memcpy(datagram.bytes + 21, room, of.room);
    memcpy(datagram.bytes + 21 + of.room, source, of.source);
    return wire_v1_decode(datagram.bytes, datagram.length, scratch, ret);
}

static const struct {
    const char *room, *source, *same_room, *same_source;
} labels[] = {
    {"/t", "news.example", "/t", "news.example"},
    {"/t/", "News.Example", "/t", "news.example"},
    {"//t", "NEWS.EXAMPLE", "/t", "news.example"},
    {"//t//", "n", "/t", "n"},
    {"/", "N", "/", "n"},
    {"///", "", "/", ""},
    {"/a//b///c//////////////////////d/", "", "/a/b/c/d", ""},
    {"/Pricing", "", "/Pricing", ""},
    {"t//", "//T//", "t//", "//t//"},
    {"", "Z", "", "z"},
    {"/caf\xc3\xa9//", "\xc3\x89.Example", "/caf\xc3\xa9", "\xc3\x89.example"},
};

static void one_place_has_one_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(labels); i++) {
        struct wire_scratch scratch;
        struct wire_heartbeat got = {0};
        assert_int_equal(decode_labels(labels[i].room, labels[i].source, &scratch, &got),
                         WIRE_ACCEPTED);
        expect_name("room", got.room, labels[i].same_room);
        expect_name("source", got.source, labels[i].same_source);
        bool is_moved = strcmp(labels[i].room, labels[i].same_room) != 0;
        assert_int_equal(got.room.bytes == scratch.room, is_moved);
        is_moved = strcmp(labels[i].source, labels[i].same_source) != 0;
        assert_int_equal(got.source.bytes == scratch.source, is_moved);
        assert_ptr_equal(got.site.bytes + 1 + strlen(labels[i].room) + strlen(labels[i].source),
                         got.visitor_ids);
    }
}

/* In native datagrams lengths are judged as they are sent. */
static void the_longest_room_of_slashes(void **state)
{
    char room[256];
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    (void)state;
    memset(room, '/', 255);
    room[255] = '\0';
    assert_int_equal(decode_labels(room, "", &scratch, &got), WIRE_ACCEPTED);
    expect_name("room", got.room, "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sites_are_lower_cased),
        cmocka_unit_test(only_ascii_is_lower_cased),
        cmocka_unit_test(one_place_has_one_name),
        cmocka_unit_test(the_longest_room_of_slashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
