/* observer.h - a reader in a process of its own, that maps the segment read-only. */
#ifndef PRESENCE_TESTS_OBSERVER_H
#define PRESENCE_TESTS_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OBSERVER_SITES  30 /* that come and go */
#define OBSERVER_STABLE 97 /* visitors of the site that is always there, a prime too */
#define OBSERVER_WINDOW 3  /* seconds: the longest window */

struct observer {
    struct observer_report *report; /* shared with the process */
    pid_t process;
    uint64_t reads;   /* of sites that were there; known when it has stopped */
    uint64_t changed; /* attempts that found the site gone, or the tick moved, afterwards */
};

/* A site's name; `ret` holds 32 bytes. How many visitors all of its heartbeats have: of any two
 * sites neither's number is a multiple of the other's. */
void observer_site_name(unsigned site, char *ret);
unsigned observer_visitors(unsigned site);

/* Start reading the segment at `path`. Before there are other threads. */
void observer_start(struct observer *observer, const char *path, const char *stable_site);

/* Stop it, and fail the test if it has read what was never there. */
void observer_stop(struct observer *observer);

#endif
