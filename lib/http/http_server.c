#include "http_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "core/atomics.h"
#include "http_connections.h"
#include "http_framing.h"
#include "http_library.h"
#include "http_listen.h"
#include "http_reply.h"
#include "http_routes.h"
#include "http_upgrade.h"

#define DEFAULT_CONNECTIONS  64
#define DEFAULT_PATIENCE_S   30
#define DEFAULT_PRESSURE_MS  1000
#define DEFAULT_HEADER_BYTES 16384
#define OTHER_FILES          64   /* open files besides connections */
#define PARAMETER_BYTES      64   /* that libmicrohttpd allocates for one, besides its text */
#define LINE_SPARE_BYTES     1024 /* for a few headers and the answer */
#define SPINS_MAX            64
#define SPIN_WAIT_MS         5

struct http_server {
    struct http_options options;
    struct http_connections *connections;
    struct MHD_Daemon *daemons[HTTP_LISTEN_MAX]; /* one a socket; all share `connections` */
    unsigned daemon_count;
    struct http_upgrades *upgrades; /* NULL: there was none yet */
    unsigned spins; /* turns that did not wait, since the last in which a socket was ready */
    int signals;    /* descriptor */
    int wake;       /* descriptor, an eventfd: a connection was resumed */
    bool is_woken;  /* atomic: `wake` was written since wait_for_work has read it */
    time_t swept;   /* last sweep: CLOCK_MONOTONIC, seconds */
};

/* A request while it is handled. */
struct exchange {
    struct http_request request; /* first: a request is its exchange */
    struct http_connection *connection;
    http_handler *handler;
    unsigned refusal; /* status to answer with instead of calling the handler; 0: none */
    char allow[HTTP_ROUTES_ALLOW_MAX];
    char *body;
};

static struct http_connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* ---- requests ---------------------------------------------------------------------------- */

static bool is_body_too_large(struct MHD_Connection *connection, size_t body_bytes)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    return length && strtoull(length, NULL, 10) > body_bytes;
}

static enum MHD_Result refuse(struct exchange *exchange)
{
    const struct http_options *options = &exchange->request.server->options;

    if (options->refuse)
        return options->refuse(options->context, &exchange->request, exchange->refusal,
                               *exchange->allow ? exchange->allow : NULL);
    const char *text = exchange->refusal == MHD_HTTP_NOT_FOUND            ? "no such resource"
                       : exchange->refusal == MHD_HTTP_METHOD_NOT_ALLOWED ? "method not allowed"
                       : exchange->refusal == MHD_HTTP_CONTENT_TOO_LARGE  ? "body too large"
                                                                          : "malformed request";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (response)
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
    if (response && *exchange->allow)
        MHD_add_response_header(response, "Allow", exchange->allow);
    return http_reply(&exchange->request, exchange->refusal, response);
}

static enum MHD_Result start_exchange(struct http_server *server, struct MHD_Connection *connection,
                                      const char *path, const char *method, const char *version,
                                      void **ret)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));

    if (!exchange)
        return MHD_NO;
    *ret = exchange;
    exchange->connection = connection_of(connection);
    exchange->request = (struct http_request){
        .connection = connection,
        .method = method,
        .path = path,
        .body = "",
        .server = server,
    };
    http_connections_asked(server->connections, exchange->connection);
    if (!http_framing_judge(&exchange->request, version))
        exchange->refusal = MHD_HTTP_BAD_REQUEST;
    else if (is_body_too_large(connection, server->options.body_bytes))
        exchange->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
    if (exchange->refusal)
        return refuse(exchange);
    exchange->refusal =
        http_routes_find(&server->options, method, path, &exchange->handler, exchange->allow);
    /* A guard comes first: it tells strangers nothing about what there is. */
    return exchange->refusal && !server->options.guard ? refuse(exchange) : MHD_YES;
}

/* Append a piece to the body. A body that is too large is received to its end, within the request's
 * timeout, and dropped. */
static enum MHD_Result append_body(struct http_server *server, struct exchange *exchange,
                                   const char *piece, size_t length)
{
    struct http_request *request = &exchange->request;

    if (exchange->refusal)
        return MHD_YES;
    if (length > server->options.body_bytes - request->body_length) {
        exchange->refusal = MHD_HTTP_CONTENT_TOO_LARGE;
        return MHD_YES;
    }
    char *body = realloc(exchange->body, request->body_length + length + 1);
    if (!body)
        return MHD_NO;
    memcpy(body + request->body_length, piece, length);
    request->body_length += length;
    body[request->body_length] = '\0';
    request->body = exchange->body = body;
    return MHD_YES;
}

