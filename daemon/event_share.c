#include "event_share.h"

#include <string.h>

#define UNIT    (UINT64_C(1) << 16) /* an event, in rates and in `burst` */
#define AT_ONCE 4                   /* events, if the ring is no tiny one: who enters does more */

/* Return the burst's size. */
static int64_t whole_burst(const struct event_share *share)
{
    return (int64_t)(share->events->capacity / 2 * UNIT);
}

/* Return what a site may write in a second with what is left of the burst. In proportion, so that
 * busy sites, however many, come to rest where all together keep the pace. */
static uint64_t current_rate(const struct event_share *share)
{
    uint64_t left = share->burst > 0 ? (uint64_t)share->burst / UNIT : 0;

    return share->least + (share->most - share->least) * left / (share->events->capacity / 2);
}

/* Return the burst at which one site keeps the pace. */
static int64_t steady_burst(const struct event_share *share)
{
    return whole_burst(share) / (int64_t)(share->most - share->least) *
           (int64_t)(share->steady - share->least);
}

/* Return a rate as workers read it. Below a few events a second, so many may be written in several.
 */
static uint64_t word_of(const struct event_share *share, uint64_t rate)
{
    uint64_t events = rate / UNIT, ticks = 1;

    if (rate < AT_ONCE * UNIT) {
        events = share->most < AT_ONCE * UNIT ? share->most / UNIT : AT_ONCE;
        ticks = (events * UNIT + rate - 1) / rate;
    }
    return ticks << 32 | events;
}

/* Let workers know the share. A site that is alone is limited only if the maintenance thread is far
 * too late. Both relaxed: pairs with event_share_spend and event_share_brake. */
static void publish(struct event_share *share, bool is_alone)
{
    uint32_t capacity = share->events->capacity;
    uint64_t rate = is_alone ? share->most : current_rate(share);

    atomic_store_relaxed(&share->limit, share->counted + capacity / (is_alone ? 4 : 16));
    atomic_store_relaxed(&share->word, word_of(share, rate));
}

void event_share_init(struct event_share *share, const struct events *events, uint64_t now)
{
    *share = (struct event_share){
        .events = events,
        .most = events_site_rate(events->capacity) * UNIT,
        .steady = events->capacity * UNIT / EVENT_SHARE_TURN,
        .at = now,
        .others_at = now - EVENT_SHARE_TURN, /* wraps: as long ago as matters */
    };
    if (!events->capacity)
        return;
    share->least = share->steady < UNIT ? share->steady : UNIT;
    share->burst = whole_burst(share);
    share->counted = events->head->next;
    share->scanned = events->head->first;
    share->lowest = word_of(share, share->least);
    publish(share, true);
}

/* True if an event is of another site than the last one; remember its site. */
static bool is_of_another(struct event_share *share, const struct event_record *record)
{
    bool is_first = share->site_length == 0;
    uint8_t length = record->site_length;

    if (length > sizeof(share->site))
        return false; /* no worker writes such */
    if (length == share->site_length && memcmp(share->site, record->names.bytes, length) == 0)
        return false;
    share->site_length = length;
    memcpy(share->site, record->names.bytes, length);
    return !is_first;
}

/* Find out whether several sites write. An event that is not published yet has its turn next time.
 */
static void scan(struct event_share *share, uint64_t next, uint64_t now)
{
    const struct events *events = share->events;
    struct event_record record;

    if (next - share->scanned > events->capacity)
        share->scanned = next - events->capacity;
    for (; share->scanned != next; share->scanned++) {
        enum event_verdict verdict = events_load(events, share->scanned, &record);
        if (verdict == EVENT_IN_FLIGHT)
            break;
        if (verdict == EVENT_LOADED && is_of_another(share, &record))
            share->others_at = now;
    }
}

void event_share_update(struct event_share *share, uint64_t now)
{
    if (!share->events->capacity || now == share->at)
        return;
    /* Ordered: pairs with events_claim. */
    uint64_t next = atomic_load_ordered(&share->events->head->next);
    uint64_t elapsed = now - share->at < EVENT_SHARE_TURN ? now - share->at : EVENT_SHARE_TURN;

    scan(share, next, now);
    bool is_alone = now - share->others_at >= EVENT_SHARE_TURN;
    /* Who is alone starts at the pace when another site comes, with neither burst nor debt. Several
     * that were too fast at once pay for it, but not for long. */
    int64_t least = is_alone ? steady_burst(share) : -whole_burst(share) / 2;
    share->burst += (int64_t)(elapsed * share->steady) - (int64_t)((next - share->counted) * UNIT);
    if (share->burst < least)
        share->burst = least;
    if (share->burst > whole_burst(share))
        share->burst = whole_burst(share);
    share->counted = next;
    share->at = now;
    publish(share, is_alone);
}
