/* test_lookup.c - lookup.h: comparing with the previous heartbeat makes no difference. */
#include "directory_fixture.h"

#include "lookup.h"

#define CAPACITY 64
#define WINDOW   60
#define NOW      1000

static struct wire_name name_of(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, (uint32_t)strlen(text)};
}

static struct wire_heartbeat heartbeat_at(const char *site, const char *room, const char *country,
                                          const char *source)
{
    struct wire_heartbeat heartbeat = {
        .site = name_of(site),
        .room = name_of(room),
        .source = name_of(source),
    };

    memcpy(heartbeat.country, country, strlen(country));
    return heartbeat;
}

static void expect_scopes_ahead(struct lookup *lookup, struct wire_heartbeat heartbeat,
                                const struct lookup_ahead *ahead,
                                const uint32_t expected[SCOPE_KINDS])
{
    uint32_t scopes[SCOPE_KINDS];
    struct lookup_refusals refusals = lookup_scopes(lookup, &heartbeat, ahead, NULL, scopes);

    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        if (scopes[kind] != expected[kind])
            fail_msg("kind %u of site %.*s: scope %u, not %u", kind, (int)heartbeat.site.length,
                     heartbeat.site.bytes, scopes[kind], expected[kind]);
    assert_int_equal(refusals.site_full, 0);
}

/* Expect the same whether or not the names were hashed ahead. */
static void expect_scopes(struct lookup *lookup, struct wire_heartbeat heartbeat,
                          const uint32_t expected[SCOPE_KINDS])
{
    struct lookup_ahead ahead;

    expect_scopes_ahead(lookup, heartbeat, NULL, expected);
    lookup_hash(lookup, &heartbeat, &ahead);
    assert_int_equal(ahead.site, expected[SCOPE_SITE]);
    lookup_fetch(lookup, &heartbeat, &ahead);
    expect_scopes_ahead(lookup, heartbeat, &ahead, expected);
}

/* All ordered pairs of places, with scopes in common or just similar names. */
static void each_heartbeat_finds_its_own(void **state)
{
    static const char *const texts[][SCOPE_KINDS] = {
        {"a", "", "", ""},       {"b", "", "", ""},       {"ab", "", "", ""},
        {"a", "/", "", ""},      {"b", "/", "", ""},      {"a", "/x", "", ""},
        {"a", "DE", "DE", "DE"}, {"b", "DE", "DE", "DE"}, {"a", "", "FR", "DE"},
        {"a", "b", "", "a"},     {"b", "a", "", "b"},
    };
    struct fixture fixture;
    struct wire_heartbeat heartbeats[LENGTH(texts)];
    uint32_t scopes[LENGTH(texts)][SCOPE_KINDS];
    uint64_t now = NOW;

    (void)state;
    open_directory(&fixture, CAPACITY, WINDOW);
    struct lookup lookup = {.directory = &fixture.writer};
    for (unsigned i = 0; i < LENGTH(texts); i++) {
        lookup_begin(&lookup);
        heartbeats[i] = heartbeat_at(texts[i][SCOPE_SITE], texts[i][SCOPE_ROOM],
                                     texts[i][SCOPE_COUNTRY], texts[i][SCOPE_SOURCE]);
        lookup_scopes(&lookup, &heartbeats[i], NULL, &now, scopes[i]);
        for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
            if (!texts[i][kind][0]) {
                assert_int_equal(scopes[i][kind], SCOPE_NONE);
                continue;
            }
            const struct scope_entry *entry = entry_of(&fixture, scopes[i][kind]);
            assert_int_equal(entry->kind, kind);
            assert_int_equal(entry->site, scopes[i][SCOPE_SITE]);
            assert_int_equal(entry->name_length, strlen(texts[i][kind]));
            assert_memory_equal(entry->name, texts[i][kind], entry->name_length);
        }
    }
    lookup_begin(&lookup);
    for (unsigned pair = 0; pair < LENGTH(texts) * LENGTH(texts); pair++) {
        expect_scopes(&lookup, heartbeats[pair / LENGTH(texts)], scopes[pair / LENGTH(texts)]);
        expect_scopes(&lookup, heartbeats[pair % LENGTH(texts)], scopes[pair % LENGTH(texts)]);
    }
    close_directory(&fixture);
}

