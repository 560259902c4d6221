/* collector_fixture.h - a collector on its own segment, with a clock that the test moves. */
#ifndef PRESENCE_TESTS_COLLECTOR_FIXTURE_H
#define PRESENCE_TESTS_COLLECTOR_FIXTURE_H

#include "../support/buckets.h"
#include "../support/scratch.h"

#include <sys/mman.h>

#include "collector.h"
#include "receive/streams.h"

#define START UINT64_C(5000000) /* tick at which tests begin */

struct fixture {
    struct scratch scratch;
    struct segment_settings settings;
    unsigned workers;
    uint64_t clock;
    struct collector collector;
    struct ingest *ingests[4]; /* one per worker, in tests of ingest.h */
};

static inline uint64_t read_clock(void *context)
{
    return atomic_load_relaxed(&((struct fixture *)context)->clock);
}

static inline int open_fixture(void **state)
{
    struct fixture *fixture = aligned_alloc(_Alignof(struct fixture), sizeof(*fixture));

    assert_non_null(fixture);
    memset(fixture, 0, sizeof(*fixture));
    scratch_open(&fixture->scratch);
    fixture->settings = (struct segment_settings){
        .max_entries = 1000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};
    fixture->workers = 1;
    fixture->clock = START;
    *state = fixture;
    alarm(120); /* in case of a deadlock */
    return 0;
}

static inline int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    alarm(0);
    scratch_close(&fixture->scratch);
    free(fixture);
    return 0;
}

static inline void open_collector(struct fixture *fixture)
{
    const struct collector_settings settings = {
        .path = fixture->scratch.path,
        .segment = fixture->settings,
        .workers = fixture->workers,
        .clock = read_clock,
        .clock_context = fixture,
    };
    pid_t holder = 0;
    int r = collector_open(&settings, &fixture->collector, &holder);

    if (r < 0)
        fail_msg("cannot open the collector: %s", strerror(-r));
}

/* Open it and listen. Returns the result of collector_listen. */
static inline uint64_t start_collector(struct fixture *fixture)
{
    open_collector(fixture);
    return collector_listen(&fixture->collector, "test", "");
}

/* End it as SIGKILL would: without another write to the segment. */
static inline void kill_collector(struct fixture *fixture)
{
    free(fixture->collector.traffics);
    streams_close(fixture->collector.streams);
    history_pool_close(&fixture->collector.histories);
    directory_close(&fixture->collector.directory);
    segment_file_close(&fixture->collector.file);
}

/* Map the file that a daemon has left, to damage it. */
static inline struct segment map_left(struct fixture *fixture)
{
    struct segment_header header;
    int fd = open(fixture->scratch.path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, &header, sizeof(header)), sizeof(header));
    void *start = mmap(NULL, header.file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(start != MAP_FAILED);
    close(fd);
    return segment_view(start, &header);
}

static inline struct segment *segment_of(struct fixture *fixture)
{
    return &fixture->collector.file.segment;
}

static inline struct segment_header *header_of(struct fixture *fixture)
{
    return fixture->collector.file.segment.header;
}

static inline uint32_t hold_site(struct fixture *fixture, const char *text, uint64_t now)
{
    struct scope_name name =
        scope_name_site(header_of(fixture)->secret, (const uint8_t *)text, (uint32_t)strlen(text));

    return directory_hold(&fixture->collector.directory, &name, now ? &now : NULL);
}

static inline uint32_t hold_label(struct fixture *fixture, const char *site_text, uint32_t site,
                                  enum scope_kind kind, const char *text, uint64_t now)
{
    struct scope_name site_name = scope_name_site(
        header_of(fixture)->secret, (const uint8_t *)site_text, (uint32_t)strlen(site_text));
    struct scope_name name =
        scope_name_label(&site_name, site, kind, (const uint8_t *)text, (uint32_t)strlen(text));

    return directory_hold(&fixture->collector.directory, &name, now ? &now : NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
