/* sender_batch.h - the open batches of a sender: visitors of one place each.
 *
 * A batch is closed into the outbox when it is full, when its first visitor has waited long enough,
 * when its slot is needed for another place, or to keep the order: at any time all waiting batches
 * of a site are leaves or none is, so that a leave and a heartbeat of one visitor can't overtake
 * each other. A closed batch keeps its place, and the next visitor there finds it again.
 */
#ifndef PRESENCE_SENDER_BATCH_H
#define PRESENCE_SENDER_BATCH_H

#include "core/siphash.h"
#include "sender_outbox.h"
#include "sender_place.h"

#define BATCHES 64

struct batch {
    struct sender_place place; /* length 0: never used */
    uint64_t used_at;          /* the value of `batches.uses` at its last use */
    int64_t queued_at;         /* when its first visitor was queued, ns */
    uint32_t visitors;
    uint32_t capacity;
    uint8_t *visitor_ids;
};

struct batches {
    struct outbox *outbox;
    uint32_t batch; /* visitors per datagram; fewer if they don't fit */
    uint32_t datagram_bytes;
    uint8_t key_id; /* 0: datagrams are not signed */
    struct siphash_key key;
    uint32_t waiting; /* batches with visitors */
    uint32_t waiting_leaves;
    uint64_t uses;
    struct batch *last; /* the one that was used last; NULL: none yet */
    uint8_t *visitor_ids;
    uint64_t hashes[BATCHES]; /* of the places */
    struct batch slots[BATCHES];
};

/* Initialize empty batches that are closed into `outbox` (which may be opened later) as datagrams
 * of at most `batch` visitors, at least 1, and `datagram_bytes`. -ENOMEM. */
int batches_init(struct batches *batches, struct outbox *outbox, uint32_t batch,
                 uint32_t datagram_bytes);

void batches_free(struct batches *batches);

/* Sign all datagrams with this key, of 16 bytes. To be called before the first batches_find. */
void batches_sign(struct batches *batches, uint8_t key_id, const uint8_t *key);

/* Find or open the batch of a place; `ret` is valid until the next call. Errors: as
 * sender_place_parse, and -ENAMETOOLONG the names leave no room for a visitor in a datagram. */
int batches_find(struct batches *batches, const struct presence_place *given, struct batch **ret);

/* Add a visitor to a batch, and close it if it is full. */
void batches_add(struct batches *batches, struct batch *batch, const uint8_t id[WIRE_VISITOR_SIZE],
                 int64_t now);

/* Close the batches whose first visitor was queued at `before` (ns) or earlier. */
void batches_close_older(struct batches *batches, int64_t before);

/* Return when the longest waiting visitor was queued, ns; INT64_MAX: none waits. */
int64_t batches_oldest(const struct batches *batches);

#endif
