/* test_ingest.c - ingest.h: effects of datagrams on scopes and counters. */
#include "golden.h"
#include "ingest_fixture.h"

static void golden_datagrams_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct bytes labels = bytes_from_hex(GOLDEN_LABELS_HEX);
    struct bytes authenticated = bytes_from_hex(GOLDEN_SIGNED_HEX);

    start_ingest(fixture);
    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], labels.bytes, labels.length);
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "example.com", 2);
    expect_room(fixture, "example.com", "/pricing", 2);
    expect_country(fixture, "example.com", "DE", 2);
    expect_source(fixture, "example.com", "news.example", 2);
    expect_counter(fixture, heartbeats_new, 2); /* counted at the site only */
    expect_counter(fixture, scopes_created, 4);

    /* The first visitor again, in the site only. Without keys, tag and time are not checked. */
    fixture->clock += 10;
    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], authenticated.bytes, authenticated.length);
    ingest_end(fixture->ingests[0]);
    expect_site(fixture, "example.com", 2);
    expect_counter(fixture, heartbeats_refreshed, 1);
    expect_counter(fixture, datagrams_accepted, 2);

    /* The same visitor as text. */
    text_batch(fixture, "PH1 site=EXAMPLE.com visitor=" GOLDEN_VISITOR_TEXT " room=/pricing");
    expect_site(fixture, "example.com", 2);
    expect_room(fixture, "example.com", "/pricing", 2);
    expect_counter(fixture, heartbeats_refreshed, 2);
    expect_counter(fixture, scopes_created, 4);
    expect_accounted(fixture, 4);
    stop_ingest(fixture);
    bytes_free(&labels);
    bytes_free(&authenticated);
}

static void rejections_are_counted_by_reason(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *datagram;
        uint32_t length;
        enum counter reason;
    } cases[] = {
        {"", 0, COUNTER_datagrams_rejected_malformed},
        {"PH", 2, COUNTER_datagrams_rejected_malformed},
        {"PH\x02", 3, COUNTER_datagrams_rejected_malformed},
        {"PH\x03", 3, COUNTER_datagrams_rejected_version},
        {"PH2 site=a visitor=b", 20, COUNTER_datagrams_rejected_version},
        {"PH\x01", 3, COUNTER_datagrams_rejected_malformed},
        {"PH\x01\x01\0\x15\0\0\0\0\0\0\0\0\x01\0\0\0\0\0a", 21, COUNTER_datagrams_rejected_visitor},
        {"hello", 5, COUNTER_datagrams_rejected_malformed},
        {"PH1 site=a", 10, COUNTER_datagrams_rejected_visitor},
        {"PH1 visitor=a", 13, COUNTER_datagrams_rejected_malformed},
        {"PH1 site=a visitor=b kind=x", 27, COUNTER_datagrams_rejected_malformed},
    };

    start_ingest(fixture);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes datagram = bytes_copy(cases[i].datagram, cases[i].length);
        uint64_t before = counter(fixture, cases[i].reason);
        ingest_begin(fixture->ingests[0]);
        ingest_datagram(fixture->ingests[0], datagram.bytes, datagram.length);
        ingest_end(fixture->ingests[0]);
        if (counter(fixture, cases[i].reason) != before + 1)
            fail_msg("datagram %zu is not counted for its reason", i);
        expect_accounted(fixture, 0);
        bytes_free(&datagram);
    }
    ingest_begin(fixture->ingests[0]);
    ingest_truncated(fixture->ingests[0]);
    ingest_count(fixture->ingests[0], COUNTER_socket_drops, 7);
    ingest_count(fixture->ingests[0], COUNTER_receive_rearmed, 2);
    ingest_end(fixture->ingests[0]);
    expect_counter(fixture, datagrams_rejected_malformed, 8);
    expect_counter(fixture, receive_truncated, 1);
    expect_counter(fixture, socket_drops, 7);
    expect_counter(fixture, receive_rearmed, 2);
    expect_counter(fixture, datagrams_received, LENGTH(cases) + 1);
    expect_counter(fixture, datagrams_accepted, 0);
    expect_counter(fixture, scopes_created, 0);
    expect_accounted(fixture, 0);
    stop_ingest(fixture);
}

