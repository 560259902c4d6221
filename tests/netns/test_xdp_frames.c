/* test_xdp_frames.c - one table of frames and three judges: the XDP program in the kernel, the same
 * function of wire.h here, and the table's fate. All agree, and no datagram that the full parser
 * accepts is dropped. Needs the privilege to load BPF programs. */
#include <sched.h>
#include <time.h>

#include <core/text.h>
#include <core/wire.h>

#include "common/networks.h"
#include "filter.h"

#define PASSES .passes = true

static const struct envelope envelopes[] = {
    {.name = "IPv4"},
    {.name = "IPv4, padded", .padding = 18},
    {.name = "IPv4, padded by one byte", .padding = 1},
    {.name = "IPv4, don't fragment", .fragment = 0x4000},
    {.name = "IPv4, one word of options", .options = 1},
    {.name = "IPv4, ten words of options", .options = 10},
    {.name = "IPv4, VLAN", .tags = {0x8100}},
    {.name = "IPv4, VLAN 802.1ad", .tags = {0x88a8}},
    {.name = "IPv4, QinQ", .tags = {0x88a8, 0x8100}},
    {.name = "IPv4, QinQ of one kind", .tags = {0x8100, 0x8100}},
    {.name = "IPv4, QinQ, options, padded", .tags = {0x88a8, 0x8100}, .options = 3, .padding = 7},
    {.name = "IPv6", .v6 = true},
    {.name = "IPv6, padded", .v6 = true, .padding = 4},
    {.name = "IPv6, VLAN", .v6 = true, .tags = {0x8100}},
    {.name = "IPv6, QinQ", .v6 = true, .tags = {0x88a8, 0x8100}},
    {.name = "the other endpoint, any address", .port = 9515, .destination = "203.0.113.99"},
    {.name = "IPv6, the other endpoint", .v6 = true, .port = 9515, .destination = "fe80::9"},

    {PASSES, .name = "three VLAN tags", .tags = {0x88a8, 0x8100, 0x8100}},
    {PASSES, .name = "a VLAN tag of another kind", .tags = {0x9100}},
    {PASSES, .name = "first fragment", .fragment = 0x2000},
    {PASSES, .name = "last fragment", .fragment = 0x0010},
    {PASSES, .name = "middle fragment", .fragment = 0x2010},
    {PASSES, .name = "IPv6 fragment", .v6 = true, .extended = true, .extension = 44},
    {PASSES, .name = "IPv6 hop by hop", .v6 = true, .extended = true, .extension = 0},
    {PASSES, .name = "IPv6 routing", .v6 = true, .extended = true, .extension = 43},
    {PASSES, .name = "IPv6 destination options", .v6 = true, .extended = true, .extension = 60},
    {PASSES, .name = "another port", .port = 9516},
    {PASSES, .name = "IPv6, another port", .v6 = true, .port = 9513},
    {PASSES, .name = "another address", .destination = "192.0.2.2"},
    {PASSES, .name = "IPv6, another address", .v6 = true, .destination = "2001:db8::2"},
    {PASSES, .name = "the port in the other order", .port = (FRAME_PORT & 0xff) << 8 | 0x25},
    {PASSES, .name = "TCP", .next_header = 6},
    {PASSES, .name = "UDP-Lite", .next_header = 136},
    {PASSES, .name = "IPv6, TCP", .v6 = true, .next_header = 6},
    {PASSES, .name = "IPv4, version 6", .ip_version = 6},
    {PASSES, .name = "IPv6, version 4", .v6 = true, .ip_version = 4},
    {PASSES, .name = "IPv4, header of four words", .header_words = 4},
    {PASSES, .name = "IPv4 called IPv6", .ether_type = 0x86dd},
    {PASSES, .name = "IPv6 called IPv4", .v6 = true, .ether_type = 0x0800},
    {PASSES, .name = "ARP", .ether_type = 0x0806},
    {PASSES, .name = "PPPoE", .ether_type = 0x8864},
    {PASSES, .name = "IPv6, jumbogram", .v6 = true, .jumbogram = true},
};

