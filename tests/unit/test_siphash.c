/* test_siphash.c - siphash.h: the reference's vectors, the golden tag, and tags of changed
 * input. */
#include "../support/unit.h"

#include <core/siphash.h>
#include <core/wire.h>

#include "golden.h"

/* Tags of the bytes 0, 1, 2... under the key 0, 1, ... 15, by their number: the reference
 * implementation's vectors.h, 64-bit output (github.com/veorq/SipHash). */
static const char *const vectors[] = {
    "310e0edd47db6f72", "fd67dc93c539f874", "5a4fa9d909806c0d", "2d7efbd796666785",
    "b7877127e09427cf", "8da699cd64557618", "cee3fe586e46c9cb", "37d1018bf50002ab",
    "6224939a79f5f593", "b0e4a90bdf82009e", "f3b9dd94c5bb5d7a", "a7ad6b22462fb3f4",
    "fbe50e86bc8f1e75", "903d84c02756ea14", "eef27a8e90ca23f7", "e545be4961ca29a1",
    "db9bc2577fcc2a3f", "9447be2cf5e99a69", "9cd38d96f0b3c14b", "bd6179a71dc96dbb",
    "98eea21af25cd6be", "c7673b2eb0cbf2d0", "883ea3e395675393", "c8ce5ccd8c030ca8",
    "94af49f6c650adb8", "eab8858ade92e1bc", "f315bb5bb835d817", "adcf6b0763612e2f",
    "a5c91da7acaa4dde", "716595876650a2a6", "28ef495c53a387ad", "42c341d8fa92d832",
    "ce7cf2722f512771", "e37859f94623f3a7", "381205bb1ab0e012", "ae97a10fd434e015",
    "b4a31508beff4d31", "81396229f0907902", "4d0cf49ee5d4dcca", "5c73336a76d8bf9a",
    "d0a704536ba93e0e", "925958fcd6420cad", "a915c29bc8067318", "952b79f3bc0aa6d4",
    "f21df2e41d4535f9", "87577519048f53a9", "10a56cf5dfcd9adb", "eb75095ccd986cd0",
    "51a9cb9ecba312e6", "96afadfc2ce666c7", "72fe52975a4364ee", "5a1645b276d592a1",
    "b274cb8ebf87870a", "6f9bb4203de7b381", "eaecb2a30b22a87f", "9924a43cc1315724",
    "bd838d3aafbf8db7", "0b1a2a3265d51aea", "135079a3231ce660", "932b2846e4d70666",
    "e1915f5cb1eca46c", "f325965ca16d629f", "575ff28e60381be5", "724506eb4c328a95",
};

static struct siphash_key counting_key(void)
{
    uint8_t bytes[SIPHASH_KEY_SIZE];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    return siphash_key(bytes);
}

static void reference_vectors(void **state)
{
    uint8_t counting[LENGTH(vectors)], tag[SIPHASH_TAG_SIZE];

    (void)state;
    for (uint32_t i = 0; i < LENGTH(vectors); i++)
        counting[i] = (uint8_t)i;
    for (uint32_t length = 0; length < LENGTH(vectors); length++) {
        struct bytes message = bytes_copy(counting, length);
        struct bytes expected = bytes_from_hex(vectors[length]);
        siphash_tag(counting_key(), message.bytes, length, tag);
        if (memcmp(tag, expected.bytes, sizeof(tag)) != 0)
            fail_msg("the tag of %u bytes is wrong", length);
        assert_true(siphash_tag_matches(counting_key(), message.bytes, length, tag));
        bytes_free(&message);
        bytes_free(&expected);
    }
}

static void golden_datagram(void **state)
{
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    uint32_t signed_length = datagram.length - WIRE_TAG_SIZE;
    uint8_t tag[SIPHASH_TAG_SIZE];

    (void)state;
    assert_int_equal(SIPHASH_TAG_SIZE, WIRE_TAG_SIZE);
    siphash_tag(counting_key(), datagram.bytes, signed_length, tag);
    assert_memory_equal(tag, datagram.bytes + signed_length, sizeof(tag));
    bytes_free(&datagram);
}

static bool is_golden(const struct bytes *datagram, struct siphash_key key)
{
    return siphash_tag_matches(key, datagram->bytes, datagram->length - WIRE_TAG_SIZE,
                               datagram->bytes + datagram->length - WIRE_TAG_SIZE);
}

static void every_bit_counts(void **state)
{
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    struct siphash_key key = counting_key();

    (void)state;
    assert_true(is_golden(&datagram, key));
    for (uint32_t bit = 0; bit < datagram.length * 8; bit++) {
        datagram.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (is_golden(&datagram, key))
            fail_msg("bit %u of the datagram can be changed", bit);
        datagram.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (uint32_t bit = 0; bit < 128; bit++) {
        key.words[bit / 64] ^= UINT64_C(1) << bit % 64;
        if (is_golden(&datagram, key))
            fail_msg("bit %u of the key does not matter", bit);
        key.words[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
    bytes_free(&datagram);
}

/* Longer than the last word can encode: it has only the length's lowest byte. The tags are from an
 * independent implementation, in another language. */
static void long_messages(void **state)
{
    static const struct {
        uint32_t length;
        const char *tag;
    } cases[] = {{300, "ce6f9c9968287765"}, {65535, "e3fd78c187d59a1f"}};
    struct bytes message = bytes_copy((uint8_t[65535]){0}, 65535);

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes tag = bytes_from_hex(cases[i].tag);
        if (!siphash_tag_matches(counting_key(), message.bytes, cases[i].length, tag.bytes))
            fail_msg("the tag of %u zero bytes is wrong", cases[i].length);
        bytes_free(&tag);
    }
    bytes_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_vectors),
        cmocka_unit_test(golden_datagram),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(long_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
