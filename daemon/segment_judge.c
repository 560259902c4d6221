#include "segment_judge.h"

#include "core/ring_sum.h"
#include "core/scope_name.h"
#include "core/utf8.h"
#include "receive/stream_record.h"
#include "sampler.h"
#include "segment_judge_events.h"

#define BLOCK_PAIRS 64 /* judged at once */
#define CHAIN_MAX   64 /* hashes are keyed, and there are at least twice as many heads as entries */
#define BATCH_MAX   INT64_C(20480) /* visitors of one scope in a batch, at most */
#define BATCHES_MAX 4 /* of each worker, that kills may have cut off within one window */
#define DAY_MAX     INT64_C(100000000)
/* A word's age in seconds is below it: the sweep frees all within 18 h. An older one could come to
 * 2^19, where it seems to be ahead, before the first sweep after a start. */
#define AGE_MAX     (UINT64_C(1) << 18)
#define COUNTER_MAX (INT64_C(1) << 56)
/* A block may be negative: one worker counts a racing insert, another subtracts it. */
#define COUNTER_BELOW (-(INT64_C(1) << 32))
/* A history's total may be ahead of its scope's, for the same reason. */
#define AHEAD_MAX (INT64_C(1) << 32)

struct judge {
    const struct segment *segment;
    uint64_t now;
    uint64_t tick;     /* the segment's: nothing was counted after it */
    int64_t count_max; /* of a bucket, or of visitors in a window, even after kills */
    int64_t off_max;   /* error that killed batches may leave in a count, either way */
    int64_t live;      /* visitors that a bucket may count */
    uint64_t used;     /* words of the table */
    struct segment_fault *fault;
};

/* Describe a fault in `*ret`. Always false, so that the caller can return it. */
static bool fault(struct segment_fault *ret, const char *part, uint64_t index, const char *what)
{
    *ret = (struct segment_fault){part, index, what};
    return false;
}

/* True if a 32-bit tick can have been written at `now` or before. */
static bool is_past(uint32_t tick, uint64_t now)
{
    return (int32_t)((uint32_t)now - tick) >= 0;
}

static bool is_past_peak(uint64_t word, uint64_t now)
{
    return word == 0 || is_past((uint32_t)word, now);
}

/* ---- header and counters ------------------------------------------------------------------ */

#define ENDS(text) (header->text[sizeof(header->text) - 1] == '\0')

static bool texts_are_sound(const struct segment_header *header)
{
    return ENDS(receive) && ENDS(receive_reason) && ENDS(filter) && ENDS(filter_interface) &&
           ENDS(filter_reason) && ENDS(spread) && ENDS(spread_reason) && ENDS(listen_missing) &&
           ENDS(keys_refused);
}

/* True if a refusal's mark is not in the future: such a mark could hold for years. */
static bool is_mark(uint32_t mark, uint64_t now)
{
    return mark == 0 || is_past(mark - 1, now);
}

static bool header_is_sound(const struct judge *judge)
{
    const struct segment_header *header = judge->segment->header;
    const char *what = NULL;

    if (header->state < SEGMENT_STARTING || header->state > SEGMENT_REPLACED)
        what = "invalid state";
    else if (header->workers > SEGMENT_WORKERS_MAX)
        what = "too many workers";
    else if (header->listening_since != SEGMENT_NEVER && header->listening_since > judge->now)
        what = "listening since a future tick";
    else if (header->sampled != SEGMENT_NEVER && header->sampled > judge->tick)
        what = "sampled at a future tick";
    else if (header->day < 0 || header->day > DAY_MAX)
        what = "invalid day";
    else if (!is_mark(header->site_refused, judge->now) ||
             !is_mark(header->site_entry_refused, judge->now))
        what = "refusal at a future tick";
    else if (!texts_are_sound(header))
        what = "unterminated text";
    return !what || fault(judge->fault, "header", 0, what);
}

