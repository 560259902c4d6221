/* The server against clients that are slow, silent, wrong or many. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "http/http_connections.h"
#include "http/http_listen.h"
#include "http/http_reply.h"
#include "http/http_server.h"

#define DEADLINE_MS 20000
#define CONNECTIONS 8
#define PATIENCE_S  3 /* a starved client has to ask in this time */
#define TURN_MS     1000

struct fixture {
    struct sockaddr_in address;
    struct http_server *server;
    pthread_t loop;
    bool ending; /* atomic */
};

/* ---- handlers ---------------------------------------------------------------------------- */

static enum MHD_Result hello(void *context, struct http_request *request)
{
    (void)context;
    const char *name = http_request_query(request, "name");

    return http_reply_line(request, MHD_HTTP_OK, name ? name : "hello");
}

static enum MHD_Result echo(void *context, struct http_request *request)
{
    (void)context;
    char *copy = malloc(request->body_length);

    memcpy(copy, request->body, request->body_length);
    return http_reply_owned(request, MHD_HTTP_OK, "text/plain", copy, request->body_length);
}

static void *resume(void *context)
{
    struct http_request *request = context;

    http_server_resume(request->server, request->connection);
    return NULL;
}

static bool released;

static void release(void *data)
{
    pthread_join(*(pthread_t *)data, NULL);
    free(data);
    released = true;
}

/* Answers the second time, when another thread has resumed the connection. */
static enum MHD_Result later(void *context, struct http_request *request)
{
    (void)context;
    if (request->data)
        return http_reply_line(request, MHD_HTTP_OK, "later");
    request->data = malloc(sizeof(pthread_t));
    request->release = release;
    MHD_suspend_connection(request->connection);
    return pthread_create(request->data, NULL, resume, request) == 0 ? MHD_YES : MHD_NO;
}

static ssize_t endless(void *context, uint64_t position, char *buffer, size_t size)
{
    (void)context;
    (void)position;
    memset(buffer, 'x', size);
    return (ssize_t)size;
}

/* More than any buffer of a socket. */
static enum MHD_Result big(void *context, struct http_request *request)
{
    (void)context;
    return http_reply(
        request, MHD_HTTP_OK,
        MHD_create_response_from_callback(UINT64_C(1) << 30, 4096, endless, NULL, NULL));
}

static enum MHD_Result stream(void *context, struct http_request *request)
{
    http_request_streams(request);
    return big(context, request);
}

static const struct http_route routes[] = {
    {"GET", "/hello", hello},   {"POST", "/echo", echo}, {"OPTIONS", "/echo", hello},
    {"GET", "/later", later},   {"GET", "/big", big},    {"GET", "/stream", stream},
    {"GET", "/sites/*", hello},
};

/* ---- clients ----------------------------------------------------------------------------- */

static void *serve(void *context)
{
    struct fixture *fixture = context;

    while (!__atomic_load_n(&fixture->ending, __ATOMIC_RELAXED))
        http_server_turn(fixture->server, TURN_MS);
    return NULL;
}

static void open_server(struct fixture *fixture, struct http_options options)
{
    char address[] = "127.0.0.1:0";
    socklen_t length = sizeof(fixture->address);
    int socket;

    assert_int_equal(http_listen_open((char *[]){address}, 1, &socket), 0);
    assert_int_equal(getsockname(socket, (struct sockaddr *)&fixture->address, &length), 0);
    options.sockets = &socket;
    options.socket_count = 1;
    options.routes = routes;
    options.route_count = LENGTH(routes);
    assert_int_equal(http_server_start(&options, &fixture->server), 0);
    fixture->ending = false;
    assert_int_equal(pthread_create(&fixture->loop, NULL, serve, fixture), 0);
}

static void close_server(struct fixture *fixture)
{
    __atomic_store_n(&fixture->ending, true, __ATOMIC_RELAXED);
    pthread_join(fixture->loop, NULL);
    http_server_stop(fixture->server);
}

static int connect_client(const struct fixture *fixture)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(client >= 0);
    assert_int_equal(
        connect(client, (const struct sockaddr *)&fixture->address, sizeof(fixture->address)), 0);
    return client;
}

