#include "reader_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/trust.h"
#include "presence/presence.h"

#define LINKS_MAX 8

/* A lookup costs more than a count, so the two usual owners are compared first. */
bool reader_trusts(uid_t uid)
{
    return uid == 0 || uid == geteuid() || trust_is_named_user(uid);
}

/* Record what is refused, for presence_explain_distrust. */
static int refuse(const char *directory, const char *name, const struct stat *status,
                  struct reader_refusal *refusal)
{
    if (refusal) {
        bool joined = name && strcmp(directory, ".") != 0;
        snprintf(refusal->name, sizeof(refusal->name), "%s%s%s", joined || !name ? directory : "",
                 joined && strcmp(directory, "/") != 0 ? "/" : "", name ? name : "");
        refusal->status = *status;
    }
    return -EPERM;
}

/* Open a directory that may be a link, unless the owner of the link is not trusted. */
static int open_linked_directory(const char *path, struct reader_refusal *refusal)
{
    struct stat status;

    if (lstat(path, &status) < 0)
        return -errno;
    if (!reader_trusts(status.st_uid))
        return refuse(path, NULL, &status, refusal);
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int open_directory(const char *path, struct reader_refusal *refusal)
{
    struct stat status;
    int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        fd = open_linked_directory(path, refusal);
    else if (fd < 0)
        fd = -errno;
    if (fd < 0)
        return fd;
    int r = fstat(fd, &status) < 0 ? -errno : 0;
    if (r == 0 && !(reader_trusts(status.st_uid) && trust_directory_mode(&status)))
        r = refuse(path, NULL, &status, refusal);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* Split a path into its directory, without trailing slashes, and the name in it. */
static int split(const char *path, char directory[PATH_MAX], char name[NAME_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (length >= PATH_MAX || strlen(last) > NAME_MAX)
        return -ENAMETOOLONG;
    strcpy(name, *last ? last : "."); /* a slash at the end: the directory is meant */
    while (length > 1 && path[length - 1] == '/')
        length--;
    memcpy(directory, path, length);
    strcpy(directory + length, slash && length == 0 ? "/" : slash ? "" : ".");
    return 0;
}

/* Open a name in a directory. -EPERM; -EAGAIN it is a link, which leads to `target`. */
static int open_name(int parent, const char *directory, const char *name, char target[PATH_MAX],
                     struct reader_refusal *refusal)
{
    struct stat status;
    /* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool is_link = fd < 0 && errno == ELOOP;

    if (fd < 0 && !is_link)
        return -errno;
    int r = is_link ? fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) : fstat(fd, &status);
    r = r < 0 ? -errno : 0;
    /* A device such as /dev/null is writable by everybody, and is refused later as no regular
     * file. */
    if (r == 0 &&
        (!reader_trusts(status.st_uid) || (S_ISREG(status.st_mode) && !trust_file_mode(&status))))
        r = refuse(directory, name, &status, refusal);
    if (r == 0 && !is_link)
        return fd;
    if (!is_link) {
        close(fd);
        return r;
    }
    ssize_t length = r == 0 ? readlinkat(parent, name, target, PATH_MAX - 1) : r;
    if (length < 0)
        return r < 0 ? r : -errno;
    target[length] = '\0';
    return -EAGAIN;
}

/* Build the path that a link in a directory leads to. */
static int follow(const char *directory, const char *target, char path[PATH_MAX])
{
    int length = *target == '/' ? snprintf(path, PATH_MAX, "%s", target)
                                : snprintf(path, PATH_MAX, "%s/%s", directory, target);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int reader_trust_open(const char *given, struct reader_refusal *refusal)
{
    char path[PATH_MAX], directory[PATH_MAX], name[NAME_MAX + 1], target[PATH_MAX];

    if (strlen(given) >= sizeof(path))
        return -ENAMETOOLONG;
    strcpy(path, given);
    for (int links = 0; links <= LINKS_MAX; links++) {
        int r = split(path, directory, name);
        if (r < 0)
            return r;
        int parent = open_directory(directory, refusal);
        if (parent < 0)
            return parent;
        int fd = open_name(parent, directory, name, target, refusal);
        close(parent);
        if (fd != -EAGAIN)
            return fd;
        r = follow(directory, target, path);
        if (r < 0)
            return r;
    }
    return -ELOOP;
}

void presence_explain_distrust(const char *path, char *ret, size_t size)
{
    struct reader_refusal refusal;
    char owner[TRUST_NAME_SIZE];
    int fd = reader_trust_open(path, &refusal);

    if (fd != -EPERM) {
        if (fd >= 0)
            close(fd);
        snprintf(ret, size, "it was not to be trusted a moment ago; try again");
        return;
    }
    if (reader_trusts(refusal.status.st_uid)) {
        snprintf(ret, size, "others than its owner may write %s (mode %04o): chmod go-w %s",
                 refusal.name, (unsigned)(refusal.status.st_mode & 07777), refusal.name);
        return;
    }
    trust_name_user(refusal.status.st_uid, owner);
    snprintf(ret, size,
             "%s belongs to %s (uid %u), who is not trusted: if presenced runs as that user, set "
             "PRESENCE_SEGMENT_OWNER=%s; otherwise remove it",
             refusal.name, owner, (unsigned)refusal.status.st_uid, owner);
}
