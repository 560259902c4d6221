#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/address.h"
#include "common/key_file.h"
#include "common/log.h"
#include "presence-send.h"

#define REPORT_WAIT_NS 5000000

/* Prefer IPv4: presenced listens on 127.0.0.1 by default, and localhost may resolve to ::1 too. */
static const struct addrinfo *prefer_ipv4(const struct addrinfo *first)
{
    for (const struct addrinfo *info = first; info; info = info->ai_next) {
        if (info->ai_family == AF_INET)
            return info;
    }
    return first;
}

/* Resolve HOST:PORT to a numeric address. Returns 0 or an error of getaddrinfo(3). */
static int resolve(const char *text, char ret[ADDRESS_SIZE])
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

/* Load the first key of a file. False: a line was printed. */
static bool load_key(const char *path, struct presence_sender_options *sender)
{
    char problem[KEY_FILE_PROBLEM_SIZE];
    struct key key;

    if (key_file_load_first(path, &key, problem) < 0) {
        log_error("cannot use the key file %s", problem);
        return false;
    }
    sender->key_id = key.id;
    memcpy(sender->key, key.bytes, sizeof(key.bytes));
    explicit_bzero(&key, sizeof(key));
    return true;
}

bool target_open(const struct options *options, struct presence_sender **ret)
{
    char address[ADDRESS_SIZE];
    int error = resolve(options->to, address);

    if (error != 0) {
        log_error("cannot resolve %s: %s; give another --to", options->to,
                  error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return false;
    }
    struct presence_sender_options sender = options->sender;
    if (options->key_file && !load_key(options->key_file, &sender))
        return false;
    error = presence_sender_open(address, &sender, ret);
    explicit_bzero(&sender, sizeof(sender));
    if (error < 0) {
        log_error("cannot send to %s: %s; give another --to", options->to, strerror(-error));
        return false;
    }
    return true;
}

bool target_check(const struct options *options, const struct presence_sender *sender)
{
    struct presence_sender_totals totals;

    presence_sender_totals(sender, &totals);
    if (totals.refused > 0) {
        log_error("nobody listens on %s; start presenced or give --to", options->to);
        return false;
    }
    if (totals.failed > 0) {
        log_error("the kernel refused %" PRIu64 " datagram%s to %s; check the network and --to",
                  totals.failed, totals.failed == 1 ? "" : "s", options->to);
        return false;
    }
    return true;
}

void target_flush(struct presence_sender *sender)
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
