/* options.h - what the command line says. */
#ifndef PRESENCE_EXPORTER_OPTIONS_H
#define PRESENCE_EXPORTER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#define OPTIONS_WINDOWS_MAX 8
#define OPTIONS_LIMIT_MAX   100000 /* series of a kind and window */
#define OPTIONS_PATH_MAX    255

enum options_verdict {
    OPTIONS_RUN,
    OPTIONS_DONE,  /* --help or --version: answered */
    OPTIONS_WRONG, /* one line was printed that says what, and what is allowed */
};

struct options {
    const char *listen_address;
    const char *telemetry_path;
    const char *segment;
    uint32_t windows[OPTIONS_WINDOWS_MAX]; /* seconds; 0: the default window */
    unsigned window_count;                 /* at least 1 */
    uint32_t limits[4]; /* by enum presence_kind: at most so many series, and so many a window */
};

/* Read the command line. `ret` is complete only with OPTIONS_RUN, and points into `argv`. */
enum options_verdict options_read(int argc, char **argv, struct options *ret);

#endif
