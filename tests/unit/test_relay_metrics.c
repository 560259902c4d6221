/* test_relay_metrics.c - metrics.h and summary.h: both show the same accounts. */
#include "../support/capture.h"
#include "../support/unit.h"

#include "metrics.h"
#include "summary.h"

static struct accounts_memory memory;

static struct accounts *open_accounts(void)
{
    struct accounts *accounts;

    memset(&memory, 0, sizeof(memory));
    assert_int_equal(accounts_open(&memory, &accounts), 0);
    return accounts;
}

static void fill(struct accounts *accounts)
{
    struct account *account;

    assert_int_equal(accounts_hold(accounts, "A", 1, 1, "192.0.2.1:9514", &account), 0);
    account->queued = 712;
    account->heartbeats = 700;
    account->dropped = 3;
    account->lost = 4;
    account->datagrams = 40;
    account->failed = 1;
    account->refused = 2;
    memory.counts.datagrams_accepted = 1230;
    memory.counts.datagrams_rejected[DECODER_MALFORMED] = 3;
    memory.counts.datagrams_rejected[DECODER_DUPLICATE] = 1;
    memory.counts.heartbeats = 712;
    memory.socket_drops = 6;
}

static void the_line(void **state)
{
    struct accounts *accounts = open_accounts();
    struct accounts_view view;

    (void)state;
    assert_int_equal(accounts_load(accounts, &view), 0);
    char *line = summary_format(&view);
    assert_string_equal(line, "received 0 datagrams = 0 accepted + 0 rejected; 0 dropped by the "
                              "sockets; accepted 0 heartbeats");
    free(line);
    accounts_view_free(&view);
    fill(accounts);
    assert_int_equal(accounts_load(accounts, &view), 0);
    line = summary_format(&view);
    assert_string_equal(
        line, "received 1234 datagrams = 1230 accepted + 4 rejected (malformed 3, duplicate 1); 6 "
              "dropped by the sockets; accepted 712 heartbeats; A/1 192.0.2.1:9514: 700 heartbeats "
              "in 40 datagrams, 1 failed, 2 refused; 3 heartbeats dropped, 4 lost");
    free(line);
    accounts_view_free(&view);
    accounts_close(accounts);
}

/* However many collectors there are, the line has them all. */
static void the_line_is_whole(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account;
    char text[16384];
    int before;

    (void)state;
    for (uint32_t shard = 1; shard <= 64; shard++)
        assert_int_equal(accounts_hold(accounts, "A", shard, 64, "192.0.2.1:9514", &account), 0);
    int capture = divert(stderr, &before);
    summary_log(accounts);
    restore(stderr, before, capture, text, sizeof(text));
    assert_non_null(strstr(text, "; A/64 192.0.2.1:9514: 0 heartbeats in 0 datagrams"));
    accounts_close(accounts);
}

/* True if the page has this line. */
static bool has_line(const char *page, const char *line)
{
    char text[256];

    snprintf(text, sizeof(text), "\npresence_relay_%s\n", line);
    return strstr(page, text);
}

static void the_page(void **state)
{
    static const char *const lines[] = {
        "datagrams_received_total 1234",
        "datagrams_accepted_total 1230",
        "datagrams_rejected_total{reason=\"malformed\"} 3",
        "datagrams_rejected_total{reason=\"duplicate\"} 1",
        "datagrams_rejected_total{reason=\"sender\"} 0",
        "socket_drops_total 6",
        "heartbeats_accepted_total 712",
        "group_shards{group=\"A\"} 1",
        "target_heartbeats_accepted_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 712",
        "target_heartbeats_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 700",
        "target_heartbeats_dropped_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 3",
        "target_heartbeats_lost_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 4",
        "target_heartbeats_waiting{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 5",
        "target_datagrams_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 40",
        "target_datagrams_failed_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 1",
        "target_datagrams_refused_total{group=\"A\",shard=\"1\",target=\"192.0.2.1:9514\"} 2",
    };
    struct accounts *accounts = open_accounts();
    struct accounts_view view;
    char *page;
    size_t length;

    (void)state;
    fill(accounts);
    assert_int_equal(accounts_load(accounts, &view), 0);
    struct exposition exposition = {.out = open_memstream(&page, &length), .format = FORMAT_TEXT};
    metrics_write(&exposition, &view);
    fclose(exposition.out);
    for (size_t i = 0; i < LENGTH(lines); i++) {
        if (!has_line(page, lines[i]))
            fail_msg("no \"%s\" in %s", lines[i], page);
    }
    free(page);
    accounts_view_free(&view);
    accounts_close(accounts);
}

/* A group has one line, whatever the number of its shards. */
static void groups(void **state)
{
    struct accounts *accounts = open_accounts();
    struct account *account;
    struct accounts_view view;
    char *page;
    size_t length;

    (void)state;
    for (uint32_t shard = 1; shard <= 3; shard++)
        assert_int_equal(accounts_hold(accounts, "B", shard, 3, "192.0.2.1:9514", &account), 0);
    assert_int_equal(accounts_load(accounts, &view), 0);
    struct exposition exposition = {.out = open_memstream(&page, &length), .format = FORMAT_TEXT};
    metrics_write(&exposition, &view);
    fclose(exposition.out);
    assert_true(has_line(page, "group_shards{group=\"B\"} 3"));
    const char *first = strstr(page, "group_shards{");
    assert_null(strstr(first + 1, "group_shards{"));
    free(page);
    accounts_view_free(&view);
    accounts_close(accounts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line),
        cmocka_unit_test(the_line_is_whole),
        cmocka_unit_test(the_page),
        cmocka_unit_test(groups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
