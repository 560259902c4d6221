#include "engine_problem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int engine_fail(char ret[ENGINE_PROBLEM_SIZE], int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret, ENGINE_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return error;
}

/* ---- errors that the engine answers --------------------------------------------------------- */

/* By their first words, which are the engine's. */
static const struct answered {
    const char *word;
    int ends_call; /* or 0 */
    const char *advice;
} answers[] = {
    {"MOVED", -EAGAIN, "the cluster has moved the keys"},
    {"ASK", -EAGAIN, "the cluster is moving the keys"},
    {"TRYAGAIN", -EAGAIN, "the cluster is moving the keys"},
    {"CLUSTERDOWN", -EAGAIN, "the cluster lacks nodes"},
    {"LOADING", -EAGAIN, "the engine is starting"},
    {"BUSY", -EAGAIN, "somebody's script is running"},
    {"MASTERDOWN", -EAGAIN, "this is a replica without its master"},
    {"READONLY", -EROFS, "this is a replica: name the master, or the Sentinels"},
    {"NOAUTH", -EACCES, "it needs a password: use --password-file"},
    {"WRONGPASS", -EACCES, "check --user and --password-file"},
    {"DENIED", -EACCES, "give the engine a password, or let it listen on loopback only"},
    {"NOPERM", 0, "give the user that right"},
    {"OOM", 0, "the engine is full: raise its maxmemory"},
    {"MISCONF", 0, "the engine can't save its data: see its log"},
    {"NOREPLICAS", 0, "the engine lacks replicas: see min-replicas-to-write"},
};

/* Find the engine's error among those that are known. */
static const struct answered *find_answer(const redisReply *reply)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (engine_reply_is(reply, answers[i].word))
            return &answers[i];
    }
    return NULL;
}

bool engine_reply_is(const redisReply *reply, const char *word)
{
    size_t length = strlen(word);

    return reply && reply->type == REDIS_REPLY_ERROR && (size_t)reply->len >= length &&
           memcmp(reply->str, word, length) == 0 &&
           ((size_t)reply->len == length || reply->str[length] == ' ');
}

int engine_reply_ends_call(const redisReply *reply)
{
    const struct answered *answer = find_answer(reply);

    return answer ? answer->ends_call : 0;
}

void engine_reply_problem(const redisReply *reply, char ret[ENGINE_PROBLEM_SIZE])
{
    const struct answered *answer = find_answer(reply);
    size_t used = 0;

    if (reply->type != REDIS_REPLY_ERROR) {
        engine_fail(ret, 0, "an answer of another type than expected; is it another program's?");
        return;
    }
    /* Keep room for the advice behind it. */
    for (size_t i = 0; i < (size_t)reply->len && used < ENGINE_PROBLEM_SIZE / 2; i++) {
        unsigned char byte = (unsigned char)reply->str[i];
        used += (size_t)sprintf(ret + used, byte >= ' ' && byte <= '~' ? "%c" : "\\x%02x", byte);
    }
    ret[used] = '\0';
    if (answer)
        snprintf(ret + used, ENGINE_PROBLEM_SIZE - used, " (%s)", answer->advice);
}
