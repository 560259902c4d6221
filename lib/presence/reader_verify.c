/* reader_verify.c - compare the table with the rings.
 *
 * Both hold the number of visitors whose last heartbeat was at each tick. They are read at
 * different instants, so only a difference that no datagram in between explains is a fault.
 */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define VERIFY_ATTEMPTS 3
#define WAIT_POLL_MS    5
#define WAIT_LIMIT_MS   1500 /* a tick takes a second */
#define MINUTES_MAX     (WINDOW_MAX / 60)
#define AGES_MAX        (MINUTES_MAX * 60)

/* Numbers of visitors by the age of their last heartbeat in seconds, and in minutes begun. */
struct histogram {
    int64_t seconds[WINDOW_FINE_MAX];
    int64_t minutes[MINUTES_MAX];
};

/* The ticks that some window of this segment counts. */
struct extent {
    uint64_t tick;
    uint32_t seconds, minutes;
};

struct comparison {
    uint64_t only_rings, only_words; /* visitors, summed over ticks */
    uint64_t worst, worst_age_s;
};

/* Both histograms, each read once. */
struct snapshot {
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

/* Return how many minutes have begun since the tick that is `age` seconds old. */
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

static void sum_rings(const struct presence *presence, struct snapshot *snapshot)
{
    const struct directory *directory = &presence->segment.directory;

    for (uint32_t i = 0; i < directory->capacity; i++) {
        /* Acquire: pairs with create_scope's release. */
        uint64_t state = atomic_load_acquire(&directory->entries[i].state);
        if (scope_state_of(state) != SCOPE_FREE)
            add_ring(&directory->rings[i], &snapshot->extent, &snapshot->rings);
    }
}

static void sum_words(const struct presence *presence, struct snapshot *snapshot)
{
    const struct table *table = &presence->segment.table;
    const uint64_t *end = table->words + table->pairs * TABLE_PAIR_WORDS;
    const struct extent *extent = &snapshot->extent;

    for (const uint64_t *cursor = table->words; cursor < end; cursor++) {
        uint64_t word = atomic_load_relaxed(cursor); /* each word by itself; no pairing */
        uint64_t age = table_age(word, extent->tick);
        if (word && age < AGES_MAX)
            snapshot->ages[age]++;
    }
    for (uint64_t age = 0; age < AGES_MAX && age <= extent->tick; age++) {
        uint64_t minute = minutes_since(extent->tick, age);
        if (age < extent->seconds)
            snapshot->words.seconds[age] += (int64_t)snapshot->ages[age];
        if (minute < extent->minutes)
            snapshot->words.minutes[minute] += (int64_t)snapshot->ages[age];
    }
}

/* Count the visitors of datagrams whose changes to table and rings are complete. */
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

/* Subtract from each minute what its seconds hold, so that no visitor is compared twice. */
static void subtract_seconds(const struct extent *extent, struct histogram *histogram)
{
    for (uint64_t age = 0; age < extent->seconds && age <= extent->tick; age++) {
        uint64_t minute = minutes_since(extent->tick, age);
        if (minute < extent->minutes)
            histogram->minutes[minute] -= histogram->seconds[age];
    }
}

static struct comparison compare(struct snapshot *snapshot)
{
    const struct extent *extent = &snapshot->extent;
    struct comparison comparison = {0};

    for (uint32_t age = 0; age < extent->seconds; age++)
        compare_tick(&comparison, snapshot->rings.seconds[age], snapshot->words.seconds[age], age);
    subtract_seconds(extent, &snapshot->rings);
    subtract_seconds(extent, &snapshot->words);
    for (uint32_t age = 0; age < extent->minutes && age <= extent->tick / 60; age++)
        compare_tick(&comparison, snapshot->rings.minutes[age], snapshot->words.minutes[age],
                     extent->tick - (extent->tick / 60 - age) * 60);
    return comparison;
}

static uint64_t words_counted(const struct presence *presence, const struct snapshot *snapshot)
{
    uint64_t sum = 0;

    for (uint64_t age = 0; age < AGES_MAX && !reader_is_gone(presence, age); age++)
        sum += snapshot->ages[age];
    return sum;
}

/* Wait until the tick moves: batches in progress are complete by then. */
static void wait_for_tick(struct presence *presence, uint64_t tick)
{
    const struct timespec pause = {.tv_nsec = WAIT_POLL_MS * 1000000};

    for (int waited = 0; waited < WAIT_LIMIT_MS; waited += WAIT_POLL_MS) {
        struct reader_moment moment = reader_load_moment(presence);
        if (moment.tick != tick || reader_is_stale(&moment))
            return;
        nanosleep(&pause, NULL);
    }
}

/* Read and compare once. ingest_end counts a batch's visitors after it has published the batch's
 * changes, so every batch in progress meanwhile adds to the visitors handled between `before` and
 * the end. */
static struct presence_verification compare_once(struct presence *presence,
                                                 struct snapshot *snapshot)
{
    *snapshot = (struct snapshot){0};
    struct reader_moment moment = reader_current_moment(presence);
    uint64_t before = visitors_handled(presence);
    snapshot->extent = extent_at(presence, moment.tick);
    sum_rings(presence, snapshot);
    sum_words(presence, snapshot);
    /* Acquire: pairs with publish_counters. All words are loaded before the counters are again, so
     * that a batch which ended meanwhile was in flight. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    struct comparison comparison = compare(snapshot);

    struct presence_verification result = {
        .words = words_counted(presence, snapshot),
        .difference = comparison.only_rings > comparison.only_words ? comparison.only_rings
                                                                    : comparison.only_words,
        .in_flight = (visitors_handled(presence) - before) * SCOPE_KINDS,
        .worst_tick_age_s = comparison.worst_age_s,
    };
    if (result.difference > result.in_flight) {
        wait_for_tick(presence, moment.tick);
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
    struct snapshot *snapshot = malloc(sizeof(*snapshot));
    struct presence_verification best;

    if (!snapshot)
        return -ENOMEM;
    best = compare_once(presence, snapshot);
    for (int attempt = 1; best.difference && attempt < VERIFY_ATTEMPTS; attempt++) {
        struct presence_verification next = compare_once(presence, snapshot);
        if (is_better(&next, &best))
            best = next;
    }
    free(snapshot);
    *ret = best;
    return 0;
}
