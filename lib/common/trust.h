/* trust.h - decide who may own a segment and which modes are safe, for collector and readers.
 *
 * Anybody may create files in /dev/shm, so a name there proves nothing. A segment is trusted if it
 * and its directory belong to root, to the process's own user, to the user `presence` or to the
 * user that PRESENCE_SEGMENT_OWNER names, and if nobody else may write them.
 */
#ifndef PRESENCE_TRUST_H
#define PRESENCE_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#define TRUST_USER      "presence" /* also the name of the group */
#define TRUST_NO_GROUP  ((gid_t)-1)
#define TRUST_NAME_SIZE 64 /* bytes of a user's name with its zero; a longer name is no user's */
#define TRUST_OTHERS    (S_IWGRP | S_IWOTH)

/* Find a user by name, or by number when it is all digits. This may load NSS modules and read files
 * that a confined process can't. Errors: -ENOENT there is no such user. Any thread. */
int trust_find_user(const char *name, uid_t *ret);

/* Write a user's name, or the number where it has none, for a message. Any thread. */
void trust_name_user(uid_t uid, char ret[TRUST_NAME_SIZE]);

/* Return the group `presence`, whose members may read segments and keys, or TRUST_NO_GROUP. It is
 * looked up by the first call: a confined process can't do that later. One thread at a time. */
gid_t trust_group(void);

/* True if it is the user `presence`, or the one that PRESENCE_SEGMENT_OWNER names. Any thread. */
bool trust_is_named_user(uid_t uid);

/* Look these users up, since a confined process can't read the list of users. Any thread. */
void trust_prepare(void);

/* True if only the owner may write the file. */
static inline bool trust_file_mode(const struct stat *file)
{
    return !(file->st_mode & TRUST_OTHERS);
}

/* True if only the owner may write the directory, or if it is one such as /dev/shm: root's and
 * sticky, so that nobody can move or delete what another user has made in it. */
static inline bool trust_directory_mode(const struct stat *directory)
{
    return !(directory->st_mode & TRUST_OTHERS) ||
           (directory->st_uid == 0 && directory->st_mode & S_ISVTX);
}

#endif
