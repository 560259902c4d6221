/* engine_transaction.h - what a reader keeps, and its way to send commands as one transaction. Of
 * engine_reader.c and engine_forget.c. */
#ifndef PRESENCE_ENGINE_TRANSACTION_H
#define PRESENCE_ENGINE_TRANSACTION_H

#include "engine_reader.h"

struct engine_reader {
    struct engine_link *link;
    struct engine_request request;
    struct engine_state state; /* as the last poll found it; the next one's commands follow it */
    uint32_t default_window_s;
    char *windows;       /* for people */
    const char *problem; /* own_problem, or what the link says */
    char own_problem[ENGINE_PROBLEM_SIZE];
};

/* The replies of a transaction. */
struct engine_transaction {
    redisReply **replies; /* one for each command; owned by `all` */
    size_t count;
    redisReply **all;
    size_t all_count;
};

/* Begin a transaction in the reader's request; then add commands. */
void engine_transaction_begin(struct engine_reader *reader);

/* Send it, and receive all replies, which may be errors. Release `*ret` with
 * engine_transaction_free. Errors: as engine_link_call; -ENOSPC the engine is full: it refuses
 * transactions then, even of reads; -EPROTO it refuses a command; -ECANCELED a key that was watched
 * has changed. */
int engine_transaction_run(struct engine_reader *reader, int64_t deadline_ns,
                           struct engine_transaction *ret);

/* Send the commands of the reader's request one after the other, which an engine does that is full:
 * hardly anything changes between them then. Otherwise likewise. */
int engine_transaction_run_apart(struct engine_reader *reader, int64_t deadline_ns,
                                 struct engine_transaction *ret);

void engine_transaction_free(struct engine_transaction *transaction);

/* Send the commands of the reader's request as they are. Errors: as engine_link_call, and as above.
 */
int engine_transaction_call(struct engine_reader *reader, int64_t deadline_ns, redisReply ***ret);

/* Remember why the call fails, for engine_reader_problem. Returns `error`. */
int engine_reader_fail(struct engine_reader *reader, int error, const char *problem);

#endif
