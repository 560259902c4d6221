/* test_no_memory.c - each allocation of what opens something fails once: it says so, leaves its
 * output alone, and leaves nothing behind. */
#include "../support/failing_memory.h"
#include "reader_fixture.h"

#include <netinet/in.h>

#include "admission.h"
#include "config.h"
#include "receive/decoder.h"
#include "receive/handover.h"
#include "receive/listener.h"

#define SITE "example.com"

static const struct segment_settings settings = {
    .max_entries = 1000,
    .max_scopes = 64,
    .max_histories = 4,
    .max_events = EVENTS_MIN,
    .max_streams = 8,
    .max_window = 60,
};

/* An output that nobody may write to when a function fails. */
#define MARK ((void *)(uintptr_t)0x5a5a5a5a)

static int open_reader(void *context)
{
    struct fixture *fixture = context;
    struct presence *presence = MARK;
    int r = presence_open(fixture->scratch.path, &presence);

    if (r < 0)
        assert_ptr_equal(presence, MARK);
    else
        presence_close(presence);
    return r;
}

/* Call a function of the reader that allocates a list, which `release` frees. */
#define READ(name, type, release, call)                                  \
    static int name(void *context)                                       \
    {                                                                    \
        struct presence *reader = ((struct fixture *)context)->presence; \
        type list, before;                                               \
                                                                         \
        memset(&list, 0x5a, sizeof(list));                               \
        memcpy(&before, &list, sizeof(list));                            \
        int r = call;                                                    \
        if (r < 0)                                                       \
            assert_memory_equal(&list, &before, sizeof(list));           \
        else                                                             \
            release(&list);                                              \
        return r;                                                        \
    }

READ(read_top, struct presence_listing, presence_listing_free,
     presence_top(reader, SITE, PRESENCE_ROOM, 60, 10, &list))
READ(read_sites, struct presence_listing, presence_listing_free, presence_sites(reader, 60, &list))
READ(read_busiest, struct presence_busiest, presence_busiest_free,
     presence_busiest(reader, PRESENCE_ROOM, 60, 10, &list))
READ(read_scopes, struct presence_scopes, presence_scopes_free,
     presence_history_scopes(reader, &list))
READ(read_history, struct presence_history, presence_history_free,
     presence_history(reader, PRESENCE_SITE, SITE, NULL, 0, INT64_MAX, &list))
READ(read_events, struct presence_events, presence_events_free,
     presence_events(reader, SITE, 0, 10, &list))
READ(read_streams, struct presence_streams, presence_streams_free, presence_streams(reader, &list))

static void nothing_to_free(void *unused)
{
    (void)unused;
}

READ(read_verification, struct presence_verification, nothing_to_free,
     presence_verify(reader, &list))

static void readers(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings);
    fixture_beat(&fixture, "1", SITE, "/room");
    fixture_deliver(&fixture, WIRE_EVENT, "1", SITE, NULL, NULL, NULL);
    for (unsigned second = 0; second < 61; second++) { /* until there is a minute of history */
        fixture_advance(&fixture, 1);
        collector_maintain(fixture.collector);
    }
    fixture_beat(&fixture, "1", SITE, "/room");
    fail_each_allocation("presence_open", open_reader, &fixture);
    fail_each_allocation("presence_top", read_top, &fixture);
    fail_each_allocation("presence_sites", read_sites, &fixture);
    fail_each_allocation("presence_busiest", read_busiest, &fixture);
    fail_each_allocation("presence_history_scopes", read_scopes, &fixture);
    fail_each_allocation("presence_history", read_history, &fixture);
    fail_each_allocation("presence_events", read_events, &fixture);
    fail_each_allocation("presence_streams", read_streams, &fixture);
    fail_each_allocation("presence_verify", read_verification, &fixture);
    fixture_close(&fixture);
}

static int open_sender(void *context)
{
    struct presence_sender *sender = MARK;
    int r = presence_sender_open("127.0.0.1:9", context, &sender);

    if (r < 0)
        assert_ptr_equal(sender, MARK);
    else
        presence_sender_close(sender);
    return r;
}

static void senders(void **state)
{
    struct presence_sender_options options = {.batch = 16};

    (void)state;
    fail_each_allocation("presence_sender_open", open_sender, &options);
}

static int open_collector(void *context)
{
    struct fixture *fixture = context;
    const struct collector_settings collector = {
        .path = fixture->scratch.path, .segment = settings, .workers = 2, .clock = clock_boottime};
    struct collector *opened = fixture->collector;
    pid_t holder;
    int r = collector_open(&collector, opened, &holder);

    if (r == 0)
        collector_close(opened);
    return r;
}

static int open_ingest(void *context)
{
    struct fixture *fixture = context;
    struct ingest *ingest = MARK;
    int r = ingest_open(fixture->collector, 0, &ingest);

    if (r < 0)
        assert_ptr_equal(ingest, MARK);
    else
        ingest_close(ingest);
    return r;
}

static void collectors(void **state)
{
    struct fixture fixture = {.now = fixture_start()};

    (void)state;
    scratch_open(&fixture.scratch);
    fixture.collector = aligned_alloc(128, (sizeof(struct collector) + 127) / 128 * 128);
    fail_each_allocation("collector_open", open_collector, &fixture);
    assert_int_equal(scratch_count(&fixture.scratch), 1); /* the segment */
    free(fixture.collector);
    scratch_close(&fixture.scratch);
    fixture_open(&fixture, settings);
    fail_each_allocation("ingest_open", open_ingest, &fixture);
    fixture_close(&fixture);
}

static int open_admission(void *context)
{
    struct admission admission;
    int r = admission_open(context, &admission);

    if (r == 0)
        admission_close(&admission);
    return r;
}

static int open_decoder(void *context)
{
    static struct decoder_counts counts;
    struct decoder *decoder = MARK;
    int r = decoder_open(context, &counts, &decoder);

    if (r < 0)
        assert_ptr_equal(decoder, MARK);
    else
        decoder_close(decoder);
    return r;
}

static int open_handover(void *context)
{
    struct service_manager manager = {.program = "presenced", .socket = -1};
    struct handover handover;
    int r = handover_open(&manager, 1000, &handover);

    (void)context;
    handover_close(&handover);
    return r;
}

static int open_listener(void *context)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sockets[2] = {-7, -7};
    int r = listener_open((const struct sockaddr *)&address, sizeof(address), context,
                          LENGTH(sockets), sockets);

    for (unsigned i = 0; i < LENGTH(sockets); i++) {
        if (r < 0)
            assert_int_equal(sockets[i], -7);
        else
            close(sockets[i]);
    }
    return r;
}

static void receivers(void **state)
{
    struct config config = {.sender_rate = 10, .sender_new = 10};
    struct networks everywhere = {0};
    struct listener_options options = {0};

    (void)state;
    fail_each_allocation("admission_open", open_admission, &config);
    fail_each_allocation("decoder_open", open_decoder, &everywhere);
    fail_each_allocation("handover_open", open_handover, NULL);
    fail_each_allocation("listener_open", open_listener, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers),
        cmocka_unit_test(senders),
        cmocka_unit_test(collectors),
        cmocka_unit_test(receivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
