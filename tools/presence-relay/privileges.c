#include "privileges.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/capabilities.h"
#include "common/confine.h"
#include "common/confine_listed.h"
#include "common/log.h"
#include "common/permission.h"

/* ---- files --------------------------------------------------------------------------------- */

static int confine_reading(const int *directories, unsigned count)
{
#ifdef PRIVILEGES_UNCONFINED /* sanitizers open files of their own */
    for (unsigned i = 0; i < count; i++) {
        if (directories[i] >= 0)
            close(directories[i]);
    }
    return 0;
#else
    return confine_files(CONFINE_READ | CONFINE_WRITE | CONFINE_EXECUTE, CONFINE_READ, directories,
                         count);
#endif
}

int privileges_give_up(const char *const *files, size_t count)
{
    int directories[CONFINE_BESIDE_MAX * PRIVILEGES_FILES_MAX];
    unsigned opened = 0;

    permission_join();
    /* Root without its capabilities may not enter them. */
    for (size_t i = 0; i < count; i++)
        opened += confine_open_beside(files[i], directories + opened);
    int r = capabilities_drop();
    if (r < 0) {
        log_line("cannot drop privileges: %s", strerror(-r));
        return r;
    }
    permission_prepare(count > 0 ? files[count - 1] : "/");
    r = confine_reading(directories, opened);
    if (r < 0)
        log_line("cannot confine file access: %s", strerror(-r));
    return r;
}

/* ---- system calls -------------------------------------------------------------------------- */

static const int allowed_calls[] = {
    /* send */
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmsg), /* reports of what came back */
    SCMP_SYS(setsockopt),
    /* answer requests */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(time), /* where the vDSO can't read it */
    SCMP_SYS(gettimeofday),
    /* read files again */
    SCMP_SYS(lseek),
};

/* Allow sockets of UDP; all others kill the process. */
static int add_socket_rules(scmp_filter_ctx filter)
{
    static const int families[] = {AF_INET, AF_INET6};
    static const int other_types[] = {SOCK_STREAM,    SOCK_RAW,  SOCK_RDM,
                                      SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET};
    const scmp_datum_t type_mask = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);
    int r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_GT, AF_INET6));

    for (int family = 0; r == 0 && family < AF_INET6; family++) {
        if (family != AF_INET)
            r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
    }
    for (unsigned i = 0; r == 0 && i < sizeof(other_types) / sizeof(other_types[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, (scmp_datum_t)other_types[i]));
    for (unsigned i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                             SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
                             SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, SOCK_DGRAM));
    return r;
}

static int add_rules(scmp_filter_ctx filter)
{
    int r = add_socket_rules(filter);

    return r < 0 ? r : confine_nameless_files(filter);
}

int privileges_confine(void)
{
    static const struct confine_list list = {
        .allowed = allowed_calls,
        .allowed_count = sizeof(allowed_calls) / sizeof(allowed_calls[0]),
        .add_rules = add_rules,
    };
    int r = confine_listed(&list);

    if (r < 0)
        log_line("cannot confine system calls: %s; that needs a kernel with seccomp", strerror(-r));
    return r;
}
