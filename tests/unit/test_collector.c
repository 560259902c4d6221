/* test_collector.c - collector.h: the tick and its gaps, states, and maintenance. */
#include "collector_fixture.h"

#include <errno.h>

#include <core/ring_sum.h>

#define EXPIRY 3692 /* seconds, at the longest window */

/* A word that was written `age` seconds before START, in the last slot of a pair. */
static void put_word(struct fixture *fixture, uint64_t pair, uint64_t age)
{
    segment_of(fixture)->table.words[pair * TABLE_PAIR_WORDS + 15] =
        table_word(UINT64_C(0xabc) << 40, START - age);
}

static uint64_t used_words(struct fixture *fixture)
{
    const struct table *table = &segment_of(fixture)->table;
    uint64_t used = 0;

    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++)
        used += table->words[i] != 0;
    return used;
}

static void states_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    const struct segment_header *header;
    int fd;

    fixture->workers = 3;
    open_collector(fixture);
    header = header_of(fixture);
    assert_int_equal(header->state, SEGMENT_STARTING);
    assert_int_equal(header->workers, 3);
    assert_int_equal(header->tick, START);
    collector_publish_filter(&fixture->collector, "native", "eth0", "");
    collector_publish_spread(&fixture->collector, "hash", "no privilege");
    collector_publish_missing(&fixture->collector, "192.0.2.1:9514");
    /* Until the sockets are open the tick does not move. */
    fixture->clock += 4;
    assert_int_equal(collector_tick(&fixture->collector), START);
    assert_int_equal(collector_listen(&fixture->collector, "io_uring", ""), 0);
    assert_int_equal(header->state, SEGMENT_LISTENING);
    assert_int_equal(header->tick, START + 4);
    assert_int_equal(header->listening_since, START + 4);
    assert_string_equal(header->receive, "io_uring");
    assert_string_equal(header->receive_reason, "");
    fixture->clock += 2;
    fd = open(fixture->scratch.path, O_RDONLY);
    collector_close(&fixture->collector);
    struct segment_header after;
    assert_int_equal(pread(fd, &after, sizeof(after), 0), sizeof(after));
    close(fd);
    assert_int_equal(after.state, SEGMENT_STOPPED);
    assert_int_equal(after.tick, START + 6);

    /* And once more, on the same segment. */
    fixture->clock += 1;
    open_collector(fixture);
    assert_int_equal(header_of(fixture)->state, SEGMENT_STARTING);
    assert_int_equal(header_of(fixture)->tick, START + 6);
    collector_publish_filter(&fixture->collector, "none", "", "not asked for");
    assert_string_equal(header_of(fixture)->filter, "none");
    assert_string_equal(header_of(fixture)->filter_interface,
                        ""); /* the earlier text is overwritten */
    assert_string_equal(header_of(fixture)->filter_reason, "not asked for");
    assert_string_equal(header_of(fixture)->spread, "hash");
    assert_string_equal(header_of(fixture)->spread_reason, "no privilege");
    assert_string_equal(header_of(fixture)->listen_missing, "192.0.2.1:9514");
    collector_publish_spread(&fixture->collector, "turn", "");
    collector_publish_missing(&fixture->collector, "");
    collector_publish_keys(&fixture->collector, 3, "");
    assert_int_equal(header_of(fixture)->keys, 3);
    assert_string_equal(header_of(fixture)->keys_refused, "");
    assert_string_equal(header_of(fixture)->spread, "turn");
    assert_string_equal(header_of(fixture)->spread_reason, "");
    assert_string_equal(header_of(fixture)->listen_missing, "");
    collector_listen(&fixture->collector, "recvmmsg", "io_uring is not permitted");
    assert_int_equal(header_of(fixture)->state, SEGMENT_LISTENING);
    assert_string_equal(header_of(fixture)->receive, "recvmmsg");
    assert_string_equal(header_of(fixture)->receive_reason, "io_uring is not permitted");
    collector_close(&fixture->collector);
}

