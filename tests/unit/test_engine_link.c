/* test_engine_link.c - calls to engines that close, wait, redirect or answer nonsense. */
#include "engine_fixture.h"

#include <sys/stat.h>

#define SHORT_NS (200 * NS_PER_MS)

/* One connection with one script; returns what a PING returns. */
static int ping_once(const struct script *script, int64_t patience_ns, char text[64])
{
    struct fake fake;

    fake_open(&fake);
    fake_add(&fake, script);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    int r = ping(link, patience_ns, false, text);
    engine_link_close(link);
    fake_stop(&fake);
    return r;
}

static void an_answer(void **state)
{
    const struct script script = {.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true};
    char text[64];

    (void)state;
    assert_int_equal(ping_once(&script, GENEROUS_NS, text), 0);
    assert_string_equal(text, "PONG");
}

static void cut_anywhere(void **state)
{
    const char answer[] = "$4\r\nPONG\r\n";
    char text[64];

    (void)state;
    for (size_t length = 1; length < sizeof(answer) - 1; length++) {
        const struct script cut = {.wait_for = PING_END, .answer = answer, .length = length};
        assert_int_equal(ping_once(&cut, GENEROUS_NS, text), -ECONNRESET);
    }
    const struct script nothing = {.wait_for = PING_END, .answer = ""};
    assert_int_equal(ping_once(&nothing, GENEROUS_NS, text), -ECONNRESET);
}

static void slow_bytes_end_at_the_deadline(void **state)
{
    const struct script slow = {
        .wait_for = PING_END,
        .answer =
            "+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        .pause_ns = 10 * NS_PER_MS};
    int64_t begun = monotonic_ns();
    char text[64];

    (void)state;
    assert_int_equal(ping_once(&slow, SHORT_NS, text), -ETIMEDOUT);
    assert_true(monotonic_ns() - begun >= SHORT_NS);
}

static void silence_ends_at_the_deadline(void **state)
{
    const struct script silent = {.wait_for = PING_END, .answer = "", .stays = true};
    int64_t begun = monotonic_ns();
    char text[64];

    (void)state;
    assert_int_equal(ping_once(&silent, SHORT_NS, text), -ETIMEDOUT);
    assert_true(monotonic_ns() - begun >= SHORT_NS);
}

static void nonsense(void **state)
{
    static const struct {
        const char *answer;
        int error;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", -EPROTO},
        {"*2147483647\r\n", -EMSGSIZE},
        {"$999999999\r\n", -EMSGSIZE},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", -EPROTO},
        {"+PONG\r\n+PONG\r\n", -EPROTO}, /* one too many */
    };
    char text[64];

    (void)state;
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        const struct script script = {
            .wait_for = PING_END, .answer = cases[i].answer, .stays = true};
        assert_int_equal(ping_once(&script, GENEROUS_NS, text), cases[i].error);
    }
}

static void errors_that_end_a_call(void **state)
{
    static const struct {
        const char *answer;
        int error;
    } cases[] = {
        {"-LOADING Redis is loading the dataset in memory\r\n", -EAGAIN},
        {"-CLUSTERDOWN The cluster is down\r\n", -EAGAIN},
        {"-MASTERDOWN Link with MASTER is down\r\n", -EAGAIN},
        {"-READONLY You can't write against a read only replica.\r\n", -EROFS},
        {"-NOAUTH Authentication required.\r\n", -EACCES},
        {"-DENIED Redis is running in protected mode\r\n", -EACCES},
        {"-NOPERM this user has no permissions\r\n", 0},
        {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", 0},
        {"-ERR unknown command\r\n", 0},
        {"-LOADINGS are no word of ours\r\n", 0},
    };
    char text[64];

    (void)state;
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        const struct script script = {
            .wait_for = PING_END, .answer = cases[i].answer, .stays = true};
        assert_int_equal(ping_once(&script, GENEROUS_NS, text), cases[i].error);
    }
}

static void describe(const char *answer, char ret[ENGINE_PROBLEM_SIZE])
{
    redisReply reply = {
        .type = REDIS_REPLY_ERROR, .str = (char *)(uintptr_t)answer, .len = strlen(answer)};

    engine_reply_problem(&reply, ret);
}

/* Whatever the engine says, it is text, and the advice behind it is whole. */
static void errors_in_words(void **state)
{
    static const char advice[] = " (the engine is full: raise its maxmemory)";
    char problem[ENGINE_PROBLEM_SIZE], answer[ENGINE_PROBLEM_SIZE + 100] = "OOM ";

    (void)state;
    describe("ERR \x1b\xff\n~", problem);
    assert_string_equal(problem, "ERR \\x1b\\xff\\x0a~");
    describe("NOPERM x", problem);
    assert_string_equal(problem, "NOPERM x (give the user that right)");
    for (const char *byte = "x\xff"; *byte; byte++) {
        memset(answer + 4, *byte, sizeof(answer) - 5);
        describe(answer, problem);
        assert_true(strlen(problem) > sizeof(advice));
        assert_string_equal(problem + strlen(problem) - strlen(advice), advice);
    }
}

