/* fuzz_websocket.c - frames of a WebSocket, in pieces of which the first byte tells the size. What
 * is read is compared with a judge, which is written from RFC 6455 and the rules of
 * http_websocket_input.h: masked text, messages of a limited length, so many frames at once. */
#include <common/monotonic.h>
#include <http/http_websocket.h>
#include <http/http_websocket_input.h>

#include "fuzz.h"

#define NOBODY     (-1)
#define GOT_MAX    512
#define FRAMES_MAX 256 /* at once */

struct got {
    enum websocket_got_kind kind;
    unsigned code;
    size_t length;
    char *text;
};

struct gots {
    size_t count;
    struct got all[GOT_MAX];
};

static void keep(struct gots *gots, enum websocket_got_kind kind, unsigned code, const char *text,
                 size_t length)
{
    char *copy = malloc(length + 1);

    fuzz_check(gots->count < GOT_MAX);
    if (length)
        memcpy(copy, text, length);
    gots->all[gots->count++] = (struct got){kind, code, length, copy};
}

static void forget(struct gots *gots)
{
    while (gots->count > 0)
        free(gots->all[--gots->count].text);
}

/* ---- the judge --------------------------------------------------------------------------- */

struct frame {
    bool final, mask;
    unsigned reserved, opcode;
    size_t length;
    uint8_t payload[HTTP_WEBSOCKET_MESSAGE_BYTES + 1];
};

/* True if the text is UTF-8 (RFC 3629). */
static bool is_utf8(const char *text, size_t length)
{
    const uint8_t *at = (const uint8_t *)text, *end = at + length;

    while (at < end) {
        unsigned more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        uint32_t character = more ? *at & (0x3fu >> more) : *at;
        if ((*at >= 0x80 && *at < 0xc0) || *at >= 0xf8 || (size_t)(end - at) <= more)
            return false;
        for (unsigned i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
            character = character << 6 | (at[i] & 0x3f);
        }
        if (character < least[more] || character > 0x10ffff ||
            (character >= 0xd800 && character <= 0xdfff))
            return false;
        at += more + 1;
    }
    return true;
}

static bool is_code(unsigned code)
{
    bool reserved = code == 1004 || code == 1005 || code == 1006 || code == 1015;

    return code >= 1000 && code <= 4999 && !reserved && (code <= 1015 || code >= 3000);
}

/* Read the frame's header. Returns 1, 0 if it is not complete, -1 if it is malformed. */
static int read_header(struct fuzz_input *input, struct frame *frame)
{
    const uint8_t *bytes = input->bytes;
    size_t used = 2;

    if (input->size < 2)
        return 0;
    *frame = (struct frame){.final = bytes[0] >> 7,
                            .reserved = bytes[0] >> 4 & 7,
                            .opcode = bytes[0] & 15,
                            .mask = bytes[1] >> 7};
    uint64_t length = bytes[1] & 127;
    unsigned more = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (frame->opcode >= 8 && (length > 125 || !frame->final))
        return -1;
    if (input->size < used + more)
        return 0;
    if (more)
        length = 0;
    for (unsigned i = 0; i < more; i++)
        length = length << 8 | bytes[used++];
    if ((more == 2 && length < 126) || (more == 8 && (length < 65536 || length >> 63)))
        return -1;
    if (input->size < used + (frame->mask ? 4u : 0u))
        return 0;
    input->bytes += used;
    input->size -= used;
    frame->length = (size_t)length;
    return 1;
}

/* Read the payload. False: it is not complete. */
static bool read_payload(struct fuzz_input *input, struct frame *frame)
{
    const uint8_t *mask = input->bytes;

    if (input->size - 4 < frame->length)
        return false;
    for (size_t i = 0; i < frame->length; i++)
        frame->payload[i] = mask[4 + i] ^ mask[i % 4];
    input->bytes += 4 + frame->length;
    input->size -= 4 + frame->length;
    return true;
}

struct message {
    char text[HTTP_WEBSOCKET_MESSAGE_BYTES + 1];
    size_t length;
    bool begun;
};

/* Return the code to close with, by the header; 0: the frame may come. */
static unsigned judge_header(const struct frame *frame, const struct message *message,
                             unsigned frames)
{
    if (!frame->mask || frame->reserved)
        return 1002;
    if (frames > FRAMES_MAX)
        return 1008;
    if (frame->opcode >= 8)
        return frame->opcode > 10 ? 1002 : 0;
    if (frame->opcode > 2 || (frame->opcode == 0) != message->begun)
        return 1002;
    if (frame->opcode == 2)
        return 1003;
    return message->length + frame->length > HTTP_WEBSOCKET_MESSAGE_BYTES ? 1009 : 0;
}

