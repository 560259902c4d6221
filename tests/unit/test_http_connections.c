/* test_http_connections.c - who has to go when there are too many. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http_connections.h"

#define LIMIT       6
#define PER_ADDRESS 3

/* A connection, and the client's end of it. */
struct client {
    struct http_connection *connection;
    int server, client;
};

static struct sockaddr_in6 address_of(const char *text)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};

    assert_int_equal(inet_pton(AF_INET6, text, &address.sin6_addr), 1);
    return address;
}

static bool admit(struct http_connections *connections, const char *text)
{
    struct sockaddr_in6 address = address_of(text);

    return http_connections_admit(connections, (const struct sockaddr *)&address);
}

static struct client begin(struct http_connections *connections, const char *text)
{
    struct sockaddr_in6 address = address_of(text);
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct client client = {
        http_connections_begin(connections, ends[0], (const struct sockaddr *)&address), ends[0],
        ends[1]};
    assert_non_null(client.connection);
    return client;
}

static bool is_ended(const struct client *client)
{
    char byte;

    return recv(client->client, &byte, 1, MSG_DONTWAIT) == 0;
}

static void end(struct http_connections *connections, const struct client *client)
{
    http_connections_end(connections, client->connection);
    close(client->server);
    close(client->client);
}

static void the_longest_waiting_makes_room(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, PER_ADDRESS, 60, 60000);
    struct client clients[PER_ADDRESS + 1];

    (void)state;
    for (int i = 0; i < PER_ADDRESS; i++) {
        assert_true(admit(connections, "2001:db8::1"));
        clients[i] = begin(connections, "2001:db8::1");
    }
    http_connections_asked(connections, clients[0].connection);
    assert_true(admit(connections, "2001:db8::1")); /* the first is being answered */
    assert_false(is_ended(&clients[0]));
    assert_true(is_ended(&clients[1]));
    assert_false(is_ended(&clients[2]));
    clients[PER_ADDRESS] = begin(connections, "2001:db8::1");
    assert_int_equal(http_connections_count(connections), PER_ADDRESS);

    /* Another host of the same /64 is the same client; another network is not. */
    http_connections_answered(connections, clients[0].connection); /* youngest of the waiting */
    assert_true(admit(connections, "2001:db8::2"));
    assert_true(is_ended(&clients[2]));
    assert_true(admit(connections, "2001:db8:0:1::1"));
    assert_false(is_ended(&clients[0]));
    for (int i = 0; i <= PER_ADDRESS; i++)
        end(connections, &clients[i]);
    assert_int_equal(http_connections_count(connections), 0);
    http_connections_free(connections);
}

/* Not the one whose place in the table comes first: that may be the one that came last. */
static void the_youngest_stays_wherever_it_is_kept(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct client clients[LIMIT];

    (void)state;
    for (int i = 0; i < LIMIT; i++)
        clients[i] = begin(connections, "::1");
    end(connections, &clients[0]);
    clients[0] = begin(connections, "::1");
    assert_true(admit(connections, "::1"));
    assert_false(is_ended(&clients[0]));
    assert_true(is_ended(&clients[1]));
    for (int i = 0; i < LIMIT; i++)
        end(connections, &clients[i]);
    http_connections_free(connections);
}

static void streams_and_young_answers_stay(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, PER_ADDRESS, 60, 60000);
    struct client clients[PER_ADDRESS];

    (void)state;
    for (int i = 0; i < PER_ADDRESS; i++) {
        clients[i] = begin(connections, "::ffff:192.0.2.1");
        if (i)
            http_connections_streams(connections, clients[i].connection);
    }
    http_connections_asked(connections, clients[0].connection);
    assert_false(admit(connections, "::ffff:192.0.2.1"));
    assert_true(admit(connections, "::ffff:192.0.2.2"));
    for (int i = 0; i < PER_ADDRESS; i++) {
        assert_false(is_ended(&clients[i]));
        end(connections, &clients[i]);
    }
    assert_true(admit(connections, "::ffff:192.0.2.1"));
    http_connections_free(connections);
}

