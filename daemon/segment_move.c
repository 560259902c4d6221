#include "segment_move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring_sum.h"
#include "history_pool.h"

/* Earlier versions. Their headers had fewer fields, and they had no streams. */
static const struct {
    uint16_t abi_major;
    uint32_t header_size; /* bytes */
} earlier[] = {
    {2, 592}, /* up to the day */
    {3, 816}, /* up to the missing addresses */
    {4, 944}, /* all of it */
};

struct move {
    const struct segment *old, *new;
    bool keeps_counts;
    uint32_t *scopes;    /* by old index: the new one, or SCOPE_NONE */
    uint32_t *histories; /* old indexes of those that move, in the order of the new ones */
    struct segment_moved moved;
};

/* ---- scopes ------------------------------------------------------------------------------- */

static const struct scope_entry *old_entry(const struct move *move, uint32_t index)
{
    return &move->old->directory.entries[index];
}

static bool is_live(const struct move *move, uint32_t index)
{
    return scope_state_of(old_entry(move, index)->state) != SCOPE_FREE;
}

/* True if no window counts a visitor in the scope: dropping it makes no count wrong. */
static bool is_idle(const struct move *move, const struct scope_entry *entry)
{
    return entry->last_heartbeat + window_rounded(move->old->max_window) < move->old->header->tick;
}

/* Order scopes by who gets room first: active before idle ones, then sites before labels, then the
 * latest heartbeat. */
static int compare_scopes(const void *left, const void *right, void *context)
{
    const struct move *move = context;
    const struct scope_entry *a = old_entry(move, *(const uint32_t *)left);
    const struct scope_entry *b = old_entry(move, *(const uint32_t *)right);
    int order = is_idle(move, a) - is_idle(move, b);

    if (order == 0)
        order = (a->kind != SCOPE_SITE) - (b->kind != SCOPE_SITE);
    if (order == 0)
        order = (a->last_heartbeat < b->last_heartbeat) - (a->last_heartbeat > b->last_heartbeat);
    return order ? order : (a > b) - (a < b);
}

/* Keep as many of the order as have room. A label whose site is dropped is dropped, too. */
static void keep_scopes(struct move *move, const uint32_t *order, uint32_t live)
{
    uint32_t room = move->new->directory.capacity, next = 0;

    for (uint32_t i = 0; i < live; i++) {
        uint32_t site = old_entry(move, order[i])->site;
        bool fits = i < room && (site == order[i] || move->scopes[site] != SCOPE_NONE);
        if (fits) {
            move->scopes[order[i]] = 0; /* numbered below */
            continue;
        }
        move->moved.scopes++;
        if (!is_idle(move, old_entry(move, order[i])))
            move->keeps_counts = false; /* its visitors would be counted nowhere */
    }
    for (uint32_t i = 0; i < move->old->directory.capacity; i++)
        if (move->scopes[i] != SCOPE_NONE)
            move->scopes[i] = next++;
}

/* Decide each scope's new index. If all have room, they keep theirs. */
static int place_scopes(struct move *move)
{
    uint32_t capacity = move->old->directory.capacity, live = 0, last = 0;
    uint32_t *order = calloc(capacity, sizeof(*order));

    if (!order)
        return -ENOMEM;
    for (uint32_t i = 0; i < capacity; i++) {
        move->scopes[i] = SCOPE_NONE;
        if (!is_live(move, i))
            continue;
        order[live++] = last = i;
    }
    if (last < move->new->directory.capacity) {
        for (uint32_t i = 0; i < live; i++)
            move->scopes[order[i]] = order[i];
    } else {
        qsort_r(order, live, sizeof(*order), compare_scopes, move);
        keep_scopes(move, order, live);
    }
    free(order);
    return 0;
}

static void move_scope(const struct move *move, uint32_t from, uint32_t to)
{
    const struct directory *old = &move->old->directory, *new = &move->new->directory;
    struct scope_entry *entry = &new->entries[to];
    uint32_t *head = scope_head(new, old->entries[from].hash);

    *entry = old->entries[from];
    entry->state = (entry->state & ~SCOPE_STATE_MASK) | SCOPE_LIVE;
    entry->site = move->scopes[entry->site];
    entry->next = *head;
    *head = to + 1;
    new->activities[to] = old->activities[from];
    if (move->keeps_counts)
        new->rings[to] = old->rings[from];
}