static bool counters_are_sound(const struct judge *judge)
{
    for (unsigned block = 0; block < SEGMENT_COUNTER_BLOCKS; block++) {
        for (unsigned i = 0; i < COUNTERS; i++) {
            int64_t value = (int64_t)judge->segment->counters[block].values[i];
            bool is_bounded = i != COUNTER_streams_expected; /* a datagram may add up to 2^31 */
            if (is_bounded && (value < COUNTER_BELOW || value > COUNTER_MAX))
                return fault(judge->fault, "counter block", block, "counter out of range");
        }
    }
    return true;
}

/* ---- the table and the rings --------------------------------------------------------------- */

/* Judge some pairs' words, and add them up. A tick ahead of the segment's would make a word look
 * fresh until it comes, though no bucket counts it; one of days ago soon would, too. Lanes of 32
 * bits, without a branch: free slots and used ones alternate at random. As vectors, 107 MB take 4
 * ms instead of 11 (x86-64). */
static inline __attribute__((always_inline)) bool pairs_are_sound(struct judge *judge,
                                                                  uint64_t first, unsigned count)
{
    const struct table *table = &judge->segment->table;
    const uint64_t *words = table_pair(table, (uint32_t)first);
    int32_t ages = 0, live = 0, used = 0;
    uint64_t slot = 0;

    for (unsigned i = 0; i < count * TABLE_PAIR_WORDS; i++) {
        uint32_t low = (uint32_t)words[i], high = (uint32_t)(words[i] >> 32);
        int32_t is_used = (low | high) != 0 ? -1 : 0;
        int32_t age = (int32_t)(((uint32_t)judge->tick - low) & TABLE_TICK_MASK) & is_used;
        ages |= age; /* at least AGE_MAX, a single bit, if any of them is */
        used -= is_used;
        live -= (age < (int32_t)table->expiry ? -1 : 0) & is_used;
    }
    judge->live += live;
    judge->used += (uint64_t)used;
    if (ages < (int32_t)AGE_MAX)
        return true;
    while (words[slot] == 0 || table_age(words[slot], judge->tick) < AGE_MAX)
        slot++;
    return fault(judge->fault, "slot", first * TABLE_PAIR_WORDS + slot,
                 "tick ahead of the segment's, or of days ago");
}

static bool table_is_sound(struct judge *judge)
{
    const uint64_t pairs = judge->segment->table.pairs, blocks = pairs / BLOCK_PAIRS;
    bool is_sound = true;

    for (uint64_t i = 0; is_sound && i < blocks; i++)
        is_sound = pairs_are_sound(judge, i * BLOCK_PAIRS, BLOCK_PAIRS);
    for (uint64_t i = blocks * BLOCK_PAIRS; is_sound && i < pairs; i++)
        is_sound = pairs_are_sound(judge, i, 1);
    return is_sound;
}

/* Find a fault in a ring's buckets; NULL: none. A bucket in the future would drop all changes until
 * its tick comes. */
static const char *find_bucket_fault(const struct judge *judge, const uint64_t *buckets,
                                     uint32_t size, uint64_t now)
{
    for (uint32_t i = 0; i < size; i++) {
        uint32_t tag = (uint32_t)(buckets[i] >> 32);
        int32_t count = (int32_t)(uint32_t)buckets[i];
        if (buckets[i] == 0)
            continue;
        if (tag % size != i)
            return "misplaced bucket";
        if (!is_past(tag, now))
            return "bucket ahead of the segment's tick";
        if (count < -judge->count_max || count > judge->count_max)
            return "bucket's count out of range";
    }
    return NULL;
}

static bool is_count(const struct judge *judge, int64_t count)
{
    return count >= -judge->off_max && count <= judge->live + judge->off_max;
}

static const char *find_ring_fault(const struct judge *judge, const struct ring *ring)
{
    uint32_t window = judge->segment->max_window;
    uint32_t fine = window < WINDOW_FINE_MAX ? window : WINDOW_FINE_MAX;
    const char *what = find_bucket_fault(judge, ring->seconds, RING_SECONDS, judge->tick);

    if (!what)
        what = find_bucket_fault(judge, ring->minutes, RING_MINUTES, judge->tick / 60);
    if (!what && (!is_count(judge, ring_count(ring, judge->tick, fine)) ||
                  !is_count(judge, ring_count(ring, judge->tick, window))))
        what = "impossible count of visitors";
    return what;
}

