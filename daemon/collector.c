#include "collector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "traffic.h"

#define SWEEP_TICKS       65536 /* the whole table in 18 h: far less than 2^19 s */
#define SCOPE_SWEEP_TICKS 60    /* the whole directory in a minute */
#define GATHER_PAUSE_NS   100000
#define GATHER_TRIES                                                            \
    200 /* 20 ms: a batch is over long before, unless the machine is overloaded \
         */

static struct segment_header *header_of(const struct collector *collector)
{
    return collector->file.segment.header;
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
    r = directory_open(&ret->file.segment, &ret->directory);
    if (r < 0)
        goto fail;
    r = history_pool_open(&ret->file.segment, &ret->histories);
    if (r < 0)
        goto fail_directory;
    ret->traffics = calloc(settings->workers, sizeof(*ret->traffics));
    if (!ret->traffics) {
        r = -ENOMEM;
        goto fail_histories;
    }
    for (unsigned i = 0; i < settings->workers; i++)
        ret->traffics[i].directory = &ret->file.segment.directory;
    if (file.origin == SEGMENT_ATTACHED && file.segment.events.capacity)
        events_adopt(&file.segment.events);
    ret->clock = settings->clock;
    ret->wall_clock = settings->wall_clock ? settings->wall_clock : clock_wall;
    ret->clock_context = settings->clock_context;
    ret->workers = settings->workers;
    for (unsigned i = 0; i < settings->workers; i++)
        pthread_mutex_init(&ret->gates[i].mutex, NULL);
    pthread_mutex_init(&ret->advancing, NULL);
    header_of(ret)->workers = settings->workers;
    ret->file.segment.table.lone_writer = settings->workers == 1;
    return 0;

fail_histories:
    history_pool_close(&ret->histories);
fail_directory:
    directory_close(&ret->directory);
fail:
    segment_file_close(&file);
    return r;
}

uint64_t collector_tick(const struct collector *collector)
{
    return atomic_load_acquire(&header_of(collector)->tick); /* pairs with collector_advance */
}

static void lock_gates(struct collector *collector)
{
    for (unsigned i = 0; i < collector->workers; i++)
        pthread_mutex_lock(&collector->gates[i].mutex);
}

static void unlock_gates(struct collector *collector)
{
    for (unsigned i = collector->workers; i-- > 0;)
        pthread_mutex_unlock(&collector->gates[i].mutex);
}

static void publish_tick(struct collector *collector, uint64_t now)
{
    /* Release: pairs with the acquire loads of workers and readers. */
    atomic_store_release(&header_of(collector)->tick, now);
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
        publish_tick(collector, now);
        unlock_gates(collector);
    } else if (gap) {
        publish_tick(collector, now);
    }
    uint64_t tick = header->tick;
    pthread_mutex_unlock(&collector->advancing);
    return tick;
}

uint64_t collector_listen(struct collector *collector, const char *engine, const char *reason)
{
    struct segment_header *header = header_of(collector);
    uint64_t before = header->tick;

    strncpy(header->receive, engine, sizeof(header->receive) - 1);
    strncpy(header->receive_reason, reason, sizeof(header->receive_reason) - 1);
    uint64_t now = collector_advance(collector);
    bool first = header->listening_since == SEGMENT_NEVER;
    if (first)
        atomic_store_relaxed(&header->listening_since, now); /* published with the state */
    /* Words may have aged while nobody swept, restart after restart. */
    table_sweep(&collector->file.segment.table, 0, collector->file.segment.table.pairs, now);
    collector->swept_at = now;
    /* Release: pairs with readers' acquire; what they see as LISTENING has all of the above. */
    atomic_store_release(&header->state, SEGMENT_LISTENING);
    return first ? 0 : now - before;
}

void collector_tell_filter(struct collector *collector, const char *mode, const char *interface,
                           const char *reason)
{
    struct segment_header *header = header_of(collector);

    /* strncpy fills up with zeros: nothing is left of what an earlier daemon wrote. */
    strncpy(header->filter, mode, sizeof(header->filter) - 1);
    strncpy(header->filter_interface, interface, sizeof(header->filter_interface) - 1);
    strncpy(header->filter_reason, reason, sizeof(header->filter_reason) - 1);
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

/* Sweep as much of the table as is due since the last time. */
static void sweep_table(struct collector *collector, uint64_t now)
{
    const struct table *table = &collector->file.segment.table;
    uint64_t elapsed = now - collector->swept_at;
    uint64_t share = table->pairs / SWEEP_TICKS + 1;
    uint64_t pairs = elapsed < SWEEP_TICKS ? share * elapsed : table->pairs;

    collector->sweep_pair =
        table_sweep(table, collector->sweep_pair, pairs < table->pairs ? pairs : table->pairs, now);
    collector->swept_at = now;
}

/* Have what workers have seen published. Not by waiting for their gates: a worker under full load
 * takes its own again before anybody else gets it. */
static void gather_traffic(struct collector *collector)
{
    const struct timespec pause = {.tv_nsec = GATHER_PAUSE_NS};

    for (unsigned i = 0; i < collector->workers; i++) {
        struct traffic *traffic = &collector->traffics[i];
        atomic_add_relaxed(&traffic->wanted, 1); /* read at the end of the worker's batch */
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

/* No scope is given up meanwhile: what is sampled is still its scope's when it is written down. */
static void take_samples(struct collector *collector, uint64_t now)
{
    uint64_t wall = collector->wall_clock(collector->clock_context);

    pthread_mutex_lock(&collector->directory.retiring);
    gather_traffic(collector);
    history_sample(&collector->histories, directory_used(&collector->directory), now,
                   (int64_t)(wall / 86400));
    pthread_mutex_unlock(&collector->directory.retiring);
}

void collector_keep(struct collector *collector)
{
    uint32_t capacity = collector->file.segment.directory.capacity;
    uint32_t scopes = capacity / SCOPE_SWEEP_TICKS + 1;
    uint64_t now = collector_advance(collector);

    take_samples(collector, now);
    sweep_table(collector, now);
    directory_retire(&collector->directory, now, collector->sweep_scope, scopes, wait_for_batches,
                     collector);
    collector->sweep_scope = (collector->sweep_scope + scopes) % capacity;
}

bool collector_may_make_room(const struct collector *collector, uint64_t now)
{
    return atomic_load_relaxed(&collector->full_since) != now; /* two may try: no harm */
}

void collector_make_room(struct collector *collector)
{
    uint32_t capacity = collector->file.segment.directory.capacity;
    uint64_t now = collector_tick(collector);

    /* Labels first: only then may their sites go. */
    if (directory_retire(&collector->directory, now, 0, capacity, wait_for_batches, collector))
        directory_retire(&collector->directory, now, 0, capacity, wait_for_batches, collector);
    /* Only now: whoever comes meanwhile waits for the room that is being made. */
    atomic_store_relaxed(&collector->full_since, now);
}

void collector_close(struct collector *collector)
{
    gather_traffic(collector);
    /* One that never listened must not hide the gap since somebody did. */
    if (header_of(collector)->state == SEGMENT_LISTENING)
        collector_advance(collector);
    /* Release: pairs with readers' acquire; they see the last tick and its counts. */
    atomic_store_release(&header_of(collector)->state, SEGMENT_STOPPED);
    for (unsigned i = 0; i < collector->workers; i++)
        pthread_mutex_destroy(&collector->gates[i].mutex);
    pthread_mutex_destroy(&collector->advancing);
    free(collector->traffics);
    history_pool_close(&collector->histories);
    directory_close(&collector->directory);
    segment_file_close(&collector->file);
}
