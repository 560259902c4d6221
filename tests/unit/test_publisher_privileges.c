/* test_publisher_privileges.c - privileges.h of the publisher: what is left to it, and what is not.
 */
#include "../support/confined.h"
#include "engine_fixture.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privileges.h"

/* Elsewhere than the segment, beside which everything can be read. */
static char directory[] = "/tmp/presence-publisher-privileges-XXXXXX";
static char password_path[96], link_path[96], url[64];
static struct fake fake;

static void write_password(const char *text)
{
    int fd = open(password_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* The password file is a link to DIRECTORY/real/password. */
static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(link_path, sizeof(link_path), "%s/password", directory);
    snprintf(password_path, sizeof(password_path), "%s/real", directory);
    assert_int_equal(mkdir(password_path, 0700), 0);
    strcat(password_path, "/password");
    write_password("secret\n");
    return symlink(password_path, link_path);
}

static int remove_files(void **state)
{
    (void)state;
    unlink(link_path);
    unlink(password_path);
    *strrchr(password_path, '/') = '\0';
    rmdir(password_path);
    return rmdir(directory);
}

static int read_files(void)
{
    MUST(privileges_give_up("/dev/shm/presence/segment", link_path) == 0);
    MUST(error_of(open(link_path, O_RDONLY)) == 0);
    MUST(error_of(open("/etc/hosts", O_RDONLY)) == 0);
    MUST(error_of(open("/proc/sys/kernel/random/boot_id", O_RDONLY)) == 0);
    if (!has_landlock())
        return 0;
    MUST(error_of(open("/usr", O_RDONLY | O_DIRECTORY)) == EACCES);
    MUST(error_of(open(link_path, O_WRONLY)) == EACCES);
    MUST(unlink(link_path) < 0 && errno == EACCES);
    return 0;
}

static int confined(void)
{
    return privileges_give_up("/dev/shm/presence/segment", link_path) == 0 &&
                   privileges_confine() == 0
               ? 0
               : 1;
}

/* Look up a name, connect to an engine with the password, and read that again. */
static int go_on(void)
{
    const struct engine_options options = {.url = url, .password_file = link_path};
    char problem[ENGINE_PROBLEM_SIZE], text[64];
    struct engine_link *link;

    MUST(engine_link_open(&options, &link, problem) == 0);
    MUST(privileges_give_up("/dev/shm/presence/segment", link_path) == 0);
    MUST(engine_link_prepare(link) == 0);
    MUST(privileges_confine() == 0);
    for (unsigned i = 0; i < 2; i++) {
        MUST(ping(link, GENEROUS_NS, false, text) == 0);
        MUST(engine_link_reload(link, problem) == 0);
    }
    MUST(error_of(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == 0);
    MUST(error_of(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)) == EAFNOSUPPORT);
    engine_link_close(link);
    return 0;
}

static int make_raw_socket(void)
{
    return confined() || socket(AF_INET6, SOCK_RAW, IPPROTO_UDP);
}

static int make_packet_socket(void)
{
    return confined() || socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int listen_at_socket(void)
{
    return confined() || listen(socket(AF_INET, SOCK_STREAM, 0), 1);
}

static int open_to_write(void)
{
    return confined() || open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static int create_nameless_file(void)
{
    return confined() || open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
}

static int execute(void)
{
    return confined() || execl("/bin/true", "true", (char *)NULL);
}

static int make_process(void)
{
    return confined() || fork();
}

static int start_thread(void)
{
    pthread_t thread;

    return confined() || pthread_create(&thread, NULL, fake_run, &fake);
}

static int signal_parent(void)
{
    pid_t parent = getppid();

    return confined() || kill(parent, 0);
}

static void other_files_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(run_child(read_files), 0);
}

static void publishers_calls_are_allowed(void **state)
{
    const struct script script = {
        .wait_for = "secret\r\n",
        .answer = "+OK\r\n",
        .next = &(struct script){.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true}};

    (void)state;
    fake_open(&fake);
    fake_add(&fake, &script);
    fake_add(&fake, &script);
    snprintf(url, sizeof(url), "redis://localhost:%u", fake.port);
    pid_t engine =
        fork(); /* no thread: the thread sanitizer lets no child of threads start another */
    assert_true(engine >= 0);
    if (engine == 0) {
        fake_run(&fake);
        _exit(0);
    }
    assert_int_equal(run_child(go_on), 0);
    assert_int_equal(waitpid(engine, NULL, 0), engine); /* both connections have come */
    close(fake.socket);
}

static void attackers_calls_kill(void **state)
{
    static const struct forbidden cases[] = {
        {"a raw socket", make_raw_socket},
        {"a socket of packets", make_packet_socket},
        {"listening", listen_at_socket},
        {"opening a file to write", open_to_write},
        {"a file without a name", create_nameless_file},
        {"executing a program", execute},
        {"another process", make_process},
        {"another thread", start_thread},
        {"signalling another process", signal_parent},
    };

    (void)state;
    assert_forbidden(cases, LENGTH(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_files_are_out_of_reach),
        cmocka_unit_test(publishers_calls_are_allowed),
        cmocka_unit_test(attackers_calls_kill),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
