#include "privileges.h"

#include <fcntl.h>

#include "common/confine_listed.h"

/* Restore a lost segment's name (segment_name.h). An attacker could use them to create and rename
 * files where the daemon's user may; Landlock (landlock.h) leaves them only what is below the
 * directory above the segment's. */
static const int allowed_calls[] = {
    SCMP_SYS(mkdirat),    SCMP_SYS(linkat),    SCMP_SYS(renameat2),
    SCMP_SYS(readlinkat), SCMP_SYS(fallocate), SCMP_SYS(fchmod),
};

/* A running collector neither sends nor opens sockets. */
static const int deadly_calls[] = {
    SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(accept4),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
};

/* Allow what the copy of a lost segment takes: opening a file without a name to write, our own
 * limits, and file locks. */
static int add_copy_rules(scmp_filter_ctx filter)
{
    static const int commands[] = {F_OFD_SETLK, F_OFD_GETLK};
    int r = seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
        SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC | O_TMPFILE, O_RDWR | O_TMPFILE));

    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
                             SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
    for (unsigned i = 0; r == 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                             SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
    return r;
}

int privileges_confine(void)
{
    static const struct confine_list list = {
        .allowed = allowed_calls,
        .allowed_count = sizeof(allowed_calls) / sizeof(allowed_calls[0]),
        .deadly = deadly_calls,
        .deadly_count = sizeof(deadly_calls) / sizeof(deadly_calls[0]),
        .add_rules = add_copy_rules,
    };

    return confine_listed(&list);
}