/* Handle a request. libmicrohttpd calls this once the headers are complete, then for each piece of
 * the body, then once the request is complete. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *piece, size_t *length, void **data)
{
    struct http_server *server = context;
    const struct http_options *options = &server->options;
    struct exchange *exchange = *data;
    enum MHD_Result result;

    if (!exchange)
        return start_exchange(server, connection, path, method, version, data);
    if (*length) {
        result = append_body(server, exchange, piece, *length);
        *length = 0;
        return result;
    }
    if (options->guard && options->guard(options->context, &exchange->request, &result))
        return result;
    if (exchange->refusal)
        return refuse(exchange);
    return exchange->handler(options->context, &exchange->request);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **data,
                         enum MHD_RequestTerminationCode why)
{
    struct http_server *server = context;
    struct exchange *exchange = *data;

    (void)connection;
    (void)why;
    if (!exchange)
        return;
    *data = NULL;
    if (exchange->request.release)
        exchange->request.release(exchange->request.data);
    http_connections_answered(server->connections, exchange->connection);
    free(exchange->body);
    free(exchange);
}

/* Refuse a request whose parameters don't fit in libmicrohttpd's memory: it would send no answer
 * and wait for ever (0.9.75). It calls this with a request's line, before it parses the
 * parameters. */
static void *on_line(void *context, const char *line, struct MHD_Connection *connection)
{
    struct http_server *server = context;
    const char *query = strchr(line, '?');
    size_t bytes = strlen(line) + LINE_SPARE_BYTES;

    for (; query; query = strchr(query + 1, '&'))
        bytes += PARAMETER_BYTES;
    if (bytes > server->options.header_bytes)
        http_connections_refuse(server->connections, connection_of(connection),
                                server->options.secure
                                    ? "" /* TLS has records: no plain text between */
                                    : "HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n"
                                      "Connection: close\r\n\r\n");
    return NULL;
}

/* ---- connections ------------------------------------------------------------------------- */

static enum MHD_Result on_accept(void *context, const struct sockaddr *address, socklen_t length)
{
    struct http_server *server = context;

    (void)length;
    return http_connections_admit(server->connections, address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **data,
                          enum MHD_ConnectionNotificationCode what)
{
    struct http_server *server = context;

    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        http_connections_end(server->connections, *data);
        return;
    }
    /* In libmicrohttpd 1.0 each answer overwrites the one before. */
    int socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    *data = http_connections_begin(server->connections, socket, address);
    const struct http_options *options = &server->options;
    const union MHD_ConnectionInfo *tls =
        options->secure ? MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
                        : NULL;
    if (options->secure && (!tls || !options->secure(options->context, tls->tls_session)))
        http_connections_refuse(server->connections, *data, "");
}

/* ---- the server -------------------------------------------------------------------------- */

static void set_defaults(struct http_options *options)
{
    if (!options->connections)
        options->connections = DEFAULT_CONNECTIONS;
    if (!options->patience_s)
        options->patience_s = DEFAULT_PATIENCE_S;
    if (!options->pressure_ms)
        options->pressure_ms = DEFAULT_PRESSURE_MS;
    if (!options->header_bytes)
        options->header_bytes = DEFAULT_HEADER_BYTES;
}

static int allow_files(rlim_t files)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur >= files)
        return 0;
    if (limit.rlim_max < files)
        return -EMFILE;
    limit.rlim_cur = files;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

/* Stand in for libmicrohttpd's certificate: it wants one, though `secure` replaces it. */
static int find_no_certificate(void)
{
    return -1;
}

/* Start libmicrohttpd for a socket. Its limit of connections applies to one socket; ours applies to
 * all of them together. */
