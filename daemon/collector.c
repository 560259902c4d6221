#include "collector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/table_sweep.h"
#include "receive/streams.h"
#include "segment_copy.h"
#include "traffic.h"

#define SWEEP_TICKS       65536 /* the whole table is swept in 18 h, far less than 2^19 s */
#define SCOPE_SWEEP_TICKS 60    /* the whole directory is swept in a minute */
#define GATHER_PAUSE_NS   100000
#define GATHER_TRIES      200 /* 20 ms: batches are shorter unless the machine is overloaded */

static struct segment_header *header_of(const struct collector *collector)
{
    return collector->file.segment.header;
}

/* Open what works on the segment, and allocate the workers' totals. */
static int open_parts(struct collector *collector, unsigned workers)
{
    struct segment *segment = &collector->file.segment;
    int r = directory_open(segment, &collector->directory);

    if (r < 0)
        return r;
    r = history_pool_open(segment, &collector->histories);
    if (r < 0)
        goto fail_directory;
    r = streams_open(segment, &collector->streams);
    if (r < 0)
        goto fail_histories;
    collector->traffics = calloc(workers, sizeof(*collector->traffics));
    if (collector->traffics)
        return 0;
    r = -ENOMEM;
    streams_close(collector->streams);
fail_histories:
    history_pool_close(&collector->histories);
fail_directory:
    directory_close(&collector->directory);
    return r;
}

int collector_open(const struct collector_settings *settings, struct collector *ret,
                   pid_t *ret_holder)
{
    uint64_t now = settings->clock(settings->clock_context);
    struct segment_file file;
    int r = segment_file_open(settings->path, &settings->segment, now, &file, ret_holder);

    if (r < 0)
        return r;
    memset(ret, 0, sizeof(*ret));
    ret->file = file;
    r = open_parts(ret, settings->workers);
    if (r < 0) {
        segment_file_close(&file);
        return r;
    }
    for (unsigned i = 0; i < settings->workers; i++)
        ret->traffics[i].directory = &ret->file.segment.directory;
    if (file.origin == SEGMENT_ATTACHED && file.segment.events.capacity)
        events_adopt(&file.segment.events);
    event_share_init(&ret->event_share, &ret->file.segment.events, now);
    ret->clock = settings->clock;
    ret->wall_clock = settings->wall_clock ? settings->wall_clock : clock_wall;
    ret->clock_context = settings->clock_context;
    ret->workers = settings->workers;
    for (unsigned i = 0; i < settings->workers; i++)
        pthread_mutex_init(&ret->gates[i].mutex, NULL);
    pthread_mutex_init(&ret->advancing, NULL);
    pthread_mutex_init(&ret->holding, NULL);
    header_of(ret)->workers = settings->workers;
    ret->file.segment.table.lone_writer = settings->workers == 1;
    return 0;
}

uint64_t collector_tick(const struct collector *collector)
{
    return atomic_load_acquire(&header_of(collector)->tick); /* pairs with collector_advance */
}

static void lock_gates(struct collector *collector)
{
    pthread_mutex_lock(&collector->holding);
    atomic_store_relaxed(&collector->held, 1); /* read by collector_pass */
    for (unsigned i = 0; i < collector->workers; i++)
        pthread_mutex_lock(&collector->gates[i].mutex);
}

static void unlock_gates(struct collector *collector)
{
    for (unsigned i = collector->workers; i-- > 0;)
        pthread_mutex_unlock(&collector->gates[i].mutex);
    atomic_store_relaxed(&collector->held, 0); /* read by collector_pass */
    pthread_mutex_unlock(&collector->holding);
}

void collector_pass(struct collector *collector)
{
    if (!atomic_load_relaxed(
            &collector->held)) /* set by lock_gates; a worker that misses it waits at its gate */
        return;
    pthread_mutex_lock(&collector->holding);
    pthread_mutex_unlock(&collector->holding);
}

static void publish_tick(struct collector *collector, uint64_t now)
{
    /* Release: pairs with collector_tick and reader_current_moment. */
    atomic_store_release(&header_of(collector)->tick, now);
}

/* Return a counter of the maintenance block. */
static uint64_t *counter_of(const struct collector *collector, enum counter counter)
{
    return &collector->directory.counters->values[counter];
}

/* Make the counters of entries agree with the table, which holds `entries`: a killed daemon may not
 * have counted its last ones. No worker is in a batch. */
static void correct_entries(struct collector *collector, uint64_t entries)
{
    int64_t counted = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++) {
        const uint64_t *values = collector->file.segment.counters[i].values;
        counted += (int64_t)(atomic_load_relaxed(&values[COUNTER_entries_taken]) -
                             atomic_load_relaxed(&values[COUNTER_entries_freed]));
    }
    int64_t missing = (int64_t)entries - counted;
    if (missing > 0)
        atomic_add_relaxed(counter_of(collector, COUNTER_entries_taken), (uint64_t)missing);
    else
        atomic_add_relaxed(counter_of(collector, COUNTER_entries_freed), (uint64_t)-missing);
}

