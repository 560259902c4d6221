/* endpoints.h - the addresses to listen at, and their sockets. The main thread only.
 *
 * Sockets that the service manager stored for the program's predecessor are taken over, since
 * datagrams wait in them. Those at addresses that are not listened at any more, and those of
 * workers that are no longer there, are the backlog: they are read first, and then closed.
 */
#ifndef PRESENCE_ENDPOINTS_H
#define PRESENCE_ENDPOINTS_H

#include "common/address.h"
#include "handover.h"
#include "spread.h"
#include "worker.h"

/* An address to listen at, as it was given. */
struct endpoints_address {
    char text[64];
    struct sockaddr_storage address;
    socklen_t length;
};

struct endpoints_settings {
    struct endpoints_address listen[ENDPOINTS_MAX];
    unsigned listen_count;
    uint32_t workers;   /* 1 to SPREAD_WORKERS_MAX */
    size_t memory_size; /* bytes that the program keeps for its successor, in handover.memory */
};

struct endpoint {
    struct sockaddr_storage address; /* bound */
    char name[ADDRESS_SIZE];         /* the same in words */
    bool is_missing;                 /* the machine lacked the address last time */
    bool is_passed;                  /* the service manager opened the socket */
    bool is_array_new;
    int array;                          /* the map that its sockets are in; negative: in none */
    int sockets[SPREAD_WORKERS_MAX];    /* by worker; negative: it has none here */
    uint32_t drops[SPREAD_WORKERS_MAX]; /* of each socket, those that have been counted */
};

struct endpoints {
    const struct endpoints_settings *settings; /* have to outlive this */
    struct handover handover;
    unsigned count;
    struct endpoint all[ENDPOINTS_MAX]; /* those of --listen, then those that were passed */
    int by_worker[SPREAD_WORKERS_MAX][ENDPOINTS_MAX]; /* each worker's sockets */
    unsigned worker_counts[SPREAD_WORKERS_MAX];
    int earlier[HANDOVER_SOCKETS], later[HANDOVER_SOCKETS]; /* the backlog */
    char earlier_names[HANDOVER_SOCKETS][HANDOVER_NAME_SIZE];
    unsigned earlier_count, later_count;
    unsigned first_other; /* of the earlier ones: from here on their addresses are not ours */
    unsigned taken_over;  /* sockets */
    struct spread spread;
    bool is_spread_open;
    int local_addresses; /* for local_address_find; or a negative errno */
};

/* Add an address to listen at. Errors: -EINVAL it isn't a numeric address and port; -ENOSPC there
 * are ENDPOINTS_MAX. */
int endpoints_add(struct endpoints_settings *settings, const char *text);

/* Take over sockets, and open the others: one for each worker at each address of the settings.
 * Waits for a port in use, for LISTENER_PATIENCE_MS, after a line in the log. Before capabilities
 * are dropped. Errors, with a line in the log: those of listener_open; without one: -EINTR SIGTERM
 * or SIGINT came; -ENOMEM. */
int endpoints_open(const struct endpoints_settings *settings, struct service_manager *manager,
                   struct endpoints *ret);

/* Let the service manager keep all sockets for the successor, too. Before seccomp. */
void endpoints_store(struct endpoints *endpoints);

/* Stop datagrams from coming to the backlog. A start that fails afterwards has changed what the
 * next one finds: as late as seccomp allows. */
void endpoints_retire(struct endpoints *endpoints);

/* Return the sockets that are read before all others. */
struct worker_backlog endpoints_backlog(const struct endpoints *endpoints);

/* Close those that are no longer needed, now that they have been read. Returns how many datagrams
 * they had dropped that were not counted yet. */
uint64_t endpoints_close_backlog(struct endpoints *endpoints);

/* Log the addresses, how senders are spread, and which addresses are missing. */
void endpoints_log(struct endpoints *endpoints);

/* Check which addresses have come or gone, and log that. Returns true if any has. Once a second. */
bool endpoints_check(struct endpoints *endpoints);

/* Return how many datagrams the sockets have dropped since the last time. */
uint64_t endpoints_count_drops(struct endpoints *endpoints);

/* Receive datagrams one by one from now on: generic XDP can't judge trains. */
void endpoints_stop_offload(const struct endpoints *endpoints);

/* Write all addresses, or only the missing ones, as one text, as many as fit into `size` bytes. */
void endpoints_describe(const struct endpoints *endpoints, bool only_missing, char *ret,
                        size_t size);

/* Return one of an endpoint's sockets. */
int endpoints_first_socket(const struct endpoint *endpoint);

/* Write the record for the successor. */
void endpoints_record(struct endpoints *endpoints);

/* Close all sockets. No worker may be running. */
void endpoints_close(struct endpoints *endpoints);

#endif
