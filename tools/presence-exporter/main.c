/* presence-exporter - show live presence counts to Prometheus. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/log.h"
#include "http/http_listen.h"
#include "http/http_reply.h"
#include "http/http_server.h"
#include "http/privileges.h"
#include "metrics.h"
#include "options.h"
#include "snapshot.h"

#define CONNECTIONS             64
#define CONNECTIONS_PER_ADDRESS 32
#define PATIENCE_S              20
#define TURN_MS                 1000

/* The exporter. */
struct exporter {
    struct options options;
    struct segment_source source;
    char landing[2048];
};

/* ---- pages ------------------------------------------------------------------------------- */

static char *format_metrics(const struct snapshot *snapshot, enum format format, size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);

    if (!out)
        return NULL;
    struct exposition exposition = {.out = out, .format = format};
    metrics_write(&exposition, snapshot);
    int failed = ferror(out);
    if ((fclose(out) != 0) | failed) {
        free(text);
        return NULL;
    }
    return text;
}

static enum MHD_Result handle_metrics(void *context, struct http_request *request)
{
    struct exporter *exporter = context;
    enum format format = negotiate(http_request_header(request, "Accept"));
    struct snapshot snapshot;
    size_t length = 0;
    int r = snapshot_load(&exporter->source, &exporter->options, &snapshot);

    if (r < 0) {
        log_line("cannot load the metrics: %s", strerror(-r));
        return http_reply_line(request, MHD_HTTP_INTERNAL_SERVER_ERROR, strerror(-r));
    }
    char *text = format_metrics(&snapshot, format, &length);
    snapshot_free(&snapshot);
    return http_reply_owned(request, MHD_HTTP_OK, format_type(format), text, length);
}

static enum MHD_Result handle_health(void *context, struct http_request *request)
{
    (void)context;
    return http_reply_line(request, MHD_HTTP_OK, "presence-exporter is healthy");
}

static enum MHD_Result handle_landing(void *context, struct http_request *request)
{
    const struct exporter *exporter = context;

    return http_reply_static(request, MHD_HTTP_OK, "text/html; charset=utf-8", exporter->landing,
                             strlen(exporter->landing));
}

/* Format the landing page. It contains nothing that a stranger has sent, and the path needs no
 * escaping. */
static void format_landing(struct exporter *exporter)
{
    snprintf(exporter->landing, sizeof(exporter->landing),
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n"
             "<title>presence-exporter</title>\n</head>\n<body>\n<h1>presence-exporter</h1>\n"
             "<p>Live visitor counts for Prometheus. Version " PRESENCE_VERSION ".</p>\n"
             "<ul>\n<li><a href=\"%s\">Metrics</a></li>\n"
             "<li><a href=\"/-/healthy\">Health</a></li>\n</ul>\n</body>\n</html>\n",
             exporter->options.telemetry_path);
}

/* ---- the program ------------------------------------------------------------------------- */

static void log_listening(const struct options *options, const int *sockets)
{
    char address[ADDRESS_SIZE];

    for (unsigned i = 0; i < options->listen_addresses.count; i++) {
        if (address_bound(sockets[i], address) == 0)
            log_line("listening on http://%s%s", address, options->telemetry_path);
    }
}

static int start(struct exporter *exporter, const int *sockets, struct http_server **ret)
{
    static struct http_route routes[] = {
        {"GET", NULL, handle_metrics},
        {"GET", "/-/healthy", handle_health},
        {"GET", "/", handle_landing},
    };
    const struct http_options options = {
        .sockets = sockets,
        .socket_count = exporter->options.listen_addresses.count,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .context = exporter,
        .connections = CONNECTIONS,
        .connections_per_address = CONNECTIONS_PER_ADDRESS,
        .patience_s = PATIENCE_S,
    };

    routes[0].path = exporter->options.telemetry_path;
    format_landing(exporter);
    return http_server_start(&options, ret);
}

static int run(struct exporter *exporter)
{
    struct http_server *server;
    struct presence *presence;
    const struct option_list *addresses = &exporter->options.listen_addresses;
    int sockets[HTTP_LISTEN_MAX], signal;

    if (http_listen_open(addresses->items, addresses->count, sockets) < 0)
        return 1;
    int r = privileges_drop((const char *const[]){exporter->options.segment, NULL});
    if (r < 0) {
        log_line("cannot drop privileges: %s", strerror(-r));
        return 1;
    }
    segment_source_init(&exporter->source, exporter->options.segment);
    segment_source_get(&exporter->source, &presence); /* logs at once if it can't */
    r = start(exporter, sockets, &server);
    if (r < 0) {
        log_line("cannot serve: %s", strerror(-r));
        return 1;
    }
    log_listening(&exporter->options, sockets);
    do
        signal = http_server_turn(server, TURN_MS);
    while (signal != SIGTERM && signal != SIGINT);
    http_server_stop(server);
    segment_source_close(&exporter->source);
    return 0;
}

int main(int argc, char **argv)
{
    static struct exporter exporter;

    switch (options_read(argc, argv, &exporter.options)) {
    case OPTION_RUN:
        break;
    case OPTION_DONE:
        return 0;
    case OPTION_WRONG:
        return 2;
    }
    int status = run(&exporter);
    options_free(&options_table, &exporter.options);
    return status;
}
