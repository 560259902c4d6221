#include "local_address.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES 4096 /* a route's description takes some 200 */
#define ANSWERS_MAX  8    /* to read: answers to earlier queries may come first */

struct query {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr destination;
    uint8_t address[sizeof(struct in6_addr)];
};

int local_address_open(void)
{
    int r = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    return r < 0 ? -errno : r;
}

/* Copy the bytes of the address and return how many; 0: it stands for all addresses. */
static size_t address_bytes(const struct sockaddr_storage *address, uint8_t *ret)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, address, sizeof(v4));
    memcpy(&v6, address, sizeof(v6));
    if (address->ss_family == AF_INET6) {
        memcpy(ret, &v6.sin6_addr, sizeof(v6.sin6_addr));
        return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) ? 0 : sizeof(v6.sin6_addr);
    }
    memcpy(ret, &v4.sin_addr, sizeof(v4.sin_addr));
    return v4.sin_addr.s_addr == INADDR_ANY ? 0 : sizeof(v4.sin_addr);
}

static int send_query(int descriptor, int family, const uint8_t *address, size_t bytes,
                      uint32_t sequence)
{
    struct query query = {
        .header = {.nlmsg_len = (uint32_t)(offsetof(struct query, address) + bytes),
                   .nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST,
                   .nlmsg_seq = sequence},
        .route = {.rtm_family = (uint8_t)family, .rtm_dst_len = (uint8_t)(bytes * 8)},
        .destination = {.rta_len = (uint16_t)RTA_LENGTH(bytes), .rta_type = RTA_DST},
    };

    memcpy(query.address, address, bytes);
    ssize_t written = write(descriptor, &query, query.header.nlmsg_len);
    return written < 0 ? -errno : 0;
}

/* True if datagrams on such a route arrive here, alone or among others. */
static bool is_local(unsigned char route_type)
{
    return route_type == RTN_LOCAL || route_type == RTN_BROADCAST || route_type == RTN_ANYCAST ||
           route_type == RTN_MULTICAST;
}

/* Judge one message. -EAGAIN: it answers another query. */
static int judge(const char *answer, size_t length, uint32_t sequence)
{
    struct nlmsghdr header;
    struct rtmsg route;
    struct nlmsgerr error;

    if (length < sizeof(header))
        return -EBADMSG;
    memcpy(&header, answer, sizeof(header));
    if (header.nlmsg_seq != sequence)
        return -EAGAIN;
    if (header.nlmsg_type == RTM_NEWROUTE && length >= NLMSG_LENGTH(sizeof(route))) {
        memcpy(&route, answer + NLMSG_HDRLEN, sizeof(route));
        return is_local(route.rtm_type);
    }
    if (header.nlmsg_type != NLMSG_ERROR || length < NLMSG_LENGTH(sizeof(error)))
        return -EBADMSG;
    memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
    switch (-error.error) {
    case ENETUNREACH: /* no route: it is not here */
    case EHOSTUNREACH:
    case EACCES: /* or a route of kind prohibit, blackhole or throw */
    case EINVAL:
    case EAGAIN:
        return 0;
    default:
        return error.error < 0 ? error.error : -EBADMSG;
    }
}

int local_address_find(int descriptor, const struct sockaddr_storage *address)
{
    static uint32_t sequence;
    uint8_t bytes[sizeof(struct in6_addr)];
    size_t size = address_bytes(address, bytes);

    if (size == 0)
        return 1;
    int r = send_query(descriptor, address->ss_family, bytes, size, ++sequence);
    if (r < 0)
        return r;
    r = -EAGAIN;
    for (unsigned i = 0; r == -EAGAIN && i < ANSWERS_MAX; i++) {
        char answer[ANSWER_BYTES];
        ssize_t length = read(descriptor, answer, sizeof(answer)); /* already there */
        if (length < 0)
            return -errno;
        r = judge(answer, (size_t)length, sequence);
    }
    return r;
}
