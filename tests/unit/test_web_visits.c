/* test_web_visits.c - who leaves a room or a site when connections end. Collectors are played. */
#include "../support/unit.h"

#include "common/monotonic.h"
#include "outbound.h"
#include "rooms.h"

#define VISITORS 3
#define ROOMS    4 /* the first is none: the site */
#define TABS     3
#define STEPS    20000
#define GRACE_NS (VISITS_GRACE_S * NS_PER_S)
#define OTHER    "other.example"

static const char *const rooms[ROOMS] = {"", "/a", "/b", "/c"};
static const char *const visitors[VISITORS] = {"ann", "bob",
                                               "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"};

/* What the collector counts, and the site's leaves that are held on the way there. */
static struct {
    bool counted[VISITORS][ROOMS];
    int64_t leaves_at_ns[VISITORS]; /* 0: doesn't */
    bool is_elsewhere;              /* everybody, as another server has reported */
    unsigned other_leaves;          /* of another site */
} world;

static int64_t now_ns;

static int find(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    fail_msg("no such name: %s", name);
    return 0;
}

static void arrive(int visitor, int room)
{
    world.leaves_at_ns[visitor] = 0;
    world.counted[visitor][0] = world.counted[visitor][room] = true;
}

/* Stand in for outbound.c. */
int outbound_send(struct outbound *outbound, const struct heartbeat *heartbeat, const char *country)
{
    int visitor = find(visitors, VISITORS, heartbeat->visitor);
    int room = find(rooms, ROOMS, heartbeat->place.room);

    (void)outbound;
    assert_string_equal(country, "DE");
    if (strcmp(heartbeat->place.site, OTHER) == 0) {
        world.other_leaves += heartbeat->kind == PRESENCE_LEAVE;
        return 0;
    }
    assert_string_equal(heartbeat->place.site, "example.com");
    if (heartbeat->kind == PRESENCE_HEARTBEAT) {
        arrive(visitor, room);
    } else if (room) {
        world.counted[visitor][room] = false;
    } else {
        assert_int_equal(heartbeat->hold_s, VISITS_GRACE_S);
        if (!world.leaves_at_ns[visitor])
            world.leaves_at_ns[visitor] = now_ns + GRACE_NS;
    }
    return 0;
}

bool outbound_is_seen_since(const struct outbound *outbound, const struct heartbeat *heartbeat,
                            int64_t sent_ns)
{
    (void)outbound;
    assert_true(heartbeat->place.room[0]);
    assert_in_range(monotonic_ns() - sent_ns, 0, 60 * NS_PER_S);
    return world.is_elsewhere;
}

static void leave_sites(void)
{
    for (int i = 0; i < VISITORS; i++) {
        if (!world.leaves_at_ns[i] || world.leaves_at_ns[i] > now_ns)
            continue;
        world.counted[i][0] = false; /* and no room: R4 */
        world.leaves_at_ns[i] = 0;
    }
}

static void pass(struct visits *visits, int64_t ns)
{
    now_ns += ns;
    visits_run_timers(visits, now_ns);
    leave_sites();
}

/* Connect as a member of a room does, whose heartbeat follows at once. */
static struct stay *enter(struct visits *visits, int visitor, int room)
{
    struct heartbeat heartbeat = {.kind = PRESENCE_HEARTBEAT};

    strcpy(heartbeat.place.site, "example.com");
    strcpy(heartbeat.place.room, rooms[room]);
    strcpy(heartbeat.visitor, visitors[visitor]);
    struct stay *stay = visits_enter(visits, &heartbeat, "DE");
    assert_non_null(stay);
    arrive(visitor, room);
    return stay;
}

static struct visits *begin(void)
{
    struct visits *visits = visits_new(NULL);

    assert_non_null(visits);
    memset(&world, 0, sizeof(world));
    now_ns = 1;
    return visits;
}

static void test_the_last_tab(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *first = enter(visits, 0, 1), *second = enter(visits, 0, 1);

    visits_exit(visits, first, true, now_ns);
    pass(visits, 2 * GRACE_NS);
    assert_true(world.counted[0][1]);
    visits_exit(visits, second, true, now_ns);
    pass(visits, GRACE_NS - 1);
    assert_true(world.counted[0][1]);
    pass(visits, 1);
    assert_false(world.counted[0][1]);
    assert_false(world.counted[0][0]);
    visits_free(visits);
}

static void test_another_room(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *first = enter(visits, 0, 1), *second = enter(visits, 0, 2);

    visits_exit(visits, first, true, now_ns);
    pass(visits, GRACE_NS);
    assert_false(world.counted[0][1]);
    assert_true(world.counted[0][2]);
    visits_exit(visits, second, true, now_ns);
    pass(visits, GRACE_NS / 2);
    first = enter(visits, 0, 1);
    pass(visits, GRACE_NS);
    assert_false(world.counted[0][2]);
    assert_true(world.counted[0][1]);
    visits_exit(visits, first, false, now_ns);
    visits_free(visits);
}

/* Two rooms one after the other, and back to the second: the first one's leave is not lost with
 * that of the site. */
