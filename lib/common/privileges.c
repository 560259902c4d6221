#include "privileges.h"

#include "common/capabilities.h"
#include "common/confine.h"
#include "common/confine_calls.h"
#include "common/permission.h"
#include "common/trust.h"

#ifdef PRIVILEGES_UNCONFINED

static int confine_to(const char *const *paths, const char *written)
{
    (void)paths;
    (void)written;
    return 0;
}

#else

#define PATHS_MAX 8

static int confine_to(const char *const *paths, const char *written)
{
    int directories[PATHS_MAX + 1] = {confine_open_mount("/proc/self")}; /* boot id */
    unsigned count = 1;

    for (; *paths && count < PATHS_MAX; paths++)
        directories[count++] = confine_open_mount(*paths);
    if (written)
        directories[count++] = confine_open_above(written);
    int r = confine_files(CONFINE_READ | CONFINE_EXECUTE, CONFINE_READ, directories, count);
    if (r < 0)
        return r;
    const int writable = written ? confine_open_above(written) : 0;
    r = confine_files(CONFINE_WRITE, CONFINE_WRITE, &writable, written ? 1 : 0);
    return r < 0 ? r : confine_calls(!written);
}

#endif

int privileges_drop(const char *const *paths, const char *written)
{
    permission_join();
    int r = capabilities_drop();

    /* The lists of users and groups are out of reach afterwards. */
    trust_prepare();
    if (*paths)
        permission_prepare(*paths);
    return r < 0 ? r : confine_to(paths, written);
}
