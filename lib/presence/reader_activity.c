/* What made a number, and how high it has been. */
#include "reader.h"

#include <errno.h>

#define LAST_SECONDS 60 /* that an activity sums up */

/* ---- peaks ------------------------------------------------------------------------------- */

static struct presence_peak public_peak(const struct reader_moment *moment, uint64_t word)
{
    uint32_t count = peak_count(word);

    return (struct presence_peak){
        .count = count,
        .at = count ? reader_wall(moment, peak_tick(word, moment->tick)) : 0,
    };
}

/* From a history, if the place has one. */
static int peaks_of_history(const struct presence *presence, const struct reader_place *place,
                            const struct reader_moment *moment, struct presence_peaks *peaks)
{
    struct reader_history found;
    int r = reader_find_history(presence, place, &found);

    if (r < 0)
        return -ENOENT;
    const struct history *head = &presence->segment.histories.heads[found.index];
    peaks->today = public_peak(moment, atomic_load_relaxed(&head->peak_today));
    peaks->ever = public_peak(moment, atomic_load_relaxed(&head->peak_ever));
    peaks->since = reader_wall(moment, atomic_load_relaxed(&head->since));
    return reader_is_same_history(presence, &found) ? 0 : -EAGAIN;
}

/* From the directory. */
static int peaks_of_scope(const struct presence *presence, const struct reader_place *place,
                          const struct reader_moment *moment, struct presence_peaks *peaks)
{
    struct reader_scope scope;
    int r = reader_find(presence, place, &scope);

    if (r < 0)
        return r;
    const struct activity *activity = &presence->segment.directory.activities[scope.index];
    peaks->today = public_peak(moment, atomic_load_relaxed(&activity->peak_today));
    peaks->ever = public_peak(moment, atomic_load_relaxed(&activity->peak_ever));
    peaks->since = reader_wall(moment, atomic_load_relaxed(&activity->since));
    uint32_t age = reader_last_heartbeat(presence, scope.index, moment);
    if (!reader_is_same(presence, &scope))
        return -EAGAIN;
    return reader_is_gone(presence, age) ? -ENOENT : 0;
}

/* The day changes only after its first peaks have been written: read before and after, it tells
 * whether they belong to it. */
static int read_peaks(const struct presence *presence, const struct reader_place *place,
                      const struct reader_moment *moment, struct presence_peaks *peaks)
{
    const int64_t *day = &presence->segment.header->day;
    int64_t before = __atomic_load_n(day, __ATOMIC_ACQUIRE); /* pairs with history_sample */
    int r = peaks_of_history(presence, place, moment, peaks);

    if (r == -ENOENT)
        r = peaks_of_scope(presence, place, moment, peaks);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (r == 0 && __atomic_load_n(day, __ATOMIC_RELAXED) != before)
        r = -EAGAIN;
    peaks->day = (int64_t)((uint64_t)before * 86400);
    return r;
}

int presence_peaks(struct presence *presence, enum presence_kind kind, const char *site,
                   const char *name, struct presence_peaks *ret)
{
    struct reader_place place;
    int r = reader_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_moment(presence);
    struct presence_peaks peaks = {
        .window_s = history_window(presence->header.geometry.max_window),
    };
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = read_peaks(presence, &place, &moment, &peaks);
    if (r == 0)
        *ret = peaks;
    return r;
}

/* ---- activity ---------------------------------------------------------------------------- */

/* Visitors by the age of their last heartbeat, all at the same tick. */
static void read_bands(const struct presence *presence, uint32_t index,
                       struct reader_moment *moment, struct presence_activity *activity)
{
    static const uint32_t edges[] = {0, 10, 30, 60, 120, 180, 240, 300, UINT32_MAX};
    const struct ring *ring = &presence->segment.directory.rings[index];
    uint32_t window_s = history_window(presence->header.geometry.max_window);
    uint64_t tick = moment->tick;

    activity->bands_length = 0;
    for (unsigned i = 0; i < PRESENCE_AGE_BANDS && edges[i] < window_s && edges[i] <= tick; i++) {
        uint32_t end = edges[i + 1] < window_s ? edges[i + 1] : window_s;
        int64_t sum = ring_sum(ring->seconds, RING_SECONDS, tick - edges[i], end - edges[i]);
        activity->bands[activity->bands_length++] = (struct presence_age_band){
            .from_s = edges[i],
            .to_s = end - 1,
            .visitors = sum < 0            ? 0
                        : sum > UINT32_MAX ? UINT32_MAX
                                           : (uint32_t)sum,
        };
    }
}

/* What came and went in the last seconds that were sampled. */
static void read_seconds(const struct presence *presence, uint32_t index,
                         struct presence_activity *activity)
{
    const struct history *head = &presence->segment.histories.heads[index];
    uint64_t sampled = atomic_load_acquire(&head->sampled); /* pairs with the keeper's release */
    struct history_second second;

    activity->has_history = true;
    for (uint64_t age = 1; age <= LAST_SECONDS && age <= sampled; age++) {
        uint64_t tick = sampled - age;
        if (!history_read_second(&head->seconds[tick % HISTORY_SECONDS], tick, &second))
            continue;
        activity->seconds++;
        activity->heartbeats += second.heartbeats;
        activity->entries += second.entries;
        activity->leaves += second.leaves;
        activity->departures += second.departures;
    }
}

static int read_activity(struct presence *presence, const struct reader_place *place,
                         struct reader_moment *moment, struct presence_activity *ret)
{
    struct presence_activity activity = {0};
    struct reader_scope scope;
    struct reader_history history;
    uint32_t window_s = history_window(presence->header.geometry.max_window);
    int r = reader_read(presence, place, window_s, moment, &activity.reading, &scope);

    if (r < 0)
        return r;
    read_bands(presence, scope.index, moment, &activity);
    if (!reader_is_same(presence, &scope))
        return -EAGAIN;
    if (reader_find_history(presence, place, &history) == 0) {
        read_seconds(presence, history.index, &activity);
        if (!reader_is_same_history(presence, &history))
            return -EAGAIN;
    }
    /* Acquire: pairs with collector_advance, as in reader_count. */
    bool moved = atomic_load_acquire(&presence->segment.header->tick) != moment->tick;
    *ret = activity;
    return moved ? -EAGAIN : 0;
}

int presence_activity(struct presence *presence, enum presence_kind kind, const char *site,
                      const char *name, struct presence_activity *ret)
{
    struct reader_place place;
    struct presence_activity activity = {0};
    int r = reader_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_moment(presence);
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = read_activity(presence, &place, &moment, &activity);
    if (r == 0)
        *ret = activity;
    return r;
}
