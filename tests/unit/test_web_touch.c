/* test_web_touch.c - touches: when they are done, and what may happen to them meanwhile. */
#include "site_fixture.h"

#include "common/monotonic.h"
#include "touch.h"

#define MS NS_PER_MS

/* ---- touches that record when they are done -------------------------------------------------- */

struct caller {
    struct site *site;
    struct touch *touch;
    int done;
    struct caller *frees, *begins; /* in its call; NULL: nothing */
};

static void begin_kind(struct site *site, struct caller *caller, const char *visitor,
                       enum presence_heartbeat_kind kind);

static void leave(struct caller *caller)
{
    touch_free(caller->touch);
    caller->touch = NULL;
}

static void on_done(void *context)
{
    struct caller *caller = context;

    caller->done++;
    assert_false(touch_waits(caller->touch));
    if (caller->frees)
        leave(caller->frees);
    if (caller->begins)
        begin_kind(caller->site, caller->begins, "late", PRESENCE_HEARTBEAT);
}

static void begin_kind(struct site *site, struct caller *caller, const char *visitor,
                       enum presence_heartbeat_kind kind)
{
    struct heartbeat heartbeat = {.kind = kind, .hold_s = -1};
    const struct client client = {0};

    strcpy(heartbeat.place.site, SITE);
    strcpy(heartbeat.visitor, visitor);
    caller->site = site;
    for (;;) {
        int64_t before_ns = monotonic_ns();
        caller->touch = touch_begin(&site->web, &heartbeat, &client, on_done, caller);
        assert_non_null(caller->touch);
        site->now_ns = monotonic_ns();
        if (site->now_ns - before_ns < MS / 2)
            return;
        leave(caller); /* it may have begun long ago */
    }
}

static void begin(struct site *site, struct caller *caller, const char *visitor)
{
    begin_kind(site, caller, visitor, PRESENCE_HEARTBEAT);
    assert_true(touch_waits(caller->touch));
}

/* Have the collector count a visitor. */
static void deliver(struct site *site, const char *visitor)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "PH1 site=" SITE " visitor=%s", visitor);

    ingest_begin(site->fixture.ingest);
    ingest_datagram(site->fixture.ingest, (const uint8_t *)line, (uint32_t)length);
    ingest_end(site->fixture.ingest);
}

/* Run the timers so long after the last touch began. Return in how many ms they want to run again;
 * -1: not at all. */
