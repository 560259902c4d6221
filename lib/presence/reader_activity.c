/* reader_activity.c - load peaks, and the heartbeats and changes behind a count. */
#include "reader.h"

#include <errno.h>

#include "core/ring_sum.h"

#define LAST_SECONDS 60 /* the span that an activity sums up */

/* ---- peaks ------------------------------------------------------------------------------- */

static struct presence_peak load_peak(const struct reader_moment *moment, const uint64_t *peak)
{
    uint64_t word = atomic_load_relaxed(peak);
    uint32_t count = peak_count(word);

    return (struct presence_peak){
        .count = count,
        .at = count ? reader_wall(moment, peak_tick(word, moment->tick)) : 0,
    };
}

/* Load the peaks from a history. -ENOENT the place has none. */
static int peaks_of_history(const struct presence *presence, const struct reader_place *place,
                            const struct reader_moment *moment, struct presence_peaks *peaks)
{
    struct reader_history found;
    int r = reader_find_history(presence, place, &found);

    if (r < 0)
        return -ENOENT;
    const struct history *head = &presence->segment.histories.heads[found.index];
    peaks->today = load_peak(moment, &head->peak_today);
    peaks->ever = load_peak(moment, &head->peak_ever);
    peaks->since = reader_wall(moment, atomic_load_relaxed(&head->since));
    return reader_is_same_history(presence, &found) ? 0 : -EAGAIN;
}

/* Load the peaks from the directory. -ENOENT the place is not there. */
static int peaks_of_scope(const struct presence *presence, const struct reader_place *place,
                          const struct reader_moment *moment, struct presence_peaks *peaks)
{
    struct reader_scope scope;
    int r = reader_find(presence, place, &scope);

    if (r < 0)
        return r;
    const struct activity *activity = &presence->segment.directory.activities[scope.index];
    peaks->today = load_peak(moment, &activity->peak_today);
    peaks->ever = load_peak(moment, &activity->peak_ever);
    peaks->since = reader_wall(moment, atomic_load_relaxed(&activity->since));
    uint32_t age = reader_last_heartbeat(presence, scope.index, moment);
    if (!reader_is_same(presence, &scope))
        return -EAGAIN;
    return reader_is_gone(presence, age) ? -ENOENT : 0;
}

/* Load today's and all-time peaks with the day they belong to. sampler_run publishes a new day
 * only after the day's first peaks, so the day is loaded before and after them, and a change means
 * -EAGAIN. */
static int load_peaks(const struct presence *presence, const struct reader_place *place,
                      const struct reader_moment *moment, struct presence_peaks *peaks)
{
    const int64_t *day = &presence->segment.header->day;
    int64_t before = atomic_load_acquire(day); /* pairs with sampler_run */
    int r = peaks_of_history(presence, place, moment, peaks);

    if (r == -ENOENT)
        r = peaks_of_scope(presence, place, moment, peaks);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (r == 0 && atomic_load_relaxed(day) != before)
        r = -EAGAIN;
    peaks->day = (int64_t)((uint64_t)before * 86400);
    return r;
}

int presence_peaks(struct presence *presence, enum presence_kind kind, const char *site,
                   const char *name, struct presence_peaks *ret)
{
    struct reader_place place;
    int r = reader_parse_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_current_moment(presence);
    struct presence_peaks peaks = {
        .window_s = history_window(presence->header.geometry.max_window),
    };
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = load_peaks(presence, &place, &moment, &peaks);
    if (r == 0)
        *ret = peaks;
    return r;
}

/* ---- activity ---------------------------------------------------------------------------- */

/* Count visitors by the age of their last heartbeat, all at the same tick. */
static void load_bands(const struct presence *presence, uint32_t index,
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

/* Sum up who came and who left in the last seconds that were sampled. */
static void load_seconds(const struct presence *presence, uint32_t index,
                         struct presence_activity *activity)
{
    const struct history *head = &presence->segment.histories.heads[index];
    uint64_t sampled = atomic_load_acquire(&head->sampled); /* pairs with sample_history */
    struct history_second second;

    activity->has_history = true;
    for (uint64_t age = 1; age <= LAST_SECONDS && age <= sampled; age++) {
        uint64_t tick = sampled - age;
        if (!history_load_second(&head->seconds[tick % HISTORY_SECONDS], tick, &second))
            continue;
        activity->seconds++;
        activity->heartbeats += second.heartbeats;
        activity->entries += second.entries;
        activity->leaves += second.leaves;
        activity->departures += second.departures;
    }
}

static int load_activity(struct presence *presence, const struct reader_place *place,
                         struct reader_moment *moment, struct presence_activity *ret)
{
    struct presence_activity activity = {0};
    struct reader_scope scope;
    struct reader_history history;
    uint32_t window_s = history_window(presence->header.geometry.max_window);
    int r = reader_load(presence, place, window_s, moment, &activity.reading, &scope);

    if (r < 0)
        return r;
    if (!activity.reading.exists) {
        *ret = activity;
        return 0;
    }
    load_bands(presence, scope.index, moment, &activity);
    if (!reader_is_same(presence, &scope))
        return -EAGAIN;
    if (reader_find_history(presence, place, &history) == 0) {
        load_seconds(presence, history.index, &activity);
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
    int r = reader_parse_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_current_moment(presence);
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = load_activity(presence, &place, &moment, &activity);
    if (r == 0)
        *ret = activity;
    return r;
}
