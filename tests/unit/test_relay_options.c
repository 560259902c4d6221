/* test_relay_options.c - options.h and groups.h of the relay: groups of collectors as they are
 * given, and what may become of them. What is wrong with others is in tests/e2e. */
#include "../support/scratch.h"
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>

#include "options.h"

/* Read a command line of up to 15 words that ends with NULL. */
static enum option_verdict read_words(const char *const *words, struct options *ret)
{
    char *argv[17] = {(char *)(uintptr_t) "presence-relay"};
    int argc = 1;

    memset(ret, 0, sizeof(*ret));
    for (; words[argc - 1]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    return options_read(argc, argv, -1, ret);
}

#define READ(ret, ...) read_words((const char *const[]){__VA_ARGS__, NULL}, ret)

static void defaults(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(READ(&options, "--to", "A=192.0.2.1:9514"), OPTION_RUN);
    assert_int_equal(options.endpoints.listen_count, 1);
    assert_string_equal(options.endpoints.listen[0].text, "127.0.0.1:9514");
    assert_int_equal(options.endpoints.workers, 1);
    assert_int_equal(options.group_count, 1);
    assert_string_equal(options.groups[0].name, "A");
    assert_int_equal(options.groups[0].shards, 1);
    assert_string_equal(options.groups[0].addresses[0], "192.0.2.1:9514");
    assert_null(options.key_file);
    assert_int_equal(options.hold_ms, 50);
    assert_int_equal(options.allow.count, 0);
    assert_int_equal(options.engine, RECEIVE_AUTO);
    assert_int_equal(options.listen_addresses.count, 1);
    assert_string_equal(options.listen_addresses.items[0], "127.0.0.1:9475");
    options_release(&options);
}

/* Shards are in the order given; addresses are in the form that compares. */
static void groups(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(READ(&options, "--to", " A = 192.0.2.2:09514 ,\t192.0.2.1:1", "--to",
                          "b.C_-9=[2001:DB8:0:0::1]:65535,[::ffff:192.0.2.1]:2", "--allow",
                          "10.0.0.0/8", "--hold", "1000", "--key-file", "/key"),
                     OPTION_RUN);
    assert_int_equal(options.group_count, 2);
    assert_int_equal(options.groups[0].shards, 2);
    assert_string_equal(options.groups[0].addresses[0], "192.0.2.2:9514");
    assert_string_equal(options.groups[0].addresses[1], "192.0.2.1:1");
    assert_string_equal(options.groups[1].name, "b.C_-9");
    assert_string_equal(options.groups[1].addresses[0], "[2001:db8::1]:65535");
    assert_string_equal(options.groups[1].addresses[1], "192.0.2.1:2");
    assert_int_equal(options.allow.count, 1);
    assert_int_equal(options.hold_ms, 1000);
    assert_string_equal(options.key_file, "/key");
    options_release(&options);
}

/* A path has room for as many bytes as the system allows. */
static void long_key_file(void **state)
{
    struct options options;
    char path[4097];

    (void)state;
    memset(path, '/', sizeof(path));
    path[4095] = '\0';
    assert_int_equal(READ(&options, "--to", "A=192.0.2.1:1", "--key-file", path), OPTION_RUN);
    assert_string_equal(options.key_file, path);
    options_release(&options);
    path[4095] = '/';
    path[4096] = '\0';
    assert_int_equal(READ(&options, "--to", "A=192.0.2.1:1", "--key-file", path), OPTION_WRONG);
}

/* The file's groups come first, and a value that ends with a comma goes on in the next. */
static void file(void **state)
{
    const struct scratch *scratch = *state;
    struct options options;
    FILE *text = fopen(scratch->path, "w");

    assert_non_null(text);
    fputs("to = A = 192.0.2.1:1,\n  192.0.2.2:1, 192.0.2.3:1,\n\t192.0.2.4:1\nto=B=192.0.2.5:1\n",
          text);
    assert_int_equal(fclose(text), 0);
    assert_int_equal(READ(&options, "--to", "C=192.0.2.6:1", "--config", scratch->path),
                     OPTION_RUN);
    assert_int_equal(options.group_count, 3);
    assert_int_equal(options.groups[0].shards, 4);
    assert_string_equal(options.groups[0].addresses[3], "192.0.2.4:1");
    assert_string_equal(options.groups[1].name, "B");
    assert_string_equal(options.groups[2].name, "C");
    assert_string_equal(options.config, scratch->path);
    options_release(&options);
}

static void wrong(void **state)
{
    struct options options;

    (void)state;
    assert_int_equal(READ(&options, "--hold", "5"), OPTION_WRONG);
    assert_int_equal(READ(&options, "--to", "A=192.0.2.1:1,"), OPTION_WRONG);
    assert_int_equal(READ(&options, "--to", "A=127.0.0.1:9514"), OPTION_WRONG); /* a loop */
    assert_int_equal(READ(&options, "--to", "A=127.0.0.5:1", "--listen", "0.0.0.0:1"),
                     OPTION_WRONG);
}

/* ---- changes ------------------------------------------------------------------------------ */

/* Return the options of these values of --to, at least one. */
static struct options groups_of(const char *first, const char *second)
{
    struct options options;

