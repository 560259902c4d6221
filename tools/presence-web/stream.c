#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "limiter.h"
#include "request.h"
#include "watch.h"

#define BLOCK_BYTES   256 /* a response's buffer, filled before it is sent to HTTP/1.0 clients */
#define PERIOD_NS     (250 * NS_PER_MS)
#define KEEP_ALIVE_NS (15 * NS_PER_S)
#define GONE_BATCH    64

/* A place that a stream shows. */
struct shown {
    struct watch *watch;
    uint64_t version; /* of the event that was sent last */
};

struct stream {
    TAILQ_ENTRY(stream) by_age; /* of what was sent last */
    struct streams *streams;
    struct http_server *server;
    struct MHD_Connection *connection;
    int socket;
    struct quota *quota;
    struct text *sending; /* NULL: nothing */
    struct text *event;   /* whose fields are sent next; NULL: none */
    size_t sent;          /* bytes of `sending` */
    int64_t sent_at_ns;
    int64_t expires; /* Unix seconds */
    bool suspended;
    bool over;
    size_t next; /* place to consider first, so that each gets its turn */
    size_t count;
    struct shown shown[];
};

struct streams {
    struct web *web;
    int gone; /* epoll: sockets of clients that went away */
    size_t count;
    int64_t due_ns;
    int64_t expires;  /* Unix seconds; no stream does earlier */
    uint64_t changes; /* of the watches: those that the streams were woken for */
    struct text *begin, *resume, *alive;
    struct text *begin_event[REQUEST_PLACES_MAX]; /* up to the fields, with the place's index */
    struct watches watches;
    TAILQ_HEAD(by_age, stream) by_age;
};

/* ---- one stream ----------------------------------------------------------------------------- */

static void wake_stream(struct stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    http_server_resume(stream->server, stream->connection);
}

static void end_stream(struct stream *stream)
{
    stream->over = true;
    wake_stream(stream);
}

/* ---- what it sends -------------------------------------------------------------------------- */

/* Start sending a text, and after it the fields of `event` unless that is NULL. */
static void send_text(struct stream *stream, struct text *text, struct text *event)
{
    stream->sending = text_hold(text);
    stream->event = event ? text_hold(event) : NULL;
    stream->sent = 0;
    stream->sent_at_ns = monotonic_ns();
    TAILQ_REMOVE(&stream->streams->by_age, stream, by_age);
    TAILQ_INSERT_TAIL(&stream->streams->by_age, stream, by_age);
}

/* Send a place's event; if the stream shows several, it says which one it is about. */
static void send_event(struct stream *stream, size_t place)
{
    struct shown *shown = &stream->shown[place];

    shown->version = shown->watch->version;
    if (stream->count == 1)
        send_text(stream, shown->watch->event, NULL);
    else
        send_text(stream, stream->streams->begin_event[place], shown->watch->event);
}

static bool is_news(const struct shown *shown)
{
    return shown->version != shown->watch->version && shown->watch->event;
}

static bool is_due(const struct stream *stream, int64_t now_ns)
{
    for (size_t i = 0; i < stream->count; i++) {
        if (is_news(&stream->shown[i]))
            return true;
    }
    return now_ns - stream->sent_at_ns >= KEEP_ALIVE_NS;
}

/* Choose what to send next. False if there is nothing. */
static bool choose_text(struct stream *stream)
{
    for (size_t i = 0; i < stream->count; i++) {
        size_t place = (stream->next + i) % stream->count;
        if (is_news(&stream->shown[place])) {
            stream->next = place + 1;
            send_event(stream, place);
            return true;
        }
    }
    if (monotonic_ns() - stream->sent_at_ns < KEEP_ALIVE_NS)
        return false;
    send_text(stream, stream->streams->alive, NULL);
    return true;
}

/* Go on with the fields of the event, if there is one. */
static void end_text(struct stream *stream)
{
    text_release(stream->sending);
    stream->sending = stream->event;
    stream->sent = stream->event ? stream->event->fields : 0;
    stream->event = NULL;
}

