/* streams.h - follow senders' streams: their losses are known, and no datagram counts twice.
 *
 * What is known of each stream is in the segment (stream.h) and outlives the daemon. What finds a
 * stream there, and orders streams by when they were heard, belongs to the process.
 */
#ifndef PRESENCE_STREAMS_H
#define PRESENCE_STREAMS_H

#include <sys/socket.h>

#include "core/segment.h"
#include "core/wire.h"

struct stream_table;

/* Open the streams of a segment that was judged sound, and which has to outlive `ret`: repair what
 * a killed daemon was writing. One thread, before any worker runs. -ENOMEM. */
int streams_open(const struct segment *segment, struct stream_table **ret);

/* Free the table; the segment keeps the streams. No worker may be running. NULL is fine. */
void streams_close(struct stream_table *table);

/* Record a datagram that was decoded and, with keys, authenticated. `key_id` is 0 without keys;
 * `sender` may be NULL; `now` is the batch's tick. Returns false if it is a duplicate or too old to
 * tell, and must be rejected. Adds to the counters streams_expected, streams_received and
 * streams_full in `counted`. A datagram without a stream is neither recorded nor checked. Any
 * worker. */
bool streams_receive(struct stream_table *table, const struct wire_v2_datagram *datagram,
                     uint8_t key_id, const struct sockaddr *sender, uint64_t now,
                     uint64_t counted[COUNTERS]);

#endif
