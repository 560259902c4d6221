/* refusals.h - record what was not counted for want of room, so that readers can distinguish nobody
 * from unknown (R6).
 *
 * Called only where something is refused.
 */
#ifndef PRESENCED_REFUSALS_H
#define PRESENCED_REFUSALS_H

#include "core/segment.h"

/* Move a mark to `now`; never backward, whoever else writes it. */
static inline void refusal_record(uint32_t *mark, uint64_t now)
{
    const uint32_t wanted = refusal_mark(now);
    uint32_t seen = atomic_load_relaxed(mark); /* checked by the swap */

    while (
        (seen == 0 || (int32_t)(wanted - seen) > 0) &&
        !__atomic_compare_exchange_n(mark, &seen, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ; /* readers may see either: pairs with itself */
}

/* Record that the directory had no room for a site. */
static inline void refusal_of_site(const struct segment *segment, uint64_t now)
{
    refusal_record(&segment->header->site_refused, now);
}

/* Record that a room, country or source had no room, in the directory or in its site. */
static inline void refusal_of_label(const struct segment *segment, uint32_t site,
                                    enum scope_kind kind, uint64_t now)
{
    refusal_record(&segment->directory.entries[site].scopes_refused[kind], now);
}

/* Record that a visitor was not counted in a scope: the table is full, or their sender's budget is
 * spent. */
static inline void refusal_of_entry(const struct segment *segment, uint32_t scope, uint64_t now)
{
    struct scope_entry *entries = segment->directory.entries;
    const enum scope_kind kind = (enum scope_kind)entries[scope].kind;
    const uint32_t site = kind == SCOPE_SITE ? scope : entries[scope].site;

    refusal_record(&entries[site].entries_refused[kind], now);
    if (kind == SCOPE_SITE)
        refusal_record(&segment->header->site_entry_refused, now);
}

/* Set the marks that a new scope inherits: before it was created, its own visitors may have been
 * among those refused. The directory's mutex is held, and no reader can find the entry yet. */
static inline void refusals_inherit(const struct segment *segment, struct scope_entry *entry)
{
    const struct scope_entry *site = &segment->directory.entries[entry->site];
    const uint32_t before = entry->kind == SCOPE_SITE
                                ? atomic_load_relaxed(&segment->header->site_refused)
                                : atomic_load_relaxed(&site->scopes_refused[entry->kind]);

    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool inherits = entry->kind == SCOPE_SITE || kind == entry->kind;
        atomic_store_relaxed(&entry->scopes_refused[kind], 0); /* published with the state */
        atomic_store_relaxed(&entry->entries_refused[kind], inherits ? before : 0);
    }
}

#endif
