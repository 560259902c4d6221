#include "questions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "presence/scan.h"

#define LAST_S 180 /* of a history, that are compared */
#define NEXT_S 180 /* and what may be added to it before it is read: threads' clocks leap */

/* Add a line whose text is formatted. */
__attribute__((format(printf, 4, 5))) static void add(struct answer *answer, const char *name,
                                                      uint64_t figure, const char *format, ...)
{
    va_list arguments;

    if (answer->length == ANSWER_LINES)
        fail_msg("an answer of too many lines");
    struct answer_line *line = &answer->lines[answer->length++];
    snprintf(line->name, sizeof(line->name), "%.95s", name);
    va_start(arguments, format);
    vsnprintf(line->text, sizeof(line->text), format, arguments);
    va_end(arguments);
    line->figure = figure;
}

/* Add when a scope was last heard, which is loaded after its count. */
static void add_heard(struct answer *answer, const char *name, uint32_t seconds)
{
    char heard[2 * PRESENCE_NAME_MAX + 16];

    snprintf(heard, sizeof(heard), "heard %s", name);
    add(answer, heard, 0, "%u s ago", seconds);
}

static void add_reading(struct answer *answer, const char *name,
                        const struct presence_reading *reading)
{
    add(answer, name, reading->count, "%u s, %s%s%s%s%s", reading->window_s,
        reading->exists ? "exists" : "absent", reading->known ? ", known" : "",
        reading->partial ? ", partial" : "", reading->stale ? ", stale" : "",
        reading->warming ? ", warming" : "");
    add_heard(answer, name, reading->last_heartbeat_s);
}

static void ask_count(struct presence *presence, const char *room, uint32_t window_s,
                      struct answer *ret)
{
    struct presence_reading reading;

    ret->error = presence_count(presence, QUESTIONS_SITE, room, window_s, &reading);
    if (ret->error == 0)
        add_reading(ret, room ? room : QUESTIONS_SITE, &reading);
}

void ask_site(struct presence *presence, struct answer *ret)
{
    ask_count(presence, NULL, QUESTIONS_WINDOW, ret);
}

void ask_as_of(struct presence *presence, struct answer *ret)
{
    struct presence_reading reading;

    ret->error = presence_count(presence, QUESTIONS_SITE, NULL, QUESTIONS_WINDOW, &reading);
    if (ret->error == 0)
        add(ret, "as of", reading.count, "%lld", (long long)reading.as_of);
}

void ask_room(struct presence *presence, struct answer *ret)
{
    ask_count(presence, QUESTIONS_ROOM, QUESTIONS_WINDOW, ret);
}

void ask_nowhere(struct presence *presence, struct answer *ret)
{
    ask_count(presence, "/nowhere", QUESTIONS_WINDOW, ret);
}

void ask_hour(struct presence *presence, struct answer *ret)
{
    ask_count(presence, NULL, 3600, ret);
}

void ask_seen(struct presence *presence, struct answer *ret)
{
    struct presence_reading reading;

    ret->error =
        presence_seen(presence, QUESTIONS_SITE, "00000000-5a5a-5a5a-5a5a-5a5a5a5a5a5a", &reading);
    if (ret->error == 0)
        add_reading(ret, "visitor 0", &reading);
}

static void add_listing(struct answer *answer, struct presence_listing *listing)
{
    for (size_t i = 0; i < listing->length; i++) {
        const struct presence_entry *entry = &listing->entries[i];
        add(answer, entry->name, entry->count, "%s", entry->partial ? "partial" : "complete");
        add_heard(answer, entry->name, entry->last_heartbeat_s);
    }
    presence_listing_free(listing);
}

void ask_top(struct presence *presence, struct answer *ret)
{
    struct presence_listing listing;

    ret->error =
        presence_top(presence, QUESTIONS_SITE, PRESENCE_ROOM, QUESTIONS_WINDOW, 0, &listing);
    if (ret->error == 0)
        add_listing(ret, &listing);
}

void ask_sites(struct presence *presence, struct answer *ret)
{
    struct presence_listing listing;

    ret->error = presence_sites(presence, QUESTIONS_WINDOW, &listing);
    if (ret->error == 0)
        add_listing(ret, &listing);
}

