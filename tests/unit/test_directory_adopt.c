/* test_directory_adopt.c - directory.h after a kill: how the next daemon adopts each state that a
 * kill may leave, and a damaged directory. */
#include "directory_fixture.h"

#define CAPACITY 8

static const uint64_t start = 1000000;

/* Five scopes: three sites in one chain, a room and a country of the first. */
struct scopes {
    struct fixture fixture;
    char sites[3][16];
    uint32_t indexes[5];
};

static void open_scopes(struct scopes *scopes)
{
    struct fixture *fixture = &scopes->fixture;
    uint32_t chain = 0;

    open_directory(fixture, CAPACITY, 300);
    for (unsigned found = 0, i = 0; found < 3; i++) {
        snprintf(scopes->sites[found], sizeof(scopes->sites[found]), "site%u", i);
        struct scope_name name = name_site(fixture, scopes->sites[found]);
        uint32_t head = (uint32_t)name.hash & fixture->segment.directory.head_mask;
        if (found && head != chain)
            continue;
        chain = head;
        scopes->indexes[found] = hold_site(fixture, scopes->sites[found], start);
        found++;
    }
    uint32_t site = scopes->indexes[0];
    scopes->indexes[3] = hold_label(fixture, scopes->sites[0], site, SCOPE_ROOM, "/", start);
    scopes->indexes[4] = hold_label(fixture, scopes->sites[0], site, SCOPE_COUNTRY, "DE", start);
}

/* Check after a restart that each scope is in place, unless it is `gone`, and that all other
 * entries can be used. */
static void expect_adopted(struct scopes *scopes, unsigned gone)
{
    struct fixture *fixture = &scopes->fixture;
    uint32_t free = CAPACITY - 5 + (gone < 5), site = scopes->indexes[0];

    reopen_directory(fixture);
    expect_sound(fixture);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(hold_site(fixture, scopes->sites[i], 0),
                         i == gone ? SCOPE_NONE : scopes->indexes[i]);
    assert_int_equal(hold_label(fixture, scopes->sites[0], site, SCOPE_ROOM, "/", 0),
                     gone == 3 ? SCOPE_NONE : scopes->indexes[3]);
    assert_int_equal(hold_label(fixture, scopes->sites[0], site, SCOPE_COUNTRY, "DE", 0),
                     gone == 4 ? SCOPE_NONE : scopes->indexes[4]);
    for (unsigned i = 0; i <= free; i++) {
        char name[16];
        snprintf(name, sizeof(name), "new%u", i);
        uint32_t index = hold_site(fixture, name, start);
        assert_true((index == SCOPE_NONE) == (i == free));
        for (unsigned j = 0; j < LENGTH(scopes->indexes); j++)
            assert_true(j == gone || index != scopes->indexes[j]);
    }
    expect_sound(fixture);
    /* The labels of the site are known again: they are retired first. */
    assert_int_equal(retire_all(fixture, start + 301), CAPACITY - 1);
    assert_int_equal(state_of(fixture, site), gone == 0 ? SCOPE_FREE : SCOPE_LIVE);
    assert_int_equal(fixture->writer.labels[site], 0);
    assert_int_equal(retire_all(fixture, start + 301), 1);
    expect_sound(fixture);
    close_directory(fixture);
}

static uint32_t *link_to(struct fixture *fixture, uint32_t index)
{
    struct directory *directory = &fixture->segment.directory;
    uint32_t *link = scope_head(directory, directory->entries[index].hash);

    while (*link != index + 1)
        link = &directory->entries[*link - 1].next;
    return link;
}

static void unlink_scope(struct fixture *fixture, uint32_t index)
{
    *link_to(fixture, index) = entry_of(fixture, index)->next;
}

static void nothing_was_going_on(void **state)
{
    (void)state;
    struct scopes scopes;
    open_scopes(&scopes);
    expect_adopted(&scopes, 5);
}

/* Any part of a name may have been written: the entry is free while its state says so. */
static void killed_while_naming(void **state)
{
    (void)state;
    for (unsigned written = 0; written < 4; written++) {
        struct scopes scopes;
        open_scopes(&scopes);
        uint32_t index = scopes.fixture.writer.free[scopes.fixture.writer.free_count - 1];
        struct scope_entry *entry = entry_of(&scopes.fixture, index);
        struct scope_name name = name_site(&scopes.fixture, scopes.sites[1]);
        if (written > 0)
            entry->hash = name.hash;
        if (written > 1)
            entry->site = index;
        if (written > 2) {
            entry->name_length = 250;
            memset(entry->name, 'x', 250);
            ring_add(&scopes.fixture.segment.directory.rings[index], start, 5);
        }
        expect_adopted(&scopes, 5);
    }
}

/* LIVE, but its link or the head of its chain was not stored yet. */
static void killed_before_the_link(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 5; which++) {
        for (unsigned next_stored = 0; next_stored < 2; next_stored++) {
            struct scopes scopes;
            open_scopes(&scopes);
            struct scope_entry *entry = entry_of(&scopes.fixture, scopes.indexes[which]);
            unlink_scope(&scopes.fixture, scopes.indexes[which]);
            entry->next =
                next_stored ? *scope_head(&scopes.fixture.segment.directory, entry->hash) : 0;
            expect_adopted(&scopes, 5);
        }
    }
}

static void killed_in_the_grace_period(void **state)
{
    (void)state;
    for (unsigned marked = 1; marked < 1u << 5; marked++) {
        struct scopes scopes;
        open_scopes(&scopes);
        for (unsigned i = 0; i < 5; i++)
            if (marked >> i & 1)
                entry_of(&scopes.fixture, scopes.indexes[i])->state += SCOPE_RETIRING - SCOPE_LIVE;
        expect_adopted(&scopes, 5);
    }
}

