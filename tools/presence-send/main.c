/* presence-send - send heartbeats to a presence collector. */
#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "presence-send.h"

static volatile sig_atomic_t last_signal;

static void on_signal(int number)
{
    last_signal = number;
}

int interrupted(void)
{
    return last_signal;
}

int interruptible_poll(struct pollfd *descriptor, int timeout_ms)
{
    const struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    sigset_t both, before;
    int result = 0;

    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, &before);
    if (!last_signal)
        result = ppoll(descriptor, 1, &timeout, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return result;
}

static int send_one(const struct options *options, struct presence_sender *sender)
{
    int r = presence_send(sender, &options->place, options->visitor);

    if (r < 0) {
        log_error("cannot send the heartbeat: %s; shorten its names", strerror(-r));
        return 1;
    }
    target_flush(sender);
    return target_check(options, sender) ? 0 : 1;
}

static int run(const struct options *options)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct presence_sender *sender;
    int status;

    if (!target_open(options, &sender))
        return 1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (options->mode == MODE_ONE)
        status = send_one(options, sender);
    else if (options->mode == MODE_INPUT)
        status = input_run(options, sender);
    else
        status = load_run(options, sender);
    presence_sender_close(sender);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    enum option_verdict verdict = send_options_parse(argc, argv, &options);

    if (verdict != OPTION_RUN)
        return verdict == OPTION_DONE ? 0 : 2;
    int status = run(&options);
    options_free(&options_table, &options);
    return status;
}
