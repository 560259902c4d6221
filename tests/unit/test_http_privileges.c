/* test_http_privileges.c - what is left to a program that has given its privileges up. */
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/privileges.h"

/* Run it in a process of its own, which privileges do not come back to. */
static int in_child(int (*run)(const char *path), const char *path)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(run(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int error_of(int result)
{
    if (result >= 0)
        close(result);
    return result < 0 ? errno : 0;
}

/* Which line failed. */
#define MUST(condition)      \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

static bool has_landlock(void)
{
#ifdef PRIVILEGES_UNCONFINED
    return false;
#else
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
#endif
}

static int use_what_is_left(const char *path)
{
    char other[256];

    snprintf(other, sizeof(other), "%s/other", path);
    MUST(privileges_drop((const char *const[]){other, NULL}) == 0);
    MUST(error_of(open(path, O_RDONLY | O_DIRECTORY)) == 0);
    MUST(error_of(open(other, O_RDONLY)) == ENOENT); /* looked for, not forbidden */
    MUST(error_of(open("/proc/sys/kernel/random/boot_id", O_RDONLY)) == 0);
    MUST(error_of(chroot("/")) == EPERM);
    if (!has_landlock())
        return 0;
    MUST(error_of(open(other, O_RDWR | O_CREAT, 0600)) == EACCES);
    MUST(mkdir(other, 0700) < 0 && errno == EACCES);
    MUST(error_of(open("/etc/passwd", O_RDONLY)) == EACCES);
    MUST(execl("/bin/true", "true", (char *)NULL) < 0 && errno == EACCES);
    return 0;
}

/* As a service's directory in /run does when the service is restarted. */
static int find_what_came_back(const char *path)
{
    char inner[256], segment[300], byte = 0;
    int dropped[2], status;

    snprintf(inner, sizeof(inner), "%s/inner", path);
    snprintf(segment, sizeof(segment), "%s/segment", inner);
    MUST(mkdir(inner, 0700) == 0 && pipe(dropped) == 0);
    pid_t maker = fork(); /* keeps its privileges */
    if (maker == 0) {
        MUST(read(dropped[0], &byte, 1) == 1);
        rmdir(inner);
        MUST(mkdir(inner, 0700) == 0);
        _exit(error_of(open(segment, O_RDWR | O_CREAT, 0600)));
    }
    MUST(privileges_drop((const char *const[]){segment, NULL}) == 0);
    MUST(write(dropped[1], &byte, 1) == 1);
    MUST(waitpid(maker, &status, 0) == maker && status == 0);
    MUST(error_of(open(segment, O_RDONLY)) == 0);
    return 0;
}

static char directory[] = "/dev/shm/presence-privileges-XXXXXX";

static void reading_the_segment_is_left(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_what_is_left, directory), 0);
}

static void a_directory_may_come_back(void **state)
{
    char path[256];

    (void)state;
    assert_int_equal(in_child(find_what_came_back, directory), 0);
    snprintf(path, sizeof(path), "%s/inner/segment", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/inner", directory);
    rmdir(path);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_the_segment_is_left),
        cmocka_unit_test(a_directory_may_come_back),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
