/* test_relay_accounts.c - accounts.h: what goes on after a restart and a kill, and what does not.
 */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accounts.h"

/* A relay's memory, which restarts leave alone. */
static struct accounts_memory memory;

static int clear(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    return 0;
}

static struct accounts *open_accounts(void)
{
    struct accounts *accounts;

    assert_int_equal(accounts_open(&memory, &accounts), 0);
    return accounts;
}

static struct account *hold(struct accounts *accounts, const char *group, uint32_t shard,
                            uint32_t shards)
{
    struct account *account;

    assert_int_equal(accounts_hold(accounts, group, shard, shards, "192.0.2.1:9514", &account), 0);
    return account;
}

/* Return the only account that is held. */
static struct account view_one(struct accounts *accounts)
{
    struct accounts_view view;

    assert_int_equal(accounts_load(accounts, &view), 0);
    assert_int_equal(view.count, 1);
    struct account account = view.all[0];
    accounts_view_free(&view);
    return account;
}

static uint32_t count_held(struct accounts *accounts)
{
    struct accounts_view view;

    assert_int_equal(accounts_load(accounts, &view), 0);
    accounts_view_free(&view);
    return view.count;
}

/* ---- what senders do ----------------------------------------------------------------------- */

/* A socket that receives on loopback, and a sender to it that waits until it is flushed. */
struct line {
    int socket;
    struct presence_sender *sender;
    struct account_progress progress;
};

static void open_line(struct line *line)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const struct presence_sender_options options = {.max_age_ms = 3600000, .no_wait = true};
    char text[32];

    memset(line, 0, sizeof(*line));
    line->socket = socket(AF_INET, SOCK_DGRAM, 0);
    assert_return_code(bind(line->socket, (struct sockaddr *)&address, length), errno);
    assert_return_code(getsockname(line->socket, (struct sockaddr *)&address, &length), errno);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(presence_sender_open(text, &options, &line->sender), 0);
}

static void close_line(struct line *line)
{
    presence_sender_close(line->sender);
    close(line->socket);
}

static void queue(struct line *line, struct account *account, unsigned count)
{
    const struct presence_place place = {.site = "example.com"};
    uint8_t visitor[16] = {0};

    for (unsigned i = 0; i < count; i++) {
        visitor[0] = (uint8_t)i;
        account_queue(account, &line->progress);
        assert_int_equal(presence_send_id(line->sender, &place, visitor), 0);
    }
}

static void flush(struct line *line, struct account *account)
{
    presence_sender_flush(line->sender);
    account_record(account, &line->progress, line->sender, true);
}

static void waiting_and_handed_over(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1), view;
    struct line line;

    (void)state;
    open_line(&line);
    queue(&line, account, 5);
    account_record(account, &line.progress, line.sender, false);
    view = view_one(accounts);
    assert_int_equal(view.queued, 5);
    assert_int_equal(account_waiting(&view), 5);
    flush(&line, account);
    queue(&line, account, 2);
    flush(&line, account);
    flush(&line, account);
    view = view_one(accounts);
    assert_int_equal(view.heartbeats, 7);
    assert_int_equal(view.datagrams, 2);
    assert_int_equal(account_waiting(&view), 0);
    assert_int_equal(view.dropped + view.lost + view.failed, 0);
    close_line(&line);
    accounts_close(accounts);
}

/* Another sender to the same collector adds to its account: SIGHUP opens new ones. */
static void another_sender(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1), view;
    struct line lines[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        open_line(&lines[i]);
        queue(&lines[i], account, 3);
        flush(&lines[i], account);
        close_line(&lines[i]);
    }
    view = view_one(accounts);
    assert_int_equal(view.queued, 6);
    assert_int_equal(view.heartbeats, 6);
    assert_int_equal(view.datagrams, 2);
    accounts_close(accounts);
}

/* What is flushed and not handed over was dropped. A sender whose heartbeats never reached it does
 * the same as one whose kernel takes nothing. */
static void dropped(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1), view;
    struct line line;

    (void)state;
    open_line(&line);
    queue(&line, account, 4);
    account_queue(account, &line.progress);
    account_queue(account, &line.progress);
    flush(&line, account);
    flush(&line, account);
    view = view_one(accounts);
    assert_int_equal(view.queued, 6);
    assert_int_equal(view.heartbeats, 4);
    assert_int_equal(view.dropped, 2);
    assert_int_equal(account_waiting(&view), 0);
    close_line(&line);
    accounts_close(accounts);
}

/* ---- restarts ------------------------------------------------------------------------------ */

