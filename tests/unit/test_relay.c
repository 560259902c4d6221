/* test_relay.c - relay.h: how long heartbeats are held, and what another setup changes.
 *
 * Linked with --wrap=clock_gettime: the clock is set by hand.
 */
#include "relay_fixture.h"

#include <common/monotonic.h>

#define HOLD_MS 50
#define FULL    74 /* of the visitors who arrive fit in a datagram */

static int64_t now_ms = 1000000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = (struct timespec){now_ms / 1000, now_ms % 1000 * NS_PER_MS};
    return 0;
}

/* What the relays are told to do. */
static struct options options;
static struct group groups[2];
static struct decoder_counts counts;

static struct relay_setup *open_setup(bool with_routes)
{
    struct relay_setup *setup = NULL;

    assert_int_equal(relay_setup_open(&options, &no_key, accounts, with_routes, &setup), 0);
    return setup;
}

/* Open a relay to one group, of one collector. */
static struct relay *open_relay(void)
{
    struct relay *relay = NULL;

    memset(&counts, 0, sizeof(counts));
    groups[0] = group_of("A", 0, 1);
    options = (struct options){.groups = groups, .group_count = 1, .hold_ms = HOLD_MS};
    assert_int_equal(relay_open(open_setup(true), &counts, &relay), 0);
    return relay;
}

/* Let the worker handle what has arrived: one visitor's heartbeat, or a leave; 0: nothing. */
static void arrive_kind(struct relay *relay, enum wire_kind kind, uint64_t number)
{
    static const struct receive_statistics nothing;
    struct worker_handler handler = relay_handler(relay);
    char text[128];

    snprintf(text, sizeof(text),
             "PH1 site=example.com visitor=00000000-0000-0000-%02x00-000000000000 kind=%s",
             (unsigned)number, kind == WIRE_LEAVE ? "leave" : "heartbeat");
    const struct receive_buffer buffer = {.data = (const uint8_t *)text,
                                          .length = (uint32_t)strlen(text),
                                          .segment_bytes = (uint32_t)strlen(text)};
    handler.handle(handler.context, &buffer, number ? 1 : 0, &nothing);
}

static void arrive(struct relay *relay, uint64_t number)
{
    arrive_kind(relay, WIRE_HEARTBEAT, number);
}

static int64_t patience_ms(struct relay *relay)
{
    struct worker_handler handler = relay_handler(relay);

    return handler.patience(handler.context) / NS_PER_MS;
}

static void held_and_no_longer(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    arrive(relay, 0);
    now_ms += 10;
    arrive(relay, 1);
    assert_int_equal(patience_ms(relay), HOLD_MS);
    now_ms += 30;
    arrive(relay, 2); /* waits no longer than the first */
    assert_int_equal(patience_ms(relay), HOLD_MS - 30);
    now_ms += 19;
    arrive(relay, 0);
    receiver_expect_nothing(&collectors[0]);
    now_ms += 1;
    assert_int_equal(patience_ms(relay), 0);
    arrive(relay, 0);
    expect_numbers(&collectors[0], 1, 2);
    arrive(relay, 0);
    receiver_expect_nothing(&collectors[0]);
    now_ms += 5;
    arrive(relay, 3);
    assert_int_equal(patience_ms(relay), HOLD_MS);
    now_ms += HOLD_MS;
    arrive(relay, 4); /* that with which it is due goes, too */
    expect_numbers(&collectors[0], 3, 2);
    relay_close(relay);
}

/* Under load a datagram that is full leaves within 10 ms; the rest is held. */
static void full_ones_leave_earlier(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    for (uint64_t number = 1; number <= 2 * FULL + 5; number++)
        arrive(relay, number);
    now_ms += 9;
    arrive(relay, 0);
    receiver_expect_nothing(&collectors[0]);
    now_ms += 1;
    arrive(relay, 0);
    expect_numbers(&collectors[0], 1, FULL);
    expect_numbers(&collectors[0], FULL + 1, FULL);
    receiver_expect_nothing(&collectors[0]);
    assert_int_equal(patience_ms(relay), HOLD_MS - 10);
    now_ms += HOLD_MS - 10;
    arrive(relay, 0);
    expect_numbers(&collectors[0], 2 * FULL + 1, 5);
    relay_close(relay);
}

static void alive_while_nothing_comes(void **state)
{
    struct relay *relay = open_relay();
    int64_t end = now_ms + 10000;

    (void)state;
    while (now_ms < end) {
        arrive(relay, 0);
        assert_in_range(patience_ms(relay), 1, 1000);
        now_ms += patience_ms(relay);
    }
    for (uint32_t i = 1; i <= 9; i++) {
        receiver_next(&collectors[0]);
        assert_int_equal(collectors[0].native.sequence, i);
        assert_int_equal(collectors[0].native.visitors, 0);
    }
    while (receiver_take(&collectors[0], MSG_DONTWAIT))
        assert_int_equal(collectors[0].native.visitors, 0);
    assert_in_range(collectors[0].datagrams, 9, 12);
    relay_close(relay);
}

static void a_train_is_several_datagrams(void **state)
{
    static const char train[] = "PH1 site=a visitor=1PH1 site=a visitor=2PH1 site=a";
    static const struct receive_statistics one_truncated = {.truncated = 1};
    const struct receive_buffer buffer = {
        .data = (const uint8_t *)train, .length = sizeof(train) - 1, .segment_bytes = 20};
    struct relay *relay = open_relay();
    struct worker_handler handler = relay_handler(relay);

    (void)state;
    handler.handle(handler.context, &buffer, 1, &one_truncated);
    assert_int_equal(counts.datagrams_accepted, 2);
    assert_int_equal(counts.datagrams_rejected[DECODER_VISITOR], 1);
    assert_int_equal(counts.datagrams_rejected[DECODER_MALFORMED], 1);
    assert_int_equal(counts.datagrams_received, 4);
    relay_close(relay);
    receiver_next(&collectors[0]);
    assert_int_equal(collectors[0].native.visitors, 2);
}

