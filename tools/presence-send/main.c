/* presence-send - send heartbeats to a presence collector. */
#include "interrupt.h"
#include "load.h"
#include "options.h"
#include "stream.h"
#include "target.h"

#include <stdio.h>
#include <string.h>

static int send_one(const struct options *options, struct presence_sender *sender)
{
    int error = presence_send(sender, &options->place, options->visitor);

    if (error < 0) {
        fprintf(stderr, "presence-send: cannot send the heartbeat: %s; shorten its names\n",
                strerror(-error));
        return 1;
    }
    target_finish(sender);
    return target_takes(options, sender) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct presence_sender *sender;
    struct options options;
    int status = options_read(argc, argv, &options);

    if (status != OPTIONS_GO_ON)
        return status;
    if (!target_open(&options, &sender))
        return 1;
    interrupt_take();
    if (options.mode == MODE_ONE)
        status = send_one(&options, sender);
    else if (options.mode == MODE_STREAM)
        status = stream_run(&options, sender);
    else
        status = load_run(&options, sender);
    presence_sender_close(sender);
    return status;
}
