#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/capabilities.h"
#include "common/confine.h"
#include "common/permission.h"
#include "reader_trust.h"

#ifdef PRIVILEGES_UNCONFINED

static int confine_to(const char *const *paths)
{
    (void)paths;
    return 0;
}

#else

#define PATHS_MAX 8

/* Open the nearest directory above `path` that exists. Returns its descriptor, or a negative errno.
 */
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

static int confine_to(const char *const *paths)
{
    int directories[PATHS_MAX] = {climb_to_mount(open_directory_of("/proc/self"))}; /* boot id */
    unsigned count = 1;

    for (; *paths && count < PATHS_MAX; paths++)
        directories[count++] = climb_to_mount(open_directory_of(*paths));
    return confine_files(CONFINE_READ | CONFINE_WRITE | CONFINE_EXECUTE, CONFINE_READ, directories,
                         count);
}

#endif

int privileges_drop(const char *const *paths)
{
    int r = capabilities_drop();

    /* The lists of users and groups are out of reach afterwards. */
    reader_trust_prepare();
    if (*paths)
        permission_prepare(*paths);
    return r < 0 ? r : confine_to(paths);
}
