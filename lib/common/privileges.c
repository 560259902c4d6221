#include "privileges.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/capabilities.h"
#include "common/confine.h"
#include "common/confine_calls.h"
#include "common/permission.h"
#include "common/trust.h"

#define PATHS_MAX   7
#define WRITTEN_MAX 2 /* by its name, and where a link of that name leads */

/* Descriptors of directories that stay within reach. */
struct reach {
    int readable[1 + PATHS_MAX + WRITTEN_MAX + CONFINE_NAMES_MAX];
    int writable[WRITTEN_MAX];
    unsigned readable_count, writable_count;
};

#ifdef PRIVILEGES_UNCONFINED

static void reach_open(const char *const *paths, const char *written, bool engine,
                       struct reach *ret)
{
    (void)paths;
    (void)written;
    (void)engine;
    *ret = (struct reach){0};
}

static int reach_confine(const struct reach *reach, bool engine)
{
    (void)reach;
    (void)engine;
    return 0;
}

#else

static unsigned open_written(const char *written, int *ret)
{
    char *real = realpath(written, NULL);

    ret[0] = confine_open_above(written);
    if (!real) /* a file that isn't there is no link either */
        return 1;
    ret[1] = confine_open_above(real);
    free(real);
    return 2;
}

static void reach_open(const char *const *paths, const char *written, bool engine,
                       struct reach *ret)
{
    *ret = (struct reach){.readable = {confine_open_mount("/proc/self")}, /* boot id */
                          .readable_count = 1};
    for (; *paths && ret->readable_count <= PATHS_MAX; paths++)
        ret->readable[ret->readable_count++] = confine_open_mount(*paths);
    if (engine)
        ret->readable_count += confine_open_names(ret->readable + ret->readable_count);
    if (!written)
        return;
    ret->writable_count = open_written(written, ret->writable);
    ret->readable_count += open_written(written, ret->readable + ret->readable_count);
}

static int reach_confine(const struct reach *reach, bool engine)
{
    int r = confine_files(CONFINE_READ | CONFINE_EXECUTE, CONFINE_READ, reach->readable,
                          reach->readable_count);

    if (r < 0)
        return r;
    r = confine_files(CONFINE_WRITE, CONFINE_WRITE, reach->writable, reach->writable_count);
    return r < 0 ? r : confine_calls(engine || reach->writable_count == 0);
}

#endif

static int drop(const char *const *paths, const char *written, bool engine)
{
    struct reach reach;

    permission_join();
    reach_open(paths, written, engine, &reach); /* root without capabilities may not enter them */
    int r = capabilities_drop();

    /* The lists of users and groups are out of reach afterwards. */
    trust_prepare();
    if (*paths)
        permission_prepare(*paths);
    return r < 0 ? r : reach_confine(&reach, engine);
}

int privileges_drop(const char *const *paths, const char *written)
{
    return drop(paths, written, false);
}

int privileges_drop_for_engine(const char *const *paths, const char *written)
{
    return drop(paths, written, true);
}
