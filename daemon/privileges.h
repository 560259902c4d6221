/* privileges.h - give up what a collector that is set up no longer needs. */
#ifndef PRESENCED_PRIVILEGES_H
#define PRESENCED_PRIVILEGES_H

/* Drop all capabilities of the calling thread, for good, and with it of all threads that it starts
 * later; no program that is executed from now on gains any (no_new_privs). Files can be opened
 * as their owner only. Errors: -EPERM, those of prctl(2). */
int privileges_drop(void);

/* From now on, let all threads of the process make only the system calls that a running collector
 * makes: receive, wait, read the clock, write to what is open, open files for reading. Any other
 * kills the process: its segment stays, and a restart goes on counting. Nothing with sanitizers,
 * which make other calls. Errors: -ENOMEM; -EINVAL the kernel has no seccomp(2); others of it. */
int privileges_confine(void);

#endif