static void a_closed_connection_is_made_again(void **state)
{
    const struct script closes = {.wait_for = PING_END, .answer = "+one\r\n"};
    const struct script unasked = {.wait_for = PING_END,
                                   .answer = "+two\r\n",
                                   .next = &(struct script){.wait_for = PING_END,
                                                            .answer = "+three\r\n+unasked\r\n",
                                                            .stays = true}};
    const struct script last = {.wait_for = PING_END, .answer = "+four\r\n", .stays = true};
    struct fake fake;
    char text[64];

    (void)state;
    fake_open(&fake);
    fake_add(&fake, &closes);
    fake_add(&fake, &unasked);
    fake_add(&fake, &last);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    assert_int_equal(engine_link_connections(link), 0);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    assert_int_equal(engine_link_connections(link), 1);
    /* It may notice only while it calls: then the call fails, and the next one doesn't. */
    int r = ping(link, GENEROUS_NS, false, text);
    if (r < 0) {
        assert_int_equal(r, -ECONNRESET);
        r = ping(link, GENEROUS_NS, false, text);
    }
    assert_int_equal(r, 0);
    assert_string_equal(text, "two");
    assert_int_equal(engine_link_connections(link), 2);
    r = ping(link, GENEROUS_NS, false, text);
    assert_true(r == 0 || r == -EPROTO); /* as far as the unasked one had come */
    assert_int_equal(ping(link, GENEROUS_NS, r == 0, text), r == 0 ? -ECONNRESET : 0);
    if (r == 0)
        assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    assert_string_equal(text, "four");
    engine_link_close(link);
    fake_stop(&fake);
}

static void a_watch_needs_its_connection(void **state)
{
    const struct script script = {.wait_for = PING_END, .answer = "+OK\r\n", .stays = true};
    struct fake fake;
    char text[64];

    (void)state;
    fake_open(&fake);
    fake_add(&fake, &script);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    assert_int_equal(ping(link, GENEROUS_NS, true, text), -ECONNRESET);
    assert_int_equal(engine_link_connections(link), 0);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    engine_link_reset(link);
    assert_int_equal(ping(link, GENEROUS_NS, true, text), -ECONNRESET);
    engine_link_close(link);
    fake_stop(&fake);
}

/* The engine answers before it reads, and reads only when its answers are gone; then it closes. */
static void a_request_that_nobody_reads(void **state)
{
    struct engine_request request = {0};
    char *bytes = calloc(1, 32 << 20);
    const struct script closes = {.answer = "+PONG\r"};
    redisReply **replies;
    struct fake fake;

    (void)state;
    engine_request_begin(&request, 2);
    engine_request_text(&request, "PING");
    engine_request_bytes(&request, bytes, 32 << 20);
    fake_open(&fake);
    fake_add(&fake, &closes);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    int r = engine_link_call(link, &request, monotonic_ns() + GENEROUS_NS, &replies);
    assert_int_equal(r, -ECONNRESET); /* and no SIGPIPE */
    engine_link_close(link);
    engine_request_free(&request);
    free(bytes);
    fake_stop(&fake);
}

/* A reply to a command that was not sent yet answers something else. */
static void a_reply_that_comes_too_early(void **state)
{
    const size_t size = 32 << 20;
    sem_t has_returned;
    const struct script early = {.answer = "+PONG\r\n", .stays = true, .deaf_until = &has_returned};
    struct engine_request request = {0};
    char *bytes = calloc(1, size);
    redisReply **replies;
    struct fake fake;

    (void)state;
    sem_init(&has_returned, 0, 0);
    engine_request_begin(&request, 2);
    engine_request_text(&request, "PING");
    engine_request_bytes(&request, bytes, size);
    fake_open(&fake);
    fake_add(&fake, &early);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    int r = engine_link_call(link, &request, monotonic_ns() + GENEROUS_NS, &replies);
    sem_post(&has_returned);
    assert_int_equal(r, -EPROTO);
    engine_link_close(link);
    engine_request_free(&request);
    free(bytes);
    fake_stop(&fake);
    sem_destroy(&has_returned);
}

