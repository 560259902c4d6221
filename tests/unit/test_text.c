/* test_text.c - text.h against the text heartbeat of docs/protocol.md: words, kinds, lengths and
 * headers of relays. */
#include "text_fixture.h"

/* ---- words ------------------------------------------------------------------------------- */

static const struct text_case words[] = {
    {"a site and a visitor", PLACE},
    {"all labels", PLACED "room=/pricing country=DE source=news.example kind=leave",
     .room = "/pricing", .country = "DE", .source = "news.example", .kind = WIRE_LEAVE},
    {"any order",
     "PH1 kind=pageview source=s country=FR room=r visitor=visitor-42 site=example.com",
     .room = "r", .country = "FR", .source = "s", .kind = WIRE_PAGEVIEW},
    {"quoted", "PH1 site=\"example.com\" visitor=\"visitor-42\" room=\"/a b\" country=\"DE\"",
     .room = "/a b", .country = "DE"},
    {"spaces between words", "PH1   site=example.com   visitor=visitor-42   room=r   ",
     .room = "r"},
    {"a value with =", PLACED "room=/?a=b", .room = "/?a=b"},
    {"a bare value with quotes", PLACED "room=a\"b\" source=\\\"", .room = "a\"b\"",
     .source = "\\\""},
    {"a bare value keeps its backslashes", PLACED "room=\\u0041\\n", .room = "\\u0041\\n"},
    {"a quoted value with = and words", PLACED "room=\"a site=b room=c\"",
     .room = "a site=b room=c"},
    {"unknown keys", PLACED "uri=/x xroom=r roomx=r r=1 a=\"b c\" verylongunknownkey=1 =x"},
    {"unknown keys twice", PLACED "uri=/x uri=/y uri=\"z\""},
    {"keys are case-sensitive", PLACED "Room=x ROOM=y Site=a", .room = ""},
    {"a key with a zero is another", PLACED "room\0=x", sizeof(PLACED "room\0=x") - 1},
    {"a key with a quote is another", PLACED "\"room=x"},
    {"the site in capitals", "PH1 site=EXAMPLE.Com visitor=visitor-42 room=/A", .room = "/A"},
    {"empty is absent", PLACED "room= country= source= event= kind="},
    {"empty in quotes is absent", PLACED "room=\"\" country=\"\" source=\"\" event=\"\" kind=\"\""},
    {"- is absent", PLACED "room=- country=- source=- event=- kind=-"},
    {"- in quotes is absent",
     PLACED "room=\"-\" country=\"-\" source=\"-\" event=\"-\" kind=\"-\""},
    {"an escaped - is absent", PLACED "room=\"\\u002d\" kind=\"\\u002d\""},
    {"-- is a name", PLACED "room=-- source=\" -\"", .room = "--", .source = " -"},
    {"labels with multi-byte characters",
     PLACED "room=/caf\xc3\xa9 source=\xf0\x9f\x98\x80.example", .room = "/caf\xc3\xa9",
     .source = "\xf0\x9f\x98\x80.example"},
    {"LF at the end", PLACED "room=r\n", .room = "r"},
    {"LF, CR and NUL at the end", PLACED "room=r\n\r\0\0\r\n",
     sizeof(PLACED "room=r\n\r\0\0\r\n") - 1, .room = "r"},
    {"LF after a closing quote", PLACED "room=\"r\"\r\n", .room = "r"},
    {"a space and LF", PLACED "room=r \n", .room = "r"},
    {"LF elsewhere is a byte of the value", PLACED "room=r\n source=s", .source = "s",
     .labels_invalid = 1},
    {"LF after an empty value", PLACED "room=\n"},

    {"a word without =", PLACED "room", .reason = WIRE_MALFORMED},
    {"a word without =, in between", "PH1 site=example.com room visitor=visitor-42",
     .reason = WIRE_MALFORMED},
    {"a long word without =", PLACED "abcdefghijklmnopqrstuvwxyz", .reason = WIRE_MALFORMED},
    {"a long word without = and another", PLACED "abcdefghijklmnop a=b", .reason = WIRE_MALFORMED},
    {"a word after a tab", "PH1 site=example.com\tvisitor=visitor-42", .reason = WIRE_MALFORMED},
    {"site twice", PLACED "site=example.com", .reason = WIRE_MALFORMED},
    {"visitor twice", PLACED "visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"room twice", PLACED "room=a room=a", .reason = WIRE_MALFORMED},
    {"room twice, once absent", PLACED "room=a room=-", .reason = WIRE_MALFORMED},
    {"room twice, both absent", PLACED "room= room=\"\"", .reason = WIRE_MALFORMED},
    {"country twice", PLACED "country=DE country=DE", .reason = WIRE_MALFORMED},
    {"source twice", PLACED "source=a source=b", .reason = WIRE_MALFORMED},
    {"event twice", PLACED "event=a event=a", .reason = WIRE_MALFORMED},
    {"kind twice", PLACED "kind=leave kind=leave", .reason = WIRE_MALFORMED},
    {"bytes after a closing quote", PLACED "room=\"abc\"d", .reason = WIRE_MALFORMED},
    {"a quote after a closing quote", PLACED "room=\"\"\"", .reason = WIRE_MALFORMED},
};

static void every_word(void **state)
{
    (void)state;
    expect_cases(words, LENGTH(words));
}

/* ---- what words mean --------------------------------------------------------------------- */

static const struct text_case meanings[] = {
    {"no site", "PH1 visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"an empty site", "PH1 site= visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"an empty quoted site", "PH1 site=\"\" visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"the site -", "PH1 site=- visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"the site - in quotes", "PH1 site=\"-\" visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"a site that is not UTF-8", "PH1 site=ex\xff.com visitor=visitor-42",
     .reason = WIRE_MALFORMED},
    {"a site with a control character", "PH1 site=\"ex\\u0001\" visitor=v",
     .reason = WIRE_MALFORMED},
    {"a site with DEL", "PH1 site=ex\x7f visitor=v", .reason = WIRE_MALFORMED},
    {"a site with a space", "PH1 site=\"a b\" visitor=visitor-42", .site = "a b"},
    {"a site with escapes and capitals", "PH1 site=\"\\u0045X\\u00C9\" visitor=visitor-42",
     .site = "ex\xc3\x89"},
    {"no visitor", "PH1 site=example.com", .reason = WIRE_VISITOR},
    {"the shortest", "PH1 site=a", .reason = WIRE_VISITOR},
    {"no visitor, no site", "PH1 room=r", .reason = WIRE_MALFORMED},
    {"no visitor, malformed later", "PH1 site=a visitor= room", .reason = WIRE_MALFORMED},
    {"no visitor, bad kind", "PH1 site=a kind=x", .reason = WIRE_MALFORMED},
    {"no visitor, bad labels", "PH1 site=a room=\xff country=x", .reason = WIRE_VISITOR},

    {"kind heartbeat", PLACED "kind=heartbeat"},
    {"kind leave", PLACED "kind=leave", .kind = WIRE_LEAVE},
    {"kind pageview", PLACED "kind=\"pageview\"", .kind = WIRE_PAGEVIEW},
    {"kind with an escape", PLACED "kind=\"heartbea\\u0074\""},
    {"kind event", PLACED "kind=event event=buy", .kind = WIRE_EVENT, .event = "buy"},
    {"an event alone", PLACED "event=\"buy now\"", .kind = WIRE_EVENT, .event = "buy now"},
    {"an event before its kind", PLACED "event=buy kind=event", .kind = WIRE_EVENT, .event = "buy"},
    {"an event with the kind -", PLACED "event=buy kind=-", .kind = WIRE_EVENT, .event = "buy"},
    {"an unknown kind", PLACED "kind=view", .reason = WIRE_MALFORMED},
    {"a kind in capitals", PLACED "kind=Leave", .reason = WIRE_MALFORMED},
    {"a kind cut short", PLACED "kind=leav", .reason = WIRE_MALFORMED},
    {"a kind with more", PLACED "kind=leaves", .reason = WIRE_MALFORMED},
    {"a kind as a number", PLACED "kind=1", .reason = WIRE_MALFORMED},
    {"a kind longer than any, escaped", PLACED "kind=\"heartbeat\\u0000\"",
     .reason = WIRE_MALFORMED},
    {"an event without a name", PLACED "kind=event", .reason = WIRE_MALFORMED},
    {"an event with an empty name", PLACED "kind=event event=", .reason = WIRE_MALFORMED},
    {"an event with the name -", PLACED "kind=event event=-", .reason = WIRE_MALFORMED},
    {"a name with heartbeat", PLACED "kind=heartbeat event=buy", .reason = WIRE_MALFORMED},
    {"a name with leave", PLACED "kind=leave event=buy", .reason = WIRE_MALFORMED},
    {"a name with pageview", PLACED "event=buy kind=pageview", .reason = WIRE_MALFORMED},
    {"an absent name with leave", PLACED "kind=leave event=-", .kind = WIRE_LEAVE},
    {"an event that is not UTF-8", PLACED "event=b\xc3", .reason = WIRE_MALFORMED},
    {"an event with a control character", PLACED "event=\"b\\t\"", .reason = WIRE_MALFORMED},

    {"a country in lower case", PLACED "country=de", .country = "DE"},
    {"a country in mixed case", PLACED "country=\"gB\"", .country = "GB"},
    {"the country az", PLACED "country=az", .country = "AZ"},
    {"a country with an escape", PLACED "country=\"\\u0064e\"", .country = "DE"},
    {"the country XX", PLACED "country=XX"},
    {"the country xx", PLACED "country=xx"},
    {"the country ZZ", PLACED "country=\"Zz\""},
    {"the country T1", PLACED "country=T1"},
    {"the country t1", PLACED "country=t1"},
    {"the country A1", PLACED "country=A1"},
    {"the country A2", PLACED "country=a2"},
    {"the country O1", PLACED "country=\"\\u004f1\""},
    {"the country O2", PLACED "country=O2", .labels_invalid = 1},
    {"the country T2", PLACED "country=T2", .labels_invalid = 1},
    {"the country 1T", PLACED "country=1T", .labels_invalid = 1},
    {"the country XZ", PLACED "country=XZ", .country = "XZ"},
    {"the country A\\x11", PLACED "country=\"A\\x11\"", .labels_invalid = 1},
    {"a country and a space", PLACED "country=\"DE \"", .labels_invalid = 1},
    {"a country of one letter", PLACED "country=D", .labels_invalid = 1},
    {"a country of three letters", PLACED "country=DEU", .labels_invalid = 1},
    {"a country of three, escaped", PLACED "country=\"DE\\u0055\"", .labels_invalid = 1},
    {"a country with a digit", PLACED "country=D1", .labels_invalid = 1},
    {"a country with @", PLACED "country=@A", .labels_invalid = 1},
    {"a country with [", PLACED "country=A[", .labels_invalid = 1},
    {"a country with `", PLACED "country=`a", .labels_invalid = 1},
    {"a country with {", PLACED "country=a{", .labels_invalid = 1},
    {"a country above ASCII", PLACED "country=\xc4\xc5", .labels_invalid = 1},
    {"a country of two zeros", PLACED "country=\"\\u0000\\u0000\"", .labels_invalid = 1},

    {"a room that is not UTF-8", PLACED "room=/\xff", .labels_invalid = 1},
    {"a room with a control character", PLACED "room=\"a\\u0000b\"", .labels_invalid = 1},
    {"a room with U+0085", PLACED "room=\"\\u0085\"", .labels_invalid = 1},
    {"a room with a raw tab", PLACED "room=\"a\tb\"", .labels_invalid = 1},
    {"a source that is not UTF-8", PLACED "source=\xc3(", .labels_invalid = 1},
    {"a source with DEL", PLACED "source=a\x7f", .labels_invalid = 1},
    {"all labels invalid", PLACED "room=\xff country=X source=\xff", .labels_invalid = 3},
    {"invalid labels and good ones", PLACED "room=/ok country=xx1 source=s", .room = "/ok",
     .source = "s", .labels_invalid = 1},
};

static void every_meaning(void **state)
{
    (void)state;
    expect_cases(meanings, LENGTH(meanings));
}

/* ---- lengths ----------------------------------------------------------------------------- */

static const struct {
    const char *key;
    uint32_t longest;
    enum wire_reason too_long;
} limits[] = {
    {"site", WIRE_SITE_MAX, WIRE_MALFORMED},
    {"room", WIRE_ROOM_MAX, WIRE_ACCEPTED},
    {"source", WIRE_SOURCE_MAX, WIRE_ACCEPTED},
    {"event", WIRE_EVENT_MAX, WIRE_MALFORMED},
};

/* Check a name of `length` bytes, bare, in quotes or with an escape, that ends in `last`. */
static void expect_length(size_t limit, uint32_t length, const char *form, const char *last)
{
    char value[1024] = "", escaped_value[1040] = "", line[2048];
    memset(value, 'n', length - strlen(last));
    memcpy(value + length - strlen(last), last, strlen(last));
    const char *key = limits[limit].key;
    bool is_room = strcmp(key, "room") == 0, is_source = strcmp(key, "source") == 0;
    bool fits = length <= limits[limit].longest;
    struct text_case of = {key, line, .reason = fits ? WIRE_ACCEPTED : limits[limit].too_long};
    if (strcmp(key, "site") == 0)
        of.site = value;
    else if (strcmp(key, "event") == 0)
        of.event = value, of.kind = WIRE_EVENT;
    else if (fits && is_room)
        of.room = value;
    else if (fits)
        of.source = value;
    of.rooms_too_long = !fits && is_room;
    of.labels_invalid = !fits && is_source;
    snprintf(escaped_value, sizeof(escaped_value), "\\u006e%s", value + 1);
    bool is_escaped = strchr(form, '\\') != NULL;
    const char *shown = is_escaped ? escaped_value : value;
    const char *quote = strchr(form, '"') ? "\"" : "";
    snprintf(line, sizeof(line), "PH1 %s visitor=%s %s=%s%s%s tail=1",
             of.site ? "x=y" : "site=example.com", GOLDEN_ID_TEXT, key, quote, shown, quote);
    expect_case(&of);
}

static void every_length(void **state)
{
    (void)state;
    static const char *const forms[] = {"bare", "\"", "\"\\"};
    for (size_t limit = 0; limit < LENGTH(limits); limit++) {
        for (size_t form = 0; form < LENGTH(forms); form++) {
            for (uint32_t length = 1; length <= 600; length++) {
                expect_length(limit, length, forms[form], "n");
                if (length > 2)
                    expect_length(limit, length, forms[form], "\xc3\xa9");
            }
        }
    }
}

/* A room that is too long is counted as such, whatever else is wrong with it. */
static void too_long_goes_before_invalid(void **state)
{
    (void)state;
    char line[512] = PLACED "room=";
    size_t begin = strlen(line);
    memset(line + begin, 0xff, 256);
    struct text_case of = {"a room of 256 bytes FF", line, .rooms_too_long = 1};
    expect_case(&of);
    line[begin + 255] = '\0';
    struct text_case shorter = {"a room of 255 bytes FF", line, .labels_invalid = 1};
    expect_case(&shorter);
}

/* ---- what precedes ----------------------------------------------------------------------- */

static const struct text_case headers[] = {
    {"nginx, nohostname", "<190>Nov 22 03:56:23 presence: " PLACED "room=\"/\"", .room = "/"},
    {"nginx with a host name", "<190>Nov 22 03:56:23 edge-1.example presence: " PLACE},
    {"HAProxy raw", PLACE "\n"},
    {"HAProxy local", "<134>Nov 22 03:55:11 haproxy[8009]: " PLACE "\n"},
    {"HAProxy rfc3164", "<134>Nov 22 03:55:11 edge-1 haproxy[8009]: " PLACE "\n"},
    {"HAProxy rfc5424", "<134>1 2026-11-22T03:55:11.481146+00:00 - haproxy 8009 - - " PLACE "\n"},
    {"structured data", "<134>1 2026-11-22T03:55:11Z h a 1 - [x@1 y=\"PH1\"] " PLACE},
    {"other words that begin alike", "PH1site=x PH1: PH PH12 P xPH1 y " PLACE},
    {"a header and spaces", "a  " PLACE},
    {"another PH1 later", PLACED "room=a PH1=x", .room = "a"},
    {"two heartbeats", PLACED PLACE, .reason = WIRE_MALFORMED},
    {"a colon before", "<190>presence:" PLACE},
    {"a tab before", "<190>presence:\t" PLACE},
    {"a priority before", "<190>" PLACE},
    {"a line feed before", "x\n" PLACE},
    {"a byte order mark before", "<13>1 2026-11-22T03:56:23Z h a 1 - - \xef\xbb\xbf" PLACE},
    {"a byte order mark alone", "\xef\xbb\xbf" PLACE},
    {"an octet count before", "93 <190>1 2026-11-22T03:56:23Z h a 1 - - " PLACE},
    {"structured data right before", "<13>1 - h a 1 - [x@1 y=\"z\"]" PLACE},
    {"a zero before", "x\0" PLACE, sizeof("x\0" PLACE) - 1},
    {"an underscore before", "_" PLACE},
    {"a letter before", "<190>presence" PLACE, .reason = WIRE_MALFORMED},
    {"a capital before", "Z" PLACE, .reason = WIRE_MALFORMED},
    {"a digit before", "9" PLACE, .reason = WIRE_MALFORMED},
    {"a letter before the first, a space before another", "xPH1 y " PLACE},
    {"a tab after", "PH1\tsite=example.com visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"quotes around", "<190>x: \"" PLACED "x=y\""},
    {"lower case", "ph1 site=example.com visitor=visitor-42", .reason = WIRE_MALFORMED},
    {"nothing after", "PH1 ", .reason = WIRE_MALFORMED},
    {"a header and nothing after", "<190>Nov 22 03:56:23 presence: PH1 ", .reason = WIRE_MALFORMED},
    {"a header and nothing at all", "<190>Nov 22 03:56:23 presence: PH1", .reason = WIRE_MALFORMED},
    {"only a header", "<190>Nov 22 03:56:23 presence: ", .reason = WIRE_MALFORMED},
    {"line ends alone", "\n\r\0\n", 4, .reason = WIRE_MALFORMED},
    {"the first one counts", "x PH1 y " PLACE, .reason = WIRE_MALFORMED},
};

static void every_header(void **state)
{
    (void)state;
    expect_cases(headers, LENGTH(headers));
    struct wire_scratch scratch;
    struct wire_heartbeat got;
    struct bytes nothing = bytes_copy("", 0);
    assert_int_equal(text_decode(nothing.bytes, 0, &scratch, &got), WIRE_MALFORMED);
    bytes_free(&nothing);
}

/* The heartbeat begins within the first 1024 bytes. */
static void every_header_length(void **state)
{
    (void)state;
    for (uint32_t offset = 0; offset < 1100; offset++) {
        char line[1200] = "";
        memset(line, 'x', offset);
        if (offset > 0)
            line[offset - 1] = ' ';
        memcpy(line + offset, PLACE, sizeof(PLACE));
        struct text_case of = {"header", line,
                               .reason = offset < 1024 ? WIRE_ACCEPTED : WIRE_MALFORMED};
        expect_case(&of);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word),   cmocka_unit_test(every_meaning),
        cmocka_unit_test(every_length), cmocka_unit_test(too_long_goes_before_invalid),
        cmocka_unit_test(every_header), cmocka_unit_test(every_header_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
