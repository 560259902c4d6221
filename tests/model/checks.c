#include "checks.h"

#include <string.h>

#include "model_clock.h"

static void copy_name(char ret[256], const struct name *name)
{
    memcpy(ret, name->bytes, name->length);
    ret[name->length] = '\0';
}

struct place_names checks_names(const struct stream *stream, const struct oracle_scope *scope)
{
    struct place_names names = {0};

    copy_name(names.site, &stream->names.names[PLACE_SITE][scope->site]);
    copy_name(names.name, &stream->names.names[scope->place][scope->name]);
    return names;
}

void checks_site_name(const struct stream *stream, int site, char ret[256])
{
    copy_name(ret, &stream->names.names[PLACE_SITE][site]);
    for (char *byte = ret; *byte; byte++)
        if (*byte >= 'A' && *byte <= 'Z')
            *byte += 'a' - 'A';
}

bool checks_is_named(const struct stream *stream, int site, enum place place, int name,
                     const char *told)
{
    char expected[256];

    if (place == PLACE_SITE)
        checks_site_name(stream, site, expected);
    else
        copy_name(expected, &stream->names.names[place][name]);
    return strcmp(told, expected) == 0;
}

bool checks_is_gone(const struct stream *stream, const struct oracle_scope *scope)
{
    return !scope->is_known || stream->tick - scope->last_heartbeat >= stream->oracle.longest;
}

struct range checks_count(const struct stream *stream, const struct oracle_scope *scope,
                          unsigned window)
{
    unsigned least, most;

    oracle_count(&stream->oracle, scope, stream->tick,
                 window ? window : oracle_sampled_window(&stream->oracle), &least, &most);
    return (struct range){least, most};
}

struct range checks_range(struct oracle_figure figure)
{
    return (struct range){figure.value - figure.doubt, figure.value};
}

void checks_expect(struct stream *stream, const struct oracle_scope *scope, const char *what,
                   uint64_t got, struct range range)
{
    if (got >= range.least && got <= range.most)
        return;
    stream_fail(stream, "place %d, name %d of site %d: %s %lld, not %lld to %lld",
                scope ? (int)scope->place : -1, scope ? scope->name : -1, scope ? scope->site : -1,
                what, (long long)got, (long long)range.least, (long long)range.most);
}

void checks_expect_exactly(struct stream *stream, const struct oracle_scope *scope,
                           const char *what, uint64_t got, uint64_t expected)
{
    checks_expect(stream, scope, what, got, (struct range){expected, expected});
}

void checks_reading(struct stream *stream, const struct oracle_scope *scope,
                    const struct presence_reading *reading, unsigned window)
{
    uint64_t age = fixture_clock(stream->fixture) - stream->tick;
    struct range count = scope ? checks_count(stream, scope, window) : (struct range){0, 0};

    if (window == 0)
        window = oracle_sampled_window(&stream->oracle);
    checks_expect(stream, scope, "count", reading->count, count);
    checks_expect_exactly(stream, scope, "window", reading->window_s, oracle_shown_window(window));
    checks_expect_exactly(stream, scope, "age of the last heartbeat", reading->last_heartbeat_s,
                          scope ? stream->tick - scope->last_heartbeat : 0);
    checks_expect_exactly(stream, scope, "stale", reading->stale, stream->is_stopped || age > 3);
    checks_expect_exactly(stream, scope, "warming", reading->warming,
                          stream->tick - stream->listening_since < 90);
    checks_expect_exactly(stream, scope, "as of", (uint64_t)reading->as_of,
                          (uint64_t)model_clock_wall(stream->tick));
    checks_expect_exactly(stream, scope, "age", reading->as_of_age_s, age);
}
