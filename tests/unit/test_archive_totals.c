/* The database of groups' totals: counts of 64 bits, of traffic nothing, and apart from the
 * databases of collectors. */
#include "../support/scratch.h"
#include "../support/unit.h"

#include <errno.h>
#include <sqlite3.h>

#include "archive/archive.h"

#define MANY  (UINT64_C(5) << 32)
#define FIRST INT64_C(29497680) /* a Unix minute */

static const uint8_t no_boot[16] = "totals of groups";
static const struct presence_scope site = {PRESENCE_SITE, "example.com", ""};

static char problem[ARCHIVE_PROBLEM_SIZE];

struct fixture {
    struct scratch scratch;
    struct archive *archive;
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    scratch_open(&fixture->scratch);
    assert_int_equal(
        archive_open_writable(fixture->scratch.path, ARCHIVE_OF_GROUPS, &fixture->archive, problem),
        0);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    archive_close(fixture->archive);
    scratch_close(&fixture->scratch);
    free(fixture);
    return 0;
}

static struct archive_minute minute_of(int64_t number, uint64_t count, uint32_t seconds)
{
    return (struct archive_minute){
        .minute = (uint64_t)number,
        .minimum = count,
        .maximum = count + 2,
        .mean = (double)count + 1,
        .seconds = seconds,
        .heartbeats = 7, /* is not stored */
    };
}

static void put(struct archive *archive, const struct archive_minute *minute)
{
    archive_id scope, boot;

    assert_int_equal(archive_begin(archive), 0);
    assert_int_equal(archive_put_scope(archive, &site, 60 * FIRST, &scope), 0);
    assert_int_equal(archive_put_boot(archive, no_boot, 0, &boot), 0);
    assert_int_equal(archive_put_minute(archive, scope, boot, minute), 0);
    assert_int_equal(archive_commit(archive), 0);
}

static struct archive_minutes load(struct archive *archive, int64_t since, int64_t until)
{
    struct archive_minutes minutes;

    assert_int_equal(archive_load(archive, PRESENCE_SITE, site.site, NULL, since, until, &minutes),
                     0);
    return minutes;
}

static void test_totals_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minute = minute_of(FIRST, MANY, 60);
    struct archive *reader;

    minute.partial = true;
    put(fixture->archive, &minute);
    assert_int_equal(archive_open(fixture->scratch.path, &reader, problem), 0);
    assert_int_equal(archive_subject(reader), ARCHIVE_OF_GROUPS);
    struct archive_minutes minutes = load(reader, 0, INT64_MAX);
    assert_int_equal(minutes.length, 1);
    const struct archive_minute *found = &minutes.minutes[0];
    assert_int_equal(found->start, 60 * FIRST);
    assert_true(found->minimum == MANY);
    assert_true(found->maximum == MANY + 2);
    assert_float_equal(found->mean, (double)MANY + 1, 0);
    assert_false(found->has_traffic);
    assert_int_equal(found->heartbeats, 0);
    assert_true(found->partial);
    assert_false(found->warming);
    archive_minutes_free(&minutes);
    archive_close(reader);
}

static void test_peaks_have_64_bits(void **state)
{
    struct fixture *fixture = *state;
    const struct archive_peak peak = {.count = MANY, .at = 60 * FIRST};
    struct archive_peaks peaks;
    archive_id scope;

    assert_int_equal(archive_put_scope(fixture->archive, &site, 60 * FIRST, &scope), 0);
    assert_int_equal(archive_put_peak(fixture->archive, scope, &peak), 0);
    assert_int_equal(archive_peaks(fixture->archive, PRESENCE_SITE, site.site, NULL, 0, &peaks), 0);
    assert_true(peaks.ever.count == MANY);
    assert_int_equal(peaks.today.count, 0);
}

