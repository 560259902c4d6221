#include "directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_bytes.h"
#include "refusals.h"

static struct scope_entry *entry_at(struct directory_writer *writer, uint32_t index)
{
    return &writer->segment->directory.entries[index];
}

/* Raise `used` above an index. The mutex is held, or there are no other threads. */
static void record_used(struct directory_writer *writer, uint32_t index)
{
    /* Release: pairs with directory_used, whose caller sees the entries below. */
    if (index >= writer->used)
        atomic_store_release(&writer->used, index + 1);
}

uint32_t directory_used(const struct directory_writer *writer)
{
    return atomic_load_acquire(&writer->used); /* pairs with record_used */
}

static void count_scopes(struct directory_writer *writer, enum counter counter)
{
    atomic_add_relaxed(&writer->counters->values[counter], 1); /* statistics: no pairing */
}

/* Swap the state of an entry. Freeing it starts its next generation. */
static bool swap_state(struct scope_entry *entry, uint64_t from, enum scope_state to)
{
    uint64_t desired = (from & ~SCOPE_STATE_MASK) | to;

    if (to == SCOPE_FREE)
        desired += SCOPE_GENERATION;
    /* Pairs with itself: a worker that uses a RETIRING entry races with the thread that frees
     * it. */
    return atomic_swap_if(&entry->state, &from, desired);
}

static void link_entry(struct directory *directory, uint32_t index)
{
    struct scope_entry *entry = &directory->entries[index];
    uint32_t *head = scope_head(directory, entry->hash);

    /* Release: pairs with scope_find, which sees the entry behind the link. */
    atomic_store_release(&entry->next, atomic_load_relaxed(head));
    atomic_store_release(head, index + 1);
}

/* Remove an entry from its chain. A thread that has reached it on its way along the chain still
 * finds its successor. */
static void unlink_entry(struct directory *directory, uint32_t index)
{
    uint32_t *link = scope_head(directory, directory->entries[index].hash);
    uint32_t steps = directory->capacity;

    while (*link && *link <= directory->capacity && steps--) {
        if (*link == index + 1) {
            atomic_store_release(link, directory->entries[index].next); /* pairs with scope_find */
            return;
        }
        link = &directory->entries[*link - 1].next;
    }
}

/* Count a change before a freed entry is reused: a reader that its new link led astray sees a new
 * count and searches again. */
static void count_change(struct directory_writer *writer)
{
    uint64_t *changes = &writer->segment->header->directory_changes;

    atomic_store_release(changes, *changes + 1); /* pairs with reader_find */
}

/* Return the counter of a site's scopes of a kind, or NULL if the kind has no limit. */
static uint32_t *limited_labels(const struct directory_writer *writer, uint32_t site,
                                enum scope_kind kind)
{
    return kind == SCOPE_ROOM     ? &writer->rooms[site]
           : kind == SCOPE_SOURCE ? &writer->sources[site]
                                  : NULL;
}

static void count_label(struct directory_writer *writer, uint32_t site, enum scope_kind kind,
                        int change)
{
    uint32_t *limited = limited_labels(writer, site, kind);

    writer->labels[site] += (uint32_t)change;
    if (limited)
        atomic_store_relaxed(limited, *limited + (uint32_t)change); /* read by site_is_full */
}

static void unlink_freed(struct directory_writer *writer, uint32_t index)
{
    struct scope_entry *entry = entry_at(writer, index);

    unlink_entry(&writer->segment->directory, index);
    count_change(writer);
    if (entry->kind != SCOPE_SITE)
        count_label(writer, entry->site, (enum scope_kind)entry->kind, -1);
}

/* True if an entry that an earlier daemon left names something that can be counted. */
static bool is_sound(const struct directory *directory, uint32_t index)
{
    const struct scope_entry *entry = &directory->entries[index];

    if (entry->kind >= SCOPE_KINDS || entry->name_length == 0)
        return false;
    if (entry->kind == SCOPE_SITE)
        return entry->site == index;
    return entry->site < directory->capacity &&
           directory->entries[entry->site].kind == SCOPE_SITE &&
           scope_state_of(directory->entries[entry->site].state) != SCOPE_FREE;
}

static bool is_linked(const struct directory *directory, uint32_t index)
{
    uint32_t link = *scope_head(directory, directory->entries[index].hash);

    for (uint32_t steps = directory->capacity; link && link <= directory->capacity && steps;
         steps--) {
        if (link == index + 1)
            return true;
        link = directory->entries[link - 1].next;
    }
    return false;
}

