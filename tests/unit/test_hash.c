/* test_hash.c - hash.h: the product, and how evenly visitors spread over the table. */
#include "../support/unit.h"

/* Include the header again, under other names and without 128-bit integers. */
#define __bpf__
#define scope_key     portable_scope_key
#define hash_product  portable_product
#define hash_multiply portable_multiply
#define hash_fold     portable_fold
#define hash128       portable_hash128
#define hash_visitor  portable_visitor
#include <core/hash.h>
#undef __bpf__
#undef scope_key
#undef hash_product
#undef hash_multiply
#undef hash_fold
#undef hash128
#undef hash_visitor
#undef HASH_KEY_WORDS
#undef PRESENCE_HASH_H

#include <core/scope_name.h>
#include <core/table.h>

#define IDS   (1u << 16)
#define PAIRS 61 /* not a power of two, since nothing may depend on one */

/* Multiply by hand, in digits of 16 bits. */
static struct hash_product schoolbook(uint64_t a, uint64_t b)
{
    uint32_t digits[8] = {0};

    for (unsigned i = 0; i < 4; i++) {
        uint32_t carry = 0;
        for (unsigned j = 0; j < 4; j++) {
            uint32_t product = (uint32_t)(a >> 16 * i & 0xffff) * (uint32_t)(b >> 16 * j & 0xffff);
            uint64_t sum = (uint64_t)product + digits[i + j] + carry;
            digits[i + j] = (uint32_t)(sum & 0xffff);
            carry = (uint32_t)(sum >> 16);
        }
        digits[i + 4] = carry;
    }
    struct hash_product product = {0, 0};
    for (unsigned i = 0; i < 4; i++) {
        product.low |= (uint64_t)digits[i] << 16 * i;
        product.high |= (uint64_t)digits[i + 4] << 16 * i;
    }
    return product;
}

static void check_product(uint64_t a, uint64_t b)
{
    struct hash_product expected = schoolbook(a, b);
    struct hash_product wide = hash_multiply(a, b);
    struct portable_product portable = portable_multiply(a, b);

    if (wide.low != expected.low || wide.high != expected.high)
        fail_msg("%#llx * %#llx is wrong", (unsigned long long)a, (unsigned long long)b);
    if (portable.low != expected.low || portable.high != expected.high)
        fail_msg("%#llx * %#llx is wrong without 128-bit integers", (unsigned long long)a,
                 (unsigned long long)b);
}

static void products_are_right_both_ways(void **state)
{
    (void)state;
    uint64_t random = random_seed("products");
    uint64_t edges[64 * 3];

    for (unsigned i = 0; i < 64; i++) {
        edges[3 * i] = (UINT64_C(1) << i) - 1;
        edges[3 * i + 1] = UINT64_C(1) << i;
        edges[3 * i + 2] = ~(UINT64_C(1) << i);
    }
    for (size_t i = 0; i < LENGTH(edges); i++)
        for (size_t j = 0; j < LENGTH(edges); j++)
            check_product(edges[i], edges[j]);
    check_product(UINT64_MAX, UINT64_MAX);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t a = random_next(&random), b = random_next(&random);
        check_product(a, b);
        check_product(a >> (b & 63), b);
    }
}

static void visitors_hash_the_same_both_ways(void **state)
{
    (void)state;
    uint64_t random = random_seed("both ways");

    for (unsigned i = 0; i < 10000; i++) {
        uint64_t words[HASH_KEY_WORDS + 2];
        struct scope_key key;
        struct portable_scope_key portable_key;
        for (size_t j = 0; j < LENGTH(words); j++)
            words[j] = random_next(&random);
        memcpy(&key, words, sizeof(key));
        memcpy(&portable_key, words, sizeof(portable_key));
        const uint8_t *id = (const uint8_t *)&words[HASH_KEY_WORDS];
        struct hash128 wide = hash_visitor(&key, id);
        struct portable_hash128 portable = portable_visitor(&portable_key, id);
        assert_true(wide.first == portable.first && wide.second == portable.second);
    }
}

/* Ids as they occur in practice: two numbers that increase in steps. A big-endian counter is the
 * second of them reversed. */
static const struct family {
    const char *name;
    uint64_t first, first_step, second, second_step;
} families[] = {
    {"a counter at the end", 0, 0, 0, 1},
    {"a counter at the beginning", 0, 1, 0, 0},
    {"a counter in both halves", 1, 1, 1, 1},
    {"the highest bits only", 0, UINT64_C(1) << 48, 0, 0},
    {"random UUIDs but for a counter", 0x5b4f3a1c2e6f2d9bu, 0, 0x5f4e3d2c1b0a7e8du, 1},
    {"UUIDs of one host by time", 0xee113a1c00000000u, 1, 0x020011ac42029b2du, 0},
};

