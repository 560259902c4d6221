#include "trust.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int trust_find_user(const char *name, uid_t *ret)
{
    struct passwd entry, *found = NULL;
    char buffer[4096], *end;

    if (!*name || strlen(name) >= TRUST_NAME_SIZE)
        return -ENOENT;
    if (name[strspn(name, "0123456789")] == '\0') {
        unsigned long long number = strtoull(name, &end, 10);
        if (number >= (uid_t)-1)
            return -ENOENT;
        *ret = (uid_t)number;
        return 0;
    }
    if (getpwnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
        return -ENOENT;
    *ret = found->pw_uid;
    return 0;
}

void trust_name_user(uid_t uid, char ret[TRUST_NAME_SIZE])
{
    struct passwd entry, *found = NULL;
    char buffer[4096];

    if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found &&
        strlen(found->pw_name) < TRUST_NAME_SIZE)
        strcpy(ret, found->pw_name);
    else
        snprintf(ret, TRUST_NAME_SIZE, "%u", (unsigned)uid);
}

gid_t trust_group(void)
{
    static gid_t gid = TRUST_NO_GROUP;
    static bool is_known;
    const struct group *group = is_known ? NULL : getgrnam(TRUST_USER);

    if (group)
        gid = group->gr_gid;
    is_known = true;
    return gid;
}
