/* test_web_total_lists.c - total_lists.h: which list is whose, and what a poll changes in it. */
#include "../support/unit.h"

#include <errno.h>

#include "common/monotonic.h"
#include "total_lists.h"

#define SECOND NS_PER_S

static const struct place site = {.site = "example.com"}, other = {.site = "other.example"};

/* Let a poll answer for one list, with so many entries. */
static void answer(struct total_lists *lists, const struct total_list *list, size_t length,
                   bool stale, int error)
{
    struct engine_list rows = {
        .kind = list->kind,
        .window_s = list->window_s,
        .error = error,
        .entries = error ? NULL : calloc(length, sizeof(struct engine_entry)),
        .length = error ? 0 : length,
        .reading.stale = stale,
    };
    struct place place = list->place;
    struct round round = {.poll.list_count = 1, .lists = &rows, .list_places = &place};

    total_lists_take(lists, &round, list->asked_ns);
    engine_list_free(&rows);
}

static void each_question_has_a_list_of_its_own(void **state)
{
    struct total_lists lists;

    (void)state;
    total_lists_init(&lists);
    struct total_list *rooms = total_lists_get(&lists, &site, PRESENCE_ROOM, 300, SECOND);
    struct total_list *minute = total_lists_get(&lists, &site, PRESENCE_ROOM, 60, SECOND);
    struct total_list *sources = total_lists_get(&lists, &site, PRESENCE_SOURCE, 300, SECOND);
    struct total_list *others = total_lists_get(&lists, &other, PRESENCE_ROOM, 300, SECOND);
    assert_int_equal(lists.count, 4);
    assert_ptr_equal(total_lists_get(&lists, &site, PRESENCE_ROOM, 300, SECOND), rooms);
    assert_ptr_equal(total_lists_get(&lists, &site, PRESENCE_ROOM, 60, SECOND), minute);
    assert_ptr_equal(total_lists_get(&lists, &site, PRESENCE_SOURCE, 300, SECOND), sources);
    assert_ptr_equal(total_lists_get(&lists, &other, PRESENCE_ROOM, 300, SECOND), others);
    answer(&lists, minute, 3, false, 0);
    assert_true(minute->has_list);
    assert_int_equal(minute->list.length, 3);
    assert_false(rooms->has_list || sources->has_list || others->has_list);
    assert_true(total_list_is_old(rooms, SECOND));
    assert_false(total_list_is_old(minute, SECOND));
    total_lists_clear(&lists);
}

/* A group that is gone takes its rows with it: the list before says more. */
static void a_stale_list_is_not_a_shorter_one(void **state)
{
    struct total_lists lists;

    (void)state;
    total_lists_init(&lists);
    struct total_list *list = total_lists_get(&lists, &site, PRESENCE_ROOM, 300, SECOND);
    answer(&lists, list, 5, false, 0);
    answer(&lists, list, 4, true, 0);
    assert_int_equal(list->list.length, 5);
    assert_true(list->list.reading.stale);
    answer(&lists, list, 6, true, 0);
    assert_int_equal(list->list.length, 6);
    answer(&lists, list, 2, false, 0);
    assert_int_equal(list->list.length, 2);
    assert_false(list->list.reading.stale);
    answer(&lists, list, 0, false, -ERANGE);
    assert_int_equal(list->list.length, 2);
    assert_true(list->list.reading.stale);
    total_lists_clear(&lists);
}

/* Only lists that somebody has asked for of late, and that are old, are polled. */
static void a_round_asks_for_what_is_wanted(void **state)
{
    struct round *round = round_new();
    struct total_lists lists;

    (void)state;
    assert_non_null(round);
    total_lists_init(&lists);
    total_lists_get(&lists, &other, PRESENCE_ROOM, 300, SECOND);
    struct total_list *fresh = total_lists_get(&lists, &site, PRESENCE_SOURCE, 300, 5 * SECOND);
    answer(&lists, fresh, 1, false, 0);
    total_lists_get(&lists, &site, PRESENCE_ROOM, 60, 5 * SECOND);
    assert_int_equal(total_lists_add_to_round(&lists, round, 2 * SECOND, 6 * SECOND), 0);
    assert_int_equal(round->poll.list_count, 1);
    assert_string_equal(round->list_places[0].site, site.site);
    assert_int_equal(round->lists[0].window_s, 60);
    round_free(round);
    total_lists_clear(&lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_question_has_a_list_of_its_own),
        cmocka_unit_test(a_stale_list_is_not_a_shorter_one),
        cmocka_unit_test(a_round_asks_for_what_is_wanted),
    };
    return cmocka_run_group_tests_name("web_total_lists", tests, NULL, NULL);
}
