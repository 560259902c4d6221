#include "reader.h"

#include <errno.h>

int presence_peaks(struct presence *presence, enum presence_kind kind, const char *site,
                   const char *name, struct presence_peaks *ret)
{
    (void)presence;
    (void)kind;
    (void)site;
    (void)name;
    (void)ret;
    return -ENOSYS;
}

int presence_activity(struct presence *presence, enum presence_kind kind, const char *site,
                      const char *name, struct presence_activity *ret)
{
    (void)presence;
    (void)kind;
    (void)site;
    (void)name;
    (void)ret;
    return -ENOSYS;
}
