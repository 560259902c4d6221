/* discard.h - shared by the programs that receive datagrams, discard them, and print the cost. */
#ifndef PRESENCE_TESTS_DISCARD_H
#define PRESENCE_TESTS_DISCARD_H

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "receive/listener.h"

#define DISCARD_LATENCY_MAX_US 100000

struct discard {
    int socket;
    const char *engine; /* discard_receiver's engine */
    bool latency;
    bool gather; /* discard_io_uring: moderated */
    uint64_t datagrams;
    uint64_t calls;  /* waits or system calls that returned them */
    uint64_t now_ns; /* CLOCK_MONOTONIC when the current batch was returned */
    uint32_t latencies[DISCARD_LATENCY_MAX_US + 1]; /* histogram, microseconds */
};

static volatile sig_atomic_t discard_stop;

/* Repeated each second, in case the first signal fell between a check and a wait. */
static void discard_on_signal(int signal)
{
    (void)signal;
    discard_stop = 1;
    alarm(1);
}

static _Noreturn void discard_usage(const char *program, int status)
{
    fprintf(status ? stderr : stdout,
            "usage: %s [--listen ADDR:PORT] [--no-offload] [--latency] [--gather] [--engine NAME]\n"
            "Receives and discards datagrams until SIGTERM, then prints what it cost as JSON.\n"
            "  --no-offload  without UDP_GRO\n"
            "  --latency     take the last 8 bytes of each for the time it was sent at\n"
            "  --gather      under load wait for 32 or 1 ms at most; for discard_io_uring\n"
            "  --engine      auto, io_uring or recvmmsg; for discard_receiver\n",
            program);
    exit(status);
}

static inline void discard_open(int argc, char **argv, struct discard *ret)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"no-offload", no_argument, NULL, 'n'},
        {"latency", no_argument, NULL, 't'},
        {"engine", required_argument, NULL, 'e'},
        {"gather", no_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct listener_options wanted = {.generic_receive_offload = true};
    const struct sigaction action = {.sa_handler = discard_on_signal};
    const char *listen = "127.0.0.1:9514";
    struct sockaddr_storage address;
    socklen_t length;
    int option;

    memset(ret, 0, sizeof(*ret));
    ret->engine = "auto";
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l')
            listen = optarg;
        else if (option == 'n')
            wanted.generic_receive_offload = false;
        else if (option == 't')
            ret->latency = true;
        else if (option == 'g')
            ret->gather = true;
        else if (option == 'e')
            ret->engine = optarg;
        else
            discard_usage(argv[0], option == 'h' ? 0 : 2);
    }
    if (optind < argc || listener_parse(listen, &address, &length) < 0)
        discard_usage(argv[0], 2);
    int r = listener_open((struct sockaddr *)&address, length, &wanted, 1, &ret->socket);
    if (r < 0) {
        fprintf(stderr, "%s: cannot listen on %s: %s\n", argv[0], listen, strerror(-r));
        exit(1);
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
}

static inline void discard_begin_batch(struct discard *discard)
{
    struct timespec now;

    discard->calls++;
    if (!discard->latency)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    discard->now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Count a datagram, or a train of them; touch it as a decoder would. */
static inline void discard_train(struct discard *discard, const uint8_t *data, uint32_t length,
                                 uint32_t segment_bytes)
{
    uint64_t sent;

    discard->datagrams += length ? (length + segment_bytes - 1) / segment_bytes : 1;
    if (!length)
        return;
    (void)*(volatile const uint8_t *)data;
    if (!discard->latency || length < sizeof(sent))
        return;
    memcpy(&sent, data + length - sizeof(sent), sizeof(sent));
    uint64_t us = discard->now_ns > sent ? (discard->now_ns - sent) / 1000 : 0;
    discard->latencies[us < DISCARD_LATENCY_MAX_US ? us : DISCARD_LATENCY_MAX_US]++;
}

static inline unsigned discard_percentile(const struct discard *discard, unsigned percent)
{
    uint64_t total = 0, below = 0;
    unsigned us = 0;

    for (unsigned i = 0; i <= DISCARD_LATENCY_MAX_US; i++)
        total += discard->latencies[i];
    while (us < DISCARD_LATENCY_MAX_US && (below += discard->latencies[us]) * 100 < total * percent)
        us++;
    return us;
}

static inline double discard_seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static inline void discard_report(const char *program, const struct discard *discard)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    double cpu = discard_seconds(usage.ru_utime) + discard_seconds(usage.ru_stime);
    printf("{\"program\":\"%s\",\"datagrams\":%llu,\"cpu_s\":%.4f,\"ns_per_datagram\":%.0f,"
           "\"calls\":%llu,\"switches\":%ld,\"drops\":%u,\"rss_kb\":%ld",
           program, (unsigned long long)discard->datagrams, cpu,
           discard->datagrams ? cpu * 1e9 / (double)discard->datagrams : 0.0,
           (unsigned long long)discard->calls, usage.ru_nvcsw + usage.ru_nivcsw,
           listener_drops(discard->socket), usage.ru_maxrss);
    if (discard->latency)
        printf(",\"latency_us\":{\"p50\":%u,\"p99\":%u}", discard_percentile(discard, 50),
               discard_percentile(discard, 99));
    printf("}\n");
}

#endif
