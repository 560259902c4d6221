/* filter.h - the XDP filter as configured by --xdp, and its counters. The main thread only. */
#ifndef PRESENCED_FILTER_H
#define PRESENCED_FILTER_H

#include "collector.h"
#include "config.h"
#include "xdp.h"

struct filter {
    struct xdp *xdp;                      /* NULL: not attached */
    uint64_t counted[PRESENCE_XDP_FATES]; /* already added to the collector's counters */
};

/* Attach the filter if --xdp is given, and publish its state to readers. `sockets` are bound to
 * the addresses to listen at, one of each. With --xdp-mode auto it is no error if that fails.
 * Errors, with a line in the log: those of xdp_attach. */
int filter_attach(struct filter *filter, const struct config *config, struct collector *collector,
                  const int *sockets, unsigned count);

/* Add what the filter has counted since the last time to the collector's counters. */
void filter_count(struct filter *filter, struct collector *collector);

/* Detach the filter and free it. */
void filter_close(struct filter *filter);

#endif
