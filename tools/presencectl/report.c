#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/edges.h"
#include "common/time_text.h"
#include "presencectl.h"

void report(const char *format, ...)
{
    va_list arguments;

    fflush(stdout); /* if both go to one place, results come first */
    fputs("presencectl: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int report_error(int error, struct presence *presence, const struct options *options)
{
    struct presence_status status;

    switch (error) {
    case -ERANGE:
        if (presence_status(presence, &status) == 0)
            report("--window %" PRIu32
                   " s is longer than the longest window of this collector, %" PRIu32 " s",
                   options->window_s, status.max_window_s);
        return EXIT_USAGE;
    case -EINVAL:
        report("a site has 1 to 253 bytes, a room 1 to 255, a visitor's id 1 to 512; undefined, "
               "null, NaN and the UUID of zeros are not valid ids");
        return EXIT_USAGE;
    case -EAGAIN:
        report("cannot count in %s: scopes come and go too fast; try again",
               presence_path(presence));
        return EXIT_FAILED;
    case -EBADMSG:
        report("%s is damaged; restart presenced", presence_path(presence));
        return EXIT_FAILED;
    default:
        report("cannot read %s: %s", presence_path(presence), strerror(-error));
        return EXIT_FAILED;
    }
}

/* Format the state of a silent collector as a main clause. */
static void describe_silence(const struct presence_status *status, char *ret, size_t size)
{
    struct shown_duration age = show_duration(status->as_of_age_s);

    if (status->state == PRESENCE_STOPPED)
        snprintf(ret, size, "the collector stopped %s ago", age.text);
    else if (status->state == PRESENCE_STARTING)
        snprintf(ret, size,
                 "the collector is starting and does not listen yet; it was last active %s ago",
                 age.text);
    else
        snprintf(ret, size, "the collector has been silent for %s", age.text);
}

static struct shown_duration warm_up_left(const struct presence_status *status)
{
    return show_duration(status->warm_up_s > status->listening_for_s
                             ? status->warm_up_s - status->listening_for_s
                             : 0);
}

/* Format which limits to raise, from the counters of refusals. */
struct shown_refusals {
    char text[512];
};

static struct shown_refusals show_refusals(struct presence *presence)
{
    static const char *const limits[][2] = {
        {"table_full", "--max-entries"},
        {"scopes_full", "--max-scopes"},
        {"label_table_full", "--max-entries"},
        {"label_scopes_full", "--max-scopes"},
        {"sender_new_exceeded", "--sender-new"},
        {"label_sender_new_exceeded", "--sender-new"},
        {"site_rooms_full", "--max-rooms-per-site"},
        {"site_sources_full", "--max-rooms-per-site"},
    };
    struct shown_refusals shown = {""};
    size_t length = 0;

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && length < sizeof(shown.text); i++) {
        if (presence_counter(presence, limits[i][0]))
            length +=
                (size_t)snprintf(shown.text + length, sizeof(shown.text) - length, "%s%s (%s)",
                                 length ? ", " : ": raise ", limits[i][1], limits[i][0]);
    }
    return shown;
}

/* Load the status that explains a reading, with the reading's own marks and time: the collector may
 * have started or stopped since. Returns 0 or a negative errno. */
static int load_status_of(struct presence *presence, const struct presence_reading *reading,
                          struct presence_status *ret)
{
    int r = presence_status(presence, ret);

    if (r < 0)
        return r;
    ret->stale = reading->stale;
    ret->warming = reading->warming;
    ret->as_of = reading->as_of;
    ret->as_of_age_s = reading->as_of_age_s;
    return 0;
}

static void report_unknown(struct presence *presence, const struct presence_status *status,
                           const struct presence_reading *reading, const char *what)
{
    if (!reading->partial) {
        report("unknown: no heartbeat from %s yet, but the collector began to listen only %s "
               "ago; ask again in %s",
               what, show_duration(status->listening_for_s).text, warm_up_left(status).text);
        return;
    }
    report("unknown: no heartbeat from %s was counted within the longest window, %s, but some "
           "heartbeats could not be%s",
           what, show_window(status->max_window_s).text, show_refusals(presence).text);
}

static int report_absence(struct presence *presence, const struct presence_reading *reading,
                          const char *what)
{
    struct presence_status status;
    int r = load_status_of(presence, reading, &status);
    char silence[128];

    if (r < 0)
        return report_error(r, presence, NULL);
    if (reading->stale) {
        describe_silence(&status, silence, sizeof(silence));
        report("stale: %s; nothing was known of %s as of %s", silence, what,
               show_time(reading->as_of).text);
        return EXIT_STALE;
    }
    if (!reading->known)
        report_unknown(presence, &status, reading, what);
    else if (status.listening_for_s < status.max_window_s)
        report("nobody: no heartbeat from %s since the collector began to listen %s ago", what,
               show_duration(status.listening_for_s).text);
    else
        report("nobody: no heartbeat from %s within the longest window, %s", what,
               show_window(status.max_window_s).text);
    return EXIT_ABSENT;
}

int report_status(const struct presence_status *status, const char *what)
{
    char silence[128];

    if (status->stale) {
        describe_silence(status, silence, sizeof(silence));
        report("stale: %s; %s as of %s", silence, what, show_time(status->as_of).text);
        return EXIT_STALE;
    }
    if (status->warming)
        report(
            "warming: the collector began to listen %s ago; counts are lower bounds for another %s",
            show_duration(status->listening_for_s).text, warm_up_left(status).text);
    return EXIT_FINE;
}

/* Report that a place is quiet, and why. */
static void report_quiet(struct presence *presence, uint32_t last_heartbeat_s, const char *place)
{
    struct edges edges = edges_load(presence, last_heartbeat_s);

    report("quiet: the last heartbeat from %s came %s ago; %s", place,
           show_duration(last_heartbeat_s).text, edges_show(&edges).text);
}

int report_reading(struct presence *presence, const struct presence_reading *reading,
                   const char *what, const char *place)
{
    struct presence_status status;

    if (reading->stale || reading->warming) {
        int r = load_status_of(presence, reading, &status);
        if (r < 0)
            return report_error(r, presence, NULL);
        report_status(&status, what);
    }
    if (!reading->stale && reading->partial)
        report("partial: %s, a lower bound, since not everybody could be counted in the last %s%s",
               what, show_window(reading->window_s).text, show_refusals(presence).text);
    if (!reading->stale && place && reading->last_heartbeat_s > QUIET_AGE)
        report_quiet(presence, reading->last_heartbeat_s, place);
    return reading->stale ? EXIT_STALE : EXIT_FINE;
}

int report_answer(struct presence *presence, const struct presence_reading *reading,
                  const char *what, const char *place)
{
    return reading->exists ? report_reading(presence, reading, what, place)
                           : report_absence(presence, reading, place);
}
