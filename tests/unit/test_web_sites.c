/* test_web_sites.c - what is between several sites of one presence-web: a visitor's leaves, pages
 * of events, and the numbers that streams are told. */
#include "site_fixture.h"

#include "api.h"
#include "common/monotonic.h"
#include "watch.h"

#define OTHER   "other.example"
#define WARM_UP 90 /* seconds */

/* Let seconds pass one by one: a collector that misses many starts to warm up anew. */
static void pass(struct site *site, unsigned seconds)
{
    for (; seconds; seconds--)
        fixture_advance(&site->fixture, 1);
}

/* ---- leaves ---------------------------------------------------------------------------------- */

static void send_held(struct site *site, const char *name, enum presence_heartbeat_kind kind,
                      int hold_s)
{
    struct heartbeat heartbeat = {.kind = kind, .hold_s = hold_s};

    strcpy(heartbeat.place.site, name);
    strcpy(heartbeat.visitor, "ann");
    assert_int_equal(outbound_send(site->web.outbound, &heartbeat, NULL), 0);
}

static void send_kind(struct site *site, const char *name, enum presence_heartbeat_kind kind)
{
    send_held(site, name, kind, -1);
}

/* Run the timers so many seconds from now, and have the collector count what is sent. */
static void run_in(struct site *site, int64_t seconds)
{
    uint8_t datagram[65536];
    ssize_t length;

    outbound_run_timers(site->web.outbound, monotonic_ns() + seconds * NS_PER_S);
    while ((length = recv(site->socket, datagram, sizeof(datagram), MSG_DONTWAIT)) > 0) {
        ingest_begin(site->fixture.ingest);
        ingest_datagram(site->fixture.ingest, datagram, (uint32_t)length);
        ingest_end(site->fixture.ingest);
    }
}

/* Have the collector count the visitor as an edge reports them. */
static void report(struct site *site, const char *name)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "PH1 site=%s visitor=ann", name);

    ingest_begin(site->fixture.ingest);
    ingest_datagram(site->fixture.ingest, (const uint8_t *)line, (uint32_t)length);
    ingest_end(site->fixture.ingest);
}

static uint64_t count_of(struct site *site, const char *name)
{
    struct presence_reading reading;

    assert_int_equal(presence_count(site->fixture.presence, name, NULL, 0, &reading), 0);
    return reading.count;
}

/* A touch takes back the leave of its own site, and no other's. */
static void test_leaves_of_two_sites(void **state)
{
    struct site *site = *state;

    send_kind(site, SITE, PRESENCE_HEARTBEAT);
    send_kind(site, OTHER, PRESENCE_HEARTBEAT);
    run_in(site, 0);
    assert_int_equal(count_of(site, SITE) + count_of(site, OTHER), 2);
    send_kind(site, SITE, PRESENCE_LEAVE);
    send_kind(site, OTHER, PRESENCE_LEAVE);
    send_kind(site, OTHER, PRESENCE_HEARTBEAT);
    run_in(site, 60);
    assert_int_equal(count_of(site, SITE), 0);
    assert_int_equal(count_of(site, OTHER), 1);
    send_kind(site, OTHER, PRESENCE_LEAVE);
    run_in(site, 60);
    assert_int_equal(count_of(site, OTHER), 0);
}

/* Of two leaves of one site the earlier one counts, whichever was sent first. */
static void test_leaves_of_one_site(void **state)
{
    struct site *site = *state;

    for (int first = 0; first < 2; first++) {
        send_kind(site, SITE, PRESENCE_HEARTBEAT);
        run_in(site, 0);
        assert_int_equal(count_of(site, SITE), 1);
        send_held(site, SITE, PRESENCE_LEAVE, first ? 1 : HEARTBEAT_HOLD_MAX);
        send_held(site, SITE, PRESENCE_LEAVE, first ? HEARTBEAT_HOLD_MAX : 1);
        run_in(site, 2);
        assert_int_equal(count_of(site, SITE), 0);
    }
}

/* When a visitor was last there is known for each site: an edge's later report of one keeps them
 * there, whatever they have touched elsewhere. */
