/* sender_datagram.h - the open datagram of a sender, of version 2 (wire_v2.h).
 *
 * Visitors are added in the order in which they are sent, whatever their place. The datagram is
 * closed into the outbox when it is full, when its first visitor has waited long enough, or, empty,
 * to show that the sender is alive. One thread at a time.
 */
#ifndef PRESENCE_SENDER_DATAGRAM_H
#define PRESENCE_SENDER_DATAGRAM_H

#include "core/siphash.h"
#include "sender_outbox.h"
#include "sender_place.h"

#include <sys/types.h>

struct datagram {
    struct outbox *outbox;
    uint32_t visitors_max; /* fewer if they don't fit */
    uint32_t bytes_max;
    struct siphash_key key;
    struct wire_v2_header header; /* sequence: of the datagram that was closed last */
    pid_t process;                /* that has the stream */
    int64_t closed_at;            /* when that was, or when the sender was opened; ns */
    int64_t queued_at;            /* when the first visitor was added, ns */
    uint32_t visitors;
    uint32_t names;
    uint32_t names_size, records_size;  /* bytes of the two below */
    uint8_t *name_bytes, *record_bytes; /* as they are sent */
    struct wire_v2_record *record;      /* the last one; NULL: the next visitor begins another,
                                           as one at another place has to */
    /* Of the names, and of those of one place that turn out not to fit. */
    uint32_t hashes[WIRE_V2_NAMES_MAX + SENDER_PLACE_NAMES];
    uint32_t offsets[WIRE_V2_NAMES_MAX + SENDER_PLACE_NAMES]; /* in `name_bytes` */
};

/* Initialize an empty datagram that is closed into `outbox` (which may be opened later). Takes from
 * `options`: `batch` and `datagram_bytes`, which are not 0, the key, `stream` and `target`.
 * -ENOMEM.
 */
int datagram_init(struct datagram *datagram, struct outbox *outbox,
                  const struct presence_sender_options *options);

void datagram_free(struct datagram *datagram);

/* True if a datagram has room for a visitor at this place. */
bool datagram_carries(const struct datagram *datagram, const struct sender_place *place);

/* Add a visitor at a place that datagrams carry, that of `record` if there is one. Close the
 * datagram before that if they don't fit, and afterwards if it has all the visitors it may have. */
void datagram_add(struct datagram *datagram, const struct sender_place *place,
                  const uint8_t id[WIRE_VISITOR_SIZE], int64_t now);

/* Sign the datagram, with or without visitors, put it into the outbox and begin the next one. */
void datagram_close(struct datagram *datagram, int64_t now);

#endif
