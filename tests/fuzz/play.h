/* play.h - play a client of an HTTP server that runs in this thread, and check what it is answered.
 */
#ifndef PRESENCE_FUZZ_PLAY_H
#define PRESENCE_FUZZ_PLAY_H

#include <http/http_server.h>
#include <netinet/in.h>

#include "fuzz.h"

struct play {
    struct http_server *server;
    int socket;               /* it listens at */
    void (*turn)(void *data); /* what the program does between two turns of its server, or NULL */
    void *data;
};

/* Open a socket that listens at a free port of this machine alone. */
int play_listen(void);

/* Connect, send the bytes, read what comes, and disconnect. Fails where an answer is malformed, is
 * 500, has JSON that is none, or where the server keeps the connection. */
void play_client(const struct play *play, struct fuzz_input bytes);

#endif
