/* test_reader_records.c - the shipped reader beside a collector whose step comes at each of its
 * looks: events, streams, a visitor whose word moves, and a chain that leads astray. See looks.h.
 */
#include "pauses.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/encode_v2.h"
#include "core/scope_name.h"
#include "looks.h"

#define SITE     QUESTIONS_SITE
#define VISITORS 5

static const struct segment_settings small = {.max_entries = 48,
                                              .max_scopes = 4,
                                              .max_window = 2,
                                              .max_events = EVENTS_MIN,
                                              .max_streams = 2};

static void beat(struct fixture *fixture, const char *site, const char *room)
{
    fixture_send(fixture, 0, WIRE_HEARTBEAT, site, room, 0, VISITORS);
}

static void move_clock(struct fixture *fixture, uint64_t seconds)
{
    fixture_set_clock(fixture, fixture_clock(fixture) + seconds);
    collector_advance(&fixture->collector);
}

static void free_idle(struct fixture *fixture)
{
    move_clock(fixture, 3);
    collector_make_room(&fixture->collector);
}

/* ---- events ------------------------------------------------------------------------------- */

static uint64_t events_from; /* the number that is read from */
static unsigned events_more; /* that the step writes */

static void write_event(struct fixture *fixture)
{
    const struct events *events = &fixture->collector.file.segment.events;
    struct event_record record = {.kind = EVENT_CUSTOM};
    int length = snprintf((char *)record.names.bytes, 64, "%llu.examplebuy",
                          (unsigned long long)events->head->next);

    record.name_length = 3;
    record.site_length = (uint8_t)(length - 3);
    assert_true(events_write(events, 1, &record));
}

static void fill_ring(struct fixture *fixture)
{
    const struct events *events = &fixture->collector.file.segment.events;

    for (unsigned i = 0; i < EVENTS_MIN / 2; i++)
        write_event(fixture);
    events_from = events->head->next - EVENTS_MIN / 2;
}

static void write_more_events(struct fixture *fixture)
{
    for (unsigned i = 0; i < events_more; i++)
        write_event(fixture);
}

/* Each event has its number in its site; those that were read and missed follow each other. */
static void ask_events(struct presence *presence, struct answer *ret)
{
    struct presence_events events;
    char expected[64];

    ret->error = presence_events(presence, NULL, events_from, 6, &events);
    if (ret->error < 0)
        return;
    for (size_t i = 0; i < events.length; i++) {
        const struct presence_event *event = &events.events[i];
        snprintf(expected, sizeof(expected), "%llu.example", (unsigned long long)event->sequence);
        assert_string_equal(event->site, expected);
        assert_string_equal(event->name, "buy");
        memset(&ret->lines[ret->length], 0, sizeof(ret->lines[0]));
        strcpy(ret->lines[ret->length++].name, expected);
    }
    assert_int_equal(events.next, events_from + events.missed + events.length);
    assert_false(events.renewed);
    presence_events_free(&events);
}

static void ask_since(struct presence *presence, struct answer *ret)
{
    uint64_t sequence = 0;

    ret->error = presence_events_since(presence, 1, &sequence);
    ret->lines[0] = (struct answer_line){.name = "since", .figure = sequence};
    ret->length = 1;
}

static void events_are_overwritten(void **state)
{
    static const ask_function questions[] = {ask_events, NULL}, since[] = {ask_since, NULL};
    struct scene scene = {
        .name = "events",
        .settings = small,
        .begin = 6000,
        .prepare = fill_ring,
        .step = write_more_events,
        .questions = questions,
    };

    (void)state;
    for (events_more = EVENTS_MIN / 2 - 1; events_more <= EVENTS_MIN / 2 + 4; events_more++)
        looks_check(&scene);
    events_more = 3;
    scene.questions = since;
    looks_check(&scene);
}

/* ---- streams ------------------------------------------------------------------------------ */

static uint64_t streams_last = 1; /* the last stream that began */
static uint32_t streams_sequence; /* of the first one */

static void send_in_stream(struct fixture *fixture, uint64_t stream, uint32_t sequence,
                           uint16_t port)
{
    const struct sockaddr_in sender = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(0x7f000000u | port)}};
    uint8_t ids[2 * WIRE_VISITOR_SIZE] = {1}, datagram[256];
    const struct wire_heartbeat heartbeat = {.site = {(const uint8_t *)SITE, sizeof(SITE) - 1},
                                             .kind = WIRE_HEARTBEAT,
                                             .visitors = 2,
                                             .visitor_ids = ids};
    uint32_t length = encode_v2((struct wire_v2_header){.stream = stream, .sequence = sequence},
                                &heartbeat, 1, datagram, sizeof(datagram));

    assert_int_not_equal(length, 0);
    ingest_begin(fixture->ingests[0]);
    ingest_from(fixture->ingests[0], (const struct sockaddr *)&sender);
    ingest_datagram(fixture->ingests[0], datagram, length);
    ingest_end(fixture->ingests[0]);
}

static void send_in_the_first(struct fixture *fixture)
{
    streams_sequence += 2; /* one is lost */
    send_in_stream(fixture, 1, streams_sequence, (uint16_t)(streams_sequence % 100 + 1));
}

/* Both places are taken, and the second has been silent for long. */
static void have_streams(struct fixture *fixture)
{
    move_clock(fixture, STREAM_SILENCE + 1);
    send_in_the_first(fixture);
}

static void begin_another_stream(struct fixture *fixture)
{
    send_in_the_first(fixture);
    send_in_stream(fixture, ++streams_last, 7, 7);
}

