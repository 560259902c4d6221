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
#include "common/trust.h"

/* ---- files --------------------------------------------------------------------------------- */

#define DIRECTORIES_MAX (2 + CONFINE_BESIDE_MAX + CONFINE_NAMES_MAX)

static unsigned open_directories(const char *segment, const char *password_file, int *ret)
{
    unsigned opened = 0;

    ret[opened++] = confine_open_mount("/proc/self"); /* boot id */
    ret[opened++] = confine_open_mount(segment);
    if (password_file)
        opened += confine_open_beside(password_file, ret + opened);
    return opened + confine_open_names(ret + opened);
}

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

int privileges_give_up(const char *segment, const char *password_file)
{
    int directories[DIRECTORIES_MAX];

    permission_join();
    /* Root without its capabilities may not enter them. */
    unsigned opened = open_directories(segment, password_file, directories);
    int r = capabilities_drop();
    if (r < 0) {
        log_line("cannot drop privileges: %s", strerror(-r));
        return r;
    }
    trust_prepare();
    permission_prepare(segment);
    r = confine_reading(directories, opened);
    if (r < 0)
        log_line("cannot confine file access: %s", strerror(-r));
    return r;
}

/* ---- system calls -------------------------------------------------------------------------- */

static const int allowed_calls[] = {
    /* connect to engines and name servers */
    SCMP_SYS(connect),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), /* also to the service manager */
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(ioctl), /* the size of a name server's answer */
    SCMP_SYS(uname), /* the machine's name */
    /* read libc's files, and the segment */
    SCMP_SYS(lseek),
    SCMP_SYS(pread64),
    SCMP_SYS(readlink), /* of namespaces */
    SCMP_SYS(readlinkat),
    SCMP_SYS(fcntl),
    SCMP_SYS(time), /* where the vDSO can't read it */
    SCMP_SYS(gettimeofday),
    SCMP_SYS(sysinfo), /* qsort, of more than 1 KB: how much memory the machine has */
};

static int add_rule(scmp_filter_ctx filter, uint32_t action, int family, int type)
{
    const scmp_datum_t type_mask = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);

    return seccomp_rule_add(filter, action, SCMP_SYS(socket), 2,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family),
                            SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, (scmp_datum_t)type));
}

/* Allow sockets to engines, name servers and the service manager; raw ones kill the process. libc
 * asks the kernel for our own addresses and does without: that isn't worth a line in the log. */
static int add_rules(scmp_filter_ctx filter)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
    int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));

    for (unsigned i = 0; r == 0 && i < sizeof(families) / sizeof(families[0]); i++) {
        r = add_rule(filter, SCMP_ACT_ALLOW, families[i], SOCK_STREAM);
        if (r == 0)
            r = add_rule(filter, SCMP_ACT_ALLOW, families[i], SOCK_DGRAM);
        if (r == 0)
            r = add_rule(filter, SCMP_ACT_KILL_PROCESS, families[i], SOCK_RAW);
    }
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, AF_PACKET));
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
