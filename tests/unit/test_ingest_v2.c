/* test_ingest_v2.c - ingest.h: datagrams of many places, version 2. */
#include "../support/encode_v2.h"

#include <arpa/inet.h>
#include <time.h>

#include "admission.h"
#include "golden.h"
#include "ingest_fixture.h"

#define KEY_ID 7
#define STREAM 42

/* Open the collector with `streams` places for streams, and admit what `admission` does. */
static void start(struct fixture *fixture, uint32_t streams, struct admission *admission)
{
    fixture->settings.max_streams = streams;
    start_collector(fixture);
    fixture->collector.admission = admission;
    assert_int_equal(ingest_open(&fixture->collector, 0, &fixture->ingests[0]), 0);
}

/* Return a set of keys with the golden datagrams' key. */
static struct keys *golden_keys(void)
{
    struct keys *keys = calloc(1, sizeof(*keys));

    assert_non_null(keys);
    for (unsigned i = 0; i < 16; i++)
        ((uint8_t *)&keys->keys[KEY_ID])[i] = (uint8_t)i;
    keys->known[KEY_ID] = true;
    return keys;
}

/* Encode beats, a record each, and sign them if the header has a key id. Returns the length. */
static uint32_t write_beats(struct wire_v2_header header, const struct beat *beats, unsigned count,
                            uint8_t *datagram)
{
    static uint8_t ids[16 * WIRE_V2_VISITORS_MAX * WIRE_VISITOR_SIZE];
    struct wire_heartbeat heartbeats[16];
    uint8_t *id = ids;

    assert_true(count <= LENGTH(heartbeats));
    for (unsigned i = 0; i < count; i++) {
        heartbeats[i] = heartbeat_of(&beats[i], id);
        id += (size_t)heartbeats[i].visitors * WIRE_VISITOR_SIZE;
    }
    uint32_t length = encode_v2(header, heartbeats, count, datagram, WIRE_DATAGRAM_MAX);
    assert_true(length > 0);
    if (header.key_id) {
        uint8_t key[SIPHASH_KEY_SIZE];
        for (unsigned i = 0; i < sizeof(key); i++)
            key[i] = (uint8_t)i;
        siphash_tag(siphash_key(key), datagram, length - WIRE_TAG_SIZE,
                    datagram + length - WIRE_TAG_SIZE);
    }
    return length;
}

/* Ingest one datagram of these beats in a batch of its own. */
#define places(fixture, header, ...)                                 \
    take_places(fixture, header, (const struct beat[]){__VA_ARGS__}, \
                sizeof((const struct beat[]){__VA_ARGS__}) / sizeof(struct beat))

static void take_places(struct fixture *fixture, struct wire_v2_header header,
                        const struct beat *beats, unsigned count)
{
    static uint8_t datagram[WIRE_DATAGRAM_MAX];
    uint32_t length = write_beats(header, beats, count, datagram);

    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], datagram, length);
    memset(datagram, 0xee, length);
    ingest_end(fixture->ingests[0]);
}

static struct wire_v2_header numbered(uint32_t sequence)
{
    return (struct wire_v2_header){.stream = STREAM, .sequence = sequence};
}

static void golden_datagrams_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct bytes places = bytes_from_hex(GOLDEN_V2_HEX);
    struct bytes authenticated = bytes_from_hex(GOLDEN_V2_SIGNED_HEX);
    struct bytes empty = bytes_from_hex(GOLDEN_V2_EMPTY_HEX);

    start_ingest(fixture);
    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], places.bytes, places.length);
    ingest_datagram(fixture->ingests[0], authenticated.bytes, authenticated.length);
    ingest_datagram(fixture->ingests[0], empty.bytes, empty.length);
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "example.com", 2);
    expect_room(fixture, "example.com", "/pricing", 2);
    expect_room(fixture, "example.com", "/", 1);
    expect_country(fixture, "example.com", "DE", 2);
    expect_source(fixture, "example.com", "news.example", 2);
    expect_counter(fixture, heartbeats_new, 2);
    expect_counter(fixture, heartbeats_refreshed, 2);
    expect_counter(fixture, pageviews, 1);
    expect_counter(fixture, datagrams_accepted, 3);
    expect_counter(fixture, datagrams_empty, 1);
    expect_accounted(fixture, 4);
    stop_ingest(fixture);
    bytes_free(&places);
    bytes_free(&authenticated);
    bytes_free(&empty);
}

