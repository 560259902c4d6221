#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/address.h"

#define BIND_RETRY_MS 20
#define SKB_BYTES     256 /* less than the kernel's own data of a datagram */

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

/* Ask for a receive buffer, or for as much as net.core.rmem_max allows: a smaller one only drops
 * sooner, and drops are counted. */
static void enlarge_receive_buffer(int socket, size_t bytes)
{
    int value = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof(value)) < 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
}

/* Allow binding an address that the machine does not have yet (ip(7), IP_FREEBIND). */
static void allow_any_address(int socket, int family)
{
    static const int on = 1;

    if (family == AF_INET6)
        setsockopt(socket, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
    else
        setsockopt(socket, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
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
    allow_any_address(r, family);
    enlarge_receive_buffer(r, options->receive_buffer_bytes ? options->receive_buffer_bytes
                                                            : (size_t)LISTENER_BUFFER_BYTES);
    if (options->generic_receive_offload) /* a kernel without it receives one by one */
        setsockopt(r, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
    *ret = r;
    return 0;
}

/* Drop all datagrams for now. Until all sockets of a group are bound and the spread is attached, a
 * sender's datagrams would go to one worker first and to another later. */
static int block_datagrams(int socket)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0 ? -errno
                                                                                           : 0;
}

static int admit_datagrams(int socket)
{
    static const int unused = 0;

    return setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)) < 0 ? -errno
                                                                                         : 0;
}

/* Let others be bound to the port. The kernel lets only sockets of the same owner share one, as
 * SO_REUSEADDR would not. */
static int share_port(int socket)
{
    static const int on = 1;

    int owned = fchown(socket, geteuid(), (gid_t)-1); /* root may; others fail to share it below */
    (void)owned;
    return setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Bind sockets to the address that another is bound to. */
static int join_group(int member, const int *sockets, unsigned count)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    int r = getsockname(member, (struct sockaddr *)&bound, &length) < 0 ? -errno : 0;

    for (unsigned i = 0; r == 0 && i < count; i++) {
        r = share_port(sockets[i]);
        if (r == 0 && bind(sockets[i], (struct sockaddr *)&bound, length) < 0)
            r = -errno;
    }
    return r;
}

/* Bind all sockets to one address, as a group. The first is bound without SO_REUSEPORT, so that it
 * fails if another program has the port, and gets the option afterwards, so that the others can
 * join. Beside passed sockets (`is_shared`) it needs the option at once. */
static int bind_group(const struct sockaddr *address, socklen_t length, const int *sockets,
                      unsigned workers, bool is_shared)
{
    int r = is_shared ? share_port(sockets[0]) : 0;

    if (r == 0 && bind(sockets[0], address, length) < 0)
        r = -errno;
    if (r == 0 && workers > 1)
        r = share_port(sockets[0]);
    return r < 0 ? r : join_group(sockets[0], sockets + 1, workers - 1);
}

static int attach_spread(const struct listener_options *options, struct spread *spread, int family,
                         const int *sockets)
{
    int array = -1;
    int r = spread_attach(spread, family, sockets, options->array ? options->array : &array);

    if (array >= 0)
        close(array);
    return r;
}

static int bind_and_spread(const struct sockaddr *address, socklen_t length, const int *sockets,
                           const struct listener_options *options, struct spread *spread)
{
    unsigned workers = spread->workers;
    int r = 0;

    if (workers == 1)
        return bind_group(address, length, sockets, 1, options->is_shared);
    for (unsigned i = 0; r == 0 && i < workers; i++)
        r = block_datagrams(sockets[i]);
    if (r == 0)
        r = bind_group(address, length, sockets, workers, options->is_shared);
    if (r == 0)
        r = attach_spread(options, spread, address->sa_family, sockets);
    for (unsigned i = 0; r == 0 && i < workers; i++)
        r = admit_datagrams(sockets[i]);
    return r;
}

static int open_group(const struct sockaddr *address, socklen_t length,
                      const struct listener_options *options, struct spread *spread,
                      int *ret_sockets)
{
    unsigned opened = 0;
    int r = 0;

    while (r == 0 && opened < spread->workers) {
        r = open_socket(address->sa_family, options, &ret_sockets[opened]);
        if (r == 0)
            opened++;
    }
    if (r == 0)
        r = bind_and_spread(address, length, ret_sockets, options, spread);
    while (r < 0 && opened > 0)
        close(ret_sockets[--opened]);
    return r;
}

/* Wait before the next attempt. Returns false if the caller wants to stop. */
static bool wait_for_port(const struct listener_options *options, unsigned ms)
{
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

    if (options->wait)
        return options->wait(options->context, ms);
    nanosleep(&pause, NULL);
    return true;
}

int listener_open(const struct sockaddr *address, socklen_t length,
                  const struct listener_options *options, unsigned workers, int *ret_sockets)
{
    struct spread by_hash = {.workers = workers};
    struct spread *spread = options->spread ? options->spread : &by_hash;
    unsigned waited_ms = 0;

    if (workers == 0 || spread->workers != workers)
        return -EINVAL;
    int *sockets = calloc(workers, sizeof(*sockets));
    if (!sockets)
        return -ENOMEM;
    int r = open_group(address, length, options, spread, sockets);
    while (r == -EADDRINUSE && !options->is_shared && waited_ms < LISTENER_PATIENCE_MS) {
        if (!wait_for_port(options, BIND_RETRY_MS)) {
            r = -EINTR;
            break;
        }
        waited_ms += BIND_RETRY_MS;
        r = open_group(address, length, options, spread, sockets);
    }
    if (r == 0)
        memcpy(ret_sockets, sockets, workers * sizeof(*sockets));
    free(sockets);
    return r;
}