/* A large answer to the first command, of which the engine reads the rest only afterwards. */
static void sending_and_receiving_at_once(void **state)
{
    const size_t size = 16 << 20;
    struct engine_request request = {0};
    char *bytes = calloc(1, size), *answer = malloc(size + 64);
    redisReply **replies;
    struct fake fake;
    size_t length = (size_t)sprintf(answer, "$%zu\r\n", size);

    (void)state;
    memset(answer + length, 'x', size);
    memcpy(answer + length + size, "\r\n", 3);
    const struct script reads = {.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true};
    const struct script writes = {.answer = answer, .length = length + size + 2, .next = &reads};
    engine_request_begin(&request, 2);
    engine_request_text(&request, "ECHO");
    engine_request_bytes(&request, bytes, size);
    engine_request_add(&request, "PING", NULL);
    fake_open(&fake);
    fake_add(&fake, &writes);
    fake_start(&fake);
    struct engine_link *link = open_to(&fake);
    int r = engine_link_call(link, &request, monotonic_ns() + GENEROUS_NS, &replies);
    assert_int_equal(r, 0);
    assert_int_equal(replies[0]->len, size);
    assert_string_equal(replies[1]->str, "PONG");
    engine_replies_free(replies, 2);
    engine_link_close(link);
    engine_request_free(&request);
    free(bytes);
    free(answer);
    fake_stop(&fake);
}

/* ---- users and passwords ----------------------------------------------------------------------
 */

static void write_password(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fchmod(fileno(file), 0600);
    fclose(file);
}

static void a_user_and_a_password(void **state)
{
    const struct script script = {
        .wait_for = "AUTH\r\n$2\r\nme\r\n$5\r\n# \"p \r\n",
        .answer = "+OK\r\n",
        .next = &(struct script){.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true}};
    const struct script wrong = {.wait_for = "AUTH",
                                 .answer = "-WRONGPASS invalid username-password pair\r\n",
                                 .stays = true};
    const struct script none = {.wait_for = "AUTH",
                                .answer = "-ERR AUTH <password> called without any password\r\n",
                                .stays = true};
    const struct script other = {
        .wait_for = "\r\nother\r\n",
        .answer = "+OK\r\n",
        .next = &(struct script){
            .wait_for = PING_END,
            .answer = "+PONG\r\n",
            .next = &(struct script){.wait_for = PING_END, .answer = "+PONG\r\n", .stays = true}}};
    char path[] = "/dev/shm/presence-password-XXXXXX", url[64], text[64];
    char problem[ENGINE_PROBLEM_SIZE], user[] = "me";
    struct engine_link *link;
    struct fake fake;

    (void)state;
    close(mkstemp(path));
    write_password(path, "# \"p \r\nanother\n");
    fake_open(&fake);
    fake_add(&fake, &script);
    fake_add(&fake, &wrong);
    fake_add(&fake, &none);
    fake_add(&fake, &other);
    fake_start(&fake);
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", fake.port);
    struct engine_options options = {.url = url, .user = user, .password_file = path};
    assert_int_equal(engine_link_open(&options, &link, problem), 0);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    engine_link_reset(link);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), -EACCES);
    assert_non_null(strstr(engine_link_problem(link), "--password-file"));
    assert_int_equal(ping(link, GENEROUS_NS, false, text), -EACCES);
    write_password(path, "other\n");
    assert_int_equal(engine_link_reload(link, problem), 0);
    assert_int_equal(ping(link, GENEROUS_NS, false, text), 0);
    write_password(path, "");
    assert_int_equal(engine_link_reload(link, problem), -EINVAL);
    assert_int_equal(ping(link, GENEROUS_NS, true, text), 0); /* as before */
    write_password(path, "third\n");
    assert_int_equal(engine_link_reload(link, problem), 0);
    assert_int_equal(ping(link, GENEROUS_NS, true, text), -ECONNRESET); /* it is connected anew */
    engine_link_close(link);
    fake_stop(&fake);
    write_password(path, "\n");
    assert_int_equal(engine_link_open(&options, &link, problem), -EINVAL);
    chmod(path, 0644);
    assert_int_equal(engine_link_open(&options, &link, problem), -EPERM);
    unlink(path);
    assert_int_equal(engine_link_open(&options, &link, problem), -ENOENT);
    options.password_file = NULL;
    assert_int_equal(engine_link_open(&options, &link, problem), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(slow_bytes_end_at_the_deadline),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(errors_that_end_a_call),
        cmocka_unit_test(errors_in_words),
        cmocka_unit_test(a_closed_connection_is_made_again),
        cmocka_unit_test(a_watch_needs_its_connection),
        cmocka_unit_test(a_request_that_nobody_reads),
        cmocka_unit_test(a_reply_that_comes_too_early),
        cmocka_unit_test(sending_and_receiving_at_once),
        cmocka_unit_test(a_user_and_a_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
