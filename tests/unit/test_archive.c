/* The database: what is put there comes back, once; what is none of ours is left alone. */
#include "../support/scratch.h"
#include "../support/unit.h"

#include <errno.h>
#include <sqlite3.h>

#include "archive/archive.h"

#define BEGAN INT64_C(1769860800)
#define DAY   86400

static const uint8_t boot_id[16] = "a boot, sixteen";
static const struct presence_scope site = {PRESENCE_SITE, "example.com", ""};
static const struct presence_scope room = {PRESENCE_ROOM, "example.com",
                                           "/it's \"so\"\xe2\x80\xae"};

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
    assert_int_equal(archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR,
                                           &fixture->archive, problem),
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

static struct archive_minute minute_of(uint64_t number, uint32_t count, uint32_t seconds)
{
    return (struct archive_minute){
        .minute = number,
        .start = BEGAN + 60 * (int64_t)number,
        .minimum = count - 1,
        .maximum = UINT32_MAX + UINT64_C(2),
        .has_traffic = true,
        .mean = count + 0.25,
        .seconds = seconds,
        .heartbeats = UINT32_MAX + UINT64_C(1),
        .pageviews = 2,
        .entries = 3,
        .leaves = 4,
        .departures = 5,
        .warming = true,
    };
}

static void put(struct archive *archive, const struct presence_scope *scope, int64_t began,
                const struct archive_minute *minutes, size_t length)
{
    archive_id scope_id, boot;

    assert_int_equal(archive_begin(archive), 0);
    assert_int_equal(archive_put_scope(archive, scope, BEGAN, &scope_id), 0);
    assert_int_equal(archive_put_boot(archive, boot_id, began, &boot), 0);
    for (size_t i = 0; i < length; i++)
        assert_int_equal(archive_put_minute(archive, scope_id, boot, &minutes[i]), 0);
    assert_int_equal(archive_commit(archive), 0);
}

/* What was visited; more than there is room for is counted all the same. */
struct visited {
    struct archive_minute minutes[16];
    size_t length;
};

static int record_minute(void *context, const struct archive_minute *minute)
{
    struct visited *visited = context;

    if (visited->length < LENGTH(visited->minutes))
        visited->minutes[visited->length] = *minute;
    visited->length++;
    return 0;
}

static struct visited read_all(struct archive *archive, const struct presence_scope *scope,
                               int64_t since)
{
    struct visited visited = {.length = 0};

    assert_int_equal(archive_history(archive, scope->kind, scope->site, scope->name, since,
                                     record_minute, &visited),
                     0);
    return visited;
}

static void test_minutes_come_back(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minutes[] = {minute_of(7, 10, 60), minute_of(8, 20, 59)};
    struct archive *reader;

    put(fixture->archive, &site, BEGAN, minutes, 2);
    put(fixture->archive, &room, BEGAN, minutes, 1);
    assert_int_equal(archive_open(fixture->scratch.path, &reader, problem),
                     0); /* while it is written */
    struct visited history = read_all(reader, &site, 0);
    assert_int_equal(history.length, 2);
    assert_memory_equal(history.minutes[1].boot_id, boot_id, 16);
    const struct archive_minute *minute = &history.minutes[1];
    assert_int_equal(minute->minute, 8);
    assert_int_equal(minute->start, BEGAN + 480);
    assert_int_equal(minute->minimum, 19);
    assert_true(minute->maximum == UINT32_MAX + UINT64_C(2));
    assert_true(minute->has_traffic);
    assert_float_equal(minute->mean, 20.25, 0);
    assert_int_equal(minute->seconds, 59);
    assert_true(minute->heartbeats == UINT32_MAX + UINT64_C(1));
    assert_int_equal(minute->pageviews, 2);
    assert_int_equal(minute->entries, 3);
    assert_int_equal(minute->leaves, 4);
    assert_int_equal(minute->departures, 5);
    assert_true(minute->warming);
    history = read_all(reader, &room, 0);
    assert_int_equal(history.length, 1);
    archive_close(reader);
}

