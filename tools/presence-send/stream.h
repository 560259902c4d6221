/* stream.h - heartbeats that stdin names, one a line. */
#ifndef PRESENCE_SEND_STREAM_H
#define PRESENCE_SEND_STREAM_H

#include "options.h"

/* Send a heartbeat for each line of stdin, until it ends or a signal comes: a line is a visitor's
 * id, for the place of the options, or a text heartbeat that begins with `PH1 `. Returns the exit
 * status: 1, after saying why, when a line was bad or the collector is not there. */
int stream_run(const struct options *options, struct presence_sender *sender);

#endif
