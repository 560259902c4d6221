#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "http_listen.h"
#include "http_log.h"
#include "leaves.h"
#include "common/monotonic.h"
#include "common/address.h"
#include "privileges.h"
#include "routes.h"
#include "common/segment_source.h"
#include "streams.h"
#include "token.h"
#include "touches.h"

#define EXIT_USAGE       2
#define API_KEY_MIN      16 /* bytes */
#define OTHER_REQUESTS   1000
#define TURN_NS          NS_PER_S /* the longest: signals are looked for after each */
#define LAST_TURNS       8        /* in which streams and touches are ended */
#define PATIENCE_S       20
#define HEADER_BYTES     8192
#define TURN_ROUND_UP_NS (NS_PER_MS - 1)

/* ---- key files --------------------------------------------------------------------------- */

static const char *explain_secrets(int error)
{
    switch (error) {
    case -EPERM:
        return "others may read it: chmod o= it";
    case -ENOKEY:
        return "there is no key in it";
    case -EMSGSIZE:
        return "a key is too short or too long, or there are too many";
    case -EBADMSG:
        return "a line is a key's id, 1 to 255, and its 32 hex digits";
    default:
        return strerror(-error);
    }
}

/* Read a key file, if there is one, in place of what was read before. */
static bool read_secrets(const char *option, const char *path, size_t least, struct secrets *ret)
{
    struct secrets secrets;

    if (!path)
        return true;
    int r = secrets_read(path, least, &secrets);
    if (r < 0) {
        http_log("--%s %s: %s (keys of %zu to %d bytes, one a line)", option, path,
                 explain_secrets(r), least, SECRETS_MAX_BYTES);
        return false;
    }
    secrets_free(ret);
    *ret = secrets;
    return true;
}

static bool read_signing_key(struct web *web)
{
    const char *path = web->options.key_file;
    int r = path ? signing_read(path, &web->key) : 0;

    if (r < 0)
        http_log("--key-file %s: %s", path, explain_secrets(r));
    return r == 0;
}

static bool read_all_secrets(struct web *web)
{
    return read_secrets("api-key-file", web->options.api_key_file, API_KEY_MIN, &web->api_keys) &&
           read_secrets("jwt-key-file", web->options.jwt_key_file, TOKEN_KEY_MIN, &web->jwt_keys) &&
           read_signing_key(web);
}

static void read_anew(struct web *web)
{
    if (!read_all_secrets(web))
        return;
    int r = web->options.key_file ? forwarder_sign(web->forwarder, &web->key) : 0;
    if (r < 0)
        http_log("cannot sign with the new key: %s", strerror(-r));
    else
        http_log("the key files were read again");
}

/* ---- beginning --------------------------------------------------------------------------- */

static int open_parts(struct web *web)
{
    const struct options *options = &web->options;
    const char *failed;
    int r =
        forwarder_open(options->to.items, options->to.count, &web->key, &web->forwarder, &failed);

    if (r < 0) {
        http_log("cannot send to %s: %s (--to takes a numeric address and port)", failed,
                 strerror(-r));
        return r;
    }
    r = streams_open(web, &web->streams);
    if (r == 0) {
        web->numbers = numbers_new(segment_source_path(options->segment));
        web->limiter = limiter_new(options->client_rate);
        web->leaves = leaves_new(web->forwarder);
        web->touches = touches_new(web);
        if (!web->numbers || !web->limiter || !web->leaves || !web->touches)
            r = -ENOMEM;
    }
    if (r < 0)
        http_log("cannot start: %s", strerror(-r));
    return r;
}

static void close_parts(struct web *web)
{
    touches_free(web->touches);
    leaves_free(web->leaves);
    streams_close(web->streams);
    forwarder_close(web->forwarder);
    limiter_free(web->limiter);
    numbers_free(web->numbers);
    secrets_free(&web->api_keys);
    secrets_free(&web->jwt_keys);
    explicit_bzero(&web->key, sizeof(web->key));
}

/* Bind, and give up all that is not needed from then on. Returns the socket. */
static int bind_and_drop(const struct web *web)
{
    const struct options *options = &web->options;
    const char *paths[5] = {segment_source_path(options->segment)};
    size_t count = 1;
    int socket = http_listen_open(options->listen);

    if (socket < 0) {
        http_log("cannot listen on %s: %s", options->listen,
                 socket == -EADDRINUSE ? "somebody else does" : strerror(-socket));
        return socket;
    }
    if (options->api_key_file)
        paths[count++] = options->api_key_file;
    if (options->jwt_key_file)
        paths[count++] = options->jwt_key_file;
    if (options->key_file)
        paths[count++] = options->key_file;
    int r = privileges_drop(paths);
    if (r < 0) {
        http_log("cannot give up privileges: %s", strerror(-r));
        return r;
    }
    return socket;
}

static int start_server(struct web *web, int socket, const struct http_route *routes, size_t count,
                        struct http_server **ret)
{
    const struct http_options options = {
        .socket = socket,
        .routes = routes,
        .route_count = count,
        .context = web,
        .refuse = routes_refuse,
        .own_loop = true,
        .connections = web->options.max_streams + OTHER_REQUESTS,
        .patience_s = PATIENCE_S,
        .header_bytes = HEADER_BYTES,
        .body_bytes = TOUCHES_BODY_BYTES,
    };
    char bound[ADDRESS_SIZE];
    int r = address_bound(socket, bound);

    if (r == 0)
        r = http_server_start(&options, ret);
    if (r == 0)
        http_log("listening on %s", bound);
    else if (r == -EMFILE)
        http_log("cannot serve %u streams: too few files may be open; raise `ulimit -n` or lower "
                 "--max-streams",
                 web->options.max_streams);
    else
        http_log("cannot serve: %s", strerror(-r));
    return r;
}

/* ---- serving ----------------------------------------------------------------------------- */

/* Do what is due. Returns when the next is. */
static int64_t look(struct web *web)
{
    int64_t now_ns = monotonic_ns();
    int64_t streams_ns = streams_look(web->streams, now_ns);
    int64_t touches_ns = touches_look(web->touches, now_ns);
    int64_t leaves_ns = leaves_look(web->leaves, now_ns);
    int64_t next_ns = streams_ns < touches_ns ? streams_ns : touches_ns;

    forwarder_flush(web->forwarder);
    return leaves_ns < next_ns ? leaves_ns : next_ns;
}

static int turn(struct web *web, struct http_server *server)
{
    int64_t wait_ns = look(web) - monotonic_ns();

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
            read_anew(web);
    }
    web->ending = true;
    streams_end(web->streams);
    touches_end(web->touches);
    for (int i = 0; i < LAST_TURNS; i++)
        http_server_turn(server, 1);
}

static int run(struct web *web)
{
    struct http_server *server;
    size_t count;

    if (!read_all_secrets(web) || open_parts(web) < 0)
        return EXIT_FAILURE;
    struct http_route *routes = routes_new(&count);
    if (!routes) {
        http_log("out of memory");
        return EXIT_FAILURE;
    }
    int socket = bind_and_drop(web);
    int r = socket < 0 ? socket : start_server(web, socket, routes, count, &server);
    if (r == 0) {
        serve(web, server);
        http_server_stop(server);
    }
    free(routes);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct web web;

    switch (options_read(argc, argv, &web.options)) {
    case OPTIONS_DONE:
        return EXIT_SUCCESS;
    case OPTIONS_WRONG:
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    int status = run(&web);
    close_parts(&web);
    options_free(&web.options);
    return status;
}
