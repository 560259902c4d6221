#include "trust.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
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

/* ---- users that readers trust -------------------------------------------------------------- */

/* A user whose id was found by name. A confined process can't read the list of users later. */
struct known_user {
    char name[TRUST_NAME_SIZE];
    uid_t uid;
};

/* The user `presence`, and the one that PRESENCE_SEGMENT_OWNER names. */
static struct known_user known_users[2];
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

static bool find_user(struct known_user *known, const char *name, uid_t *ret)
{
    pthread_mutex_lock(&known_lock);
    bool found = trust_find_user(name, ret) == 0;
    if (found) {
        strcpy(known->name, name);
        known->uid = *ret;
    } else if (strcmp(known->name, name) == 0) {
        *ret = known->uid;
        found = true;
    }
    pthread_mutex_unlock(&known_lock);
    return found;
}

bool trust_is_named_user(uid_t uid)
{
    const char *owner = secure_getenv("PRESENCE_SEGMENT_OWNER");
    uid_t found;

    return (owner && *owner && find_user(&known_users[1], owner, &found) && found == uid) ||
           (find_user(&known_users[0], TRUST_USER, &found) && found == uid);
}

void trust_prepare(void)
{
    trust_is_named_user((uid_t)-1);
}