static void test_a_minute_is_there_once(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute half = minute_of(7, 10, 30), whole = minute_of(7, 20, 60);

    put(fixture->archive, &site, BEGAN, &half, 1);
    put(fixture->archive, &site, BEGAN, &whole, 1);
    put(fixture->archive, &site, BEGAN, &half, 1);
    struct visited history = read_all(fixture->archive, &site, 0);
    assert_int_equal(history.length, 1);
    assert_int_equal(history.minutes[0].seconds, 60);
    whole.heartbeats++; /* they were still coming in its last second */
    put(fixture->archive, &site, BEGAN, &whole, 1);
    history = read_all(fixture->archive, &site, 0);
    assert_int_equal(history.minutes[0].heartbeats, whole.heartbeats);
}

static void test_since_and_last(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minutes[] = {minute_of(7, 10, 60), minute_of(8, 20, 60),
                                       minute_of(9, 30, 60)};
    archive_id scope_id, boot;
    uint64_t last;

    put(fixture->archive, &site, BEGAN, minutes, 3);
    struct visited history = read_all(fixture->archive, &site, BEGAN + 480);
    assert_int_equal(history.length, 2);
    history = read_all(fixture->archive, &site, BEGAN + 481);
    assert_int_equal(history.length, 1);
    assert_int_equal(archive_put_scope(fixture->archive, &site, BEGAN, &scope_id), 0);
    assert_int_equal(archive_put_boot(fixture->archive, boot_id, BEGAN, &boot), 0);
    assert_int_equal(archive_last_minute(fixture->archive, scope_id, boot, &last), 0);
    assert_int_equal(last, 9);
    assert_int_equal(archive_last_minute(fixture->archive, scope_id, boot + 1, &last), -ENOENT);
}

static int end_early(void *context, const struct archive_minute *minute)
{
    struct visited *visited = context;

    record_minute(context, minute);
    return visited->length == 2 ? -ENOMEM : 0;
}

/* In order, whatever that was in which they were put there; and as far as is wanted. */
static void test_visits_are_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minutes[] = {minute_of(9, 30, 60), minute_of(7, 10, 60),
                                       minute_of(8, 20, 60)};
    struct visited visited = {.length = 0};

    put(fixture->archive, &room, BEGAN, minutes, 3);
    put(fixture->archive, &site, BEGAN, minutes, 3);
    struct visited history = read_all(fixture->archive, &site, 0);
    assert_int_equal(history.length, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(history.minutes[i].minute, 7 + i);
    assert_int_equal(
        archive_history(fixture->archive, PRESENCE_SITE, site.site, NULL, 0, end_early, &visited),
        -ENOMEM);
    assert_int_equal(visited.length, 2);
    assert_int_equal(read_all(fixture->archive, &site, 0).length, 3); /* as if nothing had been */
}

/* The wall clock was stepped: all minutes of the boot move along. */
static void test_when_a_boot_began_is_said_anew(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minutes[] = {minute_of(7, 10, 60), minute_of(8, 20, 60)};

    put(fixture->archive, &site, BEGAN - 3600, minutes, 1);
    put(fixture->archive, &site, BEGAN, minutes + 1, 1);
    struct visited history = read_all(fixture->archive, &site, BEGAN);
    assert_int_equal(history.length, 2);
    assert_int_equal(history.minutes[0].start, BEGAN + 420);
}

static void test_unknown_scopes(void **state)
{
    struct fixture *fixture = *state;
    struct archive_peaks peaks;
    struct visited history = read_all(fixture->archive, &site, 0);

    assert_int_equal(history.length, 0);
    assert_int_equal(archive_peaks(fixture->archive, PRESENCE_SITE, "example.com", NULL, 0, &peaks),
                     -ENOENT);
}

static void test_peaks(void **state)
{
    struct fixture *fixture = *state;
    const int64_t day = BEGAN / DAY * DAY;
    const struct archive_peak given[] = {
        {5, day + 100}, {9, day + 200}, {9, day + 300}, {7, day + 400}, {8, day + DAY + 1}};
    struct archive_peaks peaks;
    archive_id scope_id;

    assert_int_equal(archive_put_scope(fixture->archive, &site, day + 50, &scope_id), 0);
    for (size_t i = 0; i < LENGTH(given); i++)
        assert_int_equal(archive_put_peak(fixture->archive, scope_id, &given[i]), 0);
    assert_int_equal(archive_put_scope(fixture->archive, &site, day + 99, &scope_id), 0);
    assert_int_equal(
        archive_peaks(fixture->archive, PRESENCE_SITE, "example.com", NULL, day + DAY, &peaks), 0);
    assert_int_equal(peaks.today.count, 8);
    assert_int_equal(peaks.ever.count, 9);
    assert_int_equal(peaks.ever.at, day + 200);
    assert_int_equal(peaks.since, day + 50);
}