static void test_back_in_one_of_two(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *first = enter(visits, 0, 1), *second = enter(visits, 0, 2);

    visits_exit(visits, first, true, now_ns);
    pass(visits, GRACE_NS / 2);
    visits_exit(visits, second, true, now_ns);
    pass(visits, GRACE_NS / 2 + 1);
    second = enter(visits, 0, 2);
    pass(visits, 2 * GRACE_NS);
    assert_false(world.counted[0][1]);
    assert_true(world.counted[0][2]);
    visits_exit(visits, second, false, now_ns);
    visits_free(visits);
}

static void test_expected_back(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *first = enter(visits, 0, 1), *second = enter(visits, 0, 2);

    visits_exit(visits, first, true, now_ns);
    visits_exit(visits, second, false, now_ns);
    pass(visits, 2 * GRACE_NS);
    assert_false(world.counted[0][1]);
    assert_true(world.counted[0][2]);
    assert_true(world.counted[0][0]);
    visits_free(visits);
}

/* Another server has the visitor in the room, too. */
static void test_seen_elsewhere(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *stay = enter(visits, 0, 1);

    world.is_elsewhere = true;
    visits_exit(visits, stay, true, now_ns);
    world.leaves_at_ns[0] = 0; /* as outbound.c drops it */
    pass(visits, GRACE_NS);
    assert_true(world.counted[0][1]);
    stay = enter(visits, 0, 1);
    world.is_elsewhere = false;
    visits_exit(visits, stay, true, now_ns);
    pass(visits, GRACE_NS);
    assert_false(world.counted[0][1]);
    visits_free(visits);
}

/* Whoever leaves one site stays on another, in a room of the same name. */
static void test_two_sites(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct heartbeat other = {.kind = PRESENCE_HEARTBEAT, .place = {OTHER, "/a"}, .visitor = "ann"};
    struct stay *here = enter(visits, 0, 1), *there = visits_enter(visits, &other, "DE");

    assert_non_null(there);
    visits_exit(visits, there, true, now_ns);
    pass(visits, 2 * GRACE_NS);
    assert_int_equal(world.other_leaves, 2); /* of site and room */
    assert_true(world.counted[0][0]);
    assert_true(world.counted[0][1]);
    visits_exit(visits, here, true, now_ns);
    pass(visits, 2 * GRACE_NS);
    assert_int_equal(world.other_leaves, 2);
    assert_false(world.counted[0][0]);
    visits_free(visits);
}

static void test_the_end(void **state)
{
    (void)state;
    struct visits *visits = begin();
    struct stay *first = enter(visits, 0, 1), *second = enter(visits, 0, 2);

    visits_exit(visits, first, true, now_ns);
    visits_exit(visits, second, false, now_ns);
    assert_true(world.counted[0][1]);
    visits_free(visits);
    assert_false(world.counted[0][1]);
    assert_true(world.counted[0][2]);
}

struct tab {
    struct stay *stay; /* NULL: closed */
    int visitor, room;
};

static void check_present(const struct tab *tabs, int count)
{
    for (int i = 0; i < count; i++) {
        if (!tabs[i].stay)
            continue;
        assert_true(world.counted[tabs[i].visitor][tabs[i].room]);
        assert_true(world.counted[tabs[i].visitor][0]);
    }
}

/* When all has been quiet for long enough, exactly those are counted who have a connection there.
 */
static void check_settled(const struct tab *tabs, int count)
{
    bool connected[VISITORS][ROOMS] = {0};

    for (int i = 0; i < count; i++) {
        if (tabs[i].stay)
            connected[tabs[i].visitor][0] = connected[tabs[i].visitor][tabs[i].room] = true;
    }
    assert_memory_equal(world.counted, connected, sizeof(connected));
}

static void test_random_tabs(void **state)
{
    (void)state;
    struct visits *visits = begin();
    uint64_t random = random_seed("tabs");
    struct tab tabs[VISITORS * TABS] = {0};

    for (int step = 0; step < STEPS; step++) {
        struct tab *tab = &tabs[random_next(&random) % LENGTH(tabs)];
        if (tab->stay) {
            visits_exit(visits, tab->stay, true, now_ns);
            tab->stay = NULL;
        } else {
            tab->visitor = (int)(tab - tabs) / TABS;
            tab->room = (int)(random_next(&random) % ROOMS);
            tab->stay = enter(visits, tab->visitor, tab->room);
        }
        pass(visits, (int64_t)(random_next(&random) % 4) * NS_PER_S / 2 + 1);
        check_present(tabs, LENGTH(tabs));
        if (random_next(&random) % 16 == 0) {
            pass(visits, GRACE_NS);
            check_settled(tabs, LENGTH(tabs));
        }
    }
    for (size_t i = 0; i < LENGTH(tabs); i++) {
        if (tabs[i].stay)
            visits_exit(visits, tabs[i].stay, false, now_ns);
    }
    visits_free(visits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_last_tab),       cmocka_unit_test(test_another_room),
        cmocka_unit_test(test_back_in_one_of_two), cmocka_unit_test(test_expected_back),
        cmocka_unit_test(test_seen_elsewhere),     cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_two_sites),          cmocka_unit_test(test_random_tabs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
