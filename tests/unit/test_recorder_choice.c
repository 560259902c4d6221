/* The choice of scopes that are sampled: the busiest, then those that have lost their visitors. */
#include "../support/unit.h"

#include <stdlib.h>

#include "choice.h"

#define NOW INT64_C(1000000)

/* Make entries "PREFIX0", "PREFIX1", ...; free them. */
static struct engine_entry *entries_of(const char *prefix, unsigned first, size_t length)
{
    struct engine_entry *entries = calloc(length + 1, sizeof(*entries));

    assert_non_null(entries);
    for (size_t i = 0; i < length; i++) {
        snprintf(entries[i].name, sizeof(entries[i].name), "%s%zu", prefix, first + i);
        entries[i].count = 1000000 - i;
    }
    return entries;
}

static void put_sites(struct choice *choice, unsigned first, size_t length, int64_t now)
{
    struct engine_entry *entries = entries_of("site", first, length);

    assert_int_equal(choice_put_sites(choice, entries, length, now), 0);
    free(entries);
}

static void put_rooms(struct choice *choice, size_t site, unsigned first, size_t length,
                      int64_t now)
{
    struct engine_entry *entries = entries_of("/", first, length);

    assert_int_equal(choice_put_labels(choice, site, PRESENCE_ROOM, entries, length, now), 0);
    free(entries);
}

static bool has(const struct choice_list *list, const char *name)
{
    for (size_t i = 0; i < list->length; i++)
        if (strcmp(list->scopes[i].name, name) == 0)
            return true;
    return false;
}

static void test_the_busiest_are_chosen(void **state)
{
    struct choice choice = {0};

    (void)state;
    put_sites(&choice, 0, 3, NOW);
    put_rooms(&choice, 0, 0, CHOICE_LABELS_MAX + 50, NOW);
    assert_int_equal(choice.details[0].labels[0].length, CHOICE_LABELS_MAX);
    assert_true(has(&choice.details[0].labels[0], "/99"));
    assert_false(has(&choice.details[0].labels[0], "/100"));
    put_rooms(&choice, 0, 50, CHOICE_LABELS_MAX, NOW + 60);
    assert_false(has(&choice.details[0].labels[0], "/49"));
    assert_true(has(&choice.details[0].labels[0], "/149"));
    assert_int_equal(choice_count(&choice), 3 + CHOICE_LABELS_MAX);
    choice_free(&choice);
}

/* Rooms without visitors aren't listed: they stay for a day, where there is room. */
static void test_the_idle_stay_for_a_day(void **state)
{
    struct choice choice = {0};

    (void)state;
    put_sites(&choice, 0, 1, NOW);
    put_rooms(&choice, 0, 0, 10, NOW);
    put_rooms(&choice, 0, 10, CHOICE_LABELS_MAX - 5, NOW + 60);
    assert_int_equal(choice.details[0].labels[0].length, CHOICE_LABELS_MAX);
    put_rooms(&choice, 0, 10, 3, NOW + CHOICE_IDLE_S - 1);
    assert_int_equal(choice.details[0].labels[0].length, CHOICE_LABELS_MAX);
    put_rooms(&choice, 0, 10, 3, NOW + CHOICE_IDLE_S);
    assert_int_equal(choice.details[0].labels[0].length, CHOICE_LABELS_MAX - 5);
    put_sites(&choice, 0, 0, NOW + CHOICE_IDLE_S - 1);
    assert_int_equal(choice.sites.length, 1);
    put_sites(&choice, 0, 0, NOW + CHOICE_IDLE_S);
    assert_int_equal(choice_count(&choice), 0);
    choice_free(&choice);
}

static void test_sites_keep_their_labels(void **state)
{
    struct choice choice = {0};

    (void)state;
    put_sites(&choice, 5, 2, NOW);
    put_rooms(&choice, 1, 0, 4, NOW);
    put_sites(&choice, 0, 10, NOW + 1);
    assert_int_equal(choice.sites.length, 10);
    for (size_t i = 0; i < 10; i++) {
        bool is_old = strcmp(choice.sites.scopes[i].name, "site6") == 0;
        assert_int_equal(choice.details[i].labels[0].length, is_old ? 4 : 0);
    }
    choice_free(&choice);
}

static void test_many_sites_share(void **state)
{
    struct choice choice = {0};

    (void)state;
    put_sites(&choice, 0, 1, NOW);
    put_rooms(&choice, 0, 0, CHOICE_LABELS_MAX, NOW);
    put_sites(&choice, 0, CHOICE_SITES_MAX + 100, NOW);
    assert_int_equal(choice.sites.length, CHOICE_SITES_MAX);
    size_t share = choice_share(&choice);
    assert_in_range(share, 1, CHOICE_LABELS_MAX - 1);
    for (size_t i = 0; i < choice.sites.length; i++)
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++) {
            struct engine_entry *entries = entries_of("x", 0, 200);
            assert_int_equal(choice_put_labels(&choice, i, kind, entries, 200, NOW), 0);
            free(entries);
            assert_in_range(choice_count(&choice), 1, CHOICE_SCOPES_MAX);
        }
    assert_int_equal(choice_count(&choice), CHOICE_SITES_MAX * (1 + 3 * share));
    choice_free(&choice);
    /* Sites that had many labels give them up one after the other, at their next listings. */
    put_sites(&choice, 0, 20, NOW);
    for (size_t i = 0; i < 20; i++)
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++) {
            struct engine_entry *entries = entries_of("x", 0, 200);
            assert_int_equal(choice_put_labels(&choice, i, kind, entries, 200, NOW), 0);
            free(entries);
        }
    put_sites(&choice, 0, CHOICE_SITES_MAX, NOW);
    size_t before = choice_count(&choice);
    assert_true(before > CHOICE_SCOPES_MAX);
    for (size_t i = 0; i < choice.sites.length; i++) {
        if (choice.details[i].labels[0].length == 0)
            put_rooms(&choice, i, 0, 1, NOW);
    }
    assert_int_equal(choice_count(&choice), before);
    choice_free(&choice);
}

static void test_listings_take_turns(void **state)
{
    struct choice choice = {0};
    enum presence_kind kind;
    unsigned seen = 0;

    (void)state;
    assert_int_equal(choice_take_due(&choice, NOW, true, &kind), SIZE_MAX);
    put_sites(&choice, 0, 3, NOW);
    for (int i = 0; i < 9; i++) {
        size_t site = choice_take_due(&choice, NOW + i, i % 2, &kind);
        assert_in_range(site, 0, 2);
        assert_in_range(kind, PRESENCE_ROOM, PRESENCE_SOURCE);
        seen |= 1U << (3 * site + (kind - PRESENCE_ROOM));
    }
    assert_int_equal(seen, 0x1ff);
    const int64_t later = NOW + CHOICE_EVERY_S;
    assert_int_equal(choice_take_due(&choice, later - 1, true, &kind), SIZE_MAX);
    assert_int_equal(choice_take_due(&choice, later + 8, false, &kind), SIZE_MAX);
    for (int i = 0; i < 9; i++) /* all are due: those first that have waited for longest */
        assert_int_equal(choice_take_due(&choice, later + 8, true, &kind), i / 3);
    assert_int_equal(choice_take_due(&choice, later + 8, true, &kind), SIZE_MAX);
    choice_free(&choice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_busiest_are_chosen),
        cmocka_unit_test(test_the_idle_stay_for_a_day),
        cmocka_unit_test(test_sites_keep_their_labels),
        cmocka_unit_test(test_many_sites_share),
        cmocka_unit_test(test_listings_take_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
