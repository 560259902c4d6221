#include "engine_connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "engine_problem.h"

#define CHUNK_SIZE   65536            /* bytes received at once */
#define BACKLOG_WAIT (10 * NS_PER_MS) /* until we ask a full backlog of a unix socket again */

/* Wait for one of the events. Errors: -ETIMEDOUT; those of ppoll. */
static int wait_for(int socket, short events, int64_t deadline_ns, short *ret)
{
    struct pollfd descriptor = {.fd = socket, .events = events};
    int r;

    do {
        int64_t left = deadline_ns - monotonic_ns();
        if (left <= 0)
            return -ETIMEDOUT;
        const struct timespec timeout = {left / NS_PER_S, left % NS_PER_S};
        r = ppoll(&descriptor, 1, &timeout, NULL);
    } while (r < 0 && errno == EINTR);
    if (r <= 0)
        return r < 0 ? -errno : -ETIMEDOUT;
    *ret = descriptor.revents;
    return 0;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Connect a socket, also to a unix socket whose backlog is full for a moment. */
static int connect_by(int socket, const struct sockaddr *address, socklen_t length,
                      int64_t deadline_ns)
{
    while (connect(socket, address, length) < 0) {
        int error = errno;
        socklen_t size = sizeof(error);
        short events;
        if (error == EAGAIN) {
            int64_t again = monotonic_ns() + BACKLOG_WAIT;
            if (again > deadline_ns)
                return -ETIMEDOUT;
            wait_for(-1, 0, again, &events);
            continue;
        }
        if (error == EINTR)
            continue;
        if (error != EINPROGRESS && error != EALREADY)
            return error == EISCONN ? 0 : -error;
        int r = wait_for(socket, POLLOUT, deadline_ns, &events);
        if (r < 0)
            return r;
        if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            return -errno;
        return -error;
    }
    return 0;
}

static int connect_address(struct engine_connection *connection, const struct sockaddr *address,
                           socklen_t length, int64_t deadline_ns)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, on = 1;
    int fd = socket(address->sa_family, type, 0);

    if (fd < 0)
        return -errno;
    int r = connect_by(fd, address, length, deadline_ns);
    if (r == 0)
        r = engine_parser_open(&connection->parser);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (address->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* slower, if that fails */
    connection->socket = fd;
    return 0;
}

static int connect_problem(const struct engine_connection *connection, int error, char *ret)
{
    const char *peer = connection->peer;

    switch (error) {
    case -ETIMEDOUT:
        return engine_fail(ret, error,
                           "%s does not answer; is it up, and does no firewall keep us out?", peer);
    case -ECONNREFUSED:
        return engine_fail(ret, error, "%s: %s; is the engine running there?", peer,
                           strerror(ECONNREFUSED));
    case -ENOENT:
        return engine_fail(ret, error, "%s: there is no such socket; is the engine running?", peer);
    case -EACCES:
        return engine_fail(ret, error, "%s: %s; join the socket's group", peer, strerror(EACCES));
    case -ENETUNREACH:
    case -EHOSTUNREACH:
        return engine_fail(ret, error, "%s: %s; check the address and the routes", peer,
                           strerror(-error));
    default:
        return engine_fail(ret, error, "%s: %s", peer, strerror(-error));
    }
}

static int lookup_problem(const struct address *host, int error, char *ret)
{
    switch (error) {
    case -ETIMEDOUT:
        return engine_fail(ret, error,
                           "the name %s can't be looked up: no name server answers; "
                           "check it, and /etc/resolv.conf",
                           host->host);
    case -EHOSTUNREACH:
        return engine_fail(ret, error, "the name %s can't be looked up: check it", host->host);
    default:
        return engine_fail(ret, error, "the name %s can't be looked up: %s", host->host,
                           strerror(-error));
    }
}

int engine_connection_host(struct engine_connection *connection, const struct address *host,
                           struct engine_lookups *lookups, int64_t deadline_ns,
                           char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct addrinfo *found;
    unsigned left = 0;
    int r = engine_lookup(lookups, host, deadline_ns, &found);

    snprintf(connection->peer, sizeof(connection->peer), host->bracketed ? "[%s]:%s" : "%s:%s",
             host->host, host->port);
    if (r < 0)
        return lookup_problem(host, r, ret_problem);
    for (struct addrinfo *address = found; address; address = address->ai_next)
        left++;
    r = -EHOSTUNREACH;
    for (struct addrinfo *address = found; address && r < 0; address = address->ai_next) {
        int64_t now = monotonic_ns();
        r = connect_address(connection, address->ai_addr, address->ai_addrlen,
                            now + (deadline_ns - now) / left--);
    }
    freeaddrinfo(found);
    return r < 0 ? connect_problem(connection, r, ret_problem) : 0;
}

int engine_connection_path(struct engine_connection *connection, const char *path,
                           int64_t deadline_ns, char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    snprintf(connection->peer, sizeof(connection->peer), "%s", path);
    int r = connect_address(connection, (struct sockaddr *)&address, sizeof(address), deadline_ns);
    return r < 0 ? connect_problem(connection, r, ret_problem) : 0;
}

void engine_connection_close(struct engine_connection *connection)
{
    if (connection->socket < 0)
        return;
    close(connection->socket);
    connection->socket = -1;
    engine_parser_close(&connection->parser);
}

bool engine_connection_is_usable(const struct engine_connection *connection)
{
    char byte;

    return connection->socket >= 0 &&
           recv(connection->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- commands and replies -------------------------------------------------------------------- */

/* One call's progress. */
struct exchange {
    const struct engine_request *request;
    size_t sent, received; /* bytes; replies */
    redisReply **replies;
};

/* Send what the socket takes. */
static int exchange_send(int socket, struct exchange *exchange)
{
    const struct engine_request *request = exchange->request;
    ssize_t sent = send(socket, request->bytes + exchange->sent, request->length - exchange->sent,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    exchange->sent += (size_t)sent;
    return 0;
}

/* Take the replies that are complete. */
static int exchange_take(struct engine_parser *parser, struct exchange *exchange)
{
    while (exchange->received < exchange->request->commands) {
        redisReply *reply = NULL;
        int r = engine_parser_next(parser, &reply);
        if (r < 0)
            return r;
        if (!reply)
            return 0;
        exchange->replies[exchange->received++] = reply;
    }
    return engine_parser_is_empty(parser) ? 0 : -EPROTO;
}

static int exchange_receive(struct engine_connection *connection, struct exchange *exchange)
{
    char bytes[CHUNK_SIZE];
    ssize_t length = recv(connection->socket, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (length == 0)
        return -ECONNRESET;
    int r = engine_parser_feed(&connection->parser, bytes, (size_t)length);
    return r < 0 ? r : exchange_take(&connection->parser, exchange);
}

/* Receive while we send: a server that can't get rid of its replies may read no commands. */
static int exchange_run(struct engine_connection *connection, struct exchange *exchange,
                        int64_t deadline_ns)
{
    const struct engine_request *request = exchange->request;
    int r = 0;

    engine_parser_begin(&connection->parser);
    while (r == 0 && exchange->received < request->commands) {
        bool sends = exchange->sent < request->length;
        short events = 0;
        r = wait_for(connection->socket, POLLIN | (sends ? POLLOUT : 0), deadline_ns, &events);
        if (r == 0 && (events & (POLLIN | POLLHUP | POLLERR)))
            r = exchange_receive(connection, exchange);
        if (r == 0 && (events & POLLOUT))
            r = exchange_send(connection->socket, exchange);
    }
    /* Replies to commands that were not sent yet answer something else. */
    return r == 0 && exchange->sent < request->length ? -EPROTO : r;
}

static int exchange_problem(const char *peer, const struct exchange *exchange, int error, char *ret)
{
    char said[ENGINE_PROBLEM_SIZE];

    /* "max number of clients reached" or the like, and then the end. */
    if (exchange->received > 0 && exchange->replies[0]->type == REDIS_REPLY_ERROR) {
        engine_reply_problem(exchange->replies[0], said);
        int ends = engine_reply_ends_call(exchange->replies[0]);
        return engine_fail(ret, ends ? ends : error, "%s: %s", peer, said);
    }
    switch (error) {
    case -ETIMEDOUT:
        return engine_fail(ret, error, "%s does not answer", peer);
    case -EPIPE:
    case -ECONNRESET:
        return engine_fail(ret, -ECONNRESET, "%s has closed the connection", peer);
    case -EPROTO:
        return engine_fail(ret, error, "%s does not speak Redis' protocol; check the port", peer);
    case -EMSGSIZE:
        return engine_fail(ret, error, "%s has answered too much", peer);
    default:
        return engine_fail(ret, error, "%s: %s", peer, strerror(-error));
    }
}

int engine_connection_call(struct engine_connection *connection,
                           const struct engine_request *request, int64_t deadline_ns,
                           redisReply ***ret, char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct exchange exchange = {
        .request = request,
        .replies = calloc(request->commands, sizeof(redisReply *)),
    };

    if (!exchange.replies)
        return engine_fail(ret_problem, -ENOMEM, "out of memory");
    int r = exchange_run(connection, &exchange, deadline_ns);
    if (r < 0) {
        r = exchange_problem(connection->peer, &exchange, r, ret_problem);
        engine_replies_free(exchange.replies, exchange.received);
        return r;
    }
    *ret = exchange.replies;
    return 0;
}
