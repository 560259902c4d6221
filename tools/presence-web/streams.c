#include "streams.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "client.h"
#include "common/monotonic.h"
#include "query.h"
#include "watch.h"

#define BLOCK_BYTES 1024 /* that a response buffers where it can't be sent in chunks (HTTP/1.0) */
#define GONE_BATCH  64
#define RETRY_S     5 /* for a client that finds no room */

struct stream {
    TAILQ_ENTRY(stream) by_age; /* of what was sent last */
    struct streams *streams;
    struct watch *watch;
    struct MHD_Connection *connection;
    int socket;
    struct host client;
    struct text *sending; /* NULL: nothing */
    size_t sent;          /* of it */
    uint64_t version;     /* of the event that was sent last */
    int64_t sent_at_ns;
    int64_t expires; /* Unix seconds */
    bool suspended;
    bool over;
};

struct streams {
    struct web *web;
    int gone; /* epoll: sockets of clients that have gone away */
    size_t count;
    int64_t due_ns;
    struct text *begin, *resume, *keep_alive;
    void *places; /* watches, searched by tsearch(3) */
    LIST_HEAD(, watch) watches;
    TAILQ_HEAD(by_age, stream) by_age;
};

int streams_open(struct web *web, struct streams **ret)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    int r = -ENOMEM;

    if (!streams)
        return r;
    LIST_INIT(&streams->watches);
    TAILQ_INIT(&streams->by_age);
    streams->web = web;
    streams->begin = text_new("retry: 2000\n\n");
    streams->resume = text_new("retry: 2000\n: resumed\n\n");
    streams->keep_alive = text_new(": keep-alive\n\n");
    streams->gone = epoll_create1(EPOLL_CLOEXEC);
    if (streams->gone < 0) {
        r = -errno;
        goto fail;
    }
    if (!streams->begin || !streams->resume || !streams->keep_alive)
        goto fail;
    *ret = streams;
    return 0;

fail:
    streams_close(streams);
    return r;
}

void streams_close(struct streams *streams)
{
    if (!streams)
        return;
    text_release(streams->begin);
    text_release(streams->resume);
    text_release(streams->keep_alive);
    if (streams->gone >= 0)
        close(streams->gone);
    free(streams);
}

size_t streams_count(const struct streams *streams)
{
    return streams->count;
}

/* ---- watches ----------------------------------------------------------------------------- */

static int compare_watches(const void *left, const void *right)
{
    const struct watch *a = left, *b = right;
    int order = strcmp(a->place.site, b->place.site);

    if (order == 0)
        order = strcmp(a->place.room, b->place.room);
    if (order == 0)
        order = (a->window_s > b->window_s) - (a->window_s < b->window_s);
    return order;
}

/* The watch of a place, which is begun if there is none. NULL: no memory. */
static struct watch *take_watch(struct streams *streams, const struct place *place,
                                uint32_t window_s)
{
    struct watch *watch = watch_new(place, window_s);

    if (!watch)
        return NULL;
    struct watch **found = tsearch(watch, &streams->places, compare_watches);
    if (!found || *found != watch)
        watch_free(watch);
    if (!found)
        return NULL;
    if (*found == watch)
        LIST_INSERT_HEAD(&streams->watches, watch, all);
    (*found)->streams++;
    return *found;
}

static void leave_watch(struct streams *streams, struct watch *watch)
{
    if (--watch->streams)
        return;
    tdelete(watch, &streams->places, compare_watches);
    LIST_REMOVE(watch, all);
    watch_free(watch);
}

/* ---- one stream -------------------------------------------------------------------------- */

static void wake(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    MHD_resume_connection(stream->connection);
}

static void end(struct stream *stream)
{
    stream->over = true;
    wake(stream);
}

static void send_text(struct stream *stream, struct text *text)
{
    stream->sending = text_hold(text);
    stream->sent = 0;
    stream->sent_at_ns = monotonic_ns();
    TAILQ_REMOVE(&stream->streams->by_age, stream, by_age);
    TAILQ_INSERT_TAIL(&stream->streams->by_age, stream, by_age);
}

/* Choose what is to be sent next, if there is anything. */
static void choose_text(struct stream *stream)
{
    struct watch *watch = stream->watch;

    if (stream->version != watch->version && watch->event) {
        stream->version = watch->version;
        send_text(stream, watch->event);
    } else if (monotonic_ns() - stream->sent_at_ns >= STREAMS_KEEP_ALIVE_NS) {
        send_text(stream, stream->streams->keep_alive);
    }
}

/* libmicrohttpd: give it up to `size` bytes more. */
static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t size)
{
    struct stream *stream = context;

    (void)position;
    if (stream->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!stream->sending)
        choose_text(stream);
    if (!stream->sending) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
        return 0;
    }
    struct text *text = stream->sending;
    size_t left = text->length - stream->sent, length = left < size ? left : size;
    memcpy(buffer, text->bytes + stream->sent, length);
    stream->sent += length;
    if (length == left) {
        stream->sending = NULL;
        text_release(text);
    }
    return (ssize_t)length;
}

/* libmicrohttpd: the connection is over. */
static void free_stream(void *context)
{
    struct stream *stream = context;
    struct streams *streams = stream->streams;

    epoll_ctl(streams->gone, EPOLL_CTL_DEL, stream->socket, NULL);
    TAILQ_REMOVE(&streams->by_age, stream, by_age);
    leave_watch(streams, stream->watch);
    text_release(stream->sending);
    streams->count--;
    free(stream);
}