/* ---- the directory ------------------------------------------------------------------------- */

static bool is_scope_name(enum scope_kind kind, const uint8_t *bytes, uint32_t length)
{
    if (length == 0 || length > (kind == SCOPE_ROOM ? SCOPE_NAME_MAX : HISTORY_SITE_MAX) ||
        !utf8_is_name(bytes, length))
        return false;
    for (uint32_t i = 0; kind == SCOPE_SITE && i < length; i++)
        if (utf8_is_within(bytes[i], 'A', 'Z'))
            return false;
    return kind != SCOPE_COUNTRY || (length == 2 && utf8_is_within(bytes[0], 'A', 'Z') &&
                                     utf8_is_within(bytes[1], 'A', 'Z'));
}

/* True if all chains end and hold their own entries only. Freed entries may still be linked, and
 * live ones may not be linked yet. */
static bool chains_are_sound(const struct judge *judge)
{
    const struct directory *directory = &judge->segment->directory;

    for (uint32_t head = 0; head <= directory->head_mask; head++) {
        uint32_t link = directory->heads[head];
        for (unsigned length = 0; link; length++) {
            if (link > directory->capacity || length == CHAIN_MAX)
                return fault(judge->fault, "chain", head, "broken chain");
            const struct scope_entry *entry = &directory->entries[link - 1];
            if (((uint32_t)entry->hash & directory->head_mask) != head)
                return fault(judge->fault, "chain", head, "entry of another chain");
            link = entry->next;
        }
    }
    return true;
}

/* Return the name of a live entry whose place is sound. */
static struct scope_name name_of(const struct judge *judge, uint32_t index)
{
    const uint64_t *secret = judge->segment->header->secret;
    const struct scope_entry *entries = judge->segment->directory.entries;
    const struct scope_entry *entry = &entries[index];

    if (entry->kind == SCOPE_SITE)
        return scope_name_site(secret, entry->name, entry->name_length);
    const struct scope_entry *site = &entries[entry->site];
    struct scope_name site_name = scope_name_site(secret, site->name, site->name_length);
    return scope_name_label(&site_name, entry->site, (enum scope_kind)entry->kind, entry->name,
                            entry->name_length);
}

static const char *find_place_fault(const struct directory *directory, uint32_t index)
{
    const struct scope_entry *entry = &directory->entries[index];

    if (entry->kind >= SCOPE_KINDS)
        return "invalid kind";
    if (!is_scope_name((enum scope_kind)entry->kind, entry->name, entry->name_length))
        return "invalid name";
    if (entry->kind == SCOPE_SITE)
        return entry->site == index ? NULL : "a site that names another entry as its site";
    if (entry->site >= directory->capacity)
        return "site out of range";
    const struct scope_entry *site = &directory->entries[entry->site];
    if (site->kind != SCOPE_SITE || scope_state_of(site->state) == SCOPE_FREE ||
        !is_scope_name(SCOPE_SITE, site->name, site->name_length))
        return "invalid site";
    return NULL;
}

static const char *find_identity_fault(const struct judge *judge, uint32_t index)
{
    const struct directory *directory = &judge->segment->directory;
    const struct scope_entry *entry = &directory->entries[index];
    struct scope_name name = name_of(judge, index);
    const struct scope_key *site_key =
        entry->kind == SCOPE_SITE ? NULL : &directory->entries[entry->site].key;
    struct scope_key key = scope_key_derive(judge->segment->header->secret, site_key, &name);
    uint64_t state;

    if (entry->hash != name.hash || __builtin_memcmp(&entry->key, &key, sizeof(key)) != 0)
        return "hash or key of another name";
    uint32_t found = scope_find(directory, &name, &state);
    return found == index || found == SCOPE_NONE ? NULL : "name of another entry";
}

