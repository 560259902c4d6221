/* test_admission.c - admission.h: every reason, in its order, and limits by sender. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include <core/siphash.h>

#include "admission.h"
#include "golden.h"

#define START      UINT64_C(5000000)
#define GOLDEN_KEY 7

static void allow(struct admission *admission, const char *text)
{
    struct network network;

    assert_int_equal(network_parse(text, &network), 0);
    assert_int_equal(networks_build(&network, 1, &admission->networks), 0);
}

static struct keys *golden_keys(uint8_t id)
{
    struct keys *keys = calloc(1, sizeof(*keys));
    uint8_t bytes[SIPHASH_KEY_SIZE];

    assert_non_null(keys);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    keys->keys[id] = siphash_key(bytes);
    keys->known[id] = true;
    keys->count = 1;
    return keys;
}

static void from(struct admission_view *view, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};

    assert_int_equal(inet_pton(AF_INET, address, &v4.sin_addr), 1);
    admission_from(view, (struct sockaddr *)&v4);
}

/* Begin a view at the time when the golden datagram was sent. */
static struct admission_view begin(struct admission *admission)
{
    struct admission_view view;

    admission_view_init(admission, &view);
    admission_begin(&view, START);
    view.wall_now = GOLDEN_SENT_AT;
    return view;
}

static enum wire_reason decode(const struct admission_view *view, const void *from_bytes,
                               size_t length)
{
    struct bytes datagram = bytes_copy(from_bytes, length);
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat;
    enum wire_reason reason =
        admission_decode(view, datagram.bytes, datagram.length, &scratch, &heartbeat);

    if (reason == WIRE_ACCEPTED)
        assert_true(heartbeat.visitors >= 1);
    bytes_free(&datagram);
    return reason;
}

static enum wire_reason decode_text(const struct admission_view *view, const char *text)
{
    return decode(view, text, strlen(text));
}

static enum wire_reason decode_hex(const struct admission_view *view, const char *hex)
{
    struct bytes datagram = bytes_from_hex(hex);
    enum wire_reason reason = decode(view, datagram.bytes, datagram.length);

    bytes_free(&datagram);
    return reason;
}

static void nothing_is_configured(void **state)
{
    struct admission nothing = {0};
    struct admission *const cases[] = {NULL, &nothing};

    (void)state;
    assert_false(admission_wants_sender(&nothing));
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct admission_view view = begin(cases[i]);
        assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_ACCEPTED);
        assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_ACCEPTED);
        assert_int_equal(decode_text(&view, "PH1 site=a visitor=b"), WIRE_ACCEPTED);
        assert_int_equal(decode_text(&view, "PH2"), WIRE_VERSION);
        assert_int_equal(decode_text(&view, "PH1 site=a"), WIRE_VISITOR);
        assert_true(admission_spend_datagram(&view));
        assert_true(admission_spend_visitor(&view, view.sender, SCOPE_SITE));
    }
}

static void networks(void **state)
{
    struct admission admission = {0};

    (void)state;
    allow(&admission, "192.0.2.0/24");
    assert_true(admission_wants_sender(&admission));
    struct admission_view view = begin(&admission);
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_SENDER); /* unknown sender */
    from(&view, "192.0.2.9");
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_ACCEPTED);
    assert_int_equal(decode_text(&view, "PH1 site=a visitor=b"), WIRE_ACCEPTED);
    assert_int_equal(decode_text(&view, "PH2"), WIRE_VERSION);
    from(&view, "192.0.3.9");
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_SENDER);
    assert_int_equal(decode_text(&view, "PH2"), WIRE_SENDER); /* before version and malformed */
    assert_int_equal(decode_text(&view, ""), WIRE_SENDER);
    from(&view, "192.0.2.9");
    admission_begin(&view, START + 1); /* the sender may stay the same over batches */
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_ACCEPTED);
    admission_from(&view, NULL);
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_SENDER);
    admission_close(&admission);
}

static void keys(void **state)
{
    struct admission admission = {.keys = golden_keys(GOLDEN_KEY)};
    struct admission_view view = begin(&admission);

    (void)state;
    assert_false(admission_wants_sender(&admission));
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_ACCEPTED);
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_UNAUTHENTICATED);
    assert_int_equal(decode_text(&view, "PH1 site=a visitor=b"), WIRE_UNAUTHENTICATED);
    assert_int_equal(decode_text(&view, "PH2"), WIRE_VERSION);
    assert_int_equal(decode_text(&view, "PH1 site=a"), WIRE_VISITOR); /* before unauthenticated */
    assert_int_equal(decode_text(&view, "hello"), WIRE_MALFORMED);
    view.wall_now += KEYS_CLOCK_SKEW + 1;
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_STALE);

    /* A batch keeps the keys that it began with. */
    view.wall_now = GOLDEN_SENT_AT;
    struct keys *old = admission_replace_keys(&admission, golden_keys(8));
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_ACCEPTED);
    view = begin(&admission);
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_UNAUTHENTICATED);
    keys_free(old);
    admission_close(&admission);
}

