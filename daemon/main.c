/* presenced - take heartbeats in, keep the count in shared memory. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "guard.h"
#include "listener.h"
#include "log.h"
#include "common/address.h"
#include "privileges.h"
#include "worker.h"

#define SMALL_BUFFER (1 << 20) /* bytes; about 1500 small datagrams, 3 ms at the highest rates */

/* Three quarters of a processor, beside one other who wants it. */
#define NICENESS (-5)

struct daemon {
    struct config config;
    struct guard guard;
    struct collector collector;
    int sockets[SEGMENT_WORKERS_MAX][CONFIG_LISTEN_MAX];    /* a worker's, then by address */
    uint32_t drops[SEGMENT_WORKERS_MAX][CONFIG_LISTEN_MAX]; /* of each socket, as last seen */
    unsigned listening;                                     /* addresses whose sockets are open */
    struct worker *workers[SEGMENT_WORKERS_MAX];
    unsigned running;
};

static void log_segment_failure(const struct config *config, int error, pid_t holder)
{
    struct segment_geometry geometry;
    const struct segment_limits limits = segment_settings_limits(&config->settings);
    double bytes = (double)segment_layout(&limits, &geometry);

    switch (-error) {
    case EBUSY:
        log_line("the segment %s is in use by another presenced, pid %d: stop that one, or choose "
                 "another --segment",
                 config->segment, (int)holder);
        break;
    case EBADMSG:
        log_line("%s is not a presence segment and was left alone: remove it, or choose another "
                 "--segment",
                 config->segment);
        break;
    case EPERM:
        log_line("the segment %s belongs to another user: remove it, or choose another --segment",
                 config->segment);
        break;
    case EOPNOTSUPP:
        log_line("cannot make the segment %s there: put it on a tmpfs such as /dev/shm with "
                 "--segment",
                 config->segment);
        break;
    case ENOSPC:
    case ENOMEM:
        log_line("cannot reserve %.1f MB for the segment %s: %s; make its file system larger, or "
                 "lower --max-visitors, --max-scopes, --max-histories or --events",
                 bytes / 1e6, config->segment, strerror(-error));
        break;
    default:
        log_line("cannot open the segment %s: %s", config->segment, strerror(-error));
    }
}

static int open_collector(struct daemon *daemon)
{
    const struct config *config = &daemon->config;
    struct collector_settings settings = {
        .path = config->segment,
        .segment = config->settings,
        .workers = config->workers,
        .clock = clock_boottime,
    };
    pid_t holder = 0;
    int r = collector_open(&settings, &daemon->collector, &holder);

    if (r < 0) {
        log_segment_failure(config, r, holder);
        return r;
    }
    daemon->collector.admission = &daemon->guard.admission;
    daemon->collector.directory.labels_max = config->max_rooms_per_site;
    return 0;
}

/* The address that was really bound: it differs from the given one when its port is 0. */
static void log_listening(const struct config_address *address, int socket)
{
    char text[ADDRESS_SIZE];

    if (address_bound(socket, text) == 0)
        log_line("listening on %s", text);
    else
        log_line("listening on %s", address->text);
}

/* A burst that does not fit is dropped; say so before it happens. */
static void log_small_buffer(int socket)
{
    size_t granted = listener_receive_buffer(socket);

    if (granted && granted < SMALL_BUFFER)
        log_line("the kernel grants a socket buffer of %zu KB only: for bursts raise "
                 "net.core.rmem_max to %d, or give CAP_NET_ADMIN",
                 granted >> 10, LISTENER_BUFFER_BYTES);
}

static int open_sockets(struct daemon *daemon)
{
    const struct listener_options options = {.generic_receive_offload = true};
    int sockets[SEGMENT_WORKERS_MAX];

    for (unsigned i = 0; i < daemon->config.listen_count; i++) {
        const struct config_address *address = &daemon->config.listen[i];
        int r = listener_open((const struct sockaddr *)&address->address, address->length, &options,
                              daemon->config.workers, sockets);
        if (r < 0) {
            log_line("cannot listen on %s: %s%s", address->text, strerror(-r),
                     r == -EADDRINUSE ? "; another program has the port, choose another --listen"
                                      : "");
            return r;
        }
        for (unsigned worker = 0; worker < daemon->config.workers; worker++)
            daemon->sockets[worker][i] = sockets[worker];
        daemon->listening++;
        log_listening(address, sockets[0]);
    }
    log_small_buffer(daemon->sockets[0][0]);
    return 0;
}

/* What a socket can't hold while its worker waits for a processor is lost; what others do is only
 * later. Without the privilege, and where an operator has chosen, it stays as it is. */
static void ask_for_a_larger_share(void)
{
    if (getpriority(PRIO_PROCESS, 0) == 0)
        setpriority(PRIO_PROCESS, 0, NICENESS);
}

/* The last steps that may need a privilege. */
static int set_up_guard(struct daemon *daemon)
{
    int r = guard_attach(&daemon->guard, &daemon->config, &daemon->collector, daemon->sockets[0],
                         daemon->listening);

    if (r < 0)
        return r;
    bool generic = daemon->guard.xdp && xdp_is_generic(daemon->guard.xdp);
    for (unsigned worker = 0; generic && worker < daemon->config.workers; worker++)
        for (unsigned i = 0; i < daemon->listening; i++)
            listener_stop_offload(daemon->sockets[worker][i]);
    ask_for_a_larger_share();
    r = privileges_drop();
    if (r < 0)
        log_line("cannot drop privileges: %s", strerror(-r));
    return r;
}

