#include "sender_socket.h"

#include "common/address.h"

#include <time.h> /* before linux/errqueue.h, which uses its struct timespec */

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
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
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog drop_all = {1, &drop};
    int error;

    /* IP_RECVERR: without it the kernel hides drops in its own queues (ENOBUFS), and
     * sender_socket_refused has nothing to read. */
    if (family == AF_INET6)
        error = setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
    else
        error = setsockopt(descriptor, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
    if (error < 0)
        return -errno;
    /* Nothing is ever received: whatever comes would only take the room of those reports. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &drop_all, sizeof(drop_all)) < 0)
        return -errno;
    /* The kernel grants less where its limit is lower, which is enough. */
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) < 0)
        return -errno;
    return 0;
}

/* Return 0 if there is a route and a source address now, otherwise why not. */
static int socket_check_route(const struct sender_socket *sender)
{
    const struct sockaddr none = {.sa_family = AF_UNSPEC};

    if (connect(sender->descriptor, (const struct sockaddr *)&sender->address,
                sender->address_length) < 0)
        return -errno;
    return connect(sender->descriptor, &none, sizeof(none)) < 0 ? -errno : 0;
}

int sender_socket_open(struct sender_socket *sender, const char *address, bool need_route)
{
    struct addrinfo *resolved;
    int error = address_resolve(address, &resolved);

    if (error < 0)
        return error;
    memcpy(&sender->address, resolved->ai_addr, resolved->ai_addrlen);
    sender->address_length = resolved->ai_addrlen;
    freeaddrinfo(resolved);
    sender->descriptor = socket(sender->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sender->descriptor < 0)
        return -errno;
    error = socket_configure(sender->descriptor, sender->address.ss_family);
    if (error == 0 && need_route)
        error = socket_check_route(sender);
    if (error < 0)
        close(sender->descriptor);
    return error;
}

void sender_socket_close(struct sender_socket *sender)
{
    close(sender->descriptor);
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
        /* A report about a datagram's size teaches the kernel the path's MTU; it is no loss. */
        if (error.ee_origin != SO_EE_ORIGIN_LOCAL && error.ee_errno != EMSGSIZE)
            return true;
    }
    return false;
}

/* Source: ip(7), IP_RECVERR. */
uint64_t sender_socket_refused(const struct sender_socket *sender)
{
    uint64_t refused = 0;

    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr report = {.msg_control = control, .msg_controllen = sizeof(control)};

        if (recvmsg(sender->descriptor, &report, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR)
                continue;
            return refused;
        }
        refused += report_is_refusal(&report);
    }
}
