/* test_keys.c - keys.h: valid and wrong key files, and checks of tags. */
#include "../support/scratch.h"

#include <errno.h>

#include "golden.h"
#include "keys.h"

#define GOLDEN_KEY_LINE "7 000102030405060708090a0b0c0d0e0f"
#define OTHER_KEY       "ffeeddccbbaa99887766554433221100"

static void write_bytes(const struct scratch *scratch, const char *bytes, size_t length)
{
    FILE *file = fopen(scratch->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(scratch->path, 0600), 0);
}

static struct keys *read_good(const struct scratch *scratch, const char *text)
{
    char problem[KEY_FILE_PROBLEM_SIZE] = "untouched";
    struct keys *keys = NULL;

    write_bytes(scratch, text, strlen(text));
    int r = keys_load(scratch->path, &keys, problem);
    if (r < 0)
        fail_msg("'%s' is refused: %s", text, problem);
    assert_string_equal(problem, "untouched");
    return keys;
}

/* Expect an error line in which `where` follows the path. */
static void refuse(const struct scratch *scratch, int error, const char *where)
{
    char problem[KEY_FILE_PROBLEM_SIZE] = "", start[256];
    struct keys *keys = (struct keys *)(uintptr_t)1;
    int r = keys_load(scratch->path, &keys, problem);

    if (r != error)
        fail_msg("keys_load returns %d, not %d: %s", r, error, problem);
    assert_ptr_equal(keys, (struct keys *)(uintptr_t)1);
    snprintf(start, sizeof(start), "%s%s", scratch->path, where);
    if (strncmp(problem, start, strlen(start)) != 0)
        fail_msg("'%s' does not begin with '%s'", problem, start);
    assert_null(strchr(problem, '\n'));
    assert_null(strstr(problem, "ffeedd"));
}

static void refuse_text(const struct scratch *scratch, const char *text, const char *where)
{
    write_bytes(scratch, text, strlen(text));
    refuse(scratch, -EBADMSG, where);
}

static void good_files(void **state)
{
    static const char *const texts[] = {
        GOLDEN_KEY_LINE "\n",
        GOLDEN_KEY_LINE, /* no newline at the end */
        "# keys\n\n  \t\n7\t000102030405060708090A0B0C0D0E0F  # the edge's\n#" GOLDEN_KEY_LINE "\n",
        "007 000102030405060708090a0b0c0d0e0f\r\n\r\n",
    };
    const struct siphash_key expected = {
        {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};

    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct keys *keys = read_good(*state, texts[i]);
        assert_int_equal(keys->count, 1);
        for (unsigned id = 0; id <= KEYS_MAX; id++)
            assert_int_equal(keys->known[id], id == 7);
        assert_memory_equal(&keys->keys[7], &expected, sizeof(expected));
        keys_free(keys);
    }
}

static void all_ids_at_once(void **state)
{
    char text[KEYS_MAX * 40];
    size_t length = 0;

    for (unsigned id = 1; id <= KEYS_MAX; id++)
        length += (size_t)sprintf(text + length, "%u %032x\n", id, id);
    struct keys *keys = read_good(*state, text);
    assert_int_equal(keys->count, KEYS_MAX);
    assert_false(keys->known[0]);
    for (unsigned id = 1; id <= KEYS_MAX; id++) {
        assert_true(keys->known[id]);
        assert_true(keys->keys[id].words[1] == (uint64_t)id << 56); /* the last byte is its id */
    }
    keys_free(keys);
}

static void bad_lines(void **state)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"0 " OTHER_KEY, ":1: "},
        {"256 " OTHER_KEY, ":1: "},
        {"0007 " OTHER_KEY, ":1: "},
        {"-7 " OTHER_KEY, ":1: "},
        {"+7 " OTHER_KEY, ":1: "},
        {"7x " OTHER_KEY, ":1: "},
        {"x " OTHER_KEY, ":1: "},
        {OTHER_KEY, ":1: "},
        {"7", ":1: "},
        {"7 " OTHER_KEY " more", ":1: "},
        {"7 " OTHER_KEY "0", ":1: "},
        {"7 ffeeddccbbaa9988776655443322110", ":1: "},
        {"7 ffeeddccbbaa998877665544332211xx", ":1: "},
        {"7 0xffeeddccbbaa99887766554433221100", ":1: "},
        {"7:" OTHER_KEY, ":1: "},
        {"7 # " OTHER_KEY, ":1: "},
        {"# one\n\n" GOLDEN_KEY_LINE "\n8 short\n", ":4: "},
        {GOLDEN_KEY_LINE "\n8 " OTHER_KEY "\n7 " OTHER_KEY "\n", ":3: a second key"},
        {"", ": has no key"},
        {"# nothing\n\n", ": has no key"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++)
        refuse_text(*state, cases[i].text, cases[i].where);
    write_bytes(*state, GOLDEN_KEY_LINE "\0\n8 " OTHER_KEY, 60);
    refuse(*state, -EBADMSG, ": has a zero byte");
}

static void long_files(void **state)
{
    char *text = malloc(65536);

    assert_non_null(text);
    memset(text, '\n', 65536);
    memcpy(text, GOLDEN_KEY_LINE, strlen(GOLDEN_KEY_LINE));
    write_bytes(*state, text, 65536);
    refuse(*state, -EFBIG, ": ");
    text[65535] = '\0';
    keys_free(read_good(*state, text));
    free(text);
}