uint64_t collector_advance(struct collector *collector)
{
    struct segment_header *header = header_of(collector);
    const struct table *table = &collector->file.segment.table;

    pthread_mutex_lock(&collector->advancing);
    uint64_t now = collector->clock(collector->clock_context);
    uint64_t gap = now > header->tick ? now - header->tick : 0;
    if (gap > SEGMENT_GAP)
        atomic_store_relaxed(&header->listening_since, now); /* published with the tick */
    if (gap >= table->expiry) {
        lock_gates(collector);
        table_clear(table);
        correct_entries(collector, 0);
        publish_tick(collector, now);
        unlock_gates(collector);
    } else if (gap) {
        publish_tick(collector, now);
    }
    uint64_t tick = header->tick;
    pthread_mutex_unlock(&collector->advancing);
    return tick;
}

/* Make the counters agree with the table. An attached one was counted when it was judged, and is
 * swept by the first collector_maintain, beside the workers: until they begin, datagrams wait. One
 * that moved is swept and counted now. No worker runs. */
static void account_for_entries(struct collector *collector)
{
    const struct table *table = &collector->file.segment.table;
    uint64_t now = header_of(collector)->tick;
    struct table_swept swept = {.kept = collector->file.entries};

    collector->swept_at = now;
    if (collector->file.origin == SEGMENT_ATTACHED)
        collector->swept_at = now - SWEEP_TICKS; /* so that all of it is due */
    else if (collector->file.origin == SEGMENT_RENEWED)
        table_sweep(table, 0, table->pairs, now, &swept);
    correct_entries(collector, swept.kept);
}

uint64_t collector_listen(struct collector *collector, const char *engine, const char *reason)
{
    struct segment_header *header = header_of(collector);
    uint64_t before = header->tick;

    strncpy(header->receive, engine, sizeof(header->receive) - 1);
    strncpy(header->receive_reason, reason, sizeof(header->receive_reason) - 1);
    account_for_entries(collector);
    uint64_t now = collector_advance(collector);
    bool first = header->listening_since == SEGMENT_NEVER;
    if (first)
        atomic_store_relaxed(&header->listening_since, now); /* published with the state */
    /* Release: pairs with reader_current_moment: LISTENING means that all of the above is visible.
     */
    atomic_store_release(&header->state, SEGMENT_LISTENING);
    return first ? 0 : now - before;
}

void collector_publish_filter(struct collector *collector, const char *mode, const char *interface,
                              const char *reason)
{
    struct segment_header *header = header_of(collector);

    /* strncpy fills up with zeros, over an earlier daemon's text. */
    strncpy(header->filter, mode, sizeof(header->filter) - 1);
    strncpy(header->filter_interface, interface, sizeof(header->filter_interface) - 1);
    strncpy(header->filter_reason, reason, sizeof(header->filter_reason) - 1);
}

void collector_publish_spread(struct collector *collector, const char *spread, const char *reason)
{
    struct segment_header *header = header_of(collector);

    strncpy(header->spread, spread, sizeof(header->spread) - 1);
    strncpy(header->spread_reason, reason, sizeof(header->spread_reason) - 1);
}

void collector_publish_missing(struct collector *collector, const char *addresses)
{
    struct segment_header *header = header_of(collector);

    strncpy(header->listen_missing, addresses, sizeof(header->listen_missing) - 1);
}

void collector_publish_keys(struct collector *collector, uint32_t count, const char *refused)
{
    struct segment_header *header = header_of(collector);
    size_t length = strlen(refused);
    bool fits = length < sizeof(header->keys_refused);
    char text[sizeof(header->keys_refused)] = "";

    /* The end says what is wrong; it follows the path. No part of a character is kept. */
    if (!fits)
        refused += length - (sizeof(text) - sizeof("..."));
    while (!fits && ((uint8_t)*refused & 0xc0) == 0x80)
        refused++;
    snprintf(text, sizeof(text), "%s%s", fits ? "" : "...", refused);
    memcpy(header->keys_refused, text, sizeof(header->keys_refused));
    atomic_store_relaxed(&header->keys, count); /* read by status alone */
}

void collector_wait_for_batches(struct collector *collector)
{
    for (unsigned i = 0; i < collector->workers; i++) {
        pthread_mutex_lock(&collector->gates[i].mutex);
        traffic_publish(&collector->traffics[i]);
        pthread_mutex_unlock(&collector->gates[i].mutex);
    }
}

static void wait_for_batches(void *context)
{
    collector_wait_for_batches(context);
}

