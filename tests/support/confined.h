/* confined.h - run parts of a test in processes of their own, which give up what they can't get
 * back. A part returns 0, or the line that failed. */
#ifndef PRESENCE_TESTS_CONFINED_H
#define PRESENCE_TESTS_CONFINED_H

#include <errno.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* Return the line, unless the condition is true. */
#define MUST(condition)      \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

/* Run a part, and return its result, or the negative number of the signal that killed it. */
static inline int run_child(int (*function)(void))
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        alarm(120);
        _exit(function());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* A part that makes a forbidden system call. */
struct forbidden {
    const char *what;
    int (*function)(void);
};

/* Check that each is killed by it. */
static inline void assert_forbidden(const struct forbidden *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = run_child(cases[i].function);
        if (r != -SIGSYS)
            fail_msg("%s is not prevented: %d", cases[i].what, r);
    }
}

/* Close what a call has opened, and return 0, or its errno. */
static inline int error_of(int result)
{
    if (result >= 0)
        close(result);
    return result < 0 ? errno : 0;
}

static inline bool has_landlock(void)
{
#ifdef PRIVILEGES_UNCONFINED
    return false;
#else
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
#endif
}

#endif
