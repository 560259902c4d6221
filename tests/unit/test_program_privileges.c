/* test_program_privileges.c - what is left to a program that has given its privileges up. */
#include "../support/confined.h"
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/privileges.h"

/* Run it in a process of its own, which privileges do not come back to. */
static int in_child(int (*run)(const char *path), const char *path)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(run(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static char directory[] = "/dev/shm/presence-privileges-XXXXXX";

static int use_what_is_left(const char *path)
{
    char other[256];

    snprintf(other, sizeof(other), "%s/other", path);
    MUST(privileges_drop((const char *const[]){other, NULL}, NULL) == 0);
    MUST(error_of(open(path, O_RDONLY | O_DIRECTORY)) == 0);
    MUST(error_of(open(other, O_RDONLY)) == ENOENT); /* looked for, not forbidden */
    MUST(error_of(open("/proc/sys/kernel/random/boot_id", O_RDONLY)) == 0);
    if (!has_landlock())
        return 0;
    MUST(error_of(open(other, O_RDWR | O_CREAT, 0600)) == EACCES);
    MUST(mkdir(other, 0700) < 0 && errno == EACCES);
    MUST(error_of(open("/etc/passwd", O_RDONLY)) == EACCES);
    return 0;
}

#ifndef PRIVILEGES_UNCONFINED

static void *succeed(void *argument)
{
    return argument;
}

/* What the programs do while they run. */
static int calls_that_are_left(const char *path)
{
    pthread_t thread;
    void *result = NULL;
    char *text = NULL;

    MUST(privileges_drop((const char *const[]){path, NULL}, NULL) == 0);
    MUST(pthread_create(&thread, NULL, succeed, &text) == 0);
    MUST(pthread_join(thread, &result) == 0 && result == &text);
    MUST(error_of(socket(AF_INET, SOCK_DGRAM, 0)) == 0);
    MUST(raise(SIGURG) == 0); /* ignored */
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED);
    MUST(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
             MAP_FAILED &&
         errno == EPERM);
    MUST(mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0 && errno == EPERM);
    return 0;
}

/* What the recorder does. */
static int writing_is_left(const char *path)
{
    char written[256], other[300], elsewhere[300];
    int pair[2];

    snprintf(written, sizeof(written), "%s/state/file", path);
    snprintf(elsewhere, sizeof(elsewhere), "%s.elsewhere", path);
    MUST(error_of(open(elsewhere, O_RDWR | O_CREAT, 0600)) == 0);
    snprintf(other, sizeof(other), "%s/state", path);
    MUST(mkdir(other, 0700) == 0);
    MUST(privileges_drop((const char *const[]){"/dev/shm/none", NULL}, written) == 0);
    MUST(error_of(open(written, O_RDWR | O_CREAT, 0600)) == 0);
    MUST(unlink(written) == 0 && rmdir(other) == 0 && mkdir(other, 0700) == 0); /* made again */
    MUST(error_of(open(written, O_RDWR | O_CREAT, 0600)) == 0);
    MUST(unlink(written) == 0 && rmdir(other) == 0);
    MUST(error_of(socket(AF_INET, SOCK_DGRAM, 0)) == EPERM);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0 && errno == EPERM);
    if (!has_landlock())
        return 0;
    MUST(error_of(open("/tmp/presence-privileges", O_RDWR | O_CREAT, 0600)) == EACCES);
    MUST(error_of(open("/etc/passwd", O_RDONLY)) == EACCES);
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3)
        MUST(truncate(elsewhere, 0) < 0 && errno == EACCES);
    return 0;
}

static void a_writer_writes(void **state)
{
    char elsewhere[300];

    (void)state;
    assert_int_equal(in_child(writing_is_left, directory), 0);
    snprintf(elsewhere, sizeof(elsewhere), "%s.elsewhere", directory);
    assert_int_equal(unlink(elsewhere), 0);
}

/* What a program does that connects to an engine again and again, and writes a database, too. */
static int names_and_sockets_are_left(const char *path)
{
    char written[256];
    struct addrinfo *found;

    snprintf(written, sizeof(written), "%s/file", path);
    MUST(privileges_drop_for_engine((const char *const[]){"/dev/shm/none", NULL}, written) == 0);
    MUST(error_of(socket(AF_INET, SOCK_STREAM, 0)) == 0);
    MUST(error_of(socket(AF_UNIX, SOCK_STREAM, 0)) == 0);
    MUST(error_of(open("/etc/hosts", O_RDONLY)) == 0);
    MUST(getaddrinfo("localhost", "6379", NULL, &found) == 0);
    freeaddrinfo(found);
    MUST(error_of(open(written, O_RDWR | O_CREAT, 0600)) == 0 && unlink(written) == 0);
    if (!has_landlock())
        return 0;
    MUST(error_of(open("/etc/presence-privileges", O_RDWR | O_CREAT, 0600)) == EACCES);
    MUST(error_of(open("/usr", O_RDONLY)) == EACCES);
    return 0;
}

static void names_can_be_looked_up(void **state)
{
    (void)state;
    assert_int_equal(in_child(names_and_sockets_are_left, directory), 0);
}

