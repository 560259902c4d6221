/* options.h - the command line of presence-send. */
#ifndef PRESENCE_SEND_OPTIONS_H
#define PRESENCE_SEND_OPTIONS_H

#include "presence/presence.h"

#include <stdbool.h>
#include <stdint.h>

enum mode {
    MODE_ONE,    /* one heartbeat */
    MODE_STREAM, /* what stdin names */
    MODE_LOAD,   /* many made-up visitors */
};

struct load_options {
    uint64_t visitors;
    uint64_t first;                     /* the number of the first visitor */
    double rate;                        /* heartbeats a second; 0: as many as possible */
    double duration_s;                  /* 0: until every visitor has had one */
    uint32_t rooms, countries, sources; /* how many to spread them over; 0: as the place says */
    bool random;
    uint64_t seed;
};

struct options {
    enum mode mode;
    const char *to; /* HOST:PORT */
    struct presence_place place;
    const char *visitor; /* MODE_ONE */
    struct presence_sender_options sender;
    struct load_options load; /* MODE_LOAD */
};

#define OPTIONS_GO_ON (-1)

/* Read the command line; `ret` points into it. Returns OPTIONS_GO_ON when the program is to go on,
 * or its exit status: 0 after --help or --version, 2 after saying what is wrong. */
int options_read(int argc, char **argv, struct options *ret);

#endif
