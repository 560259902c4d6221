/* test_ingest_refusals.c - ingest.h under all limits at once, with several places and visitors in a
 * datagram: counters, the scopes' totals, the marks of refusals and the events agree with an
 * oracle.
 */
#include "../support/encode_v2.h"

#include <arpa/inet.h>

#include "admission.h"
#include "refusal_oracle.h"

#define DATAGRAMS 2000
#define PLACES    8 /* of a datagram, at most */
#define EPOCH     60

static const char *const sites[ORACLE_SITES] = {"a", "b", "c"};
static const char *const labels[SCOPE_KINDS][ORACLE_LABELS + 1] = {
    [SCOPE_ROOM] = {NULL, "/1", "/2", "/3", "/4"},
    [SCOPE_COUNTRY] = {NULL, "DE", "FR", "JP", "US"},
    [SCOPE_SOURCE] = {NULL, "s", "t", "u", "v"},
};

/* ---- places ------------------------------------------------------------------------------- */

/* Find a place's scopes and create what is missing. False if the directory is full, and room may be
 * made. */
static bool find_scopes(struct oracle *oracle, const struct oracle_place *place, bool may_retry,
                        struct oracle_scope *ret[SCOPE_KINDS])
{
    unsigned full = 0, site_full = 0;

    memset(ret, 0, SCOPE_KINDS * sizeof(*ret));
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        if (kind != SCOPE_SITE && (!place->labels[kind] || !ret[SCOPE_SITE]))
            continue;
        struct oracle_scope *scope =
            oracle_scope_of(oracle, place->site, (enum scope_kind)kind, place->labels[kind]);
        if (!scope->exists && oracle_site_is_full(oracle, place->site, (enum scope_kind)kind))
            site_full |= 1u << kind;
        else if (!scope->exists && oracle->scopes_used == oracle->scopes_max)
            full |= 1u << kind;
        else if (!scope->exists)
            oracle_create(oracle, scope);
        ret[kind] = scope->exists ? scope : NULL;
    }
    if (full && may_retry && oracle->made_room != oracle->now)
        return false;
    if (full & 1u << SCOPE_SITE) {
        oracle->site_refused = refusal_mark(oracle->now);
        oracle->counters[COUNTER_scopes_full] += place->count;
    }
    for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        if (!((full | site_full) >> kind & 1))
            continue;
        ret[SCOPE_SITE]->refused_scopes[kind] = refusal_mark(oracle->now);
        oracle->counters[full >> kind & 1     ? COUNTER_label_scopes_full
                         : kind == SCOPE_ROOM ? COUNTER_site_rooms_full
                                              : COUNTER_site_sources_full] += place->count;
    }
    return true;
}

/* Count neighbouring places: first all in their sites, then all in their rooms, and so on. */
static void count_run(struct oracle *oracle, const struct oracle_place *places,
                      struct oracle_scope *(*scopes)[SCOPE_KINDS], unsigned count, unsigned sender)
{
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        for (unsigned i = 0; i < count; i++) {
            if (!scopes[i][kind])
                continue;
            scopes[i][kind]->last = oracle->now;
            for (unsigned v = 0; v < places[i].count; v++)
                oracle_beat(oracle, scopes[i][kind], (places[i].first + v) % ORACLE_VISITORS,
                            sender, places[i].kind);
        }
    }
}

static void count_places(struct oracle *oracle, const struct oracle_place *places, unsigned count,
                         unsigned sender)
{
    struct oracle_scope *scopes[PLACES][SCOPE_KINDS];
    unsigned first = 0;

    for (unsigned i = 0; i < count; i++) {
        if (places[i].kind == WIRE_LEAVE) {
            count_run(oracle, places + first, scopes + first, i - first, sender);
            oracle_leave(oracle, &places[i]);
            first = i + 1;
        } else if (!find_scopes(oracle, &places[i], true, scopes[i])) {
            count_run(oracle, places + first, scopes + first, i - first, sender);
            oracle_make_room(oracle);
            find_scopes(oracle, &places[i], false, scopes[i]);
            first = i;
        }
    }
    count_run(oracle, places + first, scopes + first, count - first, sender);
}

