/* presenced - receive heartbeats and keep the counts in shared memory. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "admission.h"
#include "common/capabilities.h"
#include "common/log.h"
#include "common/permission.h"
#include "common/service_manager.h"
#include "config.h"
#include "filter.h"
#include "ingest.h"
#include "landlock.h"
#include "privileges.h"
#include "receive/endpoints.h"
#include "receive/worker.h"
#include "segment_name.h"
#include "segment_owner.h"
#include "segment_path.h"
#include "segment_room.h"

/* This gives us three quarters of a processor beside one busy process of the usual niceness. */
#define NICENESS (-5)

_Static_assert(SEGMENT_WORKERS_MAX == SPREAD_WORKERS_MAX, "each worker has a block of counters");

struct daemon {
    struct config config;
    struct admission admission;
    struct filter filter;
    struct collector collector;
    struct service_manager service_manager;
    struct endpoints endpoints;
    struct ingest *ingests[SEGMENT_WORKERS_MAX]; /* of the workers */
    struct worker *workers[SEGMENT_WORKERS_MAX];
    unsigned running;
};

/* Log which limit is too small for the segment. Returns false if it is none. */
static bool log_limit(const struct config *config, int error, uint64_t bytes)
{
    char limit[512];

    segment_room_explain(error, bytes, limit, sizeof(limit));
    if (*limit)
        log_line("cannot reserve %.1f MB for the segment %s: %s; raise that limit, or lower "
                 "--max-entries, --max-scopes, --max-histories or --events",
                 (double)bytes / 1e6, config->segment, limit);
    return *limit;
}

/* Return how many megabytes are left for the segment where it is to be, 0 if that is unknown. */
static double free_megabytes(const char *segment)
{
    char directory[PATH_MAX];
    struct statvfs volume;

    snprintf(directory, sizeof(directory), "%s", segment);
    if (statvfs(dirname(directory), &volume) < 0)
        return 0;
    return (double)volume.f_bavail * (double)volume.f_frsize / 1e6;
}

static void log_segment_failure(const struct config *config, int error, pid_t holder)
{
    struct segment_geometry geometry;
    uint64_t size = segment_layout(&config->settings, &geometry);
    double bytes = (double)size;
    bool is_beside = access(config->segment, F_OK) == 0;

    if (log_limit(config, error, size))
        return;
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
        log_line(
            "cannot reserve %.1f MB for the segment %s%s: %s (%.1f MB are free); make its file "
            "system larger (in a container: --shm-size), %s%slower --max-entries, --max-scopes, "
            "--max-histories or --events",
            bytes / 1e6, config->segment, is_beside ? " beside the old one" : "", strerror(-error),
            free_megabytes(config->segment),
            segment_file_has_kept(config->segment) ? "remove its .newer, which a downgrade kept, "
                                                   : "",
            is_beside ? "remove the old one and all it holds, or " : "or ");
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
        .workers = config->endpoints.workers,
        .clock = clock_boottime,
    };
    pid_t holder = 0;
    int r = segment_path_prepare(config->segment);

    if (r < 0)
        return r;
    r = collector_open(&settings, &daemon->collector, &holder);
    if (r < 0) {
        log_segment_failure(config, r, holder);
        return r;
    }
    if (daemon->collector.file.origin == SEGMENT_RENEWED)
        log_line("segment %s: %s", config->segment, daemon->collector.file.account);
    daemon->collector.admission = &daemon->admission;
    daemon->collector.directory.labels_max = config->max_rooms_per_site;
    return 0;
}

/* Raise our share of the processor: while a worker or a restart waits for one, buffers of sockets
 * overflow and datagrams are lost. A niceness that an operator chose stays, and so does ours
 * without the privilege.
 */
static void raise_priority(void)
{
    if (getpriority(PRIO_PROCESS, 0) == 0)
        setpriority(PRIO_PROCESS, 0, NICENESS);
}

/* Without its capabilities root enters the segment's directory only as a member of `presence`. */
static int give_up_privileges(const struct config *config)
{
    permission_join();
    int place = landlock_open(config->segment);
    int r = capabilities_drop();

    if (r < 0) {
        log_line("cannot drop privileges: %s", strerror(-r));
        return r;
    }
    permission_prepare(config->keys ? config->keys : config->segment);
    r = landlock_confine(place);
    if (r < 0)
        log_line("cannot confine file access to the directory of %s: %s", config->segment,
                 strerror(-r));
    return r;
}

/* Do the last steps that may need a privilege, then give privileges up. */
static int attach_filter(struct daemon *daemon)
{
    const struct endpoints *endpoints = &daemon->endpoints;
    int sockets[ENDPOINTS_MAX];

    for (unsigned i = 0; i < endpoints->count; i++)
        sockets[i] = endpoints_first_socket(&endpoints->all[i]);
    int r = filter_attach(&daemon->filter, &daemon->config, &daemon->collector, sockets,
                          endpoints->count);
    if (r < 0)
        return r;
    if (daemon->filter.xdp && daemon->filter.xdp->is_generic)
        endpoints_stop_offload(endpoints);
    return give_up_privileges(&daemon->config);
}

