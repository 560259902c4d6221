/* presence-send.h - the options of presence-send, and what its three modes share. */
#ifndef PRESENCE_SEND_H
#define PRESENCE_SEND_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"
#include "presence/presence.h"

enum mode {
    MODE_ONE,   /* one heartbeat */
    MODE_INPUT, /* a heartbeat for each line of stdin */
    MODE_LOAD,  /* a load of made-up visitors */
};

struct load_options {
    uint64_t visitors;
    uint64_t first;                     /* the number of the first visitor */
    double rate;                        /* heartbeats a second; 0: as many as possible */
    double duration_s;                  /* 0: until every visitor has had one */
    uint32_t rooms, countries, sources; /* how many to spread the visitors over; 0: none */
    bool random;
    uint64_t seed;
};

struct options {
    enum mode mode;
    char *to;       /* HOST:PORT */
    char *key_file; /* or NULL; otherwise target_open takes its first key */
    char *site, *room, *country, *source, *event, *visitor;
    struct presence_place place; /* points to the texts above */
    struct presence_sender_options sender;
    struct load_options load;
};

/* ---- options.c ---- */

/* Parse the command line into `ret`, which owns its texts. With OPTION_RUN, release them with
 * options_free(&options_table, ret). */
enum option_verdict send_options_parse(int argc, char **argv, struct options *ret);

/* ---- main.c: SIGINT and SIGTERM end the program in good order ---- */

/* Return the last of the two signals that came, or 0. */
int interrupted(void);

/* Call poll(2) for `timeout_ms`. Either signal ends the call, even one that came just before. */
int interruptible_poll(struct pollfd *descriptor, int timeout_ms);

/* ---- target.c: the collector ---- */

/* Resolve --to, load --key-file and open a sender, to be released with presence_sender_close.
 * Returns false after reporting why that failed. */
bool target_open(const struct options *options, struct presence_sender **ret);

/* Return true if everything sent so far seems to have arrived; otherwise report what failed. */
bool target_check(const struct options *options, const struct presence_sender *sender);

/* Send everything that is queued, and wait for 5 ms for reports that nobody listens, which follow
 * the datagrams. */
void target_flush(struct presence_sender *sender);

/* ---- the modes ---- */

/* Send a heartbeat for each line of stdin, until it ends or a signal comes. A line is a visitor's
 * id, for the place of the options, or a text heartbeat that begins with `PH1 `. Returns the exit
 * status: 1, after reporting why, if a line was bad or the collector is not there. */
int input_run(const struct options *options, struct presence_sender *sender);

/* Send the load of the options, until it ends or a signal comes, and print its summary, one JSON
 * object, to stdout. Returns the exit status: 1, after reporting why, if datagrams were lost or
 * nobody listens. */
int load_run(const struct options *options, struct presence_sender *sender);

#endif
