#include "filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "receive/listener.h"

_Static_assert(COUNTER_xdp_dropped_visitor - COUNTER_xdp_passed ==
                       PRESENCE_XDP_VISITOR - PRESENCE_XDP_PASSED &&
                   PRESENCE_XDP_FATES == PRESENCE_XDP_VISITOR + 1,
               "the filter's counters are neighbours, in the order of its fates");

static int find_endpoints(const int *sockets, unsigned count, struct sockaddr_storage *endpoints)
{
    for (unsigned i = 0; i < count; i++) {
        socklen_t length = sizeof(endpoints[i]);
        if (getsockname(sockets[i], (struct sockaddr *)&endpoints[i], &length) < 0)
            return -errno;
    }
    return 0;
}

static int attach(struct filter *filter, const struct config *config,
                  const struct sockaddr_storage *endpoints, unsigned count, char *problem)
{
    const struct xdp_settings settings = {
        .endpoints = endpoints,
        .endpoint_count = count,
        .networks = config->allow.items,
        .network_count = config->allow.count,
        .sender_rate = config->sender_rate,
    };

    return xdp_attach(config->xdp, config->xdp_mode, &settings, &filter->xdp, problem);
}

/* True if datagrams to any of the endpoints can come through the interface: those to loopback
 * addresses come through loopback only. */
static bool can_reach(const struct xdp *xdp, const struct sockaddr_storage *endpoints,
                      unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!listener_is_loopback(&endpoints[i]))
            return true;
    }
    return xdp->is_loopback;
}

static void publish_attached(const struct filter *filter, struct collector *collector,
                             const char *interface, bool useful)
{
    const char *mode = filter->xdp->is_generic ? "generic" : "native";

    collector_publish_filter(collector, mode, interface,
                             useful ? "" : "nothing to do: --listen names loopback addresses only");
    log_line("XDP filter at %s, %s", interface, mode);
    if (!useful)
        log_line("the filter has nothing to do: nothing comes through %s to loopback addresses; "
                 "choose another --listen",
                 interface);
}

int filter_attach(struct filter *filter, const struct config *config, struct collector *collector,
                  const int *sockets, unsigned count)
{
    struct sockaddr_storage endpoints[ENDPOINTS_MAX];
    char problem[XDP_PROBLEM_SIZE];

    if (!config->xdp) {
        collector_publish_filter(collector, "none", "", "not asked for (--xdp)");
        return 0;
    }
    int r = find_endpoints(sockets, count, endpoints);
    if (r < 0)
        snprintf(problem, sizeof(problem), "%s", strerror(-r));
    else
        r = attach(filter, config, endpoints, count, problem);
    if (r == 0) {
        publish_attached(filter, collector, config->xdp, can_reach(filter->xdp, endpoints, count));
        return 0;
    }
    bool goes_on = config->xdp_mode == XDP_AUTO;
    collector_publish_filter(collector, "none", config->xdp, problem);
    log_line("cannot filter at %s: %s%s", config->xdp, problem,
             goes_on ? "; going on without" : "");
    return goes_on ? 0 : r;
}

void filter_count(struct filter *filter, struct collector *collector)
{
    uint64_t now[PRESENCE_XDP_FATES];

    if (!filter->xdp)
        return;
    xdp_counters(filter->xdp, now);
    for (unsigned fate = 0; fate < PRESENCE_XDP_FATES; fate++) {
        uint64_t *value = &collector->directory.counters->values[COUNTER_xdp_passed + fate];
        atomic_add_relaxed(value, now[fate] - filter->counted[fate]); /* statistics */
        filter->counted[fate] = now[fate];
    }
}

void filter_close(struct filter *filter)
{
    xdp_close(filter->xdp);
}
