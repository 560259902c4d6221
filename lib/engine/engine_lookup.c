#include "engine_lookup.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/monotonic.h"

#define NAMES_MAX          32              /* that are looked up at a time, or whose result waits */
#define RESULT_LIFETIME_NS (10 * NS_PER_S) /* after which a result that nobody took is too old */

enum name_state { NAME_UNUSED, NAME_WANTED, NAME_RUNNING, NAME_DONE };

struct name {
    enum name_state state;
    struct address host;
    int error;              /* of getaddrinfo(3); with NAME_DONE, as all that follows */
    struct addrinfo *found; /* NULL on failure */
    int64_t done_ns;
};

/* Shared by the thread and by the one that asks. */
struct engine_lookups {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t wanted, done;
    struct name names[NAMES_MAX];
    unsigned next; /* name at which the thread goes on */
    bool runs;     /* the thread has begun */
    bool closed;   /* nobody asks any more: the thread frees it */
};

static int look_up(const struct address *host, int flags, struct addrinfo **ret)
{
    const struct addrinfo hints = {
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_NUMERICSERV | flags,
    };

    return getaddrinfo(host->host, host->port, &hints, ret);
}

static void name_clear(struct name *name)
{
    if (name->found)
        freeaddrinfo(name->found);
    *name = (struct name){0};
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void lookups_free(struct engine_lookups *lookups)
{
    for (unsigned i = 0; i < NAMES_MAX; i++)
        name_clear(&lookups->names[i]);
    pthread_cond_destroy(&lookups->wanted);
    pthread_cond_destroy(&lookups->done);
    pthread_mutex_destroy(&lookups->lock);
    free(lookups);
}

/* Find a name that is wanted, in turn; NULL if there is none. */
static struct name *find_wanted(struct engine_lookups *lookups)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        struct name *name = &lookups->names[lookups->next++ % NAMES_MAX];
        if (name->state == NAME_WANTED)
            return name;
    }
    return NULL;
}

/* Look up a name, without the lock meanwhile. */
static void run_name(struct engine_lookups *lookups, struct name *name)
{
    const struct address host = name->host;
    struct addrinfo *found = NULL;

    name->state = NAME_RUNNING;
    pthread_mutex_unlock(&lookups->lock);
    int error = look_up(&host, 0, &found);
    pthread_mutex_lock(&lookups->lock);
    name->error = error;
    name->found = error == 0 ? found : NULL;
    name->done_ns = monotonic_ns();
    name->state = NAME_DONE;
    pthread_cond_signal(&lookups->done);
}

static void *lookups_run(void *context)
{
    struct engine_lookups *lookups = context;

    pthread_mutex_lock(&lookups->lock);
    lookups->runs = true;
    pthread_cond_signal(&lookups->done);
    while (!lookups->closed) {
        struct name *name = find_wanted(lookups);
        if (name)
            run_name(lookups, name);
        else
            pthread_cond_wait(&lookups->wanted, &lookups->lock);
    }
    pthread_mutex_unlock(&lookups->lock);
    lookups_free(lookups);
    return NULL;
}

int engine_lookups_start(struct engine_lookups *lookups)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    if (lookups->runs)
        return 0;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);        /* signals are for the program's own threads, */
    sigdelset(&all, SIGSYS); /* but calls that confine_listed refuses are the thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, lookups_run, lookups);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        return -error;
    /* Until it runs, it makes calls that a program which confines itself now doesn't allow. */
    pthread_mutex_lock(&lookups->lock);
    while (!lookups->runs)
        pthread_cond_wait(&lookups->done, &lookups->lock);
    pthread_mutex_unlock(&lookups->lock);
    return 0;
}

/* ---- who asks -------------------------------------------------------------------------------- */

int engine_lookups_open(struct engine_lookups **ret)
{
    struct engine_lookups *lookups = calloc(1, sizeof(*lookups));
    pthread_condattr_t attributes;

    if (!lookups)
        return -ENOMEM;
    pthread_mutex_init(&lookups->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lookups->wanted, NULL);
    pthread_cond_init(&lookups->done, &attributes);
    pthread_condattr_destroy(&attributes);
    *ret = lookups;
    return 0;
}

void engine_lookups_close(struct engine_lookups *lookups)
{
    if (!lookups)
        return;
    if (!lookups->runs) {
        lookups_free(lookups);
        return;
    }
    pthread_mutex_lock(&lookups->lock);
    lookups->closed = true;
    pthread_cond_signal(&lookups->wanted);
    pthread_mutex_unlock(&lookups->lock);
}

/* Find a host among those that are looked up, or a free place; NULL if there is none. */
static struct name *find_name(struct engine_lookups *lookups, const struct address *host)
{
    int64_t oldest = monotonic_ns() - RESULT_LIFETIME_NS;
    struct name *unused = NULL;

    for (unsigned i = 0; i < NAMES_MAX; i++) {
        struct name *name = &lookups->names[i];
        if (name->state == NAME_DONE && name->done_ns < oldest)
            name_clear(name);
        if (name->state == NAME_UNUSED)
            unused = name;
        else if (strcmp(name->host.host, host->host) == 0 &&
                 strcmp(name->host.port, host->port) == 0)
            return name;
    }
    return unused;
}

/* Wait for a name's result and take it. */
static int take_name(struct engine_lookups *lookups, struct name *name, int64_t deadline_ns,
                     struct addrinfo **ret)
{
    const struct timespec deadline = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    int error = 0;

    while (name->state != NAME_DONE && error == 0)
        error = pthread_cond_timedwait(&lookups->done, &lookups->lock, &deadline);
    if (name->state != NAME_DONE)
        return -ETIMEDOUT;
    error = name->error;
    if (error == 0) {
        *ret = name->found;
        name->found = NULL;
    }
    name_clear(name);
    if (error == EAI_AGAIN) /* no name server has answered: the waiting ends later than ours */
        return -ETIMEDOUT;
    return error == 0 ? 0 : error == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
}

int engine_lookup(struct engine_lookups *lookups, const struct address *host, int64_t deadline_ns,
                  struct addrinfo **ret)
{
    if (look_up(host, AI_NUMERICHOST, ret) == 0)
        return 0;

    int r = engine_lookups_start(lookups);
    if (r < 0)
        return r;
    pthread_mutex_lock(&lookups->lock);
    struct name *name = find_name(lookups, host);
    if (name && name->state == NAME_UNUSED) {
        *name = (struct name){.state = NAME_WANTED, .host = *host};
        pthread_cond_signal(&lookups->wanted);
    }
    r = name ? take_name(lookups, name, deadline_ns, ret) : -EAGAIN;
    pthread_mutex_unlock(&lookups->lock);
    return r;
}

/* ---- modules --------------------------------------------------------------------------------- */

/* Load the module of a word of nsswitch.conf, for good. Some are part of libc, and words in
 * brackets are none. */
static void load_module(const char *word)
{
    char name[64];

    if (!isalpha((unsigned char)*word))
        return;
    if (snprintf(name, sizeof(name), "libnss_%s.so.2", word) < (int)sizeof(name))
        dlopen(name, RTLD_LAZY | RTLD_NODELETE); /* never closed */
}

void engine_lookups_prepare(void)
{
    FILE *file = fopen("/etc/nsswitch.conf", "re");
    char line[1024], *rest;

    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "#\n")] = '\0';
        char *word = strtok_r(line, " \t:", &rest);
        if (!word || strcmp(word, "hosts") != 0)
            continue;
        while ((word = strtok_r(NULL, " \t:", &rest)))
            load_module(word);
    }
    if (file)
        fclose(file);
}