static void long_texts_are_cut(void **state)
{
    struct fixture *fixture = *state;
    char text[200] = {0};

    memset(text, 'x', sizeof(text) - 1);
    open_collector(fixture);
    collector_publish_filter(&fixture->collector, text, text, text);
    collector_publish_spread(&fixture->collector, text, text);
    collector_publish_missing(&fixture->collector, text);
    text[198] = '.';
    collector_publish_keys(&fixture->collector, 2, text);
    collector_listen(&fixture->collector, text, text);
    const struct segment_header *header = header_of(fixture);
    assert_int_equal(strnlen(header->filter, sizeof(header->filter)), 15);
    assert_int_equal(strnlen(header->filter_interface, sizeof(header->filter_interface)), 15);
    assert_int_equal(strnlen(header->filter_reason, sizeof(header->filter_reason)), 95);
    assert_int_equal(strnlen(header->spread, sizeof(header->spread)), 15);
    assert_int_equal(strnlen(header->spread_reason, sizeof(header->spread_reason)), 95);
    assert_int_equal(strnlen(header->listen_missing, sizeof(header->listen_missing)), 95);
    assert_int_equal(strnlen(header->keys_refused, sizeof(header->keys_refused)), 123);
    assert_memory_equal(header->keys_refused, "...x", 4);
    assert_int_equal(header->keys_refused[122], '.'); /* the end is kept */
    for (size_t i = 0; i < 99; i++)
        memcpy(text + 2 * i, "é", 2);
    collector_publish_keys(&fixture->collector, 2, text); /* at a character's end */
    assert_memory_equal(header->keys_refused, "...é", 5);
    assert_int_equal(strnlen(header->keys_refused, sizeof(header->keys_refused)), 122);
    assert_int_equal(strnlen(header->receive, sizeof(header->receive)), 15);
    assert_int_equal(strnlen(header->receive_reason, sizeof(header->receive_reason)), 63);
    collector_close(&fixture->collector);
}

static void errors_are_passed_on(void **state)
{
    struct fixture *fixture = *state;
    static struct collector second;
    struct collector_settings settings = {.path = fixture->scratch.path,
                                          .segment = fixture->settings,
                                          .workers = 1,
                                          .clock = read_clock,
                                          .clock_context = fixture};
    pid_t holder = 0;

    start_collector(fixture);
    assert_int_equal(collector_open(&settings, &second, &holder), -EBUSY);
    assert_int_equal(holder, getpid());
    settings.path = "/nowhere/at/all";
    assert_int_equal(collector_open(&settings, &second, &holder), -ENOENT);
    collector_close(&fixture->collector);
}

static void the_tick_only_moves_forward(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint64_t clock, tick;
    } steps[] = {{START, START},         {START + 1, START + 1}, {START, START + 1},
                 {0, START + 1},         {START + 1, START + 1}, {START + 2, START + 2},
                 {START + 9, START + 9}, {START + 8, START + 9}, {START + 10, START + 10}};

    start_collector(fixture);
    for (size_t i = 0; i < LENGTH(steps); i++) {
        fixture->clock = steps[i].clock;
        assert_int_equal(collector_advance(&fixture->collector), steps[i].tick);
        assert_int_equal(collector_tick(&fixture->collector), steps[i].tick);
        assert_int_equal(header_of(fixture)->tick, steps[i].tick);
    }
    assert_int_equal(header_of(fixture)->listening_since, START);
    collector_close(&fixture->collector);
}

/* How a collector meets a gap: it runs on, or restarts after a stop or a kill. */
enum way { RUNS_ON, STOPPED, KILLED, WAYS };

static uint64_t pass_gap(struct fixture *fixture, enum way way, uint64_t gap)
{
    if (way == RUNS_ON) {
        fixture->clock += gap;
        return collector_advance(&fixture->collector) ? gap : 0;
    }
    if (way == STOPPED)
        collector_close(&fixture->collector);
    else
        kill_collector(fixture);
    fixture->clock += gap;
    return start_collector(fixture);
}