/* True if fewer workers might do with what there is. */
static bool is_lack(int error)
{
    return error == -ENOMEM || error == -EAGAIN || error == -EMFILE || error == -ENFILE;
}

/* Start a worker on the sockets of `index`. */
static int open_worker(struct daemon *daemon, unsigned index, const struct receive_options *options,
                       const struct worker_backlog *backlog)
{
    struct ingest **ingest = &daemon->ingests[daemon->running];
    char problem[WORKER_PROBLEM_SIZE];

    int r = ingest_open(&daemon->collector, index, ingest);
    if (r < 0) {
        log_line("cannot open a worker: %s; lower --workers", strerror(-r));
        return r;
    }
    const struct worker_handler handler = {.context = *ingest, .handle = ingest_arrivals};
    r = worker_open(&handler, options, daemon->endpoints.by_worker[index],
                    daemon->endpoints.worker_counts[index], backlog,
                    &daemon->workers[daemon->running], problem);
    if (r < 0) {
        log_line("%s%s", problem, is_lack(r) ? "; or lower --workers" : "");
        ingest_close(*ingest);
        return r;
    }
    daemon->running++;
    return 0;
}

static int open_workers(struct daemon *daemon)
{
    const struct receive_options options = {
        .engine = daemon->config.engine,
        .want_sender = admission_wants_sender(&daemon->admission) ||
                       daemon->config.settings.max_streams != 0, /* streams show their sender */
    };

    const struct worker_backlog backlog = endpoints_backlog(&daemon->endpoints);

    for (unsigned i = 0; i < daemon->config.endpoints.workers; i++) {
        if (daemon->endpoints.worker_counts[i] == 0)
            continue; /* what the service manager passes is shared by fewer */
        int r = open_worker(daemon, i, &options, daemon->running == 0 ? &backlog : NULL);
        if (r < 0)
            return r;
    }
    endpoints_store(&daemon->endpoints);
    endpoints_retire(&daemon->endpoints);
    int r = privileges_confine();
    if (r < 0)
        log_line("cannot confine system calls: %s; that needs a kernel with seccomp", strerror(-r));
    return r;
}

static void publish_readiness(struct daemon *daemon, const char *engine)
{
    char addresses[160], status[240];

    endpoints_describe(&daemon->endpoints, false, addresses, sizeof(addresses));
    snprintf(status, sizeof(status), "receiving at %s: %u worker%s, %s", addresses, daemon->running,
             daemon->running == 1 ? "" : "s", engine);
    service_manager_ready(&daemon->service_manager, status);
}

static void publish_missing(struct daemon *daemon)
{
    char text[sizeof(((struct segment_header *)0)->listen_missing)];

    endpoints_describe(&daemon->endpoints, true, text, sizeof(text));
    collector_publish_missing(&daemon->collector, text);
}

static void publish_endpoints(struct daemon *daemon)
{
    const struct spread *spread = &daemon->endpoints.spread;

    collector_publish_spread(&daemon->collector, spread_name(spread),
                             spread->is_hashed ? spread->reason : "");
    publish_missing(daemon);
}

static void count_drops(struct daemon *daemon, uint64_t drops)
{
    uint64_t *counter = &daemon->collector.directory.counters->values[COUNTER_socket_drops];

    if (drops)
        atomic_add_relaxed(counter, drops); /* statistics */
}

