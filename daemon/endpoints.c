#include "endpoints.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "listener.h"
#include "local_address.h"

#define SMALL_BUFFER (1 << 20) /* bytes; about 1500 small datagrams, 3 ms at the highest rates */

/* A wait for a port. */
struct wait {
    const char *address;
    const sigset_t *signals; /* blocked; any of them ends the wait */
    bool is_logged;
};

/* Warn that bursts may be dropped. */
static void log_small_buffer(int socket)
{
    size_t granted = listener_receive_buffer(socket);

    if (granted && granted < SMALL_BUFFER)
        log_line("the kernel grants a socket buffer of only %zu KB: for bursts raise "
                 "net.core.rmem_max to %d, or give CAP_NET_ADMIN",
                 granted >> 10, LISTENER_BUFFER_BYTES);
}

/* Sleep until the next attempt. Returns false if a signal came. */
static bool wait_for_port(void *context, unsigned ms)
{
    struct wait *wait = context;
    const struct timespec pause = {.tv_nsec = (long)ms * 1000000};

    if (!wait->is_logged)
        log_line("cannot listen on %s yet: another program has the port; trying for %d s",
                 wait->address, LISTENER_PATIENCE_MS / 1000);
    wait->is_logged = true;
    return sigtimedwait(wait->signals, NULL, &pause) < 0;
}

/* True if a socket can't be bound to `b` while another is bound to `a`. */
static bool conflicts(const struct config_address *a, const struct config_address *b)
{
    struct sockaddr_in v4[2];
    struct sockaddr_in6 v6[2];

    if (a->address.ss_family != b->address.ss_family)
        return false; /* IPv6 sockets receive IPv6 only */
    memcpy(&v4[0], &a->address, sizeof(v4[0]));
    memcpy(&v4[1], &b->address, sizeof(v4[1]));
    memcpy(&v6[0], &a->address, sizeof(v6[0]));
    memcpy(&v6[1], &b->address, sizeof(v6[1]));
    if (v4[0].sin_port != v4[1].sin_port || v4[0].sin_port == 0) /* same offset for IPv6 */
        return false;
    if (a->address.ss_family == AF_INET)
        return v4[0].sin_addr.s_addr == v4[1].sin_addr.s_addr ||
               v4[0].sin_addr.s_addr == INADDR_ANY || v4[1].sin_addr.s_addr == INADDR_ANY;
    return memcmp(&v6[0].sin6_addr, &v6[1].sin6_addr, sizeof(v6[0].sin6_addr)) == 0 ||
           IN6_IS_ADDR_UNSPECIFIED(&v6[0].sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&v6[1].sin6_addr);
}

/* Check that an address does not conflict with an earlier one: waiting for it would be in vain. */
static int check_address(const struct config *config, unsigned index)
{
    for (unsigned i = 0; i < index; i++) {
        if (conflicts(&config->listen[i], &config->listen[index])) {
            log_line("cannot listen on %s: --listen %s has its port already; leave one out",
                     config->listen[index].text, config->listen[i].text);
            return -EADDRINUSE;
        }
    }
    return 0;
}

/* Return advice on an error of opening sockets, to be appended to its message. */
static const char *advice(int error)
{
    switch (-error) {
    case EADDRINUSE:
        return "; another program has the port, choose another --listen";
    case EACCES:
        return "; a port below 1024 takes CAP_NET_BIND_SERVICE";
    case EMFILE:
    case ENFILE:
        return "; raise the limit of open files (ulimit -n, LimitNOFILE=), or lower --workers";
    default:
        return "";
    }
}

static int open_address(struct endpoints *endpoints, unsigned index, const sigset_t *signals)
{
    const struct config_address *address = &endpoints->config->listen[index];
    struct wait wait = {.address = address->text, .signals = signals};
    const struct listener_options options = {
        .generic_receive_offload = true,
        .spread = &endpoints->spread,
        .wait = wait_for_port,
        .context = &wait,
    };
    int sockets[SEGMENT_WORKERS_MAX];
    int r = listener_open((const struct sockaddr *)&address->address, address->length, &options,
                          endpoints->config->workers, sockets);

    if (r == -EINTR)
        return r;
    if (r < 0) {
        log_line("cannot listen on %s: %s%s", address->text, strerror(-r), advice(r));
        return r;
    }
    for (unsigned worker = 0; worker < endpoints->config->workers; worker++)
        endpoints->sockets[worker][index] = sockets[worker];
    /* The bound address differs from the given one if its port is 0. */
    if (address_bound(sockets[0], endpoints->names[index]) < 0)
        snprintf(endpoints->names[index], ADDRESS_SIZE, "%s", address->text);
    endpoints->count++;
    return 0;
}

/* Open all addresses. SIGTERM and SIGINT are blocked meanwhile, and end a wait for a port. */
static int open_addresses(struct endpoints *endpoints)
{
    sigset_t signals, before;
    int r = 0;

    for (unsigned i = 1; r == 0 && i < endpoints->config->listen_count; i++)
        r = check_address(endpoints->config, i);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, &before);
    for (unsigned i = 0; r == 0 && i < endpoints->config->listen_count; i++)
        r = open_address(endpoints, i, &signals);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

