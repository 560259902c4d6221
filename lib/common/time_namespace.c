#include "time_namespace.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* True if the offsets in /proc, which are those of the children's namespace, hold for this process,
 * too. They don't between unshare(2) and the next exec or fork. */
static bool is_childrens(void)
{
    char own[64], children[64];
    ssize_t own_length = readlink("/proc/self/ns/time", own, sizeof(own));
    ssize_t length = readlink("/proc/self/ns/time_for_children", children, sizeof(children));

    return own_length > 0 && own_length == length && memcmp(own, children, (size_t)length) == 0;
}

struct timespec time_namespace_offset(void)
{
    char text[256];
    long long seconds;
    long nanoseconds;
    int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return (struct timespec){0};
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *line = strstr(text, "boottime");
    if (!line || sscanf(line, "boottime %lld %ld", &seconds, &nanoseconds) != 2 || !is_childrens())
        return (struct timespec){0};
    return (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
}

int64_t time_namespace_offset_s(void)
{
    struct timespec offset = time_namespace_offset();

    return offset.tv_sec + (offset.tv_nsec > 0);
}