static int open_workers(struct daemon *daemon)
{
    const struct receive_options options = {
        .engine = daemon->config.engine,
        .want_source = admission_wants_source(&daemon->guard.admission),
    };

    for (unsigned i = 0; i < daemon->config.workers; i++) {
        int r = worker_open(&daemon->collector, i, &options, daemon->sockets[i],
                            daemon->config.listen_count, &daemon->workers[i]);
        if (r < 0) {
            log_line("cannot receive with %s: %s; try --receive auto",
                     options.engine == RECEIVE_IO_URING ? "io_uring" : "recvmmsg", strerror(-r));
            return r;
        }
        daemon->running++;
    }
    int r = privileges_confine();
    if (r < 0)
        log_line("cannot confine itself: %s; it takes a kernel with seccomp", strerror(-r));
    return r;
}

static void begin_to_listen(struct daemon *daemon)
{
    static const char *const origins[] = {
        [SEGMENT_CREATED] = "new",
        [SEGMENT_ATTACHED] = "goes on",
        [SEGMENT_RENEWED] = "made anew: the old one had other settings or was of another boot",
    };
    const struct receiver *receiver = worker_receiver(daemon->workers[0]);
    const char *engine = receiver_engine(receiver);
    int reason = receiver_fallback(receiver);
    uint64_t gap = collector_listen(&daemon->collector, engine, reason ? strerror(reason) : "");

    if (reason)
        log_line("io_uring is not available here (%s): using recvmmsg", strerror(reason));
    log_line("segment %s: %s, %.1f MB", daemon->config.segment,
             origins[daemon->collector.file.origin],
             (double)daemon->collector.file.segment.size / 1e6);
    if (gap > SEGMENT_GAP)
        log_line("nobody listened for %llu s: counts are lower bounds for %u s",
                 (unsigned long long)gap, daemon->config.settings.warm_up);
    log_line("ready: %u worker%s, %s", daemon->running, daemon->running == 1 ? "" : "s", engine);
    for (unsigned i = 0; i < daemon->running; i++)
        worker_run(daemon->workers[i]);
}

static void count_drops(struct daemon *daemon)
{
    uint64_t *counter = &daemon->collector.directory.counters->values[COUNTER_socket_drops];

    for (unsigned worker = 0; worker < daemon->config.workers; worker++) {
        for (unsigned i = 0; i < daemon->listening; i++) {
            uint32_t drops = listener_drops(daemon->sockets[worker][i]);
            uint32_t *seen = &daemon->drops[worker][i];
            if (drops != *seen)
                atomic_add_relaxed(counter, (uint32_t)(drops - *seen)); /* statistics */
            *seen = drops;
        }
    }
}

/* Wait for a signal until the next tick begins. Returns the signal, or 0. */
static int wait_for_tick(const sigset_t *signals)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    struct timespec rest = {.tv_nsec = 1000000000 - now.tv_nsec};
    if (rest.tv_nsec == 1000000000)
        rest = (struct timespec){.tv_sec = 1};
    int signal = sigtimedwait(signals, NULL, &rest);
    return signal > 0 ? signal : 0;
}

static void keep_until_signal(struct daemon *daemon, const sigset_t *signals)
{
    int signal;

    do {
        collector_keep(&daemon->collector);
        count_drops(daemon);
        guard_count(&daemon->guard, &daemon->collector);
        signal = wait_for_tick(signals);
        if (signal == SIGHUP)
            guard_reload(&daemon->guard, &daemon->collector);
    } while (signal != SIGTERM && signal != SIGINT);
}

static void close_sockets(struct daemon *daemon)
{
    for (unsigned worker = 0; worker < daemon->config.workers; worker++)
        for (unsigned i = 0; i < daemon->listening; i++)
            close(daemon->sockets[worker][i]);
}

/* SIGHUP reads the keys anew, if any, and must not end a daemon whose terminal is closed: from the
 * first moment on it waits until there is somebody to do so. */
static void hold_reloads(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* From here on signals wait for the main thread; until then they end a start that takes long. */
static sigset_t block_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signals;
}

static void stop(struct daemon *daemon)
{
    for (unsigned i = 0; i < daemon->running; i++)
        worker_close(daemon->workers[i]);
    count_drops(daemon);
    guard_count(&daemon->guard, &daemon->collector);
    close_sockets(daemon);
    collector_close(&daemon->collector);
}

static int run_guarded(struct daemon *daemon)
{
    int r = open_collector(daemon);

    if (r < 0)
        return r;
    r = open_sockets(daemon);
    sigset_t signals = block_signals();
    if (r == 0)
        r = set_up_guard(daemon);
    if (r == 0)
        r = open_workers(daemon);
    if (r == 0) {
        begin_to_listen(daemon);
        keep_until_signal(daemon, &signals);
    }
    stop(daemon);
    if (r == 0)
        log_line("stopped");
    return r;
}

static int run(struct daemon *daemon)
{
    int r = guard_open(&daemon->config, &daemon->guard);

    if (r < 0)
        return r;
    r = run_guarded(daemon);
    guard_close(&daemon->guard);
    return r;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;

    hold_reloads();
    switch (config_read(argc, argv, &daemon.config)) {
    case CONFIG_RUN:
        break;
    case CONFIG_DONE:
        return 0;
    case CONFIG_WRONG:
        return 2;
    }
    return run(&daemon) < 0 ? 1 : 0;
}
