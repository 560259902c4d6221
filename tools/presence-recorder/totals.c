#include "totals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "choice.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "sampler.h"

#define MIDDLE_NS     (NS_PER_S / 2) /* of each second: when it is sampled */
#define CHECK_S       2              /* between two checks of the database's file */
#define SITES_OFTEN   100            /* more sites are listed only every SITES_EVERY_S */
#define SITES_EVERY_S 10

/* Listings of labels in one poll: so many that each has its turn within a minute. Until each has
 * had its first, more, unless that was too much for the engine. */
#define LISTED(sites) (1 + CHOICE_KINDS * (sites) / (CHOICE_EVERY_S - 10))
#define LISTED_MAX    LISTED(CHOICE_SITES_MAX)
#define LISTED_FIRST  6

#define LOG_AGAIN_S   60 /* between two lines of one outage, if its reason has changed */

/* Totals are of no boot: their minutes are counted from 1970. */
static const uint8_t no_boot[16] = "totals of groups";

struct totals {
    struct engine_reader *reader;
    const char *url;
    struct database *database;
    struct choice choice;
    struct sampler sampler;
    size_t sites;                      /* as last listed, all of them */
    int64_t sites_at;                  /* when, monotonic seconds; 0: not yet */
    size_t listed_first;               /* LISTED_FIRST, or 1 after a failure */
    bool silent;                       /* the groups have nothing to sample, and that was logged */
    uint64_t dropped;                  /* as last logged */
    int64_t checked_at;                /* the database's file, monotonic seconds */
    char problem[ENGINE_PROBLEM_SIZE]; /* of the engine, as last logged; "" none */
    int64_t logged_at;                 /* likewise, monotonic seconds */
};

/* One poll: a query for each scope that is chosen, and the listings that are due. */
struct asked {
    struct engine_poll poll;
    struct choice_scope **scopes; /* of the queries; allocated */
    size_t listed[LISTED_MAX];    /* indices of the sites whose labels are listed */
    size_t listed_count;
    struct engine_list lists[LISTED_MAX + 1]; /* theirs, then that of all sites */
};

static int64_t monotonic_s(void)
{
    return monotonic_ns() / NS_PER_S;
}

static int64_t wall_s(void)
{
    return monotonic_of(CLOCK_REALTIME) / NS_PER_S;
}

/* ---- asking ------------------------------------------------------------------------------ */

static void ask(struct asked *asked, enum presence_kind kind, const char *site,
                struct choice_scope *scope)
{
    asked->scopes[asked->poll.query_count] = scope;
    asked->poll.queries[asked->poll.query_count++] = (struct engine_query){
        .kind = kind, .site = site, .name = kind == PRESENCE_SITE ? NULL : scope->name};
}

/* Ask for all scopes. Errors: -ENOMEM. */
static int ask_scopes(struct totals *totals, struct asked *asked)
{
    struct choice *choice = &totals->choice;
    size_t count = choice_count(choice);

    asked->poll.queries = calloc(count + 1, sizeof(*asked->poll.queries));
    asked->scopes = calloc(count + 1, sizeof(struct choice_scope *));
    if (!asked->poll.queries || !asked->scopes)
        return -ENOMEM;
    for (size_t i = 0; i < choice->sites.length; i++) {
        const char *site = choice->sites.scopes[i].name;
        ask(asked, PRESENCE_SITE, site, &choice->sites.scopes[i]);
        for (size_t kind = 0; kind < CHOICE_KINDS; kind++) {
            struct choice_list *labels = &choice->details[i].labels[kind];
            for (size_t j = 0; j < labels->length; j++)
                ask(asked, PRESENCE_ROOM + (enum presence_kind)kind, site, &labels->scopes[j]);
        }
    }
    return 0;
}

