/* config.h - what the command line and the configuration file say. */
#ifndef PRESENCED_CONFIG_H
#define PRESENCED_CONFIG_H

#include <net/if.h>
#include <sys/socket.h>

#include "common/networks.h"
#include "receive.h"
#include "segment_file.h"
#include "sites.h"
#include "xdp.h"

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
    struct sites sites;                 /* the only ones that are counted; none: all are */
    struct network allow[NETWORKS_MAX]; /* the only ones that heartbeats may come from */
    unsigned allow_count;               /* 0: from anywhere */
    uint32_t max_rooms_per_site;        /* and as many sources; 0: no limit */
    uint32_t source_rate;               /* datagrams of a source a second; 0: no limit */
    uint32_t source_new;                /* new visitors of a source a second; 0: no limit */
    char keys[4096];                    /* path; "": tags are not looked at */
    char xdp[IF_NAMESIZE];              /* interface; "": no filter */
    enum xdp_mode xdp_mode;
};

enum config_verdict {
    CONFIG_RUN,
    CONFIG_DONE,  /* --help or --version: answered */
    CONFIG_WRONG, /* one line was printed that says what, and what is allowed */
};

/* Read the command line, and the file that --config names; what stands on the command line wins
 * over the file, except that addresses to listen on, sites and networks add up. Prints to stdout
 * for --help and --version, otherwise only errors to stderr. `ret` is complete only with
 * CONFIG_RUN; its sites are then to be freed with sites_free. */
enum config_verdict config_read(int argc, char **argv, struct config *ret);

#endif
