/* test_engine_redirect.c - nodes of a cluster and Sentinels that name others. */
#include "engine_fixture.h"

static const struct script pong = {.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true};

/* Two engines; the first one's only connection says that the keys are at the second one. */
static void moved_once(bool same_connection, bool named)
{
    struct fake from, to;
    char answer[64], text[64];

    fake_open(&from);
    fake_open(&to);
    snprintf(answer, sizeof(answer), "-MOVED 3999 %s:%u\r\n", named ? "127.0.0.1" : "", to.port);
    const struct script moved = {.wait_for = PING_END, .answer = answer, .stays = true};
    const struct script first = {.wait_for = PING_END, .answer = "+first\r\n", .next = &moved};
    fake_add(&from, same_connection ? &first : &moved);
    fake_add(&to, &pong);
    fake_start(&from);
    fake_start(&to);
    struct engine_link *link = open_to(&from);
    if (same_connection) {
        assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
        assert_int_equal(ping(link, GENEROUS_NS, true, text), -EAGAIN);
    }
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    assert_string_equal(text, "PONG");
    assert_int_equal(engine_link_connections(link), 2);
    engine_link_close(link);
    fake_stop(&from);
    fake_stop(&to);
}

static void one_is_followed(void **state)
{
    (void)state;
    moved_once(false, true);
    moved_once(false, false);
    moved_once(true, true);
}

/* In a circle: one step a call. */
static void two_are_not(void **state)
{
    struct fake fake;
    char answer[64], text[64];

    (void)state;
    fake_open(&fake);
    snprintf(answer, sizeof(answer), "-MOVED 1 127.0.0.1:%u\r\n", fake.port);
    const struct script moved = {.wait_for = PING_END, .answer = answer, .stays = true};
    fake_add(&fake, &moved);
    fake_add(&fake, &moved);
    fake_add(&fake, &pong);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), -EAGAIN);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    engine_link_close(link);
    fake_stop(&fake);
}

static void nonsense_is_not_followed(void **state)
{
    static const char *const answers[] = {
        "-MOVED\r\n",        "-MOVED 1\r\n",           "-MOVED 1 \r\n",        "-MOVED 1 host\r\n",
        "-MOVED 1 h:x\r\n",  "-MOVED 1 h:0\r\n",       "-MOVED 1 h:65536\r\n", "-MOVED x h:1\r\n",
        "-MOVED 1 h:-1\r\n", "-ASK 1 127.0.0.1:1\r\n",
    };
    char text[64];

    (void)state;
    for (unsigned i = 0; i < LENGTH(answers); i++) {
        const struct script moved = {.wait_for = PING_END, .answer = answers[i], .stays = true};
        struct fake fake;
        fake_open(&fake);
        fake_add(&fake, &moved);
        fake_add(&fake, &pong);
        fake_start(&fake);
        struct engine_link *link = open_to(&fake);
        assert_int_equal(ping(link, GENEROUS_NS, false, text), -EAGAIN);
        assert_int_equal(ping(link, GENEROUS_NS, false, text), 0); /* the first one again */
        engine_link_close(link);
        fake_stop(&fake);
    }
}

/* A host that is gone: the others are asked. */
static void a_node_that_is_gone(void **state)
{
    struct fake fake, gone;
    char answer[64], text[64];

    (void)state;
    fake_open(&gone);
    close(gone.socket);
    fake_open(&fake);
    snprintf(answer, sizeof(answer), "-MOVED 1 127.0.0.1:%u\r\n", gone.port);
    const struct script moved = {.wait_for = PING_END, .answer = answer, .stays = true};
    fake_add(&fake, &moved);
    fake_add(&fake, &pong);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    engine_link_close(link);
    fake_stop(&fake);
}

/* ---- several hosts ----------------------------------------------------------------------------
 */

#define PATIENCE_NS (500 * NS_PER_MS)

static void the_next_host_is_tried(void **state)
{
    const struct script silent = {.wait_for = PING_END, .answer = "", .stays = true};
    struct fake gone, frozen, works;
    char url[128], text[64];

    (void)state;
    fake_open(&gone);
    close(gone.socket);
    fake_open(&frozen);
    fake_open(&works);
    fake_add(&frozen, &silent);
    fake_add(&works, &pong);
    fake_start(&frozen);
    fake_start(&works);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u", gone.port,
             frozen.port, works.port);
    struct engine_link *link = open_url(url);
    int r = ping(link, PATIENCE_NS, false, text);
    assert_int_equal(r, -ETIMEDOUT);
    /* A slow machine may need a call's time before it comes to the frozen one. */
    for (unsigned calls = 1; r == -ETIMEDOUT && calls < 10; calls++)
        r = ping(link, PATIENCE_NS, false, text);
    assert_int_equal(r, 0);
    engine_link_close(link);
    fake_stop(&frozen);
    fake_stop(&works);
}

/* ---- Sentinels --------------------------------------------------------------------------------
 */

#define ASKED "GET-MASTER-ADDR-BY-NAME\r\n$4\r\nmine\r\n"

