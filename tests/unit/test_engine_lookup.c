/* test_engine_lookup.c - names that can't be looked up, and why. The resolver is played. */
#include "../support/unit.h"

#include <errno.h>

#include "common/monotonic.h"
#include "engine/engine_lookup.h"

static int error; /* atomic: of names; an address in digits is none */

/* The linker calls this instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **ret)
{
    (void)host, (void)port, (void)ret;
    return hints->ai_flags & AI_NUMERICHOST ? EAI_NONAME
                                            : __atomic_load_n(&error, __ATOMIC_RELAXED);
}

static void test_errors(void **state)
{
    static const struct {
        int resolver, expected;
    } cases[] = {
        {EAI_AGAIN, -ETIMEDOUT}, /* no name server answers: not the name's fault */
        {EAI_NONAME, -EHOSTUNREACH},
        {EAI_FAIL, -EHOSTUNREACH},
        {EAI_MEMORY, -ENOMEM},
    };
    struct engine_lookups *lookups;
    struct addrinfo *found;

    (void)state;
    assert_int_equal(engine_lookups_open(&lookups), 0);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct address host = {.number = 6379};
        snprintf(host.host, sizeof(host.host), "host%zu.example", i);
        strcpy(host.port, "6379");
        __atomic_store_n(&error, cases[i].resolver, __ATOMIC_RELAXED);
        assert_int_equal(engine_lookup(lookups, &host, monotonic_ns() + 60 * NS_PER_S, &found),
                         cases[i].expected);
    }
    engine_lookups_close(lookups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
