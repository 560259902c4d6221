/* test_segment_move.c - segment_move.h: restarts with other settings, of another version or boot.
 * Moved contents are unchanged, the rest starts anew, and the account says which. */
#include "move_fixture.h"

/* Count some minutes of two sites, rooms, countries and a source. */
static void fill(struct fixture *fixture)
{
    start_ingest(fixture);
    for (unsigned i = 0; i < 40; i++) {
        batch(fixture, {"a.example", "/r", "DE", .visitor = i, .count = 9},
              {"a.example", "/s", "FR", "news.example", .visitor = i, .kind = WIRE_PAGEVIEW},
              {"b.example", .visitor = 100, .event = "buy", .count = 2});
        fixture->clock += 6;
        collector_maintain(&fixture->collector);
        /* With a new share, so that the ring gets full. */
        event_share_init(&fixture->collector.event_share, &segment_of(fixture)->events,
                         fixture->clock);
    }
}

static void restart(struct fixture *fixture, const struct segment_settings *settings)
{
    stop_ingest(fixture);
    fixture->settings = *settings;
    fixture->clock += 2;
    start_ingest(fixture);
}

struct copy {
    struct segment_header header;
    struct history heads[8];
    struct history_minute minutes[8][HISTORY_MINUTES];
    struct events_head events_head;
    struct event_slot slots[1024];
    uint32_t histories, events;
};

static struct copy *copy_of(struct fixture *fixture)
{
    const struct segment *segment = segment_of(fixture);
    struct copy *copy = calloc(1, sizeof(*copy));

    assert_non_null(copy);
    copy->header = *segment->header;
    copy->histories = histories_high_water(&segment->histories);
    copy->events = segment->events.capacity;
    memcpy(copy->heads, segment->histories.heads, copy->histories * sizeof(struct history));
    for (uint32_t i = 0; i < copy->histories; i++)
        memcpy(copy->minutes[i], history_minute_at(&segment->histories, i, 0),
               sizeof(copy->minutes[i]));
    if (copy->events)
        copy->events_head = *segment->events.head;
    memcpy(copy->slots, segment->events.slots, copy->events * sizeof(struct event_slot));
    return copy;
}

/* Check that each history has the same minutes, seconds and peaks, or had no room. Returns how
 * many. */
static unsigned expect_histories(struct fixture *fixture, const struct copy *before)
{
    const struct histories *histories = &segment_of(fixture)->histories;
    unsigned found = 0;

    for (uint32_t i = 0; i < before->histories; i++) {
        for (uint32_t j = 0; j < histories_high_water(histories); j++) {
            const struct history *head = &histories->heads[j];
            if (head->hash != before->heads[i].hash)
                continue;
            assert_memory_equal(history_minute_at(histories, j, 0), before->minutes[i],
                                sizeof(before->minutes[i]));
            assert_memory_equal(head->seconds, before->heads[i].seconds, sizeof(head->seconds));
            assert_int_equal(head->peak_ever, before->heads[i].peak_ever);
            assert_int_equal(head->peak_today, before->heads[i].peak_today);
            assert_int_equal(head->sampled, before->heads[i].sampled);
            assert_int_equal(head->heartbeats, before->heads[i].heartbeats);
            found++;
        }
    }
    return found;
}

/* Check that the newest events, as many as have room, keep their numbers; a reader misses none. */
static void expect_events(struct fixture *fixture, struct copy *before)
{
    const struct events *events = &segment_of(fixture)->events;
    const struct events old = {.slots = before->slots, .capacity = before->events};
    uint64_t next = before->events_head.next;

    if (!events->capacity || !before->events)
        return;
    uint64_t count = before->events < events->capacity ? before->events : events->capacity;
    if (next - before->events_head.first < count)
        count = next - before->events_head.first;
    assert_int_equal(events->head->next, next);
    assert_in_range(events->head->first, before->events_head.first, next - count);
    for (uint64_t number = next - count; number < next; number++) {
        struct event_record record, expected;
        assert_int_equal(events_load(events, number, &record), EVENT_LOADED);
        expected = event_slot_at(&old, number)->record;
        assert_memory_equal(&record, &expected, 8 * event_words(&expected));
    }
    batch(fixture, {"b.example", .visitor = 7, .event = "next"});
    assert_true(events->head->next > next);
    struct event_record record;
    assert_int_equal(events_load(events, events->head->next - 1, &record), EVENT_LOADED);
}

