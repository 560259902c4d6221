/* sites.h - the set of sites to count (--site). */
#ifndef PRESENCED_SITES_H
#define PRESENCED_SITES_H

#include <stdbool.h>
#include <stdint.h>

struct site_slot;

/* A hash table; all zero is an empty set. */
struct sites {
    unsigned count;
    unsigned capacity; /* slots: 0 or a power of two, at least twice the count */
    struct site_slot *slots;
};

/* Add a site, in either case of ASCII letters. Adding it twice does no harm. Errors: -EINVAL not a
 * site's name (1 to 253 bytes of UTF-8 without control characters); -ENOMEM. Not thread-safe. */
int sites_add(struct sites *sites, const char *name);

/* Free what it holds, and empty it. */
void sites_free(struct sites *sites);

/* True if the site is in the set. `bytes` are in lower case, as wire_v1_decode and text_decode
 * leave them. Any thread, once all are added. */
bool sites_contain(const struct sites *sites, const uint8_t *bytes, uint32_t length);

#endif
