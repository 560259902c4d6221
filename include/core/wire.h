/* wire.h - the native heartbeat datagram: tell its version, and judge its shape.
 *
 * Version 1 (wire_v1.h) is one place and its visitors, for whoever builds a datagram by hand.
 * Version 2 (wire_v2.h) is many places, with a sequence number, and is what libpresence sends.
 */
#ifndef PRESENCE_WIRE_H
#define PRESENCE_WIRE_H

#include "core/wire_v1.h"
#include "core/wire_v2.h"

#define WIRE_HEADER_MAX WIRE_V2_HEADER_SIZE /* bytes of the longest header */

/* True if the datagram is native and says that it is of version 2. */
static inline bool wire_is_v2(const uint8_t *datagram, uint32_t length)
{
    return length >= 3 && datagram[0] == 'P' && datagram[1] == 'H' && datagram[2] == WIRE_VERSION_2;
}

/* Judge a native datagram by its header and its length alone: WIRE_VERSION, WIRE_MALFORMED,
 * WIRE_VISITOR (version 1: all else is right, but it has none) or WIRE_ACCEPTED. Reads at most the
 * first WIRE_HEADER_MAX bytes, and none beyond `length`, which is that of the UDP payload. What is
 * not accepted here, the decoder of its version would not accept either. */
static inline enum wire_reason wire_shape(const uint8_t *datagram, uint32_t length)
{
    return wire_is_v2(datagram, length) ? wire_v2_shape(datagram, length)
                                        : wire_v1_shape(datagram, length);
}

#endif
