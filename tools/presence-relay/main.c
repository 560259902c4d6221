/* presence-relay - pass heartbeats on to collectors, batched and signed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/service_manager.h"
#include "http/http_listen.h"
#include "http/http_reply.h"
#include "http/http_server.h"
#include "http/metrics_page.h"
#include "metrics.h"
#include "options.h"
#include "outages.h"
#include "privileges.h"
#include "receive/local_address.h"
#include "relay.h"
#include "reload.h"
#include "summary.h"

#define OTHER_FILES             512 /* that are open beside those of senders */
#define TURN_MS                 1000
#define PATIENCE_S              20
#define CONNECTIONS_PER_ADDRESS 32 /* half of all, so that nobody keeps a scraper out alone */

struct program {
    int argc;
    char **argv;
    struct options options;
    struct key key; /* id 0: datagrams are not signed */
    struct service_manager service_manager;
    struct endpoints endpoints;
    struct accounts *accounts;
    struct outages outages;
    int64_t outages_second; /* when they were checked, by the monotonic clock */
    struct relay *relay;
    struct worker *worker;
    struct http_server *server;
};

/* ---- pages ------------------------------------------------------------------------------- */

static void write_metrics(struct exposition *exposition, const void *view)
{
    metrics_write(exposition, view);
}

static enum MHD_Result handle_metrics(void *context, struct http_request *request)
{
    const struct program *program = context;
    struct accounts_view view;

    if (accounts_load(program->accounts, &view) < 0)
        return MHD_NO; /* out of memory */
    enum MHD_Result result = metrics_page_reply(request, write_metrics, &view);
    accounts_view_free(&view);
    return result;
}

static enum MHD_Result handle_landing(void *context, struct http_request *request)
{
    (void)context;
    return metrics_page_reply_landing(
        request, "presence-relay", "What passes through this relay, for Prometheus.", "/metrics");
}

static enum MHD_Result handle_health(void *context, struct http_request *request)
{
    (void)context;
    return http_reply_line(request, MHD_HTTP_OK, "presence-relay is healthy");
}

/* ---- the program ------------------------------------------------------------------------- */

static void log_metrics(const struct program *program, const int *sockets)
{
    char address[ADDRESS_SIZE];

    for (unsigned i = 0; i < program->options.listen_addresses.count; i++) {
        if (address_bound(sockets[i], address) == 0)
            log_line("listening on http://%s/metrics", address);
    }
}

static int start_server(struct program *program, const int *sockets)
{
    static const struct http_route routes[] = {
        {"GET", "/metrics", handle_metrics},
        {"GET", "/-/healthy", handle_health},
        {"GET", "/", handle_landing},
    };
    const struct http_options options = {
        .sockets = sockets,
        .socket_count = program->options.listen_addresses.count,
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .context = program,
        .connections_per_address = CONNECTIONS_PER_ADDRESS,
        .patience_s = PATIENCE_S,
    };
    int r = http_server_start(&options, &program->server);

    if (r < 0)
        log_line("cannot serve metrics: %s", strerror(-r));
    else
        log_metrics(program, sockets);
    return r;
}

static int open_worker(struct program *program)
{
    const struct receive_options options = {
        .engine = program->options.engine,
        .want_sender = true,
    };
    const struct worker_backlog backlog = endpoints_backlog(&program->endpoints);
    const struct worker_handler handler = relay_handler(program->relay);
    char problem[WORKER_PROBLEM_SIZE];
    int r = worker_open(&handler, &options, program->endpoints.by_worker[0],
                        program->endpoints.worker_counts[0], &backlog, &program->worker, problem);

    if (r < 0)
        log_line("%s", problem);
    return r;
}

/* Raise the limit of open files, so that the relay can have all its senders, and on SIGHUP as many
 * again: the soft limit that systemd sets is too low for 16 groups of 64 shards. If this fails,
 * opening a sender says so. */
static void allow_senders(void)
{
    const rlim_t files = 2 * GROUPS_MAX * SHARDS_MAX + OTHER_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= files)
        return;
    limit.rlim_cur = limit.rlim_max < files ? limit.rlim_max : files;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_relay(struct program *program)
{
    struct relay_setup *setup;
    int r = relay_setup_open(&program->options, &program->key, program->accounts, true, &setup);

    if (r < 0)
        return r;
    r = relay_open(setup, &program->accounts->memory->counts, &program->relay);
    if (r < 0) {
        relay_setup_close(setup);
        log_line("cannot start: %s", strerror(-r));
    }
    return r;
}

/* Tell the service manager that we receive, whom we send to, and what SIGHUP has come to. */
static void publish_readiness(struct program *program, enum reload_verdict verdict)
{
    const struct options *options = &program->options;
    char addresses[100], groups[100], status[300];

    endpoints_describe(&program->endpoints, false, addresses, sizeof(addresses));
    groups_describe(options->groups, options->group_count, groups, sizeof(groups));
    snprintf(status, sizeof(status), "%sreceiving at %s, sending to %s",
             verdict == RELOAD_REFUSED ? "the last reload was refused, see the log; " : "",
             addresses, groups);
    service_manager_ready(&program->service_manager, status);
}

