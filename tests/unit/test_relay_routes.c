/* test_relay_routes.c - routes.h: which collectors get a heartbeat, and in which order. */
#include "relay_fixture.h"

static const struct presence_place here = {.kind = PRESENCE_HEARTBEAT, .site = "example.com"};
static const struct presence_place gone = {.kind = PRESENCE_LEAVE, .site = "example.com"};

static struct routes *open_routes(const struct group *groups, unsigned count, const struct key *key)
{
    struct routes *routes = NULL;

    assert_int_equal(routes_open(groups, count, key, accounts, &routes), 0);
    return routes;
}

static void queue(struct routes *routes, const struct presence_place *place, uint64_t number)
{
    uint8_t id[16];
    const struct decoded heartbeat = {.place = *place, .visitors = id, .count = 1};

    visitor_id(number, id);
    routes_queue(routes, &heartbeat);
}

/* Each heartbeat goes once to every group, and there to its visitor's shard. */
static void once_to_every_group(void **state)
{
    const struct group groups[] = {group_of("A", 0, 3), group_of("B", 3, 1)};
    struct routes *routes = open_routes(groups, 2, &no_key);
    uint8_t ids[70][16];
    const struct decoded heartbeats = {.place = here, .visitors = ids[0], .count = 70};
    uint64_t number, expected = 0;

    (void)state;
    for (uint64_t i = 0; i < 70; i++)
        visitor_id(i, ids[i]);
    routes_queue(routes, &heartbeats);
    for (size_t i = 0; i < COLLECTORS; i++)
        receiver_expect_nothing(&collectors[i]);
    routes_flush(routes);
    for (uint32_t shard = 0; shard < 3; shard++) {
        uint64_t next = 0;
        receiver_next(&collectors[shard]);
        while (receiver_visitor(&collectors[shard], &number)) {
            next = visitor_in(next, shard, 3);
            assert_int_equal(number, next++);
        }
        expected += collectors[shard].visitors;
    }
    assert_int_equal(expected, 70);
    expect_numbers(&collectors[3], 0, 70);
    routes_close(routes);
}

/* All targets have one stream, and each its own number; others' routes have another stream. */
static void streams_and_targets(void **state)
{
    const struct group groups[] = {group_of("A", 0, 3), group_of("B", 3, 1)};
    struct routes *routes = open_routes(groups, 2, &no_key);
    uint64_t stream = 0;

    (void)state;
    for (uint32_t shard = 0; shard < 3; shard++)
        queue(routes, &here, visitor_in(0, shard, 3));
    routes_close(routes); /* sends what is queued */
    for (uint16_t i = 0; i < COLLECTORS; i++) {
        receiver_next(&collectors[i]);
        assert_int_equal(collectors[i].native.target, i);
        assert_int_equal(collectors[i].native.sequence, 1);
        assert_int_equal(collectors[i].native.authenticated, 0);
        assert_int_not_equal(collectors[i].native.stream, 0);
        if (i > 0)
            assert_int_equal(collectors[i].native.stream, stream);
        stream = collectors[i].native.stream;
    }
    routes = open_routes(&groups[1], 1, &no_key);
    queue(routes, &here, 1);
    routes_close(routes);
    receiver_next(&collectors[3]);
    assert_int_equal(collectors[3].native.target, 0);
    assert_int_not_equal(collectors[3].native.stream, stream);
}

/* What one visitor does stays in its order, whatever others do between. */
static void leaves_in_their_order(void **state)
{
    const struct group groups[] = {group_of("A", 0, 2), group_of("B", 2, 1)};
    struct routes *routes = open_routes(groups, 2, &no_key);
    uint64_t first = visitor_in(0, 0, 2), second = visitor_in(0, 1, 2);

    (void)state;
    queue(routes, &here, first);
    queue(routes, &gone, first);
    queue(routes, &here, second);
    queue(routes, &here, first);
    routes_close(routes);
    receiver_next(&collectors[0]);
    expect_visitor(&collectors[0], WIRE_HEARTBEAT, first);
    expect_visitor(&collectors[0], WIRE_LEAVE, first);
    expect_visitor(&collectors[0], WIRE_HEARTBEAT, first);
    receiver_next(&collectors[1]);
    expect_visitor(&collectors[1], WIRE_HEARTBEAT, second);
    receiver_next(&collectors[2]);
    expect_visitor(&collectors[2], WIRE_HEARTBEAT, first);
    expect_visitor(&collectors[2], WIRE_LEAVE, first);
    expect_visitor(&collectors[2], WIRE_HEARTBEAT, second);
    expect_visitor(&collectors[2], WIRE_HEARTBEAT, first);
}

/* No datagram is larger than what passes every network. */
static void datagrams_fit(void **state)
{
    const struct group group = group_of("A", 0, 1);
    struct routes *routes = open_routes(&group, 1, &(const struct key){.id = 9, .bytes = {1}});

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        queue(routes, &here, i);
    routes_flush(routes);
    while (collectors[0].visitors < 1000) {
        receiver_next(&collectors[0]);
        assert_in_range(collectors[0].length, 1, 1232);
        assert_int_equal(collectors[0].native.key_id, 9);
        assert_int_equal(collectors[0].native.authenticated, 1);
    }
    routes_close(routes);
}

/* A route that can't be opened leaves nothing behind, and no other address in the accounts. */
static void a_route_that_cannot_be_opened(void **state)
{
    struct group groups[] = {group_of("A", 0, 1), group_of("A", 1, 1), group_of("B", 2, 1)};
    struct routes *routes = open_routes(groups, 1, &no_key), *other = NULL;

    (void)state;
    strcpy(groups[2].addresses[0], "nowhere");
    assert_int_equal(routes_open(&groups[1], 2, &no_key, accounts, &other), -EINVAL);
    assert_null(other);
    assert_string_equal(routes->targets[0].account->address, groups[0].addresses[0]);
    queue(routes, &here, 1);
    routes_close(routes);
    expect_numbers(&collectors[0], 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(once_to_every_group), TEST(streams_and_targets),           TEST(leaves_in_their_order),
        TEST(datagrams_fit),       TEST(a_route_that_cannot_be_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
