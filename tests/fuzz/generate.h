/* generate.h - random datagrams that follow most rules most of the time. */
#ifndef PRESENCE_FUZZ_GENERATE_H
#define PRESENCE_FUZZ_GENERATE_H

#include <stdint.h>

#define GENERATE_MAX 131072 /* bytes of the longest datagram that can be generated */

struct generator {
    uint64_t state;
    uint8_t bytes[GENERATE_MAX];
    uint32_t length;
};

/* Return a number below `bound`, which is at least 1 (splitmix64). */
uint32_t generate_below(struct generator *generator, uint32_t bound);

/* Put one datagram of at most 65535 bytes into `bytes`. */
void generate_native(struct generator *generator); /* of version 1 */
void generate_v2(struct generator *generator);
void generate_text(struct generator *generator);

#endif