/* Ask for the listings that are due: of some labels, and of the sites. */
static void ask_lists(struct totals *totals, struct asked *asked, int64_t now)
{
    struct choice *choice = &totals->choice;
    size_t again = LISTED(choice->sites.length), site;
    size_t most = again > totals->listed_first ? again : totals->listed_first;
    enum presence_kind kind;

    asked->poll.lists = asked->lists;
    while (asked->listed_count < most &&
           (site = choice_take_due(choice, now, asked->listed_count < again, &kind)) != SIZE_MAX) {
        asked->lists[asked->poll.list_count++] = (struct engine_list){
            .site = choice->sites.scopes[site].name,
            .kind = kind,
            .limit = choice_share(choice),
        };
        asked->listed[asked->listed_count++] = site;
    }
    if (totals->sites_at && totals->sites > SITES_OFTEN && now < totals->sites_at + SITES_EVERY_S)
        return;
    asked->lists[asked->poll.list_count++] =
        (struct engine_list){.limit = CHOICE_SITES_MAX, .without_marks = true};
}

static void free_asked(struct asked *asked)
{
    for (size_t i = 0; i < asked->poll.list_count; i++)
        engine_list_free(&asked->lists[i]);
    free(asked->poll.queries);
    free(asked->scopes);
}

/* ---- what is answered -------------------------------------------------------------------- */

/* Log that the engine can't be used, unless that is known. An empty problem: it can be again. */
static void log_engine(struct totals *totals, const char *problem)
{
    int64_t now = monotonic_s();

    if (strcmp(problem, totals->problem) == 0 ||
        (*problem && *totals->problem && now < totals->logged_at + LOG_AGAIN_S))
        return;
    totals->logged_at = now;
    if (*problem)
        log_line("cannot use the engine %s: %s; nothing is recorded meanwhile", totals->url,
                 problem);
    else
        log_line("the engine %s can be used again", totals->url);
    snprintf(totals->problem, sizeof(totals->problem), "%s", problem);
}

/* Log when there is no whole group any more, and when there is one again. */
static void log_groups(struct totals *totals)
{
    const struct engine_state *state = engine_reader_state(totals->reader);
    bool silent = true;

    for (size_t i = 0; i < state->count; i++)
        silent = silent && !state->groups[i].whole;
    if (silent == totals->silent)
        return;
    totals->silent = silent;
    if (silent)
        log_line(
            "no group of collectors is whole: nothing is recorded until one is; see presencectl "
            "status --engine");
    else
        log_line("a group of collectors is whole again");
}

/* Take the sample of a scope, if there is one: neither an old number nor an unknown one is. */
static int take_sample(struct totals *totals, const struct engine_query *query,
                       struct choice_scope *scope, int64_t now)
{
    const struct engine_reading *reading = &query->reading;
    const struct sample sample = {
        .count = reading->exists ? reading->count : 0,
        .warming = reading->warming,
        .partial = reading->partial,
    };

    if (query->error || reading->stale || (!reading->exists && !reading->known))
        return 0;
    if (sample.count)
        scope->here_at = now;
    return sampler_add(&totals->sampler, query->kind, query->site, query->name, &sample);
}

static int take_lists(struct totals *totals, const struct asked *asked, int64_t now)
{
    const struct engine_list *list = asked->lists;
    int r = 0;

    for (size_t i = 0; r == 0 && i < asked->listed_count; i++, list++)
        if (!list->error && !list->reading.stale)
            r = choice_put_labels(&totals->choice, asked->listed[i], list->kind, list->entries,
                                  list->length, now);
    if (r < 0 || list == asked->lists + asked->poll.list_count || list->error ||
        list->reading.stale)
        return r;
    totals->sites = list->total;
    totals->sites_at = now;
    return choice_put_sites(&totals->choice, list->entries, list->length, now);
}

/* Ask for all, and take the samples. Returns 0, also if the engine can't be used, or -ENOMEM. */
static int poll_engine(struct totals *totals)
{
    int64_t now = monotonic_s();
    struct asked asked = {.listed_count = 0};
    int r = ask_scopes(totals, &asked);

    if (r < 0)
        goto free;
    ask_lists(totals, &asked, now);
    int failed = engine_reader_poll(totals->reader, &asked.poll,
                                    monotonic_ns() + ENGINE_PATIENCE_MS * NS_PER_MS);
    log_engine(totals, failed ? engine_reader_problem(totals->reader) : "");
    if (failed) {
        totals->listed_first = 1;
        goto free;
    }
    log_groups(totals);
    for (size_t i = 0; r == 0 && i < asked.poll.query_count; i++)
        r = take_sample(totals, &asked.poll.queries[i], asked.scopes[i], now);
    if (r == 0)
        r = take_lists(totals, &asked, now);
free:
    free_asked(&asked);
    return r;
}

