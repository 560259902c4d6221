/* reload.h - do what the command line and its file say: on SIGHUP, and the steps of it that a start
 * takes, too. The main thread. */
#ifndef PRESENCE_RELAY_RELOAD_H
#define PRESENCE_RELAY_RELOAD_H

#include "receive/endpoints.h"
#include "relay.h"

/* A relay that runs, and what is in force there. */
struct reload {
    int argc;
    char **argv;
    struct options *options;
    struct key *key;
    const struct endpoints *endpoints;
    struct accounts *accounts;
    struct relay *relay;
};

enum reload_verdict {
    RELOAD_SAME,    /* nothing has changed */
    RELOAD_CHANGED, /* the relay has a new setup: wake its receiver */
    RELOAD_REFUSED,
};

/* Load the key that signs: the first in the file. Without a path there is none, and its id is 0.
 * With `is_other` a running relay has used another file so far. Errors, with a line in the log:
 * those of key_file_load_first. */
int reload_key(const char *path, bool is_other, struct key *ret);

/* Check that no collector is where the relay itself receives, as groups_check_loop does, also at
 * sockets that the service manager has opened. False: one line says which it is. */
bool reload_check_loops(const struct options *options, const struct endpoints *endpoints);

/* Log how many collectors get what arrives, and which key signs it, after `opening`. */
void reload_log(const char *opening, const struct options *options, const struct key *key);

/* Warn if other machines reach an address that the relay listens on, and any of them may send. */
void reload_warn(const struct options *options, const struct endpoints *endpoints);

/* Read command line, file and key again, and let the relay go on with them. Targets, key, hold and
 * allowed networks change; for other options a line says that they need a restart. On any error one
 * line says what is wrong, and nothing changes. */
enum reload_verdict reload(const struct reload *running);

#endif
