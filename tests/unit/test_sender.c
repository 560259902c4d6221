/* test_sender.c - the sending half of presence.h: what datagrams hold, and when they are sent. */
#include "golden.h"
#include "sender_fixture.h"

#include <common/monotonic.h>

#define LONG_AGE_MS (3600 * 1000) /* nothing grows that old in a test */

static const struct presence_place here = {.site = "example.com", .room = "/pricing"};

static struct receiver receiver;

static int open_receiver(void **state)
{
    (void)state;
    receiver_open(&receiver, 0);
    return 0;
}

static int close_receiver(void **state)
{
    (void)state;
    receiver_close(&receiver);
    return 0;
}

static void golden_datagrams(void **state)
{
    const struct presence_place pricing = {PRESENCE_HEARTBEAT, "Example.COM", "/pricing", "de",
                                           "news.example",     NULL};
    const struct presence_place root = {.kind = PRESENCE_PAGEVIEW, .site = "example.com", "//"};
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.stream = UINT64_C(0x0102030405060708)});
    struct bytes second = bytes_from_hex(GOLDEN_VISITOR_2_HEX);
    struct bytes golden = bytes_from_hex(GOLDEN_V2_HEX);

    (void)state;
    assert_int_equal(presence_send(sender, &pricing, "  " GOLDEN_VISITOR_TEXT " "), 0);
    assert_int_equal(presence_send_id(sender, &pricing, second.bytes), 0);
    assert_int_equal(presence_send(sender, &root, GOLDEN_VISITOR_TEXT), 0);
    receiver_expect_nothing(&receiver);
    presence_sender_flush(sender);
    receiver_next(&receiver);
    assert_int_equal(receiver.length, golden.length);
    assert_memory_equal(receiver.datagram, golden.bytes, golden.length);
    receiver_expect_nothing(&receiver);

    assert_int_equal(presence_send(sender, &here, GOLDEN_ID_TEXT), 0);
    presence_sender_close(sender);
    receiver_next(&receiver);
    struct bytes id = bytes_from_hex(GOLDEN_ID_HEX);
    assert_memory_equal(receiver.heartbeat.visitor_ids, id.bytes, id.length);
    bytes_free(&id);
    bytes_free(&golden);
    bytes_free(&second);
}

static void expect_name(struct wire_name name, const char *expected)
{
    assert_int_equal(name.length, expected ? strlen(expected) : 0);
    if (expected)
        assert_memory_equal(name.bytes, expected, name.length);
}

static void expect_place(const struct wire_heartbeat *heartbeat,
                         const struct presence_place *expected)
{
    assert_int_equal(heartbeat->kind, expected->kind);
    expect_name(heartbeat->site, expected->site);
    expect_name(heartbeat->room, expected->room);
    expect_name(heartbeat->source, expected->source);
    expect_name(heartbeat->event, expected->event);
    assert_memory_equal(heartbeat->country, expected->country ? expected->country : "\0", 2);
}

/* Places that differ in one thing each: all share a datagram, and neighbours of one place a
 * record. */
