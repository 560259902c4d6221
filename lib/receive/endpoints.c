#include "endpoints.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "listener.h"
#include "local_address.h"

#define SMALL_BUFFER (1 << 20) /* bytes; about 1500 small datagrams, 3 ms at the highest rates */

int endpoints_first_socket(const struct endpoint *endpoint)
{
    unsigned worker = 0;

    while (worker + 1 < SPREAD_WORKERS_MAX && endpoint->sockets[worker] < 0)
        worker++;
    return endpoint->sockets[worker];
}

/* ---- words --------------------------------------------------------------------------------- */

/* Warn that bursts may be dropped. */
static void log_small_buffer(const struct endpoints *endpoints)
{
    size_t granted = 0;

    for (unsigned i = 0; i < endpoints->count; i++) {
        size_t bytes = listener_receive_buffer(endpoints_first_socket(&endpoints->all[i]));
        if (!granted || (bytes && bytes < granted))
            granted = bytes;
    }
    if (granted && granted < SMALL_BUFFER)
        log_line("the kernel grants a socket buffer of only %zu KB: for bursts raise "
                 "net.core.rmem_max to %d, or give CAP_NET_ADMIN",
                 granted >> 10, LISTENER_BUFFER_BYTES);
}

static bool is_missing(const struct endpoints *endpoints, const struct endpoint *endpoint)
{
    int r = endpoints->local_addresses < 0
                ? 1
                : local_address_find(endpoints->local_addresses, &endpoint->address);

    return r < 0 ? endpoint->is_missing : !r; /* unknown now: no change */
}

/* Say that [::] is for IPv6 only, which other programs' is not, unless an address of IPv4 has the
 * same port. */
