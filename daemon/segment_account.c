#include "segment_account.h"

#include <stdarg.h>
#include <stdio.h>

struct text {
    char *bytes;
    size_t size, length;
};

static __attribute__((format(printf, 2, 3))) void append(struct text *text, const char *format, ...)
{
    va_list arguments;

    if (text->length >= text->size)
        return;
    va_start(arguments, format);
    text->length +=
        (size_t)vsnprintf(text->bytes + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
}

static void append_setting(struct text *text, const char *name, uint64_t old, uint64_t new)
{
    if (old != new)
        append(text, "%s--%s %llu (was %llu)", text->length ? ", " : "replaced for ", name,
               (unsigned long long)new, (unsigned long long)old);
}

static void append_lost(struct text *text, uint64_t count, const char *one, const char *more)
{
    if (count)
        append(text, "; no room for %llu %s", (unsigned long long)count, count == 1 ? one : more);
}

void segment_account(const struct segment_geometry *old, const struct segment_geometry *new,
                     const struct segment_moved *moved, char *ret, size_t size)
{
    struct text text = {.bytes = ret, .size = size};

    append_setting(&text, "max-entries", old->max_entries, new->max_entries);
    append_setting(&text, "max-scopes", old->max_scopes, new->max_scopes);
    append_setting(&text, "max-window", old->max_window, new->max_window);
    append_setting(&text, "max-histories", old->max_histories, new->max_histories);
    append_setting(&text, "events", old->max_events, new->max_events);
    append_setting(&text, "max-streams", old->max_streams, new->max_streams);
    if (text.length == 0)
        append(&text, "replaced in this version's layout");
    if (moved->counts)
        append(&text, ": everything moved");
    else
        append(&text, ": histories, peaks, events, streams and counters moved, counts start anew");
    append_lost(&text, moved->scopes, "scope", "scopes");
    append_lost(&text, moved->histories, "history", "histories");
    append_lost(&text, moved->events, "event", "events");
    append_lost(&text, moved->streams, "stream", "streams");
}
