#include "lookup.h"

void lookup_begin(struct lookup *lookup)
{
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        lookup->last[kind] = SCOPE_NONE;
}

/* True if the previous heartbeat named the same scope of this kind. */
static inline bool is_last(const struct lookup *lookup, enum scope_kind kind, uint32_t site,
                           struct wire_name name)
{
    uint32_t last = lookup->last[kind];

    if (last == SCOPE_NONE)
        return false;
    return scope_has_name(&lookup->directory->segment->directory.entries[last], kind, site,
                          name.bytes, name.length);
}

static uint32_t hold(struct lookup *lookup, const struct scope_name *name, const uint64_t *now)
{
    uint32_t scope = directory_hold(lookup->directory, name, now);

    if (scope < DIRECTORY_SITE_FULL)
        lookup->last[name->kind] = scope;
    return scope;
}

/* The slow path of hold_site. Out of line, so that the usual one is short. */
static __attribute__((noinline)) uint32_t search_site(struct lookup *lookup, struct wire_name site,
                                                      const uint64_t *now)
{
    struct scope_name name =
        scope_name_site(lookup->directory->segment->header->secret, site.bytes, site.length);

    return hold(lookup, &name, now);
}

static inline uint32_t hold_site(struct lookup *lookup, struct wire_name site, const uint64_t *now)
{
    return is_last(lookup, SCOPE_SITE, SCOPE_NONE, site) ? lookup->last[SCOPE_SITE]
                                                         : search_site(lookup, site, now);
}

/* Return the label of a kind that a heartbeat names, with length 0 if there is none. */
static inline struct wire_name label_of(const struct wire_heartbeat *heartbeat,
                                        enum scope_kind kind)
{
    if (kind == SCOPE_ROOM)
        return heartbeat->room;
    if (kind == SCOPE_SOURCE)
        return heartbeat->source;
    return (struct wire_name){heartbeat->country, heartbeat->country[0] ? 2 : 0};
}

static inline struct scope_name name_label(const struct lookup *lookup, uint32_t site,
                                           enum scope_kind kind, struct wire_name label)
{
    const struct scope_name site_name = {
        .hash = lookup->directory->segment->directory.entries[site].hash,
    };

    return scope_name_label(&site_name, site, kind, label.bytes, label.length);
}

/* Hold the first entry of a label's chain if that is the label. Returns SCOPE_NONE if it isn't, or
 * is about to be retired. */
static inline uint32_t hold_first(const struct lookup *lookup, const struct scope_name *name,
                                  uint32_t first)
{
    if (first == SCOPE_NONE)
        return SCOPE_NONE;
    const struct scope_entry *entry = &lookup->directory->segment->directory.entries[first];
    uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope */
    return scope_state_of(state) == SCOPE_LIVE && scope_is_named(entry, name) ? first : SCOPE_NONE;
}

static inline uint32_t hold_label(struct lookup *lookup, uint32_t site, enum scope_kind kind,
                                  struct wire_name label, const struct lookup_ahead *ahead,
                                  const uint64_t *now)
{
    if (ahead && ahead->site != SCOPE_NONE) {
        struct scope_name name = {ahead->labels[kind].hash, label.bytes, label.length, site, kind};
        uint32_t first = hold_first(lookup, &name, ahead->labels[kind].first);
        return first != SCOPE_NONE ? first : hold(lookup, &name, now);
    }
    if (is_last(lookup, kind, site, label))
        return lookup->last[kind];
    struct scope_name name = name_label(lookup, site, kind, label);
    return hold(lookup, &name, now);
}

void lookup_hash(struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                 struct lookup_ahead *ret)
{
    const struct directory *directory = &lookup->directory->segment->directory;

    ret->site = hold_site(lookup, heartbeat->site, NULL);
    if (ret->site == SCOPE_NONE)
        return;
#pragma GCC unroll 4
    for (enum scope_kind kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        struct wire_name label = label_of(heartbeat, kind);
        if (!label.length)
            continue;
        ret->labels[kind].hash = name_label(lookup, ret->site, kind, label).hash;
        __builtin_prefetch(scope_head(directory, ret->labels[kind].hash));
    }
}

void lookup_fetch(const struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                  struct lookup_ahead *ahead)
{
    const struct directory *directory = &lookup->directory->segment->directory;

    if (ahead->site == SCOPE_NONE)
        return;
#pragma GCC unroll 4
    for (enum scope_kind kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        if (label_of(heartbeat, kind).length)
            ahead->labels[kind].first = scope_fetch(directory, ahead->labels[kind].hash);
    }
}

struct lookup_refusals lookup_scopes(struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                                     const struct lookup_ahead *ahead, const uint64_t *now,
                                     uint32_t scopes[SCOPE_KINDS])
{
    uint32_t directory_full = 0, site_full = 0;
    uint32_t site =
        ahead && ahead->site != SCOPE_NONE ? ahead->site : hold_site(lookup, heartbeat->site, now);

    scopes[SCOPE_SITE] = site;
#pragma GCC unroll 4
    for (enum scope_kind kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        scopes[kind] = SCOPE_NONE;
        struct wire_name label = label_of(heartbeat, kind);
        if (!label.length || site == SCOPE_NONE)
            continue;
        uint32_t scope = hold_label(lookup, site, kind, label, ahead, now);
        directory_full |= (uint32_t)(scope == SCOPE_NONE) << kind;
        site_full |= (uint32_t)(scope == DIRECTORY_SITE_FULL) << kind;
        scopes[kind] = scope < DIRECTORY_SITE_FULL ? scope : SCOPE_NONE;
    }
    directory_full |= (uint32_t)(site == SCOPE_NONE) << SCOPE_SITE;
    return (struct lookup_refusals){directory_full, site_full};
}
