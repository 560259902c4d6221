/* test_mutations.c - compare the decoders with the judge: every small change of valid datagrams,
 * and nearly two million random ones. TEST_SEED repeats a run. */
#include "../unit/golden.h"
#include "compare.h"
#include "generate.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CASES         600000 /* of each kind */

static uint64_t seed;

static const char *const natives[] = {
    GOLDEN_LABELS_HEX,
    GOLDEN_SIGNED_HEX,
    /* an event with every field: a.b, /caf\u00e9, t.co, buy, FR, key 9 */
    "50480104003c01096955b9000001030604034652612e622f636166c3a9742e636f627579" GOLDEN_VISITOR_HEX
        GOLDEN_TAG_HEX,
    /* not in canonical form: A.b, //a//b/, T.co */
    "5048010100320000000000000001030704000000412e622f2f612f2f622f542e636f" GOLDEN_VISITOR_HEX,
    GOLDEN_V2_HEX,
    GOLDEN_V2_SIGNED_HEX,
    GOLDEN_V2_EMPTY_HEX,
    /* no stream, key 9, names A.b, //a//b/ and \u00e9: an event there, by itself, from FR; then a
     * leave of two visitors */
    "50480201007309036955b900000000000000000000000000000201ff03412e62072f2f612f2f622f"
    "02c3a90401020203014652" GOLDEN_VISITOR_HEX
    "0201020000020000" GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX GOLDEN_TAG_HEX,
};

static const char *const texts[] = {
    "PH1 site=example.com visitor=visitor-42",
    "PH1 site=example.com visitor=" GOLDEN_VISITOR_TEXT " room=/pricing country=DE kind=leave",
    "<190>Nov 22 03:56:23 presence: PH1 site=\"a.example\" visitor=\"" GOLDEN_VISITOR_TEXT
    "\" room=\"/\"",
    "<134>Nov 22 03:55:11 haproxy[8009]: PH1 site=Example.COM visitor=9B2D6F2E1C3A country=de\n",
    "<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - PH1 visitor=v site=s event=buy\n",
    "PH1 visitor=\" v\\u0020w\" site=\"\\u0045x\" room=\"\\u00e9 \\ud83d\\ude00\\n\" x=\"\\\"\"",
    "PH1 kind=event event=\"a b\" site=a visitor=v room=- source=\"\" country=\"-\"\r\n",
    "PH1 site=a visitor=\"\\xc3\\xa9\" room=\"/caf\\xC3\\xa9//\" source=\"A\\x2eB\" country=t1",
    ("93 <190>1 2026-11-22T03:56:23Z e p - - [x@1 y=\"1\"] \xef\xbb\xbfPH1 site=a visitor=v "
     "room=//a/b//"),
    "<190>p\tPH1 site=a room=\"/\\q\\\"\" source=\"\\ud800\" visitor=v u=\"\\z\"y country=\"DE",
    "PH1 site=a visitor=undefined0 room=/a// event=e source=News.Example country=xy",
    "PH1 site=a visitor=00000000-0000-0000-0000-000000000001",
    "PH1 site=a visitor=\xc3\xa9 room=\xe2\x82\xac\xf0\x9f\x98\x80 source=\xc2\x85 a=b a=c",
};

static void require(const uint8_t *datagram, uint32_t length)
{
    if (!compare_datagram(datagram, length))
        fail_msg("seed %" PRIu64 ": see above", seed);
}

/* Try every truncation, every extension by a byte, and every byte at every offset. */
static void mutate(const struct bytes *golden)
{
    uint8_t *bytes = malloc(golden->length + 1);
    memcpy(bytes, golden->bytes, golden->length);
    for (uint32_t length = 0; length <= golden->length; length++)
        require(bytes, length);
    for (uint32_t byte = 0; byte < 256; byte++) {
        bytes[golden->length] = (uint8_t)byte;
        require(bytes, golden->length + 1);
    }
    for (uint32_t place = 0; place < golden->length; place++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            bytes[place] = (uint8_t)byte;
            require(bytes, golden->length);
        }
        bytes[place] = golden->bytes[place];
    }
    free(bytes);
}

static void every_change_of_native(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(natives); i++) {
        struct bytes golden = bytes_from_hex(natives[i]);
        uint64_t before = compare_accepted();
        require(golden.bytes, golden.length);
        assert_int_equal(compare_accepted(), before + 1);
        mutate(&golden);
        bytes_free(&golden);
    }
}

static void every_change_of_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(texts); i++) {
        struct bytes golden = bytes_copy(texts[i], strlen(texts[i]));
        uint64_t before = compare_accepted();
        require(golden.bytes, golden.length);
        assert_int_equal(compare_accepted(), before + 1);
        mutate(&golden);
        bytes_free(&golden);
    }
}

static void random_datagrams(void (*generate)(struct generator *))
{
    static struct generator generator;
    uint64_t before = compare_accepted();
    generator.state = seed;
    for (uint32_t i = 0; i < CASES; i++) {
        generate(&generator);
        require(generator.bytes, generator.length);
    }
    uint64_t accepted = compare_accepted() - before;
    print_message("%" PRIu64 " of %d accepted\n", accepted, CASES);
    assert_true(accepted > CASES / 4 && accepted < CASES * 3 / 4);
}

static void random_natives(void **state)
{
    (void)state;
    random_datagrams(generate_native);
}

static void random_v2(void **state)
{
    (void)state;
    random_datagrams(generate_v2);
}

static void random_texts(void **state)
{
    (void)state;
    random_datagrams(generate_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_of_native), cmocka_unit_test(every_change_of_text),
        cmocka_unit_test(random_natives),         cmocka_unit_test(random_v2),
        cmocka_unit_test(random_texts),
    };
    const char *given = getenv("TEST_SEED");
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
