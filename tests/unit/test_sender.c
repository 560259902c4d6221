/* test_sender.c - the sending half of presence.h: batches, when they are sent, and in which
 * order. */
#include "golden.h"
#include "sender_fixture.h"

#include <common/monotonic.h>

#define LONG_AGE_MS (3600 * 1000) /* nothing grows that old in a test */
#define OPEN_PLACES 64            /* batches a sender keeps open */

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

static void golden_datagram(void **state)
{
    const struct presence_place place = {PRESENCE_HEARTBEAT, "Example.COM", "/pricing", "de",
                                         "news.example",     NULL};
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){0});
    struct bytes second = bytes_from_hex(GOLDEN_VISITOR_2_HEX);
    struct bytes golden = bytes_from_hex(GOLDEN_LABELS_HEX);

    (void)state;
    assert_int_equal(presence_send(sender, &place, "  " GOLDEN_VISITOR_TEXT " "), 0);
    assert_int_equal(presence_send_id(sender, &place, second.bytes), 0);
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

/* Places that differ in one thing each. */
static void batched_by_place(void **state)
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
        {PRESENCE_LEAVE, "c.example", "/r", "DE", "s", NULL},
    };
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = LONG_AGE_MS});
    bool seen[LENGTH(places)] = {false};

    (void)state;
    for (size_t i = 0; i < LENGTH(places); i++) {
        for (size_t j = 0; j < LENGTH(places); j++) {
            send_number(sender, &places[i], i);
            send_number(sender, &places[j], j);
        }
    }
    receiver_expect_nothing(&receiver);
    presence_sender_flush(sender);
    for (size_t datagram = 0; datagram < LENGTH(places); datagram++) {
        receiver_next(&receiver);
        const struct wire_heartbeat *heartbeat = &receiver.heartbeat;
        size_t i = visitor_number(heartbeat->visitor_ids);
        assert_true(i < LENGTH(places) && !seen[i]);
        seen[i] = true;
        assert_int_equal(heartbeat->kind, places[i].kind);
        expect_name(heartbeat->site, places[i].site);
        expect_name(heartbeat->room, places[i].room);
        expect_name(heartbeat->source, places[i].source);
        expect_name(heartbeat->event, places[i].event);
        assert_memory_equal(heartbeat->country, places[i].country ? places[i].country : "\0", 2);
        assert_int_equal(heartbeat->visitors, 2 * LENGTH(places));
        for (size_t n = 0; n < heartbeat->visitors; n++)
            assert_int_equal(visitor_number(heartbeat->visitor_ids + n * 16), i);
    }
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
    for (size_t i = 0; i < LENGTH(rooms); i++)
        send_number(sender, &rooms[i], i);
    presence_sender_flush(sender);
    expect_numbers(&receiver, 0, LENGTH(rooms));
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
    for (int i = 0; i < 2; i++) {
        receiver_next(&receiver);
        bool first = visitor_number(receiver.heartbeat.visitor_ids) == 0;
        expect_name(receiver.heartbeat.site, first ? "a.example" : "b.example");
    }
    presence_sender_close(sender);
}

static void sent_when_full(void **state)
{
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.batch = 3, .max_age_ms = LONG_AGE_MS});

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
    } cases[] = {{0, 85}, {1400, 85}, {55, 1}, {70, 1}, {71, 2}, {65507, 4091}};

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
        send_number(sender, &elsewhere, 2);
        assert_true(coarse_ms() - queued_at < RECEIVE_DEADLINE_S * 1000);
    } while (!receiver_take(&receiver, MSG_DONTWAIT) || receiver.heartbeat.room.length == 0);
    assert_int_equal(receiver.heartbeat.visitors, 1);
    presence_sender_close(sender);
}

static const struct presence_place *numbered_room(size_t number)
{
    static char room[32];
    static struct presence_place place = {.site = "example.com", .room = room};

    snprintf(room, sizeof(room), "/room-%zu", number);
    return &place;
}

