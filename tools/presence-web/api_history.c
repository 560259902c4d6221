#include "api.h"

#include <errno.h>
#include <time.h>

#include "archive/archive.h"
#include "common/json_whole.h"
#include "common/log.h"
#include "common/time_text.h"
#include "request.h"
#include "response.h"

#define HOURS_MAX 24
#define DAY_S     86400

/* ---- of one collector ----------------------------------------------------------------------- */

static json_t *build_minute(const struct presence_minute *minute)
{
    return json_pack("{s:s,s:I,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "timestamp",
                     show_time(minute->start).text, "min", (json_int_t)minute->minimum, "mean",
                     minute->mean, "max", (json_int_t)minute->maximum, "heartbeats",
                     (json_int_t)minute->heartbeats, "pageviews", (json_int_t)minute->pageviews,
                     "entered", (json_int_t)minute->entries, "left", (json_int_t)minute->leaves,
                     "departed", (json_int_t)minute->departures, "warming", minute->warming,
                     "running", minute->running);
}

static json_t *build_minutes(struct presence *presence, const struct place *place, int64_t since)
{
    json_t *array = json_array();
    struct presence_history history;

    if (!presence)
        return array;
    int r = presence_history(presence, PRESENCE_SITE, place->site, NULL, since, 0, &history);
    if (r < 0) {
        json_whole_fail(r);
        return array;
    }
    for (size_t i = 0; i < history.length; i++)
        json_array_append_new(array, build_minute(&history.minutes[i]));
    presence_history_free(&history);
    return array;
}

static json_t *build_peak(uint64_t count, int64_t at)
{
    if (count == 0)
        return json_null();
    return json_pack("{s:I,s:s}", "count", (json_int_t)count, "timestamp", show_time(at).text);
}

static json_t *build_peaks(struct presence *presence, const struct place *place)
{
    struct presence_peaks peaks = {0};

    if (presence)
        presence_peaks(presence, PRESENCE_SITE, place->site, NULL,
                       &peaks); /* stays zero on failure */
    return json_pack("{s:o,s:o}", "today", build_peak(peaks.today.count, peaks.today.at), "ever",
                     build_peak(peaks.ever.count, peaks.ever.at));
}

/* ---- of totals ------------------------------------------------------------------------------ */

static json_t *build_total_minute(const struct archive_minute *minute)
{
    return json_pack("{s:s,s:I,s:f,s:I,s:n,s:n,s:n,s:n,s:n,s:b,s:b,s:b}", "timestamp",
                     show_time(minute->start).text, "min", (json_int_t)minute->minimum, "mean",
                     minute->mean, "max", (json_int_t)minute->maximum, "heartbeats", "pageviews",
                     "entered", "left", "departed", "warming", minute->warming, "partial",
                     minute->partial, "running", false);
}

/* Add the minutes and peaks that presence-recorder has stored. */
static int add_stored(json_t *object, struct archive *archive, const struct place *place,
                      int64_t since, int64_t now)
{
    struct archive_minutes minutes;
    struct archive_peaks peaks = {0};
    json_t *data = json_array();
    int r = archive_load(archive, PRESENCE_SITE, place->site, NULL, since, now + DAY_S, &minutes);

    for (size_t i = 0; r == 0 && i < minutes.length; i++)
        json_array_append_new(data, build_total_minute(&minutes.minutes[i]));
    json_object_set_new(object, "data", data);
    if (r < 0)
        return r;
    archive_minutes_free(&minutes);
    r = archive_peaks(archive, PRESENCE_SITE, place->site, NULL, now - now % DAY_S, &peaks);
    json_object_set_new(object, "peak",
                        json_pack("{s:o,s:o}", "today",
                                  build_peak(peaks.today.count, peaks.today.at), "ever",
                                  build_peak(peaks.ever.count, peaks.ever.at)));
    return r == -ENOENT ? 0 : r;
}

static bool no_history(struct problem *problem, unsigned status, const char *why)
{
    return problem_set(problem, status, "no_history", "no history of totals: %s", why);
}

/* Read the database, opened anew: it may have been moved or made since. */
static bool add_totals(json_t *object, const struct web *web, const struct place *place,
                       int64_t since, int64_t now, struct problem *problem)
{
    const char *path = web->options.database;
    char why[ARCHIVE_PROBLEM_SIZE];
    struct archive *archive;

    if (!path)
        return no_history(problem, MHD_HTTP_NOT_FOUND,
                          "start presence-recorder --engine, and name its database with "
                          "--database");
    if (archive_open(path, &archive, why) < 0) {
        log_line("cannot read the database %s: %s", path, why);
        return no_history(problem, MHD_HTTP_SERVICE_UNAVAILABLE,
                          "cannot read the database: see this server's log");
    }
    bool of_groups = archive_subject(archive) == ARCHIVE_OF_GROUPS;
    int r = of_groups ? add_stored(object, archive, place, since, now) : 0;
    if (r < 0)
        log_line("cannot read the database %s: %s", path, archive_problem(archive));
    archive_close(archive);
    if (r == 0 && of_groups)
        return true;
    return no_history(problem, MHD_HTTP_SERVICE_UNAVAILABLE,
                      of_groups ? "cannot read the database: see this server's log"
                                : "the database is of one collector: see --database");
}

/* ---- the answer ----------------------------------------------------------------------------- */

enum MHD_Result api_history(const struct web *web, struct http_request *request,
                            struct place *place)
{
    struct presence *presence = live_presence(web->live);
    enum MHD_Result result;
    struct problem problem;
    struct number number;
    uint32_t hours;
    int64_t now = time(NULL);

    if (!request_parse_number(request, "hours", 1, HOURS_MAX, HOURS_MAX, &hours, &problem))
        return respond_problem(web, request, &problem);
    if (!api_count(web, request, place, 0, &number, &result))
        return result;
    int64_t since = now - (int64_t)hours * 3600;
    json_t *object = json_object();
    if (!live_totals(web->live)) {
        json_object_set_new(object, "data", build_minutes(presence, place, since));
        json_object_set_new(object, "peak", build_peaks(presence, place));
    } else if (!add_totals(object, web, place, since, now, &problem)) {
        json_decref(object);
        return respond_problem(web, request, &problem);
    }
    add_number(object, place, &number);
    return respond_json(web, request, object);
}