static void all_together_are_limited(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct client clients[LIMIT];
    char text[32];

    (void)state;
    for (int i = 0; i < LIMIT; i++) {
        snprintf(text, sizeof(text), "2001:db8:0:%d::1", i);
        assert_true(admit(connections, text));
        clients[i] = begin(connections, text);
    }
    assert_true(admit(connections, "2001:db8:0:99::1"));
    assert_true(is_ended(&clients[0]));
    for (int i = 1; i < LIMIT; i++)
        assert_false(is_ended(&clients[i]));
    for (int i = 0; i < LIMIT; i++)
        end(connections, &clients[i]);
    http_connections_free(connections);
}

static unsigned open_clients(const struct client *clients, size_t count)
{
    unsigned open = 0;

    for (size_t i = 0; i < count; i++)
        open += !is_ended(&clients[i]);
    return open;
}

/* Several threads may admit before the first of them begins: the limit holds all the same. */
static void admitted_at_a_time_are_limited(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct client clients[2 * LIMIT];

    (void)state;
    for (int i = 0; i < LIMIT; i++)
        clients[i] = begin(connections, "::1");
    for (int i = 0; i < LIMIT; i++)
        assert_true(admit(connections, "::1"));
    for (int i = LIMIT; i < 2 * LIMIT; i++)
        clients[i] = begin(connections, "::1");
    assert_int_equal(http_connections_count(connections), LIMIT);
    assert_int_equal(open_clients(clients, 2 * LIMIT), LIMIT);
    for (int i = 0; i < 2 * LIMIT; i++)
        end(connections, &clients[i]);
    http_connections_free(connections);
}

/* And where nobody can make room the last is one too many. */
static void admitted_without_room_are_ended(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct sockaddr_in6 address = address_of("::1");
    struct client clients[LIMIT];
    int ends[2];
    char byte;

    (void)state;
    for (int i = 0; i < LIMIT; i++) {
        assert_true(admit(connections, "::1"));
        if (i == LIMIT - 1)
            assert_true(admit(connections, "::1"));
        clients[i] = begin(connections, "::1");
        http_connections_streams(connections, clients[i].connection);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_null(http_connections_begin(connections, ends[0], (const struct sockaddr *)&address));
    assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(open_clients(clients, LIMIT), LIMIT);
    for (int i = 0; i < LIMIT; i++)
        end(connections, &clients[i]);
    close(ends[0]);
    close(ends[1]);
    http_connections_free(connections);
}

/* With those who send no request, and those who don't take the answer. */
static void patience_ends(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 0, 60000);
    struct client waiting = begin(connections, "::1"), streaming = begin(connections, "::1");
    struct client answered = begin(connections, "::1");

    (void)state;
    http_connections_streams(connections, streaming.connection);
    http_connections_asked(connections, answered.connection);
    http_connections_sweep(connections);
    assert_true(is_ended(&waiting));
    assert_true(is_ended(&answered));
    assert_false(is_ended(&streaming));
    http_connections_answered(connections, waiting.connection); /* comes too late */
    assert_int_equal(http_connections_count(connections), 1);
    end(connections, &waiting);
    end(connections, &answered);
    end(connections, &streaming);
    http_connections_free(connections);
}

static int option_of(int socket, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(socket, level, name, &value, &length), 0);
    return value;
}

/* The kernel ends streams, and connections with another protocol, whose clients have vanished. */
static void vanished_clients_are_noticed(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct sockaddr_in6 address = address_of("::1");

    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        struct http_connection *connection =
            http_connections_begin(connections, fd, (const struct sockaddr *)&address);
        if (i == 0)
            http_connections_streams(connections, connection);
        else
            http_connections_take(connections, connection, fd);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 120000);
        http_connections_end(connections, connection);
        if (i)
            http_connections_end(connections, connection);
        close(fd);
    }
    assert_int_equal(http_connections_count(connections), 0);
    http_connections_free(connections);
}

