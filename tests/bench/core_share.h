/* core_share.h - find out whether this processor has a core to itself, or is one of two busy
 * hardware threads. In a virtual machine the host decides, and may change it at any time. */
#ifndef PRESENCE_BENCH_CORE_SHARE_H
#define PRESENCE_BENCH_CORE_SHARE_H

#include <stdio.h>

#include "bench.h"

#define CORE_SHARE_STEPS 4000
#define CORE_SHARE_TRIES 4

/* Measure the CPU nanoseconds of some work that keeps all units of a core busy: the minimum ever
 * measured means a whole core at its full speed; about 1.8 times as long means that the core's
 * other thread does the same. Takes some 6 µs. */
static inline double core_share_once_ns(void)
{
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;
    double start = bench_cpu_s();

    for (uint64_t i = 0; i < CORE_SHARE_STEPS; i++) {
        a += b ^ i;
        b += c ^ i;
        c += d ^ a;
        d += e ^ i;
        e += f;
        f += g ^ b;
        g += h;
        h += i;
        /* Keep the compiler from adding them up itself. */
        __asm__ volatile(""
                         : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g), "+r"(h));
    }
    return (bench_cpu_s() - start) * 1e9;
}

/* Return the minimum of some tries: interrupts only add to them. */
static inline double core_share_ns(void)
{
    double fewest = core_share_once_ns();

    for (int i = 1; i < CORE_SHARE_TRIES; i++) {
        double taken = core_share_once_ns();
        fewest = taken < fewest ? taken : fewest;
    }
    return fewest;
}

/* A short part of a measurement. */
struct core_moment {
    double core_ns; /* core_share_ns before or after it, on any of its cores: the maximum */
    double rate;    /* the measured rate, a second */
};

static inline double core_longer(double a, double b)
{
    return a > b ? a : b;
}

/* Print them as a list of pairs in JSON. */
static inline void core_moments_print(const struct core_moment *moments, uint64_t count)
{
    putchar('[');
    for (uint64_t i = 0; i < count; i++)
        printf("%s[%.0f,%.0f]", i ? "," : "", moments[i].core_ns, moments[i].rate);
    putchar(']');
}

#endif
