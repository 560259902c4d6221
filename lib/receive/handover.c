#include "handover.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "listener.h"

#define RECORD_NAME     "record"
#define MEMORY_NAME     "memory"
#define RECORD_VERSION  1u
#define REFUSALS_LOGGED 8 /* of LOG_BURST lines; those about addresses are to be logged, too */

/* ---- names in the store: PROGRAM-WHAT ------------------------------------------------------ */

/* Return what follows "PROGRAM-" in a name, or NULL if it is no name of this program's. */
static const char *own_part(const struct handover *handover, const char *name)
{
    const char *program = handover->manager->program;
    size_t length = strlen(program);

    return strncmp(name, program, length) == 0 && name[length] == '-' ? name + length + 1 : NULL;
}

static void name_own(const struct handover *handover, const char *what,
                     char ret[HANDOVER_NAME_SIZE])
{
    snprintf(ret, HANDOVER_NAME_SIZE, "%s-%s", handover->manager->program, what);
}

/* Write an address as a part of a name, which may not have a colon (sd_notify(3), FDNAME=). */
static void format_address(const char *address, char ret[ADDRESS_SIZE])
{
    snprintf(ret, ADDRESS_SIZE, "%s", address);
    for (char *c = ret; *c; c++) {
        if (*c == ':')
            *c = '_';
    }
}

int handover_name_socket(const struct handover *handover, int socket, unsigned worker,
                         char ret[HANDOVER_NAME_SIZE])
{
    char address[ADDRESS_SIZE], part[ADDRESS_SIZE];
    int r = address_bound(socket, address);

    if (r < 0)
        return r;
    format_address(address, part);
    snprintf(ret, HANDOVER_NAME_SIZE, "%s-socket-%u-%s", handover->manager->program, worker, part);
    return 0;
}

static void name_array(const struct handover *handover, const char *address,
                       char ret[HANDOVER_NAME_SIZE])
{
    char part[ADDRESS_SIZE];

    format_address(address, part);
    snprintf(ret, HANDOVER_NAME_SIZE, "%s-array-%s", handover->manager->program, part);
}

/* ---- what is passed ------------------------------------------------------------------------ */

static int option_of(int descriptor, int option)
{
    int value = -1;
    socklen_t length = sizeof(value);

    return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) < 0 ? -1 : value;
}

/* True if it is a UDP socket that is bound to a port. */
static bool is_bound_udp(int descriptor, struct sockaddr_storage *ret)
{
    socklen_t length = sizeof(*ret);

    memset(ret, 0, sizeof(*ret));
    if (option_of(descriptor, SO_PROTOCOL) != IPPROTO_UDP ||
        getsockname(descriptor, (struct sockaddr *)ret, &length) < 0 ||
        (ret->ss_family != AF_INET && ret->ss_family != AF_INET6))
        return false;
    return address_get_port(ret) != 0;
}

static bool has_peer(int socket)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);

    return getpeername(socket, (struct sockaddr *)&peer, &length) == 0;
}

/* Return the worker whose socket it is by its name, if the address in the name is the socket's. A
 * retired one may have another by now: connecting it has replaced 0.0.0.0 and [::]. */
static int parse_worker(const struct handover *handover, const struct handover_socket *socket,
                        const char *name)
{
    const char *part = own_part(handover, name);
    char expected[HANDOVER_NAME_SIZE];
    unsigned worker;

    if (!part || sscanf(part, "socket-%u-", &worker) != 1 || worker >= SPREAD_WORKERS_MAX)
        return -1;
    if (!socket->is_retired &&
        (handover_name_socket(handover, socket->descriptor, worker, expected) < 0 ||
         strcmp(name, expected) != 0))
        return -1;
    return (int)worker;
}

/* Map the last daemon's record and go on with it. Returns false if it is none. */
static bool adopt_record(struct handover *handover, int descriptor)
{
    const size_t size = sizeof(struct handover_record);

    if (handover->record || !stored_memory_adopt(descriptor, size, &handover->record_memory))
        return false;
    handover->record = handover->record_memory.bytes;
    if (handover->record->version == RECORD_VERSION)
        memcpy(handover->former, handover->record, size);
    else
        memset(handover->record, 0, size);
    handover->record->version = RECORD_VERSION;
    return true;
}

