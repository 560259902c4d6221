/* test_key_file.c - key_file.h: keys as people write them, lines of a file, and its rights.
 * test_keys.c has more wrong files. */
#include "../support/scratch.h"

#include <errno.h>
#include <grp.h>

#include "common/key_file.h"

#define HEX "000102030405060708090A0B0C0D0E0f"

static void keys_have_an_id_and_32_digits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char separator;
        int id; /* 0: refused */
    } cases[] = {
        {"7 " HEX, ' ', 7},   {"255 \t " HEX, ' ', 255},  {"007 " HEX " # x", ' ', 7},
        {"7:" HEX, ':', 7},   {"1:" HEX "  ", ':', 1},    {"7 " HEX, ':', 0},
        {"7:" HEX, ' ', 0},   {"7::" HEX, ':', 0},        {"7" HEX, ' ', 0},
        {"0 " HEX, ' ', 0},   {"256 " HEX, ' ', 0},       {"0007 " HEX, ' ', 0},
        {"-7 " HEX, ' ', 0},  {" 7 " HEX, ' ', 0},        {"7 " HEX "0", ' ', 0},
        {"7 0x" HEX, ' ', 0}, {"7 " HEX " more", ' ', 0}, {"7:", ':', 0},
        {"", ' ', 0},         {":" HEX, ':', 0},          {"7 " HEX "#x", ' ', 7},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct key key = {.id = 99};
        int r = key_parse(cases[i].text, cases[i].separator, &key);
        if (r != (cases[i].id ? 0 : -EINVAL) || key.id != (cases[i].id ? cases[i].id : 99))
            fail_msg("'%s': %d, id %d", cases[i].text, r, key.id);
        for (uint8_t j = 0; cases[i].id && j < KEY_SIZE; j++)
            assert_int_equal(key.bytes[j], j);
    }
}

static struct scratch scratch;

static int open_scratch(void **state)
{
    (void)state;
    scratch_open(&scratch);
    return 0;
}

static int close_scratch(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

static void write_text(const char *text, mode_t mode)
{
    FILE *file = fopen(scratch.path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(scratch.path, mode), 0);
}

static void lines_are_numbered_and_comments_skipped(void **state)
{
    (void)state;
    const char *problem = NULL;
    struct key_file file;

    write_text("# keys\n\n  one # is kept\r\n \t# not this\ntwo\n\nthree", 0600);
    assert_int_equal(key_file_open(scratch.path, &file, &problem), 0);
    assert_string_equal(key_file_line(&file), "one # is kept");
    assert_int_equal(file.line, 3);
    assert_string_equal(key_file_line(&file), "two");
    assert_int_equal(file.line, 5);
    assert_string_equal(key_file_line(&file), "three");
    assert_int_equal(file.line, 7);
    assert_null(key_file_line(&file));
    assert_null(key_file_line(&file));
    key_file_close(&file);
    key_file_close(&file);
    assert_null(problem);
}

static int open_error(void)
{
    const char *problem = NULL;
    struct key_file file;
    int r = key_file_open(scratch.path, &file, &problem);

    if (r == 0)
        key_file_close(&file);
    assert_int_equal(r < 0, problem != NULL);
    return r;
}

/* 0640 is for the group `presence`, which the machine may not have. */
static void only_the_owner_and_a_group_may_read(void **state)
{
    (void)state;
    const struct group *presence = getgrnam("presence");

    write_text("key\n", 0600);
    assert_int_equal(open_error(), 0);
    assert_int_equal(chmod(scratch.path, 0400), 0);
    assert_int_equal(open_error(), 0);
    for (mode_t right = 1; right <= 020; right *= 2) {
        assert_int_equal(chmod(scratch.path, 0600 | right), 0);
        assert_int_equal(open_error(), -EPERM);
    }
    assert_int_equal(chmod(scratch.path, 0640), 0);
    assert_int_equal(open_error(), -EPERM); /* our own file needs no group */
    if (geteuid() != 0)
        return;
    if (presence) {
        assert_int_equal(chown(scratch.path, 0, presence->gr_gid), 0);
        assert_int_equal(open_error(), 0);
    }
    assert_int_equal(chown(scratch.path, 65534, 65534), 0);
    assert_int_equal(chmod(scratch.path, 0600), 0);
    assert_int_equal(open_error(), -EPERM);
}

/* A group of ours is no proof that it is for keys: root's own is everybody's who runs a service. */
static void other_groups_are_not_trusted(void **state)
{
    (void)state;
    const gid_t group = 12345;

    if (geteuid() != 0)
        return;
    assert_int_equal(chmod(scratch.directory, 0755), 0);
    write_text("key\n", 0640);
    assert_int_equal(chown(scratch.path, 0, group), 0);
    assert_int_equal(setgroups(1, &group), 0);
    assert_int_equal(seteuid(65534), 0);
    int by_group = open_error();
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(scratch.path, 0644), 0);
    assert_int_equal(seteuid(65534), 0);
    int by_all = open_error();
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(by_group, -EPERM);
    assert_int_equal(by_all, -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_an_id_and_32_digits),
        cmocka_unit_test(lines_are_numbered_and_comments_skipped),
        cmocka_unit_test(only_the_owner_and_a_group_may_read),
        cmocka_unit_test(other_groups_are_not_trusted),
    };
    return cmocka_run_group_tests_name("key_file", tests, open_scratch, close_scratch);
}