static const char *find_entry_fault(const struct judge *judge, uint32_t index)
{
    const struct directory *directory = &judge->segment->directory;
    const struct scope_entry *entry = &directory->entries[index];
    const struct activity *activity = &directory->activities[index];

    if (entry->last_heartbeat > judge->now || activity->since > judge->now)
        return "heartbeat at a future tick";
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        if (!is_mark(entry->scopes_refused[kind], judge->now) ||
            !is_mark(entry->entries_refused[kind], judge->now))
            return "refusal at a future tick";
    if (!is_past_peak(activity->peak_today, judge->now) ||
        !is_past_peak(activity->peak_ever, judge->now))
        return "peak at a future tick";
    const uint64_t *totals = &activity->heartbeats; /* the first of four in a row */
    for (unsigned i = 0; i < 4; i++)
        if ((int64_t)totals[i] < COUNTER_BELOW || (int64_t)totals[i] > COUNTER_MAX)
            return "total out of range";
    return find_ring_fault(judge, &directory->rings[index]);
}

static bool scopes_are_sound(const struct judge *judge)
{
    const struct directory *directory = &judge->segment->directory;

    for (uint32_t i = 0; i < directory->capacity; i++) {
        uint64_t state = directory->entries[i].state;
        if (scope_state_of(state) == SCOPE_FREE)
            continue;
        const char *what = scope_state_of(state) > SCOPE_RETIRING ? "invalid state" : NULL;
        if (!what)
            what = find_place_fault(directory, i);
        if (!what)
            what = find_identity_fault(judge, i);
        if (!what)
            what = find_entry_fault(judge, i);
        if (what)
            return fault(judge->fault, "scope", i, what);
    }
    return true;
}

/* ---- histories ------------------------------------------------------------------------------ */

/* True if a minute's record is sound, or was being written when its daemon was killed. */
static bool minute_is_sound(const struct history_minute *record, uint32_t place, uint64_t now)
{
    uint64_t minute = history_mark_minute(record->mark);
    uint32_t samples = history_mark_samples(record->mark);

    if (record->mark == 0)
        return true;
    return record->mark & HISTORY_MARK_USED && minute <= now / 60 &&
           minute % HISTORY_MINUTES == place && samples > 0 && record->minimum <= record->maximum &&
           record->sum <= (uint64_t)samples * record->maximum;
}

static bool minutes_are_sound(const struct histories *histories, uint32_t index, uint64_t now)
{
    for (uint32_t i = 0; i < HISTORY_MINUTES; i++)
        if (!minute_is_sound(history_minute_at(histories, index, i), i, now))
            return false;
    return true;
}

static bool seconds_are_sound(const struct history *head, uint64_t now)
{
    for (uint32_t i = 0; i < HISTORY_SECONDS; i++) {
        uint64_t mark = head->seconds[i].mark;
        if (mark && (mark - 1 > now || (mark - 1) % HISTORY_SECONDS != i))
            return false;
    }
    return true;
}

static bool history_is_named(const struct segment *segment, const struct history *head)
{
    enum scope_kind kind = (enum scope_kind)head->kind;

    if (head->kind >= SCOPE_KINDS || head->site_length > HISTORY_SITE_MAX ||
        !is_scope_name(SCOPE_SITE, head->site, head->site_length))
        return false;
    struct scope_name name =
        scope_name_site(segment->header->secret, head->site, head->site_length);
    if (kind == SCOPE_SITE)
        return head->name_length == 0 && head->hash == name.hash;
    if (!is_scope_name(kind, head->name, head->name_length))
        return false;
    name = scope_name_label(&name, SCOPE_NONE, kind, head->name, head->name_length);
    return head->hash == name.hash;
}

static bool is_ahead(uint64_t sampled, uint64_t total)
{
    return (int64_t)(sampled - total) > AHEAD_MAX;
}

