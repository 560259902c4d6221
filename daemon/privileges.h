/* privileges.h - confine a collector that is set up. */
#ifndef PRESENCED_PRIVILEGES_H
#define PRESENCED_PRIVILEGES_H

/* Confine all threads of the process to the system calls of a running collector (confine_listed):
 * those of every program, and those that restore a lost segment. Sending, and opening a socket,
 * kills the process, too; the segment stays for a restart. Errors: those of confine_listed. */
int privileges_confine(void);

#endif
