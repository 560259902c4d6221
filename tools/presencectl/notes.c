#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "presencectl.h"
#include "times.h"

void complain(const char *format, ...)
{
    va_list arguments;

    fflush(stdout); /* results before what is said about them, where both go to one place */
    fputs("presencectl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static int complain_of_window(struct presence *presence, const struct options *options)
{
    struct presence_status status;

    if (presence_status(presence, &status) == 0)
        complain("--window %" PRIu32 "s is longer than this collector counts: at most %" PRIu32 "s",
                 options->window_s, status.max_window_s);
    return EXIT_USAGE;
}

int complain_of(int error, struct presence *presence, const struct options *options)
{
    switch (error) {
    case -ERANGE:
        return complain_of_window(presence, options);
    case -EINVAL:
        complain("a site has 1 to 253 bytes, a room 1 to 255, a visitor's id 1 to 128");
        return EXIT_USAGE;
    case -EAGAIN:
        complain("scopes come and go too fast in %s to be counted; try again",
                 presence_path(presence));
        return EXIT_FAILED;
    case -EBADMSG:
        complain("%s is damaged; restart presenced", presence_path(presence));
        return EXIT_FAILED;
    default:
        complain("cannot read %s: %s", presence_path(presence), strerror(-error));
        return EXIT_FAILED;
    }
}

int read_moment(struct presence *presence, const struct options *options,
                struct presence_reading *ret)
{
    struct presence_status status;
    int r = presence_status(presence, &status);

    if (r < 0)
        return r;
    *ret = (struct presence_reading){
        .window_s = window_or_default(options, &status),
        .stale = status.stale,
        .warming = status.warming,
        .as_of = status.as_of,
        .as_of_age_s = status.as_of_age_s,
    };
    return 0;
}

/* What the collector is doing, or not, as the beginning of a sentence. */
static void describe_silence(const struct presence_status *status, char *ret, size_t size)
{
    struct shown_duration age = show_duration(status->as_of_age_s);

    if (status->state == PRESENCE_STOPPED)
        snprintf(ret, size, "the collector stopped %s ago", age.text);
    else if (status->state == PRESENCE_STARTING)
        snprintf(ret, size, "the collector is starting and has been silent for %s", age.text);
    else
        snprintf(ret, size, "the collector has been silent for %s", age.text);
}

/* Heartbeats that had no room: what is missing may be there. */
static uint64_t scopes_refused(struct presence *presence)
{
    struct presence_counter counters[128];
    size_t count = presence_counters(presence, counters, 128);

    for (size_t i = 0; i < count && i < 128; i++) {
        if (strcmp(counters[i].name, "scopes_full") == 0)
            return counters[i].value;
    }
    return 0;
}

int complain_unknown(struct presence *presence, const struct presence_status *status,
                     const char *what)
{
    char silence[96];

    if (status->stale) {
        describe_silence(status, silence, sizeof(silence));
        complain("stale: %s; nothing was known of %s as of %s", silence, what,
                 show_time(status->as_of).text);
        return EXIT_STALE;
    }
    if (scopes_refused(presence))
        complain("nothing is known of %s; but the directory was full at times (scopes_full): "
                 "raise --max-scopes",
                 what);
    else if (status->listening_for_s < status->max_window_s)
        complain("no heartbeat from %s since the collector began to listen %s ago", what,
                 show_duration(status->listening_for_s).text);
    else
        complain("no heartbeat from %s within the longest window, %s", what,
                 show_window(status->max_window_s).text);
    return EXIT_UNKNOWN;
}

static void complain_of_warming(const struct presence_status *status)
{
    uint64_t left = status->warm_up_s > status->listening_for_s
                        ? status->warm_up_s - status->listening_for_s
                        : 0;

    if (status->state == PRESENCE_STARTING)
        complain("warming: the collector is starting; counts are lower bounds for %s from then on",
                 show_duration(status->warm_up_s).text);
    else
        complain("warming: the collector began to listen %s ago; counts are lower bounds for "
                 "another %s",
                 show_duration(status->listening_for_s).text, show_duration(left).text);
}

int note_status(const struct presence_status *status, const char *what)
{
    char silence[96];

    if (status->stale) {
        describe_silence(status, silence, sizeof(silence));
        complain("stale: %s; %s as of %s", silence, what, show_time(status->as_of).text);
        return EXIT_STALE;
    }
    if (status->warming)
        complain_of_warming(status);
    return EXIT_FINE;
}

int note_reading(struct presence *presence, const struct presence_reading *reading,
                 const char *what, const char *place)
{
    struct presence_status status;

    if (reading->stale || reading->warming) {
        int r = presence_status(presence, &status);
        if (r < 0)
            return complain_of(r, presence, NULL);
        /* The number that was printed is judged, even if the collector came or went since. */
        status.stale = reading->stale;
        status.warming = reading->warming;
        status.as_of = reading->as_of;
        status.as_of_age_s = reading->as_of_age_s;
        note_status(&status, what);
    }
    if (!reading->stale && place && reading->last_heartbeat_s > QUIET_AGE)
        complain("quiet: the last heartbeat from %s came %s ago", place,
                 show_duration(reading->last_heartbeat_s).text);
    return reading->stale ? EXIT_STALE : EXIT_FINE;
}