static int run_after(struct site *site, int64_t ms)
{
    int64_t next_ns = touches_run_timers(site->web.touches, site->now_ns + ms * MS);

    return next_ns == INT64_MAX ? -1 : (int)((next_ns - site->now_ns + MS - 1) / MS) - (int)ms;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_counted(void **state)
{
    struct site *site = *state;
    struct caller ann = {0}, bob = {0};

    begin(site, &ann, "ann");
    begin(site, &bob, "bob");
    deliver(site, "ann");
    assert_true(run_after(site, 1) > 0);
    assert_int_equal(ann.done, 1);
    assert_true(touch_is_counted(ann.touch));
    assert_int_equal(bob.done, 0);
    assert_true(touch_waits(bob.touch));
    deliver(site, "bob");
    assert_int_equal(run_after(site, 8), -1);
    assert_int_equal(bob.done, 1);
    assert_true(touch_is_counted(bob.touch));
    assert_int_equal(run_after(site, 5000), -1);
    assert_int_equal(ann.done + bob.done, 2);
    leave(&ann);
    leave(&bob);
}

static void test_patience(void **state)
{
    struct site *site = *state;
    struct caller ann = {0};

    begin(site, &ann, "ann");
    assert_true(run_after(site, 19) >= 0);
    assert_int_equal(ann.done, 0);
    assert_int_equal(run_after(site, 20), -1);
    assert_int_equal(ann.done, 1);
    assert_false(touch_is_counted(ann.touch));
    leave(&ann);
}

/* One that insists is checked less and less often. */
static void test_insisting(void **state)
{
    struct site *site = *state;
    struct caller bob = {0}, cid = {0};

    begin(site, &bob, "bob");
    touch_insist(bob.touch, 0);
    int wait_ms = run_after(site, 21);
    assert_true(wait_ms >= 20 && wait_ms <= 22);
    wait_ms = run_after(site, 400);
    assert_true(wait_ms >= 399 && wait_ms <= 401);
    assert_int_equal(bob.done, 0);
    deliver(site, "bob");
    assert_int_equal(run_after(site, 900), -1);
    assert_int_equal(bob.done, 1);
    assert_true(touch_is_counted(bob.touch));
    leave(&bob);

    begin(site, &cid, "cid");
    touch_insist(cid.touch, 0);
    assert_true(run_after(site, 999) >= 0);
    assert_int_equal(cid.done, 0);
    assert_int_equal(run_after(site, 1000), -1);
    assert_int_equal(cid.done, 1);
    assert_false(touch_is_counted(cid.touch));
    leave(&cid);
}

/* The table has the visitor, but their worker is still within its batch: the count may lack them.
 */
static void test_a_batch_that_has_not_ended(void **state)
{
    struct site *site = *state;
    struct caller ann = {0};
    char line[128];

    begin(site, &ann, "ann");
    ingest_begin(site->fixture.ingest);
    for (int i = 0; i < 1000; i++) { /* they push her into the table */
        int length = snprintf(line, sizeof(line), "PH1 site=" SITE " visitor=%s%d",
                              i ? "visitor-" : "ann", i);
        ingest_datagram(site->fixture.ingest, (const uint8_t *)line,
                        (uint32_t)(i ? length : length - 1));
    }
    run_after(site, 1);
    run_after(site, 8);
    assert_int_equal(ann.done, 0);
    ingest_end(site->fixture.ingest);
    run_after(site, 16);
    assert_int_equal(ann.done, 1);
    assert_true(touch_is_counted(ann.touch));
    leave(&ann);
}

/* Ages are whole seconds: where a visitor was there a second before, the age may be the same. */
static void test_seen_a_second_before(void **state)
{
    struct site *site = *state;
    struct caller ann = {0};

    deliver(site, "ann");
    fixture_advance(&site->fixture, 1);
    begin(site, &ann, "ann");
    deliver(site, "ann");
    fixture_advance(&site->fixture, 1);
    run_after(site, 1);
    run_after(site, 8);
    assert_int_equal(ann.done, 1);
    assert_true(touch_is_counted(ann.touch));
    leave(&ann);
}

/* The count does not rise by one who was there before, so two checks are needed: also where the
 * first one is late. */
static void test_a_late_first_check(void **state)
{
    struct site *site = *state;
    struct caller ann = {0};

    deliver(site, "ann");
    begin(site, &ann, "ann");
    deliver(site, "ann");
    assert_int_equal(run_after(site, 25), 2);
    assert_int_equal(ann.done, 0);
    assert_int_equal(run_after(site, 27), -1);
    assert_int_equal(ann.done, 1);
    assert_true(touch_is_counted(ann.touch));
    leave(&ann);
}

/* Where the collector is known to have refused a visitor, nobody insists. */
static void test_refused(void **state)
{
    struct site *site = *state;
    char visitor[32];

    for (int i = 0; i < 20000; i++) {
        struct caller caller = {0};
        snprintf(visitor, sizeof(visitor), "visitor-%d", i);
        begin(site, &caller, visitor);
        touch_insist(caller.touch, 0);
        deliver(site, visitor);
        run_after(site, 21);
        assert_int_equal(caller.done, 1);
        bool counted = touch_is_counted(caller.touch);
        if (!counted) {
            const struct number number = {.known = true};
            assert_string_equal(touch_explain(caller.touch, &number).code, "table_full");
        }
        leave(&caller);
        if (!counted)
            return;
    }
    fail_msg("the table is never full");
}

static void test_what_is_done_may_free_and_begin(void **state)
{
    struct site *site = *state;
    struct caller ann = {0}, bob = {0}, cid = {0}, dan = {0}, late = {0};

    ann = (struct caller){.frees = &bob};
    cid = (struct caller){.frees = &cid, .begins = &late};
    begin(site, &ann, "ann");
    begin(site, &bob, "bob");
    begin(site, &dan, "dan");
    dan.frees = &ann;
    begin(site, &cid, "cid"); /* the last: nothing is to be checked after it */
    deliver(site, "ann");
    deliver(site, "bob");
    deliver(site, "cid");
    deliver(site, "dan");
    /* Returns when to check the one that began within. */
    assert_true(touches_run_timers(site->web.touches, site->now_ns + 8 * MS) < INT64_MAX);
    assert_int_equal(ann.done + cid.done + dan.done, 3);
    assert_int_equal(bob.done, 0);
    assert_true(touch_waits(late.touch));
    leave(&late);
    assert_int_equal(run_after(site, 5000), -1);
    assert_int_equal(late.done, 0);
    leave(&dan);
}

static void test_end(void **state)
{
    struct site *site = *state;
    struct caller ann = {0}, bob = {0}, cid = {0}, late = {0};

    begin(site, &ann, "ann");
    begin(site, &bob, "bob");
    begin(site, &cid, "cid");
    ann.frees = &bob;
    cid.begins = &late;
    site->web.ending = true;
    touches_end(site->web.touches);
    assert_int_equal(ann.done + cid.done, 2);
    assert_int_equal(bob.done, 0);
    assert_false(touch_is_counted(ann.touch));
    assert_false(touch_waits(late.touch));
    leave(&ann);
    leave(&cid);
    leave(&late);
    touch_free(NULL);
}

static void test_nothing_to_wait_for(void **state)
{
    struct site *site = *state;
    struct caller ann = {0};

    begin_kind(site, &ann, "ann", PRESENCE_LEAVE);
    assert_false(touch_waits(ann.touch));
    leave(&ann);
    fixture_stop_collector(&site->fixture);
    begin_kind(site, &ann, "ann", PRESENCE_HEARTBEAT);
    assert_false(touch_waits(ann.touch));
    assert_int_equal(run_after(site, 5000), -1);
    assert_int_equal(ann.done, 0);
    leave(&ann);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counted, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_patience, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_insisting, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_a_batch_that_has_not_ended, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_seen_a_second_before, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_a_late_first_check, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_refused, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_what_is_done_may_free_and_begin, open_site,
                                        close_site),
        cmocka_unit_test_setup_teardown(test_end, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_nothing_to_wait_for, open_site, close_site),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
