#include "processors.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_BYTES 4096 /* of a file in sysfs, at most */

const char *processors_path = "/sys/devices/system/cpu/possible";

unsigned processors_in(const char *list)
{
    unsigned long highest = 0;

    for (;;) {
        char *end;
        unsigned long number = strtoul(list, &end, 10);
        if (*list < '0' || *list > '9' || number >= INT_MAX)
            return 0;
        if (number > highest)
            highest = number;
        if (*end == '\0' || *end == '\n')
            return (unsigned)highest + 1;
        if (*end != ',' && *end != '-')
            return 0;
        list = end + 1;
    }
}

int processors_possible(void)
{
    char list[LIST_BYTES];
    FILE *file = fopen(processors_path, "re");

    if (!file)
        return -errno;
    const char *read = fgets(list, sizeof(list), file);
    fclose(file);
    int count = read ? (int)processors_in(list) : 0;
    return count ? count : -EBADMSG;
}
