/* relay_fixture.h - receivers on loopback that stand for collectors, and groups of them. */
#ifndef PRESENCE_TESTS_RELAY_FIXTURE_H
#define PRESENCE_TESTS_RELAY_FIXTURE_H

#include <common/shard.h>
#include <errno.h>

#include "relay.h"

/* receive.h has others of these names. */
#define receiver       test_receiver
#define receiver_open  test_receiver_open
#define receiver_close test_receiver_close
#include "sender_fixture.h"

#define COLLECTORS 4

static struct accounts_memory memory;
static struct accounts *accounts;
static struct receiver collectors[COLLECTORS];
static const struct key no_key;

static inline int open_collectors(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    assert_int_equal(accounts_open(&memory, &accounts), 0);
    for (size_t i = 0; i < COLLECTORS; i++)
        receiver_open(&collectors[i], 0);
    return 0;
}

static inline int close_collectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < COLLECTORS; i++) {
        receiver_expect_nothing(&collectors[i]);
        receiver_close(&collectors[i]);
    }
    accounts_close(accounts);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_collectors, close_collectors)

/* Return a group of `shards` collectors, from number `first` on. */
static inline struct group group_of(const char *name, size_t first, uint32_t shards)
{
    struct group group = {.shards = shards};

    snprintf(group.name, sizeof(group.name), "%s", name);
    for (uint32_t i = 0; i < shards; i++)
        strcpy(group.addresses[i], collectors[first + i].address);
    return group;
}

/* Return the first visitor from `number` on that is in a shard, of so many. */
static inline uint64_t visitor_in(uint64_t number, uint32_t shard, uint32_t shards)
{
    uint8_t id[16];

    for (;; number++) {
        visitor_id(number, id);
        if (shard_of(id, shards) == shard)
            return number;
    }
}

/* Check that the next datagram has one visitor, of this kind of heartbeat. */
static inline void expect_visitor(struct receiver *receiver, enum wire_kind kind, uint64_t number)
{
    uint64_t got = 0;

    assert_true(receiver_visitor(receiver, &got));
    assert_int_equal(got, number);
    assert_int_equal(receiver->heartbeat.kind, kind);
}

#endif
