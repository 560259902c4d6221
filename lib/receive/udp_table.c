#include "udp_table.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/address.h"

#define LINE_SIZE 512 /* the kernel's have fewer than 200 */
#define WORDS     4   /* of an address of IPv6 */

/* Parse a row's address: words of 32 bits in hexadecimal, each in the machine's order. One of IPv4
 * that a socket of IPv6 has becomes one of IPv4. Returns false if it is none. */
static bool parse_address(const char *text, unsigned port, struct sockaddr_storage *ret)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    size_t length = strlen(text);
    uint32_t words[WORDS];

    if (port > UINT16_MAX || (length != 8 && length != sizeof(words) * 2))
        return false;
    for (unsigned i = 0; i < length / 8; i++) {
        if (sscanf(text + (size_t)i * 8, "%8" SCNx32, &words[i]) != 1)
            return false;
    }
    memset(ret, 0, sizeof(*ret));
    if (length == sizeof(words) * 2 && memcmp(words, mapped, sizeof(mapped)) != 0) {
        memcpy(&v6.sin6_addr, words, sizeof(words));
        memcpy(ret, &v6, sizeof(v6));
        return true;
    }
    v4.sin_addr.s_addr = words[length / 8 - 1];
    memcpy(ret, &v4, sizeof(v4));
    return true;
}

static bool parse_row(const char *line, struct sockaddr_storage *ret, unsigned long *ret_inode)
{
    char address[2 * sizeof(uint32_t) * WORDS + 1];
    unsigned port;

    /* slot, local address, remote address, state, queues, timer, retransmissions, user, timeout */
    return strchr(line, '\n') &&
           sscanf(line, " %*u: %32[0-9A-F]:%x %*[0-9A-F]:%*x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu ",
                  address, &port, ret_inode) == 3 &&
           parse_address(address, port, ret);
}

static bool is_among(unsigned long inode, int first, unsigned count)
{
    struct stat status;

    for (unsigned i = 0; i < count; i++) {
        if (fstat(first + (int)i, &status) == 0 && S_ISSOCK(status.st_mode) &&
            status.st_ino == inode)
            return true;
    }
    return false;
}

static int find_in(FILE *table, const struct sockaddr_storage *address, int first, unsigned count)
{
    char line[LINE_SIZE];
    struct sockaddr_storage bound;
    unsigned long inode;

    if (!fgets(line, sizeof(line), table) || !strstr(line, " local_address ") ||
        !strstr(line, " inode "))
        return ferror(table) ? -errno : -EBADMSG;
    while (fgets(line, sizeof(line), table)) {
        if (!parse_row(line, &bound, &inode))
            return -EBADMSG;
        if (address_conflicts(&bound, address) && !is_among(inode, first, count))
            return 1;
    }
    return ferror(table) ? -errno : 0;
}

static int find_in_file(const char *directory, const char *name,
                        const struct sockaddr_storage *address, int first, unsigned count)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *table = fopen(path, "re");
    if (!table)
        return -errno;
    int r = find_in(table, address, first, count);
    fclose(table);
    return r;
}

int udp_table_find_other(const char *directory, const struct sockaddr_storage *address, int first,
                         unsigned count)
{
    int r = find_in_file(directory, "udp", address, first, count);

    if (r != 0)
        return r;
    r = find_in_file(directory, "udp6", address, first, count);
    return r == -ENOENT ? 0 : r; /* a kernel without IPv6 */
}
