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
#include <sys/xattr.h>
#include <unistd.h>

#include "common/log.h"
#include "common/trust.h"
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

/* Remove the access control lists. Their mask, if it let users write, would let the group. */
static int close_to_others(int descriptor, const struct stat *status)
{
    static const char *const names[] = {"system.posix_acl_access", "system.posix_acl_default"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (fremovexattr(descriptor, names[i]) < 0 && errno != ENODATA && errno != ENOTSUP)
            return -errno;
    }
    if (S_ISREG(status->st_mode) && !trust_file_mode(status) && fchmod(descriptor, 0640) < 0)
        return -errno;
    return 0;
}

static int change_owner(int descriptor, const struct stat *status, const char *path,
                        const struct passwd *user)
{
    int r = close_to_others(descriptor, status);

    if (r == 0 && fchown(descriptor, user->pw_uid, user->pw_gid) < 0)
        r = -errno;
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
        r = change_owner(descriptor, &status, path, user);
    close(descriptor);
    return r;
}

/* Give the segment first: from then on, whoever owns the directory may put another in its place. */
static int give_both(int directory, const char *path, const struct passwd *user)
{
    struct stat status;
    char name[PATH_MAX];
    const size_t length = (size_t)(strrchr(path, '/') - path);

    memcpy(name, path, length);
    name[length] = '\0';
    int r = give_segment(directory, path, user);
    if (r == 0 && fstat(directory, &status) == 0 && is_own_directory(directory, &status))
        r = change_owner(directory, &status, name, user);
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
    int directory = strchr(segment, '/') ? segment_path_take(segment) : -EINVAL;
    if (directory == -EINVAL)
        log_line("cannot give %s to the user %s: name a file with its directory", segment, user);
    if (directory < 0)
        return directory;
    int r = give_both(directory, segment, entry);
    close(directory);
    return r;
}
