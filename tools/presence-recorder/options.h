/* options.h - the command line of presence-recorder. */
#ifndef PRESENCE_RECORDER_OPTIONS_H
#define PRESENCE_RECORDER_OPTIONS_H

#include "common/options.h"
#include "engine/engine_options.h"

/* The options, as options_parse sets them. */
struct options {
    char *segment, *database;
    struct engine_options engine;
    uint32_t retention_s; /* 0: forever */
    bool once;
};

#endif
