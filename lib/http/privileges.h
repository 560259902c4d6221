/* privileges.h - give up what a program that only reads the segment does not need. */
#ifndef PRESENCE_PRIVILEGES_H
#define PRESENCE_PRIVILEGES_H

/* Drop all capabilities of the calling thread, for good, and with them those of all threads that it
 * starts later: even root opens files as their owner only. No program that is executed from now on
 * gains any (no_new_privs). Where the kernel has Landlock, nothing can be written, made or executed
 * any more, and only files in /proc and on the file systems of `paths` (ended by NULL) can be
 * opened; a path need not exist yet. Sockets, and what is open, stay as they are. To be called
 * before other threads are started.
 * Errors: -EPERM, and those of prctl(2) and landlock_restrict_self(2). */
int privileges_drop(const char *const *paths);

#endif
