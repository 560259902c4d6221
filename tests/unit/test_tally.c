/* test_tally.c - tally.h: local sums reach the rings, additions first. */
#include "../support/unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tally.h"

#define PAGE 4096

static const uint64_t now = 86400 * 50;

/* Set up a tally over `scopes` empty rings; only touched ones take memory. */
struct fixture {
    struct directory directory;
    struct tally tally;
    size_t rings_size;
};

static struct fixture *open_tally(uint32_t scopes)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->rings_size = scopes * sizeof(struct ring);
    fixture->directory.rings = mmap(NULL, fixture->rings_size, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(fixture->directory.rings, MAP_FAILED);
    fixture->directory.capacity = scopes;
    fixture->tally.directory = &fixture->directory;
    return fixture;
}

static void close_tally(struct fixture *fixture)
{
    munmap(fixture->directory.rings, fixture->rings_size);
    free(fixture);
}

static void expect_buckets(const struct fixture *fixture, uint32_t scope, uint64_t tick, int second,
                           int minute)
{
    const struct ring *ring = &fixture->directory.rings[scope];
    const uint64_t words[] = {ring->seconds[tick % RING_SECONDS],
                              ring->minutes[tick / 60 % RING_MINUTES]};
    const uint64_t expected[] = {tick << 32 | (uint32_t)second, tick / 60 << 32 | (uint32_t)minute};

    for (unsigned i = 0; i < 2; i++)
        if (words[i] != expected[i])
            fail_msg("scope %u, tick %llu: the %s's bucket is %#llx, not %#llx", scope,
                     (unsigned long long)tick, i ? "minute" : "second",
                     (unsigned long long)words[i], (unsigned long long)expected[i]);
}

static bool is_untouched(const struct fixture *fixture, uint32_t scope)
{
    static const struct ring untouched;

    return memcmp(&fixture->directory.rings[scope], &untouched, sizeof(untouched)) == 0;
}

static void changes_wait_for_the_publication(void **state)
{
    (void)state;
    struct fixture *fixture = open_tally(8);

    tally_publish(&fixture->tally); /* nothing */
    for (unsigned i = 0; i < 1000; i++) {
        tally_add(&fixture->tally, 2, now, 1);
        tally_add(&fixture->tally, 2, now - 60, -1);
        tally_add(&fixture->tally, 5, now, 3);
    }
    for (uint32_t scope = 0; scope < 8; scope++)
        assert_true(is_untouched(fixture, scope));
    tally_publish(&fixture->tally);
    expect_buckets(fixture, 2, now, 1000, 1000);
    expect_buckets(fixture, 2, now - 60, -1000, -1000);
    expect_buckets(fixture, 5, now, 3000, 3000);
    for (uint32_t scope = 0; scope < 8; scope++)
        assert_true(is_untouched(fixture, scope) == (scope != 2 && scope != 5));

    /* Published once, then cleared. */
    tally_publish(&fixture->tally);
    expect_buckets(fixture, 2, now, 1000, 1000);
    tally_add(&fixture->tally, 2, now + 1, 1);
    tally_add(&fixture->tally, 2, now, -1);
    tally_publish(&fixture->tally);
    expect_buckets(fixture, 2, now, 999, 1000);
    expect_buckets(fixture, 2, now + 1, 1, 1000);
    close_tally(fixture);
}

/* Changes that cancel within a batch don't touch the rings, where they could push a newer tag. */
static void changes_that_cancel_change_nothing(void **state)
{
    (void)state;
    struct fixture *fixture = open_tally(2);

    for (unsigned i = 0; i < 100; i++) {
        tally_add(&fixture->tally, 1, now + i, 1);
        tally_add(&fixture->tally, 1, now + i, -1);
        tally_add(&fixture->tally, 0, now - i, -1);
        tally_add(&fixture->tally, 0, now - i, 1);
    }
    tally_publish(&fixture->tally);
    assert_true(is_untouched(fixture, 0) && is_untouched(fixture, 1));
    close_tally(fixture);
}

