#include "publisher.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "changes.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "report.h"
#include "shard_state.h"

#define WRITE_NS     NS_PER_S /* a state is written at least so often */
#define PAUSE_MIN_NS (PUBLISHER_POLL_MS * NS_PER_MS)
#define PAUSE_MAX_NS NS_PER_S
#define SPILL_BYTES  (4 << 20) /* about 100,000 fields, which take an engine 50 ms */
#define ATTEMPTS_MAX 3         /* in a turn, while the shard changes under our eyes */

/* ---- the segment --------------------------------------------------------------------------- */

static void observe_streams(struct publisher *publisher, uint64_t tick)
{
    struct publisher_moment *moment = &publisher->moment;
    struct presence_streams list;

    int r = presence_streams(publisher->presence, &list);
    moment->streams_full = r == -EOPNOTSUPP;
    if (r < 0)
        return;
    moment->streams_full = stream_figures_are_full(&list, moment->streams_max);
    stream_figures_update(&publisher->figures, &list, tick); /* out of memory: the next time */
    presence_streams_free(&list);
}

/* Look at the segment. */
static void observe(struct publisher *publisher)
{
    struct publisher_moment moment = {0};
    struct presence_reading reading;

    publisher->presence = NULL;
    if (segment_source_get(&publisher->source, &publisher->presence) == 0) {
        reading = presence_freshness(publisher->presence); /* may open another segment */
        moment.exists = true;
        moment.stale = reading.stale;
        moment.warming = reading.warming;
        moment.tick = scan_tick(publisher->presence);
        moment.streams_max = scan_streams_max(publisher->presence);
        moment.streams_full = publisher->moment.streams_full;
        scan_identify(publisher->presence, moment.identity);
    }
    bool is_new = moment.exists && (moment.tick != publisher->moment.tick ||
                                    strcmp(moment.identity, publisher->moment.identity) != 0);
    publisher->moment = moment;
    if (!is_new)
        return;
    observe_streams(publisher, moment.tick);
    /* That may have opened another segment, which the mirror must not be compared with. */
    scan_identify(publisher->presence, publisher->moment.identity);
}

