/* test_segment_file_step.c - segment_file.h, stopped at each of its system calls: another daemon
 * opens the segment there, or this one is killed. */
#include "../support/scratch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "segment_file.h"

#define HELD 77 /* a counter of the existing segment */

static const struct segment_settings settings = {
    .max_entries = 1000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
static const struct segment_settings other_settings = {
    .max_entries = 2000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
static const uint64_t now = 100000;

/* The file that both daemons find. */
enum scene { NO_FILE, GOOD_SEGMENT, OTHER_SETTINGS, EMPTY_FILE, SCENES };

static const char *const scene_names[SCENES] = {"no file", "a good segment", "other settings",
                                                "an empty file"};

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

static void set_scene(const struct scratch *scratch, enum scene scene)
{
    struct segment_file file;
    pid_t holder;

    unlink(scratch->path);
    if (scene == GOOD_SEGMENT || scene == OTHER_SETTINGS) {
        const struct segment_settings *wanted = scene == GOOD_SEGMENT ? &settings : &other_settings;
        assert_int_equal(segment_file_open(scratch->path, wanted, now, &file, &holder), 0);
        file.segment.counters[0].values[COUNTER_pageviews] = HELD;
        segment_file_close(&file);
    }
    if (scene == EMPTY_FILE)
        close(open(scratch->path, O_CREAT | O_WRONLY, 0600));
}

/* A daemon that opens the segment, reports the outcome, and holds it until its pipe is closed. */
struct child {
    pid_t pid;
    int result, stop;
};

struct result {
    int error;
    ino_t inode;
};

static ino_t inode_of(int descriptor)
{
    struct stat status;

    return fstat(descriptor, &status) == 0 ? status.st_ino : 0;
}

static void run_child(const struct scratch *scratch, int result_pipe, int stop_pipe)
{
    struct result result = {0, 0};
    struct segment_file file;
    pid_t holder;
    char byte;

    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
    result.error = segment_file_open(scratch->path, &settings, now, &file, &holder);
    if (result.error == 0)
        result.inode = inode_of(file.descriptor);
    if (write(result_pipe, &result, sizeof(result)) != sizeof(result))
        _exit(1);
    _exit(read(stop_pipe, &byte, 1) == 0 ? 0 : 1);
}

static struct child start_child(const struct scratch *scratch)
{
    int results[2], stops[2], status;

    assert_int_equal(pipe(results), 0);
    assert_int_equal(pipe(stops), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(stops[1]);
        run_child(scratch, results[1], stops[0]);
    }
    close(results[1]);
    close(stops[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: tracing is not permitted here\n");
        skip();
    }
    assert_true(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL);
    return (struct child){pid, results[0], stops[1]};
}

/* Let it run to its entry into, or its return from, the `stops`-th system call. Returns false if it
 * ended before. */
static bool run_to_stop(const struct child *child, unsigned stops)
{
    struct pollfd finished = {.fd = child->result, .events = POLLIN};
    int status;

    for (; stops; stops--) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child->pid, NULL, NULL), 0);
        assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
        assert_true(WIFSTOPPED(status));
        if (poll(&finished, 1, 0) == 1)
            return false;
    }
    return true;
}

static struct result finish_child(struct child *child)
{
    struct result result;

    assert_int_equal(ptrace(PTRACE_DETACH, child->pid, NULL, NULL), 0);
    assert_int_equal(read(child->result, &result, sizeof(result)), sizeof(result));
    return result;
}

static void end_child(struct child *child)
{
    int status;

    close(child->stop);
    close(child->result);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
}

static ino_t inode_at(const struct scratch *scratch)
{
    struct stat status;

    return stat(scratch->path, &status) == 0 ? status.st_ino : 0;
}

/* Another daemon opens meanwhile and stays: one of the two has the file at the path, the other gets
 * -EBUSY. */
