/* config.h - what the command line and the configuration file say. */
#ifndef PRESENCED_CONFIG_H
#define PRESENCED_CONFIG_H

#include <sys/socket.h>

#include "receive.h"
#include "segment_file.h"

#define CONFIG_LISTEN_MAX 16

struct config_address {
    char text[64]; /* as it was given */
    struct sockaddr_storage address;
    socklen_t length;
};

struct config {
    struct config_address listen[CONFIG_LISTEN_MAX];
    unsigned listen_count;
    char segment[4096]; /* path */
    struct segment_settings settings;
    unsigned workers;
    enum receive_engine engine;
};

enum config_verdict {
    CONFIG_RUN,
    CONFIG_DONE,  /* --help or --version: answered */
    CONFIG_WRONG, /* one line was printed that says what, and what is allowed */
};

/* Read the command line, and the file that --config names; what stands on the command line wins
 * over the file, except that addresses to listen on add up. Prints to stdout for --help and
 * --version, otherwise only errors to stderr. `ret` is complete only with CONFIG_RUN. */
enum config_verdict config_read(int argc, char **argv, struct config *ret);

#endif
