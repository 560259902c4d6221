#include "presence-send.h"

#include <common/place.h>

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct options options;
    enum option_verdict verdict = send_options_parse(argc, argv, &options);

    if (verdict != OPTION_RUN)
        return verdict;
    fuzz_check(options.site || options.mode == MODE_INPUT);
    fuzz_check((options.mode == MODE_ONE) == (options.visitor != NULL));
    fuzz_check((options.place.kind == PRESENCE_EVENT) == (options.event != NULL));
    check_range(options.sender.datagram_bytes, 1, 65507);
    options_free(&options_table, &options);
    return OPTION_RUN;
}

const struct program program_send = {&options_table, parse};
