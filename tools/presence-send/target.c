#include "target.h"

#include "common/address.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define REPORT_WAIT_NS 5000000

/* IPv4 first: of `localhost`, 127.0.0.1 is what presenced listens on. */
static const struct addrinfo *prefer_ipv4(const struct addrinfo *first)
{
    for (const struct addrinfo *info = first; info; info = info->ai_next) {
        if (info->ai_family == AF_INET)
            return info;
    }
    return first;
}

/* Returns 0 or an error of getaddrinfo. */
static int numeric_address(const char *text, char ret[ADDRESS_SIZE])
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct address address;
    struct addrinfo *found;

    if (address_split_peer(text, &address) < 0)
        return EAI_NONAME;
    int error = getaddrinfo(address.host, address.port, &hints, &found);
    if (error != 0)
        return error;
    const struct addrinfo *chosen = prefer_ipv4(found);
    error = getnameinfo(chosen->ai_addr, chosen->ai_addrlen, address.host, sizeof(address.host),
                        NULL, 0, NI_NUMERICHOST);
    if (error == 0)
        snprintf(ret, ADDRESS_SIZE, chosen->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s",
                 address.host, address.port);
    freeaddrinfo(found);
    return error;
}

bool target_open(const struct options *options, struct presence_sender **ret)
{
    char address[ADDRESS_SIZE];
    int error = numeric_address(options->to, address);

    if (error != 0) {
        fprintf(stderr, "presence-send: cannot resolve %s: %s; give another --to\n", options->to,
                error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return false;
    }
    error = presence_sender_open(address, &options->sender, ret);
    if (error < 0) {
        fprintf(stderr, "presence-send: cannot send to %s: %s; give another --to\n", options->to,
                strerror(-error));
        return false;
    }
    return true;
}

bool target_takes(const struct options *options, const struct presence_sender *sender)
{
    struct presence_sender_totals totals;

    presence_sender_totals(sender, &totals);
    if (totals.refused > 0) {
        fprintf(stderr, "presence-send: nobody listens on %s; start presenced or give --to\n",
                options->to);
        return false;
    }
    if (totals.failed > 0) {
        fprintf(stderr,
                "presence-send: %" PRIu64 " datagrams to %s were lost before they left; "
                "check the network and --to\n",
                totals.failed, options->to);
        return false;
    }
    return true;
}

void target_finish(struct presence_sender *sender)
{
    const struct timespec wait = {0, REPORT_WAIT_NS};
    struct presence_sender_totals totals;

    presence_sender_flush(sender);
    presence_sender_totals(sender, &totals);
    if (totals.refused > 0)
        return;
    nanosleep(&wait, NULL);
    presence_sender_flush(sender);
}