static void make_id(const struct family *family, uint64_t number, uint8_t id[16])
{
    uint64_t first = family->first + number * family->first_step;
    uint64_t second = family->second + number * family->second_step;

    second = __builtin_bswap64(second);
    memcpy(id, &first, 8);
    memcpy(id + 8, &second, 8);
}

static struct scope_key random_key(uint64_t *random)
{
    struct scope_key key;

    for (unsigned i = 0; i < HASH_KEY_WORDS; i++)
        key.words[i] = random_next(random);
    return key;
}

/* Check that counts are as even as those of dice: Pearson's statistic has the mean cells - 1 and
 * the variance 2 * (cells - 1); seven standard deviations are allowed. */
static void expect_even(const char *what, const struct family *family, const uint32_t *counts,
                        uint32_t cells)
{
    double expected = 0, statistic = 0, freedom = cells - 1;

    for (uint32_t i = 0; i < cells; i++)
        expected += (double)counts[i] / cells;
    for (uint32_t i = 0; i < cells; i++)
        statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    double off = statistic - freedom;
    if (off > 0 && off * off > 49 * 2 * freedom)
        fail_msg("%s of %s: chi-square is %.0f with %.0f degrees of freedom", what, family->name,
                 statistic, freedom);
}

/* Fingerprint bits 20, 28 and so on, with a pair: 8 bits each, and 3 with both pairs. */
struct spread {
    uint32_t pairs[2][PAIRS];
    uint32_t fingerprints[6][256];
    uint32_t together[2][8 * PAIRS];
    uint32_t both_pairs[PAIRS * PAIRS];
};

static void spread_evenly(void **state)
{
    (void)state;
    uint64_t random = random_seed("spread");
    struct spread *spread = malloc(sizeof(*spread));

    assert_non_null(spread);
    for (unsigned run = 0; run < 8 * LENGTH(families); run++) {
        const struct family *family = &families[run % LENGTH(families)];
        struct scope_key key = random_key(&random);
        memset(spread, 0, sizeof(*spread));
        for (uint32_t i = 0; i < IDS; i++) {
            uint8_t id[16];
            make_id(family, i, id);
            struct table_key where = table_key(hash_visitor(&key, id), PAIRS);
            for (unsigned j = 0; j < 6; j++)
                spread->fingerprints[j][where.fingerprint >> (j < 5 ? 20 + 8 * j : 56) & 255]++;
            for (unsigned j = 0; j < 2; j++) {
                spread->pairs[j][where.pair[j]]++;
                spread->together[j][where.pair[j] * 8 + (where.fingerprint >> 30 & 7)]++;
            }
            spread->both_pairs[where.pair[0] * PAIRS + where.pair[1]]++;
        }
        for (unsigned j = 0; j < 6; j++)
            expect_even("fingerprint", family, spread->fingerprints[j], 256);
        for (unsigned j = 0; j < 2; j++) {
            expect_even("pair", family, spread->pairs[j], PAIRS);
            expect_even("pair and fingerprint", family, spread->together[j], 8 * PAIRS);
        }
        /* Drop the diagonal: the pairs are different. */
        uint32_t cells = 0;
        for (uint32_t i = 0; i < PAIRS * PAIRS; i++) {
            if (i / PAIRS == i % PAIRS)
                assert_int_equal(spread->both_pairs[i], 0);
            else
                spread->both_pairs[cells++] = spread->both_pairs[i];
        }
        expect_even("both pairs", family, spread->both_pairs, cells);
    }
    free(spread);
}

