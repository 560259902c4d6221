/* test_web_events.c - pages of events, on and back: each event is on one page, wherever it lies
 * among those of other sites. Parameters and answers are played. */
#include "site_fixture.h"

#include "api.h"
#include "response.h"

#define OTHER   "busy.example"
#define BLOCK   256 /* events that are loaded at a time */
#define DENSE   (BLOCK + 50)
#define SPARSE  6
#define EVENTS  (DENSE + SPARSE)
#define BETWEEN 127 /* events of the other site between two sparse ones: blocks end at some */

static struct {
    const char *since, *before, *size, *types;
    json_t *answer;
} world;

/* ---- what is played -------------------------------------------------------------------------- */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

const char *__wrap_http_request_query(const struct http_request *request, const char *name)
{
    (void)request;
    return strcmp(name, "since_timestamp") == 0    ? world.since
           : strcmp(name, "before_timestamp") == 0 ? world.before
                                                   : NULL;
}

size_t __wrap_http_request_query_all(const struct http_request *request, const char *name,
                                     const char **ret, size_t capacity)
{
    (void)request;
    assert_true(capacity > 0);
    *ret = strcmp(name, "page_size") == 0 ? world.size
           : strcmp(name, "types") == 0   ? world.types
                                          : NULL;
    return *ret != NULL;
}

enum MHD_Result __wrap_respond_json(const struct web *web, struct http_request *request,
                                    json_t *object)
{
    (void)web, (void)request;
    world.answer = object;
    return MHD_YES;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static void view_of(struct site *site, const char *name, const char *visitor, int page)
{
    char line[128];
    int length = snprintf(line, sizeof(line), "PH1 site=%s visitor=%s kind=pageview room=/%d", name,
                          visitor, page);

    ingest_begin(site->fixture.ingest);
    ingest_datagram(site->fixture.ingest, (const uint8_t *)line, (uint32_t)length);
    ingest_end(site->fixture.ingest);
}

static void view(struct site *site, const char *name, int page)
{
    view_of(site, name, "ann", page);
}

/* Write an event, some of them a second: a site has its share of them (R11). */
static void view_in_time(struct site *site, const char *name, int page)
{
    if (page % 8 == 0) {
        site->fixture.now++;
        collector_maintain(site->fixture.collector);
    }
    view(site, name, page);
}

/* Write events: many in a row, and some far apart. */
static void fill(struct site *site)
{
    for (int i = 0; i < EVENTS; i++) {
        for (int j = 0; i >= DENSE && j < BETWEEN; j++)
            view_in_time(site, OTHER, j);
        view_in_time(site, SITE, i);
    }
}

/* Ask for a page. Returns the answer, which the caller frees. */
static json_t *ask(struct site *site, const char *since, const char *before, const char *size)
{
    struct http_request request = {0};
    struct place place = {SITE, ""};

    world.since = since;
    world.before = before;
    world.size = size;
    world.answer = NULL;
    assert_int_equal(api_events(&site->web, &request, &place), MHD_YES);
    assert_non_null(world.answer);
    return world.answer;
}

static const char *text_of(const json_t *answer, const char *name)
{
    return json_string_value(json_object_get(answer, name));
}

/* Check that the page has these events, newest first. */
static void expect_pages(const json_t *answer, int newest, size_t count)
{
    const json_t *data = json_object_get(answer, "data");

    assert_int_equal(json_array_size(data), count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(atoi(text_of(json_array_get(data, i), "pathname") + 1), newest - (int)i);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_back(void **state)
{
    struct site *site = *state;
    char before[64] = "";
    int newest = EVENTS - 1;

    fill(site);
    while (newest >= 0) {
        size_t expected = newest + 1 < 7 ? (size_t)newest + 1 : 7;
        json_t *answer = ask(site, NULL, before, "7");
        expect_pages(answer, newest, expected);
        newest -= (int)expected;
        const char *previous = text_of(answer, "previous_timestamp");
        assert_non_null(previous);
        snprintf(before, sizeof(before), "%s", previous);
        json_decref(answer);
    }
    json_t *answer = ask(site, NULL, before, "7");
    expect_pages(answer, -1, 0);
    assert_true(json_is_false(json_object_get(answer, "has_more")));
    json_decref(answer);
}

static void test_on(void **state)
{
    struct site *site = *state;
    char since[64] = "2000-01-01T00:00:00Z";
    int next = 0;

    fill(site);
    while (next < EVENTS) {
        int expected = EVENTS - next < 7 ? EVENTS - next : 7;
        json_t *answer = ask(site, since, NULL, "7");
        expect_pages(answer, next + expected - 1, (size_t)expected);
        next += expected;
        assert_int_equal(json_is_true(json_object_get(answer, "has_more")), next < EVENTS);
        snprintf(since, sizeof(since), "%s", text_of(answer, "next_timestamp"));
        json_decref(answer);
    }
    json_t *answer = ask(site, since, NULL, "7");
    expect_pages(answer, -1, 0);
    assert_string_equal(text_of(answer, "next_timestamp"), since);
    json_decref(answer);
}

/* What is wanted lies behind more events of other kinds than are loaded at a time. */
static void test_on_past_other_kinds(void **state)
{
    struct site *site = *state;

    view(site, SITE, 0);
    for (int i = 1; i <= DENSE; i++)
        view_in_time(site, SITE, i);
    view_of(site, SITE, "bob", DENSE + 1);
    world.types = "enter";
    json_t *answer = ask(site, "2000-01-01T00:00:00Z", NULL, "7");
    assert_int_equal(json_array_size(json_object_get(answer, "data")), 2);
    json_decref(answer);
    world.types = NULL;
}

/* Whoever goes on from the newest event must not pass one that is still being written. */
static void test_an_event_that_is_being_written(void **state)
{
    struct site *site = *state;
    uint64_t time_us;

    view(site, SITE, 1);
    events_claim(&fixture_segment(&site->fixture)->events, 0, &time_us);
    view(site, SITE, 2);
    json_t *answer = ask(site, NULL, NULL, "7");
    expect_pages(answer, 1, 1);
    json_decref(answer);
}

/* ... nor if the newer ones are more than are loaded at a time. */
static void test_many_behind_one_that_is_being_written(void **state)
{
    struct site *site = *state;
    uint64_t time_us;

    view(site, SITE, 1);
    events_claim(&fixture_segment(&site->fixture)->events, 0, &time_us);
    for (int i = 0; i < BLOCK + 10; i++)
        view_in_time(site, OTHER, i);
    view(site, SITE, 2);
    json_t *answer = ask(site, NULL, NULL, "7");
    expect_pages(answer, 1, 1);
    json_decref(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_back, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_on, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_on_past_other_kinds, open_site, close_site),
        cmocka_unit_test_setup_teardown(test_many_behind_one_that_is_being_written, open_site,
                                        close_site),
        cmocka_unit_test_setup_teardown(test_an_event_that_is_being_written, open_site, close_site),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
