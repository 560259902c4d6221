/* test_publisher_shard_state.c - the commands that write the state of a shard. */
#include "../support/unit.h"

#include <malloc.h>

#include "shard_state.h"

#define EPOCH   "0123456789abcdef"
#define STREAMS 1000

static struct transaction transaction = {.group = "A", .shard = 1, .shards = 1};

static int free_transaction(void **state)
{
    (void)state;
    transaction_free(&transaction);
    return 0;
}

static void add(const struct scan *scan, const struct stream_figures *figures, bool streams_full)
{
    const struct shard_state state = {.epoch = EPOCH,
                                      .segment = "segment",
                                      .scan = scan,
                                      .figures = figures,
                                      .streams_full = streams_full};

    engine_request_clear(&transaction.request);
    assert_int_equal(shard_state_add(&transaction, &state), 0);
    assert_int_equal(transaction.request.commands, 2);
    assert_false(transaction.request.failed);
}

/* Expect a field to be 0 or 1. */
static void expect_flag(enum engine_shard_field field, bool value)
{
    const char *name = engine_shard_fields[field];
    char wanted[64];
    int length = snprintf(wanted, sizeof(wanted), "\r\n$%zu\r\n%s\r\n$1\r\n%d\r\n", strlen(name),
                          name, value);

    assert_non_null(
        memmem(transaction.request.bytes, transaction.request.length, wanted, (size_t)length));
}

static void each_flag_is_its_own(void **state)
{
    const struct stream_figures figures = {0};

    (void)state;
    for (unsigned flags = 0; flags < 16; flags++) {
        const struct scan scan = {.stale = flags & 1, .unknown = flags & 2, .warming = flags & 4};
        add(&scan, &figures, flags & 8);
        expect_flag(SHARD_FIELD_STALE, flags & 1);
        expect_flag(SHARD_FIELD_UNKNOWN, flags & 2);
        expect_flag(SHARD_FIELD_WARMING, flags & 4);
        expect_flag(SHARD_FIELD_STREAMS_FULL, flags & 8);
    }
}

/* It is written every second. */
static void the_text_of_streams_is_freed(void **state)
{
    static struct engine_stream streams[STREAMS];
    const struct stream_figures figures = {.streams = streams, .count = STREAMS};
    const struct scan scan = {0};

    (void)state;
    add(&scan, &figures, false);
    size_t used = mallinfo2().uordblks;
    for (int i = 0; i < 10; i++)
        add(&scan, &figures, false);
    assert_in_range(mallinfo2().uordblks, 0, used + 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flag_is_its_own),
        cmocka_unit_test(the_text_of_streams_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, free_transaction);
}