static struct MHD_Daemon *start_daemon(struct http_server *server, int socket)
{
    const struct http_options *options = &server->options;
    struct MHD_OptionItem more[] = {
#if MHD_VERSION >= 0x01000000
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL}, /* it would repair some malformed requests */
#endif
        {options->secure ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, 0,
         (void *)(intptr_t)find_no_certificate},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(
        (options->secure ? MHD_USE_TLS : MHD_ALLOW_UPGRADE) | MHD_USE_EPOLL |
            MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
        0, on_accept, server, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, http_library_log,
        NULL, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
        options->connections + HTTP_CONNECTIONS_SLACK, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        options->header_bytes, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, on_line,
        server, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

static int start_daemons(struct http_server *server)
{
    for (unsigned i = 0; i < server->options.socket_count; i++) {
        server->daemons[i] = start_daemon(server, server->options.sockets[i]);
        if (!server->daemons[i])
            return -EIO;
        server->daemon_count++;
    }
    return 0;
}

/* Block the signals that http_server_turn reports. Returns a descriptor that has them. */
static int block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int http_server_start(const struct http_options *options, struct http_server **ret)
{
    struct http_server *server = calloc(1, sizeof(*server));

    if (!server)
        return -ENOMEM;
    server->options = *options;
    server->signals = server->wake = -1;
    set_defaults(&server->options);
    int r = allow_files(server->options.connections + HTTP_CONNECTIONS_SLACK + OTHER_FILES);
    if (r < 0)
        goto fail;
    r = -ENOMEM;
    server->connections =
        http_connections_new(server->options.connections, server->options.connections_per_address,
                             server->options.patience_s, server->options.pressure_ms);
    if (!server->connections)
        goto fail;
    server->signals = r = block_signals();
    server->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r >= 0 && server->wake < 0)
        r = -errno;
    if (r >= 0)
        r = start_daemons(server);
    if (r < 0)
        goto fail;
    *ret = server;
    return 0;

fail:
    http_server_stop(server);
    return r;
}

/* Wait until a daemon or upgraded connections have something to do, or for a signal. Returns the
 * signal, or 0. */
static int wait_for_work(struct http_server *server, int wait_ms, bool *ret_upgrades)
{
    struct pollfd files[HTTP_LISTEN_MAX + 3] = {
        {.fd = server->signals, .events = POLLIN},
        {.fd = server->wake, .events = POLLIN},
        {.fd = server->upgrades ? server->upgrades->ready : -1, .events = POLLIN}};
    struct signalfd_siginfo signal;
    eventfd_t times;
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    for (unsigned i = 0; i < server->daemon_count; i++) {
        struct MHD_Daemon *daemon = server->daemons[i];
        files[i + 3].fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
        files[i + 3].events = POLLIN;
        if (MHD_get_timeout(daemon, &timeout_ms) == MHD_YES && timeout_ms < (unsigned)wait_ms)
            wait_ms = (int)timeout_ms;
    }
    /* libmicrohttpd (0.9.75) would spin while a handshake of TLS waits for the client. */
    if (wait_ms == 0 && server->options.secure && server->spins++ >= SPINS_MAX)
        wait_ms = SPIN_WAIT_MS;
    if (poll(files, server->daemon_count + 3, wait_ms) <= 0)
        return 0;
    server->spins = 0;
    *ret_upgrades = files[2].revents != 0;
    if (files[1].revents) {
        eventfd_read(server->wake, &times);
        /* Pairs with http_server_wake. What came before is seen from here on, and what comes later
         * writes `wake` again: a store could be overtaken by the loads that look for it. */
        (void)atomic_exchange_ordered(&server->is_woken, false);
    }
    if (!files[0].revents || read(server->signals, &signal, sizeof(signal)) != sizeof(signal))
        return 0;
    return (int)signal.ssi_signo;
}

int http_server_turn(struct http_server *server, int wait_ms)
{
    bool is_ready = false;
    int signal = wait_for_work(server, wait_ms, &is_ready);
    struct timespec now;

    for (unsigned i = 0; i < server->daemon_count; i++)
        MHD_run_wait(server->daemons[i], 0);
    if (server->upgrades)
        server->upgrades->run(server->upgrades, is_ready);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != server->swept)
        http_connections_sweep(server->connections);
    server->swept = now.tv_sec;
    return signal;
}

void http_server_stop(struct http_server *server)
{
    if (!server)
        return;
    for (unsigned i = 0; i < server->daemon_count; i++)
        MHD_stop_daemon(server->daemons[i]);
    if (server->upgrades)
        server->upgrades->end(server->upgrades);
    if (server->signals >= 0)
        close(server->signals);
    if (server->wake >= 0)
        close(server->wake);
    http_connections_free(server->connections);
    free(server);
}

unsigned http_server_connections(struct http_server *server)
{
    return http_connections_count(server->connections);
}

void http_request_add_headers(struct http_request *request, struct MHD_Response *response)
{
    const struct http_options *options = &request->server->options;

    if (options->add_headers)
        options->add_headers(options->context, response);
}

void http_server_resume(struct http_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    http_server_wake(server);
}

void http_server_wake(struct http_server *server)
{
    /* Pairs with wait_for_work: once for all that comes before the loop looks. */
    if (!atomic_exchange_ordered(&server->is_woken, true))
        eventfd_write(server->wake, 1);
}

void http_request_streams(struct http_request *request)
{
    struct exchange *exchange = (struct exchange *)request;

    http_connections_streams(request->server->connections, exchange->connection);
}

/* ---- other protocols --------------------------------------------------------------------- */

struct http_upgrades *http_server_upgrades(const struct http_server *server)
{
    return server->upgrades;
}

void http_server_set_upgrades(struct http_server *server, struct http_upgrades *upgrades)
{
    server->upgrades = upgrades;
}

bool http_server_can_upgrade(const struct http_server *server)
{
    return !server->options.secure;
}

struct http_connection *http_server_take(struct http_server *server,
                                         struct MHD_Connection *connection, int socket)
{
    struct http_connection *taken = connection_of(connection);

    http_connections_take(server->connections, taken, socket);
    return taken;
}

void http_server_release(struct http_server *server, struct http_connection *connection)
{
    http_connections_end(server->connections, connection);
}
