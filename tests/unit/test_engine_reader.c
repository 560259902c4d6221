/* test_engine_reader.c - engine_reader.h: what a poll does when groups and windows change, and when
 * it fails. test_engine_judge.c judges the answers. */
#include "../support/unit.h"

#include <engine/engine_reader.h>
#include <errno.h>

#include "engine_model.h"

/* Write a shard with a site, so that all is well. */
static void write_shard(const char *group, uint32_t number, uint32_t shards, const char *windows,
                        const char *count)
{
    struct model_shard shard = {
        .exists = true,
        .version = 1,
        .shards = shards,
        .as_of = FAKE_NOW,
        .pttl = ENGINE_LIFETIME_MS - 10,
    };
    char key[ENGINE_KEY_MAX], count_text[8];

    snprintf(count_text, sizeof(count_text), "%u", shards);
    fake_set(ENGINE_KEY_GROUPS, group, count_text);
    engine_key_shard(group, number, key);
    model_write_state(key, &shard);
    fake_set(key, "windows", windows);
    for (struct engine_text text = {windows, strlen(windows)}; text.bytes;) {
        uint64_t window_s = 0;
        assert_true(engine_text_number(engine_text_cut(&text, ' '), 3600, &window_s));
        engine_key_sites(group, number, (uint32_t)window_s, key);
        fake_set(key, "", "00000000000000e1");
        fake_set(key, "a.example", count);
        engine_key_site(group, number, (uint32_t)window_s, "a.example", key);
        fake_set(key, "", "00000000000000e1");
    }
}

static struct engine_reading poll_site(uint32_t window_s, int expected, int expected_error)
{
    struct engine_query query = {.site = "a.example", .window_s = window_s};
    struct engine_poll poll = {.queries = &query, .query_count = 1};

    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), expected);
    assert_int_equal(query.error, expected_error);
    return query.reading;
}

static void the_registry_is_followed(void **state)
{
    (void)state;
    write_shard("a", 1, 1, "60 300", "5");
    assert_int_equal(poll_site(300, 0, 0).count, 5);
    assert_int_equal(fake.calls, 2); /* the first one finds the group */
    assert_int_equal(poll_site(300, 0, 0).count, 5);
    assert_int_equal(fake.calls, 3);
    write_shard("b", 1, 2, "60 300", "4");
    write_shard("b", 2, 2, "60 300", "4");
    assert_int_equal(poll_site(300, 0, 0).count, 8);
    assert_int_equal(fake.calls, 5);
    fake_delete("{presence}:b:2");
    assert_int_equal(poll_site(300, 0, 0).count, 5);
    assert_int_equal(fake.calls, 6);
    assert_int_equal(engine_reader_state(fake.reader)->groups[1].shards[1].problem,
                     ENGINE_SHARD_ABSENT);
}

static void the_default_window_is_followed(void **state)
{
    (void)state;
    write_shard("a", 1, 1, "60 300", "5");
    assert_int_equal(poll_site(0, 0, 0).window_s, 300);
    assert_int_equal(fake.calls, 2);
    assert_string_equal(engine_reader_windows(fake.reader), "60, 300");
    write_shard("a", 1, 1, "60 120", "5");
    struct engine_reading reading = poll_site(0, 0, 0);
    assert_int_equal(reading.window_s, 120);
    assert_int_equal(reading.count, 5);
    assert_int_equal(fake.calls, 4);
    assert_int_equal(poll_site(0, 0, 0).window_s, 120);
    assert_int_equal(fake.calls, 5);
    assert_int_equal(poll_site(60, 0, 0).window_s, 60);
    poll_site(300, 0, -ERANGE);
    poll_site(121, 0, -ERANGE);
    assert_int_equal(fake.calls, 8);
    write_shard("a", 1, 1, "540", "5");
    assert_int_equal(poll_site(481, 0, 0).window_s, 540); /* R3 */
    assert_string_equal(engine_reader_windows(fake.reader), "540");
}

