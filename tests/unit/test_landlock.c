/* test_landlock.c - landlock.h: files change only where a segment's name can be restored. */
#include "../support/confined.h"
#include "../support/scratch.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "landlock.h"

static bool may_make(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int confined(const struct scratch *scratch)
{
    char own[128], segment[160], away[128];

    snprintf(own, sizeof(own), "%s/presence", scratch->directory);
    snprintf(segment, sizeof(segment), "%s/segment", own);
    snprintf(away, sizeof(away), "%s/presence.away", scratch->directory);
    MUST(mkdir(own, 0700) == 0);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(landlock_confine(landlock_open(segment)) == 0);
    MUST(may_make(own) && may_make(scratch->directory));
    MUST(rename(own, away) == 0 && mkdir(own, 0700) == 0 && may_make(own));
    MUST(open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0); /* reading is allowed */
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
        return 0;
    MUST(!may_make("/dev/shm") && errno == EACCES);
    MUST(!may_make("/tmp") && errno == EACCES);
    MUST(mkdir("/dev/shm/presence-landlock", 0700) < 0 && errno == EACCES);
    return 0;
}

static void only_the_segments_place_can_be_written(void **state)
{
    struct scratch scratch;
    int status;

    (void)state;
    scratch_open(&scratch);
    pid_t child = fork();
    if (child == 0)
        _exit(confined(&scratch));
    assert_int_equal(waitpid(child, &status, 0), child);
    scratch_close(&scratch);
    if (status)
        fail_msg("status %#x, line %d", (unsigned)status, WEXITSTATUS(status));
}

/* Also where there is no Landlock: what is opened is the directory above the segment's. */
static void the_segments_place_is_opened(void **state)
{
    struct scratch scratch;
    char own[128], segment[160];
    struct stat opened, above;

    (void)state;
    scratch_open(&scratch);
    snprintf(own, sizeof(own), "%s/presence", scratch.directory);
    snprintf(segment, sizeof(segment), "%s/segment", own);
    assert_int_equal(mkdir(own, 0700), 0);
    int place = landlock_open(segment);
    assert_int_equal(fstat(place, &opened), 0);
    assert_int_equal(stat(scratch.directory, &above), 0);
    assert_true(opened.st_dev == above.st_dev && opened.st_ino == above.st_ino);
    close(place);
    scratch_close(&scratch);
}

static void a_place_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    int r = landlock_confine(landlock_open("/nonexistent/presence/segment"));
    assert_true(r == -ENOENT || r == 0); /* 0: no Landlock */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_segments_place_can_be_written),
        cmocka_unit_test(the_segments_place_is_opened),
        cmocka_unit_test(a_place_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