/* ---- storing ----------------------------------------------------------------------------- */

static int put_minute(struct archive *archive, archive_id boot, const struct sampled *sampled)
{
    archive_id scope;
    int r = archive_put_scope(archive, &sampled->scope, sampled->minute.start, &scope);

    if (r == 0)
        r = archive_put_minute(archive, scope, boot, &sampled->minute);
    if (r == 0 && sampled->peak.count)
        r = archive_put_peak(archive, scope, &sampled->peak);
    return r;
}

static int put_minutes(struct database *database, const struct sampled_list *minutes)
{
    struct archive *archive = database->archive;
    archive_id boot;
    int r = archive_begin(archive);

    if (r == 0)
        r = archive_put_boot(archive, no_boot, 0, &boot);
    for (size_t i = 0; r == 0 && i < minutes->length; i++)
        r = put_minute(archive, boot, minutes->items[i]);
    if (r == 0)
        r = database_delete_old(database);
    if (r == 0)
        r = archive_commit(archive);
    if (r < 0)
        archive_roll_back(archive);
    return r;
}

/* Store the minutes that are over. If that fails they wait for the next time. */
static int store(struct totals *totals)
{
    struct database *database = totals->database;
    const struct sampled_list *over = &totals->sampler.over;

    if (over->length == 0)
        return 0;
    if (!database->archive)
        return -ENOENT;
    int r = put_minutes(database, over);
    database_log(database, "record into", r < 0 ? archive_problem(database->archive) : "");
    if (totals->sampler.dropped != totals->dropped)
        log_line("out of room for minutes that can't be recorded: lost %llu so far",
                 (unsigned long long)totals->sampler.dropped);
    totals->dropped = totals->sampler.dropped;
    if (r < 0)
        return r;
    if (database->is_new)
        log_line("recording the totals of %s into %s: %zu scope%s at first", totals->url,
                 database->path, over->length, over->length == 1 ? "" : "s");
    database->is_new = false;
    sampler_discard(&totals->sampler);
    return 0;
}

static int continue_scope(void *context, const struct presence_scope *scope,
                          const struct archive_minute *minute)
{
    return sampler_continue(context, scope, minute);
}

/* Continue the minute in which an earlier recorder has ended. */
static void continue_minute(struct totals *totals)
{
    struct archive *archive = totals->database->archive;
    int r;

    sampler_begin(&totals->sampler, wall_s());
    r = archive_minutes_at(archive, (uint64_t)totals->sampler.minute, continue_scope,
                           &totals->sampler);
    if (r < 0)
        database_log(totals->database, "read", archive_problem(archive));
}

/* ---- running ----------------------------------------------------------------------------- */

/* Wait until the middle of the next second of the wall clock, so that each is sampled once, a bit
 * late or not. True if a signal has come. */
static bool wait_for_second(const sigset_t *signals)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t rest = (now.tv_nsec < MIDDLE_NS ? 0 : NS_PER_S) + MIDDLE_NS - now.tv_nsec;
    const struct timespec timeout = {.tv_sec = rest / NS_PER_S, .tv_nsec = rest % NS_PER_S};
    return sigtimedwait(signals, NULL, &timeout) > 0;
}

static void run_second(struct totals *totals)
{
    int64_t now = monotonic_s();
    int64_t minute = totals->sampler.minute;
    int r = sampler_begin(&totals->sampler, wall_s()) ? poll_engine(totals) : 0;
    bool is_over = totals->sampler.minute != minute;

    if (r < 0)
        log_line("cannot sample the totals: %s", strerror(-r));
    if (now >= totals->checked_at + CHECK_S) {
        totals->checked_at = now;
        is_over = database_follow(totals->database) || is_over;
    }
    if (is_over)
        store(totals);
}

int totals_run(struct engine_reader *reader, const char *url, struct database *database,
               const sigset_t *signals)
{
    struct totals totals = {
        .reader = reader, .url = url, .database = database, .listed_first = LISTED_FIRST};

    continue_minute(&totals);
    while (!wait_for_second(signals))
        run_second(&totals);
    sampler_end(&totals.sampler);
    database_follow(database);
    int r = store(&totals);
    sampler_free(&totals.sampler);
    choice_free(&totals.choice);
    return r;
}
