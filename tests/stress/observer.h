/* observer.h - the shipped reader in a process of its own. */
#ifndef PRESENCE_TESTS_OBSERVER_H
#define PRESENCE_TESTS_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OBSERVER_SITES  30 /* that come and go */
#define OBSERVER_STABLE 97 /* visitors of the site that always exists; a prime */
#define OBSERVER_WINDOW 3  /* seconds: the longest window */

struct observer {
    struct observer_report *report; /* shared with the process */
    pid_t process;
    uint64_t reads;   /* of sites that existed; known once it has stopped */
    uint64_t changed; /* counts in vain, since the directory changed at each attempt */
};

/* Write a site's name into the 32 bytes of `ret`; and return how many visitors all its heartbeats
 * have: of any two sites neither number is a multiple of the other. */
void observer_site_name(unsigned site, char *ret);
unsigned observer_visitors(unsigned site);

/* Start reading the segment at `path`. Before there are other threads. */
void observer_start(struct observer *observer, const char *path, const char *stable_site);

/* Stop it, and fail the test if it has read an impossible count. */
void observer_stop(struct observer *observer);

#endif
