/* landlock.h - confine changes of the file system. */
#ifndef PRESENCED_LANDLOCK_H
#define PRESENCED_LANDLOCK_H

/* Open the directory above the segment's, where both names can be restored. Returns a descriptor or
 * a negative errno. Before capabilities_drop: root may need one to enter it. */
int landlock_open(const char *segment);

/* Let this thread, and those it starts, create, write, rename and delete files only below `place`,
 * which is what landlock_open returned, and is closed. Reading is not restricted. Needs
 * PR_SET_NO_NEW_PRIVS. Without Landlock (Linux 5.13) nothing changes. Errors: those of
 * landlock_open and landlock_restrict_self(2). */
int landlock_confine(int place);

#endif