/* Frames that are cut off after so many bytes. */
static const struct envelope cut_envelopes[] = {
    {.name = "Ethernet alone", .cut = 14},
    {.name = "half an IPv4 header", .cut = 24},
    {.name = "half an IPv6 header", .v6 = true, .cut = 40},
    {.name = "half a UDP header", .cut = 38},
    {.name = "half a UDP header behind IPv6", .v6 = true, .cut = 58},
    {.name = "options that are not there", .header_words = 15, .cut = 42},
    {.name = "half a VLAN tag", .tags = {0x8100}, .cut = 16},
};

/* Judge by shape only, in user space. */
static enum presence_xdp_fate judge_shape(const uint8_t *payload, uint32_t length)
{
    if (length != 0 && !wire_is_native(payload, length))
        return PRESENCE_XDP_PASSED;
    switch (wire_shape(payload, length)) {
    case WIRE_VERSION:
        return PRESENCE_XDP_VERSION;
    case WIRE_MALFORMED:
        return PRESENCE_XDP_MALFORMED;
    case WIRE_VISITOR:
        return PRESENCE_XDP_VISITOR;
    default:
        return PRESENCE_XDP_PASSED;
    }
}

static bool is_accepted(const uint8_t *payload, uint32_t length)
{
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat;
    struct wire_v2_datagram places;

    if (wire_is_v2(payload, length))
        return wire_v2_decode(payload, length, &places) == WIRE_ACCEPTED;
    return (wire_is_native(payload, length)
                ? wire_v1_decode(payload, length, &scratch, &heartbeat)
                : text_decode(payload, length, &scratch, &heartbeat)) == WIRE_ACCEPTED;
}

#define SEARCHED 1536 /* bytes; longer packets are not searched for a second datagram */

/* What may be a train, with something in it that would be counted, passes where there are trains.
 */
static int fate_of(const struct filter *filter, const struct payload *payload)
{
    bool doubt =
        payload->length > SEARCHED ||
        (payload->length > 1 && memmem(payload->bytes + 1, payload->length - 1, "PH", 2) != NULL);

    return filter->trains && doubt ? PRESENCE_XDP_PASSED : (int)payload->fate;
}

static void judge_frame(struct filter *filter, const struct envelope *envelope,
                        const struct payload *payload)
{
    static uint8_t frame[FRAME_MAX];
    uint32_t size = frame_write(envelope, payload->bytes, payload->length, frame);
    int expected = envelope->passes ? -1 : fate_of(filter, payload);
    int fate = run_filter(filter, frame, size);

    if (fate != expected)
        fail_msg("%s in %s: fate %d, not %d", payload->name, envelope->name, fate, expected);
    if (fate > PRESENCE_XDP_PASSED && is_accepted(payload->bytes, payload->length))
        fail_msg("%s in %s is dropped, though it would be counted", payload->name, envelope->name);
}

static void three_judges_agree(void **state)
{
    struct filter filter;
    const struct payload *payload;

    (void)state;
    open_filter(&filter, false, NULL, 0, 0);
    for (unsigned i = 0; (payload = payload_at(i)); i++) {
        if (judge_shape(payload->bytes, payload->length) != payload->fate)
            fail_msg("%s: wire_shape says %d, the table %d", payload->name,
                     judge_shape(payload->bytes, payload->length), payload->fate);
        for (size_t j = 0; j < LENGTH(envelopes); j++)
            judge_frame(&filter, &envelopes[j], payload);
    }
    assert_true(filter.judged > 1000);
    close_filter(&filter);
}

/* A single datagram is judged the same, unless it looks like several. */
static void generic_mode_agrees(void **state)
{
    struct filter filter;
    const struct payload *payload;

    (void)state;
    open_filter(&filter, true, NULL, 0, 0);
    for (unsigned i = 0; (payload = payload_at(i)); i++)
        for (size_t j = 0; j < LENGTH(envelopes); j++)
            judge_frame(&filter, &envelopes[j], payload);
    close_filter(&filter);
}