/* One of many that can't be answered leaves the others alone. */
static void a_window_fails_alone(void **state)
{
    struct engine_query queries[] = {
        {.site = "a.example", .window_s = 300},
        {.site = "a.example", .window_s = 77},
        {.site = "a.example", .window_s = 60},
    };
    struct engine_list lists[] = {{.window_s = 77}, {.window_s = 60}};
    struct engine_poll poll = {queries, LENGTH(queries), lists, LENGTH(lists), false};

    (void)state;
    write_shard("a", 1, 1, "60 300", "5");
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), 0);
    assert_int_equal(queries[0].error, 0);
    assert_int_equal(queries[0].reading.count, 5);
    assert_int_equal(queries[1].error, -ERANGE);
    assert_int_equal(queries[2].error, 0);
    assert_int_equal(queries[2].reading.count, 5);
    assert_int_equal(lists[0].error, -ERANGE);
    assert_null(lists[0].entries);
    assert_int_equal(lists[0].length, 0);
    assert_int_equal(lists[1].error, 0);
    assert_int_equal(lists[1].length, 1);
    engine_list_free(&lists[0]);
    engine_list_free(&lists[1]);
}

/* How old a group's numbers are is known without a count, also once it is not whole. */
static void freshness(void **state)
{
    const struct engine_state *groups;

    (void)state;
    write_shard("a", 1, 2, "60", "5");
    write_shard("a", 2, 2, "60", "5");
    poll_site(60, 0, 0);
    groups = engine_reader_state(fake.reader);
    struct engine_reading fresh = engine_state_freshness(groups, FAKE_NOW);
    assert_false(fresh.stale || fresh.exists || fresh.partial || fresh.warming);
    assert_int_equal(fresh.window_s, 60);
    assert_int_equal(fresh.as_of, FAKE_NOW);
    groups->groups[0].shards[1].problem = ENGINE_SHARD_STALE;
    struct engine_reading stale = engine_state_freshness(groups, FAKE_NOW + 77);
    assert_true(stale.stale);
    assert_int_equal(stale.as_of, FAKE_NOW);
    assert_int_equal(stale.as_of_age_s, 77);
}

/* The marks of listed sites take a transaction of their own, where anybody wants them. */
static void marks_of_sites(void **state)
{
    struct engine_list list = {.window_s = 300, .without_marks = true};
    struct engine_poll poll = {.lists = &list, .list_count = 1};

    (void)state;
    write_shard("a", 1, 1, "300", "5");
    fake_set("{presence}:a:1:300:a.example", ENGINE_MARK_PARTIAL, "n");
    for (unsigned marks = 0; marks < 2; marks++) {
        list.without_marks = !marks;
        fake.calls = 0;
        assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), 0);
        assert_int_equal(fake.calls, 2); /* at first one of them finds the group */
        assert_int_equal(list.length, 1);
        assert_int_equal(list.entries[0].count, 5);
        assert_int_equal(list.entries[0].partial, marks);
        engine_list_free(&list);
    }
}

static void lose_marks(void)
{
    if (fake.calls == 2) /* the counts have been read */
        fake_delete("{presence}:a:1:300:a.example");
}

/* Whoever has lost a site's marks may have lost more of it. */
static void marks_that_are_gone(void **state)
{
    struct engine_list list = {.window_s = 300};
    struct engine_poll poll = {.lists = &list, .list_count = 1};

    (void)state;
    write_shard("a", 1, 1, "300", "5");
    poll_site(300, 0, 0);
    fake.calls = 1;
    fake.before_call = lose_marks;
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), 0);
    assert_int_equal(list.length, 1);
    assert_int_equal(list.entries[0].count, 5);
    assert_true(list.entries[0].partial);
    engine_list_free(&list);
}

/* A list has as many entries as are wanted, and says how many there are. */
static void the_busiest_are_listed(void **state)
{
    struct engine_list list = {.window_s = 300, .without_marks = true};
    struct engine_poll poll = {.lists = &list, .list_count = 1};

    (void)state;
    write_shard("a", 1, 1, "300", "5");
    fake_set("{presence}:a:1:300", "b.example", "7");
    fake_set("{presence}:a:1:300", "c.example", "6");
    for (list.limit = 0; list.limit <= 4; list.limit++) {
        size_t limit = list.limit;
        assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), 0);
        assert_int_equal(list.length, limit && limit < 3 ? limit : 3);
        assert_int_equal(list.total, 3);
        assert_string_equal(list.entries[0].name, "b.example");
        engine_list_free(&list);
    }
}

/* Redis refuses transactions while it is over its maxmemory, even of reads. */
static void a_full_engine_is_read(void **state)
{
    struct engine_list list = {.window_s = 300};
    struct engine_poll poll = {.lists = &list, .list_count = 1, .visitors = true};
    uint64_t keys;

    (void)state;
    write_shard("a", 1, 1, "300", "5");
    fake.full = true;
    assert_int_equal(poll_site(300, 0, 0).count, 5);
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), 0);
    assert_int_equal(list.length, 1);
    engine_list_free(&list);
    assert_string_equal(engine_reader_problem(fake.reader), "");
    assert_int_equal(engine_reader_forget(fake.reader, "a", 0, &keys), -ENOSPC);
    assert_non_null(strstr(engine_reader_problem(fake.reader), "maxmemory"));
}