/* Taken over by another protocol, one is nobody's victim, and counts until both have ended it. */
static void taken_ones_stay(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, PER_ADDRESS, 0, 0);
    struct client clients[PER_ADDRESS];

    (void)state;
    for (int i = 0; i < PER_ADDRESS; i++) {
        clients[i] = begin(connections, "::1");
        http_connections_asked(connections, clients[i].connection);
        http_connections_take(connections, clients[i].connection, clients[i].server);
        http_connections_answered(connections, clients[i].connection);
    }
    http_connections_sweep(connections);
    assert_false(admit(connections, "::1"));
    assert_int_equal(open_clients(clients, PER_ADDRESS), PER_ADDRESS);
    http_connections_end(connections, clients[0].connection);
    assert_false(admit(connections, "::1"));
    assert_int_equal(http_connections_count(connections), PER_ADDRESS);
    end(connections, &clients[0]);
    assert_true(admit(connections, "::1"));
    assert_int_equal(http_connections_count(connections), PER_ADDRESS - 1);
    clients[0] = begin(connections, "::1");
    http_connections_end(connections, clients[1].connection);
    for (int i = 0; i < PER_ADDRESS; i++)
        end(connections, &clients[i]);
    http_connections_end(connections, clients[2].connection);
    assert_int_equal(http_connections_count(connections), 0);
    http_connections_free(connections);
}

/* One that was shut down before another protocol takes it stays so. */
static void ended_ones_are_taken_in_vain(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 0, 0);
    struct client client = begin(connections, "::1");

    (void)state;
    http_connections_sweep(connections);
    assert_true(is_ended(&client));
    http_connections_take(connections, client.connection, client.server);
    assert_int_equal(http_connections_count(connections), 0);
    http_connections_end(connections, client.connection);
    end(connections, &client);
    assert_int_equal(http_connections_count(connections), 0);
    http_connections_free(connections);
}

static int compare(const void *left, const void *right)
{
    const uintptr_t a = *(const uintptr_t *)left, b = *(const uintptr_t *)right;

    return a < b ? -1 : a > b;
}

/* Whichever come and go, no two have one place, and each place is used again. */
static void places_are_used_once(void **state)
{
    struct http_connections *connections = http_connections_new(LIMIT, 0, 60, 60000);
    struct client clients[LIMIT];
    uintptr_t places[LIMIT];

    (void)state;
    srand(1);
    for (int i = 0; i < LIMIT; i++)
        clients[i] = begin(connections, "::1");
    for (int round = 0; round < 100; round++) {
        int one = rand() % LIMIT, other = rand() % LIMIT;
        end(connections, &clients[one]);
        if (other != one) {
            end(connections, &clients[other]);
            clients[other] = begin(connections, "::1");
        }
        clients[one] = begin(connections, "::1");
        for (int i = 0; i < LIMIT; i++)
            places[i] = (uintptr_t)clients[i].connection;
        qsort(places, LIMIT, sizeof(places[0]), compare);
        for (int i = 1; i < LIMIT; i++)
            assert_true(places[i - 1] < places[i]);
        assert_int_equal(open_clients(clients, LIMIT), LIMIT);
        assert_int_equal(http_connections_count(connections), LIMIT);
    }
    for (int i = 0; i < LIMIT; i++)
        end(connections, &clients[i]);
    clients[0] = begin(connections, "::1");
    for (int i = 0; i < 2 * (LIMIT + HTTP_CONNECTIONS_SLACK); i++) {
        clients[1] = begin(connections, "::1");
        end(connections, &clients[0]);
        clients[0] = clients[1];
    }
    end(connections, &clients[0]);
    http_connections_free(connections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_waiting_makes_room),
        cmocka_unit_test(the_youngest_stays_wherever_it_is_kept),
        cmocka_unit_test(streams_and_young_answers_stay),
        cmocka_unit_test(all_together_are_limited),
        cmocka_unit_test(admitted_at_a_time_are_limited),
        cmocka_unit_test(admitted_without_room_are_ended),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(vanished_clients_are_noticed),
        cmocka_unit_test(taken_ones_stay),
        cmocka_unit_test(ended_ones_are_taken_in_vain),
        cmocka_unit_test(places_are_used_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
