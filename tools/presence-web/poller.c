#include "poller.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/monotonic.h"
#include "engine/engine_json.h"

struct poller {
    struct engine_reader *reader; /* the thread's, once it runs */
    struct http_server *server;
    pthread_t thread;
    bool runs;
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t changed;
    struct round *sent, *done;
    bool ends;
};

/* ---- rounds --------------------------------------------------------------------------------- */

struct round *round_new(void)
{
    return calloc(1, sizeof(struct round));
}

void round_free(struct round *round)
{
    if (!round)
        return;
    for (size_t i = 0; i < round->poll.list_count; i++)
        engine_list_free(&round->lists[i]);
    json_decref(round->groups);
    free(round->queries);
    free(round->places);
    free(round->lists);
    free(round->list_places);
    free(round);
}

/* Make room for one more item in two arrays of the same length. The arrays may move. */
static int grow(void **first, size_t first_size, void **second, size_t second_size, size_t count,
                size_t *capacity)
{
    size_t wanted = *capacity ? 2 * *capacity : 16;

    if (count < *capacity)
        return 0;
    void *more = realloc(*first, wanted * first_size);
    if (!more)
        return -ENOMEM;
    *first = more;
    more = realloc(*second, wanted * second_size);
    if (!more)
        return -ENOMEM;
    *second = more;
    *capacity = wanted;
    return 0;
}

int round_add_query(struct round *round, const struct place *place, uint32_t window_s)
{
    size_t *count = &round->poll.query_count;
    int r = grow((void **)&round->queries, sizeof(*round->queries), (void **)&round->places,
                 sizeof(*round->places), *count, &round->query_capacity);

    if (r < 0)
        return r;
    round->places[*count] = *place;
    round->queries[*count] = (struct engine_query){
        .kind = place->room[0] ? PRESENCE_ROOM : PRESENCE_SITE,
        .window_s = window_s,
    };
    (*count)++;
    return 0;
}

int round_add_list(struct round *round, const struct place *place, enum presence_kind kind,
                   uint32_t window_s, size_t limit)
{
    size_t *count = &round->poll.list_count;
    int r = grow((void **)&round->lists, sizeof(*round->lists), (void **)&round->list_places,
                 sizeof(*round->list_places), *count, &round->list_capacity);

    if (r < 0)
        return r;
    round->list_places[*count] = *place;
    round->lists[*count] = (struct engine_list){.kind = kind, .window_s = window_s, .limit = limit};
    (*count)++;
    return 0;
}

/* Point to the names, now that their arrays move no more. */
static void point_to_names(struct round *round)
{
    for (size_t i = 0; i < round->poll.query_count; i++) {
        round->queries[i].site = round->places[i].site;
        round->queries[i].name = round->places[i].room;
    }
    for (size_t i = 0; i < round->poll.list_count; i++)
        round->lists[i].site = round->list_places[i].site[0] ? round->list_places[i].site : NULL;
    round->poll.queries = round->queries;
    round->poll.lists = round->lists;
}

/* ---- the thread ----------------------------------------------------------------------------- */

/* Take what the reader knows of the groups. */
static void take_groups(const struct engine_reader *reader, struct round *round)
{
    const struct engine_state *state = engine_reader_state(reader);

    strncpy(round->windows, engine_reader_windows(reader), sizeof(round->windows) - 1);
    round->freshness = engine_state_freshness(state, time(NULL));
    if (round->poll.visitors)
        round->groups = engine_build_groups(state);
    round->has_groups = true;
}

static void poll_engine(struct engine_reader *reader, struct round *round)
{
    if (round->reloads)
        engine_reader_reload(reader, round->reload_problem);
    point_to_names(round);
    round->sent_at_ns = monotonic_ns();
    round->result = engine_reader_poll(reader, &round->poll,
                                       round->sent_at_ns + ENGINE_PATIENCE_MS * NS_PER_MS);
    if (round->result == 0 || round->result == -ENODATA)
        take_groups(reader, round);
    if (round->result < 0)
        strncpy(round->problem, engine_reader_problem(reader), sizeof(round->problem) - 1);
}

static void *run_thread(void *context)
{
    struct poller *poller = context;

    pthread_mutex_lock(&poller->mutex);
    for (;;) {
        while (!poller->sent && !poller->ends)
            pthread_cond_wait(&poller->changed, &poller->mutex);
        if (poller->ends)
            break;
        struct round *round = poller->sent;
        poller->sent = NULL;
        pthread_mutex_unlock(&poller->mutex);
        poll_engine(poller->reader, round);
        pthread_mutex_lock(&poller->mutex);
        poller->done = round;
        http_server_wake(poller->server);
    }
    pthread_mutex_unlock(&poller->mutex);
    return NULL;
}

int poller_open(const struct engine_options *options, struct poller **ret,
                char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct poller *poller = calloc(1, sizeof(*poller));

    if (!poller) {
        strcpy(ret_problem, "out of memory");
        return -ENOMEM;
    }
    int r = engine_reader_open(options, &poller->reader, ret_problem);
    if (r < 0) {
        free(poller);
        return r;
    }
    pthread_mutex_init(&poller->mutex, NULL);
    pthread_cond_init(&poller->changed, NULL);
    *ret = poller;
    return 0;
}

int poller_start(struct poller *poller, struct http_server *server)
{
    poller->server = server;
    int r = pthread_create(&poller->thread, NULL, run_thread, poller);
    poller->runs = r == 0;
    return -r;
}

void poller_stop(struct poller *poller)
{
    if (!poller->runs)
        return;
    pthread_mutex_lock(&poller->mutex);
    poller->ends = true;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->mutex);
    pthread_join(poller->thread, NULL);
    poller->runs = false;
}

void poller_close(struct poller *poller)
{
    if (!poller)
        return;
    round_free(poller->sent);
    round_free(poller->done);
    engine_reader_close(poller->reader);
    pthread_cond_destroy(&poller->changed);
    pthread_mutex_destroy(&poller->mutex);
    free(poller);
}

void poller_send(struct poller *poller, struct round *round)
{
    pthread_mutex_lock(&poller->mutex);
    poller->sent = round;
    pthread_cond_signal(&poller->changed);
    pthread_mutex_unlock(&poller->mutex);
}

struct round *poller_receive(struct poller *poller)
{
    pthread_mutex_lock(&poller->mutex);
    struct round *round = poller->done;
    poller->done = NULL;
    pthread_mutex_unlock(&poller->mutex);
    return round;
}
