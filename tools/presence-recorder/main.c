/* presence-recorder - record history and peaks permanently in a database. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/log.h"
#include "common/privileges.h"
#include "common/segment_source.h"
#include "options.h"
#include "recorder.h"
#include "totals.h"

#define RETRY_S        5 /* between two attempts to open the segment */
#define CHECK_S        2 /* between two checks of the database's file */
#define AFTER_MINUTE_S 1 /* the collector closes a minute within so long after its end */

/* ---- what went wrong --------------------------------------------------------------------- */

static void log_segment(int error, const char *path)
{
    char reason[SEGMENT_ERROR_SIZE];

    if (error == -EOPNOTSUPP)
        log_line("the collector of %s keeps no histories: there is nothing to record", path);
    else
        log_line("cannot read the segment %s: %s", path, segment_error_text(error, path, reason));
}

/* ---- recording --------------------------------------------------------------------------- */

/* Wait up to `seconds` for a signal that ends the program. True if there was one. */
static bool wait_for_signal(const sigset_t *signals, time_t seconds)
{
    const struct timespec timeout = {.tv_sec = seconds};

    return sigtimedwait(signals, NULL, &timeout) > 0;
}

/* Return the seconds until the running minute is over. */
static time_t rest_of_minute(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return 60 - now.tv_sec % 60 + AFTER_MINUTE_S;
}

static int record(struct recorder *recorder, const struct options *options, bool all)
{
    struct database *database = recorder->database;
    struct recorder_result result;
    bool of_archive = false;
    int r = recorder_record(recorder, all, &result, &of_archive);

    if (r < 0 && of_archive)
        database_log(database, "record into", archive_problem(database->archive));
    else if (r < 0)
        log_segment(r, options->segment);
    else
        database_log(database, "", "");
    if (r == 0 && database->is_new)
        log_line("recording %s into %s: %zu minute%s of %zu scope%s at first", options->segment,
                 options->database, result.minutes, result.minutes == 1 ? "" : "s", result.scopes,
                 result.scopes == 1 ? "" : "s");
    database->is_new = database->is_new && r < 0;
    return r;
}

/* Open the segment, and wait for it if it is missing. A signal ends the wait, after one more try;
 * `*ret_ended` is then true. False: there is no segment. */
static bool wait_for_segment(struct recorder *recorder, const struct options *options,
                             const sigset_t *signals, bool *ret_ended)
{
    int logged = 0, r;

    *ret_ended = false;
    while ((r = presence_open(options->segment, &recorder->presence)) < 0) {
        if (r != logged)
            log_segment(r, options->segment);
        logged = r;
        if (*ret_ended)
            return false;
        *ret_ended = wait_for_signal(signals, RETRY_S);
    }
    return true;
}

static int drop_privileges(const struct options *options)
{
    int r = privileges_drop((const char *const[]){options->segment, NULL}, options->database);

    if (r < 0)
        log_line("cannot drop privileges: %s", strerror(-r));
    return r;
}

static int run_once(struct recorder *recorder, const struct options *options)
{
    int r = presence_open(options->segment, &recorder->presence);

    if (r < 0) {
        log_segment(r, options->segment);
        return 1;
    }
    if (drop_privileges(options) < 0)
        return 1;
    return record(recorder, options, true) < 0 ? 1 : 0;
}

/* Follow the database. True if a file was opened: then what the segment holds is recorded anew. */
static bool follow(struct recorder *recorder)
{
    if (!database_follow(recorder->database))
        return false;
    recorder->recorded = 0;
    return true;
}

/* Wait for the end of the minute, or until another database was opened. True: a signal came. */
static bool wait_for_minute(struct recorder *recorder, const sigset_t *signals)
{
    for (time_t rest = rest_of_minute(); rest > 0; rest -= CHECK_S) {
        if (wait_for_signal(signals, rest < CHECK_S ? rest : CHECK_S))
            return true;
        if (follow(recorder))
            break;
    }
    return false;
}

/* Block the signals that end the program. */
static sigset_t block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

static int run(struct recorder *recorder, const struct options *options)
{
    if (drop_privileges(options) < 0)
        return 1;
    sigset_t signals = block_signals();
    bool ended;
    if (!wait_for_segment(recorder, options, &signals, &ended))
        return 0;
    while (!ended) {
        if (recorder->database->archive) /* after a failure the next minute catches up */
            record(recorder, options, false);
        ended = wait_for_minute(recorder, &signals);
    }
    follow(recorder);
    return recorder->database->archive && record(recorder, options, true) == 0 ? 0 : 1;
}

/* ---- totals of groups -------------------------------------------------------------------- */

static int run_totals(struct database *database, const struct options *options)
{
    char problem[ENGINE_PROBLEM_SIZE];
    struct engine_reader *reader;
    int r = engine_reader_open(&options->engine, &reader, problem);

    if (r < 0) {
        log_line("cannot use the engine %s: %s", options->engine.url, problem);
        return 1;
    }
    r = privileges_drop_for_engine((const char *const[]){NULL}, options->database);
    if (r < 0)
        log_line("cannot drop privileges: %s", strerror(-r));
    if (r == 0) {
        sigset_t signals = block_signals();
        r = totals_run(reader, options->engine.url, database, &signals);
    }
    engine_reader_close(reader);
    return r < 0 ? 1 : 0;
}

static int run_any(struct database *database, const struct options *options)
{
    struct recorder recorder = {.database = database};

    if (options->engine.url)
        return run_totals(database, options);
    int status = options->once ? run_once(&recorder, options) : run(&recorder, options);
    presence_close(recorder.presence);
    return status;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct option_use use;

    switch (options_parse(&options_table, argc, argv, &options, &use)) {
    case OPTION_RUN:
        break;
    case OPTION_DONE:
        return 0;
    case OPTION_WRONG:
        return 2;
    }
    if (!engine_options_check(&options.engine, &use, false))
        return 2;
    if (options.once && options.engine.url) {
        option_wrong("once", "totals have no minutes to record at once; leave it out");
        return 2;
    }
    struct database database = {.path = options.database,
                                .subject =
                                    options.engine.url ? ARCHIVE_OF_GROUPS : ARCHIVE_OF_COLLECTOR,
                                .retention_s = options.retention_s};
    umask(umask(0) | 0027); /* not everybody may read the names of rooms */
    int status = database_open(&database) == 0 ? run_any(&database, &options) : 1;
    archive_close(database.archive);
    options_free(&options_table, &options);
    return status;
}
