/* transaction.h - change a shard in the engine, in a transaction that fails if the shard is not
 * ours. One thread at a time.
 *
 * A publisher looks first, which makes the engine watch the owner and the state of the shard; then
 * it sends its transaction, which the engine carries out as a whole, and only if neither has
 * changed since. So what a publisher writes that was stopped in between is never mixed with what
 * its successor has written.
 */
#ifndef PRESENCE_PUBLISHER_TRANSACTION_H
#define PRESENCE_PUBLISHER_TRANSACTION_H

#include "engine/engine_link.h"
#include "engine/engine_shard.h"

#define TRANSACTION_OWNER_SIZE 128

/* The shard as the engine has it. */
struct transaction_look {
    char owner[TRANSACTION_OWNER_SIZE];    /* "": nobody. Escape it before it is shown */
    int64_t owner_ms;                      /* for which they own it; negative: for good */
    char epoch[ENGINE_EPOCH_SIZE];         /* of its state; "": there is none */
    char windows[ENGINE_WINDOWS_MAX * 12]; /* likewise */
    uint64_t connection;                   /* that was looked through */
    uint64_t evicted;                      /* keys so far, of anybody's; 0 if it does not say */
};

struct transaction {
    struct engine_link *link;
    const char *group;
    uint32_t shard, shards;
    char owner[TRANSACTION_OWNER_SIZE]; /* we */
    struct transaction_look look;       /* the last one */
    struct engine_request request;
    size_t checked_from, checked_to; /* commands of the request whose reply must not be 0 */
    uint32_t registered;             /* the group's number of shards, by the last transaction */
    bool registers;                  /* the request registers the group */
    bool lacks_keys;                 /* a reply that had to be checked was 0 */
    bool has_no_info;                /* the engine does not tell us how many keys it has evicted */
    char problem[ENGINE_PROBLEM_SIZE]; /* of the last call that failed */
};

/* Prepare for the shard; `group` must outlive it. Draws a name for us as its owner. Release it with
 * transaction_free. Errors: those of getrandom. */
int transaction_init(struct engine_link *link, const char *group, uint32_t shard, uint32_t shards,
                     struct transaction *ret);
void transaction_free(struct transaction *transaction);

/* True if the shard was ours, or nobody's, when we looked. */
bool transaction_is_ours(const struct transaction *transaction);
bool transaction_is_free(const struct transaction *transaction);

/* Look at the shard. Errors: as engine_link_call, and -EIO the engine refuses a command. */
int transaction_watch(struct transaction *transaction, int64_t deadline_ns);

/* Begin the request of a transaction, which takes the shard or renews that it is ours. */
void transaction_begin(struct transaction *transaction);

/* Begin one that gives it up. */
void transaction_begin_release(struct transaction *transaction);

/* Send the request. Errors: -ESTALE it was not carried out: the shard has changed since the look;
 * -EIO it was not carried out: the engine refuses it; -EBADMSG a command of it failed; as
 * engine_link_call: it may have been carried out or not. */
int transaction_commit(struct transaction *transaction, int64_t deadline_ns);

#endif