static void restart_goes_on(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 2, 3);

    (void)state;
    account->queued = account->heartbeats = 7;
    account->datagrams = 3;
    accounts_add_drops(accounts, 5);
    memory.counts.datagrams_accepted = 9;
    memory.counts.datagrams_rejected[DECODER_MALFORMED] = 2;
    accounts_close(accounts);
    accounts = open_accounts();
    assert_int_equal(count_held(accounts), 0);
    hold(accounts, "A", 2, 3);
    struct account view = view_one(accounts);
    assert_int_equal(view.heartbeats, 7);
    assert_int_equal(view.datagrams, 3);
    assert_int_equal(view.lost, 0);
    struct accounts_view all;
    assert_int_equal(accounts_load(accounts, &all), 0);
    assert_int_equal(all.counts.datagrams_received, 11);
    assert_int_equal(all.socket_drops, 5);
    accounts_view_free(&all);
    accounts_close(accounts);
}

static void kill_loses_what_waits(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1), *other = hold(accounts, "B", 1, 1);

    (void)state;
    account->queued = 10;
    account->heartbeats = 6;
    account->dropped = 1;
    account->lost = 1;
    other->queued = other->heartbeats = 10;
    accounts_close(accounts);
    for (int restart = 0; restart < 2; restart++) {
        accounts = open_accounts();
        assert_int_equal(account->lost, 3);
        assert_int_equal(other->lost, 0);
        accounts_close(accounts);
    }
}

/* A shard of another group, another number, or one of another number of shards, begins at 0. */
static void accounts_do_not_mix(void **state)
{
    struct accounts *accounts = open_accounts();

    (void)state;
    hold(accounts, "A", 1, 2)->queued = 1;
    hold(accounts, "A", 2, 2)->queued = 2;
    hold(accounts, "B", 1, 1)->queued = 3;
    accounts_close(accounts);
    accounts = open_accounts();
    assert_int_equal(hold(accounts, "A", 1, 3)->queued, 0);
    assert_int_equal(hold(accounts, "A", 2, 3)->queued, 0);
    assert_int_equal(hold(accounts, "A", 3, 3)->queued, 0);
    assert_int_equal(hold(accounts, "a", 1, 1)->queued, 0);
    assert_int_equal(hold(accounts, "B", 1, 1)->queued, 3);
    assert_int_equal(count_held(accounts), 5);
    accounts_forget(accounts);
    assert_int_equal(hold(accounts, "a", 1, 1)->queued, 0);
    assert_int_equal(count_held(accounts), 5);
    accounts_close(accounts);
}

/* An account is shown and kept as long as anybody holds it. */
static void forgetting(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1);

    (void)state;
    account->queued = account->heartbeats = 4;
    assert_ptr_equal(hold(accounts, "A", 1, 1), account);
    accounts_release(accounts, account);
    accounts_forget(accounts);
    assert_int_equal(view_one(accounts).heartbeats, 4);
    accounts_release(accounts, account);
    assert_int_equal(count_held(accounts), 0);
    accounts_forget(accounts);
    assert_ptr_equal(hold(accounts, "B", 1, 1), account);
    assert_int_equal(account->heartbeats, 0);
    accounts_close(accounts);
}

/* The number of shards of a group in use can't change, whoever asks. */
static void group_in_use(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *held = hold(accounts, "A", 1, 1), *account = NULL;

    (void)state;
    assert_int_equal(accounts_hold(accounts, "A", 1, 2, "192.0.2.1:9514", &account), -EBUSY);
    assert_null(account);
    accounts_release(accounts, held);
    assert_int_equal(accounts_hold(accounts, "A", 1, 2, "192.0.2.1:9514", &account), 0);
    accounts_close(accounts);
}

static void as_many_as_fit(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account, *first = NULL;
    char group[16];

    (void)state;
    for (unsigned i = 0; i < ACCOUNTS_MAX; i++) {
        snprintf(group, sizeof(group), "G%u", i);
        account = hold(accounts, group, 1, 1);
        if (!first)
            first = account;
    }
    assert_int_equal(accounts_hold(accounts, "A", 1, 1, "192.0.2.1:9514", &account), -ENOSPC);
    accounts_release(accounts, first);
    accounts_forget(accounts);
    assert_int_equal(accounts_hold(accounts, "A", 1, 1, "192.0.2.1:9514", &account), 0);
    accounts_close(accounts);
}

/* ---- hostile memory ------------------------------------------------------------------------ */

static void spoil_version(void)
{
    memory.version = 7;
}

static void spoil_used(void)
{
    memory.used = ACCOUNTS_MAX + 1;
}

static void spoil_name(void)
{
    memset(memory.all[0].group, 'x', sizeof(memory.all[0].group));
}

