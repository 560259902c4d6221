/* test_web_touch_totals.c - touches where the numbers are totals: when one has the visitor. Totals
 * and collectors are played. */
#include "../support/unit.h"

#include "common/monotonic.h"
#include "outbound.h"
#include "touch.h"

#define SITE "example.com"

static struct {
    int64_t published_ns; /* by then the total has all that has reached the collectors */
    int64_t site_published_ns;
    uint64_t lost;
    bool is_stale;
} world;

static struct web web;

/* ---- what is played -------------------------------------------------------------------------- */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

struct totals *__wrap_live_totals(const struct live *live)
{
    (void)live;
    return (struct totals *)&world;
}

void __wrap_live_count(struct live *live, const struct place *place, uint32_t window_s,
                       struct number *ret)
{
    (void)live, (void)window_s;
    *ret = (struct number){.known = true,
                           .has_time = true,
                           .count = 1,
                           .stale = world.is_stale,
                           .published_ns =
                               place->room[0] ? world.published_ns : world.site_published_ns};
}

void __wrap_live_observe(struct live *live, const struct place *place, const char *visitor,
                         uint32_t window_s, struct live_visitor *ret)
{
    (void)visitor;
    ret->age_s = LIVE_NEVER_SEEN;
    __wrap_live_count(live, place, window_s, &ret->number);
}

uint64_t __wrap_live_counter(struct live *live, const char *name)
{
    (void)live, (void)name;
    return 0;
}

int __wrap_outbound_send(struct outbound *outbound, const struct heartbeat *heartbeat,
                         const char *country)
{
    (void)outbound, (void)heartbeat, (void)country;
    return 0;
}

uint64_t __wrap_outbound_lost(struct outbound *outbound)
{
    (void)outbound;
    return world.lost;
}

void __wrap_outbound_record_counted(struct outbound *outbound, const struct heartbeat *heartbeat)
{
    (void)outbound, (void)heartbeat;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int done;

static void on_done(void *context)
{
    (void)context;
    done++;
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    done = 0;
    web.touches = touches_new(&web);
    assert_non_null(web.touches);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    touches_free(web.touches);
    return 0;
}

/* Touch a room. Returns the touch, and the time by which it was sent. */
static struct touch *begin(int64_t *ret_ns)
{
    struct heartbeat heartbeat = {
        .kind = PRESENCE_HEARTBEAT, .place = {SITE, "/room"}, .visitor = "ann"};
    const struct client client = {0};

    world.published_ns = world.site_published_ns = monotonic_ns();
    struct touch *touch = touch_begin(&web, &heartbeat, &client, on_done, NULL);
    assert_non_null(touch);
    assert_true(touch_waits(touch));
    *ret_ns = monotonic_ns();
    return touch;
}

static void publish(int64_t at_ns)
{
    world.published_ns = world.site_published_ns = at_ns;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Only what was published TOUCH_LAG_NS later has what was on the way through a relay. */
static void test_a_relay_needs_time(void **state)
{
    int64_t sent_ns;
    struct touch *touch = begin(&sent_ns);

    (void)state;
    publish(sent_ns + TOUCH_LAG_NS / 2);
    touches_run_timers(web.touches, sent_ns + TOUCH_LAG_NS);
    assert_int_equal(done, 0);
    publish(sent_ns + TOUCH_LAG_NS);
    touches_run_timers(web.touches, sent_ns + 2 * TOUCH_LAG_NS);
    assert_int_equal(done, 1);
    assert_true(touch_is_counted(touch));
    touch_free(touch);
}

/* The answer has the counts of room and site. */
static void test_both_have_it(void **state)
{
    int64_t sent_ns;
    struct touch *touch = begin(&sent_ns);

    (void)state;
    world.published_ns = sent_ns + TOUCH_LAG_NS;
    touches_run_timers(web.touches, sent_ns + TOUCH_LAG_NS);
    assert_int_equal(done, 0);
    world.site_published_ns = sent_ns + TOUCH_LAG_NS;
    touches_run_timers(web.touches, sent_ns + 2 * TOUCH_LAG_NS);
    assert_int_equal(done, 1);
    touch_free(touch);
}

/* Nobody can say whether it was this one that was lost. */
static void test_lost_on_the_way(void **state)
{
    int64_t sent_ns;
    struct touch *touch = begin(&sent_ns);

    (void)state;
    world.lost = 1;
    publish(sent_ns + TOUCH_LAG_NS);
    touches_run_timers(web.touches, sent_ns + TOUCH_TOTAL_WAIT_NS / 2);
    assert_int_equal(done, 0);
    touches_run_timers(web.touches, sent_ns + TOUCH_TOTAL_WAIT_NS);
    assert_int_equal(done, 1);
    assert_false(touch_is_counted(touch));
    touch_free(touch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_relay_needs_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_both_have_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_on_the_way, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
