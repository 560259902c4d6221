/* test_text_place.c - the names of a text heartbeat: broken values, and canonical form. */
#include "text_fixture.h"

#define FIFTY "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

/* ---- values that can't be read ----------------------------------------------------------- */

static const struct text_case broken[] = {
    {"a room without a closing quote", PLACED "room=\"abc", .labels_invalid = 1},
    {"a lone quote", PLACED "room=\"", .labels_invalid = 1},
    {"a room of - without a closing quote", PLACED "room=\"-", .labels_invalid = 1},
    {"what follows an open quote is in it", PLACED "room=\"abc source=s", .labels_invalid = 1},
    {"a visitor in an open quote", "PH1 site=a room=\"abc visitor=v", .reason = WIRE_VISITOR},
    {"a site in an open quote", "PH1 visitor=v room=\"abc site=a", .reason = WIRE_MALFORMED},
    {"a quote that is escaped", PLACED "room=\"abc\\\"", .labels_invalid = 1},
    {"a backslash at the end", PLACED "room=\"abc\\", .labels_invalid = 1},
    {"cut in an escape", PLACED "room=\"abc\\u00", .labels_invalid = 1},
    {"cut in a byte's escape", PLACED "room=\"caf\\xc3\\xa", .labels_invalid = 1},
    {"cut, and a line's end", PLACED "room=\"/a/b\r\n", .labels_invalid = 1},
    {"cut, and longer than any room", PLACED "room=\"" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY,
     .labels_invalid = 1},
    {"cut in a source", PLACED "room=/a source=\"news.exam", .room = "/a", .labels_invalid = 1},
    {"cut in a country", PLACED "room=/a country=\"D", .room = "/a", .labels_invalid = 1},
    {"cut after a country", PLACED "country=\"DE", .labels_invalid = 1},
    {"cut in an unknown key", PLACED "room=/a ua=\"Mozilla/5.0 (", .room = "/a"},
    {"cut in a bare value", PLACED "room=/a/b", .room = "/a/b"},
    {"cut in a visitor", "PH1 site=a visitor=\"visi", .reason = WIRE_MALFORMED},
    {"cut in a site", "PH1 visitor=v site=\"a", .reason = WIRE_MALFORMED},
    {"cut in a kind", PLACED "kind=\"leave", .reason = WIRE_MALFORMED},
    {"cut in an event", PLACED "event=\"buy", .reason = WIRE_MALFORMED},
    {"cut in a key", PLACED "room=/a sou", .reason = WIRE_MALFORMED},

    {"a bad escape in a room", PLACED "room=\"a\\qb\" source=s", .source = "s",
     .labels_invalid = 1},
    {"a bad escape in a source", PLACED "source=\"\\u00g0\" room=r", .room = "r",
     .labels_invalid = 1},
    {"a bad escape in a country", PLACED "country=\"\\x4\" room=r", .room = "r",
     .labels_invalid = 1},
    {"a lone surrogate in a room", PLACED "room=\"\\ud83d\" source=s", .source = "s",
     .labels_invalid = 1},
    {"bad escapes everywhere", PLACED "room=\"\\q\" country=\"\\q\" source=\"\\q\"",
     .labels_invalid = 3},
    {"it ends at its next unescaped quote", PLACED "room=\"\\q\\\" b\" source=s", .source = "s",
     .labels_invalid = 1},
    {"which may follow the escape", PLACED "room=\"\\u12\" source=s", .source = "s",
     .labels_invalid = 1},
    {"or a backslash that is one", PLACED "room=\"\\q\\\\\" source=s", .source = "s",
     .labels_invalid = 1},
    {"but not a surrogate's backslash", PLACED "room=\"\\ud83d\\\" b\" source=s", .source = "s",
     .labels_invalid = 1},
    {"a bad escape, and no closing quote", PLACED "room=\"\\q source=s", .labels_invalid = 1},
    {"a bad escape, and bytes after it", PLACED "room=\"\\q\"x", .reason = WIRE_MALFORMED},
    {"a bad escape in a visitor", "PH1 site=a visitor=\"\\v\"", .reason = WIRE_MALFORMED},
    {"a bad escape in a site", "PH1 site=\"\\a\" visitor=v", .reason = WIRE_MALFORMED},
    {"a bad escape in a kind", PLACED "kind=\"\\leave\"", .reason = WIRE_MALFORMED},
    {"a bad escape in an event", PLACED "event=\"b\\uy\"", .reason = WIRE_MALFORMED},
    {"a bad escape after a broken room", PLACED "room=\"\\q\" event=\"\\q\"",
     .reason = WIRE_MALFORMED},
    {"a broken room twice", PLACED "room=\"\\q\" room=r", .reason = WIRE_MALFORMED},
    {"no visitor and a broken room", "PH1 site=a room=\"\\q\"", .reason = WIRE_VISITOR},

    {"a bad escape in an unknown key", PLACED "ua=\"\\q\\ud800\\x\" room=r", .room = "r"},
    {"bytes after an unknown value", PLACED "ua=\"a\"b\"c room=r", .room = "r"},
    {"= after an unknown value", PLACED "x=\"abc\"=", .room = ""},
    {"an unknown value with a key in it", PLACED "ua=\"x\"room=q room=r", .room = "r"},
};

