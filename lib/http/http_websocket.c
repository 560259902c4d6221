#include "http_websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

#include "common/monotonic.h"
#include "http_handshake.h"
#include "http_reply.h"
#include "http_upgrade.h"
#include "http_websocket_input.h"
#include "http_websocket_output.h"

#define BATCH         64             /* connections that are served in a turn */
#define CLOSE_NS      (3 * NS_PER_S) /* for the client to close, too */
#define SEND_BUFFER   8192           /* in the kernel; it doubles this */
#define DISCARD_BYTES 4096
#define PONG_BYTES    127 /* a pong behind a full queue */

enum state {
    OPENING, /* libmicrohttpd sends the answer to the handshake */
    REFUSED, /* as before, and a close frame waits */
    OPEN,
    CLOSING,  /* a close frame was queued; the client's is awaited */
    FINISHED, /* nothing is read any more, but the end of the input is awaited */
    ENDED,    /* only `closed` is to be called */
};

struct http_websocket {
    struct http_websockets *all;
    TAILQ_ENTRY(http_websocket) link; /* in the list of its state */
    const struct http_websocket_events *events;
    void *data;
    struct http_connection *connection;
    int socket; /* -1: not taken over yet */
    enum state state;
    bool is_writable_wanted;
    int64_t deadline_ns; /* of CLOSING and FINISHED */
    struct websocket_output output;
    struct websocket_input input;
};

TAILQ_HEAD(websocket_list, http_websocket);

/* The WebSockets of a server. */
struct http_websockets {
    struct http_upgrades upgrades; /* first: what the server knows of it */
    struct http_server *server;
    struct websocket_list open;    /* OPENING to OPEN */
    struct websocket_list closing; /* CLOSING and FINISHED, by deadline */
    struct websocket_list ended;
    struct websocket_frames *spare;
    struct websocket_maker maker;
};

/* ---- the end of one ------------------------------------------------------------------------- */

static struct websocket_list *list_of(struct http_websocket *websocket)
{
    struct http_websockets *all = websocket->all;

    return websocket->state <= OPEN       ? &all->open
           : websocket->state <= FINISHED ? &all->closing
                                          : &all->ended;
}

static void enter(struct http_websocket *websocket, enum state state)
{
    struct websocket_list *from = list_of(websocket);

    websocket->state = state;
    if (list_of(websocket) == from)
        return;
    TAILQ_REMOVE(from, websocket, link);
    TAILQ_INSERT_TAIL(list_of(websocket), websocket, link);
}

static bool is_open(const struct http_websocket *websocket)
{
    return websocket->state == OPENING || websocket->state == OPEN;
}

/* Close the socket. `closed` is called at the end of the turn. */
static void end_connection(struct http_websocket *websocket)
{
    if (websocket->state == ENDED)
        return;
    enter(websocket, ENDED);
    if (websocket->socket >= 0) {
        /* Closing alone would leave it in the set as long as libmicrohttpd has its descriptor. */
        epoll_ctl(websocket->all->upgrades.ready, EPOLL_CTL_DEL, websocket->socket, NULL);
        close(websocket->socket);
    }
    websocket->socket = -1;
    http_server_release(websocket->all->server, websocket->connection);
    websocket->connection = NULL;
    http_server_wake(websocket->all->server);
}

static void free_websocket(struct http_websocket *websocket)
{
    TAILQ_REMOVE(list_of(websocket), websocket, link);
    websocket_input_end(&websocket->input);
    websocket_output_end(&websocket->output);
    free(websocket);
}

/* Call `closed` for those that are over; this may end others. */
static void report_ended(struct http_websockets *all)
{
    struct http_websocket *websocket;

    while ((websocket = TAILQ_FIRST(&all->ended))) {
        websocket->events->closed(websocket->data);
        free_websocket(websocket);
    }
}

/* ---- output --------------------------------------------------------------------------------- */

/* True if something waits to be sent. */
static bool is_waiting(const struct http_websocket *websocket)
{
    return websocket_output_waiting(&websocket->output) > 0;
}

