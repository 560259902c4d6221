/* Frames of a WebSocket in any pieces, right or wrong: what is read of them is the same. TEST_SEED
 * repeats a run. */
#include "../support/unit.h"

#include <wslay/wslay.h>

#include "common/monotonic.h"
#include "http/http_websocket.h"
#include "http/http_websocket_input.h"

#define ROUNDS      3000
#define FRAMES_MAX  8
#define BYTES_MAX   (FRAMES_MAX * (HTTP_WEBSOCKET_MESSAGE_BYTES + 200))
#define GOT_MAX     64
#define TEXT_KEPT   64
#define NOBODY      (-1)
#define STREAMS_MAX 2 /* that share a buffer */

struct bytes {
    char bytes[BYTES_MAX];
    size_t length;
};

/* What was read, a summary. */
struct summary {
    size_t count;
    struct {
        enum websocket_got_kind kind;
        unsigned code;
        size_t length;
        char text[TEXT_KEPT];
    } got[GOT_MAX];
};

/* ---- input ------------------------------------------------------------------------------- */

static void add_frame(struct bytes *bytes, uint8_t first, bool mask, const char *payload,
                      size_t length)
{
    static const char key[4] = {0x11, 0x22, 0x33, 0x44};
    char *next = bytes->bytes + bytes->length;

    assert_true(bytes->length + length + 8 <= sizeof(bytes->bytes));
    *next++ = (char)first;
    *next++ = (char)((mask ? 0x80 : 0) | (length < 126 ? length : 126));
    if (length >= 126) {
        *next++ = (char)(length >> 8);
        *next++ = (char)length;
    }
    if (mask)
        next = mempcpy(next, key, sizeof(key));
    for (size_t i = 0; i < length; i++)
        *next++ = (char)(payload[i] ^ (mask ? key[i % 4] : 0));
    bytes->length = (size_t)(next - bytes->bytes);
}

/* Make frames, most of them right. */
static void make_frames(struct bytes *bytes, uint64_t *random)
{
    static const uint8_t kinds[] = {0x81, 0x81, 0x81, 0x01, 0x00, 0x80, 0x80, 0x89, 0x8a, 0x88};
    static const size_t lengths[] = {0, 1, 2, 5, 100, 125, 126, 1000, HTTP_WEBSOCKET_MESSAGE_BYTES};
    char payload[HTTP_WEBSOCKET_MESSAGE_BYTES];

    bytes->length = 0;
    for (size_t frames = random_next(random) % FRAMES_MAX + 1; frames; frames--) {
        uint8_t kind = kinds[random_next(random) % LENGTH(kinds)];
        size_t length = lengths[random_next(random) % LENGTH(lengths)];
        if ((kind & 0x08) && length > 125)
            length = 125;
        for (size_t i = 0; i < length; i++)
            payload[i] = (char)('a' + random_next(random) % 26);
        if ((kind & 0x0f) == WSLAY_CONNECTION_CLOSE && length >= 2)
            memcpy(payload, "\x03\xe8", 2);
        add_frame(bytes, kind, random_next(random) % 32 != 0, payload, length);
    }
}

static void damage(struct bytes *bytes, uint64_t *random)
{
    for (size_t faults = random_next(random) % 3; faults; faults--)
        bytes->bytes[random_next(random) % bytes->length] = (char)random_next(random);
    if (random_next(random) % 4 == 0)
        bytes->length = random_next(random) % bytes->length + 1;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void keep(struct summary *summary, const struct websocket_got *got)
{
    size_t kept = got->length < TEXT_KEPT ? got->length : TEXT_KEPT;

    assert_true(summary->count < GOT_MAX);
    summary->got[summary->count].kind = got->kind;
    summary->got[summary->count].code = got->code;
    summary->got[summary->count].length = got->length;
    if (kept)
        memcpy(summary->got[summary->count].text, got->text, kept);
    summary->count++;
}

/* Read a piece. False: that was the last. */
static bool read_piece(struct websocket_input *input, struct websocket_frames **spare,
                       const char *bytes, size_t length, struct summary *summary)
{
    struct websocket_source source = {
        .socket = NOBODY, .early = bytes, .early_length = length, .now_ns = NS_PER_S};
    struct websocket_got got;

    source.is_read = true;
    do {
        got = websocket_input_read(input, spare, &source);
        if (got.kind == WEBSOCKET_MESSAGE)
            assert_int_equal(got.text[got.length], '\0');
        if (got.kind != WEBSOCKET_NOTHING)
            keep(summary, &got);
        if (got.kind == WEBSOCKET_CLOSE || got.kind == WEBSOCKET_FAULT)
            return false;
    } while (got.kind != WEBSOCKET_NOTHING);
    assert_int_equal(source.early_length, 0);
    websocket_input_rest(input, spare);
    return true;
}

/* Read several streams in pieces, by turns, with one buffer. */
static void read_streams(const struct bytes *streams, struct summary *summaries, size_t piece_max,
                         uint64_t *random)
{
    struct websocket_input inputs[STREAMS_MAX] = {0};
    struct websocket_frames *spare = NULL;
    size_t positions[STREAMS_MAX] = {0};
    bool open[STREAMS_MAX] = {true, true};

    memset(summaries, 0, STREAMS_MAX * sizeof(*summaries));
    while (open[0] || open[1]) {
        size_t i = open[0] && (!open[1] || random_next(random) % 2) ? 0 : 1;
        size_t left = streams[i].length - positions[i];
        size_t piece = random_next(random) % piece_max + 1;
        if (piece > left)
            piece = left;
        open[i] =
            read_piece(&inputs[i], &spare, streams[i].bytes + positions[i], piece, &summaries[i]);
        positions[i] += piece;
        if (positions[i] == streams[i].length)
            open[i] = false;
    }
    for (size_t i = 0; i < STREAMS_MAX; i++)
        websocket_input_end(&inputs[i]);
    websocket_frames_free(spare);
}

static void pieces_change_nothing(void **state)
{
    static const size_t piece_sizes[] = {1, 2, 7, 600, 5000};
    static struct bytes streams[STREAMS_MAX];
    static struct summary whole[STREAMS_MAX], parts[STREAMS_MAX];
    uint64_t random = random_seed("pieces_change_nothing");
    size_t kinds[WEBSOCKET_FAULT + 1] = {0};

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < STREAMS_MAX; i++) {
            make_frames(&streams[i], &random);
            if (random_next(&random) % 2)
                damage(&streams[i], &random);
        }
        read_streams(streams, whole, BYTES_MAX, &random);
        read_streams(streams, parts, piece_sizes[(size_t)round % LENGTH(piece_sizes)], &random);
        assert_memory_equal(whole, parts, sizeof(whole));
        for (size_t i = 0; i < whole[0].count; i++)
            kinds[whole[0].got[i].kind]++;
    }
    for (size_t kind = WEBSOCKET_MESSAGE; kind < LENGTH(kinds); kind++)
        assert_true(kinds[kind] > ROUNDS / 20);
}

