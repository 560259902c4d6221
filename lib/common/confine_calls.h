/* confine_calls.h - give up system calls by seccomp. Links with libseccomp. */
#ifndef PRESENCE_CONFINE_CALLS_H
#define PRESENCE_CONFINE_CALLS_H

#include <seccomp.h>
#include <stdbool.h>

/* Let the filter kill the process for calls that none of our programs makes once it runs, and that
 * an attacker who runs code in it would need next: for programs, processes, code, other processes'
 * memory, the kernel's interfaces. Errors: -ENOMEM. */
int confine_deadly_calls(scmp_filter_ctx filter);

/* Confine this thread, and those it starts, for good. It may start threads and open files; such
 * calls kill the process, memory can't be made executable, and without `sockets` no new one can be
 * opened. Needs PR_SET_NO_NEW_PRIVS. Errors: -ENOMEM; -EINVAL the kernel has no seccomp(2). */
int confine_calls(bool sockets);

#endif
