/* capabilities.h - what a program does once it needs no privilege any more. Links with libcap-ng. */
#ifndef PRESENCE_CAPABILITIES_H
#define PRESENCE_CAPABILITIES_H

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

/* Give up all capabilities of this thread, and of those it starts, for good. Errors: -EPERM;
 * those of prctl(2). */
static inline int capabilities_drop(void)
{
    capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

    /* The bounding set says what an executed program could gain; emptying it takes a capability. */
    if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        sets |= CAPNG_SELECT_BOUNDS;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(sets) != 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

#endif
