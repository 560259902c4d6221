/* test_streams.c - streams.h: which stream a datagram belongs to, who gives a place up when all are
 * taken, and what the next daemon finds. */
#include "stream_fixture.h"

static unsigned used(const struct fixture *fixture)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < fixture->segment.streams.capacity; i++)
        count += fixture->segment.streams.slots[i].id != 0;
    return count;
}

static void expect_full(struct fixture *fixture, uint64_t count)
{
    assert_int_equal(fixture->counted[COUNTER_streams_full], count);
}

static void key_id_and_target_tell_streams_apart(void **state)
{
    static const struct origin origins[] = {{1, 0, 0},
                                            {2, 0, 0},
                                            {1, 1, 0},
                                            {1, 0, 1},
                                            {1, 0, 2},
                                            {1, 256, 0},
                                            {UINT64_MAX, 65535, 255}};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, LENGTH(origins));
    for (unsigned i = 0; i < LENGTH(origins); i++)
        for (uint32_t sequence = 1; sequence <= i + 1; sequence++)
            assert_true(receive(&fixture, origins[i], 100 * i + sequence));
    for (unsigned i = 0; i < LENGTH(origins); i++) {
        assert_int_equal(stream_of(&fixture, origins[i])->received, i + 1);
        assert_int_equal(stream_expected(stream_of(&fixture, origins[i])), i + 1);
        assert_false(receive(&fixture, origins[i], 100 * i + 1));
    }
    expect_full(&fixture, 0);
    close_streams(&fixture);
}

static void no_stream_is_neither_tracked_nor_checked(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_true(receive(&fixture, (struct origin){.key_id = 3}, 0));
    assert_int_equal(used(&fixture), 0);
    for (unsigned i = 0; i < COUNTERS; i++)
        assert_int_equal(fixture.counted[i], 0);
    close_streams(&fixture);
}

/* Streams without a place are counted, and nothing else is known of them. */
static void a_full_table_takes_no_more(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 2);
    for (uint64_t id = 1; id <= 4; id++)
        for (unsigned i = 0; i < 3; i++)
            assert_true(receive(&fixture, (struct origin){id, 0, 0}, 1 + i));
    expect_full(&fixture, 6);
    assert_true(receive(&fixture, (struct origin){4, 0, 0}, 3)); /* not known as seen */
    assert_false(receive(&fixture, (struct origin){1, 0, 0}, 3));
    expect_full(&fixture, 7);
    assert_int_equal(fixture.counted[COUNTER_streams_received], 6);
    assert_int_equal(fixture.counted[COUNTER_streams_expected], 6);
    close_streams(&fixture);
}

static void without_room_all_streams_are_counted_as_full(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(receive(&fixture, (struct origin){1, 0, 0}, 1));
    expect_full(&fixture, 3);
    reopen_streams(&fixture);
    close_streams(&fixture);
}

static void a_stream_is_replaced_after_a_minute_of_silence(void **state)
{
    static const struct origin old = {1, 0, 0}, new = {2, 0, 0};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 1);
    for (uint32_t sequence = 5; sequence < 10; sequence++)
        assert_true(receive(&fixture, old, sequence));
    fixture.now += STREAM_SILENCE;
    assert_true(receive(&fixture, new, 70));
    expect_full(&fixture, 1);
    assert_false(receive(&fixture, old, 9)); /* and a duplicate keeps nothing alive */
    fixture.now++;
    assert_true(receive(&fixture, new, 71));
    expect_full(&fixture, 1);
    assert_null(stream_of(&fixture, old));
    const struct stream *stream = stream_of(&fixture, new);
    assert_int_equal(stream->received, 1);
    assert_int_equal(stream_expected(stream), 1);
    assert_int_equal(stream->duplicates, 0);
    assert_int_equal(stream->first_tick, fixture.now);
    assert_true(receive(&fixture, new, 69)); /* nothing is left of what the other had seen */
    assert_false(receive(&fixture, new, 71));
    /* What the counters have of the old one stays there. */
    assert_int_equal(fixture.counted[COUNTER_streams_received], 7);
    assert_int_equal(fixture.counted[COUNTER_streams_expected], 8);
    expect_sound_streams(&fixture);
    close_streams(&fixture);
}

