#include "crew.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct member {
    pthread_t thread;
    crew_function function;
    void *context;
    unsigned number;
};

static pthread_mutex_t failure_mutex = PTHREAD_MUTEX_INITIALIZER;
static char failure[1024];
static bool has_failed;
static unsigned arrived; /* threads, at all meetings since the crew started */

bool crew_has_failed(void)
{
    return __atomic_load_n(&has_failed, __ATOMIC_ACQUIRE); /* pairs with crew_fail */
}

void crew_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    pthread_mutex_lock(&failure_mutex);
    if (!crew_has_failed())
        vsnprintf(failure, sizeof(failure), format, arguments);
    __atomic_store_n(&has_failed, true, __ATOMIC_RELEASE); /* pairs with crew_has_failed */
    pthread_mutex_unlock(&failure_mutex);
    va_end(arguments);
}

void crew_meet(unsigned count)
{
    /* Acquire and release: pairs with itself; all see what each did before the meeting. */
    unsigned mine = __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL);
    unsigned wanted = (mine / count + 1) * count;

    for (unsigned spins = 0; __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < wanted; spins++) {
        if (crew_has_failed())
            return;
        if (spins > 100)
            sched_yield();
    }
}

static void *run_member(void *argument)
{
    struct member *member = argument;

    member->function(member->context, member->number);
    return NULL;
}

void crew_run(const struct crew_job *jobs, void *context)
{
    struct member members[CREW_MAX];
    unsigned count = 0;

    has_failed = false;
    arrived = 0;
    for (; jobs->function; jobs++) {
        for (unsigned i = 0; i < jobs->threads; i++, count++) {
            members[count] = (struct member){
                .function = jobs->function,
                .context = context,
                .number = count,
            };
            if (pthread_create(&members[count].thread, NULL, run_member, &members[count]) != 0)
                fail_msg("pthread_create"); /* the threads started so far end by themselves */
        }
    }
    while (count)
        pthread_join(members[--count].thread, NULL);
    if (has_failed)
        fail_msg("%s", failure);
}