static void test_old_minutes_are_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minutes[] = {minute_of(7, 10, 60), minute_of(8, 20, 60)};

    put(fixture->archive, &site, BEGAN, minutes, 2);
    put(fixture->archive, &room, BEGAN, minutes, 1);
    assert_int_equal(archive_begin(fixture->archive), 0);
    assert_int_equal(archive_delete_before(fixture->archive, BEGAN + 480), 0);
    assert_int_equal(archive_commit(fixture->archive), 0);
    struct visited history = read_all(fixture->archive, &site, 0);
    assert_int_equal(history.length, 1);
    assert_int_equal(history.minutes[0].minute, 8);
    history = read_all(fixture->archive, &room, 0);
    assert_int_equal(history.length, 0);
    /* Also the one that began a second before. */
    assert_int_equal(archive_delete_before(fixture->archive, BEGAN + 481), 0);
    assert_int_equal(read_all(fixture->archive, &site, 0).length, 0);
}

static void test_what_is_rolled_back_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    struct archive_minute minute = minute_of(7, 10, 60);
    archive_id scope_id, boot;

    assert_int_equal(archive_begin(fixture->archive), 0);
    assert_int_equal(archive_put_scope(fixture->archive, &site, BEGAN, &scope_id), 0);
    assert_int_equal(archive_put_boot(fixture->archive, boot_id, BEGAN, &boot), 0);
    assert_int_equal(archive_put_minute(fixture->archive, scope_id, boot, &minute), 0);
    archive_roll_back(fixture->archive);
    struct visited history = read_all(fixture->archive, &site, 0);
    assert_int_equal(history.length, 0);
}

/* ---- files ------------------------------------------------------------------------------- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *database;

    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static void test_a_newer_schema_is_not_touched(void **state)
{
    struct fixture *fixture = *state;
    struct archive *other;

    run_sql(fixture->scratch.path, "PRAGMA user_version = 3");
    assert_int_equal(archive_open(fixture->scratch.path, &other, problem), -EPROTO);
    assert_int_equal(
        archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR, &other, problem),
        -EPROTO);
}

static void test_foreign_files_are_not_touched(void **state)
{
    struct fixture *fixture = *state;
    struct archive *other;
    char path[128];
    FILE *file;

    snprintf(path, sizeof(path), "%s/other", fixture->scratch.directory);
    assert_int_equal(archive_open(path, &other, problem), -ENOENT);
    run_sql(path, "CREATE TABLE mine (a)");
    assert_int_equal(archive_open(path, &other, problem), -EBADMSG);
    assert_int_equal(archive_open_writable(path, ARCHIVE_OF_COLLECTOR, &other, problem), -EBADMSG);
    file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 1000; i++)
        fputs("not a database\n", file);
    fclose(file);
    assert_int_equal(archive_open(path, &other, problem), -EBADMSG);
    assert_int_equal(archive_open_writable(path, ARCHIVE_OF_COLLECTOR, &other, problem), -EBADMSG);
}

static void put_one(struct archive *archive, uint64_t number)
{
    struct archive_minute minute = minute_of(number, 10, 60);

    put(archive, &site, BEGAN, &minute, 1);
}

/* Sleep first: file times may move only with the kernel's timer ticks. */
static void run_shell(const struct fixture *fixture, const char *command)
{
    char text[512];

    snprintf(text, sizeof(text), "cd %s && sleep 0.02 && %s", fixture->scratch.directory, command);
    assert_int_equal(system(text), 0);
}

static void test_the_file_alone_is_complete(void **state)
{
    struct fixture *fixture = *state;
    struct archive *copy;
    char path[128];

    put_one(fixture->archive, 7);
    run_shell(fixture, "cp segment copy && chmod 400 copy");
    snprintf(path, sizeof(path), "%s/copy", fixture->scratch.directory);
    unsigned files = scratch_count(&fixture->scratch);
    assert_int_equal(archive_open(path, &copy, problem), 0);
    assert_int_equal(read_all(copy, &site, 0).length, 1);
    assert_int_equal(scratch_count(&fixture->scratch), files); /* nothing was made beside it */
    archive_close(copy);
}