/* ---- datagrams ---------------------------------------------------------------------------- */

/* The limits of a run. */
struct limits {
    unsigned scopes, labels, new, sites, streams; /* 0: none */
};

struct run {
    struct fixture *fixture;
    struct admission admission;
    struct oracle oracle;
    uint64_t random;
    uint64_t stream, heard; /* the one that is followed, if any, and when it was last heard */
    uint32_t sequence;      /* of all streams */
};

static unsigned draw(struct run *run, unsigned count)
{
    return (unsigned)(random_next(&run->random) >> 33) % count;
}

static struct oracle_place draw_place(struct run *run)
{
    static const enum wire_kind kinds[] = {WIRE_HEARTBEAT, WIRE_HEARTBEAT, WIRE_PAGEVIEW,
                                           WIRE_EVENT, WIRE_LEAVE};
    struct oracle_place place = {
        .kind = kinds[draw(run, LENGTH(kinds))],
        .site = draw(run, ORACLE_SITES),
        .first = draw(run, ORACLE_VISITORS),
        .count = 1 + draw(run, 9),
    };

    for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++)
        place.labels[kind] = draw(run, 2) ? draw(run, ORACLE_LABELS + 1) : 0;
    return place;
}

static bool is_counted(const struct run *run, const struct oracle_place *place)
{
    return !run->oracle.sites_known || place->site < run->oracle.sites_known;
}

/* Fill in a place's heartbeat, whose ids are written to `ids`. */
static struct wire_heartbeat heartbeat_at(const struct oracle_place *place, uint8_t *ids)
{
    const struct beat beat = {
        .site = sites[place->site],
        .room = labels[SCOPE_ROOM][place->labels[SCOPE_ROOM]],
        .country = labels[SCOPE_COUNTRY][place->labels[SCOPE_COUNTRY]],
        .source = labels[SCOPE_SOURCE][place->labels[SCOPE_SOURCE]],
        .event = place->kind == WIRE_EVENT ? "buy" : NULL,
        .kind = place->kind,
        .count = place->count,
    };
    struct wire_heartbeat heartbeat = heartbeat_of(&beat, ids);

    for (unsigned i = 0; i < place->count; i++)
        make_visitor((place->first + i) % ORACLE_VISITORS, ids + (size_t)i * WIRE_VISITOR_SIZE);
    return heartbeat;
}

static void take(struct run *run, const uint8_t *datagram, uint32_t length, unsigned sender)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr = {htonl(0xc0000200 + sender)}};

    assert_true(length > 0);
    ingest_begin(run->fixture->ingests[0]);
    ingest_from(run->fixture->ingests[0], (const struct sockaddr *)&address);
    ingest_datagram(run->fixture->ingests[0], datagram, length);
    ingest_end(run->fixture->ingests[0]);
    run->oracle.counters[COUNTER_datagrams_received]++;
}

/* Account for a datagram of one place. */
static void count_one(struct run *run, const struct oracle_place *place, unsigned sender)
{
    bool counts = is_counted(run, place);

    run->oracle.counters[counts ? COUNTER_datagrams_accepted : COUNTER_datagrams_rejected_site]++;
    if (counts)
        count_places(&run->oracle, place, 1, sender);
}

static void send_version_1(struct run *run)
{
    uint8_t datagram[1024], ids[16 * WIRE_VISITOR_SIZE];
    const struct oracle_place place = draw_place(run);
    const struct wire_heartbeat heartbeat = heartbeat_at(&place, ids);
    unsigned sender = draw(run, ORACLE_SENDERS);

    take(run, datagram, wire_v1_encode(&heartbeat, datagram, sizeof(datagram)), sender);
    count_one(run, &place, sender);
}

