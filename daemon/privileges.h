/* privileges.h - confine a collector that is set up. */
#ifndef PRESENCED_PRIVILEGES_H
#define PRESENCED_PRIVILEGES_H

/* Confine all threads of the process to the system calls of a running collector (seccomp): receive,
 * wait, read the clock, write to open files, open files for reading. Calls that only an attacker
 * would make (new programs, processes, threads, code, sockets, files to write) kill the process;
 * the segment stays for a restart. Any other call fails with ENOSYS and is logged once, on stderr,
 * so that a libc that makes one ends nothing. Builds with sanitizers allow the calls of their
 * runtime. Installs a handler for SIGSYS. Errors: -ENOMEM; -EINVAL the kernel has no seccomp(2);
 * others of seccomp(2). */
int privileges_confine(void);

#endif
