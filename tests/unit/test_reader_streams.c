/* test_reader_streams.c - list the streams of senders from a segment that is filled by hand. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/time.h>

#include "reader_fixture.h"

#define STREAMS 8
#define SINCE   1000 /* seconds that the collector has listened */

static struct fixture fixture;
static struct presence_streams list;

static int open_fixture(void **state)
{
    (void)state;
    fixture_open(&fixture, (struct segment_settings){.max_entries = 100,
                                                     .max_scopes = 16,
                                                     .max_window = 3600,
                                                     .max_streams = STREAMS});
    fixture_segment(&fixture)->header->listening_since = fixture.now - SINCE;
    return 0;
}

static int close_fixture(void **state)
{
    (void)state;
    presence_streams_free(&list);
    fixture_close(&fixture);
    return 0;
}

static void set_address(struct stream *stream, const char *address)
{
    stream->family = strchr(address, ':') ? 6 : 4;
    assert_int_equal(inet_pton(stream->family == 6 ? AF_INET6 : AF_INET, address, stream->address),
                     1);
}

/* Fill a slot as a writer would, `age_s` seconds ago. */
static struct stream *put(unsigned slot, uint64_t id, const char *address, uint64_t age_s)
{
    struct stream *stream = &fixture_segment(&fixture)->streams.slots[slot];

    *stream = (struct stream){
        .version = 2,
        .id = id,
        .port = 4000,
        .first_tick = fixture.now - age_s - 100,
        .last_tick = fixture.now - age_s,
        .received = 90,
        .duplicates = 3,
        .heartbeats = 700,
        .lowest = 5,
        .highest = 104,
    };
    set_address(stream, address);
    return stream;
}

static void load(size_t length)
{
    presence_streams_free(&list);
    assert_int_equal(presence_streams(fixture.presence, &list), 0);
    assert_int_equal(list.length, length);
}

/* ---- what is listed ---------------------------------------------------------------------- */

static void every_field_is_converted(void **state)
{
    struct stream *stream = put(3, 0x0102030405060708, "192.0.2.7", 2);

    (void)state;
    stream->target = 9;
    stream->key_id = 7;
    load(1);
    const struct presence_stream *got = &list.streams[0];
    assert_true(got->id == 0x0102030405060708);
    assert_int_equal(got->target, 9);
    assert_int_equal(got->key_id, 7);
    assert_string_equal(got->address, "192.0.2.7");
    assert_int_equal(got->port, 4000);
    assert_int_equal(got->first_s, 102);
    assert_int_equal(got->last_s, 2);
    assert_int_equal(got->datagrams, 93);
    assert_int_equal(got->heartbeats, 700);
    assert_int_equal(got->expected, 100);
    assert_int_equal(got->received, 90);
    assert_int_equal(got->lost, 10);
    assert_int_equal(got->duplicates, 3);
    assert_false(got->silent);
    assert_false(list.moment.stale);
}

static void an_address_of_either_family_is_text(void **state)
{
    (void)state;
    put(0, 1, "2001:db8::17", 0);
    put(1, 2, "192.0.2.1", 1);
    put(2, 3, "192.0.2.2", 2)->family = 0;
    put(4, 4, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 3);
    load(4);
    assert_string_equal(list.streams[0].address, "2001:db8::17");
    assert_string_equal(list.streams[1].address, "192.0.2.1");
    assert_string_equal(list.streams[2].address, "");
    assert_int_equal(list.streams[2].port, 0);
    assert_string_equal(list.streams[3].address, "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff");
}

static void the_last_heard_is_first(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 50);
    put(1, 2, "192.0.2.2", 0);
    put(2, 3, "192.0.2.3", 7);
    load(3);
    assert_int_equal(list.streams[0].id, 2);
    assert_int_equal(list.streams[1].id, 3);
    assert_int_equal(list.streams[2].id, 1);
}

static void a_collector_without_streams_says_so(void **state)
{
    struct presence_streams none;
    struct presence_status status;

    (void)state;
    fixture_open(&fixture, (struct segment_settings){
                               .max_entries = 100, .max_scopes = 16, .max_window = 3600});
    assert_int_equal(presence_streams(fixture.presence, &none), -EOPNOTSUPP);
    assert_int_equal(presence_status(fixture.presence, &status), 0);
    assert_int_equal(status.streams_capacity, 0);
    fixture_close(&fixture);
}

static void the_status_has_the_places(void **state)
{
    struct presence_status status;

    (void)state;
    put(0, 1, "192.0.2.1", 0);
    put(5, 2, "192.0.2.2", 600);
    assert_int_equal(presence_status(fixture.presence, &status), 0);
    assert_int_equal(status.streams_capacity, STREAMS);
    assert_int_equal(status.streams_live, 2);
}

/* ---- silence ----------------------------------------------------------------------------- */

static void over_3_s_without_a_datagram_is_silence(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 3);
    put(1, 2, "192.0.2.2", 4);
    load(2);
    assert_false(list.streams[0].silent);
    assert_true(list.streams[1].silent);
    assert_false(list.streams[1].restarted);
}

