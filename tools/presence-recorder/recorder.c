#include "recorder.h"

#include <errno.h>
#include <time.h>

/* The clocks at one instant, whole seconds. */
struct moment {
    int64_t wall;
    uint64_t boottime;
};

/* One recording. */
struct recording {
    struct recorder *recorder;
    bool all;
    int64_t since; /* Unix seconds; minutes before that have been stored already */
    struct recorder_result result;
    bool of_archive; /* the error comes from the archive */
};

static struct moment moment_now(void)
{
    struct timespec wall, boottime;

    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boottime);
    return (struct moment){.wall = wall.tv_sec, .boottime = (uint64_t)boottime.tv_sec};
}

static int of_archive(struct recording *recording, int r)
{
    recording->of_archive = recording->of_archive || r < 0;
    return r;
}

/* True if the collector has stopped: its last minute is then recorded as it is, since nobody
 * completes it. */
static bool is_silent(struct presence *presence)
{
    struct presence_status status;

    return presence_status(presence, &status) == 0 && status.stale;
}

/* Store the minutes from the last stored one on: that one may have been incomplete. */
static int put_minutes(struct recording *recording, archive_id scope,
                       const struct presence_history *history)
{
    struct archive *archive = recording->recorder->database->archive;
    const struct presence_minute *first = &history->minutes[0];
    int64_t began = first->start - 60 * (int64_t)first->minute;
    uint64_t last = 0;
    archive_id boot;
    int r = archive_put_boot(archive, history->boot_id, began, &boot);

    if (r == 0)
        r = archive_last_minute(archive, scope, boot, &last);
    if (r == -ENOENT)
        r = 0;
    for (size_t i = 0; r == 0 && i < history->length; i++) {
        const struct presence_minute *minute = &history->minutes[i];
        if (minute->minute < last || (minute->running && !recording->all))
            continue;
        const struct archive_minute stored = archive_minute_of(minute);
        r = archive_put_minute(archive, scope, boot, &stored);
        recording->result.minutes++;
    }
    return of_archive(recording, r);
}

static int put_peaks(struct recording *recording, archive_id scope,
                     const struct presence_peaks *peaks)
{
    struct archive *archive = recording->recorder->database->archive;
    const struct archive_peak ever = archive_peak_of(&peaks->ever);
    const struct archive_peak today = archive_peak_of(&peaks->today);
    int r = 0;

    if (ever.count)
        r = archive_put_peak(archive, scope, &ever);
    if (r == 0 && today.count)
        r = archive_put_peak(archive, scope, &today);
    return of_archive(recording, r);
}

/* Record one scope. If it has expired or been reused since it was listed, record nothing. */
static int record_scope(struct recording *recording, const struct presence_scope *scope)
{
    struct presence *presence = recording->recorder->presence;
    struct presence_history history;
    struct presence_peaks peaks;
    archive_id id;
    int r = presence_history(presence, scope->kind, scope->site, scope->name, recording->since, 0,
                             &history);

    if (r == -ENOENT || r == -EAGAIN)
        return 0;
    if (r < 0)
        return r;
    if (history.length == 0)
        goto free;
    bool has_peaks = presence_peaks(presence, scope->kind, scope->site, scope->name, &peaks) == 0;
    int64_t since = has_peaks ? peaks.since : history.minutes[0].start;
    r = of_archive(recording,
                   archive_put_scope(recording->recorder->database->archive, scope, since, &id));
    if (r == 0)
        r = put_minutes(recording, id, &history);
    if (r == 0 && has_peaks)
        r = put_peaks(recording, id, &peaks);
    recording->result.scopes++;
free:
    presence_history_free(&history);
    return r;
}

static int record(struct recording *recording)
{
    struct presence_scopes scopes;
    int r = presence_history_scopes(recording->recorder->presence, &scopes);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < scopes.length; i++)
        r = record_scope(recording, &scopes.scopes[i]);
    presence_scopes_free(&scopes);
    return r < 0 ? r : of_archive(recording, database_delete_old(recording->recorder->database));
}

int recorder_record(struct recorder *recorder, bool all, struct recorder_result *ret,
                    bool *ret_of_archive)
{
    struct recording recording = {.recorder = recorder,
                                  .all = all || is_silent(recorder->presence)};
    struct moment now = moment_now();

    int r = of_archive(&recording, archive_begin(recorder->database->archive));
    if (r == 0 && archive_was_written(recorder->database->archive))
        recorder->recorded = 0; /* a backup may have been restored: store what it lacks */
    /* Begin three minutes before the last recording. The difference is taken from CLOCK_BOOTTIME,
     * since the wall clock may have been stepped. */
    if (recorder->recorded > 3)
        recording.since = now.wall - (int64_t)(now.boottime - 60 * (recorder->recorded - 3));
    if (r == 0)
        r = record(&recording);
    if (r == 0)
        r = of_archive(&recording, archive_commit(recorder->database->archive));
    if (r < 0) {
        archive_roll_back(recorder->database->archive);
        *ret_of_archive = recording.of_archive;
        return r;
    }
    recorder->recorded = now.boottime / 60;
    *ret = recording.result;
    return 0;
}