static void nothing_is_a_datagram(void **state)
{
    static const struct receive_statistics nothing;
    const struct receive_buffer buffer = {.data = (const uint8_t *)""};
    struct relay *relay = open_relay();
    struct worker_handler handler = relay_handler(relay);

    (void)state;
    handler.handle(handler.context, &buffer, 1, &nothing);
    assert_int_equal(counts.datagrams_rejected[DECODER_MALFORMED], 1);
    relay_close(relay);
}

/* The old routes send what they have before the new ones send anything, and are closed. To a
 * collector in both, the new ones are the same sender: others would have no order (R4). */
static void other_routes(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    arrive(relay, 1);
    uint64_t stream = 0;
    groups[0] = group_of("B", 1, 1);
    groups[1] = group_of("A", 0, 1);
    options.group_count = 2;
    relay_replace(relay, open_setup(true));
    receiver_expect_nothing(&collectors[0]); /* not in this thread */
    arrive_kind(relay, WIRE_LEAVE, 1);
    uint16_t port = receiver_sender_port(&collectors[0]);
    expect_numbers(&collectors[0], 1, 1);
    assert_int_equal(collectors[0].heartbeat.kind, WIRE_HEARTBEAT);
    stream = collectors[0].native.stream;
    receiver_expect_nothing(&collectors[0]);
    now_ms += HOLD_MS;
    arrive(relay, 0);
    assert_int_equal(receiver_sender_port(&collectors[0]), port);
    for (size_t i = 0; i < 2; i++) {
        expect_numbers(&collectors[i], 1, 1);
        assert_int_equal(collectors[i].heartbeat.kind, WIRE_LEAVE);
        assert_int_equal(collectors[i].native.sequence, 1);
        assert_int_not_equal(collectors[i].native.stream, stream);
    }
    relay_close(relay);
}

/* Let the worker handle a copy of what a collector got last. */
static void come_back(struct relay *relay, const struct receiver *collector)
{
    static const struct receive_statistics nothing;
    struct worker_handler handler = relay_handler(relay);
    const struct receive_buffer buffer = {.data = collector->datagram,
                                          .length = collector->length,
                                          .segment_bytes = collector->length};

    handler.handle(handler.context, &buffer, 1, &nothing);
}

/* What the relay has sent and gets itself is not sent again: it would go round for ever. */
static void nothing_goes_round(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    for (unsigned times = 1; times <= 2; times++) {
        arrive(relay, times);
        now_ms += HOLD_MS;
        arrive(relay, 0);
        expect_numbers(&collectors[0], times, 1);
        come_back(relay, &collectors[0]);
        assert_int_equal(counts.datagrams_rejected[DECODER_DUPLICATE], times);
        relay_replace(relay, open_setup(true));
        arrive(relay, 0);
    }
    relay_close(relay);
}

/* Without routes a setup leaves those in use alone, with what is queued. */
static void other_hold(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    arrive(relay, 1);
    options.hold_ms = 20;
    relay_replace(relay, open_setup(false));
    now_ms += 15;
    arrive(relay, 2);
    receiver_expect_nothing(&collectors[0]);
    now_ms += 5;
    arrive(relay, 0);
    expect_numbers(&collectors[0], 1, 2);
    assert_int_equal(collectors[0].native.sequence, 1);
    relay_close(relay);
}

/* Of several setups before the worker looks, the newest of each part counts. */
static void several_setups(void **state)
{
    struct relay *relay = open_relay();

    (void)state;
    arrive(relay, 1);
    groups[0] = group_of("A", 1, 1);
    relay_replace(relay, open_setup(true));
    groups[0] = group_of("A", 2, 1);
    relay_replace(relay, open_setup(true));
    options.hold_ms = 20;
    relay_replace(relay, open_setup(false)); /* keeps the second's routes */
    arrive(relay, 2);
    expect_numbers(&collectors[0], 1, 1);
    now_ms += 20;
    arrive(relay, 0);
    expect_numbers(&collectors[2], 2, 1);
    relay_replace(relay, open_setup(false));
    relay_close(relay); /* with one that was not taken */
}

static void other_networks(void **state)
{
    struct network network;
    struct relay *relay = open_relay();

    (void)state;
    assert_int_equal(network_parse("192.0.2.0/24", &network), 0);
    options.allow.items = &network;
    options.allow.count = 1;
    relay_replace(relay, open_setup(false));
    arrive(relay, 1);
    assert_int_equal(counts.datagrams_rejected[DECODER_SENDER], 1);
    options.allow.count = 0;
    relay_replace(relay, open_setup(false));
    arrive(relay, 2);
    assert_int_equal(counts.datagrams_accepted, 1);
    relay_close(relay);
    expect_numbers(&collectors[0], 2, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(held_and_no_longer),
        TEST(full_ones_leave_earlier),
        TEST(alive_while_nothing_comes),
        TEST(a_train_is_several_datagrams),
        TEST(nothing_is_a_datagram),
        TEST(other_routes),
        TEST(nothing_goes_round),
        TEST(other_hold),
        TEST(several_setups),
        TEST(other_networks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
