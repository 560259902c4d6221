/* Built without libbpf, clang or bpftool: no filter. */
#include <errno.h>
#include <stdio.h>

#include "xdp.h"

int xdp_load(const struct xdp_settings *settings, bool trains, struct xdp **ret)
{
    (void)settings;
    (void)trains;
    (void)ret;
    return -ENOSYS;
}

int xdp_attach(const char *interface, enum xdp_mode mode, const struct xdp_settings *settings,
               struct xdp **ret, char *ret_problem)
{
    (void)interface;
    snprintf(ret_problem, XDP_PROBLEM_SIZE,
             "this presenced was built without the filter (it needs libbpf, clang and bpftool)");
    return xdp_load(settings, mode == XDP_GENERIC, ret);
}

void xdp_close(struct xdp *xdp)
{
    (void)xdp;
}

void xdp_counters(const struct xdp *xdp, uint64_t ret[PRESENCE_XDP_FATES])
{
    (void)xdp;
    for (unsigned fate = 0; fate < PRESENCE_XDP_FATES; fate++)
        ret[fate] = 0;
}