static void test_seen_again_on_one_site(void **state)
{
    struct site *site = *state;

    report(site, SITE);
    pass(site, 20);
    send_kind(site, OTHER, PRESENCE_HEARTBEAT);
    send_kind(site, SITE, PRESENCE_LEAVE);
    report(site, SITE);
    run_in(site, 60);
    assert_int_equal(count_of(site, SITE), 1);
    assert_int_equal(count_of(site, OTHER), 1);
}

/* ---- events ---------------------------------------------------------------------------------- */

static size_t count_events(struct site *site, const char *name, size_t limit)
{
    struct place place = {0};

    strcpy(place.site, name);
    json_t *events = api_newest_events(&site->web, &place, limit);
    size_t count = json_array_size(events);
    json_decref(events);
    return count;
}

/* A quiet site's events are found behind a thousand of others. */
static void test_events_behind_a_thousand(void **state)
{
    enum { MANY = 1400 };
    struct site *site = *state;
    char name[32];

    fixture_deliver(&site->fixture, WIRE_EVENT, "ann", SITE, NULL, NULL, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 700 == 699)
            fixture_advance(&site->fixture, 1);
        snprintf(name, sizeof(name), "site-%u.example", i % 700);
        fixture_deliver(&site->fixture, WIRE_EVENT, "bob", name, NULL, NULL, NULL);
        if (i == MANY / 2)
            fixture_deliver(&site->fixture, WIRE_EVENT, "bob", SITE, NULL, NULL, NULL);
    }
    assert_int_equal(count_events(site, SITE, 100), 2);
    assert_int_equal(count_events(site, SITE, 1), 1);
    /* Each once, where the last block that is loaded overlaps the one before. */
    for (unsigned i = 0; i < 256; i += 16) {
        snprintf(name, sizeof(name), "site-%u.example", i);
        assert_int_equal(count_events(site, name, 100), 2);
    }
    assert_int_equal(count_events(site, OTHER, 100), 0);
}

/* ---- watches --------------------------------------------------------------------------------- */

/* Streams are told when a number is no longer a lower bound, although it is the same. */
static void test_warming_ends(void **state)
{
    struct site *site = *state;
    struct watches watches = {0};
    struct place place = {.site = SITE};

    fixture_segment(&site->fixture)->header->warm_up = WARM_UP;
    report(site, SITE);
    struct watch *watch = watches_get(&watches, &place, 0);
    assert_non_null(watch);
    watches_poll(&watches, site->web.live);
    assert_int_equal(watch->version, 1);
    assert_true(watch->number.warming);
    assert_string_equal(watch->id, "1w");
    pass(site, WARM_UP - 1);
    watches_poll(&watches, site->web.live);
    assert_int_equal(watch->version, 1);
    pass(site, 1);
    watches_poll(&watches, site->web.live);
    assert_int_equal(watch->version, 2);
    assert_false(watch->number.warming);
    assert_string_equal(watch->id, "1");
    assert_non_null(strstr(watch->event->bytes, "\"warming\":false"));
    watches_poll(&watches, site->web.live);
    assert_int_equal(watch->version, 2);
    watches_put(&watches, watch);
}

/* Streams share a watch only if they show the same: the site, the room and the window. */
static void test_watches_are_apart(void **state)
{
    static const struct {
        struct place place;
        uint32_t window_s;
    } shown[] = {{{.site = SITE}, 60},
                 {{.site = OTHER}, 60},
                 {{.site = SITE, .room = "/a"}, 60},
                 {{.site = SITE, .room = "/b"}, 60},
                 {{.site = SITE}, 300}};
    enum { SHOWN = LENGTH(shown) };
    struct watch *all[SHOWN];
    struct watches watches = {0};

    (void)state;
    for (int i = 0; i < SHOWN; i++) {
        all[i] = watches_get(&watches, &shown[i].place, shown[i].window_s);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(all[i], all[j]);
    }
    for (int i = 0; i < SHOWN; i++) {
        assert_ptr_equal(watches_get(&watches, &shown[i].place, shown[i].window_s), all[i]);
        watches_put(&watches, all[i]);
        assert_int_equal(all[i]->users, 1);
    }
    for (int i = 0; i < SHOWN; i++)
        watches_put(&watches, all[i]);
    assert_null(watches.places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_leaves_of_two_sites, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_seen_again_on_one_site, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_events_behind_a_thousand, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_leaves_of_one_site, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_warming_ends, open_site, close_site),
        cmocka_unit_test(test_watches_are_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