/* With room made for so many sums, none is published before all are added. */
static void room_is_made_in_advance(void **state)
{
    (void)state;
    for (unsigned sums = 1; sums < 50; sums += 7) {
        struct fixture *fixture = open_tally(2);
        unsigned used = 0, publications = 0;
        for (unsigned i = 0; i < 3 * TALLY_SLOTS; i += sums) {
            tally_make_room(&fixture->tally, sums);
            publications += fixture->tally.seconds.used_count < used;
            used = fixture->tally.seconds.used_count;
            for (unsigned j = 0; j < sums; j++)
                tally_add(&fixture->tally, 1, now + i + j, -1);
            assert_int_equal(fixture->tally.seconds.used_count, used + sums);
            used += sums;
        }
        assert_in_range(publications, 3, 4); /* only without room */
        close_tally(fixture);
    }
}

/* With far more scopes and ticks than slots the tally publishes by itself, and nothing is lost. The
 * highest scope of the largest directory and late ticks are among them. */
/* A heartbeat in the same minute as the one before does not change the minute's bucket. */
static void moves_within_a_minute_change_no_minute(void **state)
{
    (void)state;
    struct fixture *fixture = open_tally(3);
    const uint64_t minute = now / 60;
    const struct ring *ring = &fixture->directory.rings[1];

    tally_add(&fixture->tally, 1, minute * 60 + 3, -1);
    tally_add(&fixture->tally, 1, minute * 60 + 59, 1);
    tally_publish(&fixture->tally);
    assert_int_equal((int32_t)(uint32_t)ring->seconds[(minute * 60 + 3) % RING_SECONDS], -1);
    assert_int_equal((int32_t)(uint32_t)ring->seconds[(minute * 60 + 59) % RING_SECONDS], 1);
    assert_int_equal(ring->minutes[minute % RING_MINUTES], 0);
    tally_add(&fixture->tally, 1, minute * 60 + 59, -1);
    tally_add(&fixture->tally, 1, minute * 60 + 60, 1);
    tally_publish(&fixture->tally);
    expect_buckets(fixture, 1, minute * 60 + 59, 0, -1);
    expect_buckets(fixture, 1, minute * 60 + 60, 1, 1);
    close_tally(fixture);
}

static void a_full_tally_loses_nothing(void **state)
{
    (void)state;
    static const uint32_t scopes[] = {0, 1, 2, 4095, 4096, 65535, 1u << 21, (1u << 22) - 1};
    struct fixture *fixture = open_tally(1u << 22);
    uint64_t random = random_seed("tally");
    int expected[LENGTH(scopes)][RING_SECONDS] = {0};
    unsigned published = 0;

    for (unsigned step = 0; step < 200000; step++) {
        uint64_t draw = random_next(&random);
        unsigned used = fixture->tally.seconds.used_count, which = draw & 7,
                 second = draw >> 3 & 511;
        int delta = (int)(draw >> 12 & 7) - 3;
        tally_add(&fixture->tally, scopes[which], now + second, delta);
        expected[which][second] += delta;
        published += fixture->tally.seconds.used_count < used;
        assert_true(fixture->tally.seconds.used_count <= TALLY_LIMIT);
        if (draw >> 48 == 0)
            tally_publish(&fixture->tally);
    }
    assert_true(published > 10);
    tally_publish(&fixture->tally);
    for (unsigned i = 0; i < LENGTH(scopes); i++) {
        for (unsigned second = 0; second < RING_SECONDS; second++) {
            uint64_t tick = now + second;
            const struct ring *ring = &fixture->directory.rings[scopes[i]];
            uint64_t word = ring->seconds[tick % RING_SECONDS];
            if ((int32_t)(uint32_t)word != expected[i][second] || word >> 32 != tick)
                fail_msg("scope %u, second %u: %d, not %d", scopes[i], second,
                         (int32_t)(uint32_t)word, expected[i][second]);
        }
    }
    close_tally(fixture);
}