/* A label of text may be skipped, and the others still count. */
static void send_text(struct run *run)
{
    static const char *const kinds[] = {[WIRE_HEARTBEAT] = "heartbeat",
                                        [WIRE_LEAVE] = "leave",
                                        [WIRE_PAGEVIEW] = "pageview",
                                        [WIRE_EVENT] = "event event=buy"};
    struct oracle_place place = draw_place(run);
    uint8_t id[WIRE_VISITOR_SIZE];
    char text[1024], room[300] = "";
    unsigned sender = draw(run, ORACLE_SENDERS);
    bool is_invalid = draw(run, 4) == 0, is_long = draw(run, 4) == 0;

    place.count = 1;
    place.labels[SCOPE_COUNTRY] = place.labels[SCOPE_SOURCE] = 0;
    make_visitor(place.first, id);
    if (is_long)
        memset(room, 'r', sizeof(room) - 1);
    else if (place.labels[SCOPE_ROOM])
        strcpy(room, labels[SCOPE_ROOM][place.labels[SCOPE_ROOM]]);
    if (is_long)
        place.labels[SCOPE_ROOM] = 0;
    int length =
        snprintf(text, sizeof(text),
                 "PH1 site=%s visitor=40404040-4040-4040-4040-4040%02x%02x%02x%02x kind=%s "
                 "room=%s country=%s",
                 sites[place.site], id[12], id[13], id[14], id[15], kinds[place.kind], room,
                 is_invalid ? "DEU" : "");
    take(run, (const uint8_t *)text, (uint32_t)length, sender);
    if (is_counted(run, &place)) {
        run->oracle.counters[COUNTER_label_invalid] += is_invalid;
        run->oracle.counters[COUNTER_room_too_long] += is_long;
    }
    count_one(run, &place, sender);
}

/* Follow a stream, as far as there is a place for it. */
static void follow(struct run *run, uint64_t stream)
{
    if (stream == 0)
        return;
    if (run->stream != stream && run->stream && run->oracle.now <= run->heard + STREAM_SILENCE) {
        run->oracle.counters[COUNTER_streams_full]++;
        return;
    }
    run->stream = stream;
    run->heard = run->oracle.now;
}

static void count_records(struct run *run, const struct oracle_place *places, unsigned count,
                          unsigned sender)
{
    struct oracle_place counted[PLACES];
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        if (is_counted(run, &places[i]))
            counted[kept++] = places[i];
        else
            run->oracle.counters[COUNTER_site_refused] += places[i].count;
    }
    run->oracle.counters[COUNTER_datagrams_empty] += count == 0;
    run->oracle
        .counters[count && !kept ? COUNTER_datagrams_rejected_site : COUNTER_datagrams_accepted]++;
    count_places(&run->oracle, counted, kept, sender);
}

static void send_version_2(struct run *run)
{
    uint8_t datagram[8192], ids[PLACES][16 * WIRE_VISITOR_SIZE];
    struct oracle_place places[PLACES];
    struct wire_heartbeat heartbeats[PLACES];
    unsigned count = draw(run, PLACES + 1), sender = draw(run, ORACLE_SENDERS);
    uint64_t stream = draw(run, 3);

    for (unsigned i = 0; i < count; i++) {
        places[i] = draw_place(run);
        heartbeats[i] = heartbeat_at(&places[i], ids[i]);
    }
    run->sequence++;
    const struct wire_v2_header header = {.stream = stream, .sequence = stream ? run->sequence : 0};
    uint32_t length = encode_v2(header, heartbeats, count, datagram, sizeof(datagram));
    bool is_repeated = draw(run, 8) == 0;
    follow(run, stream);
    take(run, datagram, length, sender);
    count_records(run, places, count, sender);
    if (!is_repeated)
        return;
    take(run, datagram, length, sender);
    if (stream && stream == run->stream) {
        run->oracle.counters[COUNTER_datagrams_rejected_duplicate]++;
        return;
    }
    follow(run, stream);
    count_records(run, places, count, sender);
}

/* ---- checks ------------------------------------------------------------------------------- */