/* Hear of room in the kernel's buffer while something waits. */
static void want_writable(struct http_websocket *websocket)
{
    bool wanted = is_waiting(websocket);
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = websocket};

    if (wanted == websocket->is_writable_wanted || websocket->socket < 0)
        return;
    epoll_ctl(websocket->all->upgrades.ready, EPOLL_CTL_MOD, websocket->socket, &event);
    websocket->is_writable_wanted = wanted;
}

/* Send the frame that was made last. */
static int send_frame(struct http_websocket *websocket)
{
    const struct websocket_maker *maker = &websocket->all->maker;
    int r =
        websocket_output_send(&websocket->output, websocket->socket, maker->frame, maker->length);

    if (r == -EPIPE) {
        end_connection(websocket);
        return -ENOTCONN;
    }
    want_writable(websocket);
    return r;
}

int http_websocket_send(struct http_websocket *websocket, const char *text, size_t length)
{
    struct http_websockets *all = websocket->all;

    if (length > HTTP_WEBSOCKET_MESSAGE_BYTES)
        return -EMSGSIZE;
    if (!is_open(websocket))
        return -ENOTCONN;
    websocket_make(&all->maker, WSLAY_TEXT_FRAME, text, length);
    if (websocket_output_waiting(&websocket->output) + all->maker.length >
        HTTP_WEBSOCKET_QUEUE_BYTES)
        return -ENOBUFS;
    return send_frame(websocket);
}

/* Answer a ping. Where so much waits that there is no room, the client doesn't read: it gets no
 * answer. */
static void send_pong(struct http_websocket *websocket, const char *payload, size_t length)
{
    struct websocket_maker *maker = &websocket->all->maker;

    websocket_make(maker, WSLAY_PONG, payload, length);
    if (websocket_output_waiting(&websocket->output) + maker->length <=
        HTTP_WEBSOCKET_QUEUE_BYTES + PONG_BYTES)
        send_frame(websocket);
}

/* ---- closing -------------------------------------------------------------------------------- */

/* Read no more, and await the end of the input: closing at once would reset the connection if bytes
 * came, and the client might lose the close frame. */
static void finish(struct http_websocket *websocket)
{
    enter(websocket, FINISHED);
    websocket_input_end(&websocket->input);
    if (!is_waiting(websocket))
        shutdown(websocket->socket, SHUT_WR);
}

static void start_deadline(struct http_websocket *websocket)
{
    websocket->deadline_ns = monotonic_ns() + CLOSE_NS;
}

/* Send a close frame; a code of 0 makes it empty. `state`: CLOSING or FINISHED. */
static void start_closing(struct http_websocket *websocket, unsigned code, const char *reason,
                          size_t length, enum state state)
{
    websocket_make_close(&websocket->all->maker, code, reason, length);
    /* While libmicrohttpd has the connection, it isn't over, even if there is no memory for the
     * frame: on_upgrade will come. */
    if (send_frame(websocket) < 0 && websocket->state != OPENING) {
        end_connection(websocket);
        return;
    }
    start_deadline(websocket);
    if (state == FINISHED)
        finish(websocket);
    else
        enter(websocket, websocket->state == OPENING ? REFUSED : CLOSING);
}

void http_websocket_close(struct http_websocket *websocket, unsigned code, const char *reason)
{
    if (is_open(websocket))
        start_closing(websocket, code, reason, strlen(reason), CLOSING);
}

/* Send what waits. */
static void flush(struct http_websocket *websocket)
{
    if (!is_waiting(websocket))
        return;
    if (websocket_output_flush(&websocket->output, websocket->socket) < 0) {
        end_connection(websocket);
        return;
    }
    want_writable(websocket);
    if (is_waiting(websocket))
        return;
    if (websocket->state == FINISHED)
        shutdown(websocket->socket, SHUT_WR);
    else if (websocket->state == OPEN && websocket->events->drained)
        websocket->events->drained(websocket->data);
}