/* A gap of over 10 s makes the count warm up again. */
static void gaps_restart_the_warm_up(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t gaps[] = {0, 1, 9, 10, 11, 12, 300, EXPIRY, 100000};

    for (unsigned way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < LENGTH(gaps); i++) {
            fixture->clock = START;
            assert_int_equal(start_collector(fixture), 0);
            assert_int_equal(header_of(fixture)->listening_since, START);
            fixture->clock += 5;
            collector_advance(&fixture->collector);
            uint64_t told = pass_gap(fixture, (enum way)way, gaps[i]);
            uint64_t expected = gaps[i] > 10 ? fixture->clock : START;
            if (header_of(fixture)->listening_since != expected || told != gaps[i])
                fail_msg("way %u, a gap of %llu s: listening since %+lld, told %llu", way,
                         (unsigned long long)gaps[i],
                         (long long)(header_of(fixture)->listening_since - START),
                         (unsigned long long)told);
            assert_int_equal(header_of(fixture)->tick, fixture->clock);
            collector_close(&fixture->collector);
            assert_int_equal(unlink(fixture->scratch.path), 0);
        }
    }
}

/* A gap in which every word expired clears the table. */
static void long_gaps_empty_the_table(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint32_t max_window;
        uint64_t expiry;
    } cases[] = {{3600, EXPIRY}, {300, 392}, {1, 392}};

    for (unsigned way = 0; way < WAYS; way++) {
        for (size_t i = 0; i < LENGTH(cases) * 3; i++) {
            uint64_t gap = cases[i / 3].expiry - 1 + i % 3;
            fixture->settings.max_window = cases[i / 3].max_window;
            fixture->clock = START;
            start_collector(fixture);
            put_word(fixture, 0, 0);
            put_word(fixture, segment_of(fixture)->table.pairs - 1, 0);
            pass_gap(fixture, (enum way)way, gap);
            if (used_words(fixture) != (gap >= cases[i / 3].expiry ? 0 : 2))
                fail_msg("way %u, window %u, a gap of %llu s: %llu words", way,
                         cases[i / 3].max_window, (unsigned long long)gap,
                         (unsigned long long)used_words(fixture));
            collector_close(&fixture->collector);
            assert_int_equal(unlink(fixture->scratch.path), 0);
        }
    }
}

struct advance {
    struct fixture *fixture;
    uint32_t done;
};

static void *advance(void *context)
{
    struct advance *advance = context;

    collector_advance(&advance->fixture->collector);
    atomic_store_release(&advance->done, 1); /* pairs with the_table_is_cleared_between_batches */
    return NULL;
}

/* The table is cleared, and the tick moved with it, only between batches of all workers. */
static void the_table_is_cleared_between_batches(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;

    fixture->workers = 4;
    start_collector(fixture);
    for (unsigned worker = 0; worker < 4; worker++) {
        struct collector *collector = &fixture->collector;
        uint64_t before = collector_tick(collector);
        put_word(fixture, 1, 0);
        pthread_mutex_lock(&collector->gates[worker].mutex);
        fixture->clock += EXPIRY;
        struct advance other = {.fixture = fixture};
        assert_int_equal(pthread_create(&thread, NULL, advance, &other), 0);
        /* Until the thread is at work, and then for a while. */
        while (pthread_mutex_trylock(&collector->advancing) == 0) {
            pthread_mutex_unlock(&collector->advancing);
            if (atomic_load_acquire(&other.done))
                fail_msg("the table was cleared while worker %u was inside a batch", worker);
        }
        for (unsigned i = 0; i < 1000; i++) {
            assert_int_equal(used_words(fixture), 1);
            assert_int_equal(collector_tick(collector), before);
        }
        pthread_mutex_unlock(&collector->gates[worker].mutex);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(used_words(fixture), 0);
        assert_int_equal(collector_tick(collector), before + EXPIRY);
    }
    collector_close(&fixture->collector);
}

