#include "reader.h"

#include <errno.h>
#include <string.h>

#include "core/atomic_bytes.h"
#include "core/ring_sum.h"
#include "core/text.h"

_Static_assert((int)PRESENCE_SITE == (int)SCOPE_SITE && (int)PRESENCE_ROOM == (int)SCOPE_ROOM &&
                   (int)PRESENCE_COUNTRY == (int)SCOPE_COUNTRY &&
                   (int)PRESENCE_SOURCE == (int)SCOPE_SOURCE,
               "the public kinds are the directory's");

/* ---- names ------------------------------------------------------------------------------- */

static int parse_name(const char *text, uint32_t longest, struct wire_name *ret)
{
    if (!text)
        return -EINVAL;
    size_t length = strnlen(text, longest + 1);
    if (length == 0 || length > longest)
        return -EINVAL;
    *ret = (struct wire_name){(const uint8_t *)text, (uint32_t)length};
    return 0;
}

static int parse_label(enum presence_kind kind, const char *name, struct reader_place *ret)
{
    /* A room's length is judged after it was shortened to its canonical form. */
    static const uint32_t longest[SCOPE_KINDS] = {0, WIRE_DATAGRAM_MAX, 2, WIRE_SOURCE_MAX};
    struct wire_name *label = &ret->label;
    int r = parse_name(name, longest[kind], label);

    if (r < 0)
        return r;
    if (kind == PRESENCE_ROOM) {
        wire_canonical_room(label, ret->label_bytes);
        return label->length <= WIRE_ROOM_MAX ? 0 : -EINVAL;
    }
    if (kind == PRESENCE_SOURCE) {
        wire_canonical_lower(label, ret->label_bytes);
        return 0;
    }
    if (label->length != 2)
        return -EINVAL;
    canonical_raise(label->bytes, label->length, ret->label_bytes);
    label->bytes = ret->label_bytes;
    return 0;
}

int reader_parse_place(enum presence_kind kind, const char *site, const char *name,
                       struct reader_place *ret)
{
    if ((unsigned)kind >= SCOPE_KINDS)
        return -EINVAL;
    ret->kind = (enum scope_kind)kind;
    int r = parse_name(site, WIRE_SITE_MAX, &ret->site);
    if (r < 0)
        return r;
    wire_canonical_lower(&ret->site, ret->site_bytes);
    return kind == PRESENCE_SITE ? 0 : parse_label(kind, name, ret);
}

/* ---- the directory ----------------------------------------------------------------------- */

static int find_once(const struct presence *presence, const struct reader_place *place,
                     struct reader_scope *ret)
{
    const struct directory *directory = &presence->segment.directory;
    struct reader_scope scope = {0};
    struct scope_name site =
        scope_name_site(presence->header.secret, place->site.bytes, place->site.length);

    scope.site = scope_find(directory, &site, &scope.site_state);
    scope.index = scope.site;
    scope.state = scope.site_state;
    if (scope.site != SCOPE_NONE && place->kind != SCOPE_SITE) {
        struct scope_name label = scope_name_label(&site, scope.site, place->kind,
                                                   place->label.bytes, place->label.length);
        scope.index = scope_find(directory, &label, &scope.state);
    }
    *ret = scope;
    return scope.index == SCOPE_NONE ? -ENOENT : 0;
}

int reader_find(const struct presence *presence, const struct reader_place *place,
                struct reader_scope *ret)
{
    const uint64_t *changes = &presence->segment.header->directory_changes;
    uint64_t before = atomic_load_acquire(changes); /* pairs with count_change */
    int r = find_once(presence, place, ret);