static void move_scopes(const struct move *move)
{
    for (uint32_t i = 0; i < move->old->directory.capacity; i++)
        if (move->scopes[i] != SCOPE_NONE)
            move_scope(move, i, move->scopes[i]);
}

/* ---- entries ------------------------------------------------------------------------------ */

/* Return the oldest tick that the longest window of the old segment counts. */
static uint64_t oldest_counted(const struct segment *old)
{
    uint64_t tick = old->header->tick, minutes = window_rounded(old->max_window) / 60;

    if (old->max_window <= WINDOW_FINE_MAX)
        return tick >= old->max_window ? tick - old->max_window + 1 : 0;
    return tick / 60 >= minutes ? (tick / 60 - minutes + 1) * 60 : 0;
}

static bool is_before(uint64_t word, uint64_t tag)
{
    return (int32_t)((uint32_t)(word >> 32) - (uint32_t)tag) < 0;
}

/* Clear a ring's buckets before `oldest`. Recompute the minute that it cuts from the seconds left.
 */
static void cut_ring(struct ring *ring, uint64_t oldest)
{
    uint64_t minute = oldest / 60;
    uint64_t *bucket = &ring->minutes[minute % RING_MINUTES];
    int64_t rest = 0;

    for (unsigned i = 0; i < RING_SECONDS; i++)
        if (is_before(ring->seconds[i], oldest))
            ring->seconds[i] = 0;
    for (unsigned i = 0; i < RING_MINUTES; i++)
        if (is_before(ring->minutes[i], minute))
            ring->minutes[i] = 0;
    if (oldest % 60 == 0 || (uint32_t)(*bucket >> 32) != (uint32_t)minute)
        return;
    for (uint64_t tick = oldest; tick / 60 == minute; tick++)
        rest += ring_bucket_count(&ring->seconds[tick % RING_SECONDS], (uint32_t)tick);
    *bucket = minute << 32 | (uint32_t)rest;
}

/* Clear the words and buckets that the old longest window did not count. A longer window would
 * count buckets whose words may have lost their slots already: a visitor who came back would not be
 * taken out of the old bucket. */
static void cut_to_window(const struct move *move)
{
    const struct segment *new = move->new;
    uint64_t tick = move->old->header->tick, oldest = oldest_counted(move->old);

    for (uint64_t i = 0; i < new->table.pairs *TABLE_PAIR_WORDS; i++)
        if (table_age(new->table.words[i], tick) > tick - oldest)
            new->table.words[i] = 0;
    for (uint32_t i = 0; i < new->directory.capacity; i++)
        if (scope_state_of(new->directory.entries[i].state) != SCOPE_FREE)
            cut_ring(&new->directory.rings[i], oldest);
}

static void move_entries(const struct move *move)
{
    const struct table *old = &move->old->table;

    memcpy(move->new->table.words, old->words, old->pairs * TABLE_PAIR_WORDS * sizeof(uint64_t));
    if (window_rounded(move->new->max_window) > window_rounded(move->old->max_window))
        cut_to_window(move);
}

/* ---- histories ---------------------------------------------------------------------------- */

static const struct history *old_history(const struct move *move, uint32_t index)
{
    return &move->old->histories.heads[index];
}

static bool is_kept_history(const struct history *head)
{
    return !(head->version & 1) && head->site_length != 0;
}

/* Order histories by who gets room first: sites, then the busiest. */
static int compare_histories(const void *left, const void *right, void *context)
{
    const struct history *a = old_history(context, *(const uint32_t *)left);
    const struct history *b = old_history(context, *(const uint32_t *)right);
    int order = (a->kind != SCOPE_SITE) - (b->kind != SCOPE_SITE);

    if (order == 0)
        order = (a->count < b->count) - (a->count > b->count);
    if (order == 0)
        order = (a->last_heartbeat < b->last_heartbeat) - (a->last_heartbeat > b->last_heartbeat);
    return order ? order : (a > b) - (a < b);
}