/* Open the sockets that are missing and let them join the group of `member`. Datagrams are not
 * blocked: the group's program sends them none yet. A lone socket has no program: it gets one as
 * soon as it has company. */
static int open_missing(const struct listener_options *options, int family, int member,
                        int *sockets, bool is_lone)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < options->spread->workers; i++) {
        if (sockets[i] >= 0)
            continue;
        r = open_socket(family, options, &sockets[i]);
        if (r == 0)
            r = join_group(member, &sockets[i], 1);
        if (r == 0 && is_lone)
            r = spread_attach_first(family, member);
        is_lone = false;
    }
    return r;
}

int listener_complete(const struct listener_options *options, int *sockets, bool is_lone)
{
    unsigned workers = options->spread->workers, first = 0;
    int given[SPREAD_WORKERS_MAX], family;
    socklen_t length = sizeof(family);

    memcpy(given, sockets, workers * sizeof(*sockets));
    while (first + 1 < workers && sockets[first] < 0)
        first++;
    int member = sockets[first];
    int r = getsockopt(member, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0 ? -errno : 0;
    for (unsigned i = 0; r == 0 && i < workers; i++)
        r = given[i] < 0 ? 0 : share_port(given[i]);
    if (r == 0)
        r = open_missing(options, family, member, sockets, is_lone);
    if (r == 0 && !(is_lone && workers == 1)) /* a lone socket needs no program */
        r = attach_spread(options, options->spread, family, sockets);
    for (unsigned i = 0; r < 0 && i < workers; i++) {
        if (sockets[i] != given[i])
            close(sockets[i]);
        sockets[i] = given[i];
    }
    return r;
}

/* Return the size of the largest buffer that may be asked for: asking on a socket that has more
 * would make its buffer smaller. */
static size_t granted_without_privilege(void)
{
    int probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (probe < 0)
        return 0;
    enlarge_receive_buffer(probe, LISTENER_BUFFER_BYTES);
    size_t granted = listener_receive_buffer(probe);
    close(probe);
    return granted;
}

void listener_adopt(int socket, const struct listener_options *options)
{
    static const int off = 0, on = 1, bytes = LISTENER_BUFFER_BYTES;

    /* systemd sets it: every user who does the same could bind the port. */
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
    if (listener_receive_buffer(socket) < (size_t)bytes &&
        setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
        listener_receive_buffer(socket) < granted_without_privilege())
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    if (options->generic_receive_offload)
        setsockopt(socket, IPPROTO_UDP, UDP_GRO, &on, sizeof(on));
}

void listener_share(int socket)
{
    share_port(socket);
}

void listener_retire(int socket)
{
    struct sockaddr_storage self = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&self;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&self;
    socklen_t length = sizeof(self);

    if (getsockname(socket, (struct sockaddr *)&self, &length) < 0)
        return;
    /* Connected to itself, it takes datagrams from itself alone. */
    if (self.ss_family == AF_INET && v4->sin_addr.s_addr == INADDR_ANY)
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (self.ss_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
        v6->sin6_addr = in6addr_loopback;
    /* It fails where nothing can come, either. */
    (void)connect(socket, (struct sockaddr *)&self, length);
}

int listener_settle(void)
{
    static const struct timespec pause = {.tv_nsec = LISTENER_SETTLE_MS * 1000000};

    /* The kernel delivers in critical sections of RCU, which this waits for (membarrier(2)). Some
     * containers forbid it, and kernels that run processors without ticks do not have it. */
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
        return 0;
    int error = -errno;
    nanosleep(&pause, NULL);
    return error;
}

void listener_stop_offload(int socket)
{
    static const int off = 0;

    setsockopt(socket, IPPROTO_UDP, UDP_GRO, &off, sizeof(off)); /* fails where it was never on */
}

/* Return one of the kernel's figures about the socket's memory (SK_MEMINFO_...), or 0. */
static uint32_t read_memory(int socket, unsigned which)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof(memory);

    if (getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory, &length) < 0)
        return 0;
    return memory[which];
}

uint32_t listener_drops(int socket)
{
    return read_memory(socket, SK_MEMINFO_DROPS);
}

size_t listener_waiting(int socket)
{
    return read_memory(socket, SK_MEMINFO_RMEM_ALLOC);
}

size_t listener_taken(uint32_t bytes)
{
    return (size_t)bytes + SKB_BYTES;
}

size_t listener_receive_buffer(int socket)
{
    int value = 0;
    socklen_t length = sizeof(value);

    if (getsockopt(socket, SOL_SOCKET, SO_RCVBUF, &value, &length) < 0 || value < 0)
        return 0;
    return (size_t)value / 2; /* the kernel reports twice the size: socket(7) */
}
