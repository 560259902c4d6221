/* test_spread.c - spread_map.h in a real kernel: which socket of a group gets a datagram. */
#include "../support/ipv6.h"
#include "../support/unit.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "../../bpf/presence_spread.h"
#include "receive/listener.h"

#define WORKERS_MAX 8
#define SECOND      UINT64_C(1000000000)
#define SLOTS       PRESENCE_SPREAD_SLOTS
#define DEADLINE_S  60

/* Groups of sockets, each with an address, that share one program's maps. */
struct group {
    struct spread spread;
    unsigned workers, addresses;
    int sockets[2][WORKERS_MAX];
};

static void open_address(struct group *group, const char *text)
{
    const struct listener_options options = {.spread = &group->spread};
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(listener_parse(text, &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, group->workers,
                                   group->sockets[group->addresses]),
                     0);
    assert_string_equal(spread_name(&group->spread), "turn");
    group->addresses++;
}

static void open_group(struct group *group, const char *text, unsigned workers, unsigned buckets,
                       uint64_t silence)
{
    const struct spread_map_settings settings = {workers, buckets, silence};

    *group = (struct group){.workers = workers, .spread.workers = workers};
    if (spread_map_open(&settings, &group->spread.map, group->spread.reason) != 0)
        fail_msg("%s", group->spread.reason);
    open_address(group, text);
}

static void close_group(struct group *group)
{
    for (unsigned i = 0; i < group->addresses; i++)
        for (unsigned j = 0; j < group->workers; j++)
            close(group->sockets[i][j]);
    spread_close(&group->spread);
}

static int open_sender(int to)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    assert_return_code(getsockname(to, (struct sockaddr *)&address, &length), errno);
    int sender = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
    return sender;
}

static void open_senders(const struct group *group, unsigned address, unsigned count, int *senders)
{
    for (unsigned i = 0; i < count; i++)
        senders[i] = open_sender(group->sockets[address][0]);
}

static void close_senders(const int *senders, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(senders[i]);
}

