/* A database that other processes write and read, too: what they change is told from what is
 * written without SQLite. */
#include "../support/scratch.h"
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/archive_handle.h"

#define BEGAN INT64_C(1769860800)

struct fixture {
    struct scratch scratch;
    struct archive *archive;
    int64_t since; /* of the scope; each earlier one changes the database */
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char problem[ARCHIVE_PROBLEM_SIZE];

    assert_non_null(fixture);
    fixture->since = BEGAN;
    scratch_open(&fixture->scratch);
    assert_int_equal(archive_open_writable(fixture->scratch.path, ARCHIVE_OF_COLLECTOR,
                                           &fixture->archive, problem),
                     0);
    sqlite3_busy_timeout(fixture->archive->database, 0);
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

static void put(struct fixture *fixture)
{
    static const struct presence_scope site = {PRESENCE_SITE, "example.com", ""};
    archive_id id;

    assert_int_equal(archive_put_scope(fixture->archive, &site, fixture->since--, &id), 0);
}

static void put_one(struct fixture *fixture)
{
    assert_int_equal(archive_begin(fixture->archive), 0);
    put(fixture);
    assert_int_equal(archive_commit(fixture->archive), 0);
}

/* Sleep first: file times may move only with the kernel's timer ticks. */
static void run_shell(const struct fixture *fixture, const char *command)
{
    char text[512];

    snprintf(text, sizeof(text), "cd %s && sleep 0.02 && %s", fixture->scratch.directory, command);
    assert_int_equal(system(text), 0);
}

static sqlite3 *open_other(const struct fixture *fixture, const char *sql)
{
    sqlite3 *database;

    assert_int_equal(sqlite3_open(fixture->scratch.path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    return database;
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
    assert_int_equal(sqlite3_close(open_other(fixture, sql)), SQLITE_OK);
}

static void test_others_are_noticed(void **state)
{
    struct fixture *fixture = *state;

    for (uint64_t number = 0; number < 3; number++) {
        put_one(fixture);
        assert_false(archive_was_written(fixture->archive)); /* but by us */
        assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    }
    run_sql(fixture, "UPDATE scope SET since = 4711; PRAGMA wal_checkpoint(PASSIVE)");
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    assert_int_equal(archive_begin(fixture->archive), 0);
    assert_true(archive_was_written(fixture->archive));
    put(fixture);
    archive_roll_back(fixture->archive); /* what is to be done about it is still to be done */
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    assert_true(archive_was_written(fixture->archive));
    put_one(fixture);
    assert_false(archive_was_written(fixture->archive));
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
}

/* A writer is in the way of our transaction, after it has changed the file. */
static void test_a_writer_in_the_way(void **state)
{
    struct fixture *fixture = *state;

    put_one(fixture);
    sqlite3 *other = open_other(fixture, "UPDATE scope SET since = 4711;"
                                         "PRAGMA wal_checkpoint(PASSIVE); BEGIN IMMEDIATE");
    assert_true(archive_was_written(fixture->archive));
    assert_int_equal(archive_begin(fixture->archive), -EBUSY);
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    put_one(fixture);
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    assert_false(archive_was_written(fixture->archive));
}

/* A reader is in the way of our checkpoint. Another process moves what it has left. */
static void test_a_reader_in_the_way(void **state)
{
    struct fixture *fixture = *state;

    put_one(fixture);
    sqlite3 *reader = open_other(fixture, "BEGIN; SELECT * FROM scope");
    put_one(fixture);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    run_sql(fixture, "PRAGMA wal_checkpoint(PASSIVE)");
    assert_false(archive_was_written(fixture->archive));
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_IN_PLACE);
    put_one(fixture); /* which leaves nothing: the file can be judged again */
    run_shell(fixture, "cp segment other && cat other >segment");
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_OVERWRITTEN);
}

/* In a child, be in the middle of a recovery of the -wal file.. */
static pid_t begin_recovery(const struct fixture *fixture)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 120, .l_len = 3};
    char name[160], answer = 0;
    int ends[2];

    snprintf(name, sizeof(name), "%s-shm", fixture->scratch.path);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        int file = open(name, O_RDWR);
        if (fcntl(file, F_SETLK, &lock) == 0 && pwrite(file, "\0\0\0\0", 4, 0) == 4 &&
            write(ends[1], "y", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &answer, 1), 1);
    close(ends[0]);
    return child;
}

static void test_a_lock_proves_nothing(void **state)
{
    struct fixture *fixture = *state;

    put_one(fixture);
    pid_t child = begin_recovery(fixture);
    run_shell(fixture, "touch segment");
    enum archive_state found = archive_check(fixture->archive);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(found, ARCHIVE_IN_PLACE);
    put_one(fixture);
    run_shell(fixture, "touch segment");
    assert_int_equal(archive_check(fixture->archive), ARCHIVE_OVERWRITTEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_others_are_noticed),
        TEST(test_a_writer_in_the_way),
        TEST(test_a_reader_in_the_way),
        TEST(test_a_lock_proves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
