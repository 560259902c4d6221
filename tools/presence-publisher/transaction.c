#include "transaction.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define HOST_MAX 64 /* bytes of a machine's name, as the kernel limits it */

/* Commands of a look, by their replies. */
enum { LOOK_WATCH, LOOK_OWNER, LOOK_OWNER_MS, LOOK_STATE, LOOK_INFO };

/* Commands at the head of a transaction that takes the shard or renews that it is ours. */
enum { HEAD_MULTI, HEAD_OWNER, HEAD_REGISTER, HEAD_REGISTERED };

/* ---- memory ------------------------------------------------------------------------------- */

int transaction_init(struct engine_link *link, const char *group, uint32_t shard, uint32_t shards,
                     struct transaction *ret)
{
    struct transaction transaction = {
        .link = link, .group = group, .shard = shard, .shards = shards};
    char host[HOST_MAX + 1] = "";
    uint64_t word;

    if (getrandom(&word, sizeof(word), 0) != (ssize_t)sizeof(word))
        return -errno;
    gethostname(host, sizeof(host) - 1);
    snprintf(transaction.owner, sizeof(transaction.owner), "%s %ld %016" PRIx64, host,
             (long)getpid(), word);
    *ret = transaction;
    return 0;
}

void transaction_free(struct transaction *transaction)
{
    engine_request_free(&transaction->request);
}

/* ---- replies ------------------------------------------------------------------------------ */

/* Copy a text reply. "": there is none, or it is too long. */
static void copy_text(const redisReply *reply, char *ret, size_t size)
{
    ret[0] = '\0';
    if (reply->type != REDIS_REPLY_STRING || reply->len >= size ||
        memchr(reply->str, '\0', reply->len))
        return;
    memcpy(ret, reply->str, reply->len);
    ret[reply->len] = '\0';
}

