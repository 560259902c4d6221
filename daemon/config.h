/* config.h - the daemon's options, from the command line and the configuration file. */
#ifndef PRESENCED_CONFIG_H
#define PRESENCED_CONFIG_H

#include "common/networks.h"
#include "common/options.h"
#include "receive/endpoints.h"
#include "receive/receive.h"
#include "segment_file.h"
#include "sites.h"
#include "xdp.h"

struct config {
    struct endpoints_settings endpoints;
    char *segment; /* path */
    struct segment_settings settings;
    enum receive_engine engine;
    struct sites sites;          /* the only ones that are counted; none: all are */
    struct network_list allow;   /* the only ones that heartbeats may come from; none: anywhere */
    uint32_t max_rooms_per_site; /* and as many sources; 0: no limit */
    uint32_t sender_rate;        /* datagrams of a sender a second; 0: no limit */
    uint32_t sender_new;         /* new visitors of a sender a second; 0: no limit */
    char *keys;                  /* path; NULL: tags are not checked */
    char *xdp;                   /* interface; NULL: no filter */
    enum xdp_mode xdp_mode;
    char *give_to; /* user; NULL: run */
};

/* Parse the command line, and the file that --config names, as options_parse does. With OPTION_RUN,
 * free `ret` with config_free; otherwise nothing is left to free. One thread. */
enum option_verdict config_parse(int argc, char **argv, struct config *ret);

/* Free what a configuration holds. */
void config_free(struct config *config);

#endif
