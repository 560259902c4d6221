/* privileges.h - drop privileges that a program that only reads the segment does not need. Links
 * with libpresence, libcap-ng and libseccomp. */
#ifndef PRESENCE_PRIVILEGES_H
#define PRESENCE_PRIVILEGES_H

/* Drop all capabilities of the calling thread, and of threads that it starts later, for good: even
 * root opens files as their owner and a member of the group `presence` only, and no program that is
 * executed gains any (no_new_privs). Where the kernel has Landlock, only files in /proc and below
 * the mount points of up to 7 `paths` (ended by NULL) can be opened, which is every file if one of
 * these is /; nothing can be written, created or executed. A path need not exist yet. A program
 * that writes one file, and others beside it, names it as `written`: it can read and write below
 * the directory above that of the file, also where a link of that name leads, and open no more
 * sockets. For others it is NULL. Open files and sockets stay open. System calls are
 * confined as by confine_calls. Call it before other threads are started. Errors: -EPERM, and those
 * of prctl(2), confine_files and confine_calls. */
int privileges_drop(const char *const *paths, const char *written);

/* Drop the same for a program that connects to an engine (engine_link.h) again and again: also with
 * `written` it can open sockets, and it can read in /etc and /run what looking up names takes. */
int privileges_drop_for_engine(const char *const *paths, const char *written);

#endif
