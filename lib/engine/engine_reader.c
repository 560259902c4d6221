#include "engine_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine_listing.h"
#include "engine_scope.h"
#include "engine_transaction.h"
#include "engine_windows.h"

#define ATTEMPTS       4   /* of a poll: each finds out more of the groups */
#define MARKS_AT_ONCE  500 /* sites whose marks one transaction reads */
#define STATE_COMMANDS 2

/* One attempt to answer: what comes out of a transaction. */
struct attempt {
    struct engine_poll *poll; /* its answers are this attempt's own */
    struct engine_state state;
    size_t shard_count;
    bool *evicted; /* by shard */
    redisReply *const *replies;
};

int engine_reader_open(const struct engine_options *options, struct engine_reader **ret,
                       char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct engine_reader *reader = calloc(1, sizeof(*reader));

    if (!reader) {
        snprintf(ret_problem, ENGINE_PROBLEM_SIZE, "out of memory");
        return -ENOMEM;
    }
    reader->default_window_s = PRESENCE_DEFAULT_WINDOW;
    reader->problem = "";
    int r = engine_link_open(options, &reader->link, ret_problem);
    if (r < 0) {
        free(reader);
        return r;
    }
    *ret = reader;
    return 0;
}

int engine_reader_prepare(struct engine_reader *reader)
{
    return engine_link_prepare(reader->link);
}

void engine_reader_close(struct engine_reader *reader)
{
    if (!reader)
        return;
    engine_link_close(reader->link);
    engine_request_free(&reader->request);
    engine_state_free(&reader->state);
    free(reader->windows);
    free(reader);
}

const struct engine_state *engine_reader_state(const struct engine_reader *reader)
{
    return &reader->state;
}

const char *engine_reader_windows(const struct engine_reader *reader)
{
    return reader->windows ? reader->windows : "";
}

const char *engine_reader_problem(const struct engine_reader *reader)
{
    return reader->problem;
}

static uint32_t choose_window(const struct engine_reader *reader, uint32_t window_s)
{
    return window_s ? place_round_window(window_s) : reader->default_window_s;
}

/* ---- ask --------------------------------------------------------------------------------- */

static void ask_visitors(struct engine_request *request, const struct engine_group *group,
                         uint32_t shard)
{
    char key[ENGINE_KEY_MAX];

    engine_key_sites(group->name, shard + 1, engine_windows_default_of(&group->shards[shard].shard),
                     key);
    engine_request_add(request, "HGETALL", key, NULL);
}

/* Add the commands of a poll, by what the last one knows of the groups. */
static void ask(struct engine_reader *reader, const struct engine_poll *poll)
{
    const struct engine_state *state = &reader->state;
    struct engine_request *request = &reader->request;

    engine_scope_ask_states(request, state);
    for (size_t g = 0; g < state->count; g++) {
        const struct engine_group *group = &state->groups[g];
        for (uint32_t s = 0; s < group->shard_count && poll->visitors; s++)
            ask_visitors(request, group, s);
    }
    for (size_t i = 0; i < poll->query_count; i++) {
        const struct engine_query *query = &poll->queries[i];
        uint32_t window_s = choose_window(reader, query->window_s);
        for (size_t g = 0; g < state->count; g++) {
            const struct engine_group *group = &state->groups[g];
            for (uint32_t s = 0; s < group->shard_count; s++)
                engine_scope_ask(request, group->name, s + 1, window_s, query->kind, query->site,
                                 query->name);
        }
    }
    for (size_t i = 0; i < poll->list_count; i++) {
        const struct engine_list *list = &poll->lists[i];
        uint32_t window_s = choose_window(reader, list->window_s);
        for (size_t g = 0; g < state->count; g++) {
            const struct engine_group *group = &state->groups[g];
            for (uint32_t s = 0; s < group->shard_count; s++)
                engine_listing_ask(request, group->name, s + 1, window_s, list);
        }
    }
}

/* ---- answer ------------------------------------------------------------------------------ */

