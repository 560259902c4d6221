#include "http_websocket_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "common/monotonic.h"
#include "core/utf8.h"
#include "http_websocket.h"

#define CONTROL_BYTES   125 /* of a control frame (RFC 6455, 5.5) */
#define CODE_BYTES      2
#define FRAME_NS        (NS_PER_S / 32) /* frames in the long run */
#define BURST_NS        (8 * NS_PER_S)  /* at once: what may come in this time */
#define SHORT_HEADER    6               /* with the mask, which each frame has */
#define MEDIUM_PAYLOAD  126
#define MEDIUM_HEADER   (SHORT_HEADER + 2)
#define TOO_MANY_FRAMES "too many frames"

struct websocket_frames {
    wslay_frame_context_ptr context;
    struct websocket_source *source;
    uint64_t given, taken; /* bytes to and from wslay: what is between them is in its buffer */
    bool is_inside;        /* a frame has begun and not ended */
    size_t offset;         /* of its payload: how much has come */
    char control[CONTROL_BYTES];
};

/* ---- bytes ---------------------------------------------------------------------------------- */

/* Supply bytes to wslay. */
static ssize_t give_bytes(uint8_t *buffer, size_t size, int flags, void *context)
{
    struct websocket_frames *frames = context;
    struct websocket_source *source = frames->source;
    ssize_t length;

    (void)flags;
    if (source->early_length) {
        length = (ssize_t)(source->early_length < size ? source->early_length : size);
        memcpy(buffer, source->early, (size_t)length);
        source->early += length;
        source->early_length -= (size_t)length;
    } else {
        if (source->is_read || source->is_over)
            return -1;
        source->is_read = true;
        length = recv(source->socket, buffer, size, MSG_DONTWAIT);
        source->is_over = length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR);
    }
    if (length <= 0)
        return -1;
    frames->given += (uint64_t)length;
    return length;
}

/* Return NULL if there is no memory. */
static struct websocket_frames *new_frames(void)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give_bytes};
    struct websocket_frames *frames = calloc(1, sizeof(*frames));

    if (frames && wslay_frame_context_init(&frames->context, &callbacks, frames) != 0) {
        free(frames);
        return NULL;
    }
    return frames;
}

void websocket_frames_free(struct websocket_frames *frames)
{
    if (!frames)
        return;
    wslay_frame_context_free(frames->context);
    free(frames);
}

/* ---- rules ---------------------------------------------------------------------------------- */

static struct websocket_got fault(unsigned code, const char *reason)
{
    return (struct websocket_got){WEBSOCKET_FAULT, code, reason, strlen(reason)};
}

static const struct websocket_got nothing = {.kind = WEBSOCKET_NOTHING};

/* True if another frame may come: no client of ours sends so many. */
static bool is_within_rate(struct websocket_input *input, int64_t now_ns)
{
    if (input->busy_until_ns < now_ns)
        input->busy_until_ns = now_ns;
    input->busy_until_ns += FRAME_NS;
    return input->busy_until_ns - now_ns <= BURST_NS;
}

static bool is_data(uint8_t opcode)
{
    return opcode == WSLAY_CONTINUATION_FRAME || opcode == WSLAY_TEXT_FRAME ||
           opcode == WSLAY_BINARY_FRAME;
}

/* Judge a data frame by its header. */
static struct websocket_got judge_data(const struct websocket_input *input,
                                       const struct wslay_frame_iocb *frame)
{
    if ((frame->opcode == WSLAY_CONTINUATION_FRAME) != input->is_inside)
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "fragments out of order");
    if (frame->opcode == WSLAY_BINARY_FRAME)
        return fault(WSLAY_CODE_UNSUPPORTED_DATA, "only text is understood");
    if (frame->payload_length > HTTP_WEBSOCKET_MESSAGE_BYTES - input->length)
        return fault(WSLAY_CODE_MESSAGE_TOO_BIG, "message too long");
    return nothing;
}

/* Judge a frame by its header. wslay has refused lengths in a form that is too long, and control
 * frames that are too long or in fragments. */
static struct websocket_got judge_frame(struct websocket_input *input,
                                        const struct wslay_frame_iocb *frame, int64_t now_ns)
{
    if (!frame->mask)
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "frame without a mask");
    if (frame->rsv)
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "reserved bits are set");
    if (!is_within_rate(input, now_ns))
        return fault(WSLAY_CODE_POLICY_VIOLATION, TOO_MANY_FRAMES);
    if (is_data(frame->opcode))
        return judge_data(input, frame);
    if (frame->opcode != WSLAY_CONNECTION_CLOSE && frame->opcode != WSLAY_PING &&
        frame->opcode != WSLAY_PONG)
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "unknown kind of frame");
    return nothing;
}

/* True if the bytes are UTF-8 (RFC 3629); unlike names, with any character. */
static bool is_utf8(const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;
    uint32_t size;

    for (size_t i = 0; i < length; i += size) {
        if (bytes[i] < 0x80)
            size = 1;
        else if (bytes[i] == 0xc2 && length - i > 1 && utf8_is_within(bytes[i + 1], 0x80, 0xbf))
            size = 2; /* U+0080-009F are no part of names */
        else
            size = utf8_character_size(bytes + i, (uint32_t)(length - i));
        if (size == 0)
            return false;
    }
    return true;
}