/* Copy up to `size` bytes of what is to be sent. Return how many. */
static size_t copy_texts(struct stream *stream, char *buffer, size_t size)
{
    size_t copied = 0;

    while (copied < size && (stream->sending || choose_text(stream))) {
        struct text *text = stream->sending;
        size_t left = text->length - stream->sent, room = size - copied,
               length = left < room ? left : room;
        memcpy(buffer + copied, text->bytes + stream->sent, length);
        copied += length;
        stream->sent += length;
        if (length == left)
            end_text(stream);
    }
    return copied;
}

/* Supply up to `size` more bytes of a stream to libmicrohttpd. */
static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t size)
{
    struct stream *stream = context;

    (void)position;
    if (stream->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t copied = copy_texts(stream, buffer, size);
    if (copied == 0) {
        stream->suspended = true;
        MHD_suspend_connection(stream->connection);
    }
    return (ssize_t)copied;
}

/* ---- begin and end -------------------------------------------------------------------------- */

/* Get the watches of the places to show. False, with some of them, if there is no memory. */
static bool get_watches(struct stream *stream, const struct request_places *query)
{
    struct watches *watches = &stream->streams->watches;

    for (; stream->count < query->count; stream->count++) {
        struct watch *watch = watches_get(watches, &query->places[stream->count], query->window_s);
        if (!watch)
            return false;
        stream->shown[stream->count].watch = watch;
    }
    return true;
}

static void put_watches(struct stream *stream)
{
    while (stream->count)
        watches_put(&stream->streams->watches, stream->shown[--stream->count].watch);
}

/* Free a stream. libmicrohttpd calls this when the connection is over. */
static void free_stream(void *context)
{
    struct stream *stream = context;
    struct streams *streams = stream->streams;

    epoll_ctl(streams->gone, EPOLL_CTL_DEL, stream->socket, NULL);
    TAILQ_REMOVE(&streams->by_age, stream, by_age);
    streams->count--;
    limiter_close_stream(streams->web->limiter, stream->quota, stream->count);
    put_watches(stream);
    text_release(stream->sending);
    text_release(stream->event);
    free(stream);
}

/* Return the id of the last event that the client has seen in a broken stream, or NULL. */
static const char *last_seen(const struct http_request *request)
{
    const char *id = http_request_header(request, "Last-Event-ID");

    return id ? id : http_request_query(request, "last_event_id");
}

/* Start with all numbers; with nothing if the client has seen the number of its only place. */
static void send_first(struct stream *stream, const struct http_request *request)
{
    const char *seen = last_seen(request);
    struct shown *first = &stream->shown[0];

    for (size_t i = 0; i < stream->count; i++)
        watch_refresh(stream->shown[i].watch, stream->streams->web->live);
    bool resumes = stream->count == 1 && seen && strcmp(seen, first->watch->id) == 0;
    if (resumes)
        first->version = first->watch->version;
    send_text(stream, resumes ? stream->streams->resume : stream->streams->begin, NULL);
}

/* Begin a stream whose places are counted in `quota`. Return NULL if there is no memory. */
static struct stream *new_stream(struct streams *streams, struct http_request *request,
                                 const struct request_places *query, struct quota *quota)
{
    struct stream *stream = calloc(1, sizeof(*stream) + query->count * sizeof(stream->shown[0]));

    if (!stream)
        return NULL;
    stream->streams = streams;
    if (!get_watches(stream, query)) {
        put_watches(stream);
        free(stream);
        return NULL;
    }
    stream->server = request->server;
    stream->connection = request->connection;
    stream->socket =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    stream->quota = quota;
    stream->expires = query->expires;
    stream->over = streams->web->ending;
    TAILQ_INSERT_TAIL(&streams->by_age, stream, by_age);
    streams->count++;
    if (stream->expires < streams->expires)
        streams->expires = stream->expires;
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = stream};
    epoll_ctl(streams->gone, EPOLL_CTL_ADD, stream->socket,
              &event); /* if this fails, a write discovers that the client is gone */
    send_first(stream, request);
    return stream;
}

