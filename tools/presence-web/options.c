#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_listen.h"
#include "http_log.h"
#include "place.h"
#include "common/address.h"
#include "common/option_table.h"
#include "presence/presence.h"

#define DEFAULT_LISTEN      "127.0.0.1:8474"
#define DEFAULT_CLIENT_RATE 50
#define DEFAULT_STREAMS     4000
#define DEFAULT_PER_CLIENT  200
#define STREAMS_MAX         1000000
#define CLIENT_RATE_MAX     1000000

static bool wrong(const char *name, const char *value, const char *wanted)
{
    http_log("--%s takes %s, not '%.100s'", name, wanted, value);
    return false;
}

static bool take_text(char **text, const char *value)
{
    char *copy = strdup(value);

    if (!copy) {
        http_log("out of memory");
        return false;
    }
    free(*text);
    *text = copy;
    return true;
}

static bool take_listed(struct options_list *list, const char *name, const char *value)
{
    if (list->count == OPTIONS_LISTED_MAX) {
        http_log("--%s can be given at most %d times", name, OPTIONS_LISTED_MAX);
        return false;
    }
    return take_text(&list->items[list->count], value) && ++list->count;
}

static bool take_number(const char *name, const char *value, unsigned long most, uint32_t *ret)
{
    char *end;

    errno = 0;
    unsigned long number = strtoul(value, &end, 10);
    if (errno || *end || value[0] < '0' || value[0] > '9' || number > most) {
        http_log("--%s takes a whole number from 0 to %lu, not '%.100s'", name, most, value);
        return false;
    }
    *ret = (uint32_t)number;
    return true;
}

static bool take_listen(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return http_listen_check(value) < 0
               ? wrong(name, value, "an address and port such as 127.0.0.1:8474 or [::1]:8474")
               : take_text(&options->listen, value);
}

static bool take_segment(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return *value ? take_text(&options->segment, value)
                  : wrong(name, value, "the path of presenced's segment");
}

static bool take_to(void *target, const char *name, const char *value)
{
    struct options *options = target;
    struct address address;

    return address_split_peer(value, &address) < 0
               ? wrong(name, value, "a numeric address and port such as 127.0.0.1:9514")
               : take_listed(&options->to, name, value);
}

static bool take_site(void *target, const char *name, const char *value)
{
    struct options *options = target;
    struct place place;

    return place_take_site(&place, value)
               ? take_listed(&options->sites, name, place.site)
               : wrong(name, value, "1 to 253 bytes of UTF-8 without control characters");
}

static bool take_origin(void *target, const char *name, const char *value)
{
    struct options *options = target;
    const char *host = strstr(value, "://");

    return host && host[3] && !strchr(host + 3, '/')
               ? take_listed(&options->origins, name, value)
               : wrong(name, value, "what browsers send, such as https://example.com");
}

static bool take_proxy(void *target, const char *name, const char *value)
{
    struct options *options = target;

    if (options->proxy_count == OPTIONS_LISTED_MAX) {
        http_log("--%s can be given at most %d times", name, OPTIONS_LISTED_MAX);
        return false;
    }
    return network_read(value, &options->proxies[options->proxy_count])
               ? ++options->proxy_count
               : wrong(name, value, "an address or network such as 127.0.0.1 or 10.0.0.0/8");
}

static bool take_country_header(void *target, const char *name, const char *value)
{
    struct options *options = target;
    size_t length =
        strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

    return length && !value[length] ? take_text(&options->country_header, value)
                                    : wrong(name, value, "the name of a header, such as X-Country");
}

static bool take_client_rate(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return take_number(name, value, CLIENT_RATE_MAX, &options->client_rate);
}

static bool take_max_streams(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return take_number(name, value, STREAMS_MAX, &options->max_streams);
}

static bool take_client_streams(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return take_number(name, value, STREAMS_MAX, &options->client_streams);
}

static bool take_count_bots(void *target, const char *name, const char *value)
{
    struct options *options = target;
    bool yes = strcmp(value, "yes") == 0;

    if (!yes && strcmp(value, "no") != 0)
        return wrong(name, value, "yes or no");
    options->count_bots = yes;
    return true;
}

