/* scope.h - find scopes (everything that has a count) by name in the directory. Free of libc.
 *
 * A scope is a site, or a room, a country or a source of a site. Entries are chained from a table
 * of heads. Links are single words, so that walking a chain, in the daemon or in another process,
 * needs no lock, and a daemon killed between any two stores leaves valid chains. Only the holder of
 * the daemon's directory mutex links, unlinks and names entries.
 *
 * An entry's state word is its generation and one of three states. FREE: not linked or about to be
 * unlinked, its name may change. LIVE: names and key are fixed. RETIRING: still LIVE for readers; a
 * worker that uses it makes it LIVE again by compare-and-swap, and the daemon frees it by
 * compare-and-swap once every worker has passed a batch boundary: one of the two succeeds. It is
 * reused only after another such boundary, when no worker can hold it any more. A reader that used
 * an entry compares the state word again: another generation means that what it read belonged to
 * another scope.
 */
#ifndef PRESENCE_SCOPE_H
#define PRESENCE_SCOPE_H

#include "core/activity.h"
#include "core/atomics.h"
#include "core/hash.h"
#include "core/ring.h"

enum scope_kind { SCOPE_SITE, SCOPE_ROOM, SCOPE_COUNTRY, SCOPE_SOURCE, SCOPE_KINDS };

enum scope_state { SCOPE_FREE = 0, SCOPE_LIVE = 1, SCOPE_RETIRING = 2 };

#define SCOPE_STATE_MASK UINT64_C(3)
#define SCOPE_GENERATION UINT64_C(4) /* added to the state word when an entry is freed */
#define SCOPE_NONE       UINT32_MAX
#define SCOPE_NAME_MAX   255

struct scope_entry {
    uint64_t state;          /* generation and enum scope_state */
    uint64_t hash;           /* of kind, site and name; fixed while LIVE */
    uint64_t last_heartbeat; /* tick */
    uint32_t next;           /* chain: index + 1, 0 ends it */
    uint32_t site;           /* index of the site's entry; of a site its own */
    uint8_t kind;
    uint8_t name_length;
    uint8_t name[SCOPE_NAME_MAX];
    uint8_t reserved[3];
    /* A site's, by enum scope_kind: refusal_mark of the last scope that was refused, and of the
     * last visitor who was not counted in a scope. A label keeps in entries_refused of its own kind
     * the last refusal of such a scope before it was created. Relaxed stores by workers. */
    uint32_t scopes_refused[SCOPE_KINDS];
    uint32_t entries_refused[SCOPE_KINDS];
    uint8_t reserved_too[12];
    struct scope_key key; /* derived from kind and names: scope_name.h */
};

_Static_assert(sizeof(struct scope_entry) == 384, "entry");
SHARED_AT(struct scope_entry, hash, 8);
SHARED_AT(struct scope_entry, last_heartbeat, 16);
SHARED_AT(struct scope_entry, next, 24);
SHARED_AT(struct scope_entry, site, 28);
SHARED_AT(struct scope_entry, kind, 32);
SHARED_AT(struct scope_entry, name_length, 33);
SHARED_AT(struct scope_entry, name, 34);
SHARED_AT(struct scope_entry, scopes_refused, 292);
SHARED_AT(struct scope_entry, entries_refused, 308);
SHARED_AT(struct scope_entry, key, 336);

/* Encode when something was refused in one word: the tick + 1, so that 0 means never. */
static inline uint32_t refusal_mark(uint64_t tick)
{
    return (uint32_t)tick + 1;
}

/* True if the refusal was within `window_s` seconds before `now`, or ahead of `now`, by a batch in
 * flight. */
static inline bool refusal_is_within(uint32_t mark, uint64_t now, uint32_t window_s)
{
    int32_t age = (int32_t)(refusal_mark(now) - mark);

    return mark != 0 && age < (int32_t)window_s;
}

/* One process's view of the directory and its rings. */
struct directory {
    struct scope_entry *entries;
    struct ring *rings;          /* ring i belongs to entry i */
    struct activity *activities; /* likewise */
    uint32_t *heads;             /* index + 1 of a chain's first entry, 0: empty */
    uint32_t capacity;
    uint32_t head_mask; /* number of heads - 1, a power of two */
};

