/* compare.h - the decoders against the judge. */
#ifndef PRESENCE_FUZZ_COMPARE_H
#define PRESENCE_FUZZ_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

/* Decodes a copy of the datagram that has exactly its size, and judges it. True when both find the
 * same reason and the same fields, and what was read is written the same again. False after saying
 * on stderr what differs, with the datagram in hex. */
bool compare_datagram(const uint8_t *datagram, uint32_t length);

/* How many compared datagrams were accepted: a generator that breaks everything tests nothing. */
uint64_t compare_accepted(void);

#endif
