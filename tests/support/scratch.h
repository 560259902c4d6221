/* scratch.h - a directory on tmpfs for one test, removed at its end with all that is in it. */
#ifndef PRESENCE_TESTS_SCRATCH_H
#define PRESENCE_TESTS_SCRATCH_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

struct scratch {
    char directory[64];
    char path[96]; /* of a segment, which does not exist yet */
};

static inline void scratch_open(struct scratch *scratch)
{
    strcpy(scratch->directory, "/dev/shm/presence-unit-XXXXXX");
    if (!mkdtemp(scratch->directory))
        fail_msg("cannot make a directory in /dev/shm");
    snprintf(scratch->path, sizeof(scratch->path), "%s/segment", scratch->directory);
}

/* Count the names in the directory. */
static inline unsigned scratch_count(const struct scratch *scratch)
{
    DIR *directory = opendir(scratch->directory);
    unsigned count = 0;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

/* Remove the directory, in which there are only files and empty directories. */
static inline void scratch_close(struct scratch *scratch)
{
    DIR *directory = opendir(scratch->directory);

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int flags = entry->d_type == DT_DIR ? AT_REMOVEDIR : 0;
        assert_int_equal(unlinkat(dirfd(directory), entry->d_name, flags), 0);
    }
    closedir(directory);
    assert_int_equal(rmdir(scratch->directory), 0);
}

/* A test whose state is a directory of its own. */
#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_prepare, scratch_clean_up)

static inline int scratch_prepare(void **state)
{
    *state = malloc(sizeof(struct scratch));
    assert_non_null(*state);
    scratch_open(*state);
    return 0;
}

static inline int scratch_clean_up(void **state)
{
    scratch_close(*state);
    free(*state);
    return 0;
}

#endif
