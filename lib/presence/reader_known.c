/* reader_known.c - distinguish a number, nobody and unknown (R6).
 *
 * The collector marks the tick at which it refused a scope or a visitor. From these marks, and from
 * the age of the segment's tick, this file decides for every reader whether a scope that does not
 * exist has nobody or is unknown, and whether a count is a lower bound.
 */
#include "reader.h"

#include <errno.h>

/* True if the mark was set within the window. Relaxed: any recent value will do. */
static bool is_refused(const uint32_t *mark, uint32_t window_s, const struct reader_moment *moment)
{
    return refusal_is_within(atomic_load_relaxed(mark), moment->tick, window_rounded(window_s));
}

static const struct scope_entry *entry_at(const struct presence *presence, uint32_t index)
{
    return &presence->segment.directory.entries[index];
}

bool reader_visitors_refused(const struct presence *presence, uint32_t site, uint32_t index,
                             enum scope_kind kind, uint32_t window_s,
                             const struct reader_moment *moment)
{
    const uint32_t *refused = entry_at(presence, site)->entries_refused;

    return is_refused(&refused[SCOPE_SITE], window_s, moment) ||
           is_refused(&refused[kind], window_s, moment) ||
           is_refused(&entry_at(presence, index)->entries_refused[kind], window_s, moment);
}

bool reader_sites_refused(const struct presence *presence, uint32_t window_s,
                          const struct reader_moment *moment)
{
    const struct segment_header *header = presence->segment.header;

    return is_refused(&header->site_refused, window_s, moment) ||
           is_refused(&header->site_entry_refused, window_s, moment);
}

bool reader_labels_refused(const struct presence *presence, uint32_t site, enum scope_kind kind,
                           uint32_t window_s, const struct reader_moment *moment)
{
    const struct scope_entry *entry = entry_at(presence, site);

    return is_refused(&entry->scopes_refused[kind], window_s, moment) ||
           is_refused(&entry->entries_refused[kind], window_s, moment);
}

bool reader_any_refused(const struct presence *presence, uint32_t site, uint32_t window_s,
                        const struct reader_moment *moment)
{
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        if (reader_labels_refused(presence, site, (enum scope_kind)kind, window_s, moment))
            return true;
    }
    return false;
}

int reader_load_absent(const struct presence *presence, const struct reader_place *place,
                       const struct reader_scope *scope, uint32_t window_s,
                       const struct reader_moment *moment, struct presence_reading *ret)
{
    const uint32_t longest = presence->header.geometry.max_window, site = scope->site;
    struct presence_reading reading;
    bool has_site = place->kind != SCOPE_SITE && site != SCOPE_NONE &&
                    !reader_is_gone(presence, reader_last_heartbeat(presence, site, moment));
    bool refused = has_site ? reader_labels_refused(presence, site, place->kind, longest, moment)
                            : reader_sites_refused(presence, longest, moment);

    reader_fill_reading(presence, moment, window_s, 0, 0, &reading);
    reading.partial = refused || (has_site && reader_is_partial(presence, site, site, SCOPE_SITE,
                                                                window_s, moment));
    reading.known = !refused && !reading.stale && !reading.warming;
    if (has_site && !scope_is_same(entry_at(presence, site), scope->site_state))
        return -EAGAIN;
    *ret = reading;
    return 0;
}

enum presence_refusal presence_refused(struct presence *presence, enum presence_kind kind,
                                       const char *site, const char *name)
{
    const uint32_t recently_s = 2; /* a mark's tick ends before the next one is published */
    struct reader_place place;
    struct reader_scope scope;

    if (reader_parse_place(kind, site, name, &place) < 0)
        return PRESENCE_REFUSED_NONE;
    struct reader_moment moment = reader_current_moment(presence); /* may open another segment */
    int r = reader_find(presence, &place, &scope);
    if (r == -EAGAIN)
        return PRESENCE_REFUSED_NONE;
    if (scope.site == SCOPE_NONE)
        return is_refused(&presence->segment.header->site_refused, recently_s, &moment)
                   ? PRESENCE_REFUSED_SCOPE
                   : PRESENCE_REFUSED_NONE;
    const struct scope_entry *entry = entry_at(presence, scope.site);
    const uint32_t *marks = r == -ENOENT ? entry->scopes_refused : entry->entries_refused;
    bool refused = is_refused(&marks[place.kind], recently_s, &moment);
    /* The marks may be those of a site that got the entry meanwhile. */
    if (!refused || !scope_is_same(entry, scope.site_state))
        return PRESENCE_REFUSED_NONE;
    return r == -ENOENT ? PRESENCE_REFUSED_SCOPE : PRESENCE_REFUSED_VISITOR;
}
