/* stream.c - send the heartbeats that stdin names, one per line. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/place.h"
#include "presence-send.h"

#define LINE_MAX_BYTES  65507 /* no datagram is longer */
#define BUFFER_BYTES    (2 * 65536)
#define BAD_LINES_SHOWN 10
#define PAUSE_MS        100  /* queued heartbeats are sent if no line comes for so long */
#define ALIVE_MS        1000 /* between two calls of presence_sender_flush_aged while none comes */
#define REST_MS         1000 /* a pipe is read for so long after SIGTERM */

struct stream {
    const struct options *options;
    struct presence_sender *sender;
    uint64_t line; /* number of the current line */
    uint64_t bad_lines;
    bool too_long; /* the rest of this line is skipped */
    bool idle;     /* no line came for PAUSE_MS */
    bool warned;   /* it was reported that nobody listens */
    bool unreadable;
    int64_t flushed_at; /* when presence_sender_flush_aged was called last, ns */
    size_t length;
    char buffer[BUFFER_BYTES + 1];
};

static void stream_bad(struct stream *stream, const char *reason)
{
    if (stream->bad_lines++ < BAD_LINES_SHOWN)
        log_error("line %" PRIu64 " skipped: %s", stream->line, reason);
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

static void stream_heartbeat(struct stream *stream, const char *line, size_t length)
{
    struct place_heartbeat heartbeat;
    int r = place_parse_heartbeat(line, length, &heartbeat);

    if (r < 0) {
        stream_bad(stream, r == -ENODATA
                               ? "a heartbeat without a visitor, or with an id over 512 bytes"
                               : "a malformed heartbeat");
        return;
    }
    r = presence_send_id(stream->sender, &heartbeat.place, heartbeat.id);
    if (r < 0)
        stream_bad(stream, error_reason(r));
}

/* Send a heartbeat of the visitor that `line`, zero-terminated, names. */
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

/* Send the heartbeat of a line. Its end, a LF or the zero after the last line, is overwritten. */
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

/* Send the whole lines of the buffer and remove them. A line that fills the buffer is too long. */
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

/* Report once, and as soon as possible, that the collector is not there; it may come back. */
static void stream_check(struct stream *stream)
{
    if (!stream->warned)
        stream->warned = !target_check(stream->options, stream->sender);
}

/* Read from stdin into the buffer. Returns false at its end. */
static bool stream_fill(struct stream *stream)
{
    char *end = stream->buffer + stream->length;
    ssize_t bytes = read(STDIN_FILENO, end, (size_t)(stream->buffer + BUFFER_BYTES - end));
    if (bytes < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return true;
        log_error("cannot read stdin: %s", strerror(errno));
        stream->unreadable = true;
        return false;
    }
    stream->length += (size_t)bytes;
    return bytes > 0;
}

/* Wait for input and read it. If none comes, send what is queued. Show every second that this
 * sender is alive, even if no line is complete or good. Returns false at stdin's end. */
static bool stream_read(struct stream *stream)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    int ready = interruptible_poll(&input, stream->idle ? ALIVE_MS : PAUSE_MS);
    int64_t now = monotonic_ns();

    if (ready == 0)
        presence_sender_flush(stream->sender);
    if (ready == 0 || now - stream->flushed_at >= PAUSE_MS * NS_PER_MS) {
        presence_sender_flush_aged(stream->sender);
        stream->flushed_at = now;
    }
    stream->idle = ready == 0;
    return ready <= 0 || stream_fill(stream);
}

/* After SIGTERM, read a pipe until it is closed, or for REST_MS: when Apache restarts, it first
 * ends the programs that it logs to, while its processes still write what they answer. */
static void stream_read_rest(struct stream *stream)
{
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    int64_t now = monotonic_ns(), end = now + REST_MS * NS_PER_MS;
    struct stat status;

    if (fstat(STDIN_FILENO, &status) < 0 || !S_ISFIFO(status.st_mode))
        return;
    while (now < end && poll(&input, 1, (int)((end - now) / NS_PER_MS) + 1) > 0 &&
           stream_fill(stream)) {
        stream_lines(stream);
        now = monotonic_ns();
    }
}

int stream_run(const struct options *options, struct presence_sender *sender)
{
    static struct stream stream;

    stream = (struct stream){.options = options, .sender = sender};
    while (!interrupted() && stream_read(&stream)) {
        stream_lines(&stream);
        stream_check(&stream);
    }
    if (interrupted() == SIGTERM)
        stream_read_rest(&stream);
    if (!interrupted() && (stream.length > 0 || stream.too_long))
        stream_line(&stream, stream.buffer, stream.length);

    target_flush(sender);
    stream_check(&stream);
    if (stream.bad_lines > BAD_LINES_SHOWN)
        log_error("%" PRIu64 " more line%s skipped", stream.bad_lines - BAD_LINES_SHOWN,
                  stream.bad_lines - BAD_LINES_SHOWN == 1 ? "" : "s");
    return stream.warned || stream.unreadable || stream.bad_lines > 0 ? 1 : 0;
}