static void a_record_for_each_place(void **state)
{
    static const struct presence_place places[] = {
        {PRESENCE_HEARTBEAT, "a.example", "/r", "DE", "s", NULL},
        {PRESENCE_PAGEVIEW, "a.example", "/r", "DE", "s", NULL},
        {PRESENCE_HEARTBEAT, "b.example", "/r", "DE", "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/q", "DE", "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/R", "DE", "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/r", "DK", "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/r", NULL, "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/r", "DE", "t", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/r", "DE", NULL, NULL},
        {PRESENCE_HEARTBEAT, "a.example", NULL, "DE", "s", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "s", "DE", "/r", NULL},
        {PRESENCE_HEARTBEAT, "a.example", "/rs", "DE", NULL, NULL},
        {PRESENCE_EVENT, "a.example", "/r", "DE", "s", "e"},
        {PRESENCE_EVENT, "a.example", "/r", "DE", "s", "f"},
        {PRESENCE_LEAVE, "a.example", "/r", "DE", "s", NULL},
    };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 65507});

    (void)state;
    for (size_t i = 0; i < LENGTH(places); i++) {
        for (size_t j = 0; j < LENGTH(places); j++) {
            send_number(sender, &places[i], i);
            send_number(sender, &places[j], j);
            send_number(sender, &places[j], j);
        }
    }
    presence_sender_flush(sender);
    receiver_next(&receiver);
    assert_int_equal(receiver.datagram[7], 10); /* names, each once */
    for (size_t i = 0; i < LENGTH(places); i++) {
        for (size_t j = 0; j < LENGTH(places); j++) {
            size_t expected[] = {i, j, j};
            for (size_t k = 0; k < LENGTH(expected); k++) {
                uint64_t number = 0;
                assert_true(receiver_visitor(&receiver, &number));
                assert_int_equal(number, expected[k]);
                expect_place(&receiver.heartbeat, &places[number]);
            }
        }
    }
    size_t same = 2 * LENGTH(places); /* neighbours */
    assert_int_equal(receiver.native.records, 2 * LENGTH(places) * LENGTH(places) - same);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

static void one_place_however_spelled(void **state)
{
    static const struct presence_place spellings[] = {
        {PRESENCE_HEARTBEAT, "example.com", NULL, "DE", NULL, NULL},
        {0, "EXAMPLE.com", NULL, "DE", NULL, NULL},
        {PRESENCE_HEARTBEAT, "Example.Com", "", "de", "", ""},
        {0, "example.com", "", "dE", NULL, ""},
    };
    static const struct presence_place rooms[] = {
        {0, "example.com", "/t", NULL, "news.example", NULL},
        {0, "Example.com", "//t", "XX", "News.Example", NULL},
        {0, "example.com", "/t//", "o1", "NEWS.example", NULL},
    };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){0});

    (void)state;
    for (size_t i = 0; i < LENGTH(spellings); i++)
        send_number(sender, &spellings[i], i);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 0, LENGTH(spellings));
    assert_int_equal(receiver.native.records, 1);
    for (size_t i = 0; i < LENGTH(rooms); i++)
        send_number(sender, &rooms[i], i);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 0, LENGTH(rooms));
    assert_int_equal(receiver.native.records, 1);
    assert_int_equal(receiver.heartbeat.country[0], 0);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

/* The caller may change its strings after the call. */
static void strings_are_copied(void **state)
{
    char site[] = "a.example";
    const struct presence_place place = {.site = site};
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){0});

    (void)state;
    send_number(sender, &place, 0);
    site[0] = 'b';
    send_number(sender, &place, 1);
    presence_sender_flush(sender);
    receiver_next(&receiver);
    expect_name(receiver.heartbeat.site, "a.example");
    assert_true(receiver_record(&receiver));
    expect_name(receiver.heartbeat.site, "b.example");
    presence_sender_close(sender);
}

static void sent_when_full(void **state)
{
    struct presence_sender *sender = receiver_sender(
        &receiver,
        (struct presence_sender_options){.batch = 3, .max_age_ms = LONG_AGE_MS, .one_shot = true});

    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        send_number(sender, &here, i);
    presence_sender_flush_aged(sender);
    expect_numbers(&receiver, 0, 3);
    expect_numbers(&receiver, 3, 3);
    receiver_expect_nothing(&receiver);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 6, 2);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