/* The names of a scope. For a site, `site` is ignored. */
struct scope_name {
    uint64_t hash;
    const uint8_t *bytes;
    uint32_t length;
    uint32_t site;
    enum scope_kind kind;
};

static inline enum scope_state scope_state_of(uint64_t state)
{
    return (enum scope_state)(state & SCOPE_STATE_MASK);
}

static inline uint32_t *scope_head(const struct directory *directory, uint64_t hash)
{
    return &directory->heads[(uint32_t)hash & directory->head_mask];
}

/* Compare names, which are short: a call of memcmp would take as long as the comparison. */
ATOMIC_UNCHECKED static inline bool scope_bytes_equal(const uint8_t *a, const uint8_t *b,
                                                      uint32_t length)
{
    uint64_t left = 0, right = 0;

    if (length < sizeof(left)) {
        for (uint32_t i = 0; i < length; i++)
            left |= (uint64_t)(a[i] ^ b[i]);
        return left == 0;
    }
    for (uint32_t i = 0; i + sizeof(left) < length; i += sizeof(left)) {
        __builtin_memcpy(&left, a + i, sizeof(left));
        __builtin_memcpy(&right, b + i, sizeof(right));
        if (left != right)
            return false;
    }
    __builtin_memcpy(&left, a + length - sizeof(left), sizeof(left));
    __builtin_memcpy(&right, b + length - sizeof(right), sizeof(right));
    return left == right;
}

/* True if an entry is of that kind and has the name, in its site. For a site, `site` is ignored. */
static inline bool scope_has_name(const struct scope_entry *entry, enum scope_kind kind,
                                  uint32_t site, const uint8_t *bytes, uint32_t length)
{
    return (kind == SCOPE_SITE || atomic_load_relaxed(&entry->site) == site) &&
           atomic_load_relaxed(&entry->name_length) == length &&
           scope_bytes_equal(entry->name, bytes, length);
}

static inline bool scope_is_named(const struct scope_entry *entry, const struct scope_name *name)
{
    return atomic_load_relaxed(&entry->hash) == name->hash &&
           atomic_load_relaxed(&entry->kind) == name->kind &&
           scope_has_name(entry, name->kind, name->site, name->bytes, name->length);
}

/* Prefetch what scope_find and whoever uses its result need of the first entry in a chain. Returns
 * the entry's index, or SCOPE_NONE. */
static inline uint32_t scope_fetch(const struct directory *directory, uint64_t hash)
{
    uint32_t link = atomic_load_relaxed(scope_head(directory, hash)); /* a hint */

    if (!link || link > directory->capacity)
        return SCOPE_NONE;
    const struct scope_entry *entry = &directory->entries[link - 1];
    __builtin_prefetch(entry);
    __builtin_prefetch(&entry->key);
    return link - 1;
}

/* Find a scope and return its index, or SCOPE_NONE. `ret_state` is the state word under which the
 * name was compared. Any thread or process; bounded by the directory's capacity whatever the links
 * say. A worker calls it inside a batch; a reader compares the state word again afterwards. */
static inline uint32_t scope_find(const struct directory *directory, const struct scope_name *name,
                                  uint64_t *ret_state)
{
    uint32_t steps = directory->capacity;
    /* Acquire: pairs with link_entry and unlink_entry. */
    uint32_t link = atomic_load_acquire(scope_head(directory, name->hash));

    for (; link && link <= directory->capacity && steps; steps--) {
        struct scope_entry *entry = &directory->entries[link - 1];
        uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope */
        if (scope_state_of(state) != SCOPE_FREE && scope_is_named(entry, name)) {
            *ret_state = state;
            return link - 1;
        }
        link = atomic_load_acquire(&entry->next);
    }
    return SCOPE_NONE;
}

/* True if the entry is not free and kept its generation since `state` was loaded. */
static inline bool scope_is_same(const struct scope_entry *entry, uint64_t state)
{
    /* Order every load of the entry and its ring before this one (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint64_t now = atomic_load_relaxed(&entry->state);
    return (now & ~SCOPE_STATE_MASK) == (state & ~SCOPE_STATE_MASK) &&
           scope_state_of(now) != SCOPE_FREE;
}

#endif
