#include "http_websocket_output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CODE_BYTES 2

/* ---- frames --------------------------------------------------------------------------------- */

/* Take a part of a frame from wslay. */
static ssize_t collect(const uint8_t *bytes, size_t length, int flags, void *context)
{
    struct websocket_maker *maker = context;

    (void)flags;
    if (length > sizeof(maker->frame) - maker->length)
        return -1;
    memcpy(maker->frame + maker->length, bytes, length);
    maker->length += length;
    return (ssize_t)length;
}

int websocket_maker_init(struct websocket_maker *maker)
{
    static const struct wslay_frame_callbacks callbacks = {.send_callback = collect};

    return wslay_frame_context_init(&maker->context, &callbacks, maker) == 0 ? 0 : -ENOMEM;
}

void websocket_maker_end(struct websocket_maker *maker)
{
    wslay_frame_context_free(maker->context);
}

void websocket_make(struct websocket_maker *maker, uint8_t opcode, const char *payload,
                    size_t length)
{
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .payload_length = length,
                                     .data = (const uint8_t *)payload,
                                     .data_length = length};

    maker->length = 0;
    wslay_frame_send(maker->context, &frame);
}

/* Cut a reason to what fits, between two characters. */
static size_t cut_reason(const char *reason, size_t length)
{
    if (length <= HTTP_WEBSOCKET_REASON_BYTES)
        return length;
    length = HTTP_WEBSOCKET_REASON_BYTES;
    while (length && ((unsigned char)reason[length] & 0xc0) == 0x80)
        length--;
    return length;
}

void websocket_make_close(struct websocket_maker *maker, unsigned code, const char *reason,
                          size_t length)
{
    char payload[CODE_BYTES + HTTP_WEBSOCKET_REASON_BYTES] = {(char)(code >> 8), (char)code};

    length = cut_reason(reason, length);
    memcpy(payload + CODE_BYTES, reason, length);
    websocket_make(maker, WSLAY_CONNECTION_CLOSE, payload, code ? CODE_BYTES + length : 0);
}

/* ---- the queue ------------------------------------------------------------------------------ */

size_t websocket_output_waiting(const struct websocket_output *output)
{
    return output->length - output->sent;
}

/* Hand bytes to the kernel. Returns how many it took, or -EPIPE. */
static ssize_t send_bytes(int socket, const char *bytes, size_t length)
{
    if (socket < 0)
        return 0;
    ssize_t sent = send(socket, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -EPIPE;
}

/* Put bytes behind what waits, in a queue that is no larger than that. */
static int append(struct websocket_output *output, const char *bytes, size_t length)
{
    size_t waiting = websocket_output_waiting(output);
    char *queue = malloc(waiting + length);

    if (!queue)
        return -ENOMEM;
    if (waiting)
        memcpy(queue, output->queue + output->sent, waiting);
    memcpy(queue + waiting, bytes, length);
    free(output->queue);
    *output = (struct websocket_output){queue, 0, waiting + length};
    return 0;
}

int websocket_output_send(struct websocket_output *output, int socket, const char *frame,
                          size_t length)
{
    ssize_t sent = websocket_output_waiting(output) ? 0 : send_bytes(socket, frame, length);

    if (sent < 0)
        return (int)sent;
    if ((size_t)sent == length)
        return 0;
    int r = append(output, frame + sent, length - (size_t)sent);
    return r < 0 && sent ? -EPIPE : r; /* the rest of a frame is lost, or none of it was sent */
}

int websocket_output_flush(struct websocket_output *output, int socket)
{
    ssize_t sent =
        send_bytes(socket, output->queue + output->sent, websocket_output_waiting(output));

    if (sent < 0)
        return (int)sent;
    output->sent += (size_t)sent;
    if (websocket_output_waiting(output) == 0)
        websocket_output_end(output);
    return 0;
}

void websocket_output_end(struct websocket_output *output)
{
    free(output->queue);
    *output = (struct websocket_output){0};
}
