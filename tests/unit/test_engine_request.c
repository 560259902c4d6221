/* test_engine_request.c - commands in one piece, and what becomes of them when memory is short. */
#include "../support/unit.h"

#include "engine/engine_request.h"

#define LARGE 8000 /* more than fits at first */

static bool memory_is_short;

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_realloc(void *block, size_t size)
{
    return memory_is_short ? NULL : __real_realloc(block, size);
}

static void assert_bytes(const struct engine_request *request, const char *expected, size_t length)
{
    assert_int_equal(request->length, length);
    assert_memory_equal(request->bytes, expected, length);
}

static void commands(void **state)
{
    static const char expected[] =
        "*3\r\n$4\r\nHGET\r\n$14\r\n{presence}:a:1\r\n$0\r\n\r\n"
        "*3\r\n$4\r\nECHO\r\n$3\r\n\0\r\n\r\n$20\r\n-9223372036854775808\r\n";
    struct engine_request request = {0};

    (void)state;
    engine_request_add(&request, "HGET", "{presence}:a:1", "", NULL);
    engine_request_begin(&request, 3);
    engine_request_text(&request, "ECHO");
    engine_request_bytes(&request, "\0\r\n", 3);
    engine_request_integer(&request, INT64_MIN);
    assert_int_equal(request.commands, 2);
    assert_bytes(&request, expected, sizeof(expected) - 1);
    engine_request_free(&request);
}

/* Nothing is added behind what is missing, and a request that is begun anew is whole. */
static void memory_that_is_short_once(void **state)
{
    static const char large[LARGE], ping[] = "*1\r\n$4\r\nPING\r\n";
    struct engine_request request = {0};

    (void)state;
    engine_request_add(&request, "PING", NULL);
    memory_is_short = true;
    engine_request_bytes(&request, large, sizeof(large));
    memory_is_short = false;
    size_t length = request.length;
    assert_true(request.failed);
    engine_request_text(&request, "a small one");
    engine_request_bytes(&request, large, sizeof(large));
    assert_true(request.failed);
    assert_int_equal(request.length, length);
    engine_request_clear(&request);
    engine_request_add(&request, "PING", NULL);
    assert_false(request.failed);
    assert_int_equal(request.commands, 1);
    assert_bytes(&request, ping, sizeof(ping) - 1);
    engine_request_bytes(&request, large, sizeof(large));
    assert_false(request.failed);
    engine_request_free(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),
        cmocka_unit_test(memory_that_is_short_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
