/* test_publisher_changes.c - what presence-publisher writes, against what readers of the segment
 * are answered. */
#include "changes.h"
#include "engine_hashes.h"
#include "lying_directory.h"
#include "reader_fixture.h"

#define WINDOW_MAX_S 60
#define EPOCH        "0123456789abcdef"
#define SITES        5
#define NAMES        6

static const struct scan_windows windows = {.seconds = {10, 30, WINDOW_MAX_S}, .count = 3};
static const char *const site_names[SITES] = {"a.example", "b.example", "c.example", "d.example",
                                              "e.example"};
static const char *const room_names[NAMES] = {"/", "/a", "/b", "c", "?r", "/e"};
static const char *const country_names[NAMES] = {"AT", "BE", "CH", "DE", "ES", "FR"};
static const char *const source_names[NAMES] = {"a", "b", "c", "d", "e", "f"};

static struct fixture fixture;
static struct mirror mirror;
static struct engine_request request;
static struct engine_hashes engine;
static bool is_anew;

static void open_with(struct segment_settings settings)
{
    settings.max_window = WINDOW_MAX_S;
    settings.max_entries = settings.max_entries ? settings.max_entries : 10000;
    fixture_open(&fixture, settings);
    assert_int_equal(mirror_init(scan_capacity(fixture.presence), &windows, &mirror), 0);
    is_anew = true;
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&fixture);
    mirror_free(&mirror);
    engine_request_free(&request);
    fake_clear(&engine);
    return 0;
}

static struct changes changes_of(void)
{
    return (struct changes){
        .mirror = &mirror,
        .group = "A",
        .epoch = EPOCH,
        .shard = 2,
        .anew = is_anew,
        .request = &request,
    };
}

/* Add the commands of what has changed to the request. */
static void add_changes(void)
{
    struct changes changes = changes_of();

    assert_int_equal(mirror_load(&mirror, fixture.presence), 0);
    assert_int_equal(changes_add(&changes), 0);
}

static void publish(void)
{
    add_changes();
    fake_apply(&engine, &request);
    mirror_commit(&mirror);
    is_anew = false;
}

/* ---- a judge ------------------------------------------------------------------------------ */

static const char *name_of(enum presence_kind kind, unsigned i)
{
    return kind == PRESENCE_ROOM      ? room_names[i]
           : kind == PRESENCE_COUNTRY ? country_names[i]
                                      : source_names[i];
}

/* Check one field against the answer of presence_count_scope; count it if it is there. */
static void expect_count(const char *key, enum presence_kind kind, const char *site,
                         const char *name, uint32_t window_s, unsigned *fields)
{
    char field[ENGINE_FIELD_MAX], text[16];
    struct presence_reading reading;

    engine_field(kind, site, name, field);
    const char *value = fake_get(&engine, key, field);
    assert_int_equal(presence_count_scope(fixture.presence, kind, site, name, window_s, &reading),
                     0);
    snprintf(text, sizeof(text), "%u", reading.count);
    if (reading.count == 0 ? value != NULL : !value || strcmp(value, text) != 0)
        fail_msg("%s %s is %s, not %s", key, field, value ? value : "absent", text);
    *fields += value != NULL;
}

/* Return what is said of a label that no heartbeat names. */
static struct presence_reading read_absent(enum presence_kind kind, const char *site,
                                           uint32_t window_s)
{
    struct presence_reading reading;

    assert_int_equal(presence_count_scope(fixture.presence, kind, site,
                                          kind == PRESENCE_COUNTRY ? "QZ" : "none", window_s,
                                          &reading),
                     0);
    return reading;
}

/* Check the marks of a site: where readers of the segment are told "unknown" or "lower bound",
 * those of the engine are. */
static void expect_marks(const char *key, const char *site, uint32_t window_s, unsigned *fields)
{
    static const char *const marks[] = {NULL, ENGINE_MARK_ROOMS, ENGINE_MARK_COUNTRIES,
                                        ENGINE_MARK_SOURCES};
    struct presence_reading reading;
    const char *partial = fake_get(&engine, key, ENGINE_MARK_PARTIAL);

    assert_int_equal(presence_count(fixture.presence, site, NULL, window_s, &reading), 0);
    for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++) {
        const char *mark = fake_get(&engine, key, marks[kind]);
        bool is_unknown = reading.exists && !read_absent(kind, site, window_s).known;
        if (is_unknown != (mark != NULL))
            fail_msg("%s: %s is %s", key, marks[kind], mark ? "there" : "missing");
        *fields += mark != NULL;
    }
    if (reading.exists && reading.partial != (partial && strchr(partial, 'n')))
        fail_msg("%s: partial is %s", key, partial ? partial : "missing");
    for (unsigned i = 0; i < NAMES; i++) {
        presence_count(fixture.presence, site, room_names[i], window_s, &reading);
        if (reading.exists && reading.partial && !(partial && strchr(partial, 'r')))
            fail_msg("%s: partial is %s for rooms", key, partial ? partial : "missing");
    }
    *fields += partial != NULL;
    *fields += fake_get(&engine, key, ENGINE_MARK_QUIET) != NULL;
}

