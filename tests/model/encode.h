/* encode.h - encoders of datagrams for the tests, written from docs/protocol.md alone. */
#ifndef PRESENCE_TESTS_ENCODE_H
#define PRESENCE_TESTS_ENCODE_H

#include "names.h"
#include "packet.h"

#define ENCODE_MAX 65535

/* Each encodes one datagram, in one of the many forms that mean the same, into `datagram`
 * (ENCODE_MAX bytes) and returns its length. */

/* The first record of a packet, in version 1. */
uint32_t encode_v1(const struct names *names, const struct packet *packet,
                   struct random_source *random, uint8_t *datagram);

/* A packet, in version 2. */
uint32_t encode_v2(const struct names *names, const struct packet *packet,
                   struct random_source *random, uint8_t *datagram);

/* A beat of one visitor whose names text can carry. May add labels that must be skipped where the
 * beat has none, and counts them in the beat. */
uint32_t encode_text(const struct names *names, struct beat *beat, struct random_source *random,
                     uint8_t *datagram);

bool encode_text_can_carry(const struct names *names, const struct beat *beat);

/* Encode a datagram that must be rejected. */
uint32_t encode_rejected(struct random_source *random, uint8_t *datagram, enum rejection *ret);

/* Write the 16 bytes of a key of the scenarios. */
void encode_key(unsigned key_id, uint8_t ret[16]);

/* Write the tag of a native datagram of `length` bytes behind it, the right one or another, and
 * return how many bytes that is: 0 if it is not signed. */
uint32_t encode_tag(const struct signature *signature, uint8_t *datagram, uint32_t length);

#endif
