#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ring_sum.h"
#include "core/scope_name.h"
#include "core/wire.h"
#include "receive/streams.h"

static uint64_t read_clock(void *context)
{
    return fixture_clock(context);
}

static uint64_t read_wall(void *context)
{
    const struct fixture *fixture = context;

    return fixture_clock(fixture) + fixture->wall;
}

uint64_t fixture_clock(const struct fixture *fixture)
{
    return atomic_load_acquire(&fixture->clock); /* pairs with fixture_set_clock */
}

void fixture_set_clock(struct fixture *fixture, uint64_t clock)
{
    atomic_store_release(&fixture->clock, clock);
}

void fixture_create(struct fixture *fixture, const struct segment_settings *settings,
                    uint64_t clock)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->settings = *settings;
    fixture->clock = clock;
    strcpy(fixture->directory, "/dev/shm/presence-test-XXXXXX");
    if (!mkdtemp(fixture->directory))
        fail_msg("mkdtemp %s", fixture->directory);
    snprintf(fixture->path, sizeof(fixture->path), "%s/segment", fixture->directory);
}

uint64_t fixture_start(struct fixture *fixture, unsigned workers)
{
    struct collector_settings settings = {
        .path = fixture->path,
        .segment = fixture->settings,
        .workers = workers,
        .clock = read_clock,
        .wall_clock = read_wall,
        .clock_context = fixture,
    };
    pid_t holder = 0;
    int r = collector_open(&settings, &fixture->collector, &holder);

    if (r < 0)
        fail_msg("collector_open: %s", strerror(-r));
    fixture->is_running = true;
    fixture->collector.admission = fixture->admission;
    uint64_t gap = collector_listen(&fixture->collector, "test", "");
    for (fixture->workers = 0; fixture->workers < workers; fixture->workers++)
        assert_int_equal(
            ingest_open(&fixture->collector, fixture->workers, &fixture->ingests[fixture->workers]),
            0);
    return gap;
}

static void close_ingests(struct fixture *fixture)
{
    while (fixture->workers)
        ingest_close(fixture->ingests[--fixture->workers]);
    fixture->is_running = false;
}

void fixture_stop(struct fixture *fixture)
{
    close_ingests(fixture);
    collector_close(&fixture->collector);
}

void fixture_kill(struct fixture *fixture)
{
    close_ingests(fixture);
    free(fixture->collector.traffics);
    streams_close(fixture->collector.streams);
    history_pool_close(&fixture->collector.histories);
    directory_close(&fixture->collector.directory);
    segment_file_close(&fixture->collector.file);
}

void fixture_remove(struct fixture *fixture)
{
    if (!fixture->directory[0])
        return;
    if (fixture->is_running)
        fixture_kill(fixture);
    unlink(fixture->path);
    rmdir(fixture->directory);
    fixture->directory[0] = '\0';
}

uint64_t fixture_counter(const struct fixture *fixture, enum counter counter)
{
    const struct segment_counters *blocks = fixture->collector.file.segment.counters;
    uint64_t sum = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++)
        sum += atomic_load_relaxed(&blocks[i].values[counter]);
    return sum;
}

void fixture_visitor(unsigned number, uint8_t ret_id[16])
{
    memset(ret_id, 0x5a, 16);
    memcpy(ret_id, &number, sizeof(number));
}

static struct wire_name wire_name(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

uint32_t fixture_encode(uint8_t *datagram, uint32_t capacity, uint8_t kind, const char *site,
                        const char *room, unsigned first, unsigned count)
{
    uint8_t *ids = malloc((size_t)count * WIRE_VISITOR_SIZE);
    struct wire_heartbeat heartbeat = {
        .site = wire_name(site),
        .room = wire_name(room),
        .kind = kind,
        .visitors = count,
        .visitor_ids = ids,
    };

    for (unsigned i = 0; i < count; i++)
        fixture_visitor(first + i, ids + (size_t)i * WIRE_VISITOR_SIZE);
    uint32_t length = wire_v1_encode(&heartbeat, datagram, capacity);
    free(ids);
    if (length == 0)
        fail_msg("wire_v1_encode: %u visitors of %s in %u bytes", count, site, capacity);
    return length;
}

void fixture_send(struct fixture *fixture, unsigned worker, uint8_t kind, const char *site,
                  const char *room, unsigned first, unsigned count)
{
    uint8_t *datagram = malloc(WIRE_DATAGRAM_MAX);
    uint32_t length = fixture_encode(datagram, WIRE_DATAGRAM_MAX, kind, site, room, first, count);

    ingest_begin(fixture->ingests[worker]);
    ingest_datagram(fixture->ingests[worker], datagram, length);
    ingest_end(fixture->ingests[worker]);
    free(datagram);
}

uint32_t fixture_scope(const struct segment *segment, const char *site, const char *room,
                       uint64_t *ret_state)
{
    struct scope_name site_name =
        scope_name_site(segment->header->secret, (const uint8_t *)site, (uint32_t)strlen(site));
    uint32_t found = scope_find(&segment->directory, &site_name, ret_state);

    if (found == SCOPE_NONE || !room)
        return found;
    struct scope_name room_name = scope_name_label(&site_name, found, SCOPE_ROOM,
                                                   (const uint8_t *)room, (uint32_t)strlen(room));
    return scope_find(&segment->directory, &room_name, ret_state);
}

int64_t fixture_count(const struct fixture *fixture, const char *site, uint32_t window)
{
    const struct segment *segment = &fixture->collector.file.segment;
    uint64_t state;
    uint32_t found = fixture_scope(segment, site, NULL, &state);

    if (found == SCOPE_NONE)
        return 0;
    return ring_count(&segment->directory.rings[found], collector_tick(&fixture->collector),
                      window);
}

double fixture_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double fixture_budget(double normal)
{
    return getenv("TEST_LONG") ? 10 * normal : normal;
}
