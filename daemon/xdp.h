/* xdp.h - the XDP filter: load it, attach it to an interface, read what it has dropped.
 *
 * It is detached when its owner's process ends, however it ends. After xdp_attach no system call
 * that needs a privilege is made, nor any of bpf(2) at all.
 */
#ifndef PRESENCED_XDP_H
#define PRESENCED_XDP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "../bpf/presence_xdp.h"
#include "common/networks.h"

#define XDP_PROBLEM_SIZE 256 /* bytes of the longest line that says what went wrong */

enum xdp_mode {
    XDP_AUTO = 0, /* native, or generic where the driver can't */
    XDP_NATIVE,   /* in the driver, before the kernel has spent anything on a packet */
    XDP_GENERIC,  /* on every interface, and slower */
};

struct xdp_settings {
    const struct sockaddr_storage *endpoints; /* that the collector listens at, ports bound */
    unsigned endpoint_count;                  /* at most PRESENCE_XDP_ENDPOINTS */
    const struct network *networks;           /* sources that pass; NULL: all */
    unsigned network_count;
    uint32_t source_rate; /* datagrams a second that a source may send; 0: no limit */
};

struct xdp;

/* Load the program without attaching it; `trains` (see presence_xdp.h) may be among the packets, as
 * in generic mode. It takes CAP_BPF and CAP_NET_ADMIN and Linux 5.18. Errors: -EPERM; -EINVAL too
 * many endpoints, or the kernel refuses the program; -ENOSYS built without it; others of bpf(2). */
int xdp_load(const struct xdp_settings *settings, bool trains, struct xdp **ret);

/* Load the program and attach it to an interface of Ethernet's kind. When it fails, `ret_problem`
 * (XDP_PROBLEM_SIZE bytes) says in one line why and what helps.
 * Errors: -EPERM; -EBUSY another program is there; -ENODEV; -EOPNOTSUPP neither the driver nor the
 * kernel can; those of xdp_load. */
int xdp_attach(const char *interface, enum xdp_mode mode, const struct xdp_settings *settings,
               struct xdp **ret, char *ret_problem);

/* Detach and free. NULL is fine. */
void xdp_close(struct xdp *xdp);

/* Is it attached in generic mode? */
bool xdp_is_generic(const struct xdp *xdp);

/* Is it attached to loopback itself? */
bool xdp_is_loopback(const struct xdp *xdp);

/* The program's file descriptor, for bpf(2) BPF_PROG_TEST_RUN. */
int xdp_program(const struct xdp *xdp);

/* Datagrams by fate since it was loaded, of all processors. Any thread. */
void xdp_counters(const struct xdp *xdp, uint64_t ret[PRESENCE_XDP_FATES]);

#endif