static void adopt_entries(struct directory_writer *writer)
{
    struct directory *directory = &writer->segment->directory;

    for (uint32_t i = directory->capacity; i-- > 0;) {
        struct scope_entry *entry = &directory->entries[i];
        bool linked = is_linked(directory, i);
        if (scope_state_of(entry->state) != SCOPE_FREE && !is_sound(directory, i))
            swap_state(entry, entry->state, SCOPE_FREE);
        if (scope_state_of(entry->state) != SCOPE_FREE) {
            record_used(writer, i);
            swap_state(entry, entry->state, SCOPE_LIVE);
            if (!linked)
                link_entry(directory, i);
            if (entry->kind != SCOPE_SITE)
                count_label(writer, entry->site, (enum scope_kind)entry->kind, 1);
            continue;
        }
        if (linked) { /* unsound, or the daemon was killed while freeing it */
            unlink_entry(directory, i);
            count_change(writer);
        }
        writer->free[writer->free_count++] = i;
    }
}

int directory_open(struct segment *segment, struct directory_writer *ret)
{
    uint32_t capacity = segment->directory.capacity;
    struct directory_writer writer = {
        .segment = segment,
        .counters = &segment->counters[SEGMENT_WORKERS_MAX],
        .free = calloc(capacity, sizeof(*writer.free)),
        .labels = calloc(capacity, sizeof(*writer.labels)),
        .rooms = calloc(capacity, sizeof(*writer.rooms)),
        .sources = calloc(capacity, sizeof(*writer.sources)),
        .candidates = calloc(capacity, sizeof(*writer.candidates)),
    };

    if (!writer.free || !writer.labels || !writer.rooms || !writer.sources || !writer.candidates) {
        directory_close(&writer);
        return -ENOMEM;
    }
    adopt_entries(&writer);
    *ret = writer;
    pthread_mutex_init(&ret->mutex, NULL);
    pthread_mutex_init(&ret->retiring, NULL);
    return 0;
}

void directory_close(struct directory_writer *writer)
{
    free(writer->free);
    free(writer->labels);
    free(writer->rooms);
    free(writer->sources);
    free(writer->candidates);
}

static void clear_ring(struct ring *ring)
{
    uint64_t *buckets = ring->seconds;

    for (unsigned i = 0; i < sizeof(*ring) / sizeof(uint64_t); i++)
        atomic_store_relaxed(&buckets[i], 0); /* ordered by the state's release store */
}

static void clear_activity(struct activity *activity, uint64_t now)
{
    uint64_t *words = (uint64_t *)activity;

    for (unsigned i = 0; i < sizeof(*activity) / sizeof(*words); i++)
        atomic_store_relaxed(&words[i], 0); /* ordered by the state's release store */
    atomic_store_relaxed(&activity->since, now);
}

/* Readers may still compare what the entry held; the state's generation tells them. */
static void set_names(struct scope_entry *entry, const struct scope_name *name, uint32_t site)
{
    atomic_store_relaxed(&entry->hash, name->hash);
    atomic_store_relaxed(&entry->site, site);
    atomic_store_relaxed(&entry->kind, (uint8_t)name->kind);
    atomic_store_relaxed(&entry->name_length, (uint8_t)name->length);
    atomic_store_bytes_relaxed(entry->name, name->bytes, name->length);
}

static void set_key(struct scope_entry *entry, struct scope_key key)
{
    for (unsigned i = 0; i < HASH_KEY_WORDS; i++)
        atomic_store_relaxed(&entry->key.words[i], key.words[i]);
}

/* Name a free entry and publish it. The mutex is held. */
static uint32_t create_scope(struct directory_writer *writer, const struct scope_name *name,
                             uint64_t now)
{
    struct directory *directory = &writer->segment->directory;

    if (writer->free_count == 0)
        return SCOPE_NONE;
    uint32_t index = writer->free[--writer->free_count];
    struct scope_entry *entry = &directory->entries[index];
    bool is_site = name->kind == SCOPE_SITE;

    /* Release: pairs with scope_is_same's fence. Whoever reads what the entry holds from here on
     * sees that it was freed. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    set_names(entry, name, is_site ? index : name->site);
    set_key(entry, scope_key_derive(writer->segment->header->secret,
                                    is_site ? NULL : &directory->entries[name->site].key, name));
    atomic_store_relaxed(&entry->last_heartbeat, now);
    refusals_inherit(writer->segment, entry);
    clear_ring(&directory->rings[index]);
    clear_activity(&directory->activities[index], now);
    if (!is_site)
        count_label(writer, name->site, name->kind, 1);
    /* Release: pairs with scope_find's acquire. LIVE means that all of the above can be read. */
    atomic_store_release(&entry->state, (entry->state & ~SCOPE_STATE_MASK) | SCOPE_LIVE);
    link_entry(directory, index);
    record_used(writer, index);
    count_scopes(writer, COUNTER_scopes_created);
    return index;
}

