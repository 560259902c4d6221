#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "endpoints.h"
#include "listener.h"
#include "local_address.h"
#include "shared_port.h"

int endpoints_add(struct endpoints_settings *settings, const char *text)
{
    struct endpoints_address address = {0};

    if (settings->listen_count == ENDPOINTS_MAX)
        return -ENOSPC;
    if (strlen(text) >= sizeof(address.text) ||
        listener_parse(text, &address.address, &address.length) < 0)
        return -EINVAL;
    strcpy(address.text, text);
    settings->listen[settings->listen_count++] = address;
    return 0;
}

/* A wait for a port. */
struct wait {
    const char *address;
    const sigset_t *signals; /* blocked; any of them ends the wait */
    bool is_logged;
};

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

/* Check that an address does not conflict with an earlier one: waiting for it would be in vain. */
static int check_address(const struct endpoints_settings *settings, unsigned index)
{
    for (unsigned i = 0; i < index; i++) {
        if (address_conflicts(&settings->listen[i].address, &settings->listen[index].address)) {
            log_line("cannot listen on %s: --listen %s has its port already; leave one out",
                     settings->listen[index].text, settings->listen[i].text);
            return -EADDRINUSE;
        }
    }
    return 0;
}

/* Return advice on an error of opening sockets, to be appended to its message. */
static const char *advice(int error, unsigned workers)
{
    switch (-error) {
    case EADDRINUSE:
        return "; another program has the port, choose another --listen";
    case EACCES:
        return "; a port below 1024 takes CAP_NET_BIND_SERVICE";
    case EMFILE:
    case ENFILE:
        return workers > 1
                   ? "; raise the limit of open files (ulimit -n, LimitNOFILE=), or lower --workers"
                   : "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
    default:
        return "";
    }
}

/* ---- taking over --------------------------------------------------------------------------- */

/* Load the program that spreads senders, once it turns out that one is needed. */
static void open_spread(struct endpoints *endpoints)
{
    const int *shared = endpoints->handover.shared;
    bool is_stored = shared[SPREAD_SENDERS] >= 0 && shared[SPREAD_TURNS] >= 0;
    bool is_hashed = endpoints->spread.is_hashed;

    if (endpoints->is_spread_open)
        return;
    spread_open(endpoints->settings->workers, is_stored ? shared : NULL, &endpoints->spread);
    endpoints->spread.is_hashed = is_hashed;
    endpoints->is_spread_open = true;
    endpoints->handover.record->workers = 0; /* until all programs spread over as many again */
}

/* Read this socket to its end first, then close it. If there are more than HANDOVER_SOCKETS, close
 * it now. */
static void add_earlier(struct endpoints *endpoints, int socket, const char *name)
{
    listener_share(socket); /* others of its group may be opened yet */
    if (endpoints->earlier_count == HANDOVER_SOCKETS) {
        handover_remove(&endpoints->handover, name);
        close(socket);
        return;
    }
    strcpy(endpoints->earlier_names[endpoints->earlier_count], name);
    endpoints->earlier[endpoints->earlier_count++] = socket;
}

/* Find the endpoint's sockets in what is handed over. Returns how many there are, with those of
 * workers who are no longer there. */
static unsigned take_sockets(struct endpoints *endpoints, struct endpoint *endpoint)
{
    char name[HANDOVER_NAME_SIZE];
    unsigned found = 0;

    for (unsigned worker = 0; worker < SPREAD_WORKERS_MAX; worker++) {
        int socket = handover_take_socket(&endpoints->handover, &endpoint->address, (int)worker);
        if (socket < 0)
            continue;
        found++;
        if (worker < endpoints->settings->workers)
            endpoint->sockets[worker] = socket;
        else if (handover_name_socket(&endpoints->handover, socket, worker, name) == 0)
            add_earlier(endpoints, socket, name);
    }
    return found;
}

static unsigned count_sockets(const struct endpoint *endpoint, unsigned workers)
{
    unsigned count = 0;

    for (unsigned worker = 0; worker < workers; worker++)
        count += endpoint->sockets[worker] >= 0;
    return count;
}

