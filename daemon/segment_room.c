#include "segment_room.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Bytes that a collector needs beside its segment: stacks, buffers, page tables. */
#define BESIDE (UINT64_C(8) << 20)

struct segment_room_paths segment_room_paths = {
    .groups = "/proc/self/cgroup",
    .meminfo = "/proc/meminfo",
    .mounts = "/sys/fs/cgroup",
};

/* Names of one version of control groups. */
struct group_files {
    const char *mount; /* below segment_room_paths.mounts; NULL: there, or in "unified" */
    const char *limit, *used, *limit_name;
    const char *reclaimable[2]; /* in memory.stat: pages of files */
};

static const struct group_files version_2 = {
    NULL, "memory.max", "memory.current", "memory.max", {"inactive_file", "active_file"}};
static const struct group_files version_1 = {"memory",
                                             "memory.limit_in_bytes",
                                             "memory.usage_in_bytes",
                                             "memory.limit_in_bytes",
                                             {"total_inactive_file", "total_active_file"}};

/* The limit that leaves too little. */
struct shortage {
    char file[PATH_MAX];
    uint64_t limit, left;
};

/* Read a file of the kernel's as text. Returns false if it can't be read. */
static bool read_text(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t got = 0;

    if (fd < 0)
        return false;
    while (length < size - 1 && (got = read(fd, ret + length, size - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    ret[length] = '\0';
    return got >= 0;
}

/* Read a number of bytes. Returns false if there is none, or it is "max". */
static bool read_bytes(const char *directory, const char *name, uint64_t *ret)
{
    char path[PATH_MAX], text[32], *end;

    if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path) ||
        !read_text(path, text, sizeof(text)))
        return false;
    errno = 0;
    unsigned long long bytes = strtoull(text, &end, 10);
    if (end == text || errno)
        return false;
    *ret = bytes;
    return true;
}

/* Return the number after a word that begins a line; 0 if there is none. */
static uint64_t number_after(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, length) == 0 && (line[length] == ' ' || line[length] == ':'))
            return strtoull(line + length + 1, NULL, 10);
    }
    return 0;
}

/* Return how much of a group's memory is pages of files, which the kernel drops when it needs room.
 * Pages of a tmpfs are not among them. */
static uint64_t reclaimable(const char *directory, const struct group_files *files)
{
    char path[PATH_MAX], text[8192];

    if (snprintf(path, sizeof(path), "%s/memory.stat", directory) >= (int)sizeof(path) ||
        !read_text(path, text, sizeof(text)))
        return 0;
    return number_after(text, files->reclaimable[0]) + number_after(text, files->reclaimable[1]);
}

/* True if one group has too little memory left, swap included. */
static bool group_is_short(const char *directory, const struct group_files *files, uint64_t bytes,
                           uint64_t swap, struct shortage *ret)
{
    uint64_t limit, used;

    if (!read_bytes(directory, files->limit, &limit) || !read_bytes(directory, files->used, &used))
        return false;
    uint64_t dropped = reclaimable(directory, files);
    used -= dropped < used ? dropped : used;
    uint64_t left = used < limit ? limit - used : 0;
    if (left + swap >= left && left + swap < bytes + BESIDE) {
        ret->limit = limit;
        ret->left = left;
        snprintf(ret->file, sizeof(ret->file), "%.*s/%s", PATH_MAX - 64, directory,
                 files->limit_name);
        return true;
    }
    return false;
}

/* True if a group, or one above it up to the mount, which may be a container's, has too little
 * memory. */
static bool groups_are_short(const char *mount, const char *group, const struct group_files *files,
                             uint64_t bytes, uint64_t swap, struct shortage *ret)
{
    char directory[PATH_MAX];
    size_t base = strlen(mount);

    if (snprintf(directory, sizeof(directory), "%s%s", mount, group) >= (int)sizeof(directory))
        return false;
    for (;;) {
        if (group_is_short(directory, files, bytes, swap, ret))
            return true;
        char *slash = strrchr(directory, '/');
        if (strlen(directory) <= base || !slash || slash < directory + base)
            return false;
        *slash = '\0';
    }
}

/* True if a line of /proc/self/cgroup, "NUMBER:CONTROLLERS:GROUP", is that of memory. */
static bool line_is_of_memory(const char *controllers, const char *group)
{
    for (const char *word = controllers; word < group; word += strcspn(word, ",:") + 1)
        if (strncmp(word, "memory", 6) == 0 && (word[6] == ',' || word[6] == ':'))
            return true;
    return false;
}

static bool memory_is_short(uint64_t bytes, uint64_t swap, struct shortage *ret)
{
    char text[8192], mount[PATH_MAX], *rest = NULL;

    if (!read_text(segment_room_paths.groups, text, sizeof(text)))
        return false;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'), *group;
        if (!controllers || !(group = strchr(++controllers, ':')))
            continue;
        bool unified = group == controllers && strncmp(line, "0:", 2) == 0;
        if (!unified && !line_is_of_memory(controllers, group))
            continue;
        const struct group_files *files = unified ? &version_2 : &version_1;
        const char *const mounts[] = {unified ? "" : "/memory", "/unified"};
        for (int i = 0; i < 1 + unified; i++) {
            snprintf(mount, sizeof(mount), "%s%s", segment_room_paths.mounts, mounts[i]);
            if (groups_are_short(mount, group + 1, files, bytes, swap, ret))
                return true;
        }
    }
    return false;
}

static int find_shortage(uint64_t bytes, struct shortage *ret)
{
    char text[8192];
    struct rlimit limit;
    uint64_t available = 0, swap = 0;

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) {
        ret->limit = limit.rlim_cur;
        return -EFBIG;
    }
    if (read_text(segment_room_paths.meminfo, text, sizeof(text))) {
        available = number_after(text, "MemAvailable") << 10;
        swap = number_after(text, "SwapFree") << 10;
    }
    if (memory_is_short(bytes, swap, ret))
        return -EDQUOT;
    ret->left = available;
    return available && available + swap < bytes + BESIDE ? -ENOMEM : 0;
}

int segment_room_check(uint64_t bytes)
{
    struct shortage shortage;

    return find_shortage(bytes, &shortage);
}

void segment_room_explain(int error, uint64_t bytes, char *ret, size_t size)
{
    struct shortage shortage = {0};
    struct rlimit limit;
    int found = find_shortage(bytes, &shortage);

    *ret = '\0';
    if (error == -EFBIG && found == error)
        snprintf(ret, size, "files may have %.1f MB at most (RLIMIT_FSIZE, ulimit -f, LimitFSIZE=)",
                 (double)shortage.limit / 1e6);
    else if (error == -EDQUOT && found == error)
        snprintf(ret, size,
                 "its control group may have %.1f MB of memory, of which %.1f MB are left (%s, "
                 "MemoryMax=)",
                 (double)shortage.limit / 1e6, (double)shortage.left / 1e6, shortage.file);
    else if (error == -ENOMEM && found == error)
        snprintf(ret, size, "the machine has %.1f MB of memory left", (double)shortage.left / 1e6);
    else if (error == -ENOMEM && getrlimit(RLIMIT_AS, &limit) == 0 &&
             limit.rlim_cur != RLIM_INFINITY)
        snprintf(ret, size,
                 "the process may have %.1f MB of address space (RLIMIT_AS, ulimit -v, LimitAS=)",
                 (double)limit.rlim_cur / 1e6);
}