static void other_users_must_not_have_rights(void **state)
{
    const struct scratch *scratch = *state;
    static const mode_t fine[] = {0600, 0400},
                        wrong[] = {0640, 0700, 01600, 0604, 0610, 0602, 0666};

    for (size_t i = 0; i < LENGTH(fine); i++) {
        struct keys *keys = NULL;
        char problem[KEY_FILE_PROBLEM_SIZE];
        write_bytes(scratch, GOLDEN_KEY_LINE, strlen(GOLDEN_KEY_LINE));
        assert_int_equal(chmod(scratch->path, fine[i]), 0);
        assert_int_equal(keys_load(scratch->path, &keys, problem), 0);
        keys_free(keys);
    }
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        assert_int_equal(chmod(scratch->path, wrong[i]), 0);
        refuse(scratch, -EPERM, ": its mode gives more");
    }
    if (geteuid() != 0)
        return; /* only root can change the owner */
    assert_int_equal(chmod(scratch->path, 0600), 0);
    assert_int_equal(chown(scratch->path, 65534, 65534), 0);
    refuse(scratch, -EPERM, ": belongs to another user");
}

static void no_files(void **state)
{
    const struct scratch *scratch = *state;

    refuse(scratch, -ENOENT, ": No such file");
    assert_int_equal(mkfifo(scratch->path, 0600), 0);
    refuse(scratch, -EINVAL, ": not a regular file");
    assert_int_equal(unlink(scratch->path), 0);
    assert_int_equal(mkdir(scratch->path, 0700), 0);
    refuse(scratch, -EINVAL, ": not a regular file");
}

static enum wire_reason verify(const struct keys *keys, const struct bytes *datagram, int64_t now)
{
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat;

    assert_int_equal(wire_v1_decode(datagram->bytes, datagram->length, &scratch, &heartbeat),
                     WIRE_ACCEPTED);
    return keys_verify(keys, datagram->bytes, datagram->length, heartbeat.key_id, heartbeat.sent_at,
                       now);
}

static void tags(void **state)
{
    struct keys *right = read_good(*state, "8 " OTHER_KEY "\n" GOLDEN_KEY_LINE "\n");
    struct keys *wrong = read_good(*state, "7 " OTHER_KEY);
    struct keys *missing = read_good(*state, "8 000102030405060708090a0b0c0d0e0f");
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    struct bytes unsigned_one = bytes_from_hex(GOLDEN_LABELS_HEX);

    assert_int_equal(verify(right, &datagram, GOLDEN_SENT_AT), WIRE_ACCEPTED);
    assert_int_equal(verify(wrong, &datagram, GOLDEN_SENT_AT), WIRE_UNAUTHENTICATED);
    assert_int_equal(verify(missing, &datagram, GOLDEN_SENT_AT), WIRE_UNAUTHENTICATED);
    assert_int_equal(verify(right, &unsigned_one, 0), WIRE_UNAUTHENTICATED);
    assert_int_equal(verify(missing, &datagram, 0), WIRE_UNAUTHENTICATED); /* before stale */

    /* Any change that keeps the shape breaks the tag. Byte 7 is the key's
     * id, 8 to 11 the time, 31 on the visitor, and the last eight the tag. */
    static const uint32_t offsets[] = {7, 8, 11, 20, 30, 31, 46, 47, 54};
    for (size_t i = 0; i < LENGTH(offsets); i++) {
        datagram.bytes[offsets[i]] ^= 1;
        if (verify(right, &datagram, GOLDEN_SENT_AT) != WIRE_UNAUTHENTICATED)
            fail_msg("byte %u can be changed", offsets[i]);
        datagram.bytes[offsets[i]] ^= 1;
    }
    /* A missing key is not a key of zeros. */
    memset(datagram.bytes + 8, 0, 4);
    siphash_tag((struct siphash_key){0}, datagram.bytes, datagram.length - WIRE_TAG_SIZE,
                datagram.bytes + datagram.length - WIRE_TAG_SIZE);
    assert_int_equal(verify(missing, &datagram, 0), WIRE_UNAUTHENTICATED);
    bytes_free(&datagram);
    bytes_free(&unsigned_one);
    keys_free(right);
    keys_free(wrong);
    keys_free(missing);
}

static void stale_after_30_s_either_way(void **state)
{
    struct keys *keys = read_good(*state, GOLDEN_KEY_LINE);
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);

    for (int64_t difference = -29; difference <= 30; difference++)
        assert_int_equal(verify(keys, &datagram, GOLDEN_SENT_AT + difference), WIRE_ACCEPTED);
    static const int64_t stale[] = {31, 3600, INT64_C(1) << 32, INT64_C(1) << 40, -31, -3600};
    for (size_t i = 0; i < LENGTH(stale); i++)
        assert_int_equal(verify(keys, &datagram, GOLDEN_SENT_AT + stale[i]), WIRE_STALE);
    assert_int_equal(verify(keys, &datagram, GOLDEN_SENT_AT - 30), WIRE_ACCEPTED);
    assert_int_equal(verify(keys, &datagram, 0), WIRE_STALE);
    bytes_free(&datagram);
    keys_free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(good_files),
        SCRATCH_TEST(all_ids_at_once),
        SCRATCH_TEST(bad_lines),
        SCRATCH_TEST(long_files),
        SCRATCH_TEST(other_users_must_not_have_rights),
        SCRATCH_TEST(no_files),
        SCRATCH_TEST(tags),
        SCRATCH_TEST(stale_after_30_s_either_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
