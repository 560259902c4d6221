/* edge.h - the heartbeats of a busy site as an edge sees them: 5,000 rooms by Zipf's law, 60
 * countries, two fifths of the visitors with a source. Neighbours hardly ever share a place. */
#ifndef PRESENCE_TESTS_BENCH_EDGE_H
#define PRESENCE_TESTS_BENCH_EDGE_H

#include "core/wire.h"

#define EDGE_SITE      "example.com"
#define EDGE_ROOMS     5000
#define EDGE_COUNTRIES 60
#define EDGE_SOURCES   200
#define EDGE_SCOPES    (1 + EDGE_ROOMS + EDGE_COUNTRIES + EDGE_SOURCES)
#define EDGE_BYTES     1400 /* of a full datagram of version 2, as libpresence's */
#define EDGE_DRAWS     (1 << 16)

struct edge_name {
    uint8_t length;
    uint8_t bytes[31]; /* zero-terminated */
};

/* The places, and which of them a random number of 16 bits draws. */
struct edge {
    struct edge_name rooms[EDGE_ROOMS], sources[EDGE_SOURCES];
    uint8_t countries[EDGE_COUNTRIES][2];
    uint16_t room_drawn[EDGE_DRAWS], country_drawn[EDGE_DRAWS], source_drawn[EDGE_DRAWS];
};

/* Make the places, the same in every program. Free with free(3). Ends the program if there is no
 * memory. */
struct edge *edge_open(void);

/* Return the heartbeat of a visitor, by number, at the one place where they are. Writes their id,
 * to which it points. */
struct wire_heartbeat edge_heartbeat(const struct edge *edge, uint64_t visitor,
                                     uint8_t ret_id[WIRE_VISITOR_SIZE]);

/* Fill a datagram of version 2 with the heartbeats of visitors from `visitor` on, in that order; 0
 * follows `visitors` - 1. Returns its length, at most EDGE_BYTES, and in `*ret_count` how many they
 * are. */
uint32_t edge_fill(const struct edge *edge, uint64_t visitor, uint64_t visitors, uint64_t stream,
                   uint32_t sequence, uint8_t datagram[EDGE_BYTES], uint32_t *ret_count);

#endif
