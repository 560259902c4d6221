/* xdp.h - load the XDP filter, attach it to an interface and read its counters.
 *
 * The kernel detaches it when the process ends, however it ends. After xdp_attach no call needs a
 * privilege or bpf(2).
 */
#ifndef PRESENCED_XDP_H
#define PRESENCED_XDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../bpf/presence_xdp.h"
#include "common/networks.h"

#define XDP_PROBLEM_SIZE 256 /* bytes of the longest description */

enum xdp_mode {
    XDP_AUTO = 0, /* native, or generic if that fails */
    XDP_NATIVE,   /* in the driver, before the kernel spends anything on a packet */
    XDP_GENERIC,  /* on every interface, and slower */
};

struct xdp_settings {
    const struct sockaddr_storage *endpoints; /* bound, of the collector */
    unsigned endpoint_count;                  /* at most PRESENCE_XDP_ENDPOINTS */
    const struct network *networks;           /* senders that pass; NULL: all */
    unsigned network_count;
    uint32_t sender_rate; /* datagrams of a sender in a second; 0: no limit */
};

struct presence_xdp;

struct xdp {
    bool is_generic;  /* attached in generic mode */
    bool is_loopback; /* attached to loopback */
    int program;      /* its file descriptor, for bpf(2) BPF_PROG_TEST_RUN */
    /* private: */
    struct presence_xdp *skeleton;
    int link;
    unsigned processors;      /* their numbers are below this */
    size_t counters_size;     /* bytes */
    const uint64_t *counters; /* mapped; by processor, then by fate */
};

/* Load the program without attaching it. `trains`: they may be among the packets (presence_xdp.h),
 * as in generic mode. Needs CAP_BPF, CAP_NET_ADMIN and Linux 5.18. Errors: -EPERM; -EINVAL too many
 * endpoints, or the kernel refuses the program; -ENOSYS built without it; others of bpf(2). */
int xdp_load(const struct xdp_settings *settings, bool trains, struct xdp **ret);

/* Load the program and attach it to an Ethernet interface. On failure `ret_problem`
 * (XDP_PROBLEM_SIZE bytes) says in one line why and what helps.
 * Errors: -EPERM; -EBUSY another program is there; -ENODEV; -EOPNOTSUPP neither the driver nor the
 * kernel can do it; those of xdp_load. */
int xdp_attach(const char *interface, enum xdp_mode mode, const struct xdp_settings *settings,
               struct xdp **ret, char *ret_problem);

/* Detach and free. NULL is fine. */
void xdp_close(struct xdp *xdp);

/* Return the datagrams by fate since it was loaded, of all processors. Any thread. */
void xdp_counters(const struct xdp *xdp, uint64_t ret[PRESENCE_XDP_FATES]);

#endif