static void visitors_count_once_a_scope(void **state)
{
    struct fixture *fixture = *state;

    start_ingest(fixture);
    batch(fixture, {"a", .room = "/1", .country = "DE", .source = "s", .visitor = 1},
          {"a", .room = "/2", .country = "DE", .visitor = 1},
          {"a", .room = "/2", .country = "FR", .visitor = 2, .count = 3}, {"b", .visitor = 1},
          {"a", .visitor = 1});
    expect_site(fixture, "a", 4);
    expect_room(fixture, "a", "/1", 1);
    expect_room(fixture, "a", "/2", 4);
    expect_country(fixture, "a", "DE", 1);
    expect_country(fixture, "a", "FR", 3);
    expect_source(fixture, "a", "s", 1);
    expect_site(fixture, "b", 1);
    expect_room(fixture, "b", "/1", -1);
    expect_counter(fixture, heartbeats_new, 5);
    expect_counter(fixture, heartbeats_refreshed, 2);
    expect_counter(fixture, scopes_created, 7);
    expect_accounted(fixture, 7);

    /* Twice in one datagram counts once. */
    batch(fixture, {"c", .visitor = 9, .count = 5}, {"c", .visitor = 11, .count = 5});
    expect_site(fixture, "c", 7);
    stop_ingest(fixture);
}

/* A visitor is in the count while now - last < W, and enters after 300 s without a heartbeat. */
static void visitors_enter_age_and_return(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint64_t pause;
        bool enters;
    } cases[] = {{0, false},   {1, false},   {299, false}, {300, true},   {301, true},
                 {3599, true}, {3691, true}, {3692, true}, {100000, true}};

    start_ingest(fixture);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        char site[8];
        snprintf(site, sizeof(site), "site%zu", i);
        batch(fixture, {site, .room = "/", .visitor = 1});
        uint64_t entered = counter(fixture, COUNTER_heartbeats_new);
        uint64_t refreshed = counter(fixture, COUNTER_heartbeats_refreshed);
        uint32_t index = find_scope(fixture, site, SCOPE_ROOM, "/");
        const struct ring *ring = &segment_of(fixture)->directory.rings[index];
        fixture->clock += cases[i].pause;
        uint64_t now = collector_advance(&fixture->collector);
        assert_int_equal(ring_count(ring, now, 300), cases[i].pause < 300);
        assert_int_equal(ring_count(ring, now, 1), cases[i].pause < 1);
        batch(fixture, {site, .room = "/", .visitor = 1});
        expect_site(fixture, site, 1);
        expect_room(fixture, site, "/", 1);
        if (counter(fixture, COUNTER_heartbeats_new) != entered + cases[i].enters ||
            counter(fixture, COUNTER_heartbeats_refreshed) != refreshed + !cases[i].enters)
            fail_msg("after %llu s", (unsigned long long)cases[i].pause);
    }
    expect_accounted(fixture, 2 * LENGTH(cases));
    stop_ingest(fixture);
}