    if (r != -ENOENT)
        return r;
    /* The fence orders all loads on the way before this one. An entry that was reused meanwhile may
     * have led into another chain, in which case the count of changes has moved. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(changes) == before ? -ENOENT : -EAGAIN;
}

bool reader_copy_name(const uint8_t *from, uint8_t length, char *ret)
{
    uint8_t bytes[PRESENCE_NAME_MAX];

    atomic_load_bytes_relaxed(bytes, from, length);
    if (!utf8_is_name(bytes, length))
        return false;
    memcpy(ret, bytes, length);
    ret[length] = '\0';
    return true;
}

bool reader_is_same(const struct presence *presence, const struct reader_scope *scope)
{
    const struct scope_entry *entries = presence->segment.directory.entries;

    return scope_is_same(&entries[scope->index], scope->state) &&
           scope_is_same(&entries[scope->site], scope->site_state);
}

/* ---- counts ------------------------------------------------------------------------------ */

int reader_choose_window(const struct presence *presence, uint32_t wanted_s, uint32_t *ret)
{
    uint32_t longest = presence->header.geometry.max_window;

    if (wanted_s > longest)
        return -ERANGE;
    if (wanted_s == 0)
        wanted_s = longest < PRESENCE_DEFAULT_WINDOW ? longest : PRESENCE_DEFAULT_WINDOW;
    *ret = wanted_s;
    return 0;
}

uint32_t reader_count(const struct presence *presence, uint32_t index, uint32_t window_s,
                      struct reader_moment *moment)
{
    const struct ring *ring = &presence->segment.directory.rings[index];
    int64_t sum;

    for (int attempt = 1;; attempt++) {
        sum = ring_count(ring, moment->tick, window_s);
        /* Acquire: pairs with collector_advance. It follows all loads of buckets, so visitors who
         * moved to a newer tick during the sum show up as a new tick. */
        uint64_t tick = atomic_load_acquire(&presence->segment.header->tick);
        if (tick == moment->tick || attempt == READER_ATTEMPTS)
            break;
        moment->tick = tick;
    }
    return sum < 0 ? 0 : sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

uint32_t reader_last_heartbeat(const struct presence *presence, uint32_t index,
                               const struct reader_moment *moment)
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    uint64_t last = atomic_load_relaxed(&entry->last_heartbeat); /* any recent value will do */
    uint64_t age = moment->tick > last ? moment->tick - last : 0;

    return age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

bool reader_is_gone(const struct presence *presence, uint64_t age_s)
{
    return age_s >= window_rounded(presence->header.geometry.max_window);
}

/* Assign field by field: a structure that is built and then copied waits for its own stores, a
 * tenth of a count's time. */
void reader_fill_reading(const struct presence *presence, const struct reader_moment *moment,
                         uint32_t window_s, uint32_t count, uint32_t last_heartbeat_s,
                         struct presence_reading *ret)
{
    ret->count = count;
    ret->window_s = window_rounded(window_s);
    ret->last_heartbeat_s = last_heartbeat_s;
    ret->exists = false;
    ret->known = false;
    ret->partial = false;
    ret->stale = reader_is_stale(moment);
    ret->warming = reader_is_warming(presence, moment);
    ret->as_of = reader_as_of(moment);
    ret->as_of_age_s = reader_tick_age(moment);
}

/* Load the reading of a scope that was found. -ENOENT it had no heartbeat within the longest
 * window; -EAGAIN the entry was reused meanwhile. */
static int load_scope(const struct presence *presence, enum scope_kind kind,
                      const struct reader_scope *scope, uint32_t window_s,
                      struct reader_moment *moment, struct presence_reading *ret)
{
    uint32_t count = reader_count(presence, scope->index, window_s, moment);
    uint32_t age = reader_last_heartbeat(presence, scope->index, moment);
    bool partial = reader_is_partial(presence, scope->site, scope->index, kind, window_s, moment);