/* True if a client may close with this code (RFC 6455, 7.4, and IANA's list). */
static bool is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static struct websocket_got judge_close(const char *payload, size_t length)
{
    if (length == 0)
        return (struct websocket_got){.kind = WEBSOCKET_CLOSE, .text = ""};
    if (length < CODE_BYTES)
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "close frame with half a code");
    unsigned code = (unsigned)(uint8_t)payload[0] << 8 | (uint8_t)payload[1];
    if (!is_close_code(code))
        return fault(WSLAY_CODE_PROTOCOL_ERROR, "no such close code");
    if (!is_utf8(payload + CODE_BYTES, length - CODE_BYTES))
        return fault(WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA, "close reason is not UTF-8");
    return (struct websocket_got){WEBSOCKET_CLOSE, code, payload + CODE_BYTES, length - CODE_BYTES};
}

/* ---- frames --------------------------------------------------------------------------------- */

static void drop_message(struct websocket_input *input)
{
    free(input->message);
    input->message = NULL;
    input->length = 0;
    input->is_inside = input->is_complete = false;
}

/* Get memory for the payload of a frame, and a zero. */
static bool begin_frame(struct websocket_input *input, struct websocket_frames *frames,
                        const struct wslay_frame_iocb *frame)
{
    frames->is_inside = true;
    frames->offset = 0;
    if (!is_data(frame->opcode))
        return true;
    char *message = realloc(input->message, input->length + (size_t)frame->payload_length + 1);
    if (!message)
        return false;
    input->message = message;
    input->is_inside = true;
    return true;
}

/* Take what has come of a frame's payload. True if that is all. */
static bool take_payload(struct websocket_input *input, struct websocket_frames *frames,
                         const struct wslay_frame_iocb *frame)
{
    bool data = is_data(frame->opcode);
    char *place = data ? input->message + input->length : frames->control + frames->offset;

    memcpy(place, frame->data, frame->data_length);
    frames->offset += frame->data_length;
    if (data)
        input->length += frame->data_length;
    if (frames->offset < frame->payload_length)
        return false;
    frames->taken += frame->payload_length +
                     (frame->payload_length < MEDIUM_PAYLOAD ? SHORT_HEADER : MEDIUM_HEADER);
    frames->is_inside = false;
    return true;
}

static struct websocket_got end_frame(struct websocket_input *input,
                                      const struct websocket_frames *frames,
                                      const struct wslay_frame_iocb *frame)
{
    if (frame->opcode == WSLAY_CONNECTION_CLOSE)
        return judge_close(frames->control, frames->offset);
    if (frame->opcode == WSLAY_PING)
        return (struct websocket_got){WEBSOCKET_PING, 0, frames->control, frames->offset};
    if (frame->opcode == WSLAY_PONG || !frame->fin)
        return nothing;
    if (!is_utf8(input->message, input->length))
        return fault(WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA, "message is not UTF-8");
    input->message[input->length] = '\0';
    input->is_complete = true;
    return (struct websocket_got){WEBSOCKET_MESSAGE, 0, input->message, input->length};
}

static struct websocket_got read_frames(struct websocket_input *input,
                                        struct websocket_frames *frames)
{
    struct websocket_got got;

    do {
        struct wslay_frame_iocb frame = {0};
        ssize_t length = wslay_frame_recv(frames->context, &frame);
        if (length == WSLAY_ERR_WANT_READ)
            return nothing;
        if (length < 0)
            return fault(WSLAY_CODE_PROTOCOL_ERROR, "malformed frame");
        if (!frames->is_inside) {
            got = judge_frame(input, &frame, frames->source->now_ns);
            if (got.kind != WEBSOCKET_NOTHING)
                return got;
            if (!begin_frame(input, frames, &frame))
                return fault(WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
        }
        got = take_payload(input, frames, &frame) ? end_frame(input, frames, &frame) : nothing;
    } while (got.kind == WEBSOCKET_NOTHING);
    return got;
}

struct websocket_got websocket_input_read(struct websocket_input *input,
                                          struct websocket_frames **spare,
                                          struct websocket_source *source)
{
    if (input->is_complete)
        drop_message(input);
    if (!input->frames) {
        input->frames = *spare ? *spare : new_frames();
        *spare = NULL;
        if (!input->frames)
            return fault(WSLAY_CODE_INTERNAL_SERVER_ERROR, "out of memory");
    }
    input->frames->source = source;
    return read_frames(input, input->frames);
}

void websocket_input_rest(struct websocket_input *input, struct websocket_frames **spare)
{
    struct websocket_frames *frames = input->frames;

    if (input->is_complete)
        drop_message(input);
    if (!frames || frames->is_inside || frames->given != frames->taken)
        return;
    input->frames = NULL;
    if (*spare)
        websocket_frames_free(frames);
    else
        *spare = frames;
}

void websocket_input_end(struct websocket_input *input)
{
    websocket_frames_free(input->frames);
    input->frames = NULL;
    drop_message(input);
}