static void every_broken_value(void **state)
{
    (void)state;
    expect_cases(broken, LENGTH(broken));
}

/* Wherever a datagram is cut in its last value, its site counts; a quoted room is then absent. */
static void every_cut(void **state)
{
    (void)state;
    static const char line[] = PLACED "country=DE room=\"/caf\\xc3\\xa9/\\u00e9\\\"/x\"";
    uint32_t begin = sizeof(PLACED "country=DE room=") - 1;
    for (uint32_t length = begin; length <= sizeof(line) - 1; length++) {
        bool is_whole = length == sizeof(line) - 1;
        struct text_case of = {"cut", line, length, .country = "DE",
                               .labels_invalid = !is_whole && length > begin};
        of.room = is_whole ? "/caf\xc3\xa9/\xc3\xa9\"/x" : "";
        expect_case(&of);
    }
}

/* ---- one place, one name ------------------------------------------------------------------- */

static const struct text_case places[] = {
    {"a trailing slash", PLACED "room=/t/", .room = "/t"},
    {"two slashes", PLACED "room=//t", .room = "/t"},
    {"slashes everywhere", PLACED "room=///a//b////c///", .room = "/a/b/c"},
    {"one slash", PLACED "room=/", .room = "/"},
    {"only slashes", PLACED "room=////", .room = "/"},
    {"slashes in quotes", PLACED "room=\"//a b//\"", .room = "/a b"},
    {"slashes in escapes", PLACED "room=\"\\/\\u002fa\\x2f\\x2F/b\\/\"", .room = "/a/b"},
    {"slashes beside an escape", PLACED "room=\"//a\\u0062//\"", .room = "/ab"},
    {"no path", PLACED "room=a//b/", .room = "a//b/"},
    {"no path, with an escape", PLACED "room=\"\\u0061//b//\"", .room = "a//b//"},
    {"a room in capitals", PLACED "room=/Pricing", .room = "/Pricing"},
    {"dots stay", PLACED "room=/a/../b/./", .room = "/a/../b/."},
    {"a percent sign stays", PLACED "room=/a%2Fb", .room = "/a%2Fb"},
    {"a source in capitals", PLACED "source=News.Example", .source = "news.example"},
    {"a source in capitals, escaped", PLACED "source=\"\\u004eews.EXAMPLE\"",
     .source = "news.example"},
    {"only ASCII letters of it", PLACED "source=\xc3\x89.Example", .source = "\xc3\x89.example"},
    {"a source keeps its slashes", PLACED "source=//A//", .source = "//a//"},
    {"an event in capitals", PLACED "event=Buy", .event = "Buy", .kind = WIRE_EVENT},
};

static void every_place(void **state)
{
    (void)state;
    expect_cases(places, LENGTH(places));
}

/* A room's length is judged after repeated slashes were counted as one. */
static void rooms_are_judged_in_their_form(void **state)
{
    (void)state;
    static const char *const forms[][2] = {{"", ""}, {"\"", "\""}, {"\"\\u002f", "\""}};
    for (uint32_t length = 250; length < 260; length++) {
        for (size_t form = 0; form < LENGTH(forms); form++) {
            char room[300] = "/", shown[700], value[800], line[1000];
            memset(room + 1, 'r', length - 1);
            memset(shown, '/', 300);
            snprintf(shown + 300, sizeof(shown) - 300, "%s//", room + 1);
            snprintf(value, sizeof(value), "%s%s%s", forms[form][0], shown, forms[form][1]);
            snprintf(line, sizeof(line), "%sroom=%s", PLACED, value);
            struct text_case of = {"slashes before and after", line, .room = room};
            if (length > WIRE_ROOM_MAX)
                of.room = "", of.rooms_too_long = 1;
            expect_case(&of);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broken_value),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(every_place),
        cmocka_unit_test(rooms_are_judged_in_their_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