/* Return the new index of the scope that a history follows, or SCOPE_NONE. */
static uint32_t new_scope(const struct move *move, const struct history *head)
{
    if (head->scope == SCOPE_NONE)
        return SCOPE_NONE;
    const struct scope_entry *entry = old_entry(move, head->scope);
    if (!is_live(move, head->scope) || head->state != (entry->state & ~SCOPE_STATE_MASK) ||
        head->hash != entry->hash)
        return SCOPE_NONE;
    return move->scopes[head->scope];
}

/* Adjust the last sample so that the next one sees no departures: the visitors whose words did not
 * move are gone, but have not departed. Changes since the last sample are still credited. */
static void restart_departures(const struct move *move, struct history *head)
{
    const struct directory *directory = &move->new->directory;
    int64_t count = 0, pending = 0;

    if (head->scope != SCOPE_NONE) {
        const struct activity *activity = &directory->activities[head->scope];
        pending = (int64_t)(activity->entries - head->entries) -
                  (int64_t)(activity->leaves - head->leaves);
        count = ring_count(&directory->rings[head->scope], move->old->header->tick,
                           history_window(move->new->max_window));
    }
    count = (count < 0 ? 0 : count) - (pending < 0 ? pending : 0);
    head->count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
    head->departure_deficit = pending > 0 ? -pending : 0;
}

static void move_history(const struct move *move, uint32_t from, uint32_t to)
{
    const struct histories *old = &move->old->histories, *new = &move->new->histories;
    struct history *head = &new->heads[to];

    *head = old->heads[from];
    memcpy(history_minute_at(new, to, 0), history_minute_at(old, from, 0),
           HISTORY_MINUTES * sizeof(struct history_minute));
    head->scope = new_scope(move, head);
    if (!move->keeps_counts ||
        history_window(move->old->max_window) != history_window(move->new->max_window))
        restart_departures(move, head);
}

/* Hand the peaks of a history that finds no room to its scope. */
static void leave_peaks(const struct move *move, uint32_t from)
{
    const struct history *head = old_history(move, from);
    uint32_t scope = history_pool_find_scope(move->new, head);

    if (scope == SCOPE_NONE)
        return;
    struct activity *activity = &move->new->directory.activities[scope];
    activity->peak_today = head->peak_today;
    activity->peak_ever = head->peak_ever;
    activity->since = head->since;
}