/* Find the number of evicted keys in what INFO says. */
static uint64_t find_evicted(const redisReply *reply)
{
    static const char name[] = "evicted_keys:";
    const char *found;

    if (reply->type != REDIS_REPLY_STRING)
        return 0;
    found = memmem(reply->str, reply->len, name, strlen(name));
    return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Remember an error reply as the problem. False: it is none. */
static bool is_error(struct transaction *transaction, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return false;
    engine_reply_problem(reply, transaction->problem);
    return true;
}

static int call(struct transaction *transaction, int64_t deadline_ns, redisReply ***ret)
{
    int r = engine_link_call(transaction->link, &transaction->request, deadline_ns, ret);

    if (r < 0)
        snprintf(transaction->problem, sizeof(transaction->problem), "%s",
                 engine_link_problem(transaction->link));
    return r;
}

/* ---- looking ------------------------------------------------------------------------------ */

bool transaction_is_ours(const struct transaction *transaction)
{
    return strcmp(transaction->look.owner, transaction->owner) == 0;
}

bool transaction_is_free(const struct transaction *transaction)
{
    return transaction->look.owner[0] == '\0';
}

static void ask(struct transaction *transaction)
{
    struct engine_request *request = &transaction->request;
    char owner[ENGINE_KEY_MAX], state[ENGINE_KEY_MAX];

    engine_key_owner(transaction->group, transaction->shard, owner);
    engine_key_shard(transaction->group, transaction->shard, state);
    engine_request_clear(request);
    engine_request_add(request, "WATCH", owner, state, NULL);
    engine_request_add(request, "GET", owner, NULL);
    engine_request_add(request, "PTTL", owner, NULL);
    engine_request_add(request, "HMGET", state, engine_shard_fields[SHARD_FIELD_EPOCH],
                       engine_shard_fields[SHARD_FIELD_WINDOWS], NULL);
    if (!transaction->has_no_info)
        engine_request_add(request, "INFO", "stats", NULL);
}

static int understand(struct transaction *transaction, redisReply *const *replies)
{
    const redisReply *state = replies[LOOK_STATE], *left = replies[LOOK_OWNER_MS];
    struct transaction_look look = {0};

    for (unsigned i = 0; i < LOOK_INFO; i++) {
        if (is_error(transaction, replies[i]))
            return -EIO;
    }
    copy_text(replies[LOOK_OWNER], look.owner, sizeof(look.owner));
    if (replies[LOOK_OWNER]->type == REDIS_REPLY_STRING && !look.owner[0])
        strcpy(look.owner, "?"); /* somebody, but no publisher of ours */
    look.owner_ms = left->type == REDIS_REPLY_INTEGER ? left->integer : -1;
    if (state->type == REDIS_REPLY_ARRAY && state->elements == 2) {
        copy_text(state->element[0], look.epoch, sizeof(look.epoch));
        copy_text(state->element[1], look.windows, sizeof(look.windows));
    }
    look.connection = engine_link_connections(transaction->link);
    if (!transaction->has_no_info)
        look.evicted = find_evicted(replies[LOOK_INFO]);
    transaction->look = look;
    return 0;
}

int transaction_watch(struct transaction *transaction, int64_t deadline_ns)
{
    redisReply **replies;

    ask(transaction);
    int r = call(transaction, deadline_ns, &replies);
    if (r < 0)
        return r;
    r = understand(transaction, replies);
    if (!transaction->has_no_info && replies[LOOK_INFO]->type == REDIS_REPLY_ERROR)
        transaction->has_no_info = true; /* this user may not ask: it is no problem */
    engine_replies_free(replies, transaction->request.commands);
    return r;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void begin(struct transaction *transaction)
{
    engine_request_clear(&transaction->request);
    transaction->request.same_connection = true;
    transaction->checked_from = transaction->checked_to = 0;
    transaction->lacks_keys = transaction->registers = false;
    engine_request_add(&transaction->request, "MULTI", NULL);
}

static void add_registration(struct transaction *transaction)
{
    struct engine_request *request = &transaction->request;

    transaction->registers = true;
    engine_request_begin(request, 4);
    engine_request_text(request, "HSETNX");
    engine_request_text(request, ENGINE_KEY_GROUPS);
    engine_request_text(request, transaction->group);
    engine_request_integer(request, transaction->shards);
    engine_request_add(request, "HGET", ENGINE_KEY_GROUPS, transaction->group, NULL);
}

void transaction_begin(struct transaction *transaction)
{
    struct engine_request *request = &transaction->request;
    char owner[ENGINE_KEY_MAX];

    begin(transaction);
    engine_key_owner(transaction->group, transaction->shard, owner);
    engine_request_begin(request, 5);
    engine_request_text(request, "SET");
    engine_request_text(request, owner);
    engine_request_text(request, transaction->owner);
    engine_request_text(request, "PX");
    engine_request_integer(request, ENGINE_OWNER_MS);
    add_registration(transaction);
}

void transaction_begin_release(struct transaction *transaction)
{
    char owner[ENGINE_KEY_MAX];

    begin(transaction);
    engine_key_owner(transaction->group, transaction->shard, owner);
    engine_request_add(&transaction->request, "DEL", owner, NULL);
}

/* Judge what the commands have come to, whose replies are those of EXEC. */
static int judge_results(struct transaction *transaction, const redisReply *results)
{
    /* The reply to command N of the request is element N - 1: there is none to MULTI. */
    for (size_t i = 0; i < results->elements; i++) {
        const redisReply *result = results->element[i];
        if (is_error(transaction, result))
            return -EBADMSG;
        if (i + 1 >= transaction->checked_from && i + 1 < transaction->checked_to &&
            result->type == REDIS_REPLY_INTEGER && result->integer == 0)
            transaction->lacks_keys = true;
    }
    if (transaction->registers && results->elements >= HEAD_REGISTERED &&
        results->element[HEAD_REGISTERED - 1]->type == REDIS_REPLY_STRING)
        transaction->registered =
            (uint32_t)strtoul(results->element[HEAD_REGISTERED - 1]->str, NULL, 10);
    return 0;
}

static int judge(struct transaction *transaction, redisReply *const *replies, size_t count)
{
    const redisReply *last = replies[count - 1];

    for (size_t i = 0; i + 1 < count; i++) {
        if (is_error(transaction, replies[i]))
            return -EIO;
    }
    if (is_error(transaction, last))
        return -EIO;
    if (last->type == REDIS_REPLY_NIL)
        return -ESTALE;
    if (last->type != REDIS_REPLY_ARRAY || last->elements != count - 2) {
        strcpy(transaction->problem, "it answers a transaction with something else");
        return -EBADMSG;
    }
    return judge_results(transaction, last);
}

int transaction_commit(struct transaction *transaction, int64_t deadline_ns)
{
    redisReply **replies;

    engine_request_add(&transaction->request, "EXEC", NULL);
    int r = call(transaction, deadline_ns, &replies);
    if (r < 0)
        return r;
    r = judge(transaction, replies, transaction->request.commands);
    engine_replies_free(replies, transaction->request.commands);
    return r;
}
