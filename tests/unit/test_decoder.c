/* test_decoder.c - decoder.h: what a datagram says, and why it is rejected. */
#include "decoder_fixture.h"

/* ---- what it says ------------------------------------------------------------------------- */

static void version_1(void **state)
{
    struct fixture *fixture = *state;

    expect_hex(fixture, GOLDEN_LABELS_HEX,
               "1 example.com /pricing DE news.example -: " FIRST " " SECOND "; ");
    assert_int_equal(fixture->counts.datagrams_accepted, 1);
    assert_int_equal(fixture->counts.heartbeats, 2);
    assert_int_equal(fixture->counts.streams_received, 0);
}

/* Nobody can tell here whether a tag is right, or a time. */
static void tags_and_times_are_not_looked_at(void **state)
{
    struct fixture *fixture = *state;
    struct bytes forged = bytes_from_hex(GOLDEN_SIGNED_HEX);

    expect_hex(fixture, GOLDEN_SIGNED_HEX, "1 example.com - - - -: " FIRST "; ");
    expect_hex(fixture, GOLDEN_V2_SIGNED_HEX, "1 example.com - - - -: " FIRST "; ");
    forged.bytes[forged.length - 1] ^= 1;
    forged.bytes[8] ^= 0x80;
    expect_read(fixture, forged, "1 example.com - - - -: " FIRST "; ");
}

static void version_2_in_its_order(void **state)
{
    struct fixture *fixture = *state;

    expect_hex(fixture, GOLDEN_V2_HEX,
               "1 example.com /pricing DE news.example -: " FIRST " " SECOND "; "
               "3 example.com / - - -: " FIRST "; ");
    assert_int_equal(fixture->counts.heartbeats, 3);
    assert_int_equal(fixture->counts.datagrams_empty, 0);
    expect_hex(fixture, GOLDEN_V2_EMPTY_HEX, "");
    assert_int_equal(fixture->counts.datagrams_accepted, 2);
    assert_int_equal(fixture->counts.datagrams_empty, 1);
    assert_int_equal(fixture->counts.heartbeats, 3);
    assert_int_equal(fixture->counts.streams_received, 2);
    assert_int_equal(fixture->counts.streams_expected, 3);
}

static void text(void **state)
{
    struct fixture *fixture = *state;

    expect_text(fixture, "PH1 site=example.com visitor=" GOLDEN_ID_TEXT,
                "1 example.com - - - -: " GOLDEN_ID_HEX "; ");
    expect_text(fixture,
                "<190>Nov 22 03:56:23 edge presence: PH1 site=example.com "
                "visitor=" GOLDEN_VISITOR_TEXT " room=/pricing country=de source=news.example "
                "kind=leave\n",
                "2 example.com /pricing DE news.example -: " FIRST "; ");
    expect_text(fixture, "PH1 site=a visitor=" GOLDEN_VISITOR_TEXT " event=\"buy now\"",
                "4 a - - - buy now: " FIRST "; ");
    assert_int_equal(fixture->counts.heartbeats, 3);
}

/* One place has one name, and what an earlier datagram said is not seen behind it. */
static void names_are_canonical(void **state)
{
    struct fixture *fixture = *state;

    expect_text(fixture,
                "PH1 site=Example.COM visitor=" GOLDEN_VISITOR_TEXT " room=//a///long/room/ "
                "source=News.Example country=fr",
                "1 example.com /a/long/room FR news.example -: " FIRST "; ");
    expect_text(fixture, "PH1 site=B visitor=" GOLDEN_VISITOR_TEXT " room=/ source=C country=XX",
                "1 b / - c -: " FIRST "; ");
    /* The same of version 1: A.b, //a//b/, T.co. */
    expect_hex(fixture,
               "5048010100320000000000000001030704000000412e622f2f612f2f622f542e636f" FIRST,
               "1 a.b /a/b - t.co -: " FIRST "; ");
    expect_hex(fixture, GOLDEN_SIGNED_HEX, "1 example.com - - - -: " FIRST "; ");
}