static bool is_missing(const struct endpoints *endpoints, unsigned index)
{
    const struct sockaddr_storage *address = &endpoints->config->listen[index].address;
    int r = endpoints->routes < 0 ? 1 : local_address_find(endpoints->routes, address);

    return r < 0 ? endpoints->missing[index] : !r; /* unknown now: no change */
}

/* Say that [::] is for IPv6 only, which other programs' is not, unless an address of IPv4 has the
 * same port. */
static void log_only_v6(const struct endpoints *endpoints, unsigned index)
{
    const struct config *config = endpoints->config;
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;

    memcpy(&v6, &config->listen[index].address, sizeof(v6));
    if (v6.sin6_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
        return;
    for (unsigned i = 0; i < config->listen_count; i++) {
        memcpy(&v4, &config->listen[i].address, sizeof(v4));
        if (v4.sin_family == AF_INET && v4.sin_port == v6.sin6_port)
            return;
    }
    log_line("%s is for IPv6 only: give --listen 0.0.0.0:%s as well for IPv4",
             endpoints->names[index], strrchr(endpoints->names[index], ':') + 1);
}

static void log_endpoints(struct endpoints *endpoints)
{
    for (unsigned i = 0; i < endpoints->count; i++) {
        log_line("listening on %s", endpoints->names[i]);
        log_only_v6(endpoints, i);
        endpoints->missing[i] = is_missing(endpoints, i);
        if (endpoints->missing[i])
            log_line("%s is missing: this machine does not have the address yet; heartbeats "
                     "arrive as soon as it has",
                     endpoints->names[i]);
    }
    if (endpoints->routes < 0)
        log_line("cannot check whether this machine has these addresses: %s",
                 strerror(-endpoints->routes));
    if (endpoints->spread.reason[0])
        log_line("senders are spread over workers by hash, perhaps unevenly: %s",
                 endpoints->spread.reason);
    log_small_buffer(endpoints->sockets[0][0]);
}

int endpoints_open(const struct config *config, struct endpoints *ret)
{
    ret->config = config;
    ret->routes = local_address_open();
    spread_open(config->workers, &ret->spread);
    int r = open_addresses(ret);
    if (r < 0)
        endpoints_close(ret);
    return r;
}

/* Publish the missing addresses as one text, as many as fit. */
static void publish_missing(const struct endpoints *endpoints, struct collector *collector)
{
    char text[sizeof(((struct segment_header *)0)->listen_missing)] = "";
    size_t length = 0;

    for (unsigned i = 0; i < endpoints->count; i++) {
        if (!endpoints->missing[i])
            continue;
        const char *address = endpoints->names[i];
        const char *between = length ? ", " : "";
        if (length + strlen(between) + strlen(address) + sizeof(", ...") > sizeof(text)) {
            strcpy(text + length, ", ...");
            break;
        }
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", between, address);
    }
    collector_publish_missing(collector, text);
}

void endpoints_publish(struct endpoints *endpoints, struct collector *collector)
{
    log_endpoints(endpoints);
    collector_publish_spread(collector, spread_name(&endpoints->spread), endpoints->spread.reason);
    publish_missing(endpoints, collector);
}

void endpoints_check(struct endpoints *endpoints, struct collector *collector)
{
    bool changed = false;

    for (unsigned i = 0; i < endpoints->count; i++) {
        bool missing = is_missing(endpoints, i);
        if (missing == endpoints->missing[i])
            continue;
        log_line(missing ? "%s has gone: this machine no longer has the address; heartbeats arrive "
                           "again as soon as it has"
                         : "%s is there now: this machine has the address",
                 endpoints->names[i]);
        endpoints->missing[i] = missing;
        changed = true;
    }
    if (changed)
        publish_missing(endpoints, collector);
}

void endpoints_count_drops(struct endpoints *endpoints, struct collector *collector)
{
    uint64_t *counter = &collector->directory.counters->values[COUNTER_socket_drops];

    for (unsigned worker = 0; worker < endpoints->config->workers; worker++) {
        for (unsigned i = 0; i < endpoints->count; i++) {
            uint32_t drops = listener_drops(endpoints->sockets[worker][i]);
            uint32_t *seen = &endpoints->drops[worker][i];
            if (drops != *seen)
                atomic_add_relaxed(counter, (uint32_t)(drops - *seen)); /* statistics */
            *seen = drops;
        }
    }
}

void endpoints_stop_offload(const struct endpoints *endpoints)
{
    for (unsigned worker = 0; worker < endpoints->config->workers; worker++)
        for (unsigned i = 0; i < endpoints->count; i++)
            listener_stop_offload(endpoints->sockets[worker][i]);
}

void endpoints_close(struct endpoints *endpoints)
{
    for (unsigned worker = 0; worker < endpoints->config->workers; worker++)
        for (unsigned i = 0; i < endpoints->count; i++)
            close(endpoints->sockets[worker][i]);
    if (endpoints->routes >= 0)
        close(endpoints->routes);
    spread_close(&endpoints->spread);
}
