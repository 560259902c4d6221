/* routes.h - the collectors that heartbeats go to, and a sender to each. The worker's thread only,
 * except for opening and closing. */
#ifndef PRESENCE_RELAY_ROUTES_H
#define PRESENCE_RELAY_ROUTES_H

#include "accounts.h"
#include "common/key_file.h"
#include "options.h"
#include "receive/decoder.h"

/* A collector. */
struct target {
    struct presence_sender *sender;
    struct account *account;
    struct account_progress progress;
    bool is_waiting; /* heartbeats are queued that were not handed to the kernel */
};

/* The way to a group. */
struct route {
    uint32_t shards;
    struct target *targets; /* one for each shard */
};

struct routes {
    unsigned count;
    struct route all[GROUPS_MAX];
    struct target *targets; /* of all groups, one after the other */
    unsigned target_count;
    uint64_t stream; /* of all senders */
    struct accounts *accounts;
};

/* Open a sender to each collector of the groups, all with one stream. `key` signs, unless its id is
 * 0. What they do is recorded in `accounts`, which outlive `ret`. Errors, with a line in the log:
 * those of presence_sender_open, accounts_hold and getrandom(2); -ENOMEM. */
int routes_open(const struct group *groups, unsigned count, const struct key *key,
                struct accounts *accounts, struct routes **ret);

/* Let `routes` take over from `former`: send what is queued there, and go on from its sockets where
 * the address is the same. A collector with several workers keeps the order of one sender's
 * datagrams, by address and port, and not of two. */
void routes_follow(struct routes *routes, struct routes *former);

/* Send what is queued, and free everything. NULL is fine. */
void routes_close(struct routes *routes);

/* Queue heartbeats for each group, in the order of the calls: each visitor's shard gets them. */
void routes_queue(struct routes *routes, const struct decoded *heartbeats);

/* Record what was handed to the kernel meanwhile. After each batch of datagrams. */
void routes_record(struct routes *routes);

/* Hand full datagrams to the kernel. */
void routes_send_full(struct routes *routes);

/* Hand what is queued to the kernel. */
void routes_flush(struct routes *routes);

/* Show the collectors that the relay is alive, when that is due. Several times a second. */
void routes_keep_alive(struct routes *routes);

#endif
