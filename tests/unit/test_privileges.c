/* test_privileges.c - privileges.h: what a confined process and its threads can't do. */
#include "../support/confined.h"
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/capabilities.h"
#include "privileges.h"

/* Read a hexadecimal field of /proc/self/status; ~0 if there is none. */
static uint64_t status_field(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t value = UINT64_MAX;

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, 16);
    if (file)
        fclose(file);
    return value;
}

static int drop_and_check(void)
{
    if (capabilities_drop() != 0)
        return 1;
    if (status_field("CapEff:") || status_field("CapPrm:") || status_field("CapInh:") ||
        status_field("CapAmb:"))
        return 2;
    if (status_field("NoNewPrivs:") != 1)
        return 3;
    return capabilities_drop() == 0 ? 0 : 4; /* a second time does no harm */
}

static void capabilities_are_dropped(void **state)
{
    (void)state;
    assert_int_equal(run_child(drop_and_check), 0);
}

static int confined(void)
{
    return capabilities_drop() == 0 && privileges_confine() == 0 ? 0 : 1;
}

/* A thread that runs already when the process is confined. */
struct early {
    pthread_t thread;
    sem_t running;
    int pipes[2];
};

static void *wait_for_byte(void *context)
{
    struct early *early = context;
    char byte;

    sem_post(&early->running);
    return read(early->pipes[0], &byte, 1) == 1 ? context : NULL;
}

/* Returns false if any call fails. */
static bool start_early(struct early *early, void *(*function)(void *))
{
    if (pipe(early->pipes) < 0 || sem_init(&early->running, 0, 0) < 0 ||
        pthread_create(&early->thread, NULL, function, early) != 0)
        return false;
    return sem_wait(&early->running) == 0;
}

static bool end_early(struct early *early)
{
    void *result;

    return write(early->pipes[1], "x", 1) == 1 && pthread_join(early->thread, &result) == 0 &&
           result == early;
}

/* Make all calls of a running collector. */
static int go_on(void)
{
    struct early early;
    const struct timespec pause = {.tv_nsec = 1};

    if (!start_early(&early, wait_for_byte) || confined())
        return 1;
    if (!end_early(&early))
        return 2;
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (file < 0 || close(file) < 0 || nanosleep(&pause, NULL) < 0)
        return 3;
    void *volatile block = malloc(1 << 24);
    free(block);
    void *table = mmap(NULL, 1 << 21, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (madvise(table, 1 << 21, MADV_HUGEPAGE) < 0 && errno != EINVAL) /* a kernel without them */
        return 5;
    char target[64];
    struct rlimit limit;
    if (readlinkat(AT_FDCWD, "/proc/self/exe", target, sizeof(target)) < 0 ||
        getrlimit(RLIMIT_AS, &limit) < 0)
        return 6;
    fprintf(stderr, "confined and alive\n");
    return block ? 0 : 4;
}

static int make_socket(void)
{
    return confined() || socket(AF_INET, SOCK_DGRAM, 0);
}

static int send_something(void)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0 || confined())
        return 1;
    return send(ends[0], "x", 1, 0) == 1;
}

/* Sockets that a running collector has already. */
static int connect_socket(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    return confined() || connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static int accept_connection(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return confined() || accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0;
}

static int send_message(void)
{
    struct msghdr message = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    return confined() || sendmsg(fd, &message, 0) < 0;
}

static int send_messages(void)
{
    struct mmsghdr message = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    return confined() || sendmmsg(fd, &message, 1, 0) < 0;
}

static int write_file(void)
{
    return confined() || open("/dev/null", O_WRONLY | O_CLOEXEC) < 0;
}

static int write_and_read_file(void)
{
    return confined() || open("/dev/null", O_RDWR | O_CLOEXEC) < 0;
}

static int create_file(void)
{
    return confined() || open("/dev/shm", O_RDONLY | O_CREAT | O_CLOEXEC, 0600) < 0;
}

static int map_code(void)
{
    return confined() || mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                              0) == MAP_FAILED;
}

static int make_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return confined() || mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0;
}

static int execute(void)
{
    return confined() || execl("/bin/true", "true", (char *)NULL);
}

static int make_process(void)
{
    return confined() || fork() < 0;
}

static int signal_another(void)
{
    pid_t parent = getppid();

    return confined() || syscall(SYS_tgkill, parent, parent, 0) < 0;
}

static int crash(void)
{
    if (confined())
        return 1;
    abort();
}

static int start_thread(void)
{
    pthread_t thread;

    return confined() || pthread_create(&thread, NULL, wait_for_byte, NULL);
}

static int clone_raw(void)
{
    return confined() || syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L) < 0;
}