/* Sweep the share of the table that is due since the last sweep. */
static void sweep_table(struct collector *collector, uint64_t now)
{
    const struct table *table = &collector->file.segment.table;
    uint64_t elapsed = now - collector->swept_at;
    uint64_t share = table->pairs / SWEEP_TICKS + 1;
    uint64_t pairs = elapsed < SWEEP_TICKS ? share * elapsed : table->pairs;

    struct table_swept swept = {0};
    collector->sweep_pair = table_sweep(table, collector->sweep_pair,
                                        pairs < table->pairs ? pairs : table->pairs, now, &swept);
    atomic_add_relaxed(counter_of(collector, COUNTER_entries_freed), swept.freed); /* statistics */
    collector->swept_at = now;
}

/* Ask every worker to publish its totals. Don't block on a busy worker's gate: it re-locks it at
 * once and would starve us. Set `wanted`, which it checks after each batch, and poll for up to 20
 * ms. */
static void gather_traffic(struct collector *collector)
{
    const struct timespec pause = {.tv_nsec = GATHER_PAUSE_NS};

    for (unsigned i = 0; i < collector->workers; i++) {
        struct traffic *traffic = &collector->traffics[i];
        atomic_add_relaxed(&traffic->wanted, 1); /* pairs with traffic_is_published */
        for (unsigned tries = GATHER_TRIES; tries && !traffic_is_published(traffic); tries--) {
            if (pthread_mutex_trylock(&collector->gates[i].mutex) == 0) {
                traffic_publish(traffic);
                pthread_mutex_unlock(&collector->gates[i].mutex);
            } else {
                nanosleep(&pause, NULL);
            }
        }
    }
}

/* Sample all scopes. None is retired meanwhile, so each sample is recorded for its own scope. */
static void take_samples(struct collector *collector, uint64_t now)
{
    uint64_t wall = collector->wall_clock(collector->clock_context);

    pthread_mutex_lock(&collector->directory.retiring);
    gather_traffic(collector);
    sampler_run(&collector->histories, directory_used(&collector->directory), now,
                (int64_t)(wall / 86400));
    pthread_mutex_unlock(&collector->directory.retiring);
}

void collector_maintain(struct collector *collector)
{
    uint32_t capacity = collector->file.segment.directory.capacity;
    uint32_t scopes = capacity / SCOPE_SWEEP_TICKS + 1;
    uint64_t now = collector_advance(collector);

    event_share_update(&collector->event_share, now);
    take_samples(collector, now);
    sweep_table(collector, now);
    directory_retire(&collector->directory, now, collector->sweep_scope, scopes, wait_for_batches,
                     collector);
    collector->sweep_scope = (collector->sweep_scope + scopes) % capacity;
}

bool collector_may_make_room(const struct collector *collector, uint64_t now)
{
    return atomic_load_relaxed(&collector->full_since) != now; /* two may try at once: no harm */
}

void collector_make_room(struct collector *collector)
{
    uint32_t capacity = collector->file.segment.directory.capacity;
    uint64_t now = collector_tick(collector);

    /* Labels go first, then their sites. */
    if (directory_retire(&collector->directory, now, 0, capacity, wait_for_batches, collector))
        directory_retire(&collector->directory, now, 0, capacity, wait_for_batches, collector);
    /* Set it only now, so that workers that come meanwhile wait for the room that is being made. */
    atomic_store_relaxed(&collector->full_since, now);
}

int collector_move(struct collector *collector, const char *path)
{
    struct segment_copy copy;
    int r = segment_copy_open(&collector->file, path, &copy);

    if (r < 0)
        return r;
    while (segment_copy_touch(&copy))
        collector_advance(collector); /* touching takes a second or more for large segments */
    /* Nobody else writes while all of these are locked. */
    pthread_mutex_lock(&collector->directory.retiring);
    pthread_mutex_lock(&collector->advancing);
    lock_gates(collector);
    r = segment_copy_activate(&copy, &collector->file, path);
    unlock_gates(collector);
    pthread_mutex_unlock(&collector->advancing);
    pthread_mutex_unlock(&collector->directory.retiring);
    segment_copy_close(&copy);
    return r;
}

void collector_close(struct collector *collector)
{
    enum segment_state state = SEGMENT_STOPPED;

    gather_traffic(collector);
    /* A daemon that never listened must not hide the gap since one last did, nor that it was
     * killed. */
    if (header_of(collector)->state == SEGMENT_LISTENING)
        collector_advance(collector);
    else if (collector->file.origin == SEGMENT_ATTACHED)
        state = collector->file.former_state;
    /* Release: pairs with reader_current_moment, which sees the last tick and its counts. */
    atomic_store_release(&header_of(collector)->state, state);
    for (unsigned i = 0; i < collector->workers; i++)
        pthread_mutex_destroy(&collector->gates[i].mutex);
    pthread_mutex_destroy(&collector->advancing);
    pthread_mutex_destroy(&collector->holding);
    free(collector->traffics);
    streams_close(collector->streams);
    history_pool_close(&collector->histories);
    directory_close(&collector->directory);
    segment_file_close(&collector->file);
}
