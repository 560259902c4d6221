/* engine_fixture.h - engines that answer what a test tells them, on loopback. */
#ifndef PRESENCE_TESTS_ENGINE_FIXTURE_H
#define PRESENCE_TESTS_ENGINE_FIXTURE_H

#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "engine/engine_link.h"

#define HEARD_SIZE      65536
#define GENEROUS_NS     (60 * NS_PER_S)
#define CONNECTIONS_MAX 8

/* What to do with one connection: read up to `wait_for`, a text that ends a request, and answer. */
struct script {
    const char *wait_for; /* NULL: answer without having read anything; "": the connection's end */
    const char *answer;
    size_t length;             /* of `answer`; 0: all of it */
    int64_t pause_ns;          /* between two bytes of it */
    bool stays;                /* open, until the client closes; otherwise it is closed */
    sem_t *deaf_until;         /* after the answer it reads nothing before this is posted */
    const struct script *next; /* then, on the same connection */
};

/* An engine, whose connections follow one script each, in turn. */
struct fake {
    int socket;
    uint16_t port;
    pthread_t thread;
    const struct script *scripts[CONNECTIONS_MAX];
    unsigned count;
    char heard[HEARD_SIZE]; /* what was read and not waited for yet */
    size_t heard_length;
};

/* Read until the text has come. False: the client has closed. */
static inline bool fake_read(struct fake *fake, int connection, const char *wait_for)
{
    for (;;) {
        char *end =
            *wait_for ? memmem(fake->heard, fake->heard_length, wait_for, strlen(wait_for)) : NULL;
        if (end) {
            end += strlen(wait_for);
            fake->heard_length -= (size_t)(end - fake->heard);
            memmove(fake->heard, end, fake->heard_length);
            return true;
        }
        if (fake->heard_length > HEARD_SIZE / 2) { /* keep the end */
            memmove(fake->heard, fake->heard + fake->heard_length - HEARD_SIZE / 4, HEARD_SIZE / 4);
            fake->heard_length = HEARD_SIZE / 4;
        }
        ssize_t length =
            recv(connection, fake->heard + fake->heard_length, HEARD_SIZE - fake->heard_length, 0);
        if (length <= 0)
            return false;
        fake->heard_length += (size_t)length;
    }
}

static inline void fake_serve(struct fake *fake, int connection, const struct script *script)
{
    for (; script; script = script->next) {
        size_t length = script->length ? script->length : strlen(script->answer);
        if (script->wait_for && !fake_read(fake, connection, script->wait_for))
            return;
        for (size_t sent = 0; sent < length;) {
            size_t part = script->pause_ns ? 1 : length - sent;
            ssize_t r = send(connection, script->answer + sent, part, MSG_NOSIGNAL);
            if (r <= 0)
                return;
            sent += (size_t)r;
            if (script->pause_ns)
                nanosleep(&(struct timespec){0, script->pause_ns}, NULL);
        }
        if (script->deaf_until)
            sem_wait(script->deaf_until);
        if (!script->next && script->stays)
            fake_read(fake, connection, "");
    }
}

static inline void *fake_run(void *context)
{
    struct fake *fake = context;

    for (unsigned i = 0; i < fake->count; i++) {
        int connection = accept(fake->socket, NULL, NULL);
        fake->heard_length = 0;
        if (connection < 0)
            break;
        fake_serve(fake, connection, fake->scripts[i]);
        close(connection);
    }
    return NULL;
}

/* Bind it; the port is known from now on. */
static inline void fake_open(struct fake *fake)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    *fake = (struct fake){.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(fake->socket, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fake->socket, 16), 0);
    assert_int_equal(getsockname(fake->socket, (struct sockaddr *)&address, &length), 0);
    fake->port = ntohs(address.sin_port);
}

static inline void fake_add(struct fake *fake, const struct script *script)
{
    assert_true(fake->count < CONNECTIONS_MAX);
    fake->scripts[fake->count++] = script;
}

static inline void fake_start(struct fake *fake)
{
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

/* Wait for the end of all its scripts, or end it while it waits for a connection. */
static inline void fake_stop(struct fake *fake)
{
    shutdown(fake->socket, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->socket);
}

/* ---- the link ---------------------------------------------------------------------------------
 */

static inline struct engine_link *open_url(char *url)
{
    const struct engine_options options = {.url = url};
    char problem[ENGINE_PROBLEM_SIZE];
    struct engine_link *link;

    if (engine_link_open(&options, &link, problem) != 0)
        fail_msg("%s", problem);
    return link;
}

static inline struct engine_link *open_to(const struct fake *fake)
{
    char url[64];

    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", fake->port);
    return open_url(url);
}

/* Send one PING; returns the result, and the reply's text in `text` with 0. */
static inline int ping(struct engine_link *link, int64_t patience_ns, bool same, char text[64])
{
    struct engine_request request = {0};
    redisReply **replies;

    engine_request_add(&request, "PING", NULL);
    request.same_connection = same;
    int r = engine_link_call(link, &request, monotonic_ns() + patience_ns, &replies);
    engine_request_free(&request);
    if (r == 0) {
        snprintf(text, 64, "%s", replies[0]->str ? replies[0]->str : "");
        engine_replies_free(replies, 1);
    }
    assert_true((r == 0) == (*engine_link_problem(link) == '\0'));
    return r;
}

#define PING_END "PING\r\n"

#endif