static void another_group(void)
{
    char name[16];

    snprintf(name, sizeof(name), "g%u", fake.calls);
    write_shard(name, 1, 1, "300", "1");
}

static void failures_touch_nothing(void **state)
{
    struct engine_entry entry;
    struct engine_query query = {.site = "a.example", .error = 77, .reading.count = 78};
    struct engine_list list = {.error = 79, .entries = &entry, .length = 80};
    struct engine_poll poll = {&query, 1, &list, 1, true};

    (void)state;
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), -ENODATA);
    assert_non_null(strstr(engine_reader_problem(fake.reader), "presence-publisher"));
    write_shard("a", 1, 1, "60 300", "5");
    fake.error = -ETIMEDOUT;
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), -ETIMEDOUT);
    fake.before_call = another_group;
    assert_int_equal(engine_reader_poll(fake.reader, &poll, 0), -EAGAIN);
    assert_non_null(strstr(engine_reader_problem(fake.reader), "change"));
    fake.before_call = NULL;
    assert_int_equal(query.error, 77);
    assert_int_equal(query.reading.count, 78);
    assert_int_equal(list.error, 79);
    assert_ptr_equal(list.entries, &entry);
    assert_int_equal(list.length, 80);
}

static void too_many_groups(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < ENGINE_GROUPS_MAX; i++) {
        snprintf(name, sizeof(name), "g%02u", i);
        write_shard(name, 1, 1, "300", i == 63 ? "6" : "5");
    }
    assert_int_equal(poll_site(300, 0, 0).count, 6);
    fake_set(ENGINE_KEY_GROUPS, "h", "1");
    poll_site(300, -EMSGSIZE, 0);
    assert_non_null(strstr(engine_reader_problem(fake.reader), "forget"));
    assert_int_equal(engine_reader_state(fake.reader)->count, ENGINE_GROUPS_MAX);
}

static void a_group_is_forgotten(void **state)
{
    uint64_t keys = 99;

    (void)state;
    assert_int_equal(engine_reader_forget(fake.reader, "a", 0, &keys), -ENOENT);
    write_shard("a", 1, 2, "60 300", "5");
    write_shard("a", 2, 2, "60 300", "5");
    fake_set("{presence}:a:2:owner", "", "somebody");
    assert_int_equal(engine_reader_forget(fake.reader, "b", 0, &keys), -ENOENT);
    assert_int_equal(engine_reader_forget(fake.reader, "a:1", 0, &keys), -ENOENT);
    assert_int_equal(engine_reader_forget(fake.reader, "a", 0, &keys), -EBUSY);
    assert_non_null(strstr(engine_reader_problem(fake.reader), "presence-publisher"));
    fake_delete("{presence}:a:2:owner");
    fake.error = -ECONNRESET;
    assert_int_equal(engine_reader_forget(fake.reader, "a", 0, &keys), -ECONNRESET);
    assert_int_equal(keys, 99);
    fake_set("{presence}:aa:1", "windows", "60"); /* another group's */
    assert_int_equal(engine_reader_forget(fake.reader, "a", 0, &keys), 0);
    assert_int_equal(keys, 2 * (1 + 2 * 2)); /* states; sites and a site in two windows */
    assert_null(fake_find("{presence}:a:1"));
    assert_null(fake_find("{presence}:a:2:300:a.example"));
    assert_non_null(fake_find("{presence}:aa:1"));
    assert_null(fake_find(ENGINE_KEY_GROUPS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_registry_is_followed, fake_open_reader,
                                        fake_close_reader),
        cmocka_unit_test_setup_teardown(the_default_window_is_followed, fake_open_reader,
                                        fake_close_reader),
        cmocka_unit_test_setup_teardown(a_window_fails_alone, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(freshness, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(marks_of_sites, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(marks_that_are_gone, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(the_busiest_are_listed, fake_open_reader,
                                        fake_close_reader),
        cmocka_unit_test_setup_teardown(a_full_engine_is_read, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(failures_touch_nothing, fake_open_reader,
                                        fake_close_reader),
        cmocka_unit_test_setup_teardown(too_many_groups, fake_open_reader, fake_close_reader),
        cmocka_unit_test_setup_teardown(a_group_is_forgotten, fake_open_reader, fake_close_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
