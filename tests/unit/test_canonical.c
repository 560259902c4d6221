/* test_canonical.c - canonical.h against its rule, written down in the simplest way. */
#include "../support/unit.h"

#include <stdlib.h>

#include <core/canonical.h>

#define LONGEST 40

/* Apply the rule for rooms. */
static uint32_t tidy(const uint8_t *room, uint32_t length, uint8_t *ret)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < length; i++) {
        bool repeats = room[0] == '/' && i > 0 && room[i] == '/' && room[i - 1] == '/';
        if (!repeats)
            ret[written++] = room[i];
    }
    bool trails = written > 1 && room[0] == '/' && ret[written - 1] == '/';
    return written - trails;
}

static void expect_room(const uint8_t *room, uint32_t length)
{
    uint8_t expected[LONGEST + 1], written[LONGEST + 1], *copy = malloc(length + 1);
    uint32_t tidied = tidy(room, length, expected);
    bool is_tidy = tidied == length; /* nothing was dropped */

    assert_non_null(copy);
    memcpy(copy, room, length);
    if (canonical_is_room(copy, length) && !is_tidy)
        fail_msg("'%.*s' is taken for tidy", (int)length, (const char *)room);
    if (!canonical_is_room(copy, length) && is_tidy && length != 7)
        fail_msg("'%.*s' is not taken for tidy", (int)length, (const char *)room);
    for (uint32_t capacity = 0; capacity <= length; capacity++) {
        memset(written, '!', sizeof(written));
        assert_int_equal(canonical_write_room(copy, length, written, capacity), tidied);
        assert_memory_equal(written, expected, capacity < tidied ? capacity : tidied);
        assert_int_equal(written[capacity], '!');
    }
    assert_int_equal(canonical_write_room(copy, length, copy, length), tidied); /* in place */
    assert_memory_equal(copy, expected, tidied);
    if (tidied != 7)
        assert_true(canonical_is_room(copy, tidied));
    free(copy);
}

/* Every string of up to eleven slashes, letters and other bytes. */
static void every_short_room(void **state)
{
    static const uint8_t bytes[] = {'/', 'a', 0xaf};
    uint8_t room[12] = {0};

    (void)state;
    for (uint32_t length = 0; length <= 11; length++) {
        uint32_t count = 1;
        for (uint32_t i = 0; i < length; i++)
            count *= 3;
        for (uint32_t number = 0; number < count; number++) {
            uint32_t rest = number;
            for (uint32_t i = 0; i < length; i++, rest /= 3)
                room[i] = bytes[rest % 3];
            expect_room(room, length);
        }
    }
}

/* One, two or three slashes anywhere in paths of every length, and in rooms that are no path. */
static void every_place_of_slashes(void **state)
{
    uint8_t room[LONGEST];

    (void)state;
    for (uint32_t length = 1; length <= LONGEST; length++) {
        for (uint32_t place = 0; place < length; place++) {
            for (uint32_t run = 1; run <= 3 && place + run <= length; run++) {
                memset(room, 0x2e, sizeof(room));
                memset(room + place, '/', run);
                expect_room(room, length);
                room[0] = '/';
                expect_room(room, length);
                memset(room, 0xae, sizeof(room)); /* a slash except for its top bit and another */
                room[0] = '/';
                memset(room + place, '/', run);
                expect_room(room, length);
            }
        }
    }
}

static void every_letter(void **state)
{
    (void)state;
    for (uint32_t length = 1; length <= LONGEST; length++) {
        uint8_t *name = malloc(length), lowered[LONGEST];
        assert_non_null(name);
        for (uint32_t place = 0; place < length; place++) {
            for (uint32_t byte = 0; byte < 256; byte++) {
                bool is_upper = byte >= 'A' && byte <= 'Z';
                memset(name, 'z', length);
                name[place] = (uint8_t)byte;
                assert_int_equal(canonical_is_lower(name, length), !is_upper);
                canonical_lower(name, length, lowered);
                assert_int_equal(lowered[place], is_upper ? byte + 32 : byte);
                canonical_raise(lowered, length, lowered);
                bool is_letter = is_upper || (byte >= 'a' && byte <= 'z');
                assert_int_equal(lowered[place], is_letter ? byte & 0x5f : byte);
            }
        }
        free(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_room),
        cmocka_unit_test(every_place_of_slashes),
        cmocka_unit_test(every_letter),
    };
    return cmocka_run_group_tests_name("canonical", tests, NULL, NULL);
}
