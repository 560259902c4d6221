/* test_relay_privileges.c - privileges.h of the relay: what is left to it, and what is not. */
#include "../support/confined.h"
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/key_file.h"
#include "common/permission.h"
#include "presence/presence.h"
#include "privileges.h"

static char directory[] = "/dev/shm/presence-relay-privileges-XXXXXX";
static char key_path[64], config_path[64], link_path[64], other_path[64];

/* The groups of the machine, instead of those that it really has. */
static struct group presence = {.gr_name = (char[]){"presence"}, .gr_gid = 54321},
                    guards = {.gr_name = (char[]){"guards"}, .gr_gid = 54322};

struct group *getgrnam(const char *name)
{
    return strcmp(name, presence.gr_name) == 0 ? &presence : NULL;
}

struct group *getgrgid(gid_t gid)
{
    return gid == guards.gr_gid ? &guards : NULL;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* DIRECTORY/etc has the key and the configuration, which is a link to DIRECTORY/real/conf. */
static int make_files(void **state)
{
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/etc", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/real", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(key_path, sizeof(key_path), "%s/etc/key", directory);
    snprintf(link_path, sizeof(link_path), "%s/etc/conf", directory);
    snprintf(config_path, sizeof(config_path), "%s/real/conf", directory);
    snprintf(other_path, sizeof(other_path), "%s/other", directory);
    write_file(key_path, "1 11111111111111111111111111111111\n");
    write_file(config_path, "hold = 10\n");
    write_file(other_path, "\n");
    return symlink(config_path, link_path);
}

static int remove_files(void **state)
{
    char path[64];

    (void)state;
    unlink(key_path);
    unlink(link_path);
    unlink(config_path);
    unlink(other_path);
    snprintf(path, sizeof(path), "%s/etc", directory);
    rmdir(path);
    snprintf(path, sizeof(path), "%s/real", directory);
    rmdir(path);
    return rmdir(directory);
}

static int given_up(void)
{
    const char *const files[] = {link_path, key_path};

    return privileges_give_up(files, 2);
}

static int confined(void)
{
    return given_up() == 0 && privileges_confine() == 0 ? 0 : 1;
}

/* Files of the two directories can be replaced and read again, others can't be read. */
static int read_files(void)
{
    MUST(given_up() == 0);
    MUST(error_of(open(key_path, O_RDONLY)) == 0);
    MUST(error_of(open(link_path, O_RDONLY)) == 0);
    MUST(error_of(open(config_path, O_RDONLY)) == 0);
    if (!has_landlock())
        return 0;
    MUST(error_of(open(other_path, O_RDONLY)) == EACCES);
    MUST(error_of(open(directory, O_RDONLY | O_DIRECTORY)) == EACCES);
    MUST(error_of(open("/etc/passwd", O_RDONLY)) == EACCES);
    MUST(error_of(open("/proc/self/status", O_RDONLY)) == EACCES);
    MUST(error_of(open(key_path, O_WRONLY)) == EACCES);
    MUST(unlink(key_path) < 0 && errno == EACCES);
    return 0;
}

static int read_no_files(void)
{
    MUST(privileges_give_up(NULL, 0) == 0);
    MUST(!has_landlock() || error_of(open(key_path, O_RDONLY)) == EACCES);
    return 0;
}

/* Root joins the group `presence` before it gives up its privileges. */
static int read_as_member(void)
{
    MUST(chown(key_path, 65534, presence.gr_gid) == 0 && chmod(key_path, 0640) == 0);
    MUST(given_up() == 0);
    MUST(error_of(open(key_path, O_RDONLY)) == 0);
    return 0;
}

/* The group of the key is still known by its name when none can be looked up any more. */
static int name_the_group(void)
{
    char text[PERMISSION_TEXT_SIZE];

    MUST(chown(key_path, 65534, guards.gr_gid) == 0 && chmod(key_path, 0640) == 0);
    MUST(given_up() == 0);
    MUST(error_of(open(key_path, O_RDONLY)) == EACCES);
    permission_explain(key_path, text);
    MUST(strstr(text, "the group guards may read it"));
    return 0;
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

static bool start_early(struct early *early)
{
    return pipe(early->pipes) == 0 && sem_init(&early->running, 0, 0) == 0 &&
           pthread_create(&early->thread, NULL, wait_for_byte, early) == 0 &&
           sem_wait(&early->running) == 0;
}

static bool end_early(struct early *early)
{
    void *result;

    return write(early->pipes[1], "x", 1) == 1 && pthread_join(early->thread, &result) == 0 &&
           result == early;
}

/* What a running relay does: read its key, send to a new collector, wait and answer. */
static int go_on(void)
{
    const struct presence_place place = {.site = "example.com"};
    const struct presence_sender_options options = {.no_wait = true, .datagram_bytes = 1232};
    static const char *const targets[] = {"127.0.0.1:9", "[::1]:9"};
    struct presence_sender *sender;
    char problem[KEY_FILE_PROBLEM_SIZE];
    struct epoll_event event;
    struct key key = {0};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct early early;

    MUST(epoll >= 0 && start_early(&early));
    MUST(confined() == 0);
    MUST(end_early(&early));
    MUST(key_file_load_first(key_path, &key, problem) == 0 && key.id == 1);
    for (unsigned i = 0; i < LENGTH(targets); i++) {
        int r = presence_sender_open(targets[i], &options, &sender);
        if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) /* no IPv6 here */
            continue;
        MUST(r == 0);
        MUST(presence_send(sender, &place, "somebody") == 0);
        presence_sender_close(sender);
    }
    MUST(epoll_wait(epoll, &event, 1, 0) == 0);
    void *volatile block = malloc(1 << 24);
    free(block);
    return 0;
}

static int make_tcp_socket(void)
{
    return confined() || socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int make_raw_socket(void)
{
    return confined() || socket(AF_INET6, SOCK_RAW, IPPROTO_UDP);
}

static int make_local_socket(void)
{
    return confined() || socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int make_netlink_socket(void)
{
    return confined() || socket(AF_NETLINK, SOCK_DGRAM, 0);
}

static int make_packet_socket(void)
{
    return confined() || socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int bind_socket(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};

    if (confined())
        return 1;
    return bind(socket(AF_INET, SOCK_DGRAM, 0), (const struct sockaddr *)&any, sizeof(any));
}

static int listen_at_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return confined() || listen(fd, 1);
}

static int open_to_write(void)
{
    return confined() || open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static int create_nameless_file(void)
{
    return confined() || open("/dev/shm", O_TMPFILE | O_WRONLY, 0600);
}

static int create_nameless_file_to_read(void)
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

    return confined() || pthread_create(&thread, NULL, wait_for_byte, NULL);
}

static int make_ring(void)
{
    return confined() || (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int signal_parent(void)
{
    pid_t parent = getppid();

    return confined() || kill(parent, 0);
}

static void files_beside_its_own_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(run_child(read_files), 0);
    assert_int_equal(run_child(read_no_files), 0);
}

static void groups_read_files(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    int as_member = run_child(read_as_member), named = run_child(name_the_group);
    assert_int_equal(chown(key_path, 0, 0), 0);
    assert_int_equal(chmod(key_path, 0600), 0);
    assert_int_equal(as_member, 0);
    assert_int_equal(named, 0);
}

static void relays_calls_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(run_child(go_on), 0);
}

static void attackers_calls_kill(void **state)
{
    static const struct forbidden cases[] = {
        {"a socket of TCP", make_tcp_socket},
        {"a raw socket", make_raw_socket},
        {"a local socket", make_local_socket},
        {"a socket of netlink", make_netlink_socket},
        {"a socket of packets", make_packet_socket},
        {"binding", bind_socket},
        {"listening", listen_at_socket},
        {"opening a file to write", open_to_write},
        {"a file without a name", create_nameless_file},
        {"a file without a name, to read it, too", create_nameless_file_to_read},
        {"executing a program", execute},
        {"another process", make_process},
        {"another thread", start_thread},
        {"a ring", make_ring},
        {"signalling another process", signal_parent},
    };

    (void)state;
    assert_forbidden(cases, LENGTH(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_beside_its_own_are_out_of_reach),
        cmocka_unit_test(groups_read_files),
        cmocka_unit_test(relays_calls_are_allowed),
        cmocka_unit_test(attackers_calls_kill),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
