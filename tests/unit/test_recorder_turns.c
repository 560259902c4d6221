/* test_recorder_turns.c - what one recording leaves to the next: judged by the database alone. */
#include "reader_fixture.h"

#include <stdlib.h>
#include <time.h>

#include "archive/archive_handle.h"
#include "recorder.h"

#define SITE "example.com"

static const struct segment_settings settings = {
    .max_entries = 1000, .max_scopes = 32, .max_window = 3600, .max_histories = 4};

struct recording {
    struct fixture fixture;
    struct scratch scratch; /* of the database */
    struct database database;
    struct recorder recorder;
};

static int open_recording(void **state)
{
    struct recording *recording = calloc(1, sizeof(*recording));

    assert_non_null(recording);
    fixture_open(&recording->fixture, settings);
    scratch_open(&recording->scratch);
    recording->database =
        (struct database){.path = recording->scratch.path, .subject = ARCHIVE_OF_COLLECTOR};
    assert_int_equal(database_open(&recording->database), 0);
    recording->recorder = (struct recorder){recording->fixture.presence, &recording->database, 0};
    *state = recording;
    return 0;
}

static int close_recording(void **state)
{
    struct recording *recording = *state;

    archive_close(recording->database.archive);
    scratch_close(&recording->scratch);
    fixture_close(&recording->fixture);
    free(recording);
    return 0;
}

/* Let seconds pass, with a visitor and maintenance in each. */
static void live(struct recording *recording, unsigned seconds)
{
    for (; seconds; seconds--) {
        recording->fixture.now++;
        fixture_beat(&recording->fixture, "v", SITE, NULL);
        collector_maintain(recording->fixture.collector);
    }
}

static int record(struct recording *recording, bool all)
{
    struct recorder_result result;
    bool of_archive = false;
    int r = recorder_record(&recording->recorder, all, &result, &of_archive);

    assert_true(r == 0 || of_archive);
    return r;
}

static struct archive_minutes load_all(struct recording *recording)
{
    struct archive_minutes minutes;

    assert_int_equal(archive_load(recording->database.archive, PRESENCE_SITE, SITE, NULL, 0,
                                  INT64_MAX, &minutes),
                     0);
    return minutes;
}

/* Return for how many seconds a stored minute was observed; 0: it isn't stored. */
static unsigned seconds_of(struct recording *recording, uint64_t number)
{
    struct archive_minutes minutes = load_all(recording);
    unsigned seconds = 0;

    for (size_t i = 0; i < minutes.length; i++) {
        if (minutes.minutes[i].minute == number)
            seconds = minutes.minutes[i].seconds;
    }
    archive_minutes_free(&minutes);
    return seconds;
}

static void execute(struct recording *recording, const char *sql)
{
    assert_int_equal(sqlite3_exec(recording->database.archive->database, sql, NULL, NULL, NULL),
                     SQLITE_OK);
}

/* What a recording stores before it fails is taken back, and the next one stores all of it. */
static void test_after_a_failure(void **state)
{
    struct recording *recording = *state;
    uint64_t minute = recording->fixture.now / 60;

    live(recording, 90);
    execute(recording, "CREATE TEMP TRIGGER full BEFORE INSERT ON peak "
                       "BEGIN SELECT RAISE(FAIL, 'no room'); END");
    recording->recorder.recorded = 5;
    assert_true(record(recording, false) < 0);
    assert_int_equal(recording->recorder.recorded, 5);
    assert_non_null(strstr(archive_problem(recording->database.archive), "no room"));
    assert_int_equal(seconds_of(recording, minute), 0);
    assert_true(record(recording, false) < 0);
    execute(recording, "DROP TRIGGER full");
    recording->recorder.recorded = 0;
    assert_int_equal(record(recording, false), 0);
    assert_true(seconds_of(recording, minute) > 0);
    assert_int_equal(seconds_of(recording, minute + 1), 60);
    assert_true(recording->recorder.recorded > 0);
}

/* A minute that was running when a recorder ended is completed by the next, whichever turn it is.
 */
static void test_the_minute_in_which_it_stopped(void **state)
{
    struct recording *recording = *state;

    live(recording, 60);
    uint64_t minute = recording->fixture.now / 60;
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(seconds_of(recording, minute), 0);
    assert_int_equal(record(recording, true), 0);
    unsigned cut = seconds_of(recording, minute);
    assert_in_range(cut, 1, 59);
    live(recording, 60);
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(seconds_of(recording, minute), 60);
    assert_int_equal(seconds_of(recording, minute + 1), 0);
}