static const struct {
    struct segment_settings settings;
    bool counts;
    unsigned histories; /* of 4 */
    const char *account;
} changes[] = {
    {{1000, 64, 600, 4, 128, 8, 90}, true, 4, "replaced for --max-scopes 64 (was 16): everything"},
    {{1000, 8, 600, 4, 128, 8, 90}, true, 4, "--max-scopes 8 (was 16): everything moved"},
    {{1000, 6, 600, 4, 128, 8, 90}, false, 4, "counts start anew; no room for 1 scope"},
    {{1000, 16, 3600, 4, 128, 8, 90}, true, 4, "--max-window 3600 (was 600): everything moved"},
    {{1000, 16, 300, 4, 128, 8, 90}, true, 4, "--max-window 300 (was 600): everything moved"},
    {{1000, 16, 600, 8, 128, 8, 90}, true, 4, "--max-histories 8 (was 4): everything moved"},
    {{1000, 16, 600, 3, 128, 8, 90}, true, 3, "everything moved; no room for 1 history"},
    {{1000, 16, 600, 2, 128, 8, 90}, true, 2, "everything moved; no room for 2 histories"},
    {{1000, 16, 600, 0, 128, 8, 90},
     true,
     0,
     "--max-histories 0 (was 4): everything moved; no room for 4 histories"},
    {{1000, 16, 600, 4, 512, 8, 90}, true, 4, "--events 512 (was 128): everything moved"},
    {{1000, 16, 600, 4, 64, 8, 90},
     true,
     4,
     "--events 64 (was 128): everything moved; no room for 64 events"},
    {{1000, 16, 600, 4, 0, 8, 90},
     true,
     4,
     "--events 0 (was 128): everything moved; no room for 128 events"},
    {{1001, 16, 600, 4, 128, 8, 90}, true, 4, "--max-entries 1001 (was 1000): everything moved"},
    {{9000, 16, 600, 4, 128, 8, 90},
     false,
     4,
     "replaced for --max-entries 9000 (was 1000): histories, peaks, events, streams and counters "
     "moved, "
     "counts start anew"},
    {{100, 16, 600, 4, 128, 8, 90}, false, 4, "--max-entries 100 (was 1000)"},
    {{500, 32, 900, 6, 256, 8, 90},
     false,
     4,
     "for --max-entries 500 (was 1000), --max-scopes 32 (was 16), --max-window 900 (was 600), "
     "--max-histories 6 (was 4), --events 256 (was 128): histories"},
};

static void expect_moved(struct fixture *fixture, struct copy *before, unsigned change)
{
    const struct segment_header *header = header_of(fixture);
    bool counts = changes[change].counts;

    expect_account(fixture, changes[change].account);
    expect_site(fixture, "a.example", counts ? 48 : 0);
    expect_site(fixture, "b.example", counts ? 2 : 0);
    if (counts || changes[change].settings.max_scopes > 6) {
        expect_room(fixture, "a.example", "/r", counts ? 48 : 0);
        expect_source(fixture, "a.example", "news.example", counts ? 40 : 0);
    }
    expect_counter(fixture, datagrams_received, 120);
    expect_counter(fixture, custom_events, 80);
    assert_int_equal(header->listening_since,
                     counts ? before->header.listening_since : fixture->clock);
    assert_int_equal(header->day, before->header.day);
    assert_int_equal(header->sampled, before->header.sampled);
    assert_int_equal(header->site_refused, before->header.site_refused);
    assert_int_equal(header->site_entry_refused, before->header.site_entry_refused);
    assert_int_equal(expect_histories(fixture, before), changes[change].histories);
    assert_int_equal(peak_count(peak_of(fixture, 0)), 48);
    assert_int_equal(peak_count(peak_of(fixture, 1)), 2);
    expect_verified(fixture);
    expect_events(fixture, before);
}