void ask_busiest(struct presence *presence, struct answer *ret)
{
    struct presence_busiest busiest;
    char name[2 * PRESENCE_NAME_MAX + 2];

    ret->error = presence_busiest(presence, PRESENCE_ROOM, QUESTIONS_WINDOW, 2, &busiest);
    for (size_t i = 0; ret->error == 0 && i < busiest.length; i++) {
        const struct presence_busy_scope *scope = &busiest.scopes[i];
        snprintf(name, sizeof(name), "%s %s", scope->site, scope->name);
        add(ret, name, scope->count, "%s", scope->partial ? "partial" : "complete");
        add_heard(ret, name, scope->last_heartbeat_s);
    }
    if (ret->error == 0)
        presence_busiest_free(&busiest);
}

/* A scope's name at the pass before. */
struct known_name {
    uint64_t generation; /* 0: it had none */
    char name[PRESENCE_NAME_MAX + 1];
};

static void learn_names(struct presence *presence, const struct scan *scan,
                        struct known_name *names)
{
    for (uint32_t i = 0; i < scan->used; i++) {
        if (scan->scopes[i].generation && scan_copy_name(presence, scan, i, names[i].name))
            names[i].generation = scan->scopes[i].generation;
    }
}

/* Like presence-publisher: a scope that a pass before has named keeps the name. */
void ask_scan(struct presence *presence, struct answer *ret)
{
    const struct scan_windows windows = {.seconds = {QUESTIONS_WINDOW}, .count = 1};
    struct known_name *names = calloc(scan_capacity(presence), sizeof(*names));
    char full[PRESENCE_NAME_MAX + 16];
    struct scan scan;

    assert_non_null(names);
    assert_int_equal(scan_alloc(scan_capacity(presence), &windows, &scan), 0);
    scan_pass(presence, &scan);
    learn_names(presence, &scan, names);
    scan_pass(presence, &scan);
    for (uint32_t i = 0; i < scan.used; i++) {
        if (!scan.scopes[i].generation || (scan.scopes[i].generation != names[i].generation &&
                                           !scan_copy_name(presence, &scan, i, names[i].name)))
            continue;
        snprintf(full, sizeof(full), "%u %s", scan.scopes[i].site, names[i].name);
        add(ret, full, scan.counts[0][i], "kind %u", scan.scopes[i].kind);
    }
    free(names);
    scan_free(&scan);
}

void ask_status(struct presence *presence, struct answer *ret)
{
    struct presence_status status;

    ret->error = presence_status(presence, &status);
    if (ret->error < 0)
        return;
    add(ret, "visitors", status.entries_live, " ");
    add(ret, "freshness", 0, "%s%s%s", status.stale ? "stale" : "", status.warming ? "warming" : "",
        status.partial ? "partial" : "");
    add(ret, "scopes", status.scopes_live, " ");
}

static void ask_peaks_of(struct presence *presence, enum presence_kind kind, struct answer *ret)
{
    struct presence_peaks peaks;

    ret->error = presence_peaks(presence, kind, QUESTIONS_SITE, QUESTIONS_ROOM, &peaks);
    if (ret->error == 0)
        add(ret, "peaks", 0, "day %lld, today %u at %lld, ever %u at %lld, since %lld",
            (long long)peaks.day, peaks.today.count, (long long)peaks.today.at, peaks.ever.count,
            (long long)peaks.ever.at, (long long)peaks.since);
}

void ask_peaks(struct presence *presence, struct answer *ret)
{
    ask_peaks_of(presence, PRESENCE_SITE, ret);
}

void ask_room_peaks(struct presence *presence, struct answer *ret)
{
    ask_peaks_of(presence, PRESENCE_ROOM, ret);
}

static void ask_activity_of(struct presence *presence, enum presence_kind kind, struct answer *ret)
{
    struct presence_activity activity;
    uint64_t visitors = 0;

    ret->error = presence_activity(presence, kind, QUESTIONS_SITE, QUESTIONS_ROOM, &activity);
    if (ret->error < 0)
        return;
    for (size_t i = 0; i < activity.bands_length; i++)
        visitors += activity.bands[i].visitors;
    add_reading(ret, "reading", &activity.reading);
    add(ret, "bands", visitors, " ");
    add(ret, "flow", 0, "history %d: %u s, %llu heartbeats, %llu enters, %llu leaves, %llu gone",
        activity.has_history, activity.seconds, (unsigned long long)activity.heartbeats,
        (unsigned long long)activity.entries, (unsigned long long)activity.leaves,
        (unsigned long long)activity.departures);
}

