/* asleep.h - wait until a thread of this process sleeps. */
#ifndef PRESENCE_TESTS_ASLEEP_H
#define PRESENCE_TESTS_ASLEEP_H

#include "unit.h"

#include <sched.h>
#include <sys/types.h>
#include <time.h>

#define ASLEEP_DEADLINE_S 60

/* The state follows the name, which may contain anything but is in parentheses: proc(5). */
static inline char thread_state(pid_t thread)
{
    char path[64], text[512];

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *name_end = strrchr(text, ')');
    assert_non_null(name_end);
    return name_end[2];
}

static inline void wait_until_asleep(pid_t thread)
{
    time_t start = time(NULL);

    while (thread_state(thread) != 'S') {
        if (time(NULL) - start > ASLEEP_DEADLINE_S)
            fail_msg("a thread does not begin to wait");
        sched_yield();
    }
}

#endif