static void frames_that_end_early_pass(void **state)
{
    struct filter filter;
    uint8_t frame[FRAME_MAX];
    const struct payload *malformed = payload_at(9);

    (void)state;
    open_filter(&filter, false, NULL, 0, 0);
    assert_int_equal(malformed->fate, PRESENCE_XDP_MALFORMED);
    for (size_t i = 0; i < LENGTH(cut_envelopes); i++) {
        uint32_t size = frame_write(&cut_envelopes[i], malformed->bytes, malformed->length, frame);
        if (run_filter(&filter, frame, size) != -1)
            fail_msg("%s is judged", cut_envelopes[i].name);
    }
    /* A heartbeat with a truncated header: up to 27 bytes can't be judged, but are one
     * to us; with 28 its shape is known, although IP will drop it. */
    for (uint16_t visible = 0; visible <= 40; visible++) {
        struct envelope envelope = {.cut = (uint16_t)(42 + visible)};
        uint32_t size = frame_write(&envelope, malformed->bytes, malformed->length, frame);
        assert_int_equal(run_filter(&filter, frame, size),
                         visible < 28 ? PRESENCE_XDP_PASSED : PRESENCE_XDP_MALFORMED);
    }
    close_filter(&filter);
}

/* The length in the UDP header decides, not the frame's or IP's. */
static void lengths_are_udps(void **state)
{
    struct filter filter;
    uint8_t frame[FRAME_MAX], payload[256] = {0};
    uint32_t length = payload_native(1, payload);

    (void)state;
    open_filter(&filter, false, NULL, 0, 0);
    for (int v6 = 0; v6 < 2; v6++) {
        for (int stated = 1; stated < 100; stated++) {
            struct envelope envelope = {.v6 = v6, .udp_length = (uint16_t)stated};
            uint32_t size = frame_write(&envelope, payload, sizeof(payload), frame);
            int expected = stated == (int)length + 8 ? PRESENCE_XDP_PASSED
                           : stated == 8 + 1         ? PRESENCE_XDP_PASSED /* "P" is text */
                                                     : PRESENCE_XDP_MALFORMED;
            if (run_filter(&filter, frame, size) != expected)
                fail_msg("a UDP length of %d is judged wrong", stated);
        }
        for (int stated = 1; stated < 8; stated++) {
            struct envelope envelope = {.v6 = v6, .udp_length = (uint16_t)stated};
            uint32_t size = frame_write(&envelope, (const uint8_t *)"text", 4, frame);
            assert_int_equal(run_filter(&filter, frame, size), PRESENCE_XDP_MALFORMED);
        }
        struct envelope beyond = {.v6 = v6, .udp_length = 65535};
        uint32_t size = frame_write(&beyond, payload, length, frame);
        assert_int_equal(run_filter(&filter, frame, size), PRESENCE_XDP_MALFORMED);
    }
    close_filter(&filter);
}

/* Judge by the collector's own search. */
static bool collector_allows(const struct networks *networks, const char *source)
{
    struct sockaddr_storage address;

    set_endpoint(&address, source, 0);
    return networks_contain(networks, (const struct sockaddr *)&address);
}

static void build_networks(const char *const *texts, unsigned count, struct networks *ret)
{
    struct network list[8];

    for (unsigned i = 0; i < count; i++)
        assert_int_equal(network_parse(texts[i], &list[i]), 0);
    assert_int_equal(networks_build(list, count, ret), 0);
}