/* A reader may be unable to make the files beside it: they stay when the writer has ended. */
static void test_the_files_beside_it_stay(void **state)
{
    struct fixture *fixture = *state;

    put_one(fixture->archive, 7);
    archive_close(fixture->archive);
    fixture->archive = NULL;
    run_shell(fixture, "test -e segment-wal && test -e segment-shm");
}

static void test_lost_files_are_noticed(void **state)
{
    static const struct {
        const char *command;
        enum archive_state expected;
        size_t minutes; /* that are there once it is opened anew */
    } cases[] = {
        {"mv segment other", ARCHIVE_GONE, 0},
        {"rm segment", ARCHIVE_GONE, 0},
        {"mv segment other && mv segment-wal other-wal && mv segment-shm other-shm", ARCHIVE_GONE,
         0},
        {"cp segment other && mv other segment", ARCHIVE_REPLACED, 1},
        {"cp segment other && rm segment* && mv other segment", ARCHIVE_REPLACED, 1},
        {"mv segment other && ln -s other segment", ARCHIVE_REPLACED, 1},
        {"cp segment other && cat other >segment", ARCHIVE_OVERWRITTEN, 1},
        {"rm segment-wal", ARCHIVE_OVERWRITTEN, 1},
        {"mv segment-shm other", ARCHIVE_OVERWRITTEN, 1},
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < LENGTH(cases); i++) {
        put_one(fixture->archive, 1);
        run_shell(fixture, cases[i].command);
        enum archive_state found = archive_check(fixture->archive);
        if (found != cases[i].expected)
            fail_msg("%s: %d, not %d", cases[i].command, found, cases[i].expected);
        archive_leave(fixture->archive, found);
        fixture->archive = NULL;
        assert_int_equal(archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR,
                                               &fixture->archive, problem),
                         0);
        if (read_all(fixture->archive, &site, 0).length != cases[i].minutes)
            fail_msg("%s: not %zu minutes", cases[i].command, cases[i].minutes);
        put_one(fixture->archive, 2);
        assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
        archive_close(fixture->archive);
        fixture->archive = NULL;
        run_shell(fixture, "rm -f segment* other* third");
        assert_int_equal(archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR,
                                               &fixture->archive, problem),
                         0);
    }
}

static void test_errors_are_in_sqlites_words(void **state)
{
    struct fixture *fixture = *state;
    const struct archive_peak peak = {.count = 1, .at = BEGAN};
    struct archive *other;
    char path[128];

    put_one(fixture->archive, 1);
    run_sql(fixture->scratch.path, "DROP TABLE peak");
    assert_int_equal(archive_begin(fixture->archive), 0);
    assert_int_equal(archive_put_peak(fixture->archive, 1, &peak), -EIO);
    archive_roll_back(fixture->archive); /* and its success is not what is described */
    assert_string_equal(archive_problem(fixture->archive),
                        "no such table: peak; check it with sqlite3's PRAGMA integrity_check");
    assert_int_equal(
        archive_open_writable("/nowhere/at/all", ARCHIVE_OF_COLLECTOR, &other, problem), -EIO);
    assert_string_equal(problem, "unable to open database file (No such file or directory); check "
                                 "that its directory exists and is writable");
    snprintf(path, sizeof(path), "%s/other", fixture->scratch.directory);
    run_shell(fixture, "yes | head -c 8000 >other");
    assert_int_equal(archive_open_writable(path, ARCHIVE_OF_COLLECTOR, &other, problem), -EBADMSG);
    assert_memory_equal(problem, "file is not a database; ", 24);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_minutes_come_back),
        TEST(test_a_minute_is_there_once),
        TEST(test_since_and_last),
        TEST(test_visits_are_in_order),
        TEST(test_when_a_boot_began_is_said_anew),
        TEST(test_unknown_scopes),
        TEST(test_peaks),
        TEST(test_old_minutes_are_forgotten),
        TEST(test_what_is_rolled_back_is_not_there),
        TEST(test_the_files_beside_it_stay),
        TEST(test_a_newer_schema_is_not_touched),
        TEST(test_foreign_files_are_not_touched),
        TEST(test_the_file_alone_is_complete),
        TEST(test_lost_files_are_noticed),
        TEST(test_errors_are_in_sqlites_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
