#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/capabilities.h"

#ifdef PRIVILEGES_UNCONFINED

static int confine_files(const char *const *paths)
{
    (void)paths;
    return 0;
}

#else

/* All that the first version of Landlock knows of. */
#define HANDLED_ACCESS (((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define READ_ACCESS    ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR))

/* The nearest directory above `path` that exists. Returns its descriptor. */
static int open_directory_of(const char *path)
{
    char above[PATH_MAX];
    int fd = -1;

    if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
        return -ENAMETOOLONG;
    for (const char *directory = dirname(above);; directory = dirname(above)) {
        fd = open(directory, O_PATH | O_CLOEXEC | O_DIRECTORY);
        if (fd >= 0 || strcmp(directory, "/") == 0 || strcmp(directory, ".") == 0)
            return fd < 0 ? -errno : fd;
    }
}

/* Climb to where the file system of a directory is mounted: directories below, as that of a service
 * in /run, may go and come back as others. Takes the descriptor over. */
static int climb_to_mount(int fd)
{
    struct stat here, above;

    while (fd >= 0 && fstat(fd, &here) == 0 && fstatat(fd, "..", &above, 0) == 0 &&
           here.st_dev == above.st_dev && here.st_ino != above.st_ino) {
        int parent = openat(fd, "..", O_PATH | O_CLOEXEC | O_DIRECTORY);
        close(fd);
        fd = parent < 0 ? -errno : parent;
    }
    return fd;
}

static int allow_reading(int rules, const char *path)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = READ_ACCESS,
        .parent_fd = climb_to_mount(open_directory_of(path)),
    };

    if (rule.parent_fd < 0)
        return rule.parent_fd;
    long r = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int error = r < 0 ? -errno : 0;
    close(rule.parent_fd);
    return error;
}

static int confine_files(const char *const *paths)
{
    const struct landlock_ruleset_attr handled = {.handled_access_fs = HANDLED_ACCESS};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);

    if (rules < 0) /* a kernel without it, or one that has it switched off */
        return 0;
    int r = allow_reading(rules, "/proc/self"); /* the boot's id is read there */
    for (; r == 0 && *paths; paths++)
        r = allow_reading(rules, *paths);
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = -errno;
    close(rules);
    return r;
}

#endif

int privileges_drop(const char *const *paths)
{
    int r = capabilities_drop();

    return r < 0 ? r : confine_files(paths);
}