static bool take_api_key_file(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return *value ? take_text(&options->api_key_file, value) : wrong(name, value, "a file");
}

static bool take_jwt_key_file(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return *value ? take_text(&options->jwt_key_file, value) : wrong(name, value, "a file");
}

static bool take_key_file(void *target, const char *name, const char *value)
{
    struct options *options = target;

    return *value ? take_text(&options->key_file, value) : wrong(name, value, "a file");
}

static const struct option_entry entries[] = {
    {"listen", take_listen, "ADDR:PORT", "serve here (" DEFAULT_LISTEN ")"},
    {"segment", take_segment, "PATH", "presenced's segment (" PRESENCE_DEFAULT_SEGMENT ")"},
    {"to", take_to, "ADDR:PORT",
     "the collector that heartbeats go to (" PRESENCE_DEFAULT_ADDRESS ");\n"
     "repeatable: all of them get each"},
    {"key-file", take_key_file, "FILE",
     "sign heartbeats with the first key in this file, a\n"
     "line ID HEX32 as in the collector's --keys"},
    {"site", take_site, "NAME", "only this site; repeatable (any site)"},
    {"origin", take_origin, "ORIGIN",
     "only pages from there may ask, as in\n"
     "https://example.com; repeatable (any)"},
    {"trusted-proxy", take_proxy, "NETWORK",
     "believe X-Forwarded-For from there; repeatable (none)"},
    {"country-header", take_country_header, "NAME",
     "header in which a trusted proxy says the country"},
    {"client-rate", take_client_rate, "N", "heartbeats a second of one client, 0: any number (50)"},
    {"count-bots", take_count_bots, NULL, "count known bots too"},
    {"api-key-file", take_api_key_file, "FILE", "reading /api needs one of these keys, one a line"},
    {"jwt-key-file", take_jwt_key_file, "FILE",
     "/touch and /stream need a token signed (HS256) by\n"
     "one of these keys, one a line"},
    {"max-streams", take_max_streams, "N", "open streams at a time (4000)"},
    {"client-streams", take_client_streams, "N", "of them, of one client, 0: any number (200)"},
};

static const struct option_table table = {
    .program = "presence-web",
    .purpose = "Serve live visitor counts over HTTP, take heartbeats from browsers, and show a "
               "dashboard.",
    .notes = "SIGHUP reads the key files again. HTTPS is for a proxy in front: see "
             "presence-web(8).\n",
    .entries = entries,
    .count = sizeof(entries) / sizeof(entries[0]),
    .log = http_log,
};

static bool set_defaults(struct options *options)
{
    return (options->listen || take_listen(options, "listen", DEFAULT_LISTEN)) &&
           (options->to.count || take_to(options, "to", PRESENCE_DEFAULT_ADDRESS));
}

_Static_assert((int)OPTIONS_RUN == (int)OPTION_RUN && (int)OPTIONS_DONE == (int)OPTION_DONE &&
                   (int)OPTIONS_WRONG == (int)OPTION_WRONG,
               "the verdicts are the table's");

enum options_verdict options_read(int argc, char **argv, struct options *ret)
{
    struct options options = {.client_rate = DEFAULT_CLIENT_RATE,
                              .max_streams = DEFAULT_STREAMS,
                              .client_streams = DEFAULT_PER_CLIENT};
    enum options_verdict verdict =
        (enum options_verdict)option_table_read(&table, argc, argv, &options);

    if (verdict == OPTIONS_RUN && !set_defaults(&options))
        verdict = OPTIONS_WRONG;
    if (verdict == OPTIONS_RUN)
        *ret = options;
    else
        options_free(&options);
    return verdict;
}

static void free_list(struct options_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
}

void options_free(struct options *options)
{
    free(options->listen);
    free(options->segment);
    free(options->country_header);
    free(options->api_key_file);
    free(options->jwt_key_file);
    free(options->key_file);
    free_list(&options->to);
    free_list(&options->sites);
    free_list(&options->origins);
    *options = (struct options){0};
}

bool options_allow(const struct options_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0)
            return true;
    }
    return list->count == 0;
}