static void expect_window(uint32_t window_s, unsigned *fields)
{
    char sites_key[ENGINE_KEY_MAX], key[ENGINE_KEY_MAX];

    engine_key_sites("A", 2, window_s, sites_key);
    assert_string_equal(fake_get(&engine, sites_key, ENGINE_MARK_EPOCH), EPOCH);
    ++*fields;
    for (unsigned site = 0; site < SITES; site++) {
        unsigned before = *fields;
        engine_key_site("A", 2, window_s, site_names[site], key);
        expect_count(sites_key, PRESENCE_SITE, site_names[site], NULL, window_s, fields);
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++) {
            for (unsigned i = 0; i < NAMES; i++)
                expect_count(key, kind, site_names[site], name_of(kind, i), window_s, fields);
        }
        expect_marks(key, site_names[site], window_s, fields);
        const char *epoch = fake_get(&engine, key, ENGINE_MARK_EPOCH);
        if (*fields == before)
            assert_null(epoch);
        else
            assert_string_equal(epoch, EPOCH);
        *fields += epoch != NULL;
    }
}

/* Check all that the engine has, and that it has nothing else. */
static void expect_equal(void)
{
    unsigned fields = 0;

    for (unsigned i = 0; i < windows.count; i++)
        expect_window(windows.seconds[i], &fields);
    assert_int_equal(fake_count(&engine), fields);
}

/* ---- bytes -------------------------------------------------------------------------------- */

static void expect_bytes(const char *expected)
{
    assert_int_equal(request.length, strlen(expected));
    assert_memory_equal(request.bytes, expected, request.length);
    fake_apply(&engine, &request);
    mirror_commit(&mirror);
    is_anew = false;
}

#define HSET_KEY  "{presence}:A:2:10:a.example"
#define LONG_LIFE "$7\r\n7200000\r\n"

static void commands_have_these_bytes(void **state)
{
    const struct scan_windows one = {.seconds = {10}, .count = 1};

    (void)state;
    open_with((struct segment_settings){.max_scopes = 8});
    mirror_free(&mirror);
    assert_int_equal(mirror_init(8, &one, &mirror), 0);
    fixture_beat(&fixture, "1", "a.example", "/a");
    fixture_beat(&fixture, "2", "a.example", "/a");
    add_changes();
    expect_bytes("*2\r\n$6\r\nUNLINK\r\n$17\r\n{presence}:A:2:10\r\n"
                 "*4\r\n$4\r\nHSET\r\n$17\r\n{presence}:A:2:10\r\n$0\r\n\r\n$16\r\n" EPOCH "\r\n"
                 "*3\r\n$7\r\nPEXPIRE\r\n$17\r\n{presence}:A:2:10\r\n" LONG_LIFE
                 "*4\r\n$4\r\nHSET\r\n$17\r\n{presence}:A:2:10\r\n$9\r\na.example\r\n$1\r\n2\r\n"
                 "*2\r\n$6\r\nUNLINK\r\n$27\r\n" HSET_KEY "\r\n"
                 "*4\r\n$4\r\nHSET\r\n$27\r\n" HSET_KEY "\r\n$0\r\n\r\n$16\r\n" EPOCH "\r\n"
                 "*3\r\n$7\r\nPEXPIRE\r\n$27\r\n" HSET_KEY "\r\n" LONG_LIFE
                 "*4\r\n$4\r\nHSET\r\n$27\r\n" HSET_KEY "\r\n$3\r\nr/a\r\n$1\r\n2\r\n");
    add_changes();
    expect_bytes("");
    fixture_beat(&fixture, "2", "a.example", "/b");
    fixture_deliver(&fixture, WIRE_LEAVE, "1", "a.example", "/a", NULL, NULL);
    add_changes();
    expect_bytes("*6\r\n$4\r\nHSET\r\n$27\r\n" HSET_KEY
                 "\r\n$3\r\nr/a\r\n$1\r\n1\r\n$3\r\nr/b\r\n$1\r\n1\r\n");
    fixture_advance(&fixture, 10);
    add_changes();
    expect_bytes("*3\r\n$4\r\nHDEL\r\n$17\r\n{presence}:A:2:10\r\n$9\r\na.example\r\n"
                 "*2\r\n$6\r\nUNLINK\r\n$27\r\n" HSET_KEY "\r\n");
    assert_int_equal(fake_count(&engine), 1);
}

