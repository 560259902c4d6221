/* privileges.h - give up what a running relay does not need. The main thread only. */
#ifndef PRESENCE_RELAY_PRIVILEGES_H
#define PRESENCE_RELAY_PRIVILEGES_H

#include <stddef.h>

#define PRIVILEGES_FILES_MAX 2

/* Drop all capabilities for good, and where the kernel has Landlock, all access to the file system
 * but reading below the directories of `count` files (at most PRIVILEGES_FILES_MAX), and where a
 * link of such a name leads: a file may be replaced, and is read again on SIGHUP. As root, join the
 * group `presence` first. Before other threads are started. Errors, with a line in the log: -EPERM,
 * those of prctl(2) and confine_files. */
int privileges_give_up(const char *const *files, size_t count);

/* Confine all threads to the system calls of a running relay (confine_listed): receive, answer
 * requests at open sockets, open UDP sockets and send, open files to read. Opening other sockets
 * and listening kill the process. After the worker has opened its receiver. Errors, with a line in
 * the log: those of confine_listed. */
int privileges_confine(void);

#endif
