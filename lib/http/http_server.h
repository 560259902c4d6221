/* http_server.h - an HTTP/1.1 server for strangers: libmicrohttpd with everything bounded.
 *
 * Requests are handled by one thread or a few that poll with epoll; a handler answers at once, or
 * suspends its connection and is called again when that is resumed. Memory is at most, for each of
 * `connections`: header_bytes, body_bytes and the answer.
 */
#ifndef PRESENCE_HTTP_SERVER_H
#define PRESENCE_HTTP_SERVER_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

struct http_server;

struct http_request {
    struct MHD_Connection *connection; /* for MHD_lookup_connection_value, suspending and so on */
    const char *method;                /* HEAD is served like GET, and libmicrohttpd cuts it */
    const char *path;                  /* percent-decoded, without the query */
    const char *body;                  /* zero-terminated; may hold zeros */
    size_t body_length;
    struct http_server *server;
    void *data;                  /* the handler's own */
    void (*release)(void *data); /* called with it when the request is over, unless NULL */
};

/* Answer a request, with the functions of http_reply.h or with MHD_queue_response. To answer later,
 * MHD_suspend_connection and return MHD_YES: when another thread has resumed the connection the
 * handler is called again, with the same request. MHD_NO closes the connection. */
typedef enum MHD_Result http_handler(void *context, struct http_request *request);

struct http_route {
    const char *method; /* "GET" (and HEAD), "POST", "OPTIONS"... */
    const char *path;   /* the whole path; or, with a * at its end, what it begins with */
    http_handler *handler;
};

/* Zero in a number means its default. */
struct http_options {
    int socket;                      /* as from http_listen_open; the server closes it */
    const struct http_route *routes; /* the first that fits is taken; they outlive the server */
    size_t route_count;
    void *context;                    /* the handlers' */
    unsigned threads;                 /* that handle requests; default 1 */
    unsigned connections;             /* at a time; default 64 */
    unsigned connections_per_address; /* of them, of one client; default: no limit of its own */
    unsigned patience_s;              /* for a request, and for its answer, each; default 30 */
    unsigned pressure_ms; /* for an answer, while others want to connect; default 1000 */
    size_t header_bytes;  /* of a request with its headers, at least 4096;
                             default 16384 */
    size_t body_bytes;    /* of a request; default 0: none */
    bool own_loop;        /* no thread is started: the caller serves with http_server_turn */
    /* Answer a request that no route fits, or that is refused, with this status; `allow` is what an
     * Allow header says, or NULL. NULL: it is answered in plain text. */
    enum MHD_Result (*refuse)(void *context, struct http_request *request, unsigned status,
                              const char *allow);
};

/* Start serving. From then on SIGTERM, SIGINT and SIGHUP wait for http_server_wait, in all threads
 * that are started later too, and SIGPIPE is ignored. `*ret` is to be released with
 * http_server_stop. Errors: -ENOMEM; -EMFILE the process may not open as many files as
 * there may be connections (`ulimit -n`); -EIO libmicrohttpd said why. */
int http_server_start(const struct http_options *options, struct http_server **ret);

/* Look after the server, and once a second call `tick` (if not NULL), until SIGTERM or SIGINT:
 * returns which. */
int http_server_wait(struct http_server *server, void (*tick)(void *context), void *context);

/* With own_loop: serve what has come, after waiting for up to `wait_ms` milliseconds for it.
 * Returns the signal that has come meanwhile, SIGTERM, SIGINT or SIGHUP, otherwise 0. */
int http_server_turn(struct http_server *server, int wait_ms);

/* Close all connections. Suspended ones must have been resumed. */
void http_server_stop(struct http_server *server);

/* Connections at this moment. Any thread. */
unsigned http_server_connections(struct http_server *server);

/* The answer to this request is a stream: it may last. To be called by its handler. */
void http_request_streams(struct http_request *request);

/* A header's value, or a query parameter's, decoded; NULL: there is none. Valid as long as the
 * request is. */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_query(const struct http_request *request, const char *name);

#endif