static bool meet_one_that_stays(const struct scratch *scratch, enum scene scene, unsigned stop)
{
    struct segment_file file;
    pid_t holder;

    set_scene(scratch, scene);
    struct child child = start_child(scratch);
    bool met = run_to_stop(&child, stop);
    int r = segment_file_open(scratch->path, &settings, now, &file, &holder);
    struct result result = finish_child(&child);
    if (!(r == 0 && result.error == -EBUSY) && !(r == -EBUSY && result.error == 0))
        fail_msg("%s, stop %u: %s for one, %s for the other", scene_names[scene], stop,
                 strerror(-r), strerror(-result.error));
    if (inode_at(scratch) != (r == 0 ? inode_of(file.descriptor) : result.inode))
        fail_msg("%s, stop %u: the winner's file is not at the path", scene_names[scene], stop);
    if (scratch_count(scratch) != 1)
        fail_msg("%s, stop %u: %u files", scene_names[scene], stop, scratch_count(scratch));
    if (r == 0)
        segment_file_close(&file);
    end_child(&child);
    return met;
}

/* Another opens meanwhile and ends: the first uses the file that is at the path then. */
static bool meet_one_that_goes(const struct scratch *scratch, enum scene scene, unsigned stop)
{
    struct segment_file file;
    pid_t holder;

    set_scene(scratch, scene);
    struct child child = start_child(scratch);
    bool met = run_to_stop(&child, stop);
    int r = segment_file_open(scratch->path, &settings, now, &file, &holder);
    if (r == 0)
        segment_file_close(&file);
    struct result result = finish_child(&child);
    if ((r != 0 && r != -EBUSY) || result.error != 0)
        fail_msg("%s, stop %u: %s for the guest, %s for the other", scene_names[scene], stop,
                 strerror(-r), strerror(-result.error));
    if (inode_at(scratch) != result.inode || scratch_count(scratch) != 1)
        fail_msg("%s, stop %u: its file is not the one at the path", scene_names[scene], stop);
    end_child(&child);
    return met;
}

/* After a kill the next daemon gets a segment at once, with all contents. */
static bool be_killed(const struct scratch *scratch, enum scene scene, unsigned stop)
{
    struct segment_file file;
    pid_t holder;
    int status;

    set_scene(scratch, scene);
    struct child child = start_child(scratch);
    bool met = run_to_stop(&child, stop);
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    close(child.stop);
    close(child.result);
    int r = segment_file_open(scratch->path, &settings, now, &file, &holder);
    if (r != 0 || segment_judge(file.segment.header, file.segment.size) != SEGMENT_GOOD)
        fail_msg("%s, stop %u: %s after a kill", scene_names[scene], stop, strerror(-r));
    uint64_t held = file.segment.counters[0].values[COUNTER_pageviews];
    if (held != (scene == GOOD_SEGMENT || scene == OTHER_SETTINGS ? HELD : 0))
        fail_msg("%s, stop %u: %llu after a kill", scene_names[scene], stop,
                 (unsigned long long)held);
    if (inode_at(scratch) != inode_of(file.descriptor))
        fail_msg("%s, stop %u: its file is not the one at the path", scene_names[scene], stop);
    segment_file_close(&file);
    return met;
}

/* Files that a killed daemon may leave beside the segment. */
static void remove_others(const struct scratch *scratch)
{
    DIR *directory = opendir(scratch->directory);

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "segment") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
}

static void at_every_stop(const struct scratch *scratch,
                          bool (*act)(const struct scratch *, enum scene, unsigned))
{
    for (unsigned scene = 0; scene < SCENES; scene++) {
        unsigned stop = 0;
        while (act(scratch, (enum scene)scene, stop)) {
            remove_others(scratch);
            stop++;
        }
        print_message("%s: %u stops\n", scene_names[scene], stop);
        assert_true(stop >= 10);
    }
}

static void of_two_daemons_one_wins(void **state)
{
    at_every_stop(*state, meet_one_that_stays);
}

static void a_daemon_that_comes_and_goes_is_no_obstacle(void **state)
{
    at_every_stop(*state, meet_one_that_goes);
}

static void a_killed_daemon_is_no_obstacle(void **state)
{
    at_every_stop(*state, be_killed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scratch, close_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(of_two_daemons_one_wins),
        TEST(a_daemon_that_comes_and_goes_is_no_obstacle),
        TEST(a_killed_daemon_is_no_obstacle),
    };
    return cmocka_run_group_tests_name("segment_file_step", tests, NULL, NULL);
}
