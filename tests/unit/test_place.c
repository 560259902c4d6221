/* test_place.c - place.h: names in their form, ids, and heartbeats in text. */
#include "../support/unit.h"

#include <errno.h>

#include "common/place.h"

static void names_get_their_form(void **state)
{
    (void)state;
    char site[PLACE_SITE_MAX + 1] = "left alone", room[PLACE_ROOM_MAX + 1] = "left alone";
    char long_name[400] = {0};

    memset(long_name, 'A', 254);
    assert_false(place_parse_site(long_name, site));
    assert_false(place_parse_site("", site));
    assert_false(place_parse_site("a\tb", site));
    assert_false(place_parse_site("\xff", site));
    assert_string_equal(site, "left alone");
    assert_true(place_parse_site(long_name + 1, site));
    assert_int_equal(strspn(site, "a"), 253);
    assert_true(place_parse_site("M\xc3\x9cnchen.Example", site));
    assert_string_equal(site, "m\xc3\x9cnchen.example");

    assert_false(place_parse_room("", room));
    assert_string_equal(room, "left alone");
    assert_true(place_parse_room("//T//u/", room));
    assert_string_equal(room, "/T/u");
    assert_true(place_parse_room(room, room));
    assert_string_equal(room, "/T/u");
    memset(long_name, '/', 300); /* all of them one slash */
    strcpy(long_name + 300, "x");
    assert_true(place_parse_room(long_name, room));
    assert_string_equal(room, "/x");
    memset(long_name, 'x', 256);
    long_name[256] = '\0';
    assert_false(place_parse_room(long_name, room));
    assert_true(place_parse_room(long_name + 1, room));
    assert_true(place_parse_source("News.Example", site));
    assert_string_equal(site, "news.example");
}

static void countries_are_two_letters_or_none(void **state)
{
    (void)state;
    char country[3] = "??";

    assert_false(place_parse_country("", country));
    assert_false(place_parse_country("D", country));
    assert_false(place_parse_country("DEU", country));
    assert_false(place_parse_country("1D", country));
    assert_string_equal(country, "??");
    assert_true(place_parse_country("de", country));
    assert_string_equal(country, "DE");
    assert_true(place_parse_country("xx", country));
    assert_string_equal(country, "");
}

static void ids_are_trimmed_and_failures_are_none(void **state)
{
    (void)state;
    static const char *const none[] = {"",    "null", "undefined",
                                       "NaN", "   ",  "00000000-0000-0000-0000-000000000000"};
    uint8_t id[PLACE_ID_SIZE], same[PLACE_ID_SIZE];
    size_t length;

    assert_string_equal(place_trim("  a b ", &length), "a b ");
    assert_int_equal(length, 3);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        const char *trimmed = place_trim(none[i], &length);
        assert_false(place_is_visitor(trimmed, length));
        assert_false(place_visitor_id(none[i], id));
    }
    assert_true(place_is_visitor("visitor-42", 10));
    assert_true(place_visitor_id("visitor-42", id));
    assert_memory_equal(id, "\xd7\xe3\x76\xba\x99\x0b\x40\xe9", 8);
    assert_true(place_visitor_id("9B2D6F2E-1C3A-4F5B-8D7E-0A1B2C3D4E5F", id));
    assert_true(place_visitor_id(" 9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f ", same));
    assert_memory_equal(id, same, sizeof(id));
}

static void characters_are_parsed_one_by_one(void **state)
{
    (void)state;
    uint32_t value = 7;

    assert_int_equal(place_character("", &value), 0);
    assert_int_equal(place_character("\n", &value), 0);
    assert_int_equal(place_character("\xc3", &value), 0);
    assert_int_equal(value, 7);
    assert_int_equal(place_character("a\xff", &value), 1);
    assert_int_equal(value, 'a');
    assert_int_equal(place_character("\xe2\x82\xac", &value), 3);
    assert_int_equal(value, 0x20ac);
}

static int parse(const char *line, struct place_heartbeat *ret)
{
    return place_parse_heartbeat(line, strlen(line), ret);
}

static void heartbeats_are_parsed_from_text(void **state)
{
    (void)state;
    struct place_heartbeat heartbeat;
    uint8_t id[PLACE_ID_SIZE];

    assert_int_equal(parse("PH1 site=A.Example visitor=visitor-42 room=\"/x//\" country=de "
                           "source=News event=buy",
                           &heartbeat),
                     0);
    assert_string_equal(heartbeat.place.site, "a.example");
    assert_string_equal(heartbeat.place.room, "/x");
    assert_string_equal(heartbeat.place.country, "DE");
    assert_string_equal(heartbeat.place.source, "news");
    assert_string_equal(heartbeat.place.event, "buy");
    assert_int_equal(heartbeat.place.kind, PRESENCE_EVENT);
    assert_true(place_visitor_id("visitor-42", id));
    assert_memory_equal(heartbeat.id, id, sizeof(id));
    assert_int_equal(parse("PH1 site=a visitor=b", &heartbeat), 0);
    assert_null(heartbeat.place.room);
    assert_string_equal(heartbeat.place.country, "");
    assert_int_equal(parse("PH1 site=a visitor=null", &heartbeat), -ENODATA);
    assert_int_equal(parse("PH1 visitor=b", &heartbeat), -EINVAL);
}

/* R3 */
static void windows_are_rounded(void **state)
{
    (void)state;
    assert_int_equal(place_round_window(1), 1);
    assert_int_equal(place_round_window(480), 480);
    assert_int_equal(place_round_window(481), 540);
    assert_int_equal(place_round_window(540), 540);
    assert_int_equal(place_round_window(PLACE_WINDOW_MAX), PLACE_WINDOW_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_get_their_form),
        cmocka_unit_test(countries_are_two_letters_or_none),
        cmocka_unit_test(ids_are_trimmed_and_failures_are_none),
        cmocka_unit_test(characters_are_parsed_one_by_one),
        cmocka_unit_test(heartbeats_are_parsed_from_text),
        cmocka_unit_test(windows_are_rounded),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
