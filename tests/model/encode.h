/* encode.h - encoders of datagrams for the tests, written from docs/protocol.md alone. */
#ifndef PRESENCE_TESTS_ENCODE_H
#define PRESENCE_TESTS_ENCODE_H

#include "names.h"

#define ENCODE_MAX 8192

enum rejection { REJECTED_VERSION, REJECTED_MALFORMED, REJECTED_VISITOR };

/* Each encodes one datagram, in one of the many forms that mean the same, into `datagram`
 * (ENCODE_MAX bytes) and returns its length. */

uint32_t encode_native(const struct names *names, const struct beat *beat,
                       struct random_source *random, uint8_t *datagram);

/* For a beat of one visitor whose names text can carry. May add labels that must be skipped where
 * the beat has none, and counts them in the beat. */
uint32_t encode_text(const struct names *names, struct beat *beat, struct random_source *random,
                     uint8_t *datagram);

bool encode_text_can_carry(const struct names *names, const struct beat *beat);

/* Encode a datagram that must be rejected. */
uint32_t encode_rejected(struct random_source *random, uint8_t *datagram, enum rejection *ret);

#endif
