/* permission.h - tell a user who may not read a file what would let them. */
#ifndef PRESENCE_PERMISSION_H
#define PRESENCE_PERMISSION_H

#include <stddef.h>

#define PERMISSION_TEXT_SIZE 384

/* Describe in `ret` why open(2) has failed with EACCES on `path` and what to do: which group to
 * join, if a group may read it, or as whom to run. One thread at a time. */
void permission_explain(const char *path, char ret[PERMISSION_TEXT_SIZE]);

/* As root, join the group `presence` if there is one. Without its capabilities even root may read
 * only what its user and groups may. Before capabilities_drop; one thread. */
void permission_join(void);

/* Look up the names that permission_explain will need for `path`; it looks up no others from then
 * on. A program that confines itself calls this before, since it can't read the lists of users and
 * groups afterwards. */
void permission_prepare(const char *path);

#endif
