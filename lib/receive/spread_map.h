/* spread_map.h - the BPF program that assigns senders to workers, and its maps.
 *
 * The kernel keeps program and maps while a socket has the program, even after spread_map_close.
 * Not thread-safe: one thread opens, attaches and closes.
 */
#ifndef PRESENCE_SPREAD_MAP_H
#define PRESENCE_SPREAD_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define SPREAD_WORKERS_MAX  64 /* workers of a program */
#define SPREAD_PROBLEM_SIZE 96 /* bytes of the longest description */

/* The maps that all addresses share. */
enum spread_shared { SPREAD_SENDERS, SPREAD_TURNS, SPREAD_SHARED /* how many */ };

struct spread_map_settings {
    unsigned workers;    /* 1 to SPREAD_WORKERS_MAX */
    unsigned buckets;    /* of senders, a power of two; 0: PRESENCE_SPREAD_BUCKETS */
    uint64_t silence_ns; /* after it a sender may lose its worker; 0: PRESENCE_SPREAD_SILENCE */
    const int *former;   /* the maps of an earlier daemon, as spread_map_shared returns them, which
                            are used if they fit; or NULL */
};

struct spread_map;

/* Load the program and create the maps that all addresses share. Needs CAP_BPF and Linux 5.8. On
 * failure `ret_problem` (SPREAD_PROBLEM_SIZE bytes) says why.
 * Errors: -EPERM; -ENOMEM; -ENOSYS built without it; others of bpf(2). */
int spread_map_open(const struct spread_map_settings *settings, struct spread_map **ret,
                    char *ret_problem);

/* Let the program choose between these sockets, one per worker, which are bound to one address with
 * SO_REUSEPORT. Once for each address. `array` is the map that the sockets are in, since they can
 * be in one only, or -1: then the caller gets a new one, to close. Errors, and `ret_problem`, as
 * above; -EBUSY the sockets are in another map. */
int spread_map_attach(struct spread_map *map, const int *sockets, int *array, char *ret_problem);

/* True if spread_map_attach can use this as `array`. Another daemon may have made it otherwise. */
bool spread_map_fits(const struct spread_map *map, int array);

/* Return the descriptors of the maps that all addresses share. They stay the map's. */
void spread_map_shared(const struct spread_map *map, int ret[SPREAD_SHARED]);

/* True if these are not the former ones. */
bool spread_map_is_new(const struct spread_map *map);

/* Free what the kernel does not keep. NULL is fine. */
void spread_map_close(struct spread_map *map);

#endif
