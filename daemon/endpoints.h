/* endpoints.h - the addresses to listen at, and their sockets. The main thread only. */
#ifndef PRESENCED_ENDPOINTS_H
#define PRESENCED_ENDPOINTS_H

#include "collector.h"
#include "common/address.h"
#include "config.h"
#include "spread.h"

struct endpoints {
    const struct config *config;                            /* has to outlive this */
    unsigned count;                                         /* addresses whose sockets are open */
    int sockets[SEGMENT_WORKERS_MAX][CONFIG_LISTEN_MAX];    /* by worker, then by address */
    uint32_t drops[SEGMENT_WORKERS_MAX][CONFIG_LISTEN_MAX]; /* of each socket when last read */
    char names[CONFIG_LISTEN_MAX][ADDRESS_SIZE];            /* bound addresses, in words */
    bool missing[CONFIG_LISTEN_MAX]; /* the machine lacked the address last time */
    struct spread spread;
    int routes; /* for local_address_find; or a negative errno */
};

/* Open a socket for each worker at each address of the configuration. Waits for a port in use, for
 * LISTENER_PATIENCE_MS, after a line in the log. Before capabilities are dropped. Errors, with a
 * line in the log: those of listener_open; without one: -EINTR SIGTERM or SIGINT came. */
int endpoints_open(const struct config *config, struct endpoints *ret);

/* Log the addresses, and publish to readers how senders are spread and which addresses are missing.
 * Before collector_listen. */
void endpoints_publish(struct endpoints *endpoints, struct collector *collector);

/* Check which addresses have come or gone; log and publish that. Once a second. */
void endpoints_check(struct endpoints *endpoints, struct collector *collector);

/* Add what the sockets have dropped since the last time to the collector's counter. */
void endpoints_count_drops(struct endpoints *endpoints, struct collector *collector);

/* Receive datagrams one by one from now on: generic XDP can't judge trains. */
void endpoints_stop_offload(const struct endpoints *endpoints);

/* Close all sockets. No worker may be running. */
void endpoints_close(struct endpoints *endpoints);

#endif
