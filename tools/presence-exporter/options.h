/* options.h - the command line of presence-exporter. */
#ifndef PRESENCE_EXPORTER_OPTIONS_H
#define PRESENCE_EXPORTER_OPTIONS_H

#include <stdint.h>

#include "common/options.h"

#define OPTIONS_WINDOWS_MAX 8

struct options {
    struct option_list listen_addresses;
    char *telemetry_path;
    char *web_config; /* path, or NULL */
    char *segment;
    uint32_t windows[OPTIONS_WINDOWS_MAX]; /* seconds; 0: the default window */
    unsigned window_count;                 /* at least 1 */
    uint32_t limits[4]; /* by enum presence_kind: at most so many series in each window */
};

/* Parse the command line. With OPTION_RUN, release `ret` with options_free. */
enum option_verdict options_read(int argc, char **argv, struct options *ret);

#endif
