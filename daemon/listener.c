#include "listener.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/address.h"

#define BIND_PATIENCE_MS 5000
#define BIND_RETRY_MS    20

int listener_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length)
{
    struct address parts;

    if (address_split(text, &parts) < 0)
        return -EINVAL;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(parts.number)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(parts.number)};
    if (parts.bracketed ? inet_pton(AF_INET6, parts.host, &v6.sin6_addr) != 1
                        : inet_pton(AF_INET, parts.host, &v4.sin_addr) != 1)
        return -EINVAL;
    memset(ret, 0, sizeof(*ret));
    *ret_length = parts.bracketed ? sizeof(v6) : sizeof(v4);
    memcpy(ret, parts.bracketed ? (const void *)&v6 : (const void *)&v4, *ret_length);
    return 0;
}

bool listener_is_loopback(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, address, sizeof(v4));
    memcpy(&v6, address, sizeof(v6));
    if (address->ss_family == AF_INET)
        return ntohl(v4.sin_addr.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/* As much as is asked for, or as the limit net.core.rmem_max allows: a smaller buffer only drops
 * sooner, and drops are counted. */
static void enlarge_receive_buffer(int socket, size_t bytes)
{
    int value = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) < 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
}

static int open_socket(int family, const struct listener_options *options, int *ret)
{
    static const int on = 1;
    int r = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (r < 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(r, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) {
        int error = -errno;
        close(r);
        return error;
    }
    enlarge_receive_buffer(r, options->receive_buffer_bytes ? options->receive_buffer_bytes
                                                            : (size_t)LISTENER_BUFFER_BYTES);
    if (options->generic_receive_offload) /* an older kernel receives one by one: as correct */
        setsockopt(r, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    *ret = r;
    return 0;
}

/* Let the kernel choose a socket of the group for each datagram: random number modulo `workers`.
 * Its default, a hash of the flow, leaves workers idle when few proxies send. */
static int spread_at_random(int socket, unsigned workers)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

static int share_port(int socket)
{
    static const int on = 1;

    return setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* The first socket is bound without SO_REUSEPORT, so that it fails if anybody has the port, and
 * gets the option afterwards, so that the others may join it. */
static int bind_sockets(const struct sockaddr *address, socklen_t length, const int *sockets,
                        unsigned workers)
{
    struct sockaddr_storage bound;
    socklen_t bound_length = sizeof(bound);

    if (bind(sockets[0], address, length) < 0)
        return -errno;
    if (workers == 1)
        return 0;
    if (getsockname(sockets[0], (struct sockaddr *)&bound, &bound_length) < 0)
        return -errno;
    int r = share_port(sockets[0]);
    for (unsigned i = 1; r == 0 && i < workers; i++) {
        r = share_port(sockets[i]);
        if (r == 0 && bind(sockets[i], (struct sockaddr *)&bound, bound_length) < 0)
            r = -errno;
    }
    return r < 0 ? r : spread_at_random(sockets[0], workers);
}

static int open_group(const struct sockaddr *address, socklen_t length,
                      const struct listener_options *options, unsigned workers, int *ret_sockets)
{
    unsigned opened = 0;
    int r = 0;

    while (r == 0 && opened < workers) {
        r = open_socket(address->sa_family, options, &ret_sockets[opened]);
        if (r == 0)
            opened++;
    }
    if (r == 0)
        r = bind_sockets(address, length, ret_sockets, workers);
    while (r < 0 && opened > 0)
        close(ret_sockets[--opened]);
    return r;
}

int listener_open(const struct sockaddr *address, socklen_t length,
                  const struct listener_options *options, unsigned workers, int *ret_sockets)
{
    static const struct timespec pause = {.tv_nsec = BIND_RETRY_MS * 1000000L};
    unsigned waited_ms = 0;

    if (workers == 0)
        return -EINVAL;
    int *sockets = calloc(workers, sizeof(*sockets));
    if (!sockets)
        return -ENOMEM;
    int r = open_group(address, length, options, workers, sockets);
    while (r == -EADDRINUSE && waited_ms < BIND_PATIENCE_MS) {
        nanosleep(&pause, NULL);
        waited_ms += BIND_RETRY_MS;
        r = open_group(address, length, options, workers, sockets);
    }
    if (r == 0)
        memcpy(ret_sockets, sockets, workers * sizeof(*sockets));
    free(sockets);
    return r;
}

void listener_stop_offload(int socket)
{
    static const int off = 0;

    setsockopt(socket, IPPROTO_UDP, UDP_GRO, &off, sizeof(off)); /* unknown: then it was never on */
}

uint32_t listener_drops(int socket)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof(memory);

    if (getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0)
        return 0;
    return memory[SK_MEMINFO_DROPS];
}

size_t listener_receive_buffer(int socket)
{
    int value = 0;
    socklen_t length = sizeof(value);

    if (getsockopt(socket, SOL_SOCKET, SO_RCVBUF, &value, &length) < 0 || value < 0)
        return 0;
    return (size_t)value / 2; /* the kernel doubles what it grants, for its own needs: socket(7) */
}
