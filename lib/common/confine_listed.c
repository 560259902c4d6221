#include "confine_listed.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "confine_calls.h"
#include "core/atomics.h"

/* Calls of every running program. */
static const int allowed_calls[] = {
    /* receive */
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(getsockopt),
    /* threads, signals and time */
    SCMP_SYS(futex),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime), /* where the vDSO can't read it */
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(sched_yield),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* abort(), by tgkill to itself */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    /* log, and read files again */
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(geteuid),
    SCMP_SYS(close),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(madvise),
    SCMP_SYS(sched_getaffinity), /* malloc counts processors before it makes another arena */
    SCMP_SYS(getrandom),
#ifdef PRIVILEGES_SANITIZED
    /* The thread sanitizer's own thread, which may still be starting. It blocks SIGSYS, so a
     * refusal would end the process. */
    SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(gettimeofday),
    /* The address sanitizer's search for leaks, from a process that shares memory, stops the
     * threads and reads their registers. */
    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),
    SCMP_SYS(prctl),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(open),
    SCMP_SYS(getdents),
    SCMP_SYS(getdents64),
    SCMP_SYS(lseek),
    SCMP_SYS(readlink),
    SCMP_SYS(getppid),
#endif
};

/* Other programs of ours make these, too; one that lists its calls never does. */
static const int deadly_calls[] = {
    SCMP_SYS(clone3), SCMP_SYS(socketpair), SCMP_SYS(bind),    SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(creat),      SCMP_SYS(openat2),
#ifndef PRIVILEGES_SANITIZED
    SCMP_SYS(ptrace),
#endif
};

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int r = seccomp_rule_add(filter, action, calls[i], 0);
        if (r < 0 && r != -EDOM) /* a call that this architecture doesn't have */
            return r;
    }
    return 0;
}

/* Allow opening files to read; opening them to write, or creating them, kills the process. */
static int add_open_rules(scmp_filter_ctx filter)
{
    static const int refused[] = {O_CREAT, O_TRUNC};
    static const int modes[] = {O_WRONLY, O_RDWR, O_ACCMODE};
    const int nameless = O_TMPFILE & ~O_DIRECTORY;
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));

    for (unsigned i = 0; r == 0 && i < sizeof(refused) / sizeof(refused[0]); i++)
        r = seccomp_rule_add(
            filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)refused[i], (scmp_datum_t)refused[i]));
    for (unsigned i = 0; r == 0 && i < sizeof(modes) / sizeof(modes[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)(O_ACCMODE | nameless),
                                     (scmp_datum_t)modes[i]));
    return r;
}

int confine_nameless_files(scmp_filter_ctx filter)
{
    static const int modes[] = {O_WRONLY, O_RDWR};
    const int nameless = O_TMPFILE & ~O_DIRECTORY;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < sizeof(modes) / sizeof(modes[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, (scmp_datum_t)(O_ACCMODE | nameless),
                                     (scmp_datum_t)(modes[i] | nameless)));
    return r;
}

/* Allow mapping memory, but not executable. */
static int add_memory_rules(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    int r = 0;

    for (unsigned i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r == 0)
            r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, calls[i], 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    }
    return r;
}

/* Forbid new threads and processes, but the address sanitizer's, which shares memory. */
static int add_clone_rules(scmp_filter_ctx filter)
{
#ifdef PRIVILEGES_SANITIZED
    const scmp_datum_t theirs = CLONE_VM | CLONE_UNTRACED;
    int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, theirs, theirs));

    return r < 0 ? r
                 : seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                                    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_UNTRACED, 0));
#else
    return seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 0);
#endif
}

/* Allow signals to the process itself, as abort() sends, and to no other. */
static int add_signal_rules(scmp_filter_ctx filter)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    int r =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self));

    return r < 0 ? r
                 : seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1,
                                    SCMP_A0(SCMP_CMP_NE, self));
}

