/* update.h - apply a heartbeat as the daemon does: where the key is expected, or by searching. */
#ifndef PRESENCE_TESTS_UPDATE_H
#define PRESENCE_TESTS_UPDATE_H

#include <core/table.h>

/* Return where the daemon expects the key, at home in one of its pairs; NULL: nowhere. */
static inline uint64_t *locate(const struct table *table, struct table_key key)
{
    uint64_t *hint;

    return table_locate_home(table, key, 0, &hint) || table_locate_home(table, key, 1, &hint)
               ? hint
               : NULL;
}

/* GCC 12.2 ends with an internal error if it may specialize this for interrupted operations. */
#if __has_attribute(noipa)
#define NOT_SPECIALIZED __attribute__((noipa))
#else
#define NOT_SPECIALIZED
#endif

static NOT_SPECIALIZED __attribute__((unused)) struct table_outcome
update_at(const struct table *table, uint64_t *hint, struct table_key key, uint64_t now,
          table_move move, void *context)
{
    struct table_outcome outcome = {0};

    if (table_refresh_at(table, hint, key, now, move, context, &outcome.entered))
        return outcome;
    return table_upsert(table, key, now, move, context);
}

#endif