/* Also the one with the highest number. */
static void every_processor_counts(void **state)
{
    const struct payload *payload = payload_at(0);
    struct filter filter;
    cpu_set_t all, one;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    open_filter(&filter, false, NULL, 0, 0);
    for (unsigned i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        assert_int_equal(run_payload(&filter, false, payload->bytes, payload->length),
                         payload->fate);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    close_filter(&filter);
}

static void only_allowed_sources_pass(void **state)
{
    static const char *const networks[] = {"198.51.100.0/25", "203.0.113.9", "2001:db8:7::/48",
                                           "10.0.0.0/8", "2001:db8:9::/64"};
    static const struct {
        const char *source;
        bool allowed;
    } cases[] = {
        {"198.51.100.0", true},       {"198.51.100.127", true},
        {"198.51.100.128", false},    {"198.51.99.255", false},
        {"203.0.113.9", true},        {"203.0.113.8", false},
        {"10.255.255.255", true},     {"11.0.0.0", false},
        {"0.0.0.0", false},           {"2001:db8:7::", true},
        {"2001:db8:7:ffff::", true},  {"2001:db8:8::", false},
        {"::ffff:10.1.2.3", false},   {"::", false},
        {"2001:db8:6:ffff::", false}, {"2001:db8:9::1", true},
    };
    struct filter filter;
    struct networks collectors;
    uint8_t frame[FRAME_MAX];

    (void)state;
    open_filter(&filter, false, networks, LENGTH(networks), 0);
    build_networks(networks, LENGTH(networks), &collectors);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        /* An IPv6 packet from a mapped address never reaches a socket: the kernel drops it. */
        if (!strstr(cases[i].source, "::ffff:") &&
            collector_allows(&collectors, cases[i].source) != cases[i].allowed)
            fail_msg("%s: the collector does not agree", cases[i].source);
        struct envelope envelope = {.v6 = strchr(cases[i].source, ':') != NULL,
                                    .source = cases[i].source};
        static const unsigned payloads[] = {0, 9, 13}; /* fine, malformed, another version */
        for (size_t j = 0; j < LENGTH(payloads); j++) {
            const struct payload *payload = payload_at(payloads[j]);
            uint32_t size = frame_write(&envelope, payload->bytes, payload->length, frame);
            int fate = run_filter(&filter, frame, size);
            if (fate != (int)(cases[i].allowed ? payload->fate : PRESENCE_XDP_SENDER))
                fail_msg("%s from %s: fate %d", payload->name, cases[i].source, fate);
        }
        envelope.port = 9999;
        uint32_t size = frame_write(&envelope, (const uint8_t *)"x", 1, frame);
        assert_int_equal(run_filter(&filter, frame, size),
                         -1); /* not for the collector: not judged */
    }
    networks_free(&collectors);
    close_filter(&filter);
}

static uint64_t boot_second(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec;
}

#define RATE 50

/* RATE datagrams of each sender pass in a second, whatever they are. Measured within one second. */
static unsigned passed_of(struct filter *filter, const char *source, unsigned tries)
{
    struct envelope envelope = {.v6 = strchr(source, ':') != NULL, .source = source};
    uint8_t frame[FRAME_MAX];
    unsigned passed = 0;

    for (unsigned i = 0; i < tries; i++) {
        const struct payload *payload = payload_at(i % 2 ? 0 : 9);
        envelope.udp_length = i % 3 ? 0 : 7; /* shorter than a header */
        uint32_t size = frame_write(&envelope, payload->bytes, payload->length, frame);
        int fate = run_filter(filter, frame, size);
        if (fate == PRESENCE_XDP_SENDER_RATE)
            continue;
        assert_int_equal(fate, envelope.udp_length ? PRESENCE_XDP_MALFORMED : payload->fate);
        passed++;
    }
    return passed;
}

static void sources_have_a_rate(void **state)
{
    struct filter filter;

    (void)state;
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        open_filter(&filter, false, NULL, 0, RATE);
        uint64_t begin = boot_second();
        unsigned passed = passed_of(&filter, "198.51.100.7", 3 * RATE);
        unsigned others = passed_of(&filter, "198.51.100.8", 10);
        unsigned v6 = passed_of(&filter, "2001:db8:7::1", RATE - 5);
        unsigned same_v6 = passed_of(&filter, "2001:db8:7::2", RATE);
        bool one_second = boot_second() == begin;
        while (boot_second() == begin)
            ;
        unsigned next = passed_of(&filter, "198.51.100.7", 10);
        close_filter(&filter);
        if (!one_second)
            continue;
        assert_int_equal(passed, RATE);
        assert_int_equal(others, 10);
        assert_int_equal(v6, RATE - 5);
        assert_int_equal(same_v6, 5); /* the same 64 bits: the same sender */
        assert_int_equal(next, 10);
        return;
    }
    fail_msg("twenty tries, and none within one second");
}

/* Who is not allowed has no rate: the allow list is judged first, and spends nothing of what a
 * sender in the same place has. */
static void strangers_have_no_rate(void **state)
{
    static const char *const networks[] = {"198.51.100.0/25", "2001:db8:7:0:8000::/65"};
    static const struct {
        const char *stranger, *allowed;
    } cases[] = {{"198.51.100.200", "198.51.100.7"}, {"2001:db8:7::1", "2001:db8:7:0:8000::1"}};
    const struct payload *fine = payload_at(0);
    struct filter filter;
    uint8_t frame[FRAME_MAX];

    (void)state;
    open_filter(&filter, false, networks, LENGTH(networks), RATE);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct envelope envelope = {.v6 = strchr(cases[i].stranger, ':') != NULL,
                                    .source = cases[i].stranger};
        uint32_t size = frame_write(&envelope, fine->bytes, fine->length, frame);
        for (unsigned tries = 0; tries < 3 * RATE; tries++)
            assert_int_equal(run_filter(&filter, frame, size), PRESENCE_XDP_SENDER);
        assert_int_equal(passed_of(&filter, cases[i].allowed, RATE), RATE);
    }
    close_filter(&filter);
}

