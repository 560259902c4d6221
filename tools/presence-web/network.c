#include "network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define MAPPED_BITS 96

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

static struct host mapped(const void *v4)
{
    struct host host;

    memcpy(host.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(host.bytes + sizeof(mapped_prefix), v4, 4);
    return host;
}

bool host_is_v4(const struct host *host)
{
    return memcmp(host->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool host_read(const char *text, struct host *ret)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret = mapped(&v4);
        return true;
    }
    return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

struct host host_of(const struct sockaddr *address)
{
    struct host host = {{0}};

    if (address->sa_family == AF_INET)
        return mapped(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family == AF_INET6)
        memcpy(host.bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    return host;
}

bool network_read(const char *text, struct network *ret)
{
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(text, "/");
    const char *bits = text + length + 1;
    struct network network = {.bits = 128};

    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!host_read(address, &network.first))
        return false;
    if (text[length]) {
        size_t digits = strspn(bits, "0123456789");
        if (digits < 1 || digits > 3 || bits[digits])
            return false;
        network.bits = (unsigned)atoi(bits) + (strchr(address, ':') ? 0 : MAPPED_BITS);
        if (network.bits > 128)
            return false;
    }
    *ret = network;
    return true;
}

bool network_contains(const struct network *network, const struct host *host)
{
    unsigned bytes = network->bits / 8, rest = network->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    return memcmp(network->first.bytes, host->bytes, bytes) == 0 &&
           (!rest || ((network->first.bytes[bytes] ^ host->bytes[bytes]) & mask) == 0);
}
