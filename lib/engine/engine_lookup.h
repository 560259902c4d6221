/* engine_lookup.h - look up the addresses of a host without blocking past a deadline: in a thread
 * of its own, which outlives the wait if it has to. One thread at a time uses it. */
#ifndef PRESENCE_ENGINE_LOOKUP_H
#define PRESENCE_ENGINE_LOOKUP_H

#include <netdb.h>
#include <stdint.h>

#include "common/address.h"

struct engine_lookups;

/* Allocate; nothing is looked up yet, and no thread started. Close it with engine_lookups_close.
 * Errors: -ENOMEM. */
int engine_lookups_open(struct engine_lookups **ret);

/* Forget all that was being looked up; the thread ends by itself. NULL is fine. */
void engine_lookups_close(struct engine_lookups *lookups);

/* Start the thread, if it isn't running: otherwise the first name that is looked up does. Errors:
 * those of pthread_create. */
int engine_lookups_start(struct engine_lookups *lookups);

/* Load the modules of libc that look up hosts (nsswitch.conf): a program that confines itself can
 * load no code afterwards. One thread. */
void engine_lookups_prepare(void);

/* Look up a host's addresses for TCP; free them with freeaddrinfo. An address in digits needs no
 * thread. What isn't known in time goes on being looked up, and a later call gets it. Errors:
 * -ETIMEDOUT, also if no name server answers; -EHOSTUNREACH there is no such name; -ENOMEM; -EAGAIN
 * too many are still being looked up; those of pthread_create. */
int engine_lookup(struct engine_lookups *lookups, const struct address *host, int64_t deadline_ns,
                  struct addrinfo **ret);

#endif
