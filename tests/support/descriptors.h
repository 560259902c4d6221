/* descriptors.h - count what this process has open, to find what is left open. */
#ifndef PRESENCE_TESTS_DESCRIPTORS_H
#define PRESENCE_TESTS_DESCRIPTORS_H

#include <dirent.h>

#include "unit.h"

static inline unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

#endif