static int load_states(struct attempt *attempt)
{
    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, attempt->replies += STATE_COMMANDS) {
            int r = engine_groups_load(attempt->replies[0], attempt->replies[1], group->shard_count,
                                       &group->shards[s]);
            if (r < 0)
                return r;
        }
    }
    return engine_groups_judge(&attempt->state);
}

/* Add up all sites' visitors in a shard. */
static uint64_t sum_visitors(const redisReply *hash, struct engine_scope *scope)
{
    uint64_t sum = 0, count;

    for (size_t i = 0; hash->type == REDIS_REPLY_ARRAY && i + 1 < hash->elements; i += 2) {
        if (!engine_text_is(engine_reply_text(hash->element[i]), ENGINE_MARK_EPOCH) &&
            engine_scope_load_count(hash->element[i + 1], scope, &count) &&
            __builtin_add_overflow(sum, count, &sum))
            sum = UINT64_MAX;
    }
    return sum;
}

static void load_visitors(struct attempt *attempt)
{
    size_t i = 0;

    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            struct engine_shard_state *shard = &group->shards[s];
            const redisReply *hash = *attempt->replies++;
            struct engine_marks marks = engine_scope_find_marks(hash, PRESENCE_SITE);
            struct engine_scope scope = {
                .evicted = !engine_text_is(marks.epoch, shard->shard.epoch),
            };
            if (shard->shard.version != ENGINE_VERSION)
                continue;
            uint64_t visitors = sum_visitors(hash, &scope);
            attempt->evicted[i] |= scope.evicted;
            shard->visitors = scope.evicted ? 0 : visitors;
        }
    }
}

/* True if visitors were asked for of each shard's own default window. */
static bool are_of_default_windows(const struct engine_state *asked,
                                   const struct engine_state *found)
{
    for (size_t g = 0; g < found->count; g++) {
        for (uint32_t s = 0; s < found->groups[g].shard_count; s++) {
            if (engine_windows_default_of(&asked->groups[g].shards[s].shard) !=
                engine_windows_default_of(&found->groups[g].shards[s].shard))
                return false;
        }
    }
    return true;
}

static int answer_query(const struct engine_reader *reader, struct attempt *attempt, int64_t now,
                        struct engine_query *query)
{
    uint32_t window_s = choose_window(reader, query->window_s);
    struct engine_scope *scopes = calloc(attempt->shard_count + 1, sizeof(*scopes));
    size_t i = 0;

    if (!scopes)
        return -ENOMEM;
    for (size_t g = 0; g < attempt->state.count; g++) {
        const struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            redisReply *const *replies = &attempt->replies[i * ENGINE_SCOPE_COMMANDS];
            if (!engine_shard_has(group, s, window_s))
                continue;
            engine_scope_load(&group->shards[s].shard, query->kind, replies[0], replies[1],
                              &scopes[i]);
            attempt->evicted[i] |= scopes[i].evicted;
        }
    }
    attempt->replies += i * ENGINE_SCOPE_COMMANDS;
    query->error = engine_windows_has(&attempt->state, window_s) ? 0 : -ERANGE;
    engine_answer(&attempt->state, scopes, window_s, now, &query->reading);
    free(scopes);
    return 0;
}

static int answer_list(const struct engine_reader *reader, struct attempt *attempt, int64_t now,
                       struct engine_list *list)
{
    uint32_t window_s = choose_window(reader, list->window_s);
    int r = engine_listing_make(&attempt->state, attempt->replies, window_s, now, list,
                                attempt->evicted);

    attempt->replies += attempt->shard_count * (list->site ? ENGINE_SCOPE_COMMANDS : 1);
    list->error = engine_windows_has(&attempt->state, window_s) ? 0 : -ERANGE;
    return r;
}

/* Say which shards' counts are gone, now that all answers are made. */
static void mark_evicted(struct attempt *attempt)
{
    size_t i = 0;

    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            if (!attempt->evicted[i] || group->shards[s].problem != ENGINE_SHARD_FINE)
                continue;
            group->shards[s].problem = ENGINE_SHARD_EVICTED;
            group->whole = false;
        }
    }
}

