/* test_sender_invalid.c - invalid places, ids, addresses and options, each with its errno. */
#include "sender_fixture.h"

#include <errno.h>

#define A_63  "123456789012345678901234567890123456789012345678901234567890123"
#define A_126 A_63 A_63
#define A_252 A_126 A_126

static const char site_253[] = A_252 "1", site_254[] = A_252 "12", source_253[] = A_252 "2";
static const char room_255[] = A_252 "123", room_256[] = A_252 "1234";
static const char long_room[] = "/" A_252 "12//////";
static const char id_512[] = A_252 A_252 "12345678", id_513[] = A_252 A_252 "123456789";
#define ZEROS "00000000-0000-0000-0000-000000000000"

static const struct {
    int error; /* in both modes */
    struct presence_place place;
    const char *visitor;
} sends[] = {
    {0, {.site = "a"}, "x"},
    {0, {.site = site_253, .room = room_255, .source = site_253, .country = "zz"}, "x"},
    {0, {.site = "a", .country = "T1"}, "x"},
    {0, {.site = "a", .room = long_room}, "undefined1"},
    {0, {.site = "a", .kind = PRESENCE_EVENT, .event = A_63}, id_512},
    {0,
     {.site = "b\xc3\xbc"
              "cher.example",
      .room = "\xf0\x9f\x8c\x8d"},
     "\xff\x01"},
    {-EINVAL, {.site = NULL}, "x"},
    {-EINVAL, {.site = ""}, "x"},
    {-ENAMETOOLONG, {.site = site_254}, "x"},
    {-EILSEQ, {.site = "a\n"}, "x"},
    {-EILSEQ, {.site = "a\xff"}, "x"},
    {-ENAMETOOLONG, {.site = "a", .room = room_256}, "x"},
    {-EILSEQ, {.site = "a", .room = "/\x7f"}, "x"},
    {-EILSEQ, {.site = "a", .room = "/\xc2\x80"}, "x"},
    {-EILSEQ, {.site = "a", .room = "/\xc0\xaf"}, "x"},
    {-ENAMETOOLONG, {.site = "a", .source = site_254}, "x"},
    {-EILSEQ, {.site = "a", .source = "\x1b[31m"}, "x"},
    {-EINVAL, {.site = "a", .country = "D"}, "x"},
    {-EINVAL, {.site = "a", .country = "DEU"}, "x"},
    {-EINVAL, {.site = "a", .country = "D1"}, "x"},
    {-EINVAL, {.site = "a", .country = "\xc4\xc5"}, "x"},
    {-EINVAL, {.site = "a", .kind = PRESENCE_EVENT}, "x"},
    {-EINVAL, {.site = "a", .kind = PRESENCE_EVENT, .event = ""}, "x"},
    {-EINVAL, {.site = "a", .event = "e"}, "x"},
    {-EINVAL, {.site = "a", .kind = PRESENCE_LEAVE, .event = "e"}, "x"},
    {-ENAMETOOLONG, {.site = "a", .kind = PRESENCE_EVENT, .event = A_63 "4"}, "x"},
    {-EILSEQ, {.site = "a", .kind = PRESENCE_EVENT, .event = "\t"}, "x"},
    {-EINVAL, {.site = "a", .kind = (enum presence_heartbeat_kind)5}, "x"},
    {-EINVAL, {.site = "a", .kind = (enum presence_heartbeat_kind)257}, "x"},
    {-EINVAL, {.site = "a"}, NULL},
    {-EINVAL, {.site = "a"}, ""},
    {-EINVAL, {.site = "a"}, "   "},
    {-EINVAL, {.site = "a"}, " - "},
    {-EINVAL, {.site = "a"}, "undefined"},
    {-EINVAL, {.site = "a"}, " NULL "},
    {-EINVAL, {.site = "a"}, "NaN"},
    {-EINVAL, {.site = "a"}, ZEROS},
    {-ENAMETOOLONG, {.site = "a"}, id_513},
};

static void check_sends(bool text)
{
    struct receiver receiver;
    uint64_t good = 0;

    receiver_open(&receiver, 0);
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.text = text});
    for (size_t i = 0; i < LENGTH(sends); i++) {
        /* Once as the first at its place, and once after a valid one. */
        for (int round = 0; round < 2; round++) {
            int error = presence_send(sender, &sends[i].place, sends[i].visitor);
            if (error != sends[i].error)
                fail_msg("case %zu: %d instead of %d", i, error, sends[i].error);
            good += error == 0;
            assert_int_equal(presence_send(sender, &sends[0].place, "good"), 0);
            good++;
        }
    }
    assert_int_equal(presence_send(sender, NULL, "x"), -EINVAL);
    assert_int_equal(presence_send_id(sender, NULL, (const uint8_t *)site_253), -EINVAL);
    assert_int_equal(presence_send_id(sender, &sends[0].place, NULL), -EINVAL);
    static const uint8_t zeros[16];
    int zero = presence_send_id(sender, &sends[0].place, zeros); /* natively, any bytes are valid */
    assert_int_equal(zero, text ? -EINVAL : 0);
    good += zero == 0;
    presence_sender_close(sender);
    while (receiver_take(&receiver, MSG_DONTWAIT))
        continue;
    assert_int_equal(receiver.visitors, good);
    receiver_close(&receiver);
}

static void native_sends(void **state)
{
    (void)state;
    check_sends(false);
}

