#include "pauses.h"

#include <sched.h>

#include "random_source.h"

static _Thread_local struct random_source source;
static _Thread_local unsigned pause_one_in;
static _Thread_local pauses_function called;
static _Thread_local void *called_with;

void pauses_begin(uint64_t seed, unsigned one_in)
{
    source.state = seed;
    pause_one_in = one_in;
}

void pauses_call(pauses_function function, void *context)
{
    called = function;
    called_with = context;
}

void pauses_take(enum pause_at at)
{
    if (called) {
        called(called_with, at);
        return;
    }
    if (!pause_one_in || !random_one_in(&source, pause_one_in))
        return;
    if (random_one_in(&source, 8)) {
        sched_yield();
        return;
    }
    for (volatile unsigned i = random_below(&source, 400); i; i--)
        ;
}
