#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13) /* Linux 5.19 */
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14) /* Linux 6.2 */
#endif

#define FIRST_ACCESS (((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* of Landlock 1 */
#define READ_ACCESS  ((uint64_t)(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR))

/* Return Landlock's bits for kinds of access, as far as its `version` knows them. */
static uint64_t access_bits(unsigned kinds, long version)
{
    uint64_t known = FIRST_ACCESS | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
                     (version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
    uint64_t bits = 0;

    if (kinds & CONFINE_READ)
        bits |= READ_ACCESS;
    if (kinds & CONFINE_WRITE)
        bits |= known & ~READ_ACCESS & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE;
    if (kinds & CONFINE_EXECUTE)
        bits |= LANDLOCK_ACCESS_FS_EXECUTE;
    return bits;
}

/* Create the rules. Returns their descriptor, or a negative errno. */
static int make_rules(unsigned taken, unsigned left, long version, const int *directories,
                      unsigned count)
{
    const struct landlock_ruleset_attr handled = {.handled_access_fs = access_bits(taken, version)};
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    int r = rules < 0 ? -errno : 0;

    for (unsigned i = 0; r == 0 && i < count; i++) {
        const struct landlock_path_beneath_attr rule = {
            .allowed_access = access_bits(left, version), .parent_fd = directories[i]};
        if (rule.parent_fd < 0)
            r = rule.parent_fd;
        else if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
            r = -errno;
    }
    if (r == 0)
        return rules;
    if (rules >= 0)
        close(rules);
    return r;
}

int confine_files(unsigned taken, unsigned left, const int *directories, unsigned count)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    int r = version < 1 ? 0 : make_rules(taken, left, version, directories, count);

    if (version >= 1 && r >= 0) {
        int rules = r;
        r = syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
        close(rules);
    }
    for (unsigned i = 0; i < count; i++) {
        if (directories[i] >= 0)
            close(directories[i]);
    }
    return r;
}

int confine_open_above(const char *file)
{
    char path[PATH_MAX];
    struct stat here, above;
    const char *slash = strrchr(file, '/');
    int length = slash ? (int)(slash - file) + 1 : 0;

    if (snprintf(path, sizeof(path), "%.*s.", length, file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &here) < 0 || fstatat(fd, "..", &above, 0) < 0 || here.st_dev != above.st_dev)
        return fd;
    int parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = parent < 0 ? -errno : parent;
    close(fd);
    return r;
}

/* Open the directory that holds a file. Returns its descriptor or a negative errno. */
static int open_holder(const char *file)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    int fd = open(dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

unsigned confine_open_beside(const char *file, int ret[CONFINE_BESIDE_MAX])
{
    char *real = realpath(file, NULL);
    unsigned count = 0;

    ret[count++] = open_holder(file);
    if (real)
        ret[count++] = open_holder(real);
    free(real);
    return count;
}

unsigned confine_open_names(int ret[CONFINE_NAMES_MAX])
{
    static const char *const directories[CONFINE_NAMES_MAX] = {"/etc", "/run"};
    unsigned count = 0;

    for (unsigned i = 0; i < CONFINE_NAMES_MAX; i++) {
        int fd = open(directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            ret[count++] = fd;
    }
    return count;
}

/* Open the nearest directory above `path` that exists. Returns its descriptor, or a negative errno.
 */
static int open_directory_of(const char *path)
{
    char above[PATH_MAX];

    if (snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
        return -ENAMETOOLONG;
    for (const char *directory = dirname(above);; directory = dirname(above)) {
        int fd = open(directory, O_PATH | O_CLOEXEC | O_DIRECTORY);
        if (fd >= 0 || strcmp(directory, "/") == 0 || strcmp(directory, ".") == 0)
            return fd < 0 ? -errno : fd;
    }
}

/* Climb to the mount point of a directory's file system: directories below it, as that of a service
 * in /run, may be deleted and made again. Owns the descriptor; returns another, or a negative
 * errno.
 */
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

int confine_open_mount(const char *path)
{
    return climb_to_mount(open_directory_of(path));
}
