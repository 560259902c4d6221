/* generate.h - random datagrams that keep most of the rules most of the time. */
#ifndef PRESENCE_FUZZ_GENERATE_H
#define PRESENCE_FUZZ_GENERATE_H

#include <stdint.h>

#define GENERATE_MAX 131072 /* bytes that a generated datagram may have room for */

struct generator {
    uint64_t state;
    uint8_t bytes[GENERATE_MAX];
    uint32_t length;
};

/* A number below `bound`, which is at least 1 (splitmix64). */
uint32_t generate_below(struct generator *generator, uint32_t bound);

/* Puts one datagram into `bytes`, at most 65535 long. */
void generate_native(struct generator *generator);
void generate_text(struct generator *generator);

#endif
