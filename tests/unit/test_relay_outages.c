/* test_relay_outages.c - outages.h: what the log says of collectors that can't be reached. */
#include "../support/unit.h"

#include <sys/mman.h>
#include <unistd.h>

#include "outages.h"

static struct accounts_memory memory;
static struct accounts *accounts;
static struct outages outages;

static int begin(void **state)
{
    (void)state;
    memset(&memory, 0, sizeof(memory));
    memset(&outages, 0, sizeof(outages));
    return accounts_open(&memory, &accounts);
}

static int end(void **state)
{
    (void)state;
    accounts_close(accounts);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static struct account *hold(uint32_t shard, uint32_t shards)
{
    struct account *account;

    assert_int_equal(accounts_hold(accounts, "A", shard, shards, "192.0.2.1:9514", &account), 0);
    return account;
}

/* Check, and return what is logged meanwhile. It is good until the next call. */
static const char *check(void)
{
    static char text[8192];
    int before = dup(STDERR_FILENO), capture = memfd_create("log", MFD_CLOEXEC);

    assert_true(capture >= 0 && before >= 0);
    dup2(capture, STDERR_FILENO);
    outages_check(&outages, accounts);
    dup2(before, STDERR_FILENO);
    ssize_t length = pread(capture, text, sizeof(text) - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    close(before);
    close(capture);
    return text;
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void each_trouble_is_logged_once(void **state)
{
    struct account *account = hold(2, 3);

    (void)state;
    assert_string_equal(check(), "");
    for (unsigned i = 0; i < 3 * OUTAGES_QUIET; i++) {
        account->refused++;
        const char *text = check();
        if (i > 0)
            assert_string_equal(text, "");
        else
            assert_non_null(strstr(text, "cannot reach 192.0.2.1:9514, shard 2 of group A: no "
                                         "collector receives there"));
    }
}

static void what_the_kernel_does_not_take_has_another_cause(void **state)
{
    struct account *account = hold(1, 1);

    (void)state;
    check();
    account->failed++;
    assert_non_null(strstr(check(), "cannot reach 192.0.2.1:9514, shard 1 of group A: there is no "
                                    "route"));
}

static void the_end_is_logged_after_a_while_without_errors(void **state)
{
    struct account *account = hold(1, 1);

    (void)state;
    check();
    account->refused++;
    assert_int_equal(count_lines(check()), 1);
    for (unsigned i = 1; i < OUTAGES_QUIET; i++)
        assert_string_equal(check(), "");
    account->failed++; /* it begins to wait anew */
    for (unsigned i = 0; i < OUTAGES_QUIET; i++)
        assert_string_equal(check(), "");
    assert_non_null(
        strstr(check(), "no error from 192.0.2.1:9514, shard 1 of group A, for a minute"));
    assert_string_equal(check(), "");
}

static void errors_before_the_first_check_are_old(void **state)
{
    struct account *account = hold(1, 1);

    (void)state;
    account->failed = 1000;
    account->refused = 1000;
    assert_string_equal(check(), "");
    assert_string_equal(check(), "");
}

static void an_account_that_is_used_again_is_another(void **state)
{
    struct account *account = hold(1, 2);

    (void)state;
    check();
    account->refused = 7;
    assert_int_equal(count_lines(check()), 1);
    accounts_release(accounts, account);
    accounts_forget(accounts);
    assert_string_equal(check(), "");
    hold(1, 1);
    assert_string_equal(check(), "");
}

static void many_are_logged_a_few_at_a_time(void **state)
{
    struct account *all[3 * OUTAGES_LINES];
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < LENGTH(all); i++)
        all[i] = hold(i + 1, LENGTH(all));
    check();
    for (unsigned i = 0; i < LENGTH(all); i++)
        all[i]->refused++;
    for (unsigned i = 0; i < LENGTH(all) / OUTAGES_LINES; i++) {
        unsigned more = count_lines(check());
        assert_int_equal(more, OUTAGES_LINES);
        lines += more;
    }
    assert_int_equal(lines, LENGTH(all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_trouble_is_logged_once),
        TEST(what_the_kernel_does_not_take_has_another_cause),
        TEST(the_end_is_logged_after_a_while_without_errors),
        TEST(errors_before_the_first_check_are_old),
        TEST(an_account_that_is_used_again_is_another),
        TEST(many_are_logged_a_few_at_a_time),
    };

    return cmocka_run_group_tests_name("relay_outages", tests, NULL, NULL);
}