static void begin_to_listen(struct daemon *daemon)
{
    static const char *const origins[] = {
        [SEGMENT_CREATED] = "new",
        [SEGMENT_ATTACHED] = "attached",
        [SEGMENT_RENEWED] = "replaced",
    };
    const struct receiver *receiver = worker_receiver(daemon->workers[0]);
    const struct segment_file *file = &daemon->collector.file;
    const char *engine = receiver_engine(receiver);
    int reason = receiver_fallback(receiver);
    /* If the last daemon was killed before it listened, the segment is as good as new. */
    bool is_fresh =
        file->origin == SEGMENT_ATTACHED && file->segment.header->listening_since == SEGMENT_NEVER;

    endpoints_log(&daemon->endpoints);
    publish_endpoints(daemon);
    const struct keys *keys = daemon->admission.keys;
    collector_publish_keys(&daemon->collector, keys ? keys->count : 0, "");
    uint64_t gap = collector_listen(&daemon->collector, engine, reason ? strerror(reason) : "");

    if (reason)
        log_line("io_uring is not available here (%s): using recvmmsg", strerror(reason));
    log_line("segment %s: %s, %.1f MB", daemon->config.segment,
             origins[is_fresh ? SEGMENT_CREATED : file->origin], (double)file->segment.size / 1e6);
    if (gap > SEGMENT_GAP)
        log_line("no daemon listened for %llu s: counts are lower bounds for %u s",
                 (unsigned long long)gap, daemon->config.settings.warm_up);
    log_line("ready: %u worker%s, %s", daemon->running, daemon->running == 1 ? "" : "s", engine);
    /* The first one reads the backlog before the others begin. */
    for (unsigned i = 0; i < daemon->running; i++)
        worker_run(daemon->workers[i]);
    count_drops(daemon, endpoints_close_backlog(&daemon->endpoints));
    publish_readiness(daemon, engine);
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

static void reload(struct daemon *daemon)
{
    service_manager_reloading(&daemon->service_manager, "reloading the keys");
    admission_reload(&daemon->admission, &daemon->collector);
    service_manager_reloaded(&daemon->service_manager);
}

/* Maintain the collector once a second until SIGTERM or SIGINT: this is the maintenance thread. */
static void maintain_until_signal(struct daemon *daemon, const sigset_t *signals)
{
    int signal;

    do {
        collector_maintain(&daemon->collector);
        segment_name_check(&daemon->collector, daemon->config.segment);
        if (endpoints_check(&daemon->endpoints))
            publish_missing(daemon);
        count_drops(daemon, endpoints_count_drops(&daemon->endpoints));
        filter_count(&daemon->filter, &daemon->collector);
        service_manager_alive(&daemon->service_manager);
        signal = wait_for_tick(signals);
        if (signal == SIGHUP)
            reload(daemon);
    } while (signal != SIGTERM && signal != SIGINT);
}

/* Block SIGHUP from the start: it reloads the keys once the daemon runs, and must not end one whose
 * terminal is closed before. */
static void block_reloads(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
}

/* Block the signals that maintain_until_signal waits for, and return them. Until now SIGTERM and
 * SIGINT simply ended a start that took long. */
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
    service_manager_stopping(&daemon->service_manager, "counting what the sockets hold");
    for (unsigned i = 0; i < daemon->running; i++)
        worker_stop(daemon->workers[i]);
    for (unsigned i = 0; i < daemon->running; i++) {
        worker_close(daemon->workers[i]);
        ingest_close(daemon->ingests[i]);
    }
    count_drops(daemon, endpoints_count_drops(&daemon->endpoints));
    filter_count(&daemon->filter, &daemon->collector);
    endpoints_close(&daemon->endpoints);
    collector_close(&daemon->collector);
}

/* Open the segment, start the workers and count until a signal. The sockets are open. */
static int run_listening(struct daemon *daemon)
{
    int r = open_collector(daemon);

    if (r < 0) {
        endpoints_close(&daemon->endpoints);
        return r;
    }
    sigset_t signals = block_signals();
    r = attach_filter(daemon);
    if (r == 0)
        r = open_workers(daemon);
    if (r == 0) {
        begin_to_listen(daemon);
        maintain_until_signal(daemon, &signals);
    } else {
        segment_file_discard(&daemon->collector.file, daemon->config.segment);
    }
    stop(daemon);
    return r;
}

/* Open the sockets before the segment: a start that waits for its port, perhaps in vain, leaves no
 * segment behind. But fail at once if another daemon holds the segment. */
static int run_admitting(struct daemon *daemon)
{
    pid_t holder = 0;
    int r = segment_file_probe(daemon->config.segment, &holder);

    if (r < 0) {
        log_segment_failure(&daemon->config, r, holder);
        return r;
    }
    r = endpoints_open(&daemon->config.endpoints, &daemon->service_manager, &daemon->endpoints);
    if (r == 0)
        r = run_listening(daemon);
    else if (r == -EINTR)
        r = 0;
    if (r == 0)
        log_line("stopped");
    return r;
}

static int run(struct daemon *daemon)
{
    raise_priority();
    int r = admission_open(&daemon->config, &daemon->admission);

    if (r < 0)
        return r;
    r = run_admitting(daemon);
    filter_close(&daemon->filter);
    admission_close(&daemon->admission);
    return r;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;

    block_reloads();
    signal(SIGXFSZ, SIG_IGN); /* a log file at its size limit must not end us */
    switch (config_parse(argc, argv, &daemon.config)) {
    case OPTION_RUN:
        break;
    case OPTION_DONE:
        return 0;
    case OPTION_WRONG:
        return 2;
    }
    int r;
    if (daemon.config.give_to) {
        r = segment_owner_give(daemon.config.segment, daemon.config.give_to);
    } else {
        service_manager_open("presenced", &daemon.service_manager);
        r = run(&daemon);
        service_manager_close(&daemon.service_manager);
    }
    config_free(&daemon.config);
    return r < 0 ? 1 : 0;
}