static void say_ready(struct program *program)
{
    const struct receiver *receiver = worker_receiver(program->worker);
    int reason = receiver_fallback(receiver);

    endpoints_log(&program->endpoints);
    reload_warn(&program->options, &program->endpoints);
    if (reason)
        log_line("io_uring is not available here (%s): using recvmmsg", strerror(reason));
    reload_log("", &program->options, &program->key);
    log_line("ready: %s", receiver_engine(receiver));
    publish_readiness(program, RELOAD_SAME);
}

static void handle_hangup(struct program *program)
{
    const struct reload running = {
        .argc = program->argc,
        .argv = program->argv,
        .options = &program->options,
        .key = &program->key,
        .endpoints = &program->endpoints,
        .accounts = program->accounts,
        .relay = program->relay,
    };

    service_manager_reloading(&program->service_manager, "reloading the configuration");
    enum reload_verdict verdict = reload(&running);
    if (verdict == RELOAD_CHANGED) {
        receiver_wake(worker_receiver(program->worker));
        memset(&program->outages, 0, sizeof(program->outages)); /* addresses may be others */
    }
    publish_readiness(program, verdict);
}

/* Check once a second, however often requests wake this thread. */
static void check_outages(struct program *program)
{
    int64_t second = monotonic_ns() / NS_PER_S;

    if (second == program->outages_second)
        return;
    program->outages_second = second;
    outages_check(&program->outages, program->accounts);
}

static void serve(struct program *program)
{
    int signal;

    do {
        signal = http_server_turn(program->server, TURN_MS);
        endpoints_check(&program->endpoints);
        accounts_add_drops(program->accounts, endpoints_count_drops(&program->endpoints));
        accounts_forget(program->accounts);
        check_outages(program);
        service_manager_alive(&program->service_manager);
        if (signal == SIGHUP)
            handle_hangup(program);
    } while (signal != SIGTERM && signal != SIGINT);
    service_manager_stopping(&program->service_manager, "sending what the sockets hold");
}

/* Block SIGHUP from the start: one that comes too early waits until it can be handled. */
static void block_hangup(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* Block the signals that http_server_turn returns, in threads that start from now on, too. */
static void block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* Give up all privileges but reading the files that SIGHUP reads again. */
static int give_up_privileges(const struct options *options)
{
    const char *files[PRIVILEGES_FILES_MAX];
    size_t count = 0;

    if (options->config)
        files[count++] = options->config;
    if (options->key_file)
        files[count++] = options->key_file;
    return privileges_give_up(files, count);
}

/* Relay until a signal. The sockets are open. */
static int run_listening(struct program *program)
{
    const struct option_list *addresses = &program->options.listen_addresses;
    int sockets[HTTP_LISTEN_MAX];
    int r = http_listen_open(addresses->items, addresses->count, sockets);

    allow_senders();
    if (r == 0)
        r = open_relay(program);
    if (r < 0)
        return r;
    block_signals();
    r = give_up_privileges(&program->options);
    if (r == 0)
        r = open_worker(program);
    if (r < 0)
        return r;
    endpoints_store(&program->endpoints);
    endpoints_retire(&program->endpoints);
    r = start_server(program, sockets);
    if (r == 0)
        r = privileges_confine();
    if (r == 0) {
        worker_run(program->worker);
        accounts_add_drops(program->accounts, endpoints_close_backlog(&program->endpoints));
        say_ready(program);
        serve(program);
        http_server_stop(program->server);
    }
    worker_stop(program->worker);
    worker_close(program->worker);
    relay_flush(program->relay);
    accounts_add_drops(program->accounts, endpoints_count_drops(&program->endpoints));
    if (r == 0)
        summary_log(program->accounts);
    return r;
}

static int run(struct program *program)
{
    const struct options *options = &program->options;
    int r = reload_key(options->key_file, false, &program->key);

    if (r < 0)
        return r;
    service_manager_open("presence-relay", &program->service_manager);
    program->options.endpoints.memory_size = sizeof(struct accounts_memory);
    r = endpoints_open(&options->endpoints, &program->service_manager, &program->endpoints);
    if (r == 0) {
        r = reload_check_loops(options, &program->endpoints)
                ? accounts_open(program->endpoints.handover.memory.bytes, &program->accounts)
                : -EINVAL;
        if (r == 0)
            r = run_listening(program);
        relay_close(program->relay);
        accounts_close(program->accounts);
        endpoints_close(&program->endpoints);
    }
    service_manager_close(&program->service_manager);
    explicit_bzero(&program->key, sizeof(program->key));
    if (r == 0)
        log_line("stopped");
    return r == -EINTR ? 0 : r;
}

int main(int argc, char **argv)
{
    static struct program program;

    block_hangup();
    program.argc = argc;
    program.argv = argv;
    int local_addresses = local_address_open();
    enum option_verdict verdict = options_read(argc, argv, local_addresses, &program.options);
    if (local_addresses >= 0)
        close(local_addresses);
    switch (verdict) {
    case OPTION_RUN:
        break;
    case OPTION_DONE:
        return 0;
    case OPTION_WRONG:
        return 2;
    }
    int r = run(&program);
    options_release(&program.options);
    return r < 0 ? 1 : 0;
}
