/* presence-publisher - write what a collector counts into Redis or Valkey. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/service_manager.h"
#include "options.h"
#include "privileges.h"
#include "publisher.h"

struct program {
    struct options options;
    struct service_manager service_manager;
    struct publisher publisher;
    char status[PUBLISHER_STATUS_SIZE]; /* as the service manager was told */
    int64_t alive_ns;                   /* likewise, when it was told that we are alive */
};

/* Wait until the next turn. Returns a signal that came, or 0. */
static int wait_for_turn(const sigset_t *signals)
{
    const struct timespec timeout = {.tv_nsec = PUBLISHER_POLL_MS * NS_PER_MS};
    int signal = sigtimedwait(signals, NULL, &timeout);

    return signal > 0 ? signal : 0;
}

static void tell_service_manager(struct program *program)
{
    char status[PUBLISHER_STATUS_SIZE];
    int64_t now = monotonic_ns();

    publisher_describe(&program->publisher, status);
    if (strcmp(status, program->status) != 0)
        service_manager_ready(&program->service_manager, status);
    strcpy(program->status, status);
    if (now - program->alive_ns < NS_PER_S)
        return;
    service_manager_alive(&program->service_manager);
    program->alive_ns = now;
}

static void reload(struct program *program)
{
    service_manager_reloading(&program->service_manager, "reading the password again");
    publisher_reload(&program->publisher);
    service_manager_reloaded(&program->service_manager);
}

/* Publish until a signal, or until another publisher turns out to write the shard. */
static int serve(struct program *program, const sigset_t *signals)
{
    int signal = 0, r = 0;

    while (r == 0 && signal != SIGTERM && signal != SIGINT) {
        r = publisher_turn(&program->publisher);
        tell_service_manager(program);
        signal = r == 0 ? wait_for_turn(signals) : 0;
        if (signal == SIGHUP)
            reload(program);
    }
    service_manager_stopping(&program->service_manager, "marking the shard as stale");
    publisher_stop(&program->publisher);
    return r;
}

/* Give up privileges, and start the thread that looks up names in between: none can be started
 * afterwards, and it is confined like this one. */
static int confine(struct program *program)
{
    const struct options *options = &program->options;
    int r = privileges_give_up(options->segment, options->engine.password_file);

    if (r < 0)
        return r;
    r = engine_link_prepare(program->publisher.link);
    if (r < 0) {
        log_line("cannot start a thread: %s", strerror(-r));
        return r;
    }
    return privileges_confine();
}

static int run(struct program *program)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    int r = publisher_open(&program->options, &program->publisher);
    if (r < 0)
        return r;
    service_manager_open("presence-publisher", &program->service_manager);
    r = confine(program);
    if (r == 0)
        r = serve(program, &signals);
    if (r == 0)
        log_line("stopped");
    service_manager_close(&program->service_manager);
    publisher_close(&program->publisher);
    return r;
}

int main(int argc, char **argv)
{
    static struct program program;

    switch (options_read(argc, argv, &program.options)) {
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