/* ---- changes ------------------------------------------------------------------------------ */

static void a_room_may_outlive_its_site(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_scopes = 8});
    fixture_beat(&fixture, "1", "a.example", "/a");
    publish();
    expect_equal();
    fixture_deliver(&fixture, WIRE_LEAVE, "1", "a.example", NULL, NULL, NULL);
    publish();
    expect_equal();
    assert_null(fake_get(&engine, "{presence}:A:2:10", "a.example"));
    assert_string_equal(fake_get(&engine, HSET_KEY, "r/a"), "1");
}

static void marks_outlive_the_visitors(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_scopes = 8});
    fixture.collector->directory.labels_max = 1;
    fixture_beat(&fixture, "1", "a.example", "/a");
    fixture_beat(&fixture, "2", "a.example", "/b");
    publish();
    expect_equal();
    assert_string_equal(fake_get(&engine, HSET_KEY, ENGINE_MARK_ROOMS), "1");
    fixture_advance(&fixture, 20); /* nobody is in the shortest window any more */
    publish();
    expect_equal();
    assert_null(fake_get(&engine, "{presence}:A:2:10", "a.example"));
    assert_string_equal(fake_get(&engine, HSET_KEY, ENGINE_MARK_ROOMS), "1");
    fixture_advance(&fixture, WINDOW_MAX_S);
    publish();
    expect_equal();
    assert_int_equal(fake_count(&engine), windows.count);
}

/* Check that what is said of a quiet site does not change with each second. */
static void expect_kept(const char *key)
{
    for (unsigned attempt = 0; attempt < 10; attempt++) {
        time_t begun = time(NULL);
        publish();
        char *before = strdup(fake_get(&engine, key, ENGINE_MARK_QUIET));
        fixture_advance(&fixture, 1); /* by the wall's clock, the heartbeat was a second earlier */
        publish();
        bool is_same = strcmp(before, fake_get(&engine, key, ENGINE_MARK_QUIET)) == 0;
        free(before);
        if (is_same)
            return;
        assert_int_not_equal(time(NULL), begun); /* too slow: it may have moved far */
    }
}

static void quiet_sites_say_since_when(void **state)
{
    const struct scan_windows long_one = {.seconds = {300}, .count = 1};
    static const char key[] = "{presence}:A:2:300:a.example";
    struct presence_reading reading;

    (void)state;
    fixture_open(&fixture,
                 (struct segment_settings){.max_entries = 100, .max_scopes = 8, .max_window = 300});
    assert_int_equal(mirror_init(8, &long_one, &mirror), 0);
    is_anew = true;
    fixture_beat(&fixture, "1", "a.example", NULL);
    fixture_advance(&fixture, SCAN_QUIET_S);
    publish();
    assert_null(fake_get(&engine, key, ENGINE_MARK_QUIET));
    fixture_advance(&fixture, 1);
    publish();
    assert_int_equal(presence_count(fixture.presence, "a.example", NULL, 0, &reading), 0);
    int64_t last = strtoll(fake_get(&engine, key, ENGINE_MARK_QUIET), NULL, 10);
    assert_in_range(last, reading.as_of - reading.last_heartbeat_s - 60, /* the wall's clock runs */
                    reading.as_of - reading.last_heartbeat_s + 60);
    expect_kept(key);
    fixture_beat(&fixture, "1", "a.example", NULL);
    publish();
    assert_null(fake_get(&engine, key, ENGINE_MARK_QUIET));
}

/* What was not carried out is written the next time. */
static void a_failed_write_is_made_up_for(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_scopes = 16});
    publish();
    fixture_beat(&fixture, "1", "a.example", "/a");
    add_changes();
    engine_request_clear(&request);
    mirror_discard(&mirror);
    fixture_beat(&fixture, "2", "b.example", "/b");
    publish();
    expect_equal();
    /* And nothing that the engine has is believed anew. */
    fake_set(&engine, HSET_KEY, "r/gone", "1");
    is_anew = true;
    publish();
    expect_equal();
}

static unsigned spills;

static int spill(void *context)
{
    (void)context;
    spills++;
    fake_apply(&engine, &request);
    return 0;
}

static int refuse(void *context)
{
    (void)context;
    return -ESTALE;
}