static const struct script master = {
    .wait_for = "ROLE\r\n", .answer = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", .next = &pong};
static const struct script replica = {
    .wait_for = "ROLE\r\n", .answer = "*3\r\n$5\r\nslave\r\n:0\r\n*0\r\n", .stays = true};

static struct engine_link *open_sentinels(const struct fake *one, const struct fake *two)
{
    char url[128];

    snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u,127.0.0.1:%u/mine", one->port,
             two->port);
    return open_url(url);
}

static void sentinel_says(char answer[64], const struct fake *server)
{
    char port[8];
    int length = snprintf(port, sizeof(port), "%u", server->port);

    snprintf(answer, 64, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", length, port);
}

/* The first Sentinel names one that is a replica by now, or none, or nonsense; the second the
 * master.
 */
static void the_next_sentinel_is_asked(void **state)
{
    static const char *const answers[] = {
        NULL,
        "*-1\r\n",
        "$-1\r\n",
        "*0\r\n",
        ":1\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "-ERR a\r\n",
        "*2\r\n$1\r\na\r\n$1\r\n0\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
    };

    (void)state;
    for (unsigned i = 0; i < LENGTH(answers); i++) {
        struct fake one, two, old, new;
        char says_old[64], says_new[64], text[64];
        fake_open(&one);
        fake_open(&two);
        fake_open(&old);
        fake_open(&new);
        sentinel_says(says_old, &old);
        sentinel_says(says_new, &new);
        const struct script first = {
            .wait_for = ASKED, .answer = answers[i] ? answers[i] : says_old, .stays = true};
        const struct script second = {.wait_for = ASKED, .answer = says_new, .stays = true};
        fake_add(&one, &first);
        fake_add(&two, &second);
        fake_add(&old, &replica);
        fake_add(&new, &master);
        fake_start(&one);
        fake_start(&two);
        fake_start(&old);
        fake_start(&new);
        struct engine_link *link = open_sentinels(&one, &two);
        assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
        assert_int_equal(engine_link_connections(link), 1);
        engine_link_close(link);
        fake_stop(&one);
        fake_stop(&two);
        fake_stop(&old);
        fake_stop(&new);
    }
}

/* A Sentinel that wants no password is sent none: it may be a stranger to the master. */
static void the_password_is_the_masters(void **state)
{
    const struct script let_in = {
        .wait_for = "AUTH\r\n$1\r\np\r\n", .answer = "+OK\r\n", .next = &master};
    char path[] = "/dev/shm/presence-password-XXXXXX", says[64], text[64], url[128];
    char problem[ENGINE_PROBLEM_SIZE];
    struct fake sentinel, server;
    struct engine_link *link;

    (void)state;
    int file = mkstemp(path);
    assert_int_equal(write(file, "p\n", 2), 2);
    close(file);
    fake_open(&sentinel);
    fake_open(&server);
    sentinel_says(says, &server);
    const struct script asked = {.wait_for = ASKED, .answer = says, .stays = true};
    fake_add(&sentinel, &asked);
    fake_add(&server, &let_in);
    fake_start(&sentinel);
    fake_start(&server);
    snprintf(url, sizeof(url), "redis-sentinel://127.0.0.1:%u/mine", sentinel.port);
    const struct engine_options options = {.url = url, .password_file = path};
    assert_int_equal(engine_link_open(&options, &link, problem), 0);
    assert_int_equal(ping(link, 5 * NS_PER_S, false, text), 0);
    engine_link_close(link);
    unlink(path);
    fake_stop(&sentinel);
    fake_stop(&server);
}

static void asked_again_after_a_failure(void **state)
{
    const struct script dies = {.wait_for = "ROLE\r\n",
                                .answer = "*1\r\n$6\r\nmaster\r\n",
                                .next = &(struct script){.wait_for = PING_END, .answer = ""}};
    char says_old[64], says_new[64], text[64];
    struct fake one, two, old, new;

    (void)state;
    fake_open(&one);
    fake_open(&two);
    fake_open(&old);
    fake_open(&new);
    sentinel_says(says_old, &old);
    sentinel_says(says_new, &new);
    const struct script before = {.wait_for = ASKED, .answer = says_old, .stays = true};
    const struct script after = {.wait_for = ASKED, .answer = says_new, .stays = true};
    fake_add(&one, &before);
    fake_add(&one, &after);
    fake_add(&two, &after);
    fake_add(&old, &dies);
    fake_add(&new, &master);
    fake_start(&one);
    fake_start(&two);
    fake_start(&old);
    fake_start(&new);
    struct engine_link *link = open_sentinels(&one, &two);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), -ECONNRESET);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    engine_link_close(link);
    fake_stop(&one);
    fake_stop(&two);
    fake_stop(&old);
    fake_stop(&new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_followed),
        cmocka_unit_test(two_are_not),
        cmocka_unit_test(nonsense_is_not_followed),
        cmocka_unit_test(a_node_that_is_gone),
        cmocka_unit_test(the_next_host_is_tried),
        cmocka_unit_test(the_next_sentinel_is_asked),
        cmocka_unit_test(the_password_is_the_masters),
        cmocka_unit_test(asked_again_after_a_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