static int answer_all(const struct engine_reader *reader, struct attempt *attempt)
{
    struct engine_poll *poll = attempt->poll;
    int64_t now = time(NULL);
    int r = 0;

    if (poll->visitors)
        load_visitors(attempt);
    for (size_t i = 0; r == 0 && i < poll->query_count; i++)
        r = answer_query(reader, attempt, now, &poll->queries[i]);
    for (size_t i = 0; r == 0 && i < poll->list_count; i++)
        r = answer_list(reader, attempt, now, &poll->lists[i]);
    mark_evicted(attempt);
    return r;
}

/* ---- poll -------------------------------------------------------------------------------- */

static bool needs_default(const struct engine_poll *poll)
{
    for (size_t i = 0; i < poll->query_count; i++) {
        if (!poll->queries[i].window_s)
            return true;
    }
    for (size_t i = 0; i < poll->list_count; i++) {
        if (!poll->lists[i].window_s)
            return true;
    }
    return false;
}

static bool has_any_state(const struct engine_state *state)
{
    for (size_t g = 0; g < state->count; g++) {
        for (uint32_t s = 0; s < state->groups[g].shard_count; s++) {
            if (state->groups[g].shards[s].problem != ENGINE_SHARD_ABSENT)
                return true;
        }
    }
    return false;
}

/* Load the groups and the states, and find out whether the commands that were sent fit them.
 * -ESTALE they don't. */
static int load_groups(struct engine_reader *reader, struct attempt *attempt)
{
    int r = engine_groups_parse(*attempt->replies++, &attempt->state);

    if (r == -EPROTO)
        return engine_reader_fail(reader, r, ENGINE_KEY_GROUPS " is no hash");
    if (r < 0)
        return r;
    if (!engine_groups_are_same(&reader->state, &attempt->state))
        return -ESTALE;
    attempt->shard_count = engine_state_shards(&attempt->state);
    r = load_states(attempt);
    if (r < 0)
        return r;
    if (!has_any_state(&attempt->state))
        return -ENODATA;
    uint32_t window_s = engine_windows_default(&attempt->state);
    bool fits =
        (window_s == reader->default_window_s || !needs_default(attempt->poll)) &&
        (!attempt->poll->visitors || are_of_default_windows(&reader->state, &attempt->state));
    reader->default_window_s = window_s;
    return fits ? 0 : -ESTALE;
}

/* Ask and answer once. The reader then knows the groups that were found. -ESTALE: they are others
 * than it knew before. */
static int try_once(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    struct engine_transaction transaction;
    struct attempt attempt = {.poll = poll};

    engine_transaction_begin(reader);
    ask(reader, poll);
    int r = engine_transaction_run(reader, deadline_ns, &transaction);
    if (r < 0)
        return r;
    attempt.replies = transaction.replies;
    r = load_groups(reader, &attempt);
    if (r == 0) {
        attempt.evicted = calloc(attempt.shard_count + 1, sizeof(*attempt.evicted));
        r = attempt.evicted ? answer_all(reader, &attempt) : -ENOMEM;
        free(attempt.evicted);
    }
    engine_transaction_free(&transaction);
    if (r == 0 || r == -ESTALE || r == -ENODATA) {
        engine_state_free(&reader->state);
        reader->state = attempt.state;
    } else {
        engine_state_free(&attempt.state);
    }
    return r;
}

static void free_lists(struct engine_poll *poll)
{
    for (size_t i = 0; i < poll->list_count; i++)
        engine_list_free(&poll->lists[i]);
}

static int try_often(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    int r = -ESTALE;

    for (int i = 0; r == -ESTALE && i < ATTEMPTS; i++) {
        r = try_once(reader, poll, deadline_ns);
        if (r < 0)
            free_lists(poll);
    }
    if (r == -ESTALE)
        return engine_reader_fail(reader, -EAGAIN, "its groups change too fast: try again");
    return r;
}

