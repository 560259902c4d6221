/* options.h - the command line and the configuration file. */
#ifndef PRESENCE_WEB_OPTIONS_H
#define PRESENCE_WEB_OPTIONS_H

#include <string.h>

#include "common/networks.h"
#include "common/options.h"
#include "engine/engine_options.h"

#define OPTIONS_LISTED_MAX 256 /* values of each repeatable option */

struct options {
    struct option_list listen;
    char *segment;
    struct engine_options engine; /* instead of the segment; without a URL: none */
    char *database;               /* of presence-recorder's totals; NULL: none */
    struct option_list to;
    struct option_list sites;   /* in lower case; none: any */
    struct option_list aliases; /* ID=SITE, both as they are kept */
    char *rest_site;            /* of requests that name none, as it is kept; NULL: none */
    bool no_compat;
    struct option_list origins; /* in lower case; none: any */
    unsigned proxy_count;
    struct network proxies[OPTIONS_LISTED_MAX];
    char *country_header; /* NULL: none; likewise the files */
    char *api_key_file;
    char *jwt_key_file;
    char *key_file;
    bool count_bots;
    uint32_t client_rate; /* heartbeats a second; 0: any number */
    uint32_t max_streams;
    uint32_t client_streams; /* 0: any number */
};

/* True if `text` is in the list, or the list is empty. */
static inline bool options_allow(const struct option_list *list, const char *text)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return list->count == 0;
}

/* Return OPTION_RUN if the options fit each other, or print why not and return OPTION_WRONG. */
enum option_verdict options_check(const struct options *options);

/* Return the site for which an id of --site-alias stands, or NULL. */
const char *options_find_alias(const struct options *options, const char *id);

#endif