static void send_text(int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Is there something to read, or the end, within so many milliseconds? */
static bool is_readable(int client, int wait_ms)
{
    struct pollfd descriptor = {.fd = client, .events = POLLIN};

    return poll(&descriptor, 1, wait_ms) == 1;
}

static void wait_readable(int client)
{
    if (!is_readable(client, DEADLINE_MS))
        fail_msg("waited %d ms in vain for an answer", DEADLINE_MS);
}

/* Read until the server closes the connection. */
static size_t read_all(int client, char *ret, size_t size)
{
    size_t used = 0;
    ssize_t length;

    do {
        wait_readable(client);
        length = recv(client, ret + used, size - 1 - used, 0);
        used += length > 0 ? (size_t)length : 0;
    } while (length > 0 && used < size - 1);
    ret[used] = '\0';
    close(client);
    return used;
}

/* Read the beginning of an answer, with `expected` in it. */
static void expect(int client, const char *expected)
{
    char answer[4096];
    size_t used = 0;

    do {
        wait_readable(client);
        ssize_t length = recv(client, answer + used, sizeof(answer) - 1 - used, 0);
        if (length <= 0)
            fail_msg("no \"%s\" in the answer \"%.*s\"", expected, (int)used, answer);
        used += (size_t)length;
        answer[used] = '\0';
    } while (!strstr(answer, expected) && used < sizeof(answer) - 1);
    assert_non_null(strstr(answer, expected));
}

/* What a whole conversation is answered with. */
static void ask(const struct fixture *fixture, const char *request, char *ret, size_t size)
{
    int client = connect_client(fixture);

    send_text(client, request);
    read_all(client, ret, size);
}

static void expect_answer(const struct fixture *fixture, const char *request, const char *first,
                          const char *also)
{
    char answer[8192];

    ask(fixture, request, answer, sizeof(answer));
    if (strncmp(answer, first, strlen(first)) != 0 || !strstr(answer, also))
        fail_msg("\"%s\" is answered with \"%s\"; expected \"%s\" with \"%s\"", request, answer,
                 first, also);
}

static bool is_closed(int client)
{
    char byte;
    ssize_t length = recv(client, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    return length == 0 || (length < 0 && errno == ECONNRESET);
}

static void wait_connections(struct fixture *fixture, unsigned number)
{
    for (int waited = 0; http_server_connections(fixture->server) != number; waited += 5) {
        if (waited > DEADLINE_MS)
            fail_msg("there are %u connections, not %u", http_server_connections(fixture->server),
                     number);
        usleep(5000);
    }
}

/* Wait until at most so many of them are. */
static void wait_open(const int *clients, size_t count, unsigned most)
{
    for (int waited = 0;; waited += 5) {
        unsigned open = 0;
        for (size_t i = 0; i < count; i++)
            open += !is_closed(clients[i]);
        if (open <= most)
            return;
        if (waited > DEADLINE_MS)
            fail_msg("%u connections stay open", open);
        usleep(5000);
    }
}

/* ---- tests ------------------------------------------------------------------------------- */

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_answers(void **state)
{
    struct fixture fixture;

    (void)state;
    open_server(&fixture, (struct http_options){.body_bytes = 10});
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello\n");
    expect_answer(&fixture, GET("/hello?name=a%26b"), "HTTP/1.1 200 OK\r\n", "\r\n\r\na&b\n");
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200 OK\r\n", "default-src 'none'");
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200 OK\r\n", "nosniff");
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200 OK\r\n", "Cache-Control: no-store\r\n");
    expect_answer(&fixture, GET("/sites/a/b"), "HTTP/1.1 200 OK\r\n", "hello");
    expect_answer(&fixture, GET("/sites"), "HTTP/1.1 404 ", "no such resource");
    expect_answer(&fixture, GET("/hello/"), "HTTP/1.1 404 ", "no such resource");
    expect_answer(&fixture, GET("/echo"), "HTTP/1.1 405 ", "Allow: POST, OPTIONS\r\n");
    expect_answer(&fixture, "DELETE /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 405 ", "Allow: GET, HEAD\r\n");
    expect_answer(&fixture, "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 405 ", "Allow: POST, OPTIONS\r\n");
    expect_answer(&fixture, "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 200 OK\r\n", "Content-Length: 6\r\n");
    expect_answer(&fixture, "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "hello");
    close_server(&fixture);
}

static void test_bodies(void **state)
{
    struct fixture fixture;

    (void)state;
    open_server(&fixture, (struct http_options){.body_bytes = 10});
#define POST "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    expect_answer(&fixture, POST "Content-Length: 4\r\n\r\nabcd", "HTTP/1.1 200", "\r\n\r\nabcd");
    expect_answer(&fixture, POST "Content-Length: 0\r\n\r\n", "HTTP/1.1 200", "Length: 0\r\n");
    expect_answer(&fixture,
                  POST "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n5\r\nfghij\r\n"
                       "0\r\n\r\n",
                  "HTTP/1.1 200", "\r\n\r\nabcdefghij");
    expect_answer(&fixture,
                  POST "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\nfghijk\r\n"
                       "0\r\n\r\n",
                  "HTTP/1.1 413", "too large");
    expect_answer(&fixture, POST "Content-Length: 11\r\n\r\nabcdefghijk", "HTTP/1.1 413",
                  "too large");
    expect_answer(&fixture, POST "Content-Length: 99999999999\r\n\r\n", "HTTP/1.1 413", "");
    expect_answer(&fixture, POST "Content-Length: 99999999999999999999999\r\n\r\n", "HTTP/1.1 413",
                  "");
    close_server(&fixture);
}

static void test_malformed(void **state)
{
    struct fixture fixture;
    static char huge[40000];

    (void)state;
    open_server(&fixture, (struct http_options){.header_bytes = 4096});
    expect_answer(&fixture, "GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "");
    expect_answer(&fixture, "GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400",
                  "");
    expect_answer(&fixture, "GET /hello HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400", "");
    expect_answer(&fixture, "GET /hello HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 505", "");
    expect_answer(&fixture, "GET /hello FTP\r\nHost: x\r\n\r\n", "HTTP/1.1 400", "");
    expect_answer(&fixture, "GET /a b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                  "HTTP/1.1 40", ""); /* 404, or 400 since libmicrohttpd 1.0 */
    expect_answer(&fixture, "\x16\x03\x01 \x02 TLS\r\n\r\n", "HTTP/1.1 400", "");
    expect_answer(&fixture, "garbage\r\n\r\n", "", ""); /* closed, with no answer */

    memset(huge, 'a', sizeof(huge) - 1);
    memcpy(huge, "GET /", 5);
    expect_answer(&fixture, huge, "HTTP/1.1 414", "");
    const char *begin = "GET /hello HTTP/1.1\r\nHost: x\r\nBig: ";
    memcpy(huge, begin, strlen(begin));
    expect_answer(&fixture, huge, "HTTP/1.1 431", "");
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200", "hello");
    close_server(&fixture);
}

static void test_later(void **state)
{
    struct fixture fixture;

    (void)state;
    open_server(&fixture, (struct http_options){0});
    released = false;
    /* At once, though nothing else ends the turn. A busy machine may need several attempts. */
    int64_t took_ns = INT64_MAX;
    for (int attempts = 4; attempts && took_ns >= 9 * TURN_MS * NS_PER_MS; attempts--) {
        int64_t begin_ns = monotonic_ns();
        for (int i = 0; i < 10; i++)
            expect_answer(&fixture, GET("/later"), "HTTP/1.1 200", "later\n");
        took_ns = monotonic_ns() - begin_ns;
    }
    assert_true(took_ns < 9 * TURN_MS * NS_PER_MS);
    close_server(&fixture); /* and with it the thread that releases */
    assert_true(released);
}

/* Clients that connect and say nothing, or never end, make room for one that asks. */
static void test_silent_clients_starve_nobody(void **state)
{
    struct fixture fixture;
    int clients[5 * CONNECTIONS];

    (void)state;
    open_server(&fixture,
                (struct http_options){.connections = CONNECTIONS, .patience_s = PATIENCE_S});
    for (unsigned i = 0; i < LENGTH(clients); i++) {
        clients[i] = connect_client(&fixture);
        if (i % 2)
            send_text(clients[i], "GET /hello HTTP/1.1\r\nHost");
        if (i % CONNECTIONS == 0)
            expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200", "hello");
    }
    expect_answer(&fixture, GET("/hello"), "HTTP/1.1 200", "hello");
    wait_open(clients, LENGTH(clients), CONNECTIONS);
    for (unsigned i = 0; i < LENGTH(clients); i++)
        close(clients[i]);
    /* libmicrohttpd overlooks an end that comes together with a client's last bytes (it takes a
     * short read for an empty socket, and epoll tells of both at once): then the sweep ends it. */
    wait_connections(&fixture, 0);
    close_server(&fixture);
}

/* Nor do clients that ask and don't take the answer. */
/* Whoever is slow to read makes room after a while, whoever was answered at once. */
static void test_others_make_room(void **state)
{
    static const char *const requests[] = {GET("/big"), "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"};
    static const unsigned pressures_ms[] = {100, 60000};
    struct fixture fixture;
    int clients[CONNECTIONS];
    char answer[8192];

    (void)state;
    for (unsigned r = 0; r < LENGTH(requests); r++) {
        open_server(&fixture, (struct http_options){.connections = CONNECTIONS,
                                                    .pressure_ms = pressures_ms[r]});
        for (unsigned i = 0; i < LENGTH(clients); i++) {
            clients[i] = connect_client(&fixture);
            send_text(clients[i], requests[r]);
            wait_readable(clients[i]);
        }
        /* Refused, with no answer, for as long as those may take. */
        unsigned waited = 0;
        do {
            if ((waited += 5) > DEADLINE_MS)
                fail_msg("%s makes no room", requests[r]);
            usleep(5000);
            ask(&fixture, GET("/hello"), answer, sizeof(answer));
        } while (!*answer);
        assert_non_null(strstr(answer, "hello"));
        for (unsigned i = 0; i < LENGTH(clients); i++)
            close(clients[i]);
        close_server(&fixture);
    }
}

/* A client that sends a byte now and then is ended all the same; a stream is not. */
static void test_patience(void **state)
{
    struct fixture fixture;

    (void)state;
    open_server(&fixture, (struct http_options){.patience_s = PATIENCE_S});
    int slow = connect_client(&fixture), lasting = connect_client(&fixture);
    int reluctant = connect_client(&fixture);
    send_text(lasting, GET("/stream"));
    send_text(reluctant, GET("/big"));
    wait_readable(lasting);
    wait_readable(reluctant);
    send_text(slow, "GET /hello HTTP/1.1\r\n");
    for (int i = 0; !is_readable(slow, 100); i++) {
        if (i > DEADLINE_MS / 100)
            fail_msg("a slow client is never ended");
        send(slow, "X: y\r\n", 6, MSG_NOSIGNAL);
    }
    assert_true(is_closed(slow));
    wait_connections(&fixture, 1);
    expect(lasting, "200 OK");
    close(slow);
    close(lasting);
    close(reluctant);
    wait_connections(&fixture, 0);
    close_server(&fixture);
}

static void test_keepalive(void **state)
{
    struct fixture fixture;

    (void)state;
    open_server(&fixture, (struct http_options){0});
    int client = connect_client(&fixture);
    for (int i = 0; i < 3; i++) {
        send_text(client, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        expect(client, "hello\n");
    }
    close(client);
    wait_connections(&fixture, 0);
    close_server(&fixture);
}

static void test_too_many_files(void **state)
{
    struct http_server *server;
    const struct http_options options = {.connections = 1u << 30};

    (void)state;
    assert_int_equal(http_server_start(&options, &server), -EMFILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_silent_clients_starve_nobody),
        cmocka_unit_test(test_others_make_room),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_too_many_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
