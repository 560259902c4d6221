/* test_spread.c - spread_map.h in a real kernel: which socket of a group gets a datagram. */
#include "spread.h"

static void new_senders_get_workers_in_turn(void **state)
{
    enum { SENDERS = 40 };
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};
    int senders[SENDERS];

    (void)state;
    for (size_t i = 0; i < (has_ipv6() ? LENGTH(addresses) : 1); i++) {
        for (unsigned workers = 2; workers <= WORKERS_MAX; workers++) {
            unsigned counts[WORKERS_MAX] = {0}, first[SENDERS];
            struct group group;
            open_group(&group, addresses[i], workers, 0, 0);
            open_senders(&group, 0, SENDERS, senders);
            for (unsigned j = 0; j < SENDERS; j++) {
                first[j] = worker_of(&group, 0, senders[j]);
                counts[first[j]]++;
                assert_even(counts, workers);
            }
            for (unsigned j = SENDERS * 3; j-- > 0;) /* and keep them */
                assert_int_equal(worker_of(&group, 0, senders[j % SENDERS]), first[j % SENDERS]);
            close_senders(senders, SENDERS);
            close_group(&group);
        }
    }
}

static void options_change_nothing(void **state)
{
    struct group group;
    uint8_t options[40];

    (void)state;
    memset(options, 1, sizeof(options)); /* IPOPT_NOOP */
    open_group(&group, "127.0.0.1:0", 4, 0, 0);
    for (unsigned i = 0; i < 50; i++) {
        int sender = open_sender(group.sockets[0][0]);
        unsigned worker = worker_of(&group, 0, sender);
        for (socklen_t length = 4; length <= sizeof(options); length += 12) {
            assert_return_code(setsockopt(sender, IPPROTO_IP, IP_OPTIONS, options, length), errno);
            assert_int_equal(worker_of(&group, 0, sender), worker);
        }
        close(sender);
    }
    close_group(&group);
}

/* All addresses share the turns, and a sender has one worker at all of them. */
static void addresses_share_senders_and_turns(void **state)
{
    enum { EACH = 6 };
    int senders[2][EACH];
    unsigned counts[4] = {0};
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 4, 0, 0);
    open_address(&group, "127.0.0.2:0");
    for (unsigned i = 0; i < 2; i++)
        open_senders(&group, i, EACH, senders[i]);
    for (unsigned i = 0; i < EACH; i++)
        for (unsigned j = 0; j < 2; j++)
            counts[worker_of(&group, j, senders[j][i])]++;
    assert_even(counts, 4);
    for (unsigned i = 0; i < EACH; i++) {
        unsigned worker = worker_of(&group, 0, senders[0][i]);
        struct sockaddr_in other;
        socklen_t length = sizeof(other);
        assert_return_code(getsockname(group.sockets[1][0], (struct sockaddr *)&other, &length),
                           errno);
        assert_int_equal(sendto(senders[0][i], "x", 1, 0, (struct sockaddr *)&other, length), 1);
        assert_int_equal(take(&group, 1, 1), worker);
    }
    for (unsigned i = 0; i < 2; i++)
        close_senders(senders[i], EACH);
    close_group(&group);
}

/* Senders without a place also keep their worker. */
static void a_full_map_keeps_the_order(void **state)
{
    enum { SENDERS = 60 };
    int senders[SENDERS];
    unsigned workers[SENDERS], counts[4] = {0};
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 4, 1, 0);
    open_senders(&group, 0, SENDERS, senders);
    for (unsigned i = 0; i < SENDERS; i++) {
        workers[i] = worker_of(&group, 0, senders[i]);
        counts[workers[i]]++;
        if (i < SLOTS)
            assert_even(counts, 4);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(counts[i], 2, SENDERS / 2); /* a hash's, by chance */
    for (unsigned i = 0; i < 10 * SENDERS; i++)
        assert_int_equal(worker_of(&group, 0, senders[i * 7 % SENDERS]), workers[i * 7 % SENDERS]);
    close_senders(senders, SENDERS);
    close_group(&group);
}