/* Names of the greatest lengths fit, each with its end. */
static void longest_names(void **state)
{
    struct fixture *fixture = *state;
    char site[254], room[256], source[254], event[64], datagram[2048], expected[2048];

    memset(site, 'a', sizeof(site) - 1);
    memset(room, 'b', sizeof(room) - 1);
    memset(source, 'c', sizeof(source) - 1);
    memset(event, 'd', sizeof(event) - 1);
    site[253] = room[255] = source[253] = event[63] = '\0';
    snprintf(datagram, sizeof(datagram), "PH1 site=%s visitor=%s room=%s source=%s event=%s", site,
             GOLDEN_VISITOR_TEXT, room, source, event);
    snprintf(expected, sizeof(expected), "4 %s %s - %s %s: %s; ", site, room, source, event, FIRST);
    expect_text(fixture, datagram, expected);
}

static void labels_that_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    char room[257], datagram[512];

    expect_text(fixture, "PH1 site=a visitor=" GOLDEN_VISITOR_TEXT " country=DEU source=\"\\x01\"",
                "1 a - - - -: " FIRST "; ");
    assert_int_equal(fixture->counts.labels_invalid, 2);
    memset(room, 'r', 256);
    room[256] = '\0';
    snprintf(datagram, sizeof(datagram), "PH1 site=a visitor=%s room=%s", GOLDEN_VISITOR_TEXT,
             room);
    expect_text(fixture, datagram, "1 a - - - -: " FIRST "; ");
    assert_int_equal(fixture->counts.labels_invalid, 2);
    assert_int_equal(fixture->counts.rooms_too_long, 1);
}

/* What was not read of a datagram is not read of the next one. */
static void the_rest_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct bytes datagram = bytes_from_hex(GOLDEN_V2_HEX);
    struct decoded decoded;

    assert_true(read_bytes(fixture, &datagram));
    assert_true(decoder_next(fixture->decoder, &decoded));
    expect_text(fixture, "PH1 site=a visitor=" GOLDEN_VISITOR_TEXT, "1 a - - - -: " FIRST "; ");
    assert_false(read_bytes(fixture, &datagram)); /* a duplicate */
    assert_false(decoder_next(fixture->decoder, &decoded));
    bytes_free(&datagram);
    datagram = bytes_copy("PH1 site=b visitor=v", 20);
    assert_true(read_bytes(fixture, &datagram));
    expect_rejected(fixture, bytes_copy("PH1", 3), DECODER_MALFORMED);
    bytes_free(&datagram);
}

/* ---- why it is rejected ------------------------------------------------------------------- */

static void version(void **state)
{
    struct bytes datagram = bytes_from_hex(GOLDEN_LABELS_HEX);

    datagram.bytes[2] = 3;
    expect_rejected(*state, datagram, DECODER_VERSION);
    datagram = bytes_from_hex(GOLDEN_V2_HEX);
    datagram.bytes[2] = 0;
    expect_rejected(*state, datagram, DECODER_VERSION);
}

static void malformed(void **state)
{
    struct fixture *fixture = *state;
    const char *texts[] = {"",
                           "P",
                           "PH",
                           "hello",
                           "PH1 site=a site=b visitor=v",
                           "PH1 site=a visitor=v event=\"\\q\""};
    struct bytes datagram;

    for (size_t i = 0; i < LENGTH(texts); i++)
        expect_rejected(fixture, bytes_copy(texts[i], strlen(texts[i])), DECODER_MALFORMED);
    for (uint32_t length = 3; length < strlen(GOLDEN_V2_HEX) / 2; length++) {
        datagram = bytes_from_hex(GOLDEN_V2_HEX);
        struct bytes cut = bytes_copy(datagram.bytes, length);
        bytes_free(&datagram);
        expect_rejected(fixture, cut, DECODER_MALFORMED);
    }
    datagram = bytes_from_hex(GOLDEN_V2_HEX);
    datagram.bytes[datagram.length - 24 + 1] = 5; /* the last record's site: there are four names */
    expect_rejected(fixture, datagram, DECODER_MALFORMED);
    /* It was no datagram of the stream. */
    assert_int_equal(fixture->counts.streams_received, 0);
    expect_hex(fixture, GOLDEN_V2_EMPTY_HEX, "");
}