static void a_large_shard_goes_in_parts(void **state)
{
    char room[16];

    (void)state;
    open_with((struct segment_settings){.max_scopes = 2000});
    for (unsigned i = 0; i < 1200; i++) {
        snprintf(room, sizeof(room), "/%u", i);
        fixture_beat(&fixture, "1", "a.example", room);
    }
    struct changes changes = changes_of();
    changes.spill = refuse;
    changes.spill_bytes = 1;
    assert_int_equal(mirror_load(&mirror, fixture.presence), 0);
    assert_int_equal(changes_add(&changes), -ESTALE);
    engine_request_clear(&request);
    changes.spill = spill;
    changes.error = 0;
    changes.spill_bytes = 4096;
    assert_int_equal(changes_add(&changes), 0);
    assert_true(spills >= 6);
    fake_apply(&engine, &request);
    assert_int_equal(fake_count(&engine), 3 * (2 + 1 + 1200)); /* two epochs, a site, rooms */
}

static void each_key_is_renewed_in_its_slot(void **state)
{
    char site[16];

    (void)state;
    open_with((struct segment_settings){.max_scopes = 1500});
    for (unsigned i = 0; i < 700; i++) {
        snprintf(site, sizeof(site), "%u.example", i);
        fixture_beat(&fixture, "1", site, NULL);
    }
    publish();
    struct changes changes = changes_of();
    engine.renewals = 0;
    for (unsigned slot = 0; slot < CHANGES_SLOTS; slot++) {
        unsigned before = engine.renewals;
        changes_add_renewals(&changes, slot, 1);
        fake_apply(&engine, &request);
        assert_in_range(engine.renewals - before, 3, 3 * (1 + 3));
    }
    assert_int_equal(engine.renewals, 3 * (CHANGES_SLOTS + 700));
    engine.renewals = 0;
    changes_add_renewals(&changes, 17, CHANGES_SLOTS);
    fake_apply(&engine, &request);
    assert_int_equal(engine.renewals, 3 * (1 + 700));
}

/* ---- at random ---------------------------------------------------------------------------- */

static unsigned pick(uint64_t *seed, unsigned below)
{
    return (unsigned)(random_next(seed) % below);
}

static void play_once(uint64_t *seed)
{
    char visitor[8];
    unsigned kind = pick(seed, 10), mask = pick(seed, 8);

    snprintf(visitor, sizeof(visitor), "%u", pick(seed, 20));
    fixture_deliver(&fixture, kind < 8 ? WIRE_HEARTBEAT : WIRE_LEAVE, visitor,
                    site_names[pick(seed, SITES)], mask & 1 ? room_names[pick(seed, NAMES)] : NULL,
                    mask & 2 ? country_names[pick(seed, NAMES)] : NULL,
                    mask & 4 ? source_names[pick(seed, NAMES)] : NULL);
}

/* Play with a directory that is too small, so that entries are reused all the time. */
static void all_is_equal_after_each_write(void **state)
{
    uint64_t seed = random_seed("publisher_changes");

    (void)state;
    open_with((struct segment_settings){.max_scopes = 20, .max_entries = 60});
    for (unsigned round = 0; round < 1500; round++) {
        fixture.collector->directory.labels_max = pick(&seed, 4) ? 0 : 2;
        for (unsigned i = pick(&seed, 12); i > 0; i--)
            play_once(&seed);
        if (pick(&seed, 20) == 0)
            fixture_advance(&fixture, pick(&seed, WINDOW_MAX_S + 40));
        else
            fixture_advance(&fixture, pick(&seed, 3));
        is_anew = is_anew || pick(&seed, 50) == 0;
        if (is_anew)
            fake_clear(&engine);
        publish();
        expect_equal();
    }
}

/* A hostile segment makes wrong numbers, and no more. */
static void a_segment_that_lies_does_no_harm(void **state)
{
    uint64_t seed = random_seed("publisher_changes");

    (void)state;
    open_with((struct segment_settings){.max_scopes = 12});
    for (unsigned round = 0; round < 3000; round++) {
        lie(&fixture, &seed);
        add_changes();
        assert_false(request.failed);
        engine_request_clear(&request);
        if (round % 5)
            mirror_commit(&mirror);
        else
            mirror_discard(&mirror);
        is_anew = round % 7 == 0;
    }
    stop_lying(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(commands_have_these_bytes, close_fixture),
        cmocka_unit_test_teardown(a_room_may_outlive_its_site, close_fixture),
        cmocka_unit_test_teardown(marks_outlive_the_visitors, close_fixture),
        cmocka_unit_test_teardown(quiet_sites_say_since_when, close_fixture),
        cmocka_unit_test_teardown(a_failed_write_is_made_up_for, close_fixture),
        cmocka_unit_test_teardown(a_large_shard_goes_in_parts, close_fixture),
        cmocka_unit_test_teardown(each_key_is_renewed_in_its_slot, close_fixture),
        cmocka_unit_test_teardown(all_is_equal_after_each_write, close_fixture),
        cmocka_unit_test_teardown(a_segment_that_lies_does_no_harm, close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