/* Keys with the same first slot use the next ones. */
static void keys_of_one_slot_are_distinguished(void **state)
{
    (void)state;
    struct fixture *fixture = open_tally(3);

    for (uint64_t i = 0; i < 8; i++) { /* the same slot: a tick of TALLY_SLOTS later */
        tally_add(&fixture->tally, 1, now + i * TALLY_SLOTS, 1);
        tally_add(&fixture->tally, 1, now + 1 + i * TALLY_SLOTS, 2);
    }
    assert_int_equal(fixture->tally.seconds.used_count, 16);
    for (uint64_t i = 0; i < 8; i++)
        tally_add(&fixture->tally, 1, now + i * TALLY_SLOTS, 1);
    assert_int_equal(fixture->tally.seconds.used_count, 16);
    for (uint64_t i = 0; i < 7; i++) { /* subtract all but the last */
        tally_add(&fixture->tally, 1, now + i * TALLY_SLOTS, -2);
        tally_add(&fixture->tally, 1, now + 1 + i * TALLY_SLOTS, -2);
    }
    tally_publish(&fixture->tally);
    expect_buckets(fixture, 1, now + 7 * TALLY_SLOTS, 2, 4);
    expect_buckets(fixture, 1, now + 1 + 7 * TALLY_SLOTS, 2, 4);
    close_tally(fixture);
}

/* The page with the bucket to subtract from is read-only at first: at the first attempt to write
 * it, all additions must be published. */
static struct {
    uint8_t *page;
    const uint64_t *added;
    volatile sig_atomic_t attempts, too_early;
} guard;

static void on_attempt(int signal)
{
    (void)signal;
    guard.attempts++;
    guard.too_early |= (int32_t)(uint32_t)*guard.added != 2;
    mprotect(guard.page, PAGE, PROT_READ | PROT_WRITE);
}

static void additions_are_published_first(void **state)
{
    (void)state;
    const struct sigaction action = {.sa_handler = on_attempt};
    struct sigaction before;

    for (unsigned order = 0; order < 2; order++) {
        struct fixture *fixture = open_tally(8);
        struct ring *ring = &fixture->directory.rings[4]; /* 18432: in the middle of page 4 */
        uint64_t added = now / RING_SECONDS * RING_SECONDS + 300, subtracted = added - 200;
        assert_true(ring->seconds + 100 <
                    (uint64_t *)(void *)((char *)fixture->directory.rings + 5 * PAGE));
        guard.page = (uint8_t *)fixture->directory.rings + 4 * PAGE;
        guard.added = &ring->seconds[300];
        guard.attempts = guard.too_early = 0;
        for (unsigned i = 0; i < 2; i++) {
            tally_add(&fixture->tally, 4, order ? added : subtracted, order ? 1 : -1);
            tally_add(&fixture->tally, 4, order ? subtracted : added, order ? -1 : 1);
        }
        assert_int_equal(sigaction(SIGSEGV, &action, &before), 0);
        assert_int_equal(mprotect(guard.page, PAGE, PROT_READ), 0);
        tally_publish(&fixture->tally);
        sigaction(SIGSEGV, &before, NULL);
        assert_int_equal(guard.attempts, 1);
        assert_false(guard.too_early);
        expect_buckets(fixture, 4, added, 2, 2);
        expect_buckets(fixture, 4, subtracted, -2, -2);
        close_tally(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_wait_for_the_publication),
        cmocka_unit_test(changes_that_cancel_change_nothing),
        cmocka_unit_test(room_is_made_in_advance),
        cmocka_unit_test(moves_within_a_minute_change_no_minute),
        cmocka_unit_test(a_full_tally_loses_nothing),
        cmocka_unit_test(keys_of_one_slot_are_distinguished),
        cmocka_unit_test(additions_are_published_first),
    };
    return cmocka_run_group_tests_name("tally", tests, NULL, NULL);
}
