#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/json_whole.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/privileges.h"
#include "http/http_listen.h"
#include "limiter.h"
#include "live.h"
#include "outbound.h"
#include "request.h"
#include "rooms.h"
#include "routes.h"
#include "stream.h"
#include "totals.h"
#include "touch.h"

#define EXIT_USAGE       2
#define API_KEY_MIN      16 /* bytes */
#define OTHER_REQUESTS   1000
#define TURN_NS          NS_PER_S /* of the longest turn: signals are checked after each */
#define LAST_TURNS       8        /* to end streams and touches */
#define PATIENCE_S       20
#define HEADER_BYTES     10240 /* 64 rooms on one stream, and what browsers and proxies send */
#define TURN_ROUND_UP_NS (NS_PER_MS - 1)

#define KEPT             "; the previous keys stay in use"

/* ---- key files ------------------------------------------------------------------------------ */

/* Read a key file, if one is named, and replace the keys. One that is wrong changes nothing. */
static bool read_secrets(const char *option, const char *path, size_t least, struct secrets *ret)
{
    struct secrets secrets;
    const char *problem = NULL;

    if (!path)
        return true;
    if (secrets_load(path, least, &secrets, &problem) < 0) {
        log_line("--%s %s: %s (keys of %zu to %d bytes, one a line)%s", option, path, problem,
                 least, SECRETS_MAX_BYTES, ret->count ? KEPT : "");
        return false;
    }
    secrets_free(ret);
    *ret = secrets;
    return true;
}

static bool read_signing_key(struct web *web)
{
    char problem[KEY_FILE_PROBLEM_SIZE];
    const char *path = web->options.key_file;

    if (!path || key_file_load_first(path, &web->key, problem) == 0)
        return true;
    log_line("--key-file %s%s", problem, web->key.id ? KEPT : "");
    return false;
}

/* Read all key files, also those behind a wrong one. */
static bool read_all_secrets(struct web *web)
{
    const struct options *options = &web->options;
    bool api = read_secrets("api-key-file", options->api_key_file, API_KEY_MIN, &web->api_keys);
    bool jwt =
        read_secrets("jwt-key-file", options->jwt_key_file, REQUEST_TOKEN_KEY_MIN, &web->jwt_keys);

    return read_signing_key(web) && api && jwt;
}