static void judge_close(const struct frame *frame, struct gots *ret)
{
    const char *text = (const char *)frame->payload;
    unsigned code = frame->length >= 2 ? frame->payload[0] * 256u + frame->payload[1] : 0;

    if (frame->length == 0)
        keep(ret, WEBSOCKET_CLOSE, 0, NULL, 0);
    else if (!is_code(code))
        keep(ret, WEBSOCKET_FAULT, 1002, NULL, 0);
    else if (!is_utf8(text + 2, frame->length - 2))
        keep(ret, WEBSOCKET_FAULT, 1007, NULL, 0);
    else
        keep(ret, WEBSOCKET_CLOSE, code, text + 2, frame->length - 2);
}

/* Judge a whole frame. False: it is the last. */
static bool judge_frame(const struct frame *frame, struct message *message, struct gots *ret)
{
    if (frame->opcode == 8) {
        judge_close(frame, ret);
        return false;
    }
    if (frame->opcode == 9)
        keep(ret, WEBSOCKET_PING, 0, (const char *)frame->payload, frame->length);
    if (frame->opcode >= 8)
        return true;
    memcpy(message->text + message->length, frame->payload, frame->length);
    message->length += frame->length;
    message->begun = !frame->final;
    if (!frame->final)
        return true;
    bool good = is_utf8(message->text, message->length);
    keep(ret, good ? WEBSOCKET_MESSAGE : WEBSOCKET_FAULT, good ? 0 : 1007, message->text,
         good ? message->length : 0);
    message->length = 0;
    return good;
}

static void judge(struct fuzz_input input, struct gots *ret)
{
    static struct frame frame;
    static struct message message;
    int r;

    message.length = 0;
    message.begun = false;
    for (unsigned frames = 1; (r = read_header(&input, &frame)) != 0; frames++) {
        if (r > 0 && frame.length > 0 && input.size <= (frame.mask ? 4u : 0u))
            return; /* a frame is judged with the first byte of its payload */
        unsigned code = r < 0 ? 1002 : judge_header(&frame, &message, frames);
        if (code) {
            keep(ret, WEBSOCKET_FAULT, code, NULL, 0);
            return;
        }
        if (!read_payload(&input, &frame) || !judge_frame(&frame, &message, ret))
            return;
    }
}

/* ---- the reader -------------------------------------------------------------------------- */

/* Read a piece. False: that was the last. */
static bool read_piece(struct websocket_input *input, struct websocket_frames **spare,
                       struct fuzz_input piece, struct gots *ret)
{
    struct websocket_source source = {.socket = NOBODY,
                                      .early = (const char *)piece.bytes,
                                      .early_length = piece.size,
                                      .now_ns = NS_PER_S,
                                      .is_read = true};
    struct websocket_got got;

    do {
        got = websocket_input_read(input, spare, &source);
        if (got.kind == WEBSOCKET_MESSAGE)
            fuzz_check(got.text[got.length] == '\0');
        if (got.kind == WEBSOCKET_FAULT)
            fuzz_check(got.length > 0 && got.length <= 123); /* fits into a close frame */
        if (got.kind != WEBSOCKET_NOTHING)
            keep(ret, got.kind, got.code, got.text, got.kind == WEBSOCKET_FAULT ? 0 : got.length);
        if (got.kind == WEBSOCKET_CLOSE || got.kind == WEBSOCKET_FAULT)
            return false;
    } while (got.kind != WEBSOCKET_NOTHING);
    websocket_input_rest(input, spare);
    return true;
}

static void read_all(struct fuzz_input bytes, size_t step, struct gots *ret)
{
    struct websocket_input input = {0};
    struct websocket_frames *spare = NULL;
    bool goes_on = true;

    while (goes_on && bytes.size > 0) {
        size_t size = step && step < bytes.size ? step : bytes.size;
        goes_on = read_piece(&input, &spare, (struct fuzz_input){bytes.bytes, size}, ret);
        bytes.bytes += size;
        bytes.size -= size;
    }
    websocket_input_end(&input);
    websocket_frames_free(spare);
}

/* ---- both -------------------------------------------------------------------------------- */

static void compare(const struct gots *got, const struct gots *expected)
{
    for (size_t i = 0; i < got->count || i < expected->count; i++) {
        const struct got *a = &got->all[i], *b = &expected->all[i];
        if (i >= got->count || i >= expected->count)
            fuzz_fail("%zu are read, not %zu", got->count, expected->count);
        if (a->kind != b->kind || a->code != b->code || a->length != b->length ||
            memcmp(a->text, b->text, a->length) != 0)
            fuzz_fail("number %zu: kind %d, code %u, %zu bytes, not %d, %u, %zu", i, (int)a->kind,
                      a->code, a->length, (int)b->kind, b->code, b->length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gots got, expected;
    struct fuzz_input input = {data, size};
    size_t step = (size_t)fuzz_number(&input, 1);

    judge(input, &expected);
    read_all(input, step, &got);
    compare(&got, &expected);
    forget(&got);
    forget(&expected);
    return 0;
}
