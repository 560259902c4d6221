/* program.h - a program's options for fuzz_options.c. Each program's options.c is compiled with
 * names of its own (meson.build), with a file here that parses, checks and frees as its main does.
 */
#ifndef PRESENCE_FUZZ_PROGRAM_H
#define PRESENCE_FUZZ_PROGRAM_H

#include <common/options.h>

#include "../fuzz.h"

struct program {
    const struct option_table *table;
    /* Parse, check what was parsed against the documents, and free it. */
    enum option_verdict (*parse)(int argc, char **argv);
};

extern const struct program program_presenced, program_web, program_relay, program_publisher,
    program_exporter, program_recorder, program_send, program_ctl;

/* Check a number that has bounds. */
#define check_range(number, least, most) \
    fuzz_check((uint64_t)(number) >= (least) && (uint64_t)(number) <= (most))

/* Check the texts of a list: as many as the table says at most, none empty. */
static inline void check_list(const struct option_list *list, unsigned most)
{
    fuzz_check(list->count <= most);
    for (unsigned i = 0; i < list->count; i++)
        fuzz_check(*list->items[i]);
}

#endif