static void each_setting_moves_what_has_room(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < LENGTH(changes); i++) {
        print_message("%s\n", changes[i].account);
        fixture->settings = base;
        fixture->clock = START;
        fill(fixture);
        header_of(fixture)->site_refused = (uint32_t)fixture->clock - 7;
        header_of(fixture)->site_entry_refused = (uint32_t)fixture->clock - 8;
        struct copy *before = copy_of(fixture);
        restart(fixture, &changes[i].settings);
        expect_moved(fixture, before, i);
        free(before);
        /* And back: nothing that had room is lost. */
        restart(fixture, &base);
        expect_account(fixture, "(was ");
        assert_int_equal(peak_count(peak_of(fixture, 0)), 48);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

/* Restarts with the same settings attach. */
static void the_same_settings_move_nothing(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture);
    restart(fixture, &base);
    assert_int_equal(fixture->collector.file.origin, SEGMENT_ATTACHED);
    stop_ingest(fixture);
}

/* Fewer scopes than are in use, but some are idle: those are dropped, no count is lost. */
static void idle_scopes_give_way(void **state)
{
    struct fixture *fixture = *state;
    struct segment_settings fewer = base;
    char room[8];

    fewer.max_scopes = 4;
    start_ingest(fixture);
    for (unsigned i = 0; i < 12; i++) {
        snprintf(room, sizeof(room), "/%u", i);
        batch(fixture, {"a.example", room, .visitor = i});
    }
    fixture->clock += 700; /* no maintenance has run */
    batch(fixture, {"a.example", "/new", .visitor = 1, .count = 3}, {"b.example", .visitor = 1});
    restart(fixture, &fewer);
    expect_account(fixture, "everything moved; no room for 11 scopes");
    expect_site(fixture, "a.example", 3);
    expect_room(fixture, "a.example", "/new", 3);
    expect_site(fixture, "b.example", 1);
    expect_verified(fixture);
    batch(fixture, {"a.example", "/new", .visitor = 2, .count = 3});
    expect_room(fixture, "a.example", "/new", 4);
    expect_site(fixture, "a.example", 4);
    stop_ingest(fixture);
}

/* A history without room hands its peaks to its scope: sites keep theirs, then the busiest.
 */
static void histories_that_go_leave_their_peaks(void **state)
{
    struct fixture *fixture = *state;
    struct segment_settings fewer = base;

    fewer.max_histories = 2;
    fill(fixture); /* two sites, and two labels of the first */
    restart(fixture, &fewer);
    for (unsigned site = 0; site < SITES; site++)
        assert_int_not_equal(
            history_pool_find(&fixture->collector.histories, scope_at(fixture, site, 0)),
            SCOPE_NONE);
    uint32_t room = scope_at(fixture, 0, 2);
    assert_int_equal(history_pool_find(&fixture->collector.histories, room), SCOPE_NONE);
    assert_int_equal(peak_count(segment_of(fixture)->directory.activities[room].peak_ever), 48);
    stop_ingest(fixture);
}

/* Events that a killed writer claimed become holes; the next event has the number after them. */
static void claimed_events_become_holes(void **state)
{
    struct fixture *fixture = *state;
    struct segment_settings wanted = base;
    struct event_record record;

    wanted.max_events = 512;
    fill(fixture);
    const struct events *events = &segment_of(fixture)->events;
    uint64_t next = events->head->next, time_us;
    assert_int_equal(events_claim(events, UINT64_C(1) << 52, &time_us), next);
    event_slot_at(events, next)->state |= 1;
    event_slot_at(events, next + 1)->claim = time_us + 1; /* and not published */
    ingest_close(fixture->ingests[0]);
    kill_collector(fixture);
    fixture->settings = wanted;
    start_ingest(fixture);
    expect_account(fixture, "everything moved");
    events = &segment_of(fixture)->events;
    assert_int_equal(events->head->next, next + 2);
    assert_int_equal(events_load(events, next - 1, &record), EVENT_LOADED);
    assert_int_equal(events_load(events, next, &record), EVENT_LOST);
    assert_int_equal(events_load(events, next + 1, &record), EVENT_LOST);
    batch(fixture, {"b.example", .visitor = 7, .event = "next"});
    assert_int_equal(events_load(events, next + 2, &record), EVENT_LOADED);
    stop_ingest(fixture);
}

/* ---- versions and boots ------------------------------------------------------------------- */