static void visitor(void **state)
{
    struct fixture *fixture = *state;
    const char *texts[] = {"PH1 site=a", "PH1 site=a visitor=", "PH1 site=a visitor=undefined",
                           "PH1 site=a visitor=00000000-0000-0000-0000-000000000000"};

    for (size_t i = 0; i < LENGTH(texts); i++)
        expect_rejected(fixture, bytes_copy(texts[i], strlen(texts[i])), DECODER_VISITOR);
    /* Version 1 without any: example.com alone. */
    expect_rejected(fixture,
                    bytes_from_hex("50480101001f00000000000000000b0000000000"
                                   "6578616d706c652e636f6d"),
                    DECODER_VISITOR);
}

static void longer_than_the_buffer(void **state)
{
    struct fixture *fixture = *state;

    decoder_truncated(fixture->decoder, 0);
    assert_int_equal(fixture->counts.datagrams_received, 0);
    decoder_truncated(fixture->decoder, 3);
    assert_int_equal(fixture->counts.datagrams_rejected[DECODER_MALFORMED], 3);
    assert_int_equal(fixture->counts.datagrams_received, 3);
}

/* ---- senders ------------------------------------------------------------------------------ */

static void set_sender(struct fixture *fixture, const char *address)
{
    static struct sockaddr_in sender;

    sender = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(1)};
    assert_int_equal(inet_pton(AF_INET, address, &sender.sin_addr), 1);
    decoder_from(fixture->decoder, (const struct sockaddr *)&sender);
}

static struct networks networks_of(const char *text)
{
    struct network network;
    struct networks networks;

    assert_int_equal(network_parse(text, &network), 0);
    assert_int_equal(networks_build(&network, 1, &networks), 0);
    return networks;
}

static void senders_that_are_not_allowed(void **state)
{
    struct fixture *fixture = *state;
    struct networks allowed = networks_of("192.0.2.0/24"), others = networks_of("10.0.0.0/8");
    struct networks none = {0};

    decoder_allow(fixture->decoder, &allowed);
    expect_rejected(fixture, bytes_from_hex(GOLDEN_LABELS_HEX), DECODER_SENDER); /* of nobody */
    set_sender(fixture, "192.0.3.1");
    expect_rejected(fixture, bytes_from_hex(GOLDEN_V2_HEX), DECODER_SENDER);
    expect_rejected(fixture, bytes_copy("x", 1), DECODER_SENDER); /* the first reason that fits */
    set_sender(fixture, "192.0.2.1");
    expect_hex(fixture, GOLDEN_V2_EMPTY_HEX, "");
    set_sender(fixture, "192.0.3.1");
    expect_rejected(fixture, bytes_from_hex(GOLDEN_V2_HEX), DECODER_SENDER);
    decoder_allow(fixture->decoder, &others);
    set_sender(fixture, "192.0.2.1");
    expect_rejected(fixture, bytes_from_hex(GOLDEN_V2_HEX), DECODER_SENDER);
    decoder_allow(fixture->decoder, &none);
    set_sender(fixture, "192.0.3.1");
    expect_hex(fixture, GOLDEN_LABELS_HEX,
               "1 example.com /pricing DE news.example -: " FIRST " " SECOND "; ");
    decoder_allow(fixture->decoder, NULL);
    networks_free(&allowed);
    networks_free(&others);
}

/* ---- streams ------------------------------------------------------------------------------ */

static void duplicates(void **state)
{
    struct fixture *fixture = *state;
    struct bytes signed_again = bytes_from_hex(GOLDEN_V2_SIGNED_HEX);

    expect_read(fixture, empty_v2(1, 5, 0), "");
    expect_rejected(fixture, empty_v2(1, 5, 0), DECODER_DUPLICATE);
    expect_read(fixture, empty_v2(1, 5, 1), ""); /* another target */
    expect_read(fixture, empty_v2(2, 5, 0), ""); /* another stream */
    expect_read(fixture, empty_v2(1, 4, 0), ""); /* late */
    expect_rejected(fixture, empty_v2(1, 4, 0), DECODER_DUPLICATE);
    /* The key's id is of no account, since the tag is not looked at. */
    expect_hex(fixture, GOLDEN_V2_SIGNED_HEX, "1 example.com - - - -: " FIRST "; ");
    signed_again.bytes[KEY_ID] ^= 1;
    expect_rejected(fixture, signed_again, DECODER_DUPLICATE);
}