/* What the client has seen already, in a stream that broke off. */
static const char *last_seen(const struct http_request *request)
{
    const char *id = http_request_header(request, "Last-Event-ID");

    return id ? id : http_request_query(request, "last_event_id");
}

static struct stream *begin_stream(struct streams *streams, struct http_request *request,
                                   struct watch *watch, const struct host *client)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct stream *stream = calloc(1, sizeof(*stream));
    const char *seen = last_seen(request);

    if (!stream)
        return NULL;
    stream->streams = streams;
    stream->watch = watch;
    stream->connection = request->connection;
    stream->socket = info->connect_fd;
    stream->client = *client;
    stream->over = streams->web->ending;
    TAILQ_INSERT_TAIL(&streams->by_age, stream, by_age);
    streams->count++;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = stream};
    epoll_ctl(streams->gone, EPOLL_CTL_ADD, stream->socket, &event); /* or it is found out later */
    watch_refresh(watch, streams->web->numbers);
    bool resumes = seen && strcmp(seen, watch->id) == 0;
    if (resumes)
        stream->version = watch->version;
    send_text(stream, resumes ? streams->resume : streams->begin);
    return stream;
}

static struct MHD_Response *stream_response(struct streams *streams, struct http_request *request,
                                            const struct place *place, uint32_t window_s,
                                            const struct host *client, int64_t expires)
{
    struct watch *watch = take_watch(streams, place, window_s);

    if (!watch)
        return NULL;
    struct stream *stream = begin_stream(streams, request, watch, client);
    if (!stream) {
        leave_watch(streams, watch);
        return NULL;
    }
    stream->expires = expires;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream, free_stream);
    if (!response) {
        free_stream(stream);
        return NULL;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream; charset=utf-8");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    if (streams->count == 1)
        streams->due_ns = monotonic_ns() + STREAMS_PERIOD_NS;
    return response;
}

/* ---- who may have one -------------------------------------------------------------------- */

static size_t streams_of(const struct streams *streams, const struct host *client)
{
    const struct stream *stream;
    size_t count = 0;

    TAILQ_FOREACH(stream, &streams->by_age, by_age)
    count += memcmp(&stream->client, client, sizeof(*client)) == 0;
    return count;
}

static bool is_within_limits(const struct streams *streams, const struct host *client,
                             struct problem *problem)
{
    const struct options *options = &streams->web->options;

    if (streams->count >= options->max_streams)
        problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "too_many_streams",
                    "there are too many streams: see --max-streams");
    else if (options->client_streams && streams_of(streams, client) >= options->client_streams)
        problem_set(problem, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited",
                    "this client has too many streams: see --client-streams");
    else
        return true;
    problem->retry_s = RETRY_S;
    return false;
}

enum MHD_Result streams_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct client client = client_of(web, request);
    struct place place;
    struct token_use use = {.place = &place};
    uint32_t window_s;
    int64_t expires = INT64_MAX;
    struct problem problem;

    if (!query_origin(web, request, &problem) || !query_place(web, request, &place, &problem) ||
        !query_window(request, &window_s, &problem) ||
        (!access_has_key(web, request) &&
         !access_may_use(web, request, http_request_query(request, "token"), &use, &expires,
                         &problem)) ||
        !is_within_limits(web->streams, &client.host, &problem))
        return reply_problem(web, request, &problem);
    http_request_streams(request);
    return reply(web, request, MHD_HTTP_OK,
                 stream_response(web->streams, request, &place, window_s, &client.host, expires));
}

/* ---- all of them ------------------------------------------------------------------------- */

static void end_those_gone(struct streams *streams)
{
    struct epoll_event events[GONE_BATCH];
    int count;

    do {
        count = epoll_wait(streams->gone, events, GONE_BATCH, 0);
        for (int i = 0; i < count; i++)
            end(events[i].data.ptr);
    } while (count == GONE_BATCH);
}

static void look_at_places(struct streams *streams)
{
    struct watch *watch;

    LIST_FOREACH(watch, &streams->watches, all)
    watch_look(watch, streams->web->numbers);
}

static void wake_those_due(struct streams *streams, int64_t now_ns)
{
    struct stream *stream;
    time_t now = time(NULL);

    TAILQ_FOREACH(stream, &streams->by_age, by_age)
    {
        if (stream->expires <= now)
            end(stream);
        else if (stream->version != stream->watch->version ||
                 now_ns - stream->sent_at_ns >= STREAMS_KEEP_ALIVE_NS)
            wake(stream);
    }
}

int64_t streams_look(struct streams *streams, int64_t now_ns)
{
    if (streams->count == 0)
        return INT64_MAX;
    if (now_ns < streams->due_ns)
        return streams->due_ns;
    streams->due_ns = now_ns + STREAMS_PERIOD_NS;
    end_those_gone(streams);
    look_at_places(streams);
    wake_those_due(streams, now_ns);
    return streams->due_ns;
}

void streams_end(struct streams *streams)
{
    struct stream *stream;

    TAILQ_FOREACH(stream, &streams->by_age, by_age)
    end(stream);
}