static void text_sends(void **state)
{
    (void)state;
    check_sends(true);
}

/* Names that one of the two formats, or a datagram's size, cannot carry. */
static void limits_of_a_form(void **state)
{
    const struct presence_place dash = {.site = "a", .room = "-"};
    const struct presence_place longest = {
        .site = site_253, .room = room_255, .source = source_253};
    struct receiver receiver;

    (void)state;
    receiver_open(&receiver, 0);
    struct presence_sender *native =
        receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 815});
    struct presence_sender *text = receiver_sender(
        &receiver, (struct presence_sender_options){.text = true, .datagram_bytes = 787});
    assert_int_equal(presence_send(native, &dash, "x"), 0);
    assert_int_equal(presence_send(text, &dash, "x"), -EINVAL);
    assert_int_equal(presence_send(native, &longest, "x"), -ENAMETOOLONG);
    assert_int_equal(presence_send(text, &longest, "x"), -ENAMETOOLONG);
    presence_sender_close(native);
    presence_sender_close(text);
    native = receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 816});
    assert_int_equal(presence_send(native, &longest, "x"), 0);
    presence_sender_close(native);
    receiver_next(&receiver);
    receiver_next(&receiver);
    assert_int_equal(receiver.length, 816);
    receiver_expect_nothing(&receiver);
    receiver_close(&receiver);
}

static void addresses(void **state)
{
    static const char *const wrong[] = {
        "",
        ":9514",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:9514 ",
        "127.0.0.1:-1",
        "127.0.0.1:095140",
        "localhost:9514",
        "::1:9514",
        "[::1]",
        "[::1]9514",
        "[]:9514",
        "[::1:9514",
        "256.0.0.1:9514",
        "127.0.0.1:9514:1",
        "127.0.0.1:9x",
    };
    struct presence_sender *sender = NULL;

    (void)state;
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        int error = presence_sender_open(wrong[i], NULL, &sender);
        if (error != -EINVAL)
            fail_msg("'%s': %d", wrong[i], error);
        assert_null(sender);
    }
    assert_int_equal(presence_sender_open(NULL, NULL, &sender), 0);
    presence_sender_close(sender);
    presence_sender_close(NULL);
}

/* Without a route a sender is refused, unless it waits for nothing: then it may come later. */
static void no_route(void **state)
{
    const struct presence_sender_options no_wait = {.no_wait = true};
    struct presence_sender *sender = NULL;

    (void)state;
    if (presence_sender_open("192.0.2.1:9", NULL, &sender) != -ENETUNREACH) {
        presence_sender_close(sender);
        print_message("there is a route from here\n");
        skip();
    }
    assert_null(sender);
    assert_int_equal(presence_sender_open("192.0.2.1:9", &no_wait, &sender), 0);
    for (uint64_t i = 1; i <= 10; i++) {
        assert_int_equal(presence_send(sender, &sends[0].place, "x"), 0);
        presence_sender_flush(sender);
        assert_int_equal(totals_of(sender).failed, i);
    }
    assert_int_equal(totals_of(sender).heartbeats, 0);
    assert_int_equal(totals_of(sender).datagrams, 0);
    presence_sender_close(sender);
}

static void options(void **state)
{
    static const struct {
        int error;
        struct presence_sender_options options;
    } cases[] = {
        {0, {.datagram_bytes = 54}},
        {0, {.one_shot = true, .target = UINT16_MAX}},
        {0, {.stream = 1, .target = 1, .no_wait = true}},
        {0, {.datagram_bytes = 65507, .batch = UINT32_MAX, .max_age_ms = UINT32_MAX}},
        {-EINVAL, {.datagram_bytes = 53}},
        {-EINVAL, {.datagram_bytes = 65508}},
        {-EINVAL, {.one_shot = true, .stream = 1}},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct presence_sender *sender = NULL;
        assert_int_equal(presence_sender_open("127.0.0.1:9", &cases[i].options, &sender),
                         cases[i].error);
        assert_int_equal(sender != NULL, cases[i].error == 0);
        presence_sender_close(sender);
    }
}

static void ipv6(void **state)
{
    const struct timeval deadline = {RECEIVE_DEADLINE_S, 0};
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct presence_sender *sender;
    char text[32];
    uint8_t datagram[100];

    (void)state;
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0) {
        print_message("no IPv6 here\n");
        skip();
    }
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(text, sizeof(text), "[::1]:%u", (unsigned)ntohs(address.sin6_port));
    assert_int_equal(presence_sender_open(text, NULL, &sender), 0);
    assert_int_equal(presence_send(sender, &sends[0].place, "x"), 0);
    presence_sender_flush(sender);
    assert_int_equal(recv(listener, datagram, sizeof(datagram), 0), 54);
    close(listener);

    /* Nobody listens any more, as ICMPv6 reports. */
    assert_int_equal(presence_send(sender, &sends[0].place, "x"), 0);
    for (int i = 0; i < 1000 * RECEIVE_DEADLINE_S && totals_of(sender).refused == 0; i++) {
        usleep(1000);
        presence_sender_flush(sender);
    }
    assert_int_equal(totals_of(sender).refused, 1);
    presence_sender_close(sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_sends),
        cmocka_unit_test(text_sends),
        cmocka_unit_test(limits_of_a_form),
        cmocka_unit_test(addresses),
        cmocka_unit_test(no_route),
        cmocka_unit_test(options),
        cmocka_unit_test(ipv6),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
