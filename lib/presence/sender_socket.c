#include "sender_socket.h"

#include "common/address.h"

#include <time.h> /* before linux/errqueue.h, which uses its struct timespec */

#include <errno.h>
#include <linux/errqueue.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_BUFFER_BYTES (1 << 20)

static int address_resolve(const char *text, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_socktype = SOCK_DGRAM,
    };
    struct address address;
    int error = address_split_peer(text, &address);

    if (error < 0)
        return error;
    error = getaddrinfo(address.host, address.port, &hints, ret);
    if (error == EAI_MEMORY)
        return -ENOMEM;
    return error == 0 ? 0 : -EINVAL;
}

static int socket_configure(int descriptor, int family)
{
    const int on = 1, send_buffer = SEND_BUFFER_BYTES;
    int error;

    /* Without it the kernel also keeps quiet about datagrams that its own queues drop. */
    if (family == AF_INET6)
        error = setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    else
        error = setsockopt(descriptor, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    if (error < 0)
        return -errno;
    /* The kernel takes less than is asked for when its limit is lower: that will do. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) < 0)
        return -errno;
    return 0;
}

static int socket_connect(const struct addrinfo *address)
{
    int descriptor = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int error;

    if (descriptor < 0)
        return -errno;
    error = socket_configure(descriptor, address->ai_family);
    if (error < 0)
        goto close_socket;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) < 0) {
        error = -errno;
        goto close_socket;
    }
    return descriptor;

close_socket:
    close(descriptor);
    return error;
}

int sender_socket_open(const char *address)
{
    struct addrinfo *resolved;
    int result = address_resolve(address, &resolved);

    if (result < 0)
        return result;
    result = socket_connect(resolved);
    freeaddrinfo(resolved);
    return result;
}

static bool report_is_refusal(struct msghdr *report)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(report); part; part = CMSG_NXTHDR(report, part)) {
        bool is_error = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                        (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
        struct sock_extended_err error;

        if (!is_error || part->cmsg_len < CMSG_LEN(sizeof(error)))
            continue;
        memcpy(&error, CMSG_DATA(part), sizeof(error));
        /* A report about a datagram's size is the kernel learning the path, not a loss. */
        if (error.ee_origin != SO_EE_ORIGIN_LOCAL && error.ee_errno != EMSGSIZE)
            return true;
    }
    return false;
}

uint64_t sender_socket_refused(int descriptor)
{
    uint64_t refused = 0;

    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr report = {.msg_control = control, .msg_controllen = sizeof(control)};

        if (recvmsg(descriptor, &report, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR)
                continue;
            return refused;
        }
        refused += report_is_refusal(&report);
    }
}
