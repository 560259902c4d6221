/* websocket_server - a server of nothing but WebSockets, for their tests.
 *
 * It listens on a free port of 127.0.0.1 and prints it, a line. GET /ws is a WebSocket that does
 * what messages say; GET /count answers with how many were accepted, are open and are over, and how
 * often one has drained. The argument is the number of connections it allows.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/http_listen.h"
#include "http/http_reply.h"
#include "http/http_websocket.h"

#define TURN_MS      1000
#define FLOOD_LENGTH 1000
#define PLACES       20000

static unsigned accepted, closed, drained;
static unsigned held;                         /* data of requests that is not released yet */
static bool is_full;                          /* there is no memory */
static struct http_websocket *places[PLACES]; /* each that is open */

struct place {
    size_t index;
    bool ends_all; /* once it is over, the others are closed */
};

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return is_full ? NULL : __real_malloc(size);
}

/* Send messages until one is not taken. */
static void flood(struct http_websocket *websocket)
{
    char text[FLOOD_LENGTH];

    memset(text, 'x', sizeof(text));
    while (http_websocket_send(websocket, text, sizeof(text)) == 0)
        ;
}

static void send_to_all(const char *text)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i])
            http_websocket_send(places[i], text, strlen(text));
    }
}

static void close_all(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        if (places[i])
            http_websocket_close(places[i], 1001, "all");
    }
}

static void on_message(void *data, const char *text, size_t length)
{
    struct place *place = data;
    struct http_websocket *websocket = places[place->index];
    unsigned code;
    int end = 0;

    if (text[length] || strlen(text) > length)
        abort();
    if (sscanf(text, "close %u %n", &code, &end) == 1)
        http_websocket_close(websocket, code, text + end);
    else if (strcmp(text, "flood") == 0)
        flood(websocket);
    else if (strncmp(text, "all ", 4) == 0)
        send_to_all(text + 4);
    else if (strcmp(text, "close all") == 0)
        close_all();
    else if (strcmp(text, "then all") == 0)
        place->ends_all = true;
    else
        http_websocket_send(websocket, text, length);
}

static void on_drained(void *data)
{
    (void)data;
    drained++;
}

static void on_closed(void *data)
{
    struct place *place = data;

    places[place->index] = NULL;
    closed++;
    if (place->ends_all)
        close_all();
    free(place);
}

static void release(void *data)
{
    (void)data;
    held--;
}

static enum MHD_Result accept_websocket(void *context, struct http_request *request)
{
    static const struct http_websocket_events events = {on_message, on_drained, on_closed};
    struct place *place = calloc(1, sizeof(*place));

    (void)context;
    while (places[place->index])
        place->index++;
    if (http_request_query(request, "held")) {
        request->data = &held;
        request->release = release;
        held++;
    }
    enum MHD_Result result = http_websocket_accept(request, &events, place, &places[place->index]);
    struct http_websocket *websocket = places[place->index];
    if (!websocket) {
        free(place);
        return result;
    }
    accepted++;
    const char *greeting = http_request_query(request, "greeting");
    if (greeting)
        http_websocket_send(websocket, greeting, strlen(greeting));
    const char *refusal = http_request_query(request, "refusal");
    is_full = http_request_query(request, "full") != NULL;
    if (refusal)
        http_websocket_close(websocket, 1008, refusal);
    is_full = false;
    return result;
}

static enum MHD_Result show_count(void *context, struct http_request *request)
{
    char line[64];
    unsigned open = 0;

    (void)context;
    for (size_t i = 0; i < PLACES; i++)
        open += places[i] != NULL;
    snprintf(line, sizeof(line), "%u %u %u %u %u", accepted, open, closed, drained,
             http_server_connections(request->server));
    return http_reply_line(request, MHD_HTTP_OK, line);
}

int main(int argc, char **argv)
{
    static const struct http_route routes[] = {{"GET", "/ws", accept_websocket},
                                               {"GET", "/count", show_count}};
    char address[] = "127.0.0.1:0";
    struct sockaddr_in bound;
    socklen_t length = sizeof(bound);
    struct http_server *server;
    int socket, signal;

    if (http_listen_open((char *[]){address}, 1, &socket) < 0)
        return EXIT_FAILURE;
    const struct http_options options = {.sockets = &socket,
                                         .socket_count = 1,
                                         .routes = routes,
                                         .route_count = sizeof(routes) / sizeof(routes[0]),
                                         .patience_s = 2,
                                         .header_bytes = 10240,
                                         .connections = argc > 1 ? (unsigned)atoi(argv[1]) : 100};
    if (getsockname(socket, (struct sockaddr *)&bound, &length) < 0 ||
        http_server_start(&options, &server) < 0)
        return EXIT_FAILURE;
    printf("%u\n", ntohs(bound.sin_port));
    fflush(stdout);
    while ((signal = http_server_turn(server, TURN_MS)) != SIGTERM && signal != SIGINT)
        ;
    http_server_stop(server);
    printf("%u %u\n", accepted, closed);
    return held ? EXIT_FAILURE : EXIT_SUCCESS;
}
