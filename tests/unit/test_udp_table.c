/* test_udp_table.c - udp_table.h: who else has a port, and tables that can't be believed. */
#include "../support/descriptors.h"
#include "../support/ipv6.h"
#include "../support/own_loopback.h"
#include "../support/scratch.h"

#include <errno.h>
#include <stdio.h>

#include "common/address.h"
#include "receive/listener.h"
#include "receive/udp_table.h"

#define PORT "2537" /* 9527 in hexadecimal */
#define HEAD "  sl  local_address rem_address   st tx_queue rx_queue uid  timeout inode ref\n"
#define REST " 00000000:0000 07 00000000:00000000 00:00000000 00000000 1000 0 77 2 00000000 0\n"

static struct sockaddr_storage parse(const char *text)
{
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(listener_parse(text, &address, &length), 0);
    return address;
}

/* ---- the kernel's tables ----------------------------------------------------------------- */

/* Bind a socket to a port that the kernel chooses, or to that of another one. */
static int bind_at(const char *text, int other)
{
    struct sockaddr_storage address = parse(text), its;
    socklen_t length = sizeof(its);
    int r = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_return_code(r, errno);
    if (other >= 0) {
        assert_return_code(getsockname(other, (struct sockaddr *)&its, &length), errno);
        address_set_port(&address, address_get_port(&its));
    }
    assert_return_code(bind(r, (struct sockaddr *)&address, sizeof(address)), errno);
    return r;
}

static int find_beside(const char *text, int socket, int first, unsigned count)
{
    struct sockaddr_storage address = parse(text), its;
    socklen_t length = sizeof(its);

    assert_return_code(getsockname(socket, (struct sockaddr *)&its, &length), errno);
    address_set_port(&address, address_get_port(&its));
    return udp_table_find_other(UDP_TABLE_DIRECTORY, &address, first, count);
}

static void others_are_found_at_the_address_and_beside_it(void **state)
{
    int one = bind_at("127.0.0.1:0", -1), other = bind_at("127.0.0.2:0", one);
    const unsigned descriptors = count_descriptors();

    (void)state;
    assert_int_equal(find_beside("127.0.0.1:0", one, one, 1), 0);
    assert_int_equal(find_beside("127.0.0.2:0", one, one, 1), 1);
    assert_int_equal(find_beside("127.0.0.3:0", one, one, 0), 0);
    assert_int_equal(find_beside("0.0.0.0:0", one, one, 1), 1);
    assert_int_equal(find_beside("0.0.0.0:0", one, other, 1), 1);
    assert_int_equal(find_beside("[::]:0", one, one, 0), 0);
    assert_int_equal(count_descriptors(), descriptors);
    close(other);
    assert_int_equal(find_beside("0.0.0.0:0", one, one, 2), 0);
    assert_int_equal(find_beside("0.0.0.0:0", one, 0, (unsigned)one + 1), 0);
    assert_int_equal(find_beside("0.0.0.0:0", one, 0, (unsigned)one), 1);
    close(one);
}

static void others_of_ipv6_are_found(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    int one = bind_at("[::1]:0", -1), mapped = bind_at("[::ffff:127.0.0.1]:0", one);
    assert_int_equal(find_beside("[::]:0", one, one, 1), 0);
    assert_int_equal(find_beside("[::]:0", one, mapped, 1), 1);
    assert_int_equal(find_beside("[::2]:0", one, one, 0), 0);
    assert_int_equal(find_beside("127.0.0.1:0", one, one, 1), 1); /* it has this one */
    close(mapped);
    assert_int_equal(find_beside("127.0.0.1:0", one, one, 0), 0);
    close(one);
}

/* ---- other tables ------------------------------------------------------------------------ */

/* Write tables, or leave those out that are NULL, and look for 127.0.0.1:9527 or [::1]:9527. */
static int find_in(const char *udp, const char *udp6, const char *wanted)
{
    const char *const names[] = {"udp", "udp6"}, *const texts[] = {udp, udp6};
    struct sockaddr_storage address = parse(wanted);
    struct scratch scratch;
    char path[96];

    scratch_open(&scratch);
    for (unsigned i = 0; i < LENGTH(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", scratch.directory, names[i]);
        FILE *file = texts[i] ? fopen(path, "we") : NULL;
        assert_true(!texts[i] || (file && fputs(texts[i], file) >= 0 && fclose(file) == 0));
    }
    int r = udp_table_find_other(scratch.directory, &address, 3, 0);
    scratch_close(&scratch);
    return r;
}

static void tables_are_read_to_their_ends(void **state)
{
    (void)state;
    assert_int_equal(find_in(HEAD, NULL, "127.0.0.1:9527"), 0);
    assert_int_equal(find_in(HEAD, HEAD, "127.0.0.1:9527"), 0);
    assert_int_equal(
        find_in(HEAD "  9: 0100007F:2538" REST " 10: 0100007F:" PORT REST, NULL, "127.0.0.1:9527"),
        1);
    assert_int_equal(
        find_in(HEAD, HEAD "  9: 00000000000000000000000001000000:" PORT REST, "[::1]:9527"), 1);
}

static void tables_that_are_none_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "\n",
        "  9: 0100007F:2538" REST, /* no head */
        HEAD "\n",
        HEAD "  9: 0100007F:2538\n",
        HEAD "  9: 0100007F:2538" REST "  9: 0100007F",
        HEAD "  9: 0100007F:12538" REST,
        HEAD "  9: 0100007:2538" REST,
        HEAD "  9: 0100007G:2538" REST,
        HEAD "  9: 0100007F00000000:2538" REST,
        HEAD "  9: 0000000000000000000000000100000000:2538" REST,
        HEAD "  x: 0100007F:2538" REST,
        HEAD "  9: 0100007F:2538 00000000:0000 07 0:0 00:00000000 00000000 1000 0 x 2 0 0\n",
    };

    (void)state;
    assert_int_equal(find_in(NULL, HEAD, "127.0.0.1:9527"), -ENOENT);
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        if (find_in(cases[i], NULL, "127.0.0.1:9527") != -EBADMSG ||
            find_in(HEAD, cases[i], "[::1]:9527") != -EBADMSG)
            fail_msg("table %u was believed", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_found_at_the_address_and_beside_it),
        cmocka_unit_test(others_of_ipv6_are_found),
        cmocka_unit_test(tables_are_read_to_their_ends),
        cmocka_unit_test(tables_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