static void the_quietest_goes_first(void **state)
{
    static const uint64_t heard[] = {40, 10, 30, 20};
    static const unsigned order[] = {1, 3, 2, 0};
    struct fixture fixture;

    (void)state;
    for (unsigned reopened = 0; reopened < 2; reopened++) {
        open_streams(&fixture, LENGTH(heard));
        for (uint64_t id = 1; id <= LENGTH(heard); id++)
            assert_true(receive(&fixture, (struct origin){id, 0, 0}, 1));
        for (fixture.now = START; fixture.now < START + 50; fixture.now++)
            for (uint64_t id = 1; id <= LENGTH(heard); id++)
                if (START + heard[id - 1] == fixture.now)
                    assert_true(receive(&fixture, (struct origin){id, 0, 0}, 2));
        if (reopened)
            reopen_streams(&fixture);
        fixture.now = START + 40 + STREAM_SILENCE + 1;
        for (unsigned i = 0; i < LENGTH(order); i++) {
            assert_true(receive(&fixture, (struct origin){100 + i, 0, 0}, 1));
            for (unsigned j = 0; j < LENGTH(order); j++)
                assert_int_equal(stream_of(&fixture, (struct origin){order[j] + 1, 0, 0}) == NULL,
                                 j <= i);
        }
        expect_full(&fixture, 0);
        close_streams(&fixture);
    }
}

static void the_next_daemon_goes_on(void **state)
{
    static const struct origin edge = {7, 1, 2};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 8);
    for (uint64_t id = 1; id <= 5; id++)
        assert_true(receive(&fixture, (struct origin){id, 0, 0}, 1));
    assert_true(receive(&fixture, edge, 10));
    reopen_streams(&fixture);
    assert_false(receive(&fixture, edge, 10));
    assert_true(receive(&fixture, edge, 12));
    assert_int_equal(stream_of(&fixture, edge)->received, 2);
    assert_int_equal(stream_expected(stream_of(&fixture, edge)), 3);
    assert_int_equal(used(&fixture), 6);
    close_streams(&fixture);
}

static struct origin origin_number(unsigned number)
{
    return (struct origin){number / 5 + 1, (uint16_t)(number % 5), (uint8_t)(number % 3)};
}

/* Many streams come and go, against a list of who was heard when. */
static void streams_agree_with_a_list(void **state)
{
    enum { CAPACITY = 50, ORIGINS = 400 };
    struct known {
        bool is_tracked;
        uint64_t heard;
        uint32_t highest;
    } known[ORIGINS] = {0};
    uint64_t random = random_seed("streams"), full = 0;
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, CAPACITY);
    for (unsigned i = 0; i < 60000; i++) {
        uint64_t draw = random_next(&random);
        unsigned number = (unsigned)((draw >> 8) % (draw & 3 ? 60 : ORIGINS)), quietest = ORIGINS;
        struct known *origin = &known[number];
        struct origin name = origin_number(number);
        unsigned tracked = 0;
        fixture.now += draw >> 60 == 0;
        for (unsigned j = 0; j < ORIGINS; j++)
            tracked += known[j].is_tracked;
        for (unsigned j = 0; j < ORIGINS; j++)
            if (known[j].is_tracked &&
                (quietest == ORIGINS || known[j].heard < known[quietest].heard))
                quietest = j;
        assert_true(receive(&fixture, name, ++origin->highest));
        if (!origin->is_tracked && tracked == CAPACITY) {
            if (fixture.now - known[quietest].heard <= STREAM_SILENCE) {
                expect_full(&fixture, ++full);
                continue;
            }
            /* Of those that were last heard in one second, any may go. */
            for (unsigned j = 0; j < ORIGINS; j++)
                if (known[j].is_tracked && known[j].heard == known[quietest].heard &&
                    !stream_of(&fixture, origin_number(j)))
                    known[j].is_tracked = false, tracked--;
            assert_int_equal(tracked, CAPACITY - 1);
        }
        origin->is_tracked = true;
        origin->heard = fixture.now;
        assert_int_equal((uint32_t)stream_of(&fixture, name)->highest, origin->highest);
        if (draw >> 40 == 0)
            reopen_streams(&fixture);
    }
    assert_true(full > 100);
    for (unsigned j = 0; j < ORIGINS; j++)
        assert_int_equal(stream_of(&fixture, origin_number(j)) != NULL, known[j].is_tracked);
    reopen_streams(&fixture);
    close_streams(&fixture);
}

