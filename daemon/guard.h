/* guard.h - keeps strangers out, as the configuration says: networks, sites, keys, budgets, XDP. */
#ifndef PRESENCED_GUARD_H
#define PRESENCED_GUARD_H

#include "admission.h"
#include "collector.h"
#include "config.h"
#include "xdp.h"

struct guard {
    struct admission admission;
    struct xdp *xdp; /* NULL: no filter */
    const char *keys_path;
    uint64_t xdp_counted[PRESENCE_XDP_FATES]; /* what was added to the collector's counters */
};

/* Prepare what datagrams are judged by. `config` has to outlive the guard; its sites become the
 * guard's. Errors, each with a line in the log: -EINVAL the keys can't be read; -ENOMEM. */
int guard_open(struct config *config, struct guard *ret);

/* Attach the filter if one is asked for, and tell readers of it; `sockets` are those of the
 * addresses to listen at, one of each. With --xdp-mode auto the collector does without if it can't
 * be had. Errors, with a line in the log: those of xdp_attach. */
int guard_attach(struct guard *guard, const struct config *config, struct collector *collector,
                 const int *sockets, unsigned count);

/* Read the keys anew, if there are any, and let the workers use them once all is well with the
 * file. Outside a batch. */
void guard_reload(struct guard *guard, struct collector *collector);

/* Add what the filter has counted since the last time to the collector's counters. */
void guard_count(struct guard *guard, struct collector *collector);

/* Detach the filter and free everything. No worker may be running. */
void guard_close(struct guard *guard);

#endif
