/* landlock.h - confine changes of the file system. */
#ifndef PRESENCED_LANDLOCK_H
#define PRESENCED_LANDLOCK_H

/* Let this thread, and those it starts, create, write, rename and delete files only below the
 * directory above the segment's, where both names can be restored. Reading is not restricted. Needs
 * PR_SET_NO_NEW_PRIVS. Without Landlock (Linux 5.13) nothing changes. Errors: those of open(2) and
 * landlock_restrict_self(2). */
int landlock_confine(const char *segment);

#endif
