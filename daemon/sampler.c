#include "sampler.h"

#include "core/ring_sum.h"

#define DAY   86400 /* seconds; the minutes of a history reach back as far */
#define DELAY 5     /* seconds from a batch's tick to its publication, at most */

/* Changes between two samples. */
struct flow {
    uint64_t heartbeats, pageviews, entries, leaves, departures;
};

/* One round of samples. */
struct round {
    struct history_pool *pool;
    const struct segment *segment;
    uint64_t now;
    uint64_t before; /* tick of the previous round; SEGMENT_NEVER in the first */
    uint32_t window;
    bool is_new_day;
    bool is_new_minute;
    bool is_warming;
    uint32_t scopes; /* entries of the directory that may be in use */
};

static uint64_t mark_of(uint64_t minute, uint64_t version, uint64_t samples, uint64_t flags)
{
    return minute << 24 | (version & 0xff) << 16 | samples << 8 | flags;
}

static void add_up(uint32_t *total, uint64_t value)
{
    uint64_t sum = *total + value;

    atomic_store_relaxed(total, sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX);
}

static uint32_t count_scope(const struct round *round, uint32_t scope)
{
    const struct directory *directory = &round->segment->directory;
    /* Only heartbeats raise a count: after a window without one it is 0. */
    if (atomic_load_relaxed(&directory->entries[scope].last_heartbeat) + round->window <=
        round->now)
        return 0;
    /* Count at the newest tick, since visitors may have moved to its bucket already. */
    uint64_t tick = atomic_load_acquire(&round->segment->header->tick);
    int64_t sum = ring_count(&directory->rings[scope], tick, round->window);
    return sum < 0 ? 0 : sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* ---- peaks ------------------------------------------------------------------------------- */

static void raise_peak(uint64_t *peak, uint32_t count, uint64_t now, bool begins)
{
    /* Readers load the word as a whole; it orders nothing. */
    if (begins || *peak == 0 || count > peak_count(*peak))
        atomic_store_relaxed(peak, peak_word(count, now));
}

static void raise_peaks(const struct round *round, struct activity *activity, uint32_t count)
{
    raise_peak(&activity->peak_today, count, round->now, round->is_new_day);
    raise_peak(&activity->peak_ever, count, round->now, false);
}

/* Update the peaks of a scope without a history, and consider giving it one. */
static void sample_scope(const struct round *round, uint32_t scope)
{
    const struct scope_entry *entry = &round->segment->directory.entries[scope];
    struct activity *activity = &round->segment->directory.activities[scope];
    bool is_new = activity->peak_ever == 0;
    /* Once a minute, consider also the scopes that could only get another's history. The day's peak
     * bounds their count. */
    bool is_candidate =
        round->is_new_minute && peak_count(activity->peak_today) > HISTORY_CANDIDATE_MARGIN;
    uint32_t reach = is_candidate ? round->window : DELAY;
    bool is_active = atomic_load_relaxed(&entry->last_heartbeat) + reach >= round->before;

    if (!is_active && !is_new && !round->is_new_day)
        return;
    uint32_t count = count_scope(round, scope);
    raise_peaks(round, activity, count);
    if (is_active || is_new)
        history_pool_consider(round->pool, scope, count, is_new);
}

static bool has_no_history(const struct round *round, uint32_t scope)
{
    const struct scope_entry *entry = &round->segment->directory.entries[scope];

    return history_pool_find(round->pool, scope) == SCOPE_NONE &&
           scope_state_of(atomic_load_acquire(&entry->state)) !=
               SCOPE_FREE; /* pairs with create_scope */
}

static void sample_scopes(const struct round *round)
{
    for (uint32_t i = 0; i < round->scopes; i++)
        if (has_no_history(round, i))
            sample_scope(round, i);
}

/* Update the peaks of scopes that lost their history in this round: sample_scopes() has skipped
 * them. */
static void sample_evicted(const struct round *round)
{
    struct activity *activities = round->segment->directory.activities;

    for (uint32_t i = 0; i < round->scopes; i++)
        if (has_no_history(round, i))
            raise_peaks(round, &activities[i], count_scope(round, i));
}

/* ---- minutes ----------------------------------------------------------------------------- */

/* Set the mark to 0 while the record changes, and return the old mark. A reader that copies the
 * record meanwhile finds 0, or another mark afterwards. */
static uint64_t begin_record(uint64_t *mark)
{
    uint64_t old = *mark;

    atomic_store_relaxed(mark, 0);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with history_load_minute's fence */
    return old;
}

static void end_record(uint64_t *mark, uint64_t value)
{
    atomic_store_release(mark, value); /* pairs with history_load_minute, history_load_second */
}

static bool has_minute(const struct history_minute *record, uint64_t minute)
{
    return record->mark & HISTORY_MARK_USED && history_mark_minute(record->mark) == minute;
}

static void add_flow(struct history_minute *record, const struct flow *flow)
{
    uint64_t mark = begin_record(&record->mark);

    atomic_store_relaxed(&record->heartbeats, record->heartbeats + flow->heartbeats);
    add_up(&record->pageviews, flow->pageviews);
    add_up(&record->entries, flow->entries);
    add_up(&record->leaves, flow->leaves);
    add_up(&record->departures, flow->departures);
    end_record(&record->mark, mark_of(history_mark_minute(mark), (mark >> 16) + 1,
                                      history_mark_samples(mark), mark & 0xff));
}

static void clear_minute(struct history_minute *record)
{
    atomic_store_relaxed(&record->sum, 0);
    atomic_store_relaxed(&record->minimum, UINT32_MAX);
    atomic_store_relaxed(&record->maximum, 0);
    atomic_store_relaxed(&record->heartbeats, 0);
    atomic_store_relaxed(&record->pageviews, 0);
    atomic_store_relaxed(&record->entries, 0);
    atomic_store_relaxed(&record->leaves, 0);
    atomic_store_relaxed(&record->departures, 0);
}

static void add_sample(const struct round *round, struct history_minute *record, uint32_t count)
{
    uint64_t minute = round->now / 60;
    bool goes_on = has_minute(record, minute);
    uint64_t samples = goes_on ? history_mark_samples(record->mark) : 0;

    if (samples >= 60) /* of a record that was damaged: a mark has room for 255 */
        return;
    uint64_t mark = begin_record(&record->mark);
    uint64_t flags = HISTORY_MARK_USED | (goes_on ? mark & 0xff : 0);

    if (!goes_on)
        clear_minute(record);
    atomic_store_relaxed(&record->sum, record->sum + count);
    if (count < record->minimum)
        atomic_store_relaxed(&record->minimum, count);
    if (count > record->maximum)
        atomic_store_relaxed(&record->maximum, count);
    if (round->is_warming)
        flags |= HISTORY_MARK_WARMING;
    end_record(&record->mark, mark_of(minute, (mark >> 16) + 1, samples + 1, flags));
}

static void add_second(struct history *head, uint64_t tick, const struct flow *flow)
{
    struct history_second *second = &head->seconds[tick % HISTORY_SECONDS];
    bool goes_on = begin_record(&second->mark) == tick + 1;

    atomic_store_relaxed(&second->heartbeats,
                         (goes_on ? second->heartbeats : 0) + flow->heartbeats);
    if (!goes_on) {
        atomic_store_relaxed(&second->entries, 0);
        atomic_store_relaxed(&second->leaves, 0);
        atomic_store_relaxed(&second->departures, 0);
    }
    add_up(&second->entries, flow->entries);
    add_up(&second->leaves, flow->leaves);
    add_up(&second->departures, flow->departures);
    end_record(&second->mark, tick + 1);
}

/* Return how much a total has grown since it was last seen. If it has shrunk, since updates are in
 * flight, return 0: the next sample makes up for it. */
static uint64_t growth(const uint64_t *total, uint64_t *seen)
{
    uint64_t now = atomic_load_relaxed(total);
    int64_t grown = (int64_t)(now - *seen);

    if (grown <= 0)
        return 0;
    *seen = now;
    return (uint64_t)grown;
}

/* Compute departures = previous count + enters - leaves - current count. This is valid only because
 * the sampled window is the time without a heartbeat after which a visitor enters again (R4). */
static uint64_t departures(struct history *head, const struct flow *flow, uint32_t count)
{
    int64_t gone = head->departure_deficit + (int64_t)flow->entries - (int64_t)flow->leaves +
                   head->count - (int64_t)count;
    /* A damaged total leads there, and the history has to be sound at the next start. */
    if (gone < SAMPLER_DEFICIT_MIN)
        gone = SAMPLER_DEFICIT_MIN;
    /* Below 0: visitors were counted before their enters. There are fewer departures next time. */
    head->departure_deficit = gone < 0 ? gone : 0;
    return gone < 0 ? 0 : (uint64_t)gone;
}

/* Return the scope that a history follows, or SCOPE_NONE if it was retired. */
static uint32_t held_scope(const struct round *round, uint32_t index)
{
    uint32_t scope = round->pool->holders[index].scope;

    return scope != SCOPE_NONE && history_pool_find(round->pool, scope) == index ? scope
                                                                                 : SCOPE_NONE;
}

static void sample_history(const struct round *round, uint32_t index)
{
    const struct histories *histories = &round->segment->histories;
    const struct directory *directory = &round->segment->directory;
    struct history *head = &histories->heads[index];
    uint32_t scope = held_scope(round, index);
    uint64_t before = head->sampled;
    uint32_t count = 0;
    struct flow flow = {0};

    if (scope != SCOPE_NONE) {
        const struct activity *activity = &directory->activities[scope];
        flow.heartbeats = growth(&activity->heartbeats, &head->heartbeats);
        flow.pageviews = growth(&activity->pageviews, &head->pageviews);
        flow.entries = growth(&activity->entries, &head->entries);
        flow.leaves = growth(&activity->leaves, &head->leaves);
        count = count_scope(round, scope);
        atomic_store_relaxed(&head->last_heartbeat,
                             atomic_load_relaxed(&directory->entries[scope].last_heartbeat));
    }
    flow.departures = departures(head, &flow, count);
    atomic_store_relaxed(&head->count, count);
    raise_peak(&head->peak_today, count, round->now, round->is_new_day);
    raise_peak(&head->peak_ever, count, round->now, false);
    if (before != HISTORY_NEVER) {
        struct history_minute *last = history_minute_at(histories, index, before / 60);
        add_second(head, before, &flow);
        if (has_minute(last, before / 60)) {
            add_flow(last, &flow);
            flow = (struct flow){0};
        }
    }
    /* Totals first, then records, samples last: a daemon killed in between adds nothing twice.
     * Release: pairs with load_seconds and load_minutes, which rely on earlier minutes being
     * complete. */
    atomic_store_release(&head->sampled, round->now);
    struct history_minute *record = history_minute_at(histories, index, round->now / 60);
    add_sample(round, record, count);
    if (flow.heartbeats || flow.entries || flow.leaves || flow.departures) {
        add_second(head, round->now, &flow);
        add_flow(record, &flow);
    }
}

static uint64_t last_heartbeat(const struct round *round, uint32_t index)
{
    uint32_t scope = round->pool->holders[index].scope;

    if (scope == SCOPE_NONE)
        return round->segment->histories.heads[index].last_heartbeat;
    return atomic_load_relaxed(&round->segment->directory.entries[scope].last_heartbeat);
}

/* Free a history after a day without a heartbeat. Should its scope still exist, its peaks start
 * anew. */
static void expire_history(const struct round *round, uint32_t index)
{
    uint32_t scope = round->pool->holders[index].scope;

    if (scope != SCOPE_NONE) {
        struct activity *activity = &round->segment->directory.activities[scope];
        atomic_store_relaxed(&activity->peak_today, peak_word(0, round->now));
        atomic_store_relaxed(&activity->peak_ever, peak_word(0, round->now));
        atomic_store_relaxed(&activity->since, round->now);
    }
    history_pool_free(round->pool, index);
}

static void sample_histories(const struct round *round)
{
    for (uint32_t i = 0; i < round->pool->high_water; i++) {
        const struct history *head = &round->segment->histories.heads[i];
        if (head->site_length == 0 || head->sampled == round->now)
            continue;
        if (last_heartbeat(round, i) + DAY < round->now)
            expire_history(round, i);
        else
            sample_history(round, i);
    }
}

/* True if no scope needs a sample: without datagrams no count rises and no scope is created. */
static bool is_quiet(const struct round *round)
{
    struct history_pool *pool = round->pool;
    uint64_t accepted = 0;

    for (unsigned i = 0; i < SEGMENT_WORKERS_MAX; i++)
        accepted += atomic_load_relaxed(
            &round->segment->counters[i].values[COUNTER_datagrams_accepted]); /* statistics */
    if (accepted != pool->accepted)
        pool->active_at = round->now;
    pool->accepted = accepted;
    /* Candidates for histories are collected once a minute, while their counts can be above 0. */
    uint64_t reach = round->is_new_minute ? round->window : DELAY + 1;
    return !round->is_new_day && round->now - pool->active_at > reach;
}

void sampler_run(struct history_pool *pool, uint32_t scopes, uint64_t now, int64_t day)
{
    struct segment_header *header = pool->segment->header;
    uint64_t before = header->sampled;
    bool is_first = before == SEGMENT_NEVER;

    if (!is_first && before >= now)
        return;
    uint64_t since = atomic_load_relaxed(&header->listening_since);
    uint64_t evicted = pool->evicted;
    struct round round = {
        .pool = pool,
        .segment = pool->segment,
        .now = now,
        .before = before,
        .window = history_window(pool->segment->max_window),
        .is_new_day = is_first || header->day != day,
        .is_new_minute = !is_first && before / 60 != now / 60,
        .is_warming = now < since || now - since < header->warm_up,
        .scopes = scopes,
    };
    history_pool_begin(pool);
    if (!is_quiet(&round))
        sample_scopes(&round);
    if (round.is_new_minute)
        history_pool_promote(pool);
    if (pool->evicted != evicted)
        sample_evicted(&round);
    sample_histories(&round);
    /* Release: a reader that sees the new day sees its peaks. Pairs with load_peaks. */
    atomic_store_release(&header->day, day);
    atomic_store_relaxed(&header->sampled, now); /* private to this thread */
}
