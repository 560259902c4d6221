/* http_websocket_output.h - make a WebSocket's frames, and queue what the kernel doesn't take. */
#ifndef PRESENCE_HTTP_WEBSOCKET_OUTPUT_H
#define PRESENCE_HTTP_WEBSOCKET_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wslay/wslay.h>

#include "http_websocket.h"

/* Makes one frame at a time, for all connections. */
struct websocket_maker {
    wslay_frame_context_ptr context;
    char frame[HTTP_WEBSOCKET_QUEUE_BYTES]; /* that was made last */
    size_t length;
};

/* Errors: -ENOMEM. */
int websocket_maker_init(struct websocket_maker *maker);
void websocket_maker_end(struct websocket_maker *maker);

/* Make a frame of up to HTTP_WEBSOCKET_MESSAGE_BYTES. */
void websocket_make(struct websocket_maker *maker, uint8_t opcode, const char *payload,
                    size_t length);

/* Make a close frame. Without a code, 0, it is empty; a reason that is too long is cut between two
 * characters. */
void websocket_make_close(struct websocket_maker *maker, unsigned code, const char *reason,
                          size_t length);

/* Frames that wait for a connection's client. Zero at first. */
struct websocket_output {
    char *queue; /* from `sent` to `length`; NULL: nothing waits */
    size_t sent, length;
};

size_t websocket_output_waiting(const struct websocket_output *output);

/* Send a frame behind what waits, or queue it: all of it while `socket` is negative. Errors:
 * -ENOMEM nothing of it was sent or queued; -EPIPE the connection is over. */
int websocket_output_send(struct websocket_output *output, int socket, const char *frame,
                          size_t length);

/* Send what waits, as far as the kernel takes it. Errors: -EPIPE the connection is over. */
int websocket_output_flush(struct websocket_output *output, int socket);

/* Free what waits. */
void websocket_output_end(struct websocket_output *output);

#endif