/* As many visitors as fit, and never a byte more. */
static void sent_when_datagram_is_full(void **state)
{
    static const struct {
        uint32_t datagram_bytes, visitors;
    } cases[] = {{0, 83}, {1400, 83}, {75, 1}, {90, 1}, {91, 2}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const struct presence_place place = {PRESENCE_EVENT, "a.org", "/room",
                                             "DE",           "from",  "event"};
        struct presence_sender *sender = receiver_sender(
            &receiver, (struct presence_sender_options){.datagram_bytes = cases[i].datagram_bytes,
                                                        .max_age_ms = LONG_AGE_MS});
        for (uint64_t n = 0; n < 2 * cases[i].visitors + 1; n++)
            send_number(sender, &place, n);
        presence_sender_flush(sender);
        expect_numbers(&receiver, 0, cases[i].visitors);
        assert_true(receiver.length <= (i == 0 ? 1400 : cases[i].datagram_bytes));
        expect_numbers(&receiver, cases[i].visitors, cases[i].visitors);
        expect_numbers(&receiver, 2 * cases[i].visitors, 1);
        presence_sender_close(sender);
    }
}

/* A record has at most 255 visitors, and a datagram as many records as it needs. */
static void long_records_are_split(void **state)
{
    enum { VISITORS = 4000 };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 65507,
                                                                    .max_age_ms = LONG_AGE_MS});

    (void)state;
    for (uint64_t i = 0; i < VISITORS; i++)
        send_number(sender, &here, i);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 0, VISITORS);
    assert_int_equal(receiver.native.records, (VISITORS + 254) / 255);
    assert_int_equal(receiver.datagram[7], 2); /* names */
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

static const struct presence_place *numbered_room(uint64_t number)
{
    static char room[32];
    static struct presence_place place = {.site = "example.com", .room = room};

    snprintf(room, sizeof(room), "/room-%llu", (unsigned long long)number);
    return &place;
}

/* A datagram has at most 255 names. */
static void many_names_take_another_datagram(void **state)
{
    enum { NAMES = 255 };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 65507,
                                                                    .max_age_ms = LONG_AGE_MS});

    (void)state;
    for (uint64_t i = 0; i < NAMES - 1; i++)
        send_number(sender, numbered_room(i), i);
    send_number(sender, numbered_room(0), NAMES - 1); /* both names are in the datagram */
    send_number(sender, numbered_room(NAMES), NAMES);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 0, NAMES);
    assert_int_equal(receiver.datagram[7], NAMES);
    expect_numbers(&receiver, NAMES, 1);
    expect_place(&receiver.heartbeat, &(struct presence_place){PRESENCE_HEARTBEAT, "example.com",
                                                               "/room-255", NULL, NULL, NULL});
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

/* The sender's clock: the other one may be ahead of it by as long as the machine stalls. */
static int64_t coarse_ms(void)
{
    return monotonic_coarse_ns() / NS_PER_MS;
}

static void sent_when_old(void **state)
{
    enum { AGE_MS = 50 };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = AGE_MS});

    (void)state;
    for (int round = 0; round < 2; round++) {
        int64_t queued_at = coarse_ms();
        send_number(sender, &here, 1);
        while (!receiver_take(&receiver, MSG_DONTWAIT)) {
            presence_sender_flush_aged(sender);
            assert_true(coarse_ms() - queued_at < RECEIVE_DEADLINE_S * 1000);
        }
        assert_true(coarse_ms() - queued_at >= AGE_MS - 1); /* which are rounded */
    }
    presence_sender_close(sender);
}

/* Without a call of presence_sender_flush_aged, while no more visitors come there. */
static void sent_when_old_by_later_sends(void **state)
{
    const struct presence_place elsewhere = {.site = "elsewhere.example"};
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.max_age_ms = 20, .datagram_bytes = 65507});
    int64_t queued_at = coarse_ms();

    (void)state;
    send_number(sender, &here, 1);
    do {
        usleep(1000); /* so that the datagram does not become full */
        send_number(sender, &elsewhere, 2);
        assert_true(coarse_ms() - queued_at < RECEIVE_DEADLINE_S * 1000);
    } while (!receiver_take(&receiver, MSG_DONTWAIT));
    assert_int_equal(receiver.heartbeat.visitors, 1);
    expect_name(receiver.heartbeat.site, "example.com");
    presence_sender_close(sender);
}