    if (!reader_is_same(presence, scope))
        return -EAGAIN;
    if (reader_is_gone(presence, age))
        return -ENOENT;
    reader_fill_reading(presence, moment, window_s, count, age, ret);
    ret->exists = true;
    ret->known = true;
    ret->partial = partial;
    return 0;
}

int reader_load(struct presence *presence, const struct reader_place *place, uint32_t window_s,
                struct reader_moment *moment, struct presence_reading *ret,
                struct reader_scope *ret_scope)
{
    struct reader_scope scope;
    int r = -EAGAIN;

    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++) {
        r = reader_find(presence, place, &scope);
        if (r == 0)
            r = load_scope(presence, place->kind, &scope, window_s, moment, ret);
        if (r == -ENOENT)
            r = reader_load_absent(presence, place, &scope, window_s, moment, ret);
    }
    if (r == 0 && ret->exists && ret_scope)
        *ret_scope = scope;
    return r;
}

int presence_count_scope(struct presence *presence, enum presence_kind kind, const char *site,
                         const char *name, uint32_t window_s, struct presence_reading *ret)
{
    struct reader_place place;
    int r = reader_parse_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_current_moment(presence); /* may open another segment */
    r = reader_choose_window(presence, window_s, &window_s);
    if (r < 0)
        return r;
    return reader_load(presence, &place, window_s, &moment, ret, NULL);
}

int presence_count(struct presence *presence, const char *site, const char *room, uint32_t window_s,
                   struct presence_reading *ret)
{
    return presence_count_scope(presence, room ? PRESENCE_ROOM : PRESENCE_SITE, site, room,
                                window_s, ret);
}

/* ---- one visitor ------------------------------------------------------------------------- */

/* Derive the key that a place's visitors are hashed under, from its names alone. */
static struct scope_key key_of(const struct presence *presence, const struct reader_place *place)
{
    const uint64_t *secret = presence->header.secret;
    struct scope_name site = scope_name_site(secret, place->site.bytes, place->site.length);
    struct scope_key site_key = scope_key_derive(secret, NULL, &site);

    if (place->kind == SCOPE_SITE)
        return site_key;
    struct scope_name label =
        scope_name_label(&site, SCOPE_NONE, place->kind, place->label.bytes, place->label.length);
    return scope_key_derive(secret, &site_key, &label);
}

/* Find a visitor in a scope. True if they were there within the longest window: `*ret_age_s` is the
 * age in seconds of their last heartbeat, at `tick`. */
static bool find_visitor(const struct presence *presence, struct table_key key, uint64_t tick,
                         uint32_t *ret_age_s)
{
    uint64_t word;

    if (!table_find(&presence->segment.table, key, &word)) {
        /* Search again: a racing insert may have moved the key to a slot that the first search has
         * passed. Acquire: pairs with table_merge, which clears a copy only when another is there.
         */
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!table_find(&presence->segment.table, key, &word))
            return false;
    }
    uint64_t age = table_age(word, tick);
    if (age >= TABLE_AGE_FUTURE)
        age = 0; /* the word was written after the tick was loaded */
    if (reader_is_gone(presence, age))
        return false;
    *ret_age_s = (uint32_t)age;
    return true;
}

int presence_seen_scope(struct presence *presence, enum presence_kind kind, const char *site,
                        const char *name, const char *visitor, struct presence_reading *ret)
{
    struct reader_place place;
    struct presence_reading reading;
    uint8_t id[WIRE_VISITOR_SIZE];
    uint32_t age_s = 0;
    int r = reader_parse_place(kind, site, name, &place);

    if (r < 0)
        return r;
    size_t length = visitor ? strlen(visitor) : 0;
    if (length > WIRE_DATAGRAM_MAX ||
        !text_visitor_id((const uint8_t *)visitor, (uint32_t)length, id))
        return -EINVAL;

    struct reader_moment moment = reader_current_moment(presence); /* may open another segment */
    uint32_t longest = presence->header.geometry.max_window;
    r = reader_load(presence, &place, longest, &moment, &reading, NULL);
    if (r < 0)
        return r;
    struct scope_key scope = key_of(presence, &place);
    struct table_key key = table_key(hash_visitor(&scope, id), presence->segment.table.pairs);
    bool seen = find_visitor(presence, key, moment.tick, &age_s);

    reading.count = seen;
    reading.last_heartbeat_s = age_s;
    reading.exists = seen;
    reading.known = seen || !(reading.stale || reading.warming || reading.partial);
    *ret = reading;
    return 0;
}

int presence_seen(struct presence *presence, const char *site, const char *visitor,
                  struct presence_reading *ret)
{
    return presence_seen_scope(presence, PRESENCE_SITE, site, NULL, visitor, ret);
}
