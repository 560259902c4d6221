#include "engine_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine_listing.h"
#include "engine_poll.h"
#include "engine_transaction.h"
#include "engine_windows.h"

#define ATTEMPTS      4   /* of a poll: each finds out more of the groups */
#define MARKS_AT_ONCE 500 /* sites whose marks one transaction reads */

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

int engine_reader_reload(struct engine_reader *reader, char ret_problem[ENGINE_PROBLEM_SIZE])
{
    return engine_link_reload(reader->link, ret_problem);
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

/* Send the commands of a poll. */
static int send_poll(struct engine_reader *reader, const struct engine_poll *poll,
                     int64_t deadline_ns, struct engine_transaction *ret)
{
    engine_transaction_begin(reader);
    engine_poll_ask(&reader->request, &reader->state, reader->default_window_s, poll);
    int r = engine_transaction_run(reader, deadline_ns, ret);
    if (r != -ENOSPC)
        return r;
    reader->problem = "";
    engine_request_clear(&reader->request);
    engine_poll_ask(&reader->request, &reader->state, reader->default_window_s, poll);
    return engine_transaction_run_apart(reader, deadline_ns, ret);
}

/* Ask and answer once. The reader then knows the groups that were found. -ESTALE: they are others
 * than it knew before. */
static int try_once(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    struct engine_transaction transaction;
    struct engine_attempt attempt = {
        .poll = poll,
        .default_window_s = reader->default_window_s,
        .now = time(NULL),
    };

    int r = send_poll(reader, poll, deadline_ns, &transaction);
    if (r < 0)
        return r;
    r = engine_poll_answer(&attempt, &reader->state, transaction.replies);
    reader->default_window_s = attempt.default_window_s;
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

/* Read the marks of some sites that were listed. Their counts stay those of the list's moment. */
static int read_marks(struct engine_reader *reader, const struct engine_reading *list,
                      struct engine_entry *entries, size_t length, int64_t deadline_ns)
{
    struct engine_poll poll = {.query_count = length};

    poll.queries = calloc(length, sizeof(*poll.queries));
    if (!poll.queries)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++)
        poll.queries[i] = (struct engine_query){
            .kind = PRESENCE_SITE,
            .site = entries[i].name,
            .window_s = list->window_s,
        };
    int r = try_often(reader, &poll, deadline_ns);
    for (size_t i = 0; r == 0 && i < length; i++) {
        const struct engine_reading *site = &poll.queries[i].reading;
        /* Stale although the list isn't: whoever has the count has lost the marks. */
        entries[i].partial = site->partial || (site->stale && !list->stale);
        entries[i].quiet = site->quiet;
        entries[i].last_heartbeat_s = site->last_heartbeat_s;
    }
    free(poll.queries);
    return r;
}

/* Complete a list of sites, whose own hashes have their marks. */
static int complete_sites(struct engine_reader *reader, struct engine_list *list,
                          int64_t deadline_ns)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->length; i += MARKS_AT_ONCE) {
        size_t count = list->length - i < MARKS_AT_ONCE ? list->length - i : MARKS_AT_ONCE;
        r = read_marks(reader, &list->reading, &list->entries[i], count, deadline_ns);
    }
    return r;
}

/* Poll into answers that are nobody else's yet. */
static int poll_into(struct engine_reader *reader, struct engine_poll *poll, int64_t deadline_ns)
{
    int r = try_often(reader, poll, deadline_ns);

    if (r < 0)
        return r;
    struct engine_state state = reader->state; /* of the answers; the marks need only its groups */
    reader->state = (struct engine_state){0};
    r = engine_groups_copy(&state, &reader->state);
    for (size_t i = 0; r == 0 && i < poll->list_count; i++) {
        struct engine_list *list = &poll->lists[i];
        if (!list->site && !list->without_marks && list->error == 0)
            r = complete_sites(reader, list, deadline_ns);
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
    if (r == -EPROTO && !*reader->problem)
        return engine_reader_fail(reader, r, ENGINE_KEY_GROUPS " is no hash");
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