static int compare_indexes(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void move_histories(struct move *move)
{
    uint32_t high_water = histories_high_water(&move->old->histories);
    uint32_t room = move->new->histories.capacity;
    uint32_t *kept = move->histories, count = 0;

    for (uint32_t i = 0; i < high_water; i++)
        if (is_kept_history(old_history(move, i)))
            kept[count++] = i;
    if (count > room) {
        qsort_r(kept, count, sizeof(*kept), compare_histories, move);
        for (uint32_t i = room; i < count; i++)
            leave_peaks(move, kept[i]);
        move->moved.histories = count - room;
        count = room;
        qsort(kept, count, sizeof(*kept), compare_indexes);
    }
    for (uint32_t i = 0; i < count; i++)
        move_history(move, kept[i], i);
}

/* ---- events ------------------------------------------------------------------------------- */

static void move_event(const struct events *old, const struct events *new, uint64_t number)
{
    const struct event_slot *from = event_slot_at(old, number);
    struct event_slot *to = event_slot_at(new, number);

    *to = *from;
    if (from->state == number * 2)
        return;
    to->claim |= EVENT_HOLE; /* its writer was killed, see events_adopt */
    to->state = 0;
}

/* Move the newest events. Numbers go on, so a reader that has read to the end misses nothing. */
static void move_events(struct move *move)
{
    const struct events *old = &move->old->events, *new = &move->new->events;

    if (old->capacity == 0 || new->capacity == 0) {
        move->moved.events = old->capacity ? old->head->next - old->head->first : 0;
        if (move->moved.events > old->capacity)
            move->moved.events = old->capacity;
        return;
    }
    uint64_t first = old->head->first, next = old->head->next;
    uint64_t before = event_claim_time(event_slot_at(old, next - 1)->claim);
    if (event_claim_time(event_slot_at(old, next)->claim) > before)
        next++; /* claimed by a daemon that was killed, see events_adopt */
    uint64_t held = next - first < old->capacity ? next - first : old->capacity;
    uint64_t count = held < new->capacity ? held : new->capacity;
    for (uint64_t number = next - count; number < next; number++)
        move_event(old, new, number);
    /* A longer ring begins with the oldest event held, or earlier ones would seem missed. */
    new->head->first = new->capacity > old->capacity ? next - count : first;
    new->head->next = next;
    move->moved.events = held - count;
}

/* ---- streams ------------------------------------------------------------------------------ */

/* Order streams by when they were last heard, the latest first. Of those heard in the same second
 * the higher slots come first, as if they were later: streams_open does the same. */
static int compare_streams(const void *left, const void *right, void *context)
{
    const struct move *move = context;
    const struct stream *a = &move->old->streams.slots[*(const uint32_t *)left];
    const struct stream *b = &move->old->streams.slots[*(const uint32_t *)right];
    int order = (a->last_tick < b->last_tick) - (a->last_tick > b->last_tick);

    return order ? order : (a < b) - (a > b);
}

/* Move the streams; if not all have room, those that were heard last. streams_open repairs one that
 * a killed daemon was writing. */
static int move_streams(struct move *move)
{
    const struct streams *old = &move->old->streams, *new = &move->new->streams;
    uint32_t *kept = calloc((size_t)old->capacity + 1, sizeof(*kept)), count = 0;

    if (!kept)
        return -ENOMEM;
    for (uint32_t i = 0; i < old->capacity; i++)
        if (old->slots[i].id != 0)
            kept[count++] = i;
    if (count > new->capacity) {
        qsort_r(kept, count, sizeof(*kept), compare_streams, move);
        move->moved.streams = count - new->capacity;
        count = new->capacity;
    }
    for (uint32_t i = 0; i < count; i++)
        new->slots[i] = old->slots[kept[i]];
    free(kept);
    return 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static void move_header(const struct move *move)
{
    const struct segment_header *old = move->old->header;
    struct segment_header *new = move->new->header;

    memcpy(new->secret, old->secret, sizeof(new->secret)); /* of hashes and fingerprints */
    new->sampled = old->sampled;
    new->day = old->day;
    new->site_refused = old->site_refused;
    new->site_entry_refused = old->site_entry_refused;
    if (!move->keeps_counts)
        return; /* counts warm up from now on */
    new->tick = old->tick;
    new->listening_since = old->listening_since;
}

bool segment_move_upgrade_header(const struct segment_header *header, struct segment_header *ret)
{
    if (header->abi_major == SEGMENT_ABI_MAJOR) {
        *ret = *header;
        return true;
    }
    size_t i = 0;
    while (i < sizeof(earlier) / sizeof(earlier[0]) && header->abi_major != earlier[i].abi_major)
        i++;
    if (i == sizeof(earlier) / sizeof(earlier[0]) || header->header_size != earlier[i].header_size)
        return false;
    struct segment_header upgraded = {0};
    memcpy(&upgraded, header, earlier[i].header_size);
    upgraded.abi_major = SEGMENT_ABI_MAJOR;
    upgraded.abi_minor = SEGMENT_ABI_MINOR;
    upgraded.header_size = sizeof(upgraded);
    struct segment_section *sections = upgraded.geometry.sections;
    sections[SECTION_STREAMS].offset = segment_align(
        sections[SECTION_EVENTS].offset + sections[SECTION_EVENTS].size, SEGMENT_ALIGNMENT);
    *ret = upgraded;
    return true;
}

int segment_move(const struct segment *old, const struct segment *new, struct segment_moved *ret)
{
    struct move move = {
        .old = old,
        .new = new,
        .keeps_counts = old->table.pairs == new->table.pairs,
        .scopes = calloc(old->directory.capacity, sizeof(*move.scopes)),
        .histories = calloc((size_t)old->histories.capacity + 1, sizeof(*move.histories)),
    };
    int r = move.scopes && move.histories ? place_scopes(&move) : -ENOMEM;

    if (r < 0)
        goto out;
    r = move_streams(&move);
    if (r < 0)
        goto out;
    move_header(&move);
    memcpy(new->counters, old->counters, SEGMENT_COUNTER_BLOCKS * sizeof(*new->counters));
    move_scopes(&move);
    if (move.keeps_counts)
        move_entries(&move);
    move_histories(&move);
    move_events(&move);
    move.moved.counts = move.keeps_counts;
    *ret = move.moved;
out:
    free(move.scopes);
    free(move.histories);
    return r;
}
