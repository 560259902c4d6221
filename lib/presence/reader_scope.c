#include "reader.h"

#include <errno.h>
#include <string.h>

#include "core/utf8.h"

_Static_assert((int)PRESENCE_SITE == (int)SCOPE_SITE && (int)PRESENCE_ROOM == (int)SCOPE_ROOM &&
                   (int)PRESENCE_COUNTRY == (int)SCOPE_COUNTRY &&
                   (int)PRESENCE_SOURCE == (int)SCOPE_SOURCE,
               "the public kinds are the directory's");

/* ---- names ------------------------------------------------------------------------------- */

static int take_name(const char *text, uint32_t longest, struct wire_name *ret)
{
    if (!text)
        return -EINVAL;
    size_t length = strnlen(text, longest + 1);
    if (length == 0 || length > longest)
        return -EINVAL;
    *ret = (struct wire_name){(const uint8_t *)text, (uint32_t)length};
    return 0;
}

static uint8_t upper_case(uint8_t byte)
{
    return utf8_is_within(byte, 'a', 'z') ? byte & 0xdf : byte;
}

int reader_place(enum presence_kind kind, const char *site, const char *name,
                 struct reader_place *ret)
{
    static const uint32_t longest[SCOPE_KINDS] = {WIRE_SITE_MAX, WIRE_ROOM_MAX, 2, WIRE_SOURCE_MAX};

    if ((unsigned)kind >= SCOPE_KINDS)
        return -EINVAL;
    ret->kind = (enum scope_kind)kind;
    int r = take_name(site, WIRE_SITE_MAX, &ret->site);
    if (r < 0)
        return r;
    wire_lower_site(&ret->site, ret->site_bytes);
    if (kind == PRESENCE_SITE)
        return 0;
    r = take_name(name, longest[kind], &ret->label);
    if (r == 0 && kind == PRESENCE_COUNTRY) {
        if (ret->label.length != 2)
            return -EINVAL;
        ret->country[0] = upper_case(ret->label.bytes[0]);
        ret->country[1] = upper_case(ret->label.bytes[1]);
        ret->label.bytes = ret->country;
    }
    return r;
}

/* ---- the directory ----------------------------------------------------------------------- */

static int find_once(const struct presence *presence, const struct reader_place *place,
                     struct reader_scope *ret)
{
    const struct directory *directory = &presence->segment.directory;
    struct reader_scope scope;
    struct scope_name site =
        scope_name_site(presence->header.secret, place->site.bytes, place->site.length);

    scope.site = scope_find(directory, &site, &scope.site_state);
    if (scope.site == SCOPE_NONE)
        return -ENOENT;
    scope.index = scope.site;
    scope.state = scope.site_state;
    if (place->kind != SCOPE_SITE) {
        struct scope_name label = scope_name_label(&site, scope.site, place->kind,
                                                   place->label.bytes, place->label.length);
        scope.index = scope_find(directory, &label, &scope.state);
        if (scope.index == SCOPE_NONE)
            return -ENOENT;
    }
    *ret = scope;
    return 0;
}

int reader_find(const struct presence *presence, const struct reader_place *place,
                struct reader_scope *ret)
{
    const uint64_t *changes = &presence->segment.header->directory_changes;
    uint64_t before = atomic_load_acquire(changes); /* pairs with the daemon's free_entry */
    int r = find_once(presence, place, ret);

    if (r != -ENOENT)
        return r;
    /* The fence orders all that was read on the way before this load: an entry that was reused
     * under our feet may have led us into another chain. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(changes) == before ? -ENOENT : -EAGAIN;
}

bool reader_copy_name(const struct scope_entry *entry, char ret[PRESENCE_NAME_MAX + 1])
{
    uint8_t bytes[SCOPE_NAME_MAX];
    uint32_t length = *(const volatile uint8_t *)&entry->name_length; /* once: it may change */

    memcpy(bytes, entry->name, length);
    if (length == 0 || !utf8_is_name(bytes, length))
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

int reader_window(const struct presence *presence, uint32_t wanted_s, uint32_t *ret)
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
        /* Acquire: pairs with collector_advance. Loaded after all buckets: visitors who moved to a
         * newer tick while we summed are found out by it. */
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

struct presence_reading reader_reading(const struct presence *presence,
                                       const struct reader_moment *moment, uint32_t window_s,
                                       uint32_t count, uint32_t last_heartbeat_s)
{
    return (struct presence_reading){
        .count = count,
        .window_s = window_rounded(window_s),
        .last_heartbeat_s = last_heartbeat_s,
        .stale = reader_is_stale(moment),
        .warming = reader_is_warming(presence, moment),
        .as_of = reader_as_of(moment),
        .as_of_age_s = reader_tick_age(moment),
    };
}

int reader_read(struct presence *presence, const struct reader_place *place, uint32_t window_s,
                struct reader_moment *moment, struct presence_reading *ret,
                struct reader_scope *ret_scope)
{
    struct reader_scope scope;

    for (int attempt = 0; attempt < READER_ATTEMPTS; attempt++) {
        int r = reader_find(presence, place, &scope);
        if (r == -ENOENT)
            return r;
        if (r < 0)
            continue;
        uint32_t count = reader_count(presence, scope.index, window_s, moment);
        uint32_t age = reader_last_heartbeat(presence, scope.index, moment);
        if (!reader_is_same(presence, &scope))
            continue;
        if (reader_is_gone(presence, age))
            return -ENOENT;
        *ret = reader_reading(presence, moment, window_s, count, age);
        if (ret_scope)
            *ret_scope = scope;
        return 0;
    }
    return -EAGAIN;
}

int presence_count_scope(struct presence *presence, enum presence_kind kind, const char *site,
                         const char *name, uint32_t window_s, struct presence_reading *ret)
{
    struct reader_place place;
    int r = reader_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_moment(presence); /* may open another segment */
    r = reader_window(presence, window_s, &window_s);
    if (r < 0)
        return r;
    return reader_read(presence, &place, window_s, &moment, ret, NULL);
}

int presence_count(struct presence *presence, const char *site, const char *room, uint32_t window_s,
                   struct presence_reading *ret)
{
    return presence_count_scope(presence, room ? PRESENCE_ROOM : PRESENCE_SITE, site, room,
                                window_s, ret);
}
