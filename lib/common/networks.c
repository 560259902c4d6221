#include "networks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static struct host map_v4(const struct in_addr *address)
{
    struct host host;

    memcpy(host.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(host.bytes + sizeof(mapped_prefix), address, sizeof(*address));
    return host;
}

bool host_is_v4(const struct host *host)
{
    return memcmp(host->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

struct host host_client(const struct host *host)
{
    struct host client = *host;

    if (!host_is_v4(host))
        memset(client.bytes + 8, 0, 8);
    return client;
}

int host_parse(const char *text, struct host *ret)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1)
        *ret = map_v4(&v4);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        memcpy(ret->bytes, &v6, sizeof(v6));
    else
        return -EINVAL;
    return 0;
}

bool host_of(const struct sockaddr *address, struct host *ret)
{
    struct sockaddr_in v4;

    if (address && address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        *ret = map_v4(&v4.sin_addr);
    } else if (address && address->sa_family == AF_INET6) {
        memcpy(ret->bytes, (const char *)address + offsetof(struct sockaddr_in6, sin6_addr), 16);
    } else {
        return false;
    }
    return true;
}

/* Parse a prefix's length, 1 to 3 digits. Returns it, or -EINVAL. */
static int parse_bits(const char *text, int most)
{
    size_t digits = strspn(text, "0123456789");

    if (digits < 1 || digits > 3 || text[digits])
        return -EINVAL;
    int bits = atoi(text);
    return bits <= most ? bits : -EINVAL;
}

static void clear_host_bits(struct network *network)
{
    for (unsigned i = 0; i < sizeof(network->address); i++) {
        int left = network->bits - (int)(8 * i);
        if (left < 8)
            network->address[i] &= (uint8_t)(left <= 0 ? 0 : 0xff << (8 - left));
    }
}

static void unmap(struct network *network)
{
    if (!network->v6 || network->bits < MAPPED_BITS ||
        memcmp(network->address, mapped_prefix, sizeof(mapped_prefix)) != 0)
        return;
    network->v6 = false;
    network->bits -= MAPPED_BITS;
    memcpy(network->address, network->address + sizeof(mapped_prefix), 4);
    memset(network->address + 4, 0, sizeof(network->address) - 4);
}

int network_parse(const char *text, struct network *ret)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    struct network network = {.v6 = memchr(text, ':', length) != NULL};
    int most = network.v6 ? 128 : 32;

    if (length >= sizeof(address))
        return -EINVAL;
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(network.v6 ? AF_INET6 : AF_INET, address, network.address) != 1)
        return -EINVAL;
    int bits = text[length] ? parse_bits(text + length + 1, most) : most;
    if (bits < 0)
        return bits;
    network.bits = (uint8_t)bits;
    clear_host_bits(&network);
    unmap(&network);
    *ret = network;
    return 0;
}

static network_number number_of(const uint8_t *bytes, unsigned count)
{
    network_number number = 0;

    for (unsigned i = 0; i < count; i++)
        number = number << 8 | bytes[i];
    return number;
}

static struct network_range range_of(const struct network *network)
{
    unsigned width = network->v6 ? 128 : 32;
    network_number first = number_of(network->address, width / 8);
    network_number all = network->v6 ? ~(network_number)0 : UINT32_MAX;
    network_number hosts = network->bits == width ? 0 : all >> network->bits;

    return (struct network_range){first, first | hosts};
}

bool network_contains(const struct network *network, const struct host *host)
{
    const struct network_range range = range_of(network);
    size_t skipped = network->v6 ? 0 : sizeof(mapped_prefix);
    network_number number = number_of(host->bytes + skipped, (unsigned)(16 - skipped));

    return (network->v6 || host_is_v4(host)) && number >= range.first && number <= range.last;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct network_range *a = left, *b = right;

    return a->first < b->first ? -1 : a->first > b->first;
}

/* Drop ranges inside others and return how many are left. Networks are nested or apart, so when
 * they are sorted, one that begins within the last kept range is inside it. */
static unsigned drop_nested(struct network_range *ranges, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        if (kept && ranges[i].first <= ranges[kept - 1].last) {
            if (ranges[i].last > ranges[kept - 1].last)
                ranges[kept - 1].last = ranges[i].last; /* a wider one with the same beginning */
            continue;
        }
        ranges[kept++] = ranges[i];
    }
    return kept;
}

int network_list_add(struct network_list *list, const char *text)
{
    struct network network;

    if (list->count == NETWORKS_MAX)
        return -ENOSPC;
    if (network_parse(text, &network) < 0)
        return -EINVAL;
    if (!list->items)
        list->items = calloc(NETWORKS_MAX, sizeof(*list->items));
    if (!list->items)
        return -ENOMEM;
    list->items[list->count++] = network;
    return 0;
}

void network_list_free(struct network_list *list)
{
    free(list->items);
    *list = (struct network_list){0};
}

static bool is_same_network(const struct network *a, const struct network *b)
{
    return a->v6 == b->v6 && a->bits == b->bits &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

bool network_list_is_same(const struct network_list *a, const struct network_list *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        if (!is_same_network(&a->items[i], &b->items[i]))
            return false;
    }
    return true;
}

int networks_build(const struct network *list, unsigned count, struct networks *ret)
{
    struct networks networks = {0};

    for (int v6 = 0; v6 < 2; v6++) {
        networks.ranges[v6] = calloc(count + 1, sizeof(struct network_range));
        if (!networks.ranges[v6]) {
            networks_free(&networks);
            return -ENOMEM;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        bool v6 = list[i].v6;
        networks.ranges[v6][networks.count[v6]++] = range_of(&list[i]);
    }
    for (int v6 = 0; v6 < 2; v6++) {
        qsort(networks.ranges[v6], networks.count[v6], sizeof(struct network_range),
              compare_ranges);
        networks.count[v6] = drop_nested(networks.ranges[v6], networks.count[v6]);
    }
    *ret = networks;
    return 0;
}

void networks_free(struct networks *networks)
{
    free(networks->ranges[0]);
    free(networks->ranges[1]);
    *networks = (struct networks){0};
}

static bool ranges_contain(const struct network_range *ranges, unsigned count,
                           network_number number)
{
    unsigned low = 0, high = count; /* binary search: the last range that begins at or before it */

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ranges[middle].first <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && number <= ranges[low - 1].last;
}

bool networks_contain(const struct networks *networks, const struct sockaddr *address)
{
    struct host host;

    if (!host_of(address, &host))
        return false;
    if (host_is_v4(&host))
        return ranges_contain(networks->ranges[0], networks->count[0],
                              number_of(host.bytes + sizeof(mapped_prefix), 4));
    return ranges_contain(networks->ranges[1], networks->count[1], number_of(host.bytes, 16));
}
