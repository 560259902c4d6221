/* input.c - send the heartbeats that stdin names, one per line. */
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

struct input {
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

static void input_bad(struct input *input, const char *reason)
{
    if (input->bad_lines++ < BAD_LINES_SHOWN)
        log_error("line %" PRIu64 " skipped: %s", input->line, reason);
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

static void input_heartbeat(struct input *input, const char *line, size_t length)
{
    struct place_heartbeat heartbeat;
    int r = place_parse_heartbeat(line, length, &heartbeat);

    if (r < 0) {
        input_bad(input, r == -ENODATA
                             ? "a heartbeat without a visitor, or with an id over 512 bytes"
                             : "a malformed heartbeat");
        return;
    }
    r = presence_send_id(input->sender, &heartbeat.place, heartbeat.id);
    if (r < 0)
        input_bad(input, error_reason(r));
}

/* Send a heartbeat of the visitor that `line`, zero-terminated, names. */
static void input_visitor(struct input *input, const char *line, size_t length)
{
    if (!input->options->place.site) {
        input_bad(input, "an id alone needs --site");
        return;
    }
    if (memchr(line, '\0', length)) {
        input_bad(input, "the id has a zero byte");
        return;
    }
    int error = presence_send(input->sender, &input->options->place, line);
    if (error < 0)
        input_bad(input, error_reason(error));
}

/* Send the heartbeat of a line. Its end, a LF or the zero after the last line, is overwritten. */
static void input_line(struct input *input, char *line, size_t length)
{
    input->line++;
    if (input->too_long || length > LINE_MAX_BYTES) {
        input->too_long = false;
        input_bad(input, "the line is too long");
        return;
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    if (length >= 4 && memcmp(line, "PH1 ", 4) == 0)
        input_heartbeat(input, line, length);
    else
        input_visitor(input, line, length);
}

/* Send the whole lines of the buffer and remove them. A line that fills the buffer is too long. */
static void input_lines(struct input *input)
{
    char *line = input->buffer, *end = input->buffer + input->length, *feed;

    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        input_line(input, line, (size_t)(feed - line));
        line = feed + 1;
    }
    input->length = (size_t)(end - line);
    if (input->length > LINE_MAX_BYTES + 1) {
        input->too_long = true;
        input->length = 0;
    }
    memmove(input->buffer, line, input->length);
}

/* Report once, and as soon as possible, that the collector is not there; it may come back. */
static void input_check(struct input *input)
{
    if (!input->warned)
        input->warned = !target_check(input->options, input->sender);
}

/* Read from stdin into the buffer. Returns false at its end. */
static bool input_fill(struct input *input)
{
    char *end = input->buffer + input->length;
    ssize_t bytes = read(STDIN_FILENO, end, (size_t)(input->buffer + BUFFER_BYTES - end));
    if (bytes < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return true;
        log_error("cannot read stdin: %s", strerror(errno));
        input->unreadable = true;
        return false;
    }
    input->length += (size_t)bytes;
    return bytes > 0;
}

/* Wait for input and read it. If none comes, send what is queued. Show every second that this
 * sender is alive, even if no line is complete or good. Returns false at stdin's end. */
static bool input_read(struct input *input)
{
    struct pollfd readable = {STDIN_FILENO, POLLIN, 0};
    int ready = interruptible_poll(&readable, input->idle ? ALIVE_MS : PAUSE_MS);
    int64_t now = monotonic_ns();

    if (ready == 0)
        presence_sender_flush(input->sender);
    if (ready == 0 || now - input->flushed_at >= PAUSE_MS * NS_PER_MS) {
        presence_sender_flush_aged(input->sender);
        input->flushed_at = now;
    }
    input->idle = ready == 0;
    return ready <= 0 || input_fill(input);
}

/* After SIGTERM, read a pipe until it is closed, or for REST_MS: when Apache restarts, it first
 * ends the programs that it logs to, while its processes still write what they answer. */
static void input_read_rest(struct input *input)
{
    struct pollfd readable = {STDIN_FILENO, POLLIN, 0};
    int64_t now = monotonic_ns(), end = now + REST_MS * NS_PER_MS;
    struct stat status;

    if (fstat(STDIN_FILENO, &status) < 0 || !S_ISFIFO(status.st_mode))
        return;
    while (now < end && poll(&readable, 1, (int)((end - now) / NS_PER_MS) + 1) > 0 &&
           input_fill(input)) {
        input_lines(input);
        now = monotonic_ns();
    }
}

int input_run(const struct options *options, struct presence_sender *sender)
{
    static struct input input;

    input = (struct input){.options = options, .sender = sender};
    while (!interrupted() && input_read(&input)) {
        input_lines(&input);
        input_check(&input);
    }
    if (interrupted() == SIGTERM)
        input_read_rest(&input);
    if (!interrupted() && (input.length > 0 || input.too_long))
        input_line(&input, input.buffer, input.length);

    target_flush(sender);
    input_check(&input);
    if (input.bad_lines > BAD_LINES_SHOWN)
        log_error("%" PRIu64 " more line%s skipped", input.bad_lines - BAD_LINES_SHOWN,
                  input.bad_lines - BAD_LINES_SHOWN == 1 ? "" : "s");
    return input.warned || input.unreadable || input.bad_lines > 0 ? 1 : 0;
}
