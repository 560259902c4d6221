#include "groups.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "receive/listener.h"
#include "receive/local_address.h"

#define BLANKS " \t"

/* ---- an address --------------------------------------------------------------------------- */

/* Parse an address; one of IPv4 that is mapped into IPv6 becomes what it stands for. */
static int parse_address(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in6 v6;
    socklen_t length;
    int r = listener_parse(text, ret, &length);

    if (r < 0 || ret->ss_family != AF_INET6)
        return r;
    memcpy(&v6, ret, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = v6.sin6_port};
        memcpy(&v4.sin_addr, v6.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
        memset(ret, 0, sizeof(*ret));
        memcpy(ret, &v4, sizeof(v4));
    }
    return 0;
}

static void format_address(const struct sockaddr_storage *address, char ret[ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, address, sizeof(v4));
    memcpy(&v6, address, sizeof(v6));
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof(host));
    snprintf(ret, ADDRESS_SIZE, address->ss_family == AF_INET ? "%s:%u" : "[%s]:%u", host,
             address_get_port(address));
}

/* Return why no collector can have this host; NULL: one can. */
static const char *judge_host(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, address, sizeof(v4));
    memcpy(&v6, address, sizeof(v6));
    bool is_v4 = address->ss_family == AF_INET;
    uint32_t host = ntohl(v4.sin_addr.s_addr);
    if (is_v4 ? host == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
        return "stands for all addresses: give the collector's own";
    if (is_v4 ? IN_MULTICAST(host) || host == INADDR_BROADCAST
              : IN6_IS_ADDR_MULTICAST(&v6.sin6_addr))
        return "is not the address of one machine: give each collector's own, in a group each for "
               "copies";
    if (!is_v4 && IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
        return "is of one link only: give another address of that machine";
    return NULL;
}

/* Return what is wrong with a text that is no numeric address and port. */
static const char *judge_form(const char *text)
{
    const char *last = strrchr(text, ':'), *bracket = strrchr(text, ']');
    uint16_t port;

    if (last && strchr(text, ':') != last && !text[strspn(text, "0123456789abcdefABCDEF:.")])
        return "is an IPv6 address without brackets: write [ADDR]:PORT, such as "
               "[2001:db8::1]:9514";
    if (!last || !last[1] || (bracket && bracket > last))
        return "has no port: write ADDR:PORT, such as 192.0.2.1:9514";
    if (address_port(last + 1, &port) < 0)
        return "has no port from 1 to 65535 behind the colon";
    return "is no numeric address, such as 192.0.2.1:9514 or [2001:db8::1]:9514: names are not "
           "looked up, and commas separate shards";
}

/* Return why this is no address of a collector; NULL: it is one. */
static const char *judge_address(const char *text, struct sockaddr_storage *ret)
{
    if (parse_address(text, ret) < 0)
        return judge_form(text);
    if (address_get_port(ret) == 0)
        return "has port 0: give the port at which the collector listens";
    return judge_host(ret);
}

/* ---- a group ------------------------------------------------------------------------------ */

/* Copy up to `length` bytes without the blanks around them; false: they do not fit. */
static bool copy_trimmed(const char *text, size_t length, char *ret, size_t size)
{
    size_t before = strspn(text, BLANKS);

    if (before > length)
        before = length;
    text += before;
    length -= before;
    while (length > 0 && strchr(BLANKS, text[length - 1]))
        length--;
    if (length >= size)
        return false;
    memcpy(ret, text, length);
    ret[length] = '\0';
    return true;
}

static enum option_verdict refuse_empty(const struct group *group)
{
    return option_wrong("to", "shard %u of group %s is empty: give its ADDR:PORT, or no comma",
                        group->shards + 1, group->name);
}

/* Add a text of `length` bytes as the group's next shard. */
static enum option_verdict add_shard(struct group *group, const char *text, size_t length)
{
    struct sockaddr_storage address;
    char shard[ADDRESS_SIZE];
    unsigned number = group->shards + 1;

    if (number > SHARDS_MAX)
        return option_wrong("to", "group %s has more than %d shards", group->name, SHARDS_MAX);
    if (!copy_trimmed(text, length, shard, sizeof(shard)))
        return option_wrong("to", "'%.100s...', shard %u of group %s, is no address", text, number,
                            group->name);
    if (!*shard)
        return refuse_empty(group);
    const char *fault = judge_address(shard, &address);
    if (fault)
        return option_wrong("to", "'%.100s', shard %u of group %s, %s", shard, number, group->name,
                            fault);
    format_address(&address, group->addresses[group->shards++]);
    return OPTION_RUN;
}

/* Add all shards that are in a text. A comma at its end is left to the text that continues it: then
 * `*ret_is_open` is true. */
static enum option_verdict add_shards(struct group *group, const char *text, bool *ret_is_open)
{
    const char *end = text + strlen(text);

    while (end > text && strchr(BLANKS, end[-1]))
        end--;
    *ret_is_open = end > text && end[-1] == ',';
    if (*ret_is_open)
        end--;
    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        enum option_verdict verdict =
            add_shard(group, text, (size_t)((comma ? comma : end) - text));
        if (verdict != OPTION_RUN || !comma)
            return verdict;
        text = comma + 1;
    }
}

