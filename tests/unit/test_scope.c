/* test_scope.c - scope.h and scope_name.h: finding scopes, in chains of any kind. */
#include "../support/memory_segment.h"

#include <unistd.h>

#include <core/scope_name.h>

#define CAPACITY 64

static const uint64_t secret[HASH_KEY_WORDS] = {11, 22, 33, 44, 55, 66};

static int open_directory(void **state)
{
    struct segment *segment = malloc(sizeof(*segment));

    assert_non_null(segment);
    *segment = memory_segment_open(1000, CAPACITY, 3600);
    *state = segment;
    alarm(120); /* ends a walk that does not end */
    return 0;
}

static int close_directory(void **state)
{
    alarm(0);
    memory_segment_close(*state);
    free(*state);
    return 0;
}

static struct directory *directory_of(void **state)
{
    return &((struct segment *)*state)->directory;
}

static struct scope_name site_name(const char *text)
{
    return scope_name_site(secret, (const uint8_t *)text, (uint32_t)strlen(text));
}

/* Give an entry a name and a state, without linking it. */
static void put(struct directory *directory, uint32_t index, const struct scope_name *name,
                uint64_t state)
{
    struct scope_entry *entry = &directory->entries[index];

    entry->state = state;
    entry->hash = name->hash;
    entry->site = name->kind == SCOPE_SITE ? index : name->site;
    entry->kind = (uint8_t)name->kind;
    entry->name_length = (uint8_t)name->length;
    memcpy(entry->name, name->bytes, name->length);
}

static void link_first(struct directory *directory, uint32_t index)
{
    uint32_t *head = scope_head(directory, directory->entries[index].hash);

    directory->entries[index].next = *head;
    *head = index + 1;
}

static void expect_found(const struct directory *directory, const struct scope_name *name,
                         uint32_t expected)
{
    uint64_t state = 0xabcdef;
    uint32_t index = scope_find(directory, name, &state);

    if (index != expected)
        fail_msg("'%.*s' is entry %d, not %d", (int)name->length, (const char *)name->bytes,
                 (int)index, (int)expected);
    assert_int_equal(state, index == SCOPE_NONE ? 0xabcdef : directory->entries[index].state);
}

static void scopes_are_found_by_all_of_their_name(void **state)
{
    struct directory *directory = directory_of(state);
    uint8_t longest[SCOPE_NAME_MAX];
    memset(longest, 'x', sizeof(longest));
    struct scope_name site = site_name("example.com"), other = site_name("example.org");
    const struct scope_name names[] = {
        site,
        other,
        scope_name_label(&site, 0, SCOPE_ROOM, (const uint8_t *)"DE", 2),
        scope_name_label(&site, 0, SCOPE_COUNTRY, (const uint8_t *)"DE", 2),
        scope_name_label(&site, 0, SCOPE_SOURCE, (const uint8_t *)"DE", 2),
        scope_name_label(&other, 1, SCOPE_ROOM, (const uint8_t *)"DE", 2),
        scope_name_label(&site, 0, SCOPE_ROOM, (const uint8_t *)"D", 1),
        scope_name_label(&site, 0, SCOPE_ROOM, longest, sizeof(longest)),
        scope_name_label(&site, 0, SCOPE_ROOM, longest, sizeof(longest) - 1),
    };

    for (uint32_t i = 0; i < LENGTH(names); i++) {
        expect_found(directory, &names[i], SCOPE_NONE);
        put(directory, i, &names[i], (i * SCOPE_GENERATION) | SCOPE_LIVE);
        link_first(directory, i);
        for (uint32_t j = 0; j < i; j++)
            assert_true(names[i].hash != names[j].hash);
    }
    for (uint32_t i = 0; i < LENGTH(names); i++)
        expect_found(directory, &names[i], i);
    struct scope_name absent = site_name("example.co");
    expect_found(directory, &absent, SCOPE_NONE);
}