static void own_stream(void **state)
{
    struct fixture *fixture = *state;

    decoder_refuse_stream(fixture->decoder, 1);
    expect_rejected(fixture, empty_v2(1, 5, 0), DECODER_DUPLICATE);
    expect_rejected(fixture, empty_v2(1, 6, 1), DECODER_DUPLICATE);
    expect_read(fixture, empty_v2(2, 5, 0), "");
    decoder_refuse_stream(fixture->decoder, 0);
    expect_read(fixture, empty_v2(0, 0, 0), "");
    expect_read(fixture, empty_v2(1, 5, 0), "");
}

static void too_old_to_tell(void **state)
{
    struct fixture *fixture = *state;

    expect_read(fixture, empty_v2(1, 2000, 0), "");
    expect_read(fixture, empty_v2(1, 2000 - 1023, 0), "");
    expect_rejected(fixture, empty_v2(1, 2000 - 1024, 0), DECODER_DUPLICATE);
    assert_int_equal(fixture->counts.streams_expected, 1024);
    assert_int_equal(fixture->counts.streams_received, 2);
}

static void no_stream(void **state)
{
    struct fixture *fixture = *state;

    expect_read(fixture, empty_v2(0, 0, 0), "");
    expect_read(fixture, empty_v2(0, 0, 0), "");
    assert_int_equal(fixture->counts.streams_received, 0);
}

/* More streams than are followed: their datagrams count, and duplicates with them. After a minute
 * one that is silent gives way. */
static void more_streams_than_are_followed(void **state)
{
    struct fixture *fixture = *state;

    for (uint32_t i = 1; i <= DECODER_STREAMS; i++)
        expect_read(fixture, empty_v2(i, 1, 0), "");
    assert_int_equal(fixture->counts.streams_full, 0);
    expect_read(fixture, empty_v2(DECODER_STREAMS + 1, 1, 0), "");
    expect_read(fixture, empty_v2(DECODER_STREAMS + 1, 1, 0), "");
    assert_int_equal(fixture->counts.streams_full, 2);
    expect_rejected(fixture, empty_v2(1, 1, 0), DECODER_DUPLICATE);
    decoder_set_time(fixture->decoder, 1061);
    expect_read(fixture, empty_v2(DECODER_STREAMS + 1, 1, 0), "");
    expect_rejected(fixture, empty_v2(DECODER_STREAMS + 1, 1, 0), DECODER_DUPLICATE);
    assert_int_equal(fixture->counts.streams_full, 2);
}

/* ---- words -------------------------------------------------------------------------------- */

static void reasons_have_names(void **state)
{
    (void)state;
    assert_string_equal(decoder_reason_name(DECODER_SENDER), "sender");
    assert_string_equal(decoder_reason_name(DECODER_VERSION), "version");
    assert_string_equal(decoder_reason_name(DECODER_MALFORMED), "malformed");
    assert_string_equal(decoder_reason_name(DECODER_VISITOR), "visitor");
    assert_string_equal(decoder_reason_name(DECODER_DUPLICATE), "duplicate");
    assert_string_equal(decoder_reason_name(DECODER_SITE), "site");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_1),
        TEST(tags_and_times_are_not_looked_at),
        TEST(version_2_in_its_order),
        TEST(text),
        TEST(names_are_canonical),
        TEST(longest_names),
        TEST(labels_that_are_skipped),
        TEST(the_rest_is_forgotten),
        TEST(version),
        TEST(malformed),
        TEST(visitor),
        TEST(longer_than_the_buffer),
        TEST(senders_that_are_not_allowed),
        TEST(duplicates),
        TEST(own_stream),
        TEST(too_old_to_tell),
        TEST(no_stream),
        TEST(more_streams_than_are_followed),
        TEST(reasons_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