/* Map the memory that the last program kept for this one. */
static bool adopt_memory(struct handover *handover, int descriptor)
{
    return handover->memory_size && !handover->memory.bytes &&
           stored_memory_adopt(descriptor, handover->memory_size, &handover->memory);
}

static bool sort_socket(struct handover *handover, int descriptor, const char *name, bool is_ours)
{
    struct handover_socket *socket = &handover->sockets[handover->socket_count];
    size_t length = strlen(name);

    if (length >= sizeof(socket->name) || !is_bound_udp(descriptor, &socket->address))
        return false;
    socket->descriptor = descriptor;
    socket->is_retired = is_ours && has_peer(descriptor);
    socket->worker = parse_worker(handover, socket, name);
    if (is_ours && socket->worker < 0)
        return false;
    memcpy(socket->name, name, length + 1);
    handover->socket_count++;
    return true;
}

static bool is_map(int descriptor)
{
    static const char expected[] = "anon_inode:bpf-map";
    char path[32], target[sizeof(expected)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
    return readlink(path, target, sizeof(target)) == sizeof(expected) - 1 &&
           memcmp(target, expected, sizeof(expected) - 1) == 0;
}

static const char *const shared_names[] = {
    [SPREAD_SENDERS] = "senders",
    [SPREAD_TURNS] = "turns",
};

/* Sort a map, whose name ends with `part`. */
static bool sort_map(struct handover *handover, int descriptor, const char *name, const char *part)
{
    struct handover_array *array = &handover->arrays[handover->array_count];

    if (!is_map(descriptor))
        return false;
    for (unsigned i = 0; i < SPREAD_SHARED; i++) {
        if (strcmp(part, shared_names[i]) != 0)
            continue;
        if (handover->shared[i] >= 0)
            return false;
        handover->shared[i] = descriptor;
        return true;
    }
    if (strncmp(part, "array-", strlen("array-")) != 0 || strlen(name) >= sizeof(array->name))
        return false;
    array->descriptor = descriptor;
    strcpy(array->name, name);
    handover->array_count++;
    return true;
}

/* Sort a descriptor. Returns false if nothing here can use it. */
static bool sort(struct handover *handover, int descriptor, const char *name)
{
    const char *part = own_part(handover, name);

    if (part && strcmp(part, RECORD_NAME) == 0)
        return adopt_record(handover, descriptor);
    if (part && strcmp(part, MEMORY_NAME) == 0)
        return adopt_memory(handover, descriptor);
    return (part && sort_map(handover, descriptor, name, part)) ||
           sort_socket(handover, descriptor, name, part != NULL);
}

/* Sort everything; then remove what is refused from the store, which goes by names: a name that is
 * shared with something good loses that, too, and gets it back when all is stored. */
static void sort_all(struct handover *handover, bool *refused)
{
    struct service_manager *manager = handover->manager;
    char name[HANDOVER_NAME_SIZE];
    unsigned count = 0;

    for (int i = 0; i < manager->count; i++) {
        int descriptor = SERVICE_MANAGER_FIRST + i;
        snprintf(name, sizeof(name), "%s", manager->names[i]);
        refused[i] = !sort(handover, descriptor, name);
        if (!refused[i])
            continue;
        if (++count <= REFUSALS_LOGGED)
            log_line("the service manager passes \"%s\", which is nothing to receive from: closed",
                     name);
        close(descriptor);
    }
    if (count > REFUSALS_LOGGED)
        log_line("and %u more of that kind: closed", count - REFUSALS_LOGGED);
    for (int i = 0; i < manager->count; i++) {
        snprintf(name, sizeof(name), "%s", manager->names[i]);
        if (refused[i] && own_part(handover, name))
            service_manager_remove(manager, name);
    }
}

/* ---- the record ---------------------------------------------------------------------------- */

/* Make the memory that was not passed: the record, and the program's. */
static int create_missing(struct handover *handover)
{
    bool can_store = service_manager_exists(handover->manager);
    char name[HANDOVER_NAME_SIZE];
    int r = 0;

    if (!handover->record) {
        name_own(handover, RECORD_NAME, name);
        r = stored_memory_create(name, sizeof(struct handover_record), can_store,
                                 &handover->record_memory);
        if (r < 0)
            return r;
        handover->record = handover->record_memory.bytes;
        handover->record->version = RECORD_VERSION;
    }
    if (handover->memory_size && !handover->memory.bytes) {
        name_own(handover, MEMORY_NAME, name);
        r = stored_memory_create(name, handover->memory_size, can_store, &handover->memory);
    }
    return r;
}

static uint64_t cookie_of(int socket)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);

    return getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) < 0 ? 0 : cookie;
}