static void write_header(struct fixture *fixture, size_t offset, const void *bytes, size_t size)
{
    int fd = open(fixture->scratch.path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
    close(fd);
}

#define WRITE(fixture, field, ...)                                                \
    write_header(fixture, offsetof(struct segment_header, field), &(__VA_ARGS__), \
                 sizeof(((struct segment_header *)0)->field))

/* Earlier versions had no streams, whose section is the last, and shorter headers: zero the rest.
 */
static void make_version(struct fixture *fixture, uint16_t version, uint32_t size)
{
    static const uint8_t zeros[sizeof(struct segment_header)];

    assert_int_equal(fixture->settings.max_streams, 0);
    WRITE(fixture, abi_major, version);
    WRITE(fixture, header_size, size);
    WRITE(fixture, geometry.sections[SECTION_STREAMS], (struct segment_section){0});
    write_header(fixture, size, zeros, sizeof(zeros) - size);
}

static void expect_version_moves(struct fixture *fixture, uint16_t version, uint32_t size)
{
    static const uint64_t settings[] = {1000, 5000};

    for (unsigned i = 0; i < LENGTH(settings); i++) {
        fixture->settings = base;
        fixture->settings.max_streams = 0;
        fill(fixture);
        struct copy *before = copy_of(fixture);
        stop_ingest(fixture);
        make_version(fixture, version, size);
        fixture->settings.max_streams = base.max_streams;
        fixture->settings.max_entries = settings[i];
        start_ingest(fixture);
        expect_account(fixture, i ? "--max-entries 5000 (was 1000): histories"
                                  : "replaced in this version's layout: everything moved");
        expect_site(fixture, "a.example", i ? 0 : 48);
        expect_counter(fixture, datagrams_received, 120);
        expect_counter(fixture, custom_events, 80);
        assert_int_equal(expect_histories(fixture, before), 4);
        expect_events(fixture, before);
        free(before);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

static void earlier_versions_move(void **state)
{
    expect_version_moves(*state, 2, 592);
    expect_version_moves(*state, 3, 816);
    expect_version_moves(*state, 4, 944);
}

static void expect_nothing_moved(struct fixture *fixture, const char *account)
{
    fixture->settings.max_scopes = 32;
    start_ingest(fixture);
    expect_account(fixture, "replaced, with nothing of the old one: it");
    expect_account(fixture, account);
    expect_site(fixture, "a.example", -1);
    expect_counter(fixture, datagrams_received, 0);
    stop_ingest(fixture);
    assert_int_equal(unlink(fixture->scratch.path), 0);
    fixture->settings = base;
}

static void nothing_moves_that_is_not_of_this_boot_or_not_sound(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture);
    stop_ingest(fixture);
    WRITE(fixture, boot_id, (uint64_t[2]){1, 2});
    expect_nothing_moved(fixture, "is of an earlier boot");
    fill(fixture);
    stop_ingest(fixture);
    WRITE(fixture, tick, (uint64_t){START + 1000000});
    expect_nothing_moved(fixture, "its clock is ahead");
    fill(fixture);
    stop_ingest(fixture);
    WRITE(fixture, abi_major, (uint16_t){1});
    expect_nothing_moved(fixture, "is of an older version");
    fill(fixture);
    stop_ingest(fixture);
    WRITE(fixture, abi_major, (uint16_t){SEGMENT_ABI_MAJOR + 1});
    expect_nothing_moved(fixture, "is of a newer version");
    fill(fixture);
    segment_of(fixture)->directory.entries[scope_at(fixture, 0, 0)].site = 9999;
    stop_ingest(fixture);
    expect_nothing_moved(fixture, "was damaged (scope ");
    fixture->settings.max_streams = 0;
    fill(fixture);
    segment_of(fixture)->directory.entries[scope_at(fixture, 0, 2)].kind = 99;
    stop_ingest(fixture);
    make_version(fixture, 2, 592);
    expect_nothing_moved(fixture, "was damaged (scope ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_setting_moves_what_has_room),
        TEST(the_same_settings_move_nothing),
        TEST(idle_scopes_give_way),
        TEST(histories_that_go_leave_their_peaks),
        TEST(claimed_events_become_holes),
        TEST(earlier_versions_move),
        TEST(nothing_moves_that_is_not_of_this_boot_or_not_sound),
    };
    return cmocka_run_group_tests_name("segment_move", tests, NULL, NULL);
}