/* A daemon that restarts again and again without getting its sockets has not listened. */
static void failed_starts_are_part_of_the_gap(void **state)
{
    struct fixture *fixture = *state;

    start_collector(fixture);
    kill_collector(fixture);
    for (unsigned i = 0; i < 30; i++) {
        fixture->clock += 5;
        open_collector(fixture);
        collector_close(&fixture->collector);
    }
    fixture->clock += 5;
    uint64_t told = start_collector(fixture);
    uint64_t since = header_of(fixture)->listening_since;
    collector_close(&fixture->collector);
    if (since != fixture->clock || told != 155)
        fail_msg("155 s without listening: listening since %lld s ago, told %llu",
                 (long long)(fixture->clock - since), (unsigned long long)told);
}

static void maintenance_moves_the_tick_and_sweeps(void **state)
{
    struct fixture *fixture = *state;
    start_collector(fixture);
    uint64_t pairs = segment_of(fixture)->table.pairs;

    for (uint64_t pair = 0; pair < pairs; pair++)
        put_word(fixture, pair, pair & 1 ? EXPIRY : 1000);
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t before = used_words(fixture);
        collector_maintain(&fixture->collector); /* at the same tick: nothing is due */
        assert_int_equal(used_words(fixture), before);
        fixture->clock++;
        collector_maintain(&fixture->collector);
        assert_int_equal(collector_tick(&fixture->collector), fixture->clock);
        assert_true(used_words(fixture) + 1 >= before); /* a little at a time */
    }
    for (uint64_t pair = 0; pair < pairs; pair++)
        assert_true((segment_of(fixture)->table.words[pair * 16 + 15] != 0) == !(pair & 1));
    collector_close(&fixture->collector);
}

/* Each word is freed before its age reaches 2^19 s, however a collector's time is cut up. An older
 * word would seem to be from the future, and its visitor would not be counted. */
static void expect_swept(const char *what, struct fixture *fixture, uint64_t step,
                         unsigned keeps_a_run, uint64_t pause)
{
    uint64_t end = START + (UINT64_C(1) << 19) - EXPIRY - step - pause;

    start_collector(fixture);
    for (uint64_t pair = 0; pair < segment_of(fixture)->table.pairs; pair++)
        put_word(fixture, pair, 0);
    for (unsigned keeps = 1; fixture->clock < end; keeps++) {
        fixture->clock += step;
        collector_maintain(&fixture->collector);
        if (keeps % keeps_a_run != 0)
            continue;
        collector_close(&fixture->collector);
        fixture->clock += pause;
        start_collector(fixture);
    }
    uint64_t left = used_words(fixture);
    collector_close(&fixture->collector);
    if (left)
        fail_msg("%s: %llu words will come back from the future", what, (unsigned long long)left);
}

static void restarts_do_not_keep_words_alive(void **state)
{
    expect_swept("a collector that runs for 20 s in an hour", *state, 1, 20, 3580);
}

static void pauses_do_not_keep_words_alive(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_entries = 20000;
    expect_swept("a machine that sleeps most of the time", fixture, 3600, UINT32_MAX, 0);
}

