/* bench_handover.c - how long a cache line takes from one processor to another and back: the limit
 * of threads that share memory. In virtual machines it depends on where the host runs the
 * processors, and may change at any time. */
#include <stdio.h>

#include "bench.h"

#define ROUNDS 100
#define TRIPS  1000 /* per round */

static _Alignas(128) uint64_t ball;

static void *return_it(void *argument)
{
    (void)argument;
    bench_pin(1);
    for (uint64_t i = 0; i < ROUNDS * TRIPS; i++) {
        while (atomic_load_acquire(&ball) != 2 * i + 1) /* pairs with main's store */
            ;
        atomic_store_release(&ball, 2 * i + 2); /* pairs with main's load */
    }
    return NULL;
}

int main(void)
{
    double fastest = 1;
    uint64_t trip = 0;
    pthread_t thread;

    if (pthread_create(&thread, NULL, return_it, NULL))
        bench_fail("cannot start a thread");
    bench_pin(0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        double start = bench_wall_s();
        for (unsigned i = 0; i < TRIPS; i++, trip++) {
            atomic_store_release(&ball, 2 * trip + 1);
            while (atomic_load_acquire(&ball) != 2 * trip + 2)
                ;
        }
        double taken = (bench_wall_s() - start) / TRIPS;
        fastest = taken < fastest ? taken : fastest;
    }
    pthread_join(thread, NULL);
    printf("{\"round_trip_ns\":%.0f}\n", fastest * 1e9);
    return 0;
}
