/* test_ingest_arrivals.c - ingest.h: what a worker has received, cut into datagrams and batches. */
#include "ingest_fixture.h"

#include <receive/receive.h>

#define BATCH_BYTES (256u << 10) /* a batch ends once it has so many */

static uint64_t batches;

/* A batch reads the clock once while the tick stays the same. */
static uint64_t count_batches(void *context)
{
    batches++;
    return read_clock(context);
}

static void start_counting(struct fixture *fixture)
{
    fixture->settings.max_entries = 10000;
    start_ingest(fixture);
    fixture->collector.clock = count_batches;
    batches = 0;
}

/* Fill a buffer with a datagram, again and again; the last one is cut to what has room. */
static void fill(uint8_t *bytes, uint32_t size, const struct beat *beat, struct receive_buffer *ret)
{
    static uint8_t datagram[WIRE_DATAGRAM_MAX];
    uint32_t length = write_beat(beat, datagram);

    for (uint32_t at = 0; at < size; at += length)
        memcpy(bytes + at, datagram, size - at < length ? size - at : length);
    *ret = (struct receive_buffer){.data = bytes, .length = size, .segment_bytes = length};
}

/* A train is taken apart up to its last datagram, whether that is as long as the others or not. */
static void trains_are_taken_apart_to_their_end(void **state)
{
    struct fixture *fixture = *state;
    const struct beat beat = {"a", .visitor = 1, .count = 3};
    const struct receive_statistics none = {0};
    uint8_t bytes[1000];
    struct receive_buffer buffer;

    start_counting(fixture);
    fill(bytes, sizeof(bytes), &beat, &buffer);
    const uint32_t size = buffer.segment_bytes;
    for (uint32_t count = 1; count <= 4; count++) {
        uint64_t before = counter(fixture, COUNTER_datagrams_received);
        buffer.length = count * size;
        ingest_arrivals(fixture->ingests[0], &buffer, 1, &none);
        expect_counter(fixture, datagrams_received, before + count);
        expect_counter(fixture, datagrams_rejected_malformed, count - 1);
        buffer.length = count * size + 1; /* the last one is cut off */
        ingest_arrivals(fixture->ingests[0], &buffer, 1, &none);
        expect_counter(fixture, datagrams_received, before + 2 * count + 1);
        expect_counter(fixture, datagrams_rejected_malformed, count);
    }
    buffer.length = 0; /* an empty datagram */
    ingest_arrivals(fixture->ingests[0], &buffer, 1, &none);
    expect_counter(fixture, datagrams_rejected_malformed, 5);
    stop_ingest(fixture);
}

static void large_bursts_are_several_batches(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t bytes[60000];
    const struct beat beat = {"a", .visitor = 1, .count = 60};
    const struct receive_statistics none = {0};
    struct receive_buffer buffers[13];
    const uint32_t each = BATCH_BYTES / sizeof(bytes) + 1; /* the last one closes the batch */

    start_counting(fixture);
    for (unsigned i = 0; i < LENGTH(buffers); i++)
        fill(bytes, sizeof(bytes), &beat, &buffers[i]);
    ingest_arrivals(fixture->ingests[0], buffers, LENGTH(buffers), &none);
    assert_int_equal(batches, (LENGTH(buffers) + each - 1) / each);
    expect_site(fixture, "a", 60);
    stop_ingest(fixture);
}

/* What the receiver has counted is counted even if nothing came with it. */
static void statistics_are_counted(void **state)
{
    struct fixture *fixture = *state;
    const struct receive_statistics some = {.rearmed = 2, .buffers_exhausted = 3, .truncated = 4};

    start_counting(fixture);
    ingest_arrivals(fixture->ingests[0], NULL, 0, &some);
    expect_counter(fixture, receive_rearmed, 2);
    expect_counter(fixture, receive_buffers_exhausted, 3);
    expect_counter(fixture, receive_truncated, 4);
    expect_counter(fixture, datagrams_received, 4);
    expect_counter(fixture, datagrams_rejected_malformed, 4);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(trains_are_taken_apart_to_their_end),
        TEST(large_bursts_are_several_batches),
        TEST(statistics_are_counted),
    };
    return cmocka_run_group_tests_name("ingest_arrivals", tests, NULL, NULL);
}
