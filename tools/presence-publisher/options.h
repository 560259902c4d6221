/* options.h - the options of presence-publisher. */
#ifndef PRESENCE_PUBLISHER_OPTIONS_H
#define PRESENCE_PUBLISHER_OPTIONS_H

#include "common/options.h"
#include "engine/engine_keys.h"
#include "engine/engine_options.h"
#include "presence/scan.h"

struct options {
    char *segment;
    struct engine_options engine;
    char *group;
    uint32_t shard, shards; /* shard K, from 1, of N */
    uint32_t windows_s[SCAN_WINDOWS_MAX];
    unsigned window_count; /* 0: the default one */
};

/* Read the command line, and the file that --config names. With OPTION_RUN, release `ret` with
 * options_release; otherwise nothing is left to release. */
enum option_verdict options_read(int argc, char **argv, struct options *ret);

void options_release(struct options *options);

#endif
