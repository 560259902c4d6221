/* privileges.h - drop privileges that a program that only reads the segment does not need. */
#ifndef PRESENCE_PRIVILEGES_H
#define PRESENCE_PRIVILEGES_H

/* Drop all capabilities of the calling thread, and of threads that it starts later, for good: even
 * root opens files as their owner only, and no program that is executed gains any (no_new_privs).
 * Where the kernel has Landlock, nothing can be written, created or executed any more, and only
 * files in /proc and on the file systems of up to 7 `paths` (ended by NULL) can be opened; a path
 * need not exist yet. Open files and sockets stay open. Call it before other threads are started.
 * Errors: -EPERM, and those of prctl(2) and confine_files. */
int privileges_drop(const char *const *paths);

#endif