/* Begin a group: parse the name before the equals sign. */
static enum option_verdict begin_group(const char *text, struct group *ret)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_.-";
    const char *equals = strchr(text, '=');

    if (!equals)
        return option_wrong("to",
                            "'%.100s' does not say which group it is: write GROUP=ADDR:PORT, "
                            "such as A=192.0.2.1:9514",
                            text);
    if (!copy_trimmed(text, (size_t)(equals - text), ret->name, sizeof(ret->name)) || !*ret->name ||
        ret->name[strspn(ret->name, allowed)])
        return option_wrong("to",
                            "'%.100s' has no name of a group before the =: a name has 1 to %d "
                            "letters, digits, _, . or -",
                            text, GROUP_NAME_SIZE - 1);
    ret->shards = 0;
    return OPTION_RUN;
}

static enum option_verdict parse_values(const struct option_list *values, struct group *groups,
                                        unsigned *ret_count)
{
    enum option_verdict verdict = OPTION_RUN;
    bool is_open = false; /* the text before ends with a comma */
    unsigned count = 0;

    for (unsigned i = 0; verdict == OPTION_RUN && i < values->count; i++) {
        const char *text = values->items[i], *equals = strchr(text, '=');
        if (is_open && equals)
            break;
        if (!is_open && count == GROUPS_MAX)
            return option_wrong("to", "there are more than %d groups", GROUPS_MAX);
        if (!is_open)
            verdict = begin_group(text, &groups[count++]);
        if (verdict == OPTION_RUN)
            verdict = add_shards(&groups[count - 1], equals ? equals + 1 : text, &is_open);
    }
    if (verdict == OPTION_RUN && is_open)
        return refuse_empty(&groups[count - 1]);
    *ret_count = count;
    return verdict;
}

/* ---- all groups --------------------------------------------------------------------------- */

/* A shard of one of several groups. */
struct position {
    unsigned group;
    uint32_t shard;
};

/* Find the first shard that has an address in canonical form; false: none has. */
static bool find_address(const struct group *groups, unsigned count, const char *address,
                         struct position *ret)
{
    for (unsigned i = 0; i < count; i++) {
        for (uint32_t j = 0; j < groups[i].shards; j++) {
            if (strcmp(groups[i].addresses[j], address) == 0) {
                *ret = (struct position){i, j};
                return true;
            }
        }
    }
    return false;
}

static const struct group *find_group(const struct group *groups, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(groups[i].name, name) == 0)
            return &groups[i];
    }
    return NULL;
}

/* Check that no group and no collector is named twice. */
static enum option_verdict check_twice(const struct group *groups, unsigned count)
{
    struct position at = {0};

    for (unsigned i = 0; i < count; i++) {
        const struct group *group = &groups[i];
        if (find_group(groups, i, group->name))
            return option_wrong("to",
                                "group %s is given twice (the command line adds to the file): name "
                                "all its shards in one --to, and a copy as another group",
                                group->name);
        for (uint32_t j = 0; j < group->shards; j++) {
            find_address(groups, count, group->addresses[j], &at);
            if (at.group != i || at.shard != j)
                return option_wrong("to",
                                    "%s is given twice, as shard %u of group %s and as shard %u of "
                                    "group %s: a collector belongs to one group, once",
                                    group->addresses[j], at.shard + 1, groups[at.group].name, j + 1,
                                    group->name);
        }
    }
    return OPTION_RUN;
}

