#include "reader.h"

#include <errno.h>
#include <stdlib.h>

int presence_history_scopes(struct presence *presence, struct presence_scopes *ret)
{
    (void)presence;
    (void)ret;
    return -ENOSYS;
}

void presence_scopes_free(struct presence_scopes *scopes)
{
    free(scopes->scopes);
    *scopes = (struct presence_scopes){0};
}

int presence_history(struct presence *presence, enum presence_kind kind, const char *site,
                     const char *name, int64_t since, int64_t until, struct presence_history *ret)
{
    (void)presence;
    (void)kind;
    (void)site;
    (void)name;
    (void)since;
    (void)until;
    (void)ret;
    return -ENOSYS;
}

void presence_history_free(struct presence_history *history)
{
    free(history->minutes);
    *history = (struct presence_history){0};
}
