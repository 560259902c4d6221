/* test_spread_places.c - spread_map.h in a real kernel: who keeps a place, and who is told from
 * whom. */
#include <bpf/bpf.h>

#include "spread.h"

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
    for (unsigned i = 0; i < SENDERS; i++) { /* all of one worker, then all of the next one */
        unsigned which = i * 4 % SENDERS + i * 4 / SENDERS;
        assert_int_equal(sendto(senders[which], "x", 1, 0, (struct sockaddr *)&address, length), 1);
        unsigned worker = take(&after, 0, 1);
        if (workers[which] < 2) {
            assert_int_equal(worker, workers[which]);
            continue;
        }
        assert_int_not_equal(worker, last);
        last = worker;
    }
    close_senders(senders, SENDERS);
    close_group(&after);
    close_group(&before);
}

/* Senders that differ only in the second half of their addresses, as those of one network do. */
static void all_of_an_address_tells_senders_apart(void **state)
{
    enum { SENDERS = 16 };
    struct sockaddr_in6 address = {.sin6_family = AF_INET6}, to;
    socklen_t length = sizeof(to);
    unsigned counts[4] = {0};
    struct group group;
    int on = 1;

    (void)state;
    if (!has_ipv6())
        skip();
    open_group(&group, "[::1]:0", 4, 0, 0);
    assert_return_code(getsockname(group.sockets[0][0], (struct sockaddr *)&to, &length), errno);
    for (uint8_t i = 0; i < SENDERS; i++) {
        int sender = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(inet_pton(AF_INET6, "fd00::1", &address.sin6_addr), 1);
        address.sin6_addr.s6_addr[15] = (uint8_t)(i + 1);
        assert_return_code(setsockopt(sender, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on)), errno);
        assert_return_code(bind(sender, (struct sockaddr *)&address, sizeof(address)), errno);
        length = sizeof(address); /* the others get the first one's port */
        assert_return_code(getsockname(sender, (struct sockaddr *)&address, &length), errno);
        assert_int_equal(sendto(sender, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
        counts[take(&group, 0, 1)]++;
        close(sender);
    }
    assert_even(counts, 4);
    close_group(&group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(senders_keep_their_place_while_they_send),
        cmocka_unit_test(who_was_heard_later_than_now_keeps_the_place),
        cmocka_unit_test(senders_of_workers_that_are_gone_get_others_in_turn),
        cmocka_unit_test(all_of_an_address_tells_senders_apart),
    };

    return can_spread() ? cmocka_run_group_tests(tests, NULL, NULL) : 77; /* skipped */
}
