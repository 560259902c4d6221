/* test_segment_file_race.c - segment_file.h with concurrent daemons, and on a full tmpfs. */
#include "../support/scratch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "segment_file.h"

#define DAEMONS 6

static const struct segment_settings settings = {
    .max_entries = 1000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
static const struct segment_settings other_settings = {
    .max_entries = 2000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
static const uint64_t now = 100000;

static int open_scratch(void **state)
{
    struct scratch *scratch = malloc(sizeof(*scratch));

    assert_non_null(scratch);
    scratch_open(scratch);
    *state = scratch;
    alarm(120); /* in case a daemon never answers */
    return 0;
}

static int close_scratch(void **state)
{
    alarm(0);
    scratch_close(*state);
    free(*state);
    return 0;
}

static int open_segment(const struct scratch *scratch, const struct segment_settings *wanted,
                        struct segment_file *ret, pid_t *ret_holder)
{
    return segment_file_open(scratch->path, wanted, now, ret, ret_holder);
}

/* Daemons that start when `start` is closed, report the outcome, and hold what they have until
 * `stop` is closed. */
struct daemons {
    int start[2], results[2], stop[2];
    pid_t pids[DAEMONS];
};

struct result {
    pid_t pid, holder;
    int error;
    enum segment_origin origin;
};

static void wait_for_end(int pipe_end)
{
    char byte;

    while (read(pipe_end, &byte, 1) < 0 && errno == EINTR)
        ;
}

static void run_daemon(const struct daemons *daemons, const struct scratch *scratch,
                       const struct segment_settings *wanted)
{
    struct result result = {.pid = getpid(), .holder = -1};
    struct segment_file file;

    close(daemons->start[1]);
    close(daemons->stop[1]);
    wait_for_end(daemons->start[0]);
    result.error = open_segment(scratch, wanted, &file, &result.holder);
    if (result.error == 0)
        result.origin = file.origin;
    if (write(daemons->results[1], &result, sizeof(result)) != sizeof(result))
        _exit(1);
    wait_for_end(daemons->stop[0]);
    _exit(0);
}

static void start_daemons(struct daemons *daemons, const struct scratch *scratch,
                          const struct segment_settings *wanted)
{
    assert_int_equal(pipe(daemons->start), 0);
    assert_int_equal(pipe(daemons->results), 0);
    assert_int_equal(pipe(daemons->stop), 0);
    for (unsigned i = 0; i < DAEMONS; i++) {
        daemons->pids[i] = fork();
        assert_true(daemons->pids[i] >= 0);
        if (daemons->pids[i] == 0)
            run_daemon(daemons, scratch, wanted);
    }
    close(daemons->start[0]);
    close(daemons->results[1]);
    close(daemons->stop[0]);
    close(daemons->start[1]);
}

static void stop_daemons(struct daemons *daemons)
{
    int status;

    close(daemons->stop[1]);
    close(daemons->results[0]);
    for (unsigned i = 0; i < DAEMONS; i++) {
        assert_int_equal(waitpid(daemons->pids[i], &status, 0), daemons->pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* Of daemons that start at once, one gets the segment, all others get -EBUSY. */
static void expect_one_winner(const struct scratch *scratch, const struct segment_settings *wanted,
                              enum segment_origin origin)
{
    struct daemons daemons;
    struct result results[DAEMONS];
    pid_t winner = 0;

    start_daemons(&daemons, scratch, wanted);
    for (unsigned i = 0; i < DAEMONS; i++) {
        assert_int_equal(read(daemons.results[0], &results[i], sizeof(results[i])),
                         sizeof(results[i]));
        if (results[i].error == -EBUSY)
            continue;
        if (results[i].error)
            fail_msg("a daemon got %s", strerror(-results[i].error));
        if (winner)
            fail_msg("two daemons have the segment");
        winner = results[i].pid;
        assert_int_equal(results[i].origin, origin);
    }
    if (!winner)
        fail_msg("no daemon has the segment");
    /* The winner writes its id a little later; in a file that is taken over, an older one stands
     * until then. */
    for (unsigned i = 0; i < DAEMONS && origin == SEGMENT_CREATED; i++)
        assert_true(results[i].error == 0 || results[i].holder == winner || !results[i].holder);
    assert_int_equal(scratch_count(scratch), 1);
    stop_daemons(&daemons);
}

static void one_of_many_creates(void **state)
{
    struct scratch *scratch = *state;

    for (unsigned run = 0; run < 25; run++) {
        expect_one_winner(scratch, &settings, SEGMENT_CREATED);
        expect_one_winner(scratch, &settings, SEGMENT_ATTACHED);
        expect_one_winner(scratch, &other_settings, SEGMENT_RENEWED);
        assert_int_equal(truncate(scratch->path, 0), 0);
        expect_one_winner(scratch, &settings, SEGMENT_RENEWED);
        assert_int_equal(unlink(scratch->path), 0);
    }
}

static pid_t start_holder(const struct scratch *scratch, int *ret_stop)
{
    int ready[2], stop[2];
    char byte = 0;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stop), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct segment_file file;
        pid_t holder;
        close(stop[1]);
        if (open_segment(scratch, &settings, &file, &holder) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        wait_for_end(stop[0]);
        _exit(0);
    }
    close(ready[1]);
    close(stop[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_stop = stop[1];
    return child;
}

static void a_running_daemon_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct segment_file file;
    int stop, status;
    pid_t holder = -1, child = start_holder(scratch, &stop);

    /* With the same settings and others, repeatedly. */
    for (unsigned i = 0; i < 4; i++) {
        holder = -1;
        assert_int_equal(open_segment(scratch, i & 1 ? &settings : &other_settings, &file, &holder),
                         -EBUSY);
        assert_int_equal(holder, child);
        assert_int_equal(scratch_count(scratch), 1);
    }
    /* After a kill the kernel frees the lock, and counting goes on at once. */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    close(stop);
    assert_int_equal(open_segment(scratch, &settings, &file, &holder), 0);
    assert_int_equal(file.origin, SEGMENT_ATTACHED);

    /* Nor can this process open it twice. */
    struct segment_file second;
    assert_int_equal(open_segment(scratch, &settings, &second, &holder), -EBUSY);
    assert_int_equal(holder, getpid());
    segment_file_close(&file);
    assert_int_equal(open_segment(scratch, &settings, &second, &holder), 0);
    segment_file_close(&second);
}

/* A locked foreign file is not a daemon's segment. */
static void locked_files_without_a_pid_name_nobody(void **state)
{
    struct scratch *scratch = *state;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct segment_file file;
    pid_t holder = -1;
    int fd = open(scratch->path, O_RDWR | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_int_equal(open_segment(scratch, &settings, &file, &holder), -EBUSY);
    assert_int_equal(holder, 0);
    close(fd);
}

/* In a child with its own mounts. Returns 0, or the line that failed. */
static int check_full(const struct scratch *scratch)
{
    static const struct segment_settings large = {
        .max_entries = 1000000, .max_scopes = 16, .max_window = 3600};
    struct segment_file file;
    struct segment_header header;
    struct stat before, after;
    pid_t holder;

    int r = open_segment(scratch, &large, &file, &holder);
    if (r != -ENOSPC)
        return fprintf(stderr, "the first does not fit: %s\n", strerror(-r));
    if (scratch_count(scratch) != 0)
        return fprintf(stderr, "%u files are left behind\n", scratch_count(scratch));
    r = open_segment(scratch, &settings, &file, &holder);
    if (r != 0)
        return fprintf(stderr, "a small one fits: %s\n", strerror(-r));
    file.segment.header->state = SEGMENT_STOPPED;
    segment_file_close(&file);

    /* A larger one has no room: the segment stays as it was. */
    stat(scratch->path, &before);
    r = open_segment(scratch, &large, &file, &holder);
    stat(scratch->path, &after);
    if (r != -ENOSPC || before.st_ino != after.st_ino || scratch_count(scratch) != 1)
        return fprintf(stderr, "renewing: %s, %u files\n", strerror(-r), scratch_count(scratch));
    int fd = open(scratch->path, O_RDONLY);
    if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || header.state != SEGMENT_STOPPED)
        return fprintf(stderr, "the old one is in state %u\n", header.state);
    r = open_segment(scratch, &settings, &file, &holder);
    if (r != 0 || file.origin != SEGMENT_ATTACHED)
        return fprintf(stderr, "the old one can't be attached: %s\n", strerror(-r));
    segment_file_close(&file);
    return 0;
}

static void run_full(const struct scratch *scratch)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/dev/shm", NULL, MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", scratch->directory, "tmpfs", 0, "size=2m") < 0)
        _exit(77);
    int failed = check_full(scratch);
    umount2(scratch->directory, MNT_DETACH);
    _exit(failed ? 1 : 0);
}

static void a_full_tmpfs_is_an_error(void **state)
{
    struct scratch *scratch = *state;
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        run_full(scratch);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: only root can mount a small tmpfs\n");
        skip();
    }
    if (status != 0)
        fail_msg("the child ended with status %#x", status);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scratch, close_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_of_many_creates),
        TEST(a_running_daemon_is_named),
        TEST(locked_files_without_a_pid_name_nobody),
        TEST(a_full_tmpfs_is_an_error),
    };
    return cmocka_run_group_tests_name("segment_file_race", tests, NULL, NULL);
}
