#include "options.h"

#include <errno.h>
#include <string.h>

#include "common/place.h"
#include "common/time_text.h"
#include "http/http_listen.h"

#define LIMIT_MAX  100000 /* series of a kind and window */
#define PATH_BYTES 255
#define LIMIT(kind)                                                                   \
    OPTION_UINT32(struct options, limits[kind]), .max = LIMIT_MAX, .fallback = "100", \
                                                 .argument = "N"
#define LIMIT_DETAILS                                                                     \
    "Names come from strangers, and every name is a series in Prometheus. 0 shows none. " \
    "presence_active_scopes says how many there are."

static int check_path(char *path)
{
    /* Characters that may stand in a request line and need no escaping anywhere. */
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "/-._~";

    return *path == '/' && !path[strspn(path, allowed)] && strcmp(path, "/-/healthy") != 0
               ? 0
               : -EINVAL;
}

static int check_address(char *address)
{
    return http_listen_check(address);
}

static int add_window(void *target, const char *text)
{
    struct options *options = target;
    uint64_t seconds;
    int r = duration_parse(text, &seconds);

    if (r == 0 && (seconds < 1 || seconds > PLACE_WINDOW_MAX))
        r = -EINVAL;
    if (r == 0 && options->window_count == OPTIONS_WINDOWS_MAX)
        r = -ENOSPC;
    if (r == 0)
        options->windows[options->window_count++] = (uint32_t)seconds;
    return r;
}

static const struct option_entry entries[] = {
    {"web.listen-address", OPTION_LIST(struct options, listen_addresses), .check = check_address,
     .max = HTTP_LISTEN_MAX, .argument = "HOST:PORT",
     .expected = "HOST:PORT, such as 127.0.0.1:9474, [::1]:9474 or :9474",
     .help = "answer here; :PORT for all addresses", .fallback = "127.0.0.1:9474",
     .details = HTTP_LISTEN_DETAILS},
    {"web.telemetry-path", OPTION_TEXT(struct options, telemetry_path), .check = check_path,
     .max = PATH_BYTES, .argument = "/PATH",
     .expected = "a path such as /metrics of letters, digits and /-._~",
     .help = "where the metrics are", .fallback = "/metrics"},
    {"web.config.file", OPTION_TEXT(struct options, web_config), .argument = "FILE",
     .expected = "a file", .example = "/etc/presence/exporter-web.yml",
     .help = "serve HTTPS, ask for passwords and add headers as this YAML file says",
     .details = "It is the file that Prometheus and its exporters share. See WEB CONFIGURATION."},
    OPTION_SEGMENT(struct options, segment),
    {"window", OPTION_PARSED_INTO(add_window), .max = OPTIONS_WINDOWS_MAX, .repeatable = true,
     .argument = "5m", .expected = "1 s to 1 h, such as 90, 90s, 5m or 1h", .example = "5m",
     .help =
         "count the last so many seconds (90 or 90s), minutes (5m) or hours (1h), up to an hour",
     .suggestions = "1m 5m 10m 30m 1h",
     .details = "Every window has series of its own, with the label window. Above 480 seconds it "
                "is rounded up to whole minutes. One that is longer than the collector counts is "
                "left out. Default: the collector's default window, 5m."},
    {"sites", LIMIT(PRESENCE_SITE),
     .help = "show at most so many sites, the busiest, in each window", .details = LIMIT_DETAILS},
    {"rooms", LIMIT(PRESENCE_ROOM),
     .help = "show at most so many rooms, the busiest of all sites together, in each window"},
    {"countries", LIMIT(PRESENCE_COUNTRY),
     .help = "show at most so many countries, the busiest of all sites together, in each window"},
    {"sources", LIMIT(PRESENCE_SOURCE),
     .help = "show at most so many sources, the busiest of all sites together, in each window"},
};

const struct option_table options_table = {
    .program = "presence-exporter",
    .purpose = "Show live presence counts to Prometheus, from the collector's shared memory.",
    OPTION_ENTRIES(entries),
    .read_file = options_read_file,
};

enum option_verdict options_read(int argc, char **argv, struct options *ret)
{
    struct options options = {0};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict != OPTION_RUN)
        return verdict;
    if (options.window_count == 0)
        options.window_count = 1;
    *ret = options;
    return OPTION_RUN;
}