/* R4: within a datagram, too, the last word counts. */
static void records_are_counted_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    const struct wire_v2_header header = {0};

    start(fixture, 0, NULL);
    places(fixture, header, {.site = "a", .room = "/x"},
           {.site = "a", .room = "/x", .kind = WIRE_LEAVE}, {.site = "a", .room = "/y"});
    expect_site(fixture, "a", 1);
    expect_room(fixture, "a", "/x", 0);
    expect_room(fixture, "a", "/y", 1);
    places(fixture, header, {.site = "a", .kind = WIRE_LEAVE}, {.site = "a", .room = "/x"});
    expect_site(fixture, "a", 1);
    expect_room(fixture, "a", "/x", 1);
    expect_counter(fixture, heartbeats_new, 2);
    places(fixture, header, {.site = "a", .room = "/x"}, {.site = "a", .kind = WIRE_LEAVE});
    expect_site(fixture, "a", 0);
    expect_counter(fixture, heartbeats_new, 2);
    expect_accounted(fixture, 7);
    stop_ingest(fixture);
}

/* R2: names are compared in canonical form, whatever they are used for. */
static void names_become_canonical(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 0, NULL);
    places(fixture, (struct wire_v2_header){0},
           {.site = "A.Example", .room = "//T/", .source = "News.Example"},
           {.site = "a.example", .room = "/T", .source = "news.example", .visitor = 1},
           {.site = "//T/", .room = "A.Example", .source = "//T/", .visitor = 2});
    expect_site(fixture, "a.example", 2);
    expect_room(fixture, "a.example", "/T", 2);
    expect_source(fixture, "a.example", "news.example", 2);
    expect_room(fixture, "//t/", "A.Example", 1);
    expect_source(fixture, "//t/", "//t/", 1);
    expect_accounted(fixture, 3);
    stop_ingest(fixture);
}

/* More places, and more visitors, than wait at once. */
static void full_datagrams_are_counted(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t datagram[WIRE_DATAGRAM_MAX];
    static uint8_t ids[2000][WIRE_VISITOR_SIZE];
    static struct wire_heartbeat heartbeats[LENGTH(ids)];
    static char rooms[100][8];
    struct wire_v2_header header = {0};

    fixture->settings.max_entries = 10 * LENGTH(ids);
    fixture->settings.max_scopes = 2 * LENGTH(rooms);
    start(fixture, 0, NULL);
    for (unsigned i = 0; i < LENGTH(ids); i++) {
        char *room = rooms[i * 7 % LENGTH(rooms)];
        snprintf(room, sizeof(rooms[0]), "/%u", i * 7 % (unsigned)LENGTH(rooms));
        heartbeats[i] = heartbeat_of(
            &(struct beat){.site = "a", .room = room, .country = "DE", .visitor = i}, ids[i]);
    }
    uint32_t length = encode_v2(header, heartbeats, LENGTH(ids), datagram, sizeof(datagram));
    assert_true(length > 0);
    for (int i = 0; i < 2; i++) {
        ingest_begin(fixture->ingests[0]);
        ingest_datagram(fixture->ingests[0], datagram, length);
        ingest_end(fixture->ingests[0]);
        expect_site(fixture, "a", LENGTH(ids));
        expect_country(fixture, "a", "DE", LENGTH(ids));
        for (unsigned room = 0; room < LENGTH(rooms); room++)
            expect_room(fixture, "a", rooms[room], LENGTH(ids) / LENGTH(rooms));
    }
    expect_counter(fixture, heartbeats_new, LENGTH(ids));
    expect_counter(fixture, heartbeats_refreshed, LENGTH(ids));
    stop_ingest(fixture);
}

/* A full directory makes room in the middle of a datagram, whose other records still count. */
static void directories_make_room_within_a_datagram(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_scopes = 4;
    start(fixture, 0, NULL);
    places(fixture, (struct wire_v2_header){0}, {.site = "a", .room = "/1"},
           {.site = "a", .room = "/2"}, {.site = "a", .room = "/3"});
    fixture->clock += 4000;
    places(fixture, (struct wire_v2_header){0}, {.site = "a", .room = "/4"},
           {.site = "a", .room = "/5"}, {.site = "a", .room = "/6"}, {.site = "a", .room = "/7"});
    expect_room(fixture, "a", "/1", -1);
    expect_room(fixture, "a", "/4", 1);
    expect_room(fixture, "a", "/5", 1);
    expect_room(fixture, "a", "/6", 1);
    expect_room(fixture, "a", "/7", -1);
    expect_counter(fixture, label_scopes_full, 1);
    expect_accounted(fixture, 7);
    stop_ingest(fixture);
}