/* The age is the first visitor's, however many places have been queued since. */
static void sent_when_the_first_of_two_places_is_old(void **state)
{
    enum { SENDS = 400 }; /* a tenth of those that fill the datagram */
    const struct presence_place elsewhere = {.site = "elsewhere.example"};
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.max_age_ms = 20, .datagram_bytes = 65507});
    unsigned sends = 0;

    (void)state;
    do {
        send_number(sender, sends % 2 ? &elsewhere : &here, sends);
        usleep(1000);
        assert_true(++sends < SENDS);
    } while (!receiver_take(&receiver, MSG_DONTWAIT));
    presence_sender_close(sender);
}

/* Whatever is sent, in whichever datagrams, it arrives in the order in which it was sent. */
static void order_is_kept(void **state)
{
    enum { STEPS = 20000, ROOMS = 400 };
    uint64_t random = random_seed("order_is_kept"), received = 0, number = 0;
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = LONG_AGE_MS});

    (void)state;
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t draw = random_next(&random);
        struct presence_place place = *numbered_room(draw / 64 % (draw % 2 ? ROOMS : 2));
        place.kind = draw / 2 % 4 == 0 ? PRESENCE_LEAVE : PRESENCE_PAGEVIEW;
        place.source = draw / 8 % 4 == 0 ? "news.example" : NULL;
        send_number(sender, &place, step);
        if (step % 1000 == 999)
            presence_sender_flush(sender);
        while (receiver_take(&receiver, MSG_DONTWAIT)) {
            while (receiver_visitor(&receiver, &number))
                assert_int_equal(number, received++);
        }
    }
    assert_int_equal(received, STEPS);
    presence_sender_close(sender);
}

static void text_heartbeats(void **state)
{
    const struct presence_place place = {PRESENCE_EVENT, "Example.com",  "/a \"b\"",
                                         "de",           "news.example", "sign up"};
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.text = true, .max_age_ms = LONG_AGE_MS});
    struct bytes id = bytes_from_hex(GOLDEN_VISITOR_HEX);
    uint8_t hashed[16];

    (void)state;
    assert_int_equal(presence_send(sender, &place, " a \"quoted\" id "), 0);
    assert_int_equal(presence_send_id(sender, &here, id.bytes), 0);
    receiver_expect_nothing(&receiver);
    presence_sender_flush_aged(sender);

    receiver_next(&receiver);
    assert_memory_equal(receiver.datagram, "PH1 site=example.com ", 21);
    expect_name(receiver.heartbeat.room, "/a \"b\"");
    expect_name(receiver.heartbeat.source, "news.example");
    expect_name(receiver.heartbeat.event, "sign up");
    assert_memory_equal(receiver.heartbeat.country, "DE", 2);
    assert_int_equal(receiver.heartbeat.kind, WIRE_EVENT);
    assert_true(text_visitor_id((const uint8_t *)"a \"quoted\" id", 13, hashed));
    assert_memory_equal(receiver.heartbeat.visitor_ids, hashed, 16);

    receiver_next(&receiver);
    static const char expected[] =
        "PH1 site=example.com visitor=" GOLDEN_VISITOR_TEXT " room=/pricing";
    assert_int_equal(receiver.length, sizeof(expected) - 1);
    assert_memory_equal(receiver.datagram, expected, sizeof(expected) - 1);
    assert_int_equal(totals_of(sender).heartbeats, 2);
    presence_sender_close(sender);
    bytes_free(&id);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_receiver, close_receiver)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(golden_datagrams),
        TEST(a_record_for_each_place),
        TEST(one_place_however_spelled),
        TEST(strings_are_copied),
        TEST(sent_when_full),
        TEST(sent_when_datagram_is_full),
        TEST(long_records_are_split),
        TEST(many_names_take_another_datagram),
        TEST(sent_when_old),
        TEST(sent_when_old_by_later_sends),
        TEST(sent_when_the_first_of_two_places_is_old),
        TEST(order_is_kept),
        TEST(text_heartbeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
