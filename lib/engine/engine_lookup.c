#include "engine_lookup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/monotonic.h"

#define RESULT_LIFETIME_NS (10 * NS_PER_S) /* after which a result that nobody took is too old */

/* A name that is being looked up: shared by the thread that does it and by the one that asked. */
struct engine_lookup {
    struct address host;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t ended; /* signalled when `is_done` */
    unsigned users;       /* 2, then 1; the last one frees it */
    bool is_done;
    int64_t done_ns;
    int error; /* of getaddrinfo(3) */
    struct addrinfo *found;
};

static int look_up(const struct address *host, int flags, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | flags,
    };

    return getaddrinfo(host->host, host->port, &hints, ret);
}

/* Give up one use of it; frees it if that was the last one. Called with the lock, which it ends. */
static void release(struct engine_lookup *lookup)
{
    bool was_last = --lookup->users == 0;

    pthread_mutex_unlock(&lookup->lock);
    if (!was_last)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    pthread_cond_destroy(&lookup->ended);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *lookup_run(void *context)
{
    struct engine_lookup *lookup = context;
    struct addrinfo *found = NULL;
    int error = look_up(&lookup->host, 0, &found);

    pthread_mutex_lock(&lookup->lock);
    lookup->error = error;
    lookup->found = found;
    lookup->done_ns = monotonic_ns();
    lookup->is_done = true;
    pthread_cond_signal(&lookup->ended);
    release(lookup);
    return NULL;
}

/* Start a thread that handles no signals: they are for the program's own. */
static int start_thread(struct engine_lookup *lookup)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, lookup_run, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

static int lookup_start(const struct address *host, struct engine_lookup **ret)
{
    struct engine_lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_condattr_t attributes;

    if (!lookup)
        return -ENOMEM;
    lookup->host = *host;
    lookup->users = 2;
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    int r = start_thread(lookup);
    if (r < 0) {
        lookup->users = 1;
        pthread_mutex_lock(&lookup->lock);
        release(lookup);
        return r;
    }
    *ret = lookup;
    return 0;
}

/* Find the place of a host that is being looked up, or a free one; NULL if there is none. Results
 * that are too old are dropped. */
static struct engine_lookup **find_place(struct engine_lookups *lookups, const struct address *host)
{
    struct engine_lookup **unused = NULL;
    int64_t oldest = monotonic_ns() - RESULT_LIFETIME_NS;

    for (unsigned i = 0; i < ENGINE_LOOKUPS_MAX; i++) {
        struct engine_lookup **place = &lookups->pending[i];
        if (*place) {
            pthread_mutex_lock(&(*place)->lock);
            if ((*place)->is_done && (*place)->done_ns < oldest) {
                release(*place);
                *place = NULL;
            } else {
                pthread_mutex_unlock(&(*place)->lock);
            }
        }
        if (!*place)
            unused = unused ? unused : place;
        else if (strcmp((*place)->host.host, host->host) == 0 &&
                 strcmp((*place)->host.port, host->port) == 0)
            return place;
    }
    return unused;
}

/* Wait for a result and take it. */
static int lookup_take(struct engine_lookup **place, int64_t deadline_ns, struct addrinfo **ret)
{
    const struct timespec deadline = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    struct engine_lookup *lookup = *place;
    int error = 0;

    pthread_mutex_lock(&lookup->lock);
    while (!lookup->is_done && error == 0)
        error = pthread_cond_timedwait(&lookup->ended, &lookup->lock, &deadline);
    if (!lookup->is_done) {
        pthread_mutex_unlock(&lookup->lock);
        return -ETIMEDOUT;
    }
    error = lookup->error;
    if (error == 0) {
        *ret = lookup->found;
        lookup->found = NULL;
    }
    release(lookup);
    *place = NULL;
    return error == 0 ? 0 : error == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

int engine_lookup(struct engine_lookups *lookups, const struct address *host, int64_t deadline_ns,
                  struct addrinfo **ret)
{
    if (look_up(host, AI_NUMERICHOST, ret) == 0)
        return 0;

    struct engine_lookup **place = find_place(lookups, host);
    if (!place)
        return -EAGAIN;
    int r = *place ? 0 : lookup_start(host, place);
    return r < 0 ? r : lookup_take(place, deadline_ns, ret);
}

void engine_lookups_free(struct engine_lookups *lookups)
{
    for (unsigned i = 0; i < ENGINE_LOOKUPS_MAX; i++) {
        if (!lookups->pending[i])
            continue;
        pthread_mutex_lock(&lookups->pending[i]->lock);
        release(lookups->pending[i]);
        lookups->pending[i] = NULL;
    }
}
