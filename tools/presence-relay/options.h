/* options.h - the options of presence-relay. */
#ifndef PRESENCE_RELAY_OPTIONS_H
#define PRESENCE_RELAY_OPTIONS_H

#include "common/networks.h"
#include "common/options.h"
#include "groups.h"
#include "receive/endpoints.h"
#include "receive/receive.h"

struct options {
    const char *config; /* the file that --config names, of the command line; NULL: none */
    struct endpoints_settings endpoints;
    struct option_list to;
    struct group *groups; /* allocated: those of `to` */
    unsigned group_count;
    char *key_file; /* NULL: datagrams are not signed */
    uint32_t hold_ms;
    struct network_list allow; /* the only ones that heartbeats may come from; none: anywhere */
    enum receive_engine engine;
    struct option_list listen_addresses; /* of the metrics */
};

/* Read the command line, and the file that --config names. `local_addresses`, of
 * local_address_open, tells which addresses are the machine's own; it may be negative. With
 * OPTION_RUN, release `ret` with options_release; otherwise nothing is left to release. */
enum option_verdict options_read(int argc, char **argv, int local_addresses, struct options *ret);

void options_release(struct options *options);

#endif
