/* Table against rings. Both say how many visitors have their last heartbeat at each tick; they are
 * read at different instants, so only what no datagram in between explains is a fault.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define VERIFY_ATTEMPTS 3
#define SETTLE_POLL_MS  5
#define SETTLE_LIMIT_MS 1500 /* a tick takes a second */
#define MINUTES_MAX     (WINDOW_MAX / 60)
#define AGES_MAX        (MINUTES_MAX * 60)

/* How many visitors were last heard of so many seconds, or minutes begun, before the tick. */
struct histogram {
    int64_t seconds[WINDOW_FINE_MAX];
    int64_t minutes[MINUTES_MAX];
};

/* What some window of this segment can count, at one tick. */
struct extent {
    uint64_t tick;
    uint32_t seconds, minutes;
};

struct comparison {
    uint64_t only_rings, only_words; /* visitors, summed over ticks */
    uint64_t worst, worst_age_s;
};

/* One look at everything. */
struct look {
    struct extent extent;
    struct histogram rings, words;
    uint64_t ages[AGES_MAX]; /* words by age in seconds */
};

static struct extent extent_at(const struct presence *presence, uint64_t tick)
{
    uint32_t longest = presence->header.geometry.max_window;
    bool fine = longest <= WINDOW_FINE_MAX;

    return (struct extent){
        .tick = tick,
        .seconds = fine ? longest : WINDOW_FINE_MAX,
        .minutes = fine ? 0 : window_rounded(longest) / 60,
    };
}