/* True if the sockets and their program can stay as they are. */
static bool is_complete(struct endpoints *endpoints, const struct endpoint *endpoint,
                        unsigned found)
{
    unsigned workers = endpoints->settings->workers;
    bool in_turn = endpoint->array >= 0;
    bool is_known = endpoints->handover.former->workers == workers;

    if (found != workers || count_sockets(endpoint, workers) != workers)
        return false;
    if (workers == 1 || (in_turn && is_known))
        return true;
    open_spread(endpoints); /* a hash gives way to turns, if that is possible now */
    return !endpoints->spread.map && (in_turn || is_known);
}

static void remove_array(struct endpoints *endpoints, struct endpoint *endpoint)
{
    handover_remove_array(&endpoints->handover, endpoint->name);
    close(endpoint->array);
    endpoint->array = -1;
    endpoint->is_array_new = true;
}

/* Complete the sockets of an address that were taken over, and change their program. What they hold
 * is read before what the new program gives to others. */
static int change_sockets(struct endpoints *endpoints, struct endpoint *endpoint,
                          const struct listener_options *options, unsigned found)
{
    unsigned workers = endpoints->settings->workers;

    for (unsigned worker = 0; worker < workers; worker++) {
        if (endpoint->sockets[worker] >= 0)
            endpoints->later[endpoints->later_count++] = endpoint->sockets[worker];
    }
    open_spread(endpoints);
    if (endpoint->array >= 0 && endpoints->spread.map &&
        !spread_map_fits(endpoints->spread.map, endpoint->array))
        remove_array(endpoints, endpoint);
    int r = listener_complete(options, endpoint->sockets, found == 1);
    if (!endpoints->spread.map && endpoint->array >= 0) /* the program of turns has gone */
        remove_array(endpoints, endpoint);
    return r;
}

/* Take over the sockets of an address. Returns 0 if there are none for the present workers, 1 if
 * there are; or a negative errno. */