/* R4. Two visitors are in the site, two rooms, a country and a source; then visitor 1 leaves. */
static void leaves_end_the_scopes_they_name(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        struct beat leave;
        int site, first, second, country, source; /* visitors who stay, of two */
    } cases[] = {
        {{"a", .room = "/1"}, 2, 1, 2, 2, 2},
        {{"a", .room = "/1", .country = "DE", .source = "s"}, 2, 1, 2, 2, 2},
        {{"a", .room = "/3"}, 2, 2, 2, 2, 2},
        {{"a"}, 1, 2, 2, 2, 2},
        {{"a", .country = "DE"}, 1, 2, 2, 1, 2},
        {{"a", .source = "s"}, 1, 2, 2, 2, 1},
        {{"a", .country = "DE", .source = "s"}, 1, 2, 2, 1, 1},
        {{"a", .country = "FR", .source = "t"}, 1, 2, 2, 2, 2},
        {{"b"}, 2, 2, 2, 2, 2},
        {{"b", .room = "/1"}, 2, 2, 2, 2, 2},
        {{"a", .visitor = 9}, 2, 2, 2, 2, 2},
    };

    for (size_t i = 0; i < LENGTH(cases) * 2; i++) {
        struct beat leave = cases[i / 2].leave;
        leave.kind = WIRE_LEAVE;
        leave.visitor = leave.visitor ? leave.visitor : 1;
        start_ingest(fixture);
        batch(fixture,
              {"a", .room = "/1", .country = "DE", .source = "s", .visitor = 1, .count = 2},
              {"a", .room = "/2", .visitor = 1, .count = 2});
        uint64_t created = counter(fixture, COUNTER_scopes_created);
        fixture->clock += i & 1 ? 100 : 0;
        batch(fixture, leave);
        expect_site(fixture, "a", cases[i / 2].site);
        expect_room(fixture, "a", "/1", cases[i / 2].first);
        expect_room(fixture, "a", "/2", cases[i / 2].second);
        expect_country(fixture, "a", "DE", cases[i / 2].country);
        expect_source(fixture, "a", "s", cases[i / 2].source);
        expect_counter(fixture, heartbeats_left, 1);
        expect_counter(fixture, scopes_created, created);
        expect_accounted(fixture, 5);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

static void leaves_and_heartbeats_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    const struct beat leave = {"a", .kind = WIRE_LEAVE, .visitor = 1, .count = 100};
    const struct beat beat = {"a", .visitor = 1, .count = 100};

    start_ingest(fixture);
    batch(fixture, leave);
    expect_site(fixture, "a", -1); /* a leave creates nothing */
    batch(fixture, beat, leave);
    expect_site(fixture, "a", 0);
    batch(fixture, leave, beat);
    expect_site(fixture, "a", 100);
    batch(fixture, beat, leave, beat, leave, leave);
    expect_site(fixture, "a", 0);
    expect_counter(fixture, heartbeats_left, 600);
    expect_counter(fixture, heartbeats_new, 300);
    expect_counter(fixture, heartbeats_refreshed, 100);
    expect_accounted(fixture, 1000);
    stop_ingest(fixture);
}

/* An invalid room is skipped, so the leave is one of the site. */
static void leaves_of_a_bad_room_are_of_the_site(void **state)
{
    struct fixture *fixture = *state;
    char text[400] = "PH1 site=a visitor=v kind=leave room=";

    memset(text + strlen(text), 'x', 256);
    start_ingest(fixture);
    text_batch(fixture, "PH1 site=a visitor=v");
    text_batch(fixture, text);
    expect_counter(fixture, room_too_long, 1);
    expect_counter(fixture, heartbeats_left, 1);
    expect_site(fixture, "a", 0);
    text_batch(fixture, "PH1 site=a visitor=v");
    text_batch(fixture, "PH1 site=a visitor=v kind=leave room=\"\\u0007\"");
    expect_counter(fixture, label_invalid, 1);
    expect_site(fixture, "a", 0);
    stop_ingest(fixture);
}

static void labels_of_text_are_counted_when_skipped(void **state)
{
    struct fixture *fixture = *state;
    char text[400] = "PH1 site=a visitor=v country=DEU source=\"\\u0001\" room=";

    memset(text + strlen(text), 'x', 256);
    start_ingest(fixture);
    text_batch(fixture, text);
    expect_site(fixture, "a", 1);
    expect_counter(fixture, label_invalid, 2);
    expect_counter(fixture, room_too_long, 1);
    expect_counter(fixture, scopes_created, 1);
    text_batch(fixture, "PH1 site=a visitor=v country=de room=\"\\n\"");
    expect_country(fixture, "a", "DE", 1);
    expect_counter(fixture, label_invalid, 3);
    expect_counter(fixture, datagrams_accepted, 2);
    expect_accounted(fixture, 2);
    stop_ingest(fixture);
}

