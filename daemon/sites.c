#include "sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/wire.h"

#define CAPACITY_FIRST 16

struct site_slot {
    uint64_t hash;
    uint32_t length; /* 0: free */
    uint8_t bytes[WIRE_SITE_MAX];
};

/* Find the site's slot, or the free one where it would go. There always is one. */
static struct site_slot *find_slot(const struct sites *sites, uint64_t hash, const uint8_t *bytes,
                                   uint32_t length)
{
    for (uint64_t i = hash;; i++) {
        struct site_slot *slot = &sites->slots[i & (sites->capacity - 1)];
        if (slot->length == 0)
            return slot;
        if (slot->hash == hash && slot->length == length && memcmp(slot->bytes, bytes, length) == 0)
            return slot;
    }
}

static int grow(struct sites *sites)
{
    struct sites larger = {
        .count = sites->count,
        .capacity = sites->capacity ? 2 * sites->capacity : CAPACITY_FIRST,
    };

    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (!larger.slots)
        return -ENOMEM;
    for (unsigned i = 0; i < sites->capacity; i++) {
        const struct site_slot *slot = &sites->slots[i];
        if (slot->length)
            *find_slot(&larger, slot->hash, slot->bytes, slot->length) = *slot;
    }
    free(sites->slots);
    *sites = larger;
    return 0;
}

int sites_add(struct sites *sites, const char *text)
{
    struct wire_name name = {(const uint8_t *)text, (uint32_t)strlen(text)};
    uint8_t lowered[WIRE_SITE_MAX];

    if (name.length < 1 || name.length > WIRE_SITE_MAX || !utf8_is_name(name.bytes, name.length))
        return -EINVAL;
    wire_canonical_lower(&name, lowered);
    if (2 * (sites->count + 1) > sites->capacity) {
        int r = grow(sites);
        if (r < 0)
            return r;
    }
    uint64_t hash = XXH3_64bits(name.bytes, name.length);
    struct site_slot *slot = find_slot(sites, hash, name.bytes, name.length);
    if (slot->length)
        return 0;
    slot->hash = hash;
    slot->length = name.length;
    memcpy(slot->bytes, name.bytes, name.length);
    sites->count++;
    return 0;
}

void sites_free(struct sites *sites)
{
    free(sites->slots);
    *sites = (struct sites){0};
}

bool sites_contain(const struct sites *sites, const uint8_t *bytes, uint32_t length)
{
    if (sites->count == 0)
        return false;
    return find_slot(sites, XXH3_64bits(bytes, length), bytes, length)->length != 0;
}