/* The wall clock of a batch is the real one. */
static void now_is_now(void **state)
{
    struct admission admission = {.keys = golden_keys(GOLDEN_KEY)};
    struct admission_view view;
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    uint32_t length = datagram.length - WIRE_TAG_SIZE;
    static const int differences[] = {0, -25, 25, -35, 35};

    (void)state;
    admission_view_init(&admission, &view);
    for (size_t i = 0; i < LENGTH(differences); i++) {
        admission_begin(&view, START);
        wire_store32(datagram.bytes + 8, (uint32_t)(time(NULL) + differences[i]));
        siphash_tag(admission.keys->keys[GOLDEN_KEY], datagram.bytes, length,
                    datagram.bytes + length);
        enum wire_reason reason = decode(&view, datagram.bytes, datagram.length);
        if (reason != (abs(differences[i]) < 30 ? WIRE_ACCEPTED : WIRE_STALE))
            fail_msg("%d s off: reason %d", differences[i], reason);
    }
    bytes_free(&datagram);
    admission_close(&admission);
}

static void text_with_keys_needs_a_network(void **state)
{
    struct admission admission = {.keys = golden_keys(GOLDEN_KEY)};

    (void)state;
    allow(&admission, "192.0.2.0/24");
    struct admission_view view = begin(&admission);
    from(&view, "192.0.2.9");
    assert_int_equal(decode_text(&view, "PH1 site=a visitor=b"), WIRE_ACCEPTED);
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_ACCEPTED);
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_UNAUTHENTICATED);
    from(&view, "192.0.3.9");
    assert_int_equal(decode_text(&view, "PH1 site=a visitor=b"), WIRE_SENDER);
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_SENDER);
    admission_close(&admission);
}

static void sites(void **state)
{
    struct admission admission = {0};

    (void)state;
    assert_int_equal(sites_add(&admission.sites, "example.com"), 0);
    assert_int_equal(sites_add(&admission.sites, "Shop.example"), 0);
    struct admission_view view = begin(&admission);
    assert_false(admission_wants_sender(&admission));
    assert_int_equal(decode_hex(&view, GOLDEN_LABELS_HEX), WIRE_ACCEPTED);
    assert_int_equal(decode_text(&view, "PH1 site=SHOP.Example visitor=b"), WIRE_ACCEPTED);
    assert_int_equal(decode_text(&view, "PH1 site=other.example visitor=b"), WIRE_SITE);
    assert_int_equal(decode_text(&view, "PH1 site=other.example"), WIRE_VISITOR);
    admission.keys = golden_keys(8);
    view = begin(&admission);
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_UNAUTHENTICATED);
    keys_free(admission_replace_keys(&admission, golden_keys(GOLDEN_KEY)));
    sites_free(&admission.sites);
    assert_int_equal(sites_add(&admission.sites, "other.example"), 0);
    view = begin(&admission);
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_SITE);
    view.wall_now += 100;
    assert_int_equal(decode_hex(&view, GOLDEN_SIGNED_HEX), WIRE_STALE); /* before site */
    admission_close(&admission);
}

static void budgets_by_source(void **state)
{
    struct admission admission = {.secret = 42};

    (void)state;
    assert_int_equal(budget_open(3, &admission.datagrams), 0);
    assert_true(admission_wants_sender(&admission));
    assert_int_equal(budget_open(5, &admission.visitors), 0);
    struct admission_view view = begin(&admission);
    static const char *const senders[] = {"192.0.2.1", "192.0.2.2"};
    for (size_t i = 0; i < LENGTH(senders); i++) {
        from(&view, senders[i]);
        for (unsigned n = 0; n < 5; n++)
            assert_int_equal(admission_spend_datagram(&view), n < 3);
        for (unsigned n = 0; n < 8; n++)
            for (int kind = SCOPE_SITE; kind < SCOPE_KINDS; kind++)
                assert_int_equal(admission_spend_visitor(&view, view.sender, (enum scope_kind)kind),
                                 n < 5);
    }
    admission_begin(&view, START + 1);
    from(&view, senders[0]);
    assert_true(admission_spend_datagram(&view));
    assert_true(admission_spend_visitor(&view, view.sender, SCOPE_ROOM));
    admission_close(&admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_configured),
        cmocka_unit_test(networks),
        cmocka_unit_test(keys),
        cmocka_unit_test(now_is_now),
        cmocka_unit_test(text_with_keys_needs_a_network),
        cmocka_unit_test(sites),
        cmocka_unit_test(budgets_by_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
