/* The live view at every size: it stays on the canvas, and the count is always shown. */
#include "../support/unit.h"

#include <locale.h>

#include "watch_view.h"

#define POINTS 60
#define NOW    1769860800 /* 2026-01-31T12:00:00Z */

struct fixture {
    struct watch_model model;
    struct graph_point points[POINTS];
    struct presence_entry entries[40];
    struct presence_event events[40];
};

static const char *const names[] = {
    "/pricing",
    "/日本語のとても長い部屋の名前です",
    "/שלום עולם",
    "/\u202e\u200b",
    "/e\u0301\u0301\u0301\u0301",
    "\u0301x",
    "/a b c d e f g h i j k l m n o p q r s t u v w x y z",
};

static void fill(struct fixture *fixture)
{
    struct watch_model *model = &fixture->model;

    *fixture = (struct fixture){0};
    for (unsigned i = 0; i < POINTS; i++)
        fixture->points[i] = (struct graph_point){.mean = i, .maximum = i + 2, .known = i % 7 > 0};
    for (unsigned i = 0; i < LENGTH(fixture->entries); i++) {
        strcpy(fixture->entries[i].name, names[i % LENGTH(names)]);
        fixture->entries[i].count = 1000 - i;
        strcpy(fixture->events[i].room, names[i % LENGTH(names)]);
        strcpy(fixture->events[i].source, names[(i + 1) % LENGTH(names)]);
        strcpy(fixture->events[i].country, "DE");
        fixture->events[i].kind = (enum presence_event_kind)(1 + i % 4);
        fixture->events[i].time_us = (NOW + i) * INT64_C(1000000);
    }
    *model = (struct watch_model){
        .site = "example.com",
        .activity = {.reading = {.exists = true,
                                 .known = true,
                                 .count = 1342,
                                 .window_s = 300,
                                 .as_of = NOW},
                     .has_history = true,
                     .entries = 31,
                     .leaves = 4,
                     .departures = 28},
        .peak = {.count = 2011, .at = NOW - 3600},
        .status = {.state = PRESENCE_LISTENING,
                   .as_of = NOW,
                   .listening_for_s = 7200,
                   .max_window_s = 3600,
                   .entries_live = 20,
                   .entries_taken = 50,
                   .entries_capacity = 100},
        .graph = {fixture->points, POINTS, NOW - 3600, 60},
        .by = PRESENCE_ROOM,
        .listing = {.entries = fixture->entries, .length = LENGTH(fixture->entries)},
        .events = fixture->events,
        .events_length = LENGTH(fixture->events),
        .heartbeats_per_s = 120,
    };
}

/* Return all rows, each ended by a newline, in a string to be freed. */
static char *draw(const struct watch_model *model, unsigned columns, unsigned rows, bool unicode)
{
    struct canvas canvas;
    char *all;
    size_t length;
    FILE *stream = open_memstream(&all, &length);

    assert_non_null(stream);
    assert_int_equal(canvas_init(columns, rows, unicode, false, &canvas), 0);
    watch_draw(&canvas, model);
    for (unsigned row = 0; row < rows; row++) {
        char *text = canvas_row(&canvas, row);
        assert_non_null(text);
        if (canvas_width(&canvas, text) > columns)
            fail_msg("%u x %u: row %u is wider: '%s'", columns, rows, row, text);
        fprintf(stream, "%s\n", text);
        free(text);
    }
    canvas_free(&canvas);
    assert_int_equal(fclose(stream), 0);
    return all;
}

static void assert_shows(const struct watch_model *model, unsigned columns, unsigned rows,
                         const char *const *wanted, unsigned count)
{
    char *screen = draw(model, columns, rows, true);

    for (unsigned i = 0; i < count; i++) {
        if (!strstr(screen, wanted[i]))
            fail_msg("%u x %u: '%s' is not in\n%s", columns, rows, wanted[i], screen);
    }
    free(screen);
}