static void reload_secrets(struct web *web)
{
    bool all = read_all_secrets(web);

    if (web->totals)
        totals_reload(web->totals);
    int r = web->options.key_file ? outbound_sign(web->outbound, &web->key) : 0;

    if (r < 0)
        log_line("cannot sign with the new key: %s", strerror(-r));
    else if (all)
        log_line("reloaded the key files");
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_outbound(struct web *web)
{
    const struct options *options = &web->options;
    const char *failed;
    int r = outbound_open(options->to.items, options->to.count, &web->key, web->live,
                          &web->outbound, &failed);

    if (r < 0)
        log_line("cannot send to %s: %s (--to takes a numeric address and port)", failed,
                 strerror(-r));
    return r;
}

/* Prepare to read totals, if an engine is named. */
static int open_totals(struct web *web)
{
    const struct options *options = &web->options;
    char problem[ENGINE_PROBLEM_SIZE];

    if (!options->engine.url)
        return 0;
    int r = totals_open(&options->engine, options->max_streams, &web->totals, problem);
    if (r < 0)
        log_line("cannot use the engine %s: %s", options->engine.url, problem);
    return r;
}

static int open_parts(struct web *web)
{
    int r = open_totals(web);

    if (r < 0)
        return r;
    r = streams_open(web, &web->streams);
    if (r == 0) {
        web->live = live_new(web->options.segment, web->totals);
        web->limiter = limiter_new(&(struct limits){.client_rate = web->options.client_rate,
                                                    .max_streams = web->options.max_streams,
                                                    .client_streams = web->options.client_streams});
        web->touches = touches_new(web);
        if (!web->live || !web->limiter || !web->touches)
            r = -ENOMEM;
    }
    if (r < 0) {
        log_line("cannot start: %s", strerror(-r));
        return r;
    }
    r = open_outbound(web);
    if (r < 0)
        return r;
    web->rooms = rooms_new(web);
    if (!web->rooms) {
        log_line("cannot start: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    return 0;
}

static void close_parts(struct web *web)
{
    rooms_free(web->rooms);
    touches_free(web->touches);
    outbound_close(web->outbound);
    streams_close(web->streams);
    limiter_free(web->limiter);
    live_free(web->live);
    totals_close(web->totals);
    secrets_free(&web->api_keys);
    secrets_free(&web->jwt_keys);
    explicit_bzero(&web->key, sizeof(web->key));
}

/* Bind, and drop all privileges that are not needed any more. */
static int bind_and_drop(const struct web *web, int *ret_sockets)
{
    const struct options *options = &web->options;
    const char *paths[7] = {options->engine.url ? options->database : options->segment};
    size_t count = paths[0] ? 1 : 0;
    int r = http_listen_open(options->listen.items, options->listen.count, ret_sockets);

    if (r < 0)
        return r;
    if (options->engine.password_file)
        paths[count++] = options->engine.password_file;
    if (options->api_key_file)
        paths[count++] = options->api_key_file;
    if (options->jwt_key_file)
        paths[count++] = options->jwt_key_file;
    if (options->key_file)
        paths[count++] = options->key_file;
    r = web->totals ? privileges_drop_for_engine(paths, NULL) : privileges_drop(paths, NULL);
    if (r < 0)
        log_line("cannot drop privileges: %s", strerror(-r));
    return r;
}

static int start_server(struct web *web, const int *sockets, const struct http_route *routes,
                        size_t count, struct http_server **ret)
{
    const struct http_options options = {
        .sockets = sockets,
        .socket_count = web->options.listen.count,
        .routes = routes,
        .route_count = count,
        .context = web,
        .refuse = routes_refuse,
        .connections = web->options.max_streams + OTHER_REQUESTS,
        .patience_s = PATIENCE_S,
        .header_bytes = HEADER_BYTES,
        .body_bytes = TOUCH_BODY_BYTES,
    };
    int r = http_server_start(&options, ret);

    for (unsigned i = 0; r == 0 && i < options.socket_count; i++) {
        char bound[ADDRESS_SIZE];
        r = address_bound(sockets[i], bound);
        if (r == 0)
            log_line("listening on %s", bound);
    }
    if (r == -EMFILE)
        log_line("cannot serve %u streams: too few files may be open; raise `ulimit -n` or lower "
                 "--max-streams",
                 web->options.max_streams);
    else if (r < 0)
        log_line("cannot serve: %s", strerror(-r));
    return r;
}

/* ---- serving -------------------------------------------------------------------------------- */

/* Run the timers that are due. Return when the next one is. */
static int64_t run_timers(struct web *web)
{
    int64_t now_ns = monotonic_ns();
    int64_t totals_ns = web->totals ? totals_run_timers(web->totals, now_ns) : INT64_MAX;
    int64_t streams_ns = streams_run_timers(web->streams, now_ns);
    int64_t rooms_ns = rooms_run_timers(web->rooms, now_ns); /* may begin touches */
    int64_t touches_ns = touches_run_timers(web->touches, now_ns);
    int64_t outbound_ns = outbound_run_timers(web->outbound, now_ns);
    int64_t next_ns = streams_ns < touches_ns ? streams_ns : touches_ns;

    next_ns = rooms_ns < next_ns ? rooms_ns : next_ns;
    next_ns = totals_ns < next_ns ? totals_ns : next_ns;
    return outbound_ns < next_ns ? outbound_ns : next_ns;
}

static int turn(struct web *web, struct http_server *server)
{
    int64_t wait_ns = run_timers(web) - monotonic_ns();

    if (wait_ns < 0)
        wait_ns = 0;
    if (wait_ns > TURN_NS)
        wait_ns = TURN_NS;
    return http_server_turn(server, (int)((wait_ns + TURN_ROUND_UP_NS) / NS_PER_MS));
}

static void serve(struct web *web, struct http_server *server)
{
    int signal;

    while ((signal = turn(web, server)) != SIGTERM && signal != SIGINT) {
        if (signal == SIGHUP)
            reload_secrets(web);
    }
    web->ending = true;
    streams_end(web->streams);
    rooms_end(web->rooms);
    touches_end(web->touches);
    if (web->totals)
        totals_end(web->totals);
    for (int i = 0; i < LAST_TURNS; i++)
        http_server_turn(server, 1);
}

static int start_totals(struct web *web, struct http_server *server)
{
    int r = web->totals ? totals_start(web->totals, server) : 0;

    if (r < 0)
        log_line("cannot start a thread: %s", strerror(-r));
    return r;
}

static int run(struct web *web)
{
    struct http_server *server;
    int sockets[HTTP_LISTEN_MAX];
    size_t count;

    if (!read_all_secrets(web) || open_parts(web) < 0)
        return EXIT_FAILURE;
    struct http_route *routes = routes_new(&web->options, &count);
    if (!routes) {
        log_line("out of memory");
        return EXIT_FAILURE;
    }
    int r = bind_and_drop(web, sockets);
    if (r == 0)
        r = start_server(web, sockets, routes, count, &server);
    if (r == 0) {
        r = start_totals(web, server);
        if (r == 0)
            serve(web, server);
        if (web->totals)
            totals_stop(web->totals);
        http_server_stop(server);
    }
    free(routes);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct web web;
    struct option_use use;

    json_whole_begin();
    switch (options_parse(&options_table, argc, argv, &web.options, &use)) {
    case OPTION_DONE:
        return EXIT_SUCCESS;
    case OPTION_WRONG:
        return EXIT_USAGE;
    case OPTION_RUN:
        break;
    }
    if (!engine_options_check(&web.options.engine, &use, false) ||
        options_check(&web.options) == OPTION_WRONG) {
        options_free(&options_table, &web.options);
        return EXIT_USAGE;
    }
    int status = run(&web);
    close_parts(&web);
    options_free(&options_table, &web.options);
    return status;
}