/* R2, natively and as text, whatever came before in the batch. */
static void a_place_has_one_name(void **state)
{
    struct fixture *fixture = *state;
    static const char *const rooms[] = {"/t", "/t/", "//t", "/t"}, *const sources[] = {"n.example",
                                                                                       "N.Example",
                                                                                       "n.EXAMPLE"};

    start_ingest(fixture);
    ingest_begin(fixture->ingests[0]);
    for (uint32_t i = 0; i < 48; i++) {
        struct beat beat = {"a.example", .room = rooms[i % 4], .source = sources[i / 4 % 3],
                            .visitor = i};
        take_beat(fixture->ingests[0], beat);
    }
    ingest_end(fixture->ingests[0]);
    text_batch(fixture,
               "PH1 site=A.example visitor=text room=\"/\\/t\\x2f\" source=N.example country=t1");
    expect_room(fixture, "a.example", "/t", 49);
    expect_source(fixture, "a.example", "n.example", 49);
    expect_site(fixture, "a.example", 49);
    expect_counter(fixture, scopes_created, 3);
    text_batch(fixture, "PH1 site=A.example visitor=text room=//t kind=leave");
    expect_room(fixture, "a.example", "/t", 48);
    expect_counter(fixture, label_invalid, 0);
    stop_ingest(fixture);
}

static void pageviews_and_events_are_heartbeats_too(void **state)
{
    struct fixture *fixture = *state;

    start_ingest(fixture);
    batch(fixture, {"a", .kind = WIRE_PAGEVIEW, .visitor = 1, .count = 3},
          {"a", .event = "click", .visitor = 3, .count = 2},
          {"a", .event = "click", .room = "/", .visitor = 3});
    expect_counter(fixture, pageviews, 3);
    expect_counter(fixture, custom_events, 3);
    expect_site(fixture, "a", 4);
    expect_room(fixture, "a", "/", 1);
    expect_accounted(fixture, 6);
    stop_ingest(fixture);
}

/* Leaves don't move a scope's last heartbeat, and it never moves backward. */
static void scopes_know_their_last_heartbeat(void **state)
{
    struct fixture *fixture = *state;

    fixture->workers = 2;
    start_ingest(fixture);
    batch(fixture, {"a", .room = "/", .visitor = 1});
    const struct scope_entry *entries = segment_of(fixture)->directory.entries;
    const struct scope_entry *site = &entries[find_scope(fixture, "a", SCOPE_SITE, NULL)];
    const struct scope_entry *room = &entries[find_scope(fixture, "a", SCOPE_ROOM, "/")];
    assert_int_equal(site->last_heartbeat, START);
    assert_int_equal(room->last_heartbeat, START);
    fixture->clock += 10;
    batch(fixture, {"a", .visitor = 2});
    assert_int_equal(site->last_heartbeat, START + 10);
    assert_int_equal(room->last_heartbeat, START);
    fixture->clock += 10;
    batch(fixture, {"a", .kind = WIRE_LEAVE, .visitor = 2});
    assert_int_equal(site->last_heartbeat, START + 10);

    /* The second worker's tick is behind. */
    ingest_begin(fixture->ingests[1]);
    fixture->clock += 10;
    batch(fixture, {"a", .visitor = 3});
    take_beat(fixture->ingests[1], (struct beat){"a", .visitor = 4});
    ingest_end(fixture->ingests[1]);
    assert_int_equal(site->last_heartbeat, START + 30);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(golden_datagrams_are_counted),
        TEST(rejections_are_counted_by_reason),
        TEST(visitors_count_once_a_scope),
        TEST(visitors_enter_age_and_return),
        TEST(leaves_end_the_scopes_they_name),
        TEST(leaves_and_heartbeats_keep_their_order),
        TEST(leaves_of_a_bad_room_are_of_the_site),
        TEST(labels_of_text_are_counted_when_skipped),
        TEST(a_place_has_one_name),
        TEST(pageviews_and_events_are_heartbeats_too),
        TEST(scopes_know_their_last_heartbeat),
    };
    return cmocka_run_group_tests_name("ingest", tests, NULL, NULL);
}
