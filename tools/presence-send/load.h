/* load.h - many made-up visitors at a steady rate. */
#ifndef PRESENCE_SEND_LOAD_H
#define PRESENCE_SEND_LOAD_H

#include "options.h"

/* Send the load of the options and print its summary, one JSON object, on stdout; SIGINT and
 * SIGTERM end it sooner. Returns the exit status: 1, after saying why, when datagrams were lost or
 * nobody listens. */
int load_run(const struct options *options, struct presence_sender *sender);

#endif
