/* confine_listed.h - leave a program's threads only the system calls that it lists (seccomp). Links
 * with libseccomp. */
#ifndef PRESENCE_CONFINE_LISTED_H
#define PRESENCE_CONFINE_LISTED_H

#include <seccomp.h>
#include <stddef.h>

/* The calls that a program allows and forbids beyond those that are common to all. */
struct confine_list {
    const int *allowed; /* calls, with any arguments */
    size_t allowed_count;
    const int *deadly; /* calls that it never makes: an attempt is an attack */
    size_t deadly_count;
    int (*add_rules)(scmp_filter_ctx filter); /* for calls with certain arguments. Errors: -errno */
};

/* Confine all threads of the process to the calls of a running program: wait, receive, read the
 * clock, write to open files, take memory, and those of the list. Calls that only an attacker would
 * make (confine_deadly_calls, new threads, code, files to write, those of the list) kill the
 * process. Any other call fails with ENOSYS and is logged once, on stderr, so that a libc that
 * makes one ends nothing. Builds with sanitizers allow the calls of their runtime.
 *
 * Files can be opened to read. Files without a name (O_TMPFILE) are left to the list's rules, such
 * as confine_nameless_files.
 *
 * Installs a handler for SIGSYS. Needs PR_SET_NO_NEW_PRIVS. Errors: -ENOMEM; -EINVAL the kernel has
 * no seccomp(2); others of seccomp(2). */
int confine_listed(const struct confine_list *list);

/* Let opening files without a name to write kill the process, too. To be called by add_rules.
 * Errors: those of seccomp_rule_add(3). */
int confine_nameless_files(scmp_filter_ctx filter);

#endif