/* Heartbeats with a few bytes changed at random: the kernel and wire.h agree on each. */
static void random_payloads(void **state)
{
    uint64_t random = random_seed("random_payloads");
    unsigned rounds = getenv("TEST_LONG") ? 1000000 : 100000;
    uint8_t payload[128];
    struct filter filter;

    (void)state;
    open_filter(&filter, false, NULL, 0, 0);
    for (unsigned i = 0; i < rounds; i++) {
        uint8_t visitors = (uint8_t)(random_next(&random) % 3);
        uint32_t length =
            i & 2 ? payload_v2(visitors, i, payload) : payload_native(visitors, payload);
        for (unsigned changes = (unsigned)(random_next(&random) % 4); changes; changes--) {
            uint64_t r = random_next(&random);
            payload[r % 30] = (r >> 8) % 2 ? (uint8_t)(r >> 16) : (uint8_t)((r >> 16) % 4);
        }
        if (random_next(&random) % 8 == 0)
            length = (uint32_t)(random_next(&random) % (length + 1));
        int fate = run_payload(&filter, i & 1, payload, length);
        if (fate != (int)judge_shape(payload, length))
            fail_msg("round %u: fate %d, but wire.h says %d", i, fate,
                     judge_shape(payload, length));
        assert_false(fate > PRESENCE_XDP_PASSED && is_accepted(payload, length));
    }
    for (int fate = PRESENCE_XDP_PASSED; fate < PRESENCE_XDP_FATES; fate++)
        if (fate != PRESENCE_XDP_SENDER && fate != PRESENCE_XDP_SENDER_RATE)
            assert_true(filter.before[fate] > 100);
    close_filter(&filter);
}

static int attach_error;

/* The linker calls it in place of bpf_link_create (--wrap). */
int __wrap_bpf_link_create(int program, int target, enum bpf_attach_type type,
                           const struct bpf_link_create_opts *options);

int __wrap_bpf_link_create(int program, int target, enum bpf_attach_type type,
                           const struct bpf_link_create_opts *options)
{
    (void)program, (void)target, (void)type, (void)options;
    return attach_error;
}

/* What drivers and the kernel say. */
static void refusals_are_explained(void **state)
{
    static const struct {
        int error;
        enum xdp_mode mode;
        const char *words;
    } cases[] = {
        {-ERANGE, XDP_NATIVE, "its MTU is too large for native XDP: try --xdp-mode generic"},
        {-EEXIST, XDP_NATIVE, "another XDP program is there: "},
        {-EBUSY, XDP_AUTO, "another XDP program is there: "},
        {-EOPNOTSUPP, XDP_NATIVE, "its driver has no native XDP: try --xdp-mode generic"},
        {-EOPNOTSUPP, XDP_AUTO, "the kernel has no XDP for it"},
        {-EINVAL, XDP_GENERIC, "the kernel refuses it: "},
    };
    char problem[XDP_PROBLEM_SIZE];

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct xdp *xdp;
        attach_error = cases[i].error;
        int r = xdp_attach("lo", cases[i].mode, &(struct xdp_settings){0}, &xdp, problem);
        assert_true(r < 0);
        if (strncmp(problem, cases[i].words, strlen(cases[i].words)) != 0)
            fail_msg("%s, not %s", problem, cases[i].words);
    }
}

int main(void)
{
    if (!can_load_filter())
        return 77; /* skipped */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_judges_agree),
        cmocka_unit_test(generic_mode_agrees),
        cmocka_unit_test(frames_that_end_early_pass),
        cmocka_unit_test(lengths_are_udps),
        cmocka_unit_test(every_processor_counts),
        cmocka_unit_test(only_allowed_sources_pass),
        cmocka_unit_test(sources_have_a_rate),
        cmocka_unit_test(strangers_have_no_rate),
        cmocka_unit_test(random_payloads),
        cmocka_unit_test(refusals_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