/* As when root names a file in somebody's home: the file is open, the way to it is closed. */
static int drop_where_only_the_owner_enters(const char *path)
{
    char written[256], home[200];

    snprintf(home, sizeof(home), "%s/home", path);
    snprintf(written, sizeof(written), "%s/file", home);
    MUST(mkdir(home, 0700) == 0);
    int file = open(written, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0 && chown(home, 65534, 65534) == 0);
    MUST(privileges_drop((const char *const[]){written, NULL}, written) == 0);
    MUST(error_of(open(written, O_RDONLY)) == EACCES);
    MUST(write(file, "x", 1) == 1);
    return 0;
}

static void a_closed_directory_is_no_obstacle(void **state)
{
    char path[256];

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(in_child(drop_where_only_the_owner_enters, directory), 0);
    snprintf(path, sizeof(path), "%s/home/file", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/home", directory);
    rmdir(path);
}

/* As SQLite does with the -wal file, which is beside the file and not beside the link. */
static int write_through_link(const char *path)
{
    char link[256], real[256], beside[256];

    snprintf(link, sizeof(link), "%s/linked/here/file", path);
    snprintf(real, sizeof(real), "%s/real/kept/file", path);
    snprintf(beside, sizeof(beside), "%s/real/kept/file-wal", path);
    MUST(error_of(open(real, O_RDWR | O_CREAT, 0600)) == 0 && symlink(real, link) == 0);
    MUST(privileges_drop((const char *const[]){"/dev/shm/none", NULL}, link) == 0);
    MUST(error_of(open(beside, O_RDWR | O_CREAT, 0600)) == 0 && unlink(beside) == 0);
    MUST(unlink(real) == 0 && error_of(open(link, O_RDWR | O_CREAT, 0600)) == 0);
    MUST(unlink(real) == 0 && unlink(link) == 0);
    if (has_landlock())
        MUST(error_of(open("/tmp/presence-privileges", O_RDWR | O_CREAT, 0600)) == EACCES);
    return 0;
}

static void a_writer_writes_where_a_link_leads(void **state)
{
    static const char *const names[] = {"linked", "linked/here", "real", "real/kept"};
    char path[256];

    (void)state;
    for (unsigned i = 0; i < LENGTH(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(in_child(write_through_link, directory), 0);
    for (unsigned i = LENGTH(names); i-- > 0;) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        assert_int_equal(rmdir(path), 0);
    }
}

static int call_execve(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int call_execveat(void)
{
    return (int)syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
}

static int call_memfd_create(void)
{
    return memfd_create("code", MFD_CLOEXEC);
}

static int call_fork(void)
{
    return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static int call_chroot(void)
{
    return chroot("/");
}

static int call_kill(void)
{
    return kill(getppid(), 0);
}

static int call_ptrace(void)
{
    return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void calls_of_attackers_kill(void **state)
{
    static int (*const calls[])(void) = {call_execve, call_execveat, call_memfd_create, call_fork,
                                         call_chroot, call_kill,     call_ptrace};
    int status;

    (void)state;
    assert_int_equal(in_child(calls_that_are_left, "/dev/shm/none"), 0);
    for (unsigned i = 0; i < LENGTH(calls); i++) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_DUMPABLE, 0);
            privileges_drop((const char *const[]){"/dev/shm/none", NULL}, NULL);
            calls[i]();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("call %u: status %x", i, (unsigned)status);
    }
}

#endif

/* As a service's directory in /run does when the service is restarted. */
static int find_what_came_back(const char *path)
{
    char inner[256], segment[300], byte = 0;
    int dropped[2], status;

    snprintf(inner, sizeof(inner), "%s/inner", path);
    snprintf(segment, sizeof(segment), "%s/segment", inner);
    MUST(mkdir(inner, 0700) == 0 && pipe(dropped) == 0);
    pid_t maker = fork(); /* keeps its privileges */
    if (maker == 0) {
        MUST(read(dropped[0], &byte, 1) == 1);
        rmdir(inner);
        MUST(mkdir(inner, 0700) == 0);
        _exit(error_of(open(segment, O_RDWR | O_CREAT, 0600)));
    }
    MUST(privileges_drop((const char *const[]){segment, NULL}, NULL) == 0);
    MUST(write(dropped[1], &byte, 1) == 1);
    MUST(waitpid(maker, &status, 0) == maker && status == 0);
    MUST(error_of(open(segment, O_RDONLY)) == 0);
    return 0;
}

static void reading_the_segment_is_left(void **state)
{
    (void)state;
    assert_int_equal(in_child(use_what_is_left, directory), 0);
}

static void a_directory_may_come_back(void **state)
{
    char path[256];

    (void)state;
    assert_int_equal(in_child(find_what_came_back, directory), 0);
    snprintf(path, sizeof(path), "%s/inner/segment", directory);
    unlink(path);
    snprintf(path, sizeof(path), "%s/inner", directory);
    rmdir(path);
}

static int make_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_the_segment_is_left),
        cmocka_unit_test(a_directory_may_come_back),
#ifndef PRIVILEGES_UNCONFINED
        cmocka_unit_test(a_writer_writes),
        cmocka_unit_test(names_can_be_looked_up),
        cmocka_unit_test(a_closed_directory_is_no_obstacle),
        cmocka_unit_test(a_writer_writes_where_a_link_leads),
        cmocka_unit_test(calls_of_attackers_kill),
#endif
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