/* ---- input ---------------------------------------------------------------------------------- */

/* Handle a close frame of the client's, or a fault. */
static void answer_end(struct http_websocket *websocket, const struct websocket_got *got)
{
    if (websocket->state == CLOSING)
        finish(websocket);
    else
        start_closing(websocket, got->code, got->text, got->length, FINISHED);
}

/* Handle what has come. False: nothing more may be read. */
static bool handle(struct http_websocket *websocket, const struct websocket_got *got)
{
    switch (got->kind) {
    case WEBSOCKET_NOTHING:
        return false;
    case WEBSOCKET_MESSAGE:
        if (websocket->state == OPEN)
            websocket->events->message(websocket->data, got->text, got->length);
        break;
    case WEBSOCKET_PING:
        if (websocket->state == OPEN)
            send_pong(websocket, got->text, got->length);
        break;
    case WEBSOCKET_CLOSE:
    case WEBSOCKET_FAULT:
        answer_end(websocket, got);
        break;
    }
    return websocket->state <= CLOSING;
}

/* Read what has come behind the handshake, and then from the socket. */
static void receive(struct http_websocket *websocket, const char *early, size_t early_length)
{
    struct http_websockets *all = websocket->all;
    struct websocket_source source = {
        .socket = websocket->socket,
        .early = early,
        .early_length = early_length,
        .now_ns = monotonic_ns(),
    };
    struct websocket_got got;

    do {
        got = websocket_input_read(&websocket->input, &all->spare, &source);
    } while (handle(websocket, &got));
    if (websocket->state <= CLOSING)
        websocket_input_rest(&websocket->input, &all->spare);
    if (source.is_over)
        end_connection(websocket);
}