/* True if the totals at the last sample are no more than AHEAD_MAX ahead of the scope's. */
static bool totals_are_sound(const struct segment *segment, const struct history *head)
{
    const struct directory *directory = &segment->directory;

    if (head->scope == SCOPE_NONE)
        return true;
    const struct scope_entry *entry = &directory->entries[head->scope];
    if (head->state != (entry->state & ~SCOPE_STATE_MASK) || head->hash != entry->hash ||
        scope_state_of(entry->state) == SCOPE_FREE)
        return true;
    const struct activity *totals = &directory->activities[head->scope];
    return !is_ahead(head->heartbeats, totals->heartbeats) &&
           !is_ahead(head->pageviews, totals->pageviews) &&
           !is_ahead(head->entries, totals->entries) && !is_ahead(head->leaves, totals->leaves);
}

static const char *find_history_fault(const struct segment *segment, uint32_t index, uint64_t now,
                                      int64_t count_max)
{
    const struct history *head = &segment->histories.heads[index];

    if (!history_is_named(segment, head))
        return "invalid name";
    if (head->scope != SCOPE_NONE && head->scope >= segment->directory.capacity)
        return "scope out of range";
    if ((head->sampled != HISTORY_NEVER && head->sampled > now) || head->last_heartbeat > now ||
        head->since > now)
        return "sampled at a future tick";
    if (!is_past_peak(head->peak_today, now) || !is_past_peak(head->peak_ever, now))
        return "peak at a future tick";
    if (head->count > count_max || head->departure_deficit > 0 ||
        head->departure_deficit < SAMPLER_DEFICIT_MIN || !totals_are_sound(segment, head))
        return "counts out of range";
    if (!seconds_are_sound(head, now) || !minutes_are_sound(&segment->histories, index, now))
        return "impossible record";
    return NULL;
}

static bool histories_are_sound(const struct segment *segment, uint64_t now, int64_t count_max,
                                struct segment_fault *ret)
{
    uint32_t high_water = histories_high_water(&segment->histories);

    for (uint32_t i = 0; i < high_water; i++) {
        const struct history *head = &segment->histories.heads[i];
        if (head->version > HISTORY_VERSION_MAX)
            return fault(ret, "history", i, "version out of range");
        if (head->version & 1 || head->site_length == 0)
            continue; /* free, or its daemon was killed while assigning it */
        const char *what = find_history_fault(segment, i, now, count_max);
        if (what)
            return fault(ret, "history", i, what);
    }
    return true;
}

/* ---- streams -------------------------------------------------------------------------------- */

static bool streams_are_sound(const struct judge *judge)
{
    const struct streams *streams = &judge->segment->streams;

    for (uint32_t i = 0; i < streams->capacity; i++) {
        const struct stream *stream = &streams->slots[i];
        const char *what = stream->version > STREAM_VERSION_MAX ? "version out of range" : NULL;
        if (!what)
            what = stream_find_fault(stream, judge->now);
        if (what)
            return fault(judge->fault, "stream", i, what);
    }
    return true;
}

/* ---- the whole ----------------------------------------------------------------------------- */

bool segment_is_sound(const struct segment *segment, uint64_t now, uint64_t *ret_entries,
                      struct segment_fault *ret)
{
    int64_t slots = (int64_t)(segment->table.pairs * TABLE_PAIR_WORDS);
    uint32_t workers = segment->header->workers ? segment->header->workers : 1;
    int64_t in_flight = BATCH_MAX * BATCHES_MAX * workers;
    int64_t off_max = in_flight < slots ? in_flight : slots; /* a batch moves each word once */
    struct judge judge = {
        .segment = segment,
        .now = now,
        .tick = segment->header->tick,
        .count_max = slots + off_max,
        .off_max = off_max,
        .fault = ret,
    };

    bool is_sound = header_is_sound(&judge) && counters_are_sound(&judge) &&
                    table_is_sound(&judge) && chains_are_sound(&judge) &&
                    scopes_are_sound(&judge) &&
                    histories_are_sound(segment, now, judge.count_max, ret) &&
                    events_are_sound(&segment->events, ret) && streams_are_sound(&judge);
    if (is_sound)
        *ret_entries = judge.used;
    return is_sound;
}
