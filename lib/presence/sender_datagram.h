/* sender_datagram.h - the open datagram of a sender, of version 2 (wire_v2.h).
 *
 * Visitors are added in the order in which they are sent, whatever their place. The datagram is
 * closed into the outbox when it is full, when its first visitor has waited long enough, or, empty,
 * to show that the sender is alive. One thread at a time.
 */
#ifndef PRESENCE_SENDER_DATAGRAM_H
#define PRESENCE_SENDER_DATAGRAM_H

#include "core/siphash.h"
#include "sender_names.h"
#include "sender_outbox.h"

#include <sys/types.h>

struct datagram {
    struct outbox *outbox;
    uint32_t visitors_max; /* fewer if they don't fit */
    uint32_t bytes_max;
    struct siphash_key key;
    struct wire_v2_header header; /* sequence: of the datagram that was closed last */
    pid_t process;                /* that has the stream */
    int64_t closed_at;            /* when that was, or when the sender was opened; ns */
    int64_t queued_at;            /* `now` of the first visitor, ns */
    uint32_t visitors;
    uint32_t records_size;
    uint8_t *records;              /* as they are sent */
    struct wire_v2_record *record; /* the last one; NULL: there is none */
    struct sender_names names;
};

/* Initialize an empty datagram that is closed into `outbox` (which may be opened later). Takes from
 * `options`: `batch` and `datagram_bytes`, which are not 0, the key, `stream` and `target`.
 * -ENOMEM.
 */
int datagram_init(struct datagram *datagram, struct outbox *outbox,
                  const struct presence_sender_options *options);

void datagram_free(struct datagram *datagram);

/* Add a visitor. Close the datagram before that if they don't fit, and afterwards if it has all the
 * visitors it may have. Errors, with nothing added: those of sender_place_parse; -ENAMETOOLONG no
 * datagram has room for a visitor at this place. */
int datagram_add(struct datagram *datagram, const struct presence_place *place,
                 const uint8_t id[WIRE_VISITOR_SIZE], int64_t now);

/* Sign the datagram, with or without visitors, put it into the outbox and begin the next one. */
void datagram_close(struct datagram *datagram);

#endif