uint32_t handover_counted_drops(const struct handover *handover, int socket)
{
    uint64_t cookie = cookie_of(socket);

    for (unsigned i = 0; cookie && i < HANDOVER_SOCKETS; i++) {
        if (handover->former->sockets[i].cookie == cookie)
            return handover->former->sockets[i].drops;
    }
    return listener_drops(socket);
}

void handover_clear_record(struct handover *handover, unsigned workers)
{
    memset(handover->record->sockets, 0, sizeof(handover->record->sockets));
    handover->record->workers = workers;
}

void handover_record_socket(struct handover *handover, unsigned place, int socket)
{
    handover->record->sockets[place].cookie = cookie_of(socket);
}

void handover_record_drops(struct handover *handover, unsigned place, uint32_t drops)
{
    handover->record->sockets[place].drops = drops;
}

/* ---- taking and storing -------------------------------------------------------------------- */

int handover_open(struct service_manager *manager, size_t memory_size, struct handover *ret)
{
    size_t count = (size_t)manager->count + 1;

    *ret = (struct handover){.manager = manager, .shared = {-1, -1}, .memory_size = memory_size};
    ret->sockets = calloc(count, sizeof(*ret->sockets));
    ret->arrays = calloc(count, sizeof(*ret->arrays));
    ret->former = calloc(1, sizeof(*ret->former));
    bool *refused = calloc(count, sizeof(*refused));
    int r = ret->sockets && ret->arrays && ret->former && refused ? 0 : -ENOMEM;
    if (r == 0)
        sort_all(ret, refused);
    free(refused);
    return r < 0 ? r : create_missing(ret);
}

int handover_take_socket(struct handover *handover, const struct sockaddr_storage *address,
                         int worker)
{
    for (unsigned i = 0; i < handover->socket_count; i++) {
        struct handover_socket *socket = &handover->sockets[i];
        int descriptor = socket->descriptor;
        if (descriptor < 0 || socket->worker != worker || socket->is_retired ||
            !address_is_same(&socket->address, address))
            continue;
        socket->descriptor = -1;
        return descriptor;
    }
    return -1;
}

const struct handover_socket *handover_find_conflict(const struct handover *handover,
                                                     const struct sockaddr_storage *address,
                                                     const struct handover_socket *last)
{
    const struct handover_socket *end = handover->sockets + handover->socket_count;

    for (last = last ? last + 1 : handover->sockets; last < end; last++) {
        if (last->descriptor >= 0 && address_conflicts(&last->address, address))
            return last;
    }
    return NULL;
}

/* True if a socket with all addresses has this one, too. Of IPv6 it may have those of IPv4. */
static bool covers(const struct handover_socket *socket, const struct sockaddr_storage *address)
{
    struct sockaddr_in6 v6;
    struct sockaddr_in v4;
    int only_v6 = 1;
    socklen_t length = sizeof(only_v6);

    memcpy(&v6, &socket->address, sizeof(v6));
    memcpy(&v4, &socket->address, sizeof(v4));
    if (address_is_same(&socket->address, address) ||
        address_get_port(&socket->address) != address_get_port(address))
        return false;
    if (v4.sin_family == AF_INET)
        return address->ss_family == AF_INET && v4.sin_addr.s_addr == INADDR_ANY;
    if (!IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr))
        return false;
    getsockopt(socket->descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &length);
    return address->ss_family == AF_INET6 || !only_v6;
}