/* A clock that was set back brings a minute a second time. */
static void test_of_equals_the_first_stays(void **state)
{
    struct fixture *fixture = *state;
    const struct archive_minute given[] = {minute_of(FIRST, 10, 20), minute_of(FIRST, 20, 60),
                                           minute_of(FIRST, 30, 60), minute_of(FIRST, 40, 59)};

    for (size_t i = 0; i < LENGTH(given); i++)
        put(fixture->archive, &given[i]);
    struct archive_minutes minutes = load(fixture->archive, 0, INT64_MAX);
    assert_int_equal(minutes.length, 1);
    assert_int_equal(minutes.minutes[0].minimum, 20);
    archive_minutes_free(&minutes);
}

static void test_a_part_is_loaded_in_order(void **state)
{
    struct fixture *fixture = *state;

    for (int64_t number = FIRST + 999; number >= FIRST; number--) {
        struct archive_minute minute = minute_of(number, 10, 60);
        put(fixture->archive, &minute);
    }
    struct archive_minutes minutes = load(fixture->archive, 60 * (FIRST + 100), 60 * (FIRST + 900));
    assert_int_equal(minutes.length, 800);
    for (size_t i = 0; i < minutes.length; i++)
        assert_int_equal(minutes.minutes[i].start, 60 * (FIRST + 100 + (int64_t)i));
    archive_minutes_free(&minutes);
    minutes = load(fixture->archive, 60 * (FIRST + 1000), INT64_MAX);
    assert_int_equal(minutes.length, 0);
    archive_minutes_free(&minutes);
}

struct seen {
    struct presence_scope scope;
    struct archive_minute minute;
    unsigned count;
};

static int record(void *context, const struct presence_scope *scope,
                  const struct archive_minute *minute)
{
    *(struct seen *)context = (struct seen){
        .scope = *scope, .minute = *minute, .count = ((struct seen *)context)->count + 1};
    return 0;
}

static void test_one_minute_of_all(void **state)
{
    struct fixture *fixture = *state;
    const struct archive_minute given[] = {minute_of(FIRST, 10, 20), minute_of(FIRST + 1, 20, 60)};
    struct seen seen = {.count = 0};

    put(fixture->archive, &given[0]);
    put(fixture->archive, &given[1]);
    assert_int_equal(archive_minutes_at(fixture->archive, FIRST, record, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.scope.kind, PRESENCE_SITE);
    assert_string_equal(seen.scope.site, site.site);
    assert_string_equal(seen.scope.name, "");
    assert_int_equal(seen.minute.seconds, 20);
    assert_int_equal(archive_minutes_at(fixture->archive, FIRST + 2, record, &seen), 0);
    assert_int_equal(seen.count, 1);
}

static int64_t version_of(const char *path)
{
    sqlite3 *database;
    sqlite3_stmt *statement;

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t version = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return version;
}

static void test_subjects_are_not_mixed(void **state)
{
    struct fixture *fixture = *state;
    struct archive *other;
    char path[128];

    snprintf(path, sizeof(path), "%s/other", fixture->scratch.directory);
    assert_int_equal(archive_open_writable(path, ARCHIVE_OF_COLLECTOR, &other, problem), 0);
    assert_int_equal(archive_subject(other), ARCHIVE_OF_COLLECTOR);
    archive_close(other);
    assert_int_equal(archive_open_writable(path, ARCHIVE_OF_GROUPS, &other, problem), -EMEDIUMTYPE);
    assert_string_equal(problem, "it has one collector's counts, not the totals of groups; name "
                                 "another with --database");
    assert_int_equal(
        archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR, &other, problem),
        -EMEDIUMTYPE);
    assert_string_equal(problem, "it has the totals of groups (--engine), not one collector's "
                                 "counts; name another with --database");
    /* Programs that know only version 1 go on reading collectors', and refuse totals. */
    assert_int_equal(version_of(path), 1);
    assert_int_equal(version_of(fixture->scratch.path), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_totals_come_back),          TEST(test_peaks_have_64_bits),
        TEST(test_of_equals_the_first_stays), TEST(test_a_part_is_loaded_in_order),
        TEST(test_one_minute_of_all),         TEST(test_subjects_are_not_mixed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
