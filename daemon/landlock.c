#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/confine.h"

/* Open the directory above the segment's, or the segment's if it is the root of a mount. */
static int open_above(const char *segment)
{
    char path[PATH_MAX];
    struct stat here, above;
    const char *slash = strrchr(segment, '/');
    int length = slash ? (int)(slash - segment) + 1 : 0;

    if (snprintf(path, sizeof(path), "%.*s.", length, segment) >= (int)sizeof(path))
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

int landlock_confine(const char *segment)
{
    const int above = open_above(segment);

    return confine_files(CONFINE_WRITE, CONFINE_WRITE, &above, 1);
}
