#include "capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <sys/prctl.h>

int capabilities_drop(void)
{
    capng_select_t sets = CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT;

    /* The bounding set limits what an executed program gains; emptying it needs a capability. */
    if (capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
        sets |= CAPNG_SELECT_BOUNDS;
    capng_clear(CAPNG_SELECT_ALL);
    if (capng_apply(sets) != 0)
        return -EPERM;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