/* Every idle scope is retired within a minute, a site a minute after its last label. */
static void maintenance_retires_idle_scopes(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t capacities[] = {1, 16, 60, 61, 300};

    for (size_t i = 0; i < LENGTH(capacities); i++) {
        fixture->settings.max_scopes = capacities[i];
        fixture->settings.max_window = 300;
        fixture->clock = START;
        start_collector(fixture);
        uint32_t site = hold_site(fixture, "site", START), free;
        for (uint32_t j = 1; j < capacities[i]; j++) {
            char name[16];
            snprintf(name, sizeof(name), "room%u", j);
            assert_int_not_equal(hold_label(fixture, "site", site, SCOPE_ROOM, name, START),
                                 SCOPE_NONE);
        }
        for (unsigned second = 0; second < 300; second++) {
            fixture->clock++;
            collector_maintain(&fixture->collector);
        }
        assert_int_equal(fixture->collector.directory.free_count, 0);
        for (unsigned second = 0; second < 60; second++) {
            fixture->clock++;
            collector_maintain(&fixture->collector);
        }
        free = fixture->collector.directory.free_count;
        assert_true(free == capacities[i] || free == capacities[i] - 1);
        for (unsigned second = 0; second < 60; second++) {
            fixture->clock++;
            collector_maintain(&fixture->collector);
        }
        assert_int_equal(fixture->collector.directory.free_count, capacities[i]);
        collector_close(&fixture->collector);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

static void room_is_made_once_a_tick(void **state)
{
    struct fixture *fixture = *state;
    struct collector *collector = &fixture->collector;
    start_collector(fixture);
    uint32_t capacity = segment_of(fixture)->directory.capacity;
    uint32_t site = hold_site(fixture, "site", START);

    hold_label(fixture, "site", site, SCOPE_ROOM, "/", START);
    hold_site(fixture, "other", START + 3000);
    fixture->clock = START + 3600;
    collector_advance(collector);
    assert_true(collector_may_make_room(collector, START + 3600));
    collector_make_room(collector);
    assert_int_equal(collector->directory.free_count, capacity - 3); /* none was idle */
    assert_false(collector_may_make_room(collector, START + 3600));
    fixture->clock++;
    collector_advance(collector);
    assert_true(collector_may_make_room(collector, START + 3601));
    collector_make_room(collector); /* the label, then its site */
    assert_int_equal(collector->directory.free_count, capacity - 1);
    assert_int_equal(hold_site(fixture, "site", 0), SCOPE_NONE);
    assert_int_not_equal(hold_site(fixture, "other", 0), SCOPE_NONE);
    assert_false(collector_may_make_room(collector, START + 3601));
    collector_close(collector);
}

/* After a restart the directory still knows the labels of sites. */
static void scopes_outlive_a_restart(void **state)
{
    struct fixture *fixture = *state;

    start_collector(fixture);
    uint32_t site = hold_site(fixture, "site", START);
    uint32_t room = hold_label(fixture, "site", site, SCOPE_ROOM, "/", START);
    ring_add(&segment_of(fixture)->directory.rings[room], START, 3);
    for (unsigned way = STOPPED; way < WAYS; way++) {
        pass_gap(fixture, (enum way)way, 2);
        assert_int_equal(hold_site(fixture, "site", 0), site);
        assert_int_equal(hold_label(fixture, "site", site, SCOPE_ROOM, "/", 0), room);
        assert_int_equal(ring_count(&segment_of(fixture)->directory.rings[room], fixture->clock, 9),
                         3);
    }
    assert_int_equal(fixture->collector.directory.free_count,
                     segment_of(fixture)->directory.capacity - 2);
    collector_close(&fixture->collector);
}

/* The table's words are stored, not swapped, only with a single worker. */
static void only_one_worker_writes_alone(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned workers = 1; workers <= 3; workers++) {
        fixture->workers = workers;
        start_collector(fixture);
        assert_int_equal(segment_of(fixture)->table.lone_writer, workers == 1);
        collector_close(&fixture->collector);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(states_follow_each_other),
        TEST(long_texts_are_cut),
        TEST(errors_are_passed_on),
        TEST(the_tick_only_moves_forward),
        TEST(gaps_restart_the_warm_up),
        TEST(long_gaps_empty_the_table),
        TEST(the_table_is_cleared_between_batches),
        TEST(failed_starts_are_part_of_the_gap),
        TEST(maintenance_moves_the_tick_and_sweeps),
        TEST(restarts_do_not_keep_words_alive),
        TEST(pauses_do_not_keep_words_alive),
        TEST(maintenance_retires_idle_scopes),
        TEST(room_is_made_once_a_tick),
        TEST(scopes_outlive_a_restart),
        TEST(only_one_worker_writes_alone),
    };
    return cmocka_run_group_tests_name("collector", tests, NULL, NULL);
}
