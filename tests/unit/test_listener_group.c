/* test_listener_group.c - listener.h: what arrives while a group of sockets is opened, and who may
 * join one. */
#include "listener_fixture.h"

static unsigned sent_at_once; /* datagrams, each right after a socket was bound */
static bool sends_at_once;

int __real_bind(int socket, const struct sockaddr *address, socklen_t length);
int __wrap_bind(int socket, const struct sockaddr *address, socklen_t length);

int __wrap_bind(int socket, const struct sockaddr *address, socklen_t length)
{
    int r = __real_bind(socket, address, length);

    if (r == 0 && sends_at_once) {
        int sender = connected_sender(socket);
        assert_int_equal(send(sender, "x", 1, 0), 1);
        sent_at_once++;
        close(sender);
    }
    return r;
}

/* A datagram that comes before the group is complete could go to another worker than the sender's
 * next one: no worker gets it. */
static void a_group_receives_once_it_is_complete(void **state)
{
    int sockets[3];

    (void)state;
    sends_at_once = true;
    assert_int_equal(open_at("127.0.0.1:0", LENGTH(sockets), sockets), 0);
    sends_at_once = false;
    assert_int_equal(sent_at_once, LENGTH(sockets));
    for (size_t i = 0; i < LENGTH(sockets); i++)
        assert_int_equal(drain(sockets[i]), 0);
    int sender = connected_sender(sockets[0]);
    assert_int_equal(send(sender, "x", 1, 0), 1);
    assert_true(drain_one(sockets, LENGTH(sockets), 1) >= 0);
    close(sender);
    close_all(sockets, LENGTH(sockets));
}

/* Where the map of senders can't be used, readers of the status are told so. */
static void without_a_map_senders_are_hashed(void **state)
{
    struct spread spread = {.workers = 2};
    const struct listener_options options = {.spread = &spread};
    struct sockaddr_storage address;
    socklen_t length;
    int sockets[2];

    (void)state;
    assert_int_equal(listener_parse("127.0.0.1:0", &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, 2, sockets), 0);
    assert_string_equal(spread_name(&spread), "hash");
    close_all(sockets, LENGTH(sockets));
}

/* systemd opens its sockets so that any user can bind their port, too. */
static void an_adopted_port_is_not_shared(void **state)
{
    int socket, on = 1;

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", 1, &socket), 0);
    assert_return_code(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), errno);
    listener_adopt(socket, &no_options);
    assert_false(flag_of(socket, SOL_SOCKET, SO_REUSEADDR));
    close(socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_receives_once_it_is_complete),
        cmocka_unit_test(without_a_map_senders_are_hashed),
        cmocka_unit_test(an_adopted_port_is_not_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