/* If all hashes are equal, the rest of the name still decides. */
static void equal_hashes_are_told_apart(void **state)
{
    struct directory *directory = directory_of(state);
    const uint8_t *a = (const uint8_t *)"aa", *b = (const uint8_t *)"ab";
    const struct scope_name names[] = {
        {.hash = 77, .bytes = a, .length = 2, .site = SCOPE_NONE, .kind = SCOPE_SITE},
        {.hash = 77, .bytes = b, .length = 2, .site = SCOPE_NONE, .kind = SCOPE_SITE},
        {.hash = 77, .bytes = a, .length = 1, .site = SCOPE_NONE, .kind = SCOPE_SITE},
        {.hash = 77, .bytes = a, .length = 2, .site = 0, .kind = SCOPE_ROOM},
        {.hash = 77, .bytes = a, .length = 2, .site = 0, .kind = SCOPE_SOURCE},
        {.hash = 77, .bytes = a, .length = 2, .site = 1, .kind = SCOPE_ROOM},
        {.hash = 77 + (UINT64_C(1) << 32), .bytes = a, .length = 2, .kind = SCOPE_SITE},
    };

    for (unsigned order = 0; order < 2; order++) {
        *scope_head(directory, 77) = 0;
        for (uint32_t i = 0; i < LENGTH(names); i++) {
            uint32_t index = order ? (uint32_t)LENGTH(names) - 1 - i : i;
            put(directory, index, &names[index], SCOPE_LIVE);
            link_first(directory, index);
        }
        for (uint32_t i = 0; i < LENGTH(names); i++)
            expect_found(directory, &names[i], i);
    }
    struct scope_name absent = {.hash = 77, .bytes = a, .length = 2, .site = 2, .kind = SCOPE_ROOM};
    expect_found(directory, &absent, SCOPE_NONE);
    absent.kind = SCOPE_COUNTRY;
    absent.site = 0;
    expect_found(directory, &absent, SCOPE_NONE);
}

static void free_entries_are_passed_over(void **state)
{
    struct directory *directory = directory_of(state);
    const struct scope_name name = site_name("example.com");

    /* The first in the chain is freed but not unlinked yet, the second is retiring. */
    put(directory, 5, &name, 2 * SCOPE_GENERATION | SCOPE_RETIRING);
    link_first(directory, 5);
    put(directory, 9, &name, 7 * SCOPE_GENERATION | SCOPE_FREE);
    link_first(directory, 9);
    expect_found(directory, &name, 5);
    directory->entries[5].state = 3 * SCOPE_GENERATION | SCOPE_FREE;
    expect_found(directory, &name, SCOPE_NONE);
    directory->entries[9].state = 7 * SCOPE_GENERATION | SCOPE_LIVE;
    expect_found(directory, &name, 9);
}

/* A damaged or hostile directory: every walk ends, and none leaves the entries. */
static void walks_are_bounded(void **state)
{
    struct directory *directory = directory_of(state);
    const struct scope_name name = site_name("example.com"), other = site_name("other.example");
    static const uint32_t wild[] = {CAPACITY + 1, CAPACITY + 2, 1u << 31, UINT32_MAX - 1,
                                    UINT32_MAX};
    uint32_t *head = scope_head(directory, name.hash);

    for (size_t i = 0; i < LENGTH(wild); i++) {
        *head = wild[i];
        expect_found(directory, &name, SCOPE_NONE);
        put(directory, 0, &other, SCOPE_LIVE);
        directory->entries[0].next = wild[i];
        *head = 1;
        expect_found(directory, &name, SCOPE_NONE);
    }
    /* One beyond the last is not found, the last one is. */
    put(directory, CAPACITY - 1, &name, SCOPE_LIVE);
    *head = CAPACITY;
    directory->capacity = CAPACITY - 1;
    expect_found(directory, &name, SCOPE_NONE);
    directory->capacity = CAPACITY;
    expect_found(directory, &name, CAPACITY - 1);

    /* Loops: of one, of two, and of all but one. */
    put(directory, CAPACITY - 1, &other, SCOPE_LIVE);
    directory->entries[0].next = 1;
    *head = 1;
    expect_found(directory, &name, SCOPE_NONE);
    directory->entries[0].next = CAPACITY;
    directory->entries[CAPACITY - 1].next = 1;
    expect_found(directory, &name, SCOPE_NONE);
    for (uint32_t i = 0; i < CAPACITY; i++) {
        put(directory, i, &other, SCOPE_LIVE);
        directory->entries[i].next = i + 2 < CAPACITY ? i + 2 : 1;
    }
    expect_found(directory, &name, SCOPE_NONE);

    /* A chain of all entries is walked to its end. */
    for (uint32_t i = 0; i < CAPACITY; i++)
        directory->entries[i].next = i + 1 < CAPACITY ? i + 2 : 0;
    put(directory, CAPACITY - 1, &name, SCOPE_LIVE);
    expect_found(directory, &name, CAPACITY - 1);

    /* Any garbage. */
    uint64_t random = random_seed("garbage");
    for (unsigned run = 0; run < 2000; run++) {
        uint64_t *words = (uint64_t *)(void *)directory->entries;
        for (size_t i = 0; i < CAPACITY * sizeof(struct scope_entry) / sizeof(uint64_t); i++)
            words[i] = random_next(&random);
        for (uint32_t i = 0; i < CAPACITY; i++) {
            directory->entries[i].hash = name.hash;
            directory->entries[i].next = (uint32_t)random_next(&random) % (CAPACITY + 2);
        }
        *head = 1;
        expect_found(directory, &name, SCOPE_NONE);
    }
}

