/* scope.h - the directory of scopes: what can be counted, found by name. Free of libc.
 *
 * A scope is a site, or a room, a country or a source of a site. Entries are chained from a table
 * of heads. Links are single words, so that whoever walks a chain, in the daemon or in another
 * process, needs no lock, and a daemon killed between any two stores leaves chains that hold. Only
 * the holder of the daemon's directory mutex links, unlinks and names entries.
 *
 * An entry's state word is its generation and one of three states. FREE: not linked or about to be
 * unlinked, its name may change. LIVE: names and key are fixed. RETIRING: still LIVE for readers; a
 * worker that wants it makes it LIVE again by compare-and-swap, the daemon frees it by
 * compare-and-swap once every worker has passed a batch boundary: one of the two wins. It is named
 * anew only after another such boundary, when no worker can stand on it any more.
 * A reader that used an entry compares the state word again: another generation, and what it read
 * was nobody's.
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
    uint32_t site;           /* index of the site's entry; a site's own */
    uint8_t kind;
    uint8_t name_length;
    uint8_t name[SCOPE_NAME_MAX];
    uint8_t reserved[47];
    struct scope_key key; /* derived from kind and names: scope_name.h */
};

_Static_assert(sizeof(struct scope_entry) == 384, "entry");
_Static_assert(__builtin_offsetof(struct scope_entry, hash) == 8, "entry.hash");
_Static_assert(__builtin_offsetof(struct scope_entry, last_heartbeat) == 16,
               "entry.last_heartbeat");
_Static_assert(__builtin_offsetof(struct scope_entry, next) == 24, "entry.next");
_Static_assert(__builtin_offsetof(struct scope_entry, site) == 28, "entry.site");
_Static_assert(__builtin_offsetof(struct scope_entry, kind) == 32, "entry.kind");
_Static_assert(__builtin_offsetof(struct scope_entry, name_length) == 33, "entry.name_length");
_Static_assert(__builtin_offsetof(struct scope_entry, name) == 34, "entry.name");
_Static_assert(__builtin_offsetof(struct scope_entry, key) == 336, "entry.key");

/* One process's view of the directory and its rings. */
struct directory {
    struct scope_entry *entries;
    struct ring *rings;          /* ring i belongs to entry i */
    struct activity *activities; /* likewise */
    uint32_t *heads;             /* index + 1 of a chain's first entry, 0: empty */
    uint32_t capacity;
    uint32_t head_mask; /* number of heads - 1, a power of two */
};

/* What names a scope. For a site, `site` is not looked at. */
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

/* Does an entry of that kind bear the name, in its site? For a site, `site` is not looked at. */
static inline bool scope_bears(const struct scope_entry *entry, enum scope_kind kind, uint32_t site,
                               const uint8_t *bytes, uint32_t length)
{
    return (kind == SCOPE_SITE || entry->site == site) && entry->name_length == length &&
           __builtin_memcmp(entry->name, bytes, length) == 0;
}

static inline bool scope_is_named(const struct scope_entry *entry, const struct scope_name *name)
{
    return entry->hash == name->hash && entry->kind == name->kind &&
           scope_bears(entry, name->kind, name->site, name->bytes, name->length);
}

/* Find the entry of a name; SCOPE_NONE if there is none. `ret_state` is the state word under which
 * the name was compared. Any thread or process; bounded by the directory's capacity whatever the
 * links say. A worker calls it inside a batch; a reader compares the state word again afterwards.
 */
static inline uint32_t scope_find(const struct directory *directory, const struct scope_name *name,
                                  uint64_t *ret_state)
{
    uint32_t steps = directory->capacity;
    /* Acquire: pairs with the release stores of links in the daemon's directory.c. */
    uint32_t link = atomic_load_acquire(scope_head(directory, name->hash));

    for (; link && link <= directory->capacity && steps; steps--) {
        struct scope_entry *entry = &directory->entries[link - 1];
        uint64_t state = atomic_load_acquire(&entry->state); /* pairs with directory_publish */
        if (scope_state_of(state) != SCOPE_FREE && scope_is_named(entry, name)) {
            *ret_state = state;
            return link - 1;
        }
        link = atomic_load_acquire(&entry->next);
    }
    return SCOPE_NONE;
}

/* Has the entry kept its generation since `state` was loaded, and is it not free? */
static inline bool scope_is_same(const struct scope_entry *entry, uint64_t state)
{
    /* The fence orders everything read from the entry and its ring before this load (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint64_t now = atomic_load_relaxed(&entry->state);
    return (now & ~SCOPE_STATE_MASK) == (state & ~SCOPE_STATE_MASK) &&
           scope_state_of(now) != SCOPE_FREE;
}

#endif