/* A buffer with a part of a frame, be it its first byte, is nobody else's. */
static void buffers_are_kept_within_frames(void **state)
{
    static struct bytes bytes;
    struct websocket_frames *spare = NULL;
    struct websocket_input input = {0};
    struct summary summary = {0};

    (void)state;
    add_frame(&bytes, 0x81, true, "hello", 5);
    for (size_t i = 0; i < bytes.length; i++) {
        assert_true(read_piece(&input, &spare, bytes.bytes + i, 1, &summary));
        assert_int_equal(input.frames == NULL, i + 1 == bytes.length);
        assert_int_equal(spare != NULL, i + 1 == bytes.length);
    }
    assert_null(input.message);
    assert_int_equal(summary.count, 1);
    assert_string_equal(summary.got[0].text, "hello");
    websocket_input_end(&input);
    websocket_frames_free(spare);
}

/* Between two messages a connection has neither, whatever their lengths. */
static void nothing_is_kept_between_messages(void **state)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 1000};
    static struct bytes bytes;
    struct websocket_frames *spare = NULL;
    struct websocket_input input = {0};
    struct summary summary = {0};
    char payload[1000];

    (void)state;
    memset(payload, 'a', sizeof(payload));
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        bytes.length = 0;
        add_frame(&bytes, 0x81, true, payload, lengths[i]);
        struct websocket_source source = {.socket = NOBODY,
                                          .is_read = true,
                                          .early = bytes.bytes,
                                          .early_length = bytes.length,
                                          .now_ns = NS_PER_S};
        struct websocket_got got = websocket_input_read(&input, &spare, &source);
        assert_int_equal(got.kind, WEBSOCKET_MESSAGE);
        websocket_input_rest(&input, &spare);
        assert_null(input.message);
        assert_null(input.frames);
        assert_non_null(spare);
    }
    assert_true(read_piece(&input, &spare, bytes.bytes, bytes.length, &summary));
    websocket_input_end(&input);
    websocket_frames_free(spare);
}

/* Read single frames at a time. Returns how many were read before one was refused. */
static unsigned count_frames(struct websocket_input *input, struct websocket_frames **spare,
                             int64_t now_ns)
{
    static struct bytes bytes;
    unsigned count = 0;

    bytes.length = 0;
    add_frame(&bytes, 0x81, true, "x", 1);
    for (;; count++) {
        struct websocket_source source = {.socket = NOBODY,
                                          .is_read = true,
                                          .early = bytes.bytes,
                                          .early_length = bytes.length,
                                          .now_ns = now_ns};
        if (websocket_input_read(input, spare, &source).kind != WEBSOCKET_MESSAGE)
            return count;
    }
}

/* However long a connection was idle, so many may come at once, and no more. */
static void frames_have_a_rate(void **state)
{
    struct websocket_frames *spare = NULL;
    struct websocket_input early = {0}, late = {0};

    (void)state;
    unsigned most = count_frames(&early, &spare, NS_PER_S);
    assert_int_equal(most, 8 * 32);
    assert_int_equal(count_frames(&late, &spare, 3600 * NS_PER_S), most);
    websocket_input_end(&early);
    websocket_input_end(&late);
    websocket_frames_free(spare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_change_nothing),
        cmocka_unit_test(buffers_are_kept_within_frames),
        cmocka_unit_test(nothing_is_kept_between_messages),
        cmocka_unit_test(frames_have_a_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
