#include "engine_transaction.h"

#include <errno.h>
#include <stdio.h>

#include "engine_problem.h"

int engine_reader_fail(struct engine_reader *reader, int error, const char *problem)
{
    snprintf(reader->own_problem, sizeof(reader->own_problem), "%s", problem);
    reader->problem = reader->own_problem;
    return error;
}

/* Find an error among the replies to commands that should have none. */
static int check_replies(struct engine_reader *reader, redisReply *const *replies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (replies[i]->type != REDIS_REPLY_ERROR)
            continue;
        engine_reply_problem(replies[i], reader->own_problem);
        reader->problem = reader->own_problem;
        if (engine_reply_is(replies[i], "OOM"))
            return -ENOSPC;
        return engine_reply_is(replies[i], "NOPERM") ? -EACCES : -EPROTO;
    }
    return 0;
}

int engine_transaction_call(struct engine_reader *reader, int64_t deadline_ns, redisReply ***ret)
{
    redisReply **replies;
    int r = engine_link_call(reader->link, &reader->request, deadline_ns, &replies);

    if (r < 0) {
        reader->problem = engine_link_problem(reader->link);
        return r;
    }
    r = check_replies(reader, replies, reader->request.commands);
    if (r < 0)
        engine_replies_free(replies, reader->request.commands);
    else
        *ret = replies;
    return r;
}

void engine_transaction_begin(struct engine_reader *reader)
{
    engine_request_clear(&reader->request);
    engine_request_add(&reader->request, "MULTI", NULL);
}

int engine_transaction_run(struct engine_reader *reader, int64_t deadline_ns,
                           struct engine_transaction *ret)
{
    redisReply **replies;

    engine_request_add(&reader->request, "EXEC", NULL);
    size_t count = reader->request.commands;
    int r = engine_transaction_call(reader, deadline_ns, &replies);
    if (r < 0)
        return r;
    const redisReply *results = replies[count - 1];
    if (results->type == REDIS_REPLY_ARRAY && results->elements == count - 2) {
        *ret = (struct engine_transaction){results->element, results->elements, replies, count};
        return 0;
    }
    r = results->type == REDIS_REPLY_NIL ? -ECANCELED : -EPROTO;
    engine_replies_free(replies, count);
    return engine_reader_fail(reader, r, "its reply to EXEC is no transaction's");
}

int engine_transaction_run_apart(struct engine_reader *reader, int64_t deadline_ns,
                                 struct engine_transaction *ret)
{
    redisReply **replies;
    int r = engine_link_call(reader->link, &reader->request, deadline_ns, &replies);

    if (r < 0) {
        reader->problem = engine_link_problem(reader->link);
        return r;
    }
    size_t count = reader->request.commands;
    *ret = (struct engine_transaction){replies, count, replies, count};
    return 0;
}

void engine_transaction_free(struct engine_transaction *transaction)
{
    engine_replies_free(transaction->all, transaction->all_count);
    *transaction = (struct engine_transaction){0};
}
