#include "segment_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/log.h"
#include "core/segment.h"
#include "segment_path.h"

/* True if the directory can only be the segment's own: others may enter /run and a home on a disk,
 * and /dev/shm is everybody's. */
static bool is_own_directory(int descriptor, const struct stat *status)
{
    struct statfs system;

    return status->st_uid == 0 && !(status->st_mode & (S_IRWXO | S_ISVTX)) &&
           fstatfs(descriptor, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

/* True if the file is a segment of root's. With a second name it may be somewhere else, too. */
static bool is_segment(int descriptor, const struct stat *status)
{
    uint64_t magic = 0;

    return S_ISREG(status->st_mode) && status->st_uid == 0 && status->st_nlink == 1 &&
           pread(descriptor, &magic, sizeof(magic), 0) == sizeof(magic) && magic == SEGMENT_MAGIC;
}

static int change_owner(int descriptor, const char *path, const struct passwd *user)
{
    int r = fchown(descriptor, user->pw_uid, user->pw_gid) < 0 ? -errno : 0;

    if (r < 0)
        log_line("cannot give %s to the user %s: %s", path, user->pw_name, strerror(-r));
    else
        log_line("gave %s to the user %s", path, user->pw_name);
    return r;
}

/* Give the segment in its directory, if there is one. */
static int give_segment(int directory, const char *path, const struct passwd *user)
{
    struct stat status;
    int descriptor = openat(directory, strrchr(path, '/') + 1,
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (descriptor < 0)
        return 0;
    int r = 0;
    if (fstat(descriptor, &status) == 0 && is_segment(descriptor, &status))
        r = change_owner(descriptor, path, user);
    close(descriptor);
    return r;
}

/* Give the segment first: from then on, whoever owns the directory may put another in its place. */
static int give_both(const char *path, const struct passwd *user)
{
    struct stat status;
    char name[PATH_MAX];
    const size_t length = (size_t)(strrchr(path, '/') - path);

    memcpy(name, path, length);
    name[length] = '\0';
    int directory = open(length ? name : "/", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = directory < 0 || fstat(directory, &status) < 0 ? -errno : 0;
    if (r < 0)
        log_line("cannot open the directory %s of the segment: %s", name, strerror(-r));
    if (r == 0)
        r = give_segment(directory, path, user);
    if (r == 0 && is_own_directory(directory, &status))
        r = change_owner(directory, name, user);
    if (directory >= 0)
        close(directory);
    return r;
}

int segment_owner_give(const char *segment, const char *user)
{
    const struct passwd *entry = getpwnam(user);

    if (geteuid() != 0) {
        log_line("only root can give the segment to %s", user);
        return -EPERM;
    }
    if (!entry) {
        log_line("cannot give the segment to %s: no such user; systemd-sysusers makes the user "
                 "presence",
                 user);
        return -ENOENT;
    }
    if (!strchr(segment, '/') || strlen(segment) >= PATH_MAX) {
        log_line("cannot give %s to the user %s: name it with its directory", segment, user);
        return -EINVAL;
    }
    int r = segment_path_prepare(segment);
    return r < 0 ? r : give_both(segment, entry);
}
