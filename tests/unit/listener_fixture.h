/* listener_fixture.h - open sockets at an address, send to them, and look what arrived. */
#ifndef PRESENCE_TESTS_LISTENER_FIXTURE_H
#define PRESENCE_TESTS_LISTENER_FIXTURE_H

#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "common/address.h"
#include "receive/listener.h"

static const struct listener_options no_options = {0};

static inline int open_at(const char *text, unsigned workers, int *ret_sockets)
{
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(listener_parse(text, &address, &length), 0);
    return listener_open((struct sockaddr *)&address, length, &no_options, workers, ret_sockets);
}

/* The bound address as text, in a static buffer. */
static inline const char *bound_text(int socket)
{
    static char text[ADDRESS_SIZE];

    assert_int_equal(address_bound(socket, text), 0);
    return text;
}

static inline int flag_of(int socket, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof(value);

    assert_return_code(getsockopt(socket, level, option, &value, &length), errno);
    return value;
}

static inline void close_all(const int *sockets, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(sockets[i]);
}

static inline int connected_sender(int to)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    assert_return_code(getsockname(to, (struct sockaddr *)&address, &length), errno);
    int sender = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
    return sender;
}

static inline unsigned drain(int socket)
{
    unsigned count = 0;
    char byte;

    while (recv(socket, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
        count++;
    return count;
}

/* Drain the only socket with datagrams and return its index, or -1 if several have some. */
static inline int drain_one(const int *sockets, unsigned count, unsigned expected)
{
    int found = -1;

    for (unsigned i = 0; i < count; i++) {
        unsigned drained = drain(sockets[i]);
        if (drained && (found >= 0 || drained != expected))
            return -1;
        if (drained)
            found = (int)i;
    }
    return found;
}

#endif
