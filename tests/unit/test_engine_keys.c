/* test_engine_keys.c - which names a group may have, and the keys of its shards. */
#include "../support/unit.h"

#include "engine/engine_keys.h"

static void names_of_groups(void **state)
{
    char name[ENGINE_GROUP_MAX + 2];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[ENGINE_GROUP_MAX] = '\0';
    assert_true(engine_is_group(name));
    name[ENGINE_GROUP_MAX] = 'a';
    name[ENGINE_GROUP_MAX + 1] = '\0';
    assert_false(engine_is_group(name));
    assert_false(engine_is_group(""));
    for (unsigned byte = 1; byte < 256; byte++) {
        const char text[] = {'a', (char)byte, '\0'};
        bool is_letter = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        bool is_digit = byte >= '0' && byte <= '9';
        bool is_sign = byte == '_' || byte == '.' || byte == '-';
        if (engine_is_group(text) != (is_letter || is_digit || is_sign))
            fail_msg("byte 0x%02x is %s in the name of a group", byte,
                     engine_is_group(text) ? "allowed" : "refused");
    }
}

/* Of the longest names, too. */
static void keys(void **state)
{
    char group[ENGINE_GROUP_MAX + 1], site[PLACE_SITE_MAX + 1];
    char key[ENGINE_KEY_MAX], expected[2 * ENGINE_KEY_MAX];

    (void)state;
    memset(group, 'g', sizeof(group));
    group[ENGINE_GROUP_MAX] = '\0';
    memset(site, 's', sizeof(site));
    site[PLACE_SITE_MAX] = '\0';
    engine_key_shard("eu", 2, key);
    assert_string_equal(key, "{presence}:eu:2");
    engine_key_owner(group, ENGINE_SHARDS_MAX, key);
    snprintf(expected, sizeof(expected), "{presence}:%s:64:owner", group);
    assert_string_equal(key, expected);
    engine_key_sites("eu", 2, 300, key);
    assert_string_equal(key, "{presence}:eu:2:300");
    engine_key_site(group, ENGINE_SHARDS_MAX, UINT32_MAX, site, key);
    snprintf(expected, sizeof(expected), "{presence}:%s:64:4294967295:%s", group, site);
    assert_string_equal(key, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_groups),
        cmocka_unit_test(keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