/* Find a scope, and make it LIVE again if it is RETIRING. */
static uint32_t find_live(struct directory_writer *writer, const struct scope_name *name)
{
    const struct directory *directory = &writer->segment->directory;
    uint64_t state;
    uint32_t index;

    do {
        index = scope_find(directory, name, &state);
    } while (index != SCOPE_NONE && scope_state_of(state) == SCOPE_RETIRING &&
             !swap_state(&directory->entries[index], state, SCOPE_LIVE));
    return index;
}

/* True if a site is full. Without the mutex this is a hint, which keeps made-up rooms from slowing
 * others. */
static bool site_is_full(const struct directory_writer *writer, const struct scope_name *name)
{
    const uint32_t *limited = limited_labels(writer, name->site, name->kind);

    return writer->labels_max && limited && atomic_load_relaxed(limited) >= writer->labels_max;
}

uint32_t directory_hold(struct directory_writer *writer, const struct scope_name *name,
                        const uint64_t *now)
{
    uint32_t index = find_live(writer, name);

    if (index != SCOPE_NONE || !now)
        return index;
    if (site_is_full(writer, name))
        return DIRECTORY_SITE_FULL;
    pthread_mutex_lock(&writer->mutex);
    index = find_live(writer, name);
    if (index == SCOPE_NONE)
        index = site_is_full(writer, name) ? DIRECTORY_SITE_FULL : create_scope(writer, name, *now);
    pthread_mutex_unlock(&writer->mutex);
    return index;
}

/* Mark idle scopes as RETIRING and return how many. A site goes after its labels, which hold its
 * index. */
static uint32_t mark_idle(struct directory_writer *writer, uint64_t now, uint32_t first,
                          uint32_t count)
{
    struct directory *directory = &writer->segment->directory;
    uint64_t longest = window_rounded(writer->segment->max_window);
    uint32_t marked = 0;

    pthread_mutex_lock(&writer->mutex);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (first + i) % directory->capacity;
        struct scope_entry *entry = &directory->entries[index];
        uint64_t state = atomic_load_relaxed(&entry->state);         /* checked by the swap */
        uint64_t last = atomic_load_relaxed(&entry->last_heartbeat); /* checked again when freed */
        if (scope_state_of(state) != SCOPE_LIVE || last + longest >= now)
            continue;
        if (entry->kind == SCOPE_SITE && writer->labels[index])
            continue;
        if (swap_state(entry, state, SCOPE_RETIRING))
            writer->candidates[marked++] = index;
    }
    pthread_mutex_unlock(&writer->mutex);
    return marked;
}

/* Free and unlink the marked entries that were not used meanwhile. Returns how many; they now come
 * first in `candidates`. */
static uint32_t free_marked(struct directory_writer *writer, uint64_t now, uint32_t marked)
{
    uint64_t longest = window_rounded(writer->segment->max_window);
    uint32_t freed = 0;

    pthread_mutex_lock(&writer->mutex);
    for (uint32_t i = 0; i < marked; i++) {
        uint32_t index = writer->candidates[i];
        struct scope_entry *entry = entry_at(writer, index);
        uint64_t state = atomic_load_acquire(&entry->state); /* pairs with find_live's swap */
        if (scope_state_of(state) != SCOPE_RETIRING)
            continue;
        /* A worker may have found it LIVE before it was marked, and used it in its batch. */
        bool used = atomic_load_relaxed(&entry->last_heartbeat) + longest >= now;
        if (!swap_state(entry, state, used ? SCOPE_LIVE : SCOPE_FREE) || used)
            continue;
        unlink_freed(writer, index);
        count_scopes(writer, COUNTER_scopes_retired);
        writer->candidates[freed++] = index;
    }
    pthread_mutex_unlock(&writer->mutex);
    return freed;
}

/* Make freed entries available. */
static void offer_freed(struct directory_writer *writer, uint32_t freed)
{
    pthread_mutex_lock(&writer->mutex);
    for (uint32_t i = 0; i < freed; i++)
        writer->free[writer->free_count++] = writer->candidates[i];
    pthread_mutex_unlock(&writer->mutex);
}

uint32_t directory_retire(struct directory_writer *writer, uint64_t now, uint32_t first,
                          uint32_t count, directory_grace grace, void *context)
{
    uint32_t freed = 0;

    pthread_mutex_lock(&writer->retiring);
    uint32_t marked = mark_idle(writer, now, first, count);
    if (marked) {
        grace(context); /* workers that found them LIVE are done */
        freed = free_marked(writer, now, marked);
    }
    if (freed) {
        grace(context); /* workers that were walking over them in a chain have moved on */
        offer_freed(writer, freed);
    }
    pthread_mutex_unlock(&writer->retiring);
    return freed;
}
