/* presence-recorder - keeps history and peaks for good, in a database. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "recorder.h"

#define RETRY_S        5 /* while there is no segment */
#define AFTER_MINUTE_S 1 /* a minute is over for the collector, too */

enum exit_status { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct request {
    const char *segment, *database;
    uint64_t retention_s; /* 0: for good */
    bool once;
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *format, ...)
{
    va_list arguments;

    fputs("presence-recorder: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* ---- the command line -------------------------------------------------------------------- */

static void print_help(void)
{
    puts("Usage: presence-recorder [OPTION...]\n\n"
         "Keep the minutes and peaks of all sites and of the busiest rooms in a SQLite database,\n"
         "one transaction a minute. presencectl history and peak read it.\n\n"
         "Options:\n"
         "  --segment PATH    the collector's segment; default $PRESENCE_SEGMENT, or\n"
         "                    " PRESENCE_DEFAULT_SEGMENT "\n"
         "  --database PATH   where to keep them; default $PRESENCE_DATABASE, or\n"
         "                    " ARCHIVE_DEFAULT_PATH "\n"
         "  --retention 400d  forget minutes that are older (s, m, h, d, w); default 0: keep them\n"
         "                    for good. Peaks stay\n"
         "  --once            record what there is, the running minute too, and end\n"
         "  --help            show this help\n"
         "  --version         show the version\n\n"
         "Exit status: 0 fine, 1 failure, 2 wrong usage.");
}

/* "0", or a number with s, m, h, d or w, in seconds. */
static bool read_retention(const char *text, uint64_t *ret)
{
    static const char units[] = "smhdw";
    static const uint64_t sizes[] = {1, 60, 3600, 86400, 7 * 86400};
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : units;
    if (errno || !unit || (*end && end[1]) || value > UINT32_MAX)
        return false;
    *ret = value * sizes[unit - units];
    return true;
}

enum outcome { OUTCOME_RUN, OUTCOME_DONE, OUTCOME_WRONG };

static enum outcome take_option(int option, struct request *request, char **argv)
{
    switch (option) {
    case 's':
        request->segment = optarg;
        return OUTCOME_RUN;
    case 'd':
        request->database = optarg;
        return OUTCOME_RUN;
    case 'r':
        if (read_retention(optarg, &request->retention_s))
            return OUTCOME_RUN;
        say("--retention '%s': want a number with s, m, h, d or w, or 0", optarg);
        return OUTCOME_WRONG;
    case 'o':
        request->once = true;
        return OUTCOME_RUN;
    case 'h':
        print_help();
        return OUTCOME_DONE;
    case 'v':
        puts("presence-recorder " PRESENCE_VERSION);
        return OUTCOME_DONE;
    case ':':
        say("%s needs a value; try --help", argv[optind - 1]);
        return OUTCOME_WRONG;
    default:
        say("no option '%s'; try --help", argv[optind - 1]);
        return OUTCOME_WRONG;
    }
}

static const char *otherwise(const char *given, const char *variable, const char *path)
{
    const char *environment = getenv(variable);

    return given ? given : environment && *environment ? environment : path;
}

static enum outcome read_request(int argc, char **argv, struct request *ret)
{
    static const struct option options[] = {
        {"segment", required_argument, NULL, 's'},
        {"database", required_argument, NULL, 'd'},
        {"retention", required_argument, NULL, 'r'},
        {"once", no_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0},
    };
    enum outcome outcome = OUTCOME_RUN;
    int option;

    opterr = 0;
    while (outcome == OUTCOME_RUN && (option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        outcome = take_option(option, ret, argv);
    if (outcome == OUTCOME_RUN && optind < argc) {
        say("'%s' is not wanted; try --help", argv[optind]);
        return OUTCOME_WRONG;
    }
    ret->segment = otherwise(ret->segment, "PRESENCE_SEGMENT", PRESENCE_DEFAULT_SEGMENT);
    ret->database = otherwise(ret->database, "PRESENCE_DATABASE", ARCHIVE_DEFAULT_PATH);
    return outcome;
}

/* ---- what went wrong --------------------------------------------------------------------- */

static void say_database(int error, const char *path)
{
    switch (error) {
    case -EACCES:
        say("may not write %s; run as its owner", path);
        break;
    case -EBADMSG:
        say("%s is no database of presence-recorder, or damaged; name another with --database",
            path);
        break;
    case -EPROTO:
        say("%s was written by a newer presence-recorder; update this one", path);
        break;
    default:
        say("cannot open %s: %s; is its directory there, and may I write there?", path,
            strerror(-error));
    }
}

static void say_segment(int error, const char *path)
{
    switch (error) {
    case -ENOENT:
        say("no segment %s; start presenced, or name its segment with --segment", path);
        break;
    case -ESTALE:
        say("%s was written before this boot; start presenced, which replaces it", path);
        break;
    case -EPROTO:
        say("%s was written by a newer presenced; update presence-recorder", path);
        break;
    case -EBADMSG:
        say("%s is no presence segment, or damaged; check --segment, or restart presenced", path);
        break;
    case -EOPNOTSUPP:
        say("the collector of %s keeps no histories: there is nothing to record", path);
        break;
    default:
        say("cannot read %s: %s", path, strerror(-error));
    }
}

/* ---- recording --------------------------------------------------------------------------- */

/* Wait for a signal that ends this, at most so many seconds. True if there was one. */
static bool wait_for_signal(const sigset_t *signals, time_t seconds)
{
    const struct timespec timeout = {.tv_sec = seconds};

    return sigtimedwait(signals, NULL, &timeout) > 0;
}

/* Seconds until the running minute is over. */
static time_t rest_of_minute(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return 60 - now.tv_sec % 60 + AFTER_MINUTE_S;
}

/* The collector has stopped, and nobody ends its minute: it is kept as far as it came. */
static bool is_silent(struct presence *presence)
{
    struct presence_status status;

    return presence_status(presence, &status) == 0 && status.stale;
}

static int record(struct recorder *recorder, const struct request *request, bool all)
{
    struct recorder_result result;
    bool of_archive = false;
    bool is_first = recorder->recorded == 0;
    int r = recorder_record(recorder, all || is_silent(recorder->presence), &result, &of_archive);

    if (r < 0 && of_archive)
        say("cannot record into %s: %s", request->database,
            r == -EIO ? archive_error(recorder->archive) : strerror(-r));
    else if (r < 0)
        say_segment(r, request->segment);
    else if (is_first)
        say("recording %s into %s: %zu minutes of %zu scopes at first", request->segment,
            request->database, result.minutes, result.scopes);
    return r;
}

/* Open the segment, however long it takes to appear. False: a signal came first. */
static bool wait_for_segment(struct recorder *recorder, const struct request *request,
                             const sigset_t *signals)
{
    int told = 0, r;

    while ((r = presence_open(request->segment, &recorder->presence)) < 0) {
        if (r != told)
            say_segment(r, request->segment);
        told = r;
        if (wait_for_signal(signals, RETRY_S))
            return false;
    }
    return true;
}

static int run_once(struct recorder *recorder, const struct request *request)
{
    int r = presence_open(request->segment, &recorder->presence);

    if (r < 0) {
        say_segment(r, request->segment);
        return EXIT_FAILED;
    }
    return record(recorder, request, true) < 0 ? EXIT_FAILED : EXIT_FINE;
}

static int run(struct recorder *recorder, const struct request *request)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (!wait_for_segment(recorder, request, &signals))
        return EXIT_FINE;
    do {
        record(recorder, request, false); /* what failed is made up for a minute later */
    } while (!wait_for_signal(&signals, rest_of_minute()));
    return record(recorder, request, true) < 0 ? EXIT_FAILED : EXIT_FINE;
}

int main(int argc, char **argv)
{
    struct request request = {0};

    switch (read_request(argc, argv, &request)) {
    case OUTCOME_RUN:
        break;
    case OUTCOME_DONE:
        return EXIT_FINE;
    case OUTCOME_WRONG:
        return EXIT_USAGE;
    }
    struct recorder recorder = {.retention_s = request.retention_s};
    umask(umask(0) | 0027); /* names of rooms are not everybody's business */
    int r = archive_open_writable(request.database, &recorder.archive);
    if (r < 0) {
        say_database(r, request.database);
        return EXIT_FAILED;
    }
    int status = request.once ? run_once(&recorder, &request) : run(&recorder, &request);
    presence_close(recorder.presence);
    archive_close(recorder.archive);
    return status;
}
