/* http_websocket.h - WebSocket connections (RFC 6455) beside a server's requests, for untrusted
 * clients, with bounds on everything. wslay takes frames apart and makes them.
 *
 * All functions are called in the thread that calls http_server_turn, which also calls the events.
 * A connection costs nothing while it is idle: no timer, no wake-up, no buffer. A client that has
 * vanished is found as that of a stream is, by TCP's keep-alive. One that sends more than 256
 * frames at once, or 32 a second for long, is closed with 1008; malformed frames close with 1002.
 */
#ifndef PRESENCE_HTTP_WEBSOCKET_H
#define PRESENCE_HTTP_WEBSOCKET_H

#include "http_server.h"

#define HTTP_WEBSOCKET_MESSAGE_BYTES 4096 /* a client's longer message closes with 1009 */
#define HTTP_WEBSOCKET_QUEUE_BYTES   4100 /* of frames that wait for a slow client */
#define HTTP_WEBSOCKET_REASON_BYTES  123  /* of a close frame (RFC 6455, 5.5) */

struct http_websocket;

/* What happens on a connection. No event is called from within http_websocket_accept. */
struct http_websocket_events {
    /* A text message came, terminated by zero, valid during the call. A binary one closes the
     * connection with 1003. */
    void (*message)(void *data, const char *text, size_t length);
    /* All that waited has been handed to the kernel. NULL: not wanted. */
    void (*drained)(void *data);
    /* The connection is over, whoever ended it, and is freed after this call. Called exactly once.
     */
    void (*closed)(void *data);
};

/* True if the request asks for a WebSocket, well-formed or not. */
bool http_websocket_is_asked(const struct http_request *request);

/* Answer a request with 101, and go on as a WebSocket. `events` outlives it. On success `*ret` is
 * valid until `closed`: messages sent before the handshake is through are queued. A request that
 * does not ask for a WebSocket, or malformed, is answered with 426 or 400, and `*ret` is NULL; also
 * if there is no memory. The connection doesn't count as a request any more: it has no timeout. On
 * success the request's `data` is released, and its handler must not use the request after this. */
enum MHD_Result http_websocket_accept(struct http_request *request,
                                      const struct http_websocket_events *events, void *data,
                                      struct http_websocket **ret);

/* Queue a text message. Errors: -ENOBUFS the queue is full, and nothing was queued: wait for
 * `drained`; -ENOTCONN the connection is closing; -EMSGSIZE it is longer than
 * HTTP_WEBSOCKET_MESSAGE_BYTES; -ENOMEM. */
int http_websocket_send(struct http_websocket *websocket, const char *text, size_t length);

/* Send a close frame, behind what waits, and end the connection: once the client has answered, or
 * after a moment. `reason` is UTF-8, cut to HTTP_WEBSOCKET_REASON_BYTES. `closed` is called later,
 * never from within. */
void http_websocket_close(struct http_websocket *websocket, unsigned code, const char *reason);

#endif
