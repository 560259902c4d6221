/* outages.h - log when a collector can't be reached, and when it can again. The main thread. */
#ifndef PRESENCE_RELAY_OUTAGES_H
#define PRESENCE_RELAY_OUTAGES_H

#include "accounts.h"

/* Checks without a new error until a collector seems to be back. Many: routers limit how often they
 * report one. */
#define OUTAGES_QUIET 60
#define OUTAGES_LINES 8 /* that one check logs at most; the others follow in the next */

/* A collector's errors, as its account had them at the last check. */
struct outage {
    bool is_known; /* the next two are the account's at the last check */
    uint64_t failed;
    uint64_t refused;
    bool is_out;    /* the log says that it can't be reached */
    uint32_t quiet; /* checks since the last new error */
};

/* All zeroes at first, and after a reload. */
struct outages {
    struct outage all[ACCOUNTS_MAX];
};

/* Log which collectors have caused errors since the last check, once for each, and which of those
 * have caused none for OUTAGES_QUIET checks. What an account had at its first check does not count:
 * it may be from before a restart. About once a second. */
void outages_check(struct outages *outages, const struct accounts *accounts);

#endif