/* Scopes that a batch held may be retired, and their entries reused, before the next one. */
static void batches_remember_nothing_of_each_other(void **state)
{
    struct wire_heartbeat first = heartbeat_at("first", "/", "DE", "s"),
                          second = heartbeat_at("second", "", "", "");
    uint32_t scopes[SCOPE_KINDS], none[SCOPE_KINDS];
    struct fixture fixture;
    uint64_t now = NOW;

    (void)state;
    open_directory(&fixture, 4, WINDOW);
    struct lookup lookup = {.directory = &fixture.writer};
    lookup_begin(&lookup);
    lookup_scopes(&lookup, &first, NULL, &now, scopes);
    now += WINDOW + 2;
    while (retire_all(&fixture, now)) /* labels, then their site */
        ;
    assert_int_equal(fixture.writer.free_count, 4);
    lookup_begin(&lookup);
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        none[kind] = SCOPE_NONE;
    expect_scopes(&lookup, first, none);
    lookup_scopes(&lookup, &second, NULL, &now, scopes);
    expect_scopes(&lookup, first, none);
    expect_scopes(&lookup, second, scopes);
    close_directory(&fixture);
}

/* A label that is about to be retired is live again once a heartbeat has found it, also ahead. */
static void labels_that_are_found_stay(void **state)
{
    struct wire_heartbeat heartbeat = heartbeat_at("site", "/", "DE", "s");
    struct fixture fixture;
    uint64_t now = NOW;

    (void)state;
    open_directory(&fixture, 4, WINDOW);
    struct lookup lookup = {.directory = &fixture.writer};
    for (unsigned is_ahead = 0; is_ahead < 2; is_ahead++) {
        struct lookup_ahead ahead;
        uint32_t scopes[SCOPE_KINDS];
        lookup_begin(&lookup);
        lookup_scopes(&lookup, &heartbeat, NULL, &now, scopes);
        for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
            struct scope_entry *entry = entry_of(&fixture, scopes[kind]);
            entry->state = (entry->state & ~SCOPE_STATE_MASK) | SCOPE_RETIRING;
        }
        lookup_begin(&lookup);
        lookup_hash(&lookup, &heartbeat, &ahead);
        lookup_fetch(&lookup, &heartbeat, &ahead);
        expect_scopes_ahead(&lookup, heartbeat, is_ahead ? &ahead : NULL, scopes);
        for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++)
            assert_int_equal(state_of(&fixture, scopes[kind]), SCOPE_LIVE);
    }
    close_directory(&fixture);
}

static void refusals_are_counted(void **state)
{
    struct wire_heartbeat crowded = heartbeat_at("site", "/", "DE", "s"),
                          other = heartbeat_at("other", "/", "", ""),
                          late = heartbeat_at("site", "/late", "DE", "late");
    uint32_t scopes[SCOPE_KINDS];
    struct fixture fixture;
    uint64_t now = NOW;

    (void)state;
    open_directory(&fixture, 4, WINDOW);
    fixture.writer.labels_max = 1;
    struct lookup lookup = {.directory = &fixture.writer};
    lookup_begin(&lookup);
    lookup_scopes(&lookup, &crowded, NULL, &now, scopes);
    for (unsigned twice = 0; twice < 2; twice++) { /* a refusal is not cached */
        struct lookup_refusals refusals = lookup_scopes(&lookup, &other, NULL, &now, scopes);
        assert_int_equal(refusals.directory_full, 1u << SCOPE_SITE);
        assert_int_equal(refusals.site_full, 0);
        assert_int_equal(scopes[SCOPE_SITE], SCOPE_NONE);
        assert_int_equal(scopes[SCOPE_ROOM], SCOPE_NONE);
        refusals = lookup_scopes(&lookup, &late, NULL, &now, scopes);
        assert_int_equal(refusals.directory_full, 0);
        assert_int_equal(refusals.site_full, 1u << SCOPE_ROOM | 1u << SCOPE_SOURCE);
        assert_int_equal(scopes[SCOPE_ROOM], SCOPE_NONE);
        assert_int_equal(scopes[SCOPE_SOURCE], SCOPE_NONE);
        assert_int_not_equal(scopes[SCOPE_COUNTRY], SCOPE_NONE);
    }
    close_directory(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_heartbeat_finds_its_own),
        cmocka_unit_test(batches_remember_nothing_of_each_other),
        cmocka_unit_test(labels_that_are_found_stay),
        cmocka_unit_test(refusals_are_counted),
    };
    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