#ifndef PRIVILEGES_SANITIZED /* the sanitizer traces its own threads */
static int trace_parent(void)
{
    pid_t parent = getppid();

    return confined() || syscall(SYS_ptrace, PTRACE_ATTACH, parent, NULL, NULL) < 0;
}
#endif

static int read_memory(void)
{
    pid_t parent = getppid();

    return confined() || syscall(SYS_process_vm_readv, parent, NULL, 0L, NULL, 0L, 0L) < 0;
}

static int become_user(void)
{
    return confined() || syscall(SYS_setuid, 1) < 0;
}

static int make_ring(void)
{
    return confined() || syscall(SYS_io_uring_setup, 1, NULL) < 0;
}

#ifdef __x86_64__
/* Make a call as programs with addresses of 32 bits do (x32), if the kernel has them. */
static int call_as_x32(void)
{
    return confined() || syscall(__X32_SYSCALL_BIT | SYS_getpid) < 0;
}
#endif

static void *make_socket_late(void *context)
{
    wait_for_byte(context);
    socket(AF_INET, SOCK_DGRAM, 0);
    return context;
}

static int other_thread_makes_socket(void)
{
    struct early early;

    return !start_early(&early, make_socket_late) || confined() || !end_early(&early);
}

/* Any other call, from two threads, fails as unknown, and the process goes on. */
static void *ask_for_usage_late(void *context)
{
    struct rusage usage;

    wait_for_byte(context);
    return getrusage(RUSAGE_SELF, &usage) == -1 && errno == ENOSYS ? context : NULL;
}

static int make_other_calls(void)
{
    const struct rlimit none = {0};
    const pid_t parent = getppid();
    struct early early;
    struct rusage usage;
    struct utsname name;
    struct rlimit limit;

    if (!start_early(&early, ask_for_usage_late) || confined())
        return 1;
    for (int i = 0; i < 3; i++) {
        errno = 0;
        if (getrusage(RUSAGE_SELF, &usage) != -1 || errno != ENOSYS)
            return 2;
    }
    if (!end_early(&early))
        return 3;
    if (uname(&name) != -1 || errno != ENOSYS)
        return 4;
    /* Limits are read, and only our own. */
    if (prlimit(0, RLIMIT_CORE, &none, NULL) != -1 || errno != ENOSYS)
        return 5;
    return prlimit(parent, RLIMIT_CORE, NULL, &limit) == -1 && errno == ENOSYS ? 0 : 6;
}

static void collectors_calls_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(run_child(go_on), 0);
}

static void attackers_calls_kill(void **state)
{
    static const struct forbidden cases[] = {
        {"a socket", make_socket},
        {"sending", send_something},
        {"connecting a socket", connect_socket},
        {"accepting a connection", accept_connection},
        {"sending a message", send_message},
        {"sending messages", send_messages},
        {"opening a file to write", write_file},
        {"opening a file to write and to read", write_and_read_file},
        {"creating a file", create_file},
        {"mapping code", map_code},
        {"turning memory into code", make_code},
        {"executing a program", execute},
        {"another process", make_process},
        {"signalling another process", signal_another},
        {"another thread", start_thread},
        {"a raw clone", clone_raw},
#ifndef PRIVILEGES_SANITIZED
        {"tracing", trace_parent},
#endif
        {"reading another's memory", read_memory},
        {"another user", become_user},
        {"a ring", make_ring},
#ifdef __x86_64__
        {"a call of an x32 program", call_as_x32},
#endif
        {"a socket in another thread", other_thread_makes_socket},
    };

    (void)state;
    assert_forbidden(cases, LENGTH(cases));
}

#define REFUSAL(call)                                                                             \
    "test_privileges: the system call " call " is not one that this program needs once it runs: " \
    "it was refused, and the program goes on; please report this\n"

/* Each refused call is logged once, by its name. */
static void unknown_calls_fail(void **state)
{
    char text[1024] = "";
    int ends[2], saved = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    int r = run_child(make_other_calls);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    close(ends[1]);
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    close(ends[0]);
    assert_int_equal(r, 0);
    assert_string_equal(text, REFUSAL("getrusage") REFUSAL("uname") REFUSAL("prlimit64"));
}

/* A crash still ends by its own signal. */
static void crashes_end_by_their_own_signal(void **state)
{
    (void)state;
    assert_int_equal(run_child(crash), -SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_dropped),
        cmocka_unit_test(collectors_calls_are_allowed),
        cmocka_unit_test(attackers_calls_kill),
        cmocka_unit_test(unknown_calls_fail),
        cmocka_unit_test(crashes_end_by_their_own_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
