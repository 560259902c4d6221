/* privileges.h - give up what a running publisher does not need. The main thread only. */
#ifndef PRESENCE_PUBLISHER_PRIVILEGES_H
#define PRESENCE_PUBLISHER_PRIVILEGES_H

/* Drop all capabilities for good, and where the kernel has Landlock, all access to the file system
 * but reading: where the segment is or will be, beside the password file (NULL: none), which may be
 * replaced and is read again on SIGHUP, and what looking up names takes. As root, join the group
 * `presence` first. Before other threads are started. Errors, with a line in the log: -EPERM, those
 * of prctl(2) and confine_files. */
int privileges_give_up(const char *segment, const char *password_file);

/* Confine all threads to the system calls of a running publisher (confine_listed): open sockets to
 * engines and name servers, open files to read. Starting threads and listening kill the process.
 * Errors, with a line in the log: those of confine_listed. */
int privileges_confine(void);

#endif