static void generations_tell_that_an_entry_has_changed(void **state)
{
    struct directory *directory = directory_of(state);
    struct scope_entry *entry = &directory->entries[3];
    const uint64_t now = 4 * SCOPE_GENERATION;
    static const struct {
        uint64_t before, after;
        bool same;
    } cases[] = {
        {SCOPE_LIVE, SCOPE_LIVE, true},
        {SCOPE_LIVE, SCOPE_RETIRING, true},
        {SCOPE_RETIRING, SCOPE_LIVE, true},
        {SCOPE_RETIRING, SCOPE_RETIRING, true},
        {SCOPE_LIVE, SCOPE_FREE, false},
        {SCOPE_RETIRING, SCOPE_GENERATION | SCOPE_FREE, false},
        {SCOPE_LIVE, SCOPE_GENERATION | SCOPE_LIVE, false},
        {SCOPE_LIVE, SCOPE_GENERATION | SCOPE_RETIRING, false},
        {SCOPE_LIVE, (UINT64_C(1) << 60) | SCOPE_LIVE, false},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        entry->state = now + cases[i].after;
        if (scope_is_same(entry, now + cases[i].before) != cases[i].same)
            fail_msg("case %zu", i);
    }
}

/* A label's hash and key come from its site's name and the secret, not from the site's index. */
static void names_hash_by_secret_site_and_kind(void **state)
{
    (void)state;
    static const uint64_t other_secret[HASH_KEY_WORDS] = {12, 22, 33, 44, 55, 66};
    const uint8_t *text = (const uint8_t *)"example.com";
    struct scope_name site = scope_name_site(secret, text, 11);
    struct scope_key site_key = scope_key_derive(secret, NULL, &site);
    struct scope_name room = scope_name_label(&site, 3, SCOPE_ROOM, text, 11);
    struct scope_name moved = scope_name_label(&site, 4, SCOPE_ROOM, text, 11);
    struct scope_key room_key = scope_key_derive(secret, &site_key, &room);
    struct scope_key moved_key = scope_key_derive(secret, &site_key, &moved);

    assert_true(site.hash != scope_name_site(other_secret, text, 11).hash);
    assert_true(site.hash == scope_name_site(secret, text, 11).hash);
    assert_int_equal(site.kind, SCOPE_SITE);
    assert_int_equal(site.length, 11);
    assert_ptr_equal(site.bytes, text);
    assert_int_equal(room.site, 3);
    assert_int_equal(room.kind, SCOPE_ROOM);
    assert_true(room.hash == moved.hash && room.hash != site.hash);
    assert_memory_equal(&room_key, &moved_key, sizeof(room_key));
    for (unsigned i = 0; i < HASH_KEY_WORDS; i++) {
        assert_true(room_key.words[i] != site_key.words[i]);
        for (unsigned j = 0; j < i; j++)
            assert_true(site_key.words[i] != site_key.words[j]);
    }
}

/* Of any length, and wherever they differ: names are compared eight bytes at a time. */
static void names_differ_in_any_byte(void **state)
{
    uint8_t name[40], other[40];

    (void)state;
    for (uint32_t i = 0; i < sizeof(name); i++)
        name[i] = (uint8_t)('a' + i % 26);
    for (uint32_t length = 1; length <= sizeof(name); length++) {
        memcpy(other, name, sizeof(name));
        assert_true(scope_bytes_equal(name, other, length));
        for (uint32_t i = 0; i < length; i++) {
            other[i] ^= 1;
            assert_false(scope_bytes_equal(name, other, length));
            other[i] ^= 1;
        }
    }
}

/* R6: within the window, up to the second in which it has passed. A batch may be ahead. */
static void refusals_hold_for_a_window(void **state)
{
    const uint64_t ticks[] = {0, 1000, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(5) << 32};

    (void)state;
    for (unsigned i = 0; i < LENGTH(ticks); i++) {
        const uint32_t mark = refusal_mark(ticks[i]);
        if (mark == 0)
            continue; /* once in 136 years */
        assert_true(refusal_is_within(mark, ticks[i], 1));
        assert_false(refusal_is_within(mark, ticks[i] + 1, 1));
        assert_true(refusal_is_within(mark, ticks[i] + 299, 300));
        assert_false(refusal_is_within(mark, ticks[i] + 300, 300));
        assert_true(ticks[i] < 2 || refusal_is_within(mark, ticks[i] - 2, 1));
    }
    assert_false(refusal_is_within(0, 5, 3600));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_directory, close_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scopes_are_found_by_all_of_their_name),
        TEST(equal_hashes_are_told_apart),
        TEST(free_entries_are_passed_over),
        TEST(walks_are_bounded),
        TEST(generations_tell_that_an_entry_has_changed),
        TEST(names_hash_by_secret_site_and_kind),
        TEST(names_differ_in_any_byte),
        TEST(refusals_hold_for_a_window),
    };
    return cmocka_run_group_tests_name("scope", tests, NULL, NULL);
}