enum option_verdict groups_parse(const struct option_list *values, struct group **ret,
                                 unsigned *ret_count)
{
    if (values->count == 0)
        return option_wrong("to",
                            "say which collectors to send to, such as --to A=192.0.2.1:9514, or by "
                            "the line to = A=192.0.2.1:9514 of the file");

    struct group *groups = calloc(GROUPS_MAX, sizeof(*groups));
    unsigned count = 0;
    if (!groups)
        return option_wrong("to", "out of memory");
    enum option_verdict verdict = parse_values(values, groups, &count);
    if (verdict == OPTION_RUN)
        verdict = check_twice(groups, count);
    if (verdict != OPTION_RUN) {
        free(groups);
        return verdict;
    }
    *ret = groups;
    *ret_count = count;
    return OPTION_RUN;
}

/* True if the machine has the address; false also if the kernel does not say. */
static bool is_own(const struct sockaddr_storage *address, int local_addresses)
{
    return listener_is_loopback(address) ||
           (local_addresses >= 0 && local_address_find(local_addresses, address) == 1);
}

enum option_verdict groups_check_loop(const struct group *groups, unsigned count,
                                      const struct sockaddr_storage *listen, int local_addresses)
{
    struct sockaddr_storage address;
    char own[ADDRESS_SIZE];

    for (unsigned i = 0; i < count; i++) {
        for (uint32_t j = 0; j < groups[i].shards; j++) {
            parse_address(groups[i].addresses[j], &address);
            if (!address_conflicts(&address, listen) ||
                (!address_is_same(&address, listen) && !is_own(&address, local_addresses)))
                continue;
            format_address(listen, own);
            return option_wrong("to",
                                "%s, shard %u of group %s, is this relay itself, which listens on "
                                "%s: give the collector's address",
                                groups[i].addresses[j], j + 1, groups[i].name, own);
        }
    }
    return OPTION_RUN;
}

bool groups_check_change(const struct group *from, unsigned from_count, const struct group *to,
                         unsigned to_count)
{
    struct position at;

    for (unsigned i = 0; i < to_count; i++) {
        const struct group *group = &to[i];
        const struct group *live = find_group(from, from_count, group->name);
        if (live && live->shards != group->shards) {
            log_error("group %s has %u shard%s, not %u: begin a new group beside it", group->name,
                      live->shards, live->shards == 1 ? "" : "s", group->shards);
            return false;
        }
        for (uint32_t j = 0; j < group->shards; j++) {
            if (!find_address(from, from_count, group->addresses[j], &at) ||
                (&from[at.group] == live && at.shard == j))
                continue;
            log_error("%s is shard %u of group %s and cannot become shard %u of group %s: begin a "
                      "new group with other collectors",
                      group->addresses[j], at.shard + 1, from[at.group].name, j + 1, group->name);
            return false;
        }
    }
    return true;
}

bool groups_are_same(const struct group *a, unsigned a_count, const struct group *b,
                     unsigned b_count)
{
    if (a_count != b_count)
        return false;
    for (unsigned i = 0; i < a_count; i++) {
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].shards != b[i].shards)
            return false;
        for (uint32_t j = 0; j < a[i].shards; j++) {
            if (strcmp(a[i].addresses[j], b[i].addresses[j]) != 0)
                return false;
        }
    }
    return true;
}

void groups_describe(const struct group *groups, unsigned count, char *ret, size_t size)
{
    size_t length = 0;

    *ret = '\0';
    for (unsigned i = 0; i < count; i++) {
        char part[GROUP_NAME_SIZE + 40];
        snprintf(part, sizeof(part), "%s%s (%u collector%s)", i ? ", " : "", groups[i].name,
                 groups[i].shards, groups[i].shards == 1 ? "" : "s");
        if (length + strlen(part) + sizeof(", ...") > size) {
            strcpy(ret + length, ", ...");
            return;
        }
        strcpy(ret + length, part);
        length += strlen(part);
    }
}
