/* spread.h - spread senders over workers. A sender is an address and a port.
 *
 * All datagrams of a sender go to one worker, so that they are processed in the order in which the
 * kernel received them. A BPF program assigns new senders to the workers in turn (spread_map.h). If
 * it can't be loaded, a hash of address and port decides: the order holds, the spread is by chance.
 * Not thread-safe: one thread opens, attaches and closes.
 */
#ifndef PRESENCE_RECEIVE_SPREAD_H
#define PRESENCE_RECEIVE_SPREAD_H

#include <stdbool.h>

#include "spread_map.h"

struct spread {
    unsigned workers;
    struct spread_map *map;           /* NULL: the hash decides for sockets that are attached now */
    bool is_hashed;                   /* it decides for some address */
    char reason[SPREAD_PROBLEM_SIZE]; /* why it does; or "" */
};

/* Load the program for so many workers, 1 to SPREAD_WORKERS_MAX; with one there is nothing to
 * spread. `former` are an earlier daemon's maps to go on with, or NULL. Before capabilities are
 * dropped. */
void spread_open(unsigned workers, const int *former, struct spread *ret);

/* Spread the datagrams of these sockets, one per worker, which are bound to one address with
 * SO_REUSEPORT; `family` is AF_INET or AF_INET6. The kernel changes from the group's former program
 * to this one between two datagrams. `array` is the map that the sockets are in, or -1; the caller
 * closes what it is set to. If the program can't be attached, the hash decides and `reason` says
 * why. Errors: those of setsockopt(2). */
int spread_attach(struct spread *spread, int family, const int *sockets, int *array);

/* Let the first of a group's sockets have all datagrams for now. Errors: as above. */
int spread_attach_first(int family, int socket);

/* Return the name for readers: "turn", "hash", or with one worker "none". */
const char *spread_name(const struct spread *spread);

/* Free what the kernel does not keep. */
void spread_close(struct spread *spread);

#endif
