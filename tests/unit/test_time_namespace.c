/* test_time_namespace.c - how far the clock is ahead in a time namespace. Skips itself where none
 * can be made. */
#include "../support/confined.h"
#include "../support/unit.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "common/time_namespace.h"

#define SKIP 100

/* Enter a new time namespace with this offset, and compare what is said of it. */
static int check_offset(const char *offset, int64_t seconds, long nanoseconds, int64_t rounded)
{
    if (unshare(CLONE_NEWTIME) < 0)
        return SKIP;
    int file = open("/proc/self/timens_offsets", O_WRONLY);
    MUST(file >= 0);
    MUST(write(file, offset, strlen(offset)) == (ssize_t)strlen(offset));
    close(file);
    MUST(time_namespace_offset_s() == 0); /* it is our children's */
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        struct timespec found = time_namespace_offset();
        _exit(found.tv_sec != seconds || found.tv_nsec != nanoseconds ||
              time_namespace_offset_s() != rounded);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static int whole_seconds(void)
{
    return check_offset("boottime 100 0", 100, 0, 100);
}

/* A tick that the collector has is never in its readers' future. */
static int a_part_of_a_second(void)
{
    return check_offset("boottime 100 500000000", 100, 500000000, 101);
}

static void test_offsets(void **state)
{
    int (*const parts[])(void) = {whole_seconds, a_part_of_a_second};

    (void)state;
    for (size_t i = 0; i < LENGTH(parts); i++) {
        int r = run_child(parts[i]);
        if (r == SKIP)
            skip();
        if (r)
            fail_msg("line %d", r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_offsets)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