static void discard(struct http_websocket *websocket)
{
    char bytes[DISCARD_BYTES];
    ssize_t length = recv(websocket->socket, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
        end_connection(websocket);
}

static void serve(struct http_websocket *websocket, uint32_t events)
{
    if (websocket->state != ENDED && (events & EPOLLOUT))
        flush(websocket);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    if (websocket->state == FINISHED)
        discard(websocket);
    else if (websocket->state != ENDED)
        receive(websocket, NULL, 0);
}

/* ---- all of a server's ---------------------------------------------------------------------- */

static void end_overdue(struct http_websockets *all)
{
    struct http_websocket *websocket;

    while ((websocket = TAILQ_FIRST(&all->closing)) && websocket->deadline_ns <= monotonic_ns())
        end_connection(websocket);
}

static void run(struct http_upgrades *upgrades, bool is_ready)
{
    struct http_websockets *all = (struct http_websockets *)upgrades;
    struct epoll_event events[BATCH];
    int count = is_ready ? epoll_wait(upgrades->ready, events, BATCH, 0) : 0;

    for (int i = 0; i < count; i++)
        serve(events[i].data.ptr, events[i].events);
    end_overdue(all);
    report_ended(all);
}

static void end_all(struct http_upgrades *upgrades)
{
    struct http_websockets *all = (struct http_websockets *)upgrades;
    struct http_websocket *websocket;

    while ((websocket = TAILQ_FIRST(&all->open))) {
        http_websocket_close(websocket, WSLAY_CODE_GOING_AWAY, "the server stops");
        end_connection(websocket);
    }
    while ((websocket = TAILQ_FIRST(&all->closing)))
        end_connection(websocket);
    report_ended(all);
    websocket_frames_free(all->spare);
    websocket_maker_end(&all->maker);
    close(all->upgrades.ready);
    free(all);
}

/* Return NULL if there is no memory or descriptor. */
static struct http_websockets *new_websockets(struct http_server *server)
{
    struct http_websockets *all = calloc(1, sizeof(*all));

    if (!all)
        return NULL;
    all->upgrades = (struct http_upgrades){epoll_create1(EPOLL_CLOEXEC), run, end_all};
    all->server = server;
    TAILQ_INIT(&all->open);
    TAILQ_INIT(&all->closing);
    TAILQ_INIT(&all->ended);
    if (all->upgrades.ready >= 0 && websocket_maker_init(&all->maker) == 0)
        return all;
    if (all->upgrades.ready >= 0)
        close(all->upgrades.ready);
    free(all);
    return NULL;
}

/* Find the server's WebSockets, which the first one makes. */
static struct http_websockets *websockets_of(struct http_server *server)
{
    struct http_upgrades *upgrades = http_server_upgrades(server);

    if (!upgrades) {
        upgrades = (struct http_upgrades *)new_websockets(server);
        http_server_set_upgrades(server, upgrades);
    }
    return (struct http_websockets *)upgrades;
}

/* ---- handshake ------------------------------------------------------------------------------ */

/* Take the connection over. libmicrohttpd would keep its buffers until the end: it closes its own
 * descriptor, and frees all that, in the next turn. */
static void take_over(struct http_websocket *websocket, struct MHD_Connection *connection,
                      int socket)
{
    struct http_websockets *all = websocket->all;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = websocket};
    const int on = 1, buffer = SEND_BUFFER;

    websocket->socket = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (websocket->socket < 0) {
        end_connection(websocket);
        return;
    }
    setsockopt(websocket->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(websocket->socket, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    websocket->connection = http_server_take(all->server, connection, websocket->socket);
    if (epoll_ctl(all->upgrades.ready, EPOLL_CTL_ADD, websocket->socket, &event) < 0)
        end_connection(websocket);
}

/* Go on as a WebSocket: libmicrohttpd has sent the answer. */
static void on_upgrade(void *context, struct MHD_Connection *connection, void *exchange,
                       const char *early, size_t early_length, MHD_socket socket,
                       struct MHD_UpgradeResponseHandle *handle)
{
    struct http_websocket *websocket = context;
    struct http_request *request = exchange;

    request->release = NULL;
    take_over(websocket, connection, socket);
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    http_server_wake(websocket->all->server);
    if (websocket->state == ENDED)
        return;
    start_deadline(websocket); /* of one that is refused */
    enter(websocket, websocket->state == REFUSED ? CLOSING : OPEN);
    flush(websocket);
    if (websocket->state != ENDED)
        receive(websocket, early, early_length);
}

/* End one whose answer could not be sent. */
static void on_request_over(void *context)
{
    end_connection(context);
}

static enum MHD_Result queue_answer(struct http_request *request, struct http_websocket *websocket,
                                    const char *answer)
{
    struct MHD_Response *response = MHD_create_response_for_upgrade(on_upgrade, websocket);

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Upgrade", "websocket");
    MHD_add_response_header(response, "Sec-WebSocket-Accept", answer);
    http_request_add_headers(request, response);
    enum MHD_Result result =
        MHD_queue_response(request->connection, MHD_HTTP_SWITCHING_PROTOCOLS, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result http_websocket_accept(struct http_request *request,
                                      const struct http_websocket_events *events, void *data,
                                      struct http_websocket **ret)
{
    char answer[HTTP_HANDSHAKE_ANSWER_SIZE];
    const char *problem;
    unsigned status = http_handshake_answer(request, answer, &problem);

    *ret = NULL;
    if (status)
        return http_handshake_refuse(request, status, problem);
    struct http_websockets *all = websockets_of(request->server);
    struct http_websocket *websocket = all ? calloc(1, sizeof(*websocket)) : NULL;
    if (!websocket)
        return MHD_NO;
    websocket->all = all;
    websocket->events = events;
    websocket->data = data;
    websocket->socket = -1;
    TAILQ_INSERT_TAIL(&all->open, websocket, link);
    if (queue_answer(request, websocket, answer) != MHD_YES) {
        free_websocket(websocket);
        return MHD_NO;
    }
    if (request->release)
        request->release(request->data);
    request->data = websocket;
    request->release = on_request_over;
    *ret = websocket;
    return MHD_YES;
}