/* ---- other calls -------------------------------------------------------------------------- */

#define CALLS_MAX   512
#define PROGRAM_MAX 64  /* bytes of its name */
#define LOGGED_MAX  256 /* bytes of the other words */

/* Names of system calls by number, filled before the filter is on, and how often each was refused.
 */
static char call_names[CALLS_MAX][32];
static uint32_t calls_refused[CALLS_MAX];

static void find_call_names(void)
{
    for (int number = 0; number < CALLS_MAX; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        snprintf(call_names[number], sizeof(call_names[number]), "%s", name ? name : "unknown");
        free(name);
    }
}

/* Log by write(2) only: the call may come from inside malloc or stdio. */
static void log_refusal(int number)
{
    const char *const parts[] = {
        program_invocation_short_name,
        ": the system call ",
        call_names[number],
        " is not one that this program needs once it runs: it was refused, and the program goes "
        "on; please report this\n",
    };
    char line[PROGRAM_MAX + sizeof(call_names[0]) + LOGGED_MAX];
    size_t length = 0;

    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t size = strlen(parts[i]);
        if (size > sizeof(line) - length)
            return;
        memcpy(line + length, parts[i], size);
        length += size;
    }
    ssize_t r = write(STDERR_FILENO, line, length);
    (void)r; /* there is no other log */
}

#if defined(__x86_64__)
#define OTHER_CALLS SCMP_ACT_TRAP

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.gregs[REG_RAX] = result;
}
#elif defined(__aarch64__)
#define OTHER_CALLS SCMP_ACT_TRAP

static void set_result(ucontext_t *context, long result)
{
    context->uc_mcontext.regs[0] = (unsigned long long)result;
}
#else /* the kernel makes the calls fail, and nothing is logged */
#define OTHER_CALLS SCMP_ACT_ERRNO(ENOSYS)

static void set_result(ucontext_t *context, long result)
{
    (void)context;
    (void)result;
}
#endif

/* Make the call fail as on a kernel without it: libc then tries another way or reports it. */
static void refuse_call(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    int number = info->si_syscall;

    (void)signal;
    if (number >= 0 && number < CALLS_MAX &&
        atomic_add_relaxed(&calls_refused[number], 1) == 0) /* pairs with itself, in any thread */
        log_refusal(number);
    errno = saved;
    set_result(context, -ENOSYS);
}

static int handle_refusals(void)
{
    struct sigaction action = {.sa_sigaction = refuse_call, .sa_flags = SA_SIGINFO | SA_NODEFER};

    find_call_names();
    return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/* Add what is common to all programs. */
static int add_common_rules(scmp_filter_ctx filter)
{
    int r = add_rules(filter, SCMP_ACT_ALLOW, allowed_calls,
                      sizeof(allowed_calls) / sizeof(allowed_calls[0]));

    if (r == 0)
        r = confine_deadly_calls(filter);
    if (r == 0)
        r = add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly_calls,
                      sizeof(deadly_calls) / sizeof(deadly_calls[0]));
    if (r == 0)
        r = add_open_rules(filter);
    if (r == 0)
        r = add_memory_rules(filter);
    if (r == 0)
        r = add_clone_rules(filter);
    return r == 0 ? add_signal_rules(filter) : r;
}

int confine_listed(const struct confine_list *list)
{
    scmp_filter_ctx filter = seccomp_init(OTHER_CALLS);

    if (!filter)
        return -ENOMEM;
    int r = handle_refusals();
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1); /* also for running threads */
    if (r == 0)                                                 /* calls of another architecture */
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = add_common_rules(filter);
    if (r == 0)
        r = add_rules(filter, SCMP_ACT_ALLOW, list->allowed, list->allowed_count);
    if (r == 0)
        r = add_rules(filter, SCMP_ACT_KILL_PROCESS, list->deadly, list->deadly_count);
    if (r == 0 && list->add_rules)
        r = list->add_rules(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
