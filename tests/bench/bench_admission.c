/* bench_admission - the cost of judging a sender: tags, networks, sites and budgets, in nanoseconds
 * each, on one core. One JSON object a line. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "bench.h"

#define ROUNDS 2000000

/* Printed, so that nothing is optimized away. */
static uint64_t sum;

static void print(const char *what, unsigned size, double seconds, unsigned rounds)
{
    printf("{\"what\":\"%s\",\"size\":%u,\"ns\":%.1f,\"sum\":%llu}\n", what, size,
           seconds * 1e9 / rounds, (unsigned long long)sum);
}

/* Measure tags. `size` is the visitors of a signed datagram. */
static void measure_tags(unsigned visitors)
{
    static uint8_t ids[WIRE_DATAGRAM_MAX], datagram[WIRE_DATAGRAM_MAX];
    struct keys *keys = calloc(1, sizeof(*keys));
    struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)"example.com", 11},
        .kind = WIRE_HEARTBEAT,
        .authenticated = 1,
        .key_id = 7,
        .visitors = visitors,
        .visitor_ids = ids,
    };
    unsigned rounds = ROUNDS / (1 + visitors / 4);

    if (!keys)
        bench_fail("no memory");
    keys->known[7] = true;
    uint32_t length = wire_v1_encode(&heartbeat, datagram, sizeof(datagram));
    double begin = bench_cpu_s();
    for (unsigned i = 0; i < rounds; i++) {
        memcpy(datagram + 8, &i, sizeof(i));
        sum += keys_verify(keys, datagram, length, 7, wire_load32(datagram + 8), 0);
    }
    print("tag, by visitors", visitors, bench_cpu_s() - begin, rounds);
    free(keys);
}

static void measure_networks(unsigned count)
{
    static struct network list[NETWORKS_MAX];
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct networks networks;
    uint64_t random = 1;
    char text[32];

    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "%u.%u.%u.0/24", i % 250, i / 250, i % 7);
        network_parse(text, &list[i]);
    }
    if (networks_build(list, count, &networks) < 0)
        bench_fail("no memory");
    double begin = bench_cpu_s();
    for (unsigned i = 0; i < ROUNDS; i++) {
        address.sin_addr.s_addr = (uint32_t)bench_random(&random);
        sum += networks_contain(&networks, (struct sockaddr *)&address);
    }
    print("networks", count, bench_cpu_s() - begin, ROUNDS);
    networks_free(&networks);
}

static void measure_sites(unsigned count)
{
    struct sites sites = {0};
    char names[64][32];
    double begin;

    for (unsigned i = 0; i < count; i++) {
        snprintf(names[i % 64], sizeof(names[0]), "site-%u.example", i);
        if (sites_add(&sites, names[i % 64]) < 0)
            bench_fail("no memory");
    }
    unsigned last = count < 64 ? count : 64;
    begin = bench_cpu_s();
    for (unsigned i = 0; i < ROUNDS; i++) {
        const char *name = names[i % last];
        sum += sites_contain(&sites, (const uint8_t *)name, (uint32_t)strlen(name));
    }
    print("sites", count, bench_cpu_s() - begin, ROUNDS);
    sites_free(&sites);
}

static void measure_budget(unsigned sources)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct budget *budget;

    if (budget_open(BUDGET_LIMIT_MAX, &budget) < 0)
        bench_fail("no memory");
    double begin = bench_cpu_s();
    for (unsigned i = 0; i < ROUNDS; i++) {
        address.sin_addr.s_addr = i % sources;
        sum += budget_spend(budget, budget_sender(1, (struct sockaddr *)&address), 1000);
    }
    print("budget, by sources", sources, bench_cpu_s() - begin, ROUNDS);
    budget_close(budget);
}

int main(void)
{
    static const unsigned visitors[] = {1, 3, 10, 40, 89};

    for (size_t i = 0; i < sizeof(visitors) / sizeof(visitors[0]); i++)
        measure_tags(visitors[i]);
    measure_networks(1);
    measure_networks(16);
    measure_networks(NETWORKS_MAX);
    measure_sites(1);
    measure_sites(1000);
    measure_budget(1);
    measure_budget(1000);
    return 0;
}