static int compare_words(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Of a million fingerprints of 44 bits, 0.03 pairs are equal by chance. */
static void fingerprints_rarely_collide(void **state)
{
    (void)state;
    uint64_t random = random_seed("collisions");
    uint32_t ids = 1 << 20;
    uint64_t *fingerprints = malloc(ids * sizeof(*fingerprints));

    assert_non_null(fingerprints);
    for (size_t f = 0; f < LENGTH(families); f++) {
        struct scope_key key = random_key(&random);
        unsigned equal = 0;
        for (uint32_t i = 0; i < ids; i++) {
            uint8_t id[16];
            make_id(&families[f], i, id);
            fingerprints[i] = table_key(hash_visitor(&key, id), PAIRS).fingerprint;
        }
        qsort(fingerprints, ids, sizeof(*fingerprints), compare_words);
        for (uint32_t i = 1; i < ids; i++)
            equal += fingerprints[i] == fingerprints[i - 1];
        if (equal > (families[f].first_step >> 48 ? ids - (1u << 16) : 2))
            fail_msg("%s: %u equal fingerprints", families[f].name, equal);
    }
    free(fingerprints);
}

/* Unrelated hashes differ in about half of their 128 bits, and each bit in about half of the
 * cases. */
static void expect_unrelated(const char *what, struct hash128 (*left)(void *, uint64_t),
                             struct hash128 (*right)(void *, uint64_t), void *context)
{
    const unsigned cases = 4096;
    unsigned flips[128] = {0};

    for (unsigned i = 0; i < cases; i++) {
        struct hash128 a = left(context, i), b = right(context, i);
        uint64_t first = a.first ^ b.first, second = a.second ^ b.second;
        for (unsigned bit = 0; bit < 64; bit++) {
            flips[bit] += (unsigned)(first >> bit & 1);
            flips[64 + bit] += (unsigned)(second >> bit & 1);
        }
    }
    for (unsigned bit = 0; bit < 128; bit++) /* 2048, standard deviation 32 */
        if (flips[bit] < 2048 - 7 * 32 || flips[bit] > 2048 + 7 * 32)
            fail_msg("%s: bit %u flips %u times of %u", what, bit, flips[bit], cases);
}

struct two_keys {
    struct scope_key left, right;
};

static struct hash128 under_left(void *context, uint64_t number)
{
    uint8_t id[16];

    make_id(&families[0], number, id);
    return hash_visitor(&((struct two_keys *)context)->left, id);
}

static struct hash128 under_right(void *context, uint64_t number)
{
    uint8_t id[16];

    make_id(&families[0], number, id);
    return hash_visitor(&((struct two_keys *)context)->right, id);
}

static struct hash128 next_under_left(void *context, uint64_t number)
{
    return under_left(context, number + 1);
}

static struct scope_key key_of(const uint64_t *secret, const char *site, enum scope_kind kind,
                               const char *label)
{
    struct scope_name name = scope_name_site(secret, (const uint8_t *)site, (uint32_t)strlen(site));
    struct scope_key site_key = scope_key_derive(secret, NULL, &name);

    if (kind == SCOPE_SITE)
        return site_key;
    struct scope_name label_name =
        scope_name_label(&name, 0, kind, (const uint8_t *)label, (uint32_t)strlen(label));
    return scope_key_derive(secret, &site_key, &label_name);
}

static void scopes_are_unrelated(void **state)
{
    (void)state;
    static const uint64_t secret[HASH_KEY_WORDS] = {1, 2, 3, 4, 5, 6};
    static const uint64_t other_secret[HASH_KEY_WORDS] = {2, 2, 3, 4, 5, 6};
    const struct two_keys cases[] = {
        {key_of(secret, "a.example", SCOPE_SITE, NULL),
         key_of(secret, "b.example", SCOPE_SITE, NULL)},
        {key_of(secret, "DE", SCOPE_SITE, NULL), key_of(secret, "DE", SCOPE_COUNTRY, "DE")},
        {key_of(secret, "a", SCOPE_ROOM, "DE"), key_of(secret, "a", SCOPE_COUNTRY, "DE")},
        {key_of(secret, "a", SCOPE_ROOM, "DE"), key_of(secret, "a", SCOPE_SOURCE, "DE")},
        {key_of(secret, "a", SCOPE_SOURCE, "DE"), key_of(secret, "a", SCOPE_COUNTRY, "DE")},
        {key_of(secret, "a", SCOPE_ROOM, "/"), key_of(secret, "b", SCOPE_ROOM, "/")},
        {key_of(secret, "a", SCOPE_ROOM, "/a"), key_of(secret, "a", SCOPE_ROOM, "/b")},
        {key_of(secret, "a", SCOPE_ROOM, "b"), key_of(secret, "ab", SCOPE_SITE, NULL)},
        {key_of(secret, "b", SCOPE_ROOM, "a"), key_of(secret, "a", SCOPE_ROOM, "b")},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        char what[32];
        struct two_keys keys = cases[i];
        snprintf(what, sizeof(what), "scopes, case %zu", i);
        expect_unrelated(what, under_left, under_right, &keys);
        expect_unrelated(what, under_left, next_under_left, &keys);
    }
    struct two_keys secrets = {key_of(secret, "a", SCOPE_SITE, NULL),
                               key_of(other_secret, "a", SCOPE_SITE, NULL)};
    assert_memory_not_equal(&secrets.left, &secrets.right, sizeof(secrets.left));
    assert_memory_equal(&secrets.left.words[1], &secrets.right.words[1], 5 * sizeof(uint64_t));
}

/* Each word of the secret reaches its word of the key; together they reach every bit. */
static void secrets_are_unrelated(void **state)
{
    (void)state;
    uint64_t random = random_seed("secrets");

    for (unsigned run = 0; run < 8; run++) {
        struct scope_key secret = random_key(&random), other = random_key(&random);
        struct two_keys keys = {key_of(secret.words, "a", SCOPE_SITE, NULL),
                                key_of(other.words, "a", SCOPE_SITE, NULL)};
        expect_unrelated("secrets", under_left, under_right, &keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_right_both_ways),
        cmocka_unit_test(visitors_hash_the_same_both_ways),
        cmocka_unit_test(spread_evenly),
        cmocka_unit_test(fingerprints_rarely_collide),
        cmocka_unit_test(scopes_are_unrelated),
        cmocka_unit_test(secrets_are_unrelated),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