const struct handover_socket *handover_find_covering(const struct handover *handover,
                                                     const struct sockaddr_storage *address)
{
    for (unsigned i = 0; i < handover->socket_count; i++) {
        const struct handover_socket *socket = &handover->sockets[i];
        if (socket->descriptor >= 0 && socket->worker < 0 && covers(socket, address))
            return socket;
    }
    return NULL;
}

int handover_take_array(struct handover *handover, const char *address)
{
    char name[HANDOVER_NAME_SIZE];

    name_array(handover, address, name);
    for (unsigned i = 0; i < handover->array_count; i++) {
        int descriptor = handover->arrays[i].descriptor;
        if (descriptor < 0 || strcmp(handover->arrays[i].name, name) != 0)
            continue;
        handover->arrays[i].descriptor = -1;
        return descriptor;
    }
    return -1;
}

void handover_store_socket(const struct handover *handover, int socket, unsigned worker)
{
    char name[HANDOVER_NAME_SIZE];

    if (handover_name_socket(handover, socket, worker, name) == 0)
        service_manager_store(handover->manager, socket, name);
}

/* Store a descriptor, if `is_new` in the place of what was stored under that name. */
static void store(const struct handover *handover, int descriptor, const char *name, bool is_new)
{
    if (is_new && service_manager_has_passed(handover->manager, name))
        service_manager_remove(handover->manager, name);
    service_manager_store(handover->manager, descriptor, name);
}

void handover_store_array(const struct handover *handover, const char *address, int array,
                          bool is_new)
{
    char name[HANDOVER_NAME_SIZE];

    name_array(handover, address, name);
    store(handover, array, name, is_new);
}

void handover_store_shared(const struct handover *handover, const int shared[SPREAD_SHARED],
                           bool is_new)
{
    char name[HANDOVER_NAME_SIZE];

    for (unsigned i = 0; i < SPREAD_SHARED; i++) {
        name_own(handover, shared_names[i], name);
        store(handover, shared[i], name, is_new);
    }
}

void handover_store_memory(const struct handover *handover)
{
    const struct stored_memory *record = &handover->record_memory, *own = &handover->memory;
    char name[HANDOVER_NAME_SIZE];

    name_own(handover, RECORD_NAME, name);
    if (record->descriptor >= 0)
        service_manager_store(handover->manager, record->descriptor, name);
    name_own(handover, MEMORY_NAME, name);
    if (own->bytes && own->descriptor >= 0)
        service_manager_store(handover->manager, own->descriptor, name);
}

void handover_remove(const struct handover *handover, const char *name)
{
    service_manager_remove(handover->manager, name);
}

void handover_remove_other_arrays(struct handover *handover)
{
    for (unsigned i = 0; i < handover->array_count; i++) {
        struct handover_array *array = &handover->arrays[i];
        if (array->descriptor < 0)
            continue;
        /* A new one may have the name by now. */
        if (service_manager_has_passed(handover->manager, array->name))
            service_manager_remove(handover->manager, array->name);
        close(array->descriptor);
        array->descriptor = -1;
    }
}

void handover_remove_array(const struct handover *handover, const char *address)
{
    char name[HANDOVER_NAME_SIZE];

    name_array(handover, address, name);
    service_manager_remove(handover->manager, name);
}

void handover_close(struct handover *handover)
{
    for (unsigned i = 0; i < handover->socket_count; i++) {
        if (handover->sockets[i].descriptor >= 0)
            close(handover->sockets[i].descriptor);
    }
    for (unsigned i = 0; i < handover->array_count; i++) {
        if (handover->arrays[i].descriptor >= 0)
            close(handover->arrays[i].descriptor);
    }
    for (unsigned i = 0; i < SPREAD_SHARED; i++) {
        if (handover->shared[i] >= 0)
            close(handover->shared[i]);
    }
    stored_memory_close(&handover->record_memory);
    stored_memory_close(&handover->memory);
    free(handover->sockets);
    free(handover->arrays);
    free(handover->former);
}
