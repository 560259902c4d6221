/* accounts.h - what the relay counts, in memory that outlives it (receive/stored_memory.h), so that
 * it goes on when the relay is restarted or killed.
 *
 * A collector has an account by its group, its shard and the number of shards. Its heartbeats are
 * queued = handed over + dropped + lost + waiting. Those that wait when a relay is killed are lost:
 * the next one counts them so. That is an upper bound, as the kernel may have had some of them.
 */
#ifndef PRESENCE_RELAY_ACCOUNTS_H
#define PRESENCE_RELAY_ACCOUNTS_H

#include "options.h"
#include "receive/decoder.h"

/* Twice as many as there are targets: those that SIGHUP replaces are in use for another moment. */
#define ACCOUNTS_MAX         (2 * GROUPS_MAX * SHARDS_MAX)
#define ACCOUNT_ADDRESS_SIZE 96 /* of a numeric address and port, and an interface's name */
#define ACCOUNT_TEXT_SIZE    512

/* The worker stores the numbers, relaxed; others load them (accounts_load). */
struct account {
    char group[GROUP_NAME_SIZE]; /* empty: it is nobody's */
    char address[ACCOUNT_ADDRESS_SIZE];
    uint32_t shard;  /* from 1 */
    uint32_t shards; /* of the group */
    uint64_t queued; /* heartbeats, like the next three: accepted ones of its visitors */
    uint64_t heartbeats;
    uint64_t dropped; /* with datagrams that the kernel did not take */
    uint64_t lost;
    uint64_t datagrams; /* handed over */
    uint64_t failed;    /* datagrams that the kernel did not take */
    uint64_t refused;   /* reports that nobody receives them there, or that there is no route */
};

struct accounts_memory {
    uint32_t version;
    uint32_t used; /* accounts that were ever somebody's: the first ones */
    uint64_t socket_drops;
    struct decoder_counts counts;
    struct account all[ACCOUNTS_MAX];
};

struct accounts {
    struct accounts_memory *memory;
    uint32_t users[ACCOUNTS_MAX]; /* targets that hold each account; at 0 it can be forgotten */
};

/* All numbers of one moment: received = accepted + rejected, and for each account heartbeats,
 * dropped and lost add up to at most queued. */
struct accounts_view {
    struct decoder_counts counts;
    uint64_t socket_drops;
    uint32_t count;
    struct account *all;
};

/* The sender's numbers that an account has recorded already. */
struct account_progress {
    uint64_t queued;
    uint64_t dropped;
    struct presence_sender_totals totals;
};

/* Go on with the accounts in `memory`, which has sizeof(struct accounts_memory) bytes and outlives
 * `ret`, or begin new ones if it is empty. Memory that no relay can have left is cleared, after a
 * line in the log. Main thread, before the worker runs. Release with accounts_close. Errors:
 * -ENOMEM. */
int accounts_open(void *memory, struct accounts **ret);

/* Free `accounts`; the memory stays as it is. NULL is fine. */
void accounts_close(struct accounts *accounts);

/* Find the account of shard `shard` (from 1) of `shards` of a group, or begin one, and hold it
 * until accounts_release. It shows `address` from now on. Main thread. Errors: -EBUSY accounts of
 * the group with another number of shards are held; -ENOSPC there are ACCOUNTS_MAX. */
int accounts_hold(struct accounts *accounts, const char *group, uint32_t shard, uint32_t shards,
                  const char *address, struct account **ret);

/* Release an account. Any thread. */
void accounts_release(struct accounts *accounts, const struct account *account);

/* True if somebody holds the account at `index` of those in memory. Any thread. */
bool accounts_is_held(const struct accounts *accounts, uint32_t index);

/* Forget the accounts that nobody holds, with a line in the log for each. Main thread. */
void accounts_forget(struct accounts *accounts);

/* Count drops of the sockets. Main thread. */
void accounts_add_drops(struct accounts *accounts, uint64_t drops);

/* Count a heartbeat that will be queued. Worker. */
static inline void account_queue(struct account *account, struct account_progress *progress)
{
    progress->queued++;
    __atomic_store_n(&account->queued, account->queued + 1,
                     __ATOMIC_RELAXED); /* see accounts_load */
}

/* Record what the sender has done since the last time. Once it is flushed (`is_flushed`) what was
 * queued and not handed over was dropped. Worker. */
void account_record(struct account *account, struct account_progress *progress,
                    const struct presence_sender *sender, bool is_flushed);

/* Copy the accounts that are held, while the worker may store to them. Release `ret` with
 * accounts_view_free. Main thread. Errors: -ENOMEM. */
int accounts_load(const struct accounts *accounts, struct accounts_view *ret);
void accounts_view_free(struct accounts_view *view);

/* Return how many heartbeats wait, by a copy of the account. */
uint64_t account_waiting(const struct account *account);

/* Write a copy of the account in words: "A/1 192.0.2.1:9514: 5 heartbeats in 1 datagrams, ...". */
void account_describe(const struct account *account, char ret[ACCOUNT_TEXT_SIZE]);

#endif
