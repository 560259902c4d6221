/* options.h - the options of presence-relay. */
#ifndef PRESENCE_RELAY_OPTIONS_H
#define PRESENCE_RELAY_OPTIONS_H

#include "common/address.h"
#include "common/networks.h"
#include "common/options.h"
#include "receive/endpoints.h"
#include "receive/receive.h"

#define GROUPS_MAX      16
#define SHARDS_MAX      64 /* of a group */
#define GROUP_NAME_SIZE 64

/* A complete copy: collectors that each have the visitors of one hash range (R9). */
struct group {
    char name[GROUP_NAME_SIZE];
    uint32_t shards;
    char addresses[SHARDS_MAX][ADDRESS_SIZE]; /* HOST:PORT, numeric */
};

struct options {
    struct endpoints_settings endpoints;
    struct group *groups; /* allocated: GROUPS_MAX of them */
    unsigned group_count;
    char *key_file; /* NULL: datagrams are not signed */
    uint32_t hold_ms;
    struct network *allow; /* allocated: NETWORKS_MAX of them; NULL: none was given */
    unsigned allow_count;
    enum receive_engine engine;
    struct option_list listen_addresses; /* of the metrics */
};

/* Read the command line, and the file that --config names. With OPTION_RUN, release `ret` with
 * options_release; otherwise nothing is left to release. */
enum option_verdict options_read(int argc, char **argv, struct options *ret);

void options_release(struct options *options);

#endif