/* Nobody completes the last minute of a collector that has stopped: it is stored as it is. */
static void test_a_silent_collector(void **state)
{
    struct recording *recording = *state;

    live(recording, 60);
    uint64_t minute = recording->fixture.now / 60;
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(seconds_of(recording, minute), 0);
    fixture_stop_collector(&recording->fixture);
    assert_int_equal(record(recording, false), 0);
    assert_in_range(seconds_of(recording, minute), 1, 59);
}

/* Nor of one that was killed, whose state says that it listens. */
static void test_a_killed_collector(void **state)
{
    struct recording *recording = *state;

    live(recording, 60);
    uint64_t minute = recording->fixture.now / 60;
    recording->fixture.now += 10;
    fixture_show_clock(&recording->fixture);
    assert_int_equal(record(recording, false), 0);
    assert_in_range(seconds_of(recording, minute), 1, 59);
}

static uint64_t tomorrow(void *context)
{
    (void)context;
    return (uint64_t)time(NULL) + 86400;
}

/* Beside the highest peak ever that of a quieter day. */
static void test_each_day_has_a_peak(void **state)
{
    struct recording *recording = *state;
    int64_t peaks;

    fixture_beat(&recording->fixture, "w", SITE, NULL);
    live(recording, 5);
    recording->fixture.now += 50000;
    live(recording, 1);
    recording->fixture.now += 50000;
    recording->fixture.collector->wall_clock = tomorrow;
    live(recording, 1);
    assert_int_equal(record(recording, true), 0);
    assert_int_equal(archive_select_sql(recording->database.archive,
                                        "SELECT count(*) FROM peak WHERE count = 1", &peaks),
                     0);
    assert_int_equal(peaks, 1);
}

/* Store a minute of an earlier boot that began so many seconds ago. */
static void put_earlier(struct recording *recording, int64_t age)
{
    static const struct presence_scope site = {PRESENCE_SITE, SITE, ""};
    static const uint8_t boot_id[16] = {7};
    struct archive *archive = recording->database.archive;
    const struct archive_minute minute = {
        .minute = (uint64_t)(100000 - age) / 60, .seconds = 60, .has_traffic = true};
    archive_id scope, boot;

    assert_int_equal(archive_begin(archive), 0);
    assert_int_equal(archive_put_scope(archive, &site, 0, &scope), 0);
    assert_int_equal(archive_put_boot(archive, boot_id, time(NULL) - 100000, &boot), 0);
    assert_int_equal(archive_put_minute(archive, scope, boot, &minute), 0);
    assert_int_equal(archive_commit(archive), 0);
}

static size_t count_minutes(struct recording *recording)
{
    struct archive_minutes minutes = load_all(recording);
    size_t count = minutes.length;

    archive_minutes_free(&minutes);
    return count;
}

/* Minutes are deleted once they are older than what is kept, an hour after the last deletion. */
static void test_retention(void **state)
{
    struct recording *recording = *state;
    struct database *database = &recording->database;

    put_earlier(recording, 40000 + 120);
    put_earlier(recording, 40000 - 120);
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(count_minutes(recording), 2); /* all are kept */
    database->retention_s = 40000;
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(count_minutes(recording), 1);
    assert_true(database->deleted_at > 0);
    put_earlier(recording, 40000 + 240);
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(count_minutes(recording), 2);
    database->deleted_at -= 3600;
    assert_int_equal(record(recording, false), 0);
    assert_int_equal(count_minutes(recording), 1);
    assert_true(clock_boottime(NULL) - database->deleted_at < 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_after_a_failure, open_recording, close_recording),
        cmocka_unit_test_setup_teardown(test_the_minute_in_which_it_stopped, open_recording,
                                        close_recording),
        cmocka_unit_test_setup_teardown(test_a_silent_collector, open_recording, close_recording),
        cmocka_unit_test_setup_teardown(test_a_killed_collector, open_recording, close_recording),
        cmocka_unit_test_setup_teardown(test_each_day_has_a_peak, open_recording, close_recording),
        cmocka_unit_test_setup_teardown(test_retention, open_recording, close_recording),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
