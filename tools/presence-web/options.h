/* options.h - the command line and the configuration file. */
#ifndef PRESENCE_WEB_OPTIONS_H
#define PRESENCE_WEB_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network.h"

#define OPTIONS_LISTED_MAX 256 /* of each option that can be repeated */

struct options_list {
    size_t count;
    char *items[OPTIONS_LISTED_MAX];
};

struct options {
    char *listen;
    char *segment; /* NULL: as libpresence chooses */
    struct options_list to;
    struct options_list sites;   /* in lower case; none: any */
    struct options_list origins; /* none: any */
    size_t proxy_count;
    struct network proxies[OPTIONS_LISTED_MAX];
    char *country_header;
    char *api_key_file;
    char *jwt_key_file;
    char *key_file;
    bool count_bots;
    uint32_t client_rate; /* heartbeats a second; 0: any number */
    uint32_t max_streams;
    uint32_t client_streams; /* of them, of one client; 0: any number */
};

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* --help or --version was printed */
    OPTIONS_WRONG, /* what is wrong was printed */
};

/* Read the configuration file, if one is named, and the command line, which wins. On OPTIONS_RUN
 * `ret` is to be released with options_free. */
enum options_verdict options_read(int argc, char **argv, struct options *ret);
void options_free(struct options *options);

/* Is `text` in the list, or the list empty? */
bool options_allow(const struct options_list *list, const char *text);

#endif