static unsigned drain(int socket)
{
    unsigned count = 0;
    char byte;

    while (recv(socket, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
        count++;
    return count;
}

/* Return the worker that gets all `count` datagrams to this address. Also over loopback they may
 * arrive a moment after they were sent. */
static unsigned take(const struct group *group, unsigned address, unsigned count)
{
    unsigned worker = WORKERS_MAX, all = 0;
    time_t start = time(NULL);

    while (all < count) {
        for (unsigned i = 0; i < group->workers; i++) {
            unsigned got = drain(group->sockets[address][i]);
            if (got && worker != WORKERS_MAX && worker != i)
                fail_msg("worker %u got %u of %u, worker %u some before", i, got, count, worker);
            if (got)
                worker = i;
            all += got;
        }
        if (time(NULL) - start > DEADLINE_S)
            fail_msg("%u of %u datagrams arrive", all, count);
    }
    assert_int_equal(all, count);
    return worker;
}

static unsigned worker_of(const struct group *group, unsigned address, int sender)
{
    assert_int_equal(send(sender, "x", 1, 0), 1);
    return take(group, address, 1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec pause = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

    nanosleep(&pause, NULL);
}

/* The counts of senders by worker differ by one at most. */
static void assert_even(const unsigned *counts, unsigned workers)
{
    unsigned least = counts[0], most = counts[0];

    for (unsigned i = 1; i < workers; i++) {
        least = counts[i] < least ? counts[i] : least;
        most = counts[i] > most ? counts[i] : most;
    }
    if (most > least + 1)
        fail_msg("a worker has %u senders, another %u", most, least);
}

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
    open_group(&group, "127.0.0.1:0", 4, 1, 3600 * SECOND);
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

/* Send once for each sender. Returns whether all have the worker that they had. */
static bool keep_workers(const struct group *group, const int *senders, const unsigned *workers)
{
    bool same = true;

    for (unsigned i = 0; i < SLOTS; i++)
        same &= worker_of(group, 0, senders[i]) == workers[i];
    return same;
}

/* Who goes on sending keeps the place for longer than the silence, though a new sender comes. */
static void senders_keep_their_place_while_they_send(void **state)
{
    const uint64_t silence = SECOND / 2;

    (void)state;
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        int senders[SLOTS + 1];
        unsigned workers[SLOTS];
        bool same = true, in_time = true;
        struct group group;
        open_group(&group, "127.0.0.1:0", 4, 1, silence);
        open_senders(&group, 0, SLOTS + 1, senders);
        uint64_t before = now_ns(), end = before + silence * 3 / 2;
        for (unsigned i = 0; i < SLOTS; i++)
            workers[i] = worker_of(&group, 0, senders[i]);
        for (bool ends = false; !ends;) {
            ends = now_ns() >= end;
            sleep_ns(silence / 10);
            if (ends)
                worker_of(&group, 0, senders[SLOTS]);
            uint64_t begun = now_ns();
            same &= keep_workers(&group, senders, workers);
            in_time &= now_ns() - before < silence;
            before = begun;
        }
        close_senders(senders, SLOTS + 1);
        close_group(&group);
        if (!in_time)
            continue;
        assert_true(same);
        return;
    }
    fail_msg("the machine delays each attempt");
}

/* Another processor may have read a later time than ours: its sender is not silent. */
static void who_was_heard_later_than_now_keeps_the_place(void **state)
{
    const uint32_t first = 0;
    int senders[SLOTS + 2], shared[SPREAD_SHARED];
    unsigned workers[SLOTS];
    uint64_t bucket[2 + 2 * SLOTS]; /* struct bucket of presence_spread.bpf.c */
    struct group group;

    (void)state;
    open_group(&group, "127.0.0.1:0", 4, 1, 0);
    open_senders(&group, 0, SLOTS + 2, senders);
    for (unsigned i = 0; i < SLOTS; i++)
        workers[i] = worker_of(&group, 0, senders[i]);
    spread_map_shared(group.spread.map, shared);
    assert_int_equal(bpf_map_lookup_elem(shared[SPREAD_SENDERS], &first, bucket), 0);
    for (unsigned i = 0; i < SLOTS; i++)
        bucket[2 + 2 * i + 1] += 3600 * SECOND; /* when it was last heard */
    assert_int_equal(bpf_map_update_elem(shared[SPREAD_SENDERS], &first, bucket, BPF_EXIST), 0);
    for (unsigned i = SLOTS; i < SLOTS + 2; i++)
        worker_of(&group, 0, senders[i]);
    assert_true(keep_workers(&group, senders, workers));
    close_senders(senders, SLOTS + 2);
    close_group(&group);
}

/* A collector with fewer workers goes on with the maps: senders of workers that are gone get others
 * in turn, and the others keep theirs. */
static void senders_of_workers_that_are_gone_get_others_in_turn(void **state)
{
    enum { SENDERS = 48 };
    int senders[SENDERS], shared[SPREAD_SHARED];
    struct group before, after = {.workers = 2, .spread.workers = 2};
    const struct spread_map_settings settings = {.workers = 2, .former = shared};
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    unsigned last = 2;

    (void)state;
    open_group(&before, "127.0.0.1:0", 4, 0, 0);
    open_senders(&before, 0, SENDERS, senders);
    spread_map_shared(before.spread.map, shared);
    assert_int_equal(spread_map_open(&settings, &after.spread.map, after.spread.reason), 0);
    open_address(&after, "127.0.0.1:0");
    assert_return_code(getsockname(after.sockets[0][0], (struct sockaddr *)&address, &length),
                       errno);
    unsigned workers[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++)
        workers[i] = worker_of(&before, 0, senders[i]);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(sendto(senders[i], "x", 1, 0, (struct sockaddr *)&address, length), 1);
        unsigned worker = take(&after, 0, 1);
        if (workers[i] < 2) {
            assert_int_equal(worker, workers[i]);
            continue;
        }
        assert_int_not_equal(worker, last);
        last = worker;
    }
    close_senders(senders, SENDERS);
    close_group(&after);
    close_group(&before);
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
        cmocka_unit_test(senders_keep_their_place_while_they_send),
        cmocka_unit_test(who_was_heard_later_than_now_keeps_the_place),
        cmocka_unit_test(senders_of_workers_that_are_gone_get_others_in_turn),
        cmocka_unit_test(racing_first_datagrams_agree),
    };
    const struct spread_map_settings settings = {.workers = 2};
    char problem[SPREAD_PROBLEM_SIZE];
    struct spread_map *map;
    int r = spread_map_open(&settings, &map, problem);

    if (r == -EPERM) {
        printf("%s\n", problem);
        return 77; /* skipped */
    }
    if (r == 0)
        spread_map_close(map);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
