#include "segment_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/log.h"
#include "common/trust.h"
#include "core/segment.h"

#define DIRECTORY_MODE 0750
#define ATTEMPTS       16 /* one is lost whenever a process changes the path at the same moment */
#define NAMES_MAX      100
#define LINKS_MAX      8 /* that lead from one to the next */

static uid_t presence_user = (uid_t)-1; /* (uid_t)-1: there is none */
static char last_line[1024];
static bool confined; /* users can't be looked up any more */

bool segment_path_trusts(uid_t user)
{
    return user == 0 || user == geteuid() || (user == presence_user && user != (uid_t)-1);
}

void segment_path_share(int descriptor, const struct stat *status, const char *path)
{
    if (confined) /* then the calls below are not permitted any more */
        return;
    gid_t group = getegid();
    if (group != trust_group() || status->st_gid == group || status->st_uid != geteuid() ||
        status->st_mode & S_IRWXO)
        return;
    if (fchown(descriptor, (uid_t)-1, group) == 0)
        log_line("gave %s to the group " TRUST_USER, path);
    else
        log_line("cannot give %s to the group " TRUST_USER ": %s", path, strerror(errno));
}

void segment_path_log(const char *format, ...)
{
    char line[sizeof(last_line)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (strcmp(line, last_line) == 0)
        return;
    strcpy(last_line, line);
    log_line("%s", line);
}

void segment_path_reset_log(void)
{
    last_line[0] = '\0';
}

/* Write the directory of a path, without trailing slashes. Returns false if the path names nothing
 * in a directory or is too long: opening it will fail. */
static bool directory_of(const char *path, char ret[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strlen(path) >= PATH_MAX)
        return false;
    while (length > 1 && path[length - 1] == '/')
        length--;
    memcpy(ret, path, length);
    strcpy(ret + length, slash && length == 0 ? "/" : slash ? "" : ".");
    return true;
}

/* Describe a user as "alice (uid 1000)", or by the number if users can't be looked up. */
static void describe_user(uid_t user, char *ret, size_t size)
{
    char name[TRUST_NAME_SIZE];

    snprintf(ret, size, "uid %u", (unsigned)user);
    if (confined)
        return;
    trust_name_user(user, name);
    snprintf(ret, size, "%s (uid %u)", name, (unsigned)user);
}

/* Rename a file to NAME.SUFFIX-PID, or with another number appended if that exists. */
static int move_aside(const char *what, const char *suffix, char ret[PATH_MAX + 64])
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        int length =
            snprintf(ret, PATH_MAX + 64, "%.*s.%s-%d", PATH_MAX, what, suffix, (int)getpid());
        if (i)
            snprintf(ret + length, (size_t)(PATH_MAX + 64 - length), "-%u", i);
        if (renameat2(AT_FDCWD, what, AT_FDCWD, ret, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* Move a stranger's file aside, or log whose it is. A directory is moved only on a tmpfs, where
 * segments are: elsewhere it may be somebody's home that --segment should not have named. */
static int clear_stranger(const char *what, const struct stat *status)
{
    char owner[TRUST_NAME_SIZE + 32], moved[PATH_MAX + 64];
    struct statfs system;
    int r = -EPERM;

    describe_user(status->st_uid, owner, sizeof(owner));
    bool may_move =
        geteuid() == 0 && (!S_ISDIR(status->st_mode) || confined ||
                           (statfs(what, &system) == 0 && system.f_type == TMPFS_MAGIC));
    if (may_move)
        r = move_aside(what, "untrusted", moved);
    if (r == 0) {
        log_line("%s belonged to %s, who is not trusted: moved it aside to %s; check it and "
                 "delete it",
                 what, owner, moved);
        return 0;
    }
    segment_path_log("%s belongs to %s, who is not trusted%s%s: remove it, or choose another "
                     "--segment",
                     what, owner, may_move ? ", and can't be moved aside: " : "",
                     may_move ? strerror(-r) : "");
    return r;
}

/* True if another presenced holds the file's lock. */
static bool is_held(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int refuse_held(const char *segment)
{
    segment_path_log("the segment %s is in use by another presenced: stop that one, or choose "
                     "another --segment",
                     segment);
    return -EBUSY;
}

/* ---- a segment in its directory's place -------------------------------------------------- */

/* Make a directory with a new name beside another. */
static int make_beside(const char *directory, char ret[PATH_MAX + 64])
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        snprintf(ret, PATH_MAX + 64, "%.*s.%d-%u", PATH_MAX, directory, (int)getpid(), i);
        if (mkdirat(AT_FDCWD, ret, DIRECTORY_MODE) == 0)
            return fchmodat(AT_FDCWD, ret, DIRECTORY_MODE, 0) < 0 ? -errno : 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

/* Put a directory in the file's place, with the file in it. The new name is made first and the old
 * one removed last, so that the segment always has one, even if this is interrupted. */
static int put_into_directory(int descriptor, const char *directory, const char *name)
{
    char self[sizeof("/proc/self/fd/2147483647")], made[PATH_MAX + 64], inner[2 * PATH_MAX + 64];
    int r = make_beside(directory, made);

    if (r < 0)
        return r;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", descriptor);
    snprintf(inner, sizeof(inner), "%s/%s", made, name);
    if (linkat(AT_FDCWD, self, AT_FDCWD, inner, AT_SYMLINK_FOLLOW) < 0) {
        r = -errno;
        goto fail;
    }
    if (renameat2(AT_FDCWD, made, AT_FDCWD, directory, RENAME_EXCHANGE) < 0) {
        r = -errno;
        unlinkat(AT_FDCWD, inner, 0);
        goto fail;
    }
    unlinkat(AT_FDCWD, made, 0); /* the file's old name, exchanged */
    return 0;

fail:
    unlinkat(AT_FDCWD, made, AT_REMOVEDIR);
    return r;
}

/* Move an earlier version's segment, which was at /dev/shm/presence, into a directory there. */
static int move_in(const char *path, const char *directory)
{
    uint64_t magic = 0;
    int descriptor = open(directory, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int r = descriptor < 0 ? -errno : 0;

    if (r == 0 &&
        (pread(descriptor, &magic, sizeof(magic), 0) != sizeof(magic) || magic != SEGMENT_MAGIC)) {
        segment_path_log("%s is a file, where the directory of the segment should be: remove "
                         "it, or choose another --segment",
                         directory);
        r = -ENOTDIR;
    } else if (r == 0 && is_held(descriptor)) {
        r = refuse_held(directory);
    } else if (r == 0) {
        r = put_into_directory(descriptor, directory, strrchr(path, '/') + 1);
        if (r == 0)
            log_line("moved the segment of an earlier presenced from %s to %s", directory, path);
        else
            segment_path_log("cannot move the segment %s to %s: %s", directory, path, strerror(-r));
    } else {
        segment_path_log("cannot open %s, where the directory of the segment should be: %s",
                         directory, strerror(-r));
    }
    if (descriptor >= 0)
        close(descriptor);
    return r;
}

/* ---- the directory ----------------------------------------------------------------------- */

static int make_directory(const char *directory)
{
    if (mkdirat(AT_FDCWD, directory, DIRECTORY_MODE) < 0) {
        int r = -errno;
        if (r == -EEXIST)
            return 0;
        segment_path_log("cannot make the directory %s for the segment: %s", directory,
                         strerror(-r));
        return r;
    }
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return -EAGAIN;
    int r = fchmod(descriptor, DIRECTORY_MODE) < 0 ? -EAGAIN : 0; /* whatever the umask */
    close(descriptor);
    return r;
}

/* Root follows only its own links: another's may lead to what only root may change. */
static bool follows_links_of(uid_t user)
{
    return geteuid() == 0 ? user == 0 : segment_path_trusts(user);
}

/* Judge what is in the directory's place. Returns 0 if another try may succeed. */
static int judge_place(const char *path, const char *directory, int error)
{
    struct stat status;

    if (lstat(directory, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!segment_path_trusts(status.st_uid) ||
        (S_ISLNK(status.st_mode) && !follows_links_of(status.st_uid)))
        return clear_stranger(directory, &status);
    if (S_ISREG(status.st_mode) && !confined)
        return move_in(path, directory);
    if (S_ISDIR(status.st_mode))
        segment_path_log("cannot open the directory %s of the segment: %s", directory,
                         strerror(error));
    else
        segment_path_log("%s is no directory, where that of the segment should be: remove it, "
                         "or choose another --segment",
                         directory);
    return S_ISDIR(status.st_mode) ? -error : -ENOTDIR;
}

static int judge_mode(const char *directory, int descriptor, const struct stat *status,
                      bool is_linked)
{
    mode_t mode = status->st_mode & 07777;

    if (trust_directory_mode(status))
        return 0;
    if (!is_linked && status->st_uid == geteuid() &&
        fchmod(descriptor, mode & ~(mode_t)TRUST_OTHERS) == 0) {
        log_line("others could write the directory %s of the segment (mode %04o): made it %04o",
                 directory, (unsigned)mode, (unsigned)(mode & ~(mode_t)TRUST_OTHERS));
        return 0;
    }
    segment_path_log("others than its owner may write the directory %s of the segment (mode "
                     "%04o): chmod go-w %s, or choose another --segment",
                     directory, (unsigned)mode, directory);
    return -EPERM;
}

/* Replace a path by where the link there leads, if we follow its owner's. */
static int follow_link(char path[PATH_MAX])
{
    char target[PATH_MAX], joined[PATH_MAX];
    struct stat status;
    int descriptor = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (descriptor < 0)
        return -errno;
    bool follow = fstat(descriptor, &status) == 0 && S_ISLNK(status.st_mode) &&
                  follows_links_of(status.st_uid);
    ssize_t length = follow ? readlinkat(descriptor, "", target, sizeof(target)) : -1;
    close(descriptor);
    if (length <= 0)
        return -ENOTDIR;
    while (length > 1 && target[length - 1] == '/') /* with a slash O_NOFOLLOW would follow */
        length--;
    const char *slash = target[0] == '/' ? NULL : strrchr(path, '/');
    int above = slash ? (int)(slash - path) + 1 : 0;
    int size = snprintf(joined, sizeof(joined), "%.*s%.*s", above, path, (int)length, target);
    if (size >= PATH_MAX)
        return -ENAMETOOLONG;
    strcpy(path, joined);
    return 0;
}

/* Open the directory, through links that we follow. */
static int open_directory(const char *directory, bool *ret_linked)
{
    char place[PATH_MAX];
    int r = 0;

    strcpy(place, directory);
    for (unsigned links = 0; r == 0 && links <= LINKS_MAX; links++) {
        int descriptor = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        *ret_linked = links > 0;
        if (descriptor >= 0)
            return descriptor;
        if (errno == ENOENT && links > 0)
            return -ENOTDIR;
        r = errno == ELOOP || errno == ENOTDIR ? follow_link(place) : -errno;
    }
    return r < 0 ? r : -ENOTDIR;
}

/* Try once, and return a descriptor. -EAGAIN: an obstacle was removed. */
static int try_directory(const char *path, const char *directory)
{
    struct stat status;
    bool is_linked;
    int descriptor = open_directory(directory, &is_linked);

    if (descriptor == -ENOENT) {
        int r = make_directory(directory);
        return r == 0 ? -EAGAIN : r;
    }
    if (descriptor < 0) {
        int r = judge_place(path, directory, -descriptor);
        return r == 0 ? -EAGAIN : r;
    }
    int r = fstat(descriptor, &status) < 0 ? -errno : 0;
    if (r == 0 && !segment_path_trusts(status.st_uid)) {
        r = clear_stranger(directory, &status);
        r = r == 0 ? -EAGAIN : r;
    } else if (r == 0) {
        r = judge_mode(directory, descriptor, &status, is_linked);
        segment_path_share(descriptor, &status, directory);
    }
    if (r == 0)
        return descriptor;
    close(descriptor);
    return r;
}

/* Make the directory ours, in several attempts, and return a descriptor. */
static int secure_directory(const char *path, const char *directory)
{
    int r = -EAGAIN;

    for (int attempt = 0; r == -EAGAIN && attempt < ATTEMPTS; attempt++)
        r = try_directory(path, directory);
    if (r == -EAGAIN)
        segment_path_log("cannot make the directory %s for the segment: another process "
                         "keeps changing it",
                         directory);
    return r;
}

/* ---- the name in it ---------------------------------------------------------------------- */

/* Move aside a file of ours that has the name of a running collector's segment. */
static int clear_ours(const char *path, const struct stat *status)
{
    char moved[PATH_MAX + 64];

    if (S_ISREG(status->st_mode)) {
        int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        bool held = descriptor >= 0 && is_held(descriptor);
        if (descriptor >= 0)
            close(descriptor);
        if (held) {
            segment_path_log("another presenced has the segment %s now: this one counts on in "
                             "a file that nobody finds; stop one of them",
                             path);
            return -EBUSY;
        }
    }
    int r = move_aside(path, "replaced", moved);
    if (r == 0)
        log_line("something else had the name of the segment %s: moved it aside to %s", path,
                 moved);
    else
        segment_path_log("something else has the name of the segment %s, and can't be moved "
                         "aside: %s",
                         path, strerror(-r));
    return r;
}

static int secure_name(const char *path)
{
    struct stat status;

    if (fstatat(AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* opening it will report what is wrong */
    if (!segment_path_trusts(status.st_uid))
        return clear_stranger(path, &status);
    return confined ? clear_ours(path, &status) : 0;
}

/* Make the directory ours, and the name in it, and return a descriptor of the directory. */
static int secure(const char *path, const char *directory)
{
    int descriptor = secure_directory(path, directory);
    int r = descriptor < 0 ? descriptor : secure_name(path);

    if (r == 0)
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return r;
}

static int secure_and_close(const char *path)
{
    char directory[PATH_MAX];

    if (!directory_of(path, directory))
        return 0;
    int descriptor = secure(path, directory);
    if (descriptor < 0)
        return descriptor;
    close(descriptor);
    return 0;
}

/* Find out, without any change, whether a collector holds the segment. */
static int check_free(const char *path, const char *directory)
{
    struct stat status;
    bool is_linked;
    const char *slash = strrchr(path, '/');
    int above = open_directory(directory, &is_linked), descriptor = -1;

    if (above < 0)
        return 0;
    if (fstat(above, &status) == 0 && segment_path_trusts(status.st_uid))
        descriptor = openat(above, slash ? slash + 1 : path,
                            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool held = descriptor >= 0 && fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
                segment_path_trusts(status.st_uid) && is_held(descriptor);
    if (descriptor >= 0)
        close(descriptor);
    close(above);
    return held ? refuse_held(path) : 0;
}

static void find_presence_user(void)
{
    if (trust_find_user(TRUST_USER, &presence_user) < 0)
        presence_user = (uid_t)-1;
}

int segment_path_prepare(const char *path)
{
    find_presence_user();
    return secure_and_close(path);
}

int segment_path_take(const char *path)
{
    char directory[PATH_MAX];

    find_presence_user();
    if (!directory_of(path, directory))
        return -EINVAL;
    int r = check_free(path, directory);
    return r < 0 ? r : secure(path, directory);
}

int segment_path_clear(const char *path)
{
    confined = true;
    return secure_and_close(path);
}