static void test_the_usual_size(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    assert_shows(&fixture.model, 80, 24,
                 (const char *const[]){" example.com",
                                       "2026-01-31T12:00:00Z",
                                       "1342 visitors in the last 5 min",
                                       "+31 -32 in a minute",
                                       "peak 2011 at 11:00",
                                       "▼",
                                       "11:30",
                                       "UTC",
                                       "ROOM",
                                       "VISITORS",
                                       "/pricing",
                                       "1000",
                                       "74.5 %",
                                       "LATEST",
                                       "12:00:39 *",
                                       "12:00:38 o DE",
                                       "12:00:37 - DE",
                                       "12:00:36 + DE",
                                       "listening for 2 h",
                                       "120 heartbeats/s",
                                       "0 rejected",
                                       "0 dropped",
                                       "50 % full",
                                       "q: quit"},
                 24);
}

static void test_every_size(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    for (unsigned columns = 1; columns <= 140; columns += columns < 30 ? 1 : 7) {
        for (unsigned rows = 1; rows <= 60; rows += rows < 30 ? 1 : 7) {
            char *screen = draw(&fixture.model, columns, rows, rows % 2);
            if (columns >= 5 && !strstr(screen, "134"))
                fail_msg("%u x %u: no count in\n%s", columns, rows, screen);
            free(screen);
        }
    }
}

static void test_narrow_screens_stack(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    assert_shows(&fixture.model, 50, 30,
                 (const char *const[]){"1342 visitors", "\n ROOM", "\n LATEST", "/pricing"}, 4);
}

static void test_states(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    fixture.model.status.warming = true;
    assert_shows(&fixture.model, 80, 24, (const char *const[]){"warming: ", "lower bound"}, 2);
    fixture.model.status.stale = true;
    fixture.model.status.as_of_age_s = 5;
    assert_shows(&fixture.model, 80, 24,
                 (const char *const[]){"stale: the collector was last active 5 s ago", "silent"},
                 2);
    fill(&fixture);
    fixture.model.activity.reading.last_heartbeat_s = 300;
    assert_shows(&fixture.model, 80, 24, (const char *const[]){"quiet: ", "5 min ago"}, 2);
    fixture.model.edges = (struct edges){.alive = 1, .gone = 1, .gone_s = 130};
    assert_shows(&fixture.model, 120, 24,
                 (const char *const[]){"an edge fell silent 2 min ago, and 1 other is alive"}, 1);
    fixture.model.activity.reading.exists = false;
    assert_shows(&fixture.model, 80, 24, (const char *const[]){"nobody within", "1 h"}, 2);
    fixture.model.activity.reading.known = false;
    assert_shows(&fixture.model, 80, 24, (const char *const[]){"\n unknown\n"}, 1);
    fill(&fixture);
    fixture.model.activity.reading.partial = true;
    assert_shows(&fixture.model, 80, 24,
                 (const char *const[]){"1342 visitors", "partial: ", "lower bound"}, 3);
}

static void test_nothing_yet(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    fixture.model.graph.count = 0;
    fixture.model.listing.length = 0;
    fixture.model.events_length = 0;
    fixture.model.heartbeats_per_s = -1;
    fixture.model.peak.count = 0;
    for (unsigned rows = 1; rows < 30; rows++)
        free(draw(&fixture.model, 80, rows, true));
}

static void test_names_disturb_nothing(void **state)
{
    struct fixture fixture;

    (void)state;
    fill(&fixture);
    char *screen = draw(&fixture.model, 120, 40, true);
    assert_null(strstr(screen, "\u202e"));
    assert_null(strstr(screen, "\u200b"));
    assert_null(strstr(screen, "\u0301\u0301\u0301"));
    assert_non_null(strstr(screen, "\u200e/שלום עולם\u200e"));
    free(screen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_usual_size),       cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_narrow_screens_stack), cmocka_unit_test(test_states),
        cmocka_unit_test(test_nothing_yet),          cmocka_unit_test(test_names_disturb_nothing),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