static void spoil_address(void)
{
    memset(memory.all[0].address, '1', sizeof(memory.all[0].address));
}

static void spoil_shard(void)
{
    memory.all[0].shard = 0;
}

static void spoil_shards(void)
{
    memory.all[0].shard = memory.all[0].shards = SHARDS_MAX + 1;
}

static void spoil_order(void)
{
    memory.all[0].shard = memory.all[0].shards + 1;
}

static void spoil_sum(void)
{
    memory.all[0].lost = memory.all[0].queued - memory.all[0].heartbeats + 1;
}

static void spoil_overflow(void)
{
    memory.all[0].queued = 10;
    memory.all[0].heartbeats = UINT64_C(1) << 63;
    memory.all[0].lost = UINT64_C(1) << 63;
}

static void spoil_lost(void)
{
    memory.all[0].heartbeats = 1;
    memory.all[0].lost = UINT64_MAX;
}

static void spoil_datagrams(void)
{
    memory.all[0].datagrams = UINT64_MAX;
}

static void spoil_double(void)
{
    memory.all[1] = memory.all[0];
}

static void spoil_counts(void)
{
    memory.counts.datagrams_rejected[DECODER_SITE] = UINT64_MAX;
}

static void spoil_heartbeats(void)
{
    memory.counts.heartbeats = UINT64_MAX;
}

static void spoil_drops(void)
{
    memory.socket_drops = UINT64_MAX;
}

static void impossible_memory(void **state)
{
    static void (*const spoils[])(void) = {
        spoil_version,   spoil_used,   spoil_name,   spoil_address,    spoil_shard,
        spoil_shards,    spoil_order,  spoil_sum,    spoil_overflow,   spoil_lost,
        spoil_datagrams, spoil_double, spoil_counts, spoil_heartbeats, spoil_drops,
    };

    for (size_t i = 0; i < LENGTH(spoils); i++) {
        clear(state);
        struct accounts *accounts = open_accounts();
        struct account *account = hold(accounts, "A", 1, 2);
        account->queued = account->heartbeats = 3;
        hold(accounts, "A", 2, 2);
        memory.counts.datagrams_accepted = 3;
        accounts_close(accounts);
        spoils[i]();
        accounts = open_accounts();
        assert_int_equal(memory.used, 0);
        assert_int_equal(memory.counts.datagrams_accepted, 0);
        assert_int_equal(hold(accounts, "A", 1, 2)->queued, 0);
        accounts_close(accounts);
    }
}

/* Any bytes are survived, and what is kept of them adds up. */
static void any_bytes(void **state)
{
    uint64_t random = random_seed("any_bytes");

    for (unsigned round = 0; round < 2000; round++) {
        clear(state);
        struct accounts *accounts = open_accounts();
        hold(accounts, "A", 1, 1);
        hold(accounts, "B", 1, 1);
        accounts_close(accounts);
        for (unsigned i = 0; i < 1 + round % 8; i++) {
            size_t at = random_next(&random) % offsetof(struct accounts_memory, all[2]);
            ((uint8_t *)&memory)[at] = (uint8_t)random_next(&random);
        }
        accounts = open_accounts();
        hold(accounts, "A", 1, 1);
        struct account view = view_one(accounts);
        assert_int_equal(account_waiting(&view), 0);
        assert_true(view.heartbeats + view.dropped + view.lost == view.queued);
        accounts_close(accounts);
    }
}

/* The worker stores what is queued first; whoever loads may still see what has gone ahead of it. */
static void loaded_while_the_worker_stores(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account = hold(accounts, "A", 1, 1);

    (void)state;
    account->queued = 5;
    account->heartbeats = 6;
    account->dropped = 1;
    struct account seen = view_one(accounts);
    assert_int_equal(seen.queued, 7);
    assert_int_equal(account_waiting(&seen), 0);
    accounts_release(accounts, account);
    accounts_close(accounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(waiting_and_handed_over, clear),
        cmocka_unit_test_setup(another_sender, clear),
        cmocka_unit_test_setup(dropped, clear),
        cmocka_unit_test_setup(restart_goes_on, clear),
        cmocka_unit_test_setup(kill_loses_what_waits, clear),
        cmocka_unit_test_setup(accounts_do_not_mix, clear),
        cmocka_unit_test_setup(forgetting, clear),
        cmocka_unit_test_setup(group_in_use, clear),
        cmocka_unit_test_setup(as_many_as_fit, clear),
        cmocka_unit_test_setup(impossible_memory, clear),
        cmocka_unit_test_setup(any_bytes, clear),
        cmocka_unit_test_setup(loaded_while_the_worker_stores, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