/* Begin a stream; it is freed with the response. Return NULL if there is no memory. */
static struct MHD_Response *begin_stream(struct streams *streams, struct http_request *request,
                                         const struct request_places *query, struct quota *quota)
{
    struct stream *stream = new_stream(streams, request, query, quota);

    if (!stream) {
        limiter_close_stream(streams->web->limiter, quota, query->count);
        return NULL;
    }
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, stream, free_stream);
    if (!response) {
        free_stream(stream);
        return NULL;
    }
    MHD_add_response_header(response, "Content-Type", "text/event-stream; charset=utf-8");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    return response;
}

/* ---- all streams ---------------------------------------------------------------------------- */

/* Make the texts that all streams share. False if there is no memory. */
static bool make_texts(struct streams *streams)
{
    char text[64];

    streams->begin = text_new("retry: 2000\n\n");
    streams->resume = text_new("retry: 2000\n: resumed\n\n");
    streams->alive = text_new("event: alive\ndata: {}\n\n");
    for (int i = 0; i < REQUEST_PLACES_MAX; i++) {
        snprintf(text, sizeof(text), "event: count\ndata: {\"place\":%d,", i);
        streams->begin_event[i] = text_new(text);
        if (!streams->begin_event[i])
            return false;
    }
    return streams->begin && streams->resume && streams->alive;
}

int streams_open(struct web *web, struct streams **ret)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    int r = -ENOMEM;

    if (!streams)
        return r;
    TAILQ_INIT(&streams->by_age);
    streams->web = web;
    streams->expires = INT64_MAX;
    streams->gone = epoll_create1(EPOLL_CLOEXEC);
    if (streams->gone < 0) {
        r = -errno;
        goto fail;
    }
    if (!make_texts(streams))
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
    text_release(streams->alive);
    for (int i = 0; i < REQUEST_PLACES_MAX; i++)
        text_release(streams->begin_event[i]);
    if (streams->gone >= 0)
        close(streams->gone);
    free(streams);
}

enum MHD_Result streams_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct client client = request_client(web, request);
    struct request_places query;
    struct quota *quota;
    struct problem problem;

    if (!request_parse_places(web, request, &query, &problem) ||
        !request_open_stream(web, &client, query.count, &quota, &problem))
        return respond_problem(web, request, &problem);
    struct MHD_Response *response = begin_stream(web->streams, request, &query, quota);
    http_request_streams(request);
    if (web->streams->count == 1)
        web->streams->due_ns = monotonic_ns() + PERIOD_NS;
    return respond(web, request, MHD_HTTP_OK, response);
}

/* ---- timers --------------------------------------------------------------------------------- */

static void end_gone_streams(struct streams *streams)
{
    struct epoll_event events[GONE_BATCH];
    int count;

    do {
        count = epoll_wait(streams->gone, events, GONE_BATCH, 0);
        for (int i = 0; i < count; i++)
            end_stream(events[i].data.ptr);
    } while (count == GONE_BATCH);
}

/* Wake the streams that have something to send, and end those that have expired: without news, only
 * those that were silent for longest are looked at. A stream that isn't suspended finds its news
 * itself. */
static void wake_due_streams(struct streams *streams, int64_t now_ns)
{
    struct stream *stream;
    time_t now = time(NULL);
    bool all = streams->changes != streams->watches.changes || streams->expires <= now;

    streams->changes = streams->watches.changes;
    if (all)
        streams->expires = INT64_MAX;
    TAILQ_FOREACH(stream, &streams->by_age, by_age)
    {
        if (!all && now_ns - stream->sent_at_ns < KEEP_ALIVE_NS)
            return;
        if (stream->expires <= now) {
            end_stream(stream);
            continue;
        }
        if (stream->expires < streams->expires)
            streams->expires = stream->expires;
        if (is_due(stream, now_ns))
            wake_stream(stream);
    }
}

int64_t streams_run_timers(struct streams *streams, int64_t now_ns)
{
    if (streams->count == 0)
        return INT64_MAX;
    if (now_ns < streams->due_ns)
        return streams->due_ns;
    streams->due_ns = now_ns + PERIOD_NS;
    end_gone_streams(streams);
    watches_poll(&streams->watches, streams->web->live);
    wake_due_streams(streams, now_ns);
    return streams->due_ns;
}

void streams_end(struct streams *streams)
{
    struct stream *stream;

    TAILQ_FOREACH(stream, &streams->by_age, by_age)
    end_stream(stream);
}
