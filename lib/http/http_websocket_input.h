/* http_websocket_input.h - read a WebSocket's frames and join them to messages.
 *
 * wslay takes the frames apart; what a server must refuse beyond that is refused here. A connection
 * that is between two frames has no buffer: frames are read through one that all connections share.
 */
#ifndef PRESENCE_HTTP_WEBSOCKET_INPUT_H
#define PRESENCE_HTTP_WEBSOCKET_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A buffer with frames, or a part of one. */
struct websocket_frames;

/* What has been read of a connection. Zero at first. */
struct websocket_input {
    struct websocket_frames *frames; /* of a frame that is not complete; NULL: between frames */
    char *message;                   /* what has come of it */
    size_t length;                   /* of `message` */
    bool is_inside;                  /* a message has begun and not ended */
    bool is_complete;                /* `message` has been returned */
    int64_t busy_until_ns; /* when the frames so far would have come at the highest rate */
};

/* Where the bytes of one turn come from: those that came behind the handshake, if there are any,
 * otherwise the socket, which is read once. */
struct websocket_source {
    int socket;
    const char *early;
    size_t early_length;
    int64_t now_ns;
    bool is_read; /* the socket has been read in this turn */
    bool is_over; /* there is nothing more to read, ever */
};

enum websocket_got_kind {
    WEBSOCKET_NOTHING, /* in this turn */
    WEBSOCKET_MESSAGE,
    WEBSOCKET_PING,
    WEBSOCKET_CLOSE,
    WEBSOCKET_FAULT, /* the client must be told, and nothing can be read any more */
};

/* What was read. The text is valid until more is read; a message ends with a zero. */
struct websocket_got {
    enum websocket_got_kind kind;
    unsigned code; /* of a close frame; 0: without one. Of a fault: what to close with */
    const char *text;
    size_t length;
};

/* Read on, until the next whole message or control frame; pongs are skipped. `spare` is a buffer
 * that connections share, NULL while there is none. */
struct websocket_got websocket_input_read(struct websocket_input *input,
                                          struct websocket_frames **spare,
                                          struct websocket_source *source);

/* Give the buffer back to `spare`, if no part of a frame is in it. Call it after a turn. */
void websocket_input_rest(struct websocket_input *input, struct websocket_frames **spare);

/* Free what it holds. */
void websocket_input_end(struct websocket_input *input);

void websocket_frames_free(struct websocket_frames *frames);

#endif