/* Make a mirror for the segment, if it is another one than before. Errors: -ENOMEM. */
static int prepare_mirror(struct publisher *publisher)
{
    const struct options *options = publisher->options;
    struct scan_windows windows;
    struct mirror mirror;

    if (strcmp(publisher->moment.identity, publisher->identity) == 0)
        return 0;
    bool left_out = scan_choose_windows(publisher->presence, options->windows_s,
                                        options->window_count, &windows);
    if (left_out && !publisher->has_left_out)
        log_line("a --window is longer than the collector counts, and is left out: see its "
                 "--max-window");
    publisher->has_left_out = left_out;
    int r = mirror_init(scan_capacity(publisher->presence), &windows, &mirror);
    if (r < 0)
        return r;
    mirror_free(&publisher->mirror);
    publisher->mirror = mirror;
    publisher->needs_anew = true;
    strcpy(publisher->identity, publisher->moment.identity);
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* Let the engine have its time from now on: for a turn as a whole, and for each part of a large
 * shard. */
static void set_deadline(struct publisher *publisher)
{
    publisher->deadline_ns = monotonic_ns() + ENGINE_PATIENCE_MS * NS_PER_MS;
}

/* Send a part of a large shard that is written anew, and begin the next one. Until the last part
 * has the state of the new epoch, the old state says that it is stale. */
static int spill(void *context)
{
    struct publisher *publisher = context;
    struct transaction *transaction = &publisher->transaction;

    shard_state_add_stale(transaction);
    int r = transaction_commit(transaction, publisher->deadline_ns);
    set_deadline(publisher);
    if (r == 0)
        r = transaction_watch(transaction, publisher->deadline_ns);
    if (r < 0)
        return r;
    if (!transaction_is_ours(transaction) || transaction->look.connection != publisher->connection)
        return -ESTALE;
    publisher->owns = true;
    transaction_begin(transaction);
    return 0;
}

/* Add the renewal of the keys whose time has come, one slot a second. This comes before all
 * changes, which would create a key that is gone. */
static void add_renewals(struct publisher *publisher, struct changes *changes)
{
    struct transaction *transaction = &publisher->transaction;
    int64_t seconds = (monotonic_ns() - publisher->written_ns) / NS_PER_S;
    unsigned slots = seconds < 1 ? 1 : seconds < CHANGES_SLOTS ? (unsigned)seconds : CHANGES_SLOTS;

    transaction->checked_from = transaction->request.commands;
    changes_add_renewals(changes, publisher->slot, slots);
    transaction->checked_to = transaction->request.commands;
    publisher->slot = (publisher->slot + slots) % CHANGES_SLOTS;
}

/* Make a transaction of all that has changed, and send it. The pass is made. */
static int write_changes(struct publisher *publisher, const struct leftovers *leftovers)
{
    struct transaction *transaction = &publisher->transaction;
    struct changes changes = {
        .mirror = &publisher->mirror,
        .group = publisher->options->group,
        .shard = publisher->options->shard,
        .epoch = publisher->epoch,
        .anew = publisher->needs_anew,
        .request = &transaction->request,
        .spill = spill,
        .context = publisher,
        .spill_bytes = SPILL_BYTES,
    };
    const struct shard_state state = {
        .epoch = publisher->epoch,
        .segment = publisher->identity,
        .scan = &publisher->mirror.next.scan,
        .figures = &publisher->figures,
        .streams_full = publisher->moment.streams_full,
    };

    transaction_begin(transaction);
    leftovers_add(leftovers, transaction);
    if (!changes.anew)
        add_renewals(publisher, &changes);
    int r = changes_add(&changes);
    if (r == 0)
        r = shard_state_add(transaction, &state);
    if (r == 0)
        r = transaction_commit(transaction, publisher->deadline_ns);
    return r;
}

/* Draw a new epoch, and find what the last publisher has left. */
static int begin_epoch(struct publisher *publisher, struct leftovers *ret)
{
    uint64_t word;

    if (getrandom(&word, sizeof(word), 0) != (ssize_t)sizeof(word))
        return -errno;
    snprintf(publisher->epoch, sizeof(publisher->epoch), "%016" PRIx64, word);
    publisher->connection = publisher->transaction.look.connection;
    publisher->evicted = publisher->transaction.look.evicted;
    int r = leftovers_load(&publisher->transaction, publisher->deadline_ns, ret);
    if (r == 0 && !publisher->has_written)
        leftovers_inherit(ret, publisher->identity, &publisher->figures);
    return r;
}

/* Count all scopes. How long that takes is no time of the engine's, unless we were stopped: then
 * the counts are too old to be sent. */
static int count_all(struct publisher *publisher)
{
    const int64_t most = ENGINE_PATIENCE_MS * NS_PER_MS;
    int64_t since = monotonic_ns();
    int r = mirror_load(&publisher->mirror, publisher->presence);
    int64_t took = monotonic_ns() - since;

    publisher->deadline_ns += took < most ? took : most;
    return r;
}

static int write_all(struct publisher *publisher)
{
    struct leftovers leftovers = {0};
    int r = 0;

    if (publisher->needs_anew)
        r = begin_epoch(publisher, &leftovers);
    if (r == 0)
        r = count_all(publisher);
    if (r == 0) {
        r = write_changes(publisher, &leftovers);
        if (r == 0)
            mirror_commit(&publisher->mirror);
        else
            mirror_discard(&publisher->mirror);
    }
    leftovers_free(&leftovers);
    if (r < 0)
        return r;
    publisher->needs_anew = publisher->transaction.lacks_keys;
    publisher->has_written = true;
    if (publisher->transaction.lacks_keys)
        report_eviction(publisher);
    return 0;
}

/* Write only that the shard is stale: there is no segment, or one that has not begun to count,
 * while the engine has the last numbers. */
static int write_stale(struct publisher *publisher)
{
    transaction_begin(&publisher->transaction);
    shard_state_add_stale(&publisher->transaction);
    return transaction_commit(&publisher->transaction, publisher->deadline_ns);
}

/* Check that the engine still has all keys, if it has evicted any, of whomever. */
static int check_evictions(struct publisher *publisher)
{
    struct transaction *transaction = &publisher->transaction;
    struct changes changes = {
        .mirror = &publisher->mirror,
        .group = publisher->options->group,
        .shard = publisher->options->shard,
        .request = &transaction->request,
    };
    redisReply **replies;

    /* Fewer: its statistics were reset, and nobody knows how many since. */
    if (publisher->needs_anew || transaction->look.evicted == publisher->evicted)
        return 0;
    engine_request_clear(&transaction->request);
    transaction->request.same_connection = true;
    changes_add_inventory(&changes);
    int r =
        engine_link_call(publisher->link, &transaction->request, publisher->deadline_ns, &replies);
    if (r < 0) {
        snprintf(transaction->problem, sizeof(transaction->problem), "%s",
                 engine_link_problem(publisher->link));
        return r;
    }
    for (size_t i = 0; i < transaction->request.commands; i++) {
        if (replies[i]->type != REDIS_REPLY_INTEGER || replies[i]->integer != 1)
            publisher->needs_anew = true;
    }
    engine_replies_free(replies, transaction->request.commands);
    publisher->evicted = transaction->look.evicted;
    if (publisher->needs_anew)
        report_eviction(publisher);
    return 0;
}

/* ---- the owner ----------------------------------------------------------------------------- */

/* Copy the first word of an owner, its host. */
static void copy_host(const char *owner, char ret[TRANSACTION_OWNER_SIZE])
{
    size_t length = strcspn(owner, " ");

    memcpy(ret, owner, length);
    ret[length] = '\0';
}

/* Find out whether the other owner is alive: it renews the key then. -EALREADY nobody knows
 * yet; -EBUSY it is. */
static int watch_rival(struct publisher *publisher)
{
    const struct transaction_look *look = &publisher->transaction.look;
    const struct options *options = publisher->options;
    struct publisher_rival *rival = &publisher->rival;
    char host[TRANSACTION_OWNER_SIZE];
    bool is_known = strcmp(rival->owner, look->owner) == 0;

    copy_host(look->owner, host);
    publisher->owns = false;
    publisher->needs_anew = true;
    if (!is_known && !rival->owner[0])
        log_line("shard %" PRIu32 " of the group %s belongs to a publisher on %s: waiting for up "
                 "to 5 s, in case that has ended",
                 options->shard, options->group, host);
    bool is_alive =
        rival->owner[0] && (!is_known || look->owner_ms > rival->owner_ms || look->owner_ms == -1);
    strcpy(rival->owner, look->owner);
    rival->owner_ms = look->owner_ms;
    if (!is_alive)
        return -EALREADY;
    log_error("another publisher, on %s, writes shard %" PRIu32 " of the group %s in %s: each "
              "collector needs a --group and --shard of its own; stop one of the two",
              host, options->shard, options->group, options->engine.url);
    return -EBUSY;
}

/* ---- turns --------------------------------------------------------------------------------- */

static bool has_changed(const struct publisher *publisher)
{
    const struct publisher_moment *now = &publisher->moment, *written = &publisher->written;

    return now->exists != written->exists || now->stale != written->stale ||
           now->warming != written->warming || now->tick != written->tick ||
           strcmp(now->identity, written->identity) != 0;
}

/* True if there are counts to publish: not of a segment that has not begun to count, while the
 * engine has the last numbers of the one before. */
static bool has_counts(const struct publisher *publisher)
{
    const struct publisher_moment *moment = &publisher->moment;
    bool is_other = strcmp(moment->identity, publisher->identity) != 0;

    return moment->exists && !(moment->stale && is_other && publisher->has_written);
}

static bool is_due(const struct publisher *publisher)
{
    int64_t now = monotonic_ns();

    if (now < publisher->next_ns)
        return false;
    return !publisher->is_publishing || has_changed(publisher) ||
           (publisher->needs_anew && has_counts(publisher)) ||
           now - publisher->written_ns >= WRITE_NS;
}

static int publish_once(struct publisher *publisher)
{
    struct transaction *transaction = &publisher->transaction;
    int r = transaction_watch(transaction, publisher->deadline_ns);

    if (r < 0)
        return r;
    if (!transaction_is_ours(transaction) && !transaction_is_free(transaction))
        return watch_rival(publisher);
    publisher->rival.owner[0] = '\0';
    bool is_lost = !transaction_is_ours(transaction) ||
                   transaction->look.connection != publisher->connection ||
                   strcmp(transaction->look.epoch, publisher->epoch) != 0;
    if (is_lost && publisher->is_publishing && !publisher->needs_anew)
        report_loss(publisher);
    publisher->needs_anew |= is_lost;
    if (!has_counts(publisher))
        return write_stale(publisher);
    r = prepare_mirror(publisher);
    if (r == 0)
        r = check_evictions(publisher);
    return r < 0 ? r : write_all(publisher);
}

/* Note how an attempt has ended, and when the next one is due. */
static void settle(struct publisher *publisher, int r)
{
    if (r == 0) {
        report_success(publisher);
        report_registered(publisher);
        publisher->owns = true;
        publisher->pause_ns = 0;
        publisher->written = publisher->moment;
        publisher->written_ns = monotonic_ns();
    } else if (r != -EALREADY) {
        int64_t pause = 2 * publisher->pause_ns;
        publisher->pause_ns = pause < PAUSE_MIN_NS   ? PAUSE_MIN_NS
                              : pause > PAUSE_MAX_NS ? PAUSE_MAX_NS
                                                     : pause;
        if (r == -ENOMEM || r == -ESTALE)
            strcpy(publisher->transaction.problem, strerror(-r));
        report_trouble(publisher, r == -EBADMSG ? "a part of what was written is refused: " : "");
    }
    if (r != -EIO && r != 0 && r != -ESTALE)
        publisher->needs_anew = true; /* nobody knows what was carried out */
    publisher->is_publishing = r == 0;
    publisher->next_ns = monotonic_ns() + publisher->pause_ns;
}

int publisher_turn(struct publisher *publisher)
{
    int r = -ESTALE;

    observe(publisher);
    if (!is_due(publisher))
        return 0;
    set_deadline(publisher);
    for (int attempt = 0; r == -ESTALE && attempt < ATTEMPTS_MAX; attempt++)
        r = publish_once(publisher);
    if (r == -EBUSY)
        return r;
    settle(publisher, r);
    return 0;
}

/* ---- begin and end ------------------------------------------------------------------------- */

int publisher_open(const struct options *options, struct publisher *ret)
{
    struct publisher publisher = {.options = options, .needs_anew = true};
    char problem[ENGINE_PROBLEM_SIZE];
    int r = engine_link_open(&options->engine, &publisher.link, problem);

    if (r < 0) {
        log_error("cannot use the engine %s: %s", options->engine.url, problem);
        return r;
    }
    r = transaction_init(publisher.link, options->group, options->shard, options->shards,
                         &publisher.transaction);
    if (r < 0) {
        log_error("cannot start: %s", strerror(-r));
        engine_link_close(publisher.link);
        return r;
    }
    segment_source_init(&publisher.source, options->segment);
    *ret = publisher;
    return 0;
}

void publisher_close(struct publisher *publisher)
{
    transaction_free(&publisher->transaction);
    engine_link_close(publisher->link);
    mirror_free(&publisher->mirror);
    stream_figures_free(&publisher->figures);
    segment_source_close(&publisher->source);
}

void publisher_reload(struct publisher *publisher)
{
    const struct options *options = publisher->options;
    char problem[ENGINE_PROBLEM_SIZE];

    if (engine_link_reload(publisher->link, problem) < 0) {
        log_error("cannot reload, and going on as before: %s", problem);
        return;
    }
    publisher->needs_anew = true;
    publisher->transaction.has_no_info = false;
    publisher->next_ns = publisher->pause_ns = 0;
    log_error("reloaded %s, and connecting anew",
              options->engine.password_file ? options->engine.password_file : "nothing");
}

void publisher_stop(struct publisher *publisher)
{
    struct transaction *transaction = &publisher->transaction;
    int r = -ESTALE;

    if (!publisher->owns)
        return;
    set_deadline(publisher);
    for (int attempt = 0; r == -ESTALE && attempt < ATTEMPTS_MAX; attempt++) {
        r = transaction_watch(transaction, publisher->deadline_ns);
        if (r < 0 || !transaction_is_ours(transaction))
            break;
        transaction_begin_release(transaction);
        shard_state_add_stale(transaction);
        r = transaction_commit(transaction, publisher->deadline_ns);
    }
    if (r < 0)
        report_trouble(publisher, "it was not told that the publisher ends: ");
}
