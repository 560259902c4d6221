/* engine_lookup.h - look up the addresses of a host without blocking past a deadline: each name in
 * a thread of its own, which outlives the wait if it has to. One thread at a time uses a table. */
#ifndef PRESENCE_ENGINE_LOOKUP_H
#define PRESENCE_ENGINE_LOOKUP_H

#include <netdb.h>
#include <stdint.h>

#include "common/address.h"

#define ENGINE_LOOKUPS_MAX 16 /* threads at a time */

struct engine_lookup;

/* Those that have begun and whose result nobody has taken yet. Zeroed: none. */
struct engine_lookups {
    struct engine_lookup *pending[ENGINE_LOOKUPS_MAX];
};

/* Look up a host's addresses for TCP; free them with freeaddrinfo. An address in digits needs no
 * thread. What isn't known in time goes on being looked up, and a later call gets it. Errors:
 * -ETIMEDOUT; -EHOSTUNREACH there is no such name, or no name server; -ENOMEM; -EAGAIN too many are
 * still being looked up; those of pthread_create. */
int engine_lookup(struct engine_lookups *lookups, const struct address *host, int64_t deadline_ns,
                  struct addrinfo **ret);

/* Forget all of them. Their threads end by themselves. */
void engine_lookups_free(struct engine_lookups *lookups);

#endif