/* How many minutes have begun since the tick that is `age` seconds old. */
static uint64_t minutes_since(uint64_t tick, uint64_t age)
{
    return tick / 60 - (tick - age) / 60;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void add_ring(const struct ring *ring, const struct extent *extent, struct histogram *sum)
{
    for (uint64_t age = 0; age < extent->seconds && age <= extent->tick; age++) {
        uint64_t tick = extent->tick - age;
        sum->seconds[age] += ring_bucket_count(&ring->seconds[tick % RING_SECONDS], (uint32_t)tick);
    }
    for (uint64_t age = 0; age < extent->minutes && age <= extent->tick / 60; age++) {
        uint64_t minute = extent->tick / 60 - age;
        sum->minutes[age] +=
            ring_bucket_count(&ring->minutes[minute % RING_MINUTES], (uint32_t)minute);
    }
}

static void sum_rings(const struct presence *presence, struct look *look)
{
    const struct directory *directory = &presence->segment.directory;

    for (uint32_t i = 0; i < directory->capacity; i++) {
        /* Acquire: pairs with create_scope's release. */
        uint64_t state = atomic_load_acquire(&directory->entries[i].state);
        if (scope_state_of(state) != SCOPE_FREE)
            add_ring(&directory->rings[i], &look->extent, &look->rings);
    }
}

static void sum_words(const struct presence *presence, struct look *look)
{
    const struct table *table = &presence->segment.table;
    const uint64_t *end = table->words + table->pairs * TABLE_PAIR_WORDS;
    const struct extent *extent = &look->extent;

    for (const uint64_t *cursor = table->words; cursor < end; cursor++) {
        uint64_t word = atomic_load_relaxed(cursor); /* each word by itself; no pairing */
        uint64_t age = table_age(word, extent->tick);
        if (word && age < AGES_MAX)
            look->ages[age]++;
    }
    for (uint64_t age = 0; age < AGES_MAX && age <= extent->tick; age++) {
        uint64_t minute = minutes_since(extent->tick, age);
        if (age < extent->seconds)
            look->words.seconds[age] += (int64_t)look->ages[age];
        if (minute < extent->minutes)
            look->words.minutes[minute] += (int64_t)look->ages[age];
    }
}

/* Visitors of datagrams whose changes to table and rings are complete. */
static uint64_t visitors_handled(const struct presence *presence)
{
    return reader_counter(presence, COUNTER_heartbeats_new) +
           reader_counter(presence, COUNTER_heartbeats_refreshed) +
           reader_counter(presence, COUNTER_heartbeats_left);
}

/* ---- comparing --------------------------------------------------------------------------- */

static void compare_tick(struct comparison *comparison, int64_t rings, int64_t words,
                         uint64_t age_s)
{
    uint64_t difference =
        rings > words ? (uint64_t)rings - (uint64_t)words : (uint64_t)words - (uint64_t)rings;

    *(rings > words ? &comparison->only_rings : &comparison->only_words) += difference;
    if (difference > comparison->worst) {
        comparison->worst = difference;
        comparison->worst_age_s = age_s;
    }
}

/* Take from each minute what its seconds hold, so that no visitor is compared twice. */
static void leave_rest(const struct extent *extent, struct histogram *histogram)
{
    for (uint64_t age = 0; age < extent->seconds && age <= extent->tick; age++) {
        uint64_t minute = minutes_since(extent->tick, age);
        if (minute < extent->minutes)
            histogram->minutes[minute] -= histogram->seconds[age];
    }
}

static struct comparison compare(struct look *look)
{
    const struct extent *extent = &look->extent;
    struct comparison comparison = {0};

    for (uint32_t age = 0; age < extent->seconds; age++)
        compare_tick(&comparison, look->rings.seconds[age], look->words.seconds[age], age);
    leave_rest(extent, &look->rings);
    leave_rest(extent, &look->words);
    for (uint32_t age = 0; age < extent->minutes && age <= extent->tick / 60; age++)
        compare_tick(&comparison, look->rings.minutes[age], look->words.minutes[age],
                     extent->tick - (extent->tick / 60 - age) * 60);
    return comparison;
}

static uint64_t words_counted(const struct presence *presence, const struct look *look)
{
    uint64_t sum = 0;

    for (uint64_t age = 0; age < AGES_MAX && !reader_is_gone(presence, age); age++)
        sum += look->ages[age];
    return sum;
}

/* Wait until the tick has moved: batches that were under way are complete by then. */
static void settle(struct presence *presence, uint64_t tick)
{
    const struct timespec pause = {.tv_nsec = SETTLE_POLL_MS * 1000000};

    for (int waited = 0; waited < SETTLE_LIMIT_MS; waited += SETTLE_POLL_MS) {
        struct reader_moment moment = reader_glance(presence);
        if (moment.tick != tick || reader_is_stale(&moment))
            return;
        nanosleep(&pause, NULL);
    }
}

/* Look once. A batch counts its visitors when its changes are complete, so whatever was under way
 * while we looked is among those handled from before we began until after it ended. */
static struct presence_verification look_once(struct presence *presence, struct look *look)
{
    *look = (struct look){0};
    struct reader_moment moment = reader_moment(presence);
    uint64_t before = visitors_handled(presence);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with the order in which a batch ends */
    look->extent = extent_at(presence, moment.tick);
    sum_rings(presence, look);
    sum_words(presence, look);
    struct comparison comparison = compare(look);

    struct presence_verification result = {
        .words = words_counted(presence, look),
        .difference = comparison.only_rings > comparison.only_words ? comparison.only_rings
                                                                    : comparison.only_words,
        .in_flight = (visitors_handled(presence) - before) * SCOPE_KINDS,
        .worst_tick_age_s = comparison.worst_age_s,
    };
    if (result.difference > result.in_flight) {
        settle(presence, moment.tick);
        result.in_flight = (visitors_handled(presence) - before) * SCOPE_KINDS;
    }
    return result;
}

static bool is_better(const struct presence_verification *a, const struct presence_verification *b)
{
    uint64_t fault_a = a->difference > a->in_flight ? a->difference - a->in_flight : 0;
    uint64_t fault_b = b->difference > b->in_flight ? b->difference - b->in_flight : 0;

    return fault_a != fault_b ? fault_a < fault_b : a->difference < b->difference;
}

int presence_verify(struct presence *presence, struct presence_verification *ret)
{
    struct look *look = malloc(sizeof(*look));
    struct presence_verification best;

    if (!look)
        return -ENOMEM;
    best = look_once(presence, look);
    for (int attempt = 1; best.difference && attempt < VERIFY_ATTEMPTS; attempt++) {
        struct presence_verification next = look_once(presence, look);
        if (is_better(&next, &best))
            best = next;
    }
    free(look);
    *ret = best;
    return 0;
}