    if (second)
        assert_int_equal(READ(&options, "--to", first, "--to", second), OPTION_RUN);
    else
        assert_int_equal(READ(&options, "--to", first), OPTION_RUN);
    return options;
}

static void changes(void **state)
{
    static const struct {
        const char *to[2];
        bool may, are_same;
    } cases[] = {
        {{"A=192.0.2.1:1,192.0.2.2:1", "B=192.0.2.3:1"}, true, true},
        {{"B=192.0.2.3:1", "A=192.0.2.1:1,192.0.2.2:1"}, true, false},
        {{"A=192.0.2.1:1,192.0.2.2:1"}, true, false},                  /* B goes */
        {{"A=192.0.2.1:1,192.0.2.9:1", "B=192.0.2.3:1"}, true, false}, /* another machine */
        {{"A=192.0.2.8:1,192.0.2.9:1", "C=192.0.2.7:1"}, true, false},
        {{"C=192.0.2.9:1"}, true, false},
        {{"A=192.0.2.1:2,192.0.2.2:2", "B=192.0.2.3:2"}, true, false}, /* other ports */
        {{"A=192.0.2.1:1"}, false, false},                             /* other numbers of shards */
        {{"A=192.0.2.1:1,192.0.2.2:1,192.0.2.4:1"}, false, false},
        {{"A=192.0.2.8:1,192.0.2.9:1", "B=192.0.2.3:1,192.0.2.4:1"}, false, false},
        {{"A=192.0.2.2:1,192.0.2.1:1"}, false, false}, /* other places of a collector */
        {{"A=192.0.2.9:1,192.0.2.1:1"}, false, false},
        {{"A=192.0.2.1:1,192.0.2.3:1"}, false, false},
        {{"C=192.0.2.3:1"}, false, false}, /* the group has another name */
    };
    struct options from = groups_of("A=192.0.2.1:1,192.0.2.2:1", "B=192.0.2.3:1");

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct options to = groups_of(cases[i].to[0], cases[i].to[1]);
        print_message("%s %s\n", cases[i].to[0], cases[i].to[1] ? cases[i].to[1] : "");
        assert_int_equal(
            groups_check_change(from.groups, from.group_count, to.groups, to.group_count),
            cases[i].may);
        assert_int_equal(groups_are_same(from.groups, from.group_count, to.groups, to.group_count),
                         cases[i].are_same);
        options_release(&to);
    }
    options_release(&from);
}

/* ---- loops -------------------------------------------------------------------------------- */

static void loops(void **state)
{
    static const struct {
        const char *listen;
        bool is_loop;
    } cases[] = {
        {"192.0.2.1:1", true},     {"192.0.2.1:2", false}, {"192.0.2.2:1", false},
        {"0.0.0.0:1", false}, /* 192.0.2.1 is not of loopback, and nobody is asked */
        {"0.0.0.0:3", true},       {"127.0.0.1:3", false}, {"[::]:3", false},
        {"[2001:db8::1]:5", true},
    };
    struct options options = groups_of("A=192.0.2.1:1,127.0.0.2:3", "B=[2001:db8::1]:5");
    struct sockaddr_storage address;

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct endpoints_settings settings = {0};
        assert_int_equal(endpoints_add(&settings, cases[i].listen), 0);
        address = settings.listen[0].address;
        print_message("%s\n", cases[i].listen);
        assert_int_equal(groups_check_loop(options.groups, options.group_count, &address, -1),
                         cases[i].is_loop ? OPTION_WRONG : OPTION_RUN);
    }
    options_release(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(defaults), SCRATCH_TEST(groups), SCRATCH_TEST(long_key_file),
        SCRATCH_TEST(file),     SCRATCH_TEST(wrong),  SCRATCH_TEST(changes),
        SCRATCH_TEST(loops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