/* Room is made by retiring a site that a later record names, on the other side of a leave. */
static void places_after_a_leave_are_looked_up_again(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_scopes = 2;
    start(fixture, 0, NULL);
    places(fixture, (struct wire_v2_header){0}, {.site = "old"}, {.site = "other"});
    fixture->clock += 4000;
    places(fixture, (struct wire_v2_header){0}, {.site = "new"},
           {.site = "old", .kind = WIRE_LEAVE}, {.site = "old", .visitor = 1});
    expect_site(fixture, "new", 1);
    expect_site(fixture, "old", 1);
    expect_site(fixture, "other", -1);
    expect_counter(fixture, scopes_retired, 2);
    expect_accounted(fixture, 5);
    stop_ingest(fixture);
}

static void records_of_other_sites_are_skipped(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {0};

    assert_int_equal(sites_add(&admission.sites, "a"), 0);
    start(fixture, 4, &admission);
    places(fixture, numbered(1), {.site = "b", .count = 3}, {.site = "A", .visitor = 1},
           {.site = "c", .kind = WIRE_LEAVE}, {.site = "a", .visitor = 2}, {.site = "b"});
    expect_site(fixture, "a", 2);
    expect_site(fixture, "b", -1);
    expect_counter(fixture, datagrams_accepted, 1);
    expect_counter(fixture, site_refused, 5);
    expect_counter(fixture, scopes_created, 1);
    expect_accounted(fixture, 7);

    /* All of them: the datagram is rejected, but it was received. */
    places(fixture, numbered(2), {.site = "b", .count = 3}, {.site = "c"});
    expect_counter(fixture, datagrams_rejected_site, 1);
    expect_counter(fixture, site_refused, 9);
    expect_counter(fixture, streams_received, 2);
    take_places(fixture, numbered(3), NULL, 0);
    expect_counter(fixture, datagrams_accepted, 2);
    expect_counter(fixture, streams_received, 3);
    expect_accounted(fixture, 11);
    stop_ingest(fixture);
    admission_close(&admission);
}

static void replays_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.keys = golden_keys()};
    struct wire_v2_header header = {.stream = STREAM, .sequence = 1, .key_id = KEY_ID};
    const struct beat beats[] = {
        {.site = "a", .kind = WIRE_PAGEVIEW}, {.site = "a", .event = "sale"}, {.site = "a"}};

    header.sent_at = (uint32_t)time(NULL);
    start(fixture, 4, &admission);
    for (int i = 0; i < 3; i++) {
        take_places(fixture, header, beats, LENGTH(beats));
        expect_counter(fixture, datagrams_accepted, 1);
        expect_counter(fixture, datagrams_rejected_duplicate, (uint64_t)i);
        expect_counter(fixture, heartbeats_new, 1);
        expect_counter(fixture, heartbeats_refreshed, 2);
        expect_counter(fixture, pageviews, 1);
        expect_counter(fixture, custom_events, 1);
        expect_counter(fixture, streams_received, 1);
    }
    /* They can't bring a visitor back who has left. */
    struct wire_v2_header next = header;
    next.sequence = 2;
    places(fixture, next, {.site = "a", .kind = WIRE_LEAVE});
    take_places(fixture, header, beats, LENGTH(beats));
    expect_site(fixture, "a", 0);
    expect_accounted(fixture, 4);
    stop_ingest(fixture);
    admission_close(&admission);
}

/* Without a place for its stream, or without a stream, a datagram counts as often as it comes. */
static void datagrams_without_a_stream_are_not_checked(void **state)
{
    struct fixture *fixture = *state;

    start(fixture, 0, NULL);
    for (int i = 0; i < 2; i++) {
        places(fixture, numbered(5), {.site = "a"});
        places(fixture, (struct wire_v2_header){0}, {.site = "a"});
    }
    expect_counter(fixture, datagrams_accepted, 4);
    expect_counter(fixture, streams_full, 2);
    expect_counter(fixture, streams_expected, 0);
    expect_accounted(fixture, 4);
    stop_ingest(fixture);
}

