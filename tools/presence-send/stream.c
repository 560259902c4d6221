#include "stream.h"

#include "interrupt.h"
#include "core/text.h"
#include "target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES  65507 /* no datagram is longer */
#define BUFFER_BYTES    (2 * 65536)
#define BAD_LINES_SHOWN 10
#define PAUSE_MS        100 /* what is queued is not kept waiting for the next line */

struct stream {
    const struct options *options;
    struct presence_sender *sender;
    uint64_t line; /* number of the line that is read */
    uint64_t bad_lines;
    bool too_long; /* the rest of this line is skipped */
    bool warned;   /* that nobody listens */
    bool unreadable;
    size_t length;
    char buffer[BUFFER_BYTES + 1];
};

static void stream_bad(struct stream *stream, const char *reason)
{
    if (stream->bad_lines++ < BAD_LINES_SHOWN)
        fprintf(stderr, "presence-send: line %" PRIu64 " skipped: %s\n", stream->line, reason);
}

static const char *error_reason(int error)
{
    switch (error) {
    case -ENAMETOOLONG:
        return "the id or a name is too long";
    case -EILSEQ:
        return "a name is not UTF-8 or has control characters";
    default:
        return "no visitor id";
    }
}

/* A zero-terminated copy of a name; NULL when it is absent. */
static const char *name_copy(struct wire_name name, char *copy)
{
    if (name.length == 0)
        return NULL;
    memcpy(copy, name.bytes, name.length);
    copy[name.length] = '\0';
    return copy;
}

static int stream_send_decoded(struct stream *stream, const struct wire_heartbeat *heartbeat)
{
    char site[WIRE_SITE_MAX + 1], room[WIRE_ROOM_MAX + 1], source[WIRE_SOURCE_MAX + 1],
        event[WIRE_EVENT_MAX + 1];
    const char country[3] = {(char)heartbeat->country[0], (char)heartbeat->country[1], '\0'};
    const struct presence_place place = {
        .kind = (enum presence_heartbeat_kind)heartbeat->kind,
        .site = name_copy(heartbeat->site, site),
        .room = name_copy(heartbeat->room, room),
        .country = country,
        .source = name_copy(heartbeat->source, source),
        .event = name_copy(heartbeat->event, event),
    };

    return presence_send_id(stream->sender, &place, heartbeat->visitor_ids);
}

static void stream_heartbeat(struct stream *stream, const char *line, size_t length)
{
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat;
    enum wire_reason reason =
        text_decode((const uint8_t *)line, (uint32_t)length, &scratch, &heartbeat);

    if (reason == WIRE_VISITOR) {
        stream_bad(stream, "a heartbeat without a visitor, or with an id over 128 bytes");
        return;
    }
    if (reason != WIRE_ACCEPTED) {
        stream_bad(stream, "a malformed heartbeat");
        return;
    }
    int error = stream_send_decoded(stream, &heartbeat);
    if (error < 0)
        stream_bad(stream, error_reason(error));
}

/* `line` is zero-terminated. */
static void stream_visitor(struct stream *stream, const char *line, size_t length)
{
    if (!stream->options->place.site) {
        stream_bad(stream, "an id alone needs --site");
        return;
    }
    if (memchr(line, '\0', length)) {
        stream_bad(stream, "the id has a zero byte");
        return;
    }
    int error = presence_send(stream->sender, &stream->options->place, line);
    if (error < 0)
        stream_bad(stream, error_reason(error));
}

/* The line's end, a LF or the zero after the last line, is overwritten. */
static void stream_line(struct stream *stream, char *line, size_t length)
{
    stream->line++;
    if (stream->too_long || length > LINE_MAX_BYTES) {
        stream->too_long = false;
        stream_bad(stream, "the line is too long");
        return;
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    if (length >= 4 && memcmp(line, "PH1 ", 4) == 0)
        stream_heartbeat(stream, line, length);
    else
        stream_visitor(stream, line, length);
}

/* Take all whole lines out of the buffer; of one that fills it, only that it is too long. */
static void stream_lines(struct stream *stream)
{
    char *line = stream->buffer, *end = stream->buffer + stream->length, *feed;

    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        stream_line(stream, line, (size_t)(feed - line));
        line = feed + 1;
    }
    stream->length = (size_t)(end - line);
    if (stream->length > LINE_MAX_BYTES + 1) {
        stream->too_long = true;
        stream->length = 0;
    }
    memmove(stream->buffer, line, stream->length);
}

/* Warn once, and as soon as it is known, if the collector is not there; it may come back. */
static void stream_check(struct stream *stream)
{
    if (!stream->warned)
        stream->warned = !target_takes(stream->options, stream->sender);
}

/* Read more of stdin; false at its end. Sends what is queued when nothing comes. */
static bool stream_read(struct stream *stream)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    int ready = interrupt_poll(&input, PAUSE_MS);

    if (ready == 0) {
        presence_sender_flush(stream->sender);
        stream_check(stream);
        ready = interrupt_poll(&input, -1);
    }
    if (ready <= 0)
        return true;
    ssize_t bytes =
        read(STDIN_FILENO, stream->buffer + stream->length, BUFFER_BYTES - stream->length);
    if (bytes < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return true;
        fprintf(stderr, "presence-send: cannot read stdin: %s\n", strerror(errno));
        stream->unreadable = true;
        return false;
    }
    stream->length += (size_t)bytes;
    return bytes > 0;
}

int stream_run(const struct options *options, struct presence_sender *sender)
{
    static struct stream stream;

    stream = (struct stream){.options = options, .sender = sender};
    while (!interrupt_came() && stream_read(&stream)) {
        stream_lines(&stream);
        stream_check(&stream);
    }
    if (!interrupt_came() && (stream.length > 0 || stream.too_long))
        stream_line(&stream, stream.buffer, stream.length);

    target_finish(sender);
    stream_check(&stream);
    if (stream.bad_lines > BAD_LINES_SHOWN)
        fprintf(stderr, "presence-send: %" PRIu64 " more lines skipped\n",
                stream.bad_lines - BAD_LINES_SHOWN);
    return stream.warned || stream.unreadable || stream.bad_lines > 0 ? 1 : 0;
}
