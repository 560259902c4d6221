#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_listen.h"
#include "http_log.h"
#include "presence/presence.h"
#include "core/ring.h"
#include "common/segment_source.h"

#define DEFAULT_ADDRESS "127.0.0.1:9474"
#define DEFAULT_PATH    "/metrics"
#define DEFAULT_LIMIT   100

enum option_value {
    OPTION_ADDRESS = 256,
    OPTION_PATH,
    OPTION_SEGMENT,
    OPTION_WINDOW,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_LIMIT, /* and the kind */
};

static const struct option long_options[] = {
    {"web.listen-address", required_argument, NULL, OPTION_ADDRESS},
    {"web.telemetry-path", required_argument, NULL, OPTION_PATH},
    {"segment", required_argument, NULL, OPTION_SEGMENT},
    {"window", required_argument, NULL, OPTION_WINDOW},
    {"sites", required_argument, NULL, OPTION_LIMIT + PRESENCE_SITE},
    {"rooms", required_argument, NULL, OPTION_LIMIT + PRESENCE_ROOM},
    {"countries", required_argument, NULL, OPTION_LIMIT + PRESENCE_COUNTRY},
    {"sources", required_argument, NULL, OPTION_LIMIT + PRESENCE_SOURCE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

static const char help[] =
    "Usage: presence-exporter [OPTION]...\n"
    "Show live presence counts to Prometheus, from the collector's shared memory.\n\n"
    "  --web.listen-address HOST:PORT  answer here; :PORT for all addresses (" DEFAULT_ADDRESS ")\n"
    "  --web.telemetry-path PATH       where the metrics are (" DEFAULT_PATH ")\n"
    "  --segment PATH                  the collector's segment (" PRESENCE_DEFAULT_SEGMENT ")\n"
    "  --window 5m                     count the last so many seconds (s), minutes (m) or\n"
    "                                  hours (h); repeatable (the collector's default: 5m)\n"
    "  --sites N, --rooms N, --countries N, --sources N\n"
    "                                  at most so many of each, over all sites together, in\n"
    "                                  each window: the busiest; 0 for none (100)\n"
    "  --help                          show this\n"
    "  --version                       show the version\n\n"
    "PRESENCE_SEGMENT sets the segment's path where --segment does not.\n"
    "Exit status: 0 stopped by a signal, 1 failure, 2 wrong usage.\n";

/* Digits that `text` begins with, up to `most`. False: none, or more than that. */
static bool take_digits(const char *text, uint32_t most, uint32_t *ret, const char **ret_end)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || number > most)
        return false;
    *ret = (uint32_t)number;
    *ret_end = end;
    return true;
}

static bool take_limit(const char *name, const char *text, uint32_t *ret)
{
    const char *end;
    uint32_t number;

    if (take_digits(text, OPTIONS_LIMIT_MAX, &number, &end) && !*end) {
        *ret = number;
        return true;
    }
    http_log("--%s takes a whole number from 0 to %d, not '%.100s'", name, OPTIONS_LIMIT_MAX, text);
    return false;
}

static bool read_window(const char *text, uint32_t *ret)
{
    const char *end;
    uint32_t number, unit;

    if (!take_digits(text, WINDOW_MAX, &number, &end) || (*end && end[1]))
        return false;
    unit = *end == '\0' || *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : 0;
    if (number * unit < 1 || number * unit > WINDOW_MAX)
        return false;
    *ret = number * unit;
    return true;
}

static bool take_window(struct options *options, const char *text)
{
    if (options->window_count == OPTIONS_WINDOWS_MAX) {
        http_log("--window can be given at most %d times", OPTIONS_WINDOWS_MAX);
        return false;
    }
    if (read_window(text, &options->windows[options->window_count])) {
        options->window_count++;
        return true;
    }
    http_log("--window takes 1 s to 1 h, such as 90, 90s, 5m or 1h, not '%.100s'", text);
    return false;
}

static bool take_address(struct options *options, const char *text)
{
    options->listen_address = text;
    if (http_listen_check(text) == 0)
        return true;
    http_log("--web.listen-address takes HOST:PORT, such as " DEFAULT_ADDRESS
             ", [::1]:9474 or :9474, not '%.100s'",
             text);
    return false;
}

/* What can stand in a request line and needs no escape anywhere. */
static bool take_path(struct options *options, const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "/-._~";

    options->telemetry_path = text;
    if (text[0] == '/' && strlen(text) <= OPTIONS_PATH_MAX && !text[strspn(text, allowed)] &&
        strcmp(text, "/-/healthy") != 0)
        return true;
    http_log("--web.telemetry-path takes a path such as " DEFAULT_PATH
             " of letters, digits and /-._~, not '%.100s'",
             text);
    return false;
}

static bool take(struct options *options, int option, const char *name, const char *value)
{
    switch (option) {
    case OPTION_ADDRESS:
        return take_address(options, value);
    case OPTION_PATH:
        return take_path(options, value);
    case OPTION_SEGMENT:
        options->segment = value;
        if (*value)
            return true;
        http_log("--segment takes the path of the collector's segment");
        return false;
    case OPTION_WINDOW:
        return take_window(options, value);
    default:
        return take_limit(name, value, &options->limits[option - OPTION_LIMIT]);
    }
}

enum options_verdict options_read(int argc, char **argv, struct options *ret)
{
    struct options options = {
        .listen_address = DEFAULT_ADDRESS,
        .telemetry_path = DEFAULT_PATH,
        .limits = {DEFAULT_LIMIT, DEFAULT_LIMIT, DEFAULT_LIMIT, DEFAULT_LIMIT},
    };
    int option, index;

    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        switch (option) {
        case '?':
            return OPTIONS_WRONG; /* getopt_long has said why */
        case OPTION_HELP:
            fputs(help, stdout);
            return OPTIONS_DONE;
        case OPTION_VERSION:
            puts("presence-exporter " PRESENCE_VERSION);
            return OPTIONS_DONE;
        }
        if (!take(&options, option, long_options[index].name, optarg))
            return OPTIONS_WRONG;
    }
    if (optind < argc) {
        http_log("unexpected argument '%.100s'; see presence-exporter --help", argv[optind]);
        return OPTIONS_WRONG;
    }
    if (options.window_count == 0)
        options.window_count = 1;
    options.segment = segment_source_path(options.segment);
    *ret = options;
    return OPTIONS_RUN;
}