/* Without keys nothing proves a key id, so it does not tell streams apart. */
static void key_ids_count_with_keys_only(void **state)
{
    struct fixture *fixture = *state;
    struct wire_v2_header with_key = numbered(1);

    with_key.key_id = KEY_ID;
    start(fixture, 4, NULL);
    places(fixture, numbered(1), {.site = "a"});
    places(fixture, with_key, {.site = "a"});
    expect_counter(fixture, datagrams_rejected_duplicate, 1);
    assert_int_equal(segment_of(fixture)->streams.slots[0].key_id, 0);
    stop_ingest(fixture);
}

static void come_from(struct fixture *fixture, const char *address)
{
    static struct sockaddr_in sender;

    sender = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(1234)};
    assert_int_equal(inet_pton(AF_INET, address, &sender.sin_addr), 1);
    ingest_begin(fixture->ingests[0]);
    ingest_from(fixture->ingests[0], (struct sockaddr *)&sender);
    ingest_end(fixture->ingests[0]);
}

static void streams_know_their_sender(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t address[4] = {192, 0, 2, 1};

    start(fixture, 4, NULL);
    come_from(fixture, "192.0.2.1");
    places(fixture, numbered(1), {.site = "a", .count = 9});
    const struct stream *stream = segment_of(fixture)->streams.slots;
    for (unsigned i = 1; i < 4 && stream->id != STREAM; i++)
        stream++;
    assert_int_equal(stream->id, STREAM);
    assert_int_equal(stream->family, 4);
    assert_int_equal(stream->port, 1234);
    assert_memory_equal(stream->address, address, sizeof(address));
    assert_int_equal(stream->heartbeats, 9);
    assert_int_equal(stream->last_tick, fixture->clock);
    stop_ingest(fixture);
}

/* Of several reasons the first counts, and those before it keep a stream as it is. */
static void reasons_have_an_order(void **state)
{
    struct fixture *fixture = *state;
    struct admission admission = {.keys = golden_keys()};
    struct wire_v2_header signed_now = {.stream = STREAM, .sequence = 1, .key_id = KEY_ID};
    struct network network;

    signed_now.sent_at = (uint32_t)time(NULL);
    struct wire_v2_header signed_long_ago = signed_now, unknown_key = signed_now;
    signed_long_ago.sent_at -= 1000;
    unknown_key.key_id = KEY_ID + 1;
    assert_int_equal(network_parse("192.0.2.0/24", &network), 0);
    assert_int_equal(networks_build(&network, 1, &admission.networks), 0);
    assert_int_equal(sites_add(&admission.sites, "a"), 0);
    start(fixture, 4, &admission);
    come_from(fixture, "203.0.113.1");
    places(fixture, signed_now, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_sender, 1);
    come_from(fixture, "192.0.2.1");
    places(fixture, numbered(1), {.site = "b"});
    places(fixture, unknown_key, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_unauthenticated, 2);
    places(fixture, signed_long_ago, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_stale, 1);
    expect_counter(fixture, streams_expected, 0);
    places(fixture, signed_now, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_site, 1);
    places(fixture, signed_now, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_duplicate, 1);
    places(fixture, signed_long_ago, {.site = "b"});
    expect_counter(fixture, datagrams_rejected_stale, 2);
    expect_counter(fixture, streams_received, 1);
    expect_accounted(fixture, 1);
    stop_ingest(fixture);
    admission_close(&admission);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(golden_datagrams_are_counted),
        TEST(records_are_counted_in_their_order),
        TEST(names_become_canonical),
        TEST(full_datagrams_are_counted),
        TEST(directories_make_room_within_a_datagram),
        TEST(places_after_a_leave_are_looked_up_again),
        TEST(records_of_other_sites_are_skipped),
        TEST(replays_change_nothing),
        TEST(datagrams_without_a_stream_are_not_checked),
        TEST(key_ids_count_with_keys_only),
        TEST(streams_know_their_sender),
        TEST(reasons_have_an_order),
    };
    return cmocka_run_group_tests_name("ingest_v2", tests, NULL, NULL);
}
