/* compare.h - compare the decoders with the judge. */
#ifndef PRESENCE_FUZZ_COMPARE_H
#define PRESENCE_FUZZ_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

/* Decode a copy of the datagram that has exactly its size, and judge it. True if both find the same
 * reason and the same fields, and what was decoded is encoded as the same again. Otherwise print on
 * stderr what differs, with the datagram in hex. */
bool compare_datagram(const uint8_t *datagram, uint32_t length);

/* Return how many compared datagrams were accepted: a generator that breaks everything tests
 * nothing. */
uint64_t compare_accepted(void);

#endif
