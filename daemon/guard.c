#include "guard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "listener.h"
#include "log.h"

_Static_assert(COUNTER_xdp_dropped_visitor - COUNTER_xdp_passed ==
                   PRESENCE_XDP_VISITOR - PRESENCE_XDP_PASSED,
               "the filter's counters stand in the order of its fates");

static int read_keys(const char *path, struct keys **ret)
{
    char problem[KEYS_PROBLEM_SIZE];
    int r = keys_read(path, ret, problem);

    if (r < 0)
        log_line("cannot use the keys: %s", problem);
    return r < 0 ? -EINVAL : 0;
}

static int open_budgets(const struct config *config, struct admission *admission)
{
    int r = 0;

    if (getrandom(&admission->secret, sizeof(admission->secret), 0) < 0)
        r = -errno;
    if (r == 0 && config->source_rate)
        r = budget_open(config->source_rate, &admission->datagrams);
    if (r == 0 && config->source_new)
        r = budget_open(config->source_new, &admission->visitors);
    return r;
}

int guard_open(struct config *config, struct guard *ret)
{
    struct guard guard = {.keys_path = config->keys};
    int r = open_budgets(config, &guard.admission);

    if (r == 0)
        r = networks_build(config->allow, config->allow_count, &guard.admission.networks);
    if (r < 0)
        log_line("cannot limit sources: %s", strerror(-r));
    if (r == 0 && config->keys[0])
        r = read_keys(config->keys, &guard.admission.keys);
    if (r < 0) {
        admission_close(&guard.admission);
        return r;
    }
    guard.admission.sites = config->sites;
    config->sites = (struct sites){0};
    *ret = guard;
    return 0;
}

static int find_endpoints(const int *sockets, unsigned count, struct sockaddr_storage *endpoints)
{
    for (unsigned i = 0; i < count; i++) {
        socklen_t length = sizeof(endpoints[i]);
        if (getsockname(sockets[i], (struct sockaddr *)&endpoints[i], &length) < 0)
            return -errno;
    }
    return 0;
}

static int attach(struct guard *guard, const struct config *config,
                  const struct sockaddr_storage *endpoints, unsigned count, char *problem)
{
    const struct xdp_settings settings = {
        .endpoints = endpoints,
        .endpoint_count = count,
        .networks = config->allow_count ? config->allow : NULL,
        .network_count = config->allow_count,
        .source_rate = config->source_rate,
    };

    return xdp_attach(config->xdp, config->xdp_mode, &settings, &guard->xdp, problem);
}

/* Loopback's addresses alone are out of reach through any other interface. */
static bool can_reach(const struct xdp *xdp, const struct sockaddr_storage *endpoints,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!listener_is_loopback(&endpoints[i]))
            return true;
    }
    return xdp_is_loopback(xdp);
}

static void tell_attached(const struct guard *guard, struct collector *collector,
                          const char *interface, bool useful)
{
    const char *mode = xdp_is_generic(guard->xdp) ? "generic" : "native";

    collector_tell_filter(collector, mode, interface,
                          useful ? "" : "nothing to do: --listen names loopback addresses only");
    log_line("XDP filter at %s, %s", interface, mode);
    if (!useful)
        log_line("the filter has nothing to do: nothing comes through %s to loopback addresses; "
                 "choose another --listen",
                 interface);
}

int guard_attach(struct guard *guard, const struct config *config, struct collector *collector,
                 const int *sockets, unsigned count)
{
    struct sockaddr_storage endpoints[CONFIG_LISTEN_MAX];
    char problem[XDP_PROBLEM_SIZE];

    if (!config->xdp[0]) {
        collector_tell_filter(collector, "none", "", "not asked for (--xdp)");
        return 0;
    }
    int r = find_endpoints(sockets, count, endpoints);
    if (r < 0)
        snprintf(problem, sizeof(problem), "%s", strerror(-r));
    else
        r = attach(guard, config, endpoints, count, problem);
    if (r == 0) {
        tell_attached(guard, collector, config->xdp, can_reach(guard->xdp, endpoints, count));
        return 0;
    }
    bool goes_on = config->xdp_mode == XDP_AUTO;
    collector_tell_filter(collector, "none", config->xdp, problem);
    log_line("cannot filter at %s: %s%s", config->xdp, problem,
             goes_on ? "; going on without" : "");
    return goes_on ? 0 : r;
}

void guard_reload(struct guard *guard, struct collector *collector)
{
    struct keys *keys;

    if (!guard->keys_path[0] || read_keys(guard->keys_path, &keys) < 0)
        return;
    unsigned count = keys->count;
    struct keys *old = admission_replace_keys(&guard->admission, keys);
    collector_wait_for_batches(collector);
    keys_free(old);
    log_line("keys read anew: %u", count);
}

void guard_count(struct guard *guard, struct collector *collector)
{
    uint64_t now[PRESENCE_XDP_FATES];

    if (!guard->xdp)
        return;
    xdp_counters(guard->xdp, now);
    for (unsigned fate = 0; fate < PRESENCE_XDP_FATES; fate++) {
        uint64_t *value = &collector->directory.counters->values[COUNTER_xdp_passed + fate];
        atomic_add_relaxed(value, now[fate] - guard->xdp_counted[fate]); /* statistics */
        guard->xdp_counted[fate] = now[fate];
    }
}

void guard_close(struct guard *guard)
{
    xdp_close(guard->xdp);
    admission_close(&guard->admission);
}