/* Read the marks of some sites that were listed, with counts of the same moment. Entries of sites
 * that are gone have no name afterwards. */
static int read_marks(struct engine_reader *reader, uint32_t window_s, struct engine_entry *entries,
                      size_t length, int64_t deadline_ns)
{
    struct engine_poll poll = {.query_count = length};
    int r = -ENOMEM;

    poll.queries = calloc(length, sizeof(*poll.queries));
    if (!poll.queries)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++)
        poll.queries[i] = (struct engine_query){
            .kind = PRESENCE_SITE, .site = entries[i].name, .window_s = window_s};
    r = try_often(reader, &poll, deadline_ns);
    for (size_t i = 0; r == 0 && i < length; i++) {
        const struct engine_reading *reading = &poll.queries[i].reading;
        if (!reading->exists)
            entries[i].name[0] = '\0';
        entries[i].count = reading->count;
        entries[i].partial = reading->partial;
        entries[i].quiet = reading->quiet;
        entries[i].last_heartbeat_s = reading->last_heartbeat_s;
    }
    free(poll.queries);
    return r;
}

/* Complete a list of sites, whose own hashes have their marks. */
static int complete_sites(struct engine_reader *reader, struct engine_list *list,
                          int64_t deadline_ns)
{
    size_t length = 0;

    for (size_t i = 0; i < list->length; i += MARKS_AT_ONCE) {
        size_t count = list->length - i < MARKS_AT_ONCE ? list->length - i : MARKS_AT_ONCE;
        int r = read_marks(reader, list->reading.window_s, &list->entries[i], count, deadline_ns);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < list->length; i++) {
        if (list->entries[i].name[0])
            list->entries[length++] = list->entries[i];
    }
    list->total -= list->length - length;
    list->length = length;
    engine_listing_sort(list->entries, length);
    return 0;
}

/* Poll into answers that are nobody else's yet. */
static int poll_into(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    int r = try_often(reader, poll, deadline_ns);

    if (r < 0)
        return r;
    struct engine_state state = reader->state; /* of the answers; the marks need only the groups */
    reader->state = (struct engine_state){0};
    for (size_t i = 0; r == 0 && i < poll->list_count; i++) {
        if (!poll->lists[i].site && poll->lists[i].error == 0)
            r = complete_sites(reader, &poll->lists[i], deadline_ns);
    }
    engine_state_free(&reader->state);
    reader->state = state;
    if (r < 0)
        free_lists(poll);
    return r;
}

static int explain(struct engine_reader *reader, int r)
{
    if (r == -ENODATA)
        return engine_reader_fail(reader, r,
                                  "nobody has published counts there within two hours: is "
                                  "presence-publisher running, with the same engine?");
    if (r == -EMSGSIZE && !*reader->problem)
        return engine_reader_fail(reader, r, "it has too many groups: forget those that are gone");
    if (!*reader->problem)
        return engine_reader_fail(reader, r, strerror(-r));
    return r;
}

int engine_reader_poll(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    struct engine_poll own = *poll;
    int r = -ENOMEM;

    reader->problem = "";
    own.queries = calloc(poll->query_count + 1, sizeof(*own.queries));
    own.lists = calloc(poll->list_count + 1, sizeof(*own.lists));
    if (own.queries && own.lists) {
        for (size_t i = 0; i < poll->query_count; i++)
            own.queries[i] = poll->queries[i];
        for (size_t i = 0; i < poll->list_count; i++) {
            own.lists[i] = poll->lists[i];
            own.lists[i].entries = NULL;
        }
        r = poll_into(reader, &own, deadline_ns);
    }
    for (size_t i = 0; r == 0 && i < poll->query_count; i++)
        poll->queries[i] = own.queries[i];
    for (size_t i = 0; r == 0 && i < poll->list_count; i++)
        poll->lists[i] = own.lists[i];
    free(own.queries);
    free(own.lists);
    free(reader->windows);
    reader->windows = NULL;
    engine_windows_format(&reader->state, &reader->windows);
    return r < 0 ? explain(reader, r) : 0;
}
