#include "permission.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust.h"

#define GROUPS_MAX 256

/* The file or directory whose mode keeps us from a file. */
struct obstacle {
    struct stat status; /* of the file, or of a directory on the way to it */
    mode_t right;       /* what the group needs there */
};

/* Names that were looked up before the program confined itself. Afterwards none can be looked up: a
 * system call that this takes might even end the process. */
static bool is_confined;
static char own_name[TRUST_NAME_SIZE];
static gid_t own_groups[GROUPS_MAX + 1];
static int own_group_count;
static struct {
    gid_t gid;
    char name[TRUST_NAME_SIZE];
} known_group;

/* ---- names ------------------------------------------------------------------------------- */

/* Find our user's name. False: we have none. */
static bool find_own_name(char ret[TRUST_NAME_SIZE])
{
    const struct passwd *user = is_confined ? NULL : getpwuid(geteuid());

    snprintf(ret, TRUST_NAME_SIZE, "%s", user ? user->pw_name : own_name);
    return *ret;
}

/* Find a group's name. False: it has none. */
static bool find_group_name(gid_t gid, char ret[TRUST_NAME_SIZE])
{
    const struct group *group = is_confined ? NULL : getgrgid(gid);

    if (group)
        snprintf(ret, TRUST_NAME_SIZE, "%s", group->gr_name);
    else if (gid == trust_group())
        strcpy(ret, TRUST_USER);
    else if (*known_group.name && gid == known_group.gid)
        strcpy(ret, known_group.name);
    else
        return false;
    return true;
}

/* Write a user's name, or the number. */
static void name_user(uid_t uid, char ret[TRUST_NAME_SIZE])
{
    if (!is_confined)
        trust_name_user(uid, ret);
    else if (uid == 0)
        strcpy(ret, "root");
    else
        snprintf(ret, TRUST_NAME_SIZE, "uid %u", (unsigned)uid);
}

/* True if the system's list has us in this group: then only our login is older than that. */
static bool is_member(gid_t gid, const char *name)
{
    const struct passwd *user = is_confined ? NULL : getpwnam(name);
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (!user || getgrouplist(name, user->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++) {
        if (groups[i] == gid)
            return true;
    }
    return false;
}

/* ---- the obstacle ------------------------------------------------------------------------ */

/* Load the groups that we run with. */
static void load_groups(void)
{
    if (is_confined)
        return;
    int count = getgroups(GROUPS_MAX, own_groups);
    own_group_count = count < 0 ? 0 : count;
    own_groups[own_group_count++] = getegid();
}

/* True if the mode denies us what the group would need as `right`. */
static bool is_denied(const struct stat *status, mode_t right)
{
    if (status->st_uid == geteuid())
        return !(status->st_mode & right << 3);
    for (int i = 0; i < own_group_count; i++) {
        if (own_groups[i] == status->st_gid)
            return !(status->st_mode & right);
    }
    return !(status->st_mode & right >> 3);
}

/* Find the first directory on the way whose mode denies us, or the file itself. This takes stat(2)
 * alone, since the confined collector may make no other call. */
static bool find_obstacle(const char *path, struct obstacle *ret)
{
    char part[PATH_MAX];

    load_groups();
    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return false;
    ret->right = S_IXGRP;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(part, &ret->status) < 0)
            return false;
        if (is_denied(&ret->status, ret->right))
            return true;
        *slash = '/';
    }
    ret->right = S_IRGRP;
    return stat(part, &ret->status) == 0 && is_denied(&ret->status, ret->right);
}

static void explain_group(gid_t gid, const char *group, char ret[PERMISSION_TEXT_SIZE])
{
    char user[TRUST_NAME_SIZE];

    if (!find_own_name(user))
        snprintf(ret, PERMISSION_TEXT_SIZE,
                 "permission denied: the group %s may read it; run with that group (in a unit: "
                 "SupplementaryGroups=%s)",
                 group, group);
    else if (is_member(gid, user))
        snprintf(ret, PERMISSION_TEXT_SIZE,
                 "permission denied: the group %s may read it, and %s is in it since the last "
                 "login: log in again",
                 group, user);
    else
        snprintf(ret, PERMISSION_TEXT_SIZE,
                 "permission denied: the group %s may read it; join it with `usermod -aG %s %s` "
                 "(as root), and log in again",
                 group, group, user);
}

void permission_explain(const char *path, char ret[PERMISSION_TEXT_SIZE])
{
    char owner[TRUST_NAME_SIZE], group[TRUST_NAME_SIZE];
    struct obstacle obstacle;

    if (!find_obstacle(path, &obstacle)) {
        strcpy(ret, "permission denied");
        return;
    }
    gid_t gid = obstacle.status.st_gid;
    if (gid != 0 && obstacle.status.st_mode & obstacle.right && find_group_name(gid, group)) {
        explain_group(gid, group, ret);
        return;
    }
    /* Nobody should join root's group. */
    name_user(obstacle.status.st_uid, owner);
    snprintf(ret, PERMISSION_TEXT_SIZE, "permission denied: only %s may read it; run as %s%s",
             owner, owner,
             trust_group() == TRUST_NO_GROUP ? "" : ", or give it to the group " TRUST_USER);
}

void permission_join(void)
{
    gid_t groups[GROUPS_MAX + 1];
    int count = getgroups(GROUPS_MAX, groups);

    if (geteuid() != 0 || trust_group() == TRUST_NO_GROUP || count < 0)
        return;
    groups[count++] = trust_group();
    setgroups((size_t)count, groups); /* where it can't, permission_explain will say what helps */
}

void permission_prepare(const char *path)
{
    struct obstacle obstacle;
    const struct passwd *user = getpwuid(geteuid());
    const struct group *group;

    if (user)
        snprintf(own_name, sizeof(own_name), "%s", user->pw_name);
    trust_group();
    bool is_found = find_obstacle(path, &obstacle);
    is_confined = true;
    if (!is_found || !(group = getgrgid(obstacle.status.st_gid)))
        return;
    known_group.gid = group->gr_gid;
    snprintf(known_group.name, sizeof(known_group.name), "%s", group->gr_name);
}
