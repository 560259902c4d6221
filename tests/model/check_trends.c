/* check_trends.c - peaks and minutes, as presence.h tells them, against the oracle. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "presence/presence.h"
#include "stream.h"

#define HELD 1440 /* minutes */

/* A scope's names as presence.h takes them. */
struct place_names {
    char site[256], name[256];
};

static void copy_name(char ret[256], const struct name *name)
{
    memcpy(ret, name->bytes, name->length);
    ret[name->length] = '\0';
}

static struct place_names names_of(const struct stream *stream, const struct oracle_scope *scope)
{
    struct place_names names = {0};

    copy_name(names.site, &stream->names.names[PLACE_SITE][scope->site]);
    copy_name(names.name, &stream->names.names[scope->place][scope->name]);
    return names;
}

static void check_figure(struct stream *stream, const struct oracle_scope *scope, uint64_t minute,
                         const char *what, uint64_t got, struct oracle_figure figure)
{
    if (got <= figure.value && got >= figure.value - figure.doubt)
        return;
    stream_fail(stream, "place %d, name %d of site %d, minute %llu: %s %llu, not %llu to %llu",
                (int)scope->place, scope->name, scope->site, (unsigned long long)minute, what,
                (unsigned long long)got, (unsigned long long)(figure.value - figure.doubt),
                (unsigned long long)figure.value);
}

static struct oracle_figure exactly(uint64_t value)
{
    return (struct oracle_figure){value, 0};
}

static void check_minute(struct stream *stream, const struct oracle_scope *scope,
                         const struct presence_minute *got, const struct oracle_minute *expected)
{
    const struct oracle_flow *flow = &expected->flow;
    uint64_t minute = expected->minute;

    check_figure(stream, scope, got->minute, "the minute itself is", minute, exactly(got->minute));
    check_figure(stream, scope, minute, "samples", got->seconds, exactly(expected->samples));
    check_figure(stream, scope, minute, "minimum", got->minimum, exactly(expected->minimum));
    check_figure(stream, scope, minute, "maximum", got->maximum, exactly(expected->maximum));
    check_figure(stream, scope, minute, "sum", (uint64_t)llround(got->mean * got->seconds),
                 exactly(expected->sum));
    check_figure(stream, scope, minute, "heartbeats", got->heartbeats, flow->heartbeats);
    check_figure(stream, scope, minute, "pageviews", got->pageviews, flow->pageviews);
    check_figure(stream, scope, minute, "entries", got->entries, flow->entries);
    check_figure(stream, scope, minute, "leaves", got->leaves, flow->leaves);
    if (stream->oracle.longest < 300)
        check_figure(stream, scope, minute, "departures", got->departures, exactly(0));
    else if (!scope->trend.is_doubted)
        check_figure(stream, scope, minute, "departures", got->departures, flow->departures);
    check_figure(stream, scope, minute, "running", got->running,
                 exactly(minute == stream->sampled / 60));
}

static void check_minutes(struct stream *stream, const struct oracle_scope *scope,
                          struct presence *presence, const struct place_names *names)
{
    const struct oracle_trend *trend = &scope->trend;
    struct presence_history history;
    uint64_t newest = stream->sampled / 60;
    unsigned first = 0;
    int r = presence_history(presence, (enum presence_kind)scope->place, names->site, names->name,
                             0, 0, &history);

    if (!trend->is_kept) {
        if (r != -ENOENT)
            stream_fail(stream, "a scope that was forgotten has a history: %d", r);
        return;
    }
    if (r < 0)
        stream_fail(stream, "presence_history of place %d, name %d of site %d: %s",
                    (int)scope->place, scope->name, scope->site, strerror(-r));
    while (first < trend->length && trend->minutes[first].minute + HELD <= newest)
        first++;
    if (history.length != trend->length - first)
        stream_fail(stream, "place %d, name %d of site %d: %zu minutes, not %u", (int)scope->place,
                    scope->name, scope->site, history.length, trend->length - first);
    for (size_t i = 0; i < history.length; i++)
        check_minute(stream, scope, &history.minutes[i], &trend->minutes[first + i]);
    presence_history_free(&history);
}

static void check_peak(struct stream *stream, const struct oracle_scope *scope, const char *what,
                       uint64_t word, const struct oracle_peak *expected)
{
    if (peak_count(word) == 0 && expected->count == 0)
        return;
    if (peak_count(word) == expected->count && peak_tick(word, stream->tick) == expected->at)
        return;
    stream_fail(stream, "place %d, name %d of site %d: peak %s %u at %llu, not %u at %llu",
                (int)scope->place, scope->name, scope->site, what, peak_count(word),
                (unsigned long long)peak_tick(word, stream->tick), expected->count,
                (unsigned long long)expected->at);
}

/* The words themselves: presence.h tells the wall clock's time of their ticks. */
static void check_peaks(struct stream *stream, const struct oracle_scope *scope,
                        struct presence *presence, const struct place_names *names)
{
    const struct histories *histories = &stream->fixture->collector.file.segment.histories;
    struct presence_peaks peaks;

    if (!scope->trend.is_kept)
        return;
    int r = presence_peaks(presence, (enum presence_kind)scope->place, names->site, names->name,
                           &peaks);
    if (r < 0 || peaks.today.count != scope->trend.today.count ||
        peaks.ever.count != scope->trend.ever.count)
        stream_fail(stream,
                    "place %d, name %d of site %d: presence_peaks: %d, %u and %u, not %u "
                    "and %u",
                    (int)scope->place, scope->name, scope->site, r, r ? 0 : peaks.today.count,
                    r ? 0 : peaks.ever.count, scope->trend.today.count, scope->trend.ever.count);
    for (uint32_t i = 0; i < histories->capacity; i++) {
        const struct history *head = &histories->heads[i];
        size_t length = strlen(names->name);
        if (head->kind != scope->place || head->site_length != strlen(names->site) ||
            strncasecmp((const char *)head->site, names->site, head->site_length) != 0 ||
            (head->kind &&
             (head->name_length != length || memcmp(head->name, names->name, length) != 0)))
            continue;
        check_peak(stream, scope, "today", head->peak_today, &scope->trend.today);
        check_peak(stream, scope, "ever", head->peak_ever, &scope->trend.ever);
        return;
    }
}

void check_trends(struct stream *stream)
{
    struct presence *presence;

    if (!stream->variant->has_histories || stream->sampled == ORACLE_ABSENT)
        return;
    int r = presence_open(stream->fixture->path, &presence);
    if (r < 0)
        stream_fail(stream, "presence_open: %s", strerror(-r));
    for (unsigned i = 0; i < stream->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &stream->oracle.scopes[i];
        if (!scope->is_known)
            continue;
        struct place_names names = names_of(stream, scope);
        check_minutes(stream, scope, presence, &names);
        check_peaks(stream, scope, presence, &names);
    }
    presence_close(presence);
}