static void log_only_v6(const struct endpoints *endpoints, unsigned index)
{
    const struct endpoints_settings *settings = endpoints->settings;
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;

    if (endpoints->all[index].is_passed)
        return;
    memcpy(&v6, &endpoints->all[index].address, sizeof(v6));
    if (v6.sin6_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
        return;
    for (unsigned i = 0; i < settings->listen_count; i++) {
        memcpy(&v4, &settings->listen[i].address, sizeof(v4));
        if (v4.sin_family == AF_INET && v4.sin_port == v6.sin6_port)
            return;
    }
    log_line("%s is for IPv6 only: give --listen 0.0.0.0:%s as well for IPv4",
             endpoints->all[index].name, strrchr(endpoints->all[index].name, ':') + 1);
}

static void log_endpoint(struct endpoints *endpoints, unsigned index)
{
    struct endpoint *endpoint = &endpoints->all[index];

    log_line("listening on %s", endpoint->name);
    log_only_v6(endpoints, index);
    if (endpoint->is_passed)
        log_line("%s is a socket that the service manager opened: one worker receives all of it",
                 endpoint->name);
    endpoint->is_missing = is_missing(endpoints, endpoint);
    if (endpoint->is_missing)
        log_line("%s is missing: this machine does not have the address yet; heartbeats arrive as "
                 "soon as it has",
                 endpoint->name);
}

void endpoints_log(struct endpoints *endpoints)
{
    for (unsigned i = 0; i < endpoints->count; i++)
        log_endpoint(endpoints, i);
    if (endpoints->taken_over)
        log_line("went on with %u socket%s of the last run", endpoints->taken_over,
                 endpoints->taken_over == 1 ? "" : "s");
    if (endpoints->local_addresses < 0)
        log_line("cannot check whether this machine has these addresses: %s",
                 strerror(-endpoints->local_addresses));
    if (endpoints->spread.is_hashed && endpoints->spread.reason[0])
        log_line("senders are spread over workers by hash, perhaps unevenly: %s",
                 endpoints->spread.reason);
    log_small_buffer(endpoints);
}

void endpoints_describe(const struct endpoints *endpoints, bool only_missing, char *ret,
                        size_t size)
{
    size_t length = 0;

    *ret = '\0';
    for (unsigned i = 0; i < endpoints->count; i++) {
        if (only_missing && !endpoints->all[i].is_missing)
            continue;
        const char *address = endpoints->all[i].name;
        const char *between = length ? ", " : "";
        if (length + strlen(between) + strlen(address) + sizeof(", ...") > size) {
            strcpy(ret + length, ", ...");
            break;
        }
        length += (size_t)snprintf(ret + length, size - length, "%s%s", between, address);
    }
}

bool endpoints_check(struct endpoints *endpoints)
{
    bool changed = false;

    for (unsigned i = 0; i < endpoints->count; i++) {
        struct endpoint *endpoint = &endpoints->all[i];
        bool missing = is_missing(endpoints, endpoint);
        if (missing == endpoint->is_missing)
            continue;
        log_line(missing ? "%s has gone: this machine no longer has the address; heartbeats arrive "
                           "again as soon as it has"
                         : "%s is there now: this machine has the address",
                 endpoint->name);
        endpoint->is_missing = missing;
        changed = true;
    }
    return changed;
}

/* ---- sockets ------------------------------------------------------------------------------- */

uint64_t endpoints_count_drops(struct endpoints *endpoints)
{
    uint64_t dropped = 0;

    for (unsigned i = 0; i < endpoints->count; i++) {
        struct endpoint *endpoint = &endpoints->all[i];
        for (unsigned worker = 0; worker < endpoints->settings->workers; worker++) {
            int socket = endpoint->sockets[worker];
            if (socket < 0)
                continue;
            uint32_t drops = listener_drops(socket);
            dropped += drops - endpoint->drops[worker]; /* modulo 2^32 */
            endpoint->drops[worker] = drops;
            handover_record_drops(&endpoints->handover, i * SPREAD_WORKERS_MAX + worker, drops);
        }
    }
    return dropped;
}

void endpoints_record(struct endpoints *endpoints)
{
    handover_clear_record(&endpoints->handover, endpoints->settings->workers);
    for (unsigned i = 0; i < endpoints->count; i++) {
        const struct endpoint *endpoint = &endpoints->all[i];
        for (unsigned worker = 0; worker < endpoints->settings->workers; worker++) {
            unsigned place = i * SPREAD_WORKERS_MAX + worker;
            if (endpoint->sockets[worker] < 0)
                continue;
            handover_record_socket(&endpoints->handover, place, endpoint->sockets[worker]);
            handover_record_drops(&endpoints->handover, place, endpoint->drops[worker]);
        }
    }
}

/* Store the maps of senders and turns: those of the program that was loaded, or if none had to be,
 * the former ones. */
static void store_shared(const struct endpoints *endpoints)
{
    const struct handover *handover = &endpoints->handover;
    const struct spread_map *map = endpoints->spread.map;
    int shared[SPREAD_SHARED];

    memcpy(shared, handover->shared, sizeof(shared));
    if (map)
        spread_map_shared(map, shared);
    if (shared[SPREAD_SENDERS] >= 0 && shared[SPREAD_TURNS] >= 0)
        handover_store_shared(handover, shared, map && spread_map_is_new(map));
}

/* Give up those of the backlog that have a name in the store which a socket that stays gets: the
 * store removes by names. */
static void free_name(struct endpoints *endpoints, int socket, unsigned worker)
{
    char name[HANDOVER_NAME_SIZE];

    if (handover_name_socket(&endpoints->handover, socket, worker, name) < 0)
        return;
    for (unsigned i = 0; i < endpoints->earlier_count; i++) {
        if (strcmp(endpoints->earlier_names[i], name) != 0)
            continue;
        handover_remove(&endpoints->handover, name);
        endpoints->earlier_names[i][0] = '\0';
    }
}

static void store_socket(struct endpoints *endpoints, int socket, unsigned worker)
{
    free_name(endpoints, socket, worker);
    handover_store_socket(&endpoints->handover, socket, worker);
}

void endpoints_store(struct endpoints *endpoints)
{
    const struct handover *handover = &endpoints->handover;

    handover_store_memory(handover);
    for (unsigned i = 0; i < endpoints->count; i++) {
        const struct endpoint *endpoint = &endpoints->all[i];
        for (unsigned worker = 0; worker < endpoints->settings->workers; worker++) {
            if (endpoint->sockets[worker] >= 0 && !endpoint->is_passed)
                store_socket(endpoints, endpoint->sockets[worker], worker);
        }
        if (endpoint->array >= 0)
            handover_store_array(handover, endpoint->name, endpoint->array, endpoint->is_array_new);
    }
    store_shared(endpoints);
    handover_remove_other_arrays(&endpoints->handover);
}

/* Wait for what is on its way to a socket by the program before. */
static void settle(void)
{
    int r = listener_settle();

    if (r < 0)
        log_line("cannot use membarrier (%s): waited %d ms for what was on its way to the sockets",
                 strerror(-r), LISTENER_SETTLE_MS);
}

void endpoints_retire(struct endpoints *endpoints)
{
    for (unsigned i = endpoints->first_other; i < endpoints->earlier_count; i++)
        listener_retire(endpoints->earlier[i]);
    if (endpoints->earlier_count || endpoints->later_count)
        settle();
}

struct worker_backlog endpoints_backlog(const struct endpoints *endpoints)
{
    return (struct worker_backlog){
        .earlier = endpoints->earlier,
        .later = endpoints->later,
        .earlier_count = endpoints->earlier_count,
        .later_count = endpoints->later_count,
    };
}

uint64_t endpoints_close_backlog(struct endpoints *endpoints)
{
    uint64_t dropped = 0;

    /* From the last to the first: a group that spreads by hash fills a gap with its last socket. */
    while (endpoints->earlier_count > 0) {
        int socket = endpoints->earlier[--endpoints->earlier_count];
        uint32_t counted = handover_counted_drops(&endpoints->handover, socket);
        dropped += listener_drops(socket) - counted;
        handover_remove(&endpoints->handover, endpoints->earlier_names[endpoints->earlier_count]);
        close(socket);
    }
    return dropped;
}

void endpoints_stop_offload(const struct endpoints *endpoints)
{
    for (unsigned worker = 0; worker < endpoints->settings->workers; worker++)
        for (unsigned i = 0; i < endpoints->worker_counts[worker]; i++)
            listener_stop_offload(endpoints->by_worker[worker][i]);
}

static void close_endpoint(const struct endpoint *endpoint)
{
    for (unsigned worker = 0; worker < SPREAD_WORKERS_MAX; worker++) {
        if (endpoint->sockets[worker] >= 0)
            close(endpoint->sockets[worker]);
    }
    if (endpoint->array >= 0)
        close(endpoint->array);
}

void endpoints_close(struct endpoints *endpoints)
{
    for (unsigned i = 0; i < endpoints->count; i++)
        close_endpoint(&endpoints->all[i]);
    while (endpoints->earlier_count > 0)
        close(endpoints->earlier[--endpoints->earlier_count]);
    if (endpoints->local_addresses >= 0)
        close(endpoints->local_addresses);
    spread_close(&endpoints->spread);
    handover_close(&endpoints->handover);
}
