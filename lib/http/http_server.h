/* http_server.h - an HTTP/1.1 server for untrusted clients: libmicrohttpd with bounds on
 * everything.
 *
 * The thread that calls http_server_turn handles all requests. A handler answers at once, or
 * suspends its connection and is called again when that is resumed. Each of `connections` uses at
 * most header_bytes, body_bytes and the answer's bytes.
 */
#ifndef PRESENCE_HTTP_SERVER_H
#define PRESENCE_HTTP_SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_server;

struct http_request {
    struct MHD_Connection *connection; /* for MHD_lookup_connection_value, suspending and so on */
    const char *method;                /* HEAD is handled like GET: libmicrohttpd drops the body */
    const char *path;                  /* percent-decoded, without the query */
    const char *body;                  /* zero-terminated; may hold zeros */
    size_t body_length;
    bool closes; /* the connection is closed once the request is answered */
    bool is_http_1_0;
    struct http_server *server;
    void *data;                  /* the handler's own */
    void (*release)(void *data); /* called with `data` when the request is over, unless NULL */
};

/* Answer a request, with the functions of http_reply.h or with MHD_queue_response. To answer later,
 * call MHD_suspend_connection and return MHD_YES: after http_server_resume the handler is called
 * again with the same request. MHD_NO closes the connection. */
typedef enum MHD_Result http_handler(void *context, struct http_request *request);

struct http_route {
    const char *method; /* "GET" (and HEAD), "POST", "OPTIONS"... */
    const char *path;   /* the whole path, or a prefix that ends in * */
    http_handler *handler;
};

/* Zero in a number means its default. */
struct http_options {
    const int *sockets;              /* from http_listen_open; http_server_stop closes them */
    unsigned socket_count;           /* at least 1, at most HTTP_LISTEN_MAX */
    const struct http_route *routes; /* the first that matches; they outlive the server */
    size_t route_count;
    void *context;                    /* passed to handlers */
    unsigned connections;             /* at a time; default 64 */
    unsigned connections_per_address; /* default: no limit of its own */
    unsigned patience_s;              /* timeout of a request and of its answer; default 30 */
    unsigned pressure_ms; /* timeout of an answer while others wait to connect; default 1000 */
    size_t header_bytes;  /* of a request and its headers, at least 4096; default 16384 */
    size_t body_bytes;    /* of a request; default 0: none */
    /* Speak TLS: called for each new connection, with its gnutls_session_t, before the handshake;
     * gives it a certificate. False ends the connection. NULL: without TLS. */
    bool (*secure)(void *context, void *session);
    /* Called with each request before it is handled, and again when it is resumed. True: it has
     * answered or suspended the request; `*ret` is what a handler would return. NULL: no guard. */
    bool (*guard)(void *context, struct http_request *request, enum MHD_Result *ret);
    /* Adds headers to each answer, also to those of `guard`. NULL: none. */
    void (*add_headers)(void *context, struct MHD_Response *response);
    /* Answer a request that no route matches, or that is refused, with this status; `allow` is the
     * value of an Allow header, or NULL. NULL: such requests are answered in plain text. */
    enum MHD_Result (*refuse)(void *context, struct http_request *request, unsigned status,
                              const char *allow);
};

/* Start serving. Blocks SIGTERM, SIGINT and SIGHUP for http_server_turn, also in threads that are
 * started later, and ignores SIGPIPE. Release `*ret` with http_server_stop. Errors: -ENOMEM;
 * -EMFILE the process may not open as many files as there may be connections (`ulimit -n`); -EIO
 * libmicrohttpd has logged why; those of signalfd and eventfd. After an error some of the sockets
 * may still be open: the program is expected to end. */
int http_server_start(const struct http_options *options, struct http_server **ret);

/* Wait up to `wait_ms` milliseconds for requests or a signal, handle the requests and run the
 * server's timeouts. Returns the signal, SIGTERM, SIGINT or SIGHUP, otherwise 0. Call it at least
 * once a second, always in one thread. */
int http_server_turn(struct http_server *server, int wait_ms);

/* Close all connections. Suspended ones must have been resumed. */
void http_server_stop(struct http_server *server);

/* Add the headers that all answers to this request have. */
void http_request_add_headers(struct http_request *request, struct MHD_Response *response);

/* Count the open connections. Any thread. */
unsigned http_server_connections(struct http_server *server);

/* Resume a suspended connection, from any thread: http_server_turn handles it at once.
 * (MHD_resume_connection alone would not end a wait.) */
void http_server_resume(struct http_server *server, struct MHD_Connection *connection);

/* End the wait of http_server_turn, or the next one, from any thread. */
void http_server_wake(struct http_server *server);

/* Exempt the answer to this request from the timeout: it is a stream. Called by its handler. */
void http_request_streams(struct http_request *request);

/* Find a header, or a query parameter, and return its decoded value, valid as long as the request;
 * NULL: there is none. A parameter's value that holds a zero byte, where C would end it, becomes
 * HTTP_NO_TEXT: the part before the zero would be another name. */
#define HTTP_NO_TEXT "\x7f" /* a control character, which no name has */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_query(const struct http_request *request, const char *name);

/* Join the values of all headers of that name, with commas (RFC 9110, 5.3); those that do not fit
 * are left out. Returns `ret`, or NULL: there is none. */
const char *http_request_header_list(const struct http_request *request, const char *name,
                                     char *ret, size_t size);

/* Write the first `capacity` values of a repeated query parameter to `ret`, in order, and return
 * how many there are. One without a `=` is empty. */
size_t http_request_query_all(const struct http_request *request, const char *name,
                              const char **ret, size_t capacity);

/* Copy the value of the first cookie of exactly that name, without the blanks around it, cut off if
 * it does not fit. False: there is none. */
bool http_request_cookie(const struct http_request *request, const char *name, char *ret,
                         size_t size);

#endif
