/* test_web_outbound.c - leaves that are held on the way to the collector: which are sent, and when.
 */
#include "site_fixture.h"

#include "common/monotonic.h"

#define OTHER "other.example"

/* ---- what arrives ---------------------------------------------------------------------------- */

/* Have the collector count what was sent. */
static void pump(struct site *site)
{
    uint8_t datagram[65536];
    ssize_t length;

    while ((length = recv(site->socket, datagram, sizeof(datagram), MSG_DONTWAIT)) > 0) {
        ingest_begin(site->fixture.ingest);
        ingest_datagram(site->fixture.ingest, datagram, (uint32_t)length);
        ingest_end(site->fixture.ingest);
    }
}

/* Run the timers so long from now on, and count what they send. */
static void run_after(struct site *site, int64_t seconds)
{
    outbound_run_timers(site->web.outbound, monotonic_ns() + seconds * NS_PER_S);
    pump(site);
}

/* Have the collector count an edge's heartbeat. */
static void deliver(struct site *site, const char *line)
{
    ingest_begin(site->fixture.ingest);
    ingest_datagram(site->fixture.ingest, (const uint8_t *)line, (uint32_t)strlen(line));
    ingest_end(site->fixture.ingest);
}

static uint64_t count(struct site *site, const char *name)
{
    struct presence_reading reading;

    assert_int_equal(presence_count(site->fixture.presence, name, NULL, 0, &reading), 0);
    return reading.count;
}

/* ---- what browsers report -------------------------------------------------------------------- */

static struct heartbeat make(const char *site, const char *room, const char *visitor)
{
    struct heartbeat heartbeat = {.kind = PRESENCE_HEARTBEAT, .hold_s = -1};

    strcpy(heartbeat.place.site, site);
    strcpy(heartbeat.place.room, room);
    strcpy(heartbeat.visitor, visitor);
    return heartbeat;
}

static void touch(struct site *site, const char *name, const char *room, const char *visitor)
{
    const struct heartbeat heartbeat = make(name, room, visitor);

    assert_int_equal(outbound_send(site->web.outbound, &heartbeat, "DE"), 0);
    run_after(site, 0);
}

static void leave(struct site *site, const char *name, const char *visitor, int hold_s)
{
    struct heartbeat heartbeat = make(name, "", visitor);

    heartbeat.kind = PRESENCE_LEAVE;
    heartbeat.hold_s = hold_s;
    assert_int_equal(outbound_send(site->web.outbound, &heartbeat, "DE"), 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_held(void **state)
{
    struct site *site = *state;

    touch(site, SITE, "", "ann");
    assert_int_equal(count(site, SITE), 1);
    leave(site, SITE, "ann", -1);
    run_after(site, OUTBOUND_HOLD_S - 1);
    assert_int_equal(count(site, SITE), 1);
    run_after(site, OUTBOUND_HOLD_S);
    assert_int_equal(count(site, SITE), 0);
}

static void test_back_on_another_page(void **state)
{
    struct site *site = *state;

    touch(site, SITE, "/a", "ann");
    leave(site, SITE, "ann", -1);
    touch(site, SITE, "/b", "ann");
    run_after(site, 2 * OUTBOUND_HOLD_S);
    assert_int_equal(count(site, SITE), 1);
}

static void test_on_another_site(void **state)
{
    struct site *site = *state;

    touch(site, SITE, "", "ann");
    touch(site, OTHER, "", "ann");
    leave(site, SITE, "ann", -1);
    touch(site, OTHER, "", "ann");
    run_after(site, OUTBOUND_HOLD_S);
    assert_int_equal(count(site, SITE), 0);
    assert_int_equal(count(site, OTHER), 1);
}

/* Of two leaves the one that is due earlier, whichever came first. */
static void test_the_earlier_of_two(void **state)
{
    struct site *site = *state;

    touch(site, SITE, "", "ann");
    leave(site, SITE, "ann", HEARTBEAT_HOLD_MAX);
    leave(site, SITE, "ann", 1);
    touch(site, SITE, "", "bob");
    leave(site, SITE, "bob", 1);
    leave(site, SITE, "bob", HEARTBEAT_HOLD_MAX);
    assert_int_equal(count(site, SITE), 2);
    run_after(site, 1);
    assert_int_equal(count(site, SITE), 0);
    touch(site, SITE, "", "ann");
    run_after(site, HEARTBEAT_HOLD_MAX);
    assert_int_equal(count(site, SITE), 1);
}

/* An edge has reported the next page: the visitor is still there. A touch on another site, which
 * came later than that report, says nothing about it. */
static void test_reported_by_an_edge(void **state)
{
    struct site *site = *state;
    const struct heartbeat ann = make(SITE, "", "ann");

    touch(site, SITE, "", "ann");
    fixture_advance(&site->fixture, 10);
    outbound_record_counted(site->web.outbound, &ann);
    touch(site, OTHER, "", "ann");
    leave(site, SITE, "ann", 1);
    deliver(site, "PH1 site=" SITE " visitor=ann");
    run_after(site, 1);
    assert_int_equal(count(site, SITE), 1);
}

static void test_too_many(void **state)
{
    struct site *site = *state;
    char visitor[32];

    for (int i = 0; i < OUTBOUND_LEAVES_MAX; i++) {
        snprintf(visitor, sizeof(visitor), "visitor-%d", i);
        leave(site, SITE, visitor, HEARTBEAT_HOLD_MAX);
    }
    touch(site, SITE, "", "ann");
    touch(site, SITE, "", "bob");
    assert_int_equal(count(site, SITE), 2);
    leave(site, SITE, "ann", 1); /* the next one due */
    run_after(site, 0);
    assert_int_equal(count(site, SITE), 1);
}

static void test_the_end(void **state)
{
    struct site *site = *state;

    touch(site, SITE, "", "ann");
    leave(site, SITE, "ann", HEARTBEAT_HOLD_MAX);
    outbound_close(site->web.outbound);
    site->web.outbound = NULL;
    pump(site);
    assert_int_equal(count(site, SITE), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_held, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_back_on_another_page, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_on_another_site, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_the_earlier_of_two, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_reported_by_an_edge, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_too_many, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_the_end, open_site, close_site),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
