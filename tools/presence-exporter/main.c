/* presence-exporter - show live presence counts to Prometheus. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/log.h"
#include "common/privileges.h"
#include "http/http_listen.h"
#include "http/http_reply.h"
#include "http/http_server.h"
#include "http/metrics_page.h"
#include "metrics.h"
#include "options.h"
#include "snapshot.h"
#include "web.h"

#define CONNECTIONS             64
#define CONNECTIONS_PER_ADDRESS 32
#define WEB_CONNECTIONS         4 /* times as many with a web configuration: checks take time */
#define PATIENCE_S              20
#define TURN_MS                 1000
#define LAST_TURNS              8 /* to answer those whose password was being checked */

/* The exporter. */
struct exporter {
    struct options options;
    struct segment_source source;
    struct web *web; /* NULL: no --web.config.file */
};

/* ---- pages ------------------------------------------------------------------------------- */

static void write_metrics(struct exposition *exposition, const void *context)
{
    metrics_write(exposition, context);
}

static enum MHD_Result handle_metrics(void *context, struct http_request *request)
{
    struct exporter *exporter = context;
    struct snapshot snapshot;
    int r = snapshot_load(&exporter->source, &exporter->options, &snapshot);

    if (r < 0) {
        log_line("cannot load the metrics: %s", strerror(-r));
        return http_reply_line(request, MHD_HTTP_INTERNAL_SERVER_ERROR, strerror(-r));
    }
    enum MHD_Result result = metrics_page_reply(request, write_metrics, &snapshot);
    snapshot_free(&snapshot);
    return result;
}

static enum MHD_Result handle_health(void *context, struct http_request *request)
{
    (void)context;
    return http_reply_line(request, MHD_HTTP_OK, "presence-exporter is healthy");
}

static enum MHD_Result handle_landing(void *context, struct http_request *request)
{
    const struct exporter *exporter = context;

    return metrics_page_reply_landing(request, "presence-exporter",
                                      "Live visitor counts for Prometheus.",
                                      exporter->options.telemetry_path);
}

/* ---- the program ------------------------------------------------------------------------- */

static void log_listening(const struct exporter *exporter, const int *sockets)
{
    const struct options *options = &exporter->options;
    const char *scheme = exporter->web && web_has_tls(exporter->web) ? "https" : "http";
    char address[ADDRESS_SIZE];

    for (unsigned i = 0; i < options->listen_addresses.count; i++) {
        if (address_bound(sockets[i], address) == 0)
            log_line("listening on %s://%s%s", scheme, address, options->telemetry_path);
    }
}

static bool secure(void *context, void *session)
{
    const struct exporter *exporter = context;

    return web_secure(exporter->web, session);
}

static bool guard(void *context, struct http_request *request, enum MHD_Result *ret)
{
    const struct exporter *exporter = context;

    return web_guard(exporter->web, request, ret);
}

static void add_headers(void *context, struct MHD_Response *response)
{
    const struct exporter *exporter = context;

    web_add_headers(exporter->web, response);
}

static int start(struct exporter *exporter, const int *sockets, struct http_server **ret)
{
    static struct http_route routes[] = {
        {"GET", NULL, handle_metrics},
        {"GET", "/-/healthy", handle_health},
        {"GET", "/", handle_landing},
    };
    unsigned times = exporter->web ? WEB_CONNECTIONS : 1;
    const struct http_options options = {
        .sockets = sockets,
        .socket_count = exporter->options.listen_addresses.count,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .context = exporter,
        .connections = CONNECTIONS * times,
        .connections_per_address = CONNECTIONS_PER_ADDRESS * times,
        .patience_s = PATIENCE_S,
        .secure = exporter->web && web_has_tls(exporter->web) ? secure : NULL,
        .guard = exporter->web ? guard : NULL,
        .add_headers = exporter->web ? add_headers : NULL,
    };

    routes[0].path = exporter->options.telemetry_path;
    return http_server_start(&options, ret);
}

/* Drop all privileges that are not needed any more. */
static int drop_privileges(const struct exporter *exporter)
{
    const char *paths[WEB_FILES_MAX + 2] = {exporter->options.segment};

    if (exporter->web)
        web_files(exporter->web, paths + 1);
    int r = privileges_drop(paths, NULL);
    if (r < 0)
        log_line("cannot drop privileges: %s", strerror(-r));
    return r;
}

static void serve(struct exporter *exporter, struct http_server *server)
{
    int signal;

    do {
        signal = http_server_turn(server, TURN_MS);
        if (exporter->web)
            web_refresh(exporter->web, signal == SIGHUP);
    } while (signal != SIGTERM && signal != SIGINT);
    if (!exporter->web)
        return;
    web_end(exporter->web);
    for (int i = 0; i < LAST_TURNS; i++)
        http_server_turn(server, 1);
}

static int run(struct exporter *exporter)
{
    struct http_server *server;
    struct presence *presence;
    const struct option_list *addresses = &exporter->options.listen_addresses;
    const char *web_config = exporter->options.web_config;
    int sockets[HTTP_LISTEN_MAX];

    if (web_config && !(exporter->web = web_open(web_config)))
        return 1;
    if (http_listen_open(addresses->items, addresses->count, sockets) < 0 ||
        drop_privileges(exporter) < 0)
        return 1;
    segment_source_init(&exporter->source, exporter->options.segment);
    segment_source_get(&exporter->source, &presence); /* logs at once if it can't */
    int r = start(exporter, sockets, &server);
    if (r == 0 && exporter->web)
        r = web_start(exporter->web);
    if (r < 0) {
        log_line("cannot serve: %s", strerror(-r));
        return 1;
    }
    log_listening(exporter, sockets);
    serve(exporter, server);
    http_server_stop(server);
    web_close(exporter->web);
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