void ask_activity(struct presence *presence, struct answer *ret)
{
    ask_activity_of(presence, PRESENCE_SITE, ret);
}

void ask_room_activity(struct presence *presence, struct answer *ret)
{
    ask_activity_of(presence, PRESENCE_ROOM, ret);
}

static void add_minute(struct answer *answer, const struct presence_minute *minute)
{
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)minute->minute);
    add(answer, name, 0,
        "%u..%u, mean %.3f of %u, %llu heartbeats, %llu views, %llu in, %llu out, %llu gone",
        minute->minimum, minute->maximum, minute->mean, minute->seconds,
        (unsigned long long)minute->heartbeats, (unsigned long long)minute->pageviews,
        (unsigned long long)minute->entries, (unsigned long long)minute->leaves,
        (unsigned long long)minute->departures);
}

static void ask_history_of(struct presence *presence, enum presence_kind kind, struct answer *ret)
{
    struct presence_history history;

    int64_t as_of = presence_freshness(presence).as_of;
    ret->error = presence_history(presence, kind, QUESTIONS_SITE, QUESTIONS_ROOM, as_of - LAST_S,
                                  as_of + NEXT_S, &history);
    if (ret->error < 0)
        return;
    for (size_t i = 0; i < history.length; i++)
        add_minute(ret, &history.minutes[i]);
    presence_history_free(&history);
}

void ask_history(struct presence *presence, struct answer *ret)
{
    ask_history_of(presence, PRESENCE_SITE, ret);
}

void ask_room_history(struct presence *presence, struct answer *ret)
{
    ask_history_of(presence, PRESENCE_ROOM, ret);
}

void ask_histories(struct presence *presence, struct answer *ret)
{
    struct presence_scopes scopes;
    char name[2 * PRESENCE_NAME_MAX + 2];

    ret->error = presence_history_scopes(presence, &scopes);
    if (ret->error < 0)
        return;
    for (size_t i = 0; i < scopes.length; i++) {
        snprintf(name, sizeof(name), "%s %s", scopes.scopes[i].site, scopes.scopes[i].name);
        add(ret, name, 0, "kind %d", (int)scopes.scopes[i].kind);
    }
    presence_scopes_free(&scopes);
}

void ask_refused(struct presence *presence, struct answer *ret)
{
    add(ret, "refused", 0, "%d",
        (int)presence_refused(presence, PRESENCE_SITE, QUESTIONS_SITE, NULL));
}

void ask_room_refused(struct presence *presence, struct answer *ret)
{
    add(ret, "refused", 0, "%d",
        (int)presence_refused(presence, PRESENCE_ROOM, QUESTIONS_SITE, QUESTIONS_ROOM));
}

void ask_streams(struct presence *presence, struct answer *ret)
{
    struct presence_streams streams;
    char name[32];

    ret->error = presence_streams(presence, &streams);
    if (ret->error < 0)
        return;
    for (size_t i = 0; i < streams.length; i++) {
        const struct presence_stream *stream = &streams.streams[i];
        snprintf(name, sizeof(name), "%llx %u", (unsigned long long)stream->id, stream->target);
        add(ret, name, 0, "%s port %u, %llu of %llu, %llu twice, %llu heartbeats", stream->address,
            stream->port, (unsigned long long)stream->received,
            (unsigned long long)stream->expected, (unsigned long long)stream->duplicates,
            (unsigned long long)stream->heartbeats);
    }
    presence_streams_free(&streams);
}

void ask_verify(struct presence *presence, struct answer *ret)
{
    struct presence_verification verification;

    ret->error = presence_verify(presence, &verification);
    if (ret->error == 0)
        add(ret, "verify", 0, "%s",
            verification.difference <= verification.in_flight ? "agrees" : "differs");
}