static void streams_change_and_are_replaced(void **state)
{
    static const ask_function questions[] = {ask_streams, NULL};
    struct scene scene = {
        .name = "streams",
        .settings = small,
        .begin = 6000,
        .prepare = have_streams,
        .step = begin_another_stream,
        .questions = questions,
    };

    (void)state;
    looks_check(&scene);
}

/* ---- a visitor whose word moves ------------------------------------------------------------ */

static struct table_key key_of_visitor(const struct fixture *fixture)
{
    const struct segment *segment = &fixture->collector.file.segment;
    uint64_t state;
    uint8_t id[16];
    uint32_t site = fixture_scope(segment, SITE, NULL, &state);

    fixture_visitor(0, id);
    return table_key(hash_visitor(&segment->directory.entries[site].key, id), segment->table.pairs);
}

static void move_no_bucket(void *context, uint64_t tick, int delta)
{
    (void)context, (void)tick, (void)delta;
}

/* The visitor's only word is in the second pair. */
static void be_in_the_second_pair(struct fixture *fixture)
{
    const struct table *table = &fixture->collector.file.segment.table;

    beat(fixture, SITE, NULL);
    struct table_key key = key_of_visitor(fixture);
    table_leave(table, key, fixture_clock(fixture), move_no_bucket, NULL);
    *table_pair(table, key.pair[1]) = table_word(key.fingerprint, fixture_clock(fixture));
}

/* Another worker that found no word inserts one, and ends as table_upsert does. */
static void insert_in_the_first_pair(struct fixture *fixture)
{
    const struct table *table = &fixture->collector.file.segment.table;
    struct table_key key = key_of_visitor(fixture);
    uint64_t now = fixture_clock(fixture);
    struct table_outcome outcome = {0};

    atomic_store_relaxed(table_pair(table, key.pair[0]), table_word(key.fingerprint, now));
    table_settle(table, key, &now, move_no_bucket, NULL, &outcome);
    assert_int_equal(outcome.duplicates, 1);
}

static void a_visitor_moves_between_pairs(void **state)
{
    static const ask_function questions[] = {ask_seen, NULL};
    const struct scene scene = {
        .name = "between pairs",
        .settings = {.max_entries = 48, .max_scopes = 4, .max_window = 2},
        .begin = 6000,
        .prepare = be_in_the_second_pair,
        .step = insert_in_the_first_pair,
        .questions = questions,
    };

    (void)state;
    looks_check(&scene);
}

/* ---- entries that are reused ---------------------------------------------------------------- */

/* Find a site whose chain is that of SITE, or is not. */
static void find_site(const struct fixture *fixture, bool same_chain, char *ret)
{
    const struct segment *segment = &fixture->collector.file.segment;
    const uint64_t *secret = segment->header->secret;
    struct scope_name site = scope_name_site(secret, (const uint8_t *)SITE, sizeof(SITE) - 1);

    for (unsigned i = 0;; i++) {
        int length = snprintf(ret, 32, "%u.example", i);
        struct scope_name other = scope_name_site(secret, (const uint8_t *)ret, (uint32_t)length);
        if ((scope_head(&segment->directory, other.hash) ==
             scope_head(&segment->directory, site.hash)) == same_chain)
            return;
    }
}

/* Another site is before SITE in its chain. */
static void be_behind_another(struct fixture *fixture)
{
    char before[32];

    free_idle(fixture);
    beat(fixture, SITE, NULL);
    find_site(fixture, true, before);
    beat(fixture, before, NULL);
}

/* That one's entry goes to a site of another chain. */
static void lead_astray(struct fixture *fixture)
{
    char elsewhere[32];

    move_clock(fixture, 2);
    beat(fixture, SITE, NULL);
    move_clock(fixture, 1);
    collector_make_room(&fixture->collector);
    find_site(fixture, false, elsewhere);
    beat(fixture, elsewhere, NULL);
}

static void a_chain_leads_astray(void **state)
{
    static const ask_function questions[] = {ask_site, ask_seen, ask_peaks, ask_activity, NULL};
    const struct scene scene = {
        .name = "astray",
        .settings = small,
        .begin = 6000,
        .prepare = be_behind_another,
        .step = lead_astray,
        .questions = questions,
    };

    (void)state;
    looks_check(&scene);
}

static void be_there_alone(struct fixture *fixture)
{
    free_idle(fixture);
    beat(fixture, SITE, NULL);
}

/* The site's entry goes to a site for whose rooms the directory has no place. */
static void let_a_full_site_follow(struct fixture *fixture)
{
    free_idle(fixture);
    for (char room[] = "/0"; room[1] < '4'; room[1]++)
        beat(fixture, "other.example", room);
    assert_true(fixture_counter(fixture, COUNTER_label_scopes_full) > 0);
}

static void an_absent_room_is_judged_by_its_own_site(void **state)
{
    static const ask_function questions[] = {ask_nowhere, ask_room, ask_room_refused, ask_refused,
                                             NULL};
    const struct scene scene = {
        .name = "an absent room",
        .settings = small,
        .begin = 6000,
        .prepare = be_there_alone,
        .step = let_a_full_site_follow,
        .questions = questions,
    };

    (void)state;
    looks_check(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_overwritten),
        cmocka_unit_test(streams_change_and_are_replaced),
        cmocka_unit_test(a_visitor_moves_between_pairs),
        cmocka_unit_test(a_chain_leads_astray),
        cmocka_unit_test(an_absent_room_is_judged_by_its_own_site),
    };

    return cmocka_run_group_tests_name("reader_records", tests, NULL, NULL);
}