/* Senders without a place keep their worker while places become free. */
static void senders_keep_their_worker_when_places_get_free(void **state)
{
    enum { SENDERS = SLOTS + 40 };
    const uint64_t silence = SECOND;
    int senders[SENDERS];
    unsigned workers[SENDERS], asked = 0;
    uint64_t last[SENDERS];
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 4, 1, silence);
    open_senders(&group, 0, SENDERS, senders);
    for (unsigned i = 0; i < SENDERS; i++) {
        workers[i] = worker_of(&group, 0, senders[i]);
        last[i] = now_ns();
    }
    /* The first ones fall silent. */
    for (uint64_t end = now_ns() + 3 * silence; now_ns() < end; sleep_ns(silence / 50)) {
        for (unsigned i = SLOTS; i < SENDERS; i++) {
            uint64_t before = last[i];
            unsigned worker = worker_of(&group, 0, senders[i]);
            last[i] = now_ns();
            if (last[i] - before < silence) { /* otherwise the machine delayed it */
                assert_int_equal(worker, workers[i]);
                asked++;
            }
            workers[i] = worker;
        }
    }
    assert_true(asked > 0);
    close_senders(senders, SENDERS);
    close_group(&group);
}

/* A place is reused after the silence, and not before. */
static void places_are_reused_after_silence(void **state)
{
    const uint64_t silence = SECOND / 5;
    unsigned counts[3] = {0};
    int senders[SLOTS];
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 3, 1, silence);
    for (unsigned round = 0; round < 5; round++) {
        open_senders(&group, 0, SLOTS, senders);
        uint64_t begun = now_ns();
        for (unsigned i = 0; i < SLOTS; i++)
            counts[worker_of(&group, 0, senders[i])]++;
        if (now_ns() - begun < silence)
            assert_even(counts, 3); /* in turn: each got a place */
        close_senders(senders, SLOTS);
        sleep_ns(silence + SECOND / 100);
    }
    close_group(&group);
}

/* ---- two processors ---------------------------------------------------------------------- */

enum { RACES = 3000 };

struct race {
    pthread_barrier_t begin, end;
    int sender; /* of the current race */
};

static void *send_at_once(void *argument)
{
    struct race *race = argument;

    for (unsigned i = 0; i < RACES; i++) {
        pthread_barrier_wait(&race->begin);
        if (send(race->sender, "x", 1, 0) != 1)
            abort();
        pthread_barrier_wait(&race->end);
    }
    return NULL;
}

/* The first two datagrams of a sender come at the same moment, on two processors. */
static void racing_first_datagrams_agree(void **state)
{
    pthread_t threads[2];
    struct race race;
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 4, 0, 0);
    pthread_barrier_init(&race.begin, NULL, 3);
    pthread_barrier_init(&race.end, NULL, 3);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_at_once, &race), 0);
    for (unsigned i = 0; i < RACES; i++) {
        race.sender = open_sender(group.sockets[0][0]);
        pthread_barrier_wait(&race.begin);
        pthread_barrier_wait(&race.end);
        take(&group, 0, 2);
        close(race.sender);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.begin);
    pthread_barrier_destroy(&race.end);
    close_group(&group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_senders_get_workers_in_turn),
        cmocka_unit_test(options_change_nothing),
        cmocka_unit_test(addresses_share_senders_and_turns),
        cmocka_unit_test(a_full_map_keeps_the_order),
        cmocka_unit_test(senders_keep_their_worker_when_places_get_free),
        cmocka_unit_test(places_are_reused_after_silence),
        cmocka_unit_test(racing_first_datagrams_agree),
    };

    return can_spread() ? cmocka_run_group_tests(tests, NULL, NULL) : 77; /* skipped */
}