/* FREE, but still in its chain, as first, middle or last; or unlinked already. The scope is a site
 * without labels, or a label. */
static void killed_while_freeing(void **state)
{
    (void)state;
    for (unsigned which = 1; which < 5; which++) {
        for (unsigned unlinked = 0; unlinked < 2; unlinked++) {
            struct scopes scopes;
            open_scopes(&scopes);
            uint32_t index = scopes.indexes[which];
            if (unlinked)
                unlink_scope(&scopes.fixture, index);
            entry_of(&scopes.fixture, index)->state += SCOPE_GENERATION - SCOPE_LIVE;
            expect_adopted(&scopes, which);
        }
    }
}

/* The last created is first in the chain. Let the oldest site, at its end, be freed. */
static void killed_while_freeing_the_last_of_a_chain(void **state)
{
    (void)state;
    struct scopes scopes;
    open_scopes(&scopes);
    uint32_t index = scopes.indexes[0];

    retire_all(&scopes.fixture, start); /* none is idle */
    entry_of(&scopes.fixture, scopes.indexes[1])->last_heartbeat = start + 1;
    entry_of(&scopes.fixture, scopes.indexes[2])->last_heartbeat = start + 1;
    assert_int_equal(retire_all(&scopes.fixture, start + 301), 2); /* the labels */
    entry_of(&scopes.fixture, index)->state += SCOPE_GENERATION - SCOPE_LIVE;
    reopen_directory(&scopes.fixture);
    expect_sound(&scopes.fixture);
    assert_int_equal(hold_site(&scopes.fixture, scopes.sites[0], 0), SCOPE_NONE);
    assert_int_equal(hold_site(&scopes.fixture, scopes.sites[1], 0), scopes.indexes[1]);
    assert_int_equal(hold_site(&scopes.fixture, scopes.sites[2], 0), scopes.indexes[2]);
    close_directory(&scopes.fixture);
}

/* The next use of an entry may lead a reader that stands on it into another chain, also if the
 * daemon was killed while freeing it: the count of changes has to show that. */
static void frees_cut_short_are_counted_as_changes(void **state)
{
    (void)state;
    struct scopes scopes;
    open_scopes(&scopes);
    struct fixture *fixture = &scopes.fixture;
    uint32_t index = scopes.indexes[2];
    uint64_t before = fixture->segment.header->directory_changes;

    entry_of(fixture, index)->state += SCOPE_GENERATION - SCOPE_LIVE;
    reopen_directory(fixture);
    while (state_of(fixture, index) == SCOPE_FREE) {
        char name[16];
        snprintf(name, sizeof(name), "new%u", fixture->writer.free_count);
        assert_int_not_equal(hold_site(fixture, name, start), SCOPE_NONE);
    }
    bool counted = fixture->segment.header->directory_changes != before;
    close_directory(fixture);
    if (!counted)
        fail_msg("an entry was freed and used again, and directory_changes is the same");
}

/* An entry that names nothing is freed. */
static void unsound_entries_are_freed(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 6; which++) {
        struct scopes scopes;
        open_scopes(&scopes);
        bool is_site = which == 0 || which == 5;
        uint32_t index = scopes.indexes[is_site ? 1 : 3];
        struct scope_entry *entry = entry_of(&scopes.fixture, index);
        switch (which) {
        case 0:
            entry->name_length = 0;
            break;
        case 1:
            entry->kind = SCOPE_KINDS;
            break;
        case 2:
            entry->site = UINT32_MAX;
            break;
        case 3:
            entry->site = scopes.indexes[4]; /* a country */
            break;
        case 4:
            entry->site = scopes.fixture.writer.free[0];
            break;
        default:
            entry->site = UINT32_MAX; /* its own */
        }
        expect_adopted(&scopes, is_site ? 1 : 3);
    }
}

/* With broken or circular chains the daemon starts, and finds the scopes it creates. */
static void damaged_links_end(void **state)
{
    (void)state;
    uint64_t random = random_seed("links");

    for (unsigned run = 0; run < 2000; run++) {
        struct scopes scopes;
        open_scopes(&scopes);
        struct fixture *fixture = &scopes.fixture;
        struct directory *directory = &fixture->segment.directory;
        for (unsigned i = 0; i <= random_next(&random) % 4; i++) {
            uint64_t draw = random_next(&random);
            uint32_t link = draw & 1 ? (uint32_t)(draw >> 32) : draw >> 32 & 15;
            if (draw & 2)
                directory->heads[(draw >> 8) & directory->head_mask] = link;
            else
                directory->entries[(draw >> 8) % CAPACITY].next = link;
        }
        reopen_directory(fixture);
        for (unsigned i = 0; i < 3; i++) {
            uint32_t index = hold_site(fixture, scopes.sites[i], start);
            if (index != SCOPE_NONE)
                assert_int_equal(hold_site(fixture, scopes.sites[i], 0), index);
        }
        retire_all(fixture, start + 301);
        retire_all(fixture, start + 301);
        close_directory(fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_going_on),
        cmocka_unit_test(killed_while_naming),
        cmocka_unit_test(killed_before_the_link),
        cmocka_unit_test(killed_in_the_grace_period),
        cmocka_unit_test(killed_while_freeing),
        cmocka_unit_test(killed_while_freeing_the_last_of_a_chain),
        cmocka_unit_test(frees_cut_short_are_counted_as_changes),
        cmocka_unit_test(unsound_entries_are_freed),
        cmocka_unit_test(damaged_links_end),
    };
    return cmocka_run_group_tests_name("directory_adopt", tests, NULL, NULL);
}
