/* handover.h - what a program leaves to its successor in the service manager's store: its sockets,
 * the maps of the program that spreads senders, a record in memory, and memory of the program's
 * own. The main thread only.
 *
 * The names in the store begin with the program's. Nothing that is passed is believed: the kernel
 * is asked what each descriptor is. What the program can't have stored is closed, and if it has a
 * name of ours, removed from the store.
 */
#ifndef PRESENCE_HANDOVER_H
#define PRESENCE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/address.h"
#include "common/service_manager.h"
#include "spread_map.h"
#include "stored_memory.h"

#define ENDPOINTS_MAX      16 /* addresses to listen at */
#define HANDOVER_NAME_SIZE (ADDRESS_SIZE + 32)
#define HANDOVER_SOCKETS   (SPREAD_WORKERS_MAX * ENDPOINTS_MAX)

struct handover_socket {
    int descriptor;  /* negative once it is taken */
    int worker;      /* negative: the service manager opened it */
    bool is_retired; /* it has a peer (listener_retire): only what waits in it is of use */
    struct sockaddr_storage address;
    char name[HANDOVER_NAME_SIZE]; /* in the store */
};

struct handover_array {
    int descriptor; /* negative once it is taken */
    char name[HANDOVER_NAME_SIZE];
};

/* What no descriptor says by itself. It is in the store, too: it survives a program that is killed,
 * and is as of its last second. */
struct handover_record {
    uint32_t version;
    uint32_t workers; /* over which all programs spread; 0: they are being changed */
    struct {
        uint64_t cookie; /* of a socket (SO_COOKIE), which no other ever has; 0: none */
        uint32_t drops;  /* of its drops, those that have been counted, modulo 2^32 */
        uint32_t unused;
    } sockets[HANDOVER_SOCKETS];
};

struct handover {
    struct service_manager *manager;
    struct handover_socket *sockets;
    struct handover_array *arrays;
    unsigned socket_count, array_count;
    int shared[SPREAD_SHARED]; /* maps, by enum spread_shared; negative: not stored */
    struct stored_memory record_memory;
    struct handover_record *record; /* this program's */
    struct handover_record *former; /* its predecessor's; zeros if it left none */
    size_t memory_size;
    struct stored_memory memory; /* of the program's own; without bytes unless it asked for some */
};

/* Sort what the service manager passes. `memory` has as many bytes as the program asks for: those
 * that its predecessor left, which it has to judge, or zeros. Errors: -ENOMEM. */
int handover_open(struct service_manager *manager, size_t memory_size, struct handover *ret);

/* Take over a worker's socket at an address that is not retired; or with a negative `worker` one
 * that the service manager opened. Returns -1 if there is none. */
int handover_take_socket(struct handover *handover, const struct sockaddr_storage *address,
                         int worker);

/* Return the next socket after `last`, or with NULL the first, that has the address's port in part
 * or in full and was not taken; or NULL. */
const struct handover_socket *handover_find_conflict(const struct handover *handover,
                                                     const struct sockaddr_storage *address,
                                                     const struct handover_socket *last);

/* Return a socket of all addresses that the service manager opened and that has this one with the
 * others; or NULL. */
const struct handover_socket *handover_find_covering(const struct handover *handover,
                                                     const struct sockaddr_storage *address);

/* Take over the map that an address's sockets are in, or return -1. `address` is in words. */
int handover_take_array(struct handover *handover, const char *address);

/* Return how many of a socket's drops have been counted, by the former record. Without one nobody
 * knows: then all. */
uint32_t handover_counted_drops(const struct handover *handover, int socket);

/* Begin the record anew: all programs spread over so many workers. */
void handover_clear_record(struct handover *handover, unsigned workers);

/* Set a socket's place in the record; and how many of its drops have been counted. */
void handover_record_socket(struct handover *handover, unsigned place, int socket);
void handover_record_drops(struct handover *handover, unsigned place, uint32_t drops);

/* Write the name that a socket has in the store. Errors: those of address_bound. */
int handover_name_socket(const struct handover *handover, int socket, unsigned worker,
                         char ret[HANDOVER_NAME_SIZE]);

/* Store what did not come from there: a socket, the record and the program's memory, or maps, in
 * the place of former ones if they are new. Before seccomp. */
void handover_store_socket(const struct handover *handover, int socket, unsigned worker);
void handover_store_memory(const struct handover *handover);
void handover_store_array(const struct handover *handover, const char *address, int array,
                          bool is_new);
void handover_store_shared(const struct handover *handover, const int shared[SPREAD_SHARED],
                           bool is_new);

/* Remove from the store: what has this name; the map that an address's sockets were in; all such
 * maps that were not taken. */
void handover_remove(const struct handover *handover, const char *name);
void handover_remove_array(const struct handover *handover, const char *address);
void handover_remove_other_arrays(struct handover *handover);

/* Free everything, and close what was not taken. */
void handover_close(struct handover *handover);

#endif