static void check_counters(const struct run *run)
{
    static const struct {
        enum counter counter;
        const char *name;
    } compared[] = {
#define COMPARED(name) {COUNTER_##name, #name}
        COMPARED(datagrams_received),
        COMPARED(datagrams_accepted),
        COMPARED(datagrams_rejected_site),
        COMPARED(datagrams_rejected_duplicate),
        COMPARED(heartbeats_new),
        COMPARED(heartbeats_refreshed),
        COMPARED(heartbeats_left),
        COMPARED(table_full),
        COMPARED(scopes_full),
        COMPARED(label_table_full),
        COMPARED(label_scopes_full),
        COMPARED(label_invalid),
        COMPARED(room_too_long),
        COMPARED(pageviews),
        COMPARED(custom_events),
        COMPARED(scopes_created),
        COMPARED(scopes_retired),
        COMPARED(sender_new_exceeded),
        COMPARED(label_sender_new_exceeded),
        COMPARED(site_rooms_full),
        COMPARED(site_sources_full),
        COMPARED(events_thinned),
        COMPARED(site_refused),
        COMPARED(streams_full),
        COMPARED(datagrams_empty),
#undef COMPARED
    };

    for (unsigned i = 0; i < LENGTH(compared); i++)
        check_counter(run->fixture, compared[i].counter, compared[i].name,
                      run->oracle.counters[compared[i].counter], __LINE__);
}

static void check_marks(const char *what, const uint32_t *marks, const uint32_t *expected)
{
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        if (marks[kind] != expected[kind])
            fail_msg("%s of kind %u: mark %u, not %u", what, kind, marks[kind], expected[kind]);
}

static void check_scope(const struct run *run, const struct oracle_scope *scope, const char *label)
{
    const struct segment *segment = segment_of(run->fixture);
    uint32_t index = find_scope(run->fixture, sites[scope->site], scope->kind, label);

    if ((index != SCOPE_NONE) != scope->exists)
        fail_msg("%s %s: it exists, or should", sites[scope->site], label ? label : "");
    if (!scope->exists)
        return;
    const struct activity *totals = &segment->directory.activities[index];
    const struct scope_entry *entry = &segment->directory.entries[index];
    unsigned present = 0;
    for (unsigned i = 0; i < ORACLE_VISITORS; i++)
        present += scope->has[i];
    assert_int_equal(ring_count(&segment->directory.rings[index], run->oracle.now, ORACLE_WINDOW),
                     present);
    if (totals->heartbeats != scope->totals.heartbeats ||
        totals->pageviews != scope->totals.pageviews || totals->entries != scope->totals.entries ||
        totals->leaves != scope->totals.leaves)
        fail_msg(
            "%s %s: %lld heartbeats, %lld pageviews, %lld enters, %lld leaves; not %llu, %llu, "
            "%llu, %llu",
            sites[scope->site], label ? label : "", (long long)totals->heartbeats,
            (long long)totals->pageviews, (long long)totals->entries, (long long)totals->leaves,
            (unsigned long long)scope->totals.heartbeats,
            (unsigned long long)scope->totals.pageviews, (unsigned long long)scope->totals.entries,
            (unsigned long long)scope->totals.leaves);
    check_marks("scopes refused", entry->scopes_refused, scope->refused_scopes);
    check_marks("visitors refused", entry->entries_refused, scope->refused);
}

static void check_scopes(struct run *run)
{
    collector_wait_for_batches(&run->fixture->collector); /* they publish their totals */
    for (unsigned site = 0; site < ORACLE_SITES; site++) {
        check_scope(run, oracle_scope_of(&run->oracle, site, SCOPE_SITE, 0), NULL);
        for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS && run->oracle.scopes[site].exists;
             kind++)
            for (unsigned label = 1; label <= ORACLE_LABELS; label++)
                check_scope(run, oracle_scope_of(&run->oracle, site, (enum scope_kind)kind, label),
                            labels[kind][label]);
    }
    assert_int_equal(header_of(run->fixture)->site_refused, run->oracle.site_refused);
    assert_int_equal(header_of(run->fixture)->site_entry_refused, run->oracle.site_entry_refused);
}

