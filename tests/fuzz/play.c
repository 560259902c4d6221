#include "play.h"

#include <arpa/inet.h>
#include <common/monotonic.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX  (1 << 20)
#define IDLE_TURNS  10                 /* without a byte: nothing more comes */
#define TURN_NS     INT64_C(100000000) /* by which the clock is moved at each of them */
#define CLOSE_TURNS 200                /* in which a server notices that a client has gone */
#define PATIENCE_S  20                 /* by which the clock is then moved, each time */

static int64_t ahead_ns; /* of CLOCK_MONOTONIC */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = __real_clock_gettime(clock, ret);

    if (clock != CLOCK_MONOTONIC)
        return r;
    int64_t ns = ret->tv_nsec + ahead_ns;
    ret->tv_sec += ns / NS_PER_S;
    ret->tv_nsec = ns % NS_PER_S;
    return r;
}

int play_listen(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    fuzz_check(fd >= 0);
    fuzz_check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    fuzz_check(listen(fd, 16) == 0);
    return fd;
}

static int connect_to(int listening)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct pollfd connected = {.fd = fd, .events = POLLOUT};
    const struct linger reset = {.l_onoff = 1}; /* thousands of clients would use up the ports */

    fuzz_check(getsockname(listening, (struct sockaddr *)&address, &length) == 0);
    fuzz_check(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, length) < 0 && errno != EINPROGRESS)
        fuzz_fail("cannot connect: %s", strerror(errno));
    while (poll(&connected, 1, -1) < 0)
        fuzz_check(errno == EINTR); /* by libFuzzer's alarm, which ends a blocking connect(), too */
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return fd;
}

/* ---- answers ----------------------------------------------------------------------------- */

/* The answer's headers, as far as they matter. */
struct answer {
    unsigned status;
    long length; /* of the body; -1: not told */
    bool is_json;
};

static void read_header(const char *line, struct answer *answer)
{
    static const char length[] = "Content-Length: ", type[] = "Content-Type: ";

    fuzz_check(strchr(line, ':'));
    for (const char *at = line; *at; at++)
        fuzz_check((unsigned char)*at >= ' ' || *at == '\t');
    if (strncasecmp(line, length, sizeof(length) - 1) == 0)
        answer->length = atol(line + sizeof(length) - 1);
    if (strncasecmp(line, type, sizeof(type) - 1) == 0)
        answer->is_json = strstr(line, "json") != NULL;
}

/* Read the head of an answer. Returns the text behind it; NULL: it is not complete. */
static char *read_head(char *text, struct answer *answer)
{
    char *end = strstr(text, "\r\n\r\n");
    int status = 0;

    if (!end)
        return NULL;
    end[2] = '\0';
    *answer = (struct answer){.length = -1};
    if (sscanf(text, "HTTP/1.1 %3d", &status) != 1 && sscanf(text, "HTTP/1.0 %3d", &status) != 1)
        fuzz_fail("not an answer: %.100s", text);
    fuzz_check(status >= 100 && status <= 599);
    if (status == 500)
        fuzz_fail("the server has failed: %.200s", end + 4);
    answer->status = (unsigned)status;
    for (char *line = strstr(text, "\r\n") + 2, *next; *line; line = next) {
        next = strstr(line, "\r\n");
        *next = '\0';
        next += 2;
        read_header(line, answer);
    }
    return end + 4;
}

static void check_json(const char *body, size_t length)
{
    json_error_t error;
    json_t *json = json_loadb(body, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (!json)
        fuzz_fail("not JSON: %s: %.*s", error.text, (int)length, body);
    json_decref(json);
}

/* Check the answers one by one, as far as their bodies' lengths are known. */
static void check_answers(char *text, size_t size, bool has_no_bodies)
{
    struct answer answer;
    char *end = text + size;

    while (text < end && (text = read_head(text, &answer))) {
        if (answer.status == 100)
            continue;
        if (answer.length < 0 || answer.status == 304 || has_no_bodies ||
            answer.length > end - text)
            return;
        if (answer.is_json)
            check_json(text, (size_t)answer.length);
        text += answer.length;
    }
}

/* ---- the client -------------------------------------------------------------------------- */

static void turn(const struct play *play)
{
    if (play->turn)
        play->turn(play->data);
    http_server_turn(play->server, 0);
}

/* Read what has come. Returns whether anything has; clears `open` at the end. */
static bool read_some(int fd, char *answer, size_t *used, bool *open)
{
    ssize_t length = recv(fd, answer + *used, ANSWER_MAX - *used, MSG_DONTWAIT);

    *open = !(length == 0 || (length < 0 && errno != EAGAIN));
    if (length <= 0)
        return false;
    *used += (size_t)length;
    return true;
}

static size_t talk(const struct play *play, int fd, struct fuzz_input bytes, char *answer)
{
    size_t used = 0;
    bool open = true;

    for (unsigned idle = 0; open && idle < IDLE_TURNS && used < ANSWER_MAX;) {
        ssize_t sent = bytes.size ? send(fd, bytes.bytes, bytes.size, MSG_NOSIGNAL) : 0;
        if (sent > 0) {
            bytes.bytes += sent;
            bytes.size -= (size_t)sent;
        }
        turn(play);
        idle = read_some(fd, answer, &used, &open) || sent > 0 ? 0 : idle + 1;
        ahead_ns += idle > 1 ? TURN_NS : 0; /* timers of touches, rooms and streams are due */
    }
    return used;
}

void play_client(const struct play *play, struct fuzz_input bytes)
{
    static char answer[ANSWER_MAX + 1];
    bool head = bytes.size >= 4 && memmem(bytes.bytes, bytes.size, "HEAD", 4);
    int fd = connect_to(play->socket);
    size_t used = talk(play, fd, bytes, answer);

    answer[used] = '\0';
    close(fd);
    for (unsigned i = 1; http_server_connections(play->server) > 0; i++) {
        if (i == CLOSE_TURNS)
            fuzz_fail("the server keeps a connection whose client has gone");
        if (i % 4 == 0) /* a stream sends a sign of life, and learns of it */
            ahead_ns += PATIENCE_S * NS_PER_S;
        turn(play);
    }
    check_answers(answer, used, head);
}