/* Another worker has just heard a stream, and has yet to put it last among those that may be
 * replaced.
 */
static void a_stream_that_is_heard_meanwhile_stays(void **state)
{
    static const struct origin old = {1, 0, 0}, new = {2, 0, 0};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 1);
    assert_true(receive(&fixture, old, 5));
    fixture.now += STREAM_SILENCE + 1;
    stream_of(&fixture, old)->last_tick = fixture.now;
    assert_true(receive(&fixture, new, 70));
    expect_full(&fixture, 1);
    assert_non_null(stream_of(&fixture, old));
    assert_false(receive(&fixture, old, 5));
    close_streams(&fixture);
}

/* Between a worker's look at the index and its lock another worker may have replaced the stream. */
static void a_stream_that_is_replaced_meanwhile_is_not_another(void **state)
{
    static const struct origin old = {1, 0, 0}, new = {2, 0, 0};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 2);
    assert_true(receive(&fixture, old, 5));
    struct stream *stream = stream_of(&fixture, old);
    stream->id = new.id; /* as if it was replaced, and the index has yet to say so */
    assert_true(receive(&fixture, old, 5));
    assert_int_equal(stream->received, 1);
    assert_int_equal(stream->duplicates, 0);
    assert_int_equal(stream_of(&fixture, old)->received, 1);
    close_streams(&fixture);
}

/* A daemon that was killed in the middle of a store leaves an odd version. */
static void a_stream_that_is_being_written_is_not_loaded(void **state)
{
    static const struct origin origin = {1, 0, 0};
    struct fixture fixture;
    struct stream copy;

    (void)state;
    open_streams(&fixture, 1);
    assert_true(receive(&fixture, origin, 5));
    struct stream *stream = stream_of(&fixture, origin);
    assert_true(stream_load(stream, &copy));
    stream->version |= 1;
    assert_false(stream_load(stream, &copy));
    reopen_streams(&fixture);
    assert_true(stream_load(stream, &copy));
    close_streams(&fixture);
}

/* Forged streams beyond the table's size cost no search through it. */
static void a_large_table_stays_fast(void **state)
{
    enum { CAPACITY = 65536 };
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, CAPACITY);
    for (unsigned minute = 0; minute < 20; minute++) {
        for (uint64_t i = 0; i < 2 * CAPACITY; i++)
            assert_true(receive(&fixture, (struct origin){(minute + 1) << 20 | i, 0, 0}, 1));
        expect_full(&fixture, (minute + 1) * CAPACITY);
        fixture.now += STREAM_SILENCE + 1;
    }
    close_streams(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_id_and_target_tell_streams_apart),
        cmocka_unit_test(no_stream_is_neither_tracked_nor_checked),
        cmocka_unit_test(a_full_table_takes_no_more),
        cmocka_unit_test(without_room_all_streams_are_counted_as_full),
        cmocka_unit_test(a_stream_is_replaced_after_a_minute_of_silence),
        cmocka_unit_test(the_quietest_goes_first),
        cmocka_unit_test(the_next_daemon_goes_on),
        cmocka_unit_test(streams_agree_with_a_list),
        cmocka_unit_test(a_stream_that_is_heard_meanwhile_stays),
        cmocka_unit_test(a_stream_that_is_replaced_meanwhile_is_not_another),
        cmocka_unit_test(a_stream_that_is_being_written_is_not_loaded),
        cmocka_unit_test(a_large_table_stays_fast),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