static void nobody_is_silent_while_nobody_listened(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 600);
    fixture_segment(&fixture)->header->listening_since = fixture.now - 3;
    load(1);
    assert_false(list.streams[0].silent);
    fixture_segment(&fixture)->header->listening_since = fixture.now - 4;
    load(1);
    assert_true(list.streams[0].silent);
}

static void a_sender_with_a_new_stream_was_restarted(void **state)
{
    (void)state;
    put(0, 10, "192.0.2.1", 0)->first_tick = fixture.now - 9; /* the new stream */
    put(1, 11, "192.0.2.1", 10)->port = 1;                    /* its former one */
    put(2, 12, "192.0.2.1", 20)->key_id = 1;                  /* with another key */
    put(3, 13, "192.0.2.1", 30)->target = 1;                  /* to another target */
    put(4, 14, "192.0.2.2", 40);                              /* of another sender */
    put(5, 15, "192.0.2.3", 0)->family = 0;                   /* of nobody knows whom */
    put(6, 16, "192.0.2.4", 50)->family = 0;
    load(7);
    for (size_t i = 0; i < list.length; i++) {
        const struct presence_stream *stream = &list.streams[i];
        assert_int_equal(stream->silent, stream->last_s > 3);
        assert_int_equal(stream->restarted, stream->id == 11);
    }
}

static void two_senders_of_an_address_do_not_stand_for_each_other(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 0)->first_tick = fixture.now - 31; /* began 11 s before the end of 2 */
    put(1, 2, "192.0.2.1", 20);
    load(2);
    assert_true(list.streams[1].silent);
    assert_false(list.streams[1].restarted);
    put(0, 1, "192.0.2.1", 0)->first_tick = fixture.now - 30;
    load(2);
    assert_true(list.streams[1].restarted);
}

static void a_restarted_sender_that_fell_silent_is_one(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 100);
    put(1, 2, "192.0.2.1", 20)->first_tick = fixture.now - 90;
    load(2);
    assert_true(list.streams[0].silent && !list.streams[0].restarted);
    assert_true(list.streams[1].silent && list.streams[1].restarted);
}

/* ---- a hostile or interrupted writer ----------------------------------------------------- */

static void what_no_writer_stores_is_left_out(void **state)
{
    (void)state;
    put(0, 1, "192.0.2.1", 0)->version = 0;
    put(1, 2, "192.0.2.1", 0)->version = 3; /* of a writer that was killed */
    put(2, 0, "192.0.2.1", 0);
    put(3, 3, "192.0.2.1", 0)->lowest = 105;
    put(4, 4, "192.0.2.1", 0)->received = UINT64_MAX;
    put(5, 5, "192.0.2.1", 0)->last_tick = UINT64_MAX;
    load(2);
    for (size_t i = 0; i < list.length; i++) {
        assert_int_equal(list.streams[i].last_s, 0);
        assert_int_equal(list.streams[i].lost, list.streams[i].id == 5 ? 10 : 0);
    }
}

static void killed_writers_of_all_slots_are_not_waited_for_long(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STREAMS; i++)
        put(i, 1 + i, "192.0.2.1", 0)->version = 1;
    load(0);
}

/* ---- a writer at work -------------------------------------------------------------------- */

#define INTERRUPTIONS 5000
#define PERIOD_US     20

static volatile sig_atomic_t interruptions;

/* Give all fields of each slot one value, as a worker would in the middle of a reader's copy. */
static void write_streams(int number)
{
    uint64_t value = (uint64_t)++interruptions;

    (void)number;
    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream *slot = &fixture_segment(&fixture)->streams.slots[i];
        slot->id = slot->received = slot->duplicates = slot->heartbeats = slot->lowest = value;
        slot->highest = 2 * value;
        slot->version += 2;
    }
}

static void a_copy_is_of_one_moment(void **state)
{
    const struct itimerval often = {{0, PERIOD_US}, {0, PERIOD_US}}, never = {0};
    void (*former)(int) = signal(SIGALRM, write_streams);

    (void)state;
    for (unsigned i = 0; i < STREAMS; i++)
        put(i, 1, "192.0.2.1", 0);
    write_streams(SIGALRM);
    setitimer(ITIMER_REAL, &often, NULL);
    while (interruptions < INTERRUPTIONS) {
        load(STREAMS);
        for (size_t i = 0; i < list.length; i++) {
            const struct presence_stream *got = &list.streams[i];
            assert_true(got->received == got->id && got->duplicates == got->id &&
                        got->heartbeats == got->id && got->expected == got->id + 1);
        }
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, former);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_is_converted),
        TEST(an_address_of_either_family_is_text),
        TEST(the_last_heard_is_first),
        cmocka_unit_test(a_collector_without_streams_says_so),
        TEST(the_status_has_the_places),
        TEST(over_3_s_without_a_datagram_is_silence),
        TEST(nobody_is_silent_while_nobody_listened),
        TEST(a_sender_with_a_new_stream_was_restarted),
        TEST(two_senders_of_an_address_do_not_stand_for_each_other),
        TEST(a_restarted_sender_that_fell_silent_is_one),
        TEST(what_no_writer_stores_is_left_out),
        TEST(killed_writers_of_all_slots_are_not_waited_for_long),
        TEST(a_copy_is_of_one_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