static int take_over(struct endpoints *endpoints, struct endpoint *endpoint,
                     const struct listener_options *options)
{
    unsigned workers = endpoints->settings->workers;
    unsigned found = take_sockets(endpoints, endpoint);
    int r = 0;

    if (count_sockets(endpoint, workers) == 0)
        return 0;
    endpoints->taken_over += found;
    /* The map has the kernel's name of the address, which may be given in other words. */
    address_bound(endpoints_first_socket(endpoint), endpoint->name);
    endpoint->array = handover_take_array(&endpoints->handover, endpoint->name);
    endpoint->is_array_new = endpoint->array < 0;
    if (is_complete(endpoints, endpoint, found))
        endpoints->spread.is_hashed |= workers > 1 && endpoint->array < 0;
    else
        r = change_sockets(endpoints, endpoint, options, found);
    for (unsigned worker = 0; r == 0 && worker < workers; worker++) {
        int socket = endpoint->sockets[worker];
        endpoint->drops[worker] = handover_counted_drops(&endpoints->handover, socket);
        listener_adopt(socket, options);
    }
    return r < 0 ? r : 1;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Open all sockets of an address. If datagrams come already, to sockets that are passed, let one
 * have them until the group is complete: a new group would drop them. */
static int open_sockets(struct endpoints *endpoints, struct endpoint *endpoint,
                        struct listener_options *options)
{
    const struct sockaddr_storage address = endpoint->address;
    socklen_t length =
        address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    unsigned workers = endpoints->settings->workers;

    endpoint->is_array_new = true;
    open_spread(endpoints);
    if (!shared_port_allow(endpoints, &address))
        return listener_open((const struct sockaddr *)&address, length, options, workers,
                             endpoint->sockets);
    struct listener_options lone = *options;
    lone.spread = NULL;
    lone.is_shared = true;
    int r = shared_port_wait(endpoints, endpoint, &lone);
    if (r == 0)
        r = listener_open((const struct sockaddr *)&address, length, &lone, 1, endpoint->sockets);
    return r < 0 || workers == 1 ? r : change_sockets(endpoints, endpoint, options, 1);
}

/* Let a socket that the service manager opened be an endpoint: it belongs to one worker. */
static void add_passed(struct endpoints *endpoints, struct endpoint *endpoint, int socket)
{
    static const struct listener_options options = {.generic_receive_offload = true};
    unsigned worker = endpoints->count % endpoints->settings->workers;

    listener_adopt(socket, &options);
    endpoint->is_passed = true;
    endpoint->sockets[worker] = socket;
    endpoint->drops[worker] = handover_counted_drops(&endpoints->handover, socket);
}

/* Say why an address of --listen can't be opened. */
static void log_failure(const struct endpoints *endpoints, const struct endpoint *endpoint,
                        const struct endpoints_address *address, int error)
{
    const struct handover_socket *socket = shared_port_find_foreign(endpoints, &endpoint->address);
    char name[ADDRESS_SIZE] = "";

    if (socket)
        address_bound(socket->descriptor, name);
    if (error == -EADDRINUSE && count_sockets(endpoint, endpoints->settings->workers) > 0)
        log_line("cannot listen on %s with more workers: the service manager keeps sockets of "
                 "another user there; stop the service, then start it",
                 endpoint->name);
    else if (error == -EADDRINUSE && socket)
        log_line("cannot listen on %s: the service manager passes a socket of another user at %s; "
                 "leave one out, or stop the service, then start it",
                 address->text, name);
    else
        log_line("cannot listen on %s: %s%s", address->text, strerror(-error),
                 advice(error, endpoints->settings->workers));
}

/* Return the endpoint that is opened next, without sockets. */
static struct endpoint *new_endpoint(struct endpoints *endpoints)
{
    struct endpoint *endpoint = &endpoints->all[endpoints->count];

    *endpoint = (struct endpoint){.array = -1};
    for (unsigned worker = 0; worker < SPREAD_WORKERS_MAX; worker++)
        endpoint->sockets[worker] = -1;
    return endpoint;
}

/* True if an address is `wanted` but for its port, which the kernel shall choose, and no other of
 * the settings. */
static bool is_choice_for(const struct endpoints_settings *settings,
                          const struct sockaddr_storage *wanted, struct sockaddr_storage address)
{
    for (unsigned i = 0; i < settings->listen_count; i++) {
        if (address_is_same(&address, &settings->listen[i].address))
            return false;
    }
    address_set_port(&address, 0);
    return address_is_same(&address, wanted);
}

/* Set the endpoint's address from the settings. With port 0 it gets the port that the last
 * daemon's sockets have, if the settings don't name it. */
static void choose_address(struct endpoints *endpoints, const struct endpoints_address *wanted,
                           struct endpoint *endpoint)
{
    const struct handover *handover = &endpoints->handover;

    endpoint->address = wanted->address;
    snprintf(endpoint->name, ADDRESS_SIZE, "%s", wanted->text);
    if (address_get_port(&wanted->address) != 0)
        return;
    for (unsigned i = 0; i < handover->socket_count; i++) {
        const struct handover_socket *socket = &handover->sockets[i];
        if (socket->descriptor < 0 || socket->worker < 0 || socket->is_retired ||
            !is_choice_for(endpoints->settings, &wanted->address, socket->address))
            continue;
        endpoint->address = socket->address;
        address_bound(socket->descriptor, endpoint->name);
        return;
    }
}

static int open_address(struct endpoints *endpoints, unsigned index, const sigset_t *signals)
{
    const struct endpoints_address *address = &endpoints->settings->listen[index];
    struct endpoint *endpoint = new_endpoint(endpoints);
    struct wait wait = {.address = address->text, .signals = signals};
    struct listener_options options = {
        .generic_receive_offload = true,
        .spread = &endpoints->spread,
        .array = &endpoint->array,
        .wait = wait_for_port,
        .context = &wait,
    };
    socklen_t length = sizeof(endpoint->address);
    int r = 1, passed;

    choose_address(endpoints, address, endpoint);
    passed = handover_take_socket(&endpoints->handover, &endpoint->address, -1);
    if (passed >= 0)
        add_passed(endpoints, endpoint, passed);
    else
        r = take_over(endpoints, endpoint, &options);
    if (r == 0)
        r = open_sockets(endpoints, endpoint, &options);
    if (r == -EINTR || r == -ECANCELED)
        return r;
    if (r < 0) {
        log_failure(endpoints, endpoint, address, r);
        return r;
    }
    /* The bound address differs from the given one if its port is 0. */
    address_bound(endpoints_first_socket(endpoint), endpoint->name);
    getsockname(endpoints_first_socket(endpoint), (struct sockaddr *)&endpoint->address, &length);
    endpoints->count++;
    return 0;
}

/* Receive also from sockets that the service manager opened at addresses of its own choice. */
static void add_all_passed(struct endpoints *endpoints)
{
    struct handover *handover = &endpoints->handover;
    unsigned left_out = 0;

    for (unsigned i = 0; i < handover->socket_count; i++) {
        struct handover_socket *socket = &handover->sockets[i];
        if (socket->descriptor < 0 || socket->worker >= 0)
            continue;
        if (endpoints->count == ENDPOINTS_MAX) {
            left_out++; /* handover_close closes it */
            continue;
        }
        struct endpoint *endpoint = new_endpoint(endpoints);
        endpoint->address = socket->address;
        address_bound(socket->descriptor, endpoint->name);
        add_passed(endpoints, endpoint, socket->descriptor);
        socket->descriptor = -1;
        endpoints->count++;
    }
    if (left_out)
        log_line("closed %u sockets that the service manager passes: there may be %d addresses",
                 left_out, ENDPOINTS_MAX);
}

/* True if an endpoint has a socket of that worker at that address. */
static bool is_taken(const struct endpoints *endpoints, const struct handover_socket *socket)
{
    for (unsigned i = 0; i < endpoints->count; i++) {
        if (endpoints->all[i].sockets[socket->worker] >= 0 &&
            address_is_same(&endpoints->all[i].address, &socket->address))
            return true;
    }
    return false;
}

/* Let the sockets that nobody has taken, which are at addresses that are not listened at any more,
 * be read first. They are retired only when nothing can fail any more (endpoints_retire). */
static void add_others(struct endpoints *endpoints)
{
    struct handover *handover = &endpoints->handover;

    endpoints->first_other = endpoints->earlier_count;
    for (unsigned i = 0; i < handover->socket_count; i++) {
        struct handover_socket *socket = &handover->sockets[i];
        char name[ADDRESS_SIZE];
        if (socket->descriptor < 0 || socket->worker < 0)
            continue;
        if (socket->worker == 0 && !socket->is_retired && !is_taken(endpoints, socket) &&
            address_bound(socket->descriptor, name) == 0)
            log_line("no longer listening on %s", name);
        add_earlier(endpoints, socket->descriptor, socket->name);
        socket->descriptor = -1;
    }
}

static void list_by_worker(struct endpoints *endpoints)
{
    for (unsigned worker = 0; worker < endpoints->settings->workers; worker++) {
        for (unsigned i = 0; i < endpoints->count; i++) {
            int socket = endpoints->all[i].sockets[worker];
            if (socket >= 0)
                endpoints->by_worker[worker][endpoints->worker_counts[worker]++] = socket;
        }
    }
}

/* True if a socket that a supervisor opened has the address, with others: it is added as it is. */
static bool is_covered(const struct endpoints *endpoints, const struct endpoints_address *address)
{
    const struct handover_socket *socket =
        handover_find_covering(&endpoints->handover, &address->address);
    char name[ADDRESS_SIZE];

    if (!socket || address_bound(socket->descriptor, name) < 0)
        return false;
    log_line("%s is received by the socket that the service manager opened at %s", address->text,
             name);
    return true;
}

/* Open all addresses. SIGTERM and SIGINT are blocked meanwhile, and end a wait for a port. */
static int open_addresses(struct endpoints *endpoints)
{
    sigset_t signals, before;
    bool covered[ENDPOINTS_MAX] = {0};
    int r = 0;

    for (unsigned i = 1; r == 0 && i < endpoints->settings->listen_count; i++)
        r = check_address(endpoints->settings, i);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, &before);
    for (unsigned i = 0; r == 0 && i < endpoints->settings->listen_count; i++)
        covered[i] = is_covered(endpoints, &endpoints->settings->listen[i]);
    for (unsigned i = 0; r == 0 && i < endpoints->settings->listen_count; i++) {
        if (!covered[i])
            r = open_address(endpoints, i, &signals);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return r;
}

int endpoints_open(const struct endpoints_settings *settings, struct service_manager *manager,
                   struct endpoints *ret)
{
    ret->settings = settings;
    ret->local_addresses = local_address_open();
    ret->spread.workers = settings->workers;
    int r = handover_open(manager, settings->memory_size, &ret->handover);
    if (r == 0)
        r = open_addresses(ret);
    if (r < 0) {
        endpoints_close(ret);
        return r;
    }
    add_all_passed(ret);
    add_others(ret);
    list_by_worker(ret);
    endpoints_record(ret);
    return 0;
}