/* Check the events of the last datagram: those of its places, each visitor's in their order. */
static void check_events(struct run *run, uint64_t first)
{
    const struct events *events = &segment_of(run->fixture)->events;
    struct event_record record;

    assert_int_equal(events->head->next - first, run->oracle.event_count);
    for (unsigned i = 0; i < run->oracle.event_count; i++) {
        assert_int_equal(events_load(events, first + i, &record), EVENT_LOADED);
        assert_int_equal(record.kind, run->oracle.events[i].kind);
        assert_int_equal(record.names.bytes[0], sites[run->oracle.events[i].site][0]);
    }
    run->oracle.event_count = 0;
}

/* ---- runs --------------------------------------------------------------------------------- */

static void open_run(struct fixture *fixture, const struct limits *limits, struct run *ret)
{
    *ret = (struct run){.fixture = fixture, .random = random_seed("refusals")};
    ret->oracle.scopes_max = limits->scopes;
    ret->oracle.labels_max = limits->labels;
    ret->oracle.new_max = limits->new;
    ret->oracle.sites_known = limits->sites;
    ret->oracle.now = fixture->clock;
    for (unsigned i = 0; i < limits->sites; i++)
        assert_int_equal(sites_add(&ret->admission.sites, sites[i]), 0);
    if (limits->new)
        assert_int_equal(budget_open(limits->new, &ret->admission.visitors), 0);
    fixture->settings = (struct segment_settings){.max_entries = 1,
                                                  .max_scopes = limits->scopes,
                                                  .max_window = ORACLE_WINDOW,
                                                  .max_events = 1 << 16,
                                                  .max_streams = limits->streams,
                                                  .warm_up = 1};
    start_collector(fixture);
    fixture->collector.admission = &ret->admission;
    fixture->collector.directory.labels_max = limits->labels;
    assert_int_equal(ingest_open(&fixture->collector, 0, &fixture->ingests[0]), 0);
}

static void move_clock(struct run *run)
{
    bool is_new_epoch = draw(run, EPOCH) == 0 || run->oracle.now % 1000 > 200;
    uint64_t now =
        is_new_epoch ? (run->oracle.now / 1000 + 1) * 1000 : run->oracle.now + draw(run, 3);

    run->fixture->clock = now;
    oracle_move_clock(&run->oracle, now, is_new_epoch);
}

static void check_run(struct fixture *fixture, struct limits limits)
{
    struct run run;

    open_run(fixture, &limits, &run);
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        uint64_t first = segment_of(fixture)->events.head->next;
        move_clock(&run);
        if (draw(&run, 3) == 0)
            send_version_1(&run);
        else if (draw(&run, 3) == 0)
            send_text(&run);
        else
            send_version_2(&run);
        check_counters(&run);
        check_scopes(&run);
        check_events(&run, first);
    }
    stop_ingest(fixture);
    admission_close(&run.admission);
}

static void the_table_is_full(void **state)
{
    check_run(*state, (struct limits){.scopes = 64, .streams = 1});
}

static void the_directory_is_full(void **state)
{
    check_run(*state, (struct limits){.scopes = 9, .streams = 1});
}

static void sites_have_too_many_labels(void **state)
{
    check_run(*state, (struct limits){.scopes = 64, .labels = 2, .streams = 1});
}

static void senders_have_too_many_new_visitors(void **state)
{
    check_run(*state, (struct limits){.scopes = 64, .new = 7, .streams = 1});
}

static void all_limits_are_met_at_once(void **state)
{
    check_run(*state,
              (struct limits){.scopes = 12, .labels = 3, .new = 9, .sites = 2, .streams = 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_table_is_full),          TEST(the_directory_is_full),
        TEST(sites_have_too_many_labels), TEST(senders_have_too_many_new_visitors),
        TEST(all_limits_are_met_at_once),
    };
    return cmocka_run_group_tests_name("ingest_refusals", tests, NULL, NULL);
}
