/* test_json_whole.c - a text of JSON has all members, or there is none. */
#include "../support/failing_memory.h"

#include "common/json_whole.h"

#define WHOLE                                                                  \
    "{\"site\":\"example.com\",\"count\":42,\"list\":[1,2,{\"name\":\"/a\"}]," \
    "\"peak\":{\"today\":null,\"ever\":7}}"

static json_t *build(void)
{
    json_t *object = json_object(), *list = json_array();

    json_object_set_new(object, "site", json_string("example.com"));
    json_object_set_new(object, "count", json_integer(42));
    json_array_append_new(list, json_integer(1));
    json_array_append_new(list, json_integer(2));
    json_array_append_new(list, json_pack("{s:s}", "name", "/a"));
    json_object_set_new(object, "list", list);
    json_object_set_new(object, "peak", json_pack("{s:n,s:i}", "today", "ever", 7));
    return object;
}

static int make_text(void *context)
{
    char *text = json_whole_text(build(), JSON_COMPACT);

    (void)context;
    if (!text)
        return -ENOMEM;
    assert_string_equal(text, WHOLE);
    free(text);
    return 0;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    fail_each_allocation("a text", make_text, NULL);
}

static void what_could_not_be_read(void **state)
{
    (void)state;
    json_whole_fail(-ENOENT);
    assert_int_equal(make_text(NULL), 0);
    json_whole_fail(-ENOMEM);
    json_whole_fail(-ENOENT);
    assert_int_equal(make_text(NULL), -ENOMEM);
    assert_int_equal(make_text(NULL), 0); /* the next one is another's */
}

static void no_object(void **state)
{
    (void)state;
    assert_null(json_whole_text(NULL, JSON_COMPACT));
    assert_int_equal(make_text(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(what_could_not_be_read),
        cmocka_unit_test(no_object),
    };
    json_whole_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