/* The least recently used place is replaced by a new one. */
static void open_places_are_limited(void **state)
{
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = LONG_AGE_MS});

    (void)state;
    for (size_t i = 0; i < OPEN_PLACES; i++)
        send_number(sender, numbered_room(i), i);
    send_number(sender, numbered_room(0), 0);
    presence_sender_flush_aged(sender);
    receiver_expect_nothing(&receiver);
    send_number(sender, numbered_room(OPEN_PLACES), OPEN_PLACES);
    presence_sender_flush_aged(sender);
    expect_numbers(&receiver, 1, 1);
    receiver_expect_nothing(&receiver);
    presence_sender_flush(sender);
    uint64_t visitors = 1;
    for (size_t i = 0; i < OPEN_PLACES; i++) {
        receiver_next(&receiver);
        visitors += receiver.heartbeat.visitors;
    }
    assert_int_equal(visitors, OPEN_PLACES + 2);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

/* A visitor's heartbeats and leaves on a site arrive in the order in which they were sent. */
static void leaves_keep_their_order(void **state)
{
    enum { VISITORS = 5, SITES = 3, STEPS = 4000, HISTORY = 4096 };
    static const char *const sites[SITES][2] = {
        {"a.example", "A.example"}, {"b.example", "b.EXAMPLE"}, {"c.example", "c.example"}};
    static bool sent[SITES][VISITORS][HISTORY];
    uint32_t lengths[SITES][VISITORS] = {{0}}, taken[SITES][VISITORS] = {{0}};
    uint64_t random = random_seed("leaves_keep_their_order");
    struct presence_sender *sender = receiver_sender(
        &receiver, (struct presence_sender_options){.batch = 4, .max_age_ms = LONG_AGE_MS});
    uint64_t received = 0, queued = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        uint64_t draw = random_next(&random);
        uint32_t site = draw % SITES, visitor = draw / 8 % VISITORS;
        bool leave = draw / 256 % 4 == 0;
        const struct presence_place place = {
            .kind = leave             ? PRESENCE_LEAVE
                    : draw / 1024 % 2 ? PRESENCE_PAGEVIEW
                                      : 0,
            .site = sites[site][draw / 2048 % 2],
            .room = draw / 4096 % 2   ? "/a"
                    : draw / 8192 % 2 ? "/b"
                                      : NULL,
        };
        send_number(sender, &place, visitor);
        sent[site][visitor][lengths[site][visitor]++] = leave;
        queued++;
        if (step % 100 == 99)
            presence_sender_flush(sender);
        while (receiver_take(&receiver, MSG_DONTWAIT)) {
            uint32_t from = receiver.heartbeat.site.bytes[0] - 'a';
            for (uint32_t i = 0; i < receiver.heartbeat.visitors; i++) {
                uint64_t who = visitor_number(receiver.heartbeat.visitor_ids + (size_t)i * 16);
                bool is_leave = receiver.heartbeat.kind == WIRE_LEAVE;
                assert_int_equal(is_leave, sent[from][who][taken[from][who]++]);
                received++;
            }
        }
    }
    assert_int_equal(received, queued);
    presence_sender_close(sender);
}

/* A leave closes the batches of its own site only. */
static void leaves_leave_other_sites_alone(void **state)
{
    const struct presence_place other = {.site = "other.example"};
    const struct presence_place leave = {.kind = PRESENCE_LEAVE, .site = "example.com"};
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = LONG_AGE_MS});

    (void)state;
    send_number(sender, &here, 1);
    send_number(sender, &other, 2);
    send_number(sender, &leave, 1);
    presence_sender_flush_aged(sender);
    expect_numbers(&receiver, 1, 1);
    assert_int_equal(receiver.heartbeat.kind, WIRE_HEARTBEAT);
    receiver_expect_nothing(&receiver);
    send_number(sender, &here, 1);
    presence_sender_flush_aged(sender);
    expect_numbers(&receiver, 1, 1);
    assert_int_equal(receiver.heartbeat.kind, WIRE_LEAVE);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
    receiver_next(&receiver);
    receiver_next(&receiver);
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
        TEST(golden_datagram),
        TEST(batched_by_place),
        TEST(one_place_however_spelled),
        TEST(strings_are_copied),
        TEST(sent_when_full),
        TEST(sent_when_datagram_is_full),
        TEST(sent_when_old),
        TEST(sent_when_old_by_later_sends),
        TEST(open_places_are_limited),
        TEST(leaves_keep_their_order),
        TEST(leaves_leave_other_sites_alone),
        TEST(text_heartbeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
